//! How texts are cut into tokens: one in full, several side by side.

use super::super::layout::{Align, Column, tables};
use super::pieces::{Shown, striped};

/// Most tokens that are listed.
const LISTED: usize = 40;

/// A text as a model cuts it.
#[derive(Debug, Clone)]
pub struct CutRow {
    /// The model.
    pub model: String,
    /// Tokens of its vocabulary that stand before every text; they are shown and not counted.
    pub begins: usize,
    /// Which text.
    pub text: String,
    /// Its characters.
    pub characters: usize,
    /// Its bytes.
    pub bytes: usize,
    /// Its tokens, those that begin it included.
    pub pieces: Vec<Shown>,
}

impl CutRow {
    /// The tokens of the text itself.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.pieces.len().saturating_sub(self.begins)
    }

    /// Characters for each token; 0 where there is none.
    #[must_use]
    pub fn characters_per_token(&self) -> f64 {
        if self.tokens() == 0 { 0.0 } else { self.characters as f64 / self.tokens() as f64 }
    }

    /// The text in its tokens.
    fn striped(&self, colour: bool) -> String {
        striped(&self.pieces, colour)
    }
}

/// One text in full: cut, its tokens listed, and counted; `colour` allows ANSI codes.
#[must_use]
pub fn cut(row: &CutRow, width: usize, colour: bool) -> String {
    let pieces = &row.pieces[..row.pieces.len().min(LISTED)];
    let column = |title: &str, align, cell: &dyn Fn(&Shown) -> String| {
        Column::new(title, align, pieces.iter().map(cell).collect::<Vec<_>>())
    };
    let hex = |piece: &Shown| piece.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let key = Column::new("no.", Align::Right, (1..=pieces.len()).map(|number| number.to_string()));
    let columns = [
        column("id", Align::Right, &|piece| piece.id.to_string()),
        column("token", Align::Left, &Shown::text_with_spaces),
        column("bytes", Align::Left, &hex),
    ];
    let mut out = format!("{}\n{}", row.striped(colour), tables(&key, &columns, width, false));
    if row.pieces.len() > LISTED {
        out += &format!("… {} more: --format json\n", row.pieces.len() - LISTED);
    }
    let (tokens, characters, bytes) = (row.tokens(), row.characters, row.bytes);
    let per = row.characters_per_token();
    out += &format!("\n{tokens} tokens for {characters} characters in {bytes} bytes: {per:.2} characters per token\n");
    match row.begins {
        0 => out,
        1 => out + "(not counted: the token that begins every text)\n",
        many => out + &format!("(not counted: the {many} tokens that begin every text)\n"),
    }
}

/// Several texts, or one text as several models cut it: counted side by side, each cut below.
#[must_use]
pub fn side_by_side(rows: &[CutRow], width: usize, colour: bool) -> String {
    let column = |title: &str, align, cell: &dyn Fn(&CutRow) -> String| {
        Column::new(title, align, rows.iter().map(cell).collect::<Vec<_>>())
    };
    let key = column("model", Align::Left, &|row| row.model.clone());
    let mut columns = vec![
        column("tokens", Align::Right, &|row| row.tokens().to_string()),
        column("characters", Align::Right, &|row| row.characters.to_string()),
        column("bytes", Align::Right, &|row| row.bytes.to_string()),
        column("characters/token", Align::Right, &|row| format!("{:.2}", row.characters_per_token())),
    ];
    if rows.iter().any(|row| row.text != rows[0].text) {
        columns.insert(0, column("text", Align::Left, &|row| row.text.clone()));
    }
    let mut out = tables(&key, &columns, width, false);
    for row in rows {
        out += &format!("\n{}, {}:\n{}", row.model, row.text, row.striped(colour));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str, text: &str, pieces: &[&[u8]], begins: usize) -> CutRow {
        let piece = |(id, bytes): (u32, &&[u8])| {
            let control = bytes.is_empty().then(|| "<s>".to_owned());
            Shown { id, bytes: bytes.to_vec(), control, bits: None }
        };
        CutRow {
            model: model.to_owned(),
            begins,
            text: "text 1".to_owned(),
            characters: text.chars().count(),
            bytes: text.len(),
            pieces: (0..).zip(pieces).map(piece).collect(),
        }
    }

    #[test]
    fn half_a_character_is_shown_as_its_bytes() {
        let row = row("tiny", "a 你", &[b"", b"a", b" ", b"\xe4\xbd", b"\xa0"], 1);
        insta::assert_snapshot!(cut(&row, 80, false), @r"
        <s>│a│ │\xE4\xBD│\xA0

        no.  id  token     bytes
        ────────────────────────
          1   0  <s>
          2   1  a         61
          3   2  ␣         20
          4   3  \xE4\xBD  e4 bd
          5   4  \xA0      a0

        4 tokens for 3 characters in 5 bytes: 0.75 characters per token
        (not counted: the token that begins every text)
        ");
        assert_eq!(cut(&row, 80, true).matches('\x1b').count(), 10, "five tokens with a background");
    }

    #[test]
    fn models_and_texts_stand_side_by_side() {
        let (one, two) = (row("tiny", "你", &[b"\xe4", b"\xbd", b"\xa0"], 0), row("big", "你", &["你".as_bytes()], 0));
        insta::assert_snapshot!(side_by_side(&[one.clone(), two], 80, false), @r"
        model  tokens  characters  bytes  characters/token
        ──────────────────────────────────────────────────
        tiny        3           1      3              0.33
        big         1           1      3              1.00

        tiny, text 1:
        \xE4│\xBD│\xA0

        big, text 1:
        你
        ");
        let other = CutRow { text: "text 2".to_owned(), ..row("tiny", "sky", &[b"sky"], 0) };
        insta::assert_snapshot!(side_by_side(&[one, other], 80, false), @r"
        model  text    tokens  characters  bytes  characters/token
        ──────────────────────────────────────────────────────────
        tiny   text 1       3           1      3              0.33
        tiny   text 2       1           3      3              3.00

        tiny, text 1:
        \xE4│\xBD│\xA0

        tiny, text 2:
        sky
        ");
    }
}
