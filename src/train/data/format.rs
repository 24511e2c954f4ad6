//! What a row of data may be, told by its columns.

/// The parts of rows, by the names that the formats give them.
pub(in crate::train) const ROLES: [&str; 7] =
    ["messages", "prompt", "completion", "instruction", "input", "output", "text"];

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::train) enum Format {
    /// `messages`: a conversation.
    Messages,
    /// `prompt` and `completion`: texts.
    Completion,
    /// `instruction`, `input` (may be missing or empty) and `output`: Alpaca's.
    Alpaca,
    /// `text`: all of it is learned.
    Text,
}

impl Format {
    /// All of them, for people.
    pub(in crate::train) const KNOWN: &str =
        "`messages`, `prompt` and `completion`, `instruction` and `output` (with or without `input`), or `text`";

    /// The format that has exactly these columns.
    pub(in crate::train) fn of<'a>(columns: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut columns: Vec<&str> = columns.collect();
        columns.sort_unstable();
        match columns[..] {
            ["messages"] => Some(Self::Messages),
            ["completion", "prompt"] => Some(Self::Completion),
            ["input", "instruction", "output"] | ["instruction", "output"] => Some(Self::Alpaca),
            ["text"] => Some(Self::Text),
            _ => None,
        }
    }

    /// The format that most of these columns belong to, and those that do not.
    pub(in crate::train) fn nearest<'a>(columns: &[&'a str]) -> (Option<Self>, Vec<&'a str>) {
        let formats: [(Self, &[&str]); 4] = [
            (Self::Messages, &["messages"]),
            (Self::Completion, &["prompt", "completion"]),
            (Self::Alpaca, &["instruction", "output"]),
            (Self::Text, &["text"]),
        ];
        let found = formats.iter().find(|(_, needed)| needed.iter().all(|name| columns.contains(name)));
        let known: &[&str] = match found {
            Some((Self::Alpaca, _)) => &["instruction", "input", "output"],
            Some((_, needed)) => needed,
            None => &[],
        };
        (found.map(|(format, _)| *format), columns.iter().copied().filter(|name| !known.contains(name)).collect())
    }
}
