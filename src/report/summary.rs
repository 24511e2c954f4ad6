//! A run folder, read once: each variant's metrics and what it cost.

use crate::stats::{Confusion, Metric, MetricKind, MetricSpec, ReliabilityBin, Row, metrics_of};
use crate::store::{
    Completion, Header, Likelihood, LikelihoodCost, Repeat, Sample, Score, ScorerRecord, StopReason, StoreError,
    read_header, read_samples,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
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
        let row = |row: &'r Kept| Row {
            case: &row.case,
            scores: &row.scores,
            truth: row.truth.as_deref(),
            cut: row.cut,
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
