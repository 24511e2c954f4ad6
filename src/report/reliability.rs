//! How far a scorer's confidence can be trusted: one row a bin of confidence, and one for all answers.

use super::layout::{Align, Column, tables};
use crate::stats::ReliabilityBin;

/// What the columns hold.
pub(super) const HEAD: [&str; 5] = ["confidence", "n", "mean", "right", "gap"];

/// What stands above the rows.
pub(super) fn title(variant: &str, scorer: &str) -> String {
    format!("{variant} · {scorer}: how sure, how often right (a gap below 0 is overconfidence)")
}

/// The rows of the bins that hold answers, then one of all: where it lies, how many, their mean confidence, the share that
/// is right, and by how much that is more. Nothing for no answers.
pub(super) fn rows(bins: &[ReliabilityBin]) -> Vec<[String; 5]> {
    let row = |name: String, n: usize, mean: f64, right: f64| {
        [name, n.to_string(), format!("{mean:.3}"), format!("{right:.3}"), format!("{:+.3}", right - mean)]
    };
    let filled: Vec<_> = bins.iter().filter_map(|bin| Some((bin, bin.confidence?, bin.accuracy?))).collect();
    let mut rows: Vec<_> = filled
        .iter()
        .map(|(bin, mean, right)| row(format!("{:.1} to {:.1}", bin.low, bin.high), bin.n, *mean, *right))
        .collect();
    let (mut n, mut mean, mut right) = (0, 0.0, 0.0);
    for (bin, confidence, accuracy) in filled {
        n += bin.n;
        mean += confidence * bin.n as f64;
        right += accuracy * bin.n as f64;
    }
    if n > 0 {
        rows.push(row("(all)".to_owned(), n, mean / n as f64, right / n as f64));
    }
    rows
}

/// The table below a run, a blank line before it; empty for no answers.
pub(super) fn table(variant: &str, scorer: &str, bins: &[ReliabilityBin], (width, colour): (usize, bool)) -> String {
    let rows = rows(bins);
    if rows.is_empty() {
        return String::new();
    }
    let column = |at: usize, align| Column::new(HEAD[at], align, rows.iter().map(|row| row[at].clone()));
    let others: Vec<Column> = (1..HEAD.len()).map(|at| column(at, Align::Right)).collect();
    format!("\n{}\n{}", title(variant, scorer), tables(&column(0, Align::Left), &others, width, colour))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Forecast, reliability};

    /// By hand: the mean confidence of all is (0.92 + 0.98 + 0.65) / 3 = 0.85, two of three are right.
    #[test]
    fn shows_the_bins_that_hold_answers_and_all_of_them() {
        let forecast = |confidence, right| Forecast { case: 0, confidence, right };
        let bins = reliability(&[forecast(0.92, true), forecast(0.98, false), forecast(0.65, true)]);
        insta::assert_snapshot!(table("plain", "choice", &bins, (80, false)), @r"
        plain · choice: how sure, how often right (a gap below 0 is overconfidence)
        confidence  n   mean  right     gap
        ───────────────────────────────────
        0.6 to 0.7  1  0.650  1.000  +0.350
        0.9 to 1.0  2  0.950  0.500  -0.450
        (all)       3  0.850  0.667  -0.183
        ");
        assert_eq!(table("plain", "choice", &reliability(&[]), (80, false)), "");
    }
}
