//! `tripos compare`: two runs, or two variants, case by case.

use super::environment;
use super::failure::{Failure, print_problems};
use super::output::print;
use super::run::Format;
use crate::error::{Place, Problems};
use crate::gate::{Comparison, GateError, How, Sheet, alike, compare, over_optimised};
use crate::report;
use crate::stats::LEVEL;
use crate::summary::RunSummary;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What was: the folder of a run, or RUN:VARIANT
    #[arg(value_name = "BASELINE")]
    baseline: String,
    /// What is: the folder of a run, or RUN:VARIANT
    #[arg(value_name = "CANDIDATE")]
    candidate: String,
    /// Only this variant of both runs (repeatable)
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
    /// How much worse is not worse yet, in the metric's own unit
    #[arg(long, value_name = "M", default_value_t = 0.0, value_parser = margin)]
    margin: f64,
    /// Compare every metric, not only those that a table shows first
    #[arg(long)]
    all_metrics: bool,
    /// How many flipped cases of each metric are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    flips: usize,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

fn margin(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(margin) if margin.is_finite() && margin >= 0.0 => Ok(margin),
        _ => Err("a margin is a number from 0 on".to_owned()),
    }
}

/// A run, and the variant that was named with it.
struct Named {
    run: RunSummary,
    variant: Option<String>,
}

/// Compares and prints.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (baseline, candidate) = both(args)?;
    let problems = alike(&baseline.run, &candidate.run);
    if problems.any_error() {
        return Err(problems.into());
    }
    print_problems(&problems);
    let groups = pairs(args, &baseline, &candidate)?
        .iter()
        .map(|(before, after)| comparisons(args, (&baseline.run, before), (&candidate.run, after)))
        .collect::<Result<Vec<_>, GateError>>()?;
    print(&match args.format {
        Format::Json => format!("{}\n", document(&groups.concat(), &candidate.run)),
        Format::Markdown => {
            groups.iter().map(|group| report::comparison_markdown(group)).collect::<Vec<_>>().join("\n")
        }
        Format::Table => table(args, &groups, (&baseline.run, &candidate.run))?,
    })
}

/// The comparisons for a program, with the rewards that rose while something else fell.
fn document(all: &[Comparison], candidate: &RunSummary) -> Value {
    let mut document = json!({"schema": 1, "comparisons": all});
    let found = over_optimised(all, &candidate.header.rewards());
    if !found.is_empty() {
        document["over_optimised"] = json!(found);
    }
    document
}

impl Args {
    /// Two runs, all that both have.
    fn of(baseline: &Path, candidate: &Path) -> Self {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Self {
            baseline: text(baseline),
            candidate: text(candidate),
            variant: Vec::new(),
            margin: 0.0,
            all_metrics: false,
            flips: 10,
            format: Format::Table,
        }
    }
}

/// Compares two runs and prints them as a table.
pub(super) fn of_runs(baseline: &Path, candidate: &Path) -> Result<(), Failure> {
    run(&Args::of(baseline, candidate))
}

/// What of two runs' variants is compared, one after the other.
pub(super) fn found(baseline: &Path, candidate: &Path) -> Result<Vec<Comparison>, Failure> {
    let args = Args::of(baseline, candidate);
    let (baseline, candidate) = both(&args)?;
    let mut all = Vec::new();
    for (before, after) in pairs(&args, &baseline, &candidate)? {
        all.extend(comparisons(&args, (&baseline.run, &before), (&candidate.run, &after))?);
    }
    Ok(all)
}

/// Both runs, or all that keeps them from being read.
fn both(args: &Args) -> Result<(Named, Named), Problems> {
    let mut problems = Problems::new();
    let mut read = |written: &str| named(written).map_err(|found| problems.append(found)).ok();
    match (read(&args.baseline), read(&args.candidate)) {
        (Some(baseline), Some(candidate)) => Ok((baseline, candidate)),
        _ => Err(problems),
    }
}

/// `RUN` or `RUN:VARIANT`.
fn named(written: &str) -> Result<Named, Problems> {
    let folder = |path: &str| Some(run_folder(Path::new(path))).filter(|path| path.is_dir());
    let (path, variant) = match (folder(written), written.rsplit_once(':')) {
        (Some(path), _) => (path, None),
        (None, Some((path, variant))) if folder(path).is_some() => {
            (run_folder(Path::new(path)), Some(variant.to_owned()))
        }
        _ => (PathBuf::from(written), None),
    };
    Ok(Named { run: RunSummary::read(&path)?, variant })
}

/// A run's folder as it is named: by its path, or by its id where it lies in `reports`.
pub(super) fn run_folder(written: &Path) -> PathBuf {
    let in_reports = Path::new("reports").join(written);
    if !written.exists() && in_reports.is_dir() { in_reports } else { written.to_path_buf() }
}

/// The variants to compare: those named with the runs or by --variant, else all that both have.
fn pairs(args: &Args, baseline: &Named, candidate: &Named) -> Result<Vec<(String, String)>, Problems> {
    let names = |run: &RunSummary| run.variants.iter().map(|v| v.name.clone()).collect::<Vec<_>>();
    let (before, after) = (names(&baseline.run), names(&candidate.run));
    let mut problems = Problems::new();
    let mut check = |name: &str, known: &[String], run: &RunSummary| {
        if !known.iter().any(|other| other == name) {
            let (whose, place) = (run.header.run.clone(), Place::file(&run.dir));
            problems.push(GateError::NoVariant { whose, name: name.to_owned(), known: known.to_vec(), place });
        }
    };
    let wanted: Vec<(String, String)> = match (&baseline.variant, &candidate.variant) {
        (Some(one), Some(other)) => vec![(one.clone(), other.clone())],
        (Some(name), None) | (None, Some(name)) => vec![(name.clone(), name.clone())],
        (None, None) if !args.variant.is_empty() => {
            args.variant.iter().map(|name| (name.clone(), name.clone())).collect()
        }
        (None, None) => {
            let common = before.iter().filter(|name| after.contains(name));
            common.map(|name| (name.clone(), name.clone())).collect()
        }
    };
    for (one, other) in &wanted {
        check(one, &before, &baseline.run);
        check(other, &after, &candidate.run);
    }
    if wanted.is_empty() {
        problems.push(GateError::NothingInCommon {
            what: "the two runs have no variant of one name".into(),
            help: format!("name one of each: RUN:VARIANT ({} and {})", before.join(", "), after.join(", ")),
            place: Place::file(&candidate.run.dir),
        });
    }
    problems.or_ok(wanted)
}

fn comparisons(
    args: &Args,
    (baseline, before): (&RunSummary, &str),
    (candidate, after): (&RunSummary, &str),
) -> Result<Vec<Comparison>, GateError> {
    let missing = |run: &RunSummary, name: &str| GateError::NoVariant {
        whose: run.header.run.clone(),
        name: name.to_owned(),
        known: Vec::new(),
        place: Place::file(&run.dir),
    };
    let one = Sheet::of(baseline, before).ok_or_else(|| missing(baseline, before))?;
    let other = Sheet::of(candidate, after).ok_or_else(|| missing(candidate, after))?;
    let variant = candidate.variants.iter().find(|variant| variant.name == after);
    let headline = |metric: &str| variant.is_none_or(|variant| variant.is_headline(metric));
    let specs = candidate.specs();
    let how = How { specs: &specs, level: LEVEL, margin: args.margin, headline: &headline };
    let mut all = compare(&one, &other, &how);
    all.retain(|one| args.all_metrics || headline(&one.metric));
    if all.iter().all(|one| one.n == 0) {
        return Err(GateError::NothingInCommon {
            what: format!(
                "no case is scored by both {before} of {} and {after} of {}",
                baseline.header.run, candidate.header.run
            ),
            help: "compare runs over the same cases; unscored ones are explained by `tripos show RUN --case ID`".into(),
            place: Place::file(&candidate.dir),
        });
    }
    Ok(all)
}

/// Each pair as a table, with the answers to the cases that flipped.
fn table(args: &Args, groups: &[Vec<Comparison>], runs: (&RunSummary, &RunSummary)) -> Result<String, Failure> {
    let dirs = [runs.0, runs.1].map(|run| Some(run.dir.as_path()));
    let answers = report::answers(&groups.concat(), args.flips, dirs)?;
    let size = (environment::width(), environment::stdout_colour());
    let rewards = runs.1.header.rewards();
    let part = |group: &Vec<Comparison>| {
        let warned =
            over_optimised(group, &rewards).iter().map(|found| format!("\nwarning: {found}\n")).collect::<String>();
        report::comparison(group, &answers, args.flips, size) + &warned
    };
    let parts: Vec<String> = groups.iter().map(part).collect();
    Ok(parts.join("\n") + report::comparison_legend())
}
