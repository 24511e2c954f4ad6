//! The recipe of an attempt: written beside its data, so that `tripos train` can make it again.

use super::Request;
use super::apart::{Prefixes, whole};
use super::error::FixError;
use super::lessons::{Lessons, Pair};
use crate::error::{Place, Problems};
use crate::store::Sample;
use crate::suite::{Located, Suite};
use crate::train::recipe::Overrides;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What a recipe of the user's gives: everything but what it learns, from whom, what of it is held out, and where it goes.
const TAKEN: [&str; 19] = [
    "kind",
    "train",
    "schedule",
    "optimiser",
    "steps",
    "epochs",
    "batch",
    "micro_batch",
    "sequence",
    "too_long",
    "precision",
    "recompute",
    "seed",
    "beta",
    "language",
    "evaluate",
    "checkpoint",
    "template_vars",
    "date",
];
/// What is of no matter here, or is said by the suite.
const SET_ASIDE: [&str; 10] =
    ["recipe", "description", "model", "data", "held_out", "render", "leaks", "suite", "output", "licence"];
/// Rows from which on a tenth is held out, to see how learning goes.
const LOOKED_AT: usize = 100;
/// Times over the data, where no recipe says.
const EPOCHS: f64 = 4.0;
/// Rows a step.
const BATCH: u64 = 8;

/// How it is taught.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    recipe: Map<String, Value>,
    /// It learns from pairs.
    pub by_pairs: bool,
    /// Settings of the user's recipe that are not taken.
    pub set_aside: Vec<String>,
}

/// How it is taught: as the user's recipe says, or as usual.
///
/// # Errors
/// A recipe that does not pass its check, or teaches in another way than by answers or by pairs.
pub(super) fn settings(request: &Request) -> Result<Settings, Problems> {
    match &request.recipe {
        Some(path) => taken(path, &request.located),
        None => Ok(Settings { recipe: usual(), by_pairs: false, set_aside: Vec::new() }),
    }
}

/// Writes the recipe of an attempt; gives its path.
///
/// # Errors
/// A file that cannot be written.
pub(super) fn write(
    (settings, request): (Settings, &Request),
    folder: &Path,
    (model, suite): (&Path, &Suite),
    lessons: &Lessons,
) -> Result<PathBuf, Problems> {
    let Settings { mut recipe, by_pairs, .. } = settings;
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    recipe.insert("recipe".into(), format!("{}-fix", suite.name).into());
    recipe.insert("model".into(), json!(absolute(model)));
    recipe.entry("seed").or_insert_with(|| request.seed.into());
    if by_pairs {
        let pairs = pairs(folder, lessons)?;
        recipe.insert("data".into(), json!({"file": absolute(&pairs.0)}));
        recipe.insert("render".into(), pairs.1.into());
        // A chat is rendered as the suite renders it.
        let vars = Some(suite.template_vars.clone()).filter(|vars| !vars.is_empty());
        let of_chat = [("date", suite.date.clone().map(Value::from)), ("template_vars", vars.map(Value::Object))];
        recipe.extend(of_chat.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    } else {
        let (variant, scorer) = &lessons.of;
        recipe.insert("data".into(), json!({"run": absolute(&lessons.run), "variant": variant, "scorer": scorer}));
    }
    if lessons.rows() >= LOOKED_AT {
        recipe.insert("held_out".into(), json!({"share": 0.1}));
    } else {
        recipe.insert("evaluate".into(), json!({"every": 0}));
    }
    recipe.insert("output".into(), json!(absolute(folder).join("adapter.gguf")));
    let file = folder.join("recipe.yaml");
    let unwritten = |e: &std::io::Error| FixError::write("the recipe", e, &file);
    let text = serde_yaml::to_string(&Value::Object(recipe)).map_err(|e| unwritten(&std::io::Error::other(e)))?;
    std::fs::write(&file, text).map_err(|e| unwritten(&e))?;
    Ok(file)
}

fn usual() -> Map<String, Value> {
    let recipe = json!({"kind": "sft", "train": {"lora": {}}, "epochs": EPOCHS, "batch": BATCH});
    recipe.as_object().cloned().unwrap_or_default()
}

/// The settings of a recipe of the user's.
fn taken(path: &Path, located: &Located) -> Result<Settings, Problems> {
    let overrides = Overrides { located: located.clone(), ..Overrides::default() };
    let (read, problems) = crate::train::recipe::load(path, &overrides);
    if read.is_none() || problems.any_error() {
        return Err(problems);
    }
    let unfit = |what: String, help: &str| FixError::Unfit { what, help: help.into(), place: Place::file(path) };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let written: Map<String, Value> =
        serde_yaml::from_str(&text).map_err(|e| unfit(e.to_string(), "mend the recipe"))?;
    let (mut recipe, others): (Map<_, _>, Map<_, _>) =
        written.into_iter().partition(|(key, _)| TAKEN.contains(&key.as_str()));
    let kind = recipe.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !["sft", "dpo"].contains(&kind) {
        let help = "give one of `kind: sft` (from answers) or `kind: dpo` (from pairs)";
        return Err(unfit(format!("a fix cannot teach by `kind: {kind}`"), help).into());
    }
    if recipe.get("train").and_then(Value::as_str) == Some("full") {
        let help = "write `train: {lora: {rank: 16}}`: what is fixed stays apart from its base";
        return Err(unfit("a fix makes an adapter, and this recipe trains the whole model".into(), help).into());
    }
    let by_pairs = kind == "dpo";
    // Their files lie beside the user's recipe, and not beside this one.
    recipe.get_mut("evaluate").and_then(Value::as_object_mut).and_then(|evaluate| evaluate.remove("prompts"));
    let set_aside = others.keys().filter(|key| !SET_ASIDE.contains(&key.as_str())).cloned().collect();
    Ok(Settings { recipe, by_pairs, set_aside })
}

/// The pairs as a file, and how they are put to the model.
fn pairs(folder: &Path, lessons: &Lessons) -> Result<(PathBuf, &'static str), Problems> {
    let none = Prefixes::new();
    let prefixes = lessons.header.as_ref().map_or(&none, |header| &header.prefixes);
    let messages = |sample: &Sample| sample.prompt.as_ref().map(|prompt| prompt.messages.clone()).unwrap_or_default();
    let row = |pair: &Pair| {
        let messages = messages(&pair.failing);
        let prompt = if messages.is_empty() { json!(whole(&pair.failing, prefixes)) } else { json!(messages) };
        let worse = pair.failing.completion.as_ref().map_or("", |said| said.text.as_str());
        json!({"prompt": prompt, "chosen": pair.better, "rejected": worse}).to_string() + "\n"
    };
    let chat = lessons.pairs.iter().any(|pair| !messages(&pair.failing).is_empty());
    let file = folder.join("pairs.jsonl");
    let text: String = lessons.pairs.iter().map(row).collect();
    std::fs::write(&file, text).map_err(|e| FixError::write("the pairs", &e, &file))?;
    Ok((file, if chat { "chat" } else { "text" }))
}
