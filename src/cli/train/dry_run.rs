//! `--dry-run`: what training would take, and how long.

use super::super::failure::Failure;
use super::super::output::print;
use super::{Format, text};
use crate::model::{Decoder, ModelError, Settings, Trained};
use crate::report::thousands;
use crate::run::RunSettings;
use crate::seed;
use crate::train::data::Data;
use crate::train::lessons::{Lessons, material};
use crate::train::pretrain::Architecture;
use crate::train::recipe::Kind;
use crate::train::reinforce::Ready;
use crate::train::{Learner, Prepared, Pupil, Recipe, bytes_text};
use serde_json::{Value, json};
use std::time::Instant;

/// Prints it.
pub(super) fn run(prepared: &Prepared, settings: &RunSettings, format: Format) -> Result<(), Failure> {
    let Prepared { recipe, data, .. } = prepared;
    let lessons = prepared.lessons();
    let made = prepared.settings(&lessons, settings.threads);
    let (needs, memory) = prepared.estimate(&made)?;
    let pace = Pace::measure(prepared, &lessons, &made)?;
    let (step_s, total_s) = (pace.step, pace.total(recipe, lessons.steps()));
    let facts = material(&lessons, &data.train, &data.held_out);
    if format == Format::Json {
        let document = json!({
            "schema": 1, "recipe": recipe.json(), "parameters": needs.parameters, "trained": needs.trained,
            "material": facts, "first": first(data), "steps": lessons.steps(), "memory": memory, "step_s": step_s,
            "total_s": total_s,
        });
        return print(&format!("{document}\n"));
    }
    let n = thousands;
    let learned = match recipe.kind {
        Kind::Classify => String::new(),
        Kind::Reward | Kind::Dpo => format!(", {} judgements", n(facts.targets)),
        Kind::Sft | Kind::Pretrain | Kind::Grpo | Kind::Ppo => format!(", {} learned", n(facts.targets)),
    };
    let available = memory.available.map_or_else(String::new, |bytes| format!("; {} available", bytes_text(bytes)));
    let rows = facts.rows.max(1) as f64;
    let seen = lessons.steps() as f64 * recipe.batch as f64 / rows;
    let mut all = vec![
        ("recipe", format!("{} ({})", recipe.name, recipe.kind)),
        ("model", format!("{}, {} parameters", base(recipe), n(needs.parameters))),
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
        ("time", format!("about {}: {}", text::duration(total_s), pace.text())),
    ];
    all.extend(recipe.suite.as_ref().map(|suite| ("suite", suite.display().to_string())));
    all.extend(recipe.output.as_ref().map(|output| ("output", output.display().to_string())));
    let first = documents(recipe.kind, data);
    print(&format!("{}{first}", text::facts(&all)))
}

/// The same of a recipe that practises. How long its answers will be nobody knows, and so not how long it takes.
pub(super) fn practice(ready: &Ready, settings: &RunSettings, format: Format) -> Result<(), Failure> {
    let Ready { recipe, practice, .. } = ready;
    let (needs, memory) = ready.estimate(&ready.settings(settings.threads))?;
    if format == Format::Json {
        let document = json!({
            "schema": 1, "recipe": recipe.json(), "parameters": needs.parameters, "trained": needs.trained,
            "material": ready.material(), "steps": ready.steps(), "memory": memory,
        });
        return print(&format!("{document}\n"));
    }
    let n = |count: usize| thousands(count as u64);
    let available = memory.available.map_or_else(String::new, |bytes| format!("; {} available", bytes_text(bytes)));
    let rounds = ready.steps() / practice.passes;
    let seen = rounds as f64 * ready.prompts() as f64 / ready.learned.len().max(1) as f64;
    let mut all = vec![
        ("recipe", format!("{} ({})", recipe.name, recipe.kind)),
        ("model", format!("{}, {} parameters", recipe.model.display(), thousands(needs.parameters))),
        ("trained", format!("{}, {} parameters", what(&recipe.train), thousands(needs.trained))),
        (
            "practice",
            format!("{} cases of {}, variant {}", n(ready.learned.len()), practice.suite.display(), ready.variant()),
        ),
        ("held out", format!("{} cases", n(ready.held_out.len()))),
        (
            "rounds",
            format!(
                "{} of {} answers to {} prompts, {} steps each: {seen:.1} times over the cases",
                thousands(rounds),
                n(practice.answers),
                n(ready.prompts()),
                practice.passes
            ),
        ),
        ("memory", format!("about {}{available}", bytes_text(needs.bytes))),
    ];
    all.extend(recipe.suite.as_ref().map(|suite| ("suite", suite.display().to_string())));
    all.extend(recipe.output.as_ref().map(|output| ("output", output.display().to_string())));
    print(&text::facts(&all))
}

/// Lines of a document that are shown.
const LINES: usize = 12;

/// The first document of each source, as it is learned, its first lines.
fn documents(kind: Kind, data: &Data) -> String {
    let what = match kind {
        Kind::Sft | Kind::Pretrain | Kind::Grpo | Kind::Ppo => "its first document; what stands in ⟦ ⟧ is learned",
        Kind::Classify => return String::new(),
        Kind::Reward | Kind::Dpo => "its first judgement",
    };
    let document = |(at, text): &(String, String)| {
        let lines: Vec<&str> = text.lines().collect();
        let more = lines.len().saturating_sub(LINES);
        let rest = if more > 0 { format!("… and {more} more lines\n") } else { String::new() };
        let shown = lines[..lines.len() - more].join("\n");
        format!("\n{at}, {what}:\n{shown}\n{rest}")
    };
    data.first.iter().map(document).collect()
}

/// The same for a program, whole.
fn first(data: &Data) -> Vec<Value> {
    data.first.iter().map(|(at, text)| json!({"source": at, "text": text})).collect()
}

fn base(recipe: &Recipe) -> String {
    let Some(nothing) = &recipe.from_nothing else {
        return recipe.uri().map_or_else(|| recipe.model.display().to_string(), str::to_owned);
    };
    let Architecture { layers, width, heads, context, .. } = nothing.architecture;
    format!("from nothing: {layers} layers of {width}, {heads} heads, context {context}")
}

fn what(trained: &Trained) -> String {
    match trained {
        Trained::Full => "all weights".to_owned(),
        Trained::Lora(lora) => format!("an adapter of rank {}", lora.rank),
    }
}

/// Seconds that something takes.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    step: f64,
    evaluation: f64,
}

impl Pace {
    /// Measures the first micro-batch of a step, and the first held out; others are taken to be alike.
    fn measure(prepared: &Prepared, lessons: &Lessons, settings: &Settings) -> Result<Self, Failure> {
        let decoder = Decoder::open(&prepared.recipe.model, settings)?;
        let mut pupil = Pupil { decoder, shape: settings.shape.clone() };
        let mut pace = Self::default();
        let parts = lessons.parts(1);
        if let Some(rows) = parts.first() {
            let key = seed::key(prepared.recipe.seed, &["dropout", "1", "0"]);
            pace.step = parts.len() as f64 * second(|| pupil.learn(rows, key, Box::new(Clone::clone)))?;
        }
        if let Some(rows) = lessons.held_out().next() {
            pace.evaluation = lessons.held_out().count() as f64 * second(|| pupil.read(rows))?;
        }
        Ok(pace)
    }

    fn text(self) -> String {
        let evaluation =
            if self.evaluation > 0.0 { format!(", {:.2} s an evaluation", self.evaluation) } else { String::new() };
        format!("{:.2} s a step{evaluation}, as measured just now", self.step)
    }

    /// Seconds that a whole run takes.
    fn total(self, recipe: &Recipe, steps: u64) -> f64 {
        // Before the first step, at each multiple of `every`, and behind the last step.
        let evaluations = steps.checked_div(recipe.evaluate.every).map_or(0, |times| times + 2);
        self.step * steps as f64 + self.evaluation * evaluations as f64
    }
}

/// How long something takes when it is done again: the first time graphs are made, and memory is touched.
fn second<T>(mut work: impl FnMut() -> Result<T, ModelError>) -> Result<f64, ModelError> {
    work()?;
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64())
}
