//! Standard errors where several trials belong to one case and so resemble each other (Miller 2024, "Adding error bars to
//! evals", arXiv 2411.00640, section 2.2).

use super::mean::{average, t_interval};
use super::metric::Estimate;
use super::wilson::{proportion, score_interval};
use std::collections::{BTreeMap, HashSet};

/// The mean over all trials with its clustered standard error,
///
/// `√(Σ_c (Σ_{i in c} (x_i − mean))² · C/(C−1)) / n` for C clusters and n trials,
///
/// and Student's t interval at C − 1 degrees of freedom. `clusters[i]` names the cluster of `values[i]`; the longer slice
/// is cut to the shorter. With one trial a cluster this is exactly [`mean`](super::mean()). One cluster gives no standard
/// error.
///
/// ```
/// use tripos::stats::{clustered, mean};
/// let (once, thrice) = ([1.0, 0.0, 0.5], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5]);
/// let repeated = clustered(&thrice, &[0, 0, 0, 1, 1, 1, 2, 2, 2], 0.95);
/// assert!((repeated.stderr.unwrap() - mean(&once, 0.95).stderr.unwrap()).abs() < 1e-12); // repeating adds no certainty
/// ```
#[must_use]
pub fn clustered(values: &[f64], clusters: &[usize], level: f64) -> Estimate {
    let values = values.get(..clusters.len()).unwrap_or(values);
    let Some(centre) = average(values) else { return Estimate::default() };
    let sums = deviations(values, clusters, centre);
    let stderr = clustered_stderr(&sums, values.len());
    let ci = stderr.and_then(|stderr| t_interval(centre, stderr, sums.len() - 1, level));
    Estimate { value: Some(centre), stderr, ci }.finite()
}

/// The same for passes (1) and failures (0), with a Wilson interval in place of t, at the effective sample size
/// `p(1−p)/stderr²`, between 1 and n (Franco, Little, Louis and Slud 2019, J. Survey Statistics and Methodology 7(3)).
///
/// Where the clusters show no spread (all pass, all fail, or equal shares) or there is one only, the effective size is
/// the number of clusters: repeats that agree say no more than one of them would.
#[must_use]
pub fn clustered_proportion(values: &[f64], clusters: &[usize], level: f64) -> Estimate {
    let Estimate { value, stderr, .. } = clustered(values, clusters, level);
    let Some(p) = value else { return Estimate::default() };
    let n = values.len().min(clusters.len());
    let effective = match stderr {
        // Rounding leaves about 1e-17 where the spread is exactly 0.
        Some(stderr) if stderr > 1e-12 => (p * (1.0 - p) / (stderr * stderr)).clamp(1.0, n as f64),
        _ => deviations(values, clusters, p).len() as f64,
    };
    Estimate { value, stderr, ci: score_interval(p, effective, level) }
}

/// The share of passes (1) among passes and failures (0): [`proportion`] where each value has a cluster of its own, else
/// [`clustered_proportion`].
pub(super) fn share(values: &[f64], clusters: &[usize], level: f64) -> Estimate {
    if repeated(clusters) {
        return clustered_proportion(values, clusters, level);
    }
    proportion(values.iter().filter(|value| **value > 0.5).count(), values.len(), level)
}

/// Whether a cluster has several values.
pub(super) fn repeated(clusters: &[usize]) -> bool {
    clusters.iter().collect::<HashSet<_>>().len() < clusters.len()
}

/// For each cluster, the sum of its values' deviations from the mean. Ordered, so that sums do not depend on a hash.
fn deviations(values: &[f64], clusters: &[usize], centre: f64) -> BTreeMap<usize, f64> {
    let mut sums = BTreeMap::new();
    for (value, cluster) in values.iter().zip(clusters) {
        *sums.entry(*cluster).or_insert(0.0) += value - centre;
    }
    sums
}

fn clustered_stderr(sums: &BTreeMap<usize, f64>, n: usize) -> Option<f64> {
    let count = sums.len() as f64;
    let squares: f64 = sums.values().map(|sum| sum * sum).sum();
    (sums.len() > 1).then(|| (squares * count / (count - 1.0)).sqrt() / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{mean, wilson};

    fn close(got: f64, wanted: f64) -> bool {
        (got - wanted).abs() < 1e-9
    }

    /// ```python
    /// y = np.array([1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0.5]); g = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3])
    /// r = sm.OLS(y, np.ones(11)).fit(cov_type='cluster', cov_kwds={'groups': g}, use_t=True)  # statsmodels 0.15.0
    /// r.params, r.bse, r.conf_int(), scipy.stats.sem(y)  # the last is the control: 0.148
    /// ```
    #[test]
    fn agrees_with_statsmodels_and_differs_from_the_naive_error() {
        let values = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.5];
        let estimate = clustered(&values, &[0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3], 0.95);
        let [low, high] = estimate.ci.unwrap();
        assert!(close(estimate.value.unwrap(), 0.590_909_090_909_090_7));
        assert!(close(estimate.stderr.unwrap(), 0.115_505_538_805_711_42));
        assert!(close(low, 0.223_318_915_697_050_48) && close(high, 0.958_499_266_121_130_9), "{low} {high}");
        assert!(close(mean(&values, 0.95).stderr.unwrap(), 0.147_989_278_146_360_95));
    }

    #[test]
    fn clusters_of_one_give_the_plain_mean() {
        let values = [0.2, 0.9, 0.4, 0.4, 1.0];
        let (plain, by_case) = (mean(&values, 0.95), clustered(&values, &[9, 3, 5, 1, 7], 0.95));
        assert!(close(plain.stderr.unwrap(), by_case.stderr.unwrap()));
        assert!(close(plain.ci.unwrap()[0], by_case.ci.unwrap()[0]));
    }

    /// ```python
    /// y = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1.]); g = np.repeat(np.arange(4), 3); p = y.mean()
    /// se = sm.OLS(y, np.ones(12)).fit(cov_type='cluster', cov_kwds={'groups': g}).bse[0]; n = min(p * (1 - p) / se**2, 12)
    /// p, se, n, proportion_confint(p * n, n, .05, 'wilson')  # n is 4
    /// ```
    #[test]
    fn a_clustered_proportion_has_the_wilson_interval_of_its_effective_size() {
        let values = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        let estimate = clustered_proportion(&values, &[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], 0.95);
        let [low, high] = estimate.ci.unwrap();
        assert!(close(estimate.stderr.unwrap(), 0.235_702_260_395_515_95));
        assert!(close(low, 0.245_119_527_518_471_38) && close(high, 0.924_916_860_329_996), "{low} {high}");
        let [naive, _] = wilson(8, 12, 0.95).unwrap();
        assert!(low < naive - 0.1, "as if all were independent: {naive}");
    }

    #[test]
    fn repeats_that_all_pass_count_as_one_trial_a_case() {
        let estimate = clustered_proportion(&[1.0; 8], &[0, 0, 1, 1, 2, 2, 3, 3], 0.95);
        assert_eq!((estimate.value, estimate.stderr, estimate.ci), (Some(1.0), Some(0.0), wilson(4, 4, 0.95)));
    }

    #[test]
    fn one_cluster_has_no_standard_error_and_none_no_mean() {
        assert_eq!(clustered(&[0.0, 1.0], &[5, 5], 0.95), Estimate { value: Some(0.5), stderr: None, ci: None });
        assert_eq!(clustered(&[], &[], 0.95), Estimate::default());
        assert_eq!(clustered_proportion(&[1.0], &[], 0.95), Estimate::default());
    }
}
