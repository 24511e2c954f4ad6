//! The perplexity of a corpus: a ratio of sums, so that long texts weigh as much as they are long.

use super::bootstrap::{bootstrap_each, percentile_estimate};
use super::metric::Estimate;
use super::{DRAWS, LEVEL};
use crate::seed;
use std::f64::consts::LN_2;

/// How likely a model found a text: a case, or a window of one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Surprise {
    /// Sum of the log-probabilities of its tokens (natural logarithm).
    pub logprob: f64,
    /// How many tokens.
    pub tokens: f64,
    /// How many bytes.
    pub bytes: f64,
}

/// Perplexity `exp(−Σ log p / Σ tokens)` and bits per byte `−Σ log₂ p / Σ bytes` over all texts; the latter compares across
/// tokenizers. Intervals are percentile bootstraps over the texts: those of a corpus are its cases; of one long text they
/// are its windows, which are not quite independent, so that interval is a little too narrow. One text has none.
///
/// ```
/// use tripos::stats::{Surprise, perplexity};
/// let text = |p: f64, tokens| Surprise { logprob: p.ln(), tokens, bytes: 4.0 };
/// let [perplexity, bits_per_byte] = perplexity("p", &[text(0.25, 2.0), text(0.25, 2.0)]);
/// assert!((perplexity.value.unwrap() - 2.0).abs() < 1e-12);
/// assert!((bits_per_byte.value.unwrap() - 0.5).abs() < 1e-12);
/// ```
#[must_use]
pub fn perplexity(key: &str, texts: &[Surprise]) -> [Estimate; 2] {
    if texts.is_empty() {
        return [Estimate::default(); 2];
    }
    let [perplexity, bits] = ratios(texts.iter());
    let draws = bootstrap_each(texts.len(), DRAWS, seed::key(0, &["bootstrap", key]), |picked| {
        ratios(picked.iter().filter_map(|text| texts.get(*text)))
    });
    let (perplexities, all_bits) = draws.into_iter().map(|[perplexity, bits]| (perplexity, bits)).unzip();
    [percentile_estimate(perplexity, perplexities, LEVEL), percentile_estimate(bits, all_bits, LEVEL)]
}

/// Perplexity and bits per byte.
pub(super) fn ratios<'a>(texts: impl Iterator<Item = &'a Surprise>) -> [f64; 2] {
    let sum = texts.fold(Surprise::default(), |sum, text| Surprise {
        logprob: sum.logprob + text.logprob,
        tokens: sum.tokens + text.tokens,
        bytes: sum.bytes + text.bytes,
    });
    [(-sum.logprob / sum.tokens).exp(), -sum.logprob / LN_2 / sum.bytes]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [(f64, f64, f64); 5] =
        [(-12.0, 6.0, 30.0), (-3.5, 4.0, 17.0), (-41.0, 11.0, 60.0), (-8.0, 2.0, 9.0), (-1.5, 3.0, 14.0)];

    fn texts() -> Vec<Surprise> {
        TEXTS.iter().map(|&(logprob, tokens, bytes)| Surprise { logprob, tokens, bytes }).collect()
    }

    /// ```python
    /// l, t, b = np.array([(-12, 6, 30), (-3.5, 4, 17), (-41, 11, 60), (-8, 2, 9), (-1.5, 3, 14)]).T
    /// np.exp(-l.sum() / t.sum()), -l.sum() / np.log(2) / b.sum()  # NumPy 2.4.6
    /// r = np.random.default_rng(1); i = r.integers(0, 5, (200000, 5))
    /// np.percentile(np.exp(-l[i].sum(1) / t[i].sum(1)), [2.5, 97.5])  # 2.906, 32.68
    /// np.exp(-l / t).mean()  # the control, the mean of the cases' perplexities: 21.5
    /// ```
    #[test]
    fn agrees_with_numpy_and_is_not_the_mean_of_the_cases() {
        let [perplexity, bits] = perplexity("p", &texts());
        assert!((perplexity.value.unwrap() - 12.660_178_782_560_491).abs() < 1e-9, "{perplexity:?}");
        assert!((bits.value.unwrap() - 0.732_445_174_605_166).abs() < 1e-9, "{bits:?}");
        let [low, high] = perplexity.ci.unwrap();
        assert!((low / 2.906 - 1.0).abs() < 0.1 && (high / 32.68 - 1.0).abs() < 0.1, "{low} {high}");
        let mean = TEXTS.iter().map(|(logprob, tokens, _)| (-logprob / tokens).exp()).sum::<f64>() / 5.0;
        assert!((mean - perplexity.value.unwrap()).abs() > 1.0);
    }

    #[test]
    fn one_text_has_no_interval_and_none_no_value() {
        let [one, bits] = perplexity("p", &texts()[..1]);
        assert!((one.value.unwrap() - 2.0_f64.exp()).abs() < 1e-12);
        assert_eq!((one.stderr, one.ci, bits.ci), (None, None, None));
        assert_eq!(perplexity("p", &[]), [Estimate::default(); 2]);
    }

    #[test]
    fn what_cannot_be_divided_is_no_value() {
        let nothing = Surprise { logprob: 0.0, tokens: 0.0, bytes: 0.0 };
        assert_eq!(perplexity("p", &[nothing]).map(|estimate| estimate.value), [None, None]);
    }
}
