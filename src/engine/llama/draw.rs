//! How the next token is drawn.

use crate::sampling::Sampling;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;

/// Draws the tokens of one completion.
pub(super) enum Drawer {
    /// The likeliest, which needs no sampler.
    Greedy,
    /// llama.cpp's samplers in its usual order.
    Chain(LlamaSampler),
}

impl Drawer {
    /// The drawer of a request. The seed of `dist` has 32 bits: both halves of the request's are folded into it.
    pub(super) fn new(sampling: &Sampling, seed: u64) -> Self {
        if sampling.is_greedy() {
            return Self::Greedy;
        }
        let mut chain = Vec::new();
        chain.extend(sampling.top_k.and_then(|k| i32::try_from(k).ok()).map(LlamaSampler::top_k));
        chain.extend(sampling.top_p.map(|p| LlamaSampler::top_p(p, 1)));
        chain.extend(sampling.min_p.map(|p| LlamaSampler::min_p(p, 1)));
        chain.push(LlamaSampler::temp(sampling.temperature));
        let folded = (seed ^ (seed >> 32)) & u64::from(u32::MAX);
        // llama.cpp takes u32::MAX for "draw a random seed".
        chain.push(LlamaSampler::dist(u32::try_from(folded).unwrap_or(0).min(u32::MAX - 1)));
        Self::Chain(LlamaSampler::chain(chain, true))
    }

    /// The next token, from the logits at `index` of the last batch.
    pub(super) fn draw(&mut self, context: &LlamaContext, index: i32) -> Option<LlamaToken> {
        match self {
            Self::Greedy => Some(greedy(context.get_logits_ith(index))),
            Self::Chain(chain) => Some(chain.sample(context, index)),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_lowest_id_of_equals_and_survives_nan() {
        assert_eq!(greedy(&[0.0, 3.0, 3.0]), LlamaToken(1));
        assert_eq!(greedy(&[f32::NAN, -1.0]), LlamaToken(1));
    }
}
