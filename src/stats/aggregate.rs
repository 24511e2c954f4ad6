//! Metrics that are no mean over cases: what the tests of [`swap`](super::swap) and the bootstrap need to know of them.

/// What a corpus comes to, computed from trials: perplexity, F1, calibration.
pub trait Aggregate: Sync {
    /// What one trial adds.
    type Item: Sync + PartialEq;

    /// The metrics of these trials, always as many; what cannot be computed is not finite.
    fn values<'a>(&self, items: impl Iterator<Item = &'a Self::Item>) -> Vec<f64>
    where
        Self::Item: 'a;

    /// The stratum of a trial: the bootstrap resamples the cases of each among themselves. All in one unless said otherwise.
    fn stratum(&self, _item: &Self::Item) -> usize {
        0
    }
}

/// One case on both sides: the baseline's trials of it and the candidate's.
pub type CasePair<'a, T> = [&'a [T]; 2];
