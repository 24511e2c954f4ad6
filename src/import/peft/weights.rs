//! `adapter_model.safetensors`: the halves of the changes, as `f32`.

use super::error::{PeftError, PeftProblem};
use crate::error::Problems;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::path::Path;

/// A or B of one module.
#[derive(Debug, PartialEq)]
pub(super) struct Half {
    /// `model.layers.0.self_attn.q_proj`.
    pub(super) module: String,
    pub(super) is_b: bool,
    /// Of an embedding: A is then `[rank, tokens]`, B `[width, rank]`.
    pub(super) is_embedding: bool,
    /// Rows and columns, in PyTorch's order.
    pub(super) shape: [usize; 2],
    pub(super) numbers: Vec<f32>,
}

/// What the file holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Weights {
    pub(super) halves: Vec<Half>,
    /// Modules of the base that PEFT wrote beside the adapter, with their shapes: it does so for embeddings, which may
    /// have been given more tokens.
    pub(super) copies: Vec<(String, Vec<usize>)>,
}

/// What a tensor's name says.
#[derive(Debug, PartialEq)]
enum Part {
    Copy {
        module: String,
    },
    Half {
        module: String,
        is_b: bool,
        is_embedding: bool,
    },
    /// What it is instead.
    Other(&'static str),
}

/// Reads all of it. Problems are added to the list; none is given where the file cannot be read at all.
pub(super) fn read(file: &Path, problems: &mut Problems) -> Option<Weights> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.push(PeftError::unreadable(file, &error));
            return None;
        }
    };
    let tensors = match SafeTensors::deserialize(&bytes) {
        Ok(tensors) => tensors,
        Err(error) => {
            problems.push(PeftError::new(file, PeftProblem::NotSafetensors(error.to_string())));
            return None;
        }
    };
    let mut named: Vec<(String, TensorView<'_>)> = tensors.tensors();
    named.sort_by(|one, other| one.0.cmp(&other.0));
    let mut weights = Weights::default();
    for (name, view) in named {
        if let Part::Copy { module } = part(&name) {
            weights.copies.push((module, view.shape().to_vec()));
            continue;
        }
        match half(&name, &view) {
            Ok(half) => weights.halves.push(half),
            Err((why, help)) => problems.push(PeftError::tensor(file, &name, why, help)),
        }
    }
    Some(weights)
}

fn half(name: &str, view: &TensorView<'_>) -> Result<Half, (String, &'static str)> {
    const ANEW: &str = "an adapter GGUF cannot hold it; train the adapter without it, \
         or merge it in PEFT (merge_and_unload) and convert the whole model";
    let (module, is_b, is_embedding) = match part(name) {
        Part::Half { module, is_b, is_embedding } => (module, is_b, is_embedding),
        Part::Copy { .. } => return Err(("is a copy of the base's".to_owned(), ANEW)),
        Part::Other(what) => return Err((format!("is {what}"), ANEW)),
    };
    let &[rows, columns] = view.shape() else {
        return Err((format!("has the shape {:?}, which is no matrix", view.shape()), ANEW));
    };
    if rows == 0 || columns == 0 {
        return Err((format!("has the shape {:?}, which holds nothing", view.shape()), ANEW));
    }
    let Some(numbers) = numbers(view.dtype(), view.data()) else {
        let help = "save the adapter as F32, F16 or BF16: model.to(torch.float32).save_pretrained(DIR)";
        return Err((format!("holds numbers of type {:?}", view.dtype()), help));
    };
    if let Some(x) = numbers.iter().find(|x| !x.is_finite()) {
        return Err((format!("holds {x}: its training diverged"), "use an earlier checkpoint"));
    }
    Ok(Half { module, is_b, is_embedding, shape: [rows, columns], numbers })
}

/// `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`; state dicts that were never renamed have the
/// adapter's name, `default`, inside.
fn part(name: &str) -> Part {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name).replace(".default", "");
    let endings = [
        (".lora_A.weight", false, false),
        (".lora_B.weight", true, false),
        (".lora_embedding_A", false, true),
        (".lora_embedding_B", true, true),
    ];
    for (ending, is_b, is_embedding) in endings {
        if let Some(module) = name.strip_suffix(ending) {
            return Part::Half { module: module.to_owned(), is_b, is_embedding };
        }
    }
    if let Some(module) = name.strip_suffix(".base_layer.weight") {
        return Part::Copy { module: module.to_owned() };
    }
    Part::Other(if name.contains("lora_magnitude_vector") {
        "a length of DoRA's"
    } else if name.ends_with("lora_B.bias") {
        "a bias beside B"
    } else {
        "no half of a LoRA pair (a module that was trained whole?)"
    })
}

fn numbers(kind: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
    Some(match kind {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
        _ => return None,
    })
}

/// Rows of `len` numbers turned into columns.
pub(super) fn transposed(numbers: &[f32], len: usize) -> Vec<f32> {
    (0..len).flat_map(|column| numbers.iter().skip(column).step_by(len).copied()).collect()
}

/// The rows of each head, of its first and second half in turn: 0, h/2, 1, h/2 + 1, … (`LlamaModel.permute`).
pub(super) fn interleaved(numbers: &[f32], len: usize, heads: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = numbers.chunks(len).collect();
    let head = rows.len() / heads.max(1);
    let from = |row: usize| row / head * head + row % 2 * (head / 2) + row % head / 2;
    (0..rows.len()).flat_map(|row| rows.get(from(row)).copied().unwrap_or_default()).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// import numpy as np
    /// w = np.arange(16).reshape(8, 2)        # 2 heads of 4 rows
    /// print(w.reshape(2, 2, 2, 2).swapaxes(1, 2).reshape(8, 2)[:, 0] // 2)
    /// ```
    #[test]
    fn rows_are_interleaved_as_the_conversion_does_it() {
        let numbers: Vec<f32> = (0..16_u8).map(f32::from).collect();
        let rows: Vec<f32> = interleaved(&numbers, 2, 2).chunks(2).map(|row| row[0] / 2.0).collect();
        assert_eq!(rows, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn names_tell_halves_from_what_is_none() {
        let module = || "model.layers.0.self_attn.q_proj".to_owned();
        for name in [
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight",
        ] {
            assert_eq!(part(name), Part::Half { module: module(), is_b: true, is_embedding: false });
        }
        let embedding = Part::Half { module: "model.embed_tokens".into(), is_b: false, is_embedding: true };
        assert_eq!(part("base_model.model.model.embed_tokens.lora_embedding_A"), embedding);
        let copy = Part::Copy { module: "lm_head".into() };
        assert_eq!(part("base_model.model.lm_head.base_layer.weight"), copy);
        assert!(matches!(part("base_model.model.lm_head.weight"), Part::Other(what) if what.contains("trained whole")));
        assert!(matches!(part("a.q_proj.lora_magnitude_vector"), Part::Other(what) if what.contains("DoRA")));
    }

    #[test]
    fn halves_of_sixteen_bits_are_read_too() {
        let bits = [0x3c00_u16, 0xc000].map(u16::to_le_bytes).concat();
        assert_eq!(numbers(Dtype::F16, &bits), Some(vec![1.0, -2.0]));
        let bits = [0x3f80_u16, 0xc000].map(u16::to_le_bytes).concat();
        assert_eq!(numbers(Dtype::BF16, &bits), Some(vec![1.0, -2.0]));
        assert_eq!(numbers(Dtype::I8, &bits), None);
    }

    #[test]
    fn what_is_no_safetensors_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("adapter_model.safetensors");
        std::fs::write(&file, b"PK\x03\x04 pickled").unwrap();
        let mut problems = Problems::new();
        assert_eq!(read(&file, &mut problems), None);
        assert!(problems.to_string().contains("this is not a safetensors file"), "{problems}");
    }
}
