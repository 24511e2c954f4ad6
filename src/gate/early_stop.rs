//! What can be said of a rule before the last case is in, while cases are asked in a random order.
//!
//! - **Exact.** Of passes and failures: no outcome of the cases that are left can change what the full run would say of the
//!   rule (that too many of them stay unscored for the suite's `max_unscored` is another matter). It is
//!   enough to look at the corners, where the cases left that are alike (by the baseline's value) all pass, all fail or all
//!   stay unscored: a case that turns from fail to pass moves both bounds one way, and one that is left out moves them
//!   back, so the extremes lie there. A test tries all outcomes of small runs beside it.
//! - **Sequence.** The betting confidence sequence ([`Wager`]) of the values, or of `(candidate − baseline + 1)/2`, lies
//!   on one side of the threshold. It holds at every moment, however often one looks; it speaks of the population that the
//!   cases were drawn from, as the full run's interval does, and may differ from what the full run would have said.
//!
//! At margin 0 the full run passes unless a drop is proven. A sequence cannot foresee that nothing will be proven, so it passes
//! only where the candidate is proven better, and fails where a drop is; every other pass is exact or waits for the end.

use super::decide::{at_least, at_most, no_worse_by};
use super::record::Decision;
use crate::stats::{Direction, Wager, tested_counts, wilson};

/// The rule that is watched. Values are better when higher.
#[derive(Debug, Clone, PartialEq)]
pub enum Watched {
    /// The mean is at least this.
    AtLeast(f64),
    /// The mean is at most this.
    AtMost(f64),
    /// The mean is no worse than the baseline's by more than a margin.
    NoWorse {
        /// The margin.
        margin: f64,
        /// The baseline's value of each case, in the order in which the cases come; `None` is unscored.
        baseline: Vec<Option<f64>>,
    },
}

/// How sure an early decision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// The full run would say the same, whatever is left.
    Exact,
    /// At the rule's confidence.
    Sequence,
}

/// A rule while its cases come in.
///
/// ```
/// use tripos::gate::{Certainty, Decision, Sequential, Watched};
/// let mut rule = Sequential::new(Watched::AtLeast(0.5), 100, 0.95);
/// while rule.decision().is_none() {
///     rule.push(Some(0.0));
/// }
/// assert_eq!(rule.decision(), Some((Decision::Fail, Certainty::Sequence)));
/// assert!(rule.seen() < 30);
/// ```
#[derive(Debug, Clone)]
pub struct Sequential {
    watched: Watched,
    confidence: f64,
    n: usize,
    seen: usize,
    tally: Tally,
    /// Cases left whose baseline fails, and passes; where there is no baseline, the first is all of them.
    left: [usize; 2],
    /// All values so far, the baseline's among them, are 0 or 1.
    binary: bool,
    wager: Option<Wager>,
}

/// Scored cases by baseline (fail, pass) and candidate (fail, pass); without a baseline all are in the first row.
type Tally = [[usize; 2]; 2];

/// What becomes of the cases left whose baseline fails, and passes: the candidate fails all (0), passes all (1), or has none
/// scored. The worst and the best come first, since they differ most often.
const CORNERS: [[Option<usize>; 2]; 9] = [
    [Some(0), Some(0)],
    [Some(1), Some(1)],
    [None, None],
    [Some(0), Some(1)],
    [Some(1), Some(0)],
    [Some(0), None],
    [None, Some(0)],
    [Some(1), None],
    [None, Some(1)],
];

impl Sequential {
    /// A rule on `n` cases at a confidence. A baseline that is longer is cut, and one that is shorter is unscored at its end.
    #[must_use]
    pub fn new(watched: Watched, n: usize, confidence: f64) -> Self {
        let threshold = match &watched {
            Watched::AtLeast(x) | Watched::AtMost(x) => *x,
            Watched::NoWorse { margin, .. } => f64::midpoint(1.0, -margin),
        };
        let (left, binary) = match &watched {
            Watched::NoWorse { baseline, .. } => {
                let scored = || baseline.iter().take(n).flatten();
                let of = |pass: bool| scored().filter(|value| (**value > 0.5) == pass).count();
                ([of(false), of(true)], scored().all(|value| is_binary(*value)))
            }
            _ => ([n, 0], true),
        };
        let wager = Wager::new(threshold, confidence);
        Self { watched, confidence, n, seen: 0, tally: Tally::default(), left, binary, wager }
    }

    /// The same without exact decisions: the full run would treat the values as numbers, as it does where cases are repeated.
    #[must_use]
    pub fn of_numbers(self) -> Self {
        Self { binary: false, ..self }
    }

    /// How many cases came in.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Takes the next case of the random order; `None` is unscored. What comes after the n-th is not counted.
    ///
    /// A value outside [0, 1] (or such a baseline) ends the sequence: nothing is decided any more.
    pub fn push(&mut self, value: Option<f64>) {
        if self.seen >= self.n {
            return;
        }
        let at = self.seen;
        self.seen += 1;
        let baseline = match &self.watched {
            Watched::NoWorse { baseline, .. } => {
                let Some(baseline) = baseline.get(at).copied().flatten() else { return };
                Some(baseline)
            }
            _ => None,
        };
        let group = usize::from(baseline.is_some_and(|value| value > 0.5));
        self.left[group] = self.left[group].saturating_sub(1);
        let Some(value) = value else { return };
        self.binary &= is_binary(value);
        self.tally[group][usize::from(value > 0.5)] += 1;
        let unit = |value: f64| (0.0..=1.0).contains(&value);
        let bet = baseline.map_or(value, |baseline| f64::midpoint(1.0, value - baseline));
        let taken =
            unit(value) && baseline.is_none_or(unit) && self.wager.as_mut().is_some_and(|wager| wager.push(bet));
        if !taken {
            self.wager = None;
        }
    }

    /// What can be said already; `None`: go on.
    #[must_use]
    pub fn decision(&self) -> Option<(Decision, Certainty)> {
        let exact = self.exact().map(|decision| (decision, Certainty::Exact));
        exact.or_else(|| Some((self.by_sequence()?, Certainty::Sequence)))
    }

    fn by_sequence(&self) -> Option<Decision> {
        let wager = self.wager.as_ref()?;
        let (pass, fail) = match &self.watched {
            Watched::AtMost(_) => (wager.below(), wager.above()),
            _ => (wager.above(), wager.below()),
        };
        match (pass, fail) {
            (true, false) => Some(Decision::Pass),
            (false, true) => Some(Decision::Fail),
            // Both is a contradiction, which happens α of the time at most.
            _ => None,
        }
    }

    /// The full run's decision where it is the same at all corners.
    fn exact(&self) -> Option<Decision> {
        self.binary.then_some(())?;
        let mut decisions = CORNERS.iter().map(|corner| self.full(*corner));
        let first = decisions.next()?;
        decisions.all(|decision| decision == first).then_some(first)
    }

    /// What the full run says where the cases left, by the baseline's value, end in these corners.
    fn full(&self, corner: [Option<usize>; 2]) -> Decision {
        let mut tally = self.tally;
        for ((row, left), end) in tally.iter_mut().zip(self.left).zip(corner) {
            if let Some(cell) = end.and_then(|end| row.get_mut(end)) {
                *cell += left;
            }
        }
        decide(&self.watched, tally, self.confidence)
    }
}

/// The full run's rule on passes and failures.
fn decide(watched: &Watched, [of_fails, of_passes]: Tally, confidence: f64) -> Decision {
    let bound = |judge: fn(f64, Option<f64>, Option<[f64; 2]>) -> Decision, x: f64| {
        let [fails, passes] = of_fails;
        let n = fails + passes;
        judge(x, (n > 0).then(|| passes as f64 / n as f64), wilson(passes, n, confidence))
    };
    match watched {
        Watched::AtLeast(x) => bound(at_least, *x),
        Watched::AtMost(x) => bound(at_most, *x),
        Watched::NoWorse { margin, .. } => {
            let ([neither, gained], [lost, both]) = (of_fails, of_passes);
            let n = neither + gained + lost + both;
            let difference = tested_counts(both, [lost, gained], n, confidence);
            no_worse_by(*margin, &difference, Direction::Higher, difference.p_value)
        }
    }
}

fn is_binary(value: f64) -> bool {
    [0.0, 1.0].contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::Rng;
    use std::collections::HashSet;

    fn chance(rng: &mut ChaCha8Rng, p: f64) -> bool {
        f64::from(rng.next_u32()) < p * 4_294_967_296.0
    }

    fn value(rng: &mut ChaCha8Rng, p: f64) -> f64 {
        f64::from(u8::from(chance(rng, p)))
    }

    /// The decisions of all ways in which the cases left can end.
    fn all_outcomes(rule: &Sequential) -> HashSet<&'static str> {
        let name = |decision| match decision {
            Decision::Pass => "pass",
            Decision::Fail => "fail",
            Decision::Undecided => "undecided",
        };
        let [fails, passes] = rule.left;
        let mut found = HashSet::new();
        for (fail_fails, fail_passes) in (0..=fails).flat_map(|a| (0..=fails - a).map(move |b| (a, b))) {
            for (pass_fails, pass_passes) in (0..=passes).flat_map(|a| (0..=passes - a).map(move |b| (a, b))) {
                let [[a, b], [c, d]] = rule.tally;
                let tally = [[a + fail_fails, b + fail_passes], [c + pass_fails, d + pass_passes]];
                found.insert(name(decide(&rule.watched, tally, rule.confidence)));
            }
        }
        found
    }

    /// 120 random runs of each rule, asked after every case.
    #[test]
    fn corners_say_what_all_outcomes_say() {
        let mut rng = seed::rng(seed::key(1, &["corners"]));
        let mut decided = 0;
        for run in 0..120 {
            let n = 4 + run % 12;
            let p = f64::from(rng.next_u32()) / f64::from(u32::MAX);
            let baseline: Vec<Option<f64>> =
                (0..n).map(|_| (!chance(&mut rng, 0.1)).then(|| value(&mut rng, 0.6))).collect();
            let no_worse = |margin| Watched::NoWorse { margin, baseline: baseline.clone() };
            let rules = [Watched::AtLeast(0.6), Watched::AtMost(0.4), no_worse(0.0), no_worse(0.1), no_worse(0.3)];
            let outcomes: Vec<Option<f64>> =
                (0..n).map(|_| (!chance(&mut rng, 0.1)).then(|| value(&mut rng, p))).collect();
            for (watched, confidence) in rules.into_iter().zip([0.95, 0.9, 0.8, 0.5, 0.7]) {
                let mut rule = Sequential::new(watched, n, confidence);
                for outcome in &outcomes {
                    let all = all_outcomes(&rule);
                    assert_eq!(rule.exact().is_some(), all.len() == 1, "{rule:?} {all:?}");
                    decided += usize::from(rule.exact().is_some());
                    rule.push(*outcome);
                }
                assert!(rule.exact().is_some(), "nothing is left");
                assert_eq!(rule.left, [0, 0]);
            }
        }
        assert!(decided > 1_000, "the test is about something: {decided}");
    }

    #[test]
    fn the_end_is_what_the_full_run_says() {
        let passes =
            |rule: &mut Sequential, count: usize| (0..10).for_each(|i| rule.push(Some(f64::from(u8::from(i < count)))));
        let mut rule = Sequential::new(Watched::AtLeast(0.5), 10, 0.95);
        passes(&mut rule, 9);
        assert_eq!(rule.decision(), Some((at_least(0.5, Some(0.9), wilson(9, 10, 0.95)), Certainty::Exact)));
        let watched = Watched::NoWorse { margin: 0.0, baseline: vec![Some(1.0); 10] };
        let mut rule = Sequential::new(watched, 10, 0.95);
        passes(&mut rule, 4);
        assert_eq!(rule.decision(), Some((Decision::Fail, Certainty::Exact)), "0 and 6 discordant: p is 0.031");
        rule.push(Some(1.0));
        assert_eq!(rule.seen(), 10, "the eleventh of ten");
    }

    #[test]
    fn a_baseline_that_could_not_be_beaten_or_missed_is_decided_at_once() {
        let none = Watched::NoWorse { margin: 0.0, baseline: vec![None; 50] };
        assert_eq!(Sequential::new(none, 50, 0.95).decision(), Some((Decision::Undecided, Certainty::Exact)));
        let failing = Watched::NoWorse { margin: 0.0, baseline: vec![Some(0.0); 50] };
        let rule = Sequential::new(failing, 50, 0.95);
        assert_eq!(rule.decision(), None, "none of them may be scored, and nothing is then decided");
        let mut rule = rule;
        rule.push(Some(0.0));
        assert_eq!(rule.decision(), Some((Decision::Pass, Certainty::Exact)), "there is nothing to lose");
    }

    #[test]
    fn numbers_are_decided_by_the_sequence_only_and_out_of_bounds_by_nothing() {
        let mut rule = Sequential::new(Watched::AtMost(0.3), 1_000, 0.95);
        (0..300).for_each(|_| rule.push(Some(0.6)));
        assert_eq!(rule.decision(), Some((Decision::Fail, Certainty::Sequence)));
        rule.push(Some(1.5));
        assert_eq!(rule.decision(), None);
        let watched = Watched::NoWorse { margin: 0.1, baseline: vec![Some(0.5); 400] };
        let mut rule = Sequential::new(watched, 400, 0.95);
        (0..400).for_each(|i| rule.push((i % 7 > 0).then_some(0.55)));
        assert_eq!(rule.decision(), Some((Decision::Pass, Certainty::Sequence)));
    }

    /// One sequential run to its decision: what, how sure, and after how many cases.
    fn run(watched: Watched, outcomes: &[f64]) -> (Decision, Certainty, usize) {
        let mut rule = Sequential::new(watched, outcomes.len(), 0.95);
        for outcome in outcomes {
            rule.push(Some(*outcome));
            if let Some((decision, certainty)) = rule.decision() {
                return (decision, certainty, rule.seen());
            }
        }
        panic!("the end decides")
    }

    /// Of 2,000 runs, those that passed and those that failed: [by the sequence, in all].
    fn decided(draw: impl Fn(&mut ChaCha8Rng) -> (Watched, Vec<f64>)) -> [[usize; 2]; 2] {
        let mut rng = seed::rng(seed::key(2, &["early stop"]));
        let mut counts = [[0; 2]; 2];
        for _ in 0..2_000 {
            let (watched, outcomes) = draw(&mut rng);
            let (decision, certainty, _) = run(watched, &outcomes);
            for (count, counted) in counts.iter_mut().zip([Decision::Pass, Decision::Fail]) {
                count[0] += usize::from(decision == counted && certainty == Certainty::Sequence);
                count[1] += usize::from(decision == counted);
            }
        }
        counts
    }

    const MOST_ALARMS: usize = 100;

    #[test]
    fn a_value_at_the_threshold_fails_no_more_often_than_the_level_says() {
        let draw = |rng: &mut ChaCha8Rng| (Watched::AtLeast(0.7), (0..200).map(|_| value(rng, 0.7)).collect());
        let [_, fails] = decided(draw);
        eprintln!("early stop, a value at the threshold: {fails:?} of 2,000 failed (by the sequence, in all)");
        assert!(fails.iter().all(|count| *count <= MOST_ALARMS), "{fails:?}");
    }

    /// A drop of exactly the margin: neither "no worse" nor "worse" is right.
    #[test]
    fn a_drop_of_the_margin_is_neither_passed_nor_failed_more_often_than_the_level_says() {
        let [passes, fails] = decided(|rng| {
            // 10 % lost, 5 % gained: a drop of 5 points.
            let kinds: Vec<u32> = (0..200).map(|_| rng.next_u32() % 100).collect();
            let baseline = kinds.iter().map(|kind| Some(f64::from(u8::from(*kind < 60)))).collect();
            let outcomes = kinds.iter().map(|kind| f64::from(u8::from((10..60).contains(kind) || *kind >= 95)));
            (Watched::NoWorse { margin: 0.05, baseline }, outcomes.collect())
        });
        eprintln!(
            "early stop, a drop of the margin: {passes:?} of 2,000 passed, {fails:?} failed (by the sequence, in all)"
        );
        assert!(passes.iter().chain(&fails).all(|count| *count <= MOST_ALARMS), "{passes:?} {fails:?}");
    }

    #[test]
    fn peeking_at_a_fixed_interval_is_caught_by_the_same_count() {
        let mut rng = seed::rng(seed::key(2, &["early stop"]));
        let mut wrong = 0;
        for _ in 0..2_000 {
            let mut passes = 0;
            wrong += usize::from((1..=200).any(|n| {
                passes += usize::from(chance(&mut rng, 0.7));
                n >= 20 && at_least(0.7, Some(passes as f64 / n as f64), wilson(passes, n, 0.95)) == Decision::Fail
            }));
        }
        eprintln!("early stop, the control: {wrong} of 2,000 failed by peeking");
        assert!(wrong > MOST_ALARMS, "{wrong}");
    }

    #[test]
    fn a_planted_drop_stops_the_run_early() {
        let mut rng = seed::rng(seed::key(3, &["early stop"]));
        let mut seen = Vec::new();
        for _ in 0..200 {
            let outcomes: Vec<f64> = (0..500).map(|_| value(&mut rng, 0.5)).collect();
            let (decision, _, after) = run(Watched::AtLeast(0.7), &outcomes);
            assert_eq!(decision, Decision::Fail);
            seen.push(after);
        }
        seen.sort_unstable();
        eprintln!("early stop, a drop of 20 points in 500 cases: half of the runs stop within {}", seen[100]);
        assert!(seen[100] < 150, "half of the runs stop within {}", seen[100]);
    }
}
