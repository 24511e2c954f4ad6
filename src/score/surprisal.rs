//! How much a text surprises a model: what its likelihood comes to.

use super::Likelihood;
use super::candidate::checked;
use std::f64::consts::LN_2;

/// The sums over a text's likelihoods (one, or those of its windows).
///
/// ```
/// use tripos::score::{Likelihood, Surprisal};
/// // Two tokens of probability 1/2 and 1/8 in 5 bytes.
/// let text = Likelihood { text: "blue!".into(), logprob: (1.0_f64 / 16.0).ln(), tokens: 2, bytes: 5, unconditional: None };
/// let surprisal = Surprisal::of([&text])?;
/// assert!((surprisal.perplexity() - 4.0).abs() < 1e-12);
/// assert!((surprisal.bits_per_byte() - 0.8).abs() < 1e-12);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surprisal {
    /// Sum of the log-probabilities (natural logarithm), at most 0.
    pub logprob: f64,
    /// How many tokens were summed over, at least 1.
    pub tokens: usize,
    /// Their bytes, at least 1.
    pub bytes: usize,
}

impl Surprisal {
    /// The sums, or why there is nothing to be made of them: an impossible text, or none at all.
    pub fn of<'l>(measured: impl IntoIterator<Item = &'l Likelihood>) -> Result<Self, String> {
        let mut sums = Self { logprob: 0.0, tokens: 0, bytes: 0 };
        for likelihood in measured {
            let likelihood = checked(likelihood)?;
            sums.logprob += likelihood.logprob;
            sums.tokens += likelihood.tokens;
            sums.bytes += likelihood.bytes;
        }
        if sums.tokens == 0 || sums.bytes == 0 {
            return Err("no token was scored".to_owned());
        }
        // Rounding may leave a sum of certain tokens a little above 0.
        Ok(Self { logprob: sums.logprob.min(0.0), ..sums })
    }

    /// `exp(−Σ log p / tokens)`, never below 1.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        (-self.logprob / self.tokens as f64).exp()
    }

    /// `−Σ log₂ p / bytes`, which compares across tokenizers.
    #[must_use]
    pub fn bits_per_byte(&self) -> f64 {
        -self.logprob / LN_2 / self.bytes as f64
    }
}
