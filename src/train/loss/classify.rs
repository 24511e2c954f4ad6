//! The loss of a head that tells labels apart: softmax cross-entropy (Bishop 2006, section 4.3.4).

use super::Loss;
use crate::model::{Coefficients, Readings};

/// `loss = Σ −log softmax(outputs)[label] / total`, `∂ loss / ∂ output = (softmax − 1[label]) / total`, where `total` is the
/// number of documents in the whole step. `readings.outputs` holds as many numbers for each document as there are labels.
///
/// The largest output is taken off first, so that no exponential overflows. A document whose label is out of range
/// counts nothing; neither does anything where there are no documents.
///
/// ```
/// use tripos::model::Readings;
/// use tripos::train::loss::classify;
/// let readings = Readings { logprobs: vec![], outputs: vec![0.0, 0.0] };
/// let found = classify(&readings, &[1], 1);
/// assert_eq!((found.loss, found.coefficients.outputs), (2_f64.ln(), vec![0.5, -0.5]));
/// ```
#[must_use]
pub fn classify(readings: &Readings, labels: &[usize], total: usize) -> Loss {
    let mut loss = 0.0;
    let mut coefficients =
        Coefficients { logprobs: vec![0.0; readings.logprobs.len()], outputs: vec![0.0; readings.outputs.len()] };
    let width = width(readings, labels);
    let slopes = coefficients.outputs.chunks_mut(width);
    for ((outputs, label), slopes) in readings.outputs.chunks(width).zip(labels).zip(slopes) {
        let Some(truth) = outputs.get(*label).filter(|_| total > 0) else { continue };
        let largest = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = outputs.iter().map(|output| f64::from(output - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        loss += (sum.ln() - f64::from(truth - largest)) / total as f64;
        for (at, (slope, power)) in slopes.iter_mut().zip(&powers).enumerate() {
            let truth = if at == *label { 1.0 } else { 0.0 };
            #[allow(clippy::cast_possible_truncation)] // the nearest f32 is meant
            let nearest = ((power / sum - truth) / total as f64) as f32;
            *slope = nearest;
        }
    }
    Loss { loss, coefficients }
}

/// How many documents have their label as the largest output. Of equal ones the first counts.
#[must_use]
pub fn right(outputs: &[f32], labels: &[usize]) -> usize {
    let width = outputs.len().checked_div(labels.len()).unwrap_or(0).max(1);
    let largest = |outputs: &[f32]| {
        let first = |best: usize, at: usize| if outputs[at] > outputs[best] { at } else { best };
        (1..outputs.len()).fold(0, first)
    };
    outputs.chunks(width).zip(labels).filter(|(outputs, label)| largest(outputs) == **label).count()
}

/// Numbers a document; 1 where there are none, so that chunks of it are none.
fn width(readings: &Readings, labels: &[usize]) -> usize {
    readings.outputs.len().checked_div(labels.len()).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::differences::assert_gradient;
    use super::*;

    fn readings(outputs: &[f32]) -> Readings {
        Readings { logprobs: vec![], outputs: outputs.to_vec() }
    }

    #[test]
    fn coefficients_are_the_slopes_of_the_loss() {
        assert_gradient(|readings| classify(readings, &[2, 0], 3), &readings(&[0.5, -2.0, 1.5, 4.0, 3.9, -1.0]));
    }

    /// ```python
    /// import torch
    /// x = torch.tensor([[0.5, -2.0, 1.5], [4.0, 3.9, -1.0]], requires_grad=True)
    /// l = torch.nn.functional.cross_entropy(x, torch.tensor([2, 0])); l.backward(); print(l.item(), x.grad)
    /// # 0.491512656211853 [[0.131566256, 0.010799616, -0.142365843], [-0.238435656, 0.236673236, 0.001762407]]
    /// ```
    #[test]
    fn equals_cross_entropy_elsewhere() {
        let found = classify(&readings(&[0.5, -2.0, 1.5, 4.0, 3.9, -1.0]), &[2, 0], 2);
        assert!((found.loss - 0.491_512_656).abs() < 1e-6, "{}", found.loss);
        let slopes = [0.131_566_25, 0.010_799_616, -0.142_365_84, -0.238_435_66, 0.236_673_24, 0.001_762_407];
        for (found, known) in found.coefficients.outputs.iter().zip(slopes) {
            assert!((found - known).abs() < 1e-6, "{found} {known}");
        }
    }

    #[test]
    fn outputs_of_any_size_give_no_nan() {
        for outputs in [[1e30, -1e30], [-1e30, 1e30], [f32::MAX, f32::MAX]] {
            let found = classify(&readings(&outputs), &[1], 1);
            assert!(found.coefficients.outputs.iter().all(|slope| slope.is_finite()), "{found:?}");
            assert!(found.loss >= 0.0, "{found:?}");
        }
    }

    #[test]
    fn no_documents_are_no_loss_and_no_gradient() {
        assert_eq!(classify(&readings(&[]), &[], 4), Loss::default());
        let found = classify(&readings(&[1.0, 2.0]), &[0], 0);
        assert_eq!((found.loss, found.coefficients.outputs), (0.0, vec![0.0, 0.0]));
    }

    #[test]
    fn the_largest_output_is_the_answer() {
        assert_eq!(right(&[0.5, -2.0, 1.5, 4.0, 3.9, -1.0], &[2, 0]), 2);
        assert_eq!(right(&[0.5, -2.0, 1.5, 4.0, 3.9, -1.0], &[0, 1]), 0);
        assert_eq!((right(&[1.0, 1.0], &[0]), right(&[1.0, 1.0], &[1]), right(&[], &[])), (1, 0, 0));
    }
}
