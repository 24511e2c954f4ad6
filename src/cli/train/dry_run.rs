//! `--dry-run`: what training would take, and how long.

use super::super::failure::Failure;
use super::super::output::print;
use super::{Format, text};
use crate::model::{Decoder, Settings, Trained};
use crate::run::RunSettings;
use crate::seed;
use crate::train::lessons::{Lessons, material};
use crate::train::{Learner, Prepared, Pupil, bytes_text};
use serde_json::json;
use std::time::Instant;

/// Prints it.
pub(super) fn run(prepared: &Prepared, settings: &RunSettings, format: Format) -> Result<(), Failure> {
    let Prepared { recipe, data, .. } = prepared;
    let lessons = prepared.lessons();
    let made = prepared.settings(&lessons, settings.threads);
    let (needs, memory) = prepared.estimate(&made)?;
    let step_s = time_a_step(prepared, &lessons, &made)?;
    let total_s = step_s * lessons.steps() as f64;
    let facts = material(&lessons, &data.train, &data.held_out);
    if format == Format::Json {
        let document = json!({
            "schema": 1, "recipe": recipe.json(), "parameters": needs.parameters, "trained": needs.trained,
            "material": facts, "steps": lessons.steps(), "memory": memory, "step_s": step_s, "total_s": total_s,
        });
        return print(&format!("{document}\n"));
    }
    let n = text::thousands;
    let learned = if lessons.tells_labels() { String::new() } else { format!(", {} learned", n(facts.targets)) };
    let available = memory.available.map_or_else(String::new, |bytes| format!("; {} available", bytes_text(bytes)));
    let rows = facts.rows.max(1) as f64;
    let seen = lessons.steps() as f64 * recipe.batch as f64 / rows;
    let mut all = vec![
        ("recipe", format!("{} ({})", recipe.name, recipe.kind)),
        ("model", format!("{}, {} parameters", recipe.model.display(), n(needs.parameters))),
        ("trained", format!("{}, {} parameters", what(&recipe.train), n(needs.trained))),
        (
            "data",
            format!(
                "{} documents, {} tokens{learned}, in {} rows of {}",
                n(facts.documents as u64),
                n(facts.tokens),
                n(facts.rows as u64),
                recipe.sequence
            ),
        ),
        ("held out", format!("{} documents, {} tokens", n(facts.held_out_documents as u64), n(facts.held_out_tokens))),
        (
            "steps",
            format!(
                "{} of {} rows, {} at once: {seen:.1} times over the data",
                n(lessons.steps()),
                recipe.batch,
                recipe.micro_batch
            ),
        ),
        ("memory", format!("about {}{available}", bytes_text(needs.bytes))),
        ("time", format!("about {}: {step_s:.2} s a step, measured on the first", text::duration(total_s))),
    ];
    all.extend(recipe.suite.as_ref().map(|suite| ("suite", suite.display().to_string())));
    all.extend(recipe.output.as_ref().map(|output| ("output", output.display().to_string())));
    print(&text::facts(&all))
}

fn what(trained: &Trained) -> String {
    match trained {
        Trained::Full => "all weights".to_owned(),
        Trained::Lora(lora) => format!("an adapter of rank {}", lora.rank),
    }
}

/// Seconds of a step: its first micro-batch, once to warm up and once measured, as often as a step has them.
fn time_a_step(prepared: &Prepared, lessons: &Lessons, settings: &Settings) -> Result<f64, Failure> {
    let decoder = Decoder::open(&prepared.recipe.model, settings).map_err(Failure::from)?;
    let mut pupil = Pupil { decoder, shape: settings.shape.clone() };
    let parts = lessons.parts(1);
    let Some(rows) = parts.first() else { return Ok(0.0) };
    let mut seconds = 0.0;
    for _ in 0..2 {
        let began = Instant::now();
        let key = seed::key(prepared.recipe.seed, &["dropout", "1", "0"]);
        pupil.learn(rows, key, Box::new(Clone::clone))?;
        seconds = began.elapsed().as_secs_f64();
    }
    Ok(seconds * parts.len() as f64)
}
