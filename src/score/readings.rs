//! The ways in which likelihoods of texts of several lengths can be compared.

use super::Likelihood;
use super::candidate::Distribution;

/// What the likelihood of a candidate behind a prompt can be read as; higher is better in each.
///
/// ```
/// use tripos::score::{Likelihood, Readings};
/// let likelihood = Likelihood { text: " né".into(), logprob: -3.0, tokens: 1, bytes: 4, unconditional: Some(-5.0) };
/// let readings = Readings::of("né", &likelihood);
/// assert_eq!((readings.per_character, readings.per_byte, readings.gain), (-1.5, -1.0, Some(2.0)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Readings {
    /// The sum of its log-probabilities.
    pub sum: f64,
    /// The sum divided by the candidate's characters, the delimiter aside (lm-evaluation-harness's `acc_norm`).
    pub per_character: f64,
    /// The same divided by its bytes.
    pub per_byte: f64,
    /// The sum less the same sum without the prompt, which is how much the prompt tells of it: their pointwise mutual
    /// information (Brown et al. 2020, arXiv 2005.14165, section 2.4). Absent where the model has no token to begin a text
    /// with, or finds the candidate impossible there.
    pub gain: Option<f64>,
}

impl Readings {
    /// Of a candidate as it is written, without what stands between it and the prompt.
    #[must_use]
    pub fn of(text: &str, likelihood: &Likelihood) -> Self {
        let sum = likelihood.logprob;
        let gain = likelihood.unconditional.map(|bare| sum - bare).filter(|gain| gain.is_finite());
        Self { sum, per_character: sum / text.chars().count() as f64, per_byte: sum / text.len() as f64, gain }
    }
}

/// The probabilities of texts of which exactly one is meant: the softmax of their sums of log-probabilities. Where all are
/// impossible, none has any.
#[must_use]
pub fn shares(sums: &[f64]) -> Vec<f64> {
    if sums.iter().all(|sum| *sum == f64::NEG_INFINITY) {
        return vec![0.0; sums.len()];
    }
    Distribution::of(sums).p
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// scipy.special.softmax([-1.2, -3.4, -np.inf])  # SciPy 1.17.1
    /// ```
    #[test]
    fn shares_are_the_softmax_and_what_is_impossible_has_none() {
        let all = shares(&[-1.2, -3.4, f64::NEG_INFINITY]);
        let wanted = [0.900_249_510_88, 0.099_750_489_12, 0.0];
        assert!(all.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-9), "{all:?}");
        assert_eq!(shares(&[f64::NEG_INFINITY; 2]), [0.0, 0.0]);
    }
}
