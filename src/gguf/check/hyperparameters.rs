//! The numbers that shape a model (`llama_model_base::load_hparams`, and what the graphs assert of them).

use super::Checker;
use crate::gguf::architecture::Family;
use crate::gguf::{Array, Value};

/// `LLAMA_MAX_LAYERS`, asserted.
const MAX_LAYERS: u32 = 512;
/// `LLAMA_MAX_EXPERTS`, asserted.
const MAX_EXPERTS: u32 = 1024;
/// Longer contexts than any model has (10 million at the time of writing).
const MAX_CONTEXT: u32 = 1 << 27;
/// Wider than any model is.
const MAX_WIDTH: u32 = 1 << 20;

/// What the tensors of a llama-like model are measured against.
pub(super) struct Shape {
    /// Width of the residual stream.
    pub(super) embedding: u64,
    pub(super) blocks: u32,
    pub(super) feed_forward: u64,
    /// Width of all queries together.
    pub(super) queries: u64,
    /// Width of all keys, or values, together.
    pub(super) keys: u64,
    pub(super) experts: u32,
}

/// Checks the hyperparameters; the shape is given for a llama-like model whose numbers are whole.
pub(super) fn check(checker: &mut Checker<'_>, family: Family) -> Option<Shape> {
    checker.text("general.name");
    checker.u32("general.file_type");
    finite(checker);
    ranges(checker);
    let context = checker.required_u32(&checker.key("context_length"), MAX_CONTEXT);
    let embedding = checker.required_u32(&checker.key("embedding_length"), MAX_WIDTH);
    let blocks = checker.required_u32(&checker.key("block_count"), MAX_LAYERS);
    let (Some(_), Some(embedding), Some(blocks)) = (context, embedding, blocks) else { return None };
    let next = checker.key("nextn_predict_layers");
    if let Some(n) = checker.u32(&next).filter(|n| *n > blocks) {
        checker.field(&next, format!("is {n}, more than the {blocks} layers"));
    }
    let experts = experts(checker, blocks);
    let feed_forward = per_layer(checker, "feed_forward_length", blocks, family == Family::LlamaLike);
    let heads = heads(checker, family, blocks, embedding);
    if family != Family::LlamaLike {
        return None;
    }
    let feed_forward = same_in_every_layer(checker, "feed_forward_length", &feed_forward?)?.into();
    let (queries, keys) = llama_like(checker, embedding, &heads?)?;
    Some(Shape { embedding: embedding.into(), blocks, feed_forward, queries, keys, experts })
}

/// No hyperparameter is infinite or NaN: ggml asserts some (`eps >= 0`) and computes nonsense with the others.
fn finite(checker: &mut Checker<'_>) {
    let prefix = checker.key("");
    for (key, value) in checker.gguf.metadata().iter().filter(|(key, _)| key.starts_with(&prefix)) {
        if let Value::F32(x) = value
            && !x.is_finite()
        {
            checker.field(key, format!("is {x}, not a number to compute with"));
        }
    }
}

/// Values with a range of their own.
fn ranges(checker: &mut Checker<'_>) {
    for name in ["attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon", "attention.group_norm_epsilon"] {
        let key = checker.key(name);
        if let Some(x) = checker.f32(&key).filter(|x| *x < 0.0) {
            checker.field(&key, format!("is {x}; it cannot be negative"));
        }
    }
    for name in ["rope.freq_base", "rope.freq_base_swa"] {
        let key = checker.key(name);
        if let Some(x) = checker.f32(&key).filter(|x| *x <= 0.0) {
            checker.field(&key, format!("is {x}; it must be above 0"));
        }
    }
    for name in ["rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor"] {
        checker.f32(&checker.key(name));
    }
    for name in ["rope.scaling.original_context_length", "vocab_size"] {
        checker.u32(&checker.key(name));
    }
    checker.bool(&checker.key("rope.scaling.finetuned"));
    let key = checker.key("rope.scaling.type");
    if let Some(kind) = checker.text(&key).filter(|kind| !["none", "linear", "yarn", "longrope"].contains(kind)) {
        checker.field(&key, format!("is `{kind}`, not one of none, linear, yarn, longrope"));
    }
    for name in ["pooling_type", "classifier.pooling_type"] {
        let key = checker.key(name);
        if let Some(n) = checker.u32(&key).filter(|n| *n > 4) {
            checker.field(&key, format!("is {n}, outside 0 to 4"));
        }
    }
    let key = checker.key("attention.causal");
    if checker.bool(&key) == Some(false) {
        checker.field(&key, "is false: the model does not read from left to right");
    }
}

/// Mixture-of-experts counts, as `load_hparams` asserts them. Returns the number of experts.
fn experts(checker: &mut Checker<'_>, blocks: u32) -> u32 {
    let (count_key, used_key) = (checker.key("expert_count"), checker.key("expert_used_count"));
    let mut count = checker.u32(&count_key).unwrap_or(0);
    let used = per_layer(checker, "expert_used_count", blocks, false).unwrap_or_default();
    let mut used = used.into_iter().max().unwrap_or(0);
    if checker.arch.starts_with("hunyuan") && checker.arch != "hunyuan-moe" && count <= 1 {
        (count, used) = (0, 0);
    }
    let groups_key = checker.key("expert_group_count");
    let groups = checker.u32(&groups_key).unwrap_or(0);
    let group_used = checker.u32(&checker.key("expert_group_used_count")).unwrap_or(0);
    if count > MAX_EXPERTS {
        checker.field(&count_key, format!("is {count}; llama.cpp allows {MAX_EXPERTS}"));
    } else if used > count || (count > 0 && used == 0) {
        checker.field(&used_key, format!("is {used}, and there are {count} experts"));
    } else if groups >= count.max(1) || (groups > 1 && !count.is_multiple_of(groups)) {
        checker.field(&groups_key, format!("is {groups}, which does not divide {count} experts"));
    } else if groups > 1 && !(1..groups).contains(&group_used) {
        checker.field(&checker.key("expert_group_used_count"), format!("is {group_used} of {groups} groups"));
    }
    count
}

/// A number for each layer: one `u32` for all, or an array of as many as there are layers.
fn per_layer(checker: &mut Checker<'_>, name: &str, blocks: u32, required: bool) -> Option<Vec<u32>> {
    let key = checker.key(name);
    let layers = usize::try_from(blocks).ok()?;
    match checker.get(&key) {
        None if required => {
            checker.missing(&key, "a u32");
            None
        }
        None => Some(Vec::new()),
        Some(Value::U32(n)) => Some(vec![*n; layers]),
        Some(Value::Array(array)) if array.len() != layers => {
            checker.field(&key, format!("has {} elements for {blocks} layers", array.len()));
            None
        }
        Some(Value::Array(Array::U32(all))) => Some(all.clone()),
        Some(Value::Array(Array::I32(all))) => {
            let all: Option<Vec<u32>> = all.iter().map(|n| u32::try_from(*n).ok()).collect();
            if all.is_none() {
                checker.field(&key, "has negative elements");
            }
            all
        }
        Some(other) => {
            checker.wrong_type(&key, other, "u32 or an array of them");
            None
        }
    }
}

/// One number for all layers: llama.cpp lays the tensors of the llama-like out by that of the first layer.
fn same_in_every_layer(checker: &mut Checker<'_>, name: &str, layers: &[u32]) -> Option<u32> {
    let first = layers.first().copied()?;
    let key = checker.key(name);
    if first == 0 {
        checker.field(&key, "is 0");
        return None;
    }
    if layers.iter().any(|n| *n != first) {
        checker.field(&key, format!("differs between layers, which `{}` cannot have", checker.arch));
        return None;
    }
    Some(first)
}

/// Heads of queries and of keys and values, by layer, and the size of a head.
struct Heads {
    queries: Vec<u32>,
    keys: Vec<u32>,
    key_size: u32,
    value_size: u32,
    rotated: u32,
}

fn heads(checker: &mut Checker<'_>, family: Family, blocks: u32, embedding: u32) -> Option<Heads> {
    let required = family != Family::Recurrent;
    let queries = per_layer(checker, "attention.head_count", blocks, required)?;
    let key = checker.key("attention.head_count");
    let Some(most) = queries.iter().copied().max().filter(|most| *most > 0) else {
        if required {
            checker.field(&key, "is 0");
        }
        return None;
    };
    if most > embedding {
        checker.field(&key, format!("is {most}, more than the {embedding} dimensions"));
        return None;
    }
    let mut keys = per_layer(checker, "attention.head_count_kv", blocks, false)?;
    if keys.is_empty() {
        keys.clone_from(&queries);
    }
    if let Some((q, k)) = queries.iter().zip(&keys).find(|(q, k)| **k > 0 && !q.is_multiple_of(**k)) {
        checker.field(&checker.key("attention.head_count_kv"), format!("is {k}, which does not divide the {q} heads"));
        return None;
    }
    let size = embedding / queries.first().copied().filter(|n| *n > 0).unwrap_or(most);
    let mut sized = |name: &str, default: u32| {
        let key = checker.key(name);
        match checker.get(&key).is_some().then(|| checker.u32(&key)) {
            None => Some(default),
            Some(n) => n.filter(|n| {
                let fits = (1..=MAX_WIDTH).contains(n);
                if !fits {
                    checker.field(&key, format!("is {n}, outside 1 to {MAX_WIDTH}"));
                }
                fits
            }),
        }
    };
    let (key_size, value_size) = (sized("attention.key_length", size)?, sized("attention.value_length", size)?);
    let rotated = rotated(checker, key_size)?;
    Some(Heads { queries, keys, key_size, value_size, rotated })
}

/// Dimensions of a head that are rotated: ggml turns pairs, and asserts that they lie in the head. 0 is no rotation.
fn rotated(checker: &mut Checker<'_>, key_size: u32) -> Option<u32> {
    let key = checker.key("rope.dimension_count");
    if checker.get(&key).is_none() {
        return Some(key_size);
    }
    let n = checker.u32(&key)?;
    if n > key_size || !n.is_multiple_of(2) {
        checker.field(&key, format!("is {n}; it must be even and at most the {key_size} dimensions of a head"));
        return None;
    }
    Some(n)
}

/// What the graphs of the llama-like assert. Returns the widths of queries and keys.
fn llama_like(checker: &mut Checker<'_>, embedding: u32, heads: &Heads) -> Option<(u64, u64)> {
    if checker.get(&checker.key("attention.layer_norm_rms_epsilon")).is_none() {
        checker.missing(&checker.key("attention.layer_norm_rms_epsilon"), "an f32");
    }
    let queries = same_in_every_layer(checker, "attention.head_count", &heads.queries)?;
    let keys = same_in_every_layer(checker, "attention.head_count_kv", &heads.keys)?;
    let size = heads.key_size;
    if heads.value_size != size {
        let fault = format!("is {}, but keys have {size} dimensions", heads.value_size);
        checker.field(&checker.key("attention.value_length"), fault);
        return None;
    }
    if heads.rotated != size || !size.is_multiple_of(2) {
        let fault =
            format!("is {}, but a head has {size} dimensions, which must be even and all rotated", heads.rotated);
        checker.field(&checker.key("rope.dimension_count"), fault);
        return None;
    }
    let width = u64::from(queries) * u64::from(size);
    if checker.arch == "qwen2" && width != u64::from(embedding) {
        let fault = format!("is {queries}, and {queries} heads of {size} dimensions are not {embedding}");
        checker.field(&checker.key("attention.head_count"), fault);
        return None;
    }
    Some((width, u64::from(keys) * u64::from(size)))
}

#[cfg(test)]
mod tests {
    use crate::gguf::check::refusals;
    use crate::gguf::{Array, Value};

    /// The first refusal with `llama.<name>` set so.
    fn with(name: &str, value: Value) -> String {
        let all = refusals(|gguf| {
            gguf.metadata.set(format!("llama.{name}"), value);
        });
        all.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn refuses_what_llama_cpp_asserts() {
        insta::assert_snapshot!(with("block_count", Value::U32(0)), @"metadata `llama.block_count` is 0, outside 1 to 512");
        insta::assert_snapshot!(with("block_count", Value::U32(513)), @"metadata `llama.block_count` is 513, outside 1 to 512");
        insta::assert_snapshot!(with("nextn_predict_layers", Value::U32(5)), @"metadata `llama.nextn_predict_layers` is 5, more than the 4 layers");
        insta::assert_snapshot!(with("rope.scaling.type", "cubic".into()), @"metadata `llama.rope.scaling.type` is `cubic`, not one of none, linear, yarn, longrope");
        insta::assert_snapshot!(with("attention.layer_norm_rms_epsilon", Value::F32(-1e-5)), @"metadata `llama.attention.layer_norm_rms_epsilon` is -0.00001; it cannot be negative");
        insta::assert_snapshot!(with("attention.layer_norm_rms_epsilon", Value::F32(f32::NAN)), @"metadata `llama.attention.layer_norm_rms_epsilon` is NaN, not a number to compute with");
        insta::assert_snapshot!(with("attention.causal", Value::Bool(false)), @"metadata `llama.attention.causal` is false: the model does not read from left to right");
        insta::assert_snapshot!(with("pooling_type", Value::U32(5)), @"metadata `llama.pooling_type` is 5, outside 0 to 4");
    }

    #[test]
    fn refuses_experts_that_do_not_add_up() {
        insta::assert_snapshot!(with("expert_count", Value::U32(1025)), @"metadata `llama.expert_count` is 1025; llama.cpp allows 1024");
        insta::assert_snapshot!(with("expert_count", Value::U32(8)), @"metadata `llama.expert_used_count` is 0, and there are 8 experts");
        insta::assert_snapshot!(with("expert_used_count", Value::U32(2)), @"metadata `llama.expert_used_count` is 2, and there are 0 experts");
        insta::assert_snapshot!(with("expert_group_count", Value::U32(2)), @"metadata `llama.expert_group_count` is 2, which does not divide 0 experts");
        let groups = |groups, used| {
            refusals(|gguf| {
                for (name, n) in [
                    ("expert_count", 8),
                    ("expert_used_count", 2),
                    ("expert_group_count", groups),
                    ("expert_group_used_count", used),
                ] {
                    gguf.metadata.set(format!("llama.{name}"), Value::U32(n));
                }
            })
        };
        insta::assert_snapshot!(groups(3, 1).lines().next().unwrap(), @"metadata `llama.expert_group_count` is 3, which does not divide 8 experts");
        insta::assert_snapshot!(groups(4, 4).lines().next().unwrap(), @"metadata `llama.expert_group_used_count` is 4 of 4 groups");
        assert!(!groups(4, 2).contains("expert_"));
    }

    #[test]
    fn refuses_heads_that_do_not_divide_or_rotate() {
        insta::assert_snapshot!(with("attention.head_count", Value::U32(0)), @"metadata `llama.attention.head_count` is 0");
        insta::assert_snapshot!(with("attention.head_count", Value::U32(257)), @"metadata `llama.attention.head_count` is 257, more than the 256 dimensions");
        insta::assert_snapshot!(with("attention.head_count_kv", Value::U32(3)), @"metadata `llama.attention.head_count_kv` is 3, which does not divide the 8 heads");
        insta::assert_snapshot!(with("attention.head_count_kv", Value::U32(0)), @"metadata `llama.attention.head_count_kv` is 0");
        insta::assert_snapshot!(with("attention.head_count", Value::Array(Array::U32(vec![8; 3]))), @"metadata `llama.attention.head_count` has 3 elements for 4 layers");
        insta::assert_snapshot!(with("attention.head_count", Value::Array(Array::I32(vec![8, 4, 8, 8]))), @"metadata `llama.attention.head_count` differs between layers, which `llama` cannot have");
        insta::assert_snapshot!(with("attention.value_length", Value::U32(16)), @"metadata `llama.attention.value_length` is 16, but keys have 32 dimensions");
        insta::assert_snapshot!(with("rope.dimension_count", Value::U32(31)), @"metadata `llama.rope.dimension_count` is 31; it must be even and at most the 32 dimensions of a head");
        insta::assert_snapshot!(with("rope.dimension_count", Value::U32(16)), @"metadata `llama.rope.dimension_count` is 16, but a head has 32 dimensions, which must be even and all rotated");
        assert_eq!(with("attention.head_count", Value::Array(Array::I32(vec![8; 4]))), "");
    }

    #[test]
    fn refuses_a_number_of_another_width_and_one_that_is_absent() {
        insta::assert_snapshot!(with("context_length", Value::U64(512)), @"metadata `llama.context_length` has type u64; llama.cpp expects u32");
        insta::assert_snapshot!(with("context_length", Value::U32(u32::MAX)), @"metadata `llama.context_length` is 4294967295, outside 1 to 134217728");
        insta::assert_snapshot!(with("feed_forward_length", "704".into()), @"metadata `llama.feed_forward_length` has type str; llama.cpp expects u32 or an array of them");
        for name in ["context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"]
        {
            let key = format!("llama.{name}");
            assert!(
                refusals(|gguf| {
                    gguf.metadata.remove(&key);
                })
                .contains(&format!("the metadata lacks `{key}`"))
            );
        }
    }
}
