//! What texts are about: the mean of the last layer's states over their tokens.

use super::context::{Purpose, context};
use super::scheduler::BATCH;
use super::{Llama, Weights};
use crate::engine::{Answer, Effort, EngineError, Request};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

/// Answers requests for embeddings, one after the other. A context for states computes them for every token, so it is
/// another one than that which draws.
pub(super) fn run(
    weights: &mut Weights,
    llama: &Llama,
    requests: &[Request],
    done: &mut dyn FnMut(usize, Answer),
) -> Result<Effort, EngineError> {
    let mut effort = Effort::default();
    let Some(longest) = requests.iter().map(|request| request.tokens.len()).max() else { return Ok(effort) };
    let mut context = context(weights, llama, (longest.max(BATCH as usize), 1), Purpose::States)?;
    for request in requests.iter().filter(|request| !request.tokens.is_empty()) {
        done(request.id, Answer::Embedding(embed(&mut context, request)?));
        effort.tokens_decoded += request.tokens.len();
    }
    Ok(effort)
}

fn embed(context: &mut LlamaContext, request: &Request) -> Result<Vec<f32>, EngineError> {
    let failed = |reason: String| EngineError::Decode { reason };
    context.clear_kv_cache();
    let mut batch = LlamaBatch::new(BATCH as usize, 1);
    let mut sum: Vec<f64> = Vec::new();
    let mut position = 0;
    for part in request.tokens.chunks(BATCH as usize) {
        batch.clear();
        for token in part {
            batch.add(LlamaToken(token.cast_signed()), position, &[0], true).map_err(|e| failed(e.to_string()))?;
            position += 1;
        }
        context.decode(&mut batch).map_err(|e| failed(e.to_string()))?;
        for at in 0..batch.n_tokens() {
            let state = context.embeddings_ith(at).map_err(|e| failed(e.to_string()))?;
            sum.resize(state.len(), 0.0);
            sum.iter_mut().zip(state).for_each(|(sum, value)| *sum += f64::from(*value));
        }
    }
    #[allow(clippy::cast_possible_truncation)] // the sum needs 64 bits, the mean does not
    let mean = sum.iter().map(|sum| (sum / f64::from(position)) as f32).collect();
    Ok(mean)
}
