//! LoRA adapters (`llama_adapter_lora_init_impl`): their own metadata, and tensors in pairs `<base>.lora_a`, `.lora_b`.
//!
//! For a base matrix of `[in, out]`, A is `[in, rank]` and B is `[rank, out]`. For `token_embd.weight`, which is looked up
//! rather than multiplied, A is `[rank, tokens]` and B is `[rank, width]`; where it is the output matrix too, llama.cpp
//! cannot apply it at all.

use super::{Checker, known_family};
use crate::gguf::{Array, Gguf, GgufProblem, TensorInfo, TensorType, Value};
use std::collections::BTreeMap;

/// The two halves of one change to a base tensor.
#[derive(Default)]
struct Pair<'a> {
    a: Option<&'a TensorInfo>,
    b: Option<&'a TensorInfo>,
}

pub(super) fn check(checker: &mut Checker<'_>) {
    known_family(checker);
    // llama.cpp's getters assert the type of these three.
    if let Some(kind) = checker.required_text("adapter.type").filter(|kind| *kind != "lora") {
        checker.field("adapter.type", format!("is `{kind}`; llama.cpp knows `lora` only"));
    }
    if let Some(alpha) = checker.f32("adapter.lora.alpha").filter(|alpha| !alpha.is_finite()) {
        checker.field("adapter.lora.alpha", format!("is {alpha}, not a number to compute with"));
    }
    let key = "adapter.alora.invocation_tokens";
    match checker.get(key) {
        None | Some(Value::Array(Array::U32(_))) => {}
        Some(other) => checker.wrong_type(key, other, "an array of u32"),
    }
    let (pairs, faults) = pairs(checker.gguf);
    checker.found.extend(faults);
    if pairs.is_empty() {
        checker.found.push(GgufProblem::MissingTensor { name: "<base>.lora_a".into() });
    }
    for (base, pair) in &pairs {
        checker.found.extend(pair_fault(base, pair));
    }
}

/// The pairs by the name of their base, and the tensors that belong to none.
fn pairs(gguf: &Gguf) -> (BTreeMap<&str, Pair<'_>>, Vec<GgufProblem>) {
    let mut pairs: BTreeMap<&str, Pair<'_>> = BTreeMap::new();
    let mut faults = Vec::new();
    for tensor in gguf.tensors() {
        if let Some(base) = tensor.name.strip_suffix(".lora_a") {
            pairs.entry(base).or_default().a = Some(tensor);
        } else if let Some(base) = tensor.name.strip_suffix(".lora_b") {
            pairs.entry(base).or_default().b = Some(tensor);
        } else if !tensor.name.ends_with("_norm.weight") {
            // llama.cpp passes over norms and refuses anything else.
            faults.push(GgufProblem::tensor(tensor.name.as_str(), "is neither `.lora_a` nor `.lora_b`"));
        }
    }
    (pairs, faults)
}

fn at(tensor: &TensorInfo, i: usize) -> u64 {
    tensor.dims.get(i).copied().unwrap_or(1)
}

fn is_embedding(base: &str) -> bool {
    base.ends_with("token_embd.weight")
}

fn pair_fault(base: &str, pair: &Pair<'_>) -> Option<GgufProblem> {
    let (Some(a), Some(b)) = (pair.a, pair.b) else {
        let half = if pair.a.is_none() { "lora_a" } else { "lora_b" };
        return Some(GgufProblem::MissingTensor { name: format!("{base}.{half}") });
    };
    if let Some(unusable) = [a, b].into_iter().find(|tensor| !tensor.kind.is_weight()) {
        let fault = format!("is {}, with which ggml cannot multiply", unusable.kind);
        return Some(GgufProblem::tensor(unusable.name.as_str(), fault));
    }
    // The name is searched for the endings anywhere in it, and every one found is cut out.
    if base.contains(".lora_a") || base.contains(".lora_b") {
        return Some(GgufProblem::tensor(a.name.as_str(), "has an ending twice"));
    }
    let (rank_a, rank_b) = (if is_embedding(base) { at(a, 0) } else { at(a, 1) }, at(b, 0));
    if rank_a != rank_b || (2..4).any(|i| at(a, i) != at(b, i)) {
        let fault = format!("has the shape {}, which does not fit {} of its `.lora_b`", a.shape(), b.shape());
        return Some(GgufProblem::tensor(a.name.as_str(), fault));
    }
    None
}

/// Why an adapter does not belong to a base model; nothing when it does.
pub(crate) fn fits(adapter: &Gguf, base: &Gguf) -> Vec<GgufProblem> {
    if !adapter.is_adapter() {
        return vec![GgufProblem::NotAdapter];
    }
    if adapter.architecture() != base.architecture() {
        let name = |gguf: &Gguf| gguf.architecture().unwrap_or("unknown").to_owned();
        let fault = format!("is `{}`, but the model's is `{}`", name(adapter), name(base));
        return vec![GgufProblem::field("general.architecture", fault)];
    }
    let (pairs, mut faults) = pairs(adapter);
    for (name, pair) in pairs {
        let (Some(a), Some(b)) = (pair.a, pair.b) else { continue };
        let Some(tensor) = base.tensor(name) else {
            faults.push(GgufProblem::tensor(a.name.as_str(), "changes a tensor that the model does not have"));
            continue;
        };
        let (rows, columns) = if is_embedding(name) { (at(b, 1), at(a, 1)) } else { (at(a, 0), at(b, 1)) };
        let changed = [rows, columns, at(a, 2), at(a, 3)];
        if (0..4).any(|i| changed.get(i).is_none_or(|n| *n != at(tensor, i))) {
            let fault = format!("changes a tensor of shape [{rows}, {columns}]; the model's is {}", tensor.shape());
            faults.push(GgufProblem::tensor(a.name.as_str(), fault));
        } else if is_embedding(name) && base.tensor("output.weight").is_none() {
            // llama.cpp finds changes by the tensor's name and would multiply by the halves of this one, and assert.
            let fault = "changes the embedding of a model that uses it for its output too";
            faults.push(GgufProblem::tensor(a.name.as_str(), fault));
        } else if tensor.kind == TensorType::NVFP4 {
            faults
                .push(GgufProblem::tensor(a.name.as_str(), "changes an NVFP4 tensor, which llama.cpp asserts against"));
        }
    }
    faults
}

/// Why an adapter was not trained on the model of this hash; nothing where it does not say on which it was. A whole model
/// may say it too, of the one that it came from: that it is no adapter is for [`fits`] to say.
pub(crate) fn made_for(adapter: &Gguf, base: &Gguf, sha256: &str) -> Option<GgufProblem> {
    if !adapter.is_adapter() {
        return None;
    }
    let trained_on = adapter.metadata().text("tripos.base.sha256").filter(|trained_on| *trained_on != sha256)?;
    let known_as = adapter.metadata().text("tripos.base.file").unwrap_or("another file");
    Some(GgufProblem::OtherBase {
        trained_on: format!("{known_as} (SHA-256 {})", short(trained_on)),
        given: format!("{} ({})", base.path().display(), short(sha256)),
    })
}

/// Enough of a hash to recognise it.
fn short(sha256: &str) -> String {
    if sha256.chars().count() > 12 { sha256.chars().take(12).chain(['…']).collect() } else { sha256.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Metadata, TensorData, write};
    use std::path::Path;

    fn adapter(change: impl FnOnce(&mut Metadata, &mut Vec<TensorData<'static>>)) -> Gguf {
        let texts = [("general.type", "adapter"), ("general.architecture", "llama"), ("adapter.type", "lora")];
        let mut metadata: Metadata = texts.map(|(key, text)| (key, Value::from(text))).into_iter().collect();
        metadata.set("adapter.lora.alpha", Value::F32(8.0));
        let zeros = |name: &str, dims: [u64; 2]| {
            TensorData::f32(name, &dims, &vec![0.0; usize::try_from(dims[0] * dims[1]).unwrap()])
        };
        let mut tensors = vec![
            zeros("blk.0.attn_q.weight.lora_a", [256, 4]),
            zeros("blk.0.attn_q.weight.lora_b", [4, 256]),
            zeros("token_embd.weight.lora_a", [2, 768]),
            zeros("token_embd.weight.lora_b", [2, 256]),
        ];
        change(&mut metadata, &mut tensors);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adapter.gguf");
        write(&path, &metadata, &tensors).unwrap();
        Gguf::open(&path).unwrap()
    }

    fn refusals(change: impl FnOnce(&mut Metadata, &mut Vec<TensorData<'static>>)) -> String {
        let found = super::super::problems(&adapter(change));
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// The bundled model with an output matrix of its own.
    fn untied() -> Gguf {
        let mut base = Gguf::open(Path::new("models/tripos-tiny.gguf")).unwrap();
        let output = TensorInfo { name: "output.weight".into(), ..base.tensors[0].clone() };
        base.tensors.push(output);
        base
    }

    #[test]
    fn a_written_adapter_is_accepted_and_fits_its_base() {
        let adapter = adapter(|_, _| ());
        assert!(adapter.is_adapter());
        assert!(adapter.check().is_ok());
        assert!(adapter.check_fits(&untied()).is_ok());
    }

    #[test]
    fn refuses_to_change_an_embedding_that_is_the_output_too() {
        let base = Gguf::open(Path::new("models/tripos-tiny.gguf")).unwrap();
        let found = fits(&adapter(|_, _| ()), &base);
        insta::assert_snapshot!(found[0], @"tensor `token_embd.weight.lora_a` changes the embedding of a model that uses it for its output too");
        assert!(fits(&adapter(|_, tensors| tensors.truncate(2)), &base).is_empty());
    }

    #[test]
    fn refuses_halves_and_strangers() {
        insta::assert_snapshot!(refusals(|_, t| { t.remove(1); }), @"tensor `blk.0.attn_q.weight.lora_b` is missing");
        insta::assert_snapshot!(refusals(|_, t| t.truncate(0)), @"tensor `<base>.lora_a` is missing");
        insta::assert_snapshot!(refusals(|_, t| t.push(TensorData::f32("head", &[1], &[0.0]))), @"tensor `head` is neither `.lora_a` nor `.lora_b`");
        insta::assert_snapshot!(refusals(|_, t| t[1].dims = vec![8, 128]), @"tensor `blk.0.attn_q.weight.lora_a` has the shape [256, 4], which does not fit [8, 128] of its `.lora_b`");
        insta::assert_snapshot!(refusals(|_, t| t[2].dims = vec![4, 384]), @"tensor `token_embd.weight.lora_a` has the shape [4, 384], which does not fit [2, 256] of its `.lora_b`");
        assert_eq!(refusals(|_, t| t.push(TensorData::f32("blk.0.attn_norm.weight", &[1], &[0.0]))), "");
    }

    #[test]
    fn refuses_metadata_that_llama_cpp_asserts() {
        insta::assert_snapshot!(refusals(|m, _| { m.set("adapter.type", Value::U32(1)); }), @"metadata `adapter.type` has type u32; llama.cpp expects str");
        insta::assert_snapshot!(refusals(|m, _| { m.set("adapter.type", "dora".into()); }), @"metadata `adapter.type` is `dora`; llama.cpp knows `lora` only");
        insta::assert_snapshot!(refusals(|m, _| { m.set("adapter.lora.alpha", Value::F64(8.0)); }), @"metadata `adapter.lora.alpha` has type f64; llama.cpp expects f32");
        insta::assert_snapshot!(refusals(|m, _| { m.set("adapter.lora.alpha", Value::F32(f32::INFINITY)); }), @"metadata `adapter.lora.alpha` is inf, not a number to compute with");
        insta::assert_snapshot!(refusals(|m, _| { m.remove("adapter.type"); }), @"the metadata lacks `adapter.type` (a text)");
    }

    #[test]
    fn an_adapter_knows_the_model_that_it_was_trained_on() {
        let base = untied();
        let trained = adapter(|m, _| {
            m.set("tripos.base.sha256", "0123456789abcdef".repeat(4).as_str().into());
            m.set("tripos.base.file", "tiny.gguf".into());
        });
        assert!(trained.check_trained_on(&base, &"0123456789abcdef".repeat(4)).is_ok());
        let other = trained.check_trained_on(&base, &"f".repeat(64)).unwrap_err().to_string();
        let name = trained.path().display().to_string();
        insta::assert_snapshot!(other.replace(&name, "ADAPTER"), @r"
        error: this adapter was trained on tiny.gguf (SHA-256 0123456789ab…), not on models/tripos-tiny.gguf (ffffffffffff…)
          --> ADAPTER
          help: name the model that it was trained on, or train one on this model; a copy in another format is another model too: merge into the original, then quantize
        ");
        assert!(adapter(|_, _| ()).check_trained_on(&base, "").is_ok());
    }

    #[test]
    fn says_why_an_adapter_does_not_fit_a_model() {
        let base = untied();
        let why = |adapter: &Gguf| fits(adapter, &base).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(why(&adapter(|m, _| { m.set("general.architecture", "qwen2".into()); })), @"metadata `general.architecture` is `qwen2`, but the model's is `llama`");
        insta::assert_snapshot!(why(&adapter(|_, t| {
            t[0].name = "blk.9.attn_q.weight.lora_a".into();
            t[1].name = "blk.9.attn_q.weight.lora_b".into();
        })), @"tensor `blk.9.attn_q.weight.lora_a` changes a tensor that the model does not have");
        insta::assert_snapshot!(why(&adapter(|_, t| {
            t[0].name = "blk.0.attn_k.weight.lora_a".into();
            t[1].name = "blk.0.attn_k.weight.lora_b".into();
        })), @"tensor `blk.0.attn_k.weight.lora_a` changes a tensor of shape [256, 256]; the model's is [256, 128]");
    }
}
