//! The table that a run ends in: one row a variant, each metric with its interval, what was left out, what it cost.

use super::layout::{Align, Cell, Column, tables};
use super::{probe, reliability, repeats};
use crate::gate::probes;
use crate::stats::{Confusion, Metric, better, tie};
use crate::store::{ModelRecord, Status};
use crate::summary::{RunSummary, VariantSummary, part_of};
use std::fmt::Write;

/// The flag of a run that may end before its last case.
const EARLY: &str = "early-stop";

/// The whole text below a run, fitted to `width` columns; `colour` allows ANSI codes.
#[must_use]
pub fn table(run: &RunSummary, width: usize, colour: bool) -> String {
    let key = key(&run.variants);
    let (metrics, counts, costs) =
        (metric_columns(&run.variants), count_columns(&run.variants), cost_columns(&run.variants));
    let mut out = arranged(&key, [&metrics, &counts, &costs], width, colour);
    out += &legend(run);
    out += &repeats::table(run, width, colour);
    out += &probe::table(&probes(run), width, colour);
    for variant in &run.variants {
        for (scorer, confusion) in &variant.confusions {
            let _ = write!(out, "\n{}", labels(variant, scorer, confusion, width, colour));
        }
    }
    out += &other_readings(&run.variants, width, colour);
    for variant in &run.variants {
        for (scorer, bins) in &variant.reliability {
            out += &reliability::table(&variant.name, scorer, bins, (width, colour));
        }
    }
    out
}

/// What was judged, what was left out and what it cost: in one table where it fits, else in two, cut where neither half
/// has to be cut again.
fn arranged(key: &Column, [metrics, counts, costs]: [&[Column]; 3], width: usize, colour: bool) -> String {
    let laid = |parts: &[&[Column]]| tables(key, &parts.concat(), width, colour);
    let whole = laid(&[metrics, counts, costs]);
    if !whole.contains("\n\n") {
        return whole;
    }
    let judged = laid(&[metrics, counts]);
    if judged.contains("\n\n") {
        format!("{}\n{}", laid(&[metrics]), laid(&[counts, costs]))
    } else {
        format!("{judged}\n{}", laid(&[costs]))
    }
}

/// The metrics again for the cases of each tag.
#[must_use]
pub fn by_tag(run: &RunSummary, width: usize, colour: bool) -> String {
    let mut out = String::new();
    for tag in run.tags() {
        let variants = run.with_tag(&tag);
        let mut columns = metric_columns(&variants);
        columns.extend(count_columns(&variants));
        let _ = write!(out, "\ntag {tag}\n{}", tables(&key(&variants), &columns, width, colour));
    }
    if out.is_empty() {
        out.push_str("\nno case of this run has a tag\n");
    }
    out
}

fn key(variants: &[VariantSummary]) -> Column {
    Column::new("variant", Align::Left, variants.iter().map(|v| v.name.clone()))
}

/// The accuracies of choices that are no headlines, below.
fn other_readings(variants: &[VariantSummary], width: usize, colour: bool) -> String {
    let mut names: Vec<String> = Vec::new();
    for variant in variants {
        for metric in &variant.metrics {
            let mut parts = variant.reliability.iter().filter_map(|(scorer, _)| part_of(&metric.name, scorer));
            if parts.any(|part| matches!(part, "acc_bytes" | "acc_mi")) && !names.contains(&metric.name) {
                names.push(metric.name.clone());
            }
        }
    }
    if names.is_empty() {
        return String::new();
    }
    format!("\n{}", tables(&key(variants), &columns_of(variants, names), width, colour))
}

/// The names of the metrics shown as columns, in the order in which variants first have them.
pub(super) fn headlines(variants: &[VariantSummary]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for variant in variants {
        for metric in variant.metrics.iter().filter(|metric| variant.is_headline(&metric.name)) {
            if !names.contains(&metric.name) {
                names.push(metric.name.clone());
            }
        }
    }
    names
}

/// How a variant's metric stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Best,
    Tie,
    Other,
}

/// The metric of each variant by name, and how it stands. With one variant there is nothing to stand among.
pub(super) fn standings<'a>(variants: &'a [VariantSummary], name: &str) -> Vec<Option<(&'a Metric, Standing)>> {
    let metrics: Vec<Option<&Metric>> = variants.iter().map(|v| v.metrics.iter().find(|m| m.name == name)).collect();
    let measured = || metrics.iter().flatten().filter(|m| m.value.is_some());
    let mut best: Option<&Metric> = None;
    for metric in measured() {
        if best.is_none_or(|b| better(metric, b)) {
            best = Some(metric);
        }
    }
    let alone = measured().count() < 2;
    metrics
        .into_iter()
        .map(|metric| {
            let metric = metric?;
            let standing = match best {
                Some(best) if !alone && std::ptr::eq(best, metric) => Standing::Best,
                Some(best) if !alone && metric.value.is_some() && tie(best, metric) => Standing::Tie,
                _ => Standing::Other,
            };
            Some((metric, standing))
        })
        .collect()
}

fn metric_columns(variants: &[VariantSummary]) -> Vec<Column> {
    columns_of(variants, headlines(variants))
}

/// A column for each metric of these names.
fn columns_of(variants: &[VariantSummary], names: Vec<String>) -> Vec<Column> {
    names
        .into_iter()
        .map(|name| {
            let cells: Vec<Cell> = standings(variants, &name)
                .into_iter()
                .map(|found| match found {
                    None => Cell::from("–"),
                    Some((metric, standing)) => {
                        let mark = match standing {
                            Standing::Best => " *",
                            Standing::Tie => " =",
                            Standing::Other => "",
                        };
                        let n = own_n(metric, variants);
                        Cell { text: format!("{}{n}{mark}", value_text(metric)), bold: standing == Standing::Best }
                    }
                })
                .collect();
            Column::new(name, Align::Left, cells)
        })
        .collect()
}

/// ` n 12` where a metric rests on other cases than the others do, so that the column `n` would not be its own.
pub(super) fn own_n(metric: &Metric, variants: &[VariantSummary]) -> String {
    let differ = |v: &VariantSummary| {
        let mut counts = v.metrics.iter().filter(|m| v.is_headline(&m.name)).map(|m| m.n);
        counts.next().is_some_and(|first| counts.any(|n| n != first))
    };
    if variants.iter().any(differ) { format!(" n {}", metric.n) } else { String::new() }
}

/// `0.425 [0.36, 0.49]`; a dash where nothing was scored.
pub(super) fn value_text(metric: &Metric) -> String {
    match (metric.value, metric.ci) {
        (Some(value), Some([low, high])) => format!("{value:.3} [{low:.2}, {high:.2}]"),
        (Some(value), None) => format!("{value:.3}"),
        (None, _) => "–".to_owned(),
    }
}

/// Cases scored by any scorer, and those that some scorer found unscored, without an answer, or cut.
pub(super) fn counts(variant: &VariantSummary) -> [(&'static str, usize); 4] {
    let most = |count: fn(&Metric) -> usize| variant.metrics.iter().map(count).max().unwrap_or(0);
    [
        ("n", most(|m| m.n)),
        ("unscored", most(|m| m.unscored)),
        ("no answer", most(|m| m.no_answer)),
        ("cut", most(|m| m.cut)),
    ]
}

fn count_columns(variants: &[VariantSummary]) -> Vec<Column> {
    (0..4)
        .filter_map(|i| {
            let cells = variants.iter().map(|v| counts(v)[i].1.to_string());
            Some(Column::new(counts(variants.first()?)[i].0, Align::Right, cells))
        })
        .collect()
}

/// Tokens in and out, tokens drawn a second, seconds a trial; a dash where nothing was said, where all came from the cache, or
/// where a server does not count its prompts.
pub(super) fn costs(variant: &VariantSummary) -> [(&'static str, String); 4] {
    let usage = &variant.usage;
    let timed = usage.elapsed_s > 0.0 && usage.fresh > 0;
    let per_second = usage.fresh_completion_tokens as f64 / usage.elapsed_s;
    let per_case = usage.elapsed_s / usage.fresh as f64;
    let says = usage.completions > 0;
    let or_dash = |shown: bool, text: String| if shown { text } else { "–".to_owned() };
    [
        ("tokens in", or_dash(!says || usage.prompt_tokens > 0, usage.prompt_tokens.to_string())),
        ("out", or_dash(says, usage.completion_tokens.to_string())),
        ("tok/s", or_dash(says && timed, format!("{per_second:.0}"))),
        ("s/case", or_dash(timed, format!("{per_case:.3}"))),
    ]
}

fn cost_columns(variants: &[VariantSummary]) -> Vec<Column> {
    (0..4)
        .filter_map(|i| {
            let cells: Vec<String> = variants.iter().map(|v| costs(v)[i].1.clone()).collect();
            Some(Column::new(costs(variants.first()?)[i].0, Align::Right, cells))
        })
        .collect()
}

/// How much of the prompts had to be decoded, where sharing what they begin with saved some of it; and what judges took.
pub(super) fn decoded(run: &RunSummary) -> Vec<String> {
    let sum = |count: fn(&VariantSummary) -> usize| run.variants.iter().map(count).sum::<usize>();
    let (apart, decoded) = (sum(|v| v.usage.fresh_apart), sum(|v| v.usage.prompt_tokens_decoded));
    let what = if sum(|v| v.usage.fresh_candidates) > 0 { "prompt and candidate" } else { "prompt" };
    let judges = sum(|v| v.usage.judge_tokens_decoded);
    let mut lines = Vec::new();
    if (1..apart).contains(&decoded) {
        let saved = 100.0 * (apart - decoded) as f64 / apart as f64;
        lines.push(format!("prefix tree: {decoded} of {apart} {what} tokens decoded ({saved:.0} % saved)"));
    }
    if judges > 0 {
        lines.push(format!("judges decoded {judges} tokens"));
    }
    lines
}

/// What models were named as that lie elsewhere, and which bytes those are; their files are in the run's header.
pub(super) fn elsewhere(run: &RunSummary) -> Vec<String> {
    let line = |model: &ModelRecord| {
        let sha256 = model.facts.sha256.get(..12).unwrap_or(&model.facts.sha256);
        Some(format!("model {} (sha256 {sha256}…)", model.uri.as_ref()?))
    };
    let mut lines: Vec<String> = run.header.models.values().filter_map(line).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// What the marks mean and where the numbers come from.
fn legend(run: &RunSummary) -> String {
    let mut out = String::from("\n95 % intervals in brackets");
    if run.variants.len() > 1 {
        out += "; * best, = not told apart from the best (intervals overlap)";
    }
    out.push('\n');
    let cached: usize = run.variants.iter().map(|v| v.cached).sum();
    let trials: usize = run.variants.iter().map(|v| v.trials).sum();
    if cached > 0 {
        let _ = writeln!(out, "{cached} of {trials} answers came from the cache");
    }
    for line in elsewhere(run).into_iter().chain(decoded(run)) {
        let _ = writeln!(out, "{line}");
    }
    if run.header.status == Status::Complete && trials < run.header.trials && !run.header.flags.contains_key(EARLY) {
        let (all, dir) = (run.header.trials, run.dir.display());
        let _ = writeln!(out, "{trials} of {all} trials are there; the others are asked again with --resume {dir}");
    }
    if run.header.status != Status::Complete {
        let state = match run.header.status {
            Status::Interrupted => "interrupted",
            Status::Failed => "failed",
            _ => "not finished",
        };
        let _ = writeln!(
            out,
            "the run is {state}: {trials} of {} trials; go on with --resume {}",
            run.header.trials,
            run.dir.display()
        );
    }
    out
}

/// A label scorer's figures for each label, and its confusion matrix.
fn labels(variant: &VariantSummary, scorer: &str, confusion: &Confusion, width: usize, colour: bool) -> String {
    let names = || confusion.labels.iter().cloned();
    let find = |name: String| {
        let name = format!("{scorer}.{name}");
        variant.metrics.iter().find(|m| m.name == name).map_or_else(|| "–".to_owned(), value_text)
    };
    let averages = ["macro", "micro"];
    let mut columns: Vec<Column> = ["precision", "recall", "f1"]
        .map(|part| {
            let each = names().map(|label| find(format!("{part}.{label}")));
            let cells = each.chain(averages.map(|average| find(format!("{part}_{average}"))));
            Column::new(part, Align::Left, cells)
        })
        .into();
    columns.push(Column::new(
        "of",
        Align::Right,
        confusion.counts.iter().map(|row| row.iter().sum::<usize>().to_string()),
    ));
    let mut out = format!("{} · {scorer} by label\n", variant.name);
    let rows = names().chain(averages.map(|average| format!("({average})")));
    out += &tables(&Column::new("label", Align::Left, rows), &columns, width, colour);
    let mut matrix: Vec<Column> = Vec::new();
    for (i, title) in names().chain(["not understood".to_owned()]).enumerate() {
        let cells = confusion.counts.iter().map(|row| row.get(i).copied().unwrap_or(0).to_string());
        matrix.push(Column::new(title, Align::Right, cells));
    }
    let _ = write!(out, "\n{} · {scorer}: truth down, answer across\n", variant.name);
    out + &tables(&Column::new("truth", Align::Left, names()), &matrix, width, colour)
}
