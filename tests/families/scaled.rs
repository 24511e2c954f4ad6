//! Rotations stretched by YaRN, which Hugging Face's models and llama.cpp do not do in quite the same way: here llama.cpp
//! alone is asked.

use super::decoder::{How, Lesson};
use super::golden::{Case, Golden};
use super::{CLOSE, engine_logprobs, read};
use std::path::Path;
use tripos::gguf::{self, Value};

/// A copy of a model whose rotation is stretched by a factor.
fn write_stretched(model: &Path, path: &Path, factor: f32) {
    let (gguf, tensors) = read(model);
    let mut metadata = gguf.metadata().clone();
    let architecture = gguf.architecture().unwrap();
    let mut set = |name: &str, value| metadata.set(format!("{architecture}.rope.scaling.{name}"), value);
    set("type", Value::Text("yarn".to_owned()));
    set("factor", Value::F32(factor));
    // So short that the middle frequencies are mixed from both ways.
    set("original_context_length", Value::U32(16));
    gguf::write(path, &metadata, &tensors).unwrap();
}

fn apart(case: &Case, path: &Path, other: &Path) -> f64 {
    let said = Lesson::new(path, case, How::PLAIN).read().logprobs;
    let engine = engine_logprobs(other, case);
    said.iter().zip(&engine).map(|(a, b)| f64::from(a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn yarn_is_what_llama_cpp_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("stretched.gguf"), folder.path().join("other.gguf"));
    for family in ["llama", "qwen2", "qwen3"] {
        let golden = Golden::of(family);
        let case = golden.case("rows").unwrap();
        for factor in [1.0, 4.0] {
            write_stretched(&golden.model(), &path, factor);
            write_stretched(&golden.model(), &other, factor * 1.1);
            let (same, bent) = (apart(case, &path, &path), apart(case, &path, &other));
            assert!(same <= CLOSE, "{family}, {factor}: {same}");
            assert!(bent > CLOSE, "{family}, {factor}: {bent}");
        }
    }
}
