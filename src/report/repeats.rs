//! What the repeats of a case came to, beside one answer alone: whether voting, or taking the best by a reward, was worth it.

use super::layout::{Align, Column, tables};
use crate::gate::{figure, signed};
use crate::stats::{Difference, LEVEL, compare};
use crate::summary::RunSummary;

/// One row for each variant whose repeats are reduced, and each of its headline metrics; nothing where there is none. One
/// answer is the mean over a case's repeats, so that both sides rest on the same samples.
pub(super) fn table(run: &RunSummary, width: usize, colour: bool) -> String {
    let mut rows: Vec<[String; 5]> = Vec::new();
    for variant in &run.variants {
        let (each, together) = (run.repeats(&variant.name), run.rows(&variant.name));
        if each.is_empty() {
            continue;
        }
        for one in compare(&each, &together, &run.specs(), LEVEL) {
            if let (true, Some(row)) = (variant.is_headline(&one.metric), row(&one.difference)) {
                let [before, after, change] = row;
                rows.push([variant.name.clone(), one.metric, before, after, change]);
            }
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let column = |at: usize, title: &str| Column::new(title, Align::Left, rows.iter().map(|row| row[at].clone()));
    let rest = [column(1, "metric"), column(2, "one answer"), column(3, "together"), column(4, "difference, 95 %")];
    format!("\n{}", tables(&column(0, "repeats of"), &rest, width, colour))
}

fn row(difference: &Difference) -> Option<[String; 3]> {
    let (before, after, change) = (difference.baseline?, difference.candidate?, difference.difference?);
    // A mean of a mean may come out an ulp apart: that is no difference.
    let signed = |number: f64| signed(if number.abs() < 1e-12 { 0.0 } else { number });
    let interval = difference.ci.map(|[low, high]| format!(" [{}, {}]", signed(low), signed(high)));
    Some([figure(before), figure(after), signed(change) + &interval.unwrap_or_default()])
}
