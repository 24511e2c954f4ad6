//! What of a model is trained, and how it is computed.

use super::batch::Shape;
use serde::{Deserialize, Serialize};

/// Which numbers training may change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trained {
    /// All of them, kept in f32 while they are trained.
    Full,
    /// Low-rank additions to some matrices; the model's own weights stay as they are, quantised ones too.
    Lora(LoraSettings),
}

/// A low-rank adapter (Hu 2021, 2106.09685): `W x + alpha / rank · B (A x)`.
///
/// A begins random (uniform within ±1/√in, as PEFT does), B as zeros, so that training begins at the model as it is.
///
/// ```
/// use tripos::model::{LoraOn, LoraSettings};
/// let lora = LoraSettings::default();
/// assert_eq!((lora.rank, lora.alpha, lora.on), (16, 32.0, LoraOn::All));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraSettings {
    /// Rows of A, columns of B; 1 or more.
    pub rank: usize,
    /// What the product is scaled by, times the rank.
    pub alpha: f32,
    /// The share of A's inputs that is dropped while training, 0 to below 1; the others are scaled up by 1 / (1 − share).
    pub dropout: f32,
    /// The matrices that get one.
    pub on: LoraOn,
}

impl Default for LoraSettings {
    fn default() -> Self {
        Self { rank: 16, alpha: 32.0, dropout: 0.05, on: LoraOn::All }
    }
}

/// The matrices that get an adapter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraOn {
    /// Every matrix inside the layers.
    #[default]
    All,
    /// Queries, keys, values, and the output of attention.
    Attention,
    /// The feed-forward's three.
    Mlp,
}

/// What the large products are computed from; they are summed in f32 either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 16-bit numbers with the range of f32: the default. Products run on the GPU, where ggml finds one.
    #[default]
    Bf16,
    /// 32-bit numbers: slower, for checks. The CPU computes alone: GPUs round them on the way.
    F32,
    /// The weights as the file has them, multiplied as llama.cpp does, which rounds activations to 8 bits where weights are
    /// quantised. To be held against it; no recipe can name it.
    #[serde(skip)]
    Stored,
}

/// How a decoder is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What is trained.
    pub trained: Trained,
    /// What products are computed from.
    pub precision: Precision,
    /// The largest micro-batch.
    pub shape: Shape,
    /// Outputs of a head on the states where it is read; 0 for none.
    pub outputs: usize,
    /// Compute the inside of a layer again when its gradient is wanted, rather than keep it: less memory, a third more
    /// time.
    pub recompute: bool,
    /// How many threads compute.
    pub threads: usize,
    /// What adapters and heads begin with.
    pub seed: u64,
}
