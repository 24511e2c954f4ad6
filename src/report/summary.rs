//! A run folder, read once: each variant's metrics and what it cost.

use crate::stats::{Confusion, Metric, MetricKind, MetricSpec, ReliabilityBin, Row, metrics_of};
use crate::store::{
    Completion, Header, Likelihood, LikelihoodCost, Repeat, Sample, Score, ScorerRecord, StopReason, StoreError,
    read_header, read_samples,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

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

/// One variant of a run.
#[derive(Debug, Clone)]
pub struct VariantSummary {
    /// Its name.
    pub name: String,
    /// Its metrics, in the order of the scorers.
    pub metrics: Vec<Metric>,
    /// The confusion matrix of each label scorer, by name.
    pub confusions: Vec<(String, Confusion)>,
    /// For each scorer with probabilities, how far its confidence can be trusted.
    pub reliability: Vec<(String, Vec<ReliabilityBin>)>,
    /// Trials recorded.
    pub trials: usize,
    /// Answers that came from the cache.
    pub cached: usize,
    /// What it cost.
    pub usage: Usage,
}

/// A run, summed up.
#[derive(Debug, Clone)]
pub struct RunSummary {
    /// The folder.
    pub dir: PathBuf,
    /// What the run was made with.
    pub header: Header,
    /// Its variants, in the suite's order.
    pub variants: Vec<VariantSummary>,
    rows: Vec<VariantRows>,
}

/// What the metrics of a variant need of its samples.
#[derive(Debug, Clone, Default)]
struct VariantRows {
    name: String,
    /// Its metrics rest on what the repeats of a case come to, rather than on each of them.
    reduced: bool,
    rows: Vec<Kept>,
    usage: Usage,
    cached: usize,
}

/// One sample without its texts.
#[derive(Debug, Clone)]
struct Kept {
    case: String,
    reduced: bool,
    scores: Vec<Score>,
    /// Those of a long text.
    windows: Vec<Likelihood>,
    truth: Option<String>,
    tags: Vec<String>,
    cut: bool,
}

impl RunSummary {
    /// Reads a run folder.
    pub fn read(dir: &Path) -> Result<Self, StoreError> {
        let header = read_header(dir)?;
        let variants = header.suite.get("variants").and_then(Value::as_array).into_iter().flatten();
        let mut rows: Vec<VariantRows> =
            variants.filter_map(VariantRows::of).filter(|variant| header.models.contains_key(&variant.name)).collect();
        read_samples(dir, |sample| {
            if let Some(variant) = rows.iter_mut().find(|v| v.name == sample.trial.variant) {
                variant.add(sample);
            }
        })?;
        let specs = specs(&header);
        let variants = rows.iter().map(|variant| variant.summary(&specs, |_| true)).collect();
        Ok(Self { dir: dir.to_path_buf(), header, variants, rows })
    }

    /// The tags of its cases, sorted.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let tags: BTreeSet<&String> = self.rows.iter().flat_map(|v| &v.rows).flat_map(|row| &row.tags).collect();
        tags.into_iter().cloned().collect()
    }

    /// The variants over the cases of one tag only.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Vec<VariantSummary> {
        let specs = specs(&self.header);
        self.rows.iter().map(|v| v.summary(&specs, |row| row.tags.iter().any(|t| t == tag))).collect()
    }
}

fn specs(header: &Header) -> Vec<MetricSpec> {
    let spec = |name: &String, kind| MetricSpec { name: name.clone(), kind };
    header
        .scorers
        .iter()
        .map(|scorer| match scorer {
            ScorerRecord::Pass { name } => spec(name, MetricKind::Proportion),
            ScorerRecord::Number { name } => spec(name, MetricKind::Mean),
            ScorerRecord::Labels { name, labels, by_likelihood } => {
                spec(name, MetricKind::Labels { labels: labels.clone(), by_likelihood: *by_likelihood })
            }
            ScorerRecord::Choice { name } => spec(name, MetricKind::Choice),
            ScorerRecord::Perplexity { name } => spec(name, MetricKind::Perplexity),
            ScorerRecord::Judge { name } => spec(name, MetricKind::Judge),
        })
        .collect()
}

impl Usage {
    /// Adds what one trial cost.
    fn add(&mut self, sample: &Sample) {
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

impl VariantRows {
    /// Those of a variant of the header's suite.
    fn of(variant: &Value) -> Option<Self> {
        let name = variant.get("name")?.as_str()?.to_owned();
        // The mean needs no rows of its own: repeats are clustered by case.
        let reduced = variant.get("reduce").is_some_and(|reduce| !reduce.is_null() && reduce != "mean");
        Some(Self { name, reduced, ..Self::default() })
    }

    fn add(&mut self, sample: Sample) {
        let reduced = sample.trial.repeat == Repeat::Reduced;
        if !reduced {
            self.cached += usize::from(sample.cached);
            self.usage.add(&sample);
        }
        let cut = sample.completion.as_ref().is_some_and(|said| said.stop_reason == StopReason::Length);
        let is_text = sample.case.target.is_none() && sample.completion.is_none();
        let windows = if is_text { sample.likelihood } else { Vec::new() };
        let windows = windows.into_iter().map(|window| Likelihood { text: String::new(), ..window }).collect();
        let mut scores = sample.scores;
        for score in &mut scores {
            score.explanation = String::new();
            // Only whether there was an answer counts from here on.
            score.answer = score.answer.take().map(|_| String::new());
        }
        self.rows.push(Kept {
            case: sample.trial.case,
            reduced,
            scores,
            windows,
            truth: sample.case.target,
            tags: sample.case.tags,
            cut,
        });
    }

    fn summary<'r>(&'r self, specs: &[MetricSpec], wanted: impl Fn(&Kept) -> bool) -> VariantSummary {
        // A case is cut where one of its repeats is: the row that they come to says nothing itself.
        let cut: HashSet<&str> = self.rows.iter().filter(|row| row.cut).map(|row| row.case.as_str()).collect();
        let row = |row: &'r Kept| Row {
            case: &row.case,
            scores: &row.scores,
            truth: row.truth.as_deref(),
            cut: if self.reduced { cut.contains(row.case.as_str()) } else { row.cut },
            windows: &row.windows,
        };
        let kept = || self.rows.iter().filter(|row| wanted(row));
        let rows: Vec<Row> = kept().filter(|row| row.reduced == self.reduced).map(row).collect();
        let summary = metrics_of(&rows, specs);
        VariantSummary {
            name: self.name.clone(),
            metrics: summary.metrics,
            confusions: summary.confusions,
            reliability: summary.reliability,
            trials: kept().filter(|row| !row.reduced).count(),
            cached: self.cached,
            usage: self.usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StageRecord;
    use serde_json::json;

    fn said(cut: bool) -> Value {
        json!({"text": "x", "tokens": [], "stop_reason": if cut { "length" } else { "stop" }, "prompt_tokens": 10,
            "prompt_tokens_decoded": 4, "completion_tokens": 2, "elapsed_s": 0.5})
    }

    fn sample(repeat: &Value, pass: bool) -> Sample {
        let completion = if *repeat == "reduced" { Value::Null } else { said(*repeat == 1) };
        let sample = json!({"trial": {"variant": "v", "case": "c", "repeat": repeat},
            "case": {"vars": {}, "target": "x", "tags": []}, "prompt": null, "completion": completion,
            "scores": [{"scorer": "exact", "value": pass, "answer": "x"}]});
        serde_json::from_value(sample).unwrap()
    }

    /// One case of three repeats, one of them right and one cut, whose majority is right.
    fn summed(variant: &Value) -> VariantSummary {
        let mut rows = VariantRows::of(variant).unwrap();
        let repeats = [sample(&0.into(), false), sample(&1.into(), true), sample(&2.into(), false)];
        repeats.into_iter().chain([sample(&"reduced".into(), true)]).for_each(|sample| rows.add(sample));
        rows.summary(&[MetricSpec { name: "exact".into(), kind: MetricKind::Proportion }], |_| true)
    }

    #[test]
    fn repeats_count_each_for_a_mean_and_together_for_what_they_come_to() {
        for variant in [json!({"name": "v"}), json!({"name": "v", "reduce": "mean"})] {
            let mean = summed(&variant);
            assert_eq!((mean.metrics[0].value, mean.metrics[0].n, mean.metrics[0].cut), (Some(1.0 / 3.0), 1, 1));
        }
        for reduce in [json!("majority"), json!("max"), json!({"pass_at": 2})] {
            let together = summed(&json!({"name": "v", "reduce": reduce}));
            let exact = &together.metrics[0];
            assert_eq!((exact.value, exact.n, exact.cut, together.trials), (Some(1.0), 1, 1, 3));
            assert_eq!((together.usage.prompt_tokens, together.usage.completions), (30, 3), "the repeats' alone");
        }
    }

    #[test]
    fn every_stage_and_candidate_costs_and_the_cached_cost_no_time() {
        let mut one = sample(&0.into(), true);
        let prompt = json!({"text": "q", "tokens": [], "case_start": 0});
        let stage = json!({"prompt": prompt, "completion": said(false)});
        one.before = vec![serde_json::from_value::<StageRecord>(stage).unwrap()];
        one.prompt = serde_json::from_value(prompt).unwrap();
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
