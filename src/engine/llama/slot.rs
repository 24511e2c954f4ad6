//! One completion in the making: what it has said, and when it is done.

use super::draw::Drawer;
use super::line::Account;
use super::logprob::with_alternatives;
use crate::engine::{Completion, Request, StopReason, TokenLogprob};
use crate::sampling::Sampling;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;

/// A request being answered token by token.
pub(super) struct Slot {
    /// Which of the requests.
    pub(super) request: usize,
    sampling: Sampling,
    prompt_tokens: usize,
    drawer: Drawer,
    /// Tokens drawn.
    drawn: Vec<LlamaToken>,
    /// Their bytes: characters may be spread over tokens.
    bytes: Vec<u8>,
    longest_stop: usize,
    logprobs: Vec<TokenLogprob>,
    /// The token of the model's that ended it.
    end: Option<LlamaToken>,
}

/// What became of a slot when a token was drawn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It wants another token.
    More,
    /// It is complete.
    Done,
}

impl Slot {
    /// A slot for the request of that index.
    pub(super) fn new(index: usize, request: &Request, sampling: &Sampling, drawer: Drawer) -> Self {
        Self { request: index, ..Self::behind(request.tokens.len(), sampling, drawer) }
    }

    /// A slot for the only request there is, behind a prompt of so many tokens.
    pub(super) fn behind(prompt_tokens: usize, sampling: &Sampling, drawer: Drawer) -> Self {
        Self {
            request: 0,
            prompt_tokens,
            drawer,
            drawn: Vec::new(),
            bytes: Vec::new(),
            longest_stop: sampling.stop.iter().map(String::len).max().unwrap_or(0),
            logprobs: Vec::new(),
            end: None,
            sampling: sampling.clone(),
        }
    }

    /// The newest token and its position: what has to be decoded before the next draw. `None` before the first draw.
    pub(super) fn newest(&self) -> Option<(LlamaToken, usize)> {
        Some((*self.drawn.last()?, self.prompt_tokens + self.drawn.len() - 1))
    }

    /// Draws the next token from the logits at `index` of the last batch.
    pub(super) fn draw(&mut self, context: &LlamaContext, vocab: &LlamaVocab, index: i32) -> Outcome {
        let Some(token) = self.drawer.draw(context, index) else { return Outcome::Done };
        if vocab.is_eog(token) {
            self.end = Some(token);
            return Outcome::Done;
        }
        self.drawn.push(token);
        if let Some(count) = self.sampling.logprobs {
            let logits = context.get_logits_ith(index);
            self.logprobs.push(with_alternatives(logits, token.0.cast_unsigned(), count as usize));
        }
        let before = self.bytes.len();
        vocab.token_to_piece_into(token, &mut self.bytes, false, None);
        if self.is_full() || self.stop_at(before).is_some() { Outcome::Done } else { Outcome::More }
    }

    fn is_full(&self) -> bool {
        self.drawn.len() >= self.sampling.max_tokens as usize
    }

    /// Where the first stop text begins, looking only at what bytes from `before` on may have completed.
    fn stop_at(&self, before: usize) -> Option<usize> {
        let from = before.saturating_sub(self.longest_stop.saturating_sub(1));
        let tail = self.bytes.get(from..)?;
        let stops = self.sampling.stop.iter();
        stops.filter_map(|stop| find(tail, stop.as_bytes())).min().map(|at| from + at)
    }

    /// The bytes drawn so far, up to a stop text.
    pub(super) fn said(&self) -> &[u8] {
        self.bytes.get(..self.stop_at(0).unwrap_or(self.bytes.len())).unwrap_or_default()
    }

    /// The completion; the account says what it cost.
    pub(super) fn finish(self, account: &Account) -> Completion {
        let cut = self.is_full() && self.stop_at(0).is_none();
        Completion {
            text: String::from_utf8_lossy(self.said()).into_owned(),
            stop_reason: if cut { StopReason::Length } else { StopReason::Stop },
            prompt_tokens: self.prompt_tokens,
            prompt_tokens_decoded: account.decoded,
            completion_tokens: self.drawn.len(),
            tokens: self.drawn.iter().map(|token| token.0.cast_unsigned()).collect(),
            elapsed_s: account.elapsed_s,
            end: self.end.filter(|_| self.sampling.logprobs.is_some()).map(|token| token.0.cast_unsigned()),
            logprobs: self.sampling.logprobs.map(|_| self.logprobs),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len().max(1)).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Ask;

    fn slot(stop: &[&str], said: &[&str]) -> Slot {
        let sampling = Sampling { stop: stop.iter().map(|s| (*s).to_owned()).collect(), ..Sampling::default() };
        let ask = Ask::Generate { sampling: sampling.clone(), seed: 0 };
        let request = Request { id: 0, tokens: vec![1], ask };
        let mut slot = Slot::new(0, &request, &sampling, Drawer::Greedy);
        for piece in said {
            slot.drawn.push(LlamaToken(1));
            slot.bytes.extend_from_slice(piece.as_bytes());
        }
        slot
    }

    #[test]
    fn a_stop_text_is_found_across_token_boundaries_and_cut_off() {
        let slot = slot(&["\n\nQ:"], &["42", "\n", "\nQ", ": next"]);
        assert_eq!(slot.stop_at(slot.bytes.len() - 6), Some(2));
        let completion = slot.finish(&Account::default());
        assert_eq!((completion.text.as_str(), completion.stop_reason), ("42", StopReason::Stop));
    }

    #[test]
    fn the_earliest_of_several_stop_texts_counts() {
        assert_eq!(slot(&["b", "a"], &["xxab"]).finish(&Account::default()).text, "xx");
    }

    #[test]
    fn half_a_character_at_the_end_is_shown_as_a_replacement() {
        let mut slot = slot(&[], &["é"]);
        slot.bytes.truncate(1);
        assert_eq!(slot.finish(&Account::default()).text, "\u{fffd}");
    }
}
