//! What an estimator says ([`Estimate`]) and what a run records of it ([`Metric`]).

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better, as with accuracy.
    #[default]
    Higher,
    /// Less is better, as with perplexity.
    Lower,
}

/// A value with its uncertainty. A part that the data cannot give is `None`: everything for no data, the standard error
/// of a mean of one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// The point estimate.
    pub value: Option<f64>,
    /// Its standard error.
    pub stderr: Option<f64>,
    /// Lower and upper bound of its two-sided interval.
    pub ci: Option<[f64; 2]>,
}

impl Estimate {
    /// The same without anything infinite or NaN (sums of huge numbers overflow).
    #[must_use]
    pub fn finite(self) -> Self {
        Self {
            value: self.value.filter(|v| v.is_finite()),
            stderr: self.stderr.filter(|v| v.is_finite()),
            ci: self.ci.filter(|ci| ci.iter().all(|v| v.is_finite())),
        }
    }
}

/// How many cases stand behind a metric, and how many do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cases with a score.
    pub n: usize,
    /// Trials without one: not carried out, or not judged, for a reason outside the model.
    pub unscored: usize,
    /// Trials judged wrong because no answer could be read. They are among the scored.
    pub no_answer: usize,
    /// Trials whose completion was ended by `max_tokens`.
    pub cut: usize,
}

/// One aggregate of one variant; its JSON is contract.md §3's.
///
/// ```
/// use tripos::stats::{Counts, Direction, Metric, proportion};
/// let counts = Counts { n: 200, ..Counts::default() };
/// let metric = Metric::new("exact", proportion(84, 200, 0.95), counts, Direction::Higher);
/// assert_eq!(metric.value, Some(0.42));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// `scorer` or `scorer.part`.
    pub name: String,
    /// The aggregate; `None` (`null`) where no case was scored.
    pub value: Option<f64>,
    /// Its standard error; `None` where one case cannot give it.
    pub stderr: Option<f64>,
    /// Its 95 % interval; `None` where there is no standard error to make it from.
    pub ci: Option<[f64; 2]>,
    /// See [`Counts::n`].
    pub n: usize,
    /// See [`Counts::unscored`].
    pub unscored: usize,
    /// See [`Counts::no_answer`].
    pub no_answer: usize,
    /// See [`Counts::cut`].
    pub cut: usize,
    /// Which way is better.
    pub direction: Direction,
}

impl Metric {
    /// A metric of an estimate. Anything that is not finite becomes `None`.
    #[must_use]
    pub fn new(name: impl Into<String>, estimate: Estimate, counts: Counts, direction: Direction) -> Self {
        let Estimate { value, stderr, ci } = estimate.finite();
        let Counts { n, unscored, no_answer, cut } = counts;
        Self { name: name.into(), value, stderr, ci, n, unscored, no_answer, cut, direction }
    }
}

/// Whether `one` has the better value in its own direction. A value is better than none; equal values are not better.
#[must_use]
pub fn better(one: &Metric, other: &Metric) -> bool {
    match (one.value, other.value) {
        (Some(one_value), Some(other_value)) => match one.direction {
            Direction::Higher => one_value > other_value,
            Direction::Lower => one_value < other_value,
        },
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Whether the intervals of two metrics overlap, so that a table marks `other` as tied with the best.
///
/// This is a mark for readers and no test: intervals that overlap a little may still differ when the runs are compared
/// case by case. A metric without a value ties with nothing; a value without an interval could be anywhere, so it ties.
#[must_use]
pub fn tie(best: &Metric, other: &Metric) -> bool {
    if best.value.is_none() || other.value.is_none() {
        return false;
    }
    match (best.ci, other.ci) {
        (Some([low, high]), Some([other_low, other_high])) => low <= other_high && other_low <= high,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(value: Option<f64>, ci: Option<[f64; 2]>, direction: Direction) -> Metric {
        Metric::new("m", Estimate { value, stderr: None, ci }, Counts::default(), direction)
    }

    #[test]
    fn its_json_is_the_contracts() {
        let estimate = Estimate { value: Some(0.42), stderr: Some(0.03), ci: Some([0.36, 0.48]) };
        let counts = Counts { n: 200, unscored: 0, no_answer: 3, cut: 1 };
        let json = serde_json::to_string(&Metric::new("exact", estimate, counts, Direction::Higher)).unwrap();
        insta::assert_snapshot!(json, @r#"{"name":"exact","value":0.42,"stderr":0.03,"ci":[0.36,0.48],"n":200,"unscored":0,"no_answer":3,"cut":1,"direction":"higher"}"#);
    }

    #[test]
    fn what_is_not_finite_is_null_in_json() {
        let estimate = Estimate { value: Some(1.0), stderr: Some(f64::NAN), ci: Some([0.0, f64::INFINITY]) };
        let metric = Metric::new("m", estimate, Counts::default(), Direction::Lower);
        assert_eq!((metric.value, metric.stderr, metric.ci), (Some(1.0), None, None));
        assert!(serde_json::to_string(&metric).unwrap().contains(r#""stderr":null,"ci":null"#));
    }

    #[test]
    fn better_follows_the_direction() {
        let [high, low] = [0.8, 0.2].map(|v| metric(Some(v), None, Direction::Higher));
        assert!(better(&high, &low) && !better(&low, &high) && !better(&high, &high));
        let [high, low] = [0.8, 0.2].map(|v| metric(Some(v), None, Direction::Lower));
        assert!(better(&low, &high) && !better(&high, &low));
    }

    #[test]
    fn a_value_is_better_than_none_in_either_direction() {
        for direction in [Direction::Higher, Direction::Lower] {
            let (some, none) = (metric(Some(0.0), None, direction), metric(None, None, direction));
            assert!(better(&some, &none) && !better(&none, &some) && !better(&none, &none));
        }
    }

    #[test]
    fn intervals_that_overlap_or_touch_are_tied() {
        let with = |low, high| metric(Some(f64::midpoint(low, high)), Some([low, high]), Direction::Higher);
        assert!(tie(&with(0.5, 0.9), &with(0.1, 0.6)));
        assert!(tie(&with(0.5, 0.9), &with(0.1, 0.5)));
        assert!(!tie(&with(0.5, 0.9), &with(0.1, 0.4)));
        assert!(!tie(&with(0.1, 0.4), &with(0.5, 0.9)));
    }

    #[test]
    fn without_a_value_nothing_ties_and_without_an_interval_everything_does() {
        let known = metric(Some(0.5), Some([0.4, 0.6]), Direction::Higher);
        assert!(!tie(&known, &metric(None, None, Direction::Higher)));
        assert!(tie(&known, &metric(Some(9.0), None, Direction::Higher)));
    }
}
