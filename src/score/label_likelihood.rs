//! `label` with `by: likelihood`: the label that the model finds likeliest behind the prompt.

use super::candidate::{Behind, Distribution};
use super::judgement::{Judgement, clip};
use super::label::LabelScorer;
use super::{Candidate, Judged, ScoreError, ScoreValue};
use crate::suite::{Case, Label};

/// Compares the labels of a closed set by their log-probabilities; the first, in the order of the alphabet, of equals.
/// `parts` hold `brier` and `confidence`, as with `choice`.
#[derive(Debug)]
pub(super) struct LabelLikelihood {
    labels: LabelScorer,
    /// As written, sorted.
    texts: Vec<String>,
    delimiter: Option<String>,
}

impl LabelLikelihood {
    /// Takes the spec's labels, else the distinct targets of the cases.
    pub(super) fn new(spec: &Label, targets: &[String]) -> Result<Self, ScoreError> {
        let labels = LabelScorer::new(spec, targets)?;
        let texts = labels.labels().into_iter().map(str::to_owned).collect();
        Ok(Self { labels, texts, delimiter: spec.delimiter.clone() })
    }

    pub(super) fn delimiter(&self) -> Option<&str> {
        self.delimiter.as_deref()
    }

    /// The labels as written, sorted.
    pub(super) fn labels(&self) -> Vec<&str> {
        self.labels.labels()
    }

    /// Why a case cannot be judged.
    fn unfit(&self, case: &Case) -> Option<String> {
        match &case.target {
            Some(target) => self.labels.unfit(target),
            None => Some("the case has no target".to_owned()),
        }
    }

    /// The labels behind the prompt; none where the case does not fit.
    pub(super) fn candidates(&self, case: &Case, behind: Behind) -> Vec<Candidate> {
        if self.unfit(case).is_some() { Vec::new() } else { behind.candidates(&self.texts, false) }
    }

    /// The judgement, and the label that is the model's answer.
    pub(super) fn judge(&self, judged: &Judged, behind: Behind) -> (Judgement, Option<String>) {
        let found = match self.unfit(judged.case) {
            Some(reason) => Err(reason),
            None => behind.find(&self.texts, judged.likelihood),
        };
        let measured = match found {
            Ok(measured) => measured,
            Err(reason) => return (Judgement::unscored(reason), None),
        };
        let all = Distribution::of(&measured.iter().map(|likelihood| likelihood.logprob).collect::<Vec<_>>());
        likeliest(&all, &self.texts, judged.case.target.as_deref().unwrap_or_default())
    }
}

/// The judgement that labels' probabilities come to, and the likeliest label.
pub(super) fn likeliest(all: &Distribution, labels: &[String], target: &str) -> (Judgement, Option<String>) {
    let right = labels.iter().position(|label| label == target).unwrap_or_default();
    let label = labels.get(all.best).cloned().unwrap_or_default();
    let expected = if all.best == right { String::new() } else { format!("; expected `{}`", clip(target)) };
    let explanation = format!("{}{expected}", all.shown(labels));
    let judgement = Judgement::new(ScoreValue::Label(label.clone()), explanation)
        .with("brier", all.brier(right))
        .with("confidence", all.confidence());
    (judgement, Some(label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Likelihood;

    const BEHIND: Behind = Behind { prompt: "Sentiment:", chat: false, delimiter: None };

    fn scorer() -> LabelLikelihood {
        let labels = ["pos", "neg"].map(str::to_owned).to_vec();
        LabelLikelihood::new(&Label { labels, ..Label::default() }, &[]).unwrap()
    }

    fn judge(target: Option<&str>, neg: f64, pos: f64) -> (Judgement, Option<String>) {
        let case = Case::new("c", [("q", "?")], target);
        let one = |text: &str, p: f64| Likelihood {
            text: text.into(),
            logprob: p.ln(),
            tokens: 1,
            bytes: 4,
            unconditional: None,
        };
        let likelihood = [one(" pos", pos), one(" neg", neg)];
        let judged = Judged {
            case: &case,
            prompt: BEHIND.prompt,
            chat: false,
            completion: None,
            likelihood: &likelihood,
            verdicts: &[],
        };
        scorer().judge(&judged, BEHIND)
    }

    /// By hand: p = (0.9, 0.3) / 1.2 = (3/4, 1/4); the Brier score of the wrong answer is 2·(3/4)².
    #[test]
    fn the_likeliest_label_is_the_answer_right_or_wrong() {
        let (judged, answer) = judge(Some("pos"), 0.9, 0.3);
        assert_eq!((judged.value, answer.as_deref()), (ScoreValue::Label("neg".into()), Some("neg")));
        assert!((judged.parts["brier"].as_f64().unwrap() - 1.125).abs() < 1e-12);
        assert!((judged.parts["confidence"].as_f64().unwrap() - 0.75).abs() < 1e-12);
        insta::assert_snapshot!(judged.explanation, @"`neg` 0.75, `pos` 0.25; expected `pos`");
        assert_eq!(judge(Some("neg"), 0.9, 0.3).0.explanation, "`neg` 0.75, `pos` 0.25");
    }

    #[test]
    fn a_target_outside_the_set_asks_for_nothing_and_is_unscored() {
        let case = |target| Case::new("c", [("q", "?")], target);
        let texts = |target| scorer().candidates(&case(target), BEHIND).into_iter().map(|c| c.text).collect::<Vec<_>>();
        assert_eq!(texts(Some("pos")), [" neg", " pos"]);
        assert!(texts(Some("odd")).is_empty() && texts(None).is_empty());
        let reason = "the target `odd` is not among the labels neg, pos";
        assert_eq!(judge(Some("odd"), 0.5, 0.5).0.value, ScoreValue::Unscored(reason.into()));
        assert_eq!(judge(None, 0.5, 0.5).0.value, ScoreValue::Unscored("the case has no target".into()));
    }
}
