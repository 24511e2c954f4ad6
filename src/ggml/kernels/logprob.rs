//! The log-probability of given tokens, log softmax(logits)\[target\], and its gradient.

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::super::call::Call;
use super::super::element::{Bf16, Element};
use super::expect;
use super::math::{exp, largest};
use crate::gguf::TensorType;

impl Arena {
    /// Sets `out` (F32 [2, n]) to each row's log-probability of its target and the logarithm of Σ eˡ, from logits (F32
    /// [vocabulary, n]) and targets (I32 `[n]`). A target outside the vocabulary counts as unused: log-probability 0.
    pub fn logprob_into(&self, out: &Tensor, logits: &Tensor, targets: &Tensor) -> Result<Tensor, GgmlError> {
        const OP: &str = "logprob";
        let n = logits.dims()[1];
        expect(OP, logits, TensorType::F32, logits.dims()[0] * n)?;
        expect(OP, targets, TensorType::I32, n)?;
        expect(OP, out, TensorType::F32, 2 * n)?;
        self.custom_inplace(OP, out, &[logits, targets], forward)
    }

    /// The gradient of the logits, as `kind`: coefficient · (1 at the target − softmax). `logprobs` is what
    /// [`logprob_into`](Self::logprob_into) made, `coefficients` F32 `[n]`: how the loss moves with each log-probability.
    pub fn logprob_back(
        &self,
        (logits, targets): (&Tensor, &Tensor),
        logprobs: &Tensor,
        coefficients: &Tensor,
        kind: TensorType,
    ) -> Result<Tensor, GgmlError> {
        const OP: &str = "logprob_back";
        let n = logits.dims()[1];
        expect(OP, logits, TensorType::F32, logits.dims()[0] * n)?;
        expect(OP, targets, TensorType::I32, n)?;
        expect(OP, logprobs, TensorType::F32, 2 * n)?;
        expect(OP, coefficients, TensorType::F32, n)?;
        let (to, sources) = ((kind, &logits.dims()[..]), [logits, targets, logprobs, coefficients]);
        match kind {
            TensorType::F32 => self.custom(OP, to, &sources, back::<f32>),
            TensorType::BF16 => self.custom(OP, to, &sources, back::<Bf16>),
            _ => Err(GgmlError::shape(OP, format!("a result of {kind}"))),
        }
    }
}

/// The number of a target among `vocabulary` logits.
fn target(targets: &[i32], row: usize, vocabulary: usize) -> Option<usize> {
    targets.get(row).and_then(|target| usize::try_from(*target).ok()).filter(|target| *target < vocabulary)
}

fn forward(call: &Call<'_>) {
    let (logits, targets) = (call.source::<f32>(1), call.source::<i32>(2));
    let vocabulary = logits.len() / targets.len();
    for row in call.share(targets.len()) {
        // SAFETY: each thread has rows of its own.
        let out = unsafe { call.result::<f32>(2 * row..2 * row + 2) };
        let Some(target) = target(targets, row, vocabulary) else {
            out.fill(0.0);
            continue;
        };
        let logits = &logits[row * vocabulary..(row + 1) * vocabulary];
        let most = largest(logits);
        let mut lanes = [0.0_f32; 32];
        let chunks = logits.chunks_exact(lanes.len());
        let rest: f32 = chunks.remainder().iter().map(|x| exp(x - most)).sum();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += exp(x - most));
        }
        let log_sum = (lanes.iter().sum::<f32>() + rest).ln() + most;
        // NaN and infinite logits give NaN here, which training stops at.
        out.copy_from_slice(&[logits[target] - log_sum, log_sum]);
    }
}

fn back<E: Element>(call: &Call<'_>) {
    let (logits, targets) = (call.source::<f32>(0), call.source::<i32>(1));
    let (logprobs, coefficients) = (call.source::<f32>(2), call.source::<f32>(3));
    let vocabulary = logits.len() / targets.len();
    for row in call.share(targets.len()) {
        let part = row * vocabulary..(row + 1) * vocabulary;
        // SAFETY: each thread has rows of its own.
        let out = unsafe { call.result::<E>(part.clone()) };
        let (coefficient, log_sum) = (coefficients[row], logprobs[2 * row + 1]);
        let Some(target) = target(targets, row, vocabulary).filter(|_| coefficient != 0.0) else {
            out.fill(E::from_f32(0.0));
            continue;
        };
        let logits = &logits[part];
        for (out, x) in out.iter_mut().zip(logits) {
            *out = E::from_f32(-coefficient * exp(x - log_sum));
        }
        out[target] = E::from_f32(coefficient * (1.0 - exp(logits[target] - log_sum)));
    }
}
