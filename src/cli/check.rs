//! `tripos check`: every problem of suites, their prompts and their cases, and of recipes and their data, at once, without
//! asking a model anything.

use super::elsewhere::{Absent, locate};
use super::failure::{Failure, print_problems};
use super::output::print;
use super::plan::PlanArgs;
use super::run::MachineArgs;
use crate::error::{Explain, Level, Place, Problems, render};
use crate::prompt::PromptTemplate;
use crate::report::{counted, thousands};
use crate::run::{Prepared, RunSettings, Servers};
use crate::suite::{Document, Overrides, PromptFile, SuiteError, SuiteProblem, is_elsewhere, load};
use crate::train::data::{self, Data, Loader};
use crate::train::pretrain::Base;
use crate::train::recipe::{self, Kind};
use crate::train::reinforce::Ready;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Suites and recipes (.yaml), and prompts (.txt, .yaml)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    machine: MachineArgs,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each file without errors, the problems on stderr
    Text,
    /// A JSON document
    Json,
}

/// Checks each file; exit code 2 if any has an error.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let settings = RunSettings { servers: Servers::Unasked, ..args.machine.settings(&args.plan, false)? };
    let mut reports = Vec::new();
    let mut failed = false;
    for file in &args.files {
        let (problems, what) = check(file, &args.plan, &settings);
        failed |= problems.any_error();
        match args.format {
            Format::Json => reports.push(report(file, &problems)),
            Format::Text => {
                print_problems(&problems);
                if !problems.any_error() {
                    print(&format!("{}: ok ({what})\n", file.display()))?;
                }
            }
        }
    }
    if args.format == Format::Json {
        print(&format!("{}\n", json!({"schema": 1, "files": reports})))?;
    }
    if failed { Err(Failure::Code(2)) } else { Ok(()) }
}

/// The problems of one file, and what it is where there are none.
fn check(file: &Path, plan: &PlanArgs, settings: &RunSettings) -> (Problems, String) {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => {}
        Some("jsonl" | "ndjson" | "csv") => {
            let what = "this is a case file, and only a suite says how it is read".into();
            let help = "check the suite or the recipe that names it".into();
            let problem = SuiteProblem::Contradiction { what, help };
            return (SuiteError::new(Place::file(file), problem).into(), String::new());
        }
        _ => return prompt(file),
    }
    match Document::open(file, "the file") {
        Ok(document) if document.value().is_sequence() => prompt(file),
        Ok(document) if is_recipe(&document) => recipe(file, plan, settings),
        Ok(_) => suite(file, plan, settings),
        Err(error) => (error.into(), String::new()),
    }
}

fn prompt(file: &Path) -> (Problems, String) {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            let problem = SuiteProblem::Unreadable { what: "the prompt".into(), reason: error.to_string() };
            return (SuiteError::new(Place::file(file), problem).into(), String::new());
        }
    };
    match PromptTemplate::compile(&PromptFile { path: file.to_path_buf(), text }) {
        Ok(PromptTemplate::Chat(_)) => (Problems::new(), "chat prompt".into()),
        Ok(PromptTemplate::Text(_)) => (Problems::new(), "prompt".into()),
        Err(error) => (error.into(), String::new()),
    }
}

/// Whether a map describes training rather than an examination.
fn is_recipe(document: &Document) -> bool {
    let has = |key: &str| document.value().get(key).is_some();
    has("recipe") || has("kind") && !has("suite") && !has("cases")
}

/// A recipe, and its data as the model's tokenizer sees it.
fn recipe(file: &Path, plan: &PlanArgs, settings: &RunSettings) -> (Problems, String) {
    let located = match locate(file, (plan.model.as_deref(), None), Absent::Say, true) {
        Ok(located) => located,
        Err(failure) => return (failure.problems(), String::new()),
    };
    let asked = recipe::Overrides { model: plan.model.clone(), seed: plan.seed, ..recipe::Overrides::default() };
    let overrides = recipe::Overrides { located, ..asked };
    let (recipe, mut problems) = recipe::load(file, &overrides);
    let Some(mut recipe) = recipe else { return (problems, String::new()) };
    if recipe.located.coming().next().is_some() {
        let what = format!("recipe: {}; its data is read once its models are here", recipe.kind);
        return (problems, what);
    }
    if recipe.kind.practises() {
        return practised(recipe, problems, settings);
    }
    let made = match &recipe.from_nothing {
        // Its data is read for the vocabulary; what is wrong with the recipe comes first.
        Some(_) if problems.any_error() => return (problems, String::new()),
        Some(nothing) => match Base::of(&recipe, nothing) {
            Ok(made) => Some(made),
            Err(found) => {
                problems.append(found);
                return (problems, String::new());
            }
        },
        None => None,
    };
    if let Some(made) = &made {
        recipe.model = made.file();
    }
    if !recipe.model.is_file() {
        return (problems, String::new());
    }
    documents(&recipe, problems, settings)
}

/// The data of a recipe, and what is learned of it.
fn documents(recipe: &recipe::Recipe, mut problems: Problems, settings: &RunSettings) -> (Problems, String) {
    let read = data::tokenizer(recipe, settings).and_then(|engine| match data::asked(recipe, &engine) {
        Ok(_) => data::read(recipe, &engine),
        Err(mut found) => {
            found.append(data::read(recipe, &engine).err().unwrap_or_default());
            Err(found)
        }
    });
    match read {
        Ok(mut data) => {
            problems.append(std::mem::take(&mut data.warnings));
            let rows = Loader::new(&data.train, recipe.sequence, recipe.seed).rows();
            let what = format!(
                "recipe: {}, {} documents, {} tokens, {}, {} rows of {}",
                recipe.kind,
                thousands(data.train.documents.len() as u64),
                thousands(data.train.tokens() as u64),
                learned(recipe.kind, &data),
                thousands(rows as u64),
                recipe.sequence
            );
            (problems, what)
        }
        Err(mut found) => {
            // A file that is not there, or a prompt that does not compile, was reported already.
            let said: HashSet<String> = problems.iter().map(|problem| render(problem, false)).collect();
            found.retain(|problem| {
                problem.at().is_none_or(|place| place.file.exists()) && !said.contains(&render(problem, false))
            });
            problems.append(found);
            (problems, String::new())
        }
    }
}

/// A recipe that practises, with its suite.
fn practised(recipe: recipe::Recipe, mut problems: Problems, settings: &RunSettings) -> (Problems, String) {
    if problems.any_error() {
        return (problems, String::new());
    }
    match Ready::new(recipe, settings) {
        Ok(mut ready) => {
            problems.append(std::mem::take(&mut ready.warnings));
            let (learned, held) = (thousands(ready.learned.len() as u64), thousands(ready.held_out.len() as u64));
            let each = format!("{} answers to {} prompts a round", ready.practice.answers, ready.practice.prompts);
            (problems, format!("recipe: {}, {learned} cases practised, {held} held out, {each}", ready.recipe.kind))
        }
        Err(found) => {
            problems.append(found);
            (problems, String::new())
        }
    }
}

/// How much is learned.
fn learned(kind: Kind, data: &Data) -> String {
    match kind {
        Kind::Sft | Kind::Pretrain | Kind::Grpo | Kind::Ppo => {
            format!("{} learned", thousands(data.train.targets() as u64))
        }
        Kind::Classify => format!("{} labels", data.labels.len()),
        Kind::Reward | Kind::Dpo => {
            let judged: usize = data.train.groups.iter().map(|group| group.judged.len()).sum();
            format!("{} judgements", thousands(judged as u64))
        }
    }
}

fn suite(file: &Path, plan: &PlanArgs, settings: &RunSettings) -> (Problems, String) {
    let overrides = plan.overrides(true);
    let adapter = overrides.adapter.as_ref().map(|adapter| adapter.path.as_path());
    let located = match locate(file, (plan.model.as_deref(), adapter), Absent::Say, true) {
        Ok(located) => located,
        Err(failure) => return (failure.problems(), String::new()),
    };
    let (suite, mut problems) = load(file, &Overrides { located, ..overrides });
    let Some(suite) = suite else { return (problems, String::new()) };
    let what = format!("{}, {}", counted(suite.variants.len(), "variant"), counted(suite.cases.len(), "case"));
    let picked = match plan.selection() {
        Ok(selection) => selection.plan(&suite, plan.seed.unwrap_or(0)),
        Err(Failure::Problems(found)) => Err(found),
        Err(_) => return (problems, what),
    };
    // A suite with errors is looked at further as long as there is something to look at.
    if suite.variants.is_empty() || suite.cases.is_empty() {
        return (problems, what);
    }
    match picked.and_then(|picked| Prepared::new(&suite, picked, settings)) {
        Ok(mut prepared) => {
            if let Err(found) = prepared.prompts() {
                problems.append(found);
            }
            problems.append(std::mem::take(&mut prepared.warnings));
        }
        Err(mut found) => {
            // A model that is not there was reported already, at the line that names it.
            let missing: Vec<&Path> =
                suite.variants.iter().filter_map(|v| v.model.path()).filter(|p| !p.is_file()).collect();
            let reported = |file: &Path| missing.contains(&file) || is_elsewhere(file);
            found.retain(|problem| problem.at().is_none_or(|place| !reported(&place.file)));
            problems.append(found);
        }
    }
    (problems, what)
}

fn report(file: &Path, problems: &Problems) -> Value {
    let one = |problem: &dyn Explain| {
        let place = problem.at();
        json!({
            "level": match problem.level() { Level::Error => "error", Level::Warning => "warning", Level::Note => "note" },
            "message": problem.to_string(),
            "file": place.map(|p| p.file.clone()),
            "line": place.map(|p| p.line),
            "column": place.map(|p| p.column),
            "about": problem.about(),
            "help": problem.help(),
        })
    };
    let all: Vec<Value> = problems.iter().map(one).collect();
    json!({"file": file, "ok": !problems.any_error(), "problems": all})
}
