//! Two variants, compared metric by metric over the cases that both were asked.
//!
//! Adjustment is Holm's, over the metrics of one pair of variants; what people look at first (accuracy and macro F1 of a
//! label scorer, say) is one family, the many details behind it another, so that they cannot drown it.

use super::decide::standing;
use super::record::{Comparison, Flip, Side};
use super::sheet::Sheet;
use crate::stats::{Compared, Direction, MetricSpec, holm};
use serde_json::Value;

/// How variants are compared.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// What the values of the scorers are.
    pub specs: &'a [MetricSpec],
    /// Confidence of the intervals; the tests' level is 1 less it.
    pub level: f64,
    /// How much worse is not worse yet.
    pub margin: f64,
    /// Whether a metric is among the first that people look at.
    pub headline: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for How<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("How").field("level", &self.level).field("margin", &self.margin).finish_non_exhaustive()
    }
}

/// Every metric of two variants. Cases that ask something else under the same id are left out and named; no common case
/// gives comparisons of nothing.
#[must_use]
pub fn compare(baseline: &Sheet, candidate: &Sheet, how: &How) -> Vec<Comparison> {
    let changed = baseline.changed(candidate);
    let (before, after) = (baseline.without(&changed), candidate.without(&changed));
    let compared = crate::stats::compare(&before.rows, &after.rows, how.specs, how.level);
    let adjusted = adjusted(&compared, how.headline);
    let (only_baseline, only_candidate) = (baseline.only(candidate), candidate.only(baseline));
    let sides = (baseline, candidate);
    let one = |(compared, p_adjusted): (Compared, Option<f64>)| Comparison {
        changed: changed.clone(),
        only_baseline: only_baseline.clone(),
        only_candidate: only_candidate.clone(),
        ..comparison(sides, compared, p_adjusted, how.margin)
    };
    compared.into_iter().zip(adjusted).map(one).collect()
}

/// One metric's comparison, without the cases that were not paired.
pub(super) fn comparison(
    (baseline, candidate): (&Sheet, &Sheet),
    compared: Compared,
    p_adjusted: Option<f64>,
    margin: f64,
) -> Comparison {
    let difference = &compared.difference;
    let side = |sheet: &Sheet, value| Side { run: sheet.run.clone(), variant: sheet.variant.clone(), value };
    Comparison {
        direction: compared.direction,
        baseline: side(baseline, difference.baseline),
        candidate: side(candidate, difference.candidate),
        n: difference.n,
        discordant: difference.discordant,
        difference: difference.difference,
        ci: difference.ci,
        level: difference.level,
        test: difference.test,
        p_value: difference.p_value,
        p_adjusted,
        minimum_detectable: difference.minimum_detectable,
        cases_for_three_points: difference.cases_for_three_points,
        verdict: standing(difference, compared.direction, p_adjusted, margin),
        flipped: flipped(&compared),
        only_baseline: Vec::new(),
        only_candidate: Vec::new(),
        unscored: compared.unscored.iter().map(|&case| case.to_owned()).collect(),
        changed: Vec::new(),
        metric: compared.metric,
    }
}

/// Holm's p-values within the headlines and within the others; `None` where there is no test.
pub(super) fn adjusted(compared: &[Compared], headline: &dyn Fn(&str) -> bool) -> Vec<Option<f64>> {
    let family = |wanted: bool| {
        let of = |one: &Compared| one.difference.p_value.filter(|_| headline(&one.metric) == wanted);
        holm(&compared.iter().map(of).collect::<Vec<_>>())
    };
    family(true).into_iter().zip(family(false)).map(|(first, other)| first.or(other)).collect()
}

/// The cases whose value changed, the worst first, equals by their id.
fn flipped(compared: &Compared) -> Vec<Flip> {
    let gain = |from: f64, to: f64| match compared.direction {
        Direction::Higher => to - from,
        Direction::Lower => from - to,
    };
    let shown = |value: f64| if compared.passes { Value::from(value > 0.5) } else { Value::from(value) };
    let mut changed: Vec<_> =
        compared.values.iter().filter(|(_, from, to)| from.total_cmp(to) != std::cmp::Ordering::Equal).collect();
    changed.sort_by(|(one, a, b), (other, c, d)| gain(*a, *b).total_cmp(&gain(*c, *d)).then(one.cmp(other)));
    changed
        .into_iter()
        .map(|(case, from, to)| Flip { case: (*case).to_owned(), from: shown(*from), to: shown(*to) })
        .collect()
}
