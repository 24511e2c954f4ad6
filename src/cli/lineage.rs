//! `tripos lineage`: from a trained file or a run back to what it was made from.

use super::compare::run_folder;
use super::failure::Failure;
use super::output::print;
use super::rewriting::Format;
use crate::repair::lineage::{State, Step, lineage, short};
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `lineage`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A GGUF file, the folder of a run or of a training run, or a file that `preferences` wrote
    #[arg(value_name = "FILE|RUN")]
    what: PathBuf,
    /// Look for runs in this folder, too (repeatable)
    #[arg(long, value_name = "DIR")]
    runs: Vec<PathBuf>,
    /// Look for training runs in this folder, too (repeatable)
    #[arg(long, value_name = "DIR")]
    trainings: Vec<PathBuf>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Goes back and prints the way.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let with = |usual: &str, more: &[PathBuf]| -> Vec<PathBuf> {
        std::iter::once(PathBuf::from(usual)).chain(more.iter().cloned()).collect()
    };
    let (runs, trainings) = (with("reports", &args.runs), with("reports/train", &args.trainings));
    let step = lineage(&run_folder(&args.what), &runs, &trainings)?;
    print(&match args.format {
        Format::Json => format!("{}\n", json!({"schema": 1, "lineage": step})),
        Format::Text => page(&step),
    })
}

/// The way as a tree, and what of it is no longer what it was.
fn page(step: &Step) -> String {
    let mut text = line(step);
    branches(step, "", &mut text);
    let (mut changed, mut gone) = (0, 0);
    count(step, &mut changed, &mut gone);
    text += &match (changed, gone) {
        (0, 0) => "everything recorded is what it was\n".to_owned(),
        _ => format!("{changed} changed, {gone} gone\n"),
    };
    text
}

fn line(step: &Step) -> String {
    let mut line = format!("{} {}", step.role, step.path.display());
    if let Some(sha256) = &step.sha256 {
        let _ = write!(line, " ({})", short(sha256));
    }
    line += match step.state {
        State::Same => ": as it was",
        State::Changed => ": CHANGED",
        State::Gone => ": GONE",
        State::Unrecorded => ": nothing recorded to compare it with",
    };
    if let Some(says) = &step.says {
        let _ = write!(line, "; {says}");
    }
    line + "\n"
}

fn branches(step: &Step, before: &str, text: &mut String) {
    for (at, from) in step.from.iter().enumerate() {
        let last = at + 1 == step.from.len();
        *text += before;
        *text += if last { "└─ " } else { "├─ " };
        *text += &line(from);
        branches(from, &format!("{before}{}", if last { "   " } else { "│  " }), text);
    }
}

fn count(step: &Step, changed: &mut usize, gone: &mut usize) {
    match step.state {
        State::Changed => *changed += 1,
        State::Gone => *gone += 1,
        State::Same | State::Unrecorded => {}
    }
    step.from.iter().for_each(|from| count(from, changed, gone));
}
