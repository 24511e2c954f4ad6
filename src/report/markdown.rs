//! The table as GitHub-flavoured Markdown.

use super::table::{Standing, costs, counts, decoded, elsewhere, headlines, own_n, standings, value_text};
use super::{probe, reliability};
use crate::gate::{ProbeComparison, probes};
use crate::stats::ReliabilityBin;
use crate::summary::{RunSummary, VariantSummary};
use std::fmt::Write;

/// A table with one row a variant, the best value in bold, and what the marks mean below; with `by_tag` another one for
/// the cases of each tag.
#[must_use]
pub fn markdown(run: &RunSummary, by_tag: bool) -> String {
    let mut out = format!("### {}\n\n{}", escape(&run.header.suite_name), rows(&run.variants));
    for tag in run.tags().iter().filter(|_| by_tag) {
        let _ = write!(out, "\n#### {}\n\n{}", escape(tag), rows(&run.with_tag(tag)));
    }
    let _ = writeln!(
        out,
        "\n95 % intervals in brackets; \\* best, = not told apart from the best. Run `{}`.",
        run.header.run
    );
    for line in elsewhere(run).into_iter().chain(decoded(run)) {
        let _ = writeln!(out, "\n{line}.");
    }
    out += &groups(&probes(run));
    for variant in &run.variants {
        for (scorer, bins) in &variant.reliability {
            out += &calibration(&variant.name, scorer, bins);
        }
    }
    out
}

/// How far a scorer's confidence can be trusted; empty for no answers.
fn calibration(variant: &str, scorer: &str, bins: &[ReliabilityBin]) -> String {
    let rows = reliability::rows(bins);
    if rows.is_empty() {
        return String::new();
    }
    let title = reliability::title(&escape(variant), &escape(scorer));
    let mut out = format!("\n#### {title}\n\n| {} |\n|:--|--:|--:|--:|--:|\n", reliability::HEAD.join(" | "));
    out.extend(rows.iter().map(|row| format!("| {} |\n", row.join(" | "))));
    out
}

/// A probe's groups against each other; empty for no probe.
fn groups(comparisons: &[ProbeComparison]) -> String {
    let mut out = String::new();
    for comparison in comparisons {
        let line = |cells: [String; 7]| format!("| {} |\n", cells.map(|cell| escape(&cell)).join(" | "));
        let _ = write!(
            out,
            "\n#### {}\n\n{}",
            escape(&probe::title(comparison, &comparison.variant)),
            line(probe::head(comparison))
        );
        out += "|:--|--:|--:|:--|--:|--:|:--|\n";
        out.extend(probe::rows(comparison).into_iter().map(line));
        out.extend(probe::notes(comparison).iter().map(|note| format!("\n{note}\n")));
    }
    if !comparisons.is_empty() {
        let _ = writeln!(out, "\n{}.", probe::legend(comparisons).join(" "));
    }
    out
}

fn rows(variants: &[VariantSummary]) -> String {
    let names = headlines(variants);
    let mut head = vec!["variant".to_owned()];
    head.extend(names.iter().map(|name| escape(name)));
    if let Some(first) = variants.first() {
        head.extend(counts(first).iter().map(|(title, _)| (*title).to_owned()));
        head.extend(costs(first).iter().map(|(title, _)| (*title).to_owned()));
    }
    let mut out = format!("| {} |\n|:--|{}\n", head.join(" | "), "--:|".repeat(head.len() - 1));
    let columns: Vec<_> = names.iter().map(|name| standings(variants, name)).collect();
    for (row, variant) in variants.iter().enumerate() {
        let metrics = columns.iter().map(|column| match column.get(row).copied().flatten() {
            Some((metric, standing)) => {
                let value = format!("{}{}", value_text(metric), own_n(metric, variants));
                match standing {
                    Standing::Best => format!("**{value}** \\*"),
                    Standing::Tie => format!("{value} ="),
                    Standing::Other => value,
                }
            }
            None => "–".to_owned(),
        });
        let cells: Vec<String> = std::iter::once(escape(&variant.name))
            .chain(metrics)
            .chain(counts(variant).iter().map(|(_, count)| count.to_string()))
            .chain(costs(variant).iter().map(|(_, cost)| cost.clone()))
            .collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

/// A text that cannot break out of its cell.
pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
