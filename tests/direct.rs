//! A model asked directly: `lm natural`, `lm next`, `lm rank` and `tokens`. Their numbers are those that a run records, and those
//! that the engine tells when each token is asked for by itself.

use crate::likelihoods::logprobs;
use crate::models::random_adapter;
use crate::tiny_models::settings;
use crate::workspace::{Workspace, model, root, samples_of};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tripos::engine::Engine;
use tripos::engine::llama::Llama;

/// The bundled reward model, a whole model.
fn reward() -> PathBuf {
    root().join("models/tripos-tiny-reward.gguf")
}

/// The document that a command prints.
fn json(workspace: &Workspace, arguments: &[&str]) -> Value {
    let model = model().display().to_string();
    let own = ["--model", &model, "--format", "json", "--threads", "1"];
    let document: Value = serde_json::from_str(&workspace.ok(&[arguments, &own].concat()).stdout).unwrap();
    assert_eq!(document["schema"], 1);
    document
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn tokens_of(pieces: &Value) -> Vec<u32> {
    pieces.as_array().unwrap().iter().map(|piece| u32::try_from(piece["id"].as_u64().unwrap()).unwrap()).collect()
}

const SENTENCE: &str = "Q: What is 47 + 38?\nA: 85";

#[test]
fn natural_tells_what_each_token_costs_and_a_run_records_the_same() {
    let workspace = Workspace::new();
    let found = json(&workspace, &["lm", "natural", SENTENCE, "Capital the not is of."]);
    let [one, other] = found["texts"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((&one["rank"], &other["rank"]), (&1.into(), &2.into()));
    // The engine by itself, behind BOS, with other roundings of keys and values.
    let ids = tokens_of(&one["pieces"]);
    let told = logprobs(&model(), None, &[&[0], &ids[..]].concat());
    for (piece, wanted) in one["pieces"].as_array().unwrap().iter().zip(&told) {
        assert!((number(&piece["logprob"]) - f64::from(*wanted)).abs() < 0.02, "{piece} {wanted}");
    }
    let sum: f64 = told.iter().map(|logprob| f64::from(*logprob)).sum();
    assert!((number(&one["logprob"]) - sum).abs() < 0.1, "{one} {sum}");
    // By their definitions.
    let (logprob, tokens, bytes) = (number(&one["logprob"]), ids.len() as f64, SENTENCE.len() as f64);
    assert!((number(&one["perplexity"]) - (-logprob / tokens).exp()).abs() < 1e-9);
    assert!((number(&one["bits_per_byte"]) + logprob / std::f64::consts::LN_2 / bytes).abs() < 1e-9);
    // A run on the same text.
    workspace.write("book.txt", SENTENCE);
    let suite =
        "suite: book\nmodel: MODEL\ncases: {text: book.txt}\nscorers: [perplexity]\nvariants: [{name: plain}]\n";
    workspace.write("suite.yaml", suite.replace("MODEL", &model().display().to_string()));
    workspace.ok(&["run", "suite.yaml", "--no-cache"]);
    let sample = &samples_of(&workspace.run_folder())[0];
    let recorded = &sample["likelihood"][0];
    assert!((number(&recorded["logprob"]) - logprob).abs() < 1e-4, "{recorded} {one}");
    assert_eq!((&recorded["tokens"], &recorded["bytes"]), (&one["tokens"], &one["bytes"]));
    assert!((number(&sample["scores"][0]["value"]) - number(&one["perplexity"])).abs() < 1e-4, "{sample}");
}

#[test]
fn natural_reads_the_lines_of_files_and_texts_longer_than_the_context() {
    let workspace = Workspace::new();
    let long = "Q: What is 47 + 38? A: 85. ".repeat(20);
    // With the mark that editors of Windows put before a text.
    workspace.write("lines.txt", format!("\u{feff}It is 85.\n\n{long}\n"));
    let found = json(&workspace, &["lm", "natural", "lines.txt", "One more.", "--context", "64"]);
    let texts: Vec<&str> = found["texts"].as_array().unwrap().iter().map(|of| of["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["It is 85.", &long, "One more."]);
    let of = &found["texts"][1];
    assert_eq!(of["pieces"].as_array().unwrap().len() as u64, of["tokens"].as_u64().unwrap());
    assert!(of["tokens"].as_u64().unwrap() > 128, "more than two contexts");
    assert_eq!(of["bytes"], long.len());
    let sum: f64 = of["pieces"].as_array().unwrap().iter().map(|piece| number(&piece["logprob"])).sum();
    assert!((sum - number(&of["logprob"])).abs() < 1e-6);
    let again = json(&workspace, &["lm", "natural", "lines.txt", "--text"]);
    assert_eq!(again["texts"][0]["text"], "lines.txt");
}

const QUESTION: &str = "Q: What is 47 + 38?\nA:";

#[test]
fn next_tells_probabilities_that_are_those_of_each_token_asked_for_by_itself() {
    let workspace = Workspace::new();
    let found = json(&workspace, &["lm", "next", QUESTION, "-k", "5"]);
    let next = found["next"].as_array().unwrap();
    assert_eq!(next.len(), 5);
    // contract.md, section 5.
    let keys: Vec<&str> = next[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["id", "token", "text", "probability"]);
    let context = tokens_of(&json_tokens(&workspace, QUESTION)["texts"][0]["pieces"]);
    let mut before = 1.0;
    for one in next {
        let id = u32::try_from(one["id"].as_u64().unwrap()).unwrap();
        let wanted = logprobs(&model(), None, &[&context[..], &[id]].concat()).pop().unwrap();
        let probability = number(&one["probability"]);
        assert!((probability - f64::from(wanted).exp()).abs() < 0.01, "{one} {wanted}");
        assert!(probability <= before, "the likeliest first");
        assert!(one["text"].as_str().unwrap().starts_with(one["token"].as_str().unwrap()), "{one}");
        before = probability;
    }
    assert!(next.iter().map(|one| number(&one["probability"])).sum::<f64>() <= 1.0 + 1e-6);
    // To the end of the word: as a completion goes on.
    let two = json(&workspace, &["lm", "next", "The capital of France is", "-k", "1"]);
    assert_eq!((&two["next"][0]["token"], &two["next"][0]["text"]), (&" P".into(), &" Paris".into()));
}

fn json_tokens(workspace: &Workspace, text: &str) -> Value {
    let model = model().display().to_string();
    serde_json::from_str(&workspace.ok(&["tokens", &model, "--text", text, "--format", "json"]).stdout).unwrap()
}

#[test]
fn what_ends_an_answer_is_among_the_next_tokens() {
    let workspace = Workspace::new();
    let chat = "<|im_start|>user\nWhat is 47 + 38?<|im_end|>\n<|im_start|>assistant\nThe answer is 85.";
    let found = json(&workspace, &["lm", "next", chat, "-k", "3"]);
    assert_eq!((&found["next"][0]["token"], &found["next"][0]["text"]), (&"<|im_end|>".into(), &"<|im_end|>".into()));
    assert!(number(&found["next"][0]["probability"]) > 0.5, "{found}");
    // Also where the file does not call it a control token: llama.cpp knows it by its spelling.
    let mut bytes = std::fs::read(model()).unwrap();
    let types = types_of_tokens(&bytes);
    for kind in bytes[types].chunks_exact_mut(4).filter(|kind| **kind == CONTROL) {
        kind.copy_from_slice(&USER_DEFINED);
    }
    workspace.write("retyped.gguf", &bytes);
    let retyped = workspace.ok(&["lm", "next", chat, "-k", "3", "--model", "retyped.gguf", "--format", "json"]).stdout;
    let retyped: Value = serde_json::from_str(&retyped).unwrap();
    assert_eq!(retyped["next"], found["next"]);
}

/// What text must never turn into: control tokens and unknown ones. User-defined tokens are ordinary text with a token of
/// their own, but for those that llama.cpp knows to end an answer.
#[test]
fn control_tokens_are_those_of_the_vocabulary_whatever_the_file_calls_the_ends() {
    let workspace = Workspace::new();
    let controls = |path: &Path| {
        let engine = Llama::open(path, settings(), (None, "test"), None).unwrap();
        engine.facts().controls.clone()
    };
    assert_eq!(controls(&model()), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
    let mut bytes = std::fs::read(model()).unwrap();
    let types = types_of_tokens(&bytes);
    // The first three are those; behind them come plain tokens.
    for (kind, other) in bytes[types].chunks_exact_mut(4).zip([USER_DEFINED, USER_DEFINED, USER_DEFINED, UNKNOWN]) {
        kind.copy_from_slice(&other);
    }
    workspace.write("retyped.gguf", &bytes);
    let retyped = controls(&workspace.path().join("retyped.gguf"));
    assert_eq!(retyped.len(), 3, "{retyped:?}");
    assert!(!retyped.iter().any(|token| token == "<|im_start|>"), "{retyped:?}");
    assert_eq!(retyped[..2], ["<|endoftext|>", "<|im_end|>"]);
}

/// Types of tokens, as a GGUF writes them.
const UNKNOWN: [u8; 4] = 2_i32.to_le_bytes();
const CONTROL: [u8; 4] = 3_i32.to_le_bytes();
const USER_DEFINED: [u8; 4] = 4_i32.to_le_bytes();

/// Where a GGUF lists the types of its tokens: behind the key come the types of an array and of its items, and its length.
fn types_of_tokens(bytes: &[u8]) -> std::ops::Range<usize> {
    let key = b"tokenizer.ggml.token_type";
    let length = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 8;
    let begin = length + 8;
    begin..begin + 4 * usize::try_from(u64::from_le_bytes(bytes[length..begin].try_into().unwrap())).unwrap()
}

const CANDIDATES: [&str; 3] = ["85", "75", "eighty-five"];

#[test]
fn rank_tells_what_the_scorer_choice_compares() {
    let workspace = Workspace::new();
    let arguments = [&["lm", "rank", QUESTION, "--candidates"], &CANDIDATES[..]].concat();
    let found = json(&workspace, &arguments);
    assert_eq!(found["by"], "likelihood");
    workspace.write("qa.txt", "Q: {{ question }}\nA:");
    let suite = "suite: pick\nmodel: MODEL\ncases:\n  - {id: one, vars: {question: 'What is 47 + 38?', choices: ['85', '75', eighty-five]}, \
                 target: '85'}\nscorers: [choice]\nvariants: [{name: plain, prompt: qa.txt}]\n";
    workspace.write("suite.yaml", suite.replace("MODEL", &model().display().to_string()));
    workspace.ok(&["run", "suite.yaml", "--no-cache"]);
    let recorded = &samples_of(&workspace.run_folder())[0]["likelihood"];
    let mut sums = Vec::new();
    for (at, candidate) in CANDIDATES.iter().enumerate() {
        let (one, wanted) = (&found["candidates"][at], &recorded[at]);
        assert_eq!((&one["candidate"], &wanted["text"]), (&(*candidate).into(), &format!(" {candidate}").into()));
        for key in ["logprob", "unconditional"] {
            assert!((number(&one[key]) - number(&wanted[key])).abs() < 1e-4, "{key}: {one} {wanted}");
        }
        let (sum, bare) = (number(&one["logprob"]), number(&one["unconditional"]));
        assert!((number(&one["per_byte"]) - sum / candidate.len() as f64).abs() < 1e-9);
        assert!((number(&one["mutual_information"]) - (sum - bare)).abs() < 1e-9);
        sums.push(sum);
    }
    let total: f64 = sums.iter().map(|sum| sum.exp()).sum();
    for (at, sum) in sums.iter().enumerate() {
        assert!((number(&found["candidates"][at]["share"]) - sum.exp() / total).abs() < 1e-9);
        let better = sums.iter().filter(|other| *other > sum).count();
        assert_eq!(found["candidates"][at]["rank"], better + 1);
    }
    // A long candidate is worse for being long, unless it is judged by the byte.
    let by_byte = json(&workspace, &[&arguments[..], &["--by", "per-byte"]].concat());
    assert_eq!(by_byte["by"], "per_byte");
    let best = |found: &Value, by: &str| {
        let all = found["candidates"].as_array().unwrap().clone();
        let first = all.iter().find(|one| one["rank"] == 1).unwrap().clone();
        assert!(all.iter().all(|one| number(&one[by]) <= number(&first[by])), "{found}");
    };
    best(&by_byte, "per_byte");
    best(&json(&workspace, &[&arguments[..], &["--by", "mutual-information"]].concat()), "mutual_information");
}

#[test]
fn rank_by_a_reward_model_tells_the_rewards_that_judge_tells() {
    let workspace = Workspace::new();
    let reward = reward().display().to_string();
    let question = "What is 47 + 38?";
    let by = ["--by", "reward", "--reward", &reward];
    let found = json(&workspace, &[&["lm", "rank", question, "--candidates", "86", "85", "Red."], &by[..]].concat());
    let judge = ["judge", "--reward", &reward, "--prompt", question, "--format", "json"];
    let said = ["--completion", "86", "--completion", "85", "--completion", "Red."];
    let judged: Value = serde_json::from_str(&workspace.ok(&[&judge[..], &said].concat()).stdout).unwrap();
    for at in 0..3 {
        let (one, other) = (&found["candidates"][at]["reward"], &judged["items"][at]["reward"]);
        assert!((number(one) - number(other)).abs() < 1e-3, "{found} {judged}");
    }
    assert_eq!(found["candidates"][1]["rank"], 1, "{found}");
}

#[test]
fn an_adapter_changes_what_is_likely_and_belongs_on_its_base() {
    let workspace = Workspace::new();
    let path = workspace.path().join("adapter.gguf");
    random_adapter(&model(), &path);
    let adapter = path.to_str().unwrap();
    let found = json(&workspace, &["lm", "natural", SENTENCE, "--adapter", adapter]);
    let tokens = [&[0], &tokens_of(&found["texts"][0]["pieces"])[..]].concat();
    let sum = |adapter| logprobs(&model(), adapter, &tokens).iter().map(|logprob| f64::from(*logprob)).sum::<f64>();
    let said = number(&found["texts"][0]["logprob"]);
    let (with, without) = (sum(Some(path.as_path())), sum(None));
    // The program keeps keys and values in fewer bits.
    assert!((said - with).abs() < (said - without).abs() / 2.0, "{said}: {with} with the adapter, {without} without");
    // On another base it is refused, whoever asks.
    let base = root().join("models/tripos-tiny-base.gguf").display().to_string();
    let next = workspace.tripos(&["lm", "next", "Hello", "--model", &base, "--adapter", adapter]);
    let chat = crate::chatting::piped(&workspace, &["chat", &base, "--adapter", adapter], "Hello");
    for said in [next, chat] {
        assert_eq!(said.code, Some(2));
        assert!(said.stderr.contains("this adapter was trained on tripos-tiny.gguf"), "{}", said.stderr);
    }
}

#[test]
fn tokens_are_those_of_a_run_and_their_bytes_are_the_texts() {
    let workspace = Workspace::new();
    let text = "What is 47 + 38? 你好 <|im_end|>";
    let found = json_tokens(&workspace, text);
    let of = &found["texts"][0];
    let pieces = of["pieces"].as_array().unwrap();
    let bytes = pieces.iter().flat_map(|piece| piece["bytes"].as_array().unwrap());
    let bytes: Vec<u8> = bytes.map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), text);
    assert_eq!((&of["begins"], &of["characters"], &of["bytes"]), (&1.into(), &30.into(), &34.into()));
    assert_eq!(of["tokens"].as_u64().unwrap() + 1, pieces.len() as u64);
    workspace.write("p.txt", "{{ q }}");
    let suite = "suite: s\nmodel: MODEL\nsampling: {max_tokens: 1}\ncases: [{vars: {q: 'TEXT'}, target: x}]\nscorers: [exact]\n\
                 variants: [{name: plain, prompt: p.txt}]\n";
    workspace.write("suite.yaml", suite.replace("MODEL", &model().display().to_string()).replace("TEXT", text));
    workspace.ok(&["run", "suite.yaml", "--no-cache"]);
    let recorded = &samples_of(&workspace.run_folder())[0]["prompt"]["tokens"];
    assert_eq!(recorded, &Value::from(tokens_of(&of["pieces"])));
    // Meant as a control token it is one.
    let model = model().display().to_string();
    let meant = workspace.ok(&["tokens", &model, "--text", text, "--control", "--format", "json"]).stdout;
    let meant: Value = serde_json::from_str(&meant).unwrap();
    assert_eq!(meant["texts"][0]["pieces"].as_array().unwrap().last().unwrap()["token"], "<|im_end|>");
}

#[test]
fn chinese_costs_more_tokens_and_half_characters_are_shown_as_bytes() {
    let workspace = Workspace::new();
    let model = model().display().to_string();
    let base = root().join("models/tripos-tiny-base.gguf").display().to_string();
    // A character that is in none of its texts: each byte is a token, or a few are, and none is a character.
    let rare = workspace.ok(&["tokens", &model, "The answer is 饕."]).stdout;
    assert!(rare.starts_with("<|endoftext|>│") && rare.contains("\\xE9"), "{rare}");
    assert!(rare.contains(" tokens for 16 characters in 18 bytes: "), "{rare}");
    assert!(rare.ends_with("(not counted: the token that begins every text)\n"), "{rare}");
    let both = workspace.ok(&["tokens", &model, "The answer is right.", "答案是对的。", "--format", "json"]).stdout;
    let both: Value = serde_json::from_str(&both).unwrap();
    let per_token = |at: usize| number(&both["texts"][at]["characters_per_token"]);
    assert!(per_token(0) > per_token(1), "{both}");
    let shown = workspace.ok(&["tokens", &model, "The answer is right.", "答案是对的。"]).stdout;
    assert!(shown.contains("text 1") && shown.contains("text 2") && shown.contains("characters/token"), "{shown}");
    assert!(shown.lines().take(4).all(|line| line.chars().count() <= 80), "{shown}");
    let against = workspace.ok(&["tokens", &model, "The answer is right.", "--against", &base]).stdout;
    assert!(against.contains("tripos-tiny     ") && against.contains("tripos-tiny-base"), "{against}");
}

#[test]
fn the_three_uses_are_read_at_80_columns() {
    let workspace = Workspace::new();
    let model = model().display().to_string();
    let said = |arguments: &[&str]| {
        let said = workspace.ok(&[&["lm"], arguments, &["--model", &model]].concat()).stdout;
        assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
        assert!(!said.contains('\x1b'), "{said:?}");
        said
    };
    let natural = said(&["natural", "Q: What is 47 + 38?", "Q: 38 47 is + What?"]);
    let ranks: Vec<&str> = natural.lines().skip(2).take(2).map(str::trim_start).collect();
    assert!(ranks[0].starts_with("1 ") && ranks[1].starts_with("2 "), "{natural}");
    assert!(natural.contains("1: bits of each token"), "{natural}");
    let next = said(&["next", QUESTION, "-k", "3"]);
    assert!(next.lines().next().unwrap().contains("to the end of the word") && next.contains('█'), "{next}");
    assert_eq!(next.lines().count(), 5);
    let rank = said(&["rank", QUESTION, "--candidates", "85", "apples"]);
    assert!(rank.contains("log p ↓") && rank.lines().nth(2).unwrap().contains("85"), "{rank}");
}

/// What a command says that refuses.
fn refused(workspace: &Workspace, arguments: &[&str]) -> String {
    let said = workspace.tripos(arguments);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    said.stderr
}

#[test]
fn a_text_that_cannot_be_asked_says_why_and_how_to_mend_it() {
    let workspace = Workspace::new();
    let model = model().display().to_string();
    workspace.write("latin.txt", b"caf\xe9\n");
    let lm = |arguments: &[&str]| refused(&workspace, &[&["lm"], arguments, &["--model", &model]].concat());
    insta::assert_snapshot!(lm(&["next", ""]), @r"
    error: the text is empty
      help: give at least one character
    ");
    insta::assert_snapshot!(lm(&["natural", "", "x"]), @r"
    error: text 1 is empty
      help: give at least one character
    ");
    insta::assert_snapshot!(lm(&["natural", "nowhere.txt", "latin.txt"]), @r"
    error: there is no such file
      --> nowhere.txt
      help: check the name; if it is meant as a text and no file, give --text
    error: the file is no UTF-8 text: byte 3 cannot be read
      --> latin.txt:1
      help: convert it to UTF-8 (iconv -f latin1 -t utf-8)
    ");
    insta::assert_snapshot!(lm(&["rank", "Q:", "--candidates", "one"]), @r"
    error: 1 candidate cannot be ranked
      help: give two or more: --candidates A B
    ");
    insta::assert_snapshot!(lm(&["rank", "", "--candidates", "one", "", "one"]), @r"
    error: the text is empty
      help: give at least one character
    error: candidate 2 is empty
      help: give at least one character
    error: the candidate `one` is given twice
      help: leave one of them out
    ");
    insta::assert_snapshot!(refused(&workspace, &["tokens", &model, ""]), @r"
    error: the text is empty
      help: give at least one character
    ");
}

#[test]
fn a_model_that_cannot_be_asked_and_a_text_too_long_say_why_and_how_to_mend_it() {
    let workspace = Workspace::scripted();
    let model = model().display().to_string();
    let long = "one ".repeat(600);
    workspace.write("text.gguf", "This is text.");
    let of = |arguments: &[&str]| refused(&workspace, arguments);
    let lm = |arguments: &[&str]| of(&[&["lm"], arguments, &["--model", &model]].concat());
    insta::assert_snapshot!(of(&["lm", "next", "x", "--model", "model.yaml"]), @r"
    error: this model does not say how likely its tokens are
      --> model.yaml
      help: name a GGUF model
    ");
    for (said, wanted) in [
        (lm(&["next", &long]), "error: the text does not fit: "),
        (lm(&["next", &long]), " + 1 of the model's > 512 context tokens ("),
        (lm(&["next", &long]), "  help: shorten it by "),
        (lm(&["rank", &long, "--candidates", "one", "two"]), " of a candidate > 512 context tokens ("),
        (lm(&["rank", "Q:", "--candidates", "one", "two", "--by", "reward"]), "--reward <FILE>"),
        (of(&["lm", "next", "x", "--model", "text.gguf"]), "not a GGUF"),
        (of(&["lm", "next", "x", "--model", "nowhere.gguf"]), "there is no such model file"),
        (of(&["tokens", "text.gguf", "x"]), "not a GGUF"),
    ] {
        assert!(said.contains(wanted), "{wanted:?} is not in\n{said}");
    }
}
