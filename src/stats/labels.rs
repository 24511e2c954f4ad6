//! The metrics of a label scorer: accuracy with its Wilson interval, all others with bootstrap intervals.

use super::bootstrap::{bootstrap_each, percentile_estimate};
use super::classification::{Averages, Classification, Confusion, Tally, tally};
use super::metric::Estimate;
use super::{DRAWS, LEVEL};
use crate::seed;
use std::collections::BTreeMap;

/// One scored trial: the case it belongs to, the true label's position, and the predicted one's (`None`: not understood).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) case: usize,
    pub(super) truth: usize,
    pub(super) predicted: Option<usize>,
}

/// The part names behind `scorer.` with their estimates, all but the accuracy, and the confusion matrix.
///
/// The cases are resampled (with all of their trials), and each draw's tallies give all metrics at once. A label that a
/// draw happens not to contain scores 0 there, as it would in the table. The key is the scorer's name.
pub(super) fn label_estimates(
    scorer: &str,
    labels: &[String],
    judged: &[Judged],
) -> (Vec<(String, Estimate)>, Confusion) {
    let mut confusion = Confusion::new(labels.to_vec());
    for one in judged {
        confusion.add(one.truth, one.predicted);
    }
    let parts = names(labels);
    if judged.is_empty() {
        return (parts.into_iter().map(|part| (part, Estimate::default())).collect(), confusion);
    }
    let cases = by_case(judged);
    let draws = bootstrap_each(cases.len(), DRAWS, seed::key(0, &["bootstrap", scorer]), |picked| {
        let mut tallies = vec![Tally::default(); labels.len()];
        for one in picked.iter().filter_map(|case| cases.get(*case)).flatten() {
            tally(&mut tallies, one.truth, one.predicted, 1);
        }
        values(&Classification::of(&tallies))
    });
    let estimate = |(column, value): (usize, f64)| {
        percentile_estimate(value, draws.iter().filter_map(|draw| draw.get(column).copied()).collect(), LEVEL)
    };
    let estimates = values(&confusion.scores()).into_iter().enumerate().map(estimate);
    (parts.into_iter().zip(estimates).collect(), confusion)
}

/// The trials of each case together, in the order of first appearance of the cases' numbers.
fn by_case(judged: &[Judged]) -> Vec<Vec<Judged>> {
    let mut cases: BTreeMap<usize, Vec<Judged>> = BTreeMap::new();
    for one in judged {
        cases.entry(one.case).or_default().push(*one);
    }
    cases.into_values().collect()
}

/// The names of [`values`], in its order.
fn names(labels: &[String]) -> Vec<String> {
    let measures = ["precision", "recall", "f1"];
    let averages = ["macro", "micro"].iter().flat_map(|kind| measures.map(|measure| format!("{measure}_{kind}")));
    averages.chain(labels.iter().flat_map(|label| measures.map(|measure| format!("{measure}.{label}")))).collect()
}

/// Precision, recall and F1: macro, micro, then of each label.
fn values(scores: &Classification) -> Vec<f64> {
    let labels = scores.labels.iter().map(|label| label.scores);
    let all = [scores.macro_average, scores.micro_average].into_iter().chain(labels);
    all.flat_map(|Averages { precision, recall, f1 }| [precision, recall, f1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&str; 4] = ["neg", "neu", "pos", "rare"];

    fn labels() -> Vec<String> {
        LABELS.map(String::from).to_vec()
    }

    /// scikit-learn's example of classification.rs, each pair five times over.
    fn sixty() -> Vec<Judged> {
        let position = |word: &str| LABELS.iter().position(|label| *label == word);
        let truths = "pos pos pos neg neg neg neu neu neu neu pos neg".split(' ').cycle();
        let predictions = "pos neg pos neg neg ? neu pos neu ? pos rare".split(' ').cycle();
        let pairs = truths.zip(predictions).take(60).enumerate();
        pairs.map(|(case, (t, p))| Judged { case, truth: position(t).unwrap(), predicted: position(p) }).collect()
    }

    fn of<'a>(estimates: &'a [(String, Estimate)], part: &str) -> &'a Estimate {
        &estimates.iter().find(|(name, _)| name == part).unwrap().1
    }

    /// ```python
    /// f = lambda i: f1_score(t[i], q[i], labels=L, average='macro', zero_division=0)  # t, q: np.array(… * 5)
    /// scipy.stats.bootstrap((np.arange(60),), f, n_resamples=4000, method='percentile', rng=1, vectorized=False)
    /// # 0.49702; 0.4004, 0.5826; stderr 0.0469
    /// ```
    #[test]
    fn the_interval_of_macro_f1_agrees_with_scipy_up_to_noise() {
        let (estimates, _) = label_estimates("label", &labels(), &sixty());
        let f1 = of(&estimates, "f1_macro");
        let [low, high] = f1.ci.unwrap();
        assert!((f1.value.unwrap() - 0.497_023_809_523_809_53).abs() < 1e-12);
        assert!((low - 0.4004).abs() < 0.015 && (high - 0.5826).abs() < 0.015, "{low} {high}");
        assert!((f1.stderr.unwrap() - 0.0469).abs() < 0.005);
    }

    #[test]
    fn names_and_values_stand_in_the_same_order() {
        let (estimates, confusion) = label_estimates("label", &labels(), &sixty());
        let scores = confusion.scores();
        let names: Vec<_> = estimates.iter().take(9).map(|(name, _)| name.as_str()).collect();
        let wanted = ["precision_macro", "recall_macro", "f1_macro", "precision_micro", "recall_micro", "f1_micro"];
        assert_eq!(names[..6], wanted);
        assert_eq!(names[6..], ["precision.neg", "recall.neg", "f1.neg"]);
        assert_eq!(estimates.len(), 18);
        assert_eq!(of(&estimates, "recall_micro").value, Some(scores.micro_average.recall));
        assert_eq!(of(&estimates, "precision.neu").value, Some(scores.labels[1].scores.precision));
        assert_eq!(of(&estimates, "f1.rare").value, Some(0.0));
    }

    #[test]
    fn repeats_of_a_case_are_resampled_together_and_so_widen_the_interval() {
        let alone = sixty();
        let together: Vec<_> = alone.iter().map(|one| Judged { case: one.case % 12, ..*one }).collect();
        let width = |judged: &[Judged]| {
            let [low, high] = of(&label_estimates("label", &labels(), judged).0, "f1_macro").ci.unwrap();
            high - low
        };
        assert!(width(&together) > 1.5 * width(&alone));
    }

    #[test]
    fn the_same_name_gives_the_same_interval_and_another_name_another() {
        let run = |name| label_estimates(name, &labels(), &sixty()).0;
        assert_eq!(run("label"), run("label"));
        assert_ne!(run("label"), run("other"));
    }

    #[test]
    fn no_cases_give_every_name_and_no_value() {
        let (estimates, confusion) = label_estimates("label", &labels(), &[]);
        assert!(estimates.len() == 18 && estimates.iter().all(|(_, estimate)| *estimate == Estimate::default()));
        assert_eq!(confusion, Confusion::new(labels()));
    }
}
