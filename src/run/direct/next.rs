//! What a model expects behind a text: the second use of a language model.

use super::{DirectError, LanguageModel};
use crate::engine::{Answer, Ask, Request, Token};
use crate::error::Problems;
use crate::sampling::{BiasToken, Sampling};
use unicode_segmentation::UnicodeSegmentation;

/// Most tokens that are told.
pub const MOST_NEXT: u32 = 100;
/// Most tokens that a word is continued by.
const WORD: usize = 16;
/// A bias that no logit makes up for.
const NEVER: f32 = -1e6;

/// A token that may come next.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// Its id.
    pub id: Token,
    /// What it stands for: its text, half a character replaced; a control token's spelling.
    pub token: String,
    /// The same, continued greedily to the end of the word (Unicode's word boundaries, UAX #29).
    pub text: String,
    /// How likely it is.
    pub probability: f64,
}

impl LanguageModel {
    /// The likeliest tokens behind a text, the best first; 1 to [`MOST_NEXT`] of them. Spellings of control tokens in the
    /// text are control tokens: it is a prompt.
    ///
    /// # Errors
    /// An empty text, or one that leaves no room in the context; a model that tells no probabilities; when the model cannot be
    /// loaded or decoding fails.
    pub fn next(&self, text: &str, count: u32) -> Result<Vec<Next>, Problems> {
        let tokens = self.engine().tokenize(text, &[]);
        if text.is_empty() || tokens.is_empty() {
            return Err(DirectError::Empty { what: "the text".to_owned() }.into());
        }
        let context = self.engine().context();
        if tokens.len() >= context {
            return Err(self.too_long("the text", (tokens.len(), 1), "of the model's").into());
        }
        let likeliest = self.likeliest(&tokens, count)?;
        let room = WORD.min(context - tokens.len() - 1);
        let words = self.words(&tokens, &likeliest, room)?;
        let all = likeliest.into_iter().zip(words).map(|((id, logprob), text)| {
            let token = self.shown(&[id]);
            Next { id, token, text, probability: f64::from(logprob).exp() }
        });
        Ok(all.collect())
    }

    /// The likeliest tokens with their log-probabilities. They come with a completion of one token. One that ends at once
    /// would come without, so what would end it is not drawn; it is among the likeliest all the same, for these are by
    /// the model's own logits, which no bias moves.
    fn likeliest(&self, tokens: &[Token], count: u32) -> Result<Vec<(Token, f32)>, Problems> {
        let sampling = Sampling {
            max_tokens: 1,
            logprobs: Some(count.clamp(1, MOST_NEXT)),
            logit_bias: self.engine().ends().iter().map(|end| (BiasToken::Id(*end), NEVER)).collect(),
            ..Sampling::default()
        };
        let ask = Ask::Generate { sampling, seed: 0 };
        let answer = self.ask(vec![Request { id: 0, tokens: tokens.to_vec(), ask }])?.pop();
        let told = match answer {
            Some(Answer::Completion(said)) => said.logprobs.and_then(|mut all| all.pop()),
            _ => None,
        };
        Ok(told.ok_or_else(|| DirectError::NoProbabilities { place: self.place() })?.top)
    }

    /// Each token continued to the end of the word.
    fn words(&self, tokens: &[Token], likeliest: &[(Token, f32)], room: usize) -> Result<Vec<String>, Problems> {
        let is_open = |id: Token| room > 0 && ends_within_a_word(&self.engine().bytes(&[id]));
        let open: Vec<Token> = likeliest.iter().map(|(id, _)| *id).filter(|id| is_open(*id)).collect();
        let sampling = Sampling {
            max_tokens: u32::try_from(room).unwrap_or(1),
            stop: vec![" ".to_owned(), "\n".to_owned()],
            ..Sampling::default()
        };
        let request = |id: &Token| {
            let ask = Ask::Generate { sampling: sampling.clone(), seed: 0 };
            Request { id: 0, tokens: [tokens, &[*id]].concat(), ask }
        };
        let mut said = self.ask(open.iter().map(request).collect())?.into_iter();
        let words = likeliest.iter().map(|&(id, _)| {
            let more = if is_open(id) { said.next() } else { None };
            let Some(Answer::Completion(more)) = more else { return self.shown(&[id]) };
            let whole = self.engine().bytes(&[&[id], more.tokens.as_slice()].concat());
            first_word(&String::from_utf8_lossy(&whole), self.engine().bytes(&[id]).len()).to_owned()
        });
        Ok(words.collect())
    }

    fn shown(&self, tokens: &[Token]) -> String {
        let spelt = |token: &Token| self.controls().get(token).cloned();
        match tokens {
            [token] if self.engine().bytes(tokens).is_empty() => spelt(token).unwrap_or_default(),
            _ => String::from_utf8_lossy(&self.engine().bytes(tokens)).into_owned(),
        }
    }

    pub(super) fn too_long(&self, what: &'static str, of: (usize, usize), behind: &'static str) -> DirectError {
        let (context, trained) = (self.engine().context(), self.engine().facts().trained_context as usize);
        DirectError::TooLong { what, tokens: of.0, behind: of.1, of: behind, context, trained }
    }
}

/// Whether a word may go on behind a token: it ends in a letter, in a digit or in half a character, or it is the space before
/// a word.
fn ends_within_a_word(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.ends_with(char::is_alphanumeric) || (!text.is_empty() && text.chars().all(|c| c == ' ')),
        Err(_) => true,
    }
}

/// A text up to the end of the word in which its first `len` bytes end; of the next word, where those are white space.
fn first_word(text: &str, len: usize) -> &str {
    let end = text.split_word_bound_indices().find_map(|(at, word)| {
        let end = at + word.len();
        (end >= len && !word.chars().all(char::is_whitespace)).then_some(end)
    });
    text.get(..end.unwrap_or(text.len())).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_ends_where_unicode_says_so() {
        for (text, len, wanted) in [
            (" Paris is", 2, " Paris"),
            (" Paris.", 2, " Paris"),
            ("don't stop", 3, "don't"),
            ("3.14, say", 1, "3.14"),
            (" 12 + 3", 1, " 12"),
            ("你好吗", 3, "你"),
            ("", 0, ""),
        ] {
            assert_eq!(first_word(text, len), wanted, "{text}");
        }
    }

    #[test]
    fn only_what_may_be_the_beginning_of_a_word_goes_on() {
        assert!([" P", "7", " ", "é"].iter().all(|text| ends_within_a_word(text.as_bytes())));
        assert!(["", "\n", ".", " +", "x."].iter().all(|text| !ends_within_a_word(text.as_bytes())));
        assert!(ends_within_a_word(b"\xe4\xbd"), "half a character");
    }
}
