//! A model from nothing: its vocabulary, its shape, and the numbers that it begins with.

mod architecture;
mod initial;
mod vocabulary;

pub use architecture::{Architecture, ArchitectureEntry, Pace};
pub use initial::{Initial, Tokens};
pub use vocabulary::{BYTES, Vocabulary, VocabularyFault};
