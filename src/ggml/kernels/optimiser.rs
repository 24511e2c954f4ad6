//! AdamW (Loshchilov 2017, 1711.05101), and the size of gradients.

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::expect;
use super::math::dot;
use crate::gguf::TensorType;

/// Numbers in one piece of work.
const PIECE: usize = 1 << 12;
/// Numbers of the settings of a step: see [`AdamW::numbers`].
pub const ADAMW_SETTINGS: usize = 8;

/// How one step is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Which step it is, from 1: the moments begin at 0 and are scaled up in the first steps.
    pub step: u64,
    /// Learning rate.
    pub lr: f32,
    /// How much of the moments is kept.
    pub betas: (f32, f32),
    /// Added to the root of the second moment.
    pub eps: f32,
    /// The share of a weight that is taken away, times the learning rate.
    pub weight_decay: f32,
    /// What gradients are multiplied by first (clipping).
    pub scale: f32,
}

impl AdamW {
    /// As the kernel reads them.
    #[must_use]
    pub fn numbers(&self) -> [f32; ADAMW_SETTINGS] {
        let steps = i32::try_from(self.step).unwrap_or(i32::MAX);
        // In f64: 1 − 0.999^n loses half its digits in f32.
        #[allow(clippy::cast_possible_truncation)] // rounded once, at the end
        let correct = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(steps))) as f32;
        let (b1, b2) = self.betas;
        [self.lr, b1, b2, self.eps, self.weight_decay, self.scale, correct(b1), correct(b2)]
    }
}

impl Arena {
    /// Takes a step: changes `weight` and its two moments, and sets its gradient to 0. All F32 of one shape; `settings` are
    /// [`AdamW::numbers`]. Without `decays` the weight decay is left out.
    pub fn adamw(
        &self,
        weight: &Tensor,
        [gradient, first, second]: [&Tensor; 3],
        settings: &Tensor,
        decays: bool,
    ) -> Result<Tensor, GgmlError> {
        const OP: &str = "adamw";
        let n = weight.len();
        for tensor in [weight, gradient, first, second] {
            expect(OP, tensor, TensorType::F32, n)?;
        }
        expect(OP, settings, TensorType::F32, ADAMW_SETTINGS)?;
        self.custom_inplace(OP, weight, &[gradient, first, second, settings], move |call| {
            let Ok([lr, b1, b2, eps, decay, scale, c1, c2]) = <[f32; ADAMW_SETTINGS]>::try_from(call.source::<f32>(4))
            else {
                return;
            };
            let keep = if decays { 1.0 - lr * decay } else { 1.0 };
            for piece in call.share(n.div_ceil(PIECE)) {
                let part = piece * PIECE..((piece + 1) * PIECE).min(n);
                // SAFETY: each thread has pieces of its own, of four different tensors.
                let (w, g, m, v) = unsafe {
                    let part = || part.clone();
                    (
                        call.result::<f32>(part()),
                        call.change::<f32>(1, part()),
                        call.change(2, part()),
                        call.change(3, part()),
                    )
                };
                for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
                    let (m, v): (&mut f32, &mut f32) = (m, v);
                    let scaled = *g * scale;
                    *m = b1 * *m + (1.0 - b1) * scaled;
                    *v = b2 * *v + (1.0 - b2) * scaled * scaled;
                    *w = *w * keep - lr * (*m * c1) / ((*v * c2).sqrt() + eps);
                    *g = 0.0;
                }
            }
        })
    }

    /// Σ g² of each piece of a gradient, in order.
    pub fn square_sums(&self, gradient: &Tensor) -> Result<Tensor, GgmlError> {
        const OP: &str = "square_sums";
        let n = gradient.len();
        expect(OP, gradient, TensorType::F32, n)?;
        let pieces = n.div_ceil(PIECE);
        self.custom(OP, (TensorType::F32, &[pieces]), &[gradient], move |call| {
            let g = call.source::<f32>(0);
            for piece in call.share(pieces) {
                let g = &g[piece * PIECE..((piece + 1) * PIECE).min(n)];
                // SAFETY: each thread has pieces of its own.
                unsafe { call.result::<f32>(piece..piece + 1) }.fill(dot(g, g));
            }
        })
    }
}
