//! What users write: the YAML of a suite, field for field (contract.md, section 1). Paths are as written and nothing
//! is filled in; `load` turns this into a [`super::Suite`].

use super::answer::{Answer, Which};
use super::case::Vars;
use super::cases::Cases;
use super::endpoint::EndpointEntry;
use super::shape::{ExamplesWanted, ScorerEntry, Text};
use super::{KvType, Reduce, Select};
use crate::sampling::SamplingSpec;
use serde::{Deserialize, Serialize};

/// A whole suite as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SuiteFile {
    pub suite: String,
    pub description: Option<String>,
    pub date: Option<String>,
    #[serde(default)]
    pub template_vars: Vars,
    pub model: Option<ModelEntry>,
    pub adapter: Option<String>,
    pub context: Option<u32>,
    #[serde(default)]
    pub kv_type: KvType,
    #[serde(default)]
    pub sampling: SamplingSpec,
    pub cases: Cases,
    pub examples: Option<Cases>,
    pub answer: Option<AnswerEntry>,
    pub scorers: Vec<ScorerEntry>,
    pub variants: Option<Vec<VariantEntry>>,
    pub matrix: Option<Matrix>,
    #[serde(default)]
    pub gate: Vec<RuleEntry>,
    pub max_unscored: Option<f64>,
}

/// `model:` a path, `hf://…`, an address with a hash, `{scripted: FILE}`, or `{endpoint: URL}`.
#[derive(Debug, Clone)]
pub(super) enum ModelEntry {
    /// Also of a model that lies elsewhere, as one text.
    Path(String),
    Scripted(String),
    Endpoint(Box<EndpointEntry>),
}

/// One case as written in a list, a JSONL line or a YAML file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseEntry {
    pub id: Option<Text>,
    #[serde(default)]
    pub vars: Vars,
    pub target: Option<Text>,
    #[serde(default)]
    pub tags: Vec<String>,
}

/// `{file: …}`: other people's rows, columns renamed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    pub file: String,
    /// Variable name to column name.
    pub vars: Option<std::collections::BTreeMap<String, String>>,
    pub target: Option<String>,
    pub id: Option<String>,
    pub tags: Option<String>,
    pub limit: Option<usize>,
}

/// `generate:` cases made by rule: draws, and the templates that turn them into cases.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    pub(super) count: usize,
    #[serde(default)]
    pub(super) seed: u64,
    #[serde(rename = "let")]
    pub(super) bindings: serde_yaml::Mapping,
    #[serde(default)]
    pub(super) split: Split,
    pub(super) case: CaseTemplate,
}

/// The case that a generator fills in; every text is a Tera template.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseTemplate {
    pub id: Option<String>,
    pub vars: Vars,
    pub target: Option<Text>,
    #[serde(default)]
    pub tags: Vec<String>,
}

/// Which bindings a generator keeps; the names are the variables that count, empty for all.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Split {
    #[default]
    All,
    HeldOut(Vec<String>),
    Train(Vec<String>),
}

/// `answer:` as written; the fields belong to their own `take` only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerEntry {
    pub take: Take,
    pub which: Option<Which>,
    pub pointer: Option<String>,
    pub regex: Option<String>,
    pub group: Option<usize>,
}

/// The kinds of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Take {
    Number,
    Letter,
    LastLine,
    Json,
    Pattern,
    Text,
}

impl AnswerEntry {
    /// The answer, or what does not fit together.
    pub(super) fn resolve(&self) -> Result<Answer, String> {
        let which = self.which.unwrap_or_default();
        let allowed: &[&str] = match self.take {
            Take::Number | Take::Letter => &["which"],
            Take::Json => &["pointer"],
            Take::Pattern => &["regex", "group", "which"],
            Take::LastLine | Take::Text => &[],
        };
        let given = [
            ("which", self.which.is_some()),
            ("pointer", self.pointer.is_some()),
            ("regex", self.regex.is_some()),
            ("group", self.group.is_some()),
        ];
        if let Some((field, _)) = given.iter().find(|(field, given)| *given && !allowed.contains(field)) {
            return Err(format!("`{field}` does not belong to this `take`"));
        }
        Ok(match self.take {
            Take::Number => Answer::Number { which },
            Take::Letter => Answer::Letter { which },
            Take::LastLine => Answer::LastLine,
            Take::Text => Answer::Text,
            Take::Json => Answer::Json { pointer: self.pointer.clone().unwrap_or_default() },
            Take::Pattern => {
                let regex = self.regex.clone().ok_or("`take: pattern` needs a `regex`")?;
                Answer::Pattern { regex, group: self.group, which }
            }
        })
    }
}

/// A variant as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantEntry {
    pub name: String,
    /// Absent where the cases are texts, which are asked nothing.
    pub prompt: Option<String>,
    pub examples: Option<ExamplesWanted>,
    pub model: Option<ModelEntry>,
    pub adapter: Option<String>,
    pub context: Option<u32>,
    #[serde(default)]
    pub sampling: SamplingSpec,
    pub answer: Option<AnswerEntry>,
    pub then: Option<StageEntry>,
    pub repeats: Option<u32>,
    pub reduce: Option<Reduce>,
}

/// The second stage of a variant as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StageEntry {
    pub prompt: String,
    #[serde(default)]
    pub sampling: SamplingSpec,
}

/// How examples are chosen, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExamplesEntry {
    pub count: usize,
    #[serde(default)]
    pub select: Select,
    #[serde(default)]
    pub seed: u64,
}

/// Every combination of the lists; absent lists take the suite's value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Matrix {
    pub prompt: Option<Vec<String>>,
    pub model: Option<Vec<ModelEntry>>,
    pub examples: Option<Vec<ExamplesWanted>>,
    pub temperature: Option<Vec<f32>>,
}

/// A gate rule as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleEntry {
    pub variant: String,
    pub metric: String,
    pub no_worse_by: Option<f64>,
    pub at_least: Option<f64>,
    pub at_most: Option<f64>,
    pub confidence: Option<f64>,
}
