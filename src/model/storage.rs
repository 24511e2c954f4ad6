//! In which format each tensor of a file is kept when the whole is brought to one.
//!
//! The rules are those of `llama-quantize --pure` with its care for what suffers most (`llama-quant.cpp`,
//! llama-cpp-sys-2 0.1.161: `tensor_allows_quantization`, `tensor_type_fallback`):
//!
//! - vectors, norms, biases, routers, convolutions and tables of numbers stay as they are;
//! - the output matrix (the embedding, where the model uses it for both) never gets fewer bits than Q6_K has;
//! - rows that are not whole blocks of a format get the next one with smaller blocks.

use crate::gguf::{Gguf, TensorInfo, TensorType};
use serde::Serialize;
use std::collections::BTreeMap;

/// Parts of names whose tensors stay as they are, small as they are: routers of experts, low-rank and convolution
/// parts of recurrent layers, position tables.
const KEPT: [&str; 16] = [
    "_norm.weight",
    "ffn_gate_inp",
    "ffn_gate_tid2eid",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv",
    "indexer.",
    "hc_",
    "time_mix_first",
    "time_mix_w",
    "time_mix_v",
    "time_mix_a",
    "time_mix_g",
    "position_embd",
];

/// Why a tensor is kept in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Because {
    /// It was asked for.
    Asked,
    /// No tensor of this kind changes its format.
    Kept,
    /// It is the output matrix, where few bits cost most.
    Output,
    /// Its rows are not whole blocks of what was asked for.
    Rows,
}

/// The format that a tensor of a file gets when the file is brought to `wanted`, and why.
pub(super) fn stored_as(tensor: &TensorInfo, wanted: TensorType, file: &Gguf) -> (TensorType, Because) {
    if !may_change(tensor) {
        return (tensor.kind, Because::Kept);
    }
    let is_output =
        tensor.name == "output.weight" || tensor.name == "token_embd.weight" && file.tensor("output.weight").is_none();
    let (mut kind, mut because) = (wanted, Because::Asked);
    if is_output && bits(wanted) < bits(TensorType::Q6_K) {
        (kind, because) = (TensorType::Q6_K, Because::Output);
    }
    let row = tensor.dims.first().copied().unwrap_or(1);
    while !row.is_multiple_of(kind.block_len()) {
        if because == Because::Asked {
            because = Because::Rows;
        }
        kind = smaller_blocks(kind);
    }
    (kind, because)
}

fn may_change(tensor: &TensorInfo) -> bool {
    let is_vector = tensor.dims.iter().skip(1).all(|dim| *dim == 1);
    // RWKV's `time_mix_key` and its like are matrices as any other.
    let large = ["time_mix_value", "time_mix_gate"].iter().any(|part| tensor.name.contains(part));
    !is_vector
        && tensor.kind.is_weight()
        && tensor.name.ends_with("weight")
        && (large || !KEPT.iter().any(|part| tensor.name.contains(part)))
}

/// Bits a number, in 256ths.
fn bits(kind: TensorType) -> u64 {
    kind.block_size() * 8 * 256 / kind.block_len()
}

/// The format to fall back to; in the end one without blocks.
fn smaller_blocks(kind: TensorType) -> TensorType {
    match kind {
        TensorType::Q6_K => TensorType::Q8_0,
        TensorType::Q5_K => TensorType::Q5_1,
        TensorType::Q4_K => TensorType::Q5_0,
        TensorType::Q2_K | TensorType::Q3_K | TensorType::TQ1_0 | TensorType::TQ2_0 => TensorType::Q4_0,
        _ if kind.block_len() == 256 => TensorType::IQ4_NL,
        _ => TensorType::F16,
    }
}

/// `general.file_type` of a file that is in one format (`llama_ftype` in llama.h); `None` for formats that have no label
/// of their own.
#[must_use]
pub fn file_type(kind: TensorType) -> Option<u32> {
    Some(match kind {
        TensorType::F32 => 0,
        TensorType::F16 => 1,
        TensorType::Q4_0 => 2,
        TensorType::Q4_1 => 3,
        TensorType::Q8_0 => 7,
        TensorType::Q5_0 => 8,
        TensorType::Q5_1 => 9,
        TensorType::Q2_K => 10,
        TensorType::Q3_K => 11,
        TensorType::Q4_K => 14,
        TensorType::Q5_K => 16,
        TensorType::Q6_K => 18,
        TensorType::IQ3_XXS => 23,
        TensorType::IQ4_NL => 25,
        TensorType::IQ3_S => 26,
        TensorType::IQ2_S => 28,
        TensorType::IQ4_XS => 30,
        TensorType::IQ1_M => 31,
        TensorType::BF16 => 32,
        TensorType::TQ1_0 => 36,
        TensorType::TQ2_0 => 37,
        TensorType::MXFP4 => 38,
        TensorType::NVFP4 => 39,
        TensorType::Q1_0 => 40,
        TensorType::Q2_0 => 41,
        _ => return None,
    })
}

/// How much of a file is in a format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormatShare {
    /// Its name, such as `Q8_0`.
    pub format: &'static str,
    /// How many tensors.
    pub tensors: usize,
    /// How many numbers they hold.
    pub parameters: u64,
    /// How many bytes they take.
    pub bytes: u64,
}

/// The formats of a file, the one that holds most numbers first.
pub(super) fn formats(tensors: &[TensorInfo]) -> Vec<FormatShare> {
    let mut shares: BTreeMap<TensorType, FormatShare> = BTreeMap::new();
    for tensor in tensors {
        let empty = FormatShare { format: tensor.kind.name(), tensors: 0, parameters: 0, bytes: 0 };
        let share = shares.entry(tensor.kind).or_insert(empty);
        share.tensors += 1;
        share.parameters = share.parameters.saturating_add(tensor.elements().unwrap_or(0));
        share.bytes = share.bytes.saturating_add(tensor.size().unwrap_or(0));
    }
    let mut shares: Vec<FormatShare> = shares.into_values().collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.parameters));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Metadata;
    use std::path::Path;

    fn stored(name: &str, dims: &[u64], wanted: TensorType, untied: bool) -> (TensorType, Because) {
        let tensor = TensorInfo::new(name, dims, TensorType::F32);
        let mut tensors = vec![tensor.clone()];
        if untied && name != "output.weight" {
            tensors.push(TensorInfo::new("output.weight", &[256, 4], TensorType::F32));
        }
        let file = Gguf::planned(Path::new("a"), &Metadata::default(), &tensors).unwrap();
        stored_as(&tensor, wanted, &file)
    }

    #[test]
    fn matrices_get_what_was_asked_for_and_small_parts_stay() {
        use TensorType::{F32, Q4_K, Q8_0};
        assert_eq!(stored("blk.0.attn_q.weight", &[256, 256], Q4_K, true), (Q4_K, Because::Asked));
        assert_eq!(stored("blk.0.ffn_gate_exps.weight", &[256, 64, 8], Q4_K, true), (Q4_K, Because::Asked));
        assert_eq!(stored("token_embd.weight", &[256, 300], Q4_K, true), (Q4_K, Because::Asked));
        assert_eq!(stored("blk.0.time_mix_value.weight", &[256, 256], Q4_K, true), (Q4_K, Because::Asked));
        for (name, dims) in [
            ("output_norm.weight", &[256][..]),
            ("blk.0.attn_q.bias", &[256]),
            ("blk.0.attn_q_norm.weight", &[64, 4]),
            ("blk.0.ffn_gate_inp.weight", &[256, 8]),
            ("blk.0.ssm_conv1d.weight", &[4, 256]),
            ("blk.0.ssm_a", &[16, 256]),
            ("rope_freqs.weight", &[64]),
        ] {
            assert_eq!(stored(name, dims, Q8_0, true), (F32, Because::Kept), "{name}");
        }
    }

    #[test]
    fn the_output_matrix_keeps_six_bits() {
        use TensorType::{F16, Q4_0, Q6_K, Q8_0};
        assert_eq!(stored("output.weight", &[256, 300], Q4_0, true), (Q6_K, Because::Output));
        assert_eq!(stored("token_embd.weight", &[256, 300], Q4_0, false), (Q6_K, Because::Output));
        assert_eq!(stored("output.weight", &[288, 300], Q4_0, true), (Q8_0, Because::Output));
        assert_eq!(stored("output.weight", &[256, 300], Q8_0, true), (Q8_0, Because::Asked));
        assert_eq!(stored("output.weight", &[256, 300], F16, true), (F16, Because::Asked));
    }

    #[test]
    fn rows_of_other_lengths_fall_back_to_smaller_blocks() {
        use TensorType::{F16, IQ4_NL, IQ4_XS, Q3_K, Q4_0, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};
        for (wanted, got) in [(Q6_K, Q8_0), (Q5_K, Q5_1), (Q4_K, Q5_0), (Q3_K, Q4_0), (IQ4_XS, IQ4_NL), (Q8_0, Q8_0)] {
            let because = if wanted == got { Because::Asked } else { Because::Rows };
            assert_eq!(stored("blk.0.ffn_down.weight", &[672, 256], wanted, true), (got, because));
            assert_eq!(stored("blk.0.ffn_down.weight", &[40, 256], wanted, true), (F16, Because::Rows));
        }
    }

    #[test]
    fn file_types_are_those_whose_labels_the_reader_knows() {
        let mut file = Gguf::open(Path::new("models/tripos-tiny.gguf")).unwrap();
        let all = (0..43).filter_map(TensorType::from_code);
        for (kind, code) in all.filter_map(|kind| Some((kind, file_type(kind)?))) {
            let mut metadata = file.metadata().clone();
            metadata.set("general.file_type", crate::gguf::Value::U32(code));
            file = Gguf::planned(file.path(), &metadata, file.tensors()).unwrap();
            let label = file.quantisation();
            assert!(label == kind.name() || label.strip_suffix("_S") == Some(kind.name()), "{kind} {label}");
        }
    }
}
