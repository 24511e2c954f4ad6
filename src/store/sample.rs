//! One recorded trial: a line of `samples.jsonl`.

use super::header::is_zero;
use crate::engine::{Completion, Token};
use crate::score::{Likelihood, Score, ScoreValue};
use crate::suite::{Case, Counterpart, Vars};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_untagged::UntaggedEnumVisitor;
use std::collections::BTreeMap;

/// One planned cell: a variant asks a case.
///
/// ```
/// use tripos::store::Trial;
/// use tripos::store::Repeat;
/// let trial = Trial { variant: "few_shot".into(), case: "a-17".into(), repeat: Repeat::Number(0) };
/// assert_eq!(serde_json::to_string(&trial).unwrap(), r#"{"variant":"few_shot","case":"a-17","repeat":0}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trial {
    /// The variant's name.
    pub variant: String,
    /// The case's id.
    pub case: String,
    /// Which repeat.
    pub repeat: Repeat,
}

/// Which of the repeats of a case a sample is: `0`, `1`, … or `"reduced"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Repeat {
    /// One of them, from 0.
    Number(u32),
    /// What they come to together.
    Reduced,
}

impl Serialize for Repeat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u32(*number),
            Self::Reduced => serializer.serialize_str("reduced"),
        }
    }
}

impl<'de> Deserialize<'de> for Repeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("a number or \"reduced\"")
            .u32(|number| Ok(Self::Number(number)))
            .string(|text| match text {
                "reduced" => Ok(Self::Reduced),
                other => Err(serde::de::Error::custom(format!("found \"{other}\", expected \"reduced\""))),
            })
            .deserialize(deserializer)
    }
}

/// The case as it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// What templates saw.
    pub vars: Vars,
    /// The right answer.
    pub target: Option<String>,
    /// Its groups.
    pub tags: Vec<String>,
    /// Its place among the counterparts of a probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Counterpart>,
}

impl From<&Case> for CaseRecord {
    fn from(case: &Case) -> Self {
        let Case { vars, target, tags, probe, .. } = case;
        Self { vars: vars.clone(), target: target.clone(), tags: tags.clone(), probe: probe.clone() }
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
    /// The messages that a chat was rendered from, a prefill as the last of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageRecord>,
}

/// A message of a chat: what somebody said, as it is before any template.
///
/// ```
/// let json = r#"{"role":"user","content":"Hello"}"#;
/// let message: tripos::store::MessageRecord = serde_json::from_str(json).unwrap();
/// assert_eq!(message.role, "user");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MessageRecord {
    /// Who speaks: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// A stage that came before the last one: what it was asked, and what it said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// The prompt.
    pub prompt: PromptRecord,
    /// The completion, which the next stage's prompt may quote.
    pub completion: Completion,
}

/// What the likelihoods of a sample cost; a completion has its own figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodCost {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens decoded, those of the candidates included; what is shared is counted once.
    pub prompt_tokens_decoded: usize,
    /// Its share, by tokens, of the seconds spent decoding.
    pub elapsed_s: f64,
}

/// One recorded trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Which cell of the plan.
    pub trial: Trial,
    /// The case.
    pub case: CaseRecord,
    /// The stages before the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<StageRecord>,
    /// The prompt; absent when it could not be rendered.
    pub prompt: Option<PromptRecord>,
    /// What the model said; absent when it was not asked, or was asked for likelihoods only.
    pub completion: Option<Completion>,
    /// How likely the model finds the candidates, where a scorer judges by that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub likelihood: Vec<Likelihood>,
    /// What they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood_cost: Option<LikelihoodCost>,
    /// Tokens that judges decoded for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub judge_tokens_decoded: usize,
    /// The answer came from the cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// Nobody has answered it, for a reason outside the model: it is asked again when the run goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
    /// The text of every token that `logprobs` of a completion here names, drawn or alternative, as far as it is UTF-8;
    /// that of a control token is empty. Tokens are numbers without it, and no report has the model at hand.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pieces: BTreeMap<Token, String>,
    /// The judgements, in the suite's order, groups last.
    pub scores: Vec<Score>,
}

impl Sample {
    /// Whether something was found out about it: what the model says, how likely it finds texts, or (a classifier) how
    /// likely the labels are.
    #[must_use]
    pub fn was_judged(&self) -> bool {
        let scored = |score: &Score| !matches!(score.value, ScoreValue::Unscored(_));
        self.completion.is_some() || !self.likelihood.is_empty() || self.scores.iter().any(scored)
    }

    /// Whether every scorer passes it: no fail, nothing unscored. Numbers and labels count by what they are compared
    /// with: a label by the target, a number by being 1; that of a judge by being a half, and a perplexity, which is never
    /// below 1, passes always.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.scores.iter().all(|score| match &score.value {
            ScoreValue::Pass(pass) => *pass,
            ScoreValue::Number(number) if score.parts.contains_key("verdicts") => *number >= 0.5,
            ScoreValue::Number(number) => *number >= 1.0,
            ScoreValue::Label(label) => {
                self.case.target.as_deref().is_some_and(|target| target.trim().eq_ignore_ascii_case(label.trim()))
            }
            ScoreValue::Unscored(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn passed(value: ScoreValue, parts: Value) -> bool {
        let Value::Object(parts) = parts else { panic!("parts are an object") };
        let score = Score { scorer: "s".into(), value, answer: None, explanation: String::new(), parts };
        Sample {
            trial: Trial { variant: "v".into(), case: "c".into(), repeat: Repeat::Reduced },
            case: CaseRecord { vars: Vars::new(), target: Some("yes".into()), tags: vec![], probe: None },
            before: vec![],
            prompt: None,
            completion: None,
            likelihood: vec![],
            likelihood_cost: None,
            judge_tokens_decoded: 0,
            cached: false,
            pieces: BTreeMap::new(),
            unanswered: false,
            scores: vec![score],
        }
        .passed()
    }

    #[test]
    fn a_sample_recorded_before_there_were_pieces_is_read_and_written_as_it_was() {
        let old = r#"{"trial":{"variant":"v","case":"c","repeat":0},"case":{"vars":{},"target":null,"tags":[]},"prompt":null,"completion":null,"scores":[]}"#;
        let mut sample: Sample = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&sample).unwrap(), old);
        sample.pieces.insert(7, " é".into());
        let new = serde_json::to_string(&sample).unwrap();
        assert!(new.contains(r#""pieces":{"7":" é"}"#), "{new}");
        assert_eq!(serde_json::from_str::<Sample>(&new).unwrap(), sample);
    }

    #[test]
    fn a_sample_passes_by_what_its_scores_are() {
        assert!(
            passed(ScoreValue::Label("Yes".into()), json!({})) && !passed(ScoreValue::Label("no".into()), json!({}))
        );
        assert!(passed(ScoreValue::Number(1.0), json!({})) && !passed(ScoreValue::Number(0.9), json!({})));
        assert!(passed(ScoreValue::Number(0.9), json!({"verdicts": [{}]})), "a judge that is rather for it");
        assert!(!passed(ScoreValue::Number(0.4), json!({"verdicts": [{}]})));
        assert!(passed(ScoreValue::Number(45.3), json!({"bits_per_byte": 1.4})), "no perplexity is a failure");
        assert!(!passed(ScoreValue::Unscored("too long".into()), json!({})));
    }
}
