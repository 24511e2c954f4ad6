//! One sequence in flight: its prompt, what it has said, and when it is done.

use super::super::{Completion, Request, StopReason};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;

/// A request being answered in a sequence of its own.
pub(super) struct Slot {
    request: Request,
    sampler: Option<LlamaSampler>,
    /// Prompt tokens decoded so far.
    decoded: usize,
    /// Tokens drawn.
    drawn: Vec<LlamaToken>,
    /// Their bytes: characters may be spread over tokens.
    bytes: Vec<u8>,
    longest_stop: usize,
    elapsed_s: f64,
}

/// What became of a slot when a token was drawn.
pub(super) enum Outcome {
    /// It wants another token.
    More,
    /// It is complete.
    Done,
}

impl Slot {
    pub(super) fn new(request: Request) -> Self {
        let longest_stop = request.sampling.stop.iter().map(String::len).max().unwrap_or(0);
        let sampler = sampler(&request);
        Self { request, sampler, decoded: 0, drawn: Vec::new(), bytes: Vec::new(), longest_stop, elapsed_s: 0.0 }
    }

    /// Cells of the KV cache that it may come to need.
    pub(super) fn need(request: &Request) -> usize {
        request.tokens.len().saturating_add(request.sampling.max_tokens as usize)
    }

    /// The same for the request it holds.
    pub(super) fn reserved(&self) -> usize {
        Self::need(&self.request)
    }

    /// The tokens to decode next, at most `room`, the position of the first, and whether the last one's logits are
    /// wanted: the last token drawn, or the next part of the prompt.
    pub(super) fn next_tokens(&self, room: usize) -> (Vec<LlamaToken>, usize, bool) {
        if let Some(last) = self.drawn.last() {
            return (vec![*last], self.request.tokens.len() + self.drawn.len() - 1, true);
        }
        let rest = self.request.tokens.get(self.decoded..).unwrap_or_default();
        let part = rest.iter().take(room).map(|token| LlamaToken(token.cast_signed())).collect();
        (part, self.decoded, rest.len() <= room)
    }

    /// Whether the whole prompt is decoded, so that each step decodes one drawn token.
    pub(super) fn is_drawing(&self) -> bool {
        !self.drawn.is_empty()
    }

    /// Notes that `count` tokens were decoded in `seconds` (this slot's share).
    pub(super) fn decoded(&mut self, count: usize, seconds: f64) {
        if self.drawn.is_empty() {
            self.decoded += count;
        }
        self.elapsed_s += seconds;
    }

    /// Draws the next token from the logits at `index` of the last batch.
    pub(super) fn draw(&mut self, context: &LlamaContext, vocab: &LlamaVocab, index: i32) -> Outcome {
        let token = match &mut self.sampler {
            Some(sampler) => sampler.sample(context, index),
            None => greedy(context.get_logits_ith(index)),
        };
        if vocab.is_eog(token) {
            return Outcome::Done;
        }
        self.drawn.push(token);
        let before = self.bytes.len();
        vocab.token_to_piece_into(token, &mut self.bytes, false, None);
        let full = self.drawn.len() >= self.request.sampling.max_tokens as usize;
        if full || self.stop_at(before).is_some() { Outcome::Done } else { Outcome::More }
    }

    /// Where the first stop text begins, looking only at what bytes from `before` on may have completed.
    fn stop_at(&self, before: usize) -> Option<usize> {
        let from = before.saturating_sub(self.longest_stop.saturating_sub(1));
        let tail = self.bytes.get(from..)?;
        let stops = self.request.sampling.stop.iter();
        stops.filter_map(|stop| find(tail, stop.as_bytes())).min().map(|at| from + at)
    }

    /// The completion and the request's number.
    pub(super) fn finish(self) -> (usize, Completion) {
        let stop = self.stop_at(0);
        let full = self.drawn.len() >= self.request.sampling.max_tokens as usize;
        let bytes = self.bytes.get(..stop.unwrap_or(self.bytes.len())).unwrap_or_default();
        let completion = Completion {
            text: String::from_utf8_lossy(bytes).into_owned(),
            stop_reason: if full && stop.is_none() { StopReason::Length } else { StopReason::Stop },
            prompt_tokens: self.request.tokens.len(),
            prompt_tokens_decoded: self.decoded,
            completion_tokens: self.drawn.len(),
            tokens: self.drawn.iter().map(|token| token.0.cast_unsigned()).collect(),
            elapsed_s: self.elapsed_s,
        };
        (self.request.id, completion)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len().max(1)).position(|window| window == needle)
}

/// The likeliest token; of equals the one with the lowest id, so that ties never depend on a sort.
fn greedy(logits: &[f32]) -> LlamaToken {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, logit) in (0..).zip(logits) {
        if *logit > best.1 {
            best = (id, *logit);
        }
    }
    LlamaToken(best.0)
}

/// llama.cpp's samplers in its usual order; `None` for greedy, which needs none of them. The seed of `dist` has 32
/// bits: both halves of the request's are folded into it.
fn sampler(request: &Request) -> Option<LlamaSampler> {
    let sampling = &request.sampling;
    if sampling.is_greedy() {
        return None;
    }
    let mut chain = Vec::new();
    chain.extend(sampling.top_k.and_then(|k| i32::try_from(k).ok()).map(LlamaSampler::top_k));
    chain.extend(sampling.top_p.map(|p| LlamaSampler::top_p(p, 1)));
    chain.extend(sampling.min_p.map(|p| LlamaSampler::min_p(p, 1)));
    chain.push(LlamaSampler::temp(sampling.temperature));
    let folded = (request.seed ^ (request.seed >> 32)) & u64::from(u32::MAX);
    // llama.cpp takes u32::MAX for "draw a random seed".
    chain.push(LlamaSampler::dist(u32::try_from(folded).unwrap_or(0).min(u32::MAX - 1)));
    Some(LlamaSampler::chain(chain, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::Sampling;

    fn slot(stop: &[&str], said: &[&str]) -> Slot {
        let sampling = Sampling { stop: stop.iter().map(|s| (*s).to_owned()).collect(), ..Sampling::default() };
        let mut slot = Slot::new(Request { id: 0, tokens: vec![1], sampling, seed: 0 });
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
        let (_, completion) = slot.finish();
        assert_eq!((completion.text.as_str(), completion.stop_reason), ("42", StopReason::Stop));
    }

    #[test]
    fn the_earliest_of_several_stop_texts_counts() {
        assert_eq!(slot(&["b", "a"], &["xxab"]).finish().1.text, "xx");
    }

    #[test]
    fn half_a_character_at_the_end_is_shown_as_a_replacement() {
        let mut slot = slot(&[], &["é"]);
        slot.bytes.truncate(1);
        assert_eq!(slot.finish().1.text, "\u{fffd}");
    }

    #[test]
    fn greedy_takes_the_lowest_id_of_equals_and_survives_nan() {
        assert_eq!(greedy(&[0.0, 3.0, 3.0]), LlamaToken(1));
        assert_eq!(greedy(&[f32::NAN, -1.0]), LlamaToken(1));
    }
}
