//! Room 8: a run becomes bytes that people or programs read. Needs no model on disk.
//!
//! [`RunSummary`] reads a run folder once and computes every metric; [`table`], [`markdown`] and [`json`] lay it out.

mod json;
pub mod layout;
mod markdown;
mod reliability;
mod samples;
mod summary;
mod table;

pub use json::json;
pub use markdown::markdown;
pub use samples::{dim, show_case, told_apart};
pub use summary::{RunSummary, Usage, VariantSummary};
pub use table::{by_tag, table};
