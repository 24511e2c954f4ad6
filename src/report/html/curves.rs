//! How far confidence can be trusted (reliability curves), and which labels are mistaken for which (confusion matrices).

use super::super::reliability::{HEAD, rows};
use super::columns::Columns;
use crate::stats::{Confusion, ReliabilityBin};
use maud::{Markup, html};

/// The square of a curve in units of its picture: left, top, side; and the height of the counts below.
const SQUARE: [f64; 3] = [40.0, 10.0, 200.0];
const COUNTS: f64 = 36.0;

/// Steps of the shade behind a cell.
const SHADES: usize = 10;

/// A curve for each scorer with probabilities.
pub(super) fn reliability(columns: &Columns, suite: usize) -> Markup {
    html! {
        @for (column, variant) in columns.of_suite(suite) {
            @for (scorer, bins) in &variant.reliability {
                @if bins.iter().any(|bin| bin.n > 0) {
                    figure {
                        figcaption {
                            "How sure, how often right: " code { (scorer) } " of " code { (column.label) } " "
                            span.quiet { "below the diagonal: too sure" }
                        }
                        (curve(bins))
                        details { summary { "Figures" } (figures(bins)) }
                    }
                }
            }
        }
    }
}

fn curve(bins: &[ReliabilityBin]) -> Markup {
    let [left, top, side] = SQUARE;
    let (x, y) = (|share: f64| left + side * share, |share: f64| top + side * (1.0 - share));
    let at = |place: f64| format!("{place:.1}");
    let filled: Vec<_> = bins.iter().filter_map(|bin| Some((bin, bin.confidence?, bin.accuracy?))).collect();
    let most = filled.iter().map(|(bin, ..)| bin.n).max().unwrap_or(1) as f64;
    let path: Vec<String> = filled.iter().map(|(_, sure, right)| format!("{:.1} {:.1}", x(*sure), y(*right))).collect();
    let foot = top + side + 10.0 + COUNTS;
    html! {
        svg.chart.square viewBox="0 0 260 292" role="img" aria-label="Accuracy over confidence; the figures are in the table below" {
            @for share in [0.0, 0.5, 1.0] {
                line.grid x1=(at(left)) x2=(at(left + side)) y1=(at(y(share))) y2=(at(y(share))) {}
                line.grid x1=(at(x(share))) x2=(at(x(share))) y1=(at(top)) y2=(at(top + side)) {}
                text.tick x=(at(left - 6.0)) y=(at(y(share) + 4.0)) text-anchor="end" { (share) }
                text.tick x=(at(x(share))) y=(at(foot + 14.0)) text-anchor="middle" { (share) }
            }
            line.diagonal x1=(at(left)) y1=(at(top + side)) x2=(at(left + side)) y2=(at(top)) {}
            path.curve d=(format!("M{}", path.join("L"))) {}
            @for (bin, sure, right) in &filled {
                circle.point cx=(at(x(*sure))) cy=(at(y(*right))) r="4.5" {
                    title { (bin.n) " answers, sure " (format!("{sure:.2}")) ", right " (format!("{right:.2}")) }
                }
                @let height = (COUNTS * bin.n as f64 / most).max(1.5);
                rect.count x=(at(x(bin.low) + 1.0)) width=(at((side * (bin.high - bin.low) - 2.0).max(1.0))) y=(at(foot - height)) height=(at(height)) {}
            }
            text.tick x=(at(left + side / 2.0)) y=(at(foot + 30.0)) text-anchor="middle" { "confidence, and how many answers" }
        }
    }
}

fn figures(bins: &[ReliabilityBin]) -> Markup {
    html! {
        table {
            thead { tr { @for (number, name) in HEAD.iter().enumerate() { th.number[number > 0] { (name) } } } }
            tbody { @for row in rows(bins) { tr { @for (number, cell) in row.iter().enumerate() { td.number[number > 0] { (cell) } } } } }
        }
    }
}

/// A matrix for each label scorer.
pub(super) fn confusions(columns: &Columns, suite: usize) -> Markup {
    html! {
        @for (column, variant) in columns.of_suite(suite) {
            @for (scorer, confusion) in &variant.confusions {
                figure {
                    figcaption { "Labels: " code { (scorer) } " of " code { (column.label) } " " span.quiet { "truth down, answer across" } }
                    div.wide { (matrix(confusion)) }
                }
            }
        }
    }
}

fn matrix(confusion: &Confusion) -> Markup {
    let unread = confusion.counts.iter().any(|row| row.last().is_some_and(|count| *count > 0));
    let labels = confusion.labels.len();
    let shown = if unread { labels + 1 } else { labels };
    html! {
        table.matrix {
            thead {
                tr {
                    th { span.hidden { "truth" } }
                    @for label in &confusion.labels { th scope="col" { (label) } }
                    @if unread { th scope="col" { i { "not understood" } } }
                }
            }
            tbody {
                @for (truth, row) in confusion.counts.iter().enumerate() {
                    @let total: usize = row.iter().sum();
                    tr {
                        th scope="row" { (confusion.labels.get(truth).map_or("", String::as_str)) }
                        @for (answer, count) in row.iter().take(shown).enumerate() {
                            td.(shade(*count, total)).right[truth == answer] {
                                b { (count) }
                                @if total > 0 { span.quiet { (format!("{:.0} %", 100.0 * *count as f64 / total as f64)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The class of a cell's shade: how much of its row it holds.
fn shade(count: usize, total: usize) -> String {
    format!("h{}", (count * SHADES).checked_div(total).unwrap_or(0))
}
