//! `tripos show`: a run again, as a table or case by case; and the plan that `--dry-run` prints.

use super::environment;
use super::failure::Failure;
use super::output::print;
use super::run::{By, Format, render};
use crate::error::{Problems, nearest};
use crate::report::{RunSummary, show_case};
use crate::run::Prepared;
use crate::store::{read_header, read_samples};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of a run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Show this case in full, as every variant answered it (repeatable)
    #[arg(long, value_name = "ID")]
    case: Vec<String>,
    /// Only this variant of it (repeatable)
    #[arg(long, value_name = "NAME", requires = "case")]
    variant: Vec<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Also one table for each tag
    #[arg(long, value_name = "WHAT")]
    by: Option<By>,
}

/// Prints the table, or the cases asked for.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.case.is_empty() {
        let summary = RunSummary::read(&args.run)?;
        return print(&render(&summary, args.format, args.by)?);
    }
    let header = read_header(&args.run)?;
    let mut out = String::new();
    let mut ids = Vec::new();
    read_samples(&args.run, |sample| {
        let wanted = args.variant.is_empty() || args.variant.contains(&sample.trial.variant);
        if wanted && args.case.contains(&sample.trial.case) {
            match args.format {
                Format::Json => {
                    let _ = writeln!(out, "{}", serde_json::to_value(&sample).unwrap_or_default());
                }
                Format::Table | Format::Markdown => {
                    out += &show_case(&header, &sample, environment::stdout_colour());
                    out.push('\n');
                }
            }
        }
        ids.push(sample.trial.case);
    })?;
    if out.is_empty() {
        let (asked, run) = (args.case.join(", "), args.run.display());
        let near = args.case.first().and_then(|id| nearest(id, ids.iter().map(String::as_str)));
        let hint = near.map_or_else(String::new, |id| format!("; did you mean `{id}`?"));
        return Err(anyhow::anyhow!("{run} has no sample of case {asked}{hint}").into());
    }
    print(&out)
}

/// The plan, and the first prompt of each variant with its few-shot block and its case told apart.
pub(super) fn plan(prepared: &Prepared, colour: bool) -> Result<String, Problems> {
    let (variants, cases) = (prepared.plan.variants.len(), prepared.plan.cases.len());
    let mut out =
        format!("{}: {variants} variants × {cases} cases = {} trials\n", prepared.suite.name, prepared.plan.len());
    let dim = |text: &str| if colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() };
    for &index in &prepared.plan.variants {
        let (Some(variant), Some(renderer)) = (prepared.variant(index), prepared.renderer(index)?) else { continue };
        let Some(cell) = prepared.plan.cells_of(index).next() else { continue };
        let asked = prepared.ask(&renderer, cell, true);
        let trial = prepared.trial(cell);
        let _ = writeln!(out, "\n── variant {} · case {}", trial.variant, trial.case);
        if let Some((_, _, model)) = prepared.models.of(variant) {
            let sampling = &variant.sampling;
            let _ = writeln!(
                out,
                "{} · {} · context {} · max_tokens {} · temperature {}",
                model.facts.path.display(),
                model.facts.quantisation,
                model.context,
                sampling.max_tokens,
                sampling.temperature
            );
        }
        if let Some((prompt, tokens)) = &asked.prompt {
            let (block, case) = prompt.text.split_at(prompt.text.floor_char_boundary(prompt.case_start));
            if !block.is_empty() {
                let _ = writeln!(out, "{}\n{}\n{}", dim("[examples]"), dim(block.trim_end()), dim("[case]"));
            }
            let _ = writeln!(out, "{case}{}", dim(&format!(" ⟵ {} tokens", tokens.len())));
        }
    }
    Ok(out)
}
