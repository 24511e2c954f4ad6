//! Room 8: a run becomes bytes that people or programs read. Needs no model on disk.
//!
//! A [`RunSummary`](crate::summary::RunSummary) is laid out by [`table`], [`markdown`] and [`json`]; several of
//! them, with their samples, by [`html()`].

mod arithmetic;
mod error;
mod html;
mod json;
pub mod layout;
mod markdown;
mod reliability;
mod samples;
mod steps;
mod table;

pub use error::ReportError;
pub use html::html;
pub use json::json;
pub use markdown::markdown;
pub use samples::{dim, show_case, told_apart};
pub use table::{by_tag, table};
