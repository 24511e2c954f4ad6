//! `judge_model`: another local model judges, by the likelihood of its verdicts.

use super::candidate::{Behind, Distribution, checked};
use super::judgement::Judgement;
use super::scorer::Scorer;
use super::{Candidate, Judged, Likelihood};
use crate::engine::Completion;
use crate::prompt::{PromptError, PromptTemplate};
use crate::suite::{Case, JudgeModel, ModelRef};
use serde_json::{Value, json};

/// What another model found about one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The scorer's name.
    pub scorer: String,
    /// What it found, or why it could not be asked.
    pub asked: Result<Found, String>,
}

/// What is found by another model.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// By a judge: for each case of [`Judge::asks`], the likelihoods of [`Judge::candidates`], in their order.
    Likelihoods(Vec<Vec<Likelihood>>),
    /// By a classifier or a reward model: the state that its head reads.
    State(Vec<f32>),
}

/// A judge and its question, ready to be put to a model.
///
/// What is asked is a [`Case`] for the judge's own prompt: render [`Judge::template`] with it for the judge's model.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    pub(super) scorer: &'a Scorer,
    pub(super) judge: &'a JudgeScorer,
}

impl<'a> Judge<'a> {
    /// The scorer's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.judge.name
    }

    /// The model that judges.
    #[must_use]
    pub fn model(&self) -> &'a ModelRef {
        &self.judge.spec.model
    }

    /// Its context length, where the suite says one.
    #[must_use]
    pub fn context(&self) -> Option<u32> {
        self.judge.spec.context
    }

    /// Its prompt.
    #[must_use]
    pub fn template(&self) -> &'a PromptTemplate {
        &self.judge.template
    }

    /// What the judge is asked about a completion: the case with `completion` (the answer, think tags taken off) and
    /// `target`; or, against the target, with the two as `a` and `b`, once in each order. Nothing where there is nothing
    /// to judge: an empty completion, or no target to compare with.
    #[must_use]
    pub fn asks(&self, case: &Case, completion: &Completion) -> Vec<Case> {
        match self.scorer.answer_of(&completion.text) {
            Some(answer) => self.judge.asks(case, &answer),
            None => Vec::new(),
        }
    }

    /// The verdicts behind the judge's prompt.
    #[must_use]
    pub fn candidates(&self, prompt: &str) -> Vec<Candidate> {
        let behind = Behind { prompt, chat: self.judge.template.begins_a_message(), delimiter: None };
        behind.candidates(&self.judge.choices, false)
    }
}

/// The value is the expected worth of the verdict, `Σ p(choice) · worth(choice)` with `p` the softmax of the sums of
/// log-probabilities (G-Eval, Liu et al. 2023, arXiv 2303.16634, section 2).
///
/// Against the target the judge is asked in both orders, because judges favour a position (Zheng et al. 2023, arXiv
/// 2306.05685, section 3.3): in the second the worths change places, so that both values are the completion's. The value
/// is their mean, and the part `position_bias` how far they lie apart, 0 for a judge that minds the order not at all.
/// `parts` also hold the probabilities of the `verdicts`, one map an order.
#[derive(Debug)]
pub(super) struct JudgeScorer {
    name: String,
    spec: JudgeModel,
    template: PromptTemplate,
    /// The texts of the choices.
    choices: Vec<String>,
}

impl JudgeScorer {
    pub(super) fn new(name: &str, spec: &JudgeModel) -> Result<Self, PromptError> {
        let template = PromptTemplate::compile(&spec.prompt)?;
        let choices = spec.choices.iter().map(|(text, _)| text.clone()).collect();
        Ok(Self { name: name.to_owned(), spec: spec.clone(), template, choices })
    }

    fn asks(&self, case: &Case, answer: &str) -> Vec<Case> {
        let with = |vars: [(&str, Option<&str>); 2]| {
            let mut asked = case.clone();
            for (name, text) in vars {
                if let Some(text) = text {
                    asked.vars.insert(name.to_owned(), text.into());
                }
            }
            asked
        };
        let target = case.target.as_deref();
        match target {
            _ if !self.spec.against_target => vec![with([("completion", Some(answer)), ("target", target)])],
            Some(_) => {
                vec![with([("a", Some(answer)), ("b", target)]), with([("a", target), ("b", Some(answer))])]
            }
            None => Vec::new(),
        }
    }

    pub(super) fn judge(&self, judged: &Judged) -> Judgement {
        let verdict = judged.verdicts.iter().find(|verdict| verdict.scorer == self.name);
        let orders = match verdict.map(|verdict| &verdict.asked) {
            Some(Ok(Found::Likelihoods(orders))) => orders,
            Some(Err(reason)) => return Judgement::unscored(format!("the judge could not be asked: {reason}")),
            Some(Ok(Found::State(_))) | None => return Judgement::unscored("the judge was not asked"),
        };
        if orders.len() != if self.spec.against_target { 2 } else { 1 } {
            return Judgement::unscored("the judge was not asked");
        }
        match orders.iter().map(|order| self.distribution(order)).collect::<Result<Vec<_>, _>>() {
            Ok(orders) => self.worth(&orders),
            Err(reason) => Judgement::unscored(format!("the judge gave no verdict: {reason}")),
        }
    }

    fn distribution(&self, order: &[Likelihood]) -> Result<Distribution, String> {
        if order.len() != self.choices.len() {
            return Err(format!("{} likelihoods for {} choices", order.len(), self.choices.len()));
        }
        let sums = order.iter().map(|one| checked(one).map(|one| one.logprob)).collect::<Result<Vec<_>, _>>()?;
        Ok(Distribution::of(&sums))
    }

    fn worth(&self, orders: &[Distribution]) -> Judgement {
        let expected = |(at, order): (usize, &Distribution)| {
            let mut worths: Vec<f64> = self.spec.choices.iter().map(|(_, worth)| *worth).collect();
            if at > 0 {
                worths.reverse();
            }
            order.p.iter().zip(worths).map(|(p, worth)| p * worth).sum::<f64>()
        };
        let values: Vec<f64> = orders.iter().enumerate().map(expected).collect();
        let shown: Vec<String> = orders.iter().map(|order| order.shown(&self.choices)).collect();
        let verdicts = |order: &Distribution| -> Value {
            self.choices.iter().cloned().zip(order.p.iter().map(|p| json!(p))).collect::<serde_json::Map<_, _>>().into()
        };
        let mut judgement = Judgement::number(values.iter().sum::<f64>() / values.len() as f64);
        judgement.explanation = shown.join("; in the other order ");
        judgement.parts.insert("verdicts".to_owned(), orders.iter().map(verdicts).collect());
        match values.as_slice() {
            [one, other] => judgement.with("position_bias", (one - other).abs()),
            _ => judgement,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{ScoreValue, Scorers};
    use crate::suite::{PromptFile, ScorerKind, ScorerSpec};

    fn spec(prompt: &str, choices: &[(&str, f64)], against_target: bool) -> ScorerSpec {
        let judge = JudgeModel {
            model: ModelRef::Gguf("judge.gguf".into()),
            context: None,
            prompt: PromptFile { path: "judge.txt".into(), text: prompt.into() },
            choices: choices.iter().map(|(text, worth)| ((*text).to_owned(), *worth)).collect(),
            against_target,
        };
        let (name, place) = ("judge".into(), crate::error::Place::default());
        let kind = ScorerKind::JudgeModel(judge);
        ScorerSpec { name, not: false, weight: 1.0, group: None, answer: None, kind, place }
    }

    fn scorers(choices: &[(&str, f64)], against_target: bool) -> Scorers {
        Scorers::new(&[spec("Good?", choices, against_target)], None, &[], false).unwrap()
    }

    fn said(text: &str) -> Completion {
        crate::score::tests::said(text)
    }

    fn order(p: &[f64]) -> Vec<Likelihood> {
        let one = |p: &f64| Likelihood { text: "?".into(), logprob: p.ln(), tokens: 1, bytes: 1, unconditional: None };
        p.iter().map(one).collect()
    }

    fn judged(scorers: &Scorers, asked: Result<Vec<Vec<Likelihood>>, String>) -> crate::score::Score {
        let case = Case::new("c", [("q", "?")], Some("truth"));
        let verdicts = [Verdict { scorer: "judge".into(), asked: asked.map(Found::Likelihoods) }];
        let completion = said("answer");
        let judged = Judged {
            case: &case,
            prompt: "",
            chat: false,
            completion: Some(&completion),
            likelihood: &[],
            verdicts: &verdicts,
        };
        scorers.judge(&judged).remove(0)
    }

    /// By hand: 0.5·1 + 0.3·0.5 + 0.2·0 = 0.65.
    #[test]
    fn the_value_is_what_the_verdict_is_worth_on_average() {
        let scorers = scorers(&[("good", 1.0), ("fair", 0.5), ("bad", 0.0)], false);
        let score = judged(&scorers, Ok(vec![order(&[0.5, 0.3, 0.2])]));
        assert!((score.value.as_number().unwrap() - 0.65).abs() < 1e-12);
        insta::assert_snapshot!(score.explanation, @"`good` 0.50, `fair` 0.30, `bad` 0.20");
        assert!((score.parts["verdicts"][0]["fair"].as_f64().unwrap() - 0.3).abs() < 1e-12);
        assert!(!score.parts.contains_key("position_bias"));
    }

    /// By hand: the completion is `a` and preferred with 0.8, then `b` and preferred with 1 − 0.6: 0.6 on average, 0.4 apart.
    #[test]
    fn both_orders_are_averaged_and_their_distance_is_the_position_bias() {
        let scorers = scorers(&[("A", 1.0), ("B", 0.0)], true);
        let score = judged(&scorers, Ok(vec![order(&[0.8, 0.2]), order(&[0.6, 0.4])]));
        assert!((score.value.as_number().unwrap() - 0.6).abs() < 1e-12);
        assert!((score.parts["position_bias"].as_f64().unwrap() - 0.4).abs() < 1e-12);
        insta::assert_snapshot!(score.explanation, @"`A` 0.80, `B` 0.20; in the other order `A` 0.60, `B` 0.40");
        let fair = judged(&scorers, Ok(vec![order(&[0.8, 0.2]), order(&[0.2, 0.8])]));
        assert!((fair.value.as_number().unwrap() - 0.8).abs() < 1e-12, "the same verdict in both orders");
        assert!(fair.parts["position_bias"].as_f64().unwrap().abs() < 1e-12);
    }

    #[test]
    fn the_judge_sees_the_case_and_the_completion_or_both_orders_of_a_and_b() {
        let case = Case::new("c", [("q", "?")], Some("truth"));
        let scorers_of = |against| scorers(&[("A", 1.0), ("B", 0.0)], against);
        let asks = |scorers: &Scorers, case: &Case, text: &str| -> Vec<String> {
            let judge = scorers.judges().next().unwrap();
            judge.asks(case, &said(text)).into_iter().map(|case| Value::Object(case.vars).to_string()).collect()
        };
        let alone = scorers_of(false);
        assert_eq!(
            asks(&alone, &case, "<think>hm</think> answer\n"),
            [r#"{"q":"?","completion":"answer","target":"truth"}"#]
        );
        assert_eq!(asks(&alone, &Case { target: None, ..case.clone() }, "x"), [r#"{"q":"?","completion":"x"}"#]);
        assert!(asks(&alone, &case, " ").is_empty());
        let against = scorers_of(true);
        let both = [r#"{"q":"?","a":"answer","b":"truth"}"#, r#"{"q":"?","a":"truth","b":"answer"}"#];
        assert_eq!(asks(&against, &case, "answer"), both);
        assert!(asks(&against, &Case { target: None, ..case }, "x").is_empty());
        let judge = against.judges().next().unwrap();
        assert_eq!(judge.candidates("Better:")[0], Candidate { text: " A".into(), unconditional: false });
    }

    #[test]
    fn a_judge_that_could_not_be_asked_leaves_the_case_unscored_with_the_reason() {
        let scorers = scorers(&[("yes", 1.0), ("no", 0.0)], false);
        let unscored = |asked| match judged(&scorers, asked).value {
            ScoreValue::Unscored(reason) => reason,
            other => panic!("{other:?}"),
        };
        insta::assert_snapshot!(unscored(Err("prompt too long".into())), @"the judge could not be asked: prompt too long");
        insta::assert_snapshot!(unscored(Ok(vec![])), @"the judge was not asked");
        insta::assert_snapshot!(unscored(Ok(vec![order(&[0.5])])), @"the judge gave no verdict: 1 likelihoods for 2 choices");
        insta::assert_snapshot!(unscored(Ok(vec![order(&[0.5, 0.0])])),
            @"the judge gave no verdict: the model finds `?` impossible: its log-probability is -inf");
    }

    #[test]
    fn a_prompt_that_does_not_parse_is_an_error_at_its_own_place() {
        let broken = [spec("Good? {{ completion }", &[("yes", 1.0), ("no", 0.0)], false)];
        let problems = Scorers::new(&broken, None, &[], false).unwrap_err().to_string();
        assert!(problems.contains("--> judge.txt:1:"), "{problems}");
    }
}
