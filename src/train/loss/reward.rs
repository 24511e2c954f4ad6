//! The loss of a reward model: how unlikely it finds what people preferred.
//!
//! The model of Bradley and Terry (1952): a is preferred to b with probability σ(r_a − r_b). K answers to one prompt give up
//! to K(K−1)/2 pairs, whose answers are each computed once (Ouyang 2022, 2203.02155, section 3.5). As in TRL and Llama 2
//! (Touvron 2023, 2307.09288), a margin may say by how much, and a small square keeps the rewards around 0, since only
//! their differences are learned otherwise.
//!
//! Other than in the paper:
//! - each pair counts alike, not each prompt.

use super::{Loss, softplus};
use crate::model::{Coefficients, Readings};

/// One judgement: of the answers of a batch, counted from 0, which is better than which, and by how much at least.
///
/// ```
/// use tripos::train::loss::Pair;
/// let pair = Pair { better: 0, worse: 1, margin: 0.0 };
/// assert!(pair.better != pair.worse);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The answer that was preferred.
    pub better: usize,
    /// The other one.
    pub worse: usize,
    /// The rewards are to lie so far apart; 0 where nobody said.
    pub margin: f32,
}

impl Pair {
    /// Whether the rewards of the answers are in the order of the judgement; equal ones are not.
    #[must_use]
    pub fn holds(&self, rewards: &[f32]) -> bool {
        rewards.get(self.better) > rewards.get(self.worse)
    }
}

/// `loss = Σ (softplus(margin − (r_b − r_w)) + centring · (r_b + r_w)²) / total`, where `total` is the number of pairs in the
/// whole step. `readings.outputs` holds one reward an answer.
///
/// −log σ(x) is computed as softplus(−x), so that no difference overflows. A pair of an answer that is not there counts
/// nothing; neither does anything where there are no pairs.
///
/// ```
/// use tripos::model::Readings;
/// use tripos::train::loss::{Pair, reward};
/// let readings = Readings { logprobs: vec![], outputs: vec![0.0, 0.0] };
/// let found = reward(&readings, &[Pair { better: 1, worse: 0, margin: 0.0 }], 1, 0.01);
/// assert_eq!((found.loss, found.coefficients.outputs), (2_f64.ln(), vec![0.5, -0.5]));
/// ```
#[must_use]
pub fn reward(readings: &Readings, pairs: &[Pair], total: usize, centring: f64) -> Loss {
    let share = if total == 0 { 0.0 } else { 1.0 / total as f64 };
    let mut slopes = vec![0.0_f64; readings.outputs.len()];
    let mut loss = 0.0;
    for pair in pairs {
        let of = |answer: usize| readings.outputs.get(answer).map(|reward| f64::from(*reward));
        let (Some(better), Some(worse)) = (of(pair.better), of(pair.worse)) else { continue };
        let apart = better - worse - f64::from(pair.margin);
        loss += share * (softplus(-apart) + centring * (better + worse).powi(2));
        let (pull, level) = (share / (1.0 + apart.exp()), share * 2.0 * centring * (better + worse));
        slopes[pair.better] += level - pull;
        slopes[pair.worse] += level + pull;
    }
    #[allow(clippy::cast_possible_truncation)] // the nearest f32 is meant
    let outputs = slopes.into_iter().map(|slope| slope as f32).collect();
    Loss { loss, coefficients: Coefficients { logprobs: vec![0.0; readings.logprobs.len()], outputs } }
}

#[cfg(test)]
mod tests {
    use super::super::differences::assert_gradient;
    use super::super::sft;
    use super::*;

    const REWARDS: [f32; 5] = [0.5, -2.0, 1.5, 4.0, 3.9];

    fn readings(outputs: &[f32]) -> Readings {
        Readings { logprobs: vec![], outputs: outputs.to_vec() }
    }

    /// Three answers in order, and a pair beside them.
    fn pairs() -> Vec<Pair> {
        let pair = |better, worse, margin| Pair { better, worse, margin };
        vec![pair(0, 1, 0.0), pair(0, 2, 0.5), pair(1, 2, 0.0), pair(4, 3, 1.25)]
    }

    #[test]
    fn coefficients_are_the_slopes_of_the_loss() {
        assert_gradient(|readings| reward(readings, &pairs(), 7, 0.01), &readings(&REWARDS));
        assert_gradient(|readings| reward(readings, &pairs(), 4, 0.0), &readings(&REWARDS));
    }

    /// The negative twin: what is better turned round has other slopes.
    #[test]
    #[should_panic(expected = "measured")]
    fn turned_round_it_is_another_loss() {
        let turned: Vec<Pair> = pairs().iter().map(|p| Pair { better: p.worse, worse: p.better, ..*p }).collect();
        let wrong = |readings: &Readings| Loss {
            coefficients: reward(readings, &turned, 4, 0.0).coefficients,
            ..reward(readings, &pairs(), 4, 0.0)
        };
        assert_gradient(wrong, &readings(&REWARDS));
    }

    /// ```python
    /// import torch, torch.nn.functional as F
    /// r = torch.tensor([0.5, -2.0, 1.5, 4.0, 3.9], requires_grad=True)
    /// b, w, m = torch.tensor([0, 0, 1, 4]), torch.tensor([1, 2, 2, 3]), torch.tensor([0., .5, 0., 1.25])
    /// l = (-F.logsigmoid(r[b] - r[w] - m)).mean() + 0.01 * ((r[b] + r[w]) ** 2).mean()  # as TRL's RewardTrainer
    /// l.backward(); print(l.item(), r.grad.tolist())
    /// # 1.8949155807 [-0.2208581716, -0.2337073982, 0.4545655549, 0.2380324006, -0.1590324044]
    /// ```
    #[test]
    fn equals_what_pytorch_computes() {
        let found = reward(&readings(&REWARDS), &pairs(), 4, 0.01);
        assert!((found.loss - 1.894_915_580_7).abs() < 1e-6, "{}", found.loss);
        let slopes = [-0.220_858_17, -0.233_707_4, 0.454_565_55, 0.238_032_4, -0.159_032_4];
        for (found, known) in found.coefficients.outputs.iter().zip(slopes) {
            assert!((found - known).abs() < 1e-6, "{found} {known}");
        }
    }

    /// Beside it the loss of what the model says.
    #[test]
    fn a_share_of_another_loss_adds_its_slopes() {
        let both = Readings { logprobs: vec![-0.5, -3.0], outputs: REWARDS.to_vec() };
        let sum = |readings: &Readings| reward(readings, &pairs(), 7, 0.01).and(0.25, &sft(readings, 3));
        assert_gradient(sum, &both);
        assert!((sum(&both).loss - reward(&both, &pairs(), 7, 0.01).loss - 0.25 * 3.5 / 3.0).abs() < 1e-9);
        let wrong = sum(&both).coefficients;
        assert_ne!(wrong, reward(&both, &pairs(), 7, 0.01).coefficients);
    }

    #[test]
    fn parts_of_a_batch_add_up_to_the_whole() {
        let whole = reward(&readings(&REWARDS), &pairs(), 4, 0.01);
        let parts = [0..2, 2..4].map(|part| reward(&readings(&REWARDS), &pairs()[part], 4, 0.01));
        assert!((whole.loss - parts[0].loss - parts[1].loss).abs() < 1e-12);
    }

    #[test]
    fn rewards_of_any_size_give_no_nan() {
        for outputs in [[1e30, -1e30], [-1e30, 1e30], [f32::MAX, f32::MIN]] {
            let found = reward(&readings(&outputs), &[Pair { better: 1, worse: 0, margin: 0.0 }], 1, 0.0);
            assert!(found.coefficients.outputs.iter().all(|slope| slope.is_finite()), "{found:?}");
            assert!(found.loss >= 0.0, "{found:?}");
        }
    }

    #[test]
    fn no_pairs_are_no_loss_and_no_gradient() {
        let found = reward(&readings(&[1.0, 2.0]), &[], 4, 0.01);
        assert_eq!((found.loss, found.coefficients.outputs), (0.0, vec![0.0, 0.0]));
        let lost = Pair { better: 7, worse: 0, margin: 0.0 };
        assert!(reward(&readings(&[1.0]), &[lost], 1, 0.01).loss == 0.0);
        assert!(reward(&readings(&[1.0, 2.0]), &pairs()[..1], 0, 0.01).loss == 0.0);
    }
}
