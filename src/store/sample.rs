//! One recorded trial: a line of `samples.jsonl`.

use crate::engine::{Completion, Token};
use crate::score::{Score, ScoreValue};
use crate::suite::{Case, Vars};
use serde::{Deserialize, Serialize};

/// One planned cell: a variant asks a case.
///
/// ```
/// use tripos::store::Trial;
/// let trial = Trial { variant: "few_shot".into(), case: "a-17".into(), repeat: 0 };
/// assert_eq!(serde_json::to_string(&trial).unwrap(), r#"{"variant":"few_shot","case":"a-17","repeat":0}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trial {
    /// The variant's name.
    pub variant: String,
    /// The case's id.
    pub case: String,
    /// Which repeat, from 0.
    pub repeat: u32,
}

/// The case as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// What templates saw.
    pub vars: Vars,
    /// The right answer.
    pub target: Option<String>,
    /// Its groups.
    pub tags: Vec<String>,
}

impl From<&Case> for CaseRecord {
    fn from(case: &Case) -> Self {
        Self { vars: case.vars.clone(), target: case.target.clone(), tags: case.tags.clone() }
    }
}

/// The prompt as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptRecord {
    /// The header's id of the leading part that is left out of `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The text behind that prefix, or the whole text.
    pub text: String,
    /// All tokens, prefix included.
    pub tokens: Vec<Token>,
    /// Byte offset in the whole text where the case begins, behind the few-shot block.
    pub case_start: usize,
}

/// One recorded trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Which cell of the plan.
    pub trial: Trial,
    /// The case.
    pub case: CaseRecord,
    /// The prompt; absent when it could not be rendered.
    pub prompt: Option<PromptRecord>,
    /// What the model said; absent when it was not asked.
    pub completion: Option<Completion>,
    /// The answer came from the cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// The judgements, in the suite's order, groups last.
    pub scores: Vec<Score>,
}

impl Sample {
    /// Whether every scorer passes it: no fail, nothing unscored. Numbers and labels count by what they are compared
    /// with: a label by the target, a number by being 1.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.scores.iter().all(|score| match &score.value {
            ScoreValue::Pass(pass) => *pass,
            ScoreValue::Number(number) => *number >= 1.0,
            ScoreValue::Label(label) => {
                self.case.target.as_deref().is_some_and(|target| target.trim().eq_ignore_ascii_case(label.trim()))
            }
            ScoreValue::Unscored(_) => false,
        })
    }
}
