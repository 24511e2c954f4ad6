//! Room 1: a YAML file becomes a [`Suite`].
//!
//! [`load`] reads the file, its case files and generators, resolves every path and default, and reports *all* problems
//! at once with their places. What users write is in `file`, plain data with places is what leaves the room. A suite
//! knows nothing of models, prompts' meaning or scores: it names them.

mod answer;
mod case;
mod cases;
mod check;
mod check_scorers;
mod choice;
mod classifier;
mod constraint;
mod endpoint;
mod error;
mod file;
mod generate;
mod judge;
mod load;
mod located;
mod matrix;
mod probe;
mod prune;
mod repeats;
mod reward;
mod rows;
mod run_metrics;
mod scorer;
mod shape;
mod text;
mod variant;
mod within;
mod yaml;

pub use answer::{Answer, Which};
pub use case::{Case, Vars, text_of};
pub use choice::{Choice, ChoiceFault, ChoiceTarget, Choices};
pub use classifier::Classifier;
pub use endpoint::Endpoint;
pub use error::{SuiteError, SuiteProblem};
pub use file::Generate;
pub use judge::JudgeModel;
pub use load::{Output, Overrides, beside, load, load_model, load_text, split_scale};
pub use located::{FileName, Located, elsewhere, is_elsewhere};
pub use probe::{Counterpart, Probe, Unit};
pub use prune::Pruned;
pub use repeats::Reduce;
pub use reward::Reward;
pub use rows::read_rows;
pub use run_metrics::{Quantity, RUN_METRICS, RunMetric};
pub use scorer::{
    Chrf, Command, Contains, EditDistance, Exact, Json, Label, LabelBy, Number, Perplexity, Regex, RougeL, ScorerKind,
    ScorerSpec, Stopped,
};
pub use text::TextCases;
pub use yaml::{Document, Reading, read_text, without_mark};

use crate::error::Place;
use crate::sampling::Sampling;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One suite, resolved: every path joined, every default filled in, every variant complete.
#[derive(Debug, Clone, Serialize)]
pub struct Suite {
    /// Its name; the run folder starts with it.
    pub name: String,
    /// What it measures, for people.
    pub description: Option<String>,
    /// The day that chat templates see as today (`YYYY-MM-DD`), so that prompts do not change daily.
    pub date: Option<String>,
    /// Extra variables for the model's chat template.
    pub template_vars: Vars,
    /// How the KV cache stores its numbers.
    pub kv_type: KvType,
    /// `--seed`: moves example selection; the samplings hold it too.
    pub seed: u64,
    /// The test items are made by rule, so that more of them can be drawn.
    #[serde(skip)]
    pub generated: bool,
    /// The test items, in order; recorded with each sample rather than in the header.
    #[serde(skip)]
    pub cases: Vec<Case>,
    /// How the cases are read where each is a long text, for perplexity; `None` where they are asked as prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<TextCases>,
    /// What is swapped where the cases are counterfactual pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// The few-shot pool.
    #[serde(skip)]
    pub examples: Vec<Case>,
    /// What judges a completion; at least one.
    pub scorers: Vec<ScorerSpec>,
    /// The ways of asking; at least one, names unique.
    pub variants: Vec<Variant>,
    /// What must hold for a change to ship.
    pub gate: Vec<Rule>,
    /// Share of unscored cases above which a gate refuses to judge.
    pub max_unscored: Option<f64>,
    /// The suite's file.
    pub path: PathBuf,
    /// The files of its models that lie elsewhere.
    #[serde(skip)]
    pub located: Located,
}

/// One way of asking; what a table compares.
#[derive(Debug, Clone, Serialize)]
pub struct Variant {
    /// Unique in its suite.
    pub name: String,
    /// The prompt file and its text; both empty where the cases are texts.
    pub prompt: PromptFile,
    /// A second stage, asked with the first one's completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Stage>,
    /// How few-shot examples are chosen; `None` means that the prompt sees an empty list.
    pub examples: Option<ExampleChoice>,
    /// The model asked.
    pub model: ModelRef,
    /// A LoRA adapter on top of it.
    pub adapter: Option<AdapterRef>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// How often each case is asked; 1 unless said otherwise.
    #[serde(skip_serializing_if = "is_once")]
    pub repeats: u32,
    /// How the scores of a case's repeats become one.
    #[serde(skip_serializing_if = "Reduce::is_default")]
    pub reduce: Reduce,
    /// How the answer is read from a completion; `None` leaves it to each scorer.
    pub answer: Option<Answer>,
    /// Context length in tokens; `None` is the model's own, at most 4096.
    pub context: Option<u32>,
    /// Where the variant stands in the suite.
    #[serde(skip)]
    pub place: Place,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
fn is_once(repeats: &u32) -> bool {
    *repeats == 1
}

/// The second stage of a variant: its prompt sees the first stage's `completion`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// The prompt file and its text.
    pub prompt: PromptFile,
    /// How its tokens are drawn: the variant's settings under the stage's own.
    pub sampling: Sampling,
}

/// A prompt's file and its text (one trailing newline dropped).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PromptFile {
    /// The file; `.yaml` or `.yml` is a chat, anything else a completion prompt.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl PromptFile {
    /// A prompt file and its text as read: one trailing newline is dropped.
    #[must_use]
    pub fn new(path: PathBuf, text: &str) -> Self {
        let text = text.strip_suffix("\r\n").or(text.strip_suffix('\n')).unwrap_or(text).to_owned();
        Self { path, text }
    }

    /// Whether it is a chat (a list of roles) rather than a completion prompt.
    #[must_use]
    pub fn is_chat(&self) -> bool {
        self.path.extension().is_some_and(|e| e == "yaml" || e == "yml")
    }
}

/// Which model to ask.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelRef {
    /// A GGUF file, run by llama.cpp.
    Gguf(PathBuf),
    /// A YAML file of canned answers: the shipped deterministic fake.
    Scripted(PathBuf),
    /// A model behind a server.
    Endpoint(Box<Endpoint>),
}

impl ModelRef {
    /// The file behind it; none behind a server.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Gguf(path) | Self::Scripted(path) => Some(path),
            Self::Endpoint(_) => None,
        }
    }
}

/// A LoRA adapter and how strongly it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterRef {
    /// The adapter's GGUF.
    pub path: PathBuf,
    /// 1 applies it as trained.
    pub scale: f32,
}

/// How the KV cache stores its numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvType {
    /// 16-bit floats.
    #[default]
    F16,
    /// 32-bit floats.
    F32,
    /// 8-bit blocks.
    Q8_0,
}

/// How a variant's few-shot examples are chosen from the pool. The choice never depends on which cases are run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExampleChoice {
    /// How many.
    pub count: usize,
    /// By what rule.
    pub select: Select,
    /// Seed of `random` and `balanced`.
    pub seed: u64,
}

/// The rule by which examples are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// In the order of the pool.
    #[default]
    First,
    /// Shuffled by the seed.
    Random,
    /// Shuffled, then one of each target in turn.
    Balanced,
    /// Those nearest to the case by the model's embedding.
    Similar,
}

/// One gate rule: a bound that a variant's metric must keep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// The variant judged.
    pub variant: String,
    /// The metric judged: one of a scorer, or of [`RUN_METRICS`].
    pub metric: String,
    /// What must hold.
    pub bound: Bound,
    /// Confidence of the bound; 0.95 unless said otherwise.
    pub confidence: f64,
    /// Where the rule stands.
    #[serde(skip)]
    pub place: Place,
}

/// What a gate rule demands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Not worse than the baseline by more than this.
    NoWorseBy(f64),
    /// The value is at least this.
    AtLeast(f64),
    /// The value is at most this.
    AtMost(f64),
}

#[cfg(test)]
mod tests;
