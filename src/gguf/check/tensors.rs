//! The tensors of a model: number formats that ggml can compute with, and for the llama-like the whole list.

use super::Checker;
use super::hyperparameters::Shape;
use crate::gguf::{GgufProblem, TensorInfo, TensorType};

/// So many problems of one kind are named, so that a wrong layer count does not fill the screen.
const NAMED: usize = 8;

pub(super) fn check(checker: &mut Checker<'_>, shape: Option<&Shape>) {
    if checker.gguf.tensors().is_empty() {
        checker.found.push(GgufProblem::MissingTensor { name: "token_embd.weight".into() });
        return;
    }
    formats(checker);
    if let Some(shape) = shape {
        layout(checker, shape);
    }
}

/// ggml's CPU code aborts on a vector that is not F32 and has no product for some formats.
fn formats(checker: &mut Checker<'_>) {
    let faults = checker.gguf.tensors().iter().filter_map(|tensor| {
        let kind = tensor.kind;
        let added = tensor.name.ends_with("norm.weight") || tensor.name.rsplit('.').next() == Some("bias");
        let vector = is_vector(tensor) || added;
        if kind == TensorType::F32 || is_map(tensor) {
            None
        } else if vector {
            Some(GgufProblem::tensor(tensor.name.as_str(), format!("is {kind}; vectors must be F32")))
        } else if !kind.is_weight() {
            Some(GgufProblem::tensor(tensor.name.as_str(), format!("is {kind}, with which ggml cannot multiply")))
        } else {
            None
        }
    });
    let faults: Vec<GgufProblem> = faults.take(NAMED).collect();
    checker.found.extend(faults);
}

/// The one table of whole numbers in a decoder: DeepSeek-V4's experts by token.
fn is_map(tensor: &TensorInfo) -> bool {
    tensor.kind == TensorType::I32 && tensor.name.contains(".ffn_gate_tid2eid")
}

fn is_vector(tensor: &TensorInfo) -> bool {
    tensor.dims.iter().skip(1).all(|dim| *dim == 1)
}

/// The tensors of a llama-like model (`load_arch_tensors`), each with its shape.
fn layout(checker: &mut Checker<'_>, shape: &Shape) {
    let before = checker.found.len();
    let vocabulary = checker.gguf.vocab_size() as u64;
    let d = shape.embedding;
    need(checker, "token_embd.weight", &[d, vocabulary]);
    need(checker, "output_norm.weight", &[d]);
    if checker.gguf.tensor("output.weight").is_some() {
        need(checker, "output.weight", &[d, vocabulary]);
    }
    for block in 0..shape.blocks {
        attention(checker, shape, block);
        if shape.experts == 0 {
            let name = |name: &str| format!("blk.{block}.ffn_{name}.weight");
            need(checker, &name("norm"), &[d]);
            need(checker, &name("gate"), &[d, shape.feed_forward]);
            need(checker, &name("up"), &[d, shape.feed_forward]);
            need(checker, &name("down"), &[shape.feed_forward, d]);
        }
        if checker.found.len() >= before + NAMED {
            return;
        }
    }
}

fn attention(checker: &mut Checker<'_>, shape: &Shape, block: u32) {
    let d = shape.embedding;
    let name = |name: &str| format!("blk.{block}.attn_{name}.weight");
    need(checker, &name("norm"), &[d]);
    if checker.gguf.tensor(&name("qkv")).is_some() {
        need(checker, &name("qkv"), &[d, shape.queries + 2 * shape.keys]);
    } else {
        need(checker, &name("q"), &[d, shape.queries]);
        need(checker, &name("k"), &[d, shape.keys]);
        need(checker, &name("v"), &[d, shape.keys]);
    }
    need(checker, &name("output"), &[shape.queries, d]);
}

/// A tensor must be there with these sizes; sizes of 1 at the end do not count.
fn need(checker: &mut Checker<'_>, name: &str, dims: &[u64]) {
    let Some(tensor) = checker.gguf.tensor(name) else {
        checker.found.push(GgufProblem::MissingTensor { name: name.to_owned() });
        return;
    };
    let at = |dims: &[u64], i: usize| dims.get(i).copied().unwrap_or(1);
    if (0..4).any(|i| at(&tensor.dims, i) != at(dims, i)) {
        let fault = format!("has the shape {}; the metadata says {dims:?}", tensor.shape());
        checker.found.push(GgufProblem::tensor(name, fault));
    }
}

#[cfg(test)]
mod tests {
    use crate::gguf::check::refusals;
    use crate::gguf::{Gguf, TensorType, Value};

    fn format(name: &str, kind: TensorType) -> String {
        refusals(|gguf: &mut Gguf| {
            let tensor = gguf.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap();
            tensor.kind = kind;
        })
    }

    #[test]
    fn refuses_formats_that_ggml_cannot_compute_with() {
        let last = |text: String| text.lines().last().unwrap_or_default().to_owned();
        insta::assert_snapshot!(last(format("output_norm.weight", TensorType::F16)), @"tensor `output_norm.weight` is F16; vectors must be F32");
        insta::assert_snapshot!(last(format("blk.3.ffn_down.weight", TensorType::Q8_1)), @"tensor `blk.3.ffn_down.weight` is Q8_1, with which ggml cannot multiply");
        insta::assert_snapshot!(last(format("blk.3.ffn_down.weight", TensorType::I32)), @"tensor `blk.3.ffn_down.weight` is I32, with which ggml cannot multiply");
        assert!(!format("blk.3.ffn_down.weight", TensorType::Q4_0).contains("multiply"));
    }

    #[test]
    fn names_a_missing_tensor_and_a_wrong_shape() {
        insta::assert_snapshot!(refusals(|gguf| { gguf.tensors.pop(); }), @"tensor `blk.3.ffn_down.weight` is missing");
        insta::assert_snapshot!(refusals(|gguf| gguf.tensors.clear()), @"tensor `token_embd.weight` is missing");
        let width = |key: &str, n: u32| {
            refusals(|gguf| {
                gguf.metadata.set(key, Value::U32(n));
            })
        };
        insta::assert_snapshot!(width("llama.feed_forward_length", 703).lines().next().unwrap(), @"tensor `blk.0.ffn_gate.weight` has the shape [256, 704]; the metadata says [256, 703]");
        insta::assert_snapshot!(width("llama.block_count", 5).lines().next().unwrap(), @"tensor `blk.4.attn_norm.weight` is missing");
        assert!(width("llama.block_count", 512).lines().count() < 20);
    }
}
