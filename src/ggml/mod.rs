//! A safe wrapper over ggml, beside `engine/llama` the only home of unsafe code.
//!
//! ```text
//! machine   what ggml was built for, what this CPU has, what is said before an abort
//! device    what computes: GPUs, and the CPU for all that they cannot
//! arena     where tensors live, with the memory behind them
//! ops       ggml's own operations, checked before ggml can assert
//! product   products of matrices, by whatever multiplies fastest here
//! call      the door through which ggml's threads call operations of ours
//! kernels   those operations: norms, attention, log-probabilities, the optimiser
//! graph     operations in order, then memory for them, then computing
//! quants    rows of numbers in ggml's formats, to f32 and back
//! ```

mod arena;
mod call;
mod device;
mod element;
mod error;
mod graph;
mod kernels;
mod machine;
mod ops;
mod product;
pub mod quants;

pub use arena::{Arena, Tensor};
pub use device::Device;
pub use error::GgmlError;
pub use graph::{Graph, Plan};
pub use kernels::{ADAMW_SETTINGS, AdamW, Judge, Readings, SEEN};
pub use machine::{WrongCpu, check_cpu, explain_aborts, features, version};
pub use ops::Rope;
pub use product::{Operand, Products, Sum};
