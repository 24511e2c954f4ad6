//! Room 9: a recipe and its data become an adapter, or a whole model.
//!
//! A [`Recipe`] says what is taught to which model and how; [`recipe::load`] reads it and reports all problems at once,
//! as suites are read. [`data::read`] renders its data by the code that renders prompts in evaluation, and says of each
//! token whether it is learned; [`data::Loader`] packs the documents into rows and hands them out step by step.

pub mod data;
mod error;
pub mod recipe;

pub use error::{TrainError, TrainProblem};
pub use recipe::Recipe;
