//! What a model expects next, as bars.

use super::super::layout::{Align, Column, tables};
use super::pieces::visible;

/// Columns of a bar of probability 1.
const BAR: f64 = 24.0;
/// Eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A token that may come next.
#[derive(Debug, Clone)]
pub struct NextRow {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub token: String,
    /// The same, continued to the end of the word.
    pub text: String,
    /// How likely it is.
    pub probability: f64,
}

/// A table, in the order given.
#[must_use]
pub fn next(rows: &[NextRow], width: usize) -> String {
    let column = |title: &str, align, cell: &dyn Fn(&NextRow) -> String| {
        Column::new(title, align, rows.iter().map(cell).collect::<Vec<_>>())
    };
    let spaced = |text: &str| visible(text.as_bytes()).replace(' ', "␣");
    let columns = [
        column("", Align::Left, &|row| bar(row.probability)),
        column("token", Align::Left, &|row| spaced(&row.token)),
        column("id", Align::Right, &|row| row.id.to_string()),
        column("to the end of the word", Align::Left, &|row| spaced(&row.text)),
    ];
    tables(&column("probability", Align::Right, &|row| percent(row.probability)), &columns, width, false)
}

/// A share for people: of a small one two digits that count.
pub(super) fn percent(p: f64) -> String {
    match p * 100.0 {
        percent if percent >= 0.1 || percent <= 0.0 => format!("{percent:.1} %"),
        percent if percent >= 0.001 => format!("{percent:.3} %"),
        _ => format!("{p:.0e}"),
    }
}

/// A bar as long as a probability is high, to an eighth of a column; what is possible is seen.
fn bar(p: f64) -> String {
    let (mut length, mut out) = ((p.clamp(0.0, 1.0) * BAR * 8.0).round(), String::new());
    if p > 0.0 {
        length = length.max(1.0);
    }
    while length >= 8.0 {
        out.push('█');
        length -= 8.0;
    }
    let rest = EIGHTHS.iter().zip(0..8).find(|(_, eighth)| f64::from(*eighth) >= length);
    out + rest.map_or("", |(part, _)| part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_probabilities_are_high() {
        assert_eq!(bar(1.0).chars().count(), 24);
        assert_eq!([bar(0.0), bar(1e-9), bar(0.5 / 24.0), bar(1.125 / 24.0)], ["", "▏", "▌", "█▏"]);
        let row = |id, token: &str, text: &str, probability| NextRow {
            id,
            token: token.to_owned(),
            text: text.to_owned(),
            probability,
        };
        let rows = [
            row(366, " P", " Paris", 0.93),
            row(2, "<|im_end|>", "<|im_end|>", 0.04),
            row(199, "\n", "\n", 0.000_04),
            row(9, "\u{fffd}", "你", 3e-8),
        ];
        insta::assert_snapshot!(next(&rows, 80), @r"
        probability                           token        id  to the end of the word
        ─────────────────────────────────────────────────────────────────────────────
             93.0 %  ██████████████████████▍  ␣P          366  ␣Paris
              4.0 %  █                        <|im_end|>    2  <|im_end|>
            0.004 %  ▏                        ⏎           199  ⏎
               3e-8  ▏                        �             9  你
        ");
    }
}
