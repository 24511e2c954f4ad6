//! The state of a text's last token behind the output norm: what a head on the model reads.
//!
//! A context for states computes them, and the logits, of every token that it decodes. Another way would be to decode all
//! but the last token in a plain context and to move the sequence (`state_seq_get`, `state_seq_set`) into a context for
//! states, which decodes one token. Measured on one thread, film reviews of 67 tokens on average, tokens/s:
//!
//! | | this way, one by one | moved, one by one | this way, many in a batch | moved, many in a batch |
//! |---|---|---|---|---|
//! | tripos-tiny (d 256, 4 layers, V 768, Q8_0) | 9,500 | 9,150 | 13,600 | 13,100 |
//! | random weights (d 576, 30 layers, V 49152, Q8_0) | 506 | 490 | 625 | 685 |
//!
//! So many texts go into one batch, and nothing is moved: it gains 9 % where the vocabulary is large, loses 4 % where it is
//! small, and needs a second context. What texts share (several answers to one prompt) is decoded once, and their
//! sequences go on from there.

use super::context::{Purpose, context};
use super::scheduler::BATCH;
use super::{Llama, Weights};
use crate::engine::{Answer, Effort, EngineError, KvMode, Request, Token};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::sync::atomic::{AtomicBool, Ordering};

/// Cells of a context, which a family may fill; or one text that is longer.
const CELLS: usize = 4 * BATCH as usize;
/// Tokens that texts must share at least to be decoded together.
const SHARED: usize = 8;

/// Answers requests for states, as many together as fill a batch; under [`KvMode::Exact`] one after the other.
pub(super) fn run(
    weights: &mut Weights,
    llama: &Llama,
    (mode, requests): (KvMode, &[Request]),
    done: &mut dyn FnMut(usize, Answer),
    stop: &AtomicBool,
) -> Result<Effort, EngineError> {
    let mut effort = Effort::default();
    let Some(longest) = requests.iter().map(|request| request.tokens.len()).max() else { return Ok(effort) };
    let most = llama.limits(mode).sequences.min(requests.len());
    let cells = longest.max(CELLS);
    let mut reader = Reader {
        context: context(weights, llama, (cells, most), Purpose::States)?,
        batch: LlamaBatch::new(BATCH as usize, 1),
        ends: Vec::new(),
        decoded: 0,
    };
    for group in groups(families(requests, most, cells), most) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        for (id, state) in reader.read(&group)? {
            done(id, Answer::State(state));
        }
    }
    effort.tokens_decoded = reader.decoded;
    Ok(effort)
}

/// Texts that begin alike.
#[derive(Debug)]
struct Family<'r> {
    members: Vec<&'r Request>,
    /// How many tokens are decoded once for all of them; of each at least one is its own. 0 where it is alone.
    trunk: usize,
}

impl Family<'_> {
    /// Tokens that it takes to decode.
    fn tokens(&self) -> usize {
        self.trunk + self.members.iter().map(|request| request.tokens.len() - self.trunk).sum::<usize>()
    }
}

/// The requests, put together where that saves tokens: at most `most` texts and `cells` tokens. Those without a token have
/// no state and are left out.
fn families(requests: &[Request], most: usize, cells: usize) -> Vec<Family<'_>> {
    let mut sorted: Vec<&Request> = requests.iter().filter(|request| !request.tokens.is_empty()).collect();
    sorted.sort_by(|a, b| a.tokens.cmp(&b.tokens));
    let mut families: Vec<Family<'_>> = Vec::new();
    for (at, &request) in sorted.iter().enumerate() {
        if let Some(family) = families.last_mut().filter(|family| family.members.len() < most) {
            let trunk = trunk(family, request);
            // Where it shares far more with the next one, the two begin a family: chats all begin by the same few tokens.
            let next = sorted.get(at + 1).map_or(0, |next| alike(request, next));
            let (before, after) = (family.trunk * (family.members.len() - 1), trunk * family.members.len());
            let own = request.tokens.len() + family.members.iter().map(|one| one.tokens.len()).sum::<usize>();
            if trunk >= SHARED && next <= 2 * trunk && after >= before && own - after <= cells {
                family.members.push(request);
                family.trunk = trunk;
                continue;
            }
        }
        families.push(Family { members: vec![request], trunk: 0 });
    }
    families
}

/// What a family would share if a request came to it.
fn trunk(family: &Family<'_>, request: &Request) -> usize {
    let Some(first) = family.members.first() else { return 0 };
    let shortest = family.members.iter().map(|one| one.tokens.len()).min().unwrap_or(0).min(request.tokens.len());
    let now = if family.members.len() == 1 { usize::MAX } else { family.trunk };
    alike(first, request).min(now).min(shortest.saturating_sub(1))
}

/// Tokens by which two texts begin alike.
fn alike(one: &Request, other: &Request) -> usize {
    one.tokens.iter().zip(&other.tokens).take_while(|(a, b)| a == b).count()
}

/// As many families together as fit a batch and as there are sequences: the more cells are in use, the slower is each
/// token. One that is larger is alone.
fn groups(families: Vec<Family<'_>>, most: usize) -> Vec<Vec<Family<'_>>> {
    let mut groups: Vec<Vec<Family<'_>>> = Vec::new();
    let (mut room, mut free) = (0, 0);
    for family in families {
        let (tokens, texts) = (family.tokens(), family.members.len());
        if tokens > room || texts > free || groups.is_empty() {
            groups.push(Vec::new());
            (room, free) = (BATCH as usize, most);
        }
        (room, free) = (room.saturating_sub(tokens), free.saturating_sub(texts));
        if let Some(group) = groups.last_mut() {
            group.push(family);
        }
    }
    groups
}

/// A context that reads texts, and what is on its way into it.
struct Reader<'c> {
    context: LlamaContext<'c>,
    batch: LlamaBatch<'static>,
    /// Whose last token lies where in the batch.
    ends: Vec<(usize, i32)>,
    decoded: usize,
}

impl Reader<'_> {
    /// The states of all members by their requests' ids: first what families share, then the rest of each text.
    fn read(&mut self, group: &[Family<'_>]) -> Result<Vec<(usize, Vec<f32>)>, EngineError> {
        let mut found = Vec::new();
        self.context.clear_kv_cache();
        let firsts: Vec<i32> = group
            .iter()
            .scan(0, |next, family| Some(std::mem::replace(next, *next + i32::try_from(family.members.len()).ok()?)))
            .collect();
        for (family, first) in group.iter().zip(&firsts) {
            let shared = family.members.first().map_or(&[][..], |one| &one.tokens[..family.trunk]);
            self.add((shared, 0), *first, None, &mut found)?;
        }
        self.flush(&mut found)?;
        for (family, first) in group.iter().zip(&firsts) {
            let sequences = || (*first..).zip(&family.members);
            for (sequence, _) in sequences().skip(1).filter(|_| family.trunk > 0) {
                self.context.copy_kv_cache_seq(*first, sequence, None, None).map_err(failed)?;
            }
            for (sequence, request) in sequences() {
                self.add((&request.tokens[family.trunk..], family.trunk), sequence, Some(request.id), &mut found)?;
            }
        }
        self.flush(&mut found)?;
        Ok(found)
    }

    /// Puts tokens of a sequence into the batch, from a position on; behind the last one is the state of a text.
    fn add(
        &mut self,
        (tokens, from): (&[Token], usize),
        sequence: i32,
        text: Option<usize>,
        found: &mut Vec<(usize, Vec<f32>)>,
    ) -> Result<(), EngineError> {
        for (position, token) in (i32::try_from(from).unwrap_or(i32::MAX)..).zip(tokens) {
            if self.batch.n_tokens().cast_unsigned() == BATCH {
                self.flush(found)?;
            }
            self.batch.add(LlamaToken(token.cast_signed()), position, &[sequence], true).map_err(failed)?;
        }
        self.ends.extend(text.map(|text| (text, self.batch.n_tokens() - 1)));
        Ok(())
    }

    /// Decodes what is in the batch, and takes the states that are there then.
    fn flush(&mut self, found: &mut Vec<(usize, Vec<f32>)>) -> Result<(), EngineError> {
        if self.batch.n_tokens() > 0 {
            self.context.decode(&mut self.batch).map_err(failed)?;
            self.decoded += self.batch.n_tokens().cast_unsigned() as usize;
        }
        for (text, end) in self.ends.drain(..) {
            found.push((text, self.context.embeddings_ith(end).map_err(failed)?.to_vec()));
        }
        self.batch.clear();
        Ok(())
    }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Decode { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Ask;

    fn requests(texts: &[&[Token]]) -> Vec<Request> {
        let one = |(id, tokens): (usize, &&[Token])| Request { id, tokens: tokens.to_vec(), ask: Ask::State };
        texts.iter().enumerate().map(one).collect()
    }

    /// Of each family its trunk and the ids of its members.
    fn found(texts: &[&[Token]], most: usize, cells: usize) -> Vec<(usize, Vec<usize>)> {
        let requests = requests(texts);
        let of = |family: &Family<'_>| (family.trunk, family.members.iter().map(|one| one.id).collect());
        families(&requests, most, cells).iter().map(of).collect()
    }

    #[test]
    fn answers_to_one_prompt_are_a_family_wherever_they_stand() {
        let text = |prompt: Token, answer: &[Token]| [&[prompt; 20][..], answer].concat();
        let texts = [text(1, &[7]), text(2, &[5]), text(1, &[7, 8]), text(1, &[9, 9])];
        let texts: Vec<&[Token]> = texts.iter().map(Vec::as_slice).collect();
        assert_eq!(found(&texts, 8, 99), [(20, vec![0, 2, 3]), (0, vec![1])]);
        assert_eq!(found(&texts, 2, 99), [(20, vec![0, 2]), (0, vec![3]), (0, vec![1])], "sequences");
        assert_eq!(found(&texts, 8, 23), [(20, vec![0, 2]), (0, vec![3]), (0, vec![1])], "cells");
        assert_eq!(found(&texts, 1, 99).len(), 4, "one by one");
    }

    /// What begins alike by a few tokens, or would make others share less, is read by itself; the empty text not at all.
    #[test]
    fn texts_are_together_only_where_that_saves_tokens() {
        let few = [&[1, 2, 3, 4][..], &[1, 2, 3, 5], &[]];
        assert_eq!(found(&few, 8, 99), [(0, vec![0]), (0, vec![1])]);
        let long = |at: usize, token: Token| (0..30).map(|n| if n < at { 1 } else { token }).collect::<Vec<Token>>();
        let texts = [long(28, 2), long(28, 3), long(28, 4), long(9, 5)];
        let texts: Vec<&[Token]> = texts.iter().map(Vec::as_slice).collect();
        assert_eq!(found(&texts, 8, 99), [(28, vec![0, 1, 2]), (0, vec![3])]);
        let head = |rest: &[Token]| [&[7; 9][..], rest].concat();
        let texts = [head(&[1]), head(&[[2; 50], [3; 50]].concat()), head(&[[2; 50], [4; 50]].concat())];
        let texts: Vec<&[Token]> = texts.iter().map(Vec::as_slice).collect();
        assert_eq!(found(&texts, 8, 999), [(0, vec![0]), (59, vec![1, 2])], "not at the head that all have");
        let twice = [&[1; 12][..], &[1; 12]];
        assert_eq!(found(&twice, 8, 99), [(11, vec![0, 1])], "each has a token of its own");
    }

    #[test]
    fn a_context_is_filled_in_order_and_a_long_text_is_alone() {
        let sizes = |lengths: &[usize], most: usize| {
            let texts: Vec<Vec<Token>> = (0..).zip(lengths).map(|(text, len)| vec![text; *len]).collect();
            let requests = requests(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let groups = groups(families(&requests, most, 2048), most);
            groups.iter().map(|group| group.iter().map(Family::tokens).collect()).collect::<Vec<Vec<usize>>>()
        };
        assert_eq!(sizes(&[200, 300, 12, 1, 600, 5, 0, 6], 256), [vec![200, 300, 12], vec![1], vec![600], vec![5, 6]]);
        assert_eq!(sizes(&[5, 5, 5], 2), [vec![5, 5], vec![5]]);
        assert_eq!(sizes(&[5, 5], 1), [vec![5], vec![5]]);
        assert!(sizes(&[], 1).is_empty());
    }
}
