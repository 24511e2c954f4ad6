//! The loss of supervised fine-tuning: −mean log p over the targets.

use super::Loss;
use crate::model::{Coefficients, Readings};

/// `loss = −Σ log p / total`, `∂ loss / ∂ log p = −1 / total`, where `total` is the number of targets in the whole step.
///
/// A micro-batch without targets has loss 0, and so has a step without any: no mean of nothing, no NaN.
///
/// ```
/// use tripos::model::Readings;
/// use tripos::train::loss::sft;
/// let readings = Readings { logprobs: vec![-1.0, -3.0], outputs: vec![] };
/// let found = sft(&readings, 2);
/// assert_eq!((found.loss, found.coefficients.logprobs), (2.0, vec![-0.5, -0.5]));
/// ```
#[must_use]
pub fn sft(readings: &Readings, total: usize) -> Loss {
    let share = if total == 0 { 0.0 } else { 1.0 / total as f64 };
    let sum: f64 = readings.logprobs.iter().map(|logprob| f64::from(*logprob)).sum();
    #[allow(clippy::cast_possible_truncation)] // one over a count: the nearest f32 is meant
    let each = -(share as f32);
    let coefficients =
        Coefficients { logprobs: vec![each; readings.logprobs.len()], outputs: vec![0.0; readings.outputs.len()] };
    // `0 − x`, so that nothing is 0 and not −0.
    Loss { loss: if share == 0.0 { 0.0 } else { 0.0 - sum * share }, coefficients }
}

#[cfg(test)]
mod tests {
    use super::super::differences::assert_gradient;
    use super::*;

    fn readings(logprobs: &[f32]) -> Readings {
        Readings { logprobs: logprobs.to_vec(), outputs: vec![] }
    }

    #[test]
    fn coefficients_are_the_slopes_of_the_loss() {
        assert_gradient(|readings| sft(readings, 7), &readings(&[-0.5, -2.0, -0.01, -9.0]));
    }

    /// The negative twin: a mean over the micro-batch alone has other slopes.
    #[test]
    #[should_panic(expected = "measured")]
    fn a_wrong_coefficient_is_seen() {
        let wrong = |readings: &Readings| Loss { coefficients: sft(readings, 4).coefficients, ..sft(readings, 7) };
        assert_gradient(wrong, &readings(&[-0.5, -2.0, -0.01, -9.0]));
    }

    #[test]
    fn parts_of_a_batch_add_up_to_the_whole() {
        let all = [-0.5, -2.0, -0.01, -9.0, -1.25];
        let whole = sft(&readings(&all), 5);
        let parts = [sft(&readings(&all[..2]), 5), sft(&readings(&all[2..]), 5)];
        assert!((whole.loss - parts.iter().map(|part| part.loss).sum::<f64>()).abs() < 1e-12);
        let coefficients: Vec<f32> = parts.iter().flat_map(|part| part.coefficients.logprobs.clone()).collect();
        assert_eq!(whole.coefficients.logprobs, coefficients);
    }

    #[test]
    fn an_empty_mask_is_no_loss_and_no_gradient() {
        for total in [0, 5] {
            let found = sft(&readings(&[]), total);
            assert_eq!((found.loss, found.coefficients.logprobs.len()), (0.0, 0));
        }
        let found = sft(&readings(&[-1.0]), 0);
        assert_eq!((found.loss, found.coefficients.logprobs), (0.0, vec![0.0]));
    }
}
