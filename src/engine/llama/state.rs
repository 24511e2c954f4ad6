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
//! small, and needs a second context. What texts share is decoded for each.

use super::context::{Purpose, context};
use super::scheduler::BATCH;
use super::{Llama, Weights};
use crate::engine::{Answer, Effort, EngineError, KvMode, Request, Token};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::sync::atomic::{AtomicBool, Ordering};

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
    let mut context = context(weights, llama, (longest.max(BATCH as usize), most), Purpose::States)?;
    let mut batch = LlamaBatch::new(BATCH as usize, 1);
    for group in groups(requests, most) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        context.clear_kv_cache();
        let texts: Vec<&[Token]> = group.iter().map(|request| request.tokens.as_slice()).collect();
        for (request, state) in group.iter().zip(states(&mut context, &mut batch, &texts)?) {
            done(request.id, Answer::State(state));
        }
        effort.tokens_decoded += texts.iter().map(|text| text.len()).sum::<usize>();
    }
    Ok(effort)
}

/// Requests in their order, as many together as fit a batch and as there are sequences; one that is longer than a batch
/// is alone. Those without a token have no state and are left out.
fn groups(requests: &[Request], most: usize) -> Vec<Vec<&Request>> {
    let mut groups: Vec<Vec<&Request>> = Vec::new();
    let mut room = 0;
    for request in requests.iter().filter(|request| !request.tokens.is_empty()) {
        if let Some(group) = groups.last_mut().filter(|group| group.len() < most && request.tokens.len() <= room) {
            group.push(request);
            room -= request.tokens.len();
        } else {
            groups.push(vec![request]);
            room = (BATCH as usize).saturating_sub(request.tokens.len());
        }
    }
    groups
}

/// The states of the last tokens of some texts, each in a sequence of its own: several that fit a batch, or one.
fn states(
    context: &mut LlamaContext,
    batch: &mut LlamaBatch<'static>,
    texts: &[&[Token]],
) -> Result<Vec<Vec<f32>>, EngineError> {
    let mut found = vec![Vec::new(); texts.len()];
    let mut ends = Vec::new();
    batch.clear();
    for (sequence, text) in (0..).zip(texts) {
        for (position, token) in (0..).zip(*text) {
            if batch.n_tokens().cast_unsigned() == BATCH {
                context.decode(batch).map_err(failed)?;
                batch.clear();
            }
            batch.add(LlamaToken(token.cast_signed()), position, &[sequence], true).map_err(failed)?;
        }
        ends.push(batch.n_tokens() - 1);
    }
    context.decode(batch).map_err(failed)?;
    for (state, end) in found.iter_mut().zip(ends) {
        *state = context.embeddings_ith(end).map_err(failed)?.to_vec();
    }
    Ok(found)
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Decode { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Ask;

    fn requests(lengths: &[usize]) -> Vec<Request> {
        let one = |(id, length): (usize, &usize)| Request { id, tokens: vec![1; *length], ask: Ask::State };
        lengths.iter().enumerate().map(one).collect()
    }

    #[test]
    fn a_batch_is_filled_in_order_and_a_long_text_is_alone() {
        let sizes = |lengths: &[usize], most: usize| {
            let requests = requests(lengths);
            let groups = groups(&requests, most);
            groups.into_iter().map(|group| group.iter().map(|r| r.tokens.len()).collect()).collect::<Vec<Vec<usize>>>()
        };
        assert_eq!(sizes(&[200, 300, 12, 1, 600, 5, 0, 6], 256), [vec![200, 300, 12], vec![1], vec![600], vec![5, 6]]);
        assert_eq!(sizes(&[5, 5, 5], 2), [vec![5, 5], vec![5]]);
        assert_eq!(sizes(&[5, 5], 1), [vec![5], vec![5]]);
        assert!(sizes(&[], 1).is_empty());
    }
}
