//! What a gate said: the verdict, each rule with its evidence, and the comparisons that they rest on.

use super::metrics::{Scale, whisker};
use super::overview::three;
use crate::gate::{Comparison, Decision, GateRecord, Standing, p_text};
use maud::{Markup, html};

/// A decision's sign, word and class: never colour alone.
fn decided(decision: Decision) -> (&'static str, &'static str) {
    match decision {
        Decision::Pass => ("✓ pass", "good"),
        Decision::Fail => ("✗ fail", "bad"),
        Decision::Undecided => ("? undecided", "unsure"),
    }
}

fn stands(standing: Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Better => ("▲ better", "good"),
        Standing::Worse => ("▼ worse", "bad"),
        Standing::NoWorse => ("≥ no worse", "good"),
        Standing::Undecided => ("? undecided", "unsure"),
    }
}

/// The gate's part of the page.
pub(super) fn verdicts(gate: &GateRecord) -> Markup {
    let (word, class) = decided(gate.verdict);
    html! {
        section.gate aria-labelledby="gate-title" {
            h2 #gate-title { "Gate " span.verdict.(class) { (word) } }
            @if let Some(baseline) = &gate.baseline { p.note { "compared with " code { (baseline) } } }
            div.wide {
                table {
                    thead { tr { th { "verdict" } th { "variant" } th { "metric" } th { "rule" } th { "evidence" } } }
                    tbody {
                        @for rule in &gate.rules {
                            @let (word, class) = decided(rule.decision);
                            tr {
                                td { span.verdict.(class) { (word) } }
                                td { (rule.variant) }
                                td { (rule.metric) }
                                td { code { (rule.rule) } }
                                td { (rule.evidence) }
                            }
                        }
                    }
                }
            }
            @if !gate.comparisons.is_empty() { (comparisons(&gate.comparisons)) }
        }
    }
}

fn comparisons(all: &[Comparison]) -> Markup {
    let largest = all.iter().filter_map(|one| one.ci).flatten().chain(all.iter().filter_map(|one| one.difference));
    let largest = largest.map(f64::abs).fold(0.0, f64::max);
    let scale = Scale::around_zero(largest);
    html! {
        h3 { "Compared case by case" }
        div.wide {
            table.compared {
                thead {
                    tr {
                        th { "metric" } th { "baseline" } th { "candidate" } th.number { "difference" }
                        th { span.quiet { (format!("−{:.2}", scale.high)) } span.quiet.right { (format!("+{:.2}", scale.high)) } }
                        th.number { "p" } th.number { "p (Holm)" } th.number { "cases" } th.number { "changed" } th { "verdict" }
                    }
                }
                tbody { @for one in all { (comparison(one, &scale)) } }
            }
        }
    }
}

fn comparison(one: &Comparison, scale: &Scale) -> Markup {
    let (word, class) = stands(one.verdict);
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), three);
    let level = format!("{:.0} % interval", one.level * 100.0);
    html! {
        tr {
            td { (one.metric) }
            td { (one.baseline.variant) " " span.quiet { (value(one.baseline.value)) } }
            td { (one.candidate.variant) " " span.quiet { (value(one.candidate.value)) } }
            td.number { (one.difference.map_or_else(|| "–".to_owned(), |d| format!("{d:+.3}"))) }
            td.plot title=(level) { @if let Some(difference) = one.difference { (whisker(scale, difference, one.ci)) } }
            td.number { (p(one.p_value)) }
            td.number { (p(one.p_adjusted)) }
            td.number { (one.n) }
            td.number { (one.flipped.len()) }
            td { span.verdict.(class) { (word) } }
        }
    }
}

fn p(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), p_text)
}
