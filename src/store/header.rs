//! Every setting of a run: `header.json`.

use super::{CaseRecord, Trial};
use crate::engine::ModelFacts;
use crate::suite::{Case, ScorerKind, ScorerSpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Under way, or killed.
    Started,
    /// Every trial is recorded.
    Complete,
    /// Ended by the user.
    Interrupted,
    /// Ended by an error.
    Failed,
}

/// Everything that a run was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
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
    /// Name of the suite.
    pub suite_name: String,
    /// The suite's file, from the root.
    pub suite_path: PathBuf,
    /// The suite, resolved: variants with their prompts' text, sampling, scorers, rules.
    pub suite: Value,
    /// What the values of each scorer are, groups last.
    pub scorers: Vec<ScorerRecord>,
    /// The cases that were chosen.
    pub cases: CaseSet,
    /// The few-shot pool.
    pub examples: CaseSet,
    /// The model of each variant.
    pub models: BTreeMap<String, ModelRecord>,
    /// The flags that shape the plan.
    pub flags: BTreeMap<String, Value>,
    /// Seed of every draw that no suite names.
    pub seed: u64,
    /// Leading parts that prompts share, by id; samples name them.
    pub prefixes: BTreeMap<String, String>,
    /// Trials planned.
    pub trials: usize,
    /// One for each time the run was worked on.
    pub segments: Vec<Segment>,
}

/// A scorer's name and what its values are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "values")]
pub enum ScorerRecord {
    /// Right or wrong.
    Pass {
        /// The scorer's name.
        name: String,
    },
    /// A number, higher is better.
    Number {
        /// The scorer's name.
        name: String,
    },
    /// One of a closed set.
    Labels {
        /// The scorer's name.
        name: String,
        /// The set, sorted.
        labels: Vec<String>,
        /// They are found by likelihood, and so have probabilities.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_likelihood: bool,
    },
    /// Right or wrong by likelihood, with other readings and probabilities.
    Choice {
        /// The scorer's name.
        name: String,
    },
    /// Log-probabilities of texts, with their tokens and bytes; lower is better.
    Perplexity {
        /// The scorer's name.
        name: String,
    },
    /// What another model's verdict is worth.
    Judge {
        /// The scorer's name.
        name: String,
    },
    /// How good a reward model finds it; higher is better, without bounds.
    Reward {
        /// The scorer's name.
        name: String,
    },
}

impl ScorerRecord {
    /// What a scorer's values are; `labels` are those of a label scorer.
    #[must_use]
    pub fn of(spec: &ScorerSpec, labels: &[&str]) -> Self {
        let name = spec.name.clone();
        match &spec.kind {
            ScorerKind::Label(_) => {
                let labels = labels.iter().map(|&label| label.to_owned()).collect();
                Self::Labels { name, labels, by_likelihood: spec.kind.by_likelihood() }
            }
            ScorerKind::EditDistance(_) | ScorerKind::RougeL(_) | ScorerKind::Chrf(_) | ScorerKind::Command(_) => {
                Self::Number { name }
            }
            ScorerKind::Reward(_) => Self::Reward { name },
            ScorerKind::Choice(_) => Self::Choice { name },
            ScorerKind::Perplexity(_) => Self::Perplexity { name },
            ScorerKind::JudgeModel(_) => Self::Judge { name },
            ScorerKind::Exact(_)
            | ScorerKind::Contains(_)
            | ScorerKind::Regex(_)
            | ScorerKind::Number(_)
            | ScorerKind::Json(_)
            | ScorerKind::Stopped(_) => Self::Pass { name },
        }
    }
}

impl Header {
    /// The names of the scorers that are reward models.
    #[must_use]
    pub fn rewards(&self) -> Vec<&str> {
        let of = self.scorers.iter().filter_map(|scorer| match scorer {
            ScorerRecord::Reward { name } => Some(name.as_str()),
            _ => None,
        });
        of.collect()
    }
}

/// Which cases a run asks, or shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseSet {
    /// How many.
    pub count: usize,
    /// SHA-256 of their ids, vars, targets and tags.
    pub sha256: String,
}

impl CaseSet {
    /// What is known of some cases.
    #[must_use]
    pub fn of<'a>(cases: impl Iterator<Item = &'a Case>) -> Self {
        let mut hash = Sha256::new();
        let mut count = 0;
        for case in cases {
            hash.update(serde_json::to_vec(&(&case.id, CaseRecord::from(case))).unwrap_or_default());
            count += 1;
        }
        Self { count, sha256: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

/// A model as a run used it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The model.
    #[serde(flatten)]
    pub facts: ModelFacts,
    /// What it was named as, where it lies elsewhere: `hf://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The adapter's file, SHA-256 and scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<(PathBuf, String, f32)>,
    /// Context length of a trial, in tokens.
    pub context: usize,
    /// KV mode and split policy: what of the settings can move an answer's last digit.
    pub policy: String,
}

/// One sitting of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// When it began (RFC 3339, UTC).
    pub started: String,
    /// When it ended; absent while it is under way or when it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Samples that were there when it began.
    pub samples_before: usize,
    /// Versions of Tripos and of llama.cpp that worked on it.
    pub build: String,
    /// Shared beginnings of prompts that had to be decoded again for want of room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub evictions: usize,
    /// What `--kv check` found, for each model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kv_checks: Vec<KvCheck>,
}

/// Some trials asked together, as in a run, and one line of tokens at a time: how far the answers lie apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KvCheck {
    /// Trials asked both ways.
    pub trials: usize,
    /// The largest difference between two log-probabilities of the same token behind the same text.
    pub largest: f32,
    /// The trial that showed it.
    pub at: Option<Trial>,
    /// The trials whose answer is another one.
    pub flipped: Vec<Trial>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference
pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Header {
    /// The program that made the run, as segments and cache keys name it.
    #[must_use]
    pub fn build(&self) -> String {
        format!("tripos {}, {}", self.tripos, self.llama_cpp)
    }
}
