//! Room 10: the way back through the loop.
//!
//! [`lineage`] goes from a trained file or a run back to what it was made from, and says of each thing whether it still is what it was.

pub mod lineage;
