//! A safe wrapper over ggml, beside `engine/llama` the only home of unsafe code.
//!
//! ```text
//! machine   what ggml was built for, what this CPU has, what is said before an abort
//! ```

mod error;
mod machine;

pub use error::GgmlError;
pub use machine::{WrongCpu, check_cpu, explain_aborts, features, version};
