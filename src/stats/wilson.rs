//! The Wilson score interval: a proportion's interval that holds near 0 and 1 (Wilson 1927, JASA 22(158); recommended by
//! Brown, Cai and DasGupta 2001, Statistical Science 16(2)).

use super::metric::Estimate;
use statrs::distribution::{ContinuousCDF, Normal};

/// The two-sided normal quantile of a confidence level, `Φ⁻¹((1 + level) / 2)`: 1.96 for 0.95.
///
/// `None` unless the level lies strictly between 0 and 1.
///
/// ```
/// assert!((tripos::stats::z_of(0.95).unwrap() - 1.959964).abs() < 1e-6);
/// assert_eq!(tripos::stats::z_of(1.0), None);
/// ```
#[must_use]
pub fn z_of(level: f64) -> Option<f64> {
    (level > 0.0 && level < 1.0)
        .then(|| Normal::standard().inverse_cdf(f64::midpoint(1.0, level)))
        .filter(|z| z.is_finite())
}

/// The Wilson score interval of `passes` out of `n`, both bounds within `[0, 1]`:
///
/// `(p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)` with `p = passes / n`.
///
/// It never collapses to a point, not even at 0 or `n` passes, where the naive `p ± z·√(p(1−p)/n)` does. `None` for no
/// cases, more passes than cases, or a level outside (0, 1).
///
/// ```
/// let [low, high] = tripos::stats::wilson(20, 20, 0.95).unwrap();
/// assert_eq!(high, 1.0);
/// assert!(low > 0.83 && low < 0.84);
/// ```
#[must_use]
pub fn wilson(passes: usize, n: usize, level: f64) -> Option<[f64; 2]> {
    (n > 0 && passes <= n).then(|| passes as f64 / n as f64).and_then(|p| score_interval(p, n as f64, level))
}

/// The share of passes, its standard error `√(p(1−p)/n)`, and its Wilson interval; all `None` where `wilson` is.
///
/// The standard error is 0 at 0 or `n` passes; the interval is what tells how little that means.
#[must_use]
pub fn proportion(passes: usize, n: usize, level: f64) -> Estimate {
    if n == 0 || passes > n {
        return Estimate::default();
    }
    let (p, count) = (passes as f64 / n as f64, n as f64);
    Estimate { value: Some(p), stderr: Some((p * (1.0 - p) / count).sqrt()), ci: wilson(passes, n, level) }
}

/// Wilson's formula for a proportion `p` of `n > 0` cases, where `n` may be an effective sample size.
pub(super) fn score_interval(p: f64, n: f64, level: f64) -> Option<[f64; 2]> {
    let z = z_of(level)?;
    let square = z * z;
    let scale = 1.0 + square / n;
    let centre = (p + square / (2.0 * n)) / scale;
    let half = z * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt() / scale;
    // At the edges the exact bound is 0 or 1; rounding would leave a bound of 1e-17 beside it.
    let low = if p <= 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if p >= 1.0 { 1.0 } else { (centre + half).min(1.0) };
    Some([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;
    use rand_chacha::rand_core::Rng;

    fn close(got: f64, wanted: f64) -> bool {
        (got - wanted).abs() < 1e-12
    }

    /// The interval that everyone learns first, as a control.
    fn naive(passes: usize, n: usize) -> [f64; 2] {
        let p = passes as f64 / n as f64;
        let half = z_of(0.95).unwrap() * (p * (1.0 - p) / n as f64).sqrt();
        [p - half, p + half]
    }

    /// ```python
    /// from statsmodels.stats.proportion import proportion_confint  # 0.15.0
    /// for k, n, alpha in [(84, 200, .05), (1, 10, .10), (3, 7, .01), (0, 20, .05), (20, 20, .05), (1, 1, .05)]:
    ///     print(proportion_confint(k, n, alpha, 'wilson'))
    /// ```
    #[test]
    fn agrees_with_statsmodels() {
        let golden = [
            (84, 200, 0.95, [0.353_735_991_616_167_26, 0.489_279_260_604_195_4]),
            (1, 10, 0.90, [0.022_634_908_730_867_18, 0.347_718_667_335_858_43]),
            (3, 7, 0.99, [0.116_373_680_516_138_11, 0.810_285_095_911_612_6]),
            (0, 20, 0.95, [0.0, 0.161_125_158_052_819_4]),
            (20, 20, 0.95, [0.838_874_841_947_180_4, 1.0]),
            (1, 1, 0.95, [0.206_549_314_377_237_4, 1.0]),
        ];
        for (passes, n, level, [low, high]) in golden {
            let got = wilson(passes, n, level).unwrap();
            assert!(close(got[0], low) && close(got[1], high), "{passes}/{n}: {got:?}");
        }
    }

    /// ```python
    /// [scipy.stats.norm.ppf((1 + l) / 2) for l in (.5, .8, .9, .95, .99, .999)]  # SciPy 1.17.1
    /// ```
    #[test]
    fn the_normal_quantile_agrees_with_scipy() {
        let golden = [
            (0.5, 0.674_489_750_196_081_7),
            (0.8, 1.281_551_565_544_600_4),
            (0.9, 1.644_853_626_951_472_2),
            (0.95, 1.959_963_984_540_054),
            (0.99, 2.575_829_303_548_900_4),
            (0.999, 3.290_526_731_491_925_5),
        ];
        for (level, z) in golden {
            assert!(close(z_of(level).unwrap(), z), "{level}");
        }
    }

    #[test]
    fn keeps_its_width_at_the_edges_where_the_naive_interval_has_none() {
        for (passes, edge) in [(0, 0.0), (20, 1.0)] {
            let [low, high] = wilson(passes, 20, 0.95).unwrap();
            assert!(high - low > 0.15 && (low..=high).contains(&edge));
            let [low, high] = naive(passes, 20);
            assert!(high - low <= 0.0, "the control collapses");
        }
        assert!(naive(1, 20)[0] < 0.0, "and leaves [0, 1]");
        assert!(wilson(1, 20, 0.95).unwrap()[0] > 0.0);
    }

    #[test]
    fn gives_nothing_for_no_cases_impossible_counts_or_levels() {
        assert_eq!(wilson(0, 0, 0.95), None);
        assert_eq!(wilson(3, 2, 0.95), None);
        for level in [0.0, 1.0, -1.0, 2.0, f64::NAN, f64::INFINITY, 1.0 - f64::EPSILON / 2.0] {
            assert_eq!(wilson(1, 2, level), None, "{level}");
        }
        assert_eq!(proportion(0, 0, 0.95), Estimate::default());
        assert_eq!(proportion(3, 2, 0.95), Estimate::default());
    }

    /// 20,000 experiments of 30 cases at p = 0.03: Wilson covers about 94 % of the time (exactly 0.9399 by the binomial
    /// distribution), the naive interval 60 %, since it is a point whenever nothing passes.
    #[test]
    fn covers_a_rare_event_about_as_often_as_it_says() {
        let (n, experiments, truth) = (30, 20_000, 0.03);
        let mut rng = seed::rng(seed::key(1, &["wilson coverage"]));
        let covers = |[low, high]: [f64; 2]| usize::from(low <= truth && truth <= high);
        let (mut by_wilson, mut by_naive) = (0, 0);
        for _ in 0..experiments {
            let passes = (0..n).filter(|_| f64::from(rng.next_u32()) < truth * 4_294_967_296.0).count();
            by_wilson += covers(wilson(passes, n, 0.95).unwrap());
            by_naive += covers(naive(passes, n));
        }
        let share = |hits: usize| hits as f64 / f64::from(experiments);
        assert!((share(by_wilson) - WILSON_COVERAGE).abs() < 0.01, "{}", share(by_wilson));
        assert!((share(by_naive) - NAIVE_COVERAGE).abs() < 0.01, "{}", share(by_naive));
    }

    /// ```python
    /// inside = lambda k, m: (lambda ci: ci[0] <= .03 <= ci[1])(proportion_confint(k, 30, .05, m))
    /// [sum(scipy.stats.binom.pmf(k, 30, .03) for k in range(31) if inside(k, m)) for m in ('wilson', 'normal')]
    /// ```
    const WILSON_COVERAGE: f64 = 0.939_930_905_478_882_5;
    const NAIVE_COVERAGE: f64 = 0.597_143_238_905_073_4;
}
