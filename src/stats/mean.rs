//! The mean of numbers, its standard error, and Student's t interval (Student 1908, Biometrika 6(1)).

use super::metric::Estimate;
use super::wilson::z_of;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Degrees of freedom from which the expansion around the normal quantile is exact to 10 digits, while the inverse of the
/// incomplete beta function loses digits (3e-6 at 100,000).
const EXPANSION_FROM: usize = 500;

/// The mean of `values`, its standard error `sd / √n` (`sd` with n − 1 in its denominator), and the interval
/// `mean ± t·stderr` with Student's t at n − 1 degrees of freedom.
///
/// t is used for every n: it allows for the standard deviation being estimated, which matters below about 30 values and
/// does no harm above. The interval is not cut to `[0, 1]`, since a mean may be of anything. No values give nothing; one
/// value gives no standard error and no interval.
///
/// ```
/// let estimate = tripos::stats::mean(&[1.0, 2.0, 3.0], 0.95);
/// assert_eq!(estimate.value, Some(2.0));
/// assert_eq!(tripos::stats::mean(&[1.0], 0.95).stderr, None);
/// ```
#[must_use]
pub fn mean(values: &[f64], level: f64) -> Estimate {
    let Some(centre) = average(values) else { return Estimate::default() };
    let stderr = deviation(values).map(|sd| sd / (values.len() as f64).sqrt());
    let ci = stderr.and_then(|stderr| t_interval(centre, stderr, values.len() - 1, level));
    Estimate { value: Some(centre), stderr, ci }.finite()
}

/// `value ± t·stderr`, two-sided at `level`, with Student's t at `freedom` degrees of freedom. `None` without degrees of
/// freedom or for a level outside (0, 1).
#[must_use]
pub fn t_interval(value: f64, stderr: f64, freedom: usize, level: f64) -> Option<[f64; 2]> {
    let t = t_of(level, freedom)?;
    Some([value - t * stderr, value + t * stderr])
}

/// The two-sided quantile of Student's t; for many degrees of freedom by Abramowitz and Stegun 26.7.5.
pub(super) fn t_of(level: f64, freedom: usize) -> Option<f64> {
    let z = z_of(level)?;
    if freedom >= EXPANSION_FROM {
        let (square, inverse) = (z * z, 1.0 / freedom as f64);
        let first = (square + 1.0) / 4.0;
        let second = ((5.0 * square + 16.0) * square + 3.0) / 96.0;
        let third = (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0;
        return Some(z * (1.0 + inverse * (first + inverse * (second + inverse * third))));
    }
    let t = StudentsT::new(0.0, 1.0, freedom as f64).ok()?;
    Some(t.inverse_cdf(f64::midpoint(1.0, level))).filter(|t| t.is_finite())
}

/// The arithmetic mean; `None` for no values.
pub(super) fn average(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The standard deviation with n − 1 in its denominator, in two passes so that nothing cancels; `None` below two values.
pub(super) fn deviation(values: &[f64]) -> Option<f64> {
    let centre = average(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, wanted: f64) -> bool {
        (got - wanted).abs() < 1e-10
    }

    /// ```python
    /// v = np.array([0.1, 0.5, 0.4, 0.9, 0.35]); se = scipy.stats.sem(v)  # SciPy 1.17.1
    /// v.mean(), se, scipy.stats.t.interval(.95, 4, v.mean(), se)
    /// scipy.stats.norm.interval(.95, v.mean(), se)  # the control: 0.194, 0.706
    /// ```
    #[test]
    fn agrees_with_scipy_and_is_wider_than_the_normal_interval() {
        let estimate = mean(&[0.1, 0.5, 0.4, 0.9, 0.35], 0.95);
        let [low, high] = estimate.ci.unwrap();
        assert!(close(estimate.value.unwrap(), 0.45));
        assert!(close(estimate.stderr.unwrap(), 0.130_384_048_104_052_96));
        assert!(close(low, 0.087_995_847_845_628_53) && close(high, 0.812_004_152_154_371_5), "{low} {high}");
        assert!(low < 0.194_451_961_557_518_26 && high > 0.705_548_038_442_481_7);
    }

    /// ```python
    /// [(scipy.stats.t.ppf(.975, df), scipy.stats.t.ppf(.995, df)) for df in (1, 2, 4, 29, 199, 499, 500, 1999, 100000, 10**7)]
    /// ```
    #[test]
    fn the_t_quantile_agrees_with_scipy() {
        let golden = [
            (1, 12.706_204_736_174_694, 63.656_741_162_871_526),
            (2, 4.302_652_729_749_462, 9.924_843_200_918_287),
            (4, 2.776_445_105_197_793_4, 4.604_094_871_349_992),
            (29, 2.045_229_642_132_703, 2.756_385_903_670_605),
            (199, 1.971_956_544_251_753_3, 2.600_760_216_058_516),
            (499, 1.964_729_390_987_688_6, 2.585_717_683_111_754),
            (500, 1.964_719_837_467_367_6, 2.585_697_835_141_941_5),
            (1_999, 1.961_151_420_170_561_3, 2.578_291_019_521_923_3),
            (100_000, 1.959_987_707_534_609_5, 2.575_878_469_908_375),
            (10_000_000, 1.959_964_221_767_205, 2.575_829_795_203_748_8),
        ];
        for (freedom, at_95, at_99) in golden {
            for (level, wanted) in [(0.95, at_95), (0.99, at_99)] {
                let got = t_of(level, freedom).unwrap();
                assert!((got / wanted - 1.0).abs() < 1e-9, "{freedom} at {level}: {got} for {wanted}");
            }
        }
    }

    #[test]
    fn one_value_has_no_spread_and_none_has_no_mean() {
        assert_eq!(mean(&[], 0.95), Estimate::default());
        assert_eq!(mean(&[0.7], 0.95), Estimate { value: Some(0.7), stderr: None, ci: None });
    }

    #[test]
    fn is_not_cut_to_the_unit_interval() {
        let [low, high] = mean(&[0.0, 1.0, 1.0], 0.95).ci.unwrap();
        assert!(low < 0.0 && high > 1.0);
    }

    #[test]
    fn a_large_offset_does_not_swallow_the_spread() {
        let estimate = mean(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0], 0.95);
        assert!((estimate.stderr.unwrap() - (1.0_f64 / 3.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn a_sum_that_overflows_is_no_value_and_a_bad_level_no_interval() {
        assert_eq!(mean(&[f64::MAX, f64::MAX], 0.95), Estimate::default());
        assert_eq!(mean(&[1.0, 2.0], 1.5).ci, None);
        assert_eq!(t_interval(0.0, 1.0, 0, 0.95), None);
    }
}
