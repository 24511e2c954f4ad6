//! `tripos rank`: people put the answers of a run in order, on a page or in the terminal.

use super::asking::Asking;
use super::compare::run_folder;
use super::failure::{Failure, print_problems};
use super::interrupt;
use super::output::{complain, print};
use super::plan::PlanArgs;
use super::rewriting::Format;
use super::run::MachineArgs;
use crate::error::{Place, Problems};
use crate::rank::page::Page;
use crate::rank::terminal::{Typed, help, shown, typed};
use crate::rank::{
    Gathered, Pick, Plan, PlanSettings, RankProblem, RankReport, RankingFile, Rankings, SIMULATED, Session, axis_names,
    gather, simulate, tables,
};
use crate::run::Outcome;
use anyhow::Context;
use serde_json::json;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The file of a run's rankings.
const RANKINGS: &str = "rankings.jsonl";

/// Arguments of `rank`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of a run, or a suite, which is run first
    #[arg(value_name = "RUN|SUITE", required_unless_present = "report")]
    target: Option<PathBuf>,
    /// Sum rankings up instead: agreement, position bias, time, and which variants win (files, or folders of runs)
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["target", "simulate", "terminal"])]
    report: Vec<PathBuf>,
    /// Judge by each of these: helpful,honest,harmless [default: one overall judgement]
    #[arg(long, value_name = "NAMES")]
    axes: Option<String>,
    /// Ask for a score from 1 to 7 for each answer, and for no order
    #[arg(long)]
    scores: bool,
    /// Who judges: goes on where this rater stopped
    #[arg(long, value_name = "NAME", default_value = "anonymous")]
    rater: String,
    /// The file that judgements are appended to; several raters may share it [default: RUN/rankings.jsonl]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only answers of this variant (repeatable)
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
    /// Only the first N cases
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show at most N different answers to a case, drawn by the seed
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=9))]
    answers: u8,
    /// The share of the cases that comes back unannounced, to measure a rater against himself
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = part)]
    again: f64,
    /// Moves the order of cases and answers (and sampling, where a suite is run)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where a suite is run: ask this model (a GGUF file, or hf://…) instead of its own
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
    /// The port of the page [default: a free one]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Open no browser
    #[arg(long)]
    no_open: bool,
    /// Judge in the terminal, without a page
    #[arg(long, conflicts_with_all = ["port", "no_open"])]
    terminal: bool,
    /// Let this scorer of the run order the answers, as rater simulated:SCORER
    #[arg(long, value_name = "SCORER", conflicts_with_all = ["terminal", "port", "no_open", "scores", "rater"])]
    simulate: Option<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A share from 0 to 1.
fn part(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to 1".to_owned()),
    }
}

/// Reports, simulates, or lets a person judge.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let Some(target) = &args.target else { return report(args) };
    // Everything that can be wrong is said before a suite is run.
    let axes = match &args.axes {
        None => vec![None],
        Some(written) => axis_names(written)?.into_iter().map(Some).collect(),
    };
    let rater = if let Some(scorer) = &args.simulate {
        format!("{SIMULATED}{scorer}")
    } else {
        Session::check_name(&args.rater)?;
        args.rater.trim().to_owned()
    };
    let run = folder(args, target, quiet)?;
    let pick = Pick { variants: args.variant.clone(), limit: args.limit, scorer: args.simulate.clone() };
    let gathered = gather(&run, &pick)?;
    if !quiet {
        notes(&gathered);
    }
    let file = RankingFile::new(args.out.clone().unwrap_or_else(|| run.join(RANKINGS)));
    let again = if args.simulate.is_some() { 0.0 } else { args.again };
    let (answers, seed) = (usize::from(args.answers), args.seed.unwrap_or(0));
    let settings = PlanSettings { rater, axes, answers, again, seed };
    let plan = Plan::new(gathered, &settings)?;
    if let Some(scorer) = &args.simulate {
        return simulated(args, &plan, scorer, &file);
    }
    if let Some(cut) = file.read()?.cut {
        print_problems(&cut.into());
    }
    let session = Session::open(plan, &settings, args.scores, file)?;
    let before = session.progress().0;
    let session = if args.terminal { in_terminal(session, quiet)? } else { on_page(args, session)? };
    finish(args, &session, before)
}

/// The run's folder, or that of the suite's run, which is made now.
fn folder(args: &Args, target: &Path, quiet: bool) -> Result<PathBuf, Failure> {
    let run = run_folder(target);
    if run.is_dir() {
        return Ok(run);
    }
    let plan = PlanArgs {
        variant: args.variant.clone(),
        limit: args.limit,
        seed: args.seed,
        model: args.model.clone(),
        ..PlanArgs::default()
    };
    let settings = args.machine.settings(&plan, true)?;
    let out = Path::new("reports");
    let asking = Asking { plan: &plan, settings: &settings, out, at: None, shuffled: false, quiet };
    let suite = asking.load(target, &plan.overrides(false))?;
    let done = asking.ask(&asking.prepare(&suite)?, None)?;
    if done.outcome == Outcome::Interrupted {
        return Err(Failure::Code(130));
    }
    complain(&format!("run: {} (to go on later: tripos rank {0})\n", done.path.display()));
    Ok(done.path)
}

/// What is passed over.
fn notes(gathered: &Gathered) {
    for (count, what) in [
        (gathered.single, "have one answer only and are passed over"),
        (gathered.without, "have no answer and are passed over"),
        (gathered.differ, "were asked in different words; the first variant's prompt is shown and kept"),
    ] {
        if count > 0 {
            complain(&format!("note: {count} cases {what}\n"));
        }
    }
}

fn simulated(args: &Args, plan: &Plan, scorer: &str, file: &RankingFile) -> Result<(), Failure> {
    let done = simulate(plan, scorer, file)?;
    print(&match args.format {
        Format::Json => {
            let (path, rater) = (file.path(), format!("{SIMULATED}{scorer}"));
            let (written, there, unscored) = (done.written, done.there, done.unscored);
            let document = json!({
                "schema": 1, "file": path, "rater": rater, "written": written, "there": there, "unscored": unscored,
            });
            format!("{document}\n")
        }
        Format::Text => {
            let (there, unscored) = (done.there, done.unscored);
            let there = if there > 0 { format!(", {there} were there") } else { String::new() };
            let unscored = if unscored > 0 { format!(", {unscored} without a score") } else { String::new() };
            let path = file.path().display();
            format!("{path}: {} judgements by {SIMULATED}{scorer}{there}{unscored}\n", done.written)
        }
    })
}

/// Serves the page until Ctrl-C.
fn on_page(args: &Args, session: Session) -> Result<Session, Failure> {
    let page = Page::listen(args.port.unwrap_or(0))?;
    let address = page.address();
    let (done, total) = session.progress();
    complain(&format!("{done} of {total} judged. Open {address}\nCtrl-C ends it; every judgement is kept at once.\n"));
    if !args.no_open {
        open(&address);
    }
    Ok(page.serve(session, interrupt::stop_quietly())?)
}

/// Asks the system to open an address; where it cannot, the address is on the screen.
fn open(address: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    let _ = command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

/// Judges line by line from stdin, until it ends.
fn in_terminal(mut session: Session, quiet: bool) -> Result<Session, Failure> {
    let (mut comment, mut asked) = (String::new(), None);
    let mut lines = std::io::stdin().lock().lines();
    if !quiet {
        complain(help(session.view().scores));
    }
    loop {
        let view = session.view();
        let item = view.item.as_ref().map(|item| item.item);
        if asked != Some(item) {
            complain(&format!("\n{}", shown(&view)));
            comment =
                view.item.as_ref().and_then(|item| Some(item.former.as_ref()?.comment.clone())).unwrap_or_default();
        }
        let since = Instant::now();
        asked = Some(item);
        // All is done, but the last judgement may still be taken back where somebody types.
        let Some(line) = lines.next().transpose().context("cannot read stdin")? else { return Ok(session) };
        let k = view.item.as_ref().map_or(0, |item| item.answers.len());
        let outcome = match typed(&line, k, view.scores) {
            Ok(Typed::Quit) => return Ok(session),
            Ok(Typed::Nothing) => Ok(()),
            Ok(Typed::Help) => {
                complain(help(view.scores));
                Ok(())
            }
            Ok(Typed::Comment(text)) => {
                comment = text;
                Ok(())
            }
            Ok(Typed::Undo) => {
                asked = None;
                session.undo().map_err(|refusal| refusal.to_string())
            }
            Ok(Typed::Judgement(given)) => {
                let seconds = since.elapsed().as_secs_f64();
                let item = item.unwrap_or(usize::MAX);
                let given = crate::rank::Given { item, seconds, comment: comment.clone(), ..given };
                session.judge(&given).map_err(|refusal| refusal.to_string())
            }
            Err(why) => Err(why),
        };
        if let Err(why) = outcome {
            complain(&format!("{why}\n"));
        }
    }
}

/// What was done.
fn finish(args: &Args, session: &Session, before: usize) -> Result<(), Failure> {
    let (done, total) = session.progress();
    let file = session.file().display();
    print(&match args.format {
        Format::Json => {
            let document =
                json!({"schema": 1, "file": session.file(), "rater": session.rater(), "done": done, "total": total});
            format!("{document}\n")
        }
        Format::Text => {
            let now = done.saturating_sub(before);
            let next = if done < total {
                "the same command goes on".to_owned()
            } else {
                format!("tripos rank --report {file}")
            };
            format!("{file}: {now} judgements now, {done} of {total} by {}\nnext: {next}\n", session.rater())
        }
    })
}

/// Sums files up.
fn report(args: &Args) -> Result<(), Failure> {
    let mut problems = Problems::new();
    let mut files = Vec::new();
    for path in &args.report {
        let path = run_folder(path);
        let path = if path.is_dir() { path.join(RANKINGS) } else { path };
        match Rankings::read(&path) {
            Ok(read) if read.judgements.is_empty() => problems.push(RankProblem::NoJudgements.at(Place::file(&path))),
            Ok(mut read) => {
                print_problems(&read.cut.take().map_or_else(Problems::new, Problems::from));
                files.push(read);
            }
            Err(found) => problems.append(found),
        }
    }
    problems.or_ok(())?;
    let report = RankReport::of(&files);
    print(&match args.format {
        Format::Json => serde_json::to_string(&report).context("the report is no JSON")? + "\n",
        Format::Text => tables(&report),
    })
}
