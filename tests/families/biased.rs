//! Biases on every linear layer, which llama.cpp takes in files of the architecture `llama`, and few models have.

use super::decoder::{How, Lesson};
use super::finite::complaints;
use super::golden::{Golden, numbers};
use super::{CLOSE, engine_logprobs, read};
use std::path::Path;
use tripos::gguf::{self, TensorData};

const BIASED: [&str; 7] = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

/// A copy of a model with biases, those of one kind `factor` times as large.
#[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
fn write_biased(model: &Path, path: &Path, (bent, factor): (&str, f32)) {
    let (gguf, mut tensors) = read(model);
    let matrices: Vec<(String, u64)> =
        tensors.iter().filter(|tensor| tensor.dims.len() == 2).map(|t| (t.name.clone(), t.dims[1])).collect();
    for (name, rows) in matrices {
        let Some(part) = BIASED.iter().find(|part| name.ends_with(&format!(".{part}.weight"))) else { continue };
        let name = name.replace(".weight", ".bias");
        let by = if *part == bent { factor } else { 1.0 };
        let bias = numbers(&name, usize::try_from(rows).unwrap()).into_iter().map(|x| by * x as f32);
        tensors.push(TensorData::f32(name, &[rows], &bias.collect::<Vec<f32>>()));
    }
    gguf::write(path, gguf.metadata(), &tensors).unwrap();
}

#[test]
fn biases_are_added_where_llama_cpp_adds_them() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("biased.gguf"), folder.path().join("bent.gguf"));
    let golden = Golden::of("llama");
    let case = golden.case("rows").unwrap();
    write_biased(&golden.model(), &path, ("", 1.0));
    let said = Lesson::new(&path, case, How::PLAIN).read().logprobs;
    let apart = |path: &Path| {
        let engine = engine_logprobs(path, case);
        said.iter().zip(&engine).map(|(a, b)| f64::from(a - b).abs()).fold(0.0, f64::max)
    };
    assert!(apart(&path) <= CLOSE, "{}", apart(&path));
    for part in BIASED {
        write_biased(&golden.model(), &other, (part, 1.1));
        assert!(apart(&other) > CLOSE, "{part}: {}", apart(&other));
    }
}

#[test]
fn gradients_of_biases_are_the_differences_of_the_loss() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("biased.gguf");
    let golden = Golden::of("llama");
    write_biased(&golden.model(), &path, ("", 1.0));
    let mut lesson = Lesson::new(&path, golden.case("packed").unwrap(), How::PLAIN);
    assert!(lesson.decoder.names().iter().any(|parameter| parameter.name == "blk.1.ffn_down.bias"));
    let complaints = complaints(&mut lesson, 1.0);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
