//! What the runs come to, before any script: whose they are, verdicts, metrics, costs, matrices, curves.

use super::columns::Columns;
use super::{cost, curves, facts, groups, metrics, verdicts};
use crate::gate::GateRecord;
use maud::{Markup, html};

/// The page from its top to the samples.
pub(super) fn overview(columns: &Columns, gate: Option<&GateRecord>) -> Markup {
    html! {
        (facts::banner(columns))
        section #overview aria-label="Overview" {
            @if let Some(gate) = gate { (verdicts::verdicts(gate)) }
            @for (number, suite) in columns.suites.iter().enumerate() {
                section.suite {
                    @if columns.suites.len() > 1 { h2 { (suite) } }
                    (metrics::metrics(columns, number, &cost::cost(columns, number)))
                    (groups::groups(columns, number))
                    div.figures { (curves::reliability(columns, number)) (curves::confusions(columns, number)) }
                }
            }
            (facts::made(columns))
        }
    }
}

/// A value: three digits behind the point, fewer where there are many before it.
pub(super) fn three(number: f64) -> String {
    match number.abs() {
        size if size >= 1_000.0 => format!("{number:.0}"),
        size if size >= 100.0 => format!("{number:.1}"),
        _ => format!("{number:.3}"),
    }
}

/// A bound of an interval: a digit less than its value.
pub(super) fn two(number: f64) -> String {
    if number.abs() >= 100.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}
