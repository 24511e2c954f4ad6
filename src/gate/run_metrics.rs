//! What every suite can be gated on besides its scorers: what a trial takes, and the shares of cases that went astray.
//! All of them are better when lower.

use crate::stats::{Estimate, MetricKind, MetricSpec, Row, mean, proportion};
use crate::store::{Score, ScoreValue};
use crate::summary::{RunSummary, TrialCost};
use std::collections::{HashMap, HashSet};

/// One of [`RUN_METRICS`](crate::suite::RUN_METRICS) of one variant, case by case.
#[derive(Debug)]
pub(super) struct Measured {
    spec: MetricSpec,
    cases: Vec<(String, [Score; 1])>,
}

impl Measured {
    /// The metric's values; `None` for a name that is none of them.
    pub(super) fn of(run: &RunSummary, variant: &str, name: &str) -> Option<Self> {
        let values = match name {
            "latency" => means(run, variant, |cost| cost.elapsed_s),
            "prompt_tokens" => means(run, variant, |cost| cost.prompt_tokens as f64),
            "completion_tokens" => means(run, variant, |cost| cost.completion_tokens as f64),
            "unscored" => shares(run, variant, is_unscored),
            "no_answer" => shares(run, variant, has_no_answer),
            "cut" => shares(run, variant, |row| row.cut),
            _ => return None,
        };
        let share = values.first().is_some_and(|(_, value)| matches!(value, ScoreValue::Pass(_)));
        let kind = if share { MetricKind::Proportion } else { MetricKind::Mean };
        let score = |value| Score {
            scorer: name.to_owned(),
            value,
            answer: Some(String::new()),
            explanation: String::new(),
            parts: serde_json::Map::new(),
        };
        let cases = values.into_iter().map(|(case, value)| (case, [score(value)])).collect();
        Some(Self { spec: MetricSpec { name: name.to_owned(), kind }, cases })
    }

    /// The same without some cases.
    pub(super) fn without(mut self, left_out: &[String]) -> Self {
        self.cases.retain(|(case, _)| left_out.binary_search(case).is_err());
        self
    }

    /// Its value over all cases: a mean, or a share.
    pub(super) fn estimate(&self, level: f64) -> Estimate {
        let values: Vec<f64> = self.cases.iter().filter_map(|(_, [score])| score.value.as_number()).collect();
        match self.spec.kind {
            MetricKind::Proportion => {
                proportion(values.iter().filter(|value| **value > 0.5).count(), values.len(), level)
            }
            _ => mean(&values, level),
        }
    }

    /// How many cases it rests on.
    pub(super) fn n(&self) -> usize {
        self.cases.len()
    }

    pub(super) fn spec(&self) -> &MetricSpec {
        &self.spec
    }

    /// As the rows of a scorer of that name.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let row = |case, scores| Row { case, scores, truth: None, cut: false, windows: &[] };
        self.cases.iter().map(|(case, scores)| row(case.as_str(), scores.as_slice())).collect()
    }
}

/// The mean over the trials of each case, in the order in which cases first appear.
fn means(run: &RunSummary, variant: &str, of: impl Fn(TrialCost) -> f64) -> Vec<(String, ScoreValue)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut sums: Vec<(&str, f64, usize)> = Vec::new();
    for cost in run.costs(variant) {
        let place = *places.entry(cost.case).or_insert(sums.len());
        if place == sums.len() {
            sums.push((cost.case, 0.0, 0));
        }
        if let Some((_, sum, count)) = sums.get_mut(place) {
            *sum += of(cost);
            *count += 1;
        }
    }
    sums.into_iter().map(|(case, sum, count)| (case.to_owned(), ScoreValue::number(sum / count as f64))).collect()
}

/// Whether it holds for any row of a case.
fn shares(run: &RunSummary, variant: &str, holds: impl Fn(&Row) -> bool) -> Vec<(String, ScoreValue)> {
    let rows = run.rows(variant);
    let astray: HashSet<&str> = rows.iter().filter(|row| holds(row)).map(|row| row.case).collect();
    let mut seen = HashSet::new();
    let cases = rows.iter().map(|row| row.case).filter(|case| seen.insert(*case));
    cases.map(|case| (case.to_owned(), ScoreValue::Pass(astray.contains(case)))).collect()
}

/// Whether some scorer could not judge the row.
pub(super) fn is_unscored(row: &Row) -> bool {
    row.scores.is_empty() || row.scores.iter().any(|score| matches!(score.value, ScoreValue::Unscored(_)))
}

fn has_no_answer(row: &Row) -> bool {
    row.scores.iter().any(|score| score.value == ScoreValue::Pass(false) && score.answer.is_none())
}
