//! Gradients that go back to the rows they came from: of the embedding, and of picked states.

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::expect;
use crate::gguf::TensorType;

impl Arena {
    /// Adds row i of `dy` (F32 [d, n]) to row `indices`\[i\] of `sum` (F32 [d, rows]): the gradient of `get_rows`. Indices
    /// outside are left out.
    pub fn get_rows_back(&self, sum: &Tensor, dy: &Tensor, indices: &Tensor) -> Result<Tensor, GgmlError> {
        const OP: &str = "get_rows_back";
        let [d, rows, ..] = sum.dims();
        expect(OP, sum, TensorType::F32, d * rows)?;
        expect(OP, dy, TensorType::F32, d * indices.len())?;
        expect(OP, indices, TensorType::I32, indices.len())?;
        self.custom_inplace(OP, sum, &[dy, indices], move |call| {
            let (dy, indices) = (call.source::<f32>(1), call.source::<i32>(2));
            let mine = call.share(rows);
            for (dy, index) in dy.chunks_exact(d).zip(indices) {
                let Some(row) = usize::try_from(*index).ok().filter(|row| mine.contains(row)) else { continue };
                // SAFETY: each thread has rows of its own.
                let sum = unsafe { call.result::<f32>(row * d..(row + 1) * d) };
                sum.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
            }
        })
    }

    /// As [`get_rows_back`](Self::get_rows_back), into a new tensor of `rows` rows that are otherwise 0.
    pub fn spread_rows(&self, dy: &Tensor, indices: &Tensor, rows: usize) -> Result<Tensor, GgmlError> {
        const OP: &str = "spread_rows";
        let d = dy.dims()[0];
        expect(OP, dy, TensorType::F32, d * indices.len())?;
        expect(OP, indices, TensorType::I32, indices.len())?;
        self.custom(OP, (TensorType::F32, &[d, rows]), &[dy, indices], move |call| {
            let (dy, indices) = (call.source::<f32>(0), call.source::<i32>(1));
            let mine = call.share(rows);
            // SAFETY: each thread has rows of its own.
            let out = unsafe { call.result::<f32>(mine.start * d..mine.end * d) };
            out.fill(0.0);
            for (dy, index) in dy.chunks_exact(d).zip(indices) {
                let Some(row) = usize::try_from(*index).ok().filter(|row| mine.contains(row)) else { continue };
                let from = (row - mine.start) * d;
                out[from..from + d].iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
            }
        })
    }
}
