//! The middle of a step: what the model says goes out to a loss, and how the loss moves with it comes back in.

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::expect;
use crate::gguf::TensorType;
use std::sync::{Arc, Mutex, PoisonError};

/// A function from readings to coefficients (d loss / d reading), of the same number.
type Loss = Box<dyn FnOnce(&[f32], &mut [f32]) + Send>;

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
    pub fn set(&self, loss: impl FnOnce(&[f32], &mut [f32]) + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(loss));
    }

    fn take(&self) -> Option<Loss> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Arena {
    /// Sets `coefficients` to what the judge's loss makes of `readings`, both F32 of one length; 0 without a loss.
    pub fn judge(&self, coefficients: &Tensor, readings: &Tensor, judge: &Judge) -> Result<Tensor, GgmlError> {
        const OP: &str = "loss";
        expect(OP, readings, TensorType::F32, coefficients.len())?;
        expect(OP, coefficients, TensorType::F32, readings.len())?;
        let judge = judge.clone();
        self.custom_inplace(OP, coefficients, &[readings], move |call| {
            // One thread has it all: share(1) is empty for the others.
            if call.share(1).is_empty() {
                return;
            }
            let readings = call.source::<f32>(1);
            // SAFETY: no other thread gets here.
            let coefficients = unsafe { call.result::<f32>(0..readings.len()) };
            coefficients.fill(0.0);
            if let Some(loss) = judge.take() {
                loss(readings, coefficients);
            }
        })
    }
}
