//! A chart of every variant and metric: a dot for the value, a line for its interval, on a scale that all variants share.

use super::super::table::{Standing, standings};
use super::columns::{Column, Columns};
use super::overview::{three, two};
use crate::stats::{Direction, Metric};
use crate::summary::VariantSummary;
use maud::{Markup, html};

/// Units across a plot; it is stretched to the width that there is.
const WIDTH: f64 = 1000.0;

/// Metrics beside the headlines that are shown at once; more are folded away.
const SHOWN: usize = 6;

/// From where to where a plot goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Scale {
    /// Around all of these; 0 to 1 where all lie there.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high || (low >= 0.0 && high <= 1.0) {
            return Self { low: 0.0, high: 1.0 };
        }
        let room = ((high - low) * 0.06).max(1e-9);
        // Counts and perplexities begin at 0 where that costs little of the plot.
        let low = if low >= 0.0 && low < high / 2.0 { 0.0 } else { low - room };
        Self { low, high: high + room }
    }

    /// From `-high` to `high`.
    pub(super) fn around_zero(largest: f64) -> Self {
        let high = if largest > 0.0 { largest * 1.05 } else { 0.1 };
        Self { low: -high, high }
    }

    fn x(&self, value: f64) -> f64 {
        (WIDTH * (value - self.low) / (self.high - self.low)).clamp(0.0, WIDTH)
    }
}

/// The metrics of a suite's columns, and a figure that stands beside them.
pub(super) fn metrics(columns: &Columns, suite: usize, beside: &Markup) -> Markup {
    let (labels, variants): (Vec<&Column>, Vec<VariantSummary>) =
        columns.of_suite(suite).map(|(column, variant)| (column, variant.clone())).unzip();
    let mut names: Vec<(String, bool)> = Vec::new();
    for variant in &variants {
        for metric in &variant.metrics {
            if names.iter().all(|(name, _)| *name != metric.name) {
                names.push((metric.name.clone(), variant.is_headline(&metric.name)));
            }
        }
    }
    let (first, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|(_, headline)| *headline);
    let panels = |names: &[(String, bool)]| html! { @for (name, _) in names { (panel(name, &labels, &variants)) } };
    html! {
        section aria-label="Metrics" {
            h2 { "Metrics" }
            p.note {
                "A dot is the value, the line through it its 95 % interval."
                @if variants.len() > 1 { " ★ best · = not told apart from the best (intervals overlap)" }
            }
            div.panels { (panels(&first)) (beside) }
            @if !others.is_empty() {
                details open[others.len() <= SHOWN] { summary { (others.len()) " more metrics" } div.panels { (panels(&others)) } }
            }
        }
    }
}

/// One metric of all variants.
fn panel(name: &str, columns: &[&Column], variants: &[VariantSummary]) -> Markup {
    let found = standings(variants, name);
    let values =
        found.iter().flatten().flat_map(|(metric, _)| metric.value.into_iter().chain(metric.ci.into_iter().flatten()));
    let scale = Scale::of(values);
    let lower = found.iter().flatten().any(|(metric, _)| metric.direction == Direction::Lower);
    html! {
        section.panel {
            h3 { (name) " " span.quiet { @if lower { "lower is better" } @else { "higher is better" } } }
            table.dots {
                caption.hidden { (name) " of each variant, with its 95 % interval" }
                thead.hidden { tr { th { "variant" } th { "plot" } th { "value and interval" } th { "cases" } } }
                tbody { @for (column, found) in columns.iter().zip(&found) { (row(&column.label, found.as_ref(), &scale)) } }
                tfoot aria-hidden="true" {
                    tr {
                        td {}
                        td.axis {
                            span { (tick(scale.low)) }
                            span { (tick(f64::midpoint(scale.low, scale.high))) }
                            span { (tick(scale.high)) }
                        }
                        td {}
                    }
                }
            }
        }
    }
}

fn row(label: &str, found: Option<&(&Metric, Standing)>, scale: &Scale) -> Markup {
    let mark = match found {
        Some((_, Standing::Best)) => ("★", "best"),
        Some((_, Standing::Tie)) => ("=", "not told apart from the best"),
        _ => ("", ""),
    };
    html! {
        tr.best[mark.0 == "★"] {
            th scope="row" title=(label) { (label) }
            @if let Some((metric, _)) = found {
                td.plot { @if let Some(value) = metric.value { (whisker(scale, value, metric.ci)) } }
                td.number {
                    @if let Some(value) = metric.value { b { (three(value)) } } @else { "–" }
                    span.standing title=(mark.1) { (mark.0) }
                    @if let Some([low, high]) = metric.ci { span.quiet { (two(low)) " – " (two(high)) } }
                    span.counts { (counts(metric)) }
                }
            } @else {
                td.plot {} td.number { "–" }
            }
        }
    }
}

/// What a metric rests on, and what it leaves out.
fn counts(metric: &Metric) -> String {
    let parts = [("unscored", metric.unscored), ("no answer", metric.no_answer), ("cut", metric.cut)];
    let left = parts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!(" · {count} {name}"));
    format!("n {}{}", metric.n, left.collect::<String>())
}

/// A value and its interval on a scale.
pub(super) fn whisker(scale: &Scale, value: f64, ci: Option<[f64; 2]>) -> Markup {
    let x = |value: f64| format!("{:.1}", scale.x(value));
    let dot = format!("M{} 10h0.01", x(value));
    html! {
        svg.whisker viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true" {
            line.grid x1="0" x2="0" y1="0" y2="20" {}
            line.grid x1="500" x2="500" y1="0" y2="20" {}
            line.grid x1="1000" x2="1000" y1="0" y2="20" {}
            @if let Some([low, high]) = ci { line.interval x1=(x(low)) x2=(x(high)) y1="10" y2="10" {} }
            path.dot d=(dot) {}
        }
    }
}

/// A number under an axis, with no more digits than it needs.
pub(super) fn tick(value: f64) -> String {
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_whole_scale_and_others_one_of_their_own() {
        assert_eq!(Scale::of([0.2, 0.9].into_iter()), Scale { low: 0.0, high: 1.0 });
        assert_eq!(Scale::of(std::iter::empty()), Scale { low: 0.0, high: 1.0 });
        let wide = Scale::of([5.0, 20.0].into_iter());
        assert!(wide.low.abs() < 1e-12 && wide.high > 20.0);
        let far = Scale::of([90.0, 100.0].into_iter());
        assert!(far.low > 89.0 && far.low < 90.0);
        assert!((Scale::around_zero(0.2).x(0.0) - 500.0).abs() < 1e-9);
    }

    #[test]
    fn ticks_have_no_more_digits_than_they_need() {
        assert_eq!([0.0, 0.5, 1.0, 12.345, 1234.5, 100.0].map(tick), ["0", "0.5", "1", "12.35", "1234", "100"]);
    }
}
