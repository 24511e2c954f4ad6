//! A vocabulary learned from texts is the one that Python's `tokenizers` learns, and llama.cpp cuts texts by it alike.

use crate::tiny_models::settings;
use serde_json::Value;
use tripos::engine::Engine;
use tripos::engine::llama::Llama;
use tripos::gguf::{Gguf, Metadata};
use tripos::train::pretrain::{Architecture, ArchitectureEntry, Initial, Tokens, Vocabulary, VocabularyFault};

/// Made by tests/fixtures/vocabulary/make.py.
fn goldens() -> Value {
    serde_json::from_str(include_str!("fixtures/vocabulary/goldens.json")).unwrap()
}

fn texts_of(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The same texts as in make.py.
fn corpus() -> Vec<String> {
    let names = ["Anna", "Ben", "Clara", "David", "Élise"];
    let mut texts = Vec::new();
    for a in 10..60 {
        for b in (1..10).step_by(2) {
            let (sum, name) = (a + b, names[a % 5]);
            texts.push(format!("Q: What is {a} + {b}?\nA: Let's add the ones. The answer is {sum}.\n"));
            texts.push(format!(
                "{name} has {a} apples, and finds {b} more.  How many apples are that?\n\n\t{sum} apples, isn't it?"
            ));
            texts.push(format!("问:{a}加{b}等于多少?\n答:{sum}"));
        }
    }
    texts
}

fn control() -> Vec<String> {
    ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned).to_vec()
}

fn learn(size: usize) -> Result<Vocabulary, VocabularyFault> {
    let corpus = corpus();
    Vocabulary::learn(corpus.iter().map(String::as_str), size, &control())
}

#[test]
fn it_is_the_vocabulary_that_pythons_tokenizers_learns() {
    let goldens = goldens();
    let vocabulary = learn(340).unwrap();
    let mut metadata = Metadata::default();
    vocabulary.put(&mut metadata);
    assert_eq!(metadata.texts("tokenizer.ggml.tokens").unwrap(), texts_of(&goldens["tokens"]));
    assert_eq!(metadata.texts("tokenizer.ggml.merges").unwrap(), texts_of(&goldens["merges"]));
    assert_eq!(metadata.i32s("tokenizer.ggml.token_type").unwrap()[..4], [3, 3, 3, 1]);
    assert_eq!((metadata.u64("tokenizer.ggml.eot_token_id"), vocabulary.len()), (Some(2), 340));
}

#[test]
fn llama_cpp_cuts_texts_by_it_as_python_does() {
    let (vocabulary, folder) = (learn(340).unwrap(), tempfile::tempdir().unwrap());
    let architecture = Architecture::of(1, &ArchitectureEntry::default());
    let path = folder.path().join("initial.gguf");
    let initial = Initial {
        name: "nothing yet",
        licence: Some("apache-2.0"),
        architecture: &architecture,
        tokens: Tokens::Learned(&vocabulary),
        seed: 1,
    };
    initial.write(&path).unwrap();
    let engine = Llama::open(&path, settings(), (None, "test"), None).unwrap();
    for golden in goldens()["texts"].as_array().unwrap() {
        let text = golden["text"].as_str().unwrap();
        let ids: Vec<u32> =
            golden["ids"].as_array().unwrap().iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect();
        // BOS is put before each text.
        assert_eq!(engine.tokenize(text, &[]), [&[0], &ids[..]].concat(), "{text:?}");
    }
    assert!(engine.is_end(0) && engine.is_end(2) && !engine.is_end(1));
    // The same once more, byte for byte; another seed has other numbers; another model may lend its tokens.
    let again = folder.path().join("again.gguf");
    initial.write(&again).unwrap();
    assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap());
    Initial { seed: 2, ..initial }.write(&again).unwrap();
    assert!(std::fs::read(&path).unwrap() != std::fs::read(&again).unwrap());
    let lender = Gguf::open(&path).unwrap();
    Initial { tokens: Tokens::Of(&lender), ..initial }.write(&again).unwrap();
    assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap());
}

#[test]
fn what_cannot_be_learned_is_said() {
    insta::assert_snapshot!(learn(258).unwrap_err(), @"a vocabulary of 258 tokens has no room for 256 bytes and 3 control tokens");
    insta::assert_snapshot!(learn(5_000).unwrap_err(), @"the texts give 351 tokens, and 5000 are asked for");
    assert_eq!(learn(259).unwrap().len(), 259);
}
