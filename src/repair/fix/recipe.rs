//! The recipe of an attempt: written beside its data, so that `tripos train` can make it again.

use super::Request;
use super::error::FixError;
use super::lessons::Lessons;
use crate::error::{Place, Problems};
use crate::store::{Sample, read_header};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What a recipe of the user's gives: everything but what it learns, from whom and where it goes.
const TAKEN: [&str; 14] = [
    "kind",
    "train",
    "schedule",
    "optimiser",
    "steps",
    "epochs",
    "batch",
    "micro_batch",
    "sequence",
    "precision",
    "recompute",
    "seed",
    "beta",
    "language",
];
/// Times over the data, where no recipe says.
const EPOCHS: f64 = 4.0;
/// Rows a step.
const BATCH: u64 = 8;

/// How it is taught: as the user's recipe says, or as usual.
///
/// # Errors
/// A recipe that teaches in another way than by answers or by pairs.
pub(super) fn settings(request: &Request) -> Result<Map<String, Value>, Problems> {
    request.recipe.as_ref().map_or_else(|| Ok(usual()), |path| taken(path))
}

/// Writes the recipe of an attempt; gives its path.
///
/// # Errors
/// A file that cannot be written.
pub(super) fn write(
    (mut recipe, request): (Map<String, Value>, &Request),
    folder: &Path,
    (model, suite): (&Path, &str),
    lessons: &Lessons,
) -> Result<PathBuf, Problems> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    recipe.insert("recipe".into(), format!("{suite}-fix").into());
    recipe.insert("model".into(), json!(whole(model)));
    if recipe.get("kind").and_then(Value::as_str) == Some("dpo") {
        let pairs = pairs(folder, lessons)?;
        recipe.insert("data".into(), json!({"file": whole(&pairs.0)}));
        recipe.insert("render".into(), pairs.1.into());
    } else {
        recipe.insert("data".into(), sources(lessons, &whole));
    }
    if !request.also.is_empty() {
        recipe.insert("leaks".into(), json!(request.also.iter().map(|suite| whole(suite)).collect::<Vec<_>>()));
    }
    recipe.insert("held_out".into(), json!({"share": 0.1}));
    recipe.insert("output".into(), json!(whole(folder).join("adapter.gguf")));
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
fn taken(path: &Path) -> Result<Map<String, Value>, Problems> {
    let (read, problems) = crate::train::recipe::load(path, &crate::train::recipe::Overrides::default());
    if read.is_none() {
        return Err(problems);
    }
    let unfit = |what: String, help: &str| FixError::Unfit { what, help: help.into(), place: Place::file(path) };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let written: Map<String, Value> =
        serde_yaml::from_str(&text).map_err(|e| unfit(e.to_string(), "mend the recipe"))?;
    let recipe: Map<String, Value> = written.into_iter().filter(|(key, _)| TAKEN.contains(&key.as_str())).collect();
    let kind = recipe.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !["sft", "dpo"].contains(&kind) {
        let help = "give one of `kind: sft` (from answers) or `kind: dpo` (from pairs)";
        return Err(unfit(format!("a fix cannot teach by `kind: {kind}`"), help).into());
    }
    if recipe.get("train").and_then(Value::as_str) == Some("full") {
        let help = "write `train: {lora: {rank: 16}}`: what is fixed stays apart from its base";
        return Err(unfit("a fix makes an adapter, and this recipe trains the whole model".into(), help).into());
    }
    Ok(recipe)
}

/// The runs that are learned from.
fn sources(lessons: &Lessons, whole: &dyn Fn(&Path) -> PathBuf) -> Value {
    let (variant, scorer) = &lessons.of;
    let source = |run: &PathBuf| json!({"run": whole(run), "variant": variant, "scorer": scorer});
    let mut all: Vec<Value> = lessons.references.iter().chain(&lessons.drawn).map(source).collect();
    if lessons.replayed > 0 {
        let mut replayed = source(&lessons.asked);
        replayed["limit"] = lessons.replayed.into();
        all.push(replayed);
    }
    Value::Array(all)
}

/// The pairs as a file, and how they are put to the model.
fn pairs(folder: &Path, lessons: &Lessons) -> Result<(PathBuf, &'static str), Problems> {
    let header = read_header(&lessons.asked)?;
    let prompt = |sample: &Sample| -> Option<Value> {
        let prompt = sample.prompt.as_ref()?;
        if !prompt.messages.is_empty() {
            return serde_json::to_value(&prompt.messages).ok();
        }
        let prefix = prompt.prefix.as_ref().and_then(|id| header.prefixes.get(id)).map_or("", String::as_str);
        Some(format!("{prefix}{}", prompt.text).into())
    };
    let rows = lessons.pairs.iter().filter_map(|(sample, better, worse)| {
        Some(json!({"prompt": prompt(sample)?, "chosen": better, "rejected": worse}))
    });
    let lines: Vec<String> = rows.map(|row| row.to_string()).collect();
    let chat = lessons.pairs.iter().any(|(sample, ..)| sample.prompt.as_ref().is_some_and(|p| !p.messages.is_empty()));
    let file = folder.join("pairs.jsonl");
    std::fs::write(&file, lines.join("\n") + "\n").map_err(|e| FixError::write("the pairs", &e, &file))?;
    Ok((file, if chat { "chat" } else { "text" }))
}
