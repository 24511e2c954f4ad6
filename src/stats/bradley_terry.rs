//! The Bradley-Terry model: strengths from contests of two (Bradley and Terry 1952, Biometrika 39), found by the MM
//! algorithm of Hunter 2004 ("MM algorithms for generalized Bradley-Terry models", Annals of Statistics 32(1), equation 3).
//!
//! - A tie counts as half a win for each side, as in Hunter's own baseball example and in chess ratings.
//! - Where somebody never wins (or never loses) the likelihood has no maximum: strengths then run to 0 (or apart) and are
//!   stopped after [`ROUNDS`] rounds. The chances of winning are what to read: they run to 0 and 1.

use super::bootstrap::{bootstrap_each, percentile_estimate};
use super::metric::Estimate;
use super::{DRAWS, LEVEL};

/// Most rounds of the algorithm.
const ROUNDS: usize = 2_000;
/// It has come to rest when no strength moves by more than this share of itself.
const REST: f64 = 1e-10;

/// One contest: who met whom, and what share of it the first one won (1, 0, or ½ for a tie).
pub type Bout = (usize, usize, f64);

/// The strengths of `n` contestants, which sum to 1: i beats j with chance `p_i / (p_i + p_j)`.
///
/// Each round sets `p_i = W_i / Σ_j N_ij / (p_i + p_j)`, W the wins of i, N the contests of i and j. `None` for fewer than two
/// contestants, or where the contests do not connect all of them: those apart cannot be told apart.
///
/// ```
/// let strengths = tripos::stats::bradley_terry(2, &[(0, 1, 1.0), (0, 1, 1.0), (0, 1, 0.5), (0, 1, 0.0)]).unwrap();
/// assert!((strengths[0] - 0.625).abs() < 1e-9);
/// ```
#[must_use]
pub fn bradley_terry(n: usize, bouts: &[Bout]) -> Option<Vec<f64>> {
    let (mut wins, mut met) = (vec![0.0; n], vec![0.0; n * n]);
    for (one, other, share) in bouts.iter().filter(|(one, other, _)| one != other && *one < n && *other < n) {
        wins[*one] += share;
        wins[*other] += 1.0 - share;
        met[one * n + other] += 1.0;
        met[other * n + one] += 1.0;
    }
    if n < 2 || !is_connected(n, &met) {
        return None;
    }
    let mut strengths = vec![1.0 / n as f64; n];
    for _ in 0..ROUNDS {
        let new = |i: usize| {
            let of = |j: usize| met[i * n + j] / (strengths[i] + strengths[j]).max(f64::MIN_POSITIVE);
            wins[i] / (0..n).map(of).sum::<f64>()
        };
        let mut next: Vec<f64> = (0..n).map(new).collect();
        let sum: f64 = next.iter().sum();
        for strength in &mut next {
            *strength /= sum;
        }
        let moved = next.iter().zip(&strengths).any(|(new, old)| (new - old).abs() > REST * old);
        strengths = next;
        if !moved {
            break;
        }
    }
    Some(strengths)
}

/// Whether everybody can be reached from the first by contests.
fn is_connected(n: usize, met: &[f64]) -> bool {
    let (mut reached, mut open) = (vec![false; n], vec![0]);
    while let Some(i) = open.pop() {
        if !std::mem::replace(&mut reached[i], true) {
            open.extend((0..n).filter(|j| met[i * n + j] > 0.0));
        }
    }
    reached.into_iter().all(|reached| reached)
}

/// The chance of each to win against one of the others, any of them being as likely.
///
/// ```
/// assert_eq!(tripos::stats::chances(&[0.75, 0.25]), [0.75, 0.25]);
/// ```
#[must_use]
pub fn chances(strengths: &[f64]) -> Vec<f64> {
    let against = |i: usize| {
        let others = strengths.iter().enumerate().filter(|(j, _)| *j != i);
        let chance = |other: &f64| {
            let both = strengths[i] + other;
            if both > 0.0 { strengths[i] / both } else { 0.5 }
        };
        others.map(|(_, other)| chance(other)).sum::<f64>() / strengths.len().saturating_sub(1).max(1) as f64
    };
    (0..strengths.len()).map(against).collect()
}

/// The [`chances`] of each with an interval: the percentile bootstrap over cases, whose contests stay together (those of
/// one case share its answers). Draws that do not connect everybody are left out. No value where the contests of all
/// cases do not connect them either.
#[must_use]
pub fn win_rates(n: usize, cases: &[Vec<Bout>], key: u64) -> Vec<Estimate> {
    let of = |picked: &mut dyn Iterator<Item = &Vec<Bout>>| {
        let bouts: Vec<Bout> = picked.flatten().copied().collect();
        bradley_terry(n, &bouts).map(|strengths| chances(&strengths))
    };
    let Some(rates) = of(&mut cases.iter()) else { return vec![Estimate::default(); n] };
    let draws: Vec<Option<Vec<f64>>> =
        bootstrap_each(cases.len(), DRAWS, key, |picked| of(&mut picked.iter().filter_map(|i| cases.get(*i))));
    let draws: Vec<Vec<f64>> = draws.into_iter().flatten().collect();
    let estimate = |(i, rate): (usize, f64)| {
        percentile_estimate(rate, draws.iter().filter_map(|draw| draw.get(i).copied()).collect(), LEVEL)
    };
    rates.into_iter().enumerate().map(estimate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Home and away together of the American League's eastern division, 1987 (Agresti, "Categorical Data Analysis").
    const WINS: [[u32; 7]; 7] = [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ];

    fn season() -> Vec<Bout> {
        let pairs = (0..7).flat_map(|i| (0..7).map(move |j| (i, j)));
        pairs.flat_map(|(i, j)| vec![(i, j, 1.0); WINS[i][j] as usize]).collect()
    }

    /// Agresti prints 1.58 1.44 1.29 1.25 1.11 0.68 0; to more digits:
    /// ```python
    /// p = np.ones(7)
    /// for _ in range(20000):
    ///     N = W + W.T; p = W.sum(1) / (N / (p[:, None] + p[None, :])).sum(1); p /= p.sum()
    /// np.log(p / p[-1]); P = p[:, None] / (p[:, None] + p[None, :]); (P.sum(1) - .5) / 6
    /// ```
    #[test]
    fn agrees_with_agresti_and_numpy_on_a_season_of_baseball() {
        let strengths = bradley_terry(7, &season()).unwrap();
        let logs = [1.581_355_88, 1.436_408_43, 1.294_485_12, 1.247_617_85, 1.107_697_71, 0.683_852_77, 0.0];
        let rates = [0.641_025_64, 0.602_564_10, 0.564_102_56, 0.551_282_05, 0.512_820_51, 0.397_435_90, 0.230_769_23];
        let found = chances(&strengths);
        for i in 0..7 {
            assert!(((strengths[i] / strengths[6]).ln() - logs[i]).abs() < 1e-6, "{i}: {strengths:?}");
            assert!((found[i] - rates[i]).abs() < 1e-6, "{i}: {found:?}");
        }
        assert!((strengths.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_tie_is_half_a_win_and_who_always_wins_has_a_chance_near_one() {
        let even = bradley_terry(2, &[(0, 1, 0.5), (1, 0, 0.5), (0, 1, 1.0), (1, 0, 1.0)]).unwrap();
        assert!((even[0] - 0.5).abs() < 1e-12);
        let best = chances(&bradley_terry(3, &[(0, 1, 1.0), (0, 2, 1.0), (1, 2, 1.0), (2, 1, 1.0)]).unwrap());
        assert!(best[0] > 0.999 && (best[1] - best[2]).abs() < 1e-6, "{best:?}");
    }

    #[test]
    fn those_who_never_met_cannot_be_told_apart() {
        assert_eq!(bradley_terry(4, &[(0, 1, 1.0), (2, 3, 1.0)]), None);
        assert_eq!(bradley_terry(1, &[]), None);
        assert_eq!(bradley_terry(3, &[(0, 1, 1.0), (0, 0, 1.0), (9, 0, 1.0)]), None);
        assert_eq!(win_rates(2, &[], 1), [Estimate::default(); 2]);
    }

    /// Of two, the interval is that of a share: 30 of 40 contests, one a case. The percentile bootstrap of a proportion.
    #[test]
    fn the_interval_of_two_is_that_of_a_share() {
        let cases: Vec<Vec<Bout>> = (0..40).map(|i| vec![(0, 1, f64::from(u8::from(i % 4 != 0)))]).collect();
        let rates = win_rates(2, &cases, 7);
        let ([low, high], stderr) = (rates[0].ci.unwrap(), rates[0].stderr.unwrap());
        assert!((rates[0].value.unwrap() - 0.75).abs() < 1e-9, "{rates:?}");
        assert!((low - 0.61).abs() < 0.03 && (high - 0.88).abs() < 0.03, "{rates:?}");
        assert!((stderr - (0.75_f64 * 0.25 / 40.0).sqrt()).abs() < 0.006, "{rates:?}");
        assert_eq!(rates, win_rates(2, &cases, 7), "the key decides");
    }

    #[test]
    fn contests_of_one_case_stay_together() {
        let apart: Vec<Vec<Bout>> = (0..60).map(|i| vec![(0, 1, f64::from(u8::from(i % 3 != 0)))]).collect();
        let together: Vec<Vec<Bout>> = (0..6).map(|i| vec![(0, 1, f64::from(u8::from(i % 3 != 0))); 10]).collect();
        let width = |cases: &[Vec<Bout>]| win_rates(2, cases, 3)[0].stderr.unwrap();
        assert!(width(&together) > 2.5 * width(&apart), "{} {}", width(&together), width(&apart));
    }
}
