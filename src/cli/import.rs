//! `tripos import`: what other tools made.

use super::failure::Failure;
use super::output::{complain, print};
use super::rewriting::Format;
use crate::error::{Explain, render};
use crate::hub::Uri;
use crate::import::{Imported, Listed, lm_eval, peft, promptfoo};
use crate::suite::is_elsewhere;
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// A LoRA adapter of Hugging Face's PEFT becomes an adapter GGUF
    Peft(Peft),
    /// A configuration of promptfoo becomes a suite, with its prompts and cases
    Promptfoo(Promptfoo),
    /// A task (or a group of tasks) of lm-evaluation-harness becomes a suite, with its prompt and cases
    LmEval(LmEval),
}

/// Arguments of `import peft`.
#[derive(Debug, clap::Args)]
struct Peft {
    /// The folder that PEFT wrote: adapter_config.json and adapter_model.safetensors
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The GGUF of the model that the adapter was trained on
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Arguments of `import promptfoo`.
#[derive(Debug, clap::Args)]
struct Promptfoo {
    /// The configuration: promptfooconfig.yaml
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model to ask instead of providers that are no GGUF files: a GGUF file, hf://owner/repo/file.gguf,
    /// https://…#sha256=…, or a server as suites name it: '{endpoint: http://localhost:8080/v1, name: NAME}'
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Arguments of `import lm-eval`.
#[derive(Debug, clap::Args)]
struct LmEval {
    /// The task's or the group's YAML
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model to ask: a GGUF file, hf://owner/repo/file.gguf, https://…#sha256=…, or a server as suites name it:
    /// '{endpoint: http://localhost:8080/v1, name: NAME}'
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The rows to ask (.jsonl, .csv, .json), or a folder with such a file for each task
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The rows that examples are taken from, in the same shapes
    #[arg(long, value_name = "FILE")]
    examples: Option<PathBuf>,
    /// Examples in a prompt, whatever the task says
    #[arg(long, alias = "num_fewshot", value_name = "N")]
    num_fewshot: Option<usize>,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The model that a flag names; one that lies elsewhere has to be named as the hub reads names, and is not fetched.
fn named(model: Option<&str>) -> Result<Option<&str>, Failure> {
    if let Some(uri) = model.filter(|model| is_elsewhere(Path::new(model))) {
        Uri::parse(uri)?;
    }
    Ok(model)
}

/// Brings it in.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    match &args.from {
        From::Peft(args) => adapter(args, quiet),
        From::Promptfoo(args) => {
            let imported = promptfoo::import(&args.file, named(args.model.as_deref())?, &args.out)?;
            say(&imported, args.format, quiet)
        }
        From::LmEval(args) => {
            let options = lm_eval::Options {
                model: named(args.model.as_deref())?,
                out: &args.out,
                data: args.data.as_deref(),
                examples: args.examples.as_deref(),
                num_fewshot: args.num_fewshot,
            };
            say(&lm_eval::import(&args.file, &options)?, args.format, quiet)
        }
    }
}

fn adapter(args: &Peft, quiet: bool) -> Result<(), Failure> {
    let model = super::elsewhere::local(&args.model, quiet)?;
    let imported = peft::import(&args.folder, &model, &args.out)?;
    if !quiet {
        imported.notes.iter().for_each(|note| complain(&format!("note: {note}\n")));
    }
    let peft::Imported { matrices, rank, alpha, interleaved, base, notes } = imported;
    print(&match args.format {
        Format::Json => {
            let document = json!({
                "schema": 1, "path": args.out, "matrices": matrices, "rank": rank, "alpha": alpha,
                "interleaved": interleaved, "base": base, "notes": notes,
            });
            format!("{document}\n")
        }
        Format::Text => {
            let of = base.map_or_else(String::new, |base| format!(", trained on {base}"));
            let rows = if interleaved > 0 { ", rows of queries and keys interleaved as in the model" } else { "" };
            let (out, model) = (args.out.display(), args.model.display());
            format!(
                "wrote {out}: {matrices} matrices, rank {rank}, alpha {alpha}{of}{rows}\n\
                 now: tripos run SUITE --model {model} --adapter {out}\n"
            )
        }
    })
}

/// What is not in the suites as it was, on stderr; the suites on stdout. What is left out is said under `--quiet`, too.
fn say(imported: &Imported, format: Format, quiet: bool) -> Result<(), Failure> {
    let colour = super::environment::stderr_colour();
    for one in imported.listed.iter().filter(|one| !quiet || one.level() == crate::error::Level::Warning) {
        complain(&render(one, colour));
    }
    print(&match format {
        Format::Json => format!("{}\n", document(imported)),
        Format::Text => lines(imported),
    })
}

fn document(imported: &Imported) -> Value {
    let suites: Vec<Value> = imported
        .suites
        .iter()
        .map(|one| json!({"path": one.path, "cases": one.cases, "variants": one.variants, "scorers": one.scorers}))
        .collect();
    let listed = |one: &Listed| {
        json!({
            "name": one.name, "fate": one.fate, "why": one.why, "help": one.help, "times": one.times,
            "file": one.place.file, "line": one.place.line, "column": one.place.column,
        })
    };
    let metric = |(there, here): &(String, String)| json!({"source": there, "metric": here});
    json!({
        "schema": 1, "suites": suites, "metrics": imported.metrics.iter().map(metric).collect::<Vec<_>>(),
        "listed": imported.listed.iter().map(listed).collect::<Vec<_>>(),
    })
}

fn lines(imported: &Imported) -> String {
    let mut text = String::new();
    let counted = |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    for suite in &imported.suites {
        let (cases, variants) = (counted(suite.cases, "case"), counted(suite.variants.len(), "variant"));
        text +=
            &format!("wrote {}: {cases}, {variants}, scored by {}\n", suite.path.display(), suite.scorers.join(", "));
    }
    for (there, here) in imported.metrics.iter().filter(|(there, here)| there != here) {
        text += &format!("`{there}` is called {here} here\n");
    }
    let paths: Vec<String> = imported.suites.iter().map(|suite| suite.path.display().to_string()).collect();
    text + &format!("now: tripos run {}\n", paths.join(" "))
}
