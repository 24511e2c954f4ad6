//! A model from nothing: its vocabulary, its shape, and the numbers that it begins with.

mod architecture;
mod base;
mod initial;
mod vocabulary;

pub use architecture::{Architecture, ArchitectureEntry, Pace};
pub use base::Base;
pub use initial::{CHATML, Initial, Tokens};
pub use vocabulary::{BYTES, Vocabulary, VocabularyFault};
