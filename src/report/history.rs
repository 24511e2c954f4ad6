//! A suite over time: each variant's metrics over its runs, oldest first, and beside each change what was changed.

use super::layout::{Align, Column, tables};
use super::table::value_text;
use crate::summary::{RunSummary, VariantSummary};
use serde_json::{Value, json};
use similar::TextDiff;
use std::fmt::Write;

/// What is kept of one run of a suite: enough to say what changed since the last.
#[derive(Debug, Clone)]
pub struct Entry {
    run: String,
    started: String,
    status: String,
    variants: Vec<(VariantSummary, Settings)>,
}

/// What a variant was asked with.
#[derive(Debug, Clone, PartialEq)]
struct Settings {
    /// The prompt's text, and the second stage's behind it.
    prompt: String,
    model: String,
    cases: String,
    examples: String,
    scorers: Value,
    /// What chat templates see, and how the KV cache is kept.
    chat: Value,
    /// Versions of Tripos and of llama.cpp.
    program: String,
    /// Sampling, examples and all else that the suite says of the variant.
    others: Value,
}

impl Entry {
    /// That of a run.
    #[must_use]
    pub fn of(run: &RunSummary) -> Self {
        let settings = |variant: &VariantSummary| (variant.clone(), Settings::of(run, &variant.name));
        let started = run.header.segments.first().map(|segment| segment.started.clone()).unwrap_or_default();
        Self {
            run: run.header.run.clone(),
            started,
            status: serde_json::to_value(run.header.status)
                .ok()
                .and_then(|s| Some(s.as_str()?.to_owned()))
                .unwrap_or_default(),
            variants: run.variants.iter().map(settings).collect(),
        }
    }

    /// When the run began (RFC 3339), by which runs are sorted.
    #[must_use]
    pub fn started(&self) -> &str {
        &self.started
    }

    /// `b4b6 2026-11-24 23:32`: the end of its id, and when it began.
    fn name(&self) -> String {
        let end = self.run.rsplit('-').next().unwrap_or_default();
        format!("{end} {}", minute(&self.started))
    }

    fn variant(&self, name: &str) -> Option<&(VariantSummary, Settings)> {
        self.variants.iter().find(|(variant, _)| variant.name == name)
    }
}

impl Settings {
    fn of(run: &RunSummary, name: &str) -> Self {
        let header = &run.header;
        let variants = header.suite.get("variants").and_then(Value::as_array).into_iter().flatten();
        let mut own = variants.into_iter().filter(|variant| variant.get("name").is_some_and(|n| n == name));
        let mut others = own.next().cloned().unwrap_or_default();
        let mut prompt = text_of(others.get("prompt"));
        if let Some(then) = others.get("then").and_then(|then| then.get("prompt")) {
            let _ = write!(prompt, "\n── then ──\n{}", text_of(Some(then)));
        }
        if let Some(map) = others.as_object_mut() {
            map.retain(|key, _| !matches!(key.as_str(), "prompt" | "model" | "adapter" | "then"));
        }
        let model = header.models.get(name).map(|model| {
            let adapter =
                model.adapter.as_ref().map_or_else(String::new, |(_, sha256, scale)| format!("+{sha256}×{scale}"));
            format!("{}{adapter}", model.facts.sha256)
        });
        let scorers = header.suite.get("scorers").cloned().unwrap_or_default();
        Self {
            prompt,
            model: model.unwrap_or_default(),
            cases: header.cases.sha256.clone(),
            examples: header.examples.sha256.clone(),
            scorers,
            chat: ["date", "template_vars", "kv_type"]
                .iter()
                .filter_map(|key| header.suite.get(key))
                .cloned()
                .collect(),
            program: header.build(),
            others,
        }
    }

    /// What differs from an earlier run besides the prompt's text.
    fn changes_since(&self, before: &Self) -> Vec<&'static str> {
        let changes = [
            (self.model != before.model, "another model"),
            (self.cases != before.cases, "other cases"),
            (self.examples != before.examples, "other examples"),
            (self.chat != before.chat, "other chat settings"),
            (self.program != before.program, "another program"),
            (self.scorers != before.scorers, "other scorers"),
            (self.others != before.others, "other settings"),
        ];
        changes.into_iter().filter(|(changed, _)| *changed).map(|(_, what)| what).collect()
    }
}

fn text_of(prompt: Option<&Value>) -> String {
    prompt.and_then(|prompt| prompt.get("text")?.as_str()).unwrap_or_default().to_owned()
}

/// Each variant's runs, oldest first, with the prompt's diff below each run that changed it.
#[must_use]
pub fn history(entries: &[Entry], width: usize, colour: bool) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (variant, _) in entries.iter().flat_map(|entry| &entry.variants) {
        if !names.contains(&variant.name.as_str()) {
            names.push(&variant.name);
        }
    }
    let parts: Vec<String> = names.iter().map(|name| of_variant(name, entries, width, colour)).collect();
    parts.join("\n")
}

fn of_variant(name: &str, entries: &[Entry], width: usize, colour: bool) -> String {
    let runs: Vec<(&Entry, &(VariantSummary, Settings))> =
        entries.iter().filter_map(|entry| Some((entry, entry.variant(name)?))).collect();
    let mut metrics: Vec<&str> = Vec::new();
    for metric in
        runs.iter().flat_map(|(_, (variant, _))| variant.metrics.iter().filter(|m| variant.is_headline(&m.name)))
    {
        if !metrics.contains(&metric.name.as_str()) {
            metrics.push(&metric.name);
        }
    }
    let key = Column::new("run, began (UTC)", Align::Left, runs.iter().map(|(entry, _)| entry.name()));
    let mut columns = Vec::new();
    for metric in metrics {
        let cells = runs.iter().map(|(_, (variant, _))| {
            variant.metrics.iter().find(|m| m.name == metric).map_or_else(|| "–".to_owned(), value_text)
        });
        columns.push(Column::new(metric, Align::Left, cells));
    }
    let n = runs.iter().map(|(_, (variant, _))| variant.metrics.iter().map(|m| m.n).max().unwrap_or(0).to_string());
    columns.push(Column::new("n", Align::Right, n));
    columns.push(Column::new("what changed", Align::Left, changes(&runs)));
    let mut out = format!("{name}\n{}", tables(&key, &columns, width, colour));
    for pair in runs.windows(2) {
        if let [(_, (_, before)), (entry, (_, after))] = pair {
            out += &diff(&entry.run, &before.prompt, &after.prompt, colour);
        }
    }
    out
}

/// What each run changed, first its prompt; how a run ended that is not whole.
fn changes(runs: &[(&Entry, &(VariantSummary, Settings))]) -> Vec<String> {
    let mut before: Option<&Settings> = None;
    runs.iter()
        .map(|(entry, (_, settings))| {
            let mut changed = before.map_or_else(Vec::new, |before| settings.changes_since(before));
            if before.is_some_and(|before| before.prompt != settings.prompt) {
                changed.insert(0, "the prompt");
            }
            if entry.status != "complete" {
                changed.push(&entry.status);
            }
            before = Some(settings);
            changed.join(", ")
        })
        .collect()
}

/// `2026-11-24 21:17`.
fn minute(started: &str) -> String {
    started.get(..16).unwrap_or(started).replace('T', " ")
}

/// How a prompt changed, as a unified diff; nothing where it did not.
fn diff(run: &str, before: &str, after: &str, colour: bool) -> String {
    if before == after {
        return String::new();
    }
    let diff = TextDiff::from_lines(before, after);
    let mut out = format!("\nthe prompt as {run} changed it\n");
    for line in diff.unified_diff().context_radius(2).missing_newline_hint(false).to_string().lines() {
        let shown: String = line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        let code = match shown.chars().next() {
            Some('+') => "32",
            Some('-') => "31",
            _ => "2",
        };
        out += &if colour { format!("  \x1b[{code}m{shown}\x1b[0m\n") } else { format!("  {shown}\n") };
    }
    out
}

/// The same as one JSON document: `{"schema":1,"suite":…,"runs":[{run, started, variants:[{name, metrics, prompt}]}]}`.
#[must_use]
pub fn history_json(suite: &str, entries: &[Entry]) -> Value {
    let variant = |(variant, settings): &(VariantSummary, Settings)| json!({"name": variant.name, "metrics": variant.metrics, "prompt": settings.prompt, "model": settings.model});
    let run = |entry: &Entry| {
        let variants: Vec<Value> = entry.variants.iter().map(variant).collect();
        json!({"run": entry.run, "started": entry.started, "status": entry.status, "variants": variants})
    };
    json!({"schema": 1, "suite": suite, "runs": entries.iter().map(run).collect::<Vec<_>>()})
}
