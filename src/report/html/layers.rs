//! What lies over an answer's text: its steps, the sums in them, its tokens. Places count UTF-16 units, as JavaScript does.

use super::super::steps::steps;
use crate::store::Completion;
use serde::Serialize;
use std::collections::BTreeMap;

/// Places in a text, from bytes to UTF-16 units.
#[derive(Debug)]
pub(super) struct Places<'t> {
    text: &'t str,
    /// One a byte, and one for the end; empty where both are the same.
    units: Vec<usize>,
}

impl<'t> Places<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let mut units = Vec::new();
        if !text.is_ascii() {
            let mut at = 0;
            for c in text.chars() {
                units.extend(std::iter::repeat_n(at, c.len_utf8()));
                at += c.len_utf16();
            }
            units.push(at);
        }
        Self { text, units }
    }

    /// The place of a byte; the end for a byte behind it.
    pub(super) fn at(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        self.units.get(byte).copied().unwrap_or(byte)
    }
}

/// A step of an answer.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct ShownStep {
    at: [usize; 2],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sums: Vec<ShownSum>,
}

/// A sum in a step; `value` is what the left side comes to, where that is another number.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct ShownSum {
    at: [usize; 2],
    right: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// Digits behind the point of a corrected value.
const DIGITS: u32 = 6;

/// The steps of a text; none where it is one sentence without a sum.
pub(super) fn shown_steps(text: &str) -> Vec<ShownStep> {
    let found = steps(text);
    if found.len() < 2 && found.iter().all(|step| step.equations.is_empty()) {
        return Vec::new();
    }
    let places = Places::of(text);
    let span = |range: &std::ops::Range<usize>| [places.at(range.start), places.at(range.end)];
    found
        .iter()
        .map(|step| ShownStep {
            at: span(&step.range),
            sums: step
                .equations
                .iter()
                .map(|sum| ShownSum {
                    at: span(&sum.range),
                    right: sum.right,
                    value: (!sum.right).then(|| sum.value.round_dp(DIGITS).normalize().to_string()),
                })
                .collect(),
        })
        .collect()
}

/// A token drawn: where it ends in the text, its log-probability, the likeliest tokens with theirs.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct ShownToken {
    id: u32,
    end: usize,
    logprob: f32,
    top: Vec<(u32, f32)>,
}

/// The tokens of an answer over its text; `None` where no log-probabilities or no texts of tokens were kept.
pub(super) fn shown_tokens(said: &Completion, pieces: &BTreeMap<u32, String>) -> Option<Vec<ShownToken>> {
    let drawn = said.logprobs.as_ref().filter(|_| !pieces.is_empty())?;
    let texts: Vec<&str> = drawn.iter().map(|token| pieces.get(&token.id).map_or("", String::as_str)).collect();
    let places = Places::of(&said.text);
    let ends = ends(&said.text, &texts);
    let four = |logprob: f32| (logprob * 1e4).round() / 1e4;
    let tokens = drawn.iter().zip(ends).map(|(token, end)| ShownToken {
        id: token.id,
        end: places.at(end),
        logprob: four(token.logprob),
        top: token.top.iter().map(|(id, logprob)| (*id, four(*logprob))).collect(),
    });
    Some(tokens.collect())
}

/// Where each token ends, in bytes. A character that several tokens share ends with the last of them; what the text no
/// longer holds, a stop text for one, ends where it ends.
fn ends(text: &str, tokens: &[&str]) -> Vec<usize> {
    let mut at = 0;
    let mut found = Vec::with_capacity(tokens.len());
    for (number, token) in tokens.iter().enumerate() {
        let rest = text.get(at..).unwrap_or_default();
        if rest.starts_with(token) {
            at += token.len();
        } else if token.contains('\u{fffd}') {
            // Part of a character: the next token that is whole says where the parts end.
            let next = tokens.get(number + 1..).unwrap_or_default().iter();
            let broken = next.clone().take_while(|token| token.contains('\u{fffd}')).count();
            let whole = next.clone().nth(broken).filter(|token| !token.is_empty());
            if broken == 0 {
                at += whole.and_then(|whole| rest.find(whole)).unwrap_or(rest.len());
            }
        } else {
            // The text ends inside this token.
            at = text.len();
        }
        found.push(at);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_as_javascript_does() {
        let places = Places::of("aé😀b");
        assert_eq!([0, 1, 3, 7, 8, 99].map(|byte| places.at(byte)), [0, 1, 2, 4, 5, 5]);
        assert_eq!([0, 2, 9].map(|byte| Places::of("abc").at(byte)), [0, 2, 3]);
    }

    #[test]
    fn steps_are_placed_and_a_wrong_sum_has_its_value() {
        assert_eq!(
            serde_json::to_string(&shown_steps("é 4 + 9 = 12. So 5.")).unwrap(),
            r#"[{"at":[0,13],"sums":[{"at":[2,12],"right":false,"value":"13"}]},{"at":[14,19]}]"#
        );
        assert_eq!(shown_steps("negative"), []);
    }

    #[test]
    fn tokens_lie_over_the_text_that_they_make() {
        assert_eq!(ends("ab cd", &["ab", " c", "d", "\n\n"]), [2, 4, 5, 5], "the stop text is gone");
        assert_eq!(ends("a😀b", &["a", "\u{fffd}", "\u{fffd}", "b"]), [1, 1, 5, 6]);
        assert_eq!(ends("a😀", &["a", "\u{fffd}", "\u{fffd}"]), [1, 1, 5]);
        assert_eq!(ends("ab", &["a", "bc"]), [1, 2]);
        assert_eq!(ends("ab", &["", "ab"]), [0, 2]);
    }
}
