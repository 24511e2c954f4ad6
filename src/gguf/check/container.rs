//! The container: alignment, arrays, and where the tensors lie.

use super::Checker;
use crate::gguf::{Array, GgufProblem, Value, pad};

/// ggml's CPU buffers begin at multiples of this, and a mapped file must too (`TENSOR_ALIGNMENT`).
const MAPPED_ALIGNMENT: u64 = 32;

pub(super) fn check(checker: &mut Checker<'_>) {
    for (key, value) in checker.gguf.metadata().iter() {
        if let Value::Array(Array::Array(_)) = value {
            checker.field(key, "is an array of arrays, which llama.cpp does not read");
        }
    }
    if alignment(checker) && tensors(checker) {
        placement(checker);
    }
}

fn alignment(checker: &mut Checker<'_>) -> bool {
    let key = "general.alignment";
    let before = checker.found.len();
    if let Some(n) = checker.u32(key)
        && (!n.is_power_of_two() || u64::from(n) < MAPPED_ALIGNMENT)
    {
        checker.field(key, format!("is {n}, not a power of two of at least {MAPPED_ALIGNMENT}"));
    }
    checker.found.len() == before
}

/// Each tensor for itself: shape and size.
fn tensors(checker: &mut Checker<'_>) -> bool {
    let before = checker.found.len();
    for tensor in checker.gguf.tensors() {
        let row = tensor.dims.first().copied().unwrap_or(0);
        let fault = if tensor.dims.contains(&0) {
            format!("is empty: its shape is {}", tensor.shape())
        } else if tensor.elements().is_none() {
            format!("is too large: its shape is {}", tensor.shape())
        } else if !row.is_multiple_of(tensor.kind.block_len()) {
            format!("has rows of {row} numbers, and {} stores blocks of {}", tensor.kind, tensor.kind.block_len())
        } else if tensor.size().is_none() {
            format!("is too large: its shape is {}", tensor.shape())
        } else {
            continue;
        };
        checker.found.push(GgufProblem::tensor(tensor.name.as_str(), fault));
    }
    checker.found.len() == before
}

/// All tensors together: llama.cpp wants each to begin where the one before it ends, rounded up to the alignment. So
/// they are aligned, in order and without overlap. The first that is misplaced is named, since those after it follow it.
fn placement(checker: &mut Checker<'_>) {
    let gguf = checker.gguf;
    let (mut next, mut end) = (0_u64, 0_u64);
    for tensor in gguf.tensors() {
        if tensor.offset != next {
            let fault = format!("begins at byte {} of the data; the one before it ends at {next}", tensor.offset);
            checker.found.push(GgufProblem::tensor(tensor.name.as_str(), fault));
            return;
        }
        let after = tensor.size().and_then(|size| next.checked_add(size));
        let Some((after, padded)) = after.and_then(|after| Some((after, pad(after, gguf.alignment())?))) else {
            checker.found.push(GgufProblem::tensor(tensor.name.as_str(), "goes beyond the largest possible file"));
            return;
        };
        (end, next) = (after, padded);
    }
    let start = if gguf.tensors().is_empty() { 0 } else { gguf.data_offset() };
    let expected = start.saturating_add(end);
    if let Some(missing) = expected.checked_sub(gguf.file_len()).filter(|missing| *missing > 0) {
        checker.found.push(GgufProblem::Truncated { missing, expected });
    }
}

#[cfg(test)]
mod tests {
    use crate::gguf::check::refusals;
    use crate::gguf::{Array, Gguf, TensorInfo, TensorType, Value};

    /// The refusals after a change to the second tensor (`output_norm.weight`).
    fn second(alter: impl FnOnce(&mut TensorInfo)) -> String {
        refusals(|gguf: &mut Gguf| alter(&mut gguf.tensors[1])).lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn refuses_a_file_that_is_cut_off() {
        let len = std::fs::metadata("models/tripos-tiny.gguf").unwrap().len();
        let said = |missing: u64| format!("the file is cut off: {missing} of {len} bytes are missing");
        assert_eq!(refusals(|gguf| gguf.file_len -= 1), said(1));
        assert_eq!(refusals(|gguf| gguf.file_len = 22_633), said(len - 22_633));
        assert_eq!(refusals(|gguf| gguf.file_len += 1), "");
    }

    #[test]
    fn refuses_tensors_that_overlap_or_leave_a_gap() {
        insta::assert_snapshot!(second(|t| t.offset -= 32), @"tensor `output_norm.weight` begins at byte 208864 of the data; the one before it ends at 208896");
        insta::assert_snapshot!(second(|t| t.offset += 32), @"tensor `output_norm.weight` begins at byte 208928 of the data; the one before it ends at 208896");
    }

    #[test]
    fn refuses_impossible_shapes() {
        insta::assert_snapshot!(second(|t| t.dims = vec![256, 0]), @"tensor `output_norm.weight` is empty: its shape is [256, 0]");
        insta::assert_snapshot!(second(|t| t.dims = vec![1 << 32; 4]), @"tensor `output_norm.weight` is too large: its shape is [4294967296, 4294967296, 4294967296, 4294967296]");
        insta::assert_snapshot!(second(|t| t.dims = vec![1 << 62]), @"tensor `output_norm.weight` is too large: its shape is [4611686018427387904]");
        insta::assert_snapshot!(second(|t| (t.kind, t.dims) = (TensorType::Q4_K, vec![288])), @"tensor `output_norm.weight` has rows of 288 numbers, and Q4_K stores blocks of 256");
        let two_halves = refusals(|gguf| {
            gguf.tensors.truncate(3);
            for tensor in &mut gguf.tensors[1..] {
                (tensor.kind, tensor.dims) = (TensorType::I8, vec![(1 << 63) - 1]);
            }
            gguf.tensors[2].offset = (1 << 63) + 208_896;
        });
        insta::assert_snapshot!(two_halves.lines().next().unwrap(), @"tensor `blk.0.attn_norm.weight` goes beyond the largest possible file");
    }

    #[test]
    fn refuses_an_alignment_that_a_mapped_file_cannot_have() {
        let aligned = |value: Value| {
            refusals(|gguf| {
                gguf.metadata.set("general.alignment", value);
            })
        };
        for n in [0, 1, 8, 33, 48, u32::MAX] {
            assert!(aligned(Value::U32(n)).contains("not a power of two of at least 32"), "{n}");
        }
        insta::assert_snapshot!(aligned(Value::U64(32)), @"metadata `general.alignment` has type u64; llama.cpp expects u32");
        assert_eq!(aligned(Value::U32(32)), "");
        assert!(aligned(Value::U32(1 << 31)).contains("begins at byte"));
    }

    #[test]
    fn refuses_arrays_of_arrays() {
        let nested = Value::Array(Array::Array(vec![Array::U8(vec![1])]));
        insta::assert_snapshot!(refusals(|gguf| { gguf.metadata.set("a.b", nested); }), @"metadata `a.b` is an array of arrays, which llama.cpp does not read");
    }
}
