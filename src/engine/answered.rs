//! Texts with answers in them, as the tokens that a model would read and say.

use super::{Engine, Token};
use std::ops::Range;

/// A text, and which of it are answers.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The whole text.
    pub text: &'a str,
    /// The byte ranges in which control-token spellings are plain text.
    pub quoted: &'a [Range<usize>],
    /// The byte ranges that are answers, in order.
    pub answers: &'a [Range<usize>],
}

impl Answered<'_> {
    /// The tokens up to the end of the last answer, and of each whether it is said: an answer is, up to and with the first
    /// token that ends it. `end` is put behind the last answer, and is said as well. The first token never is.
    ///
    /// A prompt is tokenised without the answer behind it, as it is when the model is asked.
    #[must_use]
    pub fn tokens(self, engine: &dyn Engine, end: Option<Token>) -> (Vec<Token>, Vec<bool>) {
        let mut page = Page { engine, of: self, tokens: Vec::new(), said: Vec::new(), at: 0 };
        for answer in self.answers {
            page.write(answer.start, false);
            // BOS may be the same token as EOS; an answer without a prompt begins behind it.
            let bos = if page.at == 0 { engine.tokenize("", &[]).len() } else { 0 };
            let first = page.tokens.len() + bos;
            page.write(answer.end, true);
            page.end_after(first);
        }
        let Page { mut tokens, mut said, .. } = page;
        let kept = said.iter().rposition(|said| *said).map_or(0, |last| last + 1);
        tokens.truncate(kept);
        said.truncate(kept);
        tokens.extend(end);
        said.extend(end.map(|_| true));
        if let Some(first) = said.first_mut() {
            *first = false;
        }
        (tokens, said)
    }
}

/// Tokens without BOS, which stands before every text, once.
#[must_use]
pub fn without_bos<'t>(engine: &dyn Engine, tokens: &'t [Token]) -> &'t [Token] {
    tokens.strip_prefix(&engine.tokenize("", &[])[..]).unwrap_or(tokens)
}

/// The token that ends a text: EOS, where the model has one that ends what it says.
#[must_use]
pub fn end_of_text(engine: &dyn Engine) -> Option<Token> {
    let eos = engine.facts().eos.as_ref()?;
    engine.tokenize(eos, &[]).last().copied().filter(|token| engine.is_end(*token))
}

/// A text on its way to tokens.
struct Page<'a> {
    engine: &'a dyn Engine,
    of: Answered<'a>,
    tokens: Vec<Token>,
    /// Of each token, whether it is said.
    said: Vec<bool>,
    /// The byte of the text up to which it is written.
    at: usize,
}

impl Page<'_> {
    /// Writes the text on, up to a byte. What stands there already was read, or said, by the model as it is: it stays.
    fn write(&mut self, to: usize, said: bool) {
        if to <= self.at {
            return;
        }
        let whole = self.part(0..to);
        let written = &self.tokens;
        let tokens = if self.at == 0 || whole.starts_with(written) { whole } else { self.joined(whole, to) };
        let kept = written.iter().zip(&tokens).take_while(|(a, b)| a == b).count();
        self.said.truncate(kept);
        self.said.resize(tokens.len(), said);
        self.tokens = tokens;
        self.at = to;
    }

    /// What the model would not say any more is not said.
    fn end_after(&mut self, first: usize) {
        if let Some(end) = self.tokens.iter().skip(first).position(|token| self.engine.is_end(*token)) {
            self.said.iter_mut().skip(first + end + 1).for_each(|said| *said = false);
        }
    }

    /// The tokens of a part of the text.
    fn part(&self, part: Range<usize>) -> Vec<Token> {
        let touching = |quoted: &&Range<usize>| quoted.start < part.end && part.start < quoted.end;
        let inside =
            |quoted: &Range<usize>| quoted.start.max(part.start) - part.start..quoted.end.min(part.end) - part.start;
        let quoted: Vec<Range<usize>> = self.of.quoted.iter().filter(touching).map(inside).collect();
        self.engine.tokenize(self.of.text.get(part).unwrap_or_default(), &quoted)
    }

    /// What is written and the next part behind it, where the text as a whole has other tokens around the seam: the model
    /// reads its prompt before there is an answer, so the seam stays. Where a tokenizer puts a space of its own before
    /// each text, the whole has to do.
    fn joined(&self, whole: Vec<Token>, to: usize) -> Vec<Token> {
        let part = self.at..to;
        let tokens = self.part(part.clone());
        let own = if self.begins_with_bos(&part) { &tokens[..] } else { without_bos(self.engine, &tokens) };
        let joined = [&self.tokens[..], own].concat();
        if self.engine.bytes(&joined) == self.engine.bytes(&whole) { joined } else { whole }
    }

    /// Whether the template itself writes BOS at the beginning of a part.
    fn begins_with_bos(&self, part: &Range<usize>) -> bool {
        let text = self.of.text.get(part.clone()).unwrap_or_default();
        let bos = self.engine.facts().bos.as_deref().filter(|bos| !bos.is_empty());
        bos.is_some_and(|bos| text.starts_with(bos)) && self.of.quoted.iter().all(|q| q.start != part.start)
    }
}
