//! `tripos gate`: runs a suite and judges its rules; the exit code is the verdict.

mod base;
mod early_stop;
mod github;
mod reference;

use super::asking::{Asking, go_on};
use super::failure::{Failure, print_problems};
use super::output::{complain, print};
use super::run::{self, Format};
use super::{environment, report};
use crate::error::Place;
use crate::gate::{
    Baseline, Comparison, Decision, Early, Gate, GateRecord, Stopper, alike, check_rules, nothing_changed,
};
use crate::run::{Outcome, RunSettings, Servers};
use crate::store::read_header;
use crate::suite::Suite;
use crate::summary::RunSummary;
use anyhow::Context;
use clap::ValueEnum;
use early_stop::Stopping;
use reference::{Against, Kept};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The exit code of a run that was interrupted.
const INTERRUPTED: u8 = 130;

/// How many flipped cases of a metric are shown.
const FLIPS: usize = 5;

/// The verdict beside a run.
pub(super) const RECORD: &str = "gate.json";

/// Arguments of `gate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    run: run::Args,
    /// Compare with this: a baseline file, or the folder of a run
    #[arg(long, value_name = "PATH", conflicts_with_all = ["base", "baseline_model"])]
    baseline: Option<PathBuf>,
    /// Compare with the suite, prompts and cases as they are at this git ref
    #[arg(long, value_name = "REF", conflicts_with = "baseline_model")]
    base: Option<String>,
    /// Compare with the same suite on this model
    #[arg(long, value_name = "FILE")]
    baseline_model: Option<PathBuf>,
    /// Write what this run scored as the new baseline, after showing what changes
    #[arg(long, value_name = "FILE", conflicts_with = "early_stop")]
    update_baseline: Option<PathBuf>,
    /// Ask the cases in random order, and stop as soon as the verdict is certain
    #[arg(long, conflicts_with = "resume")]
    early_stop: bool,
    /// What becomes of rules that the cases cannot decide
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnUndecided::Pass)]
    on_undecided: OnUndecided,
    /// Also write the rules as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// What becomes of rules that the cases cannot decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnUndecided {
    /// They pass, and are said loudly
    Pass,
    /// They fail
    Fail,
}

/// Gates each suite; the worst verdict is the exit code.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let settings = args.run.machine.settings(&args.run.plan, true)?;
    let settings = if args.run.dry_run { RunSettings { servers: Servers::Unasked, ..settings } } else { settings };
    let asking = Asking {
        plan: &args.run.plan,
        settings: &settings,
        out: &args.run.out,
        at: None,
        shuffled: args.early_stop,
        quiet,
    };
    let suites = match &args.run.resume {
        Some(run) if args.run.suites.is_empty() => {
            let recorded = read_header(run)?.suite_path;
            vec![asking.load(&recorded, &args.run.plan.overrides(false))?]
        }
        _ => run::load_all(&asking, &args.run)?,
    };
    if args.run.dry_run {
        return suites.iter().try_for_each(|suite| run::dry_run(&asking, suite, args.run.format));
    }
    if args.update_baseline.is_some() && args.run.plan.picks_cases() {
        let what = "a baseline is of a whole suite: give --update-baseline without --case, --tag, --variant, --limit, --sample and --filter-failing";
        return Err(anyhow::anyhow!(what).into());
    }
    if suites.len() > 1 && (args.baseline.is_some() || args.update_baseline.is_some() || args.run.resume.is_some()) {
        return Err(anyhow::anyhow!("a baseline or a run belongs to one suite: gate one at a time").into());
    }
    let (mut records, mut failed, mut code) = (Vec::new(), Vec::new(), 0);
    for suite in &suites {
        match (Gating { args, asking, suite }).gate() {
            Ok(record) => records.extend(record),
            Err(failure) => {
                code = code.max(failure.report());
                failed.push(suite.name.as_str());
            }
        }
        if code == INTERRUPTED {
            break;
        }
    }
    if let Some(file) = &args.junit {
        let text = crate::report::gate_junit(&records, &failed);
        report::write(file, |out| Ok(out.write_all(text.as_bytes())?))?;
    }
    if code == 0 { verdict(args.on_undecided, &records) } else { Err(Failure::Code(code)) }
}

impl OnUndecided {
    /// Whether a verdict fails.
    fn fails(self, verdict: Decision) -> bool {
        verdict == Decision::Fail || (verdict == Decision::Undecided && self == Self::Fail)
    }
}

/// The exit code of all verdicts.
fn verdict(on_undecided: OnUndecided, records: &[GateRecord]) -> Result<(), Failure> {
    if records.iter().any(|record| on_undecided.fails(record.verdict)) {
        return Err(Failure::Code(1));
    }
    if records.iter().any(|record| record.verdict == Decision::Undecided) {
        complain("warning: UNDECIDED counts as passed\n  help: more cases decide; --on-undecided fail makes it fail\n");
    }
    Ok(())
}

/// One suite on its way through the gate.
struct Gating<'a> {
    args: &'a Args,
    asking: Asking<'a>,
    suite: &'a Suite,
}

impl Gating<'_> {
    /// The verdict; `None` where nothing was to be judged.
    fn gate(&self) -> Result<Option<GateRecord>, Failure> {
        if self.args.update_baseline.is_some() && !self.has_reference() {
            let (candidate, _) = self.ask(&self.asking, None)?;
            self.print_run(&candidate)?;
            report::beside(&candidate);
            self.update(&candidate)?;
            return Ok(None);
        }
        check_rules(self.suite, self.has_reference())?;
        let against = self.against()?;
        let record = match (&against.plan, against.reference()) {
            (None, Some(reference)) => {
                complain(&format!("nothing has changed since {}: nothing is asked\n", reference.name()));
                let record = nothing_changed(self.suite, reference, &against.unchanged);
                self.say(None, &record)?;
                if let Some(path) = &self.args.update_baseline {
                    complain(&format!("{} is not written: nothing was asked\n", path.display()));
                }
                record
            }
            (plan, _) => {
                let asking = Asking { plan: plan.as_ref().unwrap_or(self.asking.plan), ..self.asking };
                let (candidate, early) = self.ask(&asking, Some(&against))?;
                let record = self.judge(&candidate, &against, &early)?;
                let flips = self.flips(&candidate, &against, &record)?;
                self.say(Some((&candidate, &flips)), &record)?;
                if !self.args.on_undecided.fails(record.verdict) {
                    self.update(&candidate)?;
                } else if self.args.update_baseline.is_some() {
                    complain("the baseline is left as it is: the gate failed\n");
                }
                record
            }
        };
        Ok(Some(record))
    }

    fn has_reference(&self) -> bool {
        self.args.baseline.is_some() || self.args.base.is_some() || self.args.baseline_model.is_some()
    }

    /// Runs the suite, or goes on with its run; with what early stopping has decided.
    fn ask(&self, asking: &Asking, against: Option<&Against>) -> Result<(RunSummary, Early), Failure> {
        let (done, early) = if let Some(run) = &self.args.run.resume {
            (go_on(asking, run, &self.args.run.suites)?, Early::new())
        } else {
            let prepared = asking.prepare(self.suite)?;
            if self.args.early_stop {
                let order = prepared.plan.cases.iter().filter_map(|&case| Some(self.suite.cases.get(case)?.id.clone()));
                let order: Vec<String> = order.collect();
                let none = BTreeSet::new();
                let reference = against.and_then(Against::reference);
                let unchanged = against.map_or(&none, |against| &against.unchanged);
                let header = asking.header(&prepared)?;
                let stopper = Stopper::new(self.suite, &header, &order, (reference, unchanged));
                let stopping = Stopping::new(stopper);
                let done = asking.ask(&prepared, Some(&stopping))?;
                let (early, (asked, all)) = stopping.finish();
                complain(&format!("early stop: {asked} of {all} cases of all variants asked, {} saved\n", all - asked));
                (done, early)
            } else {
                (asking.ask(&prepared, None)?, Early::new())
            }
        };
        if done.outcome == Outcome::Interrupted {
            complain(&format!("nothing is judged: go on with --resume {}\n", done.path.display()));
            return Err(Failure::Code(130));
        }
        let candidate = RunSummary::read(&done.path)?;
        run::scored(&candidate)?;
        Ok((candidate, early))
    }

    fn judge(&self, candidate: &RunSummary, against: &Against, early: &Early) -> Result<GateRecord, Failure> {
        if let Some(Kept::Run(baseline)) = against.kept.as_ref().filter(|_| against.unchanged.is_empty()) {
            let problems = alike(baseline, candidate);
            if problems.any_error() {
                return Err(problems.into());
            }
            print_problems(&problems);
        }
        let as_kept = match &against.kept {
            Some(Kept::File(_)) => Some(Baseline::of(candidate, String::new(), Path::new(""))),
            _ => None,
        };
        let gate = Gate {
            candidate,
            as_kept: as_kept.as_ref(),
            reference: against.reference(),
            rules: &self.suite.gate,
            max_unscored: self.suite.max_unscored,
            unchanged: &against.unchanged,
            early,
            place: Place::file(&self.suite.path),
        };
        let record = gate.judge()?;
        print_problems(&gate.changed_cases(&record));
        let left = self.suite.gate.len().saturating_sub(record.rules.len());
        if left > 0 {
            complain(&format!("note: {left} of the suite's rules are about variants that were not asked\n"));
        }
        Ok(record)
    }

    /// The cases that flipped where a rule does not pass; between two models in every metric that people look at first.
    fn flips(&self, candidate: &RunSummary, against: &Against, record: &GateRecord) -> Result<String, Failure> {
        let both_models = self.args.baseline_model.is_some();
        let headline = |metric: &str| candidate.variants.iter().all(|variant| variant.is_headline(metric));
        let shown: Vec<Comparison> = record
            .comparisons
            .iter()
            .filter(|one| {
                let broken = record.rules.iter().any(|rule| {
                    rule.variant == one.candidate.variant
                        && rule.metric == one.metric
                        && rule.decision != Decision::Pass
                });
                broken || (both_models && headline(&one.metric))
            })
            .cloned()
            .collect();
        let baseline = match &against.kept {
            Some(Kept::Run(run)) if !run.variants.is_empty() => Some(run.dir.as_path()),
            _ => None,
        };
        let answers = crate::report::answers(&shown, FLIPS, [baseline, Some(&candidate.dir)])?;
        let size = (environment::width(), environment::stdout_colour());
        let parts = shown.iter().map(|one| {
            let flips = crate::report::flipped(one, &answers, FLIPS, size);
            if flips.is_empty() { flips } else { format!("\n{}{flips}", one.candidate.variant) }
        });
        Ok(parts.collect())
    }

    fn print_run(&self, candidate: &RunSummary) -> Result<(), Failure> {
        print(&run::render(candidate, self.args.run.format, self.args.run.by)?)
    }

    /// Prints the verdict below the run and what flipped in it, keeps it beside the run with the page, and tells GitHub.
    fn say(&self, asked: Option<(&RunSummary, &str)>, record: &GateRecord) -> Result<(), Failure> {
        let candidate = asked.map(|(run, _)| run);
        if let Some(run) = candidate {
            let text = serde_json::to_string_pretty(record).context("the verdict is no JSON")? + "\n";
            report::write(&run.dir.join(RECORD), |out| Ok(out.write_all(text.as_bytes())?))?;
            report::beside(run);
        }
        if self.args.run.format != Format::Json {
            candidate.map_or(Ok(()), |run| self.print_run(run))?;
        }
        print(&match self.args.run.format {
            Format::Json => serde_json::to_string(record).context("the verdict is no JSON")? + "\n",
            Format::Table => {
                let flips = asked.map_or("", |(_, flips)| flips);
                format!("{flips}\n{}", crate::report::gate(record, environment::stdout_colour()))
            }
            Format::Markdown => format!("\n{}", crate::report::gate_markdown(record)),
        })?;
        if let Some(run) = candidate.filter(|_| self.args.run.format == Format::Table) {
            complain(&format!("run: {}\n", run.dir.display()));
        }
        github::tell(candidate, record);
        Ok(())
    }

    /// Writes the new baseline, after showing what changes.
    fn update(&self, candidate: &RunSummary) -> Result<(), Failure> {
        let Some(path) = &self.args.update_baseline else { return Ok(()) };
        let suite =
            std::fs::read(&self.suite.path).with_context(|| format!("cannot read {}", self.suite.path.display()))?;
        let new = Baseline::of(candidate, crate::gate::sha256(&suite), path);
        let shown = |path: &Path| path.display().to_string();
        if path.is_file() {
            let changes = new.changes_since(&Baseline::read(path)?);
            if changes.is_empty() {
                complain(&format!("{} stays as it is\n", shown(path)));
            }
            for change in changes {
                complain(&format!("{}: {change}\n", shown(path)));
            }
        } else {
            complain(&format!("{}: new\n", shown(path)));
        }
        report::write(path, |out| Ok(out.write_all(new.text().as_bytes())?))
    }
}
