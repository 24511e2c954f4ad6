//! How the answer is read from a completion: the suite's `answer:`.

use serde::{Deserialize, Serialize};

/// Which match counts where a completion has several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The first.
    First,
    /// The last: models state their answer at the end.
    #[default]
    Last,
}

/// How the answer is read from a completion, after think tags are taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "take")]
pub enum Answer {
    /// A number, as people write it: `$1,234.50`, `**42**`, `42.`
    Number {
        /// Which of several.
        which: Which,
    },
    /// A single choice letter A to Z: `(B)`, `B.`, `Answer: B`.
    Letter {
        /// Which of several.
        which: Which,
    },
    /// The last line that is not empty.
    LastLine,
    /// A value inside a JSON text.
    Json {
        /// RFC 6901 pointer; empty is the whole document.
        pointer: String,
    },
    /// A regular expression's group.
    Pattern {
        /// The expression (the `regex` crate's syntax).
        regex: String,
        /// The group taken; 1 if the expression has one, else 0.
        group: Option<usize>,
        /// Which of several matches.
        which: Which,
    },
    /// The whole completion, trimmed.
    Text,
}
