//! A chain of thought as steps: lines, and the sentences in them; the sums in each step checked.

use super::arithmetic::{Equation, equations};
use std::ops::Range;

/// Words that a full stop follows without an end of a sentence.
const SHORT: [&str; 14] = ["mr", "mrs", "ms", "dr", "st", "no", "vs", "e.g", "i.e", "etc", "approx", "fig", "eq", "cf"];

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Where it stands: bytes of the text, without a number or bullet of its own.
    pub(super) range: Range<usize>,
    /// Its sums, placed in the whole text.
    pub(super) equations: Vec<Equation>,
}

/// The steps of a completion, in order.
pub(super) fn steps(text: &str) -> Vec<Step> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let own = numbered(line);
        for sentence in sentences(line.get(own..).unwrap_or_default()) {
            let start = at + own + sentence.start;
            let range = start..start + sentence.len();
            let within = text.get(range.clone()).unwrap_or_default();
            let shifted = |e: Equation| Equation { range: e.range.start + start..e.range.end + start, ..e };
            found.push(Step { range, equations: equations(within).into_iter().map(shifted).collect() });
        }
        at += line.len();
    }
    found
}

/// The length of a line's own number or bullet: `1. `, `2) `, `- `, `• `.
fn numbered(line: &str) -> usize {
    let inner = line.trim_start();
    let digits = inner.len() - inner.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = inner.get(digits..).unwrap_or_default();
    let behind = if digits == 0 { rest.strip_prefix(['-', '*', '•']) } else { rest.strip_prefix(['.', ')']) };
    match behind {
        Some(behind) if digits <= 3 && behind.starts_with([' ', '\t']) => line.len() - behind.len(),
        _ => 0,
    }
}

/// The sentences of a line, without white space around them.
fn sentences(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut letters = line.char_indices().peekable();
    while let Some((at, c)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        let before = line.get(start..at).unwrap_or_default();
        let ends = match c {
            '。' | '！' | '？' | '；' | '\n' => true,
            '!' | '?' | ';' => next.is_none_or(char::is_whitespace),
            '.' => next.is_none_or(char::is_whitespace) && !is_short(before),
            _ => false,
        };
        if ends {
            push(&mut found, line, start..at + c.len_utf8());
            start = at + c.len_utf8();
        }
    }
    push(&mut found, line, start..line.len());
    found
}

/// Whether a full stop behind this is no end: an initial, or a word cut short.
fn is_short(before: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase) && before.trim() != word;
    initial || SHORT.contains(&word.trim_start_matches('(').to_lowercase().as_str())
}

fn push(found: &mut Vec<Range<usize>>, line: &str, range: Range<usize>) {
    let text = line.get(range.clone()).unwrap_or_default();
    let start = range.start + (text.len() - text.trim_start().len());
    if !text.trim().is_empty() {
        found.push(start..start + text.trim().len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        steps(text).into_iter().map(|step| &text[step.range]).collect()
    }

    #[test]
    fn lines_and_their_sentences_are_steps() {
        assert_eq!(
            texts(" 7 + 6 = 13, write 3 carry 1. 2 + 3 + 1 = 6. The answer is 63."),
            ["7 + 6 = 13, write 3 carry 1.", "2 + 3 + 1 = 6.", "The answer is 63."]
        );
        assert_eq!(texts("First line\n\n  second; third\r\n"), ["First line", "second;", "third"]);
        assert_eq!(texts("4 + 9 = 13，写 3 进 1。答案是 13。"), ["4 + 9 = 13，写 3 进 1。", "答案是 13。"]);
        assert_eq!(texts(" \n "), [""; 0]);
    }

    #[test]
    fn numbers_and_bullets_of_a_list_are_no_part_of_a_step() {
        assert_eq!(
            texts("1. Add 3 + 4 = 7\n2) Done.\n- 7 + 6 = 13\n* so"),
            ["Add 3 + 4 = 7", "Done.", "7 + 6 = 13", "so"]
        );
        assert_eq!(steps("- 7 + 6 = 13")[0].equations[0].range, 2..12);
        assert_eq!(texts("-7 + 3 = -4"), ["-7 + 3 = -4"]);
        assert_eq!(texts("2024. 5"), ["2024.", "5"]);
    }

    #[test]
    fn points_inside_numbers_and_short_words_end_nothing() {
        assert_eq!(texts("It costs $3.50 per day."), ["It costs $3.50 per day."]);
        assert_eq!(texts("Ask Mr. J. Smith, e.g. today. Then go."), ["Ask Mr. J. Smith, e.g. today.", "Then go."]);
    }

    #[test]
    fn sums_are_placed_in_the_whole_text() {
        let text = "é: 4 + 9 = 13. 1 + 1 = 3.";
        let found = steps(text);
        assert_eq!(&text[found[1].equations[0].range.clone()], "1 + 1 = 3");
        assert!(found[0].equations[0].right && !found[1].equations[0].right);
    }
}
