//! A judgement as it is kept: one JSON line that stands alone, with the prompt and the answers as they were shown.

use super::error::RankProblem;
use crate::store::MessageRecord;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The version of the lines.
pub const SCHEMA: u32 = 1;
/// What the name of a rater begins with who is a scorer and no person.
pub const SIMULATED: &str = "simulated:";
/// The scores that an answer can get.
pub(super) const SCORES: std::ops::RangeInclusive<u8> = 1..=7;

/// What was asked: a whole text, or the messages of a chat.
///
/// ```
/// use tripos::rank::PromptText;
/// let chat: PromptText = serde_json::from_str(r#"[{"role":"user","content":"Hello"}]"#).unwrap();
/// assert!(matches!(chat, PromptText::Messages(_)) && !chat.is_empty());
/// assert!(PromptText::Text(" \n".into()).is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PromptText {
    /// A text that an answer goes on from.
    Text(String),
    /// Messages that an answer replies to.
    Messages(Vec<MessageRecord>),
}

impl PromptText {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Messages(messages) => messages.iter().all(|message| message.content.trim().is_empty()),
        }
    }

    /// One text for each prompt, by which prompts are told apart. A text and a chat of one message are not the same.
    #[must_use]
    pub fn key(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Who gave an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The variant's name.
    pub variant: String,
    /// Which repeat, from 0.
    pub repeat: u32,
}

/// An answer as it was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The variant that gave it.
    pub variant: String,
    /// Which repeat, from 0.
    pub repeat: u32,
    /// What it says.
    pub text: String,
    /// Others that gave the very same answer, which was shown once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Source>,
}

impl Answer {
    /// The names of the variants that gave it.
    pub fn variants(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.variant.as_str()).chain(self.also.iter().map(|source| source.variant.as_str()))
    }
}

/// What a rater says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Groups of answers from the best to the worst, by their places as shown; those of one group are level.
    Order(Vec<Vec<usize>>),
    /// A score from 1 to 7 for each answer.
    Scores(Vec<u8>),
    /// That it cannot be told.
    CantTell,
}

/// One judgement.
///
/// ```
/// use tripos::rank::{Judgement, Verdict};
/// let line = r#"{"schema":1,"id":"1f","run":"sums-1","case":"a-17","rater":"ann","axis":null,"prompt":"Q: 1 + 1?\nA:",
///   "answers":[{"variant":"a","repeat":0,"text":" 3"},{"variant":"b","repeat":0,"text":" 2"}],
///   "order":[[1],[0]],"cant_tell":false,"seconds":4.2,"time":"2026-11-26T12:00:00Z"}"#;
/// let judgement: Judgement = serde_json::from_str(line).unwrap();
/// assert_eq!(judgement.problem(), None);
/// assert_eq!(judgement.verdict(), Verdict::Order(vec![vec![1], vec![0]]));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Its own name, which a withdrawal calls it by.
    pub id: String,
    /// The run that the answers are of.
    pub run: String,
    /// The case's id.
    pub case: String,
    /// The case's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Who judged.
    pub rater: String,
    /// By what; absent (`null`) for an overall judgement.
    pub axis: Option<String>,
    /// What was asked.
    pub prompt: PromptText,
    /// The answers in the order in which they were shown.
    pub answers: Vec<Answer>,
    /// Groups of places in `answers` from the best to the worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Vec<usize>>>,
    /// A score from 1 to 7 for each of `answers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Vec<u8>>,
    /// The rater could not tell.
    #[serde(default)]
    pub cant_tell: bool,
    /// What the rater wrote beside it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// How long it took.
    pub seconds: f64,
    /// When (RFC 3339, UTC).
    pub time: String,
    /// The same answers were shown to the same rater before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// An earlier judgement is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The id of the judgement.
    pub withdraws: String,
    /// Who took it back.
    pub rater: String,
    /// When (RFC 3339, UTC).
    pub time: String,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// A judgement.
    Judgement(Box<Judgement>),
    /// Its withdrawal.
    Withdrawal(Withdrawal),
}

impl Judgement {
    /// What was said.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (&self.order, &self.scores) {
            (Some(order), _) if !self.cant_tell => Verdict::Order(order.clone()),
            (_, Some(scores)) if !self.cant_tell => Verdict::Scores(scores.clone()),
            _ => Verdict::CantTell,
        }
    }

    /// The place of each answer, in the order shown: 1 for the best, answers that are level share the mean of their places.
    /// Scores give places, too. `None` where it could not be told.
    #[must_use]
    pub fn places(&self) -> Option<Vec<f64>> {
        let worth: Vec<f64> = match self.verdict() {
            Verdict::CantTell => return None,
            Verdict::Scores(scores) => scores.iter().map(|score| f64::from(*score)).collect(),
            Verdict::Order(groups) => {
                let place = |i| groups.iter().position(|group| group.contains(&i)).unwrap_or(groups.len());
                (0..self.answers.len()).map(|i| -(place(i) as f64)).collect()
            }
        };
        let place = |one: &f64| {
            let better = worth.iter().filter(|other| other.total_cmp(one) == Ordering::Greater).count();
            let level = worth.iter().filter(|other| other.total_cmp(one) == Ordering::Equal).count();
            better as f64 + f64::midpoint(level as f64, 1.0)
        };
        Some(worth.iter().map(place).collect())
    }

    /// Whether it is a scorer's and no person's.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.rater.starts_with(SIMULATED)
    }

    /// What is wrong with it, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<RankProblem> {
        let k = self.answers.len();
        if k < 2 {
            return Some(RankProblem::OneAnswer);
        }
        let said = usize::from(self.order.is_some()) + usize::from(self.scores.is_some()) + usize::from(self.cant_tell);
        if said != 1 {
            let what = "a judgement has one of `order`, `scores` and `cant_tell`".to_owned();
            return Some(RankProblem::Shape { what });
        }
        self.verdict().problem(k)
    }
}

impl Verdict {
    /// What is wrong with a verdict on `k` answers, if anything.
    #[must_use]
    pub fn problem(&self, k: usize) -> Option<RankProblem> {
        let what = match self {
            Self::CantTell => return None,
            Self::Scores(scores) if scores.len() != k => format!("{} scores for {k} answers", scores.len()),
            Self::Scores(scores) => {
                let odd = scores.iter().find(|score| !SCORES.contains(score))?;
                format!("a score of {odd}, where scores go from {} to {}", SCORES.start(), SCORES.end())
            }
            Self::Order(groups) => {
                let mut named: Vec<usize> = groups.iter().flatten().copied().collect();
                named.sort_unstable();
                if named.iter().copied().eq(0..k) && groups.iter().all(|group| !group.is_empty()) {
                    return None;
                }
                format!("the order does not name each of the {k} answers once (by 0 to {})", k - 1)
            }
        };
        Some(RankProblem::Shape { what })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A judgement of answers that are their own text.
    pub(in crate::rank) fn judged(rater: &str, case: &str, texts: &[&str], verdict: Verdict) -> Judgement {
        let answer = |(i, text): (usize, &&str)| Answer {
            variant: format!("v{i}"),
            repeat: 0,
            text: (*text).to_owned(),
            also: vec![],
        };
        let (order, scores, cant_tell) = match verdict {
            Verdict::Order(order) => (Some(order), None, false),
            Verdict::Scores(scores) => (None, Some(scores), false),
            Verdict::CantTell => (None, None, true),
        };
        Judgement {
            schema: SCHEMA,
            id: format!("{rater}-{case}"),
            run: "r".into(),
            case: case.into(),
            tags: vec![],
            rater: rater.into(),
            axis: None,
            prompt: PromptText::Text(format!("Q {case}")),
            answers: texts.iter().enumerate().map(answer).collect(),
            order,
            scores,
            cant_tell,
            comment: String::new(),
            seconds: 2.0,
            time: "2026-11-26T12:00:00Z".into(),
            again: false,
        }
    }

    #[test]
    fn places_share_the_mean_where_answers_are_level() {
        let of = |verdict| judged("a", "c", &["x", "y", "z", "w"], verdict).places();
        assert_eq!(of(Verdict::Order(vec![vec![2], vec![0, 3], vec![1]])), Some(vec![2.5, 4.0, 1.0, 2.5]));
        assert_eq!(of(Verdict::Scores(vec![7, 1, 7, 4])), Some(vec![1.5, 4.0, 1.5, 3.0]));
        assert_eq!(of(Verdict::CantTell), None);
    }

    #[test]
    fn says_what_is_wrong_with_a_verdict() {
        let said = |verdict: Verdict, k| verdict.problem(k).map(|problem| problem.to_string()).unwrap_or_default();
        assert_eq!(said(Verdict::Order(vec![vec![1], vec![0]]), 2), "");
        for wrong in [vec![vec![0]], vec![vec![0], vec![0]], vec![vec![0], vec![2]], vec![vec![0, 1], vec![]]] {
            assert_eq!(
                said(Verdict::Order(wrong), 2),
                "the order does not name each of the 2 answers once (by 0 to 1)"
            );
        }
        assert_eq!(said(Verdict::Scores(vec![1]), 2), "1 scores for 2 answers");
        assert_eq!(said(Verdict::Scores(vec![1, 8]), 2), "a score of 8, where scores go from 1 to 7");
        assert_eq!(judged("a", "c", &["x"], Verdict::CantTell).problem(), Some(RankProblem::OneAnswer));
        let both = Judgement { scores: Some(vec![1, 2]), ..judged("a", "c", &["x", "y"], Verdict::CantTell) };
        assert!(matches!(both.problem(), Some(RankProblem::Shape { .. })));
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for verdict in [Verdict::Order(vec![vec![1], vec![0]]), Verdict::Scores(vec![3, 4]), Verdict::CantTell] {
            let judgement =
                Judgement { again: true, axis: Some("honest".into()), ..judged("a", "c", &["x", "y"], verdict) };
            let line = serde_json::to_string(&Entry::Judgement(Box::new(judgement.clone()))).unwrap();
            assert_eq!(serde_json::from_str::<Judgement>(&line).unwrap(), judgement);
        }
    }
}
