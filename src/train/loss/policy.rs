//! The loss of a policy that is moved towards reward: PPO's clipped surrogate, which GRPO shares, and a pull towards the
//! reference.
//!
//! Every token is an action. How much likelier it has become since it was drawn, ρ = exp(log π − log π_old), counts only as far
//! as 1 ± ε, so that one round of answers cannot carry the policy away (Schulman 2017, 1707.06347, equation 7; Shao 2024,
//! 2402.03300, equation 3).
//!
//! Other than in the papers:
//! - each token counts alike, not each answer: a mean within each answer first makes short right answers and long wrong ones
//!   worth more (Liu 2025, 2503.20783, section 3.1).

use super::Loss;
use crate::model::{Coefficients, Readings};

/// What is known of the tokens of a micro-batch, in the order of its log-probabilities.
///
/// ```
/// use tripos::train::loss::Drawn;
/// let drawn = Drawn { old: vec![-1.0], reference: vec![], advantages: vec![0.5] };
/// assert!(drawn.reference.is_empty(), "no reference, no pull");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawn {
    /// log π_old: by the policy that drew them; empty where that is the policy as it is.
    pub old: Vec<f32>,
    /// log π_ref: by the model before it learned; empty where nothing pulls towards it.
    pub reference: Vec<f32>,
    /// How much better each was than what was to be expected.
    pub advantages: Vec<f64>,
}

/// How far a policy may go.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Reins {
    /// ε: a ratio counts within 1 ± ε.
    pub clip: f64,
    /// β: how strongly it is pulled towards the reference, per token.
    pub kl: f64,
}

/// k3, an estimate of KL(π ‖ π_ref) from a token drawn by π, which is never negative: `exp(d) − d − 1` with
/// d = log π_ref − log π (Schulman 2020, joschu.net/blog/kl-approx.html).
///
/// ```
/// use tripos::train::loss::kl;
/// assert_eq!(kl(-1.0, -1.0), 0.0);
/// assert!(kl(-1.0, -3.0) > 0.0 && kl(-3.0, -1.0) > 0.0);
/// ```
#[must_use]
pub fn kl(policy: f64, reference: f64) -> f64 {
    let d = reference - policy;
    (d.exp_m1() - d).max(0.0)
}

/// ρ of a token, and whether its surrogate is cut off: where it is, nothing moves it.
#[must_use]
pub fn ratio(policy: f64, old: f64, advantage: f64, clip: f64) -> (f64, bool) {
    let ratio = (policy - old).exp();
    let cut = if advantage > 0.0 { ratio > 1.0 + clip } else { ratio < 1.0 - clip };
    (ratio, cut)
}

/// `loss = −Σ (min(ρ·A, clip(ρ, 1−ε, 1+ε)·A) − β·k3) / total` over the tokens, where `total` is how many the whole step has.
///
/// A token without an advantage counts nothing.
///
/// ```
/// use tripos::model::Readings;
/// use tripos::train::loss::{Drawn, Reins, policy};
/// let readings = Readings { logprobs: vec![-1.0], outputs: vec![] };
/// let drawn = Drawn { old: vec![-1.0], reference: vec![-1.0], advantages: vec![2.0] };
/// let found = policy(&readings, &drawn, Reins { clip: 0.2, kl: 0.1 }, 1);
/// assert_eq!((found.loss, found.coefficients.logprobs), (-2.0, vec![-2.0]));
/// ```
#[must_use]
pub fn policy(readings: &Readings, drawn: &Drawn, reins: Reins, total: usize) -> Loss {
    let share = if total == 0 { 0.0 } else { 1.0 / total as f64 };
    let mut logprobs = vec![0.0_f32; readings.logprobs.len()];
    let mut loss = 0.0;
    for (at, (now, slope)) in readings.logprobs.iter().zip(&mut logprobs).enumerate() {
        let Some(&advantage) = drawn.advantages.get(at) else { continue };
        let now = f64::from(*now);
        let old = drawn.old.get(at).map_or(now, |old| f64::from(*old));
        let (ratio, cut) = ratio(now, old, advantage, reins.clip);
        let within = ratio.clamp(1.0 - reins.clip, 1.0 + reins.clip);
        loss -= share * (ratio * advantage).min(within * advantage);
        let mut pull = if cut { 0.0 } else { -share * ratio * advantage };
        if let Some(reference) = drawn.reference.get(at).map(|it| f64::from(*it)) {
            loss += share * reins.kl * kl(now, reference);
            pull += share * reins.kl * (1.0 - (reference - now).exp());
        }
        #[allow(clippy::cast_possible_truncation)] // the nearest f32 is meant
        let pull = pull as f32;
        *slope = pull;
    }
    Loss { loss, coefficients: Coefficients { logprobs, outputs: vec![0.0; readings.outputs.len()] } }
}

#[cfg(test)]
mod tests {
    use super::super::differences::assert_gradient;
    use super::*;

    const REINS: Reins = Reins { clip: 0.2, kl: 0.3 };

    fn readings() -> Readings {
        Readings { logprobs: vec![-0.5, -1.0, -3.0, -0.25, -2.0, -4.0], outputs: vec![] }
    }

    /// Of each sign one that is cut off, one within, and one on the other side.
    fn drawn() -> Drawn {
        Drawn {
            old: vec![-0.9, -1.1, -2.5, -0.75, -1.9, -3.0],
            reference: vec![-0.5, -2.0, -2.0, -0.3, -1.0, -5.0],
            advantages: vec![1.5, 0.5, 2.0, -1.0, -0.5, -2.0],
        }
    }

    #[test]
    fn coefficients_are_the_slopes_of_the_loss() {
        assert_gradient(|readings| policy(readings, &drawn(), REINS, 9), &readings());
        let free = Drawn { reference: vec![], ..drawn() };
        assert_gradient(|readings| policy(readings, &free, REINS, 9), &readings());
    }

    /// The negative twin: with what is good turned into what is bad the slopes are others.
    #[test]
    #[should_panic(expected = "measured")]
    fn turned_round_it_is_another_loss() {
        let turned = Drawn { advantages: drawn().advantages.iter().map(|a| -a).collect(), ..drawn() };
        let wrong = |readings: &Readings| Loss {
            coefficients: policy(readings, &turned, REINS, 9).coefficients,
            ..policy(readings, &drawn(), REINS, 9)
        };
        assert_gradient(wrong, &readings());
    }

    /// ```python
    /// import torch
    /// l = torch.tensor([-0.5, -1.0, -3.0, -0.25, -2.0, -4.0], requires_grad=True)
    /// old = torch.tensor([-0.9, -1.1, -2.5, -0.75, -1.9, -3.0]); ref = torch.tensor([-0.5, -2.0, -2.0, -0.3, -1.0, -5.0])
    /// a = torch.tensor([1.5, 0.5, 2.0, -1.0, -0.5, -2.0])
    /// r = torch.exp(l - old); s = torch.min(r * a, torch.clamp(r, 0.8, 1.2) * a)      # as TRL's GRPOTrainer
    /// k = torch.exp(ref - l) - (ref - l) - 1
    /// loss = (-(s - 0.3 * k)).mean(); loss.backward(); print(loss.item(), l.grad.tolist())
    /// # 0.1312597543 [0.0, -0.0604915507, -0.2880910039, 0.2772254348, -0.0105109811, 0.0316060297]
    /// ```
    #[test]
    fn equals_what_pytorch_computes() {
        let found = policy(&readings(), &drawn(), REINS, 6);
        let slopes = [0.0, -0.060_491_55, -0.288_091, 0.277_225_43, -0.010_510_981, 0.031_606_03];
        assert!((found.loss - 0.131_259_754_3).abs() < 1e-6, "{}", found.loss);
        for (found, known) in found.coefficients.logprobs.iter().zip(slopes) {
            assert!((found - known).abs() < 1e-6, "{found} {known}");
        }
    }

    #[test]
    fn what_has_gone_far_enough_is_moved_no_further_by_its_reward() {
        let free = Drawn { reference: vec![], ..drawn() };
        let slopes = policy(&readings(), &free, REINS, 1).coefficients.logprobs;
        let still: Vec<bool> = slopes.iter().map(|slope| *slope == 0.0).collect();
        // The first rose beyond 1.2 and was good; the last fell below 0.8 and was bad.
        assert_eq!(still, [true, false, false, false, false, true]);
    }

    #[test]
    fn parts_of_a_batch_add_up_to_the_whole() {
        let whole = policy(&readings(), &drawn(), REINS, 6).loss;
        let part = |range: std::ops::Range<usize>| {
            let cut = |of: &[f32]| of[range.clone()].to_vec();
            let drawn = Drawn {
                old: cut(&drawn().old),
                reference: cut(&drawn().reference),
                advantages: drawn().advantages[range.clone()].to_vec(),
            };
            policy(&Readings { logprobs: cut(&readings().logprobs), outputs: vec![] }, &drawn, REINS, 6).loss
        };
        assert!((whole - part(0..2) - part(2..6)).abs() < 1e-12);
    }

    #[test]
    fn the_estimate_of_the_divergence_is_never_negative_and_right_in_the_mean() {
        // Two outcomes: KL(p ‖ q) = Σ p log(p/q).
        let (p, q) = (0.7_f64, 0.4_f64);
        let exact = p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln();
        let mean = p * kl(p.ln(), q.ln()) + (1.0 - p) * kl((1.0 - p).ln(), (1.0 - q).ln());
        assert!((mean - exact).abs() < 1e-12, "{mean} {exact}");
        assert!([-9.0, -1.0, -1e-9, 0.0].iter().all(|at| kl(*at, -1.0) >= 0.0));
    }

    #[test]
    fn what_is_not_known_counts_nothing() {
        let found = policy(&readings(), &Drawn::default(), REINS, 6);
        assert_eq!((found.loss, found.coefficients.logprobs), (0.0, vec![0.0; 6]));
        assert!(policy(&readings(), &drawn(), REINS, 0).loss.abs() <= 0.0);
    }

    #[test]
    fn what_the_policy_drew_as_it_is_moves_by_its_advantage() {
        let fresh = Drawn { old: vec![], reference: vec![], ..drawn() };
        let slopes = policy(&readings(), &fresh, REINS, 2).coefficients.logprobs;
        assert_eq!(slopes, [-0.75, -0.25, -1.0, 0.5, 0.25, 1.0]);
    }
}
