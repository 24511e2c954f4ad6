//! One scorer with what its kind does not know: its name, its way to read the answer, `not`.

use super::extract::{CompiledAnswer, extract, strip_think};
use super::judgement::Judgement;
use super::kind::{self, Kind, Wrong};
use super::{Judged, Score, ScoreError, ScoreValue};
use crate::engine::{Completion, StopReason};
use crate::suite::ScorerSpec;

#[derive(Debug)]
pub(super) struct Scorer {
    pub(super) name: String,
    pub(super) kind: Kind,
    not: bool,
    needs_target: bool,
    answer: CompiledAnswer,
}

impl Scorer {
    /// Builds a scorer, or says everything that is wrong with it.
    pub(super) fn new(
        spec: &ScorerSpec,
        default: Option<&CompiledAnswer>,
        targets: &[String],
        allow_commands: bool,
    ) -> Result<Self, Vec<Wrong>> {
        match (answer(spec, default), Kind::new(spec, targets, allow_commands)) {
            (Ok(answer), Ok(kind)) => Ok(Self {
                name: spec.name.clone(),
                kind,
                not: spec.not,
                needs_target: spec.kind.needs_target(),
                answer,
            }),
            (answer, kind) => Err(answer.err().map(Wrong::Scorer).into_iter().chain(kind.err()).collect()),
        }
    }

    /// The answer that it reads from a completion.
    pub(super) fn answer_of(&self, text: &str) -> Option<String> {
        extract(&self.answer, &strip_think(text))
    }

    pub(super) fn judge(&self, judged: &Judged) -> Score {
        let by_itself = match &self.kind {
            Kind::Likelihood(scorer) => Some(scorer.judge(judged)),
            Kind::Classifier(scorer) => Some(scorer.judge(judged)),
            // A model that says nothing has a reward, too.
            Kind::Reward(scorer) => Some((scorer.judge(judged), None)),
            _ => None,
        };
        if let Some((judgement, answer)) = by_itself {
            return self.score(judgement, answer);
        }
        let target = judged.case.target.as_deref();
        let unfit = match target {
            None if self.needs_target => Some("the case has no target".to_owned()),
            None => None,
            Some(target) => self.kind.unfit(target),
        };
        if let Some(reason) = unfit {
            return self.score(Judgement::unscored(reason), None);
        }
        let Some(completion) = judged.completion else {
            return self.score(Judgement::unscored("the model was not asked to say anything"), None);
        };
        let Some(answer) = self.answer_of(&completion.text) else {
            return self.score(Judgement::pass(false, || no_answer(completion)), None);
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
        let Judgement { value, explanation, parts } = judgement;
        Score { scorer: self.name.clone(), value, answer, explanation, parts }
    }
}

/// How a scorer reads its answer.
fn answer(spec: &ScorerSpec, default: Option<&CompiledAnswer>) -> Result<CompiledAnswer, ScoreError> {
    match (&spec.answer, default) {
        (Some(own), _) => CompiledAnswer::new(own),
        (None, Some(default)) if !kind::judges_the_whole(&spec.kind) => Ok(default.clone()),
        (None, _) => CompiledAnswer::new(&kind::own_answer(&spec.kind)),
    }
}

/// Why no answer was read.
fn no_answer(completion: &Completion) -> String {
    match completion.stop_reason {
        StopReason::Length => "no answer could be read; the completion was cut at max_tokens".to_owned(),
        StopReason::Stop => "no answer could be read".to_owned(),
    }
}
