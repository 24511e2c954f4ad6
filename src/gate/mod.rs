//! Room 7: runs become decisions. Two runs are compared case by case, and rules are judged with the evidence that they rest on.
//!
//! [`standing`] and [`no_worse_by`] are what a difference comes to, [`Sequential`] what can be said before the last case is in;
//! [`Comparison`] and [`GateRecord`] are plain data, written as JSON (contract.md, section 4).

mod decide;
mod early_stop;
mod record;
#[cfg(test)]
mod simulation;

pub use decide::{at_least, at_most, no_worse_by, standing};
pub use early_stop::{Certainty, Sequential, Watched};
pub use record::{Comparison, Decision, Flip, GateRecord, RuleRecord, SCHEMA, Side, Standing};
