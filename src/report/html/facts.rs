//! Whose runs these are and how they were made.

use super::columns::{Columns, letter, setting};
use crate::report::counted;
use crate::store::{Header, ModelRecord, Status};
use crate::summary::RunSummary;
use maud::{Markup, html};
use serde_json::Value;
use std::collections::BTreeMap;

/// Characters of a hash that are shown.
const HASH: usize = 12;

/// The top of the page.
pub(super) fn banner(columns: &Columns) -> Markup {
    let described = columns.runs.first().filter(|_| columns.suites.len() == 1);
    let description = described.and_then(|run| run.header.suite.get("description")).and_then(Value::as_str);
    html! {
        header.top {
            div.bar {
                span.mark { "tripos" }
                nav aria-label="Parts of the report" {
                    a href="#overview" { "Overview" }
                    a href="#samples" { "Samples" }
                }
                div #tools {}
            }
            h1 { (columns.title()) }
            @if let Some(description) = description { p.lead { (description) } }
            @for (number, run) in columns.runs.iter().enumerate() {
                (line(number, run, columns.runs.len() > 1))
            }
        }
    }
}

/// A run in one line.
fn line(number: usize, run: &RunSummary, several: bool) -> Markup {
    let header = &run.header;
    let trials: usize = run.variants.iter().map(|variant| variant.trials).sum();
    let state = match header.status {
        Status::Complete => None,
        Status::Started => Some("not finished"),
        Status::Interrupted => Some("interrupted"),
        Status::Failed => Some("failed"),
    };
    let started = header.segments.first().map_or("", |segment| segment.started.as_str());
    html! {
        ul.facts {
            @if several { li.letter { (letter(number)) } }
            li { code { (header.run) } }
            @if let Some(state) = state { li.warn { "▲ " (state) ": " (trials) " of " (header.trials) " trials" } }
            @for (name, what) in models(header) { li title=(what) { (name) } }
            li { (counted(header.cases.count, "case")) " × " (counted(run.variants.len(), "variant")) ", " (counted(trials, "trial")) }
            @if let Some(minute) = started.get(..16) { li { (minute.replace('T', " ")) " UTC" } }
        }
    }
}

/// The file of each model of a run, and what is known of it.
fn models(header: &Header) -> BTreeMap<String, String> {
    let name = |model: &ModelRecord| {
        let file = |path: &std::path::Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let adapter = model.adapter.as_ref().map_or_else(String::new, |(path, ..)| format!(" + {}", file(path)));
        format!("{}{adapter}", file(&model.facts.path))
    };
    header.models.values().map(|model| (name(model), about(model))).collect()
}

fn about(model: &ModelRecord) -> String {
    let facts = &model.facts;
    let hash = facts.sha256.get(..HASH).unwrap_or(&facts.sha256);
    format!("{} · {} · {} weights · sha256 {hash}…", facts.architecture, facts.quantisation, facts.parameters)
}

/// Each model as it was used, and the variants that it answered.
fn used(header: &Header) -> Vec<(&ModelRecord, Vec<&str>)> {
    let mut found: Vec<(&ModelRecord, Vec<&str>)> = Vec::new();
    for (variant, model) in &header.models {
        match found.iter_mut().find(|(known, _)| *known == model) {
            Some((_, variants)) => variants.push(variant),
            None => found.push((model, vec![variant])),
        }
    }
    found
}

/// Every setting, folded away.
pub(super) fn made(columns: &Columns) -> Markup {
    html! {
        details.made {
            summary { "How it was made" }
            @for (number, run) in columns.runs.iter().enumerate() {
                @let header = &run.header;
                @if columns.runs.len() > 1 { h3 { (letter(number)) " " (header.run) } }
                dl {
                    dt { "suite" } dd { code { (header.suite_path.display()) } }
                    dt { "program" } dd { "tripos " (header.tripos) ", " (header.llama_cpp) }
                    dt { "machine" } dd { (header.features.iter().filter_map(|f| f.strip_suffix("=1")).collect::<Vec<_>>().join(" ")) }
                    dt { "seed" } dd { (header.seed) }
                    @if !header.flags.is_empty() {
                        dt { "flags" }
                        dd { (header.flags.iter().map(|(name, value)| format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect::<Vec<_>>().join(", ")) }
                    }
                    @for (model, variants) in used(header) {
                        dt { "model" }
                        dd {
                            @if header.models.len() > variants.len() { (variants.join(", ")) ": " }
                            @if let Some(uri) = &model.uri { code { (uri) } br; }
                            code { (model.facts.path.display()) } br;
                            (about(model)) " · context " (model.context) " · " (model.policy)
                        }
                    }
                }
                @for variant in &run.variants { (asked(header, &variant.name)) }
            }
        }
    }
}

/// How a variant asks.
fn asked(header: &Header, variant: &str) -> Markup {
    let text = setting(header, variant, "prompt").map(|prompt| match prompt.get("text") {
        Some(Value::String(text)) => text.clone(),
        _ => serde_json::to_string_pretty(prompt).unwrap_or_default(),
    });
    let settings = ["sampling", "examples", "repeats", "reduce", "answer", "then"].into_iter();
    let settings = settings.filter_map(|name| Some((name, setting(header, variant, name).filter(|v| !v.is_null())?)));
    html! {
        details {
            summary { "Variant " code { (variant) } }
            @if let Some(text) = text { pre { (text) } }
            dl { @for (name, value) in settings { dt { (name) } dd { code { (value) } } } }
        }
    }
}
