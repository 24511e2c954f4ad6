//! From the scores of one variant to its metrics: which estimator serves which scorer, and who is counted where.

use super::LEVEL;
use super::classification::Confusion;
use super::cluster::{clustered, repeated, share};
use super::labels::{Judged, label_estimates};
use super::mean::mean;
use super::metric::{Counts, Direction, Estimate, Metric};
use crate::score::{Score, ScoreValue};
use std::collections::{HashMap, HashSet};

/// One trial of a variant, as far as its metrics need it.
///
/// ```
/// use tripos::score::{Score, ScoreValue};
/// use tripos::stats::{MetricKind, MetricSpec, Row, metrics_of};
/// let score = |pass| [Score {
///     scorer: "exact".into(), value: ScoreValue::Pass(pass), answer: Some("4".into()),
///     explanation: String::new(), parts: Default::default(),
/// }];
/// let (right, wrong) = (score(true), score(false));
/// let rows = [
///     Row { case: "c-1", scores: &right, truth: Some("4"), cut: false },
///     Row { case: "c-2", scores: &wrong, truth: Some("5"), cut: false },
/// ];
/// let spec = MetricSpec { name: "exact".into(), kind: MetricKind::Proportion };
/// assert_eq!(metrics_of(&rows, &[spec]).metrics[0].value, Some(0.5));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The case's id. Rows of one id are repeats: they count as one case, and their errors are clustered.
    pub case: &'a str,
    /// What the scorers said; the first score of a scorer's name counts.
    pub scores: &'a [Score],
    /// The case's target, for label scorers.
    pub truth: Option<&'a str>,
    /// Whether `max_tokens` ended the completion.
    pub cut: bool,
}

/// A scorer whose scores are to be summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSpec {
    /// The scorer's name in the suite.
    pub name: String,
    /// How its scores become metrics.
    pub kind: MetricKind,
}

/// How a scorer's scores become metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricKind {
    /// Passes over scored cases, with a Wilson interval. Should a score be another number after all, as `Mean`.
    Proportion,
    /// The mean with Student's t interval. Where every value is 0 or 1 the mean is a proportion and is treated as one:
    /// its t interval would be a point when all values agree.
    Mean,
    /// Accuracy, precision, recall and F1 over these labels, and a confusion matrix.
    Labels {
        /// The labels, in the order of the matrix.
        labels: Vec<String>,
    },
}

/// The metrics of one variant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// In the order of the scorers; each scorer's own before its parts.
    pub metrics: Vec<Metric>,
    /// Each label scorer's name and matrix.
    pub confusions: Vec<(String, Confusion)>,
}

/// All metrics of one variant.
///
/// `n` counts cases with a score; `unscored`, `no_answer` and `cut` count rows. A row without a score of a scorer's name
/// is unscored there, and so is a row of a label scorer whose truth is none of the labels. Each key of `parts` that holds
/// a number in some row is a metric `scorer.part` over those rows (the others are unscored there). Every metric is
/// better when higher.
#[must_use]
pub fn metrics_of(rows: &[Row<'_>], specs: &[MetricSpec]) -> Summary {
    let cases = case_numbers(rows);
    let mut summary = Summary::default();
    for spec in specs {
        let trials: Vec<_> = rows
            .iter()
            .zip(&cases)
            .map(|(row, case)| Trial { row, case: *case, score: row.scores.iter().find(|s| s.scorer == spec.name) })
            .collect();
        match &spec.kind {
            MetricKind::Proportion | MetricKind::Mean => summary.metrics.extend(number_metrics(&spec.name, &trials)),
            MetricKind::Labels { labels } => {
                let (metrics, confusion) = label_metrics(&spec.name, labels, &trials);
                summary.metrics.extend(metrics);
                summary.confusions.push((spec.name.clone(), confusion));
            }
        }
    }
    summary
}

/// A row as one scorer sees it.
#[derive(Clone, Copy)]
struct Trial<'a> {
    row: &'a Row<'a>,
    case: usize,
    score: Option<&'a Score>,
}

/// A number for each row's case, in order of first appearance.
fn case_numbers(rows: &[Row<'_>]) -> Vec<usize> {
    let mut known = HashMap::new();
    rows.iter()
        .map(|row| {
            let next = known.len();
            *known.entry(row.case).or_insert(next)
        })
        .collect()
}

/// The scorer's own metric and one for each numeric part.
fn number_metrics(name: &str, trials: &[Trial<'_>]) -> Vec<Metric> {
    let whole = |trial: &Trial<'_>| trial.score.and_then(|score| score.value.as_number());
    let mut metrics = vec![number_metric(name.to_owned(), trials, whole)];
    for part in numeric_parts(trials) {
        let value = |trial: &Trial<'_>| trial.score.and_then(|score| score.parts.get(part)?.as_f64());
        metrics.push(number_metric(format!("{name}.{part}"), trials, value));
    }
    metrics
}

/// The keys of `parts` that hold a number somewhere, in order of first appearance.
fn numeric_parts<'a>(trials: &[Trial<'a>]) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let parts = trials.iter().filter_map(|trial| trial.score).flat_map(|score| &score.parts);
    parts.filter(|(key, value)| value.is_number() && seen.insert(key.as_str())).map(|(key, _)| key.as_str()).collect()
}

/// One metric of the numbers that `value` finds in the trials.
fn number_metric(name: String, trials: &[Trial<'_>], value: impl Fn(&Trial<'_>) -> Option<f64>) -> Metric {
    let scored: Vec<_> =
        trials.iter().filter_map(|trial| Some((trial.case, value(trial).filter(|v| v.is_finite())?))).collect();
    let (cases, values): (Vec<_>, Vec<_>) = scored.into_iter().unzip();
    let counts = counts(trials, &cases);
    Metric::new(name, estimate(&values, &cases), counts, Direction::Higher)
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

/// The metrics of a label scorer, accuracy first, and its matrix.
fn label_metrics(name: &str, labels: &[String], trials: &[Trial<'_>]) -> (Vec<Metric>, Confusion) {
    let judged: Vec<_> = trials.iter().filter_map(|trial| judge(trial, labels)).collect();
    let cases: Vec<_> = judged.iter().map(|one| one.case).collect();
    let counts = counts(trials, &cases);
    let (parts, confusion) = label_estimates(name, labels, &judged);
    let named = |(part, estimate)| Metric::new(format!("{name}.{part}"), estimate, counts, Direction::Higher);
    (parts.into_iter().map(named).collect(), confusion)
}

/// Where a trial stands in the matrix; `None` is unscored.
fn judge(trial: &Trial<'_>, labels: &[String]) -> Option<Judged> {
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
        n: distinct(cases),
        unscored: trials.len().saturating_sub(cases.len()),
        no_answer: trials.iter().filter(|trial| trial.score.is_some_and(unread)).count(),
        cut: trials.iter().filter(|trial| trial.row.cut).count(),
    }
}

fn distinct(cases: &[usize]) -> usize {
    cases.iter().collect::<HashSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{clustered_proportion, wilson};
    use serde_json::{Value, json};

    fn score(value: ScoreValue, answer: Option<&str>, parts: Value) -> Vec<Score> {
        let Value::Object(parts) = parts else { panic!("parts are an object") };
        let answer = answer.map(String::from);
        vec![Score { scorer: "s".into(), value, answer, explanation: String::new(), parts }]
    }

    fn pass(pass: bool) -> Vec<Score> {
        score(ScoreValue::Pass(pass), Some("x"), json!({}))
    }

    fn number(number: f64, parts: Value) -> Vec<Score> {
        score(ScoreValue::Number(number), Some("x"), parts)
    }

    fn unscored() -> Vec<Score> {
        score(ScoreValue::Unscored("too long".into()), None, json!({}))
    }

    /// Scores of cases `0`, `1`, …, every truth `yes`, nothing cut.
    fn summary(kind: MetricKind, scores: &[Vec<Score>]) -> Summary {
        let ids: Vec<_> = (0..scores.len()).map(|id| id.to_string()).collect();
        let rows: Vec<_> =
            ids.iter().zip(scores).map(|(case, scores)| Row { case, scores, truth: Some("yes"), cut: false }).collect();
        metrics_of(&rows, &[MetricSpec { name: "s".into(), kind }])
    }

    fn labels() -> MetricKind {
        MetricKind::Labels { labels: vec!["yes".into(), "no".into()] }
    }

    #[test]
    fn a_proportion_leaves_out_the_unscored_and_counts_missing_answers_as_wrong() {
        let unread = score(ScoreValue::Pass(false), None, json!({}));
        let scores = [pass(true), pass(true), pass(false), unread, unscored(), Vec::new()];
        let summary = summary(MetricKind::Proportion, &scores);
        let [metric] = &summary.metrics[..] else { panic!("{summary:?}") };
        assert_eq!((metric.name.as_str(), metric.value, metric.stderr), ("s", Some(0.5), Some(0.25)));
        assert_eq!((metric.n, metric.unscored, metric.no_answer, metric.cut), (4, 2, 1, 0));
        assert_eq!(metric.ci, wilson(2, 4, LEVEL));
    }

    #[test]
    fn completions_that_were_cut_are_counted_whatever_their_score() {
        let (good, bad) = (pass(true), unscored());
        let row = |case, scores, cut| Row { case, scores, truth: None, cut };
        let rows = [row("a", &good, true), row("b", &good, false), row("c", &bad, true)];
        let spec = MetricSpec { name: "s".into(), kind: MetricKind::Proportion };
        assert_eq!(metrics_of(&rows, &[spec]).metrics[0].cut, 2);
    }

    #[test]
    fn nothing_scored_is_no_value_rather_than_zero() {
        for kind in [MetricKind::Proportion, MetricKind::Mean, labels()] {
            let summary = summary(kind, &[unscored(), unscored()]);
            for metric in &summary.metrics {
                assert_eq!((metric.value, metric.stderr, metric.ci), (None, None, None), "{}", metric.name);
                assert_eq!((metric.n, metric.unscored), (0, 2));
            }
            assert!(!summary.metrics.is_empty());
        }
    }

    #[test]
    fn a_mean_brings_a_metric_for_each_numeric_part() {
        let scores = [
            number(0.25, json!({"precision": 0.5, "note": "n"})),
            number(0.75, json!({"precision": 1, "recall": 0.25})),
            number(f64::NAN, json!({})),
        ];
        let summary = summary(MetricKind::Mean, &scores);
        let shown: Vec<_> = summary.metrics.iter().map(|m| (m.name.as_str(), m.value, m.n, m.unscored)).collect();
        let wanted = [("s", Some(0.5), 2, 1), ("s.precision", Some(0.75), 2, 1), ("s.recall", Some(0.25), 1, 2)];
        assert_eq!(shown, wanted);
        assert_eq!(summary.metrics[0].ci, mean(&[0.25, 0.75], LEVEL).ci);
        assert_eq!(summary.metrics[2].stderr, None);
    }

    #[test]
    fn a_mean_of_ones_and_zeros_is_a_proportion_and_so_keeps_its_width() {
        let ones = summary(MetricKind::Mean, &[number(1.0, json!({})), number(1.0, json!({})), pass(true)]);
        assert_eq!(ones.metrics[0].ci, wilson(3, 3, LEVEL));
    }

    #[test]
    fn repeats_count_as_one_case_with_clustered_errors() {
        let (good, bad) = (pass(true), pass(false));
        let row = |case, scores| Row { case, scores, truth: None, cut: false };
        let rows = [row("a", &good), row("b", &bad), row("a", &good), row("b", &good), row("c", &bad), row("c", &bad)];
        let spec = MetricSpec { name: "s".into(), kind: MetricKind::Proportion };
        let metric = &metrics_of(&rows, &[spec]).metrics[0];
        let wanted = clustered_proportion(&[1.0, 0.0, 1.0, 1.0, 0.0, 0.0], &[0, 1, 0, 1, 2, 2], LEVEL);
        assert_eq!((metric.n, metric.value, metric.stderr, metric.ci), (3, Some(0.5), wanted.stderr, wanted.ci));
        assert_ne!(metric.ci, wilson(3, 6, LEVEL));
    }

    #[test]
    fn labels_fill_the_matrix_and_what_is_no_label_has_its_own_column() {
        let label = |text: &str| score(ScoreValue::Label(text.into()), Some(text), json!({}));
        let unread = score(ScoreValue::Pass(false), None, json!({}));
        let scores = [label("yes"), label("Yes "), label("no"), label("maybe"), unread, unscored()];
        let summary = summary(labels(), &scores);
        assert_eq!(summary.confusions[0].0, "s");
        assert_eq!(summary.confusions[0].1.counts, [[2, 1, 2], [0, 0, 0]]);
        let accuracy = &summary.metrics[0];
        assert_eq!(
            (accuracy.name.as_str(), accuracy.value, accuracy.ci),
            ("s.accuracy", Some(0.4), wilson(2, 5, LEVEL))
        );
        assert!(summary.metrics.iter().all(|m| (m.n, m.unscored, m.no_answer) == (5, 1, 1)));
        let names: Vec<_> = summary.metrics.iter().map(|m| m.name.as_str()).collect();
        assert!(names.contains(&"s.f1_macro") && names.contains(&"s.precision.no"), "{names:?}");
    }

    #[test]
    fn a_truth_that_is_no_label_is_unscored() {
        let good = score(ScoreValue::Label("yes".into()), Some("yes"), json!({}));
        let row = |case, truth| Row { case, scores: &good, truth, cut: false };
        let rows = [row("a", Some("yes")), row("b", Some("perhaps")), row("c", None)];
        let summary = metrics_of(&rows, &[MetricSpec { name: "s".into(), kind: labels() }]);
        assert_eq!((summary.metrics[0].n, summary.metrics[0].unscored), (1, 2));
    }

    #[test]
    fn scorers_keep_their_order_and_do_not_mix() {
        let mut scores = pass(true);
        scores.push(Score { scorer: "t".into(), ..pass(false).remove(0) });
        let rows = [Row { case: "a", scores: &scores, truth: None, cut: false }];
        let spec = |name: &str| MetricSpec { name: name.into(), kind: MetricKind::Proportion };
        let summary = metrics_of(&rows, &[spec("t"), spec("s"), spec("missing")]);
        let shown: Vec<_> = summary.metrics.iter().map(|m| (m.name.as_str(), m.value, m.unscored)).collect();
        assert_eq!(shown, [("t", Some(0.0), 0), ("s", Some(1.0), 0), ("missing", None, 1)]);
    }
}
