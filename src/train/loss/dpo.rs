//! The loss of direct preference optimisation: a model learns from judgements without a reward model between.
//!
//! What the reward model of Bradley and Terry would learn is here read off the policy itself: the reward of an answer is
//! β · log(π(answer) / π_ref(answer)), and a is preferred to b with probability σ(r_a − r_b) (Rafailov 2023, 2305.18290,
//! equation 7). π_ref is the model before it learned.
//!
//! Other than in the paper:
//! - a margin may say by how much an answer was preferred (Amini 2024, 2402.10571);
//! - −log p of the preferred answer, a token's mean, may count beside it: else both answers may become less likely, if the
//!   worse one does so faster (Pang 2024, 2404.19733, equation 1);
//! - what all answers to a prompt begin with is not looked at: it cancels.

use super::{Loss, Pair, softplus};
use crate::model::{Coefficients, Readings};
use std::ops::Range;

/// An answer of a batch: where its log-probabilities lie, and what they came to before anything was learned.
///
/// ```
/// use tripos::train::loss::Answer;
/// let answer = Answer { tokens: 0..2, reference: -3.0 };
/// assert_eq!(answer.tokens.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its tokens' log-probabilities among those of the batch.
    pub tokens: Range<usize>,
    /// The sum of them under the reference (natural logarithm).
    pub reference: f64,
}

impl Answer {
    /// log p of the answer; 0 where it is not there.
    fn logprob(&self, readings: &Readings) -> f64 {
        readings.logprobs.get(self.tokens.clone()).map_or(0.0, sum)
    }
}

/// Σ in f64.
pub(in crate::train) fn sum(logprobs: &[f32]) -> f64 {
    logprobs.iter().map(|logprob| f64::from(*logprob)).sum()
}

/// The reward β · (log p − reference) of each answer.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "rewards are compared, as those of a head are")]
pub fn implied(readings: &Readings, answers: &[Answer], beta: f64) -> Vec<f32> {
    answers.iter().map(|answer| (beta * (answer.logprob(readings) - answer.reference)) as f32).collect()
}

/// `loss = Σ (softplus(margin − (r_b − r_w)) − language · log p_b / |b|) / total`, where `r` is the [`implied`] reward, `|b|`
/// the tokens of the better answer and `total` the number of pairs in the whole step.
///
/// A pair of an answer that is not there, or is empty, counts nothing; neither does anything where there are no pairs.
///
/// ```
/// use tripos::model::Readings;
/// use tripos::train::loss::{Answer, Pair, dpo};
/// let readings = Readings { logprobs: vec![-1.0, -2.0], outputs: vec![] };
/// let answers = [Answer { tokens: 0..1, reference: -1.0 }, Answer { tokens: 1..2, reference: -2.0 }];
/// let found = dpo(&readings, &answers, &[Pair { better: 1, worse: 0, margin: 0.0 }], (0.1, 0.0), 1);
/// // Nothing has been learned yet.
/// assert_eq!((found.loss, found.coefficients.logprobs), (2_f64.ln(), vec![0.05, -0.05]));
/// ```
#[must_use]
pub fn dpo(
    readings: &Readings,
    answers: &[Answer],
    pairs: &[Pair],
    (beta, language): (f64, f64),
    total: usize,
) -> Loss {
    let share = if total == 0 { 0.0 } else { 1.0 / total as f64 };
    let mut slopes = vec![0.0_f64; readings.logprobs.len()];
    let mut add = |answer: &Answer, slope: f64| {
        slopes.get_mut(answer.tokens.clone()).into_iter().flatten().for_each(|to| *to += slope);
    };
    let reward = |answer: &Answer| beta * (answer.logprob(readings) - answer.reference);
    let there = |answer: &&Answer| !answer.tokens.is_empty() && answer.tokens.end <= readings.logprobs.len();
    let mut loss = 0.0;
    for pair in pairs {
        let of = |at: usize| answers.get(at).filter(there);
        let (Some(better), Some(worse)) = (of(pair.better), of(pair.worse)) else { continue };
        let apart = reward(better) - reward(worse) - f64::from(pair.margin);
        let mean = better.logprob(readings) / better.tokens.len() as f64;
        loss += share * (softplus(-apart) - language * mean);
        let pull = share * beta / (1.0 + apart.exp());
        add(better, -pull - share * language / better.tokens.len() as f64);
        add(worse, pull);
    }
    #[allow(clippy::cast_possible_truncation)] // the nearest f32 is meant
    let logprobs = slopes.into_iter().map(|slope| slope as f32).collect();
    Loss { loss, coefficients: Coefficients { logprobs, outputs: vec![0.0; readings.outputs.len()] } }
}

#[cfg(test)]
mod tests {
    use super::super::differences::assert_gradient;
    use super::*;

    fn readings() -> Readings {
        Readings { logprobs: vec![-0.5, -1.0, -3.0, -0.25, -2.0, -4.0], outputs: vec![] }
    }

    fn answers() -> Vec<Answer> {
        let answer = |tokens, reference| Answer { tokens, reference };
        vec![answer(0..2, -2.0), answer(2..3, -2.5), answer(3..6, -5.0)]
    }

    fn pairs() -> Vec<Pair> {
        let pair = |better, worse, margin| Pair { better, worse, margin };
        vec![pair(0, 1, 0.0), pair(2, 1, 0.5), pair(0, 2, 0.0)]
    }

    #[test]
    fn coefficients_are_the_slopes_of_the_loss() {
        assert_gradient(|readings| dpo(readings, &answers(), &pairs(), (0.3, 0.0), 5), &readings());
        assert_gradient(|readings| dpo(readings, &answers(), &pairs(), (0.3, 0.7), 5), &readings());
    }

    /// The negative twin: against another reference the slopes are others.
    #[test]
    #[should_panic(expected = "measured")]
    fn another_reference_is_another_loss() {
        let moved: Vec<Answer> = answers().into_iter().map(|one| Answer { reference: -9.0, ..one }).collect();
        let wrong = |readings: &Readings| Loss {
            coefficients: dpo(readings, &moved, &pairs(), (0.3, 0.0), 3).coefficients,
            ..dpo(readings, &answers(), &pairs(), (0.3, 0.0), 3)
        };
        assert_gradient(wrong, &readings());
    }

    /// ```python
    /// import torch, torch.nn.functional as F
    /// l = torch.tensor([-0.5, -1.0, -3.0, -0.25, -2.0, -4.0], requires_grad=True)
    /// p = torch.stack([l[0:2].sum(), l[2:3].sum(), l[3:6].sum()]); ref = torch.tensor([-2.0, -2.5, -5.0])
    /// n = torch.tensor([2., 1., 3.]); b, w, m = torch.tensor([0, 2, 0]), torch.tensor([1, 1, 2]), torch.tensor([0., .5, 0.])
    /// r = 0.3 * (p - ref)
    /// loss = (-F.logsigmoid(r[b] - r[w] - m)).mean() + 0.7 * (-(p[b] / n[b])).mean()  # as TRL's DPOTrainer with rpo_alpha
    /// loss.backward(); print(loss.item(), l.grad.tolist())
    /// # 1.5491199493 [-0.3130574822, -0.3130574822, 0.1099264696, -0.1079801172, -0.1079801172, -0.1079801172]
    /// ```
    #[test]
    fn equals_what_pytorch_computes() {
        let found = dpo(&readings(), &answers(), &pairs(), (0.3, 0.7), 3);
        assert!((found.loss - 1.549_119_949_3).abs() < 1e-6, "{}", found.loss);
        let slopes = [-0.313_057_48, -0.313_057_48, 0.109_926_47, -0.107_980_12, -0.107_980_12, -0.107_980_12];
        for (found, known) in found.coefficients.logprobs.iter().zip(slopes) {
            assert!((found - known).abs() < 1e-6, "{found} {known}");
        }
    }

    #[test]
    fn parts_of_a_batch_add_up_to_the_whole() {
        let loss = |pairs: &[Pair]| dpo(&readings(), &answers(), pairs, (0.3, 0.7), 3);
        let whole = loss(&pairs());
        let (one, other) = (loss(&pairs()[..1]), loss(&pairs()[1..]));
        assert!((whole.loss - one.loss - other.loss).abs() < 1e-12);
        let added = one.coefficients.logprobs.iter().zip(&other.coefficients.logprobs).map(|(a, b)| a + b);
        assert!(added.zip(&whole.coefficients.logprobs).all(|(sum, whole)| (sum - whole).abs() < 1e-6));
    }

    #[test]
    fn what_is_unlearned_is_as_likely_either_way_and_what_is_learned_is_not() {
        let known = |by: f64| {
            let of = |one: Answer, more: f64| Answer { reference: one.logprob(&readings()) - more, ..one };
            let answers: Vec<Answer> = answers().into_iter().zip([by, 0.0, 0.0]).map(|(one, by)| of(one, by)).collect();
            (dpo(&readings(), &answers, &pairs()[..1], (0.1, 0.0), 1).loss, implied(&readings(), &answers, 0.1))
        };
        assert!((known(0.0).0 - 2_f64.ln()).abs() < 1e-6);
        assert_eq!(known(5.0).1, [0.5, 0.0, 0.0]);
        assert!(known(5.0).0 < known(0.0).0 && known(-5.0).0 > known(0.0).0);
    }

    #[test]
    fn likelihoods_of_any_size_give_no_nan_and_what_is_not_there_counts_nothing() {
        let far = Readings { logprobs: vec![-1e30, -1e-30], outputs: vec![1.0] };
        let answers = [Answer { tokens: 0..1, reference: 0.0 }, Answer { tokens: 1..2, reference: -1e30 }];
        let found = dpo(&far, &answers, &[Pair { better: 0, worse: 1, margin: 0.0 }], (0.1, 0.0), 1);
        assert!(found.coefficients.logprobs.iter().all(|slope| slope.is_finite()), "{found:?}");
        let empty = Answer { tokens: 2..2, reference: 0.0 };
        for lost in [empty, Answer { tokens: 1..9, reference: 0.0 }] {
            let found =
                dpo(&far, &[lost, answers[0].clone()], &[Pair { better: 0, worse: 1, margin: 0.0 }], (1.0, 1.0), 1);
            assert_eq!((found.loss, found.coefficients.logprobs), (0.0, vec![0.0, 0.0]));
        }
        assert_eq!(dpo(&far, &answers, &[], (0.1, 0.0), 0).coefficients.outputs, [0.0]);
    }
}
