//! Two runs side by side: each metric with its difference, how sure that is, and what so many cases could have shown; then
//! the cases that flipped, with both answers.

use super::layout::{Align, Column, tables};
use crate::gate::{Comparison, Flip, Standing, figure, p_text, signed, test_name};
use crate::store::{Repeat, Sample, StoreError, Trial, read_samples_of};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;

/// Most characters of an answer that are shown.
const MOST: usize = 26;

/// What the two sides said to the cases that flipped: by side (baseline first), variant and case.
pub type Answers = HashMap<(usize, String, String), Vec<Sample>>;

/// The comparisons of one pair of variants as text, fitted to `width` columns; `flips` is how many flipped cases of a
/// metric are shown.
#[must_use]
pub fn comparison(all: &[Comparison], answers: &Answers, flips: usize, (width, colour): (usize, bool)) -> String {
    let Some(first) = all.first() else { return String::new() };
    let mut out = format!("{} → {}\n", side(first, true), side(first, false));
    let key = Column::new("metric", Align::Left, all.iter().map(|one| one.metric.clone()));
    let column =
        |title: &str, cell: &dyn Fn(&Comparison) -> String| Column::new(title, Align::Left, all.iter().map(cell));
    let level = format!("{:.0} %", first.level * 100.0);
    let found = [
        column("before", &|one| or_dash(one.baseline.value.map(figure))),
        column("after", &|one| or_dash(one.candidate.value.map(figure))),
        column(&format!("difference, {level}"), &change),
        column("verdict", &|one| verdict(one.verdict).to_owned()),
    ];
    out += &tables(&key, &found, width, colour);
    let tested = [
        column("test", &|one| test_name(one.test).trim_start_matches("exact ").to_owned()),
        column("lost, won", &|one| or_dash(one.discordant.map(|[lost, won]| format!("{lost}, {won}")))),
        column("p", &|one| or_dash(one.p_value.map(p_text))),
        column("p (Holm)", &|one| or_dash(one.p_adjusted.map(p_text))),
        column("n", &|one| one.n.to_string()),
        column("detectable", &|one| one.minimum_detectable.map_or_else(|| "none".to_owned(), figure)),
        column("more for 0.03", &more_cases),
    ];
    let _ = write!(out, "\n{}", tables(&key, &tested, width, colour));
    out += &unpaired(first);
    for one in all {
        out += &flipped(one, answers, flips, (width, colour));
    }
    out
}

/// What the columns mean, once below all.
#[must_use]
pub fn comparison_legend() -> &'static str {
    "\ndetectable: the smallest true difference that so many cases show in 4 of 5 tries (none: no difference can be seen \
     here);\nmore for 0.03: cases to add for a difference of 0.03. Paired by case; Holm over the metrics shown first.\n"
}

fn side(one: &Comparison, baseline: bool) -> String {
    let (this, other) = if baseline { (&one.baseline, &one.candidate) } else { (&one.candidate, &one.baseline) };
    match (this.run == other.run, this.variant == other.variant) {
        (true, _) => this.variant.clone(),
        (false, _) => format!("{} · {}", this.run, this.variant),
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// `+0.100 [+0.050, +0.150]`.
pub(super) fn change(one: &Comparison) -> String {
    match (one.difference, one.ci) {
        (Some(change), Some([low, high])) => format!("{} [{}, {}]", signed(change), signed(low), signed(high)),
        (Some(change), None) => signed(change),
        (None, _) => "–".to_owned(),
    }
}

pub(super) fn verdict(standing: Standing) -> &'static str {
    match standing {
        Standing::Better => "better",
        Standing::Worse => "worse",
        Standing::NoWorse => "no worse",
        Standing::Undecided => "undecided",
    }
}

/// How many cases more a difference of three points needs.
pub(super) fn more_cases(one: &Comparison) -> String {
    one.cases_for_three_points.map_or_else(|| "–".to_owned(), |cases| cases.saturating_sub(one.n).to_string())
}

/// The cases that could not be paired, by why.
fn unpaired(one: &Comparison) -> String {
    let mut out = String::new();
    for (cases, what) in [
        (&one.only_baseline, "only before"),
        (&one.only_candidate, "only after"),
        (&one.unscored, "scored on one side only"),
        (&one.changed, "ask something else now, left out"),
    ] {
        if !cases.is_empty() {
            let _ = writeln!(out, "{what}: {} ({})", cases.len(), some(cases));
        }
    }
    out
}

/// The first few of some ids.
pub(super) fn some(cases: &[String]) -> String {
    let shown: Vec<String> = cases.iter().take(5).map(|case| case.replace(char::is_control, " ")).collect();
    let more = if cases.len() > shown.len() { ", …" } else { "" };
    shown.join(", ") + more
}

/// The cases that flipped, the worst first, with both answers; nothing where none did.
#[must_use]
pub fn flipped(one: &Comparison, answers: &Answers, most: usize, (width, colour): (usize, bool)) -> String {
    let shown: Vec<&Flip> = one.flipped.iter().take(most).collect();
    if shown.is_empty() {
        return String::new();
    }
    let count = one.flipped.len();
    let first = if shown.len() < count { format!(", the first {} of them", shown.len()) } else { String::new() };
    let cases = if count == 1 { "case" } else { "cases" };
    let mut out = format!("\n{}: {count} {cases} changed, the worst first{first}\n", one.metric);
    let scorer = one.metric.as_str();
    let said = |side: usize, variant: &str, flip: &Flip| {
        let key = (side, variant.to_owned(), flip.case.clone());
        answers.get(&key).map_or_else(String::new, |samples| answer(samples, scorer))
    };
    let key = Column::new("case", Align::Left, shown.iter().map(|flip| flip.case.clone()));
    let columns = [
        Column::new("was", Align::Left, shown.iter().map(|flip| value(&flip.from))),
        Column::new("is", Align::Left, shown.iter().map(|flip| value(&flip.to))),
        Column::new("answer before", Align::Left, shown.iter().map(|flip| said(0, &one.baseline.variant, flip))),
        Column::new("answer after", Align::Left, shown.iter().map(|flip| said(1, &one.candidate.variant, flip))),
    ];
    out += &tables(&key, &columns, width, colour);
    out
}

pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Bool(true) => "pass".to_owned(),
        Value::Bool(false) => "fail".to_owned(),
        other => other.as_f64().map_or_else(|| other.to_string(), figure),
    }
}

/// What was read from an answer, else its end; of several repeats each.
fn answer(samples: &[Sample], metric: &str) -> String {
    let one = |sample: &Sample| {
        let belongs =
            |name: &str| metric.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let score = sample.scores.iter().find(|score| belongs(&score.scorer));
        let read = score.and_then(|score| score.answer.clone());
        let said = sample.completion.as_ref().map(|said| said.text.trim());
        let text = read.or_else(|| said.and_then(|said| said.lines().last()).map(str::to_owned)).unwrap_or_default();
        let short: String = text.chars().take(MOST).collect();
        if short.len() < text.len() { short + "…" } else { short }
    };
    samples.iter().map(one).collect::<Vec<_>>().join(" | ")
}

/// What both runs said to the cases that flipped, as far as they are shown; `None` for a side that is no run.
///
/// # Errors
/// The samples of a run cannot be read.
pub fn answers(all: &[Comparison], flips: usize, runs: [Option<&Path>; 2]) -> Result<Answers, StoreError> {
    let mut answers = Answers::new();
    for (side, run) in runs.into_iter().enumerate() {
        let shown: HashSet<(&str, &str)> = all
            .iter()
            .flat_map(|one| {
                let variant = if side == 0 { &one.baseline.variant } else { &one.candidate.variant };
                one.flipped.iter().take(flips).map(|flip| (variant.as_str(), flip.case.as_str()))
            })
            .collect();
        let Some(run) = run.filter(|_| !shown.is_empty()) else { continue };
        let wanted = |trial: &Trial| {
            trial.repeat != Repeat::Reduced && shown.contains(&(trial.variant.as_str(), trial.case.as_str()))
        };
        read_samples_of(run, wanted, |sample| {
            let key = (side, sample.trial.variant.clone(), sample.trial.case.clone());
            answers.entry(key).or_default().push(sample);
        })?;
    }
    Ok(answers)
}

/// The comparisons as GitHub-flavoured Markdown.
#[must_use]
pub fn comparison_markdown(all: &[Comparison]) -> String {
    let mut out = String::from(
        "| metric | before | after | difference | p | p (Holm) | n | verdict |\n|:--|--:|--:|:--|--:|--:|--:|:--|\n",
    );
    let Some(first) = all.first() else { return String::new() };
    let title = format!(
        "#### {} → {}\n\n",
        super::markdown::escape(&side(first, true)),
        super::markdown::escape(&side(first, false))
    );
    for one in all {
        let cells = [
            super::markdown::escape(&one.metric),
            or_dash(one.baseline.value.map(figure)),
            or_dash(one.candidate.value.map(figure)),
            change(one),
            or_dash(one.p_value.map(p_text)),
            or_dash(one.p_adjusted.map(p_text)),
            one.n.to_string(),
            verdict(one.verdict).to_owned(),
        ];
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    title
        + &out
        + &unpaired(first).lines().map(|line| format!("\n{}\n", super::markdown::escape(line))).collect::<String>()
}
