//! The trainable decoder: what a GGUF file says, as a graph forward and back.
//!
//! A [`Decoder`] reads any GGUF of the families in [`architectures`] and offers two differentiable readings of a
//! [`Batch`]: the log-probability of each target token, and the outputs of a head at the last token of each document, or
//! of each of its branches.
//! What is learned from them is for the room `train`: it gives back how the loss moves with each reading, and the
//! gradients of all trained numbers follow.

mod batch;
mod builder;
mod config;
mod decoder;
mod description;
mod error;
pub mod export;
mod head;
mod layer;
mod lineage;
mod linear;
mod merge;
mod quantize;
mod readings;
mod rewrite;
mod saved;
mod settings;
mod storage;
mod update;
mod weights;

pub use batch::{Batch, Document, Shape};
pub use decoder::{Coefficients, Decoder, Estimate, Readings, estimate};
pub use description::{Ability, AdapterFacts, Description, Tokenizer, describe};
pub use error::ModelError;
pub use head::{Classifier, Head, RewardHead};
pub use lineage::Lineage;
pub use merge::{Merge, merge};
pub use quantize::quantize;
pub use rewrite::{FileError, Watch, Written};
pub use saved::{Parameter, Saved};
pub use settings::{LoraOn, LoraSettings, Precision, Settings, Trained};
pub use storage::{FormatShare, file_type};
pub use update::Update;

/// The values of `general.architecture` that can be trained. Mistral and SmolLM (1 and 2) files say `llama`.
#[must_use]
pub fn architectures() -> &'static [&'static str] {
    &["llama", "mistral3", "qwen2", "qwen3", "smollm3"]
}

#[cfg(test)]
mod tests;
