//! What the prefix tree saves: tokens decoded against the size of the tree, counted as the set of all beginnings, and
//! time against one line at a time (`--kv exact`). And how fast likelihoods are beside llama.cpp's own reading of prompts.

use crate::quiet;
use crate::spread::Spread;
use crate::table::Row;
use crate::workspace::{cores, model};
use anyhow::ensure;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use std::collections::HashSet;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tripos::engine::llama::{KvStorage, Llama, LlamaSettings};
use tripos::engine::{Ask, Engine, KvMode, Request, Token};
use tripos::sampling::Sampling;

const ROUNDS: usize = 5;
const CONTEXT: u32 = 1024;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let engine = open()?;
    Ok([few_shot(&engine)?, mostly_shared(&engine)?, choices(&engine)?, likelihood(&engine)?].concat())
}

pub(crate) fn open() -> anyhow::Result<Llama> {
    let settings = LlamaSettings {
        context: Some(CONTEXT),
        threads: cores(),
        gpu_layers: None,
        kv_type: KvStorage::F16,
        kv: KvMode::Tree,
        parallel: 8,
        adapter: None,
    };
    Llama::open(&model(), settings, (None, "bench"), None).map_err(|problems| anyhow::anyhow!("{problems}"))
}

/// Four examples before each of 200 questions, four tokens of answer.
fn few_shot(engine: &Llama) -> anyhow::Result<Vec<Row>> {
    let examples: String = [(12, 30), (41, 17), (27, 36), (58, 29)]
        .iter()
        .map(|(a, b)| format!("Q: What is {a} + {b}?\nA: {}\n\n", a + b))
        .collect();
    let prompt = |n: usize| format!("{examples}Q: What is {} + {}?\nA:", 10 + n % 89, 10 + (n * 7) % 83);
    let requests: Vec<Request> = (0..200).map(|n| generate(engine, n, &prompt(n))).collect();
    both_ways(engine, &requests, "4-shot, 200 cases", None)
}

/// Prompts of 400 tokens of which 360 are shared.
fn mostly_shared(engine: &Llama) -> anyhow::Result<Vec<Row>> {
    let tokens = |seed: u32, count: u32| (0..count).map(move |n| 10 + (seed * 7919 + n * 104_729) % 480);
    let request = |n: u32| {
        let prompt: Vec<Token> = tokens(0, 360).chain(tokens(n + 1, 40)).collect();
        asked(n as usize, prompt)
    };
    both_ways(engine, &(0..60).map(request).collect::<Vec<_>>(), "nine tenths shared, 60 cases", Some(4.0))
}

fn generate(engine: &Llama, id: usize, prompt: &str) -> Request {
    asked(id, engine.tokenize(prompt, &[]))
}

fn asked(id: usize, tokens: Vec<Token>) -> Request {
    Request { id, tokens, ask: Ask::Generate { sampling: Sampling { max_tokens: 4, ..Sampling::default() }, seed: 0 } }
}

/// Tokens decoded against the tree's size, and time against one at a time.
fn both_ways(engine: &Llama, requests: &[Request], what: &str, least: Option<f64>) -> anyhow::Result<Vec<Row>> {
    let (decoded, size) = (decoded(engine, requests)?, tree_size(requests));
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        together
            .push(seconds(|| engine.answer(requests.to_vec(), &mut |_, _| (), &AtomicBool::new(false)).map(|_| ()))?);
        alone.push(seconds(|| {
            engine.answer_alone(requests.to_vec(), &mut |_, _| (), &AtomicBool::new(false)).map(|_| ())
        })?);
    }
    let gain = Spread::of(alone.iter().zip(&together).map(|(alone, together)| alone / together));
    let (ours, peer) = (Spread::of(together), Spread::of(alone));
    let show = |s: f64| format!("{s:.2}");
    let bound = least.map_or_else(String::new, |least| format!(" ≥ {least}"));
    Ok(vec![
        tokens_row(&format!("{what}, prompt tokens decoded"), decoded, size, 1.02),
        Row::ratio(
            &format!("{what}, s"),
            ours.show(show),
            format!("{} one at a time", peer.show(show)),
            format!("{}{bound}", gain.show(|gain| format!("{gain:.1} ×"))),
            least.is_none_or(|least| gain.median() >= least),
        ),
    ])
}

fn tokens_row(what: &str, decoded: usize, least: usize, most: f64) -> Row {
    let ratio = decoded as f64 / least as f64;
    Row::ratio(what, decoded.to_string(), format!("{least} at least"), format!("{ratio:.3} ≤ {most}"), ratio <= most)
}

/// Four candidates behind 500 tokens, each with and without them.
fn choices(engine: &Llama) -> anyhow::Result<Vec<Row>> {
    let mut requests = Vec::new();
    let mut least = 0;
    for case in 0..20_u32 {
        let tokens: Vec<Token> = (0..500).map(|n| 10 + (case * 6007 + n * 104_729) % 480).collect();
        let candidates: Vec<Vec<Token>> =
            (0..4).map(|c| (0..4).map(|n| 20 + (c * 97 + n * 31 + case) % 400).collect()).collect();
        least += tokens.len() + candidates.iter().map(Vec::len).sum::<usize>();
        for start in [tokens, engine.start().into_iter().collect()] {
            let ask = Ask::Likelihood { continuations: candidates.clone() };
            requests.push(Request { id: requests.len(), tokens: start, ask });
        }
    }
    let decoded = decoded(engine, &requests)?;
    Ok(vec![tokens_row("choice, 4 candidates of 500 shared tokens, tokens decoded", decoded, least, 1.1)])
}

/// Every token of texts of 512 tokens, beside a loop that decodes the same tokens in the same batches, has their logits
/// computed, too, and looks at none of them; and one that wants the last logits only.
fn likelihood(engine: &Llama) -> anyhow::Result<Vec<Row>> {
    const LENGTH: u32 = 512;
    let texts: Vec<Vec<Token>> =
        (0..40_u32).map(|text| (0..LENGTH).map(|n| 10 + (text * 7919 + n * 104_729 + n / 7) % 480).collect()).collect();
    let requests: Vec<Request> = texts
        .iter()
        .enumerate()
        .map(|(id, text)| {
            let ask = Ask::Likelihood { continuations: vec![text[1..].to_vec()] };
            Request { id, tokens: text[..1].to_vec(), ask }
        })
        .collect();
    let backend = ManuallyDrop::new(LlamaBackend {});
    let weights = LlamaModel::load_from_file(&backend, model(), &LlamaModelParams::default())?;
    let rate = |took: f64| texts.len() as f64 * f64::from(LENGTH) / took;
    let (mut ours, mut peer, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let answer = || engine.answer(requests.clone(), &mut |_, _| (), &AtomicBool::new(false)).map(|_| ());
        ours.push(rate(seconds(answer)?));
        peer.push(rate(seconds(|| read(&backend, &weights, &texts, true))?));
        last.push(rate(seconds(|| read(&backend, &weights, &texts, false))?));
    }
    let ratio = Spread::of(ours.iter().zip(&peer).map(|(ours, peer)| ours / peer));
    let beside = Spread::of(ours.iter().zip(&last).map(|(ours, last)| ours / last));
    let whole = |rate: f64| format!("{rate:.0}");
    let of = |ratio: f64| format!("{ratio:.3}");
    Ok(vec![
        Row::ratio(
            "likelihood of each token, tokens/s",
            Spread::of(ours).show(whole),
            format!("{} bare loop, the same logits", Spread::of(peer).show(whole)),
            format!("{} ≥ 0.95", ratio.show(of)),
            ratio.median() >= 0.95,
        ),
        Row::beside("  beside a loop for the last logits only, ratio", beside.show(of)),
    ])
}

/// llama.cpp reads each text in one batch, for the logits behind each token or behind the last.
pub(crate) fn read(backend: &LlamaBackend, model: &LlamaModel, texts: &[Vec<Token>], all: bool) -> anyhow::Result<()> {
    let threads = i32::try_from(cores())?;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(CONTEXT * 8))
        .with_n_seq_max(1)
        .with_n_batch(512)
        .with_n_ubatch(512)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let mut context = model.new_context(backend, params)?;
    let mut batch = LlamaBatch::new(512, 1);
    for text in texts {
        batch.clear();
        let tokens: Vec<LlamaToken> = text.iter().map(|token| LlamaToken(token.cast_signed())).collect();
        batch.add_sequence(&tokens, 0, all)?;
        context.decode(&mut batch)?;
        context.synchronize();
        context.clear_kv_cache_seq(Some(0), None, None)?;
    }
    Ok(())
}

pub(crate) fn decoded(engine: &Llama, requests: &[Request]) -> anyhow::Result<usize> {
    let mut answered = 0;
    let effort = engine.answer(requests.to_vec(), &mut |_, _| answered += 1, &AtomicBool::new(false))?;
    ensure!(answered == requests.len(), "{answered} of {} requests were answered", requests.len());
    Ok(effort.tokens_decoded)
}

/// One token for each different beginning of a prompt.
fn tree_size(requests: &[Request]) -> usize {
    let beginnings = requests.iter().flat_map(|request| (1..=request.tokens.len()).map(|end| &request.tokens[..end]));
    beginnings.collect::<HashSet<&[Token]>>().len()
}

pub(crate) fn seconds<E: Into<anyhow::Error>>(work: impl FnOnce() -> Result<(), E>) -> anyhow::Result<f64> {
    quiet::wait();
    let began = Instant::now();
    work().map_err(Into::into)?;
    Ok(began.elapsed().as_secs_f64())
}
