//! A probe's groups against each other, as tables.

use super::columns::Columns;
use crate::gate::probes;
use crate::report::probe::{head, legend, notes, rows, title};
use maud::{Markup, html};

/// The comparisons of a suite's runs; nothing where it is no probe.
pub(super) fn groups(columns: &Columns, suite: usize) -> Markup {
    let runs = columns.all.iter().filter(|column| column.suite == suite).map(|column| column.run);
    let mut runs: Vec<usize> = runs.collect();
    runs.dedup();
    let of_run = |run: usize| probes(&columns.runs[run]).into_iter().map(move |comparison| (run, comparison));
    let all: Vec<_> = runs.into_iter().flat_map(of_run).collect();
    html! {
        @for (run, comparison) in &all {
            @let label = columns.find(*run, &comparison.variant).map_or("", |at| columns.all[at].label.as_str());
            h3 { (title(comparison, label)) }
            div.wide {
                table {
                    thead { tr { @for name in head(comparison) { th { (name) } } } }
                    tbody { @for row in rows(comparison) { tr { @for cell in row { td { (cell) } } } } }
                }
            }
            @for note in notes(comparison) { p.note { (note) } }
        }
        @if let Some((_, first)) = all.first() { p.note { (legend(std::slice::from_ref(first)).join(" ")) } }
    }
}
