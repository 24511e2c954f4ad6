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
}
