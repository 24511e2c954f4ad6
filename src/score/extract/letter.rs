//! Choice letters, told from the article "A" and the pronoun "I".

use super::super::ScoreError;
use super::super::normalise::is_word;
use super::compile;
use crate::suite::Which;
use regex::Regex;
use std::collections::BTreeSet;

/// `answer`, filler words, punctuation and markup, then the letter.
const CUE: &str = r#"(?x)
    (?i: \b answers? | \b (?:correct|right|best|final) \s+ (?:option|choice|letter) )
    (?i: \s+ (?: is | was | would | should | must | be | option | choice | letter | the | correct | therefore | thus | clearly ) )*
    (?: [\s:=\->–—*_`"'“‘(\[{$] | \\[a-z]* )*
    ([A-Z])"#;

/// Words that follow a chosen letter, where any other word would make "A" an article and "I" a pronoun.
const AFTER_A_CHOICE: [&str; 4] = ["is", "because", "since", "seems"];

/// Words that precede a chosen letter.
const BEFORE_A_CHOICE: [&str; 6] = ["option", "choice", "letter", "choose", "pick", "select"];

/// How clearly a letter is meant as the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It stands alone.
    Alone,
    /// In brackets or bold, alone on its line, or as a list mark at a line's start.
    Marked,
    /// Behind "answer" or "correct option".
    Cued,
}

/// Reads choice letters.
///
/// A candidate is a letter A to Z that is not part of a word (`A-level`, `I'm`, `U.S.`, `C++` and `P(A)` are words).
/// The clearest candidates win, and among them the first or the last:
///
/// 1. behind "answer" or "correct/right/best/final option": `Answer: B`, `the answer is **(B)**`;
/// 2. in brackets or bold, alone on its line, or a list mark (`B.`, `B)`, `B:`) at a line's start. In brackets and
///    alone on a line a small letter counts as well;
/// 3. any other, except that "A" and "I" followed by a word are an article and a pronoun and never count, unless that
///    word is "is", "because", "since" or "seems", or the word before is "option", "choice", "choose" or the like.
///    (Behind "answer" only a following word in small letters makes an article.)
#[derive(Debug, Clone)]
pub(super) struct Letters {
    cue: Regex,
}

impl Letters {
    pub(super) fn new() -> Result<Self, ScoreError> {
        Ok(Self { cue: compile(CUE)? })
    }

    /// The chosen letter, in upper case.
    pub(super) fn read(&self, text: &str, which: Which) -> Option<String> {
        let cued: BTreeSet<usize> =
            self.cue.captures_iter(text).filter_map(|c| c.get(1)).map(|letter| letter.start()).collect();
        let mut best: Option<(Rank, char)> = None;
        for (at, letter) in text.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()) {
            let Some(rank) = rank(text, at, cued.contains(&at)) else { continue };
            let better = match (best, which) {
                (None, _) => true,
                (Some((before, _)), Which::First) => rank > before,
                (Some((before, _)), Which::Last) => rank >= before,
            };
            if better {
                best = Some((rank, letter.to_ascii_uppercase()));
            }
        }
        best.map(|(_, letter)| letter.to_string())
    }
}

/// How clearly the ASCII letter at byte `at` is an answer; `None` if it is not one at all.
fn rank(text: &str, at: usize, cued: bool) -> Option<Rank> {
    let (before, from) = text.split_at(at);
    let after = from.get(1..)?;
    if joins(before.chars().rev()) || joins(after.chars()) || after.starts_with(['+', '#']) {
        return None;
    }
    let capital = from.starts_with(|c: char| c.is_ascii_uppercase());
    let article = from.starts_with(['A', 'I']) && is_article(before, after);
    if cued && capital && !(article && next_word(after).starts_with(char::is_lowercase)) {
        return Some(Rank::Cued);
    }
    match in_brackets(before, after) {
        Some(true) => return Some(Rank::Marked),
        Some(false) => return None,
        None => {}
    }
    let line_before = before.rsplit('\n').next().unwrap_or_default();
    let line_after = after.split('\n').next().unwrap_or_default();
    let opens_line = !line_before.contains(is_word);
    if opens_line && !line_after.contains(is_word) {
        return Some(Rank::Marked);
    }
    if !capital || after.starts_with('(') {
        return None;
    }
    let list_mark = opens_line && after.starts_with(['.', ')', ':']);
    let bold = before.ends_with("**") && after.starts_with("**");
    match (list_mark || bold, article) {
        (true, _) => Some(Rank::Marked),
        (false, true) => None,
        (false, false) => Some(Rank::Alone),
    }
}

/// Whether what follows (read away from the letter) makes it part of a word: a word character, or a mark inside words
/// with a word character behind it.
fn joins(mut away: impl Iterator<Item = char>) -> bool {
    let beside = away.next();
    let beyond = away.next();
    beside.is_some_and(is_word)
        || beside.is_some_and(|c| matches!(c, '-' | '_' | '\'' | '’' | '.' | '&')) && beyond.is_some_and(is_word)
}

/// `Some(true)` in brackets of its own, `Some(false)` in brackets that follow a word, as in `P(A)`. LaTeX's `{}` follow
/// one always.
fn in_brackets(before: &str, after: &str) -> Option<bool> {
    if before.ends_with('{') && after.starts_with('}') {
        return Some(true);
    }
    let outside = match after.chars().next()? {
        ')' => before.strip_suffix('('),
        ']' => before.strip_suffix('['),
        _ => None,
    }?;
    Some(!outside.ends_with(is_word))
}

/// Whether "A" or "I" between these texts reads as an article or a pronoun.
fn is_article(before: &str, after: &str) -> bool {
    let follows = after.trim_start_matches([' ', '\t']);
    if follows.len() == after.len() || !follows.starts_with(is_word) {
        return false;
    }
    let previous = before.trim_end().rsplit(|c: char| !is_word(c)).next().unwrap_or_default().to_ascii_lowercase();
    !AFTER_A_CHOICE.contains(&next_word(after)) && !BEFORE_A_CHOICE.contains(&previous.as_str())
}

/// The word behind white space.
fn next_word(after: &str) -> &str {
    after.trim_start().split(|c: char| !is_word(c)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, which: Which) -> String {
        Letters::new().unwrap().read(text, which).unwrap_or_default()
    }

    #[test]
    fn reads_a_letter_in_every_usual_dress() {
        for text in [
            "B",
            "(B)",
            "B.",
            "B)",
            "**B**",
            "Answer: B",
            "answer is B",
            "The answer is (B).",
            "The correct option is **B**",
            "\\boxed{B}",
            "The answer is $\\boxed{\\text{B}}$.",
            "B) Paris",
            "B. Paris is the capital",
            "[B]",
            "b",
            "(b)",
            "b.",
            "Option B",
            "I think B",
            "I choose (B), a city",
            "Answer:\nB",
            "  **B.** Paris",
            "答案是B。",
            "\"B\"",
        ] {
            assert_eq!(read(text, Which::Last), "B", "in {text:?}");
            assert_eq!(read(text, Which::First), "B", "first in {text:?}");
        }
    }

    #[test]
    fn the_article_and_the_pronoun_are_never_taken() {
        for text in [
            "A cat sat.",
            "I think so",
            "I am a cat",
            "A Frenchman",
            "Maybe A dog",
            "Is it? I'm unsure",
            "The answer is A cat",
        ] {
            assert_eq!(read(text, Which::Last), "", "in {text:?}");
        }
        assert_eq!(read("A cat, so (C). I am sure.", Which::Last), "C");
        assert_eq!(read("A long story.\nC\nI think.", Which::First), "C");
        assert_eq!(read("A cat. Answer: D. I hope.", Which::Last), "D");
    }

    #[test]
    fn a_and_i_are_taken_where_they_are_meant() {
        for text in [
            "A",
            "(A)",
            "A.",
            "Answer: A",
            "Answer: A Paris",
            "It is A because it fits",
            "A is correct",
            "Option A Paris",
            "I pick A",
        ] {
            assert_eq!(read(text, Which::Last), "A", "in {text:?}");
        }
        assert_eq!(read("The answer is I.", Which::Last), "I");
    }

    #[test]
    fn the_clearest_candidate_wins_then_the_first_or_last() {
        let text = "(A) is wrong. The answer is B, because (C) and (D) are too long.";
        assert_eq!(read(text, Which::Last), "B");
        assert_eq!(read("(A) no, (C) no, (D) yes", Which::Last), "D");
        assert_eq!(read("(A) yes, (C) no, (D) no", Which::First), "A");
        assert_eq!(read("Answer: B. No, wait. Answer: C", Which::Last), "C");
        assert_eq!(read("Answer: B. No, wait. Answer: C", Which::First), "B");
    }

    #[test]
    fn letters_inside_words_and_terms_are_none() {
        for text in ["A-level", "vitamin-C", "P(A)", "C++", "U.S.", "R&B", "apple(s)", "e.g. x", "Bad", ""] {
            assert_eq!(read(text, Which::Last), "", "in {text:?}");
        }
    }
}
