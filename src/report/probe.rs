//! A probe's groups against each other, below the table of a run.

use super::layout::{Align, Column, tables};
use crate::gate::{GroupDifference, ProbeComparison};
use crate::stats::fewest_signs;
use std::fmt::Write;

/// What stands above the figures of two groups: `plain · women against men (name swapped, 48 pairs)`; `variant` is what
/// the variant is called there.
pub(super) fn title(comparison: &ProbeComparison, variant: &str) -> String {
    let ProbeComparison { swap, groups: [one, other], pairs, .. } = comparison;
    format!("{variant} · {one} against {other} ({swap} swapped, {pairs} pair{})", if *pairs == 1 { "" } else { "s" })
}

/// The titles of the columns.
pub(super) fn head(comparison: &ProbeComparison) -> [String; 7] {
    let [one, other] = &comparison.groups;
    let difference = format!("{one} − {other}");
    let unit = format!("{}s", comparison.unit.name());
    ["metric".to_owned(), one.clone(), other.clone(), difference, unit, "p".to_owned(), "apart".to_owned()]
}

/// One row a metric.
pub(super) fn rows(comparison: &ProbeComparison) -> Vec<[String; 7]> {
    comparison.differences.iter().map(row).collect()
}

fn row(difference: &GroupDifference) -> [String; 7] {
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    let [one, other] = difference.values.map(number);
    let between = match (difference.difference, difference.ci) {
        (Some(value), Some([low, high])) => format!("{value:+.3} [{low:.2}, {high:.2}]"),
        (Some(value), None) => format!("{value:+.3}"),
        (None, _) => "–".to_owned(),
    };
    let p = match difference.p_adjusted {
        Some(p) if p < 0.0005 => "<0.001".to_owned(),
        p => number(p),
    };
    let told = if difference.told_apart { "yes" } else { "no" };
    [difference.metric.clone(), one, other, between, difference.n.to_string(), p, told.to_owned()]
}

/// What was left out, and what so few could have shown: a line each.
pub(super) fn notes(comparison: &ProbeComparison) -> Vec<String> {
    let pairs = |count: usize| if count == 1 { "1 pair".to_owned() } else { format!("{count} pairs") };
    let one_sided = comparison.one_sided;
    let mut lines = Vec::new();
    if one_sided > 0 {
        lines.push(format!("left out, asked on one side only: {}", pairs(one_sided)));
    }
    for difference in comparison.differences.iter().filter(|difference| difference.unscored > 0) {
        let (metric, count) = (&difference.metric, pairs(difference.unscored));
        lines.push(format!("left out of {metric}, unscored on a side: {count}"));
    }
    for difference in comparison.differences.iter().filter(|difference| !difference.told_apart && difference.n > 0) {
        let (metric, units) = (&difference.metric, units(comparison, difference.n));
        match difference.minimum_detectable {
            Some(least) => {
                lines.push(format!("{metric}: {units} show a difference of {least:.2} in four of five tries"));
            }
            None if fewest_signs(difference.level).is_some_and(|fewest| difference.n < fewest) => {
                lines.push(format!("{metric}: {units} cannot show any difference"));
            }
            // Nothing differs, so there is no spread to tell it by.
            None => {}
        }
    }
    lines
}

/// `12 values`
fn units(comparison: &ProbeComparison, count: usize) -> String {
    format!("{count} {}{}", comparison.unit.name(), if count == 1 { "" } else { "s" })
}

/// What the figures mean.
pub(super) fn legend(comparisons: &[ProbeComparison]) -> [String; 2] {
    let unit = comparisons.first().map_or("value", |comparison| comparison.unit.name());
    [
        format!("intervals (95 %) and p count {unit}s; p is Holm's, over all rows of a variant;"),
        "apart (p ≤ 0.05) says that these cases differ, not why, nor that others would".to_owned(),
    ]
}

/// The tables below a run, a blank line before each; empty for no probe.
pub(super) fn table(comparisons: &[ProbeComparison], width: usize, colour: bool) -> String {
    if comparisons.is_empty() {
        return String::new();
    }
    let mut out = String::new();
    for comparison in comparisons {
        let (head, rows) = (head(comparison), rows(comparison));
        let align = |at: usize| if matches!(at, 0 | 3 | 6) { Align::Left } else { Align::Right };
        let column = |at: usize| Column::new(head[at].clone(), align(at), rows.iter().map(|row| row[at].clone()));
        let columns: Vec<Column> = (1..head.len()).map(column).collect();
        let _ = write!(
            out,
            "\n{}\n{}",
            title(comparison, &comparison.variant),
            tables(&column(0), &columns, width, colour)
        );
        out.extend(notes(comparison).iter().map(|line| format!("{line}\n")));
    }
    out.push('\n');
    out.extend(legend(comparisons).iter().map(|line| format!("{line}\n")));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Test;
    use crate::store::Unit;

    fn difference(metric: &str, [one, other]: [f64; 2], p: f64, least: Option<f64>) -> GroupDifference {
        GroupDifference {
            metric: metric.into(),
            values: [Some(one), Some(other)],
            difference: Some(one - other),
            ci: Some([one - other - 0.1, one - other + 0.1]),
            level: 0.95,
            n: 12,
            unscored: 0,
            test: Test::SignFlip,
            p_value: Some(p),
            p_adjusted: Some(p),
            minimum_detectable: least,
            told_apart: p <= 0.05,
        }
    }

    fn comparison() -> ProbeComparison {
        let nothing = GroupDifference {
            values: [None, None],
            difference: None,
            ci: None,
            n: 0,
            p_value: None,
            p_adjusted: None,
            ..difference("likely.bits_per_byte", [0.0, 0.0], 1.0, None)
        };
        ProbeComparison {
            variant: "plain".into(),
            swap: "name".into(),
            groups: ["women".into(), "men".into()],
            unit: Unit::Value,
            pairs: 48,
            one_sided: 1,
            differences: vec![
                GroupDifference { unscored: 2, ..difference("exact", [0.25, 0.75], 0.0002, Some(0.2)) },
                difference("mood.accuracy", [0.5, 0.45], 0.4, Some(0.31)),
                nothing,
            ],
        }
    }

    #[test]
    fn shows_each_metric_of_two_groups_and_what_the_figures_leave_out() {
        insta::assert_snapshot!(table(&[comparison()], 80, false), @r"
        plain · women against men (name swapped, 48 pairs)
        metric                women    men  women − men            values       p  apart
        ────────────────────────────────────────────────────────────────────────────────
        exact                 0.250  0.750  -0.500 [-0.60, -0.40]      12  <0.001  yes
        mood.accuracy         0.500  0.450  +0.050 [-0.05, 0.15]       12   0.400  no
        likely.bits_per_byte      –      –  –                           0       –  no
        left out, asked on one side only: 1 pair
        left out of exact, unscored on a side: 2 pairs
        mood.accuracy: 12 values show a difference of 0.31 in four of five tries

        intervals (95 %) and p count values; p is Holm's, over all rows of a variant;
        apart (p ≤ 0.05) says that these cases differ, not why, nor that others would
        ");
        assert_eq!(table(&[], 80, false), "");
        assert!(table(&[comparison()], 80, false).lines().all(|line| line.chars().count() <= 80));
    }
}
