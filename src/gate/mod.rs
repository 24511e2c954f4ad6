//! Room 7: runs become decisions. Two runs are compared case by case, and rules are judged with the evidence that they rest on.
//!
//! A probe's groups are compared the same way, within one run ([`probes`]).
//!
//! [`Comparison`] and [`GateRecord`] are plain data, written as JSON (contract.md, section 4).

mod probe;
mod record;

pub use probe::{GroupDifference, ProbeComparison, probes};
pub use record::{Comparison, Decision, Flip, GateRecord, RuleRecord, SCHEMA, Side, Standing};
