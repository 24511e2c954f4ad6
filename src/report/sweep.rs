//! Training runs that differ in one setting, side by side.

use super::layout::{Align, Cell, Column, tables};
use serde::Serialize;
use std::path::PathBuf;

/// One training run of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SweepRow {
    /// The value that it was made with, as it was written.
    pub value: String,
    /// Steps made.
    pub steps: u64,
    /// The loss of the last step, where it is a number.
    pub loss: Option<f64>,
    /// The smallest held-out loss, where documents were held out.
    pub held_out_loss: Option<f64>,
    /// The step behind which that was measured.
    pub best_step: Option<u64>,
    /// Tokens read a second, over all steps.
    pub tokens_per_s: f64,
    /// How long its steps took, in words.
    pub time: String,
    /// The folder of the run; `None` where it failed.
    pub run: Option<PathBuf>,
    /// Whether it was interrupted.
    pub cut: bool,
}

/// The value of the best run that came to its end: by held-out loss, or by the last loss where nothing was held out.
/// `None` where no two of them can be compared.
#[must_use]
pub fn best(rows: &[SweepRow]) -> Option<&str> {
    let whole: Vec<&SweepRow> = rows.iter().filter(|row| row.run.is_some() && !row.cut).collect();
    let held_out = whole.iter().any(|row| row.held_out_loss.is_some());
    let measure = |row: &&&SweepRow| if held_out { row.held_out_loss } else { row.loss };
    let measured = whole.iter().filter(|row| measure(row).is_some());
    let best = measured.min_by(|a, b| measure(a).unwrap_or(f64::NAN).total_cmp(&measure(b).unwrap_or(f64::NAN)));
    best.map(|row| row.value.as_str())
}

/// The runs of a sweep over `key`, a row each, the [`best`] in bold with a star.
#[must_use]
pub fn sweep(key: &str, rows: &[SweepRow], width: usize, colour: bool) -> String {
    let best = best(rows);
    let is_best = |row: &SweepRow| best == Some(row.value.as_str());
    let value = |row: &SweepRow| {
        let star = if is_best(row) { " *" } else { "" };
        Cell { text: format!("{}{star}", row.value), bold: is_best(row) }
    };
    let number = |number: Option<f64>| number.map_or_else(|| "–".to_owned(), |number| format!("{number:.4}"));
    let column = |title: &str, text: &dyn Fn(&SweepRow) -> String| {
        Column::new(title, Align::Right, rows.iter().map(text).collect::<Vec<_>>())
    };
    let done = |row: &SweepRow, text: String| if row.run.is_some() { text } else { "–".to_owned() };
    let run = |row: &SweepRow| {
        row.run.as_ref().and_then(|run| run.file_name()).map_or_else(
            || "failed".to_owned(),
            |name| {
                let cut = if row.cut { " (interrupted)" } else { "" };
                format!("{}{cut}", name.to_string_lossy())
            },
        )
    };
    let columns = [
        column("held-out loss", &|row| number(row.held_out_loss)),
        column("at step", &|row| row.best_step.map_or_else(|| "–".to_owned(), |step| step.to_string())),
        column("last loss", &|row| number(row.loss)),
        column("tok/s", &|row| done(row, format!("{:.0}", row.tokens_per_s))),
        column("time", &|row| done(row, row.time.clone())),
        Column::new("run", Align::Left, rows.iter().map(run).collect::<Vec<_>>()),
    ];
    tables(&Column::new(key, Align::Left, rows.iter().map(value).collect::<Vec<_>>()), &columns, width, colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_starred_and_what_failed_says_so() {
        let row = |value: &str, held_out_loss: f64, run: &str| SweepRow {
            value: value.to_owned(),
            steps: 50,
            loss: Some(held_out_loss + 0.1),
            held_out_loss: Some(held_out_loss),
            best_step: Some(50),
            tokens_per_s: 5832.4,
            time: "1m02s".into(),
            run: Some(run.into()),
            cut: false,
        };
        let rows = [
            row("1e-4", 0.4321, "reports/train/a-1"),
            row("3e-4", 0.1234, "reports/train/a-2"),
            SweepRow { value: "1".into(), ..SweepRow::default() },
        ];
        insta::assert_snapshot!(sweep("lr", &rows, 80, false), @r"
        lr      held-out loss  at step  last loss  tok/s   time  run
        ───────────────────────────────────────────────────────────────
        1e-4           0.4321       50     0.5321   5832  1m02s  a-1
        3e-4 *         0.1234       50     0.2234   5832  1m02s  a-2
        1                   –        –          –      –      –  failed
        ");
        assert_eq!(best(&rows), Some("3e-4"));
        // Its last loss is the smallest of all, but it was never evaluated.
        let cut =
            SweepRow { held_out_loss: None, loss: Some(0.01), cut: true, ..row("2e-3", 0.0, "reports/train/a-3") };
        let rows = [rows[0].clone(), cut];
        insta::assert_snapshot!(sweep("lr", &rows, 80, false), @r"
        lr      held-out loss  at step  last loss  tok/s   time  run
        ──────────────────────────────────────────────────────────────────────────
        1e-4 *         0.4321       50     0.5321   5832  1m02s  a-1
        2e-3                –       50     0.0100   5832  1m02s  a-3 (interrupted)
        ");
        assert_eq!((best(&rows), best(&rows[1..])), (Some("1e-4"), None));
    }
}
