//! Room 8: a run becomes bytes that people or programs read. Needs no model on disk.
//!
//! A [`RunSummary`](crate::summary::RunSummary) is laid out by [`table`], [`markdown`], [`json`], [`csv()`] and [`junit()`], the
//! comparison of two by [`comparison`], a gate's verdict by [`gate()`], the runs of one suite over time by
//! [`history()`], and whole runs with their samples by [`html()`]. How a model was taught is shown by [`training::page`],
//! what it says when it is asked directly by [`lm`].

mod arithmetic;
mod compare;
mod csv;
mod document;
mod error;
mod gate;
mod history;
mod html;
mod json;
mod judged;
mod junit;
pub mod layout;
pub mod lm;
mod markdown;
mod numbers;
mod probe;
mod reliability;
mod repeats;
mod samples;
mod steps;
mod sweep;
mod table;
pub mod training;

pub use compare::{Answers, answers, comparison, comparison_legend, comparison_markdown, flipped};
pub use csv::csv;
pub use error::ReportError;
pub use gate::{annotations, gate, gate_markdown, verdict_line};
pub use history::{Entry, history, history_json};
pub use html::html;
pub use json::json;
pub use judged::{JudgedRow, judged};
pub use junit::{gate_junit, junit};
pub use markdown::markdown;
pub use numbers::{counted, thousands};
pub use samples::{dim, show_case, told_apart};
pub use sweep::{SweepRow, best, sweep};
pub use table::{by_tag, table};
