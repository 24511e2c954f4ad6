//! Conversations written as one text, as in Anthropic's HH-RLHF (Bai 2022, arXiv 2204.05862): `\n\nHuman: … \n\nAssistant: …`.

use crate::store::MessageRecord;

const TURNS: [(&str, &str); 2] = [("\n\nHuman:", "user"), ("\n\nAssistant:", "assistant")];

/// Whether a text begins as such a conversation.
pub(super) fn is_transcript(text: &str) -> bool {
    TURNS.iter().any(|(mark, _)| text.starts_with(mark))
}

/// The turns of a conversation; `None` if it does not begin with one. Whitespace around a turn is none of it.
pub(super) fn turns(text: &str) -> Option<Vec<MessageRecord>> {
    if !is_transcript(text) {
        return None;
    }
    let next = |from: usize| {
        let at = |(mark, role): (&str, &'static str)| {
            text.get(from..)?.find(mark).map(|at| (from + at, from + at + mark.len(), role))
        };
        TURNS.into_iter().filter_map(at).min_by_key(|(start, ..)| *start)
    };
    let mut turns = Vec::new();
    let mut turn = next(0);
    while let Some((_, begin, role)) = turn {
        let following = next(begin);
        let end = following.map_or(text.len(), |(start, ..)| start);
        let content = text.get(begin..end).unwrap_or_default().trim().to_owned();
        turns.push(MessageRecord { role: role.to_owned(), content });
        turn = following;
    }
    Some(turns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<(String, String)> {
        turns(text).unwrap().into_iter().map(|turn| (turn.role, turn.content)).collect()
    }

    #[test]
    fn a_conversation_is_cut_at_its_turns() {
        let pair = |role: &str, content: &str| (role.to_owned(), content.to_owned());
        assert_eq!(
            said("\n\nHuman: Hi\n\nthere: x\n\nAssistant: Yes?\n\nHuman:\n\nAssistant:  A\n\nB "),
            [pair("user", "Hi\n\nthere: x"), pair("assistant", "Yes?"), pair("user", ""), pair("assistant", "A\n\nB")]
        );
        assert_eq!(turns("Human: Hi"), None);
    }
}
