//! Krippendorff's alpha: how far those who judge the same things agree beyond chance (Krippendorff 2011, "Computing
//! Krippendorff's Alpha-Reliability", University of Pennsylvania, repository.upenn.edu/asc_papers/43).

use std::cmp::Ordering;

/// What the distance between two values is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Names: any two values are equally far apart, `δ² = 1`.
    Nominal,
    /// Ranks: as far as there are judgements between them, `δ²(c, k) = (Σ n_g for g from c to k − (n_c + n_k) / 2)²`.
    Ordinal,
}

/// Alpha of units, each with the values that its judges gave; a judge who gave none is left out of the unit.
///
/// `α = 1 − D_o / D_e = 1 − (n − 1) · Σ o_ck δ²_ck / Σ n_c n_k δ²_ck`
///
/// over the values of units with two judges or more: `o_ck` counts the pairs (c, k) within a unit of m values with weight
/// 1 / (m − 1), `n_c` the values c, n all of them. 1 is perfect agreement, 0 is chance, below 0 is disagreement by system.
/// `None` where no unit has two values, or where all values are equal: nobody could have disagreed.
///
/// ```
/// use tripos::stats::{Scale, alpha};
/// assert_eq!(alpha(&[vec![1.0, 1.0], vec![2.0, 2.0]], Scale::Ordinal), Some(1.0));
/// assert_eq!(alpha(&[vec![1.0, 1.0], vec![1.0]], Scale::Ordinal), None);
/// ```
#[must_use]
pub fn alpha(units: &[Vec<f64>], scale: Scale) -> Option<f64> {
    let paired = || units.iter().filter(|unit| unit.len() > 1);
    let mut values: Vec<f64> = paired().flatten().copied().collect();
    let n = values.len() as f64;
    values.sort_by(f64::total_cmp);
    values.dedup_by(|a, b| a.total_cmp(b) == Ordering::Equal);
    let at = |value: &f64| values.binary_search_by(|known| known.total_cmp(value)).unwrap_or(0);
    let kinds = values.len();
    let mut together = vec![0.0; kinds * kinds];
    for unit in paired() {
        let weight = 1.0 / (unit.len() - 1) as f64;
        for (i, one) in unit.iter().enumerate() {
            for (_, other) in unit.iter().enumerate().filter(|(j, _)| *j != i) {
                together[at(one) * kinds + at(other)] += weight;
            }
        }
    }
    let counts: Vec<f64> = together.chunks(kinds.max(1)).map(|row| row.iter().sum()).collect();
    let (mut observed, mut expected) = (0.0, 0.0);
    for c in 0..kinds {
        for k in 0..kinds {
            let distance = distance(&counts, c.min(k), c.max(k), scale);
            observed += together[c * kinds + k] * distance;
            expected += counts[c] * counts[k] * distance;
        }
    }
    (expected > 0.0).then(|| 1.0 - (n - 1.0) * observed / expected)
}

/// The squared distance of two values by their places, `low` ≤ `high`.
fn distance(counts: &[f64], low: usize, high: usize, scale: Scale) -> f64 {
    match scale {
        _ if low == high => 0.0,
        Scale::Nominal => 1.0,
        Scale::Ordinal => {
            let between: f64 = counts[low..=high].iter().sum();
            (between - f64::midpoint(counts[low], counts[high])).powi(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reliability data of Krippendorff 2011, section C: four observers, twelve units, gaps.
    fn published() -> Vec<Vec<f64>> {
        let observers = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."];
        let unit = |at: usize| observers.iter().filter_map(move |o| Some(f64::from(o.chars().nth(at)?.to_digit(10)?)));
        (0..12).map(|at| unit(at).collect()).collect()
    }

    #[test]
    fn agrees_with_the_published_figures() {
        let near = |scale, wanted: f64| {
            let found = alpha(&published(), scale).unwrap();
            assert!((found - wanted).abs() < 5e-4, "{scale:?}: {found}");
        };
        near(Scale::Nominal, 0.743);
        near(Scale::Ordinal, 0.815);
    }

    /// The binary example of section A: two observers, ten items, alpha 0.095.
    #[test]
    fn two_observers_of_two_values_agree_hardly_beyond_chance() {
        let (one, other) = ("0100000010", "1110010000");
        let digits = |text: &str| text.chars().map(|c| f64::from(c.to_digit(10).unwrap())).collect::<Vec<_>>();
        let units: Vec<_> = digits(one).into_iter().zip(digits(other)).map(|(a, b)| vec![a, b]).collect();
        for scale in [Scale::Nominal, Scale::Ordinal] {
            let found = alpha(&units, scale).unwrap();
            assert!((found - 0.095).abs() < 5e-4, "{scale:?}: {found}");
        }
    }

    #[test]
    fn disagreement_by_system_is_below_chance_and_nothing_to_compare_is_none() {
        assert!(alpha(&vec![vec![1.0, 2.0]; 20], Scale::Nominal).unwrap() < 0.0);
        assert_eq!(alpha(&[], Scale::Nominal), None);
        assert_eq!(alpha(&[vec![1.0], vec![2.0], vec![]], Scale::Ordinal), None);
    }

    /// Names that are exchanged change nothing under `Nominal`; under `Ordinal` a far slip weighs more than a near one.
    #[test]
    fn a_far_slip_weighs_more_than_a_near_one_only_where_values_are_ranks() {
        let with = |slip: f64| {
            let mut units: Vec<Vec<f64>> = (1..=5).flat_map(|v| vec![vec![f64::from(v); 2]; 4]).collect();
            units.push(vec![1.0, slip]);
            units
        };
        let both = |scale| (alpha(&with(2.0), scale).unwrap(), alpha(&with(5.0), scale).unwrap());
        let (near, far) = both(Scale::Ordinal);
        assert!(near > far + 0.05, "{near} {far}");
        let (near, far) = both(Scale::Nominal);
        assert!((near - far).abs() < 1e-12);
    }
}
