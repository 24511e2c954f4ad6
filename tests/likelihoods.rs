//! What a model finds likely, in the test's own process.

use crate::tiny_models::settings;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tripos::engine::llama::{Llama, LlamaSettings};
use tripos::engine::{Answer, Ask, Engine, KvMode, Request};

/// The log-probability of each token but the first, given those before it.
pub(crate) fn logprobs(model: &Path, adapter: Option<&Path>, tokens: &[u32]) -> Vec<f32> {
    let adapter = adapter.map(|path| (path.to_path_buf(), 1.0));
    let settings = LlamaSettings { kv: KvMode::Exact, adapter, ..settings() };
    let engine = Llama::open(model, settings, (None, "test"), None).unwrap();
    let (first, rest) = tokens.split_at(1);
    let ask = Ask::Likelihood { continuations: vec![rest.to_vec()] };
    let mut said = Vec::new();
    let mut done = |_: usize, answer| {
        let Answer::Likelihood(mut likelihoods) = answer else { panic!("{answer:?}") };
        said = likelihoods.logprobs.remove(0);
    };
    let requests = vec![Request { id: 0, tokens: first.to_vec(), ask }];
    engine.answer(requests, &mut done, &AtomicBool::new(false)).unwrap();
    said
}

/// The largest difference between two lists of numbers that belong together.
pub(crate) fn worst<A: Copy + Into<f64>, B: Copy + Into<f64>>(one: &[A], other: &[B]) -> f64 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(a, b)| ((*a).into() - (*b).into()).abs()).fold(0.0, f64::max)
}
