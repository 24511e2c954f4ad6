//! `label` with a `classifier`: the label that a head on a model finds likeliest behind the prompt.

use super::candidate::Distribution;
use super::judge::Found;
use super::judgement::Judgement;
use super::kind::Wrong;
use super::label::LabelScorer;
use super::label_likelihood::likeliest;
use super::{Judged, ScoreError};
use crate::engine::{self, Render};
use crate::suite::{self, Label};

/// A classifier and where it runs, to be put to the prompts of trials.
#[derive(Debug, Clone, Copy)]
pub struct Classifying<'a>(pub(super) &'a ClassifierScorer);

impl<'a> Classifying<'a> {
    /// The scorer's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.0.name
    }

    /// What the suite says of it.
    #[must_use]
    pub fn spec(&self) -> &'a suite::Classifier {
        &self.0.spec
    }

    /// Numbers of a state that its head reads.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.classifier.width()
    }

    /// How the texts that it learned from were put to the model.
    #[must_use]
    pub fn render(&self) -> Render {
        self.0.classifier.render
    }
}

/// The value is the likeliest label (the first, in the order of the alphabet, of equals): the probabilities are the softmax
/// of the head's outputs on the last state of the prompt, as it was rendered for the variant. Nothing need be said. `parts`
/// hold `brier` and `confidence`, as with `choice`, and the `probabilities`.
#[derive(Debug)]
pub(super) struct ClassifierScorer {
    name: String,
    spec: suite::Classifier,
    classifier: engine::Classifier,
    labels: LabelScorer,
    /// As written, sorted.
    texts: Vec<String>,
    /// Of each of those, which of the outputs is its own.
    order: Vec<usize>,
}

impl ClassifierScorer {
    /// Reads the classifier's head. Labels that the suite names must be its own, and one of the targets among them.
    pub(super) fn new(name: &str, label: &Label, spec: &suite::Classifier, targets: &[String]) -> Result<Self, Wrong> {
        let fault = |fault| ScoreError::Classifier { file: spec.file.clone(), fault };
        let classifier = engine::Classifier::open(&spec.file).map_err(Wrong::File)?.map_err(fault)?;
        Ok(Self::of(name, label, spec, (classifier, targets))?)
    }

    fn of(
        name: &str,
        label: &Label,
        spec: &suite::Classifier,
        (classifier, targets): (engine::Classifier, &[String]),
    ) -> Result<Self, ScoreError> {
        let own = Label { labels: classifier.labels.clone(), ..Label::default() };
        let labels = LabelScorer::new(&own, &[])?;
        let texts: Vec<String> = labels.labels().into_iter().map(str::to_owned).collect();
        let mut written = label.labels.clone();
        written.sort();
        if !written.is_empty() && written != texts {
            return Err(ScoreError::OtherLabels { written, known: texts });
        }
        if let Some(target) = targets.first().filter(|_| targets.iter().all(|target| !texts.contains(target))) {
            return Err(ScoreError::StrangeTargets { known: texts, target: target.clone() });
        }
        let at = |text: &String| classifier.labels.iter().position(|label| label == text);
        let order = texts.iter().filter_map(at).collect();
        Ok(Self { name: name.to_owned(), spec: spec.clone(), classifier, labels, texts, order })
    }

    /// The labels as written, sorted.
    pub(super) fn labels(&self) -> Vec<&str> {
        self.labels.labels()
    }

    /// The judgement, and the label that is the classifier's answer.
    pub(super) fn judge(&self, judged: &Judged) -> (Judgement, Option<String>) {
        let Some(target) = &judged.case.target else { return (Judgement::unscored("the case has no target"), None) };
        if let Some(reason) = self.labels.unfit(target) {
            return (Judgement::unscored(reason), None);
        }
        let outputs = match self.outputs(judged) {
            Ok(outputs) => outputs,
            Err(reason) => return (Judgement::unscored(reason), None),
        };
        let all = Distribution::of(&outputs);
        let (mut judgement, label) = likeliest(&all, &self.texts, target);
        let probabilities = self.texts.iter().cloned().zip(all.p.iter().map(|p| (*p).into()));
        judgement.parts.insert("probabilities".to_owned(), probabilities.collect::<serde_json::Map<_, _>>().into());
        (judgement, label)
    }

    /// What the head says of each label, in their order.
    fn outputs(&self, judged: &Judged) -> Result<Vec<f64>, String> {
        let verdict = judged.verdicts.iter().find(|verdict| verdict.scorer == self.name);
        let state = match verdict.map(|verdict| &verdict.asked) {
            Some(Ok(Found::State(state))) => state,
            Some(Err(reason)) => return Err(format!("the classifier could not be asked: {reason}")),
            Some(Ok(Found::Likelihoods(_))) | None => return Err("the classifier was not asked".to_owned()),
        };
        if state.len() != self.classifier.width() {
            return Err(format!("a state of {} numbers for a head of {}", state.len(), self.classifier.width()));
        }
        let outputs = self.classifier.outputs(state);
        if outputs.iter().any(|output| !output.is_finite()) {
            return Err("the classifier's output is not a number".to_owned());
        }
        Ok(self.order.iter().filter_map(|at| outputs.get(*at).copied()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Classifier;
    use crate::score::{ScoreValue, Verdict};
    use crate::suite::Case;

    /// A head on states of two numbers: `z` is the first, `a` the second.
    fn scorer() -> ClassifierScorer {
        let classifier = Classifier::new(vec!["z".into(), "a".into()], vec![1.0, 0.0, 0.0, 1.0], vec![0.0, 0.0]);
        let spec = suite::Classifier { file: "c.gguf".into(), model: None, context: None };
        ClassifierScorer::of("label", &Label::default(), &spec, (classifier, &[])).unwrap()
    }

    fn judge(target: Option<&str>, asked: Option<Result<Found, String>>) -> (Judgement, Option<String>) {
        let case = Case::new("c", [("q", "?")], target);
        let verdicts: Vec<Verdict> = asked.map(|asked| Verdict { scorer: "label".into(), asked }).into_iter().collect();
        let judged =
            Judged { case: &case, prompt: "", chat: false, completion: None, likelihood: &[], verdicts: &verdicts };
        scorer().judge(&judged)
    }

    /// By hand: p(z) = 3/4 where the outputs lie ln 3 apart; the Brier score of the wrong answer is 2·(3/4)².
    #[test]
    fn the_label_is_that_of_the_highest_output_right_or_wrong() {
        let (judged, answer) = judge(Some("a"), Some(Ok(Found::State(vec![3.0_f32.ln(), 0.0]))));
        assert_eq!((judged.value, answer.as_deref()), (ScoreValue::Label("z".into()), Some("z")));
        insta::assert_snapshot!(judged.explanation, @"`z` 0.75, `a` 0.25; expected `a`");
        let part = |name: &str| judged.parts[name].as_f64().unwrap();
        assert!((part("brier") - 1.125).abs() < 1e-6 && (part("confidence") - 0.75).abs() < 1e-6);
        assert!((judged.parts["probabilities"]["a"].as_f64().unwrap() - 0.25).abs() < 1e-6);
        let (equal, _) = judge(Some("a"), Some(Ok(Found::State(vec![0.0, 0.0]))));
        assert_eq!(equal.value, ScoreValue::Label("a".into()), "the first in the order of the alphabet");
    }

    #[test]
    fn what_cannot_be_judged_is_unscored_with_the_reason() {
        let unscored = |target, asked| match judge(target, asked).0.value {
            ScoreValue::Unscored(reason) => reason,
            other => panic!("{other:?}"),
        };
        insta::assert_snapshot!(unscored(Some("a"), None), @"the classifier was not asked");
        insta::assert_snapshot!(unscored(Some("a"), Some(Err("too long".into()))), @"the classifier could not be asked: too long");
        insta::assert_snapshot!(unscored(None, Some(Ok(Found::State(vec![0.0, 0.0])))), @"the case has no target");
        insta::assert_snapshot!(unscored(Some("b"), Some(Ok(Found::State(vec![0.0, 0.0])))), @"the target `b` is not among the labels a, z");
        insta::assert_snapshot!(unscored(Some("a"), Some(Ok(Found::State(vec![0.0])))), @"a state of 1 numbers for a head of 2");
        insta::assert_snapshot!(unscored(Some("a"), Some(Ok(Found::State(vec![f32::NAN, 0.0])))), @"the classifier's output is not a number");
    }
}
