//! Answers with their rewards, the best first.

use super::layout::{Align, Column, tables};

/// Most characters of a prompt and of an answer that are shown.
const SHOWN: [usize; 2] = [28, 34];

/// An answer that was judged.
#[derive(Debug, Clone)]
pub struct JudgedRow {
    /// Its number, from 1.
    pub number: usize,
    /// Its reward; `None` where it has none.
    pub reward: Option<f64>,
    /// What was asked.
    pub prompt: String,
    /// What was answered.
    pub answer: String,
}

/// The table, the best answer first, what has no reward last.
#[must_use]
pub fn judged(rows: &[JudgedRow], width: usize) -> String {
    let mut rows: Vec<&JudgedRow> = rows.iter().collect();
    let worth = |row: &JudgedRow| row.reward.unwrap_or(f64::NEG_INFINITY);
    rows.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    let column = |title: &str, align, cell: &dyn Fn(&JudgedRow) -> String| {
        Column::new(title, align, rows.iter().map(|row| cell(row)).collect::<Vec<_>>())
    };
    let reward = |row: &JudgedRow| row.reward.map_or_else(|| "none".to_owned(), |reward| format!("{reward:+.3}"));
    let others = [
        column("reward", Align::Right, &reward),
        column("prompt", Align::Left, &|row| one_line(&row.prompt, SHOWN[0])),
        column("answer", Align::Left, &|row| one_line(&row.answer, SHOWN[1])),
    ];
    tables(&column("no.", Align::Right, &|row| row.number.to_string()), &others, width, false)
}

/// A text on one line, cut to so many characters.
fn one_line(text: &str, most: usize) -> String {
    let line: Vec<char> = text.trim().chars().map(|c| if c.is_control() { '⏎' } else { c }).collect();
    if line.len() <= most { line.into_iter().collect() } else { line[..most].iter().collect::<String>() + "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_comes_first_and_what_has_no_reward_last() {
        let row = |number, reward, answer: &str| {
            let prompt = "What is 47 + 38?".to_owned();
            JudgedRow { number, reward, prompt, answer: answer.to_owned() }
        };
        let rows = [
            row(1, Some(-0.5), "86"),
            row(2, None, ""),
            row(3, Some(1.25), "7 + 8 = 15, write 5 carry 1. 4 + 3 + 1 = 8.\nThe answer is 85."),
        ];
        insta::assert_snapshot!(judged(&rows, 80), @r"
        no.  reward  prompt            answer
        ──────────────────────────────────────────────────────────────────
          3  +1.250  What is 47 + 38?  7 + 8 = 15, write 5 carry 1. 4 + 3…
          1  -0.500  What is 47 + 38?  86
          2    none  What is 47 + 38?
        ");
    }
}
