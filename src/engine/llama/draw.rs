//! How the next token is drawn.

use super::tokens::Tokenizer;
use crate::engine::EngineError;
use crate::sampling::{BiasToken, Sampling};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::json_schema_to_grammar;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::logit_bias::LlamaLogitBias;

/// Tokens of a completion that penalties look back on.
const PENALTY_WINDOW: i32 = 64;

/// Draws the tokens of one completion.
#[derive(Clone)]
pub(super) enum Drawer {
    /// The likeliest, which needs no sampler.
    Greedy,
    /// llama.cpp's samplers in its usual order.
    Chain(LlamaSampler),
    /// The same, of what a grammar admits.
    Constrained {
        /// Biases and penalties.
        steer: LlamaSampler,
        /// The grammar.
        grammar: LlamaSampler,
        /// What picks one of the rest.
        pick: LlamaSampler,
    },
}

impl Drawer {
    /// The drawer of a sampling, seeded; an error where the model cannot draw so.
    pub(super) fn new(sampling: &Sampling, seed: u64, tokenizer: &Tokenizer) -> Result<Self, EngineError> {
        if sampling.is_plain_greedy() {
            return Ok(Self::Greedy);
        }
        let steer = steer(sampling, tokenizer)?;
        let pick = pick(sampling, seed);
        Ok(match grammar(sampling, tokenizer)? {
            None => Self::Chain(LlamaSampler::chain(steer.into_iter().chain(pick), true)),
            Some(grammar) => Self::Constrained {
                steer: LlamaSampler::chain(steer, true),
                grammar,
                pick: LlamaSampler::chain(pick, true),
            },
        })
    }

    /// The next token, from the logits at `index` of the last batch; `None` where the grammar admits no token of the
    /// vocabulary.
    pub(super) fn draw(&mut self, context: &LlamaContext, index: i32) -> Option<LlamaToken> {
        match self {
            Self::Greedy => Some(greedy(context.get_logits_ith(index))),
            Self::Chain(chain) => Some(chain.sample(context, index)),
            Self::Constrained { steer, grammar, pick } => {
                let mut tokens = context.token_data_array_ith(index);
                steer.apply(&mut tokens);
                grammar.apply(&mut tokens);
                if tokens.data.iter().all(|token| token.logit() == f32::NEG_INFINITY) {
                    return None;
                }
                pick.apply(&mut tokens);
                let token = tokens.selected_token()?;
                grammar.try_accept(token).ok()?;
                steer.accept(token);
                pick.accept(token);
                Some(token)
            }
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

/// Biases, then penalties. Penalties count what was drawn, never the prompt: a question is no repetition of its answer.
fn steer(sampling: &Sampling, tokenizer: &Tokenizer) -> Result<Vec<LlamaSampler>, EngineError> {
    let mut chain = Vec::new();
    let count = tokenizer.count();
    let biases = sampling.logit_bias.iter().map(|(token, bias)| {
        let id = match token {
            BiasToken::Id(id) => *id,
            BiasToken::Text(text) => tokenizer.single(text)?,
        };
        let Some(token) = i32::try_from(id).ok().filter(|id| *id < count) else {
            return Err(EngineError::NoToken { id, count: usize::try_from(count).unwrap_or(0) });
        };
        Ok(LlamaLogitBias::new(LlamaToken(token), *bias))
    });
    let biases: Vec<LlamaLogitBias> = biases.collect::<Result<_, _>>()?;
    if !biases.is_empty() {
        chain.push(LlamaSampler::logit_bias(count, &biases));
    }
    let (repeat, frequency, presence) =
        (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty);
    if repeat.or(frequency).or(presence).is_some() {
        let (repeat, frequency, presence) = (repeat.unwrap_or(1.0), frequency.unwrap_or(0.0), presence.unwrap_or(0.0));
        chain.push(LlamaSampler::penalties(count, PENALTY_WINDOW, repeat, frequency, presence));
    }
    Ok(chain)
}

/// What picks a token. The seed of `dist` has 32 bits: both halves of the request's are folded into it.
fn pick(sampling: &Sampling, seed: u64) -> Vec<LlamaSampler> {
    if sampling.is_greedy() {
        return vec![LlamaSampler::greedy()];
    }
    let mut chain = Vec::new();
    chain.extend(sampling.top_k.and_then(|k| i32::try_from(k).ok()).map(LlamaSampler::top_k));
    chain.extend(sampling.top_p.map(|p| LlamaSampler::top_p(p, 1)));
    chain.extend(sampling.min_p.map(|p| LlamaSampler::min_p(p, 1)));
    chain.push(LlamaSampler::temp(sampling.temperature));
    let folded = (seed ^ (seed >> 32)) & u64::from(u32::MAX);
    // llama.cpp takes u32::MAX for "draw a random seed".
    chain.push(LlamaSampler::dist(u32::try_from(folded).unwrap_or(0).min(u32::MAX - 1)));
    chain
}

/// The grammar that a completion must satisfy.
fn grammar(sampling: &Sampling, tokenizer: &Tokenizer) -> Result<Option<LlamaSampler>, EngineError> {
    let (what, text) = match (&sampling.grammar, &sampling.json_schema) {
        (Some(grammar), _) => ("grammar", grammar.clone()),
        (None, Some(schema)) => {
            let refused =
                |e: llama_cpp_2::LlamaCppError| EngineError::Grammar { what: "JSON Schema", reason: format!(": {e}") };
            ("JSON Schema", json_schema_to_grammar(&schema.to_string()).map_err(refused)?)
        }
        (None, None) => return Ok(None),
    };
    let refused = |_| EngineError::Grammar { what, reason: String::new() };
    LlamaSampler::grammar(tokenizer.model(), &text, "root").map(Some).map_err(refused)
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
