//! `tripos show`: a run again, as a table or case by case; and the plan that `--dry-run` prints.

use super::environment;
use super::failure::Failure;
use super::output::print;
use super::run::{By, Format, render};
use crate::error::{Problems, nearest};
use crate::report::{counted, dim, show_case, told_apart};
use crate::run::Prepared;
use crate::store::{read_header, read_samples};
use crate::summary::RunSummary;
use serde_json::json;
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

/// What would be downloaded before a suite could be run.
pub(super) fn coming(suite: &str, trials: usize, coming: &[(&str, &str)], format: Format) -> String {
    if format == Format::Json {
        let downloads: Vec<_> = coming.iter().map(|(uri, what)| json!({"uri": uri, "what": what})).collect();
        return format!("{}\n", json!({"schema": 1, "suite": suite, "trials": trials, "downloads": downloads}));
    }
    let lines: String = coming.iter().map(|(uri, what)| format!("  {uri}: {what}\n")).collect();
    format!("{suite}: {trials} trials; models that are not here yet:\n{lines}the prompts can be shown once they are\n")
}

/// The plan, and the first prompt of each variant with its few-shot block and its case told apart.
pub(super) fn plan(prepared: &Prepared, format: Format, colour: bool) -> Result<String, Problems> {
    let plan = &prepared.plan;
    let name = &prepared.suite.name;
    let (variants, cases) = (counted(plan.variants.len(), "variant"), counted(plan.cases.len(), "case"));
    let mut out = format!("{name}: {variants} × {cases} = {}\n", counted(plan.len(), "trial"));
    let mut documents = Vec::new();
    for &index in &plan.variants {
        let (Some(variant), Some(stages)) = (prepared.variant(index), prepared.stages(index)?) else { continue };
        let Some(cell) = plan.cells_of(index).next() else { continue };
        let asked = prepared.ask(&stages, cell, true);
        if asked.prompt.is_none() && asked.refusal.is_none() {
            let (trial, windows) = (prepared.trial(cell), asked.wants.len());
            let _ = writeln!(out, "\n── variant {} · text {}: {windows} windows", trial.variant, trial.case);
        }
        let (Some((prompt, tokens)), Some((_, engine, model))) = (asked.prompt, prepared.models.of(variant)) else {
            continue;
        };
        let tokens = Some(tokens).filter(|_| engine.knows_tokens());
        let trial = prepared.trial(cell);
        let (facts, sampling) = (&model.facts, &variant.sampling);
        documents.push(json!({
            "variant": trial.variant, "case": trial.case, "model": facts.path, "context": model.context,
            "sampling": sampling, "text": prompt.text, "case_start": prompt.case_start, "tokens": tokens,
        }));
        let _ = writeln!(out, "\n── variant {} · case {}", trial.variant, trial.case);
        let path = model.uri.clone().unwrap_or_else(|| facts.path.display().to_string());
        let (stored, context) = (&facts.quantisation, model.context);
        let held =
            if tokens.is_some() { format!("{stored} · context {context}") } else { "behind a server".to_owned() };
        let (most, heat) = (sampling.max_tokens, sampling.temperature);
        let _ = writeln!(out, "{path} · {held} · max_tokens {most} · temperature {heat}");
        out += &told_apart(&prompt.text, prompt.case_start, colour);
        let length = tokens.map_or_else(|| "the server's own".to_owned(), |tokens| tokens.len().to_string());
        let _ = writeln!(out, "{}", dim(&format!(" ⟵ {length} tokens"), colour));
    }
    Ok(match format {
        Format::Json => {
            let trials = plan.len();
            format!("{}\n", json!({"schema": 1, "suite": name, "trials": trials, "first_prompts": documents}))
        }
        Format::Table | Format::Markdown => out,
    })
}
