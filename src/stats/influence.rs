//! The standard error of an aggregate's difference by leaving out one case at a time (Tukey 1958; Efron and Tibshirani 1993,
//! "An Introduction to the Bootstrap", chapter 11).

use super::aggregate::{Aggregate, CasePair};
use rayon::prelude::*;

/// Above so many cases the bootstrap's own standard error is as good, and n² evaluations are not cheap.
const MOST_CASES: usize = 1_000;

/// The standard error of each metric's difference: with the influences `u = (n − 1)(θ − θ₋ᵢ)`,
///
/// `√((Σ(uᵢ − ū)² + w) / (n(n − 1)))`, `w` the mean of `(θ + uᵢ)²` over the cases that differ, where some do not.
///
/// `w` is one more case that differs, of the usual size, as in the interval of numbers (`paired_bootstrap.rs`): where few
/// differ, a resample cannot show the kinds that were not among them (`coverage.rs` simulates it). Empty above 1,000 cases; not finite for a metric that cannot be computed without some case.
pub(super) fn jackknife<A: Aggregate>(aggregate: &A, cases: &[CasePair<'_, A::Item>]) -> Vec<f64> {
    let n = cases.len();
    if !(2..=MOST_CASES).contains(&n) {
        return Vec::new();
    }
    let whole = without(aggregate, cases, n);
    let left_out: Vec<Vec<f64>> = (0..n).into_par_iter().map(|case| without(aggregate, cases, case)).collect();
    let differs: Vec<bool> = cases.iter().map(|[baseline, candidate]| baseline != candidate).collect();
    let stderr = |(column, theta): (usize, &f64)| {
        let influence = |values: &Vec<f64>| (n - 1) as f64 * (theta - values.get(column).copied().unwrap_or(f64::NAN));
        let influences: Vec<f64> = left_out.iter().map(influence).collect();
        let mean = influences.iter().sum::<f64>() / n as f64;
        let squares: f64 = influences.iter().map(|u| (u - mean).powi(2)).sum();
        let count = differs.iter().filter(|differs| **differs).count();
        let sizes = influences.iter().zip(&differs).filter(|(_, differs)| **differs).map(|(u, _)| (theta + u).powi(2));
        let usual = if count < n { sizes.sum::<f64>() / count.max(1) as f64 } else { 0.0 };
        ((squares + usual) / (n * (n - 1)) as f64).sqrt()
    };
    whole.iter().enumerate().map(stderr).collect()
}

/// The difference of each metric without one case; `n` leaves out none.
fn without<A: Aggregate>(aggregate: &A, cases: &[CasePair<'_, A::Item>], case: usize) -> Vec<f64> {
    let side = |side: usize| {
        let others = cases.iter().enumerate().filter(|(at, _)| *at != case);
        aggregate.values(others.filter_map(|(_, pair)| pair.get(side)).copied().flatten())
    };
    side(1).into_iter().zip(side(0)).map(|(candidate, baseline)| candidate - baseline).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of the items.
    struct Mean;

    impl Aggregate for Mean {
        type Item = f64;

        fn values<'a>(&self, items: impl Iterator<Item = &'a f64>) -> Vec<f64> {
            let (sum, n) = items.fold((0.0, 0.0), |(sum, n), item| (sum + item, n + 1.0));
            vec![sum / n]
        }
    }

    fn stderr(pairs: &[(f64, f64)]) -> Vec<f64> {
        let (baseline, candidate): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let cases: Vec<CasePair<'_, f64>> = baseline.chunks(1).zip(candidate.chunks(1)).map(|(b, c)| [b, c]).collect();
        jackknife(&Mean, &cases)
    }

    /// ```python
    /// d = np.array([.5, -.25, 1, .125]); scipy.stats.sem(d)  # 0.26700
    /// d = np.array([.5, -.25, 1, 0]); np.sqrt((d.var(ddof=1) * 3 + (d[:3] ** 2).mean()) / 12)  # 0.33657
    /// ```
    #[test]
    fn of_a_mean_it_is_the_means_own() {
        let all = stderr(&[(0.0, 0.5), (0.25, 0.0), (0.0, 1.0), (0.0, 0.125)]);
        assert!((all[0] - MEANS[0]).abs() < 1e-9, "{all:?}");
        let some = stderr(&[(0.0, 0.5), (0.25, 0.0), (0.0, 1.0), (0.5, 0.5)]);
        assert!((some[0] - MEANS[1]).abs() < 1e-9, "{some:?}");
    }

    const MEANS: [f64; 2] = [0.267_000_117_041_172_8, 0.336_572_800_445_906_5];

    #[test]
    fn one_case_or_too_many_have_none() {
        assert!(stderr(&[(0.0, 1.0)]).is_empty() && stderr(&[]).is_empty());
        assert!(stderr(&vec![(0.0, 1.0); MOST_CASES + 1]).is_empty());
        assert!(stderr(&[(0.0, 0.0); 5])[0].abs() < 1e-12);
    }
}
