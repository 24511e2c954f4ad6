//! How natural a model finds texts: the most natural first.

use super::super::layout::{Align, Column, tables};
use super::pieces::{Shown, interlinear, short, tinted, tints};

/// Columns that the numbers of the table may take; the rest is the text's.
const NUMBERS: usize = 50;
/// Least and most characters of a text that the table shows.
const ROOM: [usize; 2] = [16, 80];
/// Most texts whose tokens are shown.
const SHOWN: usize = 20;

/// A text with what its likelihood comes to.
#[derive(Debug, Clone)]
pub struct NaturalRow {
    /// Its number, from 1, in the order given.
    pub number: usize,
    /// The text.
    pub text: String,
    /// `−Σ log₂ p / bytes`; `None` where it is impossible.
    pub bits_per_byte: Option<f64>,
    /// `exp(−Σ log p / tokens)`.
    pub perplexity: Option<f64>,
    /// `Σ log p`.
    pub logprob: Option<f64>,
    /// Its tokens.
    pub pieces: Vec<Shown>,
}

/// A table, the most natural text first, and below it the texts token by token; `colour` allows ANSI codes.
#[must_use]
pub fn natural(rows: &[NaturalRow], width: usize, colour: bool) -> String {
    let number = |of: Option<f64>, digits: usize| of.map_or_else(|| "–".to_owned(), |of| format!("{of:.digits$}"));
    // A number as long as the line would push the texts out of the table.
    let perplexity = |of: Option<f64>| match of {
        Some(of) if of >= 1e7 => format!("{of:.1e}"),
        of => number(of, 2),
    };
    let column = |title: &str, align, cell: &dyn Fn(&NaturalRow) -> String| {
        Column::new(title, align, rows.iter().map(cell).collect::<Vec<_>>())
    };
    let [least, most] = ROOM;
    let room = width.saturating_sub(NUMBERS).clamp(least, most);
    let key = column("no.", Align::Right, &|row| row.number.to_string());
    let columns = [
        column("bits/byte", Align::Right, &|row| number(row.bits_per_byte, 3)),
        column("perplexity", Align::Right, &|row| perplexity(row.perplexity)),
        column("log p", Align::Right, &|row| number(row.logprob, 2)),
        column("tokens", Align::Right, &|row| row.pieces.len().to_string()),
        column("text", Align::Left, &|row| short(&row.text, room)),
    ];
    let mut out = tables(&key, &columns, width, false);
    for row in rows.iter().take(SHOWN) {
        out += &format!("\n{}: bits of each token\n", row.number);
        out += &if colour { tinted(&row.pieces) } else { interlinear(&row.pieces, width) };
    }
    if colour {
        out += &format!("\n{}", tints());
    }
    if rows.len() > SHOWN {
        out += &format!("\nthe tokens of {} more: --format json\n", rows.len() - SHOWN);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_at_80_columns_without_colour() {
        let piece = |text: &str, bits| Shown { id: 1, bytes: text.into(), control: None, bits };
        let row = |number, text: &str, bits: f64, pieces| NaturalRow {
            number,
            text: text.to_owned(),
            bits_per_byte: Some(bits),
            perplexity: Some(2.0_f64.powf(bits * 2.0)),
            logprob: Some(-bits * 9.0),
            pieces,
        };
        let rows = [
            row(2, "It is 85.", 0.5, vec![piece("It", Some(4.0)), piece(" is", Some(0.5))]),
            row(1, "Is 85 it, or what else could it be that we seek?", 1.25, vec![piece("Is", None)]),
        ];
        insta::assert_snapshot!(natural(&rows, 80, false), @r"
        no.  bits/byte  perplexity   log p  tokens  text
        ──────────────────────────────────────────────────────────────────────────
          2      0.500        2.00   -4.50       2  It is 85.
          1      1.250        5.66  -11.25       1  Is 85 it, or what else could …

        2: bits of each token
        It   ␣is
        4.0  0.5

        1: bits of each token
        Is
        –
        ");
        assert!(natural(&rows, 80, true).contains("\x1b[38;5;16;48;5;222mIt\x1b[0m is\n"));
    }
}
