//! Reasoning that a model wrote for itself is not part of its answer.

use std::borrow::Cow;

const TAGS: [(&str, bool); 4] = [("<think>", true), ("<thinking>", true), ("</think>", false), ("</thinking>", false)];

/// The text without `<think>…</think>` (or `<thinking>…</thinking>`).
///
/// - An opening tag that is never closed means that the model was cut while it thought: nothing is left to read.
/// - A closing tag without an opening one means that the chat template opened it in the prompt: everything before it
///   is dropped.
///
/// ```
/// use tripos::score::strip_think;
/// assert_eq!(strip_think("<think>2 + 2…</think>4"), "4");
/// assert_eq!(strip_think("2 + 2…</think>4"), "4");
/// assert_eq!(strip_think("<think>2 + 2"), "");
/// ```
#[must_use]
pub fn strip_think(text: &str) -> Cow<'_, str> {
    let mut kept: Vec<&str> = Vec::new();
    let mut thinking = false;
    let mut rest = text;
    while let Some((before, opens, after)) = next_tag(rest) {
        match (thinking, opens) {
            (false, true) => kept.push(before),
            (false, false) => kept.clear(),
            (true, _) => {}
        }
        thinking = opens;
        rest = after;
    }
    if thinking {
        return Cow::Borrowed("");
    }
    if kept.iter().all(|part| part.is_empty()) {
        return Cow::Borrowed(rest);
    }
    Cow::Owned(kept.concat() + rest)
}

/// The text before the first tag, whether the tag opens, and the text behind it.
fn next_tag(text: &str) -> Option<(&str, bool, &str)> {
    TAGS.iter()
        .filter_map(|(tag, opens)| text.split_once(tag).map(|(before, after)| (before, *opens, after)))
        .min_by_key(|(before, ..)| before.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_thoughts_wherever_they_stand() {
        assert_eq!(strip_think("a<think>b</think>c<thinking>d</thinking>e"), "ace");
        assert_eq!(strip_think("<think>a</think>\n<think>b</think>c"), "\nc");
        assert_eq!(strip_think("<think></think>42"), "42");
    }

    #[test]
    fn a_lone_closing_tag_drops_everything_before_it() {
        assert_eq!(strip_think("maybe 3 </think> 4"), " 4");
        assert_eq!(strip_think("a<think>b</think>c</think>d"), "d");
    }

    #[test]
    fn a_thought_never_closed_leaves_nothing() {
        assert_eq!(strip_think("<think>so 42"), "");
        assert_eq!(strip_think("7 <think>a</think> <think>so 42"), "");
    }

    #[test]
    fn a_text_without_tags_is_borrowed_as_it_is() {
        assert!(matches!(strip_think("1 < 2 </thin>"), Cow::Borrowed("1 < 2 </thin>")));
    }
}
