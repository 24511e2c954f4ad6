//! Advantages: how much better an answer was than what was to be expected.

/// Keeps the division finite (Shao 2024, 2402.03300; as TRL has it).
const EPS: f64 = 1e-4;

/// Of the rewards of several answers to one prompt, each against their mean; divided by their standard deviation where `spread`
/// says so (GRPO, Shao 2024, 2402.03300, section 4.1.2). Without the division prompts whose answers are nearly all right or
/// nearly all wrong do not count for more than others (Dr. GRPO, Liu 2025, 2503.20783).
///
/// Answers that are all worth the same teach nothing: 0 for each of them. The deviation divides by n − 1, as PyTorch's does.
///
/// ```
/// use tripos::train::loss::of_group;
/// assert_eq!(of_group(&[1.0, 0.0, 0.0, 1.0], false), [0.5, -0.5, -0.5, 0.5]);
/// assert_eq!(of_group(&[1.0, 1.0], true), [0.0, 0.0]);
/// ```
#[must_use]
pub fn of_group(rewards: &[f64], spread: bool) -> Vec<f64> {
    let n = rewards.len().max(1) as f64;
    let mean = rewards.iter().sum::<f64>() / n;
    let std = (rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
    let by = if spread { std + EPS } else { 1.0 };
    rewards.iter().map(|reward| (reward - mean) / by).collect()
}

/// How much better each token of one answer was than what a critic expected, and what it should have expected: advantages and
/// returns (GAE, Schulman 2015, 1506.02438, equations 11 to 16).
///
/// `δ_t = r_t + γ·V_{t+1} − V_t` and `A_t = δ_t + γ·λ·A_{t+1}`, where an answer is worth nothing behind its last token; the
/// return is `A_t + V_t`. `rewards` and `values`: one for each token.
///
/// ```
/// use tripos::train::loss::gae;
/// // A reward at the end only, and a critic that expects it from the beginning on: nothing is a surprise.
/// assert_eq!(gae(&[0.0, 1.0], &[1.0, 1.0], 1.0, 0.95).0, [0.0, 0.0]);
/// // One that expects nothing: with λ 1 the whole reward is each token's.
/// assert_eq!(gae(&[0.0, 1.0], &[0.0, 0.0], 1.0, 1.0), (vec![1.0, 1.0], vec![1.0, 1.0]));
/// ```
#[must_use]
pub fn gae(rewards: &[f64], values: &[f64], gamma: f64, lambda: f64) -> (Vec<f64>, Vec<f64>) {
    let mut advantages = vec![0.0; rewards.len().min(values.len())];
    let (mut later, mut next) = (0.0, 0.0);
    for at in (0..advantages.len()).rev() {
        later = rewards[at] + gamma * next - values[at] + gamma * lambda * later;
        (advantages[at], next) = (later, values[at]);
    }
    let returns = advantages.iter().zip(values).map(|(advantage, value)| advantage + value).collect();
    (advantages, returns)
}

/// Shifts and scales advantages so that their mean is 0 and their standard deviation 1, as InstructGPT's PPO does with those of a
/// round (Ouyang 2022, 2203.02155, appendix C.4; the deviation divides by n, and 1e-8 is added to its square, as in TRL).
///
/// ```
/// use tripos::train::loss::whiten;
/// let mut advantages = [1.0, 2.0, 3.0];
/// whiten(&mut advantages);
/// assert!((advantages[2] - 1.5_f64.sqrt()).abs() < 1e-6 && advantages[1] == 0.0);
/// ```
pub fn whiten(advantages: &mut [f64]) {
    let n = advantages.len().max(1) as f64;
    let mean = advantages.iter().sum::<f64>() / n;
    let variance = advantages.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / n;
    let by = (variance + 1e-8).sqrt();
    for advantage in advantages {
        *advantage = (*advantage - mean) / by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], known: &[f64]) {
        assert_eq!(found.len(), known.len());
        assert!(found.iter().zip(known).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {known:?}");
    }

    /// ```python
    /// import torch
    /// r = torch.tensor([1., 0., 0.5, 2.]); print(((r - r.mean()) / (r.std() + 1e-4)).tolist())
    /// # [0.1463678628, -1.0245749950, -0.4391035736, 1.3173108101]
    /// ```
    #[test]
    fn a_group_is_measured_by_its_own_mean_and_spread() {
        close(&of_group(&[1.0, 0.0, 0.5, 2.0], true), &[0.146_367_86, -1.024_575, -0.439_103_57, 1.317_310_8]);
        close(&of_group(&[1.0, 0.0, 0.5, 2.0], false), &[0.125, -0.875, -0.375, 1.125]);
        assert_eq!((of_group(&[3.0], true), of_group(&[], true)), (vec![0.0], vec![]));
    }

    /// ```python
    /// import numpy as np
    /// r, v, g, l = [0.1, -0.2, 0.0, 1.0], [0.5, 0.4, -0.3, 0.8], 0.9, 0.95
    /// d = [r[t] + g * (v[t + 1] if t < 3 else 0.0) - v[t] for t in range(4)]
    /// a = [sum((g * l) ** (k - t) * d[k] for k in range(t, 4)) for t in range(4)]       # equation 16, written out
    /// print(a, [x + y for x, y in zip(a, v)])
    /// w = np.array(a); print(((w - w.mean()) / np.sqrt(w.var() + 1e-8)).tolist())
    /// ```
    #[test]
    fn equals_the_sum_that_defines_it() {
        let (rewards, values, gamma, lambda) = ([0.1, -0.2, 0.0, 1.0], [0.5, 0.4, -0.3, 0.8], 0.9, 0.95);
        let (advantages, returns) = gae(&rewards, &values, gamma, lambda);
        close(&advantages, &[0.086_800_775, 0.148_305_000, 1.191_000_000, 0.200_000_000]);
        close(&returns, &[0.586_800_775, 0.548_305_000, 0.891_000_000, 1.000_000_000]);
        let mut white = advantages;
        whiten(&mut white);
        close(&white, &[-0.703_180_173, -0.567_912_486, 1.725_311_117, -0.454_218_458]);
    }

    /// γ = λ = 1: what is still to come, less what was expected, whatever is expected in between.
    #[test]
    fn without_discount_it_is_what_is_still_to_come() {
        let (rewards, values) = ([0.5, 0.0, -1.0, 2.0], [0.3, -7.0, 9.0, 0.1]);
        let (advantages, returns) = gae(&rewards, &values, 1.0, 1.0);
        close(&returns, &[1.5, 1.0, 1.0, 2.0]);
        close(&advantages, &[1.2, 8.0, -8.0, 1.9]);
        assert_eq!(gae(&[], &[], 1.0, 1.0), (vec![], vec![]));
    }

    #[test]
    fn advantages_that_are_all_alike_are_none() {
        let mut alike = [3.0; 4];
        whiten(&mut alike);
        close(&alike, &[0.0; 4]);
        whiten(&mut []);
    }
}
