//! What was dropped, and why.

use super::leak::Leak;
use crate::error::{Explain, Level, Place};
use std::fmt;

/// So many of the documents that were dropped for one reason are shown.
const SHOWN: usize = 5;

/// What is left of the documents, and what is not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cleaning {
    /// The documents that are kept, as indices in ascending order.
    pub kept: Vec<usize>,
    /// The others, by reason, in the order of [`Reason`]; a reason for which nothing was dropped is not here.
    pub dropped: Vec<Dropped>,
}

/// Why a document is dropped: the first of these that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Bytes that are not UTF-8 were in it.
    InvalidUtf8,
    /// A control character, or a byte order mark behind the beginning.
    ControlCharacters,
    /// Fewer characters than the rules ask for.
    TooShort,
    /// More characters than the rules allow.
    TooLong,
    /// A suite asks what stands in it.
    Leak,
    /// An earlier document that is kept has the same words.
    Duplicate,
    /// An earlier document that is kept has nearly the same words.
    NearDuplicate,
}

/// The documents that were dropped for one reason.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("dropped {documents} of {of} document{}: {reason}{}", if *of == 1 { "" } else { "s" }, first(.shown))]
pub struct Dropped {
    /// Why.
    pub reason: Reason,
    /// How many.
    pub documents: usize,
    /// Of how many.
    pub of: usize,
    /// Their length in characters, together.
    pub characters: usize,
    /// The first few of them.
    pub shown: Vec<Shown>,
}

/// One document that was dropped.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its index.
    pub document: usize,
    /// Where it is.
    pub place: Place,
    /// What is wrong with it.
    pub evidence: Evidence,
}

/// What gives a document away.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// A character that no text has.
    Character {
        /// The character.
        character: char,
        /// Characters before it.
        at: usize,
    },
    /// Its length.
    Length {
        /// In characters, white space at both ends apart.
        characters: usize,
    },
    /// What a suite asks.
    Asked(Leak),
    /// An earlier document.
    Repeats {
        /// Its index.
        document: usize,
        /// Where it is.
        place: Place,
        /// The Jaccard similarity of their shingles; 1 for the same words.
        similarity: f64,
    },
}

impl Cleaning {
    /// Counts a document that was dropped.
    pub(super) fn drop(&mut self, reason: Reason, shown: Shown, characters: usize, of: usize) {
        let at = self.dropped.binary_search_by_key(&reason, |dropped| dropped.reason).unwrap_or_else(|at| {
            self.dropped.insert(at, Dropped { reason, documents: 0, of, characters: 0, shown: Vec::new() });
            at
        });
        let Some(dropped) = self.dropped.get_mut(at) else { return };
        dropped.documents += 1;
        dropped.characters += characters;
        if dropped.shown.len() < SHOWN {
            dropped.shown.push(shown);
        }
    }
}

fn first(shown: &[Shown]) -> String {
    shown.first().map(|shown| format!(" (the first {})", shown.evidence)).unwrap_or_default()
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidUtf8 => "not UTF-8",
            Self::ControlCharacters => "control characters",
            Self::TooShort => "too short",
            Self::TooLong => "too long",
            Self::Leak => "asked by a suite",
            Self::Duplicate => "duplicates",
            Self::NearDuplicate => "near duplicates",
        })
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { character, at } => {
                write!(f, "has U+{:04X} as character {}", u32::from(*character), at + 1)
            }
            Self::Length { characters: 1 } => f.write_str("has 1 character"),
            Self::Length { characters } => write!(f, "has {characters} characters"),
            Self::Asked(leak) => {
                write!(f, "has \"{}\", which suite `{}` asks in case `{}`", leak.words, leak.suite, leak.case)
            }
            Self::Repeats { place, .. } => write!(f, "repeats {place}"),
        }
    }
}

impl Explain for Dropped {
    fn level(&self) -> Level {
        Level::Warning
    }

    fn at(&self) -> Option<&Place> {
        self.shown.first().map(|shown| &shown.place)
    }

    fn help(&self) -> Option<String> {
        let help = match self.reason {
            Reason::InvalidUtf8 => "save the file as UTF-8 to keep them",
            Reason::ControlCharacters => "take these characters out to keep the documents",
            Reason::TooShort => "a smaller `shortest` keeps them",
            Reason::TooLong => "a larger `longest` keeps them",
            Reason::Leak => "what a suite asks is not learned, or its score would say nothing",
            Reason::Duplicate => "the first of each is kept",
            Reason::NearDuplicate => {
                "the first of each is kept; a larger `near` keeps more, and `near: null` all but the same words"
            }
        };
        Some(help.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    #[test]
    fn says_how_many_why_where_and_how_to_mend_it() {
        let mut cleaning = Cleaning::default();
        let repeats = |line| Shown {
            document: line - 1,
            place: Place::new("corpus.jsonl", line, 0),
            evidence: Evidence::Repeats { document: 2, place: Place::new("corpus.jsonl", 3, 0), similarity: 0.9 },
        };
        for line in 17..29 {
            cleaning.drop(Reason::NearDuplicate, repeats(line), 100, 1000);
        }
        let leak = Leak { suite: "capitals".into(), case: "fr".into(), words: "capital of france paris".into() };
        let asked = Shown { document: 0, place: Place::new("a.txt", 1, 0), evidence: Evidence::Asked(leak) };
        cleaning.drop(Reason::Leak, asked, 10, 1000);
        let character = Evidence::Character { character: '\u{c}', at: 6 };
        let control = Shown { document: 1, place: Place::new("a.txt", 2, 0), evidence: character };
        cleaning.drop(Reason::ControlCharacters, control, 10, 1000);
        assert_eq!((cleaning.dropped[2].characters, cleaning.dropped[2].shown.len()), (1200, SHOWN));
        let text: String = cleaning.dropped.iter().map(|dropped| render(dropped, false)).collect();
        insta::assert_snapshot!(text, @r#"
        warning: dropped 1 of 1000 documents: control characters (the first has U+000C as character 7)
          --> a.txt:2
          help: take these characters out to keep the documents
        warning: dropped 1 of 1000 documents: asked by a suite (the first has "capital of france paris", which suite `capitals` asks in case `fr`)
          --> a.txt:1
          help: what a suite asks is not learned, or its score would say nothing
        warning: dropped 12 of 1000 documents: near duplicates (the first repeats corpus.jsonl:3)
          --> corpus.jsonl:17
          help: the first of each is kept; a larger `near` keeps more, and `near: null` all but the same words
        "#);
    }
}
