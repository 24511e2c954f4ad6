//! The metrics of one scorer: which estimator serves which of its values, and who is counted where.

use super::LEVEL;
use super::calibration::{Forecast, calibration_estimate};
use super::classification::Confusion;
use super::cluster::{clustered, repeated, share};
use super::labels::{Judged, label_estimates};
use super::mean::mean;
use super::metric::{Counts, Direction, Estimate, Metric};
use super::perplexity::Surprise;
use super::summary::{MetricKind, MetricSpec, Row};
use crate::score::{Likelihood, Score, ScoreValue};
use std::collections::{BTreeMap, HashSet};

/// A row as one scorer sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial<'a> {
    pub(super) row: &'a Row<'a>,
    pub(super) case: usize,
    pub(super) score: Option<&'a Score>,
}

impl<'a> Trial<'a> {
    /// The trial of a row; the first score of the scorer's name counts.
    pub(super) fn of(row: &'a Row<'a>, case: usize, scorer: &str) -> Self {
        Self { row, case, score: row.scores.iter().find(|score| score.scorer == scorer) }
    }

    /// The score as a number.
    pub(super) fn value(&self) -> Option<f64> {
        self.score?.value.as_number()
    }

    fn is_scored(&self) -> bool {
        self.score.is_some_and(|score| !matches!(score.value, ScoreValue::Unscored(_)))
    }

    /// A number among the score's parts.
    fn part(&self, part: &str) -> Option<f64> {
        self.score?.parts.get(part)?.as_f64()
    }
}

/// A metric that is the mean of a number that each trial has or lacks.
#[derive(Debug, Clone)]
pub(super) struct Measure<'a> {
    pub(super) name: String,
    pub(super) direction: Direction,
    /// The key among the score's parts; `None` is the score itself.
    part: Option<&'a str>,
    /// What its values cannot exceed, nor fall below 0: Student's t knows no bounds.
    most: Option<f64>,
}

impl Measure<'_> {
    /// The trial's number; `None` where it counts as unscored.
    pub(super) fn value(&self, trial: &Trial<'_>) -> Option<f64> {
        self.part.map_or_else(|| trial.value(), |part| trial.part(part)).filter(|value| value.is_finite())
    }
}

/// One or several metrics of a scorer that are computed together.
#[derive(Debug, Clone)]
pub(super) enum Part<'a> {
    /// A mean.
    Mean(Measure<'a>),
    /// Accuracy, then precision, recall and F1: `labels`.
    Labels(&'a [String]),
    /// `ece`.
    Calibration,
    /// Perplexity and `bits_per_byte`.
    Corpus,
}

/// The metrics that the trials of a scorer have, in the order of a table. A comparison passes both sides' trials.
pub(super) fn parts<'a>(spec: &'a MetricSpec, trials: &[Trial<'a>]) -> Vec<Part<'a>> {
    use Direction::{Higher, Lower};
    let name = spec.name.as_str();
    let mean = |part, direction, most| {
        Part::Mean(Measure { name: format!("{name}.{part}"), direction, part: Some(part), most })
    };
    let own = |name: String| Part::Mean(Measure { name, direction: Higher, part: None, most: None });
    let has = |part: &&str| has_part(part, trials);
    let calibration = || {
        let brier = has(&"brier").then(|| mean("brier", Lower, Some(2.0)));
        let error = has(&"confidence").then_some(Part::Calibration);
        [brier, error, has(&"confidence").then(|| mean("confidence", Higher, Some(1.0)))].into_iter().flatten()
    };
    match &spec.kind {
        MetricKind::Proportion | MetricKind::Mean => {
            let parts = numeric_parts(trials).into_iter().map(|part| mean(part, Higher, None));
            std::iter::once(own(name.to_owned())).chain(parts).collect()
        }
        MetricKind::Labels { labels, by_likelihood: false } => vec![Part::Labels(labels)],
        MetricKind::Labels { labels, by_likelihood: true } => {
            std::iter::once(Part::Labels(labels)).chain(calibration()).collect()
        }
        MetricKind::Choice => {
            let others = ["acc_norm", "acc_bytes", "acc_mi"].into_iter().filter(has);
            let others = others.map(|part| mean(part, Higher, None));
            std::iter::once(own(format!("{name}.acc"))).chain(others).chain(calibration()).collect()
        }
        MetricKind::Perplexity => vec![Part::Corpus],
        MetricKind::Judge => {
            let asked_twice = trials.iter().any(|trial| trial.part("position_bias").is_some());
            let bias = asked_twice.then(|| mean("position_bias", Lower, None));
            std::iter::once(own(name.to_owned())).chain(bias).collect()
        }
    }
}

/// The trials that say how sure they are, and whether they are right.
pub(super) fn forecasts(spec: &MetricSpec, trials: &[Trial<'_>]) -> Vec<Forecast> {
    let right = |trial: &Trial<'_>| match &spec.kind {
        MetricKind::Labels { labels, .. } => judged(trial, labels).map(|one| one.predicted == Some(one.truth)),
        _ => Some(trial.value()? > 0.5),
    };
    let forecast = |trial: &Trial<'_>| {
        Some(Forecast { case: trial.case, confidence: trial.part("confidence")?, right: right(trial)? })
    };
    trials.iter().filter_map(forecast).collect()
}

/// The expected calibration error.
pub(super) fn calibration(name: &str, trials: &[Trial<'_>], forecasts: &[Forecast]) -> Metric {
    let cases: Vec<usize> = forecasts.iter().map(|forecast| forecast.case).collect();
    let estimate = calibration_estimate(name, forecasts);
    Metric::new(format!("{name}.ece"), estimate, counts(trials, &cases), Direction::Lower)
}

/// The case and sums of each scored text.
pub(super) fn surprises(trials: &[Trial<'_>]) -> Vec<(usize, Surprise)> {
    let scored = |trial: &Trial<'_>| {
        let [logprob, tokens, bytes] = ["logprob", "tokens", "bytes"].map(|part| trial.part(part));
        Some((trial.case, Surprise { logprob: logprob?, tokens: tokens?, bytes: bytes? }))
    };
    trials.iter().filter_map(scored).collect()
}

/// The perplexity of all cases together, and their bits per byte.
pub(super) fn perplexity(name: &str, trials: &[Trial<'_>]) -> [Metric; 2] {
    let (cases, all): (Vec<usize>, Vec<Surprise>) = surprises(trials).into_iter().unzip();
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

/// The metric of a mean.
pub(super) fn mean_of(measure: Measure<'_>, trials: &[Trial<'_>]) -> Metric {
    let scored: Vec<_> = trials.iter().filter_map(|trial| Some((trial.case, measure.value(trial)?))).collect();
    let (cases, values): (Vec<_>, Vec<_>) = scored.into_iter().unzip();
    let metric = Metric::new(measure.name, estimate(&values, &cases), counts(trials, &cases), measure.direction);
    match measure.most {
        Some(most) => Metric { ci: metric.ci.map(|ci| ci.map(|bound| bound.clamp(0.0, most))), ..metric },
        None => metric,
    }
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
pub(super) fn judged(trial: &Trial<'_>, labels: &[String]) -> Option<Judged> {
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
