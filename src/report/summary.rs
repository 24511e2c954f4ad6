//! A run folder, read once: each variant's metrics and what it cost.

use crate::stats::{Confusion, Metric, MetricKind, MetricSpec, Row, metrics_of};
use crate::store::{Header, Sample, Score, ScorerRecord, StopReason, StoreError, read_header, read_samples};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a variant's answers cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Tokens of the prompts as rendered.
    pub prompt_tokens: usize,
    /// Tokens of the prompts that were decoded; less where answers came from the cache.
    pub prompt_tokens_decoded: usize,
    /// Tokens drawn.
    pub completion_tokens: usize,
    /// Seconds of decoding.
    pub elapsed_s: f64,
    /// Tokens drawn in those seconds: those of cached answers cost none.
    #[serde(skip)]
    pub fresh_completion_tokens: usize,
    /// Answers that the model gave in this run.
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
    rows: Vec<Kept>,
    usage: Usage,
    cached: usize,
}

/// One sample without its texts.
#[derive(Debug, Clone)]
struct Kept {
    case: String,
    scores: Vec<Score>,
    truth: Option<String>,
    tags: Vec<String>,
    cut: bool,
}

impl RunSummary {
    /// Reads a run folder.
    pub fn read(dir: &Path) -> Result<Self, StoreError> {
        let header = read_header(dir)?;
        let names = header.suite.get("variants").and_then(|v| v.as_array()).into_iter().flatten();
        let names = names.filter_map(|v| v.get("name")?.as_str()).filter(|name| header.models.contains_key(*name));
        let mut rows: Vec<VariantRows> =
            names.map(|name| VariantRows { name: name.to_owned(), ..VariantRows::default() }).collect();
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

impl VariantRows {
    fn add(&mut self, sample: Sample) {
        let mut cut = false;
        self.cached += usize::from(sample.cached);
        if let Some(completion) = &sample.completion {
            cut = completion.stop_reason == StopReason::Length;
            self.usage.prompt_tokens += completion.prompt_tokens;
            self.usage.prompt_tokens_decoded += completion.prompt_tokens_decoded;
            self.usage.completion_tokens += completion.completion_tokens;
            if !sample.cached {
                self.usage.elapsed_s += completion.elapsed_s;
                self.usage.fresh_completion_tokens += completion.completion_tokens;
                self.usage.fresh += 1;
            }
        }
        let mut scores = sample.scores;
        for score in &mut scores {
            score.explanation = String::new();
            // Only whether there was an answer counts from here on.
            score.answer = score.answer.take().map(|_| String::new());
        }
        self.rows.push(Kept {
            case: sample.trial.case,
            scores,
            truth: sample.case.target,
            tags: sample.case.tags,
            cut,
        });
    }

    fn summary(&self, specs: &[MetricSpec], wanted: impl Fn(&Kept) -> bool) -> VariantSummary {
        let rows: Vec<Row> = self
            .rows
            .iter()
            .filter(|row| wanted(row))
            .map(|row| Row {
                case: &row.case,
                scores: &row.scores,
                truth: row.truth.as_deref(),
                cut: row.cut,
                windows: &[],
            })
            .collect();
        let summary = metrics_of(&rows, specs);
        VariantSummary {
            name: self.name.clone(),
            metrics: summary.metrics,
            confusions: summary.confusions,
            trials: rows.len(),
            cached: self.cached,
            usage: self.usage,
        }
    }
}
