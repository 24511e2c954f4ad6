//! Dropout (Srivastava 2014): some numbers become 0, the others grow by 1 / (1 − share).

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::super::call::Call;
use super::super::element::{Bf16, Element};
use super::expect;
use crate::gguf::TensorType;

impl Arena {
    /// Drops a `share` of `x` (F32, BF16). Which ones is decided by `key` (I32 `[2]`, set before each computation), `site`
    /// (one for each place in the model) and their number alone: the same call on a gradient is the gradient. A key of 0, 0
    /// drops nothing.
    pub fn dropout(&self, x: &Tensor, key: &Tensor, site: u32, share: f32) -> Result<Tensor, GgmlError> {
        const OP: &str = "dropout";
        expect(OP, key, TensorType::I32, 2)?;
        let kind = x.kind().unwrap_or(TensorType::F32);
        let to = (kind, &x.dims()[..]);
        match kind {
            TensorType::F32 => self.custom(OP, to, &[x, key], move |call| drop::<f32>(call, site, share)),
            TensorType::BF16 => self.custom(OP, to, &[x, key], move |call| drop::<Bf16>(call, site, share)),
            _ => Err(GgmlError::shape(OP, x.shape())),
        }
    }
}

fn drop<E: Element>(call: &Call<'_>, site: u32, share: f32) {
    let (x, key) = (call.source::<E>(0), call.source::<i32>(1));
    let row = call.row_len();
    let key = (u64::from(key[0].cast_unsigned()) << 32) | u64::from(key[1].cast_unsigned());
    let seed = mix(key ^ (u64::from(site) << 40));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of 2³², rounded down
    let below = (f64::from(share) * 4_294_967_296.0) as u32;
    let grow = 1.0 / (1.0 - share);
    for i in call.share(x.len() / row) {
        let part = i * row..(i + 1) * row;
        // SAFETY: each thread has rows of its own.
        let out = unsafe { call.result::<E>(part.clone()) };
        if key == 0 {
            out.copy_from_slice(&x[part]);
            continue;
        }
        let start = mix(seed ^ i as u64);
        for (j, (out, x)) in out.iter_mut().zip(&x[part]).enumerate() {
            let draw = start.wrapping_add((j as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            // The upper half of a product mixes well enough for a coin.
            let draw = (draw ^ draw >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
            let kept = draw >= u64::from(below);
            *out = E::from_f32(if kept { x.to_f32() * grow } else { 0.0 });
        }
    }
}

/// SplitMix64's finaliser (Steele 2014): every bit of the input moves every bit of the result.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
