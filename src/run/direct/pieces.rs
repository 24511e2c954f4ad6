//! How a model cuts a text.

use super::{DirectError, LanguageModel};
use crate::engine::Token;

/// A token of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its id.
    pub id: Token,
    /// The bytes that it stands for, which need not be whole characters; none for a control token.
    pub bytes: Vec<u8>,
    /// How it is spelt, where it is a control token.
    pub control: Option<String>,
    /// Its log-probability given all before it, where that was asked and can be said.
    pub logprob: Option<f32>,
}

impl LanguageModel {
    /// The tokens of a text as the model reads it, the one that begins a text included where it has one. With `control`
    /// the spellings of control tokens are control tokens, otherwise they are plain text.
    ///
    /// # Errors
    /// An empty text.
    pub fn cut(&self, text: &str, control: bool) -> Result<Vec<Piece>, DirectError> {
        if text.is_empty() {
            return Err(DirectError::Empty { what: "the text".to_owned() });
        }
        let whole = 0..text.len();
        let quoted = if control { &[][..] } else { std::slice::from_ref(&whole) };
        Ok(self.engine().tokenize(text, quoted).into_iter().map(|token| self.piece(token, None)).collect())
    }

    /// How many tokens stand before every text.
    #[must_use]
    pub fn begins(&self) -> usize {
        self.engine().tokenize("", &[]).len()
    }

    pub(super) fn piece(&self, id: Token, logprob: Option<f32>) -> Piece {
        let bytes = self.engine().bytes(&[id]);
        let control = self.controls().get(&id).filter(|_| bytes.is_empty()).cloned();
        Piece { id, bytes, control, logprob }
    }
}
