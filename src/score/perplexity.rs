//! `perplexity`: how much the target, or a long text, surprises the model.

use super::candidate::Behind;
use super::judgement::Judgement;
use super::{Candidate, Judged, Likelihood, Surprisal};
use crate::suite::{Case, Perplexity};

/// The perplexity `exp(−Σ log p / tokens)` of a case's target behind the prompt; of a case without a target, which is a
/// long text, over all of its windows.
///
/// `parts` hold the sums that a corpus is made of (`logprob`, `tokens`, `bytes`) and `bits_per_byte`, `−Σ log₂ p / bytes`,
/// which compares across tokenizers. A perplexity is never below 1.
#[derive(Debug)]
pub(super) struct PerplexityScorer {
    spec: Perplexity,
}

impl PerplexityScorer {
    pub(super) fn new(spec: &Perplexity) -> Self {
        Self { spec: spec.clone() }
    }

    pub(super) fn delimiter(&self) -> Option<&str> {
        self.spec.delimiter.as_deref()
    }

    /// The target behind the prompt; nothing for a long text, whose windows are not the scorer's to cut.
    pub(super) fn candidates(case: &Case, behind: Behind) -> Vec<Candidate> {
        let target = case.target.clone().filter(|target| !target.is_empty());
        behind.candidates(target.as_slice(), false)
    }

    pub(super) fn judge(judged: &Judged, behind: Behind) -> Judgement {
        match measured(judged, behind).and_then(|measured| summed(&measured)) {
            Ok(judgement) => judgement,
            Err(reason) => Judgement::unscored(reason),
        }
    }
}

/// The likelihoods that count.
fn measured<'l>(judged: &Judged<'l>, behind: Behind) -> Result<Vec<&'l Likelihood>, String> {
    match &judged.case.target {
        Some(target) if target.is_empty() => Err("the target is empty".to_owned()),
        Some(target) => behind.find(std::slice::from_ref(target), judged.likelihood),
        None if judged.likelihood.is_empty() => Err("the case has no target".to_owned()),
        None => Ok(judged.likelihood.iter().collect()),
    }
}

fn summed(measured: &[&Likelihood]) -> Result<Judgement, String> {
    let sums = Surprisal::of(measured.iter().copied())?;
    let mut judgement =
        Judgement::number(sums.perplexity()).with("logprob", sums.logprob).with("bits_per_byte", sums.bits_per_byte());
    judgement.parts.insert("tokens".to_owned(), sums.tokens.into());
    judgement.parts.insert("bytes".to_owned(), sums.bytes.into());
    Ok(judgement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;
    use std::f64::consts::LN_2;

    const BEHIND: Behind = Behind { prompt: "The sky is", chat: false, delimiter: None };

    fn likelihood(text: &str, logprob: f64, tokens: usize) -> Likelihood {
        Likelihood { text: text.into(), logprob, tokens, bytes: text.len(), unconditional: None }
    }

    fn judge(target: Option<&str>, likelihood: &[Likelihood]) -> Judgement {
        let case = Case::new("c", [("text", "…")], target);
        let judged =
            Judged { case: &case, prompt: BEHIND.prompt, chat: false, completion: None, likelihood, verdicts: &[] };
        PerplexityScorer::judge(&judged, BEHIND)
    }

    /// By hand: two tokens of probability 1/2 and 1/8 have the perplexity √16 = 4, and 4 bits over 5 bytes.
    #[test]
    fn a_target_is_as_surprising_as_its_tokens_on_average() {
        let other = likelihood(" grey", -1.0, 1);
        let judged = judge(Some("blue"), &[other, likelihood(" blue", (1.0_f64 / 16.0).ln(), 2)]);
        let ScoreValue::Number(value) = judged.value else { panic!("{judged:?}") };
        assert!((value - 4.0).abs() < 1e-12);
        assert!((judged.parts["bits_per_byte"].as_f64().unwrap() - 0.8).abs() < 1e-12);
        assert_eq!((judged.parts["tokens"].as_u64(), judged.parts["bytes"].as_u64()), (Some(2), Some(5)));
    }

    /// By hand: 1 + 3 bits over 4 + 4 tokens: 2^(4/8).
    #[test]
    fn a_long_text_is_the_ratio_of_the_sums_over_its_windows() {
        let windows = [likelihood("ab", -LN_2, 4), likelihood("cd", -3.0 * LN_2, 4)];
        let ScoreValue::Number(value) = judge(None, &windows).value else { panic!("no number") };
        assert!((value - 2.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn is_never_below_1_and_never_nan() {
        assert_eq!(judge(Some("x"), &[likelihood(" x", 1e-6, 1)]).value, ScoreValue::Number(1.0));
        for (target, likelihoods, reason) in [
            (None, vec![], "the case has no target"),
            (Some(""), vec![], "the target is empty"),
            (Some("x"), vec![], "the likelihood of `x` was not measured"),
            (Some("x"), vec![likelihood(" x", -1.0, 0)], "no token was scored"),
            (Some("x"), vec![likelihood(" x", -1e9, 1)], "the score is inf"),
        ] {
            assert_eq!(judge(target, &likelihoods).value, ScoreValue::Unscored(reason.into()));
        }
        let impossible = judge(None, &[likelihood("a", f64::NEG_INFINITY, 1)]).value;
        assert!(matches!(impossible, ScoreValue::Unscored(reason) if reason.contains("impossible")));
    }

    #[test]
    fn asks_for_the_target_behind_the_prompt() {
        let candidates = |target| PerplexityScorer::candidates(&Case::new("c", [("q", "?")], target), BEHIND);
        assert_eq!(candidates(Some("blue")), [Candidate { text: " blue".into(), unconditional: false }]);
        assert!(candidates(Some("")).is_empty() && candidates(None).is_empty());
    }
}
