//! Characters that show that a text is broken.

/// The first character that shows bytes which were not UTF-8, or that is no part of any text, and how many stand before it.
///
/// - U+FFFD, which lossy decoding puts in the place of such bytes;
/// - the control characters, U+0000–001F, U+007F and U+0080–009F, but tab, line feed and carriage return. This is the set that
///   CCNet (Wenzek et al. 2019, 1911.00359, `text_normalizer.py`) takes out of every text, white space apart. C1 characters
///   come from Windows-1252 that was read as Latin-1;
/// - a byte order mark, U+FEFF, anywhere but at the beginning: two files were put together as bytes.
///
/// Tripos does not change what is learned: CCNet deletes these characters, here one is enough to drop the document, because
/// what stands around it is seldom whole.
pub(super) fn broken(text: &str) -> Option<(usize, char)> {
    text.chars().enumerate().find(|(at, c)| match c {
        '\t' | '\n' | '\r' => false,
        '\u{FFFD}' => true,
        '\u{FEFF}' => *at > 0,
        c => c.is_control(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_character_but_tab_and_line_ends_is_found() {
        let found = |c: char| broken(&format!("é{c}x")) == Some((1, c));
        for c in ('\0'..='\u{9f}').filter(|c| !matches!(c, ' '..='~')) {
            assert_eq!(found(c), !matches!(c, '\t' | '\n' | '\r'), "{c:?}");
        }
        assert!(found('\u{FFFD}'));
        assert!(!found('\u{a0}') && !found('\u{200d}') && !found('\u{ad}'), "white space and joiners are text");
    }

    #[test]
    fn a_byte_order_mark_may_begin_a_text() {
        assert_eq!(broken("\u{FEFF}x"), None);
        assert_eq!(broken("x\u{FEFF}"), Some((1, '\u{FEFF}')));
        assert_eq!(broken(&String::from_utf8_lossy(b"caf\xe9")), Some((3, '\u{FFFD}')));
        assert_eq!(broken(""), None);
    }
}
