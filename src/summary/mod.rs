//! Rooms 5 and 6 together: a run folder, read once, as each variant's metrics, what they rest on, and what it cost.
//!
//! Gates and reports begin here. Texts stay on disk: [`crate::store::read_samples`] gives them again where they are shown.

mod rows;
mod usage;

pub use rows::case_hash;
pub use usage::Usage;

use crate::stats::{Confusion, Metric, MetricKind, MetricSpec, ReliabilityBin, Row};
use crate::store::{Header, Probe, ScorerRecord, StoreError, read_header, read_samples};
use rows::VariantRows;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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

impl VariantSummary {
    /// Whether a metric is among the first that people look at: of a label scorer accuracy and macro F1, of choices two
    /// accuracies, and of probabilities the Brier score and the calibration error; all metrics of other scorers.
    #[must_use]
    pub fn is_headline(&self, metric: &str) -> bool {
        let labels = self.confusions.iter().map(|(name, _)| name);
        let scorers = labels.chain(self.reliability.iter().map(|(name, _)| name));
        let part = scorers.into_iter().find_map(|name| part_of(metric, name));
        part.is_none_or(|part| matches!(part, "accuracy" | "f1_macro" | "acc" | "acc_norm" | "brier" | "ece"))
    }
}

/// What stands behind the scorer's name in the name of one of its metrics.
#[must_use]
pub fn part_of<'m>(metric: &'m str, scorer: &str) -> Option<&'m str> {
    metric.strip_prefix(scorer)?.strip_prefix('.')
}

/// What one trial took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrialCost<'a> {
    /// The case.
    pub case: &'a str,
    /// Seconds of decoding; of an answer from the cache, those that it took when it was asked.
    pub elapsed_s: f64,
    /// Tokens of its prompts, over all stages.
    pub prompt_tokens: usize,
    /// Tokens drawn, over all stages.
    pub completion_tokens: usize,
}

/// What a metric of one group of a probe rests on.
#[derive(Debug, Clone, Copy)]
pub struct ProbeRow<'a> {
    /// The pair that it is a side of.
    pub pair: &'a str,
    /// The row; its `case` is the unit that the pair counts to, which is the same on the pair's other sides.
    pub row: Row<'a>,
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

    /// A run of which nothing was asked.
    #[must_use]
    pub fn empty(header: Header) -> Self {
        Self { dir: PathBuf::new(), header, variants: Vec::new(), rows: Vec::new() }
    }

    /// What the values of its scorers are.
    #[must_use]
    pub fn specs(&self) -> Vec<MetricSpec> {
        specs(&self.header)
    }

    /// What the metrics of a variant rest on, in the order of the record: each repeat, or what the repeats come to. Empty
    /// for a variant that is not there.
    #[must_use]
    pub fn rows(&self, variant: &str) -> Vec<Row<'_>> {
        self.of(variant).map_or_else(Vec::new, |rows| rows.rows(|_| true))
    }

    /// The single repeats of a variant whose metrics rest on what they come to; empty for any other.
    #[must_use]
    pub fn repeats(&self, variant: &str) -> Vec<Row<'_>> {
        self.of(variant).map_or_else(Vec::new, VariantRows::repeats)
    }

    /// What is swapped, where the cases are counterfactual pairs.
    #[must_use]
    pub fn probe(&self) -> Option<Probe> {
        serde_json::from_value(self.header.suite.get("probe")?.clone()).ok()
    }

    /// What the metrics of a variant rest on within one group of its probe, in the order of the record.
    #[must_use]
    pub fn probe_rows(&self, variant: &str, group: &str) -> Vec<ProbeRow<'_>> {
        self.of(variant).map_or_else(Vec::new, |rows| rows.probe_rows(group))
    }

    /// The cases that a variant was asked, each with a hash of its variables and target.
    pub fn cases<'s>(&'s self, variant: &str) -> impl Iterator<Item = (&'s str, u64)> + use<'s> {
        self.of(variant).into_iter().flat_map(VariantRows::cases)
    }

    /// What each trial of a variant took.
    pub fn costs<'s>(&'s self, variant: &str) -> impl Iterator<Item = TrialCost<'s>> + use<'s> {
        self.of(variant).into_iter().flat_map(VariantRows::costs)
    }

    fn of(&self, variant: &str) -> Option<&VariantRows> {
        self.rows.iter().find(|rows| rows.name == variant)
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
            ScorerRecord::Number { name } | ScorerRecord::Reward { name } => spec(name, MetricKind::Mean),
            ScorerRecord::Labels { name, labels, by_likelihood } => {
                spec(name, MetricKind::Labels { labels: labels.clone(), by_likelihood: *by_likelihood })
            }
            ScorerRecord::Choice { name } => spec(name, MetricKind::Choice),
            ScorerRecord::Perplexity { name } => spec(name, MetricKind::Perplexity),
            ScorerRecord::Judge { name } => spec(name, MetricKind::Judge),
        })
        .collect()
}
