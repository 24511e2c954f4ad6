//! RMS norm (Zhang 2019, 1910.07467) and its gradients: y = w · x / √(mean(x²) + ε).

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::super::call::Call;
use super::super::element::{Bf16, Element};
use super::expect;
use super::math::dot;
use crate::gguf::TensorType;

impl Arena {
    /// Norms each row: `x` is F32 [d, …], `weight` F32 `[d]`; the result has `x`'s shape and the type `kind` (F32, BF16).
    pub fn rms_norm(&self, x: &Tensor, weight: &Tensor, eps: f32, kind: TensorType) -> Result<Tensor, GgmlError> {
        const OP: &str = "rms_norm";
        expect(OP, x, TensorType::F32, x.len())?;
        expect(OP, weight, TensorType::F32, x.dims()[0])?;
        let to = (kind, &x.dims()[..]);
        match kind {
            TensorType::F32 => self.custom(OP, to, &[x, weight], move |call| norm::<f32>(call, eps)),
            TensorType::BF16 => self.custom(OP, to, &[x, weight], move |call| norm::<Bf16>(call, eps)),
            _ => Err(GgmlError::shape(OP, format!("a result of {kind}"))),
        }
    }

    /// The gradient of `x` from that of the result, plus `residual` where given (the gradient that goes round the norm).
    pub fn rms_norm_back(
        &self,
        (x, weight): (&Tensor, &Tensor),
        dy: &Tensor,
        residual: Option<&Tensor>,
        eps: f32,
    ) -> Result<Tensor, GgmlError> {
        const OP: &str = "rms_norm_back";
        expect(OP, x, TensorType::F32, dy.len())?;
        expect(OP, dy, TensorType::F32, x.len())?;
        expect(OP, weight, TensorType::F32, x.dims()[0])?;
        residual.map_or(Ok(()), |residual| expect(OP, residual, TensorType::F32, x.len()))?;
        let mut sources = vec![x, weight, dy];
        sources.extend(residual);
        self.custom(OP, (TensorType::F32, &x.dims()), &sources, move |call| back(call, eps))
    }

    /// Adds the gradient of the weight to `sum` (F32 `[d]`): Σ over rows of dy · x / √(mean(x²) + ε).
    pub fn rms_norm_weight_back(&self, sum: &Tensor, x: &Tensor, dy: &Tensor, eps: f32) -> Result<Tensor, GgmlError> {
        const OP: &str = "rms_norm_weight";
        expect(OP, x, TensorType::F32, dy.len())?;
        expect(OP, dy, TensorType::F32, x.len())?;
        expect(OP, sum, TensorType::F32, x.dims()[0])?;
        self.custom_inplace(OP, sum, &[x, dy], move |call| weight_back(call, eps))
    }

    /// Adds the sum over rows of `dy` (F32 [d, …]) to `sum` (F32 `[d]`): the gradient of a bias.
    pub fn bias_back(&self, sum: &Tensor, dy: &Tensor) -> Result<Tensor, GgmlError> {
        const OP: &str = "bias_back";
        expect(OP, dy, TensorType::F32, dy.len())?;
        expect(OP, sum, TensorType::F32, dy.dims()[0])?;
        self.custom_inplace(OP, sum, &[dy], |call| {
            let (dy, d) = (call.source::<f32>(1), call.row_len());
            let part = call.share(d);
            // SAFETY: each thread has columns of its own.
            let sum = unsafe { call.result::<f32>(part.clone()) };
            for row in dy.chunks_exact(d) {
                sum.iter_mut().zip(&row[part.clone()]).for_each(|(sum, dy)| *sum += dy);
            }
        })
    }
}

/// 1 / √(mean(x²) + ε).
fn scale(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt()
}

fn norm<E: Element>(call: &Call<'_>, eps: f32) {
    let (x, weight) = (call.source::<f32>(0), call.source::<f32>(1));
    let d = weight.len();
    for row in call.share(x.len() / d) {
        let part = row * d..(row + 1) * d;
        let x = &x[part.clone()];
        let scale = scale(x, eps);
        // SAFETY: each thread has rows of its own.
        let y = unsafe { call.result::<E>(part) };
        for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
            *y = E::from_f32(x * scale * w);
        }
    }
}

/// dx = s · (w·dy) − x · s³ · mean(x · w · dy), with s the scale.
fn back(call: &Call<'_>, eps: f32) {
    let (x, weight, dy) = (call.source::<f32>(0), call.source::<f32>(1), call.source::<f32>(2));
    let (residual, d) = (call.source::<f32>(3), weight.len());
    let mut weighted = vec![0.0; d];
    for row in call.share(x.len() / d) {
        let part = row * d..(row + 1) * d;
        let (x, dy) = (&x[part.clone()], &dy[part.clone()]);
        let s = scale(x, eps);
        for ((out, dy), w) in weighted.iter_mut().zip(dy).zip(weight) {
            *out = dy * w;
        }
        let along = s * s * s * dot(x, &weighted) / d as f32;
        // SAFETY: each thread has rows of its own.
        let dx = unsafe { call.result::<f32>(part.clone()) };
        match residual.get(part) {
            Some(residual) => {
                for (((dx, x), g), r) in dx.iter_mut().zip(x).zip(&weighted).zip(residual) {
                    *dx = s.mul_add(*g, r - x * along);
                }
            }
            None => {
                for ((dx, x), g) in dx.iter_mut().zip(x).zip(&weighted) {
                    *dx = s.mul_add(*g, -(x * along));
                }
            }
        }
    }
}

fn weight_back(call: &Call<'_>, eps: f32) {
    let (d, x, dy) = (call.row_len(), call.source::<f32>(1), call.source::<f32>(2));
    let part = call.share(d);
    // SAFETY: each thread has columns of its own.
    let sum = unsafe { call.result::<f32>(part.clone()) };
    for (x, dy) in x.chunks_exact(d).zip(dy.chunks_exact(d)) {
        let s = scale(x, eps);
        for ((sum, x), dy) in sum.iter_mut().zip(&x[part.clone()]).zip(&dy[part.clone()]) {
            *sum = (x * s).mul_add(*dy, *sum);
        }
    }
}
