//! Room 7: runs become decisions. Two runs are compared case by case, and rules are judged with the evidence that they rest on.
//!
//! [`compare()`] pairs two [`Sheet`]s by case. [`Gate::judge`] judges a suite's rules on a run, against another run or a
//! [`Baseline`] file where a rule asks for one, and a [`Stopper`] says when enough cases were asked. A probe's groups are
//! compared the same way, within one run ([`probes`]). What comes out is plain data ([`Comparison`], [`GateRecord`]), written
//! as JSON (contract.md, section 4) and laid out by [`crate::report`].

mod alike;
mod baseline;
mod compare;
mod decide;
mod early_stop;
mod error;
mod evidence;
mod judge;
mod over_optimised;
mod own_judge;
mod probe;
mod record;
mod reference;
mod run_metrics;
mod sheet;
#[cfg(test)]
mod simulation;
mod stopper;

pub use alike::alike;
pub use baseline::{Baseline, sha256};
pub use compare::{How, compare};
pub use decide::{at_least, at_most, no_worse_by, standing};
pub use early_stop::{Certainty, Sequential, Watched};
pub use error::GateError;
pub use evidence::{figure, p_text, signed, test_name};
pub use judge::{Early, Gate, check_rules, nothing_changed, too_many_unscored};
pub use over_optimised::{OverOptimised, over_optimised};
pub use probe::{GroupDifference, ProbeComparison, probes};
pub use record::{Comparison, Decision, Flip, GateRecord, RuleRecord, SCHEMA, Side, Standing};
pub use reference::Reference;
pub use sheet::Sheet;
pub use stopper::Stopper;
