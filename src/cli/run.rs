//! `tripos run`: the main job.

use super::failure::{Failure, print_problems};
use super::output::{complain, print};
use super::plan::PlanArgs;
use super::progress::Progress;
use super::{environment, interrupt};
use crate::engine::KvMode;
use crate::engine::cache::Cache;
use crate::engine::llama::probe::Probe;
use crate::error::{Place, Problems};
use crate::ggml;
use crate::report;
use crate::run::{Observer, Outcome, Prepared, RunSettings, execute};
use crate::store::{Header, Repeat, RunFolder, Status, Trial, read_header, read_samples};
use crate::suite::{Suite, load};
use crate::summary::RunSummary;
use anyhow::Context;
use clap::ValueEnum;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Suite files
    #[arg(value_name = "SUITE", required_unless_present = "resume")]
    suites: Vec<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    machine: MachineArgs,
    /// Folder that gets the folder of the run
    #[arg(long, value_name = "DIR", default_value = "reports")]
    out: PathBuf,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Also one table for each tag
    #[arg(long, value_name = "WHAT")]
    by: Option<By>,
    /// Go on with this run: what is answered is not asked again
    #[arg(long, value_name = "RUN", conflicts_with_all = ["dry_run"])]
    resume: Option<PathBuf>,
    /// Print the plan and the first prompt of each variant; ask nothing
    #[arg(long)]
    dry_run: bool,
}

/// Flags that say how the machine is used.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct MachineArgs {
    /// Neither read nor keep answers
    #[arg(long)]
    no_cache: bool,
    /// Let `command` scorers run programs
    #[arg(long)]
    allow_commands: bool,
}

/// What is printed at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table for people
    Table,
    /// One JSON document a suite, on one line
    Json,
    /// A table for pull requests
    Markdown,
}

/// What a table is broken down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// The cases' tags
    Tag,
}

impl MachineArgs {
    /// The settings. A cache that cannot be opened is an error where answers are to be kept in it (`keep`), and is done
    /// without elsewhere.
    pub(super) fn settings(&self, plan: &PlanArgs, keep: bool) -> Result<RunSettings, Failure> {
        let folder = environment::cache_folder();
        let memory = match folder.map_err(Failure::from).and_then(|folder| Ok(Cache::open(&folder)?)) {
            Ok(cache) => Some(Arc::new(cache)),
            Err(failure) if keep && !self.no_cache => return Err(failure),
            Err(_) => None,
        };
        let program = std::env::current_exe().context("this program cannot find itself")?;
        let settings = RunSettings {
            threads: 1,
            gpu_layers: None,
            kv: KvMode::Tree,
            kv_check: false,
            parallel: 1,
            probe: Some(Probe { program, arguments: vec!["probe-model".into()] }),
            memory,
            use_cache: !self.no_cache,
            allow_commands: self.allow_commands,
            llama_cpp: ggml::version(),
            features: ggml::features().into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        };
        Ok(plan.decoding(settings))
    }
}

/// Runs each suite, once all of them are read without errors; a suite that fails ends the command.
pub(super) fn run(args: &Args, verbose: bool, quiet: bool) -> Result<(), Failure> {
    let settings = args.machine.settings(&args.plan, true)?;
    if verbose {
        complain(&machine(&settings));
    }
    if let Some(run) = &args.resume {
        return resume(args, run, &settings, quiet);
    }
    let mut suites = Vec::new();
    let mut problems = Problems::new();
    for path in &args.suites {
        match load_suite(path, &args.plan, args.dry_run, quiet) {
            Ok(suite) => suites.push(suite),
            Err(found) => problems.append(found),
        }
    }
    problems.or_ok(())?;
    for suite in &suites {
        let prepared = prepare(suite, &args.plan, &settings, quiet)?;
        if args.dry_run {
            super::check::prompts(&prepared)?;
            print(&super::show::plan(&prepared, args.format, environment::stdout_colour())?)?;
            continue;
        }
        let header = header(&prepared, &args.plan)?;
        let folder = RunFolder::create(&args.out, header)?;
        work(args, &prepared, folder, &BTreeSet::new(), (&settings, quiet))?;
    }
    Ok(())
}

/// Goes on with a run. What it was begun with must still be so.
fn resume(args: &Args, run: &Path, settings: &RunSettings, quiet: bool) -> Result<(), Failure> {
    let recorded = read_header(run)?;
    let plan = args.plan.resumed(&recorded, run)?;
    let settings = plan.decoding(settings.clone());
    let same = |path: &Path| path.canonicalize().is_ok_and(|path| path == recorded.suite_path);
    if let Some(other) = args.suites.iter().find(|path| !same(path)) {
        let (run, of, other) = (run.display(), recorded.suite_path.display(), other.display());
        return Err(anyhow::anyhow!("{run} is a run of {of}, not of {other}").into());
    }
    // Rows that repeats are reduced to may be missing, too; those are made below.
    let whole =
        recorded.status == Status::Complete && !has_repeats(&recorded) && count_samples(run)? >= recorded.trials;
    if whole {
        complain("the run is complete; nothing is left to ask\n");
        return finish(args, run);
    }
    let suite = load_suite(&recorded.suite_path, &plan, false, quiet)?;
    let prepared = prepare(&suite, &plan, &settings, quiet)?;
    let now = header(&prepared, &plan)?;
    prepared.same_as(&recorded, &now, settings.kv == KvMode::Exact, &Place::file(run))?;
    let (folder, answered) = RunFolder::resume(run, &now.build())?;
    work(args, &prepared, folder, &answered, (&settings, quiet))
}

fn has_repeats(header: &Header) -> bool {
    let variants = header.suite.get("variants").and_then(serde_json::Value::as_array);
    variants.into_iter().flatten().any(|variant| variant.get("repeats").is_some())
}

fn count_samples(run: &Path) -> Result<usize, Problems> {
    let mut count = 0;
    read_samples(run, |sample| count += usize::from(sample.trial.repeat != Repeat::Reduced))?;
    Ok(count)
}

/// Asks what is left, closes the folder and prints the table.
fn work(
    args: &Args,
    prepared: &Prepared,
    mut folder: RunFolder,
    answered: &BTreeSet<Trial>,
    (settings, quiet): (&RunSettings, bool),
) -> Result<(), Failure> {
    let progress = Progress::new(quiet);
    let watch: (&dyn Observer, _) = (&progress, interrupt::listen());
    match execute(prepared, &mut folder, answered, settings, watch) {
        Ok(outcome) => {
            let status = if outcome == Outcome::Complete { Status::Complete } else { Status::Interrupted };
            let (path, _) = folder.close(status)?;
            let finished = finish(args, &path);
            // That a run was interrupted says more than what its few samples came to.
            if outcome == Outcome::Interrupted { Err(Failure::Code(130)) } else { finished }
        }
        Err(problems) => {
            let path = folder.path().to_path_buf();
            // The header may not be writable either, on a full disk for one; the problem at hand is what is said.
            let _ = folder.close(Status::Failed);
            print_problems(&problems);
            complain(&format!("what was answered is kept: tripos run --resume {}\n", path.display()));
            Err(Failure::Code(2))
        }
    }
}

/// Prints the result of a run that is closed. A run in which nothing could be scored is a failure.
fn finish(args: &Args, path: &Path) -> Result<(), Failure> {
    let summary = RunSummary::read(path)?;
    print(&render(&summary, args.format, args.by)?)?;
    if args.format == Format::Table {
        complain(&format!("run: {}\n", path.display()));
    }
    let mut metrics = summary.variants.iter().flat_map(|variant| &variant.metrics);
    let trials: usize = summary.variants.iter().map(|variant| variant.trials).sum();
    if trials > 0 && metrics.all(|metric| metric.n == 0) {
        complain("error: no case could be scored; the reasons are in samples.jsonl\n");
        return Err(Failure::Code(2));
    }
    Ok(())
}

/// A summary in the format asked for.
pub(super) fn render(summary: &RunSummary, format: Format, by: Option<By>) -> Result<String, Failure> {
    let (width, colour) = (environment::width(), environment::stdout_colour());
    Ok(match format {
        Format::Table => {
            let tags = if by.is_some() { report::by_tag(summary, width, colour) } else { String::new() };
            report::table(summary, width, colour) + &tags
        }
        Format::Json => {
            serde_json::to_string(&report::json(summary, by.is_some())).context("the result is no JSON")? + "\n"
        }
        Format::Markdown => report::markdown(summary, by.is_some()),
    })
}

/// The suite, or all that is wrong with it; warnings and notes are printed.
fn load_suite(path: &Path, plan: &PlanArgs, strict: bool, quiet: bool) -> Result<Suite, Problems> {
    let (suite, problems) = load(path, &plan.overrides(strict));
    match suite {
        Some(suite) if !problems.any_error() => {
            if !quiet {
                print_problems(&problems);
            }
            Ok(suite)
        }
        _ => Err(problems),
    }
}

fn prepare<'a>(
    suite: &'a Suite,
    plan: &PlanArgs,
    settings: &RunSettings,
    quiet: bool,
) -> Result<Prepared<'a>, Failure> {
    let picked = plan.selection()?.plan(suite, plan.seed.unwrap_or(0))?;
    let prepared = Prepared::new(suite, picked, settings)?;
    if !quiet {
        print_problems(&prepared.warnings);
    }
    Ok(prepared)
}

fn header(prepared: &Prepared, plan: &PlanArgs) -> Result<Header, Problems> {
    prepared.header(plan.recorded(), plan.seed.unwrap_or(0))
}

/// What the models will run on.
fn machine(settings: &RunSettings) -> String {
    let features: Vec<&str> = settings.features.iter().map(|f| f.strip_suffix("=1").unwrap_or(f)).collect();
    format!(
        "{}; {} threads; {} trials in flight; features: {}\n",
        settings.llama_cpp,
        settings.threads,
        settings.parallel,
        features.join(" ")
    )
}
