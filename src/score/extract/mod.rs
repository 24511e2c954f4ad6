//! How the answer is read from a completion: [`strip_think`] first, then [`extract`].

mod json;
mod letter;
mod number;
mod think;

pub(super) use json::{fenced, first_value};
pub use think::strip_think;

use super::ScoreError;
use crate::suite::{Answer, Which};
use letter::Letters;
use regex::Regex;
use serde_json::Value;

/// An [`Answer`] that is ready for use: its expressions compiled, its pointer checked.
///
/// ```
/// use tripos::score::{CompiledAnswer, extract};
/// use tripos::suite::{Answer, Which};
/// let last_number = CompiledAnswer::new(&Answer::Number { which: Which::Last }).unwrap();
/// assert_eq!(extract(&last_number, "3 + 4 makes **$7.00**."), Some("7.00".to_owned()));
/// assert_eq!(extract(&last_number, "I do not know"), None);
/// ```
#[derive(Debug, Clone)]
pub struct CompiledAnswer(Reader);

#[derive(Debug, Clone)]
enum Reader {
    Number(Which),
    Letter(Letters, Which),
    LastLine,
    Json(String),
    Pattern { regex: Regex, group: usize, which: Which },
    Text,
}

impl CompiledAnswer {
    /// Compiles the expressions of an answer.
    ///
    /// # Errors
    /// An expression that does not compile, a group that it lacks, a text that is no JSON pointer.
    pub fn new(answer: &Answer) -> Result<Self, ScoreError> {
        Ok(Self(match answer {
            Answer::Number { which } => Reader::Number(*which),
            Answer::Letter { which } => Reader::Letter(Letters::new()?, *which),
            Answer::LastLine => Reader::LastLine,
            Answer::Json { pointer } => {
                json::check_pointer(pointer)?;
                Reader::Json(pointer.clone())
            }
            Answer::Pattern { regex, group, which } => {
                let compiled = compile(regex)?;
                let highest = compiled.captures_len() - 1;
                let group = group.unwrap_or(highest.min(1));
                if group > highest {
                    return Err(ScoreError::NoGroup { pattern: regex.clone(), group, highest });
                }
                Reader::Pattern { regex: compiled, group, which: *which }
            }
            Answer::Text => Reader::Text,
        }))
    }
}

/// Reads the answer from a text without think tags; `None` where there is none, which is also what an empty one is.
///
/// - `number`: plain decimal text, without grouping, currency or percent signs; a minus is `-`.
/// - `letter`: in upper case. "A" and "I" as words are not taken.
/// - `last_line`: trimmed.
/// - `json`: the value under the pointer in the first JSON value of the text; a text without its quotes, anything else
///   as compact JSON. Large numbers and decimals are read as 64-bit floats are.
/// - `pattern`: the group of the first or last match in which the group takes part, as it stands.
/// - `text`: trimmed.
#[must_use]
pub fn extract(answer: &CompiledAnswer, text: &str) -> Option<String> {
    let read = match &answer.0 {
        Reader::Number(which) => pick(number::numbers(text).into_iter(), *which),
        Reader::Letter(letters, which) => letters.read(text, *which),
        Reader::LastLine => text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned),
        Reader::Json(pointer) => first_value(text).and_then(|value| value.pointer(pointer).map(scalar_text)),
        Reader::Pattern { regex, group, which } => {
            let matches = regex.captures_iter(text).filter_map(|found| found.get(*group));
            pick(matches.map(|found| found.as_str().to_owned()), *which)
        }
        Reader::Text => Some(text.trim().to_owned()),
    };
    read.filter(|answer| !answer.trim().is_empty())
}

fn pick(mut found: impl Iterator<Item = String>, which: Which) -> Option<String> {
    match which {
        Which::First => found.next(),
        Which::Last => found.last(),
    }
}

fn scalar_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Compiles an expression; the error keeps the last line of the compiler's, which says what is wrong.
pub(super) fn compile(pattern: &str) -> Result<Regex, ScoreError> {
    Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().next_back().unwrap_or_default();
        ScoreError::Regex {
            pattern: pattern.to_owned(),
            reason: last.strip_prefix("error: ").unwrap_or(last).to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(answer: &Answer, text: &str) -> Option<String> {
        extract(&CompiledAnswer::new(answer).unwrap(), text)
    }

    fn pattern(regex: &str, group: Option<usize>, which: Which) -> Answer {
        Answer::Pattern { regex: regex.into(), group, which }
    }

    #[test]
    fn takes_the_first_or_the_last_number() {
        let text = "Ann has 3 apples and buys $1,234.50 worth.";
        assert_eq!(read(&Answer::Number { which: Which::First }, text).as_deref(), Some("3"));
        assert_eq!(read(&Answer::Number { which: Which::Last }, text).as_deref(), Some("1234.50"));
    }

    #[test]
    fn takes_the_last_line_that_is_not_empty() {
        assert_eq!(read(&Answer::LastLine, "a\n  b \n\n").as_deref(), Some("b"));
        assert_eq!(read(&Answer::LastLine, " \n"), None);
    }

    #[test]
    fn takes_a_json_value_by_its_pointer() {
        let at = |pointer: &str, text| read(&Answer::Json { pointer: pointer.into() }, text);
        let text = "```json\n{\"a\": {\"b\": [1, \"two\"]}, \"x/y\": true}\n```";
        assert_eq!(at("/a/b/1", text).as_deref(), Some("two"));
        assert_eq!(at("/a/b", text).as_deref(), Some("[1,\"two\"]"));
        assert_eq!(at("/x~1y", text).as_deref(), Some("true"));
        assert_eq!(at("", "4.5").as_deref(), Some("4.5"));
        assert_eq!(at("/missing", text), None);
        assert_eq!(at("", "no json"), None);
    }

    #[test]
    fn takes_a_group_of_a_pattern() {
        let text = "#### 12\n#### -3,000";
        let gsm8k = r"#### (\-?[0-9.,]+)";
        assert_eq!(read(&pattern(gsm8k, None, Which::Last), text).as_deref(), Some("-3,000"));
        assert_eq!(read(&pattern(gsm8k, Some(0), Which::First), text).as_deref(), Some("#### 12"));
        assert_eq!(read(&pattern("x=[0-9]", None, Which::First), "x=1").as_deref(), Some("x=1"));
        assert_eq!(read(&pattern("(a)|b", None, Which::Last), "a b").as_deref(), Some("a"));
        assert_eq!(read(&pattern("z", None, Which::Last), "a b"), None);
    }

    #[test]
    fn says_what_is_wrong_with_an_expression() {
        let error = CompiledAnswer::new(&pattern("a(", None, Which::Last)).unwrap_err();
        insta::assert_snapshot!(error, @"the regular expression `a(` does not compile: unclosed group");
        let error = CompiledAnswer::new(&pattern("(a)", Some(3), Which::Last)).unwrap_err();
        assert_eq!(error, ScoreError::NoGroup { pattern: "(a)".into(), group: 3, highest: 1 });
        assert!(CompiledAnswer::new(&Answer::Json { pointer: "a".into() }).is_err());
    }

    #[test]
    fn an_empty_text_has_no_answer() {
        assert_eq!(read(&Answer::Text, " \n "), None);
        assert_eq!(read(&Answer::Text, " a ").as_deref(), Some("a"));
        assert_eq!(read(&pattern("x(.*)", None, Which::Last), "x"), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_never_reads_nothing(text in any::<String>()) {
            for answer in [
                Answer::Number { which: Which::Last }, Answer::Letter { which: Which::First }, Answer::LastLine,
                Answer::Json { pointer: "/a".into() }, pattern(".(.)?", None, Which::Last), Answer::Text,
            ] {
                prop_assert_ne!(read(&answer, &strip_think(&text)), Some(String::new()));
            }
        }
    }
}
