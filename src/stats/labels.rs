//! The metrics of a label scorer, each with the interval of what it is.
//!
//! - **A share of trials** has a Wilson interval (Wilson 1927), at the effective sample size where cases were repeated:
//!   accuracy and micro recall (right of all), micro precision (right of what was understood), a label's recall (right of
//!   what truly has it) and precision (right of what was called so), and micro F1 where every answer was understood, since
//!   it is the accuracy then. One quantity thus never has two intervals. A share of nothing is 0, as in scikit-learn, and
//!   has no interval.
//! - **All else** (F1, the macro averages, micro F1 otherwise) has a percentile bootstrap interval, stratified by true label
//!   (Efron and Tibshirani 1993, chapter 8): the cases of each true label are resampled among themselves, with all of their
//!   trials, so that every draw has each label as often as the data has. Draws that lack a label would score it 0 and pull
//!   the bounds of rare labels down. Where all draws are equal, no interval can be given, and none is.
//!
//! A stratum of few cases shows less spread than there is, and one of a single case none: the bootstrap's intervals of
//! labels that rare are too narrow. The labels' support, which the confusion matrix shows, says where.

use super::bootstrap::{bootstrap_strata, percentile_estimate};
use super::classification::{Averages, Classification, Confusion, Tally, tally};
use super::cluster::share;
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

/// The part names behind `scorer.` with their estimates, accuracy first, and the confusion matrix.
///
/// Each bootstrap draw's tallies give all metrics at once. Its key is the scorer's name.
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
    let draws = draws(scorer, labels.len(), judged);
    let columns = values(&confusion.scores()).into_iter().zip(wholes(labels.len(), judged)).enumerate();
    let estimates = columns.map(|(column, (value, whole))| match whole {
        Some(whole) => Estimate { value: Some(value), ..right_of(judged, |one| whole.holds(one)) },
        None => percentile_estimate(value, draws.iter().filter_map(|draw| draw.get(column).copied()).collect(), LEVEL),
    });
    (parts.into_iter().zip(estimates).collect(), confusion)
}

/// The [`values`] of each draw of the stratified bootstrap.
fn draws(scorer: &str, labels: usize, judged: &[Judged]) -> Vec<Vec<f64>> {
    // The key's order puts the cases of one true label next to each other.
    let mut cases: BTreeMap<(usize, usize), Vec<Judged>> = BTreeMap::new();
    let mut sizes = vec![0; labels];
    for one in judged {
        let trials = cases.entry((one.truth, one.case)).or_default();
        if trials.is_empty()
            && let Some(size) = sizes.get_mut(one.truth)
        {
            *size += 1;
        }
        trials.push(*one);
    }
    let cases: Vec<_> = cases.into_values().collect();
    bootstrap_strata(&sizes, DRAWS, seed::key(0, &["bootstrap", scorer]), |picked| {
        let mut tallies = vec![Tally::default(); labels];
        for one in picked.iter().filter_map(|case| cases.get(*case)).flatten() {
            tally(&mut tallies, one.truth, one.predicted, 1);
        }
        values(&Classification::of(&tallies))
    })
}

/// The trials of which a metric is the share of right ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// All.
    All,
    /// Those whose answer names a label.
    Understood,
    /// Those that were called so.
    Called(usize),
    /// Those that are truly so.
    Truly(usize),
}

impl Whole {
    pub(super) fn holds(self, one: &Judged) -> bool {
        match self {
            Self::All => true,
            Self::Understood => one.predicted.is_some(),
            Self::Called(label) => one.predicted == Some(label),
            Self::Truly(label) => one.truth == label,
        }
    }
}

/// For each of [`values`], what it is a share of, if it is a share of trials.
pub(super) fn wholes(labels: usize, judged: &[Judged]) -> Vec<Option<Whole>> {
    let understood = judged.iter().all(|one| one.predicted.is_some());
    let precision = if understood { Whole::All } else { Whole::Understood };
    let averages = [None, None, None, Some(precision), Some(Whole::All), understood.then_some(Whole::All)];
    let of_label = |label| [Some(Whole::Called(label)), Some(Whole::Truly(label)), None];
    [Some(Whole::All)].into_iter().chain(averages).chain((0..labels).flat_map(of_label)).collect()
}

/// The share of right ones among the trials that count.
fn right_of(judged: &[Judged], counts: impl Fn(&Judged) -> bool) -> Estimate {
    let right = |one: &Judged| f64::from(u8::from(one.predicted == Some(one.truth)));
    let (values, cases): (Vec<_>, Vec<_>) =
        judged.iter().filter(|one| counts(one)).map(|one| (right(one), one.case)).unzip();
    share(&values, &cases, LEVEL)
}

/// The names of [`values`], in its order.
pub(super) fn names(labels: &[String]) -> Vec<String> {
    let measures = ["precision", "recall", "f1"];
    let averages = ["macro", "micro"].iter().flat_map(|kind| measures.map(|measure| format!("{measure}_{kind}")));
    let each = labels.iter().flat_map(|label| measures.map(|measure| format!("{measure}.{label}")));
    ["accuracy".to_owned()].into_iter().chain(averages).chain(each).collect()
}

/// The accuracy, then precision, recall and F1: macro, micro, and of each label.
pub(super) fn values(scores: &Classification) -> Vec<f64> {
    let labels = scores.labels.iter().map(|label| label.scores);
    let all = [scores.macro_average, scores.micro_average].into_iter().chain(labels);
    let measures = all.flat_map(|Averages { precision, recall, f1 }| [precision, recall, f1]);
    [scores.accuracy].into_iter().chain(measures).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{clustered_proportion, wilson};

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
    /// # t, q: the lists of `sixty`; macro(ix): the mean over all four labels of 2TP / (support + predicted), 0 where that is 0/0
    /// r = random.Random(1); strata = [[i for i in range(60) if t[i] == l] for l in ('neg', 'neu', 'pos')]
    /// d = [macro([i for s in strata for i in r.choices(s, k=len(s))]) for _ in range(40000)]
    /// np.percentile(d, [2.5, 97.5]), np.std(d, ddof=1)  # 0.4014, 0.5783; 0.0452
    /// # the control, not stratified: scipy.stats.bootstrap(…, method='percentile')  # 0.4004, 0.5826; 0.0469
    /// ```
    #[test]
    fn the_interval_of_macro_f1_agrees_with_another_programs_up_to_noise() {
        let (estimates, _) = label_estimates("label", &labels(), &sixty());
        let f1 = of(&estimates, "f1_macro");
        let [low, high] = f1.ci.unwrap();
        assert!((f1.value.unwrap() - 0.497_023_809_523_809_53).abs() < 1e-12);
        assert!((low - 0.4014).abs() < 0.012 && (high - 0.5783).abs() < 0.012, "{low} {high}");
        assert!((f1.stderr.unwrap() - 0.0452).abs() < 0.004);
    }

    #[test]
    fn names_and_values_stand_in_the_same_order() {
        let (estimates, confusion) = label_estimates("label", &labels(), &sixty());
        let scores = confusion.scores();
        assert_eq!((estimates[0].0.as_str(), estimates[0].1.value), ("accuracy", Some(scores.accuracy)));
        let names: Vec<_> = estimates.iter().skip(1).take(9).map(|(name, _)| name.as_str()).collect();
        let wanted = ["precision_macro", "recall_macro", "f1_macro", "precision_micro", "recall_micro", "f1_micro"];
        assert_eq!(names[..6], wanted);
        assert_eq!(names[6..], ["precision.neg", "recall.neg", "f1.neg"]);
        assert_eq!(estimates.len(), 19);
        assert_eq!(of(&estimates, "recall_micro").value, Some(scores.micro_average.recall));
        assert_eq!(of(&estimates, "precision.neu").value, Some(scores.labels[1].scores.precision));
        assert_eq!(of(&estimates, "f1.rare").value, Some(0.0));
    }

    /// One word a case: the true label and, after a slash, the given one.
    fn pairs(text: &str) -> Vec<Judged> {
        let position = |word: &str| LABELS.iter().position(|label| *label == word);
        let pairs = text.split(' ').map(|pair| pair.split_once('/').unwrap()).enumerate();
        pairs.map(|(case, (t, p))| Judged { case, truth: position(t).unwrap(), predicted: position(p) }).collect()
    }

    #[test]
    fn two_right_answers_have_one_interval_under_every_name_or_none() {
        let labels = ["neg", "neu"].map(String::from);
        let (estimates, _) = label_estimates("label", &labels, &pairs("neg/neg neu/neu"));
        for part in ["accuracy", "precision_micro", "recall_micro", "f1_micro"] {
            assert_eq!(of(&estimates, part).ci, wilson(2, 2, LEVEL), "{part}");
        }
        for part in ["precision.neg", "recall.neg", "precision.neu", "recall.neu"] {
            assert_eq!(of(&estimates, part).ci, wilson(1, 1, LEVEL), "{part}");
        }
        for part in ["precision_macro", "recall_macro", "f1_macro", "f1.neg", "f1.neu"] {
            assert_eq!(*of(&estimates, part), Estimate { value: Some(1.0), stderr: None, ci: None }, "{part}");
        }
    }

    #[test]
    fn shares_have_the_wilson_interval_of_what_they_are_shares_of() {
        let (estimates, _) = label_estimates("label", &labels(), &sixty());
        let wanted = [
            ("accuracy", 35, 60),
            ("recall_micro", 35, 60),
            ("precision_micro", 35, 50),
            ("precision.neg", 10, 15),
            ("recall.neg", 10, 20),
            ("precision.rare", 0, 5),
        ];
        for (part, right, n) in wanted {
            let value = right as f64 / n as f64;
            let ci = wilson(right, n, LEVEL);
            assert_eq!((of(&estimates, part).value, of(&estimates, part).ci), (Some(value), ci), "{part}");
        }
        assert_eq!(*of(&estimates, "recall.rare"), Estimate { value: Some(0.0), stderr: None, ci: None });
        let [low, high] = of(&estimates, "f1_micro").ci.unwrap();
        assert!(low < 0.636 && 0.636 < high, "{low} {high}");
        assert_ne!(of(&estimates, "f1_micro").ci, of(&estimates, "accuracy").ci, "ten answers were not understood");
    }

    #[test]
    fn a_rare_label_that_is_always_right_does_not_pull_the_averages_down() {
        let mut judged = pairs("rare/rare rare/rare neg/neg neg/neg neg/neg neg/neu");
        judged.extend((6..46).map(|case| Judged {
            case,
            truth: 2,
            predicted: Some(if case % 8 == 0 { 0 } else { 2 }),
        }));
        let (estimates, _) = label_estimates("label", &labels(), &judged);
        let recall = of(&estimates, "recall_macro");
        // `neu` has no case and is always 0; a draw without `rare` would lose another quarter.
        assert!(recall.ci.unwrap()[0] > 0.5, "{recall:?}");
        assert_eq!(of(&estimates, "recall.rare").ci, wilson(2, 2, LEVEL));
    }

    #[test]
    fn shares_of_repeated_cases_have_the_effective_sample_size() {
        let alone = pairs("neg/neg neg/neu neg/neg neu/neu neu/neu neu/?");
        let thrice: Vec<_> = alone.iter().flat_map(|one| [*one; 3]).collect();
        let (estimates, _) = label_estimates("label", &labels(), &thrice);
        let cases: Vec<_> = (0..6).flat_map(|case| [case; 3]).collect();
        let right = [1.0, 0.0, 1.0, 1.0, 1.0, 0.0].into_iter().flat_map(|right| [right; 3]).collect::<Vec<_>>();
        assert_eq!(*of(&estimates, "accuracy"), clustered_proportion(&right, &cases, LEVEL));
        assert_eq!(of(&estimates, "recall_micro"), of(&estimates, "accuracy"));
        assert_eq!(*of(&estimates, "recall.neg"), clustered_proportion(&right[..9], &cases[..9], LEVEL));
        assert_eq!(of(&estimates, "precision.neg").ci, wilson(2, 2, LEVEL), "two cases, three times each");
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
        assert!(estimates.len() == 19 && estimates.iter().all(|(_, estimate)| *estimate == Estimate::default()));
        assert_eq!(confusion, Confusion::new(labels()));
    }
}
