//! A probe's groups against each other: does the same case with another name or group fare differently?
//!
//! Only pairs count that both groups were asked and that the scorer could judge on both sides; the others are counted
//! and left out, so that what is left still differs in nothing but the swapped value. What one unit's pairs come to is
//! one observation (see [`crate::store::Unit`]): the test is that of two runs, paired by unit. Holm's correction (1979)
//! spans everything compared within a variant: each metric of each two groups.
//!
//! One metric stands for each scorer, so that the correction is not paid for readings that say the same: accuracy of
//! labels and choices, the Brier score where there are probabilities, the bits per byte of a perplexity.

use crate::stats::{Compared, Difference, LEVEL, MetricKind, MetricSpec, Row, Test, compare, holm};
use crate::store::{ScoreValue, Unit};
use crate::summary::{ProbeRow, RunSummary};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Two groups of a probe, compared within a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeComparison {
    /// The variant.
    pub variant: String,
    /// The swapped variable.
    pub swap: String,
    /// The groups; differences are those of the first less the second.
    pub groups: [String; 2],
    /// What counts as one observation.
    pub unit: Unit,
    /// Pairs of which both sides were asked.
    pub pairs: usize,
    /// Pairs of which only one side was asked, left out.
    pub one_sided: usize,
    /// One for each metric.
    pub differences: Vec<GroupDifference>,
}

/// A metric of one group less that of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupDifference {
    /// `scorer` or `scorer.part`.
    pub metric: String,
    /// The metric of each group.
    pub values: [Option<f64>; 2],
    /// The first less the second.
    pub difference: Option<f64>,
    /// Its interval at `level`.
    pub ci: Option<[f64; 2]>,
    /// Confidence of the interval, and 1 less the level of the test.
    pub level: f64,
    /// Units compared.
    pub n: usize,
    /// Pairs that could not be judged on one side or both, left out.
    pub unscored: usize,
    /// What gave the p-value.
    pub test: Test,
    /// Two-sided.
    pub p_value: Option<f64>,
    /// After Holm.
    pub p_adjusted: Option<f64>,
    /// The smallest difference that so many units show in four of five tries; `None` where none is that large.
    pub minimum_detectable: Option<f64>,
    /// Whether the test says that the groups differ.
    pub told_apart: bool,
}

/// Every two groups of a run's probe, variant by variant; empty for a run that is no probe.
#[must_use]
pub fn probes(run: &RunSummary) -> Vec<ProbeComparison> {
    let Some(probe) = run.probe() else { return Vec::new() };
    let specs = run.specs();
    let mut all = Vec::new();
    for variant in &run.variants {
        let sides: Vec<Vec<ProbeRow>> = probe.groups.iter().map(|group| run.probe_rows(&variant.name, group)).collect();
        let mut own = Vec::new();
        for (first, one) in sides.iter().enumerate() {
            for (second, other) in sides.iter().enumerate().skip(first + 1) {
                let [paired, either] = pairs(one, other);
                own.push(ProbeComparison {
                    variant: variant.name.clone(),
                    swap: probe.swap.clone(),
                    groups: [first, second].map(|at| probe.groups[at].clone()),
                    unit: probe.unit,
                    pairs: paired.len(),
                    one_sided: either.len() - paired.len(),
                    differences: specs.iter().flat_map(|spec| differences(one, other, spec)).collect(),
                });
            }
        }
        corrected(&mut own);
        all.extend(own);
    }
    all
}

/// The pairs that both groups have, and those that either has.
fn pairs<'r>(one: &[ProbeRow<'r>], other: &[ProbeRow<'r>]) -> [BTreeSet<&'r str>; 2] {
    let [one, other] = [one, other].map(|rows| rows.iter().map(|row| row.pair).collect::<BTreeSet<_>>());
    [one.intersection(&other).copied().collect(), one.union(&other).copied().collect()]
}

/// The metrics of one scorer, over the pairs that it judged on both sides.
fn differences(one: &[ProbeRow], other: &[ProbeRow], spec: &MetricSpec) -> Vec<GroupDifference> {
    let [asked, _] = pairs(one, other);
    let [one, other] = [one, other].map(|rows| scored(rows, &spec.name));
    let [judged, _] = pairs(&one, &other);
    let [one, other] = [one, other].map(|mut rows| {
        // Random draws go by the order of the cases, and the record's depends on what was in the cache.
        rows.sort_by_key(|row| row.pair);
        let kept = rows.into_iter().filter(|row| judged.contains(row.pair));
        kept.map(|row| row.row).collect::<Vec<Row>>()
    });
    let names = shown(spec);
    // Groups are compared the first less the second, so the second is what the first is held against.
    let compared = compare(&other, &one, std::slice::from_ref(spec), LEVEL);
    let unscored = asked.len() - judged.len();
    compared.into_iter().filter(|one| names.contains(&one.metric)).map(|one| difference(one, unscored)).collect()
}

fn difference(compared: Compared, unscored: usize) -> GroupDifference {
    let Difference { n, baseline, candidate, difference, ci, level, test, p_value, minimum_detectable, .. } =
        compared.difference;
    GroupDifference {
        metric: compared.metric,
        values: [candidate, baseline],
        difference,
        ci,
        level,
        n,
        unscored,
        test,
        p_value,
        p_adjusted: None,
        minimum_detectable,
        told_apart: false,
    }
}

/// The rows that a scorer could judge.
fn scored<'r>(rows: &[ProbeRow<'r>], scorer: &str) -> Vec<ProbeRow<'r>> {
    let judged = |row: &&ProbeRow| {
        let mut scores = row.row.scores.iter().filter(|score| score.scorer == scorer);
        scores.next().is_some_and(|score| !matches!(score.value, ScoreValue::Unscored(_)))
    };
    rows.iter().filter(judged).copied().collect()
}

/// The metrics of a scorer that groups are compared by.
fn shown(spec: &MetricSpec) -> Vec<String> {
    let parts = |parts: &[&str]| parts.iter().map(|part| format!("{}.{part}", spec.name)).collect();
    match &spec.kind {
        MetricKind::Proportion | MetricKind::Mean | MetricKind::Judge => vec![spec.name.clone()],
        MetricKind::Labels { by_likelihood: false, .. } => parts(&["accuracy"]),
        MetricKind::Labels { by_likelihood: true, .. } => parts(&["accuracy", "brier"]),
        MetricKind::Choice => parts(&["acc", "brier"]),
        MetricKind::Perplexity => parts(&["bits_per_byte"]),
    }
}

/// Corrects the p-values of everything compared within a variant, and says what is told apart.
fn corrected(comparisons: &mut [ProbeComparison]) {
    let mut tested: Vec<&mut GroupDifference> =
        comparisons.iter_mut().flat_map(|comparison| &mut comparison.differences).collect();
    let raw: Vec<Option<f64>> = tested.iter().map(|difference| difference.p_value).collect();
    for (difference, adjusted) in tested.iter_mut().zip(holm(&raw)) {
        difference.p_adjusted = adjusted;
        difference.told_apart = adjusted.is_some_and(|p| p <= 1.0 - difference.level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Score;

    /// What a scorer `exact` says: right, wrong or unscored.
    fn score(pass: Option<bool>) -> [Score; 1] {
        let value = pass.map_or_else(|| ScoreValue::Unscored("too long".into()), ScoreValue::Pass);
        let (answer, explanation, parts) = (Some(String::new()), String::new(), serde_json::Map::new());
        [Score { scorer: "exact".into(), value, answer, explanation, parts }]
    }

    fn exact() -> MetricSpec {
        MetricSpec { name: "exact".into(), kind: MetricKind::Proportion }
    }

    fn row<'a>((unit, pair): (&'a str, &'a str), scores: &'a [Score]) -> ProbeRow<'a> {
        ProbeRow { pair, row: Row { case: unit, scores, truth: Some("x"), cut: false, windows: &[] } }
    }

    const PAIRS: [(&str, &str); 4] = [("u", "1"), ("u", "2"), ("v", "3"), ("v", "4")];

    /// By hand: of the pairs 1 to 4, the second is unscored on one side and the fourth was not asked on the other. Left are
    /// 1 and 3, one a unit.
    #[test]
    fn a_pair_counts_where_both_sides_are_scored() {
        let [right, wrong, unscored] = [Some(true), Some(false), None].map(score);
        let women = [&right, &unscored, &wrong, &right];
        let men = [&wrong, &right, &wrong];
        let women: Vec<ProbeRow> = PAIRS.into_iter().zip(women).map(|(at, scores)| row(at, scores)).collect();
        let men: Vec<ProbeRow> = PAIRS.into_iter().zip(men).map(|(at, scores)| row(at, scores)).collect();
        let [both, either] = pairs(&women, &men);
        assert_eq!((both.len(), either.len()), (3, 4));
        let found = differences(&women, &men, &exact());
        let [exact] = &found[..] else { panic!("{found:?}") };
        assert_eq!((exact.n, exact.unscored, exact.difference), (2, 1, Some(0.5)));
        assert_eq!(exact.values, [Some(0.5), Some(0.0)]);
    }

    #[test]
    fn the_order_of_the_record_changes_nothing() {
        let surprised = |logprob: f64| {
            let parts = [("logprob", logprob), ("tokens", 2.0), ("bytes", 5.0)];
            let parts = parts.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
            let [score] = score(None);
            [Score { value: ScoreValue::Number(2.0), parts, ..score }]
        };
        let names: Vec<String> = (0..14).map(|number| format!("p{number}")).collect();
        let sides = [0.7, 0.5].map(|tilt| (0..14).map(|at| surprised(-1.0 - tilt * f64::from(at * 7 % 5))).collect());
        let [one, other] = sides.each_ref().map(|side: &Vec<[Score; 1]>| {
            names.iter().zip(side).map(|(name, scores)| row((name, name), scores)).collect::<Vec<_>>()
        });
        let [one_back, other_back] = [&one, &other].map(|rows| rows.iter().rev().copied().collect::<Vec<_>>());
        let spec = MetricSpec { name: "exact".into(), kind: MetricKind::Perplexity };
        let found = differences(&one, &other, &spec);
        assert!(found[0].ci.is_some() && found[0].test == Test::Swap, "{found:?}");
        assert_eq!(found, differences(&one_back, &other_back, &spec));
    }

    /// By hand: eight units that differ by 1 have p = 2/2⁸; Holm doubles the smallest of two.
    #[test]
    fn everything_within_a_variant_is_corrected_together() {
        let [right, wrong] = [Some(true), Some(false)].map(score);
        let units = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let side = |scores| units.iter().map(|unit| row((unit, unit), scores)).collect::<Vec<_>>();
        let (women, men) = (side(&right[..]), side(&wrong[..]));
        let comparison = |one: &[ProbeRow], other: &[ProbeRow]| ProbeComparison {
            variant: "v".into(),
            swap: "name".into(),
            groups: ["a".into(), "b".into()],
            unit: Unit::Pair,
            pairs: 8,
            one_sided: 0,
            differences: differences(one, other, &exact()),
        };
        let mut both = [comparison(&women, &men), comparison(&men, &men)];
        corrected(&mut both);
        let p = 2.0 / 256.0;
        let [apart, same] = both.each_ref().map(|comparison| &comparison.differences[0]);
        assert!((apart.p_value.unwrap() - p).abs() < 1e-12 && (apart.p_adjusted.unwrap() - 2.0 * p).abs() < 1e-12);
        assert!(apart.told_apart && !same.told_apart);
        assert_eq!((apart.difference, same.difference), (Some(1.0), Some(0.0)));
    }
}
