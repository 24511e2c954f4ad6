//! The metrics of one scorer: which estimator serves which of its values, and who is counted where.

use super::LEVEL;
use super::calibration::{Forecast, ReliabilityBin, calibration_estimate, reliability};
use super::classification::Confusion;
use super::cluster::{clustered, repeated, share};
use super::labels::{Judged, label_estimates};
use super::mean::mean;
use super::metric::{Counts, Direction, Estimate, Metric};
use super::perplexity::Surprise;
use super::summary::Row;
use crate::score::{Likelihood, Score, ScoreValue};
use std::collections::{BTreeMap, HashSet};

/// A row as one scorer sees it.
#[derive(Clone, Copy)]
pub(super) struct Trial<'a> {
    pub(super) row: &'a Row<'a>,
    pub(super) case: usize,
    pub(super) score: Option<&'a Score>,
}

impl Trial<'_> {
    /// The score as a number.
    pub(super) fn value(&self) -> Option<f64> {
        self.score?.value.as_number()
    }

    /// Whether the label is the true one; `None` where the trial is unscored.
    pub(super) fn has_label(&self, labels: &[String]) -> Option<bool> {
        judged(self, labels).map(|one| one.predicted == Some(one.truth))
    }

    fn is_scored(&self) -> bool {
        self.score.is_some_and(|score| !matches!(score.value, ScoreValue::Unscored(_)))
    }

    /// A number among the score's parts.
    fn part(&self, part: &str) -> Option<f64> {
        self.score?.parts.get(part)?.as_f64()
    }
}

/// The scorer's own metric and one for each numeric part.
pub(super) fn numbers(name: &str, trials: &[Trial<'_>]) -> Vec<Metric> {
    let parts = numeric_parts(trials).into_iter().filter_map(|part| of_part(name, part, trials, Direction::Higher));
    std::iter::once(own(name.to_owned(), trials)).chain(parts).collect()
}

/// Accuracy by the sum of log-probabilities, and by its other readings.
pub(super) fn choice(name: &str, trials: &[Trial<'_>]) -> Vec<Metric> {
    let others = ["acc_norm", "acc_bytes", "acc_mi"];
    let others = others.into_iter().filter_map(|part| of_part(name, part, trials, Direction::Higher));
    std::iter::once(own(format!("{name}.acc"), trials)).chain(others).collect()
}

/// The mean of a judge's values, and of how far the two orders lie apart.
pub(super) fn judge(name: &str, trials: &[Trial<'_>]) -> Vec<Metric> {
    let asked_twice = trials.iter().any(|trial| trial.part("position_bias").is_some());
    let bias = asked_twice.then(|| of_part(name, "position_bias", trials, Direction::Lower)).flatten();
    std::iter::once(own(name.to_owned(), trials)).chain(bias).collect()
}

/// `brier`, `ece` and `confidence`, and the reliability behind them. `right` says of a trial whether its answer is.
pub(super) fn calibration(
    name: &str,
    trials: &[Trial<'_>],
    right: impl Fn(&Trial<'_>) -> Option<bool>,
) -> (Vec<Metric>, Vec<ReliabilityBin>) {
    let forecast = |trial: &Trial<'_>| {
        Some(Forecast { case: trial.case, confidence: trial.part("confidence")?, right: right(trial)? })
    };
    let forecasts: Vec<Forecast> = trials.iter().filter_map(forecast).collect();
    let cases: Vec<usize> = forecasts.iter().map(|forecast| forecast.case).collect();
    let ece = || {
        let estimate = calibration_estimate(name, &forecasts);
        Metric::new(format!("{name}.ece"), estimate, counts(trials, &cases), Direction::Lower)
    };
    let metrics = [
        of_part(name, "brier", trials, Direction::Lower).map(|metric| within(metric, 2.0)),
        has_part("confidence", trials).then(ece),
        of_part(name, "confidence", trials, Direction::Higher).map(|metric| within(metric, 1.0)),
    ];
    (metrics.into_iter().flatten().collect(), reliability(&forecasts))
}

/// The perplexity of all cases together, and their bits per byte.
pub(super) fn perplexity(name: &str, trials: &[Trial<'_>]) -> [Metric; 2] {
    let scored = trials.iter().filter_map(|trial| {
        let [logprob, tokens, bytes] = ["logprob", "tokens", "bytes"].map(|part| trial.part(part));
        Some((trial.case, Surprise { logprob: logprob?, tokens: tokens?, bytes: bytes? }))
    });
    let (cases, all): (Vec<usize>, Vec<Surprise>) = scored.unzip();
    let texts = match (all.as_slice(), trials) {
        ([_], [trial]) if trial.row.windows.len() > 1 => trial.row.windows.iter().map(surprise).collect(),
        _ => by_case(&cases, &all),
    };
    let [whole, bits] = super::perplexity::perplexity(name, &texts);
    [(name.to_owned(), whole), (format!("{name}.bits_per_byte"), bits)]
        .map(|(name, estimate)| Metric::new(name, estimate, counts(trials, &cases), Direction::Lower))
}

/// The sums of each case over its trials.
fn by_case(cases: &[usize], all: &[Surprise]) -> Vec<Surprise> {
    let mut sums: BTreeMap<usize, Surprise> = BTreeMap::new();
    for (case, one) in cases.iter().zip(all) {
        let sum = sums.entry(*case).or_default();
        sum.logprob += one.logprob;
        sum.tokens += one.tokens;
        sum.bytes += one.bytes;
    }
    sums.into_values().collect()
}

pub(super) fn surprise(window: &Likelihood) -> Surprise {
    Surprise { logprob: window.logprob, tokens: window.tokens as f64, bytes: window.bytes as f64 }
}

/// The metrics of a label scorer, accuracy first, and its matrix.
pub(super) fn labels(name: &str, labels: &[String], trials: &[Trial<'_>]) -> (Vec<Metric>, Confusion) {
    let judged: Vec<_> = trials.iter().filter_map(|trial| judged(trial, labels)).collect();
    let cases: Vec<_> = judged.iter().map(|one| one.case).collect();
    let counts = counts(trials, &cases);
    let (parts, confusion) = label_estimates(name, labels, &judged);
    let named = |(part, estimate)| Metric::new(format!("{name}.{part}"), estimate, counts, Direction::Higher);
    (parts.into_iter().map(named).collect(), confusion)
}

/// The keys of `parts` that hold a number somewhere, in order of first appearance.
fn numeric_parts<'a>(trials: &[Trial<'a>]) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let parts = trials.iter().filter_map(|trial| trial.score).flat_map(|score| &score.parts);
    parts.filter(|(key, value)| value.is_number() && seen.insert(key.as_str())).map(|(key, _)| key.as_str()).collect()
}

/// Whether a part is a metric: a trial has it, or none is scored at all.
fn has_part(part: &str, trials: &[Trial<'_>]) -> bool {
    trials.iter().any(|trial| trial.part(part).is_some()) || !trials.iter().any(Trial::is_scored)
}

fn of_part(name: &str, part: &str, trials: &[Trial<'_>], direction: Direction) -> Option<Metric> {
    has_part(part, trials).then(|| number(format!("{name}.{part}"), trials, |trial| trial.part(part), direction))
}

/// The metric with its interval cut to 0 to `most`, which its values cannot leave: Student's t knows no bounds.
fn within(metric: Metric, most: f64) -> Metric {
    Metric { ci: metric.ci.map(|ci| ci.map(|bound| bound.clamp(0.0, most))), ..metric }
}

/// The metric of the scores themselves.
fn own(name: String, trials: &[Trial<'_>]) -> Metric {
    number(name, trials, |trial| trial.score?.value.as_number(), Direction::Higher)
}

/// One metric of the numbers that `value` finds in the trials.
fn number(
    name: String,
    trials: &[Trial<'_>],
    value: impl Fn(&Trial<'_>) -> Option<f64>,
    direction: Direction,
) -> Metric {
    let scored: Vec<_> =
        trials.iter().filter_map(|trial| Some((trial.case, value(trial).filter(|v| v.is_finite())?))).collect();
    let (cases, values): (Vec<_>, Vec<_>) = scored.into_iter().unzip();
    let counts = counts(trials, &cases);
    Metric::new(name, estimate(&values, &cases), counts, direction)
}

/// Wilson or t, with clustered errors where a case has several values.
fn estimate(values: &[f64], cases: &[usize]) -> Estimate {
    let binary = values.iter().all(|value| [0.0, 1.0].contains(value));
    match (binary, repeated(cases)) {
        (true, _) => share(values, cases, LEVEL),
        (false, false) => mean(values, LEVEL),
        (false, true) => clustered(values, cases, LEVEL),
    }
}

/// Where a trial stands in the matrix; `None` is unscored.
fn judged(trial: &Trial, labels: &[String]) -> Option<Judged> {
    let truth = position(labels, trial.row.truth?)?;
    let predicted = match &trial.score?.value {
        ScoreValue::Label(label) => position(labels, label),
        ScoreValue::Pass(true) => Some(truth),
        ScoreValue::Pass(false) => None,
        ScoreValue::Number(_) | ScoreValue::Unscored(_) => return None,
    };
    Some(Judged { case: trial.case, truth, predicted })
}

/// The label written exactly so, else the first that differs in case and outer spaces only.
fn position(labels: &[String], text: &str) -> Option<usize> {
    let plain = |text: &str| text.trim().to_lowercase();
    let exact = labels.iter().position(|label| label == text);
    exact.or_else(|| labels.iter().position(|label| plain(label) == plain(text)))
}

/// Who is behind a metric whose values belong to `cases`.
fn counts(trials: &[Trial<'_>], cases: &[usize]) -> Counts {
    let unread = |score: &Score| score.value == ScoreValue::Pass(false) && score.answer.is_none();
    Counts {
        n: cases.iter().collect::<HashSet<_>>().len(),
        unscored: trials.len().saturating_sub(cases.len()),
        no_answer: trials.iter().filter(|trial| trial.score.is_some_and(unread)).count(),
        cut: trials.iter().filter(|trial| trial.row.cut).count(),
    }
}
