//! What so many cases could have shown of numbers: the power of the paired t test, which the sign-flip test shares closely
//! (Lehmann and Romano 2005, "Testing Statistical Hypotheses", section 15.2).

use super::mean::t_of;
use super::power::{POWER, alpha, fewest, least};
use statrs::distribution::{ContinuousCDF, Normal};

/// Steps of Simpson's rule, even.
const STEPS: usize = 400;
/// Where a search for a number of cases gives up.
const MOST_CASES: usize = 1 << 40;

/// How often the two-sided paired t test of `n` cases rejects at `1 − level`, where the mean difference is `effect` standard
/// deviations: `P(|T| > t)`, T noncentral with n − 1 degrees of freedom and noncentrality `effect·√n`.
///
/// It is `∫ (Φ(λ − ts) + Φ(−λ − ts)) f(s) ds` over the density f of s = √(χ²/ν), by Simpson's rule over ten standard
/// deviations to each side, f normed by its own sum. `None` below two cases or for a level outside (0, 1).
///
/// ```
/// assert!((tripos::stats::t_power(20, 0.5, 0.95).unwrap() - 0.5645).abs() < 1e-4);
/// ```
#[must_use]
pub fn t_power(n: usize, effect: f64, level: f64) -> Option<f64> {
    let freedom = n.checked_sub(1).filter(|freedom| *freedom > 0)?;
    let t = t_of(level, freedom)?;
    let (normal, lambda, freedom) = (Normal::standard(), effect * (n as f64).sqrt(), freedom as f64);
    let reach = 10.0 / (2.0 * freedom).sqrt();
    let (low, high) = ((1.0 - reach).max(1e-9), 1.0 + reach);
    let (mut mass, mut power) = (0.0, 0.0);
    for step in 0..=STEPS {
        let s = low + (high - low) * step as f64 / STEPS as f64;
        let weight = if step == 0 || step == STEPS { 1.0 } else { 2.0 + 2.0 * (step % 2) as f64 };
        let density = weight * ((freedom - 1.0) * s.ln() - freedom * (s * s - 1.0) / 2.0).exp();
        mass += density;
        power += density * (normal.cdf(lambda - t * s) + normal.cdf(-lambda - t * s));
    }
    Some(power / mass).filter(|power| power.is_finite())
}

/// The fewest cases whose signs can reject at all: `2 / 2ⁿ ≤ 1 − level`, six at 0.95. `None` for a level outside (0, 1).
#[must_use]
pub fn fewest_signs(level: f64) -> Option<usize> {
    (level > 0.0 && level < 1.0).then_some(())?;
    (1..=64_u16).find(|n| 0.5_f64.powi(i32::from(*n) - 1) <= alpha(level)).map(usize::from)
}

/// The smallest mean difference that `n` cases show in four of five tries, where the differences' standard deviation is
/// `sd`. `None` where so few cases cannot reject ([`fewest_signs`]) or sd is not known (not above 0).
///
/// ```
/// use tripos::stats::minimum_detectable_mean;
/// assert!((minimum_detectable_mean(20, 1.0, 0.95).unwrap() - 0.66044).abs() < 1e-4);
/// assert_eq!(minimum_detectable_mean(5, 1.0, 0.95), None);
/// ```
#[must_use]
pub fn minimum_detectable_mean(n: usize, sd: f64, level: f64) -> Option<f64> {
    (n >= fewest_signs(level)? && sd > 0.0 && sd.is_finite()).then_some(())?;
    let enough = |effect: f64| t_power(n, effect, level).is_some_and(|power| power >= POWER);
    let mut high = 1.0;
    while !enough(high) && high < 1e6 {
        high *= 2.0;
    }
    Some(least(high, enough) * sd)
}

/// How many cases show a mean difference of `delta` in four of five tries, where the differences' standard deviation is
/// `sd`. `None` where that is not known, for a `delta` not above 0, or where billions would not do.
#[must_use]
pub fn cases_needed_mean(delta: f64, sd: f64, level: f64) -> Option<usize> {
    let effect = Some(delta / sd).filter(|effect| sd > 0.0 && *effect > 0.0 && effect.is_finite())?;
    fewest(fewest_signs(level)?, MOST_CASES, |n| t_power(n, effect, level).is_some_and(|power| power >= POWER))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// P = statsmodels.stats.power.TTestPower()  # 0.15.0
    /// [P.power(es, n, .05) for es, n in [(.5, 20), (.2, 100), (1.2, 6), (.01, 100000)]]
    /// # its solve_power is good to 1e-5 only, so: f integrated by scipy.integrate.quad over stats.chi, solved by optimize.brentq
    /// [optimize.brentq(lambda e: power(e, n) - .8, 1e-4, 3, xtol=1e-14) for n in (6, 20, 100, 2000, 100000)]
    /// [P.solve_power(effect_size=.03 / sd, alpha=.05, power=.8) for sd in (.1, .3, .5)]
    /// ```
    #[test]
    fn agrees_with_statsmodels() {
        let powers = [
            (0.5, 20, 0.564_504_418_439_020_3),
            (0.2, 100, 0.508_264_806_621_038),
            (1.2, 6, 0.655_043_302_700_355_4),
            (0.01, 100_000, 0.885_373_259_617_644),
        ];
        for (effect, n, wanted) in powers {
            let got = t_power(n, effect, 0.95).unwrap();
            assert!((got - wanted).abs() < 1e-8, "{effect} {n}: {got}");
        }
        let least = [
            (6, 1.434_544_782_040_401),
            (20, 0.660_441_654_623_038_9),
            (100, 0.282_912_632_781_400_3),
            (2_000, 0.062_675_389_367_899_9),
            (100_000, 0.008_859_464_582_817_124),
        ];
        for (n, wanted) in least {
            let got = minimum_detectable_mean(n, 1.0, 0.95).unwrap();
            assert!((got / wanted - 1.0).abs() < 1e-8, "{n}: {got}");
        }
        for (sd, wanted) in [(0.1, 90), (0.3, 787), (0.5, 2_183)] {
            assert_eq!(cases_needed_mean(0.03, sd, 0.95), Some(wanted), "{sd}");
        }
    }

    #[test]
    fn without_a_spread_or_enough_signs_there_is_no_answer() {
        for (n, sd) in [(5, 1.0), (0, 1.0), (20, 0.0), (20, f64::NAN), (20, f64::INFINITY)] {
            assert_eq!(minimum_detectable_mean(n, sd, 0.95), None, "{n} {sd}");
        }
        assert_eq!((cases_needed_mean(0.03, 0.0, 0.95), cases_needed_mean(0.0, 1.0, 0.95)), (None, None));
        assert_eq!((fewest_signs(0.95), fewest_signs(0.99), fewest_signs(1.0)), (Some(6), Some(8), None));
        assert_eq!(t_power(1, 0.5, 0.95), None);
    }
}
