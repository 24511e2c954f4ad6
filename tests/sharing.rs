//! What requests share is decoded once, and the answers stay those of one request at a time: with attention, with
//! states, and with both (tiny_models.rs).

use crate::tiny_models::{Kind, settings, write};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tripos::engine::llama::{Llama, LlamaSettings};
use tripos::engine::{Answer, Ask, Effort, Engine, KvMode, Request};
use tripos::sampling::Sampling;

/// A text of so many tokens; another number makes another text.
fn text(number: u32, length: u32) -> Vec<u32> {
    (0..length).map(|i| 2 + (number * 101 + i * 37 + i * i * 5) % 298).collect()
}

/// BOS and 40 tokens for all, 12 for each pair, 5 of each one's own; a pair asks for likelihoods and for greedy words.
/// The last pair asks the same of the very same tokens.
fn requests(shared: &[u32]) -> Vec<Request> {
    let request = |id: usize| {
        let (pair, own) = (u32::try_from(id / 2).unwrap(), u32::try_from(id.min(6)).unwrap());
        let ask = if id.is_multiple_of(2) {
            // The second begins like the first, the third is one token.
            Ask::Likelihood { continuations: vec![text(7, 6), [text(7, 3), text(8, 4)].concat(), text(9, 1)] }
        } else {
            Ask::Generate { sampling: Sampling { max_tokens: 12, ..Sampling::default() }, seed: 1 }
        };
        Request { id, tokens: [&[0], shared, &text(20 + pair, 12), &text(40 + own, 5)].concat(), ask }
    };
    (0..8).map(request).collect()
}

/// The answers in the order of the requests.
fn answers(model: &Path, (kv, parallel): (KvMode, usize), shared: &[u32]) -> (Vec<Answer>, Effort) {
    let settings = LlamaSettings { context: Some(72), parallel, kv, ..settings() };
    let engine = Llama::open(model, settings, (None, "test"), None).unwrap();
    let mut answers = Vec::new();
    let mut done = |id: usize, answer| answers.push((id, answer));
    let effort = engine.answer(requests(shared), &mut done, &AtomicBool::new(false)).unwrap();
    answers.sort_by_key(|(id, _)| *id);
    (answers.into_iter().map(|(_, answer)| answer).collect(), effort)
}

/// The largest difference of two log-probabilities, and how many of the greedy texts differ.
fn differences(one: &[Answer], other: &[Answer]) -> (f32, usize) {
    assert_eq!((one.len(), other.len()), (8, 8));
    let (mut worst, mut texts) = (0.0_f32, 0);
    for pair in one.iter().zip(other) {
        match pair {
            (Answer::Likelihood(one), Answer::Likelihood(other)) => {
                let lengths = |all: &[Vec<f32>]| all.iter().map(Vec::len).collect::<Vec<_>>();
                assert_eq!((lengths(&one.logprobs), lengths(&other.logprobs)), (vec![6, 7, 1], vec![6, 7, 1]));
                let pairs = one.logprobs.iter().flatten().zip(other.logprobs.iter().flatten());
                worst = pairs.map(|(one, other)| (one - other).abs()).fold(worst, f32::max);
            }
            (Answer::Completion(one), Answer::Completion(other)) => texts += usize::from(one.tokens != other.tokens),
            pair => panic!("{pair:?}"),
        }
    }
    (worst, texts)
}

#[test]
fn tree_answers_as_exact_does_whatever_keeps_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    for kind in Kind::ALL {
        write(kind, &path);
        let shared = text(1, 40);
        let (exact, exact_effort) = answers(&path, (KvMode::Exact, 1), &shared);
        // With room for all, and with room for one request at a time.
        for parallel in [8, 1] {
            let (tree, effort) = answers(&path, (KvMode::Tree, parallel), &shared);
            let (worst, texts) = differences(&tree, &exact);
            // Batches round differently; nothing else may.
            assert!(worst <= 1e-4 && texts == 0, "{kind:?}, {parallel} at a time: {worst}, {texts} texts");
            assert!(2 * effort.tokens_decoded < exact_effort.tokens_decoded, "{kind:?}: {effort:?} {exact_effort:?}");
        }
    }
}

/// The twin: one token of the shared beginning is another, 26 tokens before the first answer. A past that was lost or
/// mixed up on its way to a branch would show at least as much.
#[test]
fn another_token_far_back_in_what_is_shared_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    for kind in Kind::ALL {
        write(kind, &path);
        let mut other = text(1, 40);
        other[30] = 2 + (other[30] + 1) % 298;
        let exact = answers(&path, (KvMode::Exact, 1), &text(1, 40)).0;
        let (worst, texts) = differences(&answers(&path, (KvMode::Tree, 8), &other).0, &exact);
        assert!(worst > 1e-2 && texts > 0, "{kind:?}: {worst}, {texts} texts");
    }
}
