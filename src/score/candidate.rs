//! What scorers by likelihood share: where a candidate begins, which likelihood is whose, and what several come to.

use super::judgement::clip;
use super::{Candidate, Likelihood};

/// Most texts that an explanation lists.
const LISTED: usize = 4;

/// What candidates are to follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind<'a> {
    /// The prompt's text.
    pub(super) prompt: &'a str,
    /// Whether it is a chat, where the answer begins a message of its own.
    pub(super) chat: bool,
    /// What the suite says is to stand between.
    pub(super) delimiter: Option<&'a str>,
}

impl Behind<'_> {
    /// A text as it is to follow the prompt; by [`Candidate`]'s rule.
    pub(super) fn text(&self, text: &str) -> String {
        let apart = self.chat
            || self.prompt.is_empty()
            || self.prompt.ends_with(char::is_whitespace)
            || text.starts_with(char::is_whitespace);
        let delimiter = self.delimiter.unwrap_or(if apart { "" } else { " " });
        format!("{delimiter}{text}")
    }

    /// The candidates of some texts.
    pub(super) fn candidates(&self, texts: &[String], unconditional: bool) -> Vec<Candidate> {
        texts.iter().map(|text| Candidate { text: self.text(text), unconditional }).collect()
    }

    /// The likelihoods of some texts among those that were measured, or why they cannot be compared.
    pub(super) fn find<'l>(&self, texts: &[String], measured: &'l [Likelihood]) -> Result<Vec<&'l Likelihood>, String> {
        let one = |text: &String| {
            let candidate = self.text(text);
            let found = measured.iter().find(|likelihood| likelihood.text == candidate);
            checked(found.ok_or_else(|| format!("the likelihood of `{}` was not measured", clip(text)))?)
        };
        texts.iter().map(one).collect()
    }
}

/// A likelihood, unless there is nothing to be made of it.
pub(super) fn checked(likelihood: &Likelihood) -> Result<&Likelihood, String> {
    let text = clip(&likelihood.text);
    match likelihood.logprob {
        sum if sum.is_finite() => Ok(likelihood),
        sum if sum < 0.0 => Err(format!("the model finds `{text}` impossible: its log-probability is -inf")),
        sum => Err(format!("the log-probability of `{text}` is {sum}")),
    }
}

/// Probabilities of texts of which exactly one is meant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Distribution {
    /// One a text.
    pub(super) p: Vec<f64>,
    /// The position of the highest; the first of equals.
    pub(super) best: usize,
}

impl Distribution {
    /// The softmax of finite sums of log-probabilities: `p_k = exp(l_k) / Σ_j exp(l_j)`.
    pub(super) fn of(logprobs: &[f64]) -> Self {
        let best = first_best(logprobs);
        let highest = logprobs.get(best).copied().unwrap_or_default();
        let weights: Vec<f64> = logprobs.iter().map(|logprob| (logprob - highest).exp()).collect();
        let total: f64 = weights.iter().sum();
        Self { p: weights.into_iter().map(|weight| weight / total).collect(), best }
    }

    /// The probability of the text at `best`: how sure the answer is.
    pub(super) fn confidence(&self) -> f64 {
        self.p.get(self.best).copied().unwrap_or_default()
    }

    /// `Σ_k (p_k − y_k)²` with `y` 1 for the right text and 0 for the others, from 0 to 2 (Brier 1950, Monthly Weather
    /// Review 78(1)).
    pub(super) fn brier(&self, right: usize) -> f64 {
        self.p.iter().enumerate().map(|(at, p)| (p - f64::from(u8::from(at == right))).powi(2)).sum()
    }

    /// The likeliest texts with their probabilities, for people.
    pub(super) fn shown(&self, texts: &[String]) -> String {
        let mut order: Vec<usize> = (0..self.p.len()).collect();
        order.sort_by(|a, b| self.p[*b].total_cmp(&self.p[*a]));
        let one = |at: &usize| Some(format!("`{}` {:.2}", clip(texts.get(*at)?), self.p.get(*at)?));
        let all: Vec<String> = order.iter().take(LISTED).filter_map(one).collect();
        all.join(", ") + if order.len() > LISTED { ", …" } else { "" }
    }
}

/// The position of the highest number; the first of equals.
pub(super) fn first_best(numbers: &[f64]) -> usize {
    let mut best = 0;
    for (at, number) in numbers.iter().enumerate() {
        if *number > numbers[best] {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(prompt: &str, chat: bool, delimiter: Option<&str>) -> String {
        Behind { prompt, chat, delimiter }.text("Paris")
    }

    #[test]
    fn one_space_stands_between_unless_there_is_one_or_nothing_to_part_from() {
        assert_eq!(behind("A:", false, None), " Paris");
        assert_eq!(behind("A: ", false, None), "Paris");
        assert_eq!(behind("A:\n", false, None), "Paris");
        assert_eq!(behind("", false, None), "Paris");
        assert_eq!(behind("<|assistant|>", true, None), "Paris");
        assert_eq!(behind("A: ", true, Some("\n")), "\nParis", "a delimiter that is given always stands");
        assert_eq!(behind("A:", false, Some("")), "Paris");
        assert_eq!(Behind { prompt: "A:", chat: false, delimiter: None }.text(" Paris"), " Paris");
    }

    /// ```python
    /// scipy.special.softmax([-1.2, -3.4, -1.2, -800])  # SciPy 1.17.1
    /// ```
    #[test]
    fn probabilities_are_the_softmax_and_the_first_of_equals_wins() {
        let all = Distribution::of(&[-1.2, -3.4, -1.2, -800.0]);
        let wanted = [0.473_753_318_038_357_4, 0.052_493_363_923_285_24, 0.473_753_318_038_357_4, 0.0];
        assert!(all.p.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-12), "{all:?}");
        assert_eq!(all.best, 0);
        assert_eq!(Distribution::of(&[-900.0, -900.0]).p, [0.5, 0.5], "nothing underflows");
    }

    /// By hand: p = (1/4, 3/4), the second is right: (1/4)² + (3/4 − 1)² = 1/8; the first is right: (3/4)² + (3/4)² = 9/8.
    #[test]
    fn the_brier_score_counts_every_text() {
        let all = Distribution::of(&[0.25_f64.ln(), 0.75_f64.ln()]);
        assert!((all.brier(1) - 0.125).abs() < 1e-12 && (all.brier(0) - 1.125).abs() < 1e-12);
        assert!((all.confidence() - 0.75).abs() < 1e-12);
        assert_eq!(all.shown(&["no".into(), "yes".into()]), "`yes` 0.75, `no` 0.25");
    }

    #[test]
    fn what_is_impossible_or_was_not_measured_is_a_reason() {
        let likelihood = |logprob| Likelihood { text: " a".into(), logprob, tokens: 1, bytes: 2, unconditional: None };
        let behind = Behind { prompt: "Q:", chat: false, delimiter: None };
        let said = |text: &str, logprob| behind.find(&[text.to_owned()], &[likelihood(logprob)]).unwrap_err();
        insta::assert_snapshot!(said("a", f64::NEG_INFINITY), @"the model finds `a` impossible: its log-probability is -inf");
        insta::assert_snapshot!(said("a", f64::NAN), @"the log-probability of `a` is NaN");
        insta::assert_snapshot!(said("b", -1.0), @"the likelihood of `b` was not measured");
        assert!(behind.find(&["a".to_owned()], &[likelihood(-1.0)]).is_ok());
    }
}
