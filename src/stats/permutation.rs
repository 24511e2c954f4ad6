//! Permutation tests of paired cases. Their p-values are exact, or never too small: with Monte Carlo draws
//! `(hits + 1) / (draws + 1)` (Phipson and Smyth 2010, arXiv 1603.05766).

use super::aggregate::{Aggregate, CasePair};
use crate::seed;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

/// So many differences at most have all of their signs tried: 2¹⁵ sums, since a sum and its negative count alike.
const ALL_SIGNS: usize = 16;
/// Sums in another order differ by less than this share of what was summed.
const ROUNDING: f64 = 1e-10;
/// Sums kept side by side, which the processor adds at once.
const LANES: usize = 8;

/// The two-sided p-value of the sign-flip test (Fisher 1935, "The Design of Experiments", section 21): how often the sum of
/// the differences would lie as far from 0, were each as likely to have the other sign.
///
/// Differences of 0 have no sign and drop out: the sum does not change by them. Up to 16 others have all signs tried, more
/// have `draws` random ones, bits of the ChaCha8 generator of `key`. 1 where none is left; `None` for no differences.
///
/// ```
/// use tripos::stats::sign_flip;
/// assert_eq!(sign_flip(&[0.1, 0.2, 0.3, 0.0, 0.1, 0.5, 0.4], 1_000, 7), Some(0.03125)); // 2 of 2⁶
/// assert_eq!(sign_flip(&[0.1, 0.2, 0.3], 1_000, 7), Some(0.25)); // three cannot show more
/// ```
#[must_use]
pub fn sign_flip(differences: &[f64], draws: usize, key: u64) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    let signed: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let scale: f64 = signed.iter().map(|d| d.abs()).sum();
    let least = signed.iter().sum::<f64>().abs() - ROUNDING * scale;
    if signed.len() <= ALL_SIGNS {
        return Some(all_signs(&signed, least));
    }
    let root = seed::rng(key);
    let far = |draw: &u64| flipped_sum(&signed, stream(&root, *draw)).abs() >= least;
    let hits = (0..draws as u64).into_par_iter().filter(far).count();
    Some((hits + 1) as f64 / (draws + 1) as f64)
}

/// The share of all sign vectors whose sum is at least `least` in size, one sign changed at a time (Gray's code).
fn all_signs(signed: &[f64], least: f64) -> f64 {
    let Some((first, others)) = signed.split_first() else { return 1.0 };
    let mut signs: Vec<f64> = others.to_vec();
    let mut sum = first + others.iter().sum::<f64>();
    let count = 1_u32 << others.len();
    let mut hits = u32::from(sum.abs() >= least);
    for step in 1..count {
        if let Some(sign) = signs.get_mut(step.trailing_zeros() as usize) {
            sum -= 2.0 * *sign;
            *sign = -*sign;
        }
        hits += u32::from(sum.abs() >= least);
    }
    f64::from(hits) / f64::from(count)
}

/// The sum of the values, each with a random sign.
fn flipped_sum(values: &[f64], mut rng: ChaCha8Rng) -> f64 {
    let mut sums = [0.0; LANES];
    for word in values.chunks(64) {
        let mut bits = rng.next_u64();
        for lanes in word.chunks(LANES) {
            for (lane, (sum, value)) in sums.iter_mut().zip(lanes).enumerate() {
                *sum += f64::from_bits(value.to_bits() ^ (bits >> lane << 63));
            }
            bits >>= LANES;
        }
    }
    sums.iter().sum()
}

/// The generator of one draw, the same whoever draws it.
fn stream(root: &ChaCha8Rng, draw: u64) -> ChaCha8Rng {
    let mut rng = root.clone();
    rng.set_stream(draw);
    rng
}

/// The two-sided p-value of each of an aggregate's metrics by swapping whole cases between the sides, each with one half
/// (Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses", approximate randomisation): how often the
/// candidate's value would lie as far from the baseline's. A draw whose value cannot be computed counts as that far.
///
/// `None` where the metric itself cannot be computed on both sides.
pub fn swap<A: Aggregate>(aggregate: &A, cases: &[CasePair<'_, A::Item>], draws: usize, key: u64) -> Vec<Option<f64>> {
    let observed = differences(aggregate, cases, |_| false);
    let least: Vec<f64> = observed.iter().map(|[difference, scale]| difference.abs() - ROUNDING * scale).collect();
    let root = seed::rng(key);
    let none = || vec![0_usize; least.len()];
    let one_draw = |words: &mut Vec<u64>, draw: u64| {
        let mut rng = stream(&root, draw);
        for word in words.iter_mut() {
            *word = rng.next_u64();
        }
        let swapped = |case: usize| words.get(case / 64).is_some_and(|word| word >> (case % 64) & 1 == 1);
        let drawn = differences(aggregate, cases, swapped);
        // `!(a < b)` rather than `a >= b`: what is not finite counts.
        #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN is to count")]
        let far = |([drawn, _], least): (&[f64; 2], &f64)| usize::from(!(drawn.abs() < *least));
        drawn.iter().zip(&least).map(far).collect::<Vec<_>>()
    };
    let hits = (0..draws as u64)
        .into_par_iter()
        .map_init(|| vec![0; cases.len().div_ceil(64)], one_draw)
        .reduce(none, |sums, hits| sums.iter().zip(hits).map(|(sum, hit)| sum + hit).collect());
    let p = |(hits, [difference, _]): (usize, &[f64; 2])| {
        difference.is_finite().then(|| (hits + 1) as f64 / (draws + 1) as f64)
    };
    hits.into_iter().zip(&observed).map(p).collect()
}

/// Of each metric, the candidate's value less the baseline's, and the size of the two.
fn differences<'c, A: Aggregate>(
    aggregate: &A,
    cases: &[CasePair<'c, A::Item>],
    swapped: impl Fn(usize) -> bool,
) -> Vec<[f64; 2]> {
    let side = |candidate: bool| {
        let of_case = |(at, [baseline, other]): (usize, &CasePair<'c, A::Item>)| {
            if swapped(at) == candidate { baseline.iter() } else { other.iter() }
        };
        aggregate.values(cases.iter().enumerate().flat_map(of_case))
    };
    let both = side(false).into_iter().zip(side(true));
    both.map(|(baseline, candidate)| [candidate - baseline, candidate.abs() + baseline.abs()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean, and whether there is a 2 among the items.
    struct Mean;

    impl Aggregate for Mean {
        type Item = f64;

        fn values<'a>(&self, items: impl Iterator<Item = &'a f64>) -> Vec<f64> {
            let items: Vec<f64> = items.copied().collect();
            vec![items.iter().sum::<f64>() / items.len() as f64, f64::from(u8::from(items.contains(&2.0)))]
        }
    }

    const BASELINE: [f64; 9] = [0.9, 0.4, 0.7, 0.55, 0.8, 0.35, 0.6, 0.95, 0.5];
    const CANDIDATE: [f64; 9] = [0.7, 0.45, 0.4, 0.55, 0.5, 0.3, 0.65, 0.6, 0.2];

    fn differences_of_both() -> Vec<f64> {
        CANDIDATE.iter().zip(BASELINE).map(|(c, b)| c - b).collect()
    }

    /// ```python
    /// stats.permutation_test((a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type='samples',
    ///                        n_resamples=np.inf, vectorized=True).pvalue  # SciPy 1.17.1: 0.0546875
    /// ```
    #[test]
    fn agrees_with_scipy_and_drops_what_is_equal() {
        let p = sign_flip(&differences_of_both(), 1_000, 1).unwrap();
        assert!((p - 0.054_687_5).abs() < 1e-15, "{p}");
    }

    #[test]
    fn random_signs_and_swapped_cases_agree_with_all_signs() {
        let exact = 0.054_687_5;
        let signed: Vec<f64> = differences_of_both().into_iter().filter(|d| *d != 0.0).collect();
        let scale: f64 = signed.iter().map(|d| d.abs()).sum();
        let (least, root) = (signed.iter().sum::<f64>().abs() - ROUNDING * scale, seed::rng(1));
        let hits = (0..20_000).filter(|draw| flipped_sum(&signed, stream(&root, *draw)).abs() >= least).count();
        assert!((hits as f64 / 20_000.0 - exact).abs() < 0.006, "{hits}");
        let cases: Vec<CasePair<'_, f64>> = BASELINE.chunks(1).zip(CANDIDATE.chunks(1)).map(|(b, c)| [b, c]).collect();
        let p = swap(&Mean, &cases, 20_000, 1);
        assert!((p[0].unwrap() - exact).abs() < 0.006, "{p:?}");
        assert_eq!(p[1], Some(1.0), "what never changes");
    }

    #[test]
    fn ties_are_as_far_whatever_order_rounded_them() {
        // 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 are not the same number.
        let values: Vec<f64> = (0..30).map(|i| f64::from(i % 3 + 1) / 10.0).collect();
        let p = sign_flip(&values, 999, 5).unwrap();
        assert!((p - 0.001).abs() < 1e-12, "{p}");
        assert_eq!(sign_flip(&[0.1, 0.2, -0.3], 1_000, 5), Some(1.0), "a sum of 0, give or take a rounding");
    }

    #[test]
    fn nothing_has_no_p_and_no_change_has_1() {
        assert_eq!(sign_flip(&[], 1_000, 1), None);
        assert_eq!(sign_flip(&[0.0; 5], 1_000, 1), Some(1.0));
        assert_eq!(swap(&Mean, &[], 10, 1)[0], None, "a mean of nothing");
    }

    #[test]
    fn does_not_depend_on_the_number_of_threads() {
        let values: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 101) / 50.0 - 0.9).collect();
        let cases: Vec<CasePair<'_, f64>> = values.chunks(1).zip(values.chunks(1).rev()).map(|(b, c)| [b, c]).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (sign_flip(&values, 2_000, 3), swap(&Mean, &cases, 500, 3)))
        };
        assert_eq!(run(1), run(5));
    }

    #[test]
    fn every_sign_is_drawn_equally_often() {
        let root = seed::rng(9);
        for at in [0, 7, 63, 64, 99] {
            let mut values = vec![0.0; 100];
            values[at] = 1.0;
            let up = (0..4_000).filter(|draw| flipped_sum(&values, stream(&root, *draw)) > 0.0).count();
            assert!(up.abs_diff(2_000) < 130, "{at}: {up}"); // four standard deviations
        }
    }
}
