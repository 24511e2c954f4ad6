//! `tripos history`: a suite's runs over time, each change of score beside the change of prompt that came with it.

use super::asking::AT;
use super::environment;
use super::failure::Failure;
use super::output::{complain, print};
use crate::error::{did_you_mean, nearest};
use crate::report::{Entry, history, history_json};
use crate::store::read_header;
use crate::suite::Document;
use crate::summary::RunSummary;
use clap::ValueEnum;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Arguments of `history`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A suite's file, or its name
    #[arg(value_name = "SUITE")]
    suite: PathBuf,
    /// Folder that holds the folders of the runs
    #[arg(long, value_name = "DIR", default_value = "reports")]
    out: PathBuf,
    /// Only this variant (repeatable)
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table a variant, with the prompts' diffs
    Table,
    /// A JSON document
    Json,
}

/// Prints the runs of a suite, oldest first. A run that cannot be read is said and passed over.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let name = suite_name(&args.suite);
    let mut entries = Vec::new();
    let mut variants = BTreeSet::new();
    let mut others = BTreeSet::new();
    for folder in folders(&args.out)? {
        match read_header(&folder) {
            // The past, asked again to be compared with, is no step of the way.
            Ok(header) if header.suite_name == name && header.flags.contains_key(AT) => {}
            Ok(header) if header.suite_name == name => match RunSummary::read(&folder) {
                Ok(mut summary) => {
                    variants.extend(summary.variants.iter().map(|variant| variant.name.clone()));
                    summary.variants.retain(|v| args.variant.is_empty() || args.variant.contains(&v.name));
                    entries.push(Entry::of(&summary));
                }
                Err(error) => complain(&format!("passed over {}: {error}\n", folder.display())),
            },
            Ok(header) => {
                others.insert(header.suite_name);
            }
            Err(error) => complain(&format!("passed over {}: {error}\n", folder.display())),
        }
    }
    if entries.is_empty() {
        let near = nearest(&name, others.iter().map(String::as_str));
        let known = others.iter().cloned().collect::<Vec<_>>().join(", ");
        let hint = match (near, known.as_str()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, "") => "run it first: tripos run SUITE".to_owned(),
            (None, known) => format!("there are runs of {known}"),
        };
        return Err(anyhow::anyhow!("{} holds no run of suite `{name}`; {hint}", args.out.display()).into());
    }
    if let Some(unknown) = args.variant.iter().find(|name| !variants.contains(*name)) {
        let help = did_you_mean(unknown, &variants.iter().map(String::as_str).collect::<Vec<_>>());
        return Err(anyhow::anyhow!("no run of suite `{name}` has a variant `{unknown}`; {help}").into());
    }
    entries.sort_by(|a, b| a.started().cmp(b.started()));
    print(&match args.format {
        Format::Table => history(&entries, environment::width(), environment::stdout_colour()),
        Format::Json => format!("{}\n", history_json(&name, &entries)),
    })
}

/// The name that a suite's file gives itself; what is no file is a name.
fn suite_name(suite: &Path) -> String {
    let document = suite.is_file().then(|| Document::open(suite, "the suite").ok()).flatten();
    let named = document.and_then(|document| Some(document.value().get("suite")?.as_str()?.to_owned()));
    named.unwrap_or_else(|| suite.display().to_string())
}

/// The folders of runs in a folder.
fn folders(parent: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(parent).map_err(|error| {
        anyhow::anyhow!("cannot read {}: {error}; say where the runs are with --out DIR", parent.display())
    })?;
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.join("header.json").is_file()).collect();
    folders.sort();
    Ok(folders)
}
