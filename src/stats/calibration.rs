//! How far a model's confidence can be trusted: the reliability of its answers, and the expected calibration error.

use super::bootstrap::{bootstrap, percentile_estimate};
use super::metric::Estimate;
use super::{DRAWS, LEVEL};
use crate::seed;
use serde::Serialize;

/// Bins of equal width over [0, 1].
const BINS: usize = 10;

/// One answer: how sure the model was of it, and whether it is right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// The case that it belongs to, by number.
    pub case: usize,
    /// The probability that the model gave to its answer, 0 to 1.
    pub confidence: f64,
    /// Whether the answer is right.
    pub right: bool,
}

/// The answers whose confidence lies above `low` and at most at `high`; the first bin holds 0, too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// How many answers.
    pub n: usize,
    /// Their mean confidence; `None` for no answers.
    pub confidence: Option<f64>,
    /// The share of them that is right; `None` for no answers.
    pub accuracy: Option<f64>,
}

/// The reliability of answers in ten bins of equal width (Guo et al. 2017, "On Calibration of Modern Neural Networks",
/// arXiv 1706.04599, section 2): where confidence can be trusted, a bin's accuracy is its mean confidence.
///
/// ```
/// use tripos::stats::{Forecast, reliability};
/// let sure = |right| Forecast { case: 0, confidence: 0.75, right };
/// let bins = reliability(&[sure(true), sure(false)]);
/// assert_eq!((bins[7].n, bins[7].confidence, bins[7].accuracy), (2, Some(0.75), Some(0.5)));
/// assert_eq!((bins[6].n, bins[6].accuracy), (0, None));
/// ```
#[must_use]
pub fn reliability(forecasts: &[Forecast]) -> Vec<ReliabilityBin> {
    let edge = |at: usize| at as f64 / BINS as f64;
    let bin = |(at, tally): (usize, Tally)| {
        let mean = |sum: f64| (tally.n > 0).then(|| sum / tally.n as f64);
        let (confidence, accuracy) = (mean(tally.confidence), mean(tally.right));
        ReliabilityBin { low: edge(at), high: edge(at + 1), n: tally.n, confidence, accuracy }
    };
    tallies(forecasts.iter()).into_iter().enumerate().map(bin).collect()
}

/// The expected calibration error `Σ_b (n_b / n) · |accuracy_b − confidence_b|` over those ten bins (Guo et al. 2017,
/// equation 3), from 0 to 1. `None` for no answers.
#[must_use]
pub fn calibration_error(forecasts: &[Forecast]) -> Option<f64> {
    (!forecasts.is_empty()).then(|| error(forecasts.iter()))
}

/// The same with a percentile bootstrap interval: cases are drawn, each with all of its trials. `key` names the draws.
///
/// The estimator is biased upwards: even a perfectly calibrated model shows a gap in bins of few answers, since chance
/// moves their accuracy and the error counts every move (Kumar, Liang and Ma 2019, arXiv 1909.10155). Resampling adds that
/// bias a second time, so the interval lies high and may, for few cases, lie above the value itself. Compare models
/// on the same cases rather than a value with 0.
pub(super) fn calibration_estimate(key: &str, forecasts: &[Forecast]) -> Estimate {
    let Some(value) = calibration_error(forecasts) else { return Estimate::default() };
    let cases = by_case(forecasts);
    let draws = bootstrap(cases.len(), DRAWS, seed::key(0, &["bootstrap", key]), |picked| {
        error(picked.iter().filter_map(|case| cases.get(*case)).flatten().copied())
    });
    percentile_estimate(value, draws, LEVEL)
}

/// The trials of each case.
fn by_case(forecasts: &[Forecast]) -> Vec<Vec<&Forecast>> {
    let mut cases = std::collections::BTreeMap::<usize, Vec<&Forecast>>::new();
    for forecast in forecasts {
        cases.entry(forecast.case).or_default().push(forecast);
    }
    cases.into_values().collect()
}

/// What a bin is made of.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    n: usize,
    confidence: f64,
    right: f64,
}

fn tallies<'a>(forecasts: impl Iterator<Item = &'a Forecast>) -> [Tally; BINS] {
    let mut tallies = [Tally::default(); BINS];
    for forecast in forecasts {
        // Compared rather than multiplied: 0.7 · 10 is more than 7 in binary.
        let above = |at: &usize| forecast.confidence > *at as f64 / BINS as f64;
        let at = (1..BINS).take_while(above).count();
        if let Some(tally) = tallies.get_mut(at) {
            tally.n += 1;
            tally.confidence += forecast.confidence;
            tally.right += f64::from(u8::from(forecast.right));
        }
    }
    tallies
}

/// Equation 3 of [`calibration_error`]; 0 for no answers.
pub(super) fn error<'a>(forecasts: impl Iterator<Item = &'a Forecast>) -> f64 {
    let tallies = tallies(forecasts);
    let n: usize = tallies.iter().map(|tally| tally.n).sum();
    // A bin's part is n_b/n · |right/n_b − confidence/n_b|.
    tallies.iter().map(|tally| (tally.right - tally.confidence).abs()).sum::<f64>() / n.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::Rng;

    fn forecasts(pairs: &[(f64, bool)]) -> Vec<Forecast> {
        let one = |(case, (confidence, right)): (usize, &(f64, bool))| Forecast {
            case,
            confidence: *confidence,
            right: *right,
        };
        pairs.iter().enumerate().map(one).collect()
    }

    const PAIRS: [(f64, bool); 8] = [
        (0.95, true),
        (0.91, false),
        (0.7, true),
        (0.65, true),
        (0.62, false),
        (0.35, false),
        (0.31, true),
        (0.05, false),
    ];

    /// ```python
    /// c = np.array([.95, .91, .7, .65, .62, .35, .31, .05]); y = np.array([1, 0, 1, 1, 0, 0, 1, 0])
    /// b = np.digitize(c, np.arange(1, 10) / 10, right=True)  # NumPy 2.4.6: low < c <= high
    /// sum(abs(y[b == k].mean() - c[b == k].mean()) * (b == k).mean() for k in np.unique(b))  # 0.16
    /// ```
    #[test]
    fn agrees_with_numpy() {
        let all = forecasts(&PAIRS);
        assert!((calibration_error(&all).unwrap() - 0.16).abs() < 1e-12, "{:?}", calibration_error(&all));
        let bins = reliability(&all);
        assert_eq!(bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [1, 0, 0, 2, 0, 0, 3, 0, 0, 2]);
        assert!((bins[6].confidence.unwrap() - 0.656_666_666_666_666_7).abs() < 1e-12);
        assert!((bins[6].accuracy.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below_it_and_0_to_the_first() {
        let places = [0.0, 0.1, 0.3, 0.6, 0.7, 1.0].map(|confidence| {
            let bins = reliability(&forecasts(&[(confidence, true)]));
            bins.iter().position(|bin| bin.n == 1).unwrap()
        });
        assert_eq!(places, [0, 0, 2, 5, 6, 9]);
    }

    #[test]
    fn a_model_that_is_as_often_right_as_it_is_sure_has_no_error_and_one_that_is_always_wrong_has_all_of_it() {
        let calibrated = forecasts(&[(0.75, true), (0.75, true), (0.75, true), (0.75, false)]);
        assert!(calibration_error(&calibrated).unwrap().abs() < 1e-12);
        assert_eq!(calibration_error(&forecasts(&[(1.0, false), (1.0, false)])), Some(1.0));
        assert_eq!(calibration_error(&[]), None);
        assert_eq!(calibration_estimate("s", &[]), Estimate::default());
    }

    /// 200 perfectly calibrated answers, drawn: the error is not 0, and the interval lies higher still.
    #[test]
    fn is_biased_upwards_as_its_doc_says() {
        let mut rng = seed::rng(seed::key(1, &["calibration"]));
        let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        let pairs: Vec<(f64, bool)> =
            (0..200).map(|_| uniform()).collect::<Vec<_>>().into_iter().map(|p| (p, uniform() < p)).collect();
        let estimate = calibration_estimate("s", &forecasts(&pairs));
        let (value, [low, high]) = (estimate.value.unwrap(), estimate.ci.unwrap());
        assert!(value > 0.02 && f64::midpoint(low, high) > value, "{value} {low} {high}");
    }

    #[test]
    fn trials_of_a_case_are_drawn_together_and_so_widen_the_interval() {
        let apart: Vec<Forecast> = forecasts(&PAIRS.repeat(4));
        let together: Vec<Forecast> = apart.iter().map(|one| Forecast { case: one.case % 8, ..*one }).collect();
        let width = |all: &[Forecast]| calibration_estimate("s", all).ci.map(|[low, high]| high - low).unwrap();
        assert!(width(&together) > 1.3 * width(&apart));
        assert_eq!(calibration_estimate("s", &apart), calibration_estimate("s", &apart));
    }
}
