//! Several tests at once (Holm 1979, Scandinavian Journal of Statistics 6(2)).

/// The p-values adjusted so that all tests together raise a false alarm no more often than one would: sorted upwards, the
/// i-th of m (from 0) becomes `min(1, max over j ≤ i of (m − j)·p_j)`. `None` is no test and does not count into m.
///
/// ```
/// assert_eq!(tripos::stats::holm(&[Some(0.5), Some(0.01), None]), [Some(0.5), Some(0.02), None]);
/// ```
#[must_use]
pub fn holm(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p_values.iter().enumerate().filter_map(|(at, p)| Some((at, (*p)?))).collect();
    order.sort_by(|one, other| one.1.total_cmp(&other.1));
    let (count, mut least) = (order.len(), 0.0_f64);
    let mut adjusted = vec![None; p_values.len()];
    for (rank, (at, p)) in order.into_iter().enumerate() {
        least = least.max((count - rank) as f64 * p).min(1.0);
        if let Some(place) = adjusted.get_mut(at) {
            *place = Some(least);
        }
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// multipletests([.01, .04, .03, .005, .5], method='holm')[1], multipletests([.02, .02, .9], method='holm')[1]  # statsmodels 0.15.0
    /// ```
    #[test]
    fn agrees_with_statsmodels() {
        let golden: [(&[f64], &[f64]); 2] = [
            (&[0.01, 0.04, 0.03, 0.005, 0.5], &[0.04, 0.09, 0.09, 0.025, 0.5]),
            (&[0.02, 0.02, 0.9], &[0.06, 0.06, 0.9]),
        ];
        for (raw, wanted) in golden {
            let got = holm(&raw.iter().copied().map(Some).collect::<Vec<_>>());
            assert!(got.iter().zip(wanted).all(|(got, wanted)| (got.unwrap() - wanted).abs() < 1e-12), "{got:?}");
        }
    }

    #[test]
    fn one_test_stays_as_it_is_and_none_gives_none() {
        assert_eq!(holm(&[Some(0.04)]), [Some(0.04)]);
        assert_eq!(holm(&[None, Some(0.04)]), [None, Some(0.04)]);
        assert!(holm(&[]).is_empty());
        assert_eq!(holm(&[Some(0.8), Some(0.9)]), [Some(1.0), Some(1.0)]);
    }
}
