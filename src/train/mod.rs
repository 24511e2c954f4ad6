//! Room 9: a recipe and its data become an adapter, or a whole model.
//!
//! A [`Recipe`] says what is taught to which model and how; [`recipe::load`] reads it and reports all problems at once,
//! as suites are read. [`data::read`] renders its data by the code that renders prompts in evaluation, and says of each
//! token whether it is learned; [`data::Loader`] packs the documents into rows and hands them out step by step.
//!
//! A model from nothing gets its vocabulary, its shape and its first numbers from [`pretrain`]; [`clean`](clean::clean) says
//! which documents it does not learn, and why.
//!
//! [`lessons`] says which rows make up which step, [`trainer`] makes the steps: [`loss`] and [`schedule`] are pure
//! functions, [`checkpoint`] keeps what was learned, [`evaluate()`] measures it, [`parity`] holds the trainer to what the
//! engine says of the same tokens.

pub mod checkpoint;
pub mod clean;
mod conclude;
pub mod data;
mod error;
mod evaluate;
mod examine;
mod failure;
mod learner;
pub mod lessons;
pub mod loss;
pub mod maker;
pub mod memory;
mod observer;
pub mod parity;
mod prepare;
pub mod pretrain;
mod product;
mod progress;
pub mod recipe;
mod reference;
pub mod reinforce;
pub mod schedule;
mod sitting;
pub mod trainer;

#[cfg(test)]
mod bigram;
#[cfg(test)]
mod trainer_tests;

pub use conclude::copy;
pub use error::{TrainError, TrainProblem};
pub use evaluate::{Measured, evaluate};
pub use failure::{TrainingFailure, bytes_text, rate_text};
pub use learner::{Learner, Pupil, Slopes};
pub use observer::{Silent, TrainObserver, Watch};
pub use prepare::Prepared;
pub use product::Product;
pub use progress::Progress;
pub use recipe::Recipe;
pub use reference::Reference;
pub use sitting::Sitting;
