//! JSON inside a text.

use super::super::ScoreError;
use serde_json::{Deserializer, Value};

/// The first JSON value of a text: the whole text if it is one; else the first object or array that reads as JSON,
/// wherever it starts; else the first fenced block that is one (a scalar in a fence).
pub(in crate::score) fn first_value(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text.trim()) {
        return Some(value);
    }
    text.match_indices(['{', '['])
        .filter_map(|(at, _)| text.get(at..))
        .find_map(|from| Deserializer::from_str(from).into_iter::<Value>().next()?.ok())
        .or_else(|| fenced(text).into_iter().find_map(|block| serde_json::from_str(block).ok()))
}

/// The contents of a text's fenced blocks (lines that start with ```` ``` ````), without the language behind the fence.
/// A block may stand on one line; one that is never closed runs to the end.
pub(in crate::score) fn fenced(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut open: Option<usize> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let Some(rest) = line.trim().strip_prefix("```") else { continue };
        match open.take() {
            Some(from) => blocks.push(text.get(from..start).unwrap_or_default().trim()),
            None => match rest.strip_suffix("```") {
                Some(inside) => blocks.push(inside.trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim()),
                None => open = Some(at),
            },
        }
    }
    if let Some(from) = open {
        blocks.push(text.get(from..).unwrap_or_default().trim());
    }
    blocks
}

/// Refuses what is no RFC 6901 pointer: it is empty or starts with `/`, and `~` only stands in `~0` and `~1`.
pub(super) fn check_pointer(pointer: &str) -> Result<(), ScoreError> {
    let escapes_hold = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if (pointer.is_empty() || pointer.starts_with('/')) && escapes_hold {
        return Ok(());
    }
    Err(ScoreError::Pointer { pointer: pointer.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_json_in_prose_and_in_fences() {
        assert_eq!(first_value("Here: {\"a\": [1, 2]} and [3]"), Some(json!({"a": [1, 2]})));
        assert_eq!(first_value("use {x}, then [1"), None);
        assert_eq!(first_value("use {x}, then [1]"), Some(json!([1])));
        assert_eq!(first_value("```json\n{\"a\": 1}\n```"), Some(json!({"a": 1})));
        assert_eq!(first_value("It is\n```\n\"yes\"\n```"), Some(json!("yes")));
        assert_eq!(first_value(" 42 "), Some(json!(42)));
        assert_eq!(first_value("the 42"), None);
    }

    #[test]
    fn fences_may_be_short_inline_or_open() {
        assert_eq!(fenced("a\n```json\n1\n```\nb\n```\n2\n```"), ["1", "2"]);
        assert_eq!(fenced("```json {\"a\": 1}```"), ["{\"a\": 1}"]);
        assert_eq!(fenced("```json\n{\"a\": 1}"), ["{\"a\": 1}"]);
        assert!(fenced("no fence").is_empty());
    }

    #[test]
    fn deep_nesting_ends_without_harm() {
        assert_eq!(first_value(&"[".repeat(50_000)), None);
    }

    #[test]
    fn refuses_what_is_no_pointer() {
        assert!(check_pointer("").is_ok() && check_pointer("/a/0/~0~1").is_ok());
        assert!(check_pointer("a").is_err() && check_pointer("/a~2").is_err() && check_pointer("/a~").is_err());
    }
}
