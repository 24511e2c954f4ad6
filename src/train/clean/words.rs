//! Words, and a number for every run of them.

use std::iter;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// A text in NFC and lower case, so that neither the spelling of an accent nor a capital tells two texts apart.
///
/// NFC and not NFKC: under NFKC `2³` would be `23`.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else if is_nfc_quick(text.chars()) == IsNormalized::Yes {
        text.chars().flat_map(char::to_lowercase).collect()
    } else {
        text.nfc().flat_map(char::to_lowercase).collect()
    }
}

/// The words of a text as white space parts them, punctuation included.
pub(super) fn spaced(text: &str) -> impl Iterator<Item = &str> {
    words(text, |c| !c.is_whitespace())
}

/// The words of a text as anything but letters and digits parts them.
pub(super) fn spoken(text: &str) -> impl Iterator<Item = &str> {
    words(text, char::is_alphanumeric)
}

/// The longest runs of characters that belong to a word. A character of a script without spaces is a word by itself.
fn words(text: &str, belongs: fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut rest = text;
    iter::from_fn(move || {
        rest = rest.trim_start_matches(|c| !belongs(c));
        let first = rest.chars().next()?;
        let end = if runs_on(first) { Some(first.len_utf8()) } else { rest.find(|c| !belongs(c) || runs_on(c)) };
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        Some(word)
    })
}

/// Whether a character is of a script that puts no spaces between words: Thai, Lao, Burmese, Khmer, kana, Han.
fn runs_on(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{2E80}'..='\u{312F}'
        | '\u{3190}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FF9D}' | '\u{20000}'..='\u{3FFFF}')
}

/// The hash of a word: 64-bit FNV-1a (Fowler, Noll, Vo), its bits then mixed, the same on every machine and in every version.
fn hash(word: &str) -> u64 {
    mix(word
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)))
}

/// Spreads every bit over all 64: the last step of MurmurHash3 (Appleby 2011). One to one.
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

/// A document's runs of neighbouring words as numbers, each found in constant time from the hashes of all beginnings
/// (Karp and Rabin 1987): the hash of words w₁ … wₙ is Σ h(wᵢ) · `BASE`ⁿ⁻ⁱ modulo 2⁶⁴.
#[derive(Debug)]
pub(super) struct Runs(Vec<u64>);

impl Runs {
    /// An odd number without pattern: the golden ratio in 64 bits.
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

    /// Of these words.
    pub(super) fn new<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut beginnings = vec![0_u64];
        beginnings.extend(words.scan(0_u64, |all, word| {
            *all = all.wrapping_mul(Self::BASE).wrapping_add(hash(word));
            Some(*all)
        }));
        Self(beginnings)
    }

    /// How many words there are.
    pub(super) fn words(&self) -> usize {
        self.0.len() - 1
    }

    /// The hash of every run of `length` words, in order; none where there are fewer words.
    pub(super) fn of(&self, length: u32) -> impl Iterator<Item = u64> {
        let power = Self::BASE.wrapping_pow(length);
        let ends = self.0.iter().skip(length as usize);
        ends.zip(&self.0).map(move |(end, start)| end.wrapping_sub(start.wrapping_mul(power)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folds_case_and_the_spelling_of_accents_and_nothing_else() {
        assert_eq!(fold("CAFÉ Cafe\u{301} 2³"), "café café 2³");
        assert_eq!(fold("ÇA"), "ça");
        assert_eq!(fold("x+Y"), "x+y");
    }

    #[test]
    fn parts_words_by_space_or_by_everything_that_is_no_letter_or_digit() {
        assert_eq!(spaced(" a+b,\n c ").collect::<Vec<_>>(), ["a+b,", "c"]);
        assert_eq!(spoken("¿a+b, c's 1.5?").collect::<Vec<_>>(), ["a", "b", "c", "s", "1", "5"]);
        assert_eq!(spoken(" —!? ").count(), 0);
        assert_eq!(spaced("").count(), 0);
    }

    #[test]
    fn a_character_of_a_script_without_spaces_is_a_word() {
        assert_eq!(spaced("用Rust写 程序。").collect::<Vec<_>>(), ["用", "Rust", "写", "程", "序", "。"]);
        assert_eq!(spoken("答案是42。").collect::<Vec<_>>(), ["答", "案", "是", "42"]);
        assert_eq!(spoken("한국어 낱말").collect::<Vec<_>>(), ["한국어", "낱말"]);
    }

    /// ```python
    /// M = 2**64 - 1
    /// h = 0xcbf29ce484222325
    /// for b in "tripos".encode(): h = (h ^ b) * 0x100000001b3 & M
    /// for k in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53): h = (h ^ h >> 33) * k & M
    /// hex(h ^ h >> 33)
    /// ```
    #[test]
    fn a_word_has_the_same_hash_everywhere() {
        assert_eq!(hash("tripos"), 0x314a_6756_6754_0cd8);
    }

    proptest! {
        #[test]
        fn runs_are_equal_where_their_words_are(letters in "[ab ]{0,40}", length in 1_u32..6) {
            let words: Vec<&str> = spaced(&letters).collect();
            let hashes: Vec<u64> = Runs::new(words.iter().copied()).of(length).collect();
            let naive: Vec<&[&str]> = words.windows(length as usize).collect();
            prop_assert_eq!(hashes.len(), naive.len());
            for (i, one) in naive.iter().enumerate() {
                for (j, other) in naive.iter().enumerate() {
                    prop_assert_eq!(one == other, hashes[i] == hashes[j]);
                }
            }
        }
    }
}
