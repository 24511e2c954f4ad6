//! What people say of answers: the page on which they order them, the file that keeps it, and what it comes to.
//!
//! [`gather()`] takes the answers of a run, [`Plan`] says which a rater is shown, in which blind order, and which come back a
//! second time. A [`Session`] hands them out one by one and appends each judgement to a [`RankingFile`] before it says
//! that it has it; the page ([`page`]) and the terminal ([`terminal`]) are two faces of it. [`RankReport`] tells how far
//! raters agree and which variants win. [`preferences`] makes the pairs that a reward model learns from: of rankings, of
//! runs, and of files that others wrote.
//!
//! What this room must not do: print, read the environment, or show a rater whose answer it is.

mod agreement;
mod error;
mod file;
mod gather;
pub mod page;
mod plan;
pub mod preferences;
mod record;
mod session;
mod simulate;
pub mod terminal;

pub use agreement::{Agreement, ByAxis, Leaning, RankReport, Rater, Standing, tables};
pub use error::{RankError, RankProblem};
pub use file::{RankingFile, Rankings};
pub use gather::{CaseAnswers, Gathered, Pick, ScoredAnswer, gather};
pub use plan::{Item, Plan, PlanSettings, axis_names};
pub use record::{Answer, Entry, Judgement, PromptText, SCHEMA, SIMULATED, Source, Verdict, Withdrawal};
pub use session::{Given, Refusal, Session, View};
pub use simulate::{Simulated, simulate};
