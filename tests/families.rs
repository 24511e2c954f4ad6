//! Each family of models that can be trained, against PyTorch: what a model says of a text, and how its weights change that.
//!
//! `tests/fixtures/families/make.py` made the models (Hugging Face's own, small and random), the log-probabilities and the
//! gradients. llama.cpp is held to the log-probabilities too: that proves the files.

mod golden;

use crate::tiny_models::settings;
use golden::{Case, FAMILIES, Golden, Text};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tripos::engine::llama::{Llama, LlamaSettings};
use tripos::engine::{Answer, Ask, Engine, KvMode, Request};
use tripos::gguf::{self, Gguf, TensorData, TensorType};

/// The largest difference between log-probabilities of 32-bit weights.
const CLOSE: f64 = 1e-4;

/// Rows of weights which a model must not have a hundredth larger unnoticed.
const BENT: [(&str, usize); 4] =
    [("blk.0.attn_k.weight", 3), ("blk.0.ffn_down.weight", 3), ("blk.1.attn_v.weight", 3), ("output_norm.weight", 0)];

/// A copy of a model, one row of one tensor scaled.
fn write_bent(model: &Path, path: &Path, (name, row): (&str, usize), factor: f32) {
    let gguf = Gguf::open_checked(model).unwrap();
    let bytes = std::fs::read(model).unwrap();
    let tensor = |info: &gguf::TensorInfo| {
        assert_eq!(info.kind, TensorType::F32);
        let start = usize::try_from(gguf.data_offset() + info.offset).unwrap();
        let data = &bytes[start..start + usize::try_from(info.size().unwrap()).unwrap()];
        let mut numbers: Vec<f32> = data.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect();
        if info.name == name {
            let len = usize::try_from(info.dims[0]).unwrap();
            numbers[row * len..(row + 1) * len].iter_mut().for_each(|x| *x *= factor);
        }
        TensorData::f32(info.name.as_str(), &info.dims, &numbers)
    };
    gguf::write(path, gguf.metadata(), &gguf.tensors().iter().map(tensor).collect::<Vec<_>>()).unwrap();
}

/// The largest difference between what was said of a case's targets and the golden.
fn worst(case: &Case, said: &[f32]) -> f64 {
    assert_eq!(said.len(), case.logprobs.len());
    case.logprobs.iter().zip(said).map(|(golden, said)| (golden - f64::from(*said)).abs()).fold(0.0, f64::max)
}

/// What llama.cpp says of a case's targets.
fn engine_logprobs(model: &Path, case: &Case) -> Vec<f32> {
    let settings = LlamaSettings { kv: KvMode::Exact, ..settings() };
    let engine = Llama::open(model, settings, (None, "test"), None).unwrap();
    let request = |(id, text): (usize, &Text)| {
        let (first, rest) = text.tokens.split_at(1);
        Request { id, tokens: first.to_vec(), ask: Ask::Likelihood { continuations: vec![rest.to_vec()] } }
    };
    let texts: Vec<&Text> = case.texts().collect();
    let mut said = vec![Vec::new(); texts.len()];
    let mut done = |id: usize, answer| {
        let Answer::Likelihood(mut likelihoods) = answer else { panic!("{answer:?}") };
        said[id] = likelihoods.logprobs.remove(0);
    };
    let requests = texts.iter().copied().enumerate().map(request).collect();
    engine.answer(requests, &mut done, &AtomicBool::new(false)).unwrap();
    let learned = |(text, said): (&&Text, Vec<f32>)| {
        let targets = text.targets().to_vec();
        said.into_iter().zip(targets).filter(|(_, target)| *target).map(|(logprob, _)| logprob)
    };
    texts.iter().zip(said).flat_map(learned).collect()
}

#[test]
fn llama_cpp_says_of_each_family_what_pytorch_says() {
    for family in FAMILIES {
        let golden = Golden::of(family);
        let gguf = Gguf::open_checked(&golden.model()).unwrap();
        assert_eq!(gguf.architecture(), Some(golden.architecture.as_str()));
        for name in ["rows", "packed"] {
            let case = golden.case(name).unwrap();
            let worst = worst(case, &engine_logprobs(&golden.model(), case));
            assert!(worst <= CLOSE, "{family}, {name}: {worst}");
        }
    }
}

/// The twin of the test above: one row of one matrix is a hundredth larger, and that must show.
#[test]
fn llama_cpp_with_a_bent_row_says_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bent.gguf");
    for family in FAMILIES {
        let golden = Golden::of(family);
        for bend in BENT {
            write_bent(&golden.model(), &path, bend, 1.01);
            let worst = worst(&golden.cases[0], &engine_logprobs(&path, &golden.cases[0]));
            assert!(worst > CLOSE, "{family}, {bend:?}: {worst}");
        }
    }
}
