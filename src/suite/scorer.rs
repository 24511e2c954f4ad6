//! What a suite says about its scorers: plain settings. Room 4 (`score`) gives them their meaning.

use super::answer::Answer;
use super::choice::Choice;
use super::classifier::Classifier;
use super::judge::JudgeModel;
use super::reward::Reward;
use crate::error::Place;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// One scorer of a suite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScorerSpec {
    /// The metric's name; the kind's name unless given.
    pub name: String,
    /// Turns a pass into a failure and back; numbers become `1 - value`.
    pub not: bool,
    /// Its weight within its group.
    pub weight: f64,
    /// The group whose weighted mean becomes one more metric.
    pub group: Option<String>,
    /// How this scorer reads the answer; `None` takes the variant's way, else the kind's own.
    pub answer: Option<Answer>,
    /// What it judges by.
    #[serde(flatten)]
    pub kind: ScorerKind,
    /// Where it stands in the suite.
    #[serde(skip)]
    pub place: Place,
}

/// What a scorer judges by, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScorerKind {
    /// The answer equals the target after normalisation.
    Exact(Exact),
    /// The completion contains a text.
    Contains(Contains),
    /// The completion matches a regular expression.
    Regex(Regex),
    /// The answer equals the target as a decimal number.
    Number(Number),
    /// The completion is JSON, and valid under a schema where one is given.
    Json(Json),
    /// The answer is one of a closed set of labels.
    Label(Label),
    /// Levenshtein similarity to the target, 0 to 1.
    EditDistance(EditDistance),
    /// ROUGE-L F-measure against the target.
    RougeL(RougeL),
    /// chrF against the target.
    Chrf(Chrf),
    /// The model ended the completion itself.
    Stopped(Stopped),
    /// A program judges.
    Command(Command),
    /// The likeliest of a case's choices is the right one.
    Choice(Choice),
    /// How little the target, or a long text, surprises the model.
    Perplexity(Perplexity),
    /// Another model judges.
    JudgeModel(JudgeModel),
    /// How good a reward model finds it.
    Reward(Reward),
}

impl ScorerKind {
    /// The name that a suite writes for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::Contains(_) => "contains",
            Self::Regex(_) => "regex",
            Self::Number(_) => "number",
            Self::Json(_) => "json",
            Self::Label(_) => "label",
            Self::EditDistance(_) => "edit_distance",
            Self::RougeL(_) => "rouge_l",
            Self::Chrf(_) => "chrf",
            Self::Stopped(_) => "stopped",
            Self::Command(_) => "command",
            Self::Choice(_) => "choice",
            Self::Perplexity(_) => "perplexity",
            Self::JudgeModel(_) => "judge_model",
            Self::Reward(_) => "reward",
        }
    }

    /// Whether it judges by probabilities, of given texts or of labels, so that nothing need be said.
    #[must_use]
    pub fn by_likelihood(&self) -> bool {
        match self {
            Self::Choice(_) | Self::Perplexity(_) => true,
            Self::Label(spec) => spec.has_probabilities(),
            _ => false,
        }
    }

    /// Whether a case without a target cannot be judged by it.
    #[must_use]
    pub fn needs_target(&self) -> bool {
        match self {
            Self::Contains(spec) => spec.value.is_none(),
            Self::JudgeModel(spec) => spec.against_target,
            Self::Regex(_) | Self::Json(_) | Self::Command(_) | Self::Stopped(_) | Self::Reward(_) => false,
            _ => true,
        }
    }
}

/// Equality after normalisation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exact {
    /// Compare with upper and lower case told apart; off unless set.
    pub case_sensitive: bool,
    /// Keep punctuation; off unless set, so that `Paris.` equals `paris`.
    pub keep_punctuation: bool,
}

/// Containment of a fixed text, or of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contains {
    /// The text looked for; the target where absent.
    pub value: Option<String>,
    /// Compare with upper and lower case told apart; off unless set.
    pub case_sensitive: bool,
}

/// A regular expression that the completion must match somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regex {
    /// The expression (the `regex` crate's syntax).
    pub pattern: String,
}

/// Equality as a decimal number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Number {
    /// Largest absolute difference that still passes, as a decimal text; 0 where absent.
    pub tolerance: Option<String>,
}

/// A JSON text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Json {
    /// A JSON Schema that it must satisfy.
    pub schema: Option<Value>,
}

/// A closed set of labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The labels; those of the classifier where empty, else the distinct targets of the cases, sorted.
    pub labels: Vec<String>,
    /// How the label is found.
    pub by: LabelBy,
    /// What stands between the prompt and a label, where it is found by likelihood; see [`Choice::delimiter`].
    pub delimiter: Option<String>,
    /// It is what this classifier says of the prompt; `by` then means nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier: Option<Classifier>,
}

impl Label {
    /// Whether each label has a probability.
    #[must_use]
    pub fn has_probabilities(&self) -> bool {
        self.by == LabelBy::Likelihood || self.classifier.is_some()
    }
}

/// How a label is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelBy {
    /// It is read from the completion.
    #[default]
    Text,
    /// It is the one that the model finds likeliest behind the prompt.
    Likelihood,
}

/// Perplexity of the target behind the prompt; of the whole text where the cases are long texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Perplexity {
    /// What stands between the prompt and the target; see [`Choice::delimiter`].
    pub delimiter: Option<String>,
}

/// Similarity by edits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EditDistance {}

/// ROUGE-L (Lin 2004).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RougeL {}

/// chrF (Popović 2015).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chrf {}

/// The model ended by itself: by a token that ends texts, or by a stop string; it was not cut at `max_tokens`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stopped {}

/// A program that judges; needs `--allow-commands`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments; a program with a slash is relative to the suite's folder.
    pub run: Vec<String>,
    /// Seconds after which it is ended and the case is unscored.
    #[serde(default = "Command::default_timeout")]
    pub timeout_s: u64,
    /// The folder it runs in: the suite's.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl Command {
    fn default_timeout() -> u64 {
        30
    }
}
