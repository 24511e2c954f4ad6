//! What Hugging Face calls a module, and what GGUF calls its matrix.

use crate::gguf::{Array, Gguf, Value};

/// Architectures whose modules are named like Llama's, and whether llama.cpp rotates adjacent pairs in them
/// (`llama_model_rope_type`); then the conversion to GGUF interleaved the rows of queries and keys
/// (`LlamaModel.permute`).
const ARCHITECTURES: [(&str, bool); 6] =
    [("llama", true), ("mistral3", true), ("smollm3", true), ("granite", true), ("qwen2", false), ("qwen3", false)];

/// Modules of a layer.
const MODULES: [(&str, &str); 7] = [
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// The matrix of a module, such as `blk.3.attn_q.weight`; or what is wrong with it.
pub(super) fn tensor(module: &str, model: &Gguf) -> Result<String, String> {
    let architecture = model.architecture().unwrap_or_default();
    if !ARCHITECTURES.iter().any(|(name, _)| *name == architecture) {
        let known: Vec<&str> = ARCHITECTURES.iter().map(|(name, _)| *name).collect();
        return Err(format!("cannot be matched: names of `{architecture}` are not known (only {})", known.join(", ")));
    }
    let unknown = || "is no linear layer of a Llama-like model".to_owned();
    // Models of text and pictures keep the language model a level down.
    let inner = module.strip_prefix("model.language_model.").or_else(|| module.strip_prefix("language_model.model."));
    let inner = inner.or_else(|| module.strip_prefix("model.")).unwrap_or(module);
    let name = match inner {
        "lm_head" | "language_model.lm_head" => "output.weight".to_owned(),
        "embed_tokens" => "token_embd.weight".to_owned(),
        _ => {
            let (layer, part) =
                inner.strip_prefix("layers.").and_then(|rest| rest.split_once('.')).ok_or_else(unknown)?;
            let layer: u32 = layer.parse().map_err(|_| unknown())?;
            let part = MODULES.iter().find(|(name, _)| *name == part).ok_or_else(unknown)?.1;
            format!("blk.{layer}.{part}.weight")
        }
    };
    if model.tensor(&name).is_some() {
        return Ok(name);
    }
    Err(match name.as_str() {
        "output.weight" => "changes the output matrix, which in this model is the embedding".to_owned(),
        _ => format!("would change `{name}`, which this model does not have"),
    })
}

/// Of how many heads the rows of a matrix are, where the model's file has them interleaved; `Some(0)` where it does not
/// say.
pub(super) fn interleaves(name: &str, model: &Gguf) -> Option<usize> {
    let architecture = model.architecture()?;
    if !ARCHITECTURES.contains(&(architecture, true)) {
        return None;
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let number = |key: &str| at_layer(model.metadata().get(&format!("{architecture}.attention.{key}"))?, layer);
    match part {
        "attn_q.weight" => Some(number("head_count").unwrap_or(0)),
        "attn_k.weight" => Some(number("head_count_kv").or_else(|| number("head_count")).unwrap_or(0)),
        _ => None,
    }
}

/// A number for all layers, or an array with one for each.
fn at_layer(value: &Value, layer: usize) -> Option<usize> {
    let number = match value {
        Value::U32(n) => i64::from(*n),
        Value::Array(Array::U32(numbers)) => i64::from(*numbers.get(layer)?),
        Value::Array(Array::I32(numbers)) => i64::from(*numbers.get(layer)?),
        _ => return None,
    };
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Metadata;
    use std::path::Path;

    fn tiny() -> Gguf {
        Gguf::open(Path::new("models/tripos-tiny.gguf")).unwrap()
    }

    fn with(change: impl FnOnce(&mut Metadata)) -> Gguf {
        let tiny = tiny();
        let mut metadata = tiny.metadata().clone();
        change(&mut metadata);
        Gguf::planned(tiny.path(), &metadata, tiny.tensors()).unwrap()
    }

    #[test]
    fn modules_have_the_names_of_the_conversion() {
        let model = tiny();
        let name = |module: &str| tensor(module, &model);
        assert_eq!(name("model.layers.3.self_attn.o_proj").as_deref(), Ok("blk.3.attn_output.weight"));
        assert_eq!(name("model.language_model.layers.0.mlp.gate_proj").as_deref(), Ok("blk.0.ffn_gate.weight"));
        assert_eq!(name("model.embed_tokens").as_deref(), Ok("token_embd.weight"));
        insta::assert_snapshot!(name("lm_head").unwrap_err(), @"changes the output matrix, which in this model is the embedding");
        insta::assert_snapshot!(name("model.layers.4.mlp.up_proj").unwrap_err(), @"would change `blk.4.ffn_up.weight`, which this model does not have");
        insta::assert_snapshot!(name("model.layers.0.mlp.experts.3.w1").unwrap_err(), @"is no linear layer of a Llama-like model");
        let gemma = with(|m| _ = m.set("general.architecture", "gemma3".into()));
        insta::assert_snapshot!(tensor("lm_head", &gemma).unwrap_err(), @"cannot be matched: names of `gemma3` are not known (only llama, mistral3, smollm3, granite, qwen2, qwen3)");
    }

    #[test]
    fn queries_and_keys_are_interleaved_where_adjacent_pairs_are_rotated() {
        let model = tiny();
        assert_eq!(interleaves("blk.0.attn_q.weight", &model), Some(8));
        assert_eq!(interleaves("blk.0.attn_k.weight", &model), Some(4));
        assert_eq!(interleaves("blk.0.attn_v.weight", &model), None);
        assert_eq!(interleaves("output.weight", &model), None);
        let qwen2 = with(|m| _ = m.set("general.architecture", "qwen2".into()));
        assert_eq!(interleaves("blk.0.attn_q.weight", &qwen2), None);
        let heads = Value::Array(Array::U32(vec![8, 6, 4, 2]));
        let uneven = with(|m| _ = m.set("llama.attention.head_count", heads));
        assert_eq!(interleaves("blk.2.attn_q.weight", &uneven), Some(4));
        let silent = with(|m| _ = m.remove("llama.attention.head_count_kv"));
        assert_eq!(interleaves("blk.0.attn_k.weight", &silent), Some(8));
    }
}
