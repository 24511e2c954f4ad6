//! What a difference comes to: pure functions from figures to a decision, for `compare` and for the gate (contract.md,
//! section 4).
//!
//! Below, "the bad side" of an interval is its lower bound for a metric that is better when higher, and the upper one with
//! its sign turned for one that is better when lower: the worst that may be true.

use super::record::{Decision, Standing};
use crate::stats::{Difference, Direction};

/// What a comparison says: better or worse where the test rejects (`p_adjusted`, after Holm, at most 1 − level), else no
/// worse where the bad side of the interval is above `−margin`, else undecided. A margin of 0 or less gives no "no worse".
#[must_use]
pub fn standing(difference: &Difference, direction: Direction, p_adjusted: Option<f64>, margin: f64) -> Standing {
    match proven(difference, direction, p_adjusted) {
        Some(true) => Standing::Better,
        Some(false) => Standing::Worse,
        None if margin > 0.0 && sides(difference, direction).is_some_and(|[bad, _]| bad > -margin) => Standing::NoWorse,
        None => Standing::Undecided,
    }
}

/// `no_worse_by margin`: pass where the bad side of the interval is above `−margin`, fail where the good side is below it,
/// else undecided. No case that differs passes: nothing became worse.
///
/// Margin 0 (no interval ends there) passes unless a drop is proven by the test. Without an interval, or at margin 0 without a
/// p-value, nothing is decided.
#[must_use]
pub fn no_worse_by(margin: f64, difference: &Difference, direction: Direction, p_adjusted: Option<f64>) -> Decision {
    if difference.identical {
        return Decision::Pass;
    }
    if margin <= 0.0 {
        return match (proven(difference, direction, p_adjusted), p_adjusted) {
            (Some(false), _) => Decision::Fail,
            (_, Some(_)) => Decision::Pass,
            (_, None) => Decision::Undecided,
        };
    }
    match sides(difference, direction) {
        Some([bad, _]) if bad > -margin => Decision::Pass,
        Some([_, good]) if good < -margin => Decision::Fail,
        _ => Decision::Undecided,
    }
}

/// `at_least x`: pass where the value's interval lies at or above `x`, fail where it lies below, else undecided. Without a
/// value or an interval nothing is decided.
#[must_use]
pub fn at_least(x: f64, value: Option<f64>, ci: Option<[f64; 2]>) -> Decision {
    match ci.filter(|_| value.is_some()) {
        Some([low, _]) if low >= x => Decision::Pass,
        Some([_, high]) if high < x => Decision::Fail,
        _ => Decision::Undecided,
    }
}

/// `at_most x`: [`at_least`] mirrored.
#[must_use]
pub fn at_most(x: f64, value: Option<f64>, ci: Option<[f64; 2]>) -> Decision {
    at_least(-x, value.map(|value| -value), ci.map(|[low, high]| [-high, -low]))
}

/// Whether the candidate is proven better (`Some(true)`) or worse.
fn proven(difference: &Difference, direction: Direction, p_adjusted: Option<f64>) -> Option<bool> {
    p_adjusted.filter(|p| difference.rejects(*p))?;
    let gain = difference.difference.map(|d| if direction == Direction::Higher { d } else { -d })?;
    (gain != 0.0).then_some(gain > 0.0)
}

/// The interval as gains: its bad side and its good side.
fn sides(difference: &Difference, direction: Direction) -> Option<[f64; 2]> {
    difference.ci.map(|[low, high]| if direction == Direction::Higher { [low, high] } else { [-high, -low] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{LEVEL, Test, number_difference, of_counts};
    use Direction::{Higher, Lower};

    fn difference(value: f64, ci: Option<[f64; 2]>) -> Difference {
        Difference { n: 100, difference: Some(value), ci, ..Difference::of_nothing(Test::SignFlip, LEVEL) }
    }

    #[test]
    fn the_test_says_better_or_worse_and_the_direction_which() {
        let gain = difference(0.1, Some([0.02, 0.2]));
        assert_eq!(standing(&gain, Higher, Some(0.01), 0.0), Standing::Better);
        assert_eq!(standing(&gain, Lower, Some(0.01), 0.0), Standing::Worse);
        assert_eq!(standing(&gain, Higher, Some(0.05), 0.0), Standing::Better, "the level itself counts");
        assert_eq!(standing(&gain, Higher, Some(0.06), 0.0), Standing::Undecided, "after Holm, say");
        assert_eq!(standing(&gain, Higher, None, 0.0), Standing::Undecided);
    }

    #[test]
    fn no_worse_is_a_bound_strictly_within_the_margin() {
        let small = difference(0.0, Some([-0.02, 0.03]));
        for (direction, margin, wanted) in [
            (Higher, 0.021, Standing::NoWorse),
            (Higher, 0.02, Standing::Undecided),
            (Lower, 0.031, Standing::NoWorse),
            (Lower, 0.03, Standing::Undecided),
            (Higher, 0.0, Standing::Undecided),
        ] {
            assert_eq!(standing(&small, direction, Some(0.9), margin), wanted, "{direction:?} {margin}");
        }
        let gain = difference(0.05, Some([0.01, 0.1]));
        assert_eq!(standing(&gain, Higher, Some(0.2), 0.0), Standing::Undecided, "a margin of 0 is the test's");
    }

    #[test]
    fn no_worse_by_follows_the_contract() {
        let drop = difference(-0.05, Some([-0.1, -0.03]));
        assert_eq!(no_worse_by(0.02, &drop, Higher, Some(0.01)), Decision::Fail);
        assert_eq!(no_worse_by(0.05, &drop, Higher, Some(0.01)), Decision::Undecided);
        assert_eq!(no_worse_by(0.11, &drop, Higher, Some(0.01)), Decision::Pass, "proven, and small enough");
        assert_eq!(no_worse_by(0.02, &drop, Lower, Some(0.01)), Decision::Pass, "less is better");
        assert_eq!(no_worse_by(0.1, &drop, Higher, Some(0.01)), Decision::Undecided, "strictly");
    }

    #[test]
    fn a_margin_of_0_passes_unless_a_drop_is_proven() {
        let drop = difference(-0.05, Some([-0.1, 0.0]));
        assert_eq!(no_worse_by(0.0, &drop, Higher, Some(0.04)), Decision::Fail);
        assert_eq!(no_worse_by(0.0, &drop, Higher, Some(0.06)), Decision::Pass);
        assert_eq!(no_worse_by(0.0, &drop, Lower, Some(0.04)), Decision::Pass);
        assert_eq!(no_worse_by(0.0, &drop, Higher, None), Decision::Undecided);
    }

    #[test]
    fn what_is_identical_passes_and_what_is_unknown_is_undecided() {
        let same = of_counts(9, [0, 0], 20, LEVEL);
        assert_eq!(no_worse_by(0.01, &same, Higher, same.p_value), Decision::Pass);
        assert_eq!(
            standing(&same, Higher, same.p_value, 0.01),
            Standing::Undecided,
            "20 cases leave room for 16 points"
        );
        assert_eq!(standing(&same, Higher, same.p_value, 0.17), Standing::NoWorse);
        let nothing = of_counts(0, [0, 0], 0, LEVEL);
        for margin in [0.0, 0.1] {
            assert_eq!(no_worse_by(margin, &nothing, Higher, None), Decision::Undecided);
        }
        let shifted = number_difference("m", &[(0.5, 0.25); 9], LEVEL);
        assert_eq!(no_worse_by(0.1, &shifted, Higher, shifted.p_value), Decision::Undecided, "no interval");
        assert_eq!(no_worse_by(0.0, &shifted, Higher, shifted.p_value), Decision::Fail);
    }

    #[test]
    fn bounds_on_a_value_are_judged_by_its_interval() {
        let ci = Some([0.6, 0.8]);
        for (x, wanted) in
            [(0.6, Decision::Pass), (0.7, Decision::Undecided), (0.8, Decision::Undecided), (0.81, Decision::Fail)]
        {
            assert_eq!(at_least(x, Some(0.7), ci), wanted, "at least {x}");
        }
        for (x, wanted) in
            [(0.8, Decision::Pass), (0.7, Decision::Undecided), (0.6, Decision::Undecided), (0.59, Decision::Fail)]
        {
            assert_eq!(at_most(x, Some(0.7), ci), wanted, "at most {x}");
        }
        assert_eq!(at_least(0.5, None, ci), Decision::Undecided);
        assert_eq!(at_most(0.5, Some(0.4), None), Decision::Undecided);
    }
}
