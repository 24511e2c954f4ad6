//! The percentile bootstrap: the interval of any statistic (Efron 1979, Annals of Statistics 7(1); Efron and Tibshirani
//! 1993, "An Introduction to the Bootstrap", chapter 13; chapter 8 for samples of several populations, here strata).

use super::DRAWS;
use super::mean::deviation;
use super::metric::Estimate;
use crate::seed;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

/// A statistic of many resamples: each draw takes `n` of the indices `0..n` with replacement.
///
/// At least [`DRAWS`] draws are made. Draw d uses stream d of the ChaCha8 generator of `key`, so the result depends on
/// neither the number of threads nor their timing. Empty for `n` = 0.
///
/// ```
/// use tripos::stats::{bootstrap, percentile_estimate};
/// let values = [1.0, 2.0, 4.0, 8.0];
/// let draws = bootstrap(values.len(), 1_000, 7, |picked| picked.iter().map(|i| values[*i]).sum::<f64>() / 4.0);
/// let estimate = percentile_estimate(3.75, draws, 0.95);
/// assert!(estimate.ci.is_some_and(|[low, high]| 1.0 <= low && low < 3.75 && 3.75 < high && high <= 8.0));
/// ```
pub fn bootstrap(n: usize, draws: usize, key: u64, statistic: impl Fn(&[usize]) -> f64 + Sync) -> Vec<f64> {
    bootstrap_each(n, draws, key, |picked| [statistic(picked)]).into_iter().flatten().collect()
}

/// Like [`bootstrap()`] for several statistics of the same resamples: one entry a draw, as the closure returned it.
pub fn bootstrap_each<T: Send>(n: usize, draws: usize, key: u64, statistics: impl Fn(&[usize]) -> T + Sync) -> Vec<T> {
    bootstrap_strata(&[n], draws, key, statistics)
}

/// Like [`bootstrap_each`] with each stratum resampled within itself: stratum s holds the next `sizes[s]` indices, and
/// each draw takes as many of them as it has. One stratum is the plain bootstrap, draw for draw.
///
/// ```
/// let draws = tripos::stats::bootstrap_strata(&[2, 1], 1_000, 7, |picked| picked.to_vec());
/// assert!(draws.iter().all(|picked| picked[0] < 2 && picked[1] < 2 && picked[2] == 2));
/// ```
pub fn bootstrap_strata<T: Send>(
    sizes: &[usize],
    draws: usize,
    key: u64,
    statistics: impl Fn(&[usize]) -> T + Sync,
) -> Vec<T> {
    let n = sizes.iter().sum();
    if n == 0 {
        return Vec::new();
    }
    let root = seed::rng(key);
    (0..draws.max(DRAWS) as u64)
        .into_par_iter()
        .map_init(
            || vec![0; n],
            |picked, draw| {
                let mut rng = root.clone();
                rng.set_stream(draw);
                let mut places = picked.iter_mut();
                let mut first = 0;
                for size in sizes {
                    places.by_ref().take(*size).for_each(|place| *place = first + below(*size, &mut rng));
                    first += size;
                }
                statistics(picked)
            },
        )
        .collect()
}

/// A number in `0..n`: the high half of `n` times a 64-bit number (Lemire 2019, arXiv 1805.10941, without the rejection,
/// whose bias of n/2⁶⁴ nobody can see). Written out because `rand` may change its way between versions.
fn below(n: usize, rng: &mut impl Rng) -> usize {
    // The product's high half is below `n`, so it is a `usize`.
    usize::try_from((u128::from(rng.next_u64()) * n as u128) >> 64).unwrap_or(0)
}

/// The estimate whose value is `value` (the statistic of the data itself), whose standard error is the draws' standard
/// deviation and whose interval runs between their percentiles. Draws that are not finite are left out.
///
/// Where every draw is equal (all cases right, say, or one case only) there is neither standard error nor interval:
/// resampling cannot show what it never saw, and a point would claim certainty.
#[must_use]
pub fn percentile_estimate(value: f64, mut draws: Vec<f64>, level: f64) -> Estimate {
    draws.retain(|draw| draw.is_finite());
    draws.sort_by(f64::total_cmp);
    let tail = f64::midpoint(1.0, -level);
    if !draws.first().zip(draws.last()).is_some_and(|(low, high)| differ(*low, *high)) {
        return Estimate { value: Some(value), stderr: None, ci: None }.finite();
    }
    let bounds = (level > 0.0 && level < 1.0).then(|| percentile(&draws, tail).zip(percentile(&draws, 1.0 - tail)));
    let ci = bounds.flatten().filter(|(low, high)| differ(*low, *high)).map(|(low, high)| [low, high]);
    Estimate { value: Some(value), stderr: deviation(&draws), ci }.finite()
}

/// Whether two numbers differ by more than sums in another order round to.
pub(super) fn differ(low: f64, high: f64) -> bool {
    high - low > 1e-12 * low.abs().max(high.abs())
}

/// The quantile at `share` (0 to 1) of sorted values, linear between neighbours as NumPy's default (Hyndman and Fan 1996,
/// type 7). `None` for no values or a share outside `[0, 1]`.
#[must_use]
pub fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    let position = share * sorted.len().checked_sub(1)? as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and len - 1")]
    let below = position.floor() as usize;
    let (low, high) = (sorted.get(below)?, sorted.get(below + 1).or(sorted.last())?);
    Some(low + (high - low) * (position - below as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

    fn mean_of(picked: &[usize]) -> f64 {
        picked.iter().map(|i| VALUES[*i]).sum::<f64>() / picked.len() as f64
    }

    fn median_of(picked: &[usize]) -> f64 {
        let mut values: Vec<_> = picked.iter().map(|i| VALUES[*i]).collect();
        values.sort_by(f64::total_cmp);
        percentile(&values, 0.5).unwrap()
    }

    /// ```python
    /// np.percentile([1, 2, 4, 8, 16], [0, 2.5, 50, 60, 97.5, 100])
    /// ```
    #[test]
    fn percentiles_agree_with_numpy() {
        let golden = [(0.0, 1.0), (0.025, 1.1), (0.5, 4.0), (0.6, 5.6), (0.975, 15.2), (1.0, 16.0)];
        for (share, wanted) in golden {
            let got = percentile(&[1.0, 2.0, 4.0, 8.0, 16.0], share).unwrap();
            assert!((got - wanted).abs() < 1e-12, "{share}: {got}");
        }
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[1.0], 0.3), Some(1.0));
        assert_eq!(percentile(&[1.0], f64::NAN), None);
    }

    /// ```python
    /// x = 2.0 ** np.arange(8)  # SciPy 1.17.1
    /// scipy.stats.bootstrap((x,), np.mean, n_resamples=200000, method='percentile', rng=1)    # 7.75, 64.125; 14.65
    /// scipy.stats.bootstrap((x,), np.median, n_resamples=200000, method='percentile', rng=1)  # 2.0, 64.0; 15.64
    /// ```
    #[test]
    fn agrees_with_scipy_up_to_its_own_noise() {
        let near = |got: Estimate, [low, high]: [f64; 2], stderr: f64| {
            let ci = got.ci.unwrap();
            let close = |got: f64, wanted: f64| (got / wanted - 1.0).abs() < 0.03;
            assert!(close(ci[0], low) && close(ci[1], high) && close(got.stderr.unwrap(), stderr), "{got:?}");
        };
        near(percentile_estimate(31.875, bootstrap(8, 50_000, 1, mean_of), 0.95), [7.75, 64.125], 14.65);
        near(percentile_estimate(12.0, bootstrap(8, 50_000, 1, median_of), 0.95), [2.0, 64.0], 15.64);
    }

    #[test]
    fn does_not_depend_on_the_number_of_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrap(8, 1_500, 42, mean_of))
        };
        let alone = run(1);
        assert_eq!(alone, run(2));
        assert_eq!(alone, run(7));
        assert_eq!(alone.len(), 1_500);
        assert_ne!(alone, bootstrap(8, 1_500, 43, mean_of), "another key draws otherwise");
        assert!(alone.iter().any(|draw| (draw - alone[0]).abs() > 1.0), "and the draws differ");
    }

    #[test]
    fn every_index_is_drawn_equally_often() {
        let counts = bootstrap_each(8, 10_000, 3, |picked| {
            [0, 1, 2, 3, 4, 5, 6, 7].map(|i| picked.iter().filter(|p| **p == i).count())
        });
        for index in 0..8 {
            let hits: usize = counts.iter().map(|draw| draw[index]).sum();
            assert!(hits.abs_diff(10_000) < 400, "index {index}: {hits}"); // four standard deviations
        }
    }

    #[test]
    fn makes_a_thousand_draws_at_least_and_none_of_nothing() {
        assert_eq!(bootstrap(3, 10, 1, |_| 0.5).len(), DRAWS);
        assert!(bootstrap(0, 1_000, 1, |_| 0.5).is_empty());
        assert_eq!(percentile_estimate(0.5, Vec::new(), 0.95), Estimate { value: Some(0.5), stderr: None, ci: None });
    }

    #[test]
    fn draws_that_are_all_equal_give_no_interval() {
        for draws in [vec![1.0; 9], vec![0.0; 9], vec![0.1 + 0.2, 0.3, 0.3], vec![0.5], Vec::new()] {
            assert_eq!(percentile_estimate(0.7, draws, 0.95), Estimate { value: Some(0.7), stderr: None, ci: None });
        }
        assert!(percentile_estimate(0.0, vec![-1e-9, 1e-9], 0.5).ci.is_some(), "small draws may differ");
    }

    #[test]
    fn each_stratum_is_resampled_within_itself_and_one_stratum_is_the_plain_bootstrap() {
        let draws = bootstrap_strata(&[3, 0, 5], 2_000, 3, |picked| {
            assert!(picked[..3].iter().all(|i| *i < 3) && picked[3..].iter().all(|i| (3..8).contains(i)));
            picked.iter().filter(|i| **i == 7).count()
        });
        let hits: usize = draws.iter().sum();
        assert!(hits.abs_diff(2_000) < 160, "{hits}"); // four standard deviations
        let all = |picked: &[usize]| picked.to_vec();
        assert_eq!(bootstrap_strata(&[8], 1_000, 3, all), bootstrap_each(8, 1_000, 3, all));
        assert!(bootstrap_strata(&[], 1_000, 3, all).is_empty() && bootstrap_strata(&[0, 0], 1_000, 3, all).is_empty());
    }

    #[test]
    fn leaves_out_draws_that_are_not_finite() {
        let draws = vec![f64::NAN, 1.0, f64::INFINITY, 3.0];
        let estimate = percentile_estimate(2.0, draws, 0.5);
        assert_eq!((estimate.ci, estimate.stderr), (Some([1.5, 2.5]), Some(2.0_f64.sqrt())));
        assert_eq!(percentile_estimate(2.0, vec![1.0, 2.0], f64::NAN).ci, None);
    }
}
