//! The gate of the feed-forward network (Shazeer 2020, 2002.05202): h = silu(gate) · up, silu(x) = x / (1 + e⁻ˣ).

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::super::call::Call;
use super::super::element::{Bf16, Element};
use super::expect;
use super::math::sigmoid;
use crate::gguf::TensorType;
use std::ops::Range;

/// Numbers in one piece of work.
const PIECE: usize = 1 << 12;

impl Arena {
    /// silu(gate) · up, both F32 of one shape; the result is of type `kind` (F32, BF16).
    pub fn swiglu(&self, gate: &Tensor, up: &Tensor, kind: TensorType) -> Result<Tensor, GgmlError> {
        const OP: &str = "swiglu";
        expect(OP, gate, TensorType::F32, up.len())?;
        expect(OP, up, TensorType::F32, gate.len())?;
        let to = (kind, &gate.dims()[..]);
        match kind {
            TensorType::F32 => self.custom(OP, to, &[gate, up], forward::<f32>),
            TensorType::BF16 => self.custom(OP, to, &[gate, up], forward::<Bf16>),
            _ => Err(GgmlError::shape(OP, format!("a result of {kind}"))),
        }
    }

    /// The gradients of `gate` and `up` from that of the result, as two parts of type `kind`.
    pub fn swiglu_back(
        &self,
        (gate, up): (&Tensor, &Tensor),
        dh: &Tensor,
        kind: TensorType,
    ) -> Result<(Tensor, Tensor), GgmlError> {
        const OP: &str = "swiglu_back";
        let n = gate.len();
        expect(OP, gate, TensorType::F32, n)?;
        expect(OP, up, TensorType::F32, n)?;
        expect(OP, dh, TensorType::F32, n)?;
        let to = (kind, &[2 * n][..]);
        let both = match kind {
            TensorType::F32 => self.custom(OP, to, &[gate, up, dh], back::<f32>),
            TensorType::BF16 => self.custom(OP, to, &[gate, up, dh], back::<Bf16>),
            _ => return Err(GgmlError::shape(OP, format!("a result of {kind}"))),
        }?;
        let dims = gate.dims();
        Ok((self.part(&both, 0, &dims)?, self.part(&both, n, &dims)?))
    }
}

/// The numbers of this thread, in pieces of a fixed size.
fn pieces(call: &Call<'_>, n: usize) -> impl Iterator<Item = Range<usize>> {
    call.share(n.div_ceil(PIECE)).map(move |piece| piece * PIECE..((piece + 1) * PIECE).min(n))
}

fn forward<E: Element>(call: &Call<'_>) {
    let (gate, up) = (call.source::<f32>(0), call.source::<f32>(1));
    for piece in pieces(call, gate.len()) {
        // SAFETY: each thread has pieces of its own.
        let h = unsafe { call.result::<E>(piece.clone()) };
        for ((h, g), u) in h.iter_mut().zip(&gate[piece.clone()]).zip(&up[piece]) {
            *h = E::from_f32(g * sigmoid(*g) * u);
        }
    }
}

/// d gate = dh · up · σ · (1 + gate · (1 − σ)), d up = dh · gate · σ, with σ the sigmoid of the gate.
fn back<E: Element>(call: &Call<'_>) {
    let (gate, up, dh) = (call.source::<f32>(0), call.source::<f32>(1), call.source::<f32>(2));
    let n = gate.len();
    for piece in pieces(call, n) {
        // SAFETY: each thread has pieces of its own, in both halves.
        let (dg, du) = unsafe { (call.result::<E>(piece.clone()), call.result::<E>(n + piece.start..n + piece.end)) };
        let inputs = gate[piece.clone()].iter().zip(&up[piece.clone()]).zip(&dh[piece]);
        for ((dg, du), ((g, u), dh)) in dg.iter_mut().zip(du).zip(inputs) {
            let s = sigmoid(*g);
            *dg = E::from_f32(dh * u * s * (1.0 + g * (1.0 - s)));
            *du = E::from_f32(dh * g * s);
        }
    }
}
