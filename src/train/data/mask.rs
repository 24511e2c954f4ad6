//! A lesson as tokens, and which of them are learned.

use crate::engine::{Engine, Token};
use crate::model::Document;
use crate::prompt::{Controls, Lesson};
use std::collections::HashMap;
use std::ops::Range;

/// The document of a lesson. The answers are learned, each up to and with the first token that ends it; `end` is put behind
/// the last one and learned as well.
pub(super) fn document(engine: &dyn Engine, lesson: &Lesson, end: Option<Token>) -> Document {
    let mut page = Page { engine, lesson, document: Document::default(), at: 0 };
    for answer in &lesson.answers {
        page.write(answer.start, false);
        // BOS may be the same token as EOS; an answer without a prompt begins behind it.
        let bos = if page.at == 0 { engine.tokenize("", &[]).len() } else { 0 };
        let first = page.document.tokens.len() + bos;
        page.write(answer.end, true);
        page.end_after(first);
    }
    let Document { mut tokens, mut learn } = page.document;
    let learned = learn.iter().rposition(|learn| *learn).map_or(0, |last| last + 1);
    tokens.truncate(learned);
    learn.truncate(learned);
    tokens.extend(end);
    learn.extend(end.map(|_| true));
    if let Some(first) = learn.first_mut() {
        *first = false;
    }
    Document { tokens, learn }
}

/// Whether the last token is learned and ends an answer.
pub(super) fn ends(engine: &dyn Engine, document: &Document) -> bool {
    let last = document.tokens.last().zip(document.learn.last());
    last.is_some_and(|(token, learn)| *learn && engine.is_end(*token))
}

/// The tokens of a text that stands behind others, every control token in it quoted.
pub(super) fn alone(engine: &dyn Engine, text: &str, controls: &Controls) -> Vec<Token> {
    let quoted = controls.quote(text).map(|prompt| prompt.quoted).unwrap_or_default();
    without_bos(engine, &engine.tokenize(text, &quoted)).to_vec()
}

/// BOS stands before every text, once.
fn without_bos<'t>(engine: &dyn Engine, tokens: &'t [Token]) -> &'t [Token] {
    tokens.strip_prefix(&engine.tokenize("", &[])[..]).unwrap_or(tokens)
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

/// A lesson on its way to tokens.
struct Page<'a> {
    engine: &'a dyn Engine,
    lesson: &'a Lesson,
    document: Document,
    /// The byte of the text up to which it is written.
    at: usize,
}

impl Page<'_> {
    /// Writes the text on, up to a byte. What stands there already was read, or said, by the model as it is: it stays.
    fn write(&mut self, to: usize, learn: bool) {
        if to <= self.at {
            return;
        }
        let whole = self.tokens(0..to);
        let written = &self.document.tokens;
        let tokens = if self.at == 0 || whole.starts_with(written) { whole } else { self.joined(whole, to) };
        let kept = written.iter().zip(&tokens).take_while(|(a, b)| a == b).count();
        self.document.learn.truncate(kept);
        self.document.learn.resize(tokens.len(), learn);
        self.document.tokens = tokens;
        self.at = to;
    }

    /// What the model would not say any more is not learned.
    fn end_after(&mut self, first: usize) {
        let said = self.document.tokens.iter().skip(first);
        if let Some(end) = said.into_iter().position(|token| self.engine.is_end(*token)) {
            self.document.learn.iter_mut().skip(first + end + 1).for_each(|learn| *learn = false);
        }
    }

    /// The tokens of a part of the text.
    fn tokens(&self, part: Range<usize>) -> Vec<Token> {
        let touching = |quoted: &&Range<usize>| quoted.start < part.end && part.start < quoted.end;
        let inside =
            |quoted: &Range<usize>| quoted.start.max(part.start) - part.start..quoted.end.min(part.end) - part.start;
        let quoted: Vec<Range<usize>> = self.lesson.quoted.iter().filter(touching).map(inside).collect();
        self.engine.tokenize(self.lesson.text.get(part).unwrap_or_default(), &quoted)
    }

    /// What is written and the next part behind it, where the text as a whole has other tokens around the seam: the model
    /// reads its prompt before there is an answer, so the seam stays. Where a tokenizer puts a space of its own before
    /// each text, the whole has to do.
    fn joined(&self, whole: Vec<Token>, to: usize) -> Vec<Token> {
        let part = self.at..to;
        let tokens = self.tokens(part.clone());
        let own = if self.begins_with_bos(&part) { &tokens[..] } else { without_bos(self.engine, &tokens) };
        let joined = [&self.document.tokens[..], own].concat();
        if self.engine.bytes(&joined) == self.engine.bytes(&whole) { joined } else { whole }
    }

    /// Whether the template itself writes BOS at the beginning of a part.
    fn begins_with_bos(&self, part: &Range<usize>) -> bool {
        let text = self.lesson.text.get(part.clone()).unwrap_or_default();
        let bos = self.engine.facts().bos.as_deref().filter(|bos| !bos.is_empty());
        bos.is_some_and(|bos| text.starts_with(bos)) && self.lesson.quoted.iter().all(|q| q.start != part.start)
    }
}
