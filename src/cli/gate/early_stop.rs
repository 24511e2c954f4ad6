//! `--early-stop`: the run tells the rules what it hears, and asks them whether to go on.

use crate::cli::asking::Decider;
use crate::error::Explain;
use crate::gate::{Early, Stopper};
use crate::run::{Observer, StopRule};
use crate::store::{KvCheck, Sample};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The rules, told of each sample.
pub(super) struct Stopping(Mutex<Stopper>);

impl Stopping {
    pub(super) fn new(stopper: Stopper) -> Self {
        Self(Mutex::new(stopper))
    }

    /// What was decided early, and how many cases were asked of how many.
    pub(super) fn finish(&self) -> (Early, (usize, usize)) {
        let stopper = self.stopper();
        (stopper.finish(), stopper.saved())
    }

    fn stopper(&self) -> MutexGuard<'_, Stopper> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StopRule for Stopping {
    fn is_decided(&self, variant: &str) -> bool {
        self.stopper().is_decided(variant)
    }
}

impl Observer for Stopping {
    fn started(&self, _trials: usize, _recorded: usize) {}

    fn sample(&self, sample: &Sample) {
        self.stopper().sample(sample);
    }

    fn warning(&self, _problem: &dyn Explain) {}

    fn kv_checked(&self, _found: &KvCheck) {}

    fn finished(&self) {}
}

impl Decider for Stopping {}
