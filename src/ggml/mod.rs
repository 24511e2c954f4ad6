//! A safe wrapper over ggml, beside `engine/llama` the only home of unsafe code.
//!
//! ```text
//! machine   what ggml was built for, what this CPU has, what is said before an abort
//! quants    rows of numbers in ggml's formats, to f32 and back
//! ```

mod error;
mod machine;
pub mod quants;

pub use error::GgmlError;
pub use machine::{WrongCpu, check_cpu, explain_aborts, features, version};
