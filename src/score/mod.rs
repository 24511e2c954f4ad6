//! Room 4: a completion becomes a [`Score`].
//!
//! [`Scorers`] holds the scorers of one variant, built and checked before anything is run. [`Scorers::judge`] never
//! fails: what cannot be judged is [`ScoreValue::Unscored`] with its reason. The rules that all scorers share:
//!
//! - Think tags are taken off first ([`strip_think`]), then the answer is read ([`extract`]): in the scorer's own way, else
//!   the variant's, else the kind's (`number`: the last number; any other: the whole text). `contains`, `regex` and `json`
//!   judge the whole text whatever the variant says.
//! - A case that lacks a target, or has one that cannot be judged against (`number`: no number), is unscored, whatever
//!   the model said.
//! - A completion whose answer cannot be read (an empty one, too) is wrong: value false, `answer` none. That holds for
//!   every kind, and also under `not`: a model that says nothing passes no test. A `command` is then not run.
//! - `not` turns a pass round and makes a number `1 - number`. A label scorer refuses it.
//! - A label scorer gives the label read, whether right or wrong; compare it with the target, which is one of the labels
//!   letter by letter.
//! - Scorers with a `group:` get one more score named after it, behind the others: the weighted mean of their values.

mod chrf;
mod command;
mod contains;
mod edit_distance;
mod error;
mod exact;
mod extract;
mod group;
mod json;
mod judgement;
mod kind;
mod label;
mod likelihood;
mod normalise;
mod number;
mod regex;
mod rouge_l;
mod value;

pub use error::{ScoreError, ScoreProblem};
pub use extract::{CompiledAnswer, extract, strip_think};
pub use likelihood::{Candidate, Likelihood};
pub use value::{Score, ScoreValue};

use crate::engine::{Completion, StopReason};
use crate::error::{Place, Problems};
use crate::suite::{Answer, Case, ScorerSpec};
use group::{Group, groups};
use judgement::Judgement;
use kind::Kind;

/// What is judged: one completion of one case.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The case.
    pub case: &'a Case,
    /// The prompt's text as the model saw it; only `command` scorers are told.
    pub prompt: &'a str,
    /// What the model said.
    pub completion: &'a Completion,
}

/// The scorers of one variant, ready to judge; they may be shared between threads.
///
/// ```
/// use tripos::engine::{Completion, StopReason};
/// use tripos::error::Place;
/// use tripos::score::{Judged, ScoreValue, Scorers};
/// use tripos::suite::{Case, Number, ScorerKind, ScorerSpec};
///
/// let spec = ScorerSpec {
///     name: "exact".into(), not: false, weight: 1.0, group: None, answer: None,
///     kind: ScorerKind::Number(Number::default()), place: Place::default(),
/// };
/// let scorers = Scorers::new(&[spec], None, &[], false).unwrap();
/// let case = Case::new("c-1", [("question", "What is 14 + 15?")], Some("29"));
/// let completion = Completion {
///     text: "That makes $29.00.".into(), tokens: vec![], stop_reason: StopReason::Stop,
///     prompt_tokens: 0, prompt_tokens_decoded: 0, completion_tokens: 0, elapsed_s: 0.0, logprobs: None,
/// };
/// let scores = scorers.judge(&Judged { case: &case, prompt: "What is 14 + 15?", completion: &completion });
/// assert_eq!(scores[0].value, ScoreValue::Pass(true));
/// assert_eq!(scores[0].answer.as_deref(), Some("29.00"));
/// ```
#[derive(Debug)]
pub struct Scorers {
    scorers: Vec<Scorer>,
    groups: Vec<Group>,
}

/// One scorer with what its kind does not know.
#[derive(Debug)]
struct Scorer {
    name: String,
    not: bool,
    needs_target: bool,
    answer: CompiledAnswer,
    kind: Kind,
}

impl Scorers {
    /// Builds the scorers of a variant. `default_answer` is the variant's `answer`; `label_targets` are the distinct
    /// targets of the cases, the labels of a label scorer that names none; without `allow_commands` a `command` scorer
    /// is an error. Names, weights and groups are taken as they are: the suite's own check has judged them.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, each a [`ScoreProblem`] with the scorer's place.
    pub fn new(
        specs: &[ScorerSpec],
        default_answer: Option<&Answer>,
        label_targets: &[String],
        allow_commands: bool,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let default = default_answer.and_then(|answer| {
            let problem =
                |error| ScoreProblem { error, owner: "the variant's `answer`".into(), place: Place::default() };
            CompiledAnswer::new(answer).map_err(|error| problems.push(problem(error))).ok()
        });
        let mut scorers = Vec::new();
        for spec in specs {
            if spec.not && matches!(spec.kind, crate::suite::ScorerKind::Label(_)) {
                problems.push(problem(spec, ScoreError::NotOnLabel));
            }
            let answer = Scorer::answer(spec, default.as_ref());
            let kind = Kind::new(&spec.kind, label_targets, allow_commands);
            match (answer, kind) {
                (Ok(answer), Ok(kind)) => scorers.push(Scorer {
                    name: spec.name.clone(),
                    not: spec.not,
                    needs_target: spec.kind.needs_target(),
                    answer,
                    kind,
                }),
                (answer, kind) => {
                    problems.extend(answer.err().into_iter().chain(kind.err()).map(|error| problem(spec, error)));
                }
            }
        }
        problems.or_ok(Self { scorers, groups: groups(specs) })
    }

    /// Judges one completion: a score for each scorer in the suite's order, then one for each group.
    #[must_use]
    pub fn judge(&self, judged: &Judged) -> Vec<Score> {
        let text = strip_think(&judged.completion.text);
        let mut scores: Vec<Score> = self.scorers.iter().map(|scorer| scorer.judge(&text, judged)).collect();
        let target = judged.case.target.as_deref();
        let of_groups: Vec<Score> = self.groups.iter().map(|group| group.score(&scores, target)).collect();
        scores.extend(of_groups);
        scores
    }

    /// The names of the scores that [`judge`](Self::judge) gives, in its order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let scorers = self.scorers.iter().map(|scorer| scorer.name.as_str());
        scorers.chain(self.groups.iter().map(|group| group.name.as_str()))
    }

    /// The labels of a label scorer, sorted; `None` if `name` is not one.
    #[must_use]
    pub fn labels(&self, name: &str) -> Option<Vec<&str>> {
        self.scorers.iter().find(|scorer| scorer.name == name).and_then(|scorer| match &scorer.kind {
            Kind::Label(labels) => Some(labels.labels()),
            _ => None,
        })
    }
}

impl Scorer {
    /// How a scorer reads its answer.
    fn answer(spec: &ScorerSpec, default: Option<&CompiledAnswer>) -> Result<CompiledAnswer, ScoreError> {
        match (&spec.answer, default) {
            (Some(own), _) => CompiledAnswer::new(own),
            (None, Some(default)) if !kind::judges_the_whole(&spec.kind) => Ok(default.clone()),
            (None, _) => CompiledAnswer::new(&kind::own_answer(&spec.kind)),
        }
    }

    fn judge(&self, text: &str, judged: &Judged) -> Score {
        let target = judged.case.target.as_deref();
        let unfit = match target {
            None if self.needs_target => Some("the case has no target".to_owned()),
            None => None,
            Some(target) => self.kind.unfit(target),
        };
        if let Some(reason) = unfit {
            return self.score(Judgement::unscored(reason), None);
        }
        let Some(answer) = extract(&self.answer, text) else {
            return self.score(Judgement::pass(false, || no_answer(judged.completion)), None);
        };
        let judgement = self.kind.judge(&answer, target.unwrap_or_default(), judged);
        let judgement = if self.not { judgement.turned_round() } else { judgement };
        let answer = match (&self.kind, &judgement.value) {
            (Kind::Label(_), ScoreValue::Label(label)) => Some(label.clone()),
            (Kind::Label(_), _) => None,
            _ => Some(answer),
        };
        self.score(judgement, answer)
    }

    fn score(&self, judgement: Judgement, answer: Option<String>) -> Score {
        let Judgement { value, explanation } = judgement;
        Score { scorer: self.name.clone(), value, answer, explanation, parts: serde_json::Map::new() }
    }
}

/// Why no answer was read.
fn no_answer(completion: &Completion) -> String {
    match completion.stop_reason {
        StopReason::Length => "no answer could be read; the completion was cut at max_tokens".to_owned(),
        StopReason::Stop => "no answer could be read".to_owned(),
    }
}

fn problem(spec: &ScorerSpec, error: ScoreError) -> ScoreProblem {
    ScoreProblem { error, owner: format!("scorer `{}`", spec.name), place: spec.place.clone() }
}

#[cfg(test)]
mod tests;
