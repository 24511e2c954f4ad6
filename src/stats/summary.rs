//! From the scores of one variant to its metrics: which estimator serves which scorer, and who is counted where.

use super::LEVEL;
use super::calibration::{ReliabilityBin, reliability};
use super::classification::Confusion;
use super::metric::Metric;
use super::of_scorer::{self, Part, Trial};
use crate::score::{Likelihood, Score};
use std::collections::HashMap;

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
///     Row { case: "c-1", scores: &right, truth: Some("4"), cut: false, windows: &[] },
///     Row { case: "c-2", scores: &wrong, truth: Some("5"), cut: false, windows: &[] },
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
    /// The windows of a long text: what the interval of its perplexity is made from. Empty for any other case.
    pub windows: &'a [Likelihood],
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
        /// The scores have probabilities: `brier`, `ece` and `confidence` follow, and a reliability table.
        by_likelihood: bool,
    },
    /// `acc`, its other readings, `brier`, `ece` and `confidence`; and a reliability table.
    Choice,
    /// Perplexity of the corpus, and `bits_per_byte`.
    Perplexity,
    /// The mean of a judge's values, and of its `position_bias` where it was asked in both orders.
    Judge,
}

/// The metrics of one variant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// In the order of the scorers; each scorer's own before its parts.
    pub metrics: Vec<Metric>,
    /// Each label scorer's name and matrix.
    pub confusions: Vec<(String, Confusion)>,
    /// Each scorer that has probabilities, and how far its confidence can be trusted.
    pub reliability: Vec<(String, Vec<ReliabilityBin>)>,
}

/// All metrics of one variant.
///
/// `n` counts cases with a score; `unscored`, `no_answer` and `cut` count rows. A row without a score of a scorer's name
/// is unscored there, and so is a row of a label scorer whose truth is none of the labels. Each key of `parts` that holds
/// a number in some row is a metric `scorer.part` over those rows (the others are unscored there); what no scored row has,
/// such as `acc_mi` of a model that cannot give it, is no metric. `brier`, `ece`, perplexities and `position_bias` are
/// better when lower, all else when higher.
#[must_use]
pub fn metrics_of(rows: &[Row<'_>], specs: &[MetricSpec]) -> Summary {
    metrics_at(rows, specs, LEVEL)
}

/// The same with intervals at another confidence than a table's.
#[must_use]
pub fn metrics_at(rows: &[Row<'_>], specs: &[MetricSpec], level: f64) -> Summary {
    let cases = case_numbers(rows);
    let mut summary = Summary::default();
    for spec in specs {
        let trials: Vec<_> = rows.iter().zip(&cases).map(|(row, case)| Trial::of(row, *case, &spec.name)).collect();
        let forecasts = of_scorer::forecasts(spec, &trials);
        for part in of_scorer::parts(spec, &trials) {
            match part {
                Part::Mean(measure) => summary.metrics.push(of_scorer::mean_of(measure, &trials, level)),
                Part::Calibration => {
                    summary.metrics.push(of_scorer::calibration(&spec.name, &trials, &forecasts, level));
                }
                Part::Corpus => summary.metrics.extend(of_scorer::perplexity(&spec.name, &trials, level)),
                Part::Labels(labels) => {
                    let (metrics, confusion) = of_scorer::labels(&spec.name, labels, &trials, level);
                    summary.metrics.extend(metrics);
                    summary.confusions.push((spec.name.clone(), confusion));
                }
            }
        }
        if matches!(&spec.kind, MetricKind::Choice | MetricKind::Labels { by_likelihood: true, .. }) {
            summary.reliability.push((spec.name.clone(), reliability(&forecasts)));
        }
    }
    summary
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;
    use crate::stats::{Direction, clustered_proportion, mean, perplexity, wilson};
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
        let rows: Vec<_> = ids
            .iter()
            .zip(scores)
            .map(|(case, scores)| Row { case, scores, truth: Some("yes"), cut: false, windows: &[] })
            .collect();
        metrics_of(&rows, &[MetricSpec { name: "s".into(), kind }])
    }

    fn labels() -> MetricKind {
        MetricKind::Labels { labels: vec!["yes".into(), "no".into()], by_likelihood: false }
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
        let row = |case, scores, cut| Row { case, scores, truth: None, cut, windows: &[] };
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
        let row = |case, scores| Row { case, scores, truth: None, cut: false, windows: &[] };
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
        let row = |case, truth| Row { case, scores: &good, truth, cut: false, windows: &[] };
        let rows = [row("a", Some("yes")), row("b", Some("perhaps")), row("c", None)];
        let summary = metrics_of(&rows, &[MetricSpec { name: "s".into(), kind: labels() }]);
        assert_eq!((summary.metrics[0].n, summary.metrics[0].unscored), (1, 2));
    }

    #[test]
    fn scorers_keep_their_order_and_do_not_mix() {
        let mut scores = pass(true);
        scores.push(Score { scorer: "t".into(), ..pass(false).remove(0) });
        let rows = [Row { case: "a", scores: &scores, truth: None, cut: false, windows: &[] }];
        let spec = |name: &str| MetricSpec { name: name.into(), kind: MetricKind::Proportion };
        let summary = metrics_of(&rows, &[spec("t"), spec("s"), spec("missing")]);
        let shown: Vec<_> = summary.metrics.iter().map(|m| (m.name.as_str(), m.value, m.unscored)).collect();
        assert_eq!(shown, [("t", Some(0.0), 0), ("s", Some(1.0), 0), ("missing", None, 1)]);
    }

    fn choice(right: bool, confidence: f64, brier: f64, acc_mi: Option<f64>) -> Vec<Score> {
        let mut parts = json!({"acc_norm": f64::from(u8::from(!right)), "acc_bytes": 1.0, "brier": brier, "confidence": confidence});
        if let Some(acc_mi) = acc_mi {
            parts["acc_mi"] = acc_mi.into();
        }
        score(ScoreValue::Pass(right), Some("x"), parts)
    }

    fn values(summary: &Summary) -> Vec<(&str, Option<f64>, Direction)> {
        summary.metrics.iter().map(|m| (m.name.as_str(), m.value, m.direction)).collect()
    }

    /// By hand: ece = |0.8 − 1|/2 + |0.6 − 0|/2 = 0.4.
    #[test]
    fn a_choice_has_its_readings_and_what_its_probabilities_are_worth() {
        use Direction::{Higher, Lower};
        let scores = [choice(true, 0.8, 0.08, Some(0.0)), choice(false, 0.6, 0.72, Some(1.0)), unscored()];
        let summary = summary(MetricKind::Choice, &scores);
        let wanted = [
            ("s.acc", 0.5, Higher),
            ("s.acc_norm", 0.5, Higher),
            ("s.acc_bytes", 1.0, Higher),
            ("s.acc_mi", 0.5, Higher),
            ("s.brier", 0.4, Lower),
            ("s.ece", 0.4, Lower),
            ("s.confidence", 0.7, Higher),
        ];
        for ((name, value, direction), wanted) in values(&summary).into_iter().zip(wanted) {
            assert!(
                (name, direction) == (wanted.0, wanted.2) && (value.unwrap() - wanted.1).abs() < 1e-12,
                "{name} {value:?}"
            );
        }
        assert_eq!(summary.metrics.len(), 7);
        assert!(summary.metrics.iter().all(|m| (m.n, m.unscored) == (2, 1)));
        assert_eq!(summary.metrics[0].ci, wilson(1, 2, LEVEL));
        assert_eq!(summary.reliability[0].1.iter().map(|bin| bin.n).sum::<usize>(), 2);
        let of = |name: &str| summary.metrics.iter().find(|m| m.name == name).unwrap().ci;
        assert_eq!(
            (of("s.brier"), of("s.confidence")),
            (Some([0.0, 2.0]), Some([0.0, 1.0])),
            "t of two values is wide"
        );
    }

    #[test]
    fn a_reading_that_no_case_has_is_no_metric() {
        let names = |scores: &[Vec<Score>]| -> Vec<String> {
            summary(MetricKind::Choice, scores).metrics.into_iter().map(|m| m.name).collect()
        };
        assert!(!names(&[choice(true, 0.8, 0.1, None)]).contains(&"s.acc_mi".to_owned()));
        assert_eq!(names(&[score(ScoreValue::Number(0.7), None, json!({}))]), ["s.acc"], "pass@k of choices");
        assert_eq!(names(&[unscored()]).len(), 7, "of nothing, every metric is there and has no value");
    }

    #[test]
    fn labels_with_probabilities_are_calibrated_too() {
        let label = |text: &str, confidence: f64| {
            score(ScoreValue::Label(text.into()), Some(text), json!({"confidence": confidence, "brier": 0.5}))
        };
        let kind = MetricKind::Labels { labels: vec!["yes".into(), "no".into()], by_likelihood: true };
        let summary = summary(kind, &[label("yes", 1.0), label("no", 0.75)]);
        let last: Vec<_> = values(&summary).into_iter().rev().take(3).map(|(name, value, _)| (name, value)).collect();
        assert_eq!(last, [("s.confidence", Some(0.875)), ("s.ece", Some(0.375)), ("s.brier", Some(0.5))]);
        assert_eq!(summary.reliability[0].1[9].accuracy, Some(1.0));
    }

    fn surprised(logprob: f64, tokens: usize, bytes: usize) -> Vec<Score> {
        let parts = json!({"logprob": logprob, "tokens": tokens, "bytes": bytes, "bits_per_byte": 9.0});
        score(ScoreValue::Number(9.0), None, parts)
    }

    #[test]
    fn a_corpus_is_the_ratio_of_its_sums_and_less_is_better() {
        let summary = summary(MetricKind::Perplexity, &[surprised(-4.0, 3, 8), unscored(), surprised(-2.0, 1, 4)]);
        let [whole, bits] = &summary.metrics[..] else { panic!("{summary:?}") };
        assert!((whole.value.unwrap() - 1.5_f64.exp()).abs() < 1e-12);
        assert!((bits.value.unwrap() - 6.0 / std::f64::consts::LN_2 / 12.0).abs() < 1e-12);
        assert_eq!(
            (bits.name.as_str(), whole.direction, bits.direction),
            ("s.bits_per_byte", Direction::Lower, Direction::Lower)
        );
        assert_eq!((whole.n, whole.unscored, whole.no_answer), (2, 1, 0));
        assert!(whole.ci.is_some());
    }

    #[test]
    fn one_long_text_has_the_interval_of_its_windows() {
        let window = |logprob| Likelihood { text: String::new(), logprob, tokens: 2, bytes: 4, unconditional: None };
        let windows = [window(-3.0), window(-1.0), window(-2.0)];
        let scores = surprised(-6.0, 6, 12);
        let metric = |windows| {
            let row = Row { case: "book", scores: &scores, truth: None, cut: false, windows };
            metrics_of(&[row], &[MetricSpec { name: "s".into(), kind: MetricKind::Perplexity }]).metrics.remove(0)
        };
        let texts = windows.each_ref().map(of_scorer::surprise);
        let whole = metric(&windows);
        assert_eq!((whole.n, whole.value, whole.ci), (1, Some(1.0_f64.exp()), perplexity("s", &texts, LEVEL)[0].ci));
        assert!(whole.ci.is_some());
        assert_eq!(metric(&[]).ci, None, "where the windows are not known");
    }

    #[test]
    fn a_judge_has_its_mean_and_its_position_bias() {
        let judged = |value, bias: f64| {
            score(ScoreValue::Number(value), Some("x"), json!({"position_bias": bias, "verdicts": []}))
        };
        let summary = summary(MetricKind::Judge, &[judged(0.5, 0.25), judged(0.75, 0.75)]);
        let wanted = [("s", Some(0.625), Direction::Higher), ("s.position_bias", Some(0.5), Direction::Lower)];
        assert_eq!(values(&summary), wanted);
    }
}
