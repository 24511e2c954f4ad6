//! Every setting of a training run: its `header.json`.

use super::judging::JudgingRecord;
use crate::store::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that a training run was made with, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingHeader {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// The run's id: the folder's name.
    pub run: String,
    /// How far it has come.
    pub status: Status,
    /// Tripos' version.
    pub tripos: String,
    /// Build of llama.cpp's kernels.
    pub llama_cpp: String,
    /// Instruction sets and back ends in use.
    pub features: Vec<String>,
    /// Name of the recipe.
    pub recipe_name: String,
    /// The recipe's file, from the root.
    pub recipe_path: PathBuf,
    /// The recipe, whole and resolved.
    pub recipe: Value,
    /// What tells one recipe from another.
    pub recipe_sha256: String,
    /// The flags that shape the run.
    pub flags: BTreeMap<String, Value>,
    /// The model that is taught.
    pub base: FileRecord,
    /// What it is taught with.
    pub material: Material,
    /// Names of the labels, where a head learns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Weights of the model.
    pub parameters: u64,
    /// Weights that are trained.
    pub trained: u64,
    /// Steps planned.
    pub steps: u64,
    /// How far trainer and engine lie apart, measured before the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<ParityRecord>,
    /// What it was expected to need of memory, and what there was.
    pub memory: MemoryRecord,
    /// One for each time the run was worked on.
    pub segments: Vec<TrainingSegment>,
    /// When it began (RFC 3339, UTC).
    pub started: String,
    /// When it ended; absent while it is under way or when it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// The evaluation with the smallest held-out loss so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<BestRecord>,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// A file by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Where it was.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
}

/// The documents of a training run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// Where they are from.
    pub sources: Vec<SourceRecord>,
    /// Documents that are learned from.
    pub documents: usize,
    /// Their tokens.
    pub tokens: u64,
    /// Of those, the tokens that count in the loss.
    pub targets: u64,
    /// Rows into which they are packed.
    pub rows: usize,
    /// Documents held out.
    pub held_out_documents: usize,
    /// Their tokens.
    pub held_out_tokens: u64,
    /// Rows into which they are packed.
    pub held_out_rows: usize,
    /// SHA-256 over all documents that are learned from, in hex.
    pub sha256: String,
    /// The same over those held out.
    pub held_out_sha256: String,
    /// SHA-256 of each model that judges what is said, where a policy practises.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<String>,
}

/// One source of documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Its file, its run or the suite that was practised, from the root; or `generate`.
    pub name: String,
    /// SHA-256 of the file, of the samples of the run, or of all that the suite asks ([`crate::store::suite_sha256`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Rows that were read.
    pub rows: usize,
    /// Documents that they became.
    pub documents: usize,
    /// Tokens of those.
    pub tokens: u64,
    /// Of those, the tokens that are learned.
    pub targets: u64,
    /// Documents that lost their end because they are longer than a row.
    pub cut: usize,
    /// Documents that were left out.
    pub dropped: usize,
}

/// The trainer's log-probabilities against the engine's, on documents of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParityRecord {
    /// Tokens compared.
    pub tokens: usize,
    /// Mean |Δ log p| with the trainer in f32, which rounds as the engine does where weights are quantised.
    pub f32: f64,
    /// The most that is allowed of it.
    pub f32_limit: f64,
    /// Mean |Δ log p| with the trainer in bf16, where the recipe trains so: to the engine, or to the trainer in f32 where
    /// weights are quantised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bf16: Option<f64>,
    /// The most that is allowed of it.
    pub bf16_limit: f64,
    /// Mean |Δ log p| that the engine's rounding of activations makes, where weights are quantised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<f64>,
}

/// Bytes of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRecord {
    /// Expected before the start.
    pub estimated: u64,
    /// Available before the start; absent where the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<u64>,
    /// Held by the trainer once it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
}

/// One sitting of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingSegment {
    /// When it began (RFC 3339, UTC).
    pub started: String,
    /// When it ended; absent while it is under way or when it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// The step from which it went on; 0 is the beginning.
    pub from_step: u64,
    /// The peak of the learning rate.
    pub lr: f64,
    /// Versions of Tripos and of llama.cpp that worked on it.
    pub build: String,
    /// Threads that computed.
    pub threads: usize,
}

/// An evaluation to remember.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestRecord {
    /// The step behind which it was made.
    pub step: u64,
    /// Its held-out loss.
    pub loss: f64,
}

/// Why a training run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Every step planned was made.
    Steps,
    /// The held-out loss had not improved for as many evaluations as the recipe waits.
    Patience,
    /// No answer of a policy was worth more than another any more.
    Level,
}

/// What a complete training run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Why it ended.
    pub stop: Stop,
    /// Steps made.
    pub steps: u64,
    /// The step whose weights were exported.
    pub exported_step: u64,
    /// The trained GGUF, in the run's folder.
    pub output: FileRecord,
    /// Where it was copied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_to: Option<PathBuf>,
    /// What it is worth, where it is a reward model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judging: Option<JudgingRecord>,
    /// The runs of the recipe's suite, from the run's folder: of the base, then of the trained model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suite_runs: Vec<PathBuf>,
}

impl TrainingHeader {
    /// The program that made the run, as segments name it.
    #[must_use]
    pub fn build(&self) -> String {
        format!("tripos {}, {}", self.tripos, self.llama_cpp)
    }

    /// The peak of the learning rate by now: that of the last sitting.
    #[must_use]
    pub fn lr(&self) -> Option<f64> {
        self.segments.last().map(|segment| segment.lr)
    }
}
