//! What other tools made, brought into the shapes that Tripos reads.
//!
//! [`peft`] turns adapters into GGUF files. [`promptfoo`] and [`lm_eval`] turn suites into suites: a folder with
//! `<name>.yaml`, `prompts/` and `cases/`. The rules that the two share:
//!
//! - A prompt is translated to Tera where the translation says the same for every case that is written, to the letter, as
//!   the original rendered by minijinja; else the original is rendered at once and the cases hold the text.
//! - What has no equivalent is [`Listed`] by name and place; nothing equivalent at all is an error.
//! - What was written is read again as a suite before it is called done.

mod draft;
mod error;
mod listed;
pub mod lm_eval;
mod model;
mod node;
pub mod peft;
pub mod promptfoo;
mod translate;

pub use draft::{Imported, Written};
pub use error::ImportError;
pub use listed::{Fate, Listed};
