//! `tripos train`: a recipe becomes a trained model, recorded step by step in a folder of its own.

mod dry_run;
mod observer;
mod suite;
mod sweep;
mod text;
mod work;

use super::compare;
use super::elsewhere::{Absent, locate};
use super::failure::{Failure, print_problems};
use super::interrupt;
use super::output::{complain, print};
use super::plan::PlanArgs;
use super::run::MachineArgs;
use crate::error::Place;
use crate::run::RunSettings;
use crate::store::Status;
use crate::store::training::{Stop, TrainingHeader, latest, read_evaluations, read_training};
use crate::train::recipe::{Overrides, Recipe, load};
use crate::train::trainer::Ended;
use crate::train::{TrainingFailure, Watch, copy};
use clap::ValueEnum;
pub(super) use observer::Lines;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use sweep::Sweep;
use work::{Sat, Work};

/// Where training runs are kept unless said otherwise.
const PARENT: &str = "reports/train";

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Teach this model (a GGUF file, or hf://…) instead of the recipe's
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Folder that gets the folder of the run [default: reports/train]; the recipe's output is left alone
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with this run, or with the latest of this recipe
    #[arg(long, value_name = "RUN", conflicts_with_all = ["sweep", "dry_run"])]
    #[allow(clippy::option_option, reason = "without the flag, without a run, with one")]
    resume: Option<Option<PathBuf>>,
    /// So many steps instead of the recipe's; the recipe's output is left alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// The learning rate at its highest
    #[arg(long, value_name = "X", value_parser = rate)]
    lr: Option<f64>,
    /// Moves the order of the rows, dropout and what adapters begin with
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Train once with each value (of lr, steps or seed) and compare them in one table; no suite is run
    #[arg(long, value_name = "KEY=A,B,…")]
    sweep: Option<Sweep>,
    /// Print parameters, tokens, memory and time expected; learn nothing
    #[arg(long)]
    dry_run: bool,
    /// Threads that compute [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    #[command(flatten)]
    machine: MachineArgs,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What was learned, for people
    Text,
    /// A JSON document
    Json,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("a learning rate is a number above 0, such as 2e-4".to_owned()),
    }
}

/// A training run whose folder is closed.
struct Done {
    folder: PathBuf,
    ended: Ended,
}

/// Trains, or says what training would take.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let settings = args.settings()?;
    if let Some(sweep) = &args.sweep {
        return sweep::run(args, sweep, &settings, quiet);
    }
    if let Some(run) = &args.resume {
        return resume(args, run.as_deref(), &settings, quiet);
    }
    let overrides = args.overrides();
    let mut work = args.prepare(&overrides, &settings, quiet)?;
    if args.dry_run {
        work.recipe_mut().output.take_if(|_| !args.copies());
        return work.plan(&settings, args.format);
    }
    let done = args.learn(&work, &overrides, (&settings, args.copies()), quiet)?;
    args.finish(work.recipe(), &done, &settings, quiet)
}

/// Goes on with a run, by the flags that it was begun with.
fn resume(args: &Args, run: Option<&Path>, settings: &RunSettings, quiet: bool) -> Result<(), Failure> {
    let folder = match run {
        Some(run) => compare::run_folder(run),
        None => latest(args.parent(), &args.recipe)?,
    };
    let recorded = read_training(&folder)?;
    // ggml's own products may add up in another order on other threads: without a flag, as many as before.
    let before = recorded.segments.last().map(|segment| segment.threads).filter(|_| args.threads.is_none());
    let settings = &RunSettings { threads: before.unwrap_or(settings.threads), ..settings.clone() };
    let begun = args.begun(&recorded, &folder)?;
    let work = args.prepare(&begun, settings, quiet)?;
    work.is_of(&recorded, &folder)?;
    if recorded.status == Status::Complete {
        complain("the training run is complete; nothing is left to learn\n");
        restore(&recorded, &folder)?;
        let examined = recorded.outcome.as_ref().is_some_and(|outcome| !outcome.suite_runs.is_empty());
        if examined || work.recipe().suite.is_none() {
            return args.say(&folder);
        }
        let stop = recorded.outcome.map_or(Stop::Steps, |outcome| outcome.stop);
        return args.finish(work.recipe(), &Done { folder, ended: Ended::Complete(stop) }, settings, quiet);
    }
    let lines = Lines::new(folder.clone(), quiet);
    let copy = !["out", "steps", "sweep"].iter().any(|flag| recorded.flags.contains_key(*flag));
    let watch = Watch { observer: &lines, stop: interrupt::listen() };
    let ended = work.go_on(&Sat { settings, watch, flags: &recorded.flags, copy }, &folder, args.lr);
    lines.page();
    let (folder, ended) = ended?;
    args.finish(work.recipe(), &Done { folder, ended }, settings, quiet)
}

/// Copies the trained file of a complete run to the recipe's output once more, where it is gone.
fn restore(run: &TrainingHeader, folder: &Path) -> Result<(), Failure> {
    let Some(outcome) = &run.outcome else { return Ok(()) };
    if let Some(output) = outcome.copied_to.as_ref().filter(|output| !output.exists()) {
        copy(&folder.join(&outcome.output.path), output)?;
    }
    Ok(())
}

impl Args {
    fn settings(&self) -> Result<RunSettings, Failure> {
        let plan = PlanArgs { threads: self.threads, ..PlanArgs::default() };
        self.machine.settings(&plan, false)
    }

    /// The folder that gets the folder of the run.
    fn parent(&self) -> &Path {
        self.out.as_deref().unwrap_or(Path::new(PARENT))
    }

    /// Whether the trained file goes where the recipe says.
    fn copies(&self) -> bool {
        self.out.is_none() && self.steps.is_none()
    }

    fn overrides(&self) -> Overrides {
        let Self { model, steps, lr, seed, .. } = self;
        Overrides { model: model.clone(), steps: *steps, lr: *lr, seed: *seed, ..Overrides::default() }
    }

    /// The flags that shape a run, as its header keeps them.
    fn flags(&self, overrides: &Overrides) -> BTreeMap<String, Value> {
        let whole = |path: &PathBuf| json!(path.canonicalize().unwrap_or_else(|_| path.clone()));
        let flags = [
            ("model", overrides.model.as_ref().map(whole)),
            ("out", self.out.as_ref().map(whole)),
            ("steps", overrides.steps.map(Value::from)),
            ("lr", overrides.lr.map(Value::from)),
            ("seed", overrides.seed.map(Value::from)),
            ("sweep", self.sweep.as_ref().map(|_| Value::from(true))),
        ];
        flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// What a run was begun with; each flag given beside --resume must say the same, but for the rate.
    fn begun(&self, recorded: &TrainingHeader, run: &Path) -> Result<Overrides, Failure> {
        let mut problems = crate::error::Problems::new();
        for (flag, given) in self.flags(&self.overrides()) {
            let before = recorded.flags.get(&flag);
            if flag != "lr" && flag != "out" && before != Some(&given) {
                let recorded = before.map_or_else(|| "none".to_owned(), Value::to_string);
                let (given, place) = (given.to_string(), Place::file(run));
                problems.push(TrainingFailure::OtherFlag { flag, given, recorded, place });
            }
        }
        let flag = |name: &str| recorded.flags.get(name);
        Ok(problems.or_ok(Overrides {
            model: flag("model").and_then(Value::as_str).map(PathBuf::from),
            steps: flag("steps").and_then(Value::as_u64),
            lr: flag("lr").and_then(Value::as_f64),
            seed: flag("seed").and_then(Value::as_u64),
            ..Overrides::default()
        })?)
    }

    /// The recipe with its data, or all that is wrong with either.
    fn prepare(&self, overrides: &Overrides, settings: &RunSettings, quiet: bool) -> Result<Work, Failure> {
        let read = |absent| -> Result<_, Failure> {
            let located = locate(&self.recipe, (overrides.model.as_deref(), None), absent, quiet)?;
            Ok(load(&self.recipe, &Overrides { located, ..overrides.clone() }))
        };
        let (mut recipe, mut problems) = read(if self.dry_run { Absent::Say } else { Absent::Leave })?;
        let coming = recipe.as_ref().is_some_and(|recipe| recipe.located.coming().next().is_some());
        if coming && !self.dry_run && !problems.any_error() {
            (recipe, problems) = read(Absent::Bring)?;
        }
        let recipe: Recipe = match recipe {
            Some(recipe) if !problems.any_error() => recipe,
            _ => return Err(problems.into()),
        };
        let coming: Vec<(&str, &str)> = recipe.located.coming().collect();
        if !coming.is_empty() {
            print(&text::coming(&recipe, &coming, self.format == Format::Json))?;
            return Err(Failure::Code(0));
        }
        let work = Work::new(recipe, settings)?;
        if !quiet {
            print_problems(&problems);
            print_problems(work.warnings());
        }
        Ok(work)
    }

    /// A run of its own.
    fn learn(
        &self,
        work: &Work,
        overrides: &Overrides,
        (settings, copy): (&RunSettings, bool),
        quiet: bool,
    ) -> Result<Done, Failure> {
        let lines = Lines::new(self.parent().to_path_buf(), quiet);
        let flags = self.flags(overrides);
        let watch = Watch { observer: &lines, stop: interrupt::listen() };
        let ended = work.begin(&Sat { settings, watch, flags: &flags, copy }, self.parent());
        lines.page();
        let (folder, ended) = ended?;
        Ok(Done { folder, ended })
    }

    /// Runs the recipe's suite, prints what was learned, and says where the run lies.
    fn finish(&self, recipe: &Recipe, done: &Done, settings: &RunSettings, quiet: bool) -> Result<(), Failure> {
        if done.ended == Ended::Interrupted {
            complain(&format!("{}\n", text::go_on(&self.recipe, &done.folder)));
            return Err(Failure::Code(130));
        }
        // A document is whole: it comes behind the suite, whose runs it names.
        let text = self.format == Format::Text;
        if text {
            self.say(&done.folder)?;
        }
        suite::run(recipe, &done.folder, (settings, text), quiet)?;
        if !text {
            self.say(&done.folder)?;
        }
        observer::page(&done.folder);
        complain(&format!("run: {}\n", done.folder.display()));
        Ok(())
    }

    /// Prints what a complete run came to.
    fn say(&self, folder: &Path) -> Result<(), Failure> {
        let header = read_training(folder)?;
        print(&match self.format {
            Format::Text => text::outcome(&header, folder),
            Format::Json => format!("{}\n", document(&header, folder)?),
        })
    }
}

/// A complete run for a program: its header, its looks at held-out data, and its suite on the base beside the trained model.
fn document(header: &TrainingHeader, folder: &Path) -> Result<Value, Failure> {
    let mut document = json!({"schema": 1, "folder": folder, "evaluations": read_evaluations(folder)?});
    if let Some([base, taught]) = header.outcome.as_ref().map(|outcome| &outcome.suite_runs[..]) {
        document["comparisons"] = json!(compare::found(&folder.join(base), &folder.join(taught))?);
    }
    document["run"] = json!(header);
    Ok(document)
}
