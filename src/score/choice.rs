//! `choice`: the choice that the model finds likeliest is its answer.

use super::candidate::{Behind, Distribution, first_best};
use super::judgement::{Judgement, clip};
use super::{Candidate, Judged, Likelihood, Readings, ScoreValue};
use crate::suite::{Case, Choice, Choices};

/// Compares the choices of a case by their log-probabilities behind the prompt.
///
/// The answer is the choice of the highest sum (`acc`, as in lm-evaluation-harness); the first of equals. `parts` hold
/// whether other readings of the same numbers would be right, as 0 or 1, and how good the probabilities are, which are
/// the softmax of the sums:
///
/// - `acc_norm`: the sum divided by the choice's characters, the delimiter aside (lm-evaluation-harness's meaning).
/// - `acc_bytes`: the same divided by its bytes.
/// - `acc_mi`: the sum less the same sum without the prompt, which is how much the prompt tells of it (Brown et al.
///   2020, arXiv 2005.14165, section 2.4). Absent where the model has no token to begin a text with.
/// - `brier`: see [`Distribution::brier`]. `confidence`: the probability of the answer.
#[derive(Debug)]
pub(super) struct ChoiceScorer {
    spec: Choice,
}

impl ChoiceScorer {
    pub(super) fn new(spec: &Choice) -> Self {
        Self { spec: spec.clone() }
    }

    pub(super) fn delimiter(&self) -> Option<&str> {
        self.spec.delimiter.as_deref()
    }

    /// The choices behind the prompt; none where the case does not fit.
    pub(super) fn candidates(&self, case: &Case, behind: Behind) -> Vec<Candidate> {
        self.spec.of(case).map(|choices| behind.candidates(&choices.texts, true)).unwrap_or_default()
    }

    /// The judgement, and the choice that is the model's answer.
    pub(super) fn judge(&self, judged: &Judged, behind: Behind) -> (Judgement, Option<String>) {
        let choices = match self.spec.of(judged.case) {
            Ok(choices) => choices,
            Err(fault) => return (Judgement::unscored(fault.to_string()), None),
        };
        let measured = match behind.find(&choices.texts, judged.likelihood) {
            Ok(measured) => measured,
            Err(reason) => return (Judgement::unscored(reason), None),
        };
        let sums: Vec<f64> = measured.iter().map(|likelihood| likelihood.logprob).collect();
        let all = Distribution::of(&sums);
        let shown = all.shown(&choices.texts);
        let explanation = match choices.texts.get(choices.right).filter(|_| all.best != choices.right) {
            Some(right) => format!("{shown}; expected `{}`", clip(right)),
            None => shown,
        };
        let judgement = Judgement::new(ScoreValue::Pass(all.best == choices.right), explanation);
        let judgement = otherwise(judgement, &choices, &measured)
            .with("brier", all.brier(choices.right))
            .with("confidence", all.confidence());
        (judgement, choices.texts.get(all.best).map(|text| text.trim().to_owned()))
    }
}

/// The judgement with what the other readings would say.
fn otherwise(judgement: Judgement, choices: &Choices, measured: &[&Likelihood]) -> Judgement {
    let readings: Vec<Readings> =
        measured.iter().zip(&choices.texts).map(|(likelihood, text)| Readings::of(text, likelihood)).collect();
    let right = |by: fn(&Readings) -> f64| {
        let values: Vec<f64> = readings.iter().map(by).collect();
        f64::from(u8::from(first_best(&values) == choices.right))
    };
    let judgement = judgement.with("acc_norm", right(|of| of.per_character)).with("acc_bytes", right(|of| of.per_byte));
    if readings.iter().all(|of| of.gain.is_some()) {
        judgement.with("acc_mi", right(|of| of.gain.unwrap_or_default()))
    } else {
        judgement
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BEHIND: Behind = Behind { prompt: "Q: ?\nA:", chat: false, delimiter: None };

    fn case(target: &str) -> Case {
        Case::new("c", [("choices", json!(["Bern", "São Paulo", "Rome"]))], Some(target))
    }

    fn measured(sums: [f64; 3], bare: Option<[f64; 3]>) -> Vec<Likelihood> {
        let texts = [" Bern", " São Paulo", " Rome"];
        let one = |at: usize| Likelihood {
            text: texts[at].into(),
            logprob: sums[at],
            tokens: 2,
            bytes: texts[at].len(),
            unconditional: bare.map(|bare| bare[at]),
        };
        (0..3).map(one).collect()
    }

    fn judge(target: &str, likelihood: &[Likelihood]) -> (Judgement, Option<String>) {
        let case = case(target);
        let judged =
            Judged { case: &case, prompt: BEHIND.prompt, chat: false, completion: None, likelihood, verdicts: &[] };
        ChoiceScorer::new(&Choice::default()).judge(&judged, BEHIND)
    }

    /// ```python
    /// l = np.array([-3., -5., -4.]); chars = np.array([4, 9, 4]); size = np.array([4, 10, 4])
    /// bare = np.array([-4., -9., -2.])
    /// p = np.exp(l) / np.exp(l).sum()  # 0.66524096, 0.09003057, 0.24472847
    /// l.argmax(), (l / chars).argmax(), (l / size).argmax(), (l - bare).argmax()  # 0, 1, 1, 1
    /// ((p - [0, 1, 0])**2).sum()  # 1.33048191
    /// ```
    #[test]
    fn agrees_with_numpy_in_every_reading() {
        let likelihood = measured([-3.0, -5.0, -4.0], Some([-4.0, -9.0, -2.0]));
        let (first, answer) = judge("Bern", &likelihood);
        assert_eq!((first.value, answer.as_deref()), (ScoreValue::Pass(true), Some("Bern")));
        let part = |judgement: &Judgement, name: &str| judgement.parts[name].as_f64().unwrap();
        let (second, _) = judge("B", &likelihood);
        assert_eq!(second.value, ScoreValue::Pass(false));
        for (name, wanted) in [
            ("acc_norm", 1.0),
            ("acc_bytes", 1.0),
            ("acc_mi", 1.0),
            ("brier", 1.330_481_911_549_644),
            ("confidence", 0.665_240_955_774_821_8),
        ] {
            assert!((part(&second, name) - wanted).abs() < 1e-9, "{name}: {}", part(&second, name));
        }
        insta::assert_snapshot!(second.explanation, @"`Bern` 0.67, `Rome` 0.24, `São Paulo` 0.09; expected `São Paulo`");
    }

    #[test]
    fn without_a_token_to_begin_with_there_is_no_mutual_information() {
        let (judgement, _) = judge("Rome", &measured([-3.0, -5.0, -4.0], None));
        assert!(!judgement.parts.contains_key("acc_mi") && judgement.parts.contains_key("acc_norm"));
    }

    #[test]
    fn the_first_of_equally_likely_choices_is_the_answer() {
        let (judgement, answer) = judge("Bern", &measured([-3.0, -3.0, -3.0], None));
        assert_eq!((judgement.value, answer.as_deref()), (ScoreValue::Pass(true), Some("Bern")));
    }

    #[test]
    fn a_case_that_does_not_fit_asks_for_nothing_and_is_unscored_with_its_reason() {
        let scorer = ChoiceScorer::new(&Choice::default());
        assert_eq!(
            scorer.candidates(&case("Rome"), BEHIND)[2],
            Candidate { text: " Rome".into(), unconditional: true }
        );
        assert!(scorer.candidates(&case("Oslo"), BEHIND).is_empty());
        let (judgement, answer) = judge("Oslo", &[]);
        let reason = "the target `Oslo` names none of the choices `Bern`, `São Paulo`, `Rome`";
        assert_eq!((judgement.value, answer), (ScoreValue::Unscored(reason.into()), None));
        let impossible = measured([-3.0, f64::NEG_INFINITY, -4.0], None);
        assert!(
            matches!(judge("Rome", &impossible).0.value, ScoreValue::Unscored(reason) if reason.contains("impossible"))
        );
    }
}
