//! Has a policy answer a suite's cases, and its answers scored, by the very code that examines it later.

use super::ready::Ready;
use crate::error::Problems;
use crate::model::Trained;
use crate::run::{Prepared, RunSettings, Selection, Silent, Watch, whole};
use crate::seed;
use crate::store::{Sample, read_samples};
use crate::suite::{AdapterRef, ModelRef, Suite, Variant};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Rounds whose answers are kept.
const KEPT: usize = 8;

/// Asks a policy that lies in a file.
#[derive(Debug)]
pub struct Rollouts<'a> {
    ready: &'a Ready,
    machine: RunSettings,
    /// The folder of the training run.
    folder: PathBuf,
}

/// The answers that were drawn, and where they are kept.
#[derive(Debug)]
pub(super) struct Drawn {
    pub samples: Vec<Sample>,
    pub run: PathBuf,
}

impl<'a> Rollouts<'a> {
    pub(super) fn new(ready: &'a Ready, machine: &RunSettings, folder: &Path) -> Self {
        // Answers are of a policy that changes every round: none is ever looked up. Its file is ours, and the models that judge were
        // tried when the recipe was made ready.
        let machine = RunSettings { use_cache: false, probe: None, ..machine.clone() };
        Self { ready, machine, folder: folder.to_path_buf() }
    }

    /// The file through which the policy speaks; a name that is tidied away after a kill.
    pub(super) fn policy(&self) -> PathBuf {
        self.folder.join(".tmp-policy.gguf")
    }

    /// Each of a round's prompts with as many answers as the recipe asks for, drawn from the policy itself: temperature 1, nothing
    /// cut off. `None` when `stop` turned true meanwhile.
    pub(super) fn round(&self, round: u64, stop: &AtomicBool) -> Result<Option<Drawn>, Problems> {
        let practice = &self.ready.practice;
        let mut suite = self.suite(&self.ready.of_round(round));
        for variant in &mut suite.variants {
            variant.repeats = u32::try_from(practice.answers).unwrap_or(u32::MAX);
            let key = seed::key(self.ready.recipe.seed, &["round", &round.to_string()]);
            let sampling = &mut variant.sampling;
            (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p) = (1.0, None, None, None);
            (sampling.seed, sampling.logprobs) = (key, Some(0));
        }
        let drawn = self.ask(&suite, "rounds", stop);
        self.prune();
        drawn
    }

    /// The held-out cases, each once, as the suite itself asks them.
    pub(super) fn held_out(&self, stop: &AtomicBool) -> Result<Option<Drawn>, Problems> {
        self.ask(&self.suite(&self.ready.held_out), "held-out", stop)
    }

    /// The suite with some of its cases, asked of the policy.
    fn suite(&self, cases: &[usize]) -> Suite {
        let whole = &self.ready.suite;
        let policy = self.policy();
        let asked = |variant: &Variant| match self.ready.recipe.train {
            Trained::Full => Variant { model: ModelRef::Gguf(policy.clone()), adapter: None, ..variant.clone() },
            Trained::Lora(_) => {
                Variant { adapter: Some(AdapterRef { path: policy.clone(), scale: 1.0 }), ..variant.clone() }
            }
        };
        Suite {
            cases: cases.iter().filter_map(|&at| whole.cases.get(at)).cloned().collect(),
            variants: whole.variants.iter().map(asked).collect(),
            ..whole.clone()
        }
    }

    fn ask(&self, suite: &Suite, kind: &str, stop: &AtomicBool) -> Result<Option<Drawn>, Problems> {
        let plan = Selection::default().plan(suite, 0)?;
        let prepared = Prepared::new(suite, plan, &self.machine)?;
        let watch = Watch { observer: &Silent, stop, rule: None };
        let into = self.folder.join(kind);
        let run = whole(&prepared, (&into, self.ready.recipe.seed), &self.machine, watch)?;
        let Some(run) = run else { return Ok(None) };
        let mut samples = Vec::new();
        read_samples(&run, |sample| samples.push(sample))?;
        Ok(Some(Drawn { samples, run }))
    }

    /// Deletes the oldest rounds.
    fn prune(&self) {
        let Ok(entries) = std::fs::read_dir(self.folder.join("rounds")) else { return };
        let mut rounds: Vec<_> =
            entries.flatten().map(|entry| (entry.metadata().and_then(|m| m.modified()).ok(), entry.path())).collect();
        rounds.sort();
        for (_, old) in rounds.iter().rev().skip(KEPT) {
            let _ = std::fs::remove_dir_all(old);
        }
    }
}
