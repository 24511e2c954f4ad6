//! The state that a head reads: that of the last token, behind the output norm, with the adapter in it.

use crate::tiny_models::{Kind, settings, write, write_changed};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tripos::engine::llama::{Llama, LlamaSettings};
use tripos::engine::{self, Answer, Ask, Engine, KvMode, Request, Token};
use tripos::gguf::{self, Gguf, Metadata, TensorData, Value, sha256_file};
use tripos::model::{
    Batch, Classifier, Decoder, Document, Head, Lineage, LoraSettings, Precision, RewardHead, Saved, Settings, Shape,
    Trained, export,
};

fn open(path: &Path, settings: LlamaSettings) -> Llama {
    Llama::open(path, settings, (None, "test"), None).unwrap()
}

/// The answers to one kind of request about some texts, in their order.
fn ask(model: &Llama, ask: &Ask, texts: &[Vec<Token>]) -> Vec<Vec<f32>> {
    counted(model, ask, texts).0
}

/// The same, and how many tokens that took.
fn counted(model: &Llama, ask: &Ask, texts: &[Vec<Token>]) -> (Vec<Vec<f32>>, usize) {
    let request = |(id, tokens): (usize, &Vec<Token>)| Request { id, tokens: tokens.clone(), ask: ask.clone() };
    let requests: Vec<Request> = texts.iter().enumerate().map(request).collect();
    let mut answers = BTreeMap::new();
    let mut done = |id, answer| match answer {
        Answer::State(state) | Answer::Embedding(state) => assert!(answers.insert(id, state).is_none()),
        other => panic!("{other:?}"),
    };
    let effort = model.answer(requests, &mut done, &AtomicBool::new(false)).unwrap();
    (answers.into_values().collect(), effort.tokens_decoded)
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

/// Texts of several lengths; the last does not fit one batch.
fn texts(lengths: &[u32]) -> Vec<Vec<Token>> {
    let token = |at: u32| if at == 0 { 0 } else { 2 + (at * 7919) % 290 };
    lengths.iter().map(|length| (0..*length).map(|at| token(at * (length + 1))).collect()).collect()
}

fn tiny(folder: &Path, kind: Kind) -> PathBuf {
    let path = folder.join("tiny.gguf");
    write(kind, &path);
    path
}

/// An embedding is the mean of the states, and no state sees what comes behind it. So the state of token n is
/// `n·mean(1..n) − (n−1)·mean(1..n−1)`, and that of a single token the embedding itself.
#[test]
fn the_state_is_that_of_the_last_token() {
    let folder = tempfile::tempdir().unwrap();
    for kind in Kind::ALL {
        let model = open(&tiny(folder.path(), kind), LlamaSettings { context: Some(700), ..settings() });
        assert_eq!(model.facts().width, 32);
        let all = texts(&[1, 2, 9, 40, 600]);
        let states = ask(&model, &Ask::State, &all);
        let means = ask(&model, &Ask::Embed, &all);
        assert!(apart(&states[0], &means[0]) < 1e-5, "{kind:?}");
        for ((text, state), mean) in all.iter().zip(&states).zip(&means).skip(1) {
            let n = text.len() as f32;
            let before = &ask(&model, &Ask::Embed, &[text[..text.len() - 1].to_vec()])[0];
            let last: Vec<f32> = mean.iter().zip(before).map(|(all, but)| n * all - (n - 1.0) * but).collect();
            assert!(apart(state, &last) < 2e-6 * n + 1e-4, "{kind:?} {n} {}", apart(state, &last));
            assert!(apart(state, mean) > 0.1, "{kind:?}: the mean is another");
        }
    }
}

#[test]
fn texts_read_together_have_the_states_of_each_alone() {
    let folder = tempfile::tempdir().unwrap();
    for kind in Kind::ALL {
        let path = tiny(folder.path(), kind);
        let with = |kv| open(&path, LlamaSettings { context: Some(700), kv, ..settings() });
        let mut all = texts(&[3, 5, 8, 30, 31, 100, 600, 7, 300, 301]);
        // Answers to two prompts, among the others: what they share is read once.
        let prompts = texts(&[550, 25]);
        let behind = |prompt: usize, answer: &[Token]| [&prompts[prompt][..], answer].concat();
        all.extend([behind(0, &[7, 9]), behind(1, &[5]), behind(0, &[7, 8, 30]), behind(1, &[6, 6]), behind(0, &[4])]);
        let total: usize = all.iter().map(Vec::len).sum();
        let (together, decoded) = counted(&with(KvMode::Tree), &Ask::State, &all);
        assert_eq!(decoded, total - 2 * 550 - 25, "{kind:?}");
        let (alone, decoded) = counted(&with(KvMode::Exact), &Ask::State, &all);
        assert_eq!(decoded, total, "{kind:?}");
        for ((one, other), text) in together.iter().zip(&alone).zip(&all) {
            assert!(apart(one, other) < 1e-3, "{kind:?} {} tokens: {}", text.len(), apart(one, other));
        }
        assert!(apart(&together[0], &together[1]) > 0.1, "{kind:?}: each has its own");
    }
}

/// An adapter of rank 2 on one matrix.
fn adapter(path: &Path, base: &str, (a, b): (&[f32], &[f32]), alpha: f32) {
    let mut metadata = Metadata::default();
    for (key, value) in [("general.type", "adapter"), ("general.architecture", "llama"), ("adapter.type", "lora")] {
        metadata.set(key, Value::Text(value.to_owned()));
    }
    metadata.set("adapter.lora.alpha", Value::F32(alpha));
    let half = |name: &str, dims: &[u64], numbers: &[f32]| TensorData::f32(format!("{base}.{name}"), dims, numbers);
    let tensors = [half("lora_a", &[a.len() as u64 / 2, 2], a), half("lora_b", &[2, b.len() as u64 / 2], b)];
    gguf::write(path, &metadata, &tensors).unwrap();
}

/// Against a model whose weights have `alpha / rank · B·A` added by hand.
#[test]
fn the_adapter_is_part_of_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let (base, name) = (tiny(folder.path(), Kind::Llama), "blk.1.ffn_down.weight");
    let (inner, outer, alpha) = (64, 32, 80.0);
    let a: Vec<f32> = (0..inner * 2).map(|i| ((i * 37 % 101) as f32 / 101.0 - 0.5) * 0.4).collect();
    let b: Vec<f32> = (0..outer * 2).map(|i| ((i * 53 % 97) as f32 / 97.0 - 0.5) * 0.4).collect();
    let (taught, merged) = (folder.path().join("taught.gguf"), folder.path().join("merged.gguf"));
    adapter(&taught, name, (&a, &b), alpha);
    write_changed(Kind::Llama, &merged, name, |numbers, len| {
        for (at, weight) in numbers.iter_mut().enumerate() {
            let (row, column) = (at / len, at % len);
            *weight += alpha / 2.0 * (b[row * 2] * a[column] + b[row * 2 + 1] * a[len + column]);
        }
    });
    let all = texts(&[4, 9, 20]);
    let of = |path: &Path, adapter| ask(&open(path, LlamaSettings { adapter, ..settings() }), &Ask::State, &all);
    let with = of(&base, Some((taught.clone(), 1.0)));
    let by_hand = of(&merged, None);
    let bare = of(&base, None);
    let none = of(&base, Some((taught, 0.0)));
    for at in 0..all.len() {
        assert!(apart(&with[at], &by_hand[at]) < 1e-4, "{}", apart(&with[at], &by_hand[at]));
        assert!(apart(&with[at], &bare[at]) > 0.05, "{}", apart(&with[at], &bare[at]));
        assert!(apart(&none[at], &bare[at]) < 1e-5);
    }
}

/// A decoder with numbers in its adapter and its head, as if it had been trained: B begins as zeros.
fn as_if_trained(base: &Path, how: &Settings) -> (Decoder, Vec<Saved>) {
    let mut decoder = Decoder::open(base, how).unwrap();
    let mut saved = decoder.save().unwrap();
    for (at, tensor) in saved.iter_mut().enumerate().filter(|(_, tensor)| !tensor.name.ends_with(".lora_a")) {
        tensor.values.iter_mut().enumerate().for_each(|(i, x)| *x = ((i * 31 + at * 7) % 17) as f32 / 17.0 - 0.5);
    }
    decoder.restore(&saved).unwrap();
    (decoder, saved)
}

fn numbers(saved: &[Saved], name: &str) -> Vec<f32> {
    saved.iter().find(|tensor| tensor.name == name).unwrap().values.clone()
}

fn export_adapter(path: &Path, base: &Path, (saved, head): (&[Saved], &Head), lora: &LoraSettings) {
    let lineage = Lineage {
        base: Some((sha256_file(base).unwrap(), "tiny.gguf".into())),
        recipe_sha256: "0".repeat(64),
        parent: None,
        rewards: vec![],
    };
    let gguf = Gguf::open_checked(base).unwrap();
    let what = export::Export { path, name: "taught", base: &gguf, saved, lineage: &lineage, head: Some(head) };
    export::adapter(&what, lora).unwrap();
}

/// Answers to one prompt, read by the trainer as branches behind it, by the engine each behind a prompt of its own.
#[test]
fn a_reward_model_gives_the_answers_the_rewards_that_it_learned() {
    let folder = tempfile::tempdir().unwrap();
    let (prompt, answers) = (texts(&[12]).remove(0), texts(&[3, 1, 7]));
    for kind in [Kind::Llama, Kind::Qwen2] {
        let (base, taught) = (tiny(folder.path(), kind), folder.path().join("judge.gguf"));
        let lora = LoraSettings { rank: 4, alpha: 8.0, ..LoraSettings::default() };
        let shape = Shape { rows: 1, len: 32, targets: 0, ends: 3 };
        let (trained, precision) = (Trained::Lora(lora.clone()), Precision::F32);
        let how = Settings { trained, precision, shape, outputs: 1, recompute: false, threads: 1, seed: 5 };
        let (mut decoder, saved) = as_if_trained(&base, &how);
        let tokens = [&prompt[..], &answers.concat()].concat();
        let all = Document { branches: vec![12, 15, 16], ..Document::new(tokens.clone(), vec![false; tokens.len()]) };
        let raw = decoder.read(&Batch::new(&[vec![&all]], &how.shape).unwrap()).unwrap().outputs;

        let (weights, bias) = (numbers(&saved, "head.weight"), numbers(&saved, "head.bias")[0]);
        let (axes, render) = (vec!["helpful".to_owned()], "text".to_owned());
        let head = Head::Reward(RewardHead { weights, bias, mean: 0.5, std: 2.0, axes, render });
        export_adapter(&taught, &base, (&saved, &head), &lora);
        let model = engine::RewardModel::open(&taught).unwrap().unwrap();
        assert_eq!(model.axes, ["helpful"]);
        let whole: Vec<Vec<Token>> = answers.iter().map(|answer| [&prompt[..], answer].concat()).collect();
        let engine = open(&base, LlamaSettings { adapter: Some((taught.clone(), 1.0)), ..settings() });
        let (states, decoded) = counted(&engine, &Ask::State, &whole);
        assert_eq!(decoded, 12 + 3 + 1 + 7, "the prompt once");
        for (state, raw) in states.iter().zip(&raw) {
            let (said, learned) = (model.reward(state), f64::from((raw - 0.5) / 2.0));
            assert!((said - learned).abs() < 1e-3, "{kind:?}: {said} {learned}");
        }
    }
}

/// The bundled reward model, in Q4_0: the engine rounds what its weights are multiplied with, the trainer does not.
#[test]
fn a_quantised_reward_model_orders_answers_as_the_trainer_does() {
    let file = crate::workspace::model().with_file_name("tripos-tiny-reward.gguf");
    let (gguf, engine) = (Gguf::open_checked(&file).unwrap(), open(&file, settings()));
    let all: Vec<Vec<Token>> = (0..48_usize)
        .map(|at| {
            let (a, b, off) = (10 + at * 7 % 90, 10 + at * 31 % 90, [0, 1, 10, 37, 60, 90][at % 6]);
            engine.tokenize(&format!("Q: What is {a} + {b}?\nA: {}", a + b + off), &[])
        })
        .collect();
    let shape = Shape { rows: all.len(), len: 48, targets: 0, ends: all.len() };
    let trained = Trained::Lora(LoraSettings { rank: 4, ..LoraSettings::default() });
    let how = Settings { trained, precision: Precision::F32, shape, outputs: 1, recompute: false, threads: 1, seed: 5 };
    let mut decoder = Decoder::open(&file, &how).unwrap();
    // The adapter begins as nothing; the head is the file's.
    let mut saved = decoder.save().unwrap();
    for tensor in &mut saved {
        match tensor.name.as_str() {
            "head.weight" => tensor.values = gguf.metadata().f32s("tripos.reward.head").unwrap().to_vec(),
            "head.bias" => tensor.values = vec![gguf.metadata().f32("tripos.reward.bias").unwrap()],
            _ => {}
        }
    }
    decoder.restore(&saved).unwrap();
    let documents: Vec<Document> =
        all.iter().map(|tokens| Document::new(tokens.clone(), vec![false; tokens.len()])).collect();
    let rows: Vec<Vec<&Document>> = documents.iter().map(|document| vec![document]).collect();
    let raw = decoder.read(&Batch::new(&rows, &how.shape).unwrap()).unwrap().outputs;
    let model = engine::RewardModel::open(&file).unwrap().unwrap();
    let said: Vec<f64> = ask(&engine, &Ask::State, &all).iter().map(|state| model.reward(state)).collect();
    let pairs: Vec<(usize, usize)> = (0..all.len()).flat_map(|a| (0..a).map(move |b| (a, b))).collect();
    let alike = pairs.iter().filter(|(a, b)| (said[*a] > said[*b]) == (raw[*a] > raw[*b])).count();
    println!("{alike} of {} pairs alike", pairs.len());
    assert!(alike * 100 >= 99 * pairs.len(), "{alike} of {}: {said:?} {raw:?}", pairs.len());
}

/// The trainer's decoder, which is another program on the same weights, and the file that is made of it.
#[test]
fn a_trained_head_says_to_the_engines_states_what_it_says_in_the_trainer() {
    let folder = tempfile::tempdir().unwrap();
    let all = texts(&[3, 9, 20, 31]);
    for kind in [Kind::Llama, Kind::Qwen2] {
        let (base, taught) = (tiny(folder.path(), kind), folder.path().join("taught.gguf"));
        let lora = LoraSettings { rank: 4, alpha: 8.0, ..LoraSettings::default() };
        let shape = Shape { rows: 2, len: 32, targets: 0, ends: 4 };
        let (trained, precision) = (Trained::Lora(lora.clone()), Precision::F32);
        let how = Settings { trained, precision, shape, outputs: 3, recompute: false, threads: 1, seed: 5 };
        let (mut decoder, saved) = as_if_trained(&base, &how);
        let document = |tokens: &Vec<Token>| Document::new(tokens.clone(), vec![false; tokens.len()]);
        let documents: Vec<Document> = all.iter().map(document).collect();
        let [a, b, c, d] = documents.as_slice() else { panic!() };
        let batch = Batch::new(&[vec![a, b, c], vec![d]], &how.shape).unwrap();
        let outputs = decoder.read(&batch).unwrap().outputs;

        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let (weights, bias) = (numbers(&saved, "head.weight"), numbers(&saved, "head.bias"));
        let head = Head::Classifier(Classifier { labels, weights, bias, render: "text".into() });
        export_adapter(&taught, &base, (&saved, &head), &lora);

        let head = engine::Classifier::open(&taught).unwrap().unwrap();
        #[allow(clippy::cast_possible_truncation, reason = "compared with single precision")]
        let said = |scale: f32| -> Vec<f32> {
            let adapter = Some((taught.clone(), scale));
            let states = ask(&open(&base, LlamaSettings { adapter, ..settings() }), &Ask::State, &all);
            states.iter().flat_map(|state| head.outputs(state)).map(|output| output as f32).collect()
        };
        assert!(apart(&said(1.0), &outputs) < 1e-3, "{kind:?} {:?} {outputs:?}", said(1.0));
        assert!(apart(&said(0.9), &outputs) > 1e-2, "{kind:?}: nine tenths of the adapter are another model");
    }
}

#[test]
fn nothing_new_is_begun_once_it_is_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let model = open(&tiny(folder.path(), Kind::Llama), LlamaSettings { kv: KvMode::Exact, ..settings() });
    let requests = texts(&[5, 6, 7]).into_iter().enumerate();
    let requests = requests.map(|(id, tokens)| Request { id, tokens, ask: Ask::State }).collect();
    let (stop, mut answered) = (AtomicBool::new(false), Vec::new());
    let mut done = |id, _| {
        answered.push(id);
        stop.store(true, Ordering::Relaxed);
    };
    model.answer(requests, &mut done, &stop).unwrap();
    assert_eq!(answered.len(), 1, "{answered:?}");
}
