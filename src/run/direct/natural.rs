//! How natural a model finds texts: the first use of a language model.

use super::super::want::{self, Unfit, Want};
use super::pieces::Piece;
use super::{DirectError, LanguageModel};
use crate::engine::Answer;
use crate::error::Problems;
use crate::score::Surprisal;

/// A text as a model finds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Natural {
    /// The text.
    pub text: String,
    /// What its likelihood comes to, or why it comes to nothing.
    pub surprisal: Result<Surprisal, String>,
    /// Its tokens, each with its log-probability given all before it.
    pub pieces: Vec<Piece>,
}

impl LanguageModel {
    /// How likely each text is, behind the token that begins a text. One that is longer than the context is read in
    /// windows, as the scorer `perplexity` reads long texts. What a text spells is plain text, control tokens too.
    ///
    /// # Errors
    /// Texts of which no token can be judged, all of them; when the model cannot be loaded or decoding fails.
    pub fn natural(&self, texts: &[String]) -> Result<Vec<Natural>, Problems> {
        let mut problems = Problems::new();
        let mut wants: Vec<Vec<Want>> = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            match want::windows(self.engine(), text, None) {
                Ok(of_text) => wants.push(of_text),
                Err(unfit) => problems.push(self.unfit(at, text, &unfit)),
            }
        }
        problems.or_ok(())?;
        let requests = wants.iter().flatten().map(|want| want.request.clone()).collect();
        let mut answers = self.ask(requests)?.into_iter();
        let all = texts.iter().zip(&wants).map(|(text, wants)| {
            let answers: Vec<Answer> = answers.by_ref().take(wants.len()).collect();
            self.found(text, wants, &answers)
        });
        Ok(all.collect())
    }

    fn unfit(&self, at: usize, text: &str, unfit: &Unfit) -> DirectError {
        let what = format!("text {}", at + 1);
        match unfit {
            _ if text.is_empty() => DirectError::Empty { what },
            Unfit::ShortText | Unfit::NoTokens { .. } => DirectError::OneToken { what, place: self.place() },
            Unfit::TooLong { prompt, candidate } => self.too_long("a token", (*prompt, *candidate), "to be judged"),
        }
    }

    fn found(&self, text: &str, wants: &[Want], answers: &[Answer]) -> Natural {
        let (_, likelihoods, _) = want::gathered(wants.iter().zip(answers));
        let mut pieces = Vec::new();
        // Without a token that begins a text, nothing says how likely the first one is.
        if let (None, Some(first)) = (self.engine().start(), wants.first()) {
            pieces.extend(first.request.tokens.first().map(|&token| self.piece(token, None)));
        }
        for (want, answer) in wants.iter().zip(answers) {
            let (Some(tokens), Answer::Likelihood(told)) = (want.continuation(), answer) else { continue };
            let logprobs = told.logprobs.iter().flatten();
            pieces.extend(tokens.iter().zip(logprobs).map(|(&token, &logprob)| self.piece(token, Some(logprob))));
        }
        Natural { text: text.to_owned(), surprisal: Surprisal::of(&likelihoods), pieces }
    }
}
