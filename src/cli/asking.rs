//! From a suite's file to the closed folder of its run: what `run` and `gate` do alike.

use super::elsewhere::{Absent, locate};
use super::failure::{Failure, print_problems};
use super::interrupt;
use super::output::complain;
use super::plan::PlanArgs;
use super::progress::Progress;
use crate::engine::KvMode;
use crate::error::{Place, Problems};
use crate::run::{Observer, Outcome, Plan, Prepared, RunSettings, StopRule, Watch, execute};
use crate::store::{Header, Repeat, RunFolder, Status, Trial, read_header, read_samples};
use crate::suite::{ModelRef, Overrides, Suite, load};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The flag under which a header keeps that its run is only there to be compared with.
pub(super) const AT: &str = "at";

/// What the runs of one command share.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) plan: &'a PlanArgs,
    pub(super) settings: &'a RunSettings,
    /// The folder that gets the run's.
    pub(super) out: &'a Path,
    /// What the run is only compared with: the git ref that the suite is of, or another model.
    pub(super) at: Option<&'a str>,
    /// The cases are asked in an order drawn by the seed.
    pub(super) shuffled: bool,
    pub(super) quiet: bool,
}

/// A run whose folder is closed.
pub(super) struct Done {
    pub(super) path: PathBuf,
    pub(super) outcome: Outcome,
}

/// Decides when enough is known, and sees each sample to know it.
pub(super) trait Decider: StopRule + Observer {}

impl Asking<'_> {
    /// The suite, or all that is wrong with it; warnings and notes are printed. Its models that lie elsewhere are brought, unless
    /// nothing is to be run: once there is nothing else wrong.
    pub(super) fn load(&self, path: &Path, overrides: &Overrides) -> Result<Suite, Failure> {
        let read = |absent| -> Result<_, Failure> {
            let adapter = overrides.adapter.as_ref().map(|adapter| adapter.path.as_path());
            let flags = (overrides.model.as_ref().and_then(ModelRef::path), adapter);
            let located = locate(path, flags, absent, self.quiet)?;
            Ok(load(path, &Overrides { located, ..overrides.clone() }))
        };
        let (mut suite, mut problems) = read(if overrides.strict { Absent::Say } else { Absent::Leave })?;
        let coming = suite.as_ref().is_some_and(|suite| suite.located.coming().next().is_some());
        if coming && !overrides.strict && !problems.any_error() {
            (suite, problems) = read(Absent::Bring)?;
        }
        match suite {
            Some(suite) if !problems.any_error() => {
                if !self.quiet {
                    print_problems(&problems);
                }
                Ok(suite)
            }
            _ => Err(problems.into()),
        }
    }

    /// What is asked, in its order.
    pub(super) fn picked(&self, suite: &Suite) -> Result<Plan, Failure> {
        let seed = self.plan.seed.unwrap_or(0);
        let plan = self.plan.selection()?.plan(suite, seed)?;
        Ok(if self.shuffled { plan.shuffled(seed) } else { plan })
    }

    /// Everything that the plan needs, opened and compiled.
    pub(super) fn prepare<'s>(&self, suite: &'s Suite) -> Result<Prepared<'s>, Failure> {
        let prepared = Prepared::new(suite, self.picked(suite)?, self.settings)?;
        if !self.quiet {
            print_problems(&prepared.warnings);
        }
        Ok(prepared)
    }

    /// Asks a plan into a folder of its own.
    pub(super) fn ask(&self, prepared: &Prepared, decider: Option<&dyn Decider>) -> Result<Done, Failure> {
        let folder = RunFolder::create(self.out, self.header(prepared)?)?;
        self.work(prepared, folder, &BTreeSet::new(), decider)
    }

    /// What a run of this plan is recorded with.
    pub(super) fn header(&self, prepared: &Prepared) -> Result<Header, Problems> {
        let mut flags = self.plan.recorded();
        flags.extend(self.shuffled.then(|| ("early-stop".to_owned(), true.into())));
        flags.extend(self.at.map(|reference| (AT.to_owned(), reference.into())));
        prepared.header(flags, self.plan.seed.unwrap_or(0))
    }

    /// Asks what is left, closes the folder and writes the page.
    fn work(
        &self,
        prepared: &Prepared,
        mut folder: RunFolder,
        answered: &BTreeSet<Trial>,
        decider: Option<&dyn Decider>,
    ) -> Result<Done, Failure> {
        let progress = Progress::new(self.quiet);
        let observers: [Option<&dyn Observer>; 2] = [Some(&progress), decider.map(|decider| decider as &dyn Observer)];
        let watch = Watch {
            observer: &observers.as_slice(),
            stop: interrupt::listen(),
            rule: decider.map(|decider| decider as &dyn StopRule),
        };
        match execute(prepared, &mut folder, answered, self.settings, watch) {
            Ok(outcome) => {
                let unanswered = folder.unanswered();
                let ended = if outcome == Outcome::Interrupted { Status::Interrupted } else { Status::Complete };
                let (path, _) = folder.close(ended)?;
                if unanswered > 0 && !self.quiet {
                    let (trials, them) = if unanswered == 1 { ("trial has", "it") } else { ("trials have", "them") };
                    complain(&format!(
                        "warning: {unanswered} {trials} no answer\n  help: tripos run --resume {} asks {them} again\n",
                        path.display()
                    ));
                }
                Ok(Done { path, outcome })
            }
            Err(problems) => {
                let path = folder.path().to_path_buf();
                // The header may not be writable either, on a full disk for one; the problem at hand is what is said.
                let _ = folder.close(Status::Failed);
                print_problems(&problems);
                if count_samples(&path).is_ok_and(|answered| answered > 0) {
                    complain(&format!("what was answered is kept: tripos run --resume {}\n", path.display()));
                }
                Err(Failure::Code(2))
            }
        }
    }
}

/// Goes on with a run. What it was begun with must still be so; a run that is complete is left alone.
pub(super) fn go_on(asking: &Asking, run: &Path, suites: &[PathBuf]) -> Result<Done, Failure> {
    let recorded = read_header(run)?;
    let plan = asking.plan.resumed(&recorded, run)?;
    let settings = plan.decoding(asking.settings.clone());
    let same = |path: &Path| path.canonicalize().is_ok_and(|path| path == recorded.suite_path);
    if let Some(other) = suites.iter().find(|path| !same(path)) {
        let (run, of, other) = (run.display(), recorded.suite_path.display(), other.display());
        return Err(anyhow::anyhow!("{run} is a run of {of}, not of {other}").into());
    }
    // Rows that repeats are reduced to may be missing, too; those are made below.
    let whole =
        recorded.status == Status::Complete && !has_repeats(&recorded) && count_samples(run)? >= recorded.trials;
    if whole {
        complain("the run is complete; nothing is left to ask\n");
        return Ok(Done { path: run.to_path_buf(), outcome: Outcome::Complete });
    }
    let asking = Asking { plan: &plan, settings: &settings, ..*asking };
    let suite = asking.load(&recorded.suite_path, &plan.overrides(false))?;
    let prepared = asking.prepare(&suite)?;
    let now = asking.header(&prepared)?;
    prepared.same_as(&recorded, &now, settings.kv == KvMode::Exact, &Place::file(run))?;
    let (folder, answered) = RunFolder::resume(run, &now.build())?;
    asking.work(&prepared, folder, &answered, None)
}

fn has_repeats(header: &Header) -> bool {
    let variants = header.suite.get("variants").and_then(serde_json::Value::as_array);
    variants.into_iter().flatten().any(|variant| variant.get("repeats").is_some())
}

fn count_samples(run: &Path) -> Result<usize, Problems> {
    let mut count = 0;
    read_samples(run, |sample| count += usize::from(sample.trial.repeat != Repeat::Reduced && !sample.unanswered))?;
    Ok(count)
}
