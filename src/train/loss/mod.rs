//! Losses: pure functions of what a model says of a batch.
//!
//! Each takes the readings of a micro-batch and how many targets the WHOLE optimiser step has, and gives the micro-batch's
//! share of the step's loss and how that loss moves with each reading. Shares and gradients of several micro-batches add
//! up to exactly those of one large batch. The backward pass of the model starts from the coefficients; a loss knows no
//! tensors.

mod advantage;
mod classify;
mod dpo;
mod policy;
mod reward;
mod sft;
mod value;

pub use advantage::{gae, of_group, whiten};
pub use classify::{classify, right};
pub use dpo::{Answer, dpo, implied};
pub use policy::{Drawn, Reins, kl, policy, ratio};
pub use reward::{Pair, reward};
pub use sft::sft;
pub use value::{Expected, value};

pub(super) use dpo::sum;

use crate::model::Coefficients;

/// What a loss gives back for one micro-batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loss {
    /// Its share of the step's mean loss (natural logarithm).
    pub loss: f64,
    /// ∂ loss / ∂ reading, of each reading.
    pub coefficients: Coefficients,
}

impl Loss {
    /// This loss and a share of another one of the same readings.
    #[must_use]
    pub fn and(mut self, weight: f64, other: &Self) -> Self {
        self.loss += weight * other.loss;
        let (to, from) = (&mut self.coefficients, &other.coefficients);
        let parts = [(&mut to.logprobs, &from.logprobs), (&mut to.outputs, &from.outputs)];
        #[allow(clippy::cast_possible_truncation)] // the nearest f32 is meant
        let weight = weight as f32;
        for (to, from) in parts {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
        }
        self
    }
}

/// log(1 + eˣ), without overflow: −log σ(−x).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Finite differences of a loss, for its tests.
#[cfg(test)]
mod differences {
    use super::Loss;
    use crate::model::Readings;

    /// Asserts that each coefficient is what the loss moves by when its reading moves.
    pub(super) fn assert_gradient(loss: impl Fn(&Readings) -> Loss, at: &Readings) {
        let parts: [fn(&mut Readings) -> &mut Vec<f32>; 2] = [|r| &mut r.logprobs, |r| &mut r.outputs];
        let found = loss(at).coefficients;
        for part in parts {
            let given = part(&mut found.clone()).clone();
            assert_eq!(given.len(), part(&mut at.clone()).len());
            for (i, given) in given.iter().enumerate() {
                let moved = |by: f32| {
                    let mut moved = at.clone();
                    part(&mut moved)[i] += by;
                    (loss(&moved).loss, f64::from(part(&mut moved)[i]))
                };
                let ((more, above), (less, below)) = (moved(1e-2), moved(-1e-2));
                let slope = (more - less) / (above - below);
                assert!(
                    (slope - f64::from(*given)).abs() < 1e-5 + 1e-4 * slope.abs(),
                    "{i}: {given}, {slope} measured"
                );
            }
        }
    }
}
