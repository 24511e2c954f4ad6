//! One quantity of the same cases twice: the difference, how sure it is, and what so many cases could have shown.

use super::aggregate::{Aggregate, CasePair};
use super::bootstrap::bootstrap_strata;
use super::influence::jackknife;
use super::mcnemar::mcnemar;
use super::mean::{average, deviation, t_interval};
use super::paired_bootstrap::{difference_interval, expanded_interval, none_differs};
use super::permutation::{sign_flip, swap};
use super::power::{alpha, cases_needed, minimum_detectable};
use super::power_mean::{cases_needed_mean, minimum_detectable_mean};
use super::tango::tango;
use crate::seed;
use serde::{Deserialize, Serialize};

/// The difference that "how many cases would it take" is told for.
const THREE_POINTS: f64 = 0.03;
/// Draws at most, and at least whatever it takes.
const MOST_DRAWS: usize = 10_000;
const LEAST_DRAWS: usize = 1_000;

/// What a p-value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// The exact test of paired passes (McNemar 1947).
    McnemarExact,
    /// Signs of the differences flipped at random (Fisher 1935).
    SignFlip,
    /// Whole cases swapped between the two sides at random (Noreen 1989).
    Swap,
}

/// One metric of the cases that two sides have in common. What the cases cannot tell is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// How many cases.
    pub n: usize,
    /// The baseline's value over them.
    pub baseline: Option<f64>,
    /// The candidate's.
    pub candidate: Option<f64>,
    /// Candidate less baseline.
    pub difference: Option<f64>,
    /// Its interval at `level`.
    pub ci: Option<[f64; 2]>,
    /// The confidence level.
    pub level: f64,
    /// What the p-value comes from.
    pub test: Test,
    /// Two-sided.
    pub p_value: Option<f64>,
    /// Of passes: the cases that only the baseline, and only the candidate, passes.
    pub discordant: Option<[usize; 2]>,
    /// The smallest difference that so many cases, differing as these do, show in four of five tries. Of aggregates by
    /// their bootstrap standard error, which is an approximation.
    pub minimum_detectable: Option<f64>,
    /// How many cases in all a difference of 0.03 would need.
    pub cases_for_three_points: Option<usize>,
    /// No case differs.
    pub identical: bool,
}

impl Difference {
    /// Of no cases.
    #[must_use]
    pub fn of_nothing(test: Test, level: f64) -> Self {
        Self {
            n: 0,
            baseline: None,
            candidate: None,
            difference: None,
            ci: None,
            level,
            test,
            p_value: None,
            discordant: None,
            minimum_detectable: None,
            cases_for_three_points: None,
            identical: false,
        }
    }

    /// Whether a p-value (this test's, or adjusted for others beside it) is at most `1 − level`.
    #[must_use]
    pub fn rejects(&self, p_value: f64) -> bool {
        p_value <= alpha(self.level)
    }
}

/// Draws for `n` cases: 10,000, fewer above 4,000 cases so that time stays the same, and never below 1,000.
fn draws(n: usize) -> usize {
    (40_000_000 / n.max(1)).clamp(LEAST_DRAWS, MOST_DRAWS)
}

/// Passes and failures, the baseline's before the candidate's: exact McNemar test and Tango's interval.
///
/// ```
/// let pairs: Vec<(bool, bool)> = (0..20).map(|case| (case < 18, case < 9)).collect();
/// let drop = tripos::stats::pass_difference(&pairs, 0.95);
/// assert_eq!((drop.difference, drop.discordant), (Some(-0.45), Some([9, 0])));
/// assert!(drop.p_value.unwrap() < 0.005);
/// ```
#[must_use]
pub fn pass_difference(pairs: &[(bool, bool)], level: f64) -> Difference {
    let count = |wanted: (bool, bool)| pairs.iter().filter(|pair| **pair == wanted).count();
    of_counts(count((true, true)), [count((true, false)), count((false, true))], pairs.len(), level)
}

/// The same from how many cases both sides, only the baseline and only the candidate pass.
#[must_use]
pub fn of_counts(both: usize, discordant: [usize; 2], n: usize, level: f64) -> Difference {
    if n == 0 {
        return tested_counts(both, discordant, n, level);
    }
    let psi = discordant.iter().sum::<usize>() as f64 / n as f64;
    Difference {
        minimum_detectable: minimum_detectable(n, psi, level),
        cases_for_three_points: cases_needed(THREE_POINTS, psi, level),
        ..tested_counts(both, discordant, n, level)
    }
}

/// The same without what the cases could have shown, which no decision rests on and which takes longest.
pub(crate) fn tested_counts(both: usize, [b, c]: [usize; 2], n: usize, level: f64) -> Difference {
    let nothing = Difference::of_nothing(Test::McnemarExact, level);
    if n == 0 {
        return nothing;
    }
    let share = |count: usize| count as f64 / n as f64;
    Difference {
        n,
        baseline: Some(share(both + b)),
        candidate: Some(share(both + c)),
        difference: Some((c as f64 - b as f64) / n as f64),
        ci: tango(b, c, n, level),
        p_value: Some(mcnemar(b, c)),
        discordant: Some([b, c]),
        identical: b + c == 0,
        ..nothing
    }
}

/// Numbers, the baseline's before the candidate's: sign-flip test and bootstrap interval of the mean difference. `key` names
/// the draws.
///
/// Where no case differs there is nothing to resample, and no interval; but where all values lie in [0, 1], as averages of
/// passes do, "none of n differed" bounds the difference by `1 − (α/2)^(1/n)`. Differences that are equal and not 0 have a
/// test and no interval.
///
/// ```
/// let pairs = [(0.5, 0.75), (0.25, 0.5), (0.0, 0.5), (0.5, 0.5), (0.75, 1.0), (0.25, 1.0), (0.0, 0.25)];
/// let gain = tripos::stats::number_difference("reward", &pairs, 0.95);
/// assert!(gain.p_value == Some(0.03125) && gain.ci.is_some_and(|[low, _]| low > 0.0));
/// ```
#[must_use]
pub fn number_difference(key: &str, pairs: &[(f64, f64)], level: f64) -> Difference {
    let differences: Vec<f64> = pairs.iter().map(|(baseline, candidate)| candidate - baseline).collect();
    let sd = deviation(&differences).unwrap_or_default();
    Difference {
        minimum_detectable: minimum_detectable_mean(pairs.len(), sd, level),
        cases_for_three_points: cases_needed_mean(THREE_POINTS, sd, level),
        ..tested_numbers(key, pairs, draws(pairs.len()), level)
    }
}

/// The same from so many draws, without what the cases could have shown.
pub(crate) fn tested_numbers(key: &str, pairs: &[(f64, f64)], draws: usize, level: f64) -> Difference {
    let nothing = Difference::of_nothing(Test::SignFlip, level);
    let n = pairs.len();
    let (baseline, candidate): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let differences: Vec<f64> = pairs.iter().map(|(baseline, candidate)| candidate - baseline).collect();
    let Some(difference) = average(&differences).filter(|d| d.is_finite()) else { return nothing };
    let identical = differences.iter().all(|d| *d == 0.0);
    let bounded = pairs.iter().all(|(b, c)| (0.0..=1.0).contains(b) && (0.0..=1.0).contains(c));
    let key = |what: &str| seed::key(0, &["paired", key, what]);
    let ci = if identical {
        bounded.then(|| none_differs(n, level)).map(|reach| [-reach, reach]).filter(|_| level < 1.0)
    } else {
        difference_interval(&differences, draws, key("bootstrap"), level)
    };
    Difference {
        n,
        baseline: average(&baseline),
        candidate: average(&candidate),
        difference: Some(difference),
        ci: ci.filter(|ci| ci.iter().all(|bound| bound.is_finite())),
        p_value: sign_flip(&differences, draws, key("sign flip")),
        identical,
        ..nothing
    }
}

/// Metrics that are no mean over cases, each of [`Aggregate::values`]: swap test, and a bootstrap that draws whole cases with
/// both of their sides (within their strata), its percentiles expanded for few cases. As with numbers, the interval is the
/// wider, at each end, of that and Student's t, here with the jackknife's standard error (`influence.rs`). `key` names the draws.
///
/// Where every resample has the same difference there is no interval; where that is 0, and is what was seen, the metric is
/// identical.
pub fn aggregate_differences<A: Aggregate>(
    key: &str,
    aggregate: &A,
    cases: &[CasePair<'_, A::Item>],
    level: f64,
) -> Vec<Difference> {
    let count = (draws(cases.len()) / 2).max(LEAST_DRAWS);
    let shown = |(difference, sd): (Difference, f64)| Difference {
        minimum_detectable: minimum_detectable_mean(difference.n, sd, level),
        cases_for_three_points: cases_needed_mean(THREE_POINTS, sd, level),
        ..difference
    };
    tested_aggregates(key, aggregate, cases, count, level).into_iter().map(shown).collect()
}

/// The same from so many draws, without what the cases could have shown, but with the spread that a mean of as many
/// cases and the same standard error would have (0: not known).
pub(super) fn tested_aggregates<A: Aggregate>(
    key: &str,
    aggregate: &A,
    cases: &[CasePair<'_, A::Item>],
    draws: usize,
    level: f64,
) -> Vec<(Difference, f64)> {
    let n = cases.len();
    let all = |side: usize| aggregate.values(cases.iter().filter_map(|case| case.get(side)).copied().flatten());
    let sides = all(0).into_iter().zip(all(1));
    let keyed = |what: &str| seed::key(0, &["paired", key, what]);
    let resamples = resample(aggregate, cases, draws, keyed("bootstrap"));
    let p_values = swap(aggregate, cases, draws, keyed("swap"));
    let same = n > 0 && cases.iter().all(|[baseline, candidate]| baseline == candidate);
    let stderrs = jackknife(aggregate, cases);
    let one = |(column, ((baseline, candidate), p_value)): (usize, ((f64, f64), Option<f64>))| {
        let stderr = stderrs.get(column).copied().filter(|stderr| stderr.is_finite());
        let nothing = Difference { n, identical: same, ..Difference::of_nothing(Test::Swap, level) };
        let difference = candidate - baseline;
        if n == 0 || !difference.is_finite() {
            return (nothing, 0.0);
        }
        let column = resamples.iter().filter_map(|draw| draw.get(column));
        let draws: Vec<f64> = column.copied().filter(|d| d.is_finite()).collect();
        let sd = deviation(&draws).unwrap_or_default() * (n as f64).sqrt();
        let difference = Difference {
            baseline: Some(baseline),
            candidate: Some(candidate),
            difference: Some(difference),
            identical: same || (difference == 0.0 && draws.iter().all(|d| *d == 0.0)),
            ci: expanded_interval(draws, n, level).and_then(|ci| {
                let by_t = t_interval(difference, stderr.unwrap_or(sd / (n as f64).sqrt()), n - 1, level)?;
                Some([ci[0].min(by_t[0]), ci[1].max(by_t[1])])
            }),
            p_value,
            ..nothing
        };
        (difference, sd)
    };
    sides.zip(p_values).enumerate().map(one).collect()
}

/// The difference of each metric in each resample.
fn resample<A: Aggregate>(aggregate: &A, cases: &[CasePair<'_, A::Item>], draws: usize, key: u64) -> Vec<Vec<f64>> {
    let stratum =
        |case: &CasePair<'_, A::Item>| case[0].first().or(case[1].first()).map_or(0, |item| aggregate.stratum(item));
    let mut ordered: Vec<(usize, CasePair<'_, A::Item>)> = cases.iter().map(|case| (stratum(case), *case)).collect();
    ordered.sort_by_key(|(stratum, _)| *stratum);
    let sizes: Vec<usize> = ordered.chunk_by(|one, other| one.0 == other.0).map(<[_]>::len).collect();
    bootstrap_strata(&sizes, draws, key, |picked| {
        let side = |side: usize| {
            let trials = picked.iter().filter_map(|case| ordered.get(*case)?.1.get(side)).copied().flatten();
            aggregate.values(trials)
        };
        side(1).into_iter().zip(side(0)).map(|(candidate, baseline)| candidate - baseline).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first figure is the mean of the items, the second always 3.
    struct Mean;

    impl Aggregate for Mean {
        type Item = f64;

        fn values<'a>(&self, items: impl Iterator<Item = &'a f64>) -> Vec<f64> {
            let (sum, n) = items.fold((0.0, 0.0), |(sum, n), item| (sum + item, n + 1.0));
            vec![sum / n, 3.0]
        }
    }

    fn numbers(n: u32) -> Vec<(f64, f64)> {
        (0..n).map(|i| (f64::from(i * 37 % 101) / 100.0, f64::from(i * 53 % 97) / 100.0)).collect()
    }

    #[test]
    fn passes_have_their_counts_values_and_test() {
        let pairs: Vec<_> =
            [(true, true); 134].into_iter().chain([(true, false); 6]).chain([(false, true); 26]).collect();
        let all: Vec<_> = pairs.into_iter().chain([(false, false); 34]).collect();
        let got = pass_difference(&all, 0.95);
        assert_eq!((got.n, got.baseline, got.candidate, got.difference), (200, Some(0.7), Some(0.8), Some(0.1)));
        assert_eq!((got.test, got.discordant, got.identical), (Test::McnemarExact, Some([6, 26]), false));
        assert_eq!((got.p_value, got.ci), (Some(mcnemar(6, 26)), tango(6, 26, 200, 0.95)));
        assert_eq!(got.minimum_detectable, minimum_detectable(200, 0.16, 0.95));
        assert_eq!(got.cases_for_three_points, cases_needed(0.03, 0.16, 0.95));
        assert!(got.rejects(0.05) && !got.rejects(0.0501));
    }

    #[test]
    fn equal_passes_are_identical_with_a_width_and_nothing_is_nothing() {
        let got = pass_difference(&[(true, true); 20], 0.95);
        assert!(got.identical && got.p_value == Some(1.0) && got.ci == tango(0, 0, 20, 0.95));
        assert_eq!(got.minimum_detectable, None, "nothing is known of how many would differ");
        assert!(got.cases_for_three_points.is_some());
        assert_eq!(pass_difference(&[], 0.95), Difference::of_nothing(Test::McnemarExact, 0.95));
        assert_eq!(number_difference("m", &[], 0.95), Difference::of_nothing(Test::SignFlip, 0.95));
        assert!(
            aggregate_differences("m", &Mean, &[], 0.95).iter().all(|d| d.n == 0 && !d.identical && d.ci.is_none())
        );
    }

    #[test]
    fn numbers_that_are_equal_have_an_interval_only_where_they_are_bounded() {
        let bounded = number_difference("m", &[(0.5, 0.5); 20], 0.95);
        let [low, high] = bounded.ci.unwrap();
        assert!(
            bounded.identical
                && bounded.p_value == Some(1.0)
                && (low + high).abs() < 1e-12
                && (high - 0.168_433).abs() < 1e-6
        );
        let free = number_difference("m", &[(7.5, 7.5); 20], 0.95);
        assert!(free.identical && free.ci.is_none() && free.minimum_detectable.is_none());
        let shifted = number_difference("m", &[(0.25, 0.5); 20], 0.95);
        assert!(!shifted.identical && shifted.ci.is_none() && shifted.p_value.unwrap() < 1e-3);
    }

    #[test]
    fn a_mean_as_an_aggregate_agrees_with_the_mean_of_numbers() {
        let pairs = numbers(80);
        let (baseline, candidate): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let cases: Vec<CasePair<'_, f64>> = baseline.chunks(1).zip(candidate.chunks(1)).map(|(b, c)| [b, c]).collect();
        let both = aggregate_differences("m", &Mean, &cases, 0.95);
        let (one, other) = (&both[0], number_difference("m", &pairs, 0.95));
        let near = |a: f64, b: f64, most: f64| assert!((a - b).abs() < most, "{a} {b}");
        near(one.difference.unwrap(), other.difference.unwrap(), 1e-12);
        near(one.p_value.unwrap(), other.p_value.unwrap(), 0.03);
        for end in 0..2 {
            near(one.ci.unwrap()[end], other.ci.unwrap()[end], 0.01);
        }
        near(one.minimum_detectable.unwrap(), other.minimum_detectable.unwrap(), 0.01);
        let constant = &both[1];
        assert!(constant.identical && constant.p_value == Some(1.0) && constant.ci.is_none());
        assert!(!one.identical && one.test == Test::Swap && one.n == 80);
    }

    #[test]
    fn the_same_key_gives_the_same_and_another_another() {
        let run = |key| number_difference(key, &numbers(50), 0.95);
        assert_eq!(run("a"), run("a"));
        assert_ne!(run("a").ci, run("b").ci);
    }

    #[test]
    fn draws_grow_fewer_with_the_cases_and_stay_enough() {
        assert_eq!([0, 100, 4_000, 25_000, 1_000_000].map(draws), [10_000, 10_000, 10_000, 1_600, 1_000]);
    }
}
