//! Tokens for people: what a screen can show of their bytes, and how surprising each was.

use unicode_width::UnicodeWidthStr;

/// Between two tokens, where there is no colour.
const CUT: char = '│';
/// Columns between two tokens with their bits.
const GAP: usize = 2;
/// From how many bits on which background (of 256 colours); the letters on it are black.
const TINTS: [(f64, u8); 5] = [(12.0, 203), (9.0, 209), (6.0, 215), (3.0, 222), (1.0, 230)];
/// Two backgrounds by turns, to tell tokens apart.
const STRIPES: [u8; 2] = [195, 224];

/// A token on a screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its id.
    pub id: u32,
    /// Its bytes; none for a control token.
    pub bytes: Vec<u8>,
    /// How a control token is spelt.
    pub control: Option<String>,
    /// How surprising it was, in bits (`−log₂ p`); `None` where nothing says so.
    pub bits: Option<f64>,
}

impl Shown {
    /// Its text. Line ends are `⏎`, tabs `⇥`, other control characters and bytes that are not whole characters
    /// hexadecimal: half of a Chinese character cannot be shown.
    pub(super) fn text(&self) -> String {
        if let (true, Some(control)) = (self.bytes.is_empty(), &self.control) {
            return visible(control.as_bytes());
        }
        visible(&self.bytes)
    }

    /// The same with its spaces to be seen.
    pub(super) fn text_with_spaces(&self) -> String {
        self.text().replace(' ', "␣")
    }
}

/// A text on one line, cut to so many characters.
pub(super) fn short(text: &str, most: usize) -> String {
    let line = visible(text.trim().as_bytes());
    if line.chars().count() <= most { line } else { line.chars().take(most - 1).chain(['…']).collect() }
}

pub(super) fn visible(bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02X}")).collect::<String>();
    let of = |c: char| match c {
        '\n' => "⏎".to_owned(),
        '\t' => "⇥".to_owned(),
        c if c.is_control() => hex(c.to_string().as_bytes()),
        c => c.to_string(),
    };
    let chunk = |chunk: std::str::Utf8Chunk| chunk.valid().chars().map(of).collect::<String>() + &hex(chunk.invalid());
    bytes.utf8_chunks().map(chunk).collect()
}

/// A text in its tokens, each on the background of its surprise; ends in a newline.
pub(super) fn tinted(pieces: &[Shown]) -> String {
    let one = |piece: &Shown| {
        let tint = TINTS.iter().find(|(from, _)| piece.bits.is_some_and(|bits| bits >= *from));
        tint.map_or_else(|| piece.text(), |(_, colour)| on(&piece.text(), *colour))
    };
    pieces.iter().map(one).collect::<String>() + "\n"
}

/// What the backgrounds mean.
pub(super) fn tints() -> String {
    let one = |(from, colour): &(f64, u8)| on(&format!(" {from:.0} "), *colour);
    format!("bits from: {}\n", TINTS.iter().rev().map(one).collect::<Vec<_>>().join(" "))
}

/// A text in its tokens by turns on two backgrounds or, without colour, with a line between them; ends in a newline.
pub(super) fn striped(pieces: &[Shown], colour: bool) -> String {
    let texts = pieces.iter().map(Shown::text);
    if !colour {
        return texts.collect::<Vec<_>>().join(&CUT.to_string()) + "\n";
    }
    let stripes = STRIPES.iter().cycle();
    texts.zip(stripes).map(|(text, stripe)| on(&text, *stripe)).collect::<String>() + "\n"
}

/// Tokens with their bits below them, in pairs of lines of at most `width` columns.
pub(super) fn interlinear(pieces: &[Shown], width: usize) -> String {
    let (mut out, mut above, mut below) = (String::new(), String::new(), String::new());
    for piece in pieces {
        let text = piece.text_with_spaces();
        let bits = piece.bits.map_or_else(|| "–".to_owned(), |bits| format!("{bits:.1}"));
        let room = text.width().max(bits.width());
        let gap = if above.is_empty() { 0 } else { GAP };
        if above.width() + gap + room > width && !above.is_empty() {
            out += &format!("{}\n{}\n\n", above.trim_end(), below.trim_end());
            (above, below) = (String::new(), String::new());
        }
        let at = if above.is_empty() { 0 } else { above.width().max(below.width()) + GAP };
        above += &" ".repeat(at - above.width());
        below += &" ".repeat(at - below.width());
        above += &text;
        below += &bits;
        let end = at + room;
        above += &" ".repeat(end - above.width());
        below += &" ".repeat(end - below.width());
    }
    out + &format!("{}\n{}\n", above.trim_end(), below.trim_end())
}

fn on(text: &str, background: u8) -> String {
    format!("\x1b[38;5;16;48;5;{background}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &[u8], bits: f64) -> Shown {
        Shown { id: 1, bytes: text.to_vec(), control: None, bits: Some(bits) }
    }

    #[test]
    fn bytes_that_are_no_character_are_shown_as_bytes() {
        assert_eq!(visible("a\n\tb\u{1b}".as_bytes()), "a⏎⇥b\\x1B");
        assert_eq!(visible(b"x\xe4\xbd"), "x\\xE4\\xBD");
        let end = Shown { bytes: Vec::new(), control: Some("<|im_end|>".to_owned()), ..piece(b"", 0.0) };
        assert_eq!(end.text(), "<|im_end|>");
    }

    #[test]
    fn bits_stand_below_their_tokens_whatever_their_width() {
        let first = Shown { bits: None, ..piece("你".as_bytes(), 0.0) };
        let pieces = [first, piece(" sky".as_bytes(), 12.34), piece(b"\xe4", 8.0), piece(b"!", 0.04)];
        insta::assert_snapshot!(interlinear(&pieces, 20), @r"
        你  ␣sky  \xE4  !
        –   12.3  8.0   0.0
        ");
        insta::assert_snapshot!(interlinear(&pieces, 12), @r"
        你  ␣sky
        –   12.3

        \xE4  !
        8.0   0.0
        ");
    }

    #[test]
    fn the_background_is_that_of_the_surprise_and_what_is_expected_has_none() {
        let text = tinted(&[piece(b"a", 0.5), piece(b" b", 7.0)]);
        assert_eq!(text, "a\x1b[38;5;16;48;5;215m b\x1b[0m\n");
        assert_eq!(striped(&[piece(b"a", 0.0), piece(b" b", 0.0)], false), "a│ b\n");
    }
}
