//! What ggml has no operation for, or none that is fast: operations of our own, run by ggml's threads.
//!
//! Each kernel gives every thread whole pieces of work, and computes a piece in one fixed order: results do not depend on
//! the number of threads.

mod attention;
mod dropout;
mod embedding;
mod layout;
mod logprob;
mod math;
mod norm;
mod optimiser;
mod product;
mod readings;
mod swiglu;
pub(super) mod tiles;

#[cfg(test)]
mod tests;

pub use attention::SEEN;
pub use optimiser::{ADAMW_SETTINGS, AdamW};
pub use readings::{Judge, Readings};

use super::GgmlError;
use super::arena::Tensor;
use crate::gguf::TensorType;

/// Errors unless an operand has this type and so many numbers.
fn expect(op: &'static str, tensor: &Tensor, kind: TensorType, len: usize) -> Result<(), GgmlError> {
    if tensor.kind() == Some(kind) && tensor.len() == len {
        return Ok(());
    }
    Err(GgmlError::shape(op, format!("{} where {len} numbers of {kind} belong", tensor.shape())))
}
