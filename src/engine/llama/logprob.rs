//! Logits to log-probabilities.

use crate::engine::{Token, TokenLogprob};

/// `ln Σ exp(logits)`, summed in 64 bits around the largest: no overflow, and no error that grows with the vocabulary.
/// Minus infinity where no logit is a number above that.
pub(super) fn log_sum_exp(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !most.is_finite() {
        return f64::from(most);
    }
    let sum: f64 = logits.iter().map(|logit| f64::from((logit - most).exp())).sum();
    f64::from(most) + sum.ln()
}

/// The log-probability of each of some tokens after the position that gave these logits.
pub(super) fn logprobs_of(logits: &[f32], tokens: impl Iterator<Item = Token>) -> Vec<f32> {
    let all = log_sum_exp(logits);
    tokens.map(|token| logprob(logits, token, all)).collect()
}

/// A drawn token's log-probability and those of the `count` likeliest; of equals the one with the lower id is first.
pub(super) fn with_alternatives(logits: &[f32], id: Token, count: usize) -> TokenLogprob {
    let all = log_sum_exp(logits);
    let mut order: Vec<(Token, f32)> = (0..).zip(logits.iter().copied()).collect();
    let first = |a: &(Token, f32), b: &(Token, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let count = count.min(order.len());
    if count < order.len() {
        order.select_nth_unstable_by(count, first);
        order.truncate(count);
    }
    order.sort_unstable_by(first);
    let top = order.into_iter().map(|(token, _)| (token, logprob(logits, token, all))).collect();
    TokenLogprob { id, logprob: logprob(logits, id, all), top }
}

#[allow(clippy::cast_possible_truncation)] // the sum needs 64 bits, the result does not
fn logprob(logits: &[f32], token: Token, all: f64) -> f32 {
    let logit = usize::try_from(token).ok().and_then(|token| logits.get(token));
    logit.map_or(f32::NEG_INFINITY, |logit| (f64::from(*logit) - all) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-6
    }

    /// ```python
    /// from scipy.special import log_softmax
    /// log_softmax([1., 2., 3.])         # [-2.40760596, -1.40760596, -0.40760596]
    /// log_softmax([1000., 1000.])[0]    # -0.69314718
    /// ```
    #[test]
    fn agrees_with_scipy_and_does_not_overflow() {
        let ours = logprobs_of(&[1.0, 2.0, 3.0], 0..3);
        assert!(ours.iter().zip([-2.407_606, -1.407_606, -0.407_606]).all(|(a, b)| close(*a, b)), "{ours:?}");
        assert!(close(logprobs_of(&[1000.0, 1000.0], 0..1)[0], -std::f32::consts::LN_2));
        assert_eq!(logprobs_of(&[0.0], 5..6), [f32::NEG_INFINITY]);
    }

    #[test]
    fn alternatives_come_best_first_and_equals_by_id() {
        let drawn = with_alternatives(&[0.0, 3.0, 1.0, 3.0], 2, 3);
        assert_eq!(drawn.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3, 2]);
        assert!(close(drawn.logprob, drawn.top[2].1));
        assert_eq!(with_alternatives(&[0.0, 1.0], 0, 9).top.len(), 2);
        assert_eq!(with_alternatives(&[0.0, 1.0], 0, 0).top, []);
    }
}
