//! Tripos examines a local language model, teaches it, and examines it again.

pub mod error;
pub mod seed;
pub mod sampling;
pub mod suite;
pub mod engine;
pub mod score;
