//! Just enough YAML for a chat prompt: lists, maps and texts, each with its place.

use super::PromptError;
use crate::error::Place;
use crate::suite::PromptFile;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::path::Path;

/// A value with its place. Lines and columns count from 1.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// A text, number, boolean or null.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map and where it begins.
    Map(Vec<(Scalar, Node)>, usize, usize),
}

/// A text and how it was written.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    /// The text.
    pub(super) text: String,
    /// The line it begins in; for blocks, that of the first line with text.
    pub(super) line: usize,
    /// The column it begins in.
    pub(super) column: usize,
    /// Plain, quoted, or a block.
    pub(super) style: ScalarStyle,
}

impl Scalar {
    /// Whether YAML reads it as null.
    pub(super) fn is_null(&self) -> bool {
        self.style == ScalarStyle::Plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// Where it begins; the file as a whole for lists.
    pub(super) fn place(&self, path: &Path) -> Place {
        match self {
            Self::Scalar(scalar) => Place::new(path, scalar.line, scalar.column),
            Self::Map(_, line, column) => Place::new(path, *line, *column),
            Self::List(_) => Place::file(path),
        }
    }
}

/// Lists and maps may nest so deep; a chat needs four levels.
const DEEPEST: usize = 8;

/// Parses a file of one document.
pub(super) fn parse(file: &PromptFile) -> Result<Node, PromptError> {
    let mut reader = Reader { events: Parser::new_from_str(&file.text), file };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (Event::StreamEnd | Event::DocumentEnd | Event::Nothing, span) => {
                return Err(reader.error("expected a list of messages", span));
            }
            (event, span) => return reader.node(event, span, 0),
        }
    }
}

struct Reader<'f> {
    events: Parser<'f, saphyr_parser::StrInput<'f>>,
    file: &'f PromptFile,
}

impl<'f> Reader<'f> {
    fn next(&mut self) -> Result<(Event<'f>, Span), PromptError> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let place = Place::new(&self.file.path, error.marker().line(), error.marker().col() + 1);
                let help = "see the YAML around this place; a text with `: `, `#` or quotes goes behind `|`".to_owned();
                Err(PromptError::ChatFile { message: format!("not YAML: {}", error.info()), help, place })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'f>, span: Span, depth: usize) -> Result<Node, PromptError> {
        if depth > DEEPEST {
            return Err(self.error("a chat does not nest that deep", span));
        }
        match event {
            Event::Scalar(text, style, ..) => Ok(Node::Scalar(scalar(&text, style, span))),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => return Ok(Node::List(items)),
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut pairs = Vec::new();
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd, _) => return Ok(Node::Map(pairs, span.start.line(), span.start.col() + 1)),
                        (Event::Scalar(text, style, ..), span) => scalar(&text, style, span),
                        (_, span) => return Err(self.error("expected a role", span)),
                    };
                    let (event, span) = self.next()?;
                    pairs.push((key, self.node(event, span, depth + 1)?));
                }
            }
            _ => Err(self.error("a chat is written without anchors and aliases", span)),
        }
    }

    fn error(&self, message: &str, span: Span) -> PromptError {
        let place = Place::new(&self.file.path, span.start.line(), span.start.col() + 1);
        let help = "a chat is a list of `- system: …`, `- user: …`, `- assistant: …`".to_owned();
        PromptError::ChatFile { message: message.to_owned(), help, place }
    }
}

fn scalar(text: &str, style: ScalarStyle, span: Span) -> Scalar {
    Scalar { text: text.to_owned(), line: span.start.line(), column: span.start.col() + 1, style }
}
