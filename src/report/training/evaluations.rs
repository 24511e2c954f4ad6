//! The evaluations as a table: the figures behind the curves.

use super::TrainingRun;
use super::scale::short;
use crate::store::training::{EvaluationRecord, StepRecord};
use maud::{Markup, html};

/// One row an evaluation; the best is marked.
pub(super) fn table(run: &TrainingRun) -> Markup {
    if run.evaluations.is_empty() {
        return html! { p.note { "The held-out documents have not been looked at yet." } };
    }
    let has = |value: fn(&EvaluationRecord) -> Option<f64>| run.evaluations.iter().any(|one| value(one).is_some());
    let (perplexity, accuracy) = (has(|one| one.perplexity), has(|one| one.accuracy));
    let best = run.best().map(|best| best.step);
    let exported = run.header.outcome.as_ref().map(|outcome| outcome.exported_step);
    let mut after = 0;
    html! {
        div.wide tabindex="0" role="region" aria-labelledby="evaluations-title" {
            table {
                caption.hidden { "Held-out and training loss at each evaluation" }
                thead {
                    tr {
                        th.number scope="col" { "step" }
                        th.number scope="col" { @if run.practises() { "held-out reward" } @else { "held-out loss" } }
                        @if perplexity { th.number scope="col" { "perplexity" } }
                        @if accuracy { th.number scope="col" { "accuracy" } }
                        th.number scope="col" title="The mean over the steps since the evaluation before" { "training loss" }
                        th.number scope="col" { "rate" }
                        th.number scope="col" { "gradient norm" }
                        th.number scope="col" { "tokens/s" }
                        th scope="col" { span.hidden { "remarks" } }
                    }
                }
                tbody {
                    @for one in &run.evaluations {
                        @let since = since(run, after, one.step);
                        ({ after = one.step; "" })
                        tr.best[best == Some(one.step)] {
                            th.number scope="row" { (one.step) }
                            td.number { (short(one.reward().unwrap_or(one.held_out_loss))) }
                            @if perplexity { td.number { (cell(one.perplexity)) } }
                            @if accuracy { td.number { (one.accuracy.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", 100.0 * share))) } }
                            td.number { (cell(mean(since, |step| step.loss))) }
                            td.number { (cell(since.last().map(|step| step.lr))) }
                            td.number { (cell(mean(since, |step| step.grad_norm))) }
                            td.number { (cell(mean(since, |step| Some(step.tokens_per_s)))) }
                            td { @if best == Some(one.step) { "★ best" } @if exported == Some(one.step) { span.quiet { " exported" } } }
                        }
                    }
                }
            }
        }
    }
}

/// The steps behind `after` up to `step`.
fn since(run: &TrainingRun, after: u64, step: u64) -> &[StepRecord] {
    let from = run.steps.partition_point(|one| one.step <= after);
    let to = run.steps.partition_point(|one| one.step <= step);
    run.steps.get(from..to).unwrap_or_default()
}

/// The mean of what is finite; `None` of nothing.
fn mean(steps: &[StepRecord], value: fn(&StepRecord) -> Option<f64>) -> Option<f64> {
    let known: Vec<f64> = steps.iter().filter_map(value).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), short)
}
