//! The shape of a decoder, read from a GGUF file's header.

use super::architectures;
use super::error::ModelError;
use crate::error::Place;
use crate::ggml::Rope;
use crate::gguf::Gguf;

/// The numbers that the graph is built from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    /// Width of the residual stream.
    pub(super) width: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// Width of one head.
    pub(super) head: usize,
    pub(super) vocabulary: usize,
    /// ε of the norms.
    pub(super) eps: f32,
    pub(super) rope: Rope,
    /// Every so many layers, one does without rotation (SmolLM3); 0 for never.
    pub(super) no_rope_every: usize,
}

/// Keys, under the architecture's prefix, of what llama.cpp computes and the graph here does not.
const UNSUPPORTED: [(&str, &str); 5] = [
    ("expert_count", "it is a mixture of experts"),
    ("attention.scale", "its attention has a scale of its own"),
    ("attention.temperature_scale", "its attention is scaled by position"),
    ("nextn_predict_layers", "it predicts several tokens at once"),
    ("rope.scaling.yarn_log_multiplier", "its rotation has a multiplier of its own"),
];

impl Config {
    /// Reads and checks a header. Errors name the architecture or feature that cannot be trained.
    pub(super) fn read(gguf: &Gguf) -> Result<Self, ModelError> {
        let place = Place::file(gguf.path());
        let architecture = gguf.architecture().unwrap_or("unknown").to_owned();
        if gguf.is_adapter() || !architectures().contains(&architecture.as_str()) {
            let name = if gguf.is_adapter() { "adapter".to_owned() } else { architecture };
            return Err(ModelError::Architecture { name, place });
        }
        let set = |key: &str| {
            let key = format!("{architecture}.{key}");
            gguf.metadata().u64(&key).is_some_and(|n| n > 0) || gguf.metadata().f32(&key).is_some_and(|x| x != 0.0)
        };
        if let Some((_, what)) = UNSUPPORTED.iter().find(|(key, _)| set(key)) {
            return Err(ModelError::Unsupported { what: (*what).to_owned(), place });
        }
        let number = |key: &str| gguf.hyperparameter(key).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let needed = |key: &str| {
            let what = || format!("the metadata lacks `{architecture}.{key}`");
            number(key).ok_or_else(|| ModelError::Broken { what: what(), place: Place::file(gguf.path()) })
        };
        let (width, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
        let head = number("attention.key_length").unwrap_or(width / heads);
        let eps = gguf.metadata().f32(&format!("{architecture}.attention.layer_norm_rms_epsilon"));
        let embedding = gguf.tensor("token_embd.weight").and_then(|tensor| tensor.dims.get(1).copied());
        let vocabulary = embedding.and_then(|n| usize::try_from(n).ok());
        let broken = |what: &str| ModelError::Broken { what: what.to_owned(), place: Place::file(gguf.path()) };
        Ok(Self {
            width,
            layers: needed("block_count")?,
            heads,
            kv_heads: number("attention.head_count_kv").unwrap_or(heads),
            head,
            vocabulary: vocabulary.ok_or_else(|| broken("the tensor `token_embd.weight` is missing"))?,
            eps: eps.ok_or_else(|| broken("the metadata lacks the ε of its norms"))?,
            rope: rope(gguf, &architecture, head)?,
            no_rope_every: if architecture == "smollm3" { 4 } else { 0 },
        })
    }

    /// Whether a layer turns its queries and keys.
    pub(super) fn turns(&self, layer: usize) -> bool {
        self.no_rope_every == 0 || !(layer + 1).is_multiple_of(self.no_rope_every)
    }
}

/// The rotation, as llama.cpp reads it (`llama-model.cpp`, `llama-context.cpp`): positions are scaled unless the type is
/// `none`, and YaRN mixes two ways of it.
fn rope(gguf: &Gguf, architecture: &str, head: usize) -> Result<Rope, ModelError> {
    let key = |name: &str| format!("{architecture}.rope.{name}");
    let float = |name: &str| gguf.metadata().f32(&key(name));
    let whole = |key: &str| gguf.hyperparameter(key).and_then(|n| usize::try_from(n).ok());
    let scaling = gguf.metadata().text(&key("scaling.type")).unwrap_or("linear");
    if !["none", "linear", "yarn"].contains(&scaling) {
        let what = format!("its rotation is scaled by `{scaling}`");
        return Err(ModelError::Unsupported { what, place: Place::file(gguf.path()) });
    }
    let factor = float("scaling.factor").or_else(|| float("scale_linear")).filter(|factor| *factor != 0.0);
    let scale = if scaling == "none" { 1.0 } else { 1.0 / factor.unwrap_or(1.0) };
    let (yarn, stretch) = (scaling == "yarn", 1.0 / scale);
    // ggml multiplies by 1 + 0.1 ln(1 / scale) when it extrapolates; llama.cpp divides by it first, having multiplied by
    // the same where the stretch is above 1.
    let attention = if yarn && stretch <= 1.0 { 1.0 / (1.0 + 0.1 * stretch.ln()) } else { 1.0 };
    Ok(Rope {
        dims: whole("rope.dimension_count").filter(|dims| *dims > 0).unwrap_or(head),
        halves: architecture.starts_with("qwen"),
        original_context: whole("rope.scaling.original_context_length").or(whole("context_length")).unwrap_or(0),
        base: float("freq_base").unwrap_or(10_000.0),
        scale,
        extrapolation: if yarn { 1.0 } else { 0.0 },
        attention: attention * float("scaling.attn_factor").unwrap_or(1.0),
        betas: (float("scaling.yarn_beta_fast").unwrap_or(32.0), float("scaling.yarn_beta_slow").unwrap_or(1.0)),
    })
}
