//! What a training run tells whoever watches it. Library code never prints.

use crate::error::Explain;
use crate::store::training::{EvaluationRecord, ParityRecord, StepRecord, TrainingHeader};
use std::sync::atomic::AtomicBool;

/// Watches a training run.
pub trait TrainObserver {
    /// How far trainer and engine lie apart.
    fn parity(&self, _found: &ParityRecord) {}
    /// The run begins, or goes on behind a step.
    fn began(&self, _header: &TrainingHeader, _from_step: u64) {}
    /// A step was recorded.
    fn step(&self, _record: &StepRecord) {}
    /// An evaluation was recorded.
    fn evaluated(&self, _record: &EvaluationRecord) {}
    /// Something the user should know, and the run goes on.
    fn warning(&self, _problem: &dyn Explain) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl TrainObserver for Silent {}

/// Who watches a training run, and who may end it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Is told what happens.
    pub observer: &'a dyn TrainObserver,
    /// Ends the run early when it turns true: a checkpoint is written first.
    pub stop: &'a AtomicBool,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("stop", self.stop).finish_non_exhaustive()
    }
}
