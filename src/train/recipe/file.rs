//! What users write: the YAML of a recipe, field for field. Paths are as written and nothing is filled in; `load` turns
//! this into a [`super::Recipe`].

use super::nothing::TokenizerEntry;
use super::practice::PracticeEntry;
use super::shape::{AskEntry, ExamplesEntry, Sources, TrainEntry};
use super::{Shape, TooLong};
use crate::engine::Render;
use crate::model::Precision;
use crate::suite::{FileName, Generate, Vars};
use crate::train::clean::Rules;
use crate::train::pretrain::ArchitectureEntry;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A whole recipe as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipeFile {
    pub recipe: String,
    pub description: Option<String>,
    pub kind: String,
    pub model: Option<FileName>,
    pub depth: Option<usize>,
    pub architecture: Option<ArchitectureEntry>,
    pub tokenizer: Option<TokenizerEntry>,
    pub licence: Option<String>,
    pub clean: Option<Rules>,
    #[serde(default)]
    pub leaks: Vec<String>,
    pub data: Option<Sources>,
    pub practice: Option<PracticeEntry>,
    pub held_out: Option<HeldOutEntry>,
    pub train: Option<TrainEntry>,
    pub sequence: Option<usize>,
    pub batch: Option<usize>,
    pub micro_batch: Option<usize>,
    pub steps: Option<u64>,
    pub epochs: Option<f64>,
    pub tokens: Option<u64>,
    #[serde(default)]
    pub schedule: ScheduleEntry,
    #[serde(default)]
    pub optimiser: OptimiserEntry,
    #[serde(default)]
    pub precision: Precision,
    #[serde(default)]
    pub recompute: bool,
    pub too_long: Option<TooLong>,
    #[serde(default)]
    pub evaluate: EvaluateEntry,
    #[serde(default)]
    pub checkpoint: CheckpointEntry,
    pub suite: Option<String>,
    pub output: Option<String>,
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub labels: Vec<LabelEntry>,
    pub render: Option<Render>,
    pub centring: Option<f64>,
    pub beta: Option<f64>,
    pub language: Option<f64>,
    #[serde(default)]
    pub template_vars: Vars,
    pub date: Option<String>,
}

/// A label, which may look like a number.
pub(super) type LabelEntry = serde_json::Value;

/// `held_out:` as written: exactly one of its fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeldOutEntry {
    pub share: Option<f64>,
    pub data: Option<Sources>,
}

/// `schedule:` as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleEntry {
    pub lr: Option<f64>,
    pub warmup: Option<f64>,
    #[serde(default)]
    pub shape: Shape,
    pub r#final: Option<f64>,
    pub warmdown: Option<f64>,
}

/// `optimiser:` as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptimiserEntry {
    pub betas: Option<Vec<f64>>,
    pub eps: Option<f64>,
    pub weight_decay: Option<f64>,
    pub clip: Option<f64>,
}

/// `evaluate:` as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvaluateEntry {
    pub every: Option<u64>,
    pub patience: Option<u64>,
    #[serde(default)]
    pub prompts: Vec<AskEntry>,
    pub max_tokens: Option<u32>,
}

/// `checkpoint:` as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointEntry {
    pub every: Option<u64>,
    pub keep: Option<usize>,
}

/// One source of data as written: one of `file`, `generate` and `run`, and what belongs to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceEntry {
    pub file: Option<String>,
    pub generate: Option<Generate>,
    pub run: Option<String>,
    /// What a row's parts are called here, to what its columns are called there.
    pub columns: Option<BTreeMap<String, String>>,
    pub limit: Option<usize>,
    pub prompt: Option<String>,
    pub completion: Option<String>,
    pub chosen: Option<String>,
    pub rejected: Option<String>,
    pub axis: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    pub text: Option<String>,
    pub examples: Option<ExamplesEntry>,
    pub variant: Option<String>,
    pub scorer: Option<String>,
}
