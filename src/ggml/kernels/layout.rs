//! Other formats and other layouts of the same numbers: what products are computed from.

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::super::call::Call;
use super::super::element::{Bf16, Element};
use crate::gguf::TensorType;
use llama_cpp_sys_2 as sys;

/// Rows and columns of the square that is turned at a time; small enough for the first cache.
const TILE: usize = 32;

impl Arena {
    /// A matrix [k, n] of any weight type as `kind` (F32, BF16); the tensor itself where it is that already.
    pub fn cast(&self, a: &Tensor, kind: TensorType) -> Result<Tensor, GgmlError> {
        const OP: &str = "cast";
        if a.kind() == Some(kind) {
            return Ok(a.clone());
        }
        let (from, dims) = (source(OP, a)?, a.dims());
        match kind {
            TensorType::F32 => self.custom(OP, (kind, &dims), &[a], move |call| cast::<f32>(call, from, dims[0])),
            TensorType::BF16 => self.custom(OP, (kind, &dims), &[a], move |call| cast::<Bf16>(call, from, dims[0])),
            _ => Err(GgmlError::shape(OP, format!("a result of {kind}"))),
        }
    }

    /// A matrix [k, n] of any weight type turned to [n, k], as `kind` (F32, BF16).
    pub fn transposed(&self, a: &Tensor, kind: TensorType) -> Result<Tensor, GgmlError> {
        const OP: &str = "transposed";
        let (from, [k, n, p, q]) = (source(OP, a)?, a.dims());
        if (p, q) != (1, 1) {
            return Err(GgmlError::shape(OP, a.shape()));
        }
        match kind {
            TensorType::F32 => self.custom(OP, (kind, &[n, k]), &[a], move |call| turn::<f32>(call, from, k)),
            TensorType::BF16 => self.custom(OP, (kind, &[n, k]), &[a], move |call| turn::<Bf16>(call, from, k)),
            _ => Err(GgmlError::shape(OP, format!("a result of {kind}"))),
        }
    }
}

/// How rows of a type are read.
#[derive(Clone, Copy)]
pub(super) struct Source {
    kind: TensorType,
    /// ggml's own conversion; `None` for F32, which is copied.
    convert: sys::ggml_to_float_t,
}

pub(super) fn source(op: &'static str, a: &Tensor) -> Result<Source, GgmlError> {
    let kind = a.kind().filter(|kind| kind.is_weight()).ok_or_else(|| GgmlError::shape(op, a.shape()))?;
    // SAFETY: a type number of ggml's own; the traits are a static table.
    let convert = unsafe { sys::ggml_get_type_traits(kind.code()).as_ref() }.and_then(|traits| traits.to_float);
    if convert.is_none() && kind != TensorType::F32 {
        return Err(GgmlError::shape(op, format!("{kind} has no conversion")));
    }
    Ok(Source { kind, convert })
}

impl Source {
    /// Row `row` of an operand whose rows have `out.len()` numbers, as f32.
    pub(super) fn row(self, call: &Call<'_>, row: usize, out: &mut [f32]) {
        let k = out.len();
        match self.kind {
            TensorType::F32 => out.copy_from_slice(&call.source::<f32>(0)[row * k..(row + 1) * k]),
            TensorType::BF16 => {
                let numbers = &call.source::<Bf16>(0)[row * k..(row + 1) * k];
                out.iter_mut().zip(numbers).for_each(|(out, number)| *out = number.to_f32());
            }
            kind => {
                let block = |n: u64| usize::try_from(n).unwrap_or(1);
                let size = k / block(kind.block_len()) * block(kind.block_size());
                let bytes = &call.source_bytes(0)[row * size..(row + 1) * size];
                if let (Some(convert), Ok(k)) = (self.convert, i64::try_from(k)) {
                    // SAFETY: the bytes are one row of k numbers in whole blocks, and `out` has room for them.
                    unsafe { convert(bytes.as_ptr().cast(), out.as_mut_ptr(), k) }
                }
            }
        }
    }
}

fn cast<E: Element>(call: &Call<'_>, from: Source, k: usize) {
    let rows = call.source_rows(k);
    let mut numbers = vec![0.0; k];
    for row in call.share(rows) {
        from.row(call, row, &mut numbers);
        // SAFETY: each thread has rows of its own.
        let out = unsafe { call.result::<E>(row * k..(row + 1) * k) };
        out.iter_mut().zip(&numbers).for_each(|(out, number)| *out = E::from_f32(*number));
    }
}

/// Each thread has strips of `TILE` rows of the source: columns of the result.
fn turn<E: Element>(call: &Call<'_>, from: Source, k: usize) {
    let n = call.source_rows(k);
    let mut strip = vec![0.0; k * TILE];
    for tile in call.share(n.div_ceil(TILE)) {
        let rows = tile * TILE..((tile + 1) * TILE).min(n);
        for (row, numbers) in rows.clone().zip(strip.chunks_exact_mut(k)) {
            from.row(call, row, numbers);
        }
        for column in 0..k {
            // SAFETY: each thread has columns of the result of its own.
            let out = unsafe { call.result::<E>(column * n + rows.start..column * n + rows.end) };
            for (out, numbers) in out.iter_mut().zip(strip.chunks_exact(k)) {
                *out = E::from_f32(numbers[column]);
            }
        }
    }
}
