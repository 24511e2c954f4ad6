//! Why ggml cannot compute.

use crate::error::Explain;

/// A refusal of this wrapper, or a failure of ggml. Shapes are checked here because ggml asserts, and an assertion ends
/// the process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GgmlError {
    /// Operands that do not fit an operation.
    #[error("{op}: {why}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// What does not fit: shapes and types of the operands.
        why: String,
    },
    /// There is not enough memory.
    #[error("{bytes} bytes of memory cannot be had for {what}")]
    Memory {
        /// What it is for.
        what: &'static str,
        /// How much was asked for.
        bytes: usize,
    },
    /// An arena or a graph was made with room for fewer tensors.
    #[error("{op}: there is no room for another tensor")]
    Full {
        /// The operation.
        op: &'static str,
    },
    /// A back end gave up.
    #[error("computing failed: {why}")]
    Compute {
        /// What it says.
        why: String,
    },
}

impl GgmlError {
    pub(super) fn shape(op: &'static str, why: impl Into<String>) -> Self {
        Self::Shape { op, why: why.into() }
    }
}

impl Explain for GgmlError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Memory { .. } => Some("use a smaller `micro_batch` or `sequence`, or `recompute: true`".into()),
            _ => None,
        }
    }
}
