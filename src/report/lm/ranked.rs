//! Candidates in the order in which a model prefers them.

use super::super::layout::{Align, Cell, Column, tables};
use super::next::percent;
use super::pieces::short;

/// Columns that the numbers may take; the rest is the candidate's.
const NUMBERS: usize = 54;
/// Least and most characters of a candidate that are shown.
const ROOM: [usize; 2] = [12, 60];

/// A candidate with all that was found of it.
#[derive(Debug, Clone)]
pub struct RankedRow {
    /// The candidate.
    pub candidate: String,
    /// `Σ log p` behind the text.
    pub logprob: f64,
    /// Its probability among the candidates.
    pub share: f64,
    /// `Σ log p` for each byte.
    pub per_byte: f64,
    /// `Σ log p` less the same without the text.
    pub gain: Option<f64>,
    /// What a reward model finds in it.
    pub reward: Option<f64>,
}

/// A table, in the order given; the column that they are ranked by, counted from 0 behind the candidate, stands out where
/// there is colour. Rewards are shown where any is known, in the place of the shares, which likelihoods have.
#[must_use]
pub fn ranked(rows: &[RankedRow], by: usize, width: usize, colour: bool) -> String {
    let number = |of: Option<f64>| of.map_or_else(|| "–".to_owned(), |of| format!("{of:.3}"));
    let key = Column::new("rank", Align::Right, (1..=rows.len()).map(|rank| rank.to_string()));
    let column = |at: usize, title: &str, cell: &dyn Fn(&RankedRow) -> String| {
        let cells = rows.iter().map(|row| Cell { text: cell(row), bold: at == by });
        let title = if at == by { format!("{title} ↓") } else { title.to_owned() };
        Column::new(title, Align::Right, cells)
    };
    let mut columns = vec![
        column(0, "log p", &|row| number(Some(row.logprob))),
        column(1, "per byte", &|row| number(Some(row.per_byte))),
        column(2, "mutual info", &|row| number(row.gain)),
        column(3, "reward", &|row| row.reward.map_or_else(|| "–".to_owned(), |reward| format!("{reward:+.3}"))),
        column(4, "share", &|row| percent(row.share)),
    ];
    columns.remove(if rows.iter().any(|row| row.reward.is_some()) { 4 } else { 3 });
    let [least, most] = ROOM;
    let room = width.saturating_sub(NUMBERS).clamp(least, most);
    columns.insert(0, Column::new("candidate", Align::Left, rows.iter().map(|row| short(&row.candidate, room))));
    tables(&key, &columns, width, colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_that_decides_is_marked() {
        let row = |candidate: &str, logprob: f64, share, reward| RankedRow {
            candidate: candidate.to_owned(),
            logprob,
            share,
            per_byte: logprob / candidate.len() as f64,
            gain: Some(logprob + 9.0),
            reward,
        };
        let rows = [row("85", -0.25, 0.9, Some(0.5)), row("many", -2.5, 0.1, None)];
        insta::assert_snapshot!(ranked(&rows, 3, 80, false), @r"
        rank  candidate   log p  per byte  mutual info  reward ↓
        ────────────────────────────────────────────────────────
           1  85         -0.250    -0.125        8.750    +0.500
           2  many       -2.500    -0.625        6.500         –
        ");
        let rows = rows.map(|row| RankedRow { reward: None, ..row });
        insta::assert_snapshot!(ranked(&rows, 0, 80, false), @r"
        rank  candidate  log p ↓  per byte  mutual info   share
        ───────────────────────────────────────────────────────
           1  85          -0.250    -0.125        8.750  90.0 %
           2  many        -2.500    -0.625        6.500  10.0 %
        ");
    }
}
