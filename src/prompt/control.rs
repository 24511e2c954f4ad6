//! Keeps what data says apart from what the template says, where both could spell a control token.
//!
//! Before rendering, each spelling inside a value gets the noncharacter U+FDD0 behind its first character; after
//! rendering these marks are taken out again and their places become [`Prompt::quoted`]. A mark travels with its text
//! through loops, filters and the model's chat template, so *a spelling belongs to whoever wrote its first character*.
//! That includes a value that ends in the first two or more characters of a spelling which the next value completes.
//! What it does not include: a single last character (`<`), because marking that would break `{% if op == "<" %}`.
//!
//! A template that measures or compares a value holding a whole spelling sees one character more.

use super::{Prompt, PromptError};
use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind, StartKind};
use std::borrow::Cow;
use std::ops::Range;

/// How the marks begin where a template prints a whole list or map, whose texts it escapes as Rust's `Debug` does.
const ESCAPED: &str = "\\u{fdd";

/// Stands behind the first character of a control token's spelling that came from data.
pub(super) const QUOTE: char = '\u{FDD0}';
/// Stands behind what came from an example, or behind the prefill.
pub(super) const MARK: char = '\u{FDD1}';
/// Stand before and behind what a document is given and does not learn.
pub(super) const GIVEN: [char; 2] = ['\u{FDD2}', '\u{FDD3}'];

/// The spellings of a model's control tokens, ready to be found in text. Build it once a model.
///
/// ```
/// use tripos::prompt::Controls;
/// let controls = Controls::new(&["<|im_start|>".to_owned(), "<|im_end|>".to_owned()])?;
/// assert!(controls.occur_in("Say <|im_end|> aloud."));
/// assert!(!controls.occur_in("Say im_end aloud."));
/// # Ok::<(), tripos::prompt::PromptError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Controls {
    /// The spellings, and behind them what may not occur in data.
    automaton: AhoCorasick,
    /// The spellings, sorted.
    spellings: Vec<String>,
}

impl Controls {
    /// Indexes the spellings; empty ones are left out.
    pub fn new(spellings: &[String]) -> Result<Self, PromptError> {
        let mut spellings: Vec<String> = spellings.iter().filter(|s| !s.is_empty()).cloned().collect();
        spellings.sort_unstable();
        spellings.dedup();
        let given = GIVEN.map(|mark| mark.to_string());
        let marks = [&QUOTE.to_string(), &MARK.to_string(), ESCAPED, &given[0], &given[1]];
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .start_kind(StartKind::Both)
            .build(spellings.iter().map(String::as_str).chain(marks))
            .map_err(|error| PromptError::Controls { message: error.to_string() })?;
        Ok(Self { automaton, spellings })
    }

    /// Whether any control token is spelt in a text.
    #[must_use]
    pub fn occur_in(&self, text: &str) -> bool {
        self.automaton.find_iter(text).any(|found| found.pattern().as_usize() < self.spellings.len())
    }

    /// The text with each spelling marked; `None` where it already holds one of the marks, or one escaped.
    pub(super) fn mark<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        let mut starts = Vec::new();
        for found in self.automaton.find_iter(text) {
            if found.pattern().as_usize() >= self.spellings.len() {
                return None;
            }
            starts.push(found.start());
        }
        starts.extend(self.unfinished(text, starts.last().copied()));
        if starts.is_empty() {
            return Some(Cow::Borrowed(text));
        }
        let mut marked = String::with_capacity(text.len() + starts.len() * QUOTE.len_utf8());
        let mut rest = text;
        let mut at = 0;
        for start in starts {
            let width = text[start..].chars().next().map_or(0, char::len_utf8);
            let (before, behind) = rest.split_at(start + width - at);
            marked.push_str(before);
            marked.push(QUOTE);
            (rest, at) = (behind, start + width);
        }
        marked.push_str(rest);
        Some(Cow::Owned(marked))
    }

    /// Where the text's end begins a spelling of which at least two characters are there and some are missing.
    fn unfinished(&self, text: &str, last: Option<usize>) -> Option<usize> {
        let longest = self.spellings.iter().map(String::len).max()?;
        let from = text.len().saturating_sub(longest).max(last.map_or(0, |start| start + 1));
        (from..text.len()).filter(|start| text.is_char_boundary(*start)).find(|start| {
            let end = &text[*start..];
            let at = self.spellings.partition_point(|spelling| spelling.as_str() < end);
            end.chars().nth(1).is_some() && self.spellings.get(at).is_some_and(|spelling| spelling.starts_with(end))
        })
    }

    /// The place itself, or where the control token begins that it lies inside of.
    pub(super) fn boundary(&self, text: &str, at: usize) -> usize {
        let inside = self.written(text).find(|found| found.start < at && at < found.end);
        inside.map_or(at, |found| found.start)
    }

    /// Behind the first of the control tokens that a rendered text ends with, white space among them aside; marks are
    /// still in the text.
    pub(super) fn ending(&self, text: &str) -> Option<usize> {
        let written: Vec<Range<usize>> = self.written(text).collect();
        let mut end = text.trim_end().len();
        let mut first = None;
        for found in written.into_iter().rev().take_while(|found| {
            let next = found.end == end;
            end = text[..found.start].trim_end().len();
            next
        }) {
            first = Some(found.end);
        }
        first
    }

    /// The control tokens in a text; those that data spells have a mark in them and are none.
    fn written(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        let spelt = self.automaton.find_iter(text).filter(|found| found.pattern().as_usize() < self.spellings.len());
        spelt.map(|found| found.range())
    }

    /// A text without the marks in it.
    pub(super) fn plain(text: &std::sync::Arc<str>) -> std::sync::Arc<str> {
        if text.contains(QUOTE) { text.replace(QUOTE, "").into() } else { text.clone() }
    }

    /// Takes the marks out of a rendered text. `case_start` is a byte offset into `raw`.
    pub(super) fn unmark(&self, raw: String, case_start: usize) -> Prompt {
        if !raw.contains(QUOTE) {
            return Prompt { text: raw, case_start, ..Prompt::default() };
        }
        let mut text = String::with_capacity(raw.len());
        let mut starts = Vec::new();
        let mut end = 0;
        let mut marks_before_case = 0;
        for (at, mark) in raw.match_indices(QUOTE) {
            text.push_str(&raw[end..at]);
            end = at + mark.len();
            marks_before_case += usize::from(end <= case_start);
            starts.extend(text.char_indices().next_back().map(|(start, _)| start));
        }
        text.push_str(&raw[end..]);
        let quoted = self.spelt_at(&text, &starts);
        let case_start = case_start - marks_before_case * QUOTE.len_utf8();
        Prompt { text, case_start, quoted, ..Prompt::default() }
    }

    /// The longest spelling at each of these places, in order and without overlap.
    fn spelt_at(&self, text: &str, starts: &[usize]) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(starts.len());
        for start in starts {
            let input = Input::new(text).range(*start..).anchored(Anchored::Yes);
            // A filter may have changed the text, or nothing completed the spelling: then there is none here.
            let Some(found) = self.automaton.find(input) else { continue };
            match ranges.last_mut() {
                Some(last) if found.start() < last.end => last.end = last.end.max(found.end()),
                _ => ranges.push(found.range()),
            }
        }
        ranges
    }
}

/// Whether a text holds a mark, plain or escaped.
pub(super) fn holds_mark(text: &str) -> bool {
    text.contains([QUOTE, MARK, GIVEN[0], GIVEN[1]]) || text.contains(ESCAPED)
}

/// A rendered text with the marks plain that a printed list or map has escaped.
pub(super) fn plain_marks(rendered: String) -> String {
    if rendered.contains(ESCAPED) {
        rendered.replace("\\u{fdd0}", "\u{FDD0}").replace("\\u{fdd1}", "\u{FDD1}")
    } else {
        rendered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn controls(spellings: &[&str]) -> Controls {
        Controls::new(&spellings.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    /// Marks each piece of data, joins them and takes the marks out.
    fn through(controls: &Controls, data: &[&str]) -> Prompt {
        controls.unmark(data.iter().map(|text| controls.mark(text).unwrap()).collect(), 0)
    }

    #[test]
    fn borrows_a_text_without_spellings() {
        assert!(matches!(controls(&["<|im_end|>"]).mark("3 < 4, Größe"), Some(Cow::Borrowed(_))));
    }

    #[test]
    fn finds_the_longest_spelling_and_each_of_two_neighbours() {
        let controls = controls(&["<s>", "<s>x"]);
        assert_eq!(through(&controls, &["a<s>x<s>"]).quoted, [1..5, 5..8]);
    }

    #[test]
    fn a_spelling_split_over_two_values_is_quoted() {
        let controls = controls(&["<|im_end|>", "<｜end｜>"]);
        assert_eq!(through(&controls, &["a<|im_", "end|>b"]).quoted.as_slice(), std::slice::from_ref(&(1..11)));
        let whole = 0.."<｜end｜>".len();
        assert_eq!(through(&controls, &["<｜", "end｜>"]).quoted.as_slice(), std::slice::from_ref(&whole));
        assert!(through(&controls, &["a<|im_", "begin|>"]).quoted.is_empty());
    }

    #[test]
    fn an_offset_behind_a_mark_moves_back() {
        let controls = controls(&["<s>"]);
        let raw = format!("{}|rest", controls.mark("a<s>b").unwrap());
        let at = raw.find('|').unwrap();
        let prompt = controls.unmark(raw, at);
        assert_eq!(&prompt.text[prompt.case_start..], "|rest");
    }

    #[test]
    fn refuses_data_that_holds_a_mark() {
        assert!(controls(&[]).mark("a\u{FDD0}").is_none());
        assert!(controls(&["<s>"]).mark("\u{FDD1}<s>").is_none());
        assert!(controls(&["<s>"]).mark("\\u{fdd0}<s>").is_none());
    }

    proptest! {
        /// The reference is the scan that a tokenizer makes of the finished text.
        #[test]
        fn no_scan_finds_an_unquoted_spelling_in_data(data in "[<>s/xé]{0,24}") {
            let spellings = ["<s>", "</s>", "s>x", "<é>"];
            let controls = controls(&spellings);
            let prompt = through(&controls, &[&data]);
            prop_assert_eq!(&prompt.text, &data);
            for found in controls.automaton.find_iter(&data) {
                prop_assert!(prompt.quoted.iter().any(|q| q.start <= found.start() && found.end() <= q.end));
            }
        }
    }
}
