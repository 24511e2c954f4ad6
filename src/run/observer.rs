//! What a run tells whoever watches it. Library code never prints.

use crate::error::Explain;
use crate::store::{KvCheck, Sample};

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
