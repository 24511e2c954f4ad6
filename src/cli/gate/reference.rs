//! What a suite is compared with: read from a baseline, or asked first.

use super::Gating;
use super::base::Base;
use crate::cli::asking::Asking;
use crate::cli::compare::run_folder;
use crate::cli::failure::Failure;
use crate::cli::output::complain;
use crate::cli::plan::PlanArgs;
use crate::error::Place;
use crate::gate::{Baseline, GateError, Reference};
use crate::run::{Outcome, unchanged};
use crate::suite::{Bound, Overrides, Suite};
use crate::summary::RunSummary;
use std::collections::BTreeSet;
use std::path::Path;

/// What the suite is compared with, read or asked.
pub(super) enum Kept {
    File(Box<Baseline>),
    Run(Box<RunSummary>),
}

/// What a suite is judged against, and what is left to ask for it.
pub(super) struct Against {
    pub(super) kept: Option<Kept>,
    /// Variants of which nothing has changed since.
    pub(super) unchanged: BTreeSet<String>,
    /// The flags for what is left; `None` where nothing is.
    pub(super) plan: Option<PlanArgs>,
}

impl Against {
    pub(super) fn reference(&self) -> Option<Reference<'_>> {
        self.kept.as_ref().map(|kept| match kept {
            Kept::File(baseline) => Reference::File(baseline),
            Kept::Run(run) => Reference::Run(run),
        })
    }
}

impl Gating<'_> {
    /// Reads what the suite is compared with, or asks it.
    pub(super) fn against(&self) -> Result<Against, Failure> {
        let plan = self.asking.plan;
        let whole = |kept| Against { kept, unchanged: BTreeSet::new(), plan: Some(plan.clone()) };
        if let Some(path) = &self.args.baseline {
            return Ok(whole(Some(self.baseline(path)?)));
        }
        if let Some(model) = &self.args.baseline_model {
            let plan = PlanArgs { model: Some(model.clone()), ..plan.clone() };
            let named = format!("model {}", model.display());
            let asking = Asking { plan: &plan, at: Some(&named), shuffled: false, ..self.asking };
            let suite = asking.load(&self.suite.path, &plan.overrides(false))?;
            return Ok(whole(Some(asked(&asking, &suite)?)));
        }
        match &self.args.base {
            Some(reference) => self.base(reference),
            None => Ok(whole(None)),
        }
    }

    /// A baseline file, or the folder of a run.
    fn baseline(&self, path: &Path) -> Result<Kept, Failure> {
        let path = run_folder(path);
        if path.is_dir() {
            let run = RunSummary::read(&path)?;
            if run.header.suite_name != self.suite.name {
                let (baseline, candidate) = (run.header.suite_name, self.suite.name.clone());
                return Err(GateError::OtherSuite { baseline, candidate, place: Place::file(&path) }.into());
            }
            return Ok(Kept::Run(Box::new(run)));
        }
        let baseline = Baseline::read(&path)?;
        baseline.check(self.suite)?;
        Ok(Kept::File(Box::new(baseline)))
    }

    /// The suite at a git ref, asked only where it differs from the one here.
    fn base(&self, reference: &str) -> Result<Against, Failure> {
        let base = Base::new(reference, &self.suite.path)??;
        let plan = self.asking.plan;
        let overrides = Overrides { models_beside: Some(self.suite.path.clone()), ..plan.overrides(false) };
        let suite = self.asking.load(&base.suite, &overrides)?;
        let (there, here) = (self.wanted(&suite), self.wanted(self.suite));
        let common: Vec<String> = here.iter().filter(|name| there.contains(name)).cloned().collect();
        if common.is_empty() {
            return Err(GateError::NothingInCommon {
                what: format!("the suite at `{reference}` and the one here have no variant of one name"),
                help: format!("there: {}; here: {}", there.join(", "), here.join(", ")),
                place: Place::file(&self.suite.path),
            }
            .into());
        }
        let both = PlanArgs { variant: common.clone(), ..plan.clone() };
        let quiet = Asking { plan: &both, shuffled: false, quiet: true, ..self.asking };
        let mut before = quiet.header(&quiet.prepare(&suite)?)?;
        let same = unchanged(&before, &quiet.header(&quiet.prepare(self.suite)?)?);
        let differing: Vec<String> = common.into_iter().filter(|name| !same.contains(name)).collect();
        let kept = if differing.is_empty() {
            reference.clone_into(&mut before.run);
            Kept::Run(Box::new(RunSummary::empty(before)))
        } else {
            let plan = PlanArgs { variant: differing, ..plan.clone() };
            asked(&Asking { plan: &plan, at: Some(reference), shuffled: false, ..self.asking }, &suite)?
        };
        if !same.is_empty() {
            let names = same.iter().cloned().collect::<Vec<_>>().join(", ");
            complain(&format!("unchanged since {reference}, not asked again: {names}\n"));
        }
        let left: Vec<String> =
            here.into_iter().filter(|name| !same.contains(name) || self.has_absolute_rule(name)).collect();
        let plan = (!left.is_empty()).then(|| PlanArgs { variant: left, ..plan.clone() });
        Ok(Against { kept: Some(kept), unchanged: same, plan })
    }

    /// The variants of a suite that the flags pick.
    fn wanted(&self, suite: &Suite) -> Vec<String> {
        let picked = &self.asking.plan.variant;
        let names = suite.variants.iter().map(|variant| variant.name.clone());
        names.filter(|name| picked.is_empty() || picked.contains(name)).collect()
    }

    /// Whether a rule bounds the variant itself, so that it is asked whatever has changed.
    fn has_absolute_rule(&self, variant: &str) -> bool {
        let mut rules = self.suite.gate.iter().filter(|rule| rule.variant == variant);
        rules.any(|rule| !matches!(rule.bound, Bound::NoWorseBy(_)))
    }
}

/// Asks what the suite is to be compared with.
fn asked(asking: &Asking, suite: &Suite) -> Result<Kept, Failure> {
    let done = asking.ask(&asking.prepare(suite)?, None)?;
    complain(&format!("baseline: {}\n", done.path.display()));
    match done.outcome {
        Outcome::Interrupted => Err(Failure::Code(130)),
        Outcome::Complete | Outcome::Decided => Ok(Kept::Run(Box::new(RunSummary::read(&done.path)?))),
    }
}
