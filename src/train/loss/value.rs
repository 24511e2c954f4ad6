//! The loss of a critic: how far what it expected lies from what came (Schulman 2017, 1707.06347, equation 9).
//!
//! Other than in the paper:
//! - within a round it may move by no more than so much from what it said before the first step, as in the authors' code and in
//!   InstructGPT: of both squares the larger one counts.

use super::Loss;
use crate::model::{Coefficients, Readings};

/// What is known of the tokens of a micro-batch, in the order of its outputs.
///
/// ```
/// use tripos::train::loss::Expected;
/// let expected = Expected { old: vec![0.5], returns: vec![1.0] };
/// assert_eq!(expected.old.len(), expected.returns.len());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expected {
    /// What the critic expected before the first step of the round.
    pub old: Vec<f32>,
    /// What it should have expected.
    pub returns: Vec<f64>,
}

/// `loss = Σ ½·max((V − R)², (clip(V, V_old − c, V_old + c) − R)²) / total` over the tokens, where `total` is how many the whole
/// step has, V are the outputs, R the returns and c is `clip`.
///
/// A token without a return counts nothing.
///
/// ```
/// use tripos::model::Readings;
/// use tripos::train::loss::{Expected, value};
/// let readings = Readings { logprobs: vec![], outputs: vec![0.5] };
/// let found = value(&readings, &Expected { old: vec![0.5], returns: vec![1.5] }, 0.2, 1);
/// assert_eq!((found.loss, found.coefficients.outputs), (0.5, vec![-1.0]));
/// ```
#[must_use]
pub fn value(readings: &Readings, expected: &Expected, clip: f64, total: usize) -> Loss {
    let share = if total == 0 { 0.0 } else { 1.0 / total as f64 };
    let mut outputs = vec![0.0_f32; readings.outputs.len()];
    let mut loss = 0.0;
    let known = expected.old.iter().map(|old| f64::from(*old)).zip(&expected.returns);
    for ((now, slope), (old, known)) in readings.outputs.iter().zip(&mut outputs).zip(known) {
        let now = f64::from(*now);
        let off = now - known;
        let within = now.clamp(old - clip, old + clip) - known;
        let free = off.abs() >= within.abs();
        loss += share * 0.5 * if free { off * off } else { within * within };
        // Where what is cut off counts, moving changes nothing.
        #[allow(clippy::cast_possible_truncation)] // the nearest f32 is meant
        let pull = if free { (share * off) as f32 } else { 0.0 };
        *slope = pull;
    }
    Loss { loss, coefficients: Coefficients { logprobs: vec![0.0; readings.logprobs.len()], outputs } }
}

#[cfg(test)]
mod tests {
    use super::super::differences::assert_gradient;
    use super::*;

    fn readings() -> Readings {
        Readings { logprobs: vec![-1.0], outputs: vec![0.5, 1.5, -0.5, 0.1, 2.0] }
    }

    /// Within, gone far towards what came and past the end of its rein, far away from it, just there, and unknown.
    fn expected() -> Expected {
        Expected { old: vec![0.4, 0.5, 0.5, 0.1], returns: vec![1.0, 2.0, 2.0, 0.1] }
    }

    #[test]
    fn coefficients_are_the_slopes_of_the_loss() {
        assert_gradient(|readings| value(readings, &expected(), 0.2, 7), &readings());
    }

    /// The negative twin.
    #[test]
    #[should_panic(expected = "measured")]
    fn of_other_returns_the_slopes_are_others() {
        let others = Expected { returns: vec![-1.0; 4], ..expected() };
        let wrong = |readings: &Readings| Loss {
            coefficients: value(readings, &others, 0.2, 7).coefficients,
            ..value(readings, &expected(), 0.2, 7)
        };
        assert_gradient(wrong, &readings());
    }

    /// ```python
    /// import torch
    /// v = torch.tensor([0.5, 1.5, -0.5, 0.1], requires_grad=True)
    /// old = torch.tensor([0.4, 0.5, 0.5, 0.1]); R = torch.tensor([1.0, 2.0, 2.0, 0.1])
    /// c = torch.clamp(v, old - 0.2, old + 0.2)                                        # as TRL's PPOTrainer
    /// loss = 0.5 * torch.max((v - R) ** 2, (c - R) ** 2).mean(); loss.backward(); print(loss.item(), v.grad.tolist())
    /// # 1.0237500668 [-0.125, 0.0, -0.625, 0.0]
    /// ```
    #[test]
    fn equals_what_pytorch_computes() {
        let four = Readings { outputs: readings().outputs[..4].to_vec(), ..Readings::default() };
        let found = value(&four, &expected(), 0.2, 4);
        assert!((found.loss - 1.023_75).abs() < 1e-6, "{}", found.loss);
        for (found, known) in found.coefficients.outputs.iter().zip([-0.125, 0.0, -0.625, 0.0]) {
            assert!((found - known).abs() < 1e-6, "{found} {known}");
        }
    }

    #[test]
    fn what_is_not_known_counts_nothing() {
        let found = value(&readings(), &Expected::default(), 0.2, 7);
        assert_eq!((found.loss, found.coefficients.outputs), (0.0, vec![0.0; 5]));
        assert!(value(&readings(), &expected(), 0.2, 0).loss.abs() <= 0.0);
    }
}
