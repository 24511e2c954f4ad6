//! What the answers of a variant cost.

use crate::store::{Completion, Likelihood, LikelihoodCost, Sample};
use serde::Serialize;

/// What a variant's answers cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Tokens of the prompts as rendered.
    pub prompt_tokens: usize,
    /// Tokens of the prompts that were decoded, candidates included: less where they share what they begin with, or where
    /// answers came from the cache.
    pub prompt_tokens_decoded: usize,
    /// Tokens drawn.
    pub completion_tokens: usize,
    /// Seconds of decoding.
    pub elapsed_s: f64,
    /// Tokens that judges decoded.
    pub judge_tokens_decoded: usize,
    /// Tokens that the prompts, and candidates, of this run would have taken had each been decoded by itself.
    #[serde(skip)]
    pub fresh_apart: usize,
    /// Candidates among them.
    #[serde(skip)]
    pub fresh_candidates: usize,
    /// Completions recorded; none where only likelihoods were asked.
    #[serde(skip)]
    pub completions: usize,
    /// Tokens drawn in those seconds: those of cached answers cost none.
    #[serde(skip)]
    pub fresh_completion_tokens: usize,
    /// Trials that the model was asked in this run.
    #[serde(skip)]
    pub fresh: usize,
}

impl Usage {
    /// Adds what one trial cost.
    pub(super) fn add(&mut self, sample: &Sample) {
        let before = sample.before.iter().map(|stage| &stage.completion);
        for completion in before.chain(&sample.completion) {
            self.add_completion(completion, sample.cached);
        }
        if let Some(cost) = &sample.likelihood_cost {
            self.prompt_tokens += cost.prompt_tokens;
            self.prompt_tokens_decoded += cost.prompt_tokens_decoded;
            if !sample.cached {
                self.elapsed_s += cost.elapsed_s;
                self.fresh_apart += apart(sample, cost);
                self.fresh_candidates += sample.likelihood.len();
            }
        }
        let asked = sample.completion.is_some() || sample.likelihood_cost.is_some();
        self.fresh += usize::from(asked && !sample.cached);
        self.judge_tokens_decoded += sample.judge_tokens_decoded;
    }

    fn add_completion(&mut self, completion: &Completion, cached: bool) {
        self.completions += 1;
        self.prompt_tokens += completion.prompt_tokens;
        self.prompt_tokens_decoded += completion.prompt_tokens_decoded;
        self.completion_tokens += completion.completion_tokens;
        if !cached {
            self.elapsed_s += completion.elapsed_s;
            self.fresh_apart += completion.prompt_tokens;
            self.fresh_completion_tokens += completion.completion_tokens;
        }
    }
}

/// What the likelihoods of a sample would have taken: the prompt again for each candidate, and the token that begins a
/// text for each that was also asked without the prompt. The windows of a long text share nothing.
fn apart(sample: &Sample, cost: &LikelihoodCost) -> usize {
    if sample.prompt.is_none() {
        return cost.prompt_tokens;
    }
    let bare = |one: &Likelihood| if one.unconditional.is_some() { 1 + one.tokens } else { 0 };
    sample.likelihood.iter().map(|one| cost.prompt_tokens + one.tokens + bare(one)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_stage_and_candidate_costs_and_the_cached_cost_no_time() {
        let said = json!({"text": "x", "tokens": [], "stop_reason": "stop", "prompt_tokens": 10,
            "prompt_tokens_decoded": 4, "completion_tokens": 2, "elapsed_s": 0.5});
        let prompt = json!({"text": "q", "tokens": [], "case_start": 0});
        let sample = json!({"trial": {"variant": "v", "case": "c", "repeat": 0},
            "case": {"vars": {}, "target": "x", "tags": []}, "before": [{"prompt": prompt, "completion": said}],
            "prompt": prompt, "completion": said, "scores": []});
        let mut one: Sample = serde_json::from_value(sample).unwrap();
        let likelihood =
            |unconditional| Likelihood { text: "a".into(), logprob: -1.0, tokens: 2, bytes: 1, unconditional };
        one.likelihood = vec![likelihood(None), likelihood(Some(-2.0))];
        one.likelihood_cost = Some(LikelihoodCost { prompt_tokens: 10, prompt_tokens_decoded: 6, elapsed_s: 1.0 });
        one.judge_tokens_decoded = 7;
        let mut usage = Usage::default();
        usage.add(&one);
        assert_eq!((usage.prompt_tokens, usage.prompt_tokens_decoded, usage.completion_tokens), (30, 14, 4));
        // Two completions of 10; twice 10 and a candidate of 2; once a beginning and the 2 again.
        assert_eq!((usage.fresh_apart, usage.fresh_candidates, usage.fresh), (20 + 24 + 3, 2, 1));
        assert!((usage.elapsed_s - 2.0).abs() < 1e-12 && usage.judge_tokens_decoded == 7);
        let mut cached = Usage::default();
        cached.add(&Sample { cached: true, ..one });
        assert_eq!((cached.fresh, cached.fresh_apart, cached.prompt_tokens), (0, 0, 30));
        assert!(cached.elapsed_s.abs() < 1e-12);
    }
}
