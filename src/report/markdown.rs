//! The table as GitHub-flavoured Markdown.

use super::RunSummary;
use super::table::{Standing, costs, counts, headlines, standings, value_text};
use std::fmt::Write;

/// A table with one row a variant, the best value in bold, and what the marks mean below.
#[must_use]
pub fn markdown(run: &RunSummary) -> String {
    let names = headlines(&run.variants);
    let mut head = vec!["variant".to_owned()];
    head.extend(names.iter().map(|name| escape(name)));
    if let Some(first) = run.variants.first() {
        head.extend(counts(first).iter().map(|(title, _)| (*title).to_owned()));
        head.extend(costs(first).iter().map(|(title, _)| (*title).to_owned()));
    }
    let mut out = format!(
        "### {}\n\n| {} |\n|{}\n",
        escape(&run.header.suite_name),
        head.join(" | "),
        ":--|".to_owned() + &"--:|".repeat(head.len() - 1)
    );
    let columns: Vec<_> = names.iter().map(|name| standings(&run.variants, name)).collect();
    for (row, variant) in run.variants.iter().enumerate() {
        let metrics = columns.iter().map(|column| match column.get(row).copied().flatten() {
            Some((metric, Standing::Best)) => format!("**{}** \\*", value_text(metric)),
            Some((metric, Standing::Tie)) => format!("{} =", value_text(metric)),
            Some((metric, Standing::Other)) => value_text(metric),
            None => "–".to_owned(),
        });
        let cells: Vec<String> = std::iter::once(escape(&variant.name))
            .chain(metrics)
            .chain(counts(variant).iter().map(|(_, count)| count.to_string()))
            .chain(costs(variant).iter().map(|(_, cost)| cost.clone()))
            .collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let _ = writeln!(
        out,
        "\n95 % intervals in brackets; \\* best, = not told apart from the best. Run `{}`.",
        run.header.run
    );
    out
}

/// A text that cannot break out of its cell.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
