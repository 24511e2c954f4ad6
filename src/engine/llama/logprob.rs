//! Logits to log-probabilities.

use crate::engine::{Token, TokenLogprob};

/// Numbers worked on at a time: as many as the widest registers hold.
const LANES: usize = 16;

/// Numbers whose exponentials are summed in 32 bits before 64 take over: few enough that no digit is lost.
const BLOCK: usize = 16 * LANES;

/// `ln Σ exp(logits)`, around the largest, so that nothing overflows, and summed in 64 bits, so that the error does not
/// grow with the vocabulary. Minus infinity where no logit is a number above that.
pub(super) fn log_sum_exp(logits: &[f32]) -> f64 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in logits.chunks(LANES) {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = if logit > *lane { logit } else { *lane };
        }
    }
    let most = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    if !most.is_finite() {
        return f64::from(most);
    }
    let mut sum = 0.0;
    for block in logits.chunks(BLOCK) {
        let mut lanes = [0.0_f32; LANES];
        for chunk in block.chunks(LANES) {
            for (lane, &logit) in lanes.iter_mut().zip(chunk) {
                *lane += exp(logit - most);
            }
        }
        sum += lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>();
    }
    f64::from(most) + sum.ln()
}

/// `exp(x)` for x ≤ 0, to 2 units in the last place, without a branch, so that the compiler can do many at once; the
/// standard library's takes them one by one. `x = k ln 2 + r`, and Taylor's series for the small r.
#[allow(clippy::cast_possible_truncation, reason = "k lies between -126 and 0")]
fn exp(x: f32) -> f32 {
    let x = if x > -87.0 { x } else { -87.0 };
    let k = (x * std::f32::consts::LOG2_E).round();
    // ln 2 in two parts, so that k ln 2 loses nothing.
    let r = x - k * 0.693_359_4 + k * 2.121_944_4e-4;
    let series = 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r + 1.0;
    let series = series * r + 1.0;
    series * f32::from_bits(((k as i32 + 127).cast_unsigned()) << 23)
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
    fn the_exponential_is_that_of_the_standard_library() {
        for step in 0..86_000 {
            let x = -(step as f32) / 1000.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours - exact).abs() < 4e-7 * exact, "{x}: {ours} {exact}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn long_rows_are_summed_as_a_naive_loop_does() {
        let logits: Vec<f32> = (0..151_937).map(|i| ((i * 7919) % 1000) as f32 / 37.0 - 20.0).collect();
        let naive = logits.iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln();
        assert!((log_sum_exp(&logits) - naive).abs() < 1e-6);
        assert!(log_sum_exp(&[f32::NAN, 1.0]).is_nan() || log_sum_exp(&[f32::NAN, 1.0]) >= 1.0);
        assert!(log_sum_exp(&[f32::NEG_INFINITY]).is_infinite());
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
