//! `tripos fix`: a failing suite teaches its model, and the paired test judges what came of it.

use super::elsewhere::{Absent, local, locate};
use super::environment;
use super::failure::Failure;
use super::interrupt;
use super::output::{complain, print};
use super::plan::PlanArgs;
use super::preferences::share;
use super::progress::Progress;
use super::rewriting::Format;
use super::run::MachineArgs;
use super::train::Lines;
use crate::error::render;
use crate::gate::p_text;
use crate::repair::fix::{Came, Fixed, Judged, Request, Watch, fix, gate_command, unruled};
use crate::report;
use crate::suite::Located;
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `fix`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: PathBuf,
    /// Ask and teach this model (a GGUF file, or hf://…) instead of the suite's
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The variant that fails, where the suite has several
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// The scorer that says what fails [default: the first that passes or fails what is said]
    #[arg(long, value_name = "NAME")]
    scorer: Option<String>,
    /// Teach with the settings of this recipe (`kind: sft` or `dpo`); its data is not read
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<PathBuf>,
    /// The share of the cases that is not looked at before the end; a generator draws fresh ones in the same proportion
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    holdout: f64,
    /// A suite that must not get worse (repeatable)
    #[arg(long, value_name = "SUITE")]
    also: Vec<PathBuf>,
    /// Where the baseline for later gates is written [default: the attempt's folder]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Folder that gets the attempt's folder
    #[arg(long, value_name = "DIR", default_value = "reports/fix")]
    out: PathBuf,
    /// Moves the division into halves, and everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Threads that compute [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    #[command(flatten)]
    machine: MachineArgs,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Makes one attempt and prints its verdict.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let plan = PlanArgs { threads: args.threads, ..PlanArgs::default() };
    let settings = args.machine.settings(&plan, false)?;
    let model = args.model.as_deref().map(|model| local(model, quiet)).transpose()?;
    let mut located = Located::default();
    for file in std::iter::once(&args.suite).chain(&args.also).chain(&args.recipe) {
        located.extend(locate(file, (model.as_deref(), None), Absent::Bring, quiet)?);
    }
    let request = Request {
        suite: args.suite.clone(),
        model,
        located,
        variant: args.variant.clone(),
        scorer: args.scorer.clone(),
        recipe: args.recipe.clone(),
        holdout: args.holdout,
        also: args.also.clone(),
        baseline: args.baseline.clone(),
        out: args.out.clone(),
        seed: args.seed,
        allow_commands: settings.allow_commands,
    };
    let (progress, lines) = (Progress::new(quiet), Lines::new(args.out.clone(), quiet));
    let loud = |text: &str| {
        if !quiet {
            complain(text);
        }
    };
    let watch = Watch {
        run: &progress,
        train: &lines,
        say: &|line| loud(&format!("{line}\n")),
        warn: &|problem| loud(&render(problem, environment::stderr_colour())),
        stop: interrupt::listen(),
    };
    match fix(&request, &settings, watch)? {
        Fixed::Interrupted => Err(Failure::Code(130)),
        Fixed::NothingFails { passing, unscored } => print(&match args.format {
            Format::Text => nothing(passing, unscored),
            Format::Json => {
                let found = json!({"schema": 1, "verdict": "nothing_fails", "passing": passing, "unscored": unscored});
                format!("{found}\n")
            }
        }),
        Fixed::Judged(judged) => {
            print(&match args.format {
                Format::Text => page(&judged, &request),
                Format::Json => format!("{}\n", json!({"schema": 1, "verdict": judged.came, "fix": judged})),
            })?;
            if judged.came == Came::Fixed { Ok(()) } else { Err(Failure::Code(1)) }
        }
    }
}

fn nothing(passing: usize, unscored: usize) -> String {
    let all = format!("all {passing} cases that may be learned from pass: there is nothing to fix\n");
    match unscored {
        0 => all,
        unscored => format!("{all}{unscored} more could not be scored\n"),
    }
}

/// The tables, the verdict, and what goes on from here.
fn page(judged: &Judged, request: &Request) -> String {
    let size = (environment::width(), environment::stdout_colour());
    let mut text = String::new();
    for found in &judged.found {
        let _ = writeln!(text, "{}\n", found.title());
        text.extend(found.tables().map(|table| report::comparison(table, &report::Answers::default(), 0, size) + "\n"));
        text.extend(found.told_apart.iter().map(|what| format!("{what}, which it did not before\n\n")));
    }
    let attempt = &judged.attempt;
    let p = attempt.p_value.map_or_else(|| "no test was possible".to_owned(), |p| format!("p {}", p_text(p)));
    let level = format!("attempt {} on this variant, tested at {}", attempt.number, attempt.level);
    let mut rows = vec![
        ("verdict", judged.came.text().to_owned()),
        ("judged by", format!("{}: {p} ({level})", judged.metric)),
        ("data", judged.lessons.clone()),
        ("adapter", judged.adapter.display().to_string()),
        ("card", attempt.folder.join("card.md").display().to_string()),
    ];
    rows.extend(gate_command(judged, request).map(|command| ("gate", command)));
    rows.extend(judged.unruled.then(|| ("gate", unruled(judged))));
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<10} {value}");
    }
    text
}
