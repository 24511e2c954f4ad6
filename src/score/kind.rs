//! The closed set of scorers, ready for use, and the one place that tells them apart.

use super::by_likelihood::ByLikelihood;
use super::choice::ChoiceScorer;
use super::chrf;
use super::classifier::ClassifierScorer;
use super::command::CommandScorer;
use super::contains::ContainsScorer;
use super::edit_distance;
use super::exact::ExactScorer;
use super::json::JsonScorer;
use super::judge::JudgeScorer;
use super::judgement::Judgement;
use super::label::LabelScorer;
use super::label_likelihood::LabelLikelihood;
use super::number::NumberScorer;
use super::perplexity::PerplexityScorer;
use super::regex::RegexScorer;
use super::reward::RewardScorer;
use super::rouge_l;
use super::stopped;
use super::{Judged, ScoreError};
use crate::error::Problems;
use crate::prompt::PromptError;
use crate::suite::{Answer, LabelBy, ScorerKind, ScorerSpec, Which};
use serde_json::{Value, json};

/// One scorer of each kind, built from its settings.
#[derive(Debug)]
pub(super) enum Kind {
    Exact(ExactScorer),
    Contains(ContainsScorer),
    Regex(RegexScorer),
    Number(NumberScorer),
    Json(Box<JsonScorer>),
    Label(LabelScorer),
    EditDistance,
    RougeL,
    Chrf,
    Stopped,
    Command(CommandScorer),
    Likelihood(ByLikelihood),
    Classifier(Box<ClassifierScorer>),
    Judge(Box<JudgeScorer>),
    Reward(Box<RewardScorer>),
}

/// What is wrong with a scorer.
#[derive(Debug)]
pub(super) enum Wrong {
    Scorer(ScoreError),
    /// The prompt of its judge, which has a place of its own.
    Prompt(PromptError),
    /// The file of its classifier, which has places of its own.
    File(Problems),
}

impl From<ScoreError> for Wrong {
    fn from(error: ScoreError) -> Self {
        Self::Scorer(error)
    }
}

impl Kind {
    /// Builds a scorer; `targets` are the labels of a label scorer that names none.
    pub(super) fn new(spec: &ScorerSpec, targets: &[String], allow_commands: bool) -> Result<Self, Wrong> {
        let name = &spec.name;
        Ok(match &spec.kind {
            ScorerKind::Exact(spec) => Self::Exact(ExactScorer::new(spec)),
            ScorerKind::Contains(spec) => Self::Contains(ContainsScorer::new(spec)?),
            ScorerKind::Regex(spec) => Self::Regex(RegexScorer::new(spec)?),
            ScorerKind::Number(spec) => Self::Number(NumberScorer::new(spec)?),
            ScorerKind::Json(spec) => Self::Json(Box::new(JsonScorer::new(spec)?)),
            ScorerKind::Label(spec) => match (&spec.classifier, spec.by) {
                (Some(classifier), _) => {
                    Self::Classifier(Box::new(ClassifierScorer::new(name, spec, classifier, targets)?))
                }
                (None, LabelBy::Text) => Self::Label(LabelScorer::new(spec, targets)?),
                (None, LabelBy::Likelihood) => {
                    Self::Likelihood(ByLikelihood::Label(LabelLikelihood::new(spec, targets)?))
                }
            },
            ScorerKind::EditDistance(_) => Self::EditDistance,
            ScorerKind::RougeL(_) => Self::RougeL,
            ScorerKind::Chrf(_) => Self::Chrf,
            ScorerKind::Stopped(_) => Self::Stopped,
            ScorerKind::Command(spec) => Self::Command(CommandScorer::new(spec, allow_commands)?),
            ScorerKind::Choice(spec) => Self::Likelihood(ByLikelihood::Choice(ChoiceScorer::new(spec))),
            ScorerKind::Perplexity(spec) => Self::Likelihood(ByLikelihood::Perplexity(PerplexityScorer::new(spec))),
            ScorerKind::JudgeModel(spec) => Self::Judge(Box::new(JudgeScorer::new(name, spec).map_err(Wrong::Prompt)?)),
            ScorerKind::Reward(spec) => Self::Reward(Box::new(RewardScorer::new(name, spec)?)),
        })
    }

    /// Why a case with this target cannot be judged.
    pub(super) fn unfit(&self, target: &str) -> Option<String> {
        match self {
            Self::Contains(scorer) => scorer.unfit(target),
            Self::Number(_) => NumberScorer::unfit(target),
            Self::Label(scorer) => scorer.unfit(target),
            Self::RougeL => rouge_l::unfit(target),
            Self::Chrf => chrf::unfit(target),
            Self::Exact(_)
            | Self::Regex(_)
            | Self::Json(_)
            | Self::EditDistance
            | Self::Stopped
            | Self::Command(_)
            | Self::Likelihood(_)
            | Self::Classifier(_)
            | Self::Judge(_)
            | Self::Reward(_) => None,
        }
    }

    /// Judges the answer that was read. The target is empty where the kind needs none.
    pub(super) fn judge(&self, answer: &str, target: &str, judged: &Judged) -> Judgement {
        match self {
            Self::Exact(scorer) => scorer.judge(answer, target),
            Self::Contains(scorer) => scorer.judge(answer, target),
            Self::Regex(scorer) => scorer.judge(answer),
            Self::Number(scorer) => scorer.judge(answer, target),
            Self::Json(scorer) => scorer.judge(answer),
            Self::Label(scorer) => scorer.judge(answer, target),
            Self::EditDistance => edit_distance::judge(answer, target),
            Self::RougeL => rouge_l::judge(answer, target),
            Self::Chrf => chrf::judge(answer, target),
            Self::Stopped => stopped::judge(judged),
            Self::Command(scorer) => scorer.judge(&sample(answer, judged)),
            Self::Likelihood(scorer) => scorer.judge(judged).0,
            Self::Classifier(scorer) => scorer.judge(judged).0,
            Self::Judge(scorer) => scorer.judge(judged),
            Self::Reward(scorer) => scorer.judge(judged),
        }
    }
}

/// Whether a kind judges the whole completion, whatever the variant says about answers.
pub(super) fn judges_the_whole(kind: &ScorerKind) -> bool {
    use ScorerKind::{Contains, Json, JudgeModel, Regex, Reward, Stopped};
    matches!(kind, Contains(_) | Regex(_) | Json(_) | JudgeModel(_) | Reward(_) | Stopped(_))
}

/// How a kind reads the answer where neither it nor the variant says how.
pub(super) fn own_answer(kind: &ScorerKind) -> Answer {
    match kind {
        ScorerKind::Number(_) => Answer::Number { which: Which::Last },
        _ => Answer::Text,
    }
}

/// What a program is told: the fields of a line of `samples.jsonl` that exist by now, and the answer that was read.
fn sample(answer: &str, judged: &Judged) -> Value {
    let case = judged.case;
    json!({
        "case": {"id": case.id, "vars": case.vars, "target": case.target, "tags": case.tags},
        "prompt": {"text": judged.prompt},
        "completion": judged.completion,
        "answer": answer,
    })
}
