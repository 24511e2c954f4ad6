//! `tripos report`: runs as a page, as Markdown, JUnit, JSON or CSV; training runs as a page.

use super::compare::run_folder;
use super::failure::Failure;
use super::output::{complain, print};
use crate::error::Problems;
use crate::gate::GateRecord;
use crate::report::training::TrainingRun;
use crate::report::{self, ReportError};
use crate::summary::RunSummary;
use anyhow::Context;
use clap::ValueEnum;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The page beside a run.
pub(super) const PAGE: &str = "report.html";

/// Most samples of a run that its page is written for unasked; `tripos report` writes any.
const MOST_UNASKED: usize = 20_000;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folders of runs; or of one training run, whose page is written
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// What is written
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// The file [default: stdout; of HTML, report.html in the folder of the run]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One page that holds everything, to open from disk
    Html,
    /// A table for pull requests
    Markdown,
    /// A test case for each case, as CI systems read it
    Junit,
    /// One JSON document a run, on one line
    Json,
    /// A line for each sample
    Csv,
}

/// Writes the report, whole or not at all.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(folder) = args.runs.iter().map(|run| run_folder(run)).find(|folder| TrainingRun::is_in(folder)) {
        return of_training(args, &folder);
    }
    let mut runs = Vec::new();
    let mut problems = Problems::new();
    for run in &args.runs {
        match RunSummary::read(&run_folder(run)) {
            Ok(run) => runs.push(run),
            Err(error) => problems.push(error),
        }
    }
    problems.or_ok(())?;
    if args.format == Format::Html && args.output.is_none() && runs.len() > 1 {
        return Err(
            anyhow::anyhow!("a page of several runs belongs beside none of them: say where with -o FILE").into()
        );
    }
    if let Some(file) = &args.output {
        args.runs.iter().try_for_each(|run| spare(file, &super::compare::run_folder(run)))?;
    }
    let beside = runs.first().filter(|_| args.format == Format::Html).map(|run| run.dir.join(PAGE));
    if let Some(file) = args.output.clone().or(beside) {
        write(&file, |out| lay_out(args.format, &runs, out))?;
        complain(&format!("wrote {}\n", file.display()));
        return Ok(());
    }
    let mut text = Vec::new();
    lay_out(args.format, &runs, &mut text)?;
    print(&String::from_utf8_lossy(&text))
}

/// The page of a training run.
fn of_training(args: &Args, folder: &Path) -> Result<(), Failure> {
    if args.runs.len() > 1 {
        return Err(anyhow::anyhow!("{} is a training run: its page is written alone", folder.display()).into());
    }
    if args.format != Format::Html {
        let lines = folder.join("steps.jsonl");
        let what = "a training run is written as HTML; its figures, for programs, are the lines of";
        return Err(anyhow::anyhow!("{what} {}", lines.display()).into());
    }
    let file = args.output.clone().unwrap_or_else(|| folder.join(PAGE));
    spare(&file, folder)?;
    training_page(folder, &file)?;
    complain(&format!("wrote {}\n", file.display()));
    Ok(())
}

/// Refuses to write over what a run consists of.
fn spare(file: &Path, run: &Path) -> Result<(), Failure> {
    let own = ["json", "jsonl", "gguf"].iter().any(|ending| file.extension().is_some_and(|e| e == *ending));
    let within = matches!((file.canonicalize(), run.canonicalize()), (Ok(file), Ok(run)) if file.starts_with(&run));
    if own && within {
        let what = "is part of the run that is shown: name another file";
        return Err(anyhow::anyhow!("{} {what}", file.display()).into());
    }
    Ok(())
}

/// Writes the page of the training run in a folder, which may be under way.
pub(super) fn training_page(folder: &Path, file: &Path) -> Result<(), Failure> {
    let run = TrainingRun::read(folder).map_err(ReportError::from)?;
    write(file, |out| Ok(out.write_all(report::training::page(&run).as_bytes())?))
}

fn lay_out(format: Format, runs: &[RunSummary], out: &mut dyn Write) -> Result<(), ReportError> {
    match format {
        Format::Html => return page(runs, out),
        Format::Csv => return report::csv(runs, out),
        Format::Markdown => {
            let parts: Vec<String> = runs.iter().map(|run| report::markdown(run, false)).collect();
            out.write_all(parts.join("\n").as_bytes())?;
        }
        Format::Json => {
            for run in runs {
                writeln!(out, "{}", report::json(run, false))?;
            }
        }
        Format::Junit => {
            out.write_all(report::junit(runs)?.as_bytes())?;
        }
    }
    Ok(())
}

/// The page of some runs, with what a gate said of the first.
fn page(runs: &[RunSummary], out: &mut dyn Write) -> Result<(), ReportError> {
    let gate = runs.first().and_then(|run| {
        let text = std::fs::read(run.dir.join(super::gate::RECORD)).ok()?;
        serde_json::from_slice::<GateRecord>(&text).ok()
    });
    report::html(runs, gate.as_ref(), out)
}

/// Writes the page beside a run that was just closed; not of a very long one, where it would take longer than is liked.
/// That it cannot be written is said, and takes nothing from the run.
pub(super) fn beside(run: &RunSummary) {
    let trials: usize = run.variants.iter().map(|variant| variant.trials).sum();
    if trials > MOST_UNASKED {
        let dir = run.dir.display();
        complain(&format!("{trials} samples: tripos report {dir} writes their page\n"));
        return;
    }
    if let Err(failure) = write(&run.dir.join(PAGE), |out| page(std::slice::from_ref(run), out)) {
        failure.report();
        complain("the run is whole, only its page is missing\n");
    }
}

/// A file that appears whole or not at all.
pub(super) fn write(file: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<(), ReportError>) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let problem = || format!("cannot write {}", file.display());
    std::fs::create_dir_all(folder).with_context(problem)?;
    let temporary = tempfile::NamedTempFile::new_in(folder).with_context(problem)?;
    let mut out = std::io::BufWriter::new(temporary);
    fill(&mut out)?;
    let temporary = out.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(problem)?;
    #[cfg(unix)]
    std::fs::set_permissions(temporary.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .with_context(problem)?;
    temporary.persist(file).map_err(|error| error.error).with_context(problem)?;
    Ok(())
}
