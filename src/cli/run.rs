//! `tripos run`: the main job.

use super::asking::{Asking, Done, go_on};
use super::environment;
use super::failure::Failure;
use super::output::{complain, print};
use super::plan::PlanArgs;
use crate::engine::KvMode;
use crate::engine::cache::Cache;
use crate::engine::llama::probe::Probe;
use crate::error::Problems;
use crate::ggml;
use crate::report;
use crate::run::{Outcome, RunSettings, Servers};
use crate::suite::Suite;
use crate::summary::RunSummary;
use anyhow::Context;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Suite files
    #[arg(value_name = "SUITE", required_unless_present = "resume")]
    pub(super) suites: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    #[command(flatten)]
    pub(super) machine: MachineArgs,
    /// Folder that gets the folder of the run
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub(super) out: PathBuf,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
    /// Also one table for each tag
    #[arg(long, value_name = "WHAT")]
    pub(super) by: Option<By>,
    /// Go on with this run: what is answered is not asked again
    #[arg(long, value_name = "RUN", conflicts_with_all = ["dry_run"])]
    pub(super) resume: Option<PathBuf>,
    /// Print the plan and the first prompt of each variant; ask nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Flags that say how the machine is used.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct MachineArgs {
    /// Neither read nor keep answers
    #[arg(long)]
    pub(super) no_cache: bool,
    /// Let `command` scorers run programs
    #[arg(long)]
    pub(super) allow_commands: bool,
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
            kept: super::elsewhere::kept(),
            allow_commands: self.allow_commands,
            llama_cpp: ggml::version(),
            features: ggml::features().into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            servers: Servers::Asked { variable: environment::variable },
        };
        Ok(plan.decoding(settings))
    }
}

/// Runs each suite, once all of them are read without errors; a suite that fails ends the command.
pub(super) fn run(args: &Args, verbose: bool, quiet: bool) -> Result<(), Failure> {
    let settings = args.machine.settings(&args.plan, true)?;
    // A dry run asks nobody anything.
    let settings = if args.dry_run { RunSettings { servers: Servers::Unasked, ..settings } } else { settings };
    if verbose {
        complain(&machine(&settings));
    }
    let asking = Asking { plan: &args.plan, settings: &settings, out: &args.out, at: None, shuffled: false, quiet };
    if let Some(run) = &args.resume {
        let done = go_on(&asking, run, &args.suites)?;
        return finish(args, &done);
    }
    for suite in &load_all(&asking, args)? {
        if args.dry_run {
            dry_run(&asking, suite, args.format)?;
        } else {
            finish(args, &asking.ask(&asking.prepare(suite)?, None)?)?;
        }
    }
    Ok(())
}

/// All suites, or all that is wrong with any of them.
pub(super) fn load_all(asking: &Asking, args: &Args) -> Result<Vec<Suite>, Failure> {
    let mut suites = Vec::new();
    let mut problems = Problems::new();
    for path in &args.suites {
        match asking.load(path, &args.plan.overrides(args.dry_run)) {
            Ok(suite) => suites.push(suite),
            Err(Failure::Problems(found)) => problems.append(found),
            Err(other) => return Err(other),
        }
    }
    Ok(problems.or_ok(suites)?)
}

/// Prints the plan and the first prompt of each variant; of a suite whose models are not all here, what would be downloaded.
pub(super) fn dry_run(asking: &Asking, suite: &Suite, format: Format) -> Result<(), Failure> {
    let coming: Vec<(&str, &str)> = suite.located.coming().collect();
    if !coming.is_empty() {
        let trials = asking.picked(suite)?.len();
        return print(&super::show::coming(&suite.name, trials, &coming, format));
    }
    let prepared = asking.prepare(suite)?;
    prepared.prompts()?;
    print(&super::show::plan(&prepared, format, environment::stdout_colour())?)
}

/// Prints the result of a run that is closed, and writes its page. A run in which nothing could be scored is a failure.
fn finish(args: &Args, done: &Done) -> Result<(), Failure> {
    let summary = RunSummary::read(&done.path)?;
    print(&render(&summary, args.format, args.by)?)?;
    super::report::beside(&summary);
    if args.format == Format::Table {
        complain(&format!("run: {}\n", done.path.display()));
    }
    // That a run was interrupted says more than what its few samples came to.
    if done.outcome == Outcome::Interrupted { Err(Failure::Code(130)) } else { scored(&summary) }
}

/// Prints the table of a run.
pub(super) fn table_of(run: &Path) -> Result<(), Failure> {
    print(&render(&RunSummary::read(run)?, Format::Table, None)?)
}

/// A run in which nothing could be scored is a failure.
pub(super) fn scored(summary: &RunSummary) -> Result<(), Failure> {
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
