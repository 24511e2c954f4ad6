//! Room 7: runs become decisions. Two runs are compared case by case, and rules are judged with the evidence that they rest on.
//!
//! [`Comparison`] and [`GateRecord`] are plain data, written as JSON (contract.md, section 4).

mod record;

pub use record::{Comparison, Decision, Flip, GateRecord, RuleRecord, SCHEMA, Side, Standing};
