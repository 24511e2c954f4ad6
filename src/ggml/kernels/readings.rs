//! The middle of a step: what the model says goes out to a loss, and how the loss moves with it comes back in.

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::expect;
use crate::gguf::TensorType;
use std::sync::{Arc, Mutex, PoisonError};

/// What a loss is given, and fills in: the log-probability of each target and the outputs of the head, and how the loss
/// moves with each of them.
#[derive(Debug)]
pub struct Readings<'a> {
    /// One a target.
    pub logprobs: &'a [f32],
    /// The head's, all of one document after another.
    pub outputs: &'a [f32],
    /// d loss / d log-probability; 0 unless set.
    pub for_logprobs: &'a mut [f32],
    /// d loss / d output; 0 unless set.
    pub for_outputs: &'a mut [f32],
}

type Loss = Box<dyn FnOnce(Readings<'_>) + Send>;

/// Where the loss of the next computation is put.
#[derive(Clone, Default)]
pub struct Judge(Arc<Mutex<Option<Loss>>>);

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judge")
    }
}

impl Judge {
    /// The loss of the next computation.
    pub fn set(&self, loss: impl FnOnce(Readings<'_>) + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(loss));
    }

    fn take(&self) -> Option<Loss> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Arena {
    /// Sets `coefficients` (F32) to what the judge's loss makes of the readings, 0 without a loss: first those of
    /// `logprobs` (F32 [2, n], of which every second number is one), then those of `outputs` (F32).
    pub fn judge(
        &self,
        coefficients: &Tensor,
        logprobs: Option<&Tensor>,
        outputs: Option<&Tensor>,
        judge: &Judge,
    ) -> Result<Tensor, GgmlError> {
        const OP: &str = "loss";
        let (targets, values) = (logprobs.map_or(0, |t| t.len() / 2), outputs.map_or(0, Tensor::len));
        logprobs.map_or(Ok(()), |logprobs| expect(OP, logprobs, TensorType::F32, 2 * targets))?;
        outputs.map_or(Ok(()), |outputs| expect(OP, outputs, TensorType::F32, values))?;
        expect(OP, coefficients, TensorType::F32, targets + values)?;
        let sources: Vec<&Tensor> = logprobs.into_iter().chain(outputs).collect();
        let (judge, of_outputs) = (judge.clone(), 1 + usize::from(logprobs.is_some()));
        self.custom_inplace(OP, coefficients, &sources, move |call| {
            // One thread has it all: the shares of the others are empty.
            if call.share(1).is_empty() {
                return;
            }
            let logprobs: Vec<f32> =
                if targets > 0 { call.source::<f32>(1).iter().step_by(2).copied().collect() } else { Vec::new() };
            let outputs = if values > 0 { call.source::<f32>(of_outputs) } else { &[] };
            // SAFETY: no other thread gets here.
            let coefficients = unsafe { call.result::<f32>(0..targets + values) };
            coefficients.fill(0.0);
            if let Some(loss) = judge.take() {
                let (for_logprobs, for_outputs) = coefficients.split_at_mut(targets);
                loss(Readings { logprobs: &logprobs, outputs, for_logprobs, for_outputs });
            }
        })
    }
}
