//! Room 4: a completion becomes a [`Score`].
//!
//! [`Scorers`] holds the scorers of one variant, built and checked before anything is run. [`Scorers::judge`] never
//! fails: what cannot be judged is [`ScoreValue::Unscored`] with its reason. The rules that all scorers share:
//!
//! - Think tags are taken off first ([`strip_think`]), then the answer is read ([`extract`]): in the scorer's own way, else
//!   the variant's, else the kind's (`number`: the last number; any other: the whole text). `contains`, `regex`, `json`,
//!   `stopped` and `judge_model` judge the whole text whatever the variant says.
//! - Scorers by likelihood (`choice`, `perplexity`, `label` with `by: likelihood`) read nothing: they say which texts they
//!   need the likelihood of ([`Scorers::candidates`]) and judge by that. Another model's judgement is asked for by
//!   [`Scorers::judges`]; a `label` with a `classifier` judges the prompt by what that says of it
//!   ([`Scorers::classifiers`]), a `reward` the prompt and what was said ([`Scorers::rewards`]).
//! - A case that lacks a target, or has one that cannot be judged against (`number`: no number), is unscored, whatever
//!   the model said.
//! - A completion whose answer cannot be read (an empty one, too) is wrong: value false, `answer` none. That holds for
//!   every kind, and also under `not`: a model that says nothing passes no test. A `command` is then not run.
//! - `not` turns a pass round and makes a number `1 - number`. A label scorer refuses it.
//! - A label scorer gives the label read, whether right or wrong; compare it with the target, which is one of the labels
//!   letter by letter.
//! - Scorers with a `group:` get one more score named after it, behind the others: the weighted mean of their values.
//! - Repeats of a case come to one row of scores by [`Scorers::reduce`].

mod by_likelihood;
mod candidate;
mod choice;
mod chrf;
mod classifier;
mod command;
mod contains;
mod edit_distance;
mod error;
mod exact;
mod extract;
mod group;
mod json;
mod judge;
mod judgement;
mod kind;
mod label;
mod label_likelihood;
mod likelihood;
mod normalise;
mod number;
mod perplexity;
mod readings;
mod reduce;
mod regex;
mod reward;
mod rouge_l;
mod scorer;
mod stopped;
mod surprisal;
mod value;

pub use classifier::Classifying;
pub use error::{ScoreError, ScoreProblem};
pub use extract::{CompiledAnswer, extract, strip_think};
pub use judge::{Found, Judge, Verdict};
pub use likelihood::{Candidate, Likelihood};
pub use readings::{Readings, shares};
pub use reward::Rewarding;
pub use surprisal::Surprisal;
pub use value::{Score, ScoreValue};

use crate::engine::Completion;
use crate::error::{Place, Problems};
use crate::suite::{Answer, Case, Reduce, ScorerSpec};
use by_likelihood::ByLikelihood;
use group::{Group, groups};
use kind::{Kind, Wrong};
use scorer::Scorer;

/// What is judged: what a model made of one case.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The case.
    pub case: &'a Case,
    /// The prompt's text as the model saw it.
    pub prompt: &'a str,
    /// Whether the prompt is a chat.
    pub chat: bool,
    /// What the model said; `None` where only likelihoods were asked ([`Scorers::needs_completion`]).
    pub completion: Option<&'a Completion>,
    /// How likely the model finds the texts of [`Scorers::candidates`], in any order; or the windows of a long text.
    pub likelihood: &'a [Likelihood],
    /// What the judges of [`Scorers::judges`], the classifiers of [`Scorers::classifiers`] and the reward models of
    /// [`Scorers::rewards`] found, in any order.
    pub verdicts: &'a [Verdict],
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
///     prompt_tokens: 0, prompt_tokens_decoded: 0, completion_tokens: 0, elapsed_s: 0.0, logprobs: None, end: None,
/// };
/// let scores = scorers.judge(&Judged {
///     case: &case, prompt: "What is 14 + 15?", chat: false,
///     completion: Some(&completion), likelihood: &[], verdicts: &[],
/// });
/// assert_eq!(scores[0].value, ScoreValue::Pass(true));
/// assert_eq!(scores[0].answer.as_deref(), Some("29.00"));
/// ```
#[derive(Debug)]
pub struct Scorers {
    scorers: Vec<Scorer>,
    groups: Vec<Group>,
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
            if spec.not && matches!(spec.kind, crate::suite::ScorerKind::Reward(_)) {
                problems.push(problem(spec, ScoreError::NotOnReward));
            }
            match Scorer::new(spec, default.as_ref(), label_targets, allow_commands) {
                Ok(scorer) => scorers.push(scorer),
                Err(all) => all.into_iter().for_each(|wrong| match wrong {
                    Wrong::Scorer(error) => problems.push(problem(spec, error)),
                    Wrong::Prompt(error) => problems.push(error),
                    Wrong::File(found) => problems.append(found),
                }),
            }
        }
        problems.or_ok(Self { scorers, groups: groups(specs) })
    }

    /// Judges one completion: a score for each scorer in the suite's order, then one for each group.
    #[must_use]
    pub fn judge(&self, judged: &Judged) -> Vec<Score> {
        let scores = self.scorers.iter().map(|scorer| scorer.judge(judged)).collect();
        self.with_groups(scores, judged.case.target.as_deref())
    }

    /// The scores of several repeats of one case as one row, in the same order. A group is the mean of its members'
    /// reduced scores.
    #[must_use]
    pub fn reduce(&self, by: &Reduce, repeats: &[&[Score]], target: Option<&str>) -> Vec<Score> {
        let of =
            |name: &str| repeats.iter().filter_map(|row| row.iter().find(|s| s.scorer == name)).collect::<Vec<_>>();
        let rewards: Vec<Option<f64>> = match by {
            Reduce::BestOf(reward) | Reduce::Weighted(reward) => {
                of(reward).into_iter().map(|score| score.value.as_number()).collect()
            }
            Reduce::Mean | Reduce::Majority | Reduce::Max | Reduce::PassAt(_) => Vec::new(),
        };
        let one = |scorer: &Scorer| reduce::reduce(by, &scorer.name, (&of(&scorer.name), &rewards), target);
        self.with_groups(self.scorers.iter().map(one).collect(), target)
    }

    fn with_groups(&self, mut scores: Vec<Score>, target: Option<&str>) -> Vec<Score> {
        let of_groups: Vec<Score> = self.groups.iter().map(|group| group.score(&scores, target)).collect();
        scores.extend(of_groups);
        scores
    }

    /// Whether any of them judges what the model says, so that a completion is needed.
    #[must_use]
    pub fn needs_completion(&self) -> bool {
        self.scorers.iter().any(|scorer| !matches!(scorer.kind, Kind::Likelihood(_) | Kind::Classifier(_)))
    }

    /// The texts whose likelihood behind this prompt is needed to judge the case, each once, in the scorers' order. None
    /// where no scorer asks, or the case does not fit those that do: they will say why.
    #[must_use]
    pub fn candidates(&self, case: &Case, prompt: &str, chat: bool) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        for scorer in &self.scorers {
            let Kind::Likelihood(scorer) = &scorer.kind else { continue };
            for candidate in scorer.candidates(case, prompt, chat) {
                match all.iter_mut().find(|other| other.text == candidate.text) {
                    Some(other) => other.unconditional |= candidate.unconditional,
                    None => all.push(candidate),
                }
            }
        }
        all
    }

    /// The scorers that ask another model.
    pub fn judges(&self) -> impl Iterator<Item = Judge<'_>> {
        self.scorers.iter().filter_map(|scorer| match &scorer.kind {
            Kind::Judge(judge) => Some(Judge { scorer, judge }),
            _ => None,
        })
    }

    /// The scorers that ask a classifier.
    pub fn classifiers(&self) -> impl Iterator<Item = Classifying<'_>> {
        self.scorers.iter().filter_map(|scorer| match &scorer.kind {
            Kind::Classifier(classifier) => Some(Classifying(classifier)),
            _ => None,
        })
    }

    /// The scorers that ask a reward model.
    pub fn rewards(&self) -> impl Iterator<Item = Rewarding<'_>> {
        self.scorers.iter().filter_map(|scorer| match &scorer.kind {
            Kind::Reward(reward) => Some(Rewarding(reward)),
            _ => None,
        })
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
            Kind::Likelihood(ByLikelihood::Label(labels)) => Some(labels.labels()),
            Kind::Classifier(classifier) => Some(classifier.labels()),
            _ => None,
        })
    }
}

fn problem(spec: &ScorerSpec, error: ScoreError) -> ScoreProblem {
    ScoreProblem { error, owner: format!("scorer `{}`", spec.name), place: spec.place.clone() }
}

#[cfg(test)]
mod tests;
