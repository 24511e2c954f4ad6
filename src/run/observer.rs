//! What a run tells whoever watches it. Library code never prints.

use crate::error::Explain;
use crate::store::{KvCheck, Sample};
use std::sync::atomic::AtomicBool;

/// Watches a run.
pub trait Observer: Sync {
    /// The run begins: trials in all, and how many are recorded already.
    fn started(&self, trials: usize, recorded: usize);
    /// A sample was recorded.
    fn sample(&self, sample: &Sample);
    /// Something the user should know, said once a kind.
    fn warning(&self, problem: &dyn Explain);
    /// What `--kv check` found for one model.
    fn kv_checked(&self, found: &KvCheck);
    /// The last sample was recorded, or the run ended early.
    fn finished(&self);
}

/// Decides when enough is known.
pub trait StopRule: Sync {
    /// Whether the cases of a variant that are not asked yet may be left. Asked between windows, never within one: the
    /// answers that come first are the short ones, and a rule that looked at those alone would be biased.
    fn is_decided(&self, variant: &str) -> bool;
}

/// Who watches a run, and who may end it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Is told what happens.
    pub observer: &'a dyn Observer,
    /// Ends the run early when it turns true: what is in flight is finished and recorded.
    pub stop: &'a AtomicBool,
    /// Ends a variant when it has seen enough. The cases are then asked in small windows, in the order of the plan.
    pub rule: Option<&'a dyn StopRule>,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("rule", &self.rule.is_some()).finish_non_exhaustive()
    }
}

/// All of those that are there are told.
impl Observer for &[Option<&dyn Observer>] {
    fn started(&self, trials: usize, recorded: usize) {
        self.iter().flatten().for_each(|one| one.started(trials, recorded));
    }

    fn sample(&self, sample: &Sample) {
        self.iter().flatten().for_each(|one| one.sample(sample));
    }

    fn warning(&self, problem: &dyn Explain) {
        self.iter().flatten().for_each(|one| one.warning(problem));
    }

    fn kv_checked(&self, found: &KvCheck) {
        self.iter().flatten().for_each(|one| one.kv_checked(found));
    }

    fn finished(&self) {
        self.iter().flatten().for_each(|one| one.finished());
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn started(&self, _trials: usize, _recorded: usize) {}
    fn sample(&self, _sample: &Sample) {}
    fn warning(&self, _problem: &dyn Explain) {}
    fn kv_checked(&self, _found: &KvCheck) {}
    fn finished(&self) {}
}
