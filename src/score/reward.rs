//! `reward`: how good a reward model finds what was said.

use super::judge::Found;
use super::judgement::Judgement;
use super::kind::Wrong;
use super::{Judged, ScoreError};
use crate::engine::RewardModel;
use crate::prompt::PromptTemplate;
use crate::suite;

/// A reward model and its question, to be put to what was said in trials.
#[derive(Debug, Clone, Copy)]
pub struct Rewarding<'a>(pub(super) &'a RewardScorer);

impl<'a> Rewarding<'a> {
    /// The scorer's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.0.name
    }

    /// What the suite says of it.
    #[must_use]
    pub fn spec(&self) -> &'a suite::Reward {
        &self.0.spec
    }

    /// The head.
    #[must_use]
    pub fn model(&self) -> &'a RewardModel {
        &self.0.model
    }

    /// What answers are judged as answers to, where that is not the variant's own prompt.
    #[must_use]
    pub fn template(&self) -> Option<&'a PromptTemplate> {
        self.0.template.as_ref()
    }
}

/// The value is the reward: over the answers that the model learned from it has mean 0 and standard deviation 1, so that 1
/// is about as good as the best sixth of them. An empty answer has a reward like any other.
#[derive(Debug)]
pub(super) struct RewardScorer {
    name: String,
    spec: suite::Reward,
    model: RewardModel,
    template: Option<PromptTemplate>,
}

impl RewardScorer {
    pub(super) fn new(name: &str, spec: &suite::Reward) -> Result<Self, Wrong> {
        let fault = |fault| ScoreError::RewardModel { file: spec.file.clone(), fault };
        let model = RewardModel::open(&spec.file).map_err(Wrong::File)?.map_err(fault)?;
        let template = spec.prompt.as_ref().map(PromptTemplate::compile).transpose().map_err(Wrong::Prompt)?;
        Ok(Self { name: name.to_owned(), spec: spec.clone(), model, template })
    }

    pub(super) fn judge(&self, judged: &Judged) -> Judgement {
        if judged.completion.is_none() {
            return Judgement::unscored("the model was not asked to say anything");
        }
        let verdict = judged.verdicts.iter().find(|verdict| verdict.scorer == self.name);
        let state = match verdict.map(|verdict| &verdict.asked) {
            Some(Ok(Found::State(state))) => state,
            Some(Err(reason)) => return Judgement::unscored(format!("the reward model could not be asked: {reason}")),
            Some(Ok(Found::Likelihoods(_))) | None => return Judgement::unscored("the reward model was not asked"),
        };
        if state.len() != self.model.width() {
            return Judgement::unscored(format!(
                "a state of {} numbers for a head of {}",
                state.len(),
                self.model.width()
            ));
        }
        Judgement::number(self.model.reward(state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Completion, StopReason};
    use crate::score::{ScoreValue, Verdict};
    use crate::suite::Case;

    fn judge(said: Option<&str>, asked: Option<Result<Found, String>>) -> ScoreValue {
        let model = RewardModel::new(vec![1.0, -1.0], 0.5, (1.0, 2.0));
        let spec = suite::Reward { file: "r.gguf".into(), base: None, prompt: None, context: None };
        let scorer = RewardScorer { name: "reward".into(), spec, model, template: None };
        let case = Case::new("c", [("q", "?")], None);
        let completion = said.map(|text| Completion {
            text: text.into(),
            tokens: vec![],
            stop_reason: StopReason::Stop,
            prompt_tokens: 0,
            prompt_tokens_decoded: 0,
            completion_tokens: 0,
            elapsed_s: 0.0,
            logprobs: None,
            end: None,
        });
        let verdicts: Vec<Verdict> =
            asked.map(|asked| Verdict { scorer: "reward".into(), asked }).into_iter().collect();
        let completion = completion.as_ref();
        scorer
            .judge(&Judged { case: &case, prompt: "", chat: false, completion, likelihood: &[], verdicts: &verdicts })
            .value
    }

    #[test]
    fn the_value_is_the_reward_of_the_state() {
        let state = || Some(Ok(Found::State(vec![4.0, 0.5])));
        assert_eq!(judge(Some("x"), state()), ScoreValue::Number(1.5));
        assert_eq!(judge(Some(""), state()), ScoreValue::Number(1.5), "an empty answer is judged");
    }

    #[test]
    fn what_could_not_be_asked_is_unscored_with_its_reason() {
        let reason = |value| match value {
            ScoreValue::Unscored(reason) => reason,
            other => panic!("{other:?}"),
        };
        insta::assert_snapshot!(reason(judge(None, None)), @"the model was not asked to say anything");
        insta::assert_snapshot!(reason(judge(Some("x"), None)), @"the reward model was not asked");
        insta::assert_snapshot!(reason(judge(Some("x"), Some(Err("too long".into())))), @"the reward model could not be asked: too long");
        insta::assert_snapshot!(reason(judge(Some("x"), Some(Ok(Found::State(vec![1.0]))))), @"a state of 1 numbers for a head of 2");
    }
}
