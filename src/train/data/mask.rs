//! A lesson as tokens, and which of them are learned.

use crate::engine::{self, Answered, Engine, Token};
use crate::model::Document;
use crate::prompt::{Controls, Lesson};
use std::collections::HashMap;

/// The document of a lesson. The answers are learned, each up to and with the first token that ends it; `end` is put behind
/// the last one and learned as well.
pub(super) fn document(engine: &dyn Engine, lesson: &Lesson, end: Option<Token>) -> Document {
    let answered = Answered { text: &lesson.text, quoted: &lesson.quoted, answers: &lesson.answers };
    let (tokens, said) = answered.tokens(engine, end);
    Document::new(tokens, said)
}

/// Whether the last token is learned and ends an answer.
pub(super) fn ends(engine: &dyn Engine, document: &Document) -> bool {
    let last = document.tokens.last().zip(document.learn.last());
    last.is_some_and(|(token, learn)| *learn && engine.is_end(*token))
}

/// The tokens of a text that stands behind others, every control token in it quoted.
pub(super) fn alone(engine: &dyn Engine, text: &str, controls: &Controls) -> Vec<Token> {
    let quoted = controls.quote(text).map(|prompt| prompt.quoted).unwrap_or_default();
    engine::without_bos(engine, &engine.tokenize(text, &quoted)).to_vec()
}

/// Whether nothing is learned but ends and white space.
pub(super) fn is_blank(engine: &dyn Engine, document: &Document) -> bool {
    let learned = document.tokens.iter().zip(&document.learn).filter(|(_, learn)| **learn);
    engine.bytes(&learned.map(|(token, _)| *token).collect::<Vec<_>>()).trim_ascii().is_empty()
}

/// A document to read, control tokens spelt out, what is learned of it between `⟦` and `⟧`.
pub(super) fn shown(engine: &dyn Engine, document: &Document) -> String {
    let spellings = engine.facts().controls.iter();
    let controls: HashMap<Token, &String> =
        spellings.filter_map(|control| Some((*engine.tokenize(control, &[]).last()?, control))).collect();
    let (mut bytes, mut learned) = (Vec::new(), false);
    for (token, learn) in document.tokens.iter().zip(&document.learn) {
        if *learn != learned {
            bytes.extend_from_slice(if *learn { "⟦" } else { "⟧" }.as_bytes());
            learned = *learn;
        }
        match controls.get(token) {
            Some(control) => bytes.extend_from_slice(control.as_bytes()),
            None => bytes.extend(engine.bytes(&[*token])),
        }
    }
    bytes.extend_from_slice(if learned { "⟧" } else { "" }.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
