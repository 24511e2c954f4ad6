//! The exact test of paired passes and failures (McNemar 1947, Psychometrika 12(2); exact as in Fay 2010, Biostatistics 11(2)).

use super::binomial::lower_tail;

/// The two-sided p-value of `b` cases that only the baseline and `c` that only the candidate passes:
///
/// `min(1, 2 · P(X ≤ min(b, c)))`, X binomial with b + c trials at ½.
///
/// Cases on which both agree say nothing about which is better and do not count. 1 where there are no others.
///
/// ```
/// assert!((tripos::stats::mcnemar(0, 6) - 0.03125).abs() < 1e-12);
/// assert_eq!(tripos::stats::mcnemar(0, 0), 1.0);
/// ```
#[must_use]
pub fn mcnemar(b: usize, c: usize) -> f64 {
    (2.0 * lower_tail(b.min(c), b + c, 0.5)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// [scipy.stats.binomtest(b, b + c).pvalue for b, c in pairs]  # SciPy 1.17.1
    /// ```
    #[test]
    fn agrees_with_scipy() {
        let golden = [
            (6, 26, 0.000_535_052_735_358_476_6),
            (0, 6, 0.03125),
            (0, 5, 0.0625),
            (1, 1, 1.0),
            (3, 4, 1.0),
            (10, 25, 0.016_673_847_800_120_715),
            (480, 560, 0.014_259_079_095_385_853),
            (25_000, 25_600, 0.007_746_893_247_143_943),
        ];
        for (b, c, wanted) in golden {
            assert!((mcnemar(b, c) / wanted - 1.0).abs() < 1e-9, "{b} {c}: {}", mcnemar(b, c));
            assert!((mcnemar(b, c) - mcnemar(c, b)).abs() < 1e-15, "both sides alike");
        }
        assert!(mcnemar(0, 2_000) < 1e-300);
    }

    /// The textbook's χ² without correction is no match for few cases: 0 and 5 give 0.025 there, and no case is enough here.
    #[test]
    fn is_not_the_chi_square_approximation() {
        let chi: f64 = 5.0 * 5.0 / 5.0;
        assert!(chi > 3.841_458_820_694_124 && mcnemar(0, 5) > 0.05);
    }
}
