//! When two texts count as the same, and where words end.

use unicode_normalization::UnicodeNormalization;

/// The text in NFKC, with runs of white space collapsed to one space, trimmed, and (unless `keep_case`) case folded.
///
/// Case folding is upper-casing followed by lower-casing, character by character: it joins `ß` with `ss` and `ς` with
/// `σ` as Unicode's full folding does, and differs from it in a few letters only (dotless `ı` becomes `i`).
pub(super) fn fold(text: &str, keep_case: bool) -> String {
    let joined = text.nfkc().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    if keep_case { joined } else { joined.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect() }
}

/// A folded text without what people put around an answer: quotes, markdown stars, underscores and back-ticks on both
/// sides, and a full stop, comma and the like behind. A text of nothing else is left as it is.
pub(super) fn bare(folded: &str) -> &str {
    let around = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '*' | '_' | '“' | '”' | '„' | '‘' | '’' | '«' | '»')
    };
    let behind = |c: char| around(c) || matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '。' | '、');
    let inner = folded.trim_start_matches(around).trim_end_matches(behind);
    if inner.is_empty() { folded } else { inner }
}

/// Whether a character is part of a word, in scripts that set words apart by spaces. Han, kana, hangul and Thai do
/// not (or hang particles on), so in `答案是42` the number stands alone.
pub(super) fn is_word(c: char) -> bool {
    let runs_on = matches!(c,
        '\u{0E00}'..='\u{0E7F}' | '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7FF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFF}');
    c.is_alphanumeric() && !runs_on
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// import unicodedata
    /// " ".join(unicodedata.normalize("NFKC", "Ｐａｒｉｓ\u00a0 ﬁn STRASSE Straße ΣΊΣΥΦΟΣ").split()).casefold()
    /// ```
    #[test]
    fn folds_as_python_does() {
        assert_eq!(fold("Ｐａｒｉｓ\u{a0} ﬁn STRASSE Straße ΣΊΣΥΦΟΣ", false), "paris fin strasse strasse σίσυφοσ");
        assert_eq!(fold(" A  b ", true), "A b");
    }

    #[test]
    fn strips_what_surrounds_an_answer_but_never_all_of_it() {
        assert_eq!(bare("**\"paris.\"**"), "paris");
        assert_eq!(bare("c++"), "c++");
        assert_eq!(bare("1.5"), "1.5");
        assert_eq!(bare("?"), "?");
        assert_eq!(bare(""), "");
    }

    #[test]
    fn scripts_without_spaces_do_not_glue_a_word() {
        assert!(is_word('é') && is_word('5') && is_word('я'));
        assert!(!is_word('是') && !is_word('の') && !is_word('은') && !is_word('_'));
    }
}
