//! Two sides, case by case: the paired twin of [`metrics_of`](super::metrics_of), with its names, order and rules of who
//! is counted where.

use super::aggregate::{Aggregate, CasePair};
use super::calibration::{Forecast, error};
use super::classification::{Classification, Tally, tally};
use super::labels::{Judged, Whole, names, values, wholes};
use super::metric::Direction;
use super::of_scorer::{self, Part, Trial};
use super::paired::{Difference, aggregate_differences, number_difference, pass_difference};
use super::perplexity::{Surprise, ratios};
use super::summary::{MetricSpec, Row};
use std::collections::HashMap;

/// One metric of two sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared<'a> {
    /// `scorer` or `scorer.part`.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
    /// What the cases say.
    pub difference: Difference,
    /// Of metrics that are a mean over cases: each case, the baseline's value and the candidate's. Empty for aggregates.
    pub values: Vec<(&'a str, f64, f64)>,
    /// Those values are passes (1) and failures (0), one a case.
    pub passes: bool,
    /// Cases that both sides were asked and one only has scored.
    pub unscored: Vec<&'a str>,
}

/// The metrics of all specs over the cases that both sides have, in the order of `metrics_of`.
///
/// Rows are paired by their case. A metric that is a mean over cases takes the mean of a case's repeats on each side; where
/// each case has one value a side and all are 0 or 1, they are passes ([`pass_difference`]), else numbers
/// ([`number_difference`]). Of the label metrics, those are accuracy, the recalls, and micro precision and F1 where every
/// answer was understood; the others, calibration error and perplexities are aggregates ([`aggregate_differences`]): whole
/// cases are drawn and swapped. Two recordings of one long text are compared by its windows where they were cut alike.
/// A case with no value of a metric on either side does not count there. A metric that one side lacks altogether (`acc_mi` of
/// a model that cannot give it) has no values and all cases unscored. Random draws are keyed by the metric's name.
///
/// ```
/// use tripos::score::{Score, ScoreValue};
/// use tripos::stats::{MetricKind, MetricSpec, Row, compare};
/// let score = |pass| [Score {
///     scorer: "exact".into(), value: ScoreValue::Pass(pass), answer: None, explanation: String::new(), parts: Default::default(),
/// }];
/// let (right, wrong) = (score(true), score(false));
/// let row = |case, scores| Row { case, scores, truth: None, cut: false, windows: &[] };
/// let spec = MetricSpec { name: "exact".into(), kind: MetricKind::Proportion };
/// let compared = compare(&[row("a", &right), row("b", &right)], &[row("b", &wrong), row("c", &right)], &[spec], 0.95);
/// assert_eq!(compared[0].values, [("b", 1.0, 0.0)]);
/// assert_eq!(compared[0].difference.discordant, Some([1, 0]));
/// ```
#[must_use]
pub fn compare<'a>(baseline: &[Row<'a>], candidate: &[Row<'a>], specs: &[MetricSpec], level: f64) -> Vec<Compared<'a>> {
    let cases = common(baseline, candidate);
    let numbers: HashMap<&str, usize> = cases.iter().enumerate().map(|(number, case)| (*case, number)).collect();
    let mut compared = Vec::new();
    for spec in specs {
        let sides = [baseline, candidate].map(|rows| {
            let trial = |row| Some(Trial::of(row, *numbers.get(row.case)?, &spec.name));
            rows.iter().filter_map(trial).collect::<Vec<Trial<'_>>>()
        });
        let both = Both { spec, cases: &cases, sides: &sides, level };
        for part in of_scorer::parts(spec, &sides.concat()) {
            match part {
                Part::Mean(measure) => {
                    let value = |trial: &Trial<'_>| Some((trial.case, measure.value(trial)?));
                    let values = sides.each_ref().map(|trials| trials.iter().filter_map(value).collect());
                    compared.push(both.by_case(measure.name.clone(), measure.direction, values));
                }
                Part::Labels(labels) => compared.extend(both.labels(labels)),
                Part::Calibration => compared.extend(both.calibration()),
                Part::Corpus => compared.extend(both.corpus()),
            }
        }
    }
    compared
}

/// The cases of both sides, in the baseline's order.
fn common<'a>(baseline: &[Row<'a>], candidate: &[Row<'a>]) -> Vec<&'a str> {
    let mut of_candidate: HashMap<&str, bool> = candidate.iter().map(|row| (row.case, true)).collect();
    // Each is taken once.
    let first = |row: &&Row<'a>| of_candidate.get_mut(row.case).is_some_and(std::mem::take);
    baseline.iter().filter(first).map(|row| row.case).collect()
}

/// One scorer's trials on both sides, of the cases in common.
struct Both<'t, 'a> {
    spec: &'t MetricSpec,
    cases: &'t [&'a str],
    sides: &'t [Vec<Trial<'t>>; 2],
    level: f64,
}

impl<'a> Both<'_, 'a> {
    /// A mean over cases, of each side's values with the numbers of their cases.
    fn by_case(&self, metric: String, direction: Direction, sides: [Vec<(usize, f64)>; 2]) -> Compared<'a> {
        let [baseline, candidate] = sides.map(|values| averages(self.cases.len(), &values));
        let (mut values, mut unscored, mut repeated) = (Vec::new(), Vec::new(), false);
        for (case, sides) in self.cases.iter().zip(baseline.into_iter().zip(candidate)) {
            match sides {
                (Some((baseline, one)), Some((candidate, other))) => {
                    values.push((*case, baseline, candidate));
                    repeated |= one + other > 2;
                }
                (None, None) => {}
                _ => unscored.push(*case),
            }
        }
        let binary = |value: &f64| [0.0, 1.0].contains(value);
        let passes = !repeated && values.iter().all(|(_, one, other)| binary(one) && binary(other));
        let difference = if passes {
            let pairs: Vec<(bool, bool)> = values.iter().map(|(_, one, other)| (*one > 0.5, *other > 0.5)).collect();
            pass_difference(&pairs, self.level)
        } else {
            let pairs: Vec<(f64, f64)> = values.iter().map(|(_, one, other)| (*one, *other)).collect();
            number_difference(&metric, &pairs, self.level)
        };
        Compared { metric, direction, difference, values, passes, unscored }
    }

    /// Metrics of all cases together, of each side's items with the numbers of their cases.
    fn together<A: Aggregate>(
        &self,
        aggregate: &A,
        sides: [Vec<(usize, A::Item)>; 2],
        named: Vec<(String, Direction)>,
    ) -> Vec<Compared<'a>> {
        let [baseline, candidate] = sides.map(|items| grouped(self.cases.len(), items));
        let (mut pairs, mut unscored): (Vec<CasePair<'_, A::Item>>, _) = (Vec::new(), Vec::new());
        for (case, (one, other)) in self.cases.iter().zip(baseline.iter().zip(&candidate)) {
            match (one.is_empty(), other.is_empty()) {
                (false, false) => pairs.push([one, other]),
                (true, true) => {}
                _ => unscored.push(*case),
            }
        }
        let differences = aggregate_differences(&self.spec.name, aggregate, &pairs, self.level);
        let compared = |((metric, direction), difference)| Compared {
            metric,
            direction,
            difference,
            values: Vec::new(),
            passes: false,
            unscored: unscored.clone(),
        };
        named.into_iter().zip(differences).map(compared).collect()
    }

    fn labels(&self, labels: &[String]) -> Vec<Compared<'a>> {
        let judged = self
            .sides
            .each_ref()
            .map(|trials| trials.iter().filter_map(|trial| of_scorer::judged(trial, labels)).collect::<Vec<Judged>>());
        let named: Vec<(String, Direction)> =
            names(labels).iter().map(|part| (format!("{}.{part}", self.spec.name), Direction::Higher)).collect();
        let items = judged.each_ref().map(|side| side.iter().map(|one| (one.case, *one)).collect());
        let mut compared = self.together(&OfLabels(labels.len()), items, named);
        for (one, whole) in compared.iter_mut().zip(wholes(labels.len(), &judged.concat())) {
            // Both sides were asked the same of these: the case has a value of its own on each.
            let Some(whole @ (Whole::All | Whole::Truly(_))) = whole else { continue };
            let right = |one: &Judged| (one.case, f64::from(u8::from(one.predicted == Some(one.truth))));
            let values = |side: &Vec<Judged>| side.iter().filter(|one| whole.holds(one)).map(right).collect();
            *one = self.by_case(one.metric.clone(), one.direction, judged.each_ref().map(values));
        }
        compared
    }

    fn calibration(&self) -> Vec<Compared<'a>> {
        let items = self.sides.each_ref().map(|trials| {
            of_scorer::forecasts(self.spec, trials).into_iter().map(|forecast| (forecast.case, forecast)).collect()
        });
        self.together(&OfForecasts, items, vec![(format!("{}.ece", self.spec.name), Direction::Lower)])
    }

    fn corpus(&self) -> Vec<Compared<'a>> {
        let name = &self.spec.name;
        let named = || vec![(name.clone(), Direction::Lower), (format!("{name}.bits_per_byte"), Direction::Lower)];
        let Some([baseline, candidate]) = self.windows() else {
            return self.together(&OfTexts, self.sides.each_ref().map(|trials| of_scorer::surprises(trials)), named());
        };
        let pairs: Vec<CasePair<'_, Surprise>> =
            baseline.chunks(1).zip(candidate.chunks(1)).map(|(one, other)| [one, other]).collect();
        let differences = aggregate_differences(name, &OfTexts, &pairs, self.level);
        let compared = |((metric, direction), difference): (_, Difference)| Compared {
            metric,
            direction,
            difference: Difference { n: 1, ..difference },
            values: Vec::new(),
            passes: false,
            unscored: Vec::new(),
        };
        named().into_iter().zip(differences).map(compared).collect()
    }

    /// The windows of one long text on both sides, where they are of the same bytes.
    fn windows(&self) -> Option<[Vec<Surprise>; 2]> {
        let [[baseline], [candidate]] = self.sides.each_ref().map(Vec::as_slice) else { return None };
        let windows = [baseline, candidate]
            .map(|trial| -> Vec<Surprise> { trial.row.windows.iter().map(of_scorer::surprise).collect() });
        let [one, other] = windows.each_ref().map(|side| side.iter().map(|window| window.bytes));
        (windows[0].len() > 1 && one.eq(other)).then_some(windows)
    }
}

/// Each case's mean and number of values; `None` without a value.
fn averages(cases: usize, values: &[(usize, f64)]) -> Vec<Option<(f64, usize)>> {
    let mut sums = vec![(0.0, 0_usize); cases];
    for (case, value) in values {
        if let Some((sum, count)) = sums.get_mut(*case) {
            *sum += value;
            *count += 1;
        }
    }
    sums.into_iter().map(|(sum, count)| (count > 0).then(|| (sum / count as f64, count))).collect()
}

/// The items of each case.
fn grouped<T>(cases: usize, items: Vec<(usize, T)>) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = std::iter::repeat_with(Vec::new).take(cases).collect();
    for (case, item) in items {
        if let Some(group) = groups.get_mut(case) {
            group.push(item);
        }
    }
    groups
}

/// The metrics of so many labels, resampled within the true ones.
pub(super) struct OfLabels(pub(super) usize);

impl Aggregate for OfLabels {
    type Item = Judged;

    fn values<'a>(&self, items: impl Iterator<Item = &'a Judged>) -> Vec<f64> {
        let mut tallies = vec![Tally::default(); self.0];
        for one in items {
            tally(&mut tallies, one.truth, one.predicted, 1);
        }
        values(&Classification::of(&tallies))
    }

    fn stratum(&self, one: &Judged) -> usize {
        one.truth
    }
}

/// The expected calibration error.
pub(super) struct OfForecasts;

impl Aggregate for OfForecasts {
    type Item = Forecast;

    fn values<'a>(&self, items: impl Iterator<Item = &'a Forecast>) -> Vec<f64> {
        vec![error(items)]
    }
}

/// Perplexity and bits per byte.
pub(super) struct OfTexts;

impl Aggregate for OfTexts {
    type Item = Surprise;

    fn values<'a>(&self, items: impl Iterator<Item = &'a Surprise>) -> Vec<f64> {
        ratios(items).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{Likelihood, Score, ScoreValue};
    use crate::stats::{LEVEL, MetricKind, Test, metrics_of};
    use serde_json::{Value, json};

    /// A small deterministic number.
    fn draw(case: usize, side: usize, most: usize) -> usize {
        (case * 37 + side * 53 + case * case * 11 * (side + 1)) % 101 % most
    }

    fn score(value: ScoreValue, parts: Value) -> Vec<Score> {
        let Value::Object(parts) = parts else { panic!("parts are an object") };
        vec![Score { scorer: "s".into(), value, answer: Some("x".into()), explanation: String::new(), parts }]
    }

    fn pass(pass: bool) -> Vec<Score> {
        score(ScoreValue::Pass(pass), json!({}))
    }

    fn label(case: usize, side: usize) -> Vec<Score> {
        let text = ["yes", "no", "maybe"][if draw(case, side, 5) < 3 { case % 2 } else { draw(case, side, 3) }];
        let confidence = 0.3 + draw(case, side, 7) as f64 / 10.0;
        score(ScoreValue::Label(text.into()), json!({"confidence": confidence, "brier": confidence / 2.0}))
    }

    fn choice(case: usize, side: usize) -> Vec<Score> {
        let confidence = 0.2 + draw(case, side, 8) as f64 / 10.0;
        let parts =
            json!({"acc_norm": f64::from(u8::from(draw(case, side, 3) == 0)), "brier": 0.3, "confidence": confidence});
        score(ScoreValue::Pass(draw(case, side, 2) == 0), parts)
    }

    fn text(case: usize, side: usize) -> Vec<Score> {
        let parts = json!({"logprob": -5.0 - draw(case, side, 9) as f64, "tokens": 5 + case % 3, "bytes": 20});
        score(ScoreValue::Number(1.0), parts)
    }

    fn judged(case: usize, side: usize) -> Vec<Score> {
        score(ScoreValue::Number(draw(case, side, 5) as f64 / 4.0), json!({"position_bias": draw(case, side, 2)}))
    }

    /// A kind, and the scores that it makes of a case on a side.
    type Made = (MetricKind, fn(usize, usize) -> Vec<Score>);

    fn kinds() -> [Made; 6] {
        let labels = MetricKind::Labels { labels: vec!["yes".into(), "no".into()], by_likelihood: true };
        [
            (MetricKind::Proportion, |case, side| pass(draw(case, side, 3) > 0)),
            (MetricKind::Mean, |case, side| {
                score(ScoreValue::Number(draw(case, side, 10) as f64 / 10.0), json!({"seconds": draw(case, side, 4)}))
            }),
            (labels, label),
            (MetricKind::Choice, choice),
            (MetricKind::Perplexity, text),
            (MetricKind::Judge, judged),
        ]
    }

    fn ids(n: usize) -> Vec<String> {
        (0..n).map(|case| format!("c-{case}")).collect()
    }

    fn rows<'a>(ids: &'a [String], scores: &'a [Vec<Score>]) -> Vec<Row<'a>> {
        let truth = |case: usize| Some(["yes", "no"][case % 2]);
        let row = |(case, (id, scores)): (usize, (&'a String, &'a Vec<Score>))| Row {
            case: id,
            scores,
            truth: truth(case),
            cut: false,
            windows: &[],
        };
        ids.iter().zip(scores).enumerate().map(row).collect()
    }

    fn spec(kind: MetricKind) -> [MetricSpec; 1] {
        [MetricSpec { name: "s".into(), kind }]
    }

    #[test]
    fn has_the_names_directions_order_and_values_of_each_sides_own_metrics() {
        let ids = ids(60);
        for (kind, made) in kinds() {
            let scores = [0, 1].map(|side| (0..60).map(|case| made(case, side)).collect::<Vec<_>>());
            let sides = scores.each_ref().map(|scores| rows(&ids, scores));
            let spec = spec(kind);
            let compared = compare(&sides[0], &sides[1], &spec, LEVEL);
            let own = sides.each_ref().map(|rows| metrics_of(rows, &spec).metrics);
            assert_eq!(compared.len(), own[0].len());
            for ((one, baseline), candidate) in compared.iter().zip(&own[0]).zip(&own[1]) {
                assert_eq!((&one.metric, one.direction), (&baseline.name, baseline.direction));
                let near = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 1e-12;
                let difference = &one.difference;
                assert!(
                    near(difference.baseline, baseline.value) && near(difference.candidate, candidate.value),
                    "{one:?}"
                );
                assert!(difference.n <= 60 && difference.p_value.is_some() && one.unscored.is_empty(), "{one:?}");
                assert!(one.passes == (difference.test == Test::McnemarExact));
                assert!(one.values.is_empty() == (difference.test == Test::Swap));
            }
        }
    }

    #[test]
    fn each_label_metric_has_the_test_of_what_it_is() {
        let ids = ids(60);
        let scores = [0, 1].map(|side| (0..60).map(|case| label(case, side)).collect::<Vec<_>>());
        let [(_, _), (_, _), (kind, _), ..] = kinds();
        let compared = compare(&rows(&ids, &scores[0]), &rows(&ids, &scores[1]), &spec(kind), LEVEL);
        let of = |name: &str| compared.iter().find(|one| one.metric == name).unwrap();
        for (name, test, n) in [
            ("s.accuracy", Test::McnemarExact, 60),
            ("s.recall_micro", Test::McnemarExact, 60),
            ("s.recall.yes", Test::McnemarExact, 30),
            ("s.f1_micro", Test::Swap, 60),
            ("s.precision.yes", Test::Swap, 60),
            ("s.f1_macro", Test::Swap, 60),
            ("s.brier", Test::SignFlip, 60),
            ("s.ece", Test::Swap, 60),
        ] {
            let one = &of(name).difference;
            assert_eq!((one.test, one.n), (test, n), "{name}");
            assert!(one.ci.is_some_and(|[low, high]| low < high), "{name} {one:?}");
        }
    }

    #[test]
    fn pairs_by_case_whatever_the_order_and_names_what_one_side_lacks() {
        let (good, bad, none) = (pass(true), pass(false), score(ScoreValue::Unscored("late".into()), json!({})));
        let row = |case, scores| Row { case, scores, truth: None, cut: false, windows: &[] };
        let baseline =
            [row("a", &good), row("b", &good), row("c", &none), row("only", &good), row("d", &bad), row("e", &none)];
        let candidate =
            [row("d", &good), row("c", &good), row("new", &bad), row("b", &bad), row("a", &good), row("e", &none)];
        let compared = compare(&baseline, &candidate, &spec(MetricKind::Proportion), LEVEL);
        let [one] = &compared[..] else { panic!("{compared:?}") };
        assert_eq!(one.values, [("a", 1.0, 1.0), ("b", 1.0, 0.0), ("d", 0.0, 1.0)]);
        assert_eq!(one.unscored, ["c"], "e counts on neither side");
        assert_eq!((one.difference.n, one.difference.discordant), (3, Some([1, 1])));
    }

    #[test]
    fn repeats_are_averaged_and_are_numbers_then() {
        let (good, bad) = (pass(true), pass(false));
        let row = |case, scores| Row { case, scores, truth: None, cut: false, windows: &[] };
        let baseline = [row("a", &good), row("b", &bad), row("a", &bad), row("b", &bad)];
        let candidate = [row("a", &good), row("a", &good), row("b", &good)];
        let compared = compare(&baseline, &candidate, &spec(MetricKind::Proportion), LEVEL);
        assert_eq!(compared[0].values, [("a", 0.5, 1.0), ("b", 0.0, 1.0)]);
        assert_eq!((compared[0].passes, compared[0].difference.test), (false, Test::SignFlip));
    }

    #[test]
    fn a_run_compared_with_itself_is_identical_in_every_metric() {
        let ids = ids(40);
        for (kind, made) in kinds() {
            let scores: Vec<_> = (0..40).map(|case| made(case, 0)).collect();
            let rows = rows(&ids, &scores);
            for one in compare(&rows, &rows, &spec(kind), LEVEL) {
                assert!(one.difference.identical && one.difference.p_value == Some(1.0), "{one:?}");
                assert_eq!(one.difference.difference, Some(0.0));
            }
        }
    }

    #[test]
    fn sides_without_a_case_in_common_give_every_name_and_no_value() {
        let (one, other) = (ids(3), vec!["x".to_owned()]);
        for (kind, made) in kinds() {
            let scores: Vec<_> = (0..3).map(|case| made(case, 0)).collect();
            let compared = compare(&rows(&one, &scores), &rows(&other, &scores), &spec(kind), LEVEL);
            assert!(!compared.is_empty());
            for one in compared {
                assert!(
                    one.difference.n == 0 && one.difference.p_value.is_none() && !one.difference.identical,
                    "{one:?}"
                );
            }
        }
    }

    #[test]
    fn one_long_text_is_compared_by_its_windows_where_they_are_cut_alike() {
        let window =
            |logprob: f64, bytes| Likelihood { text: String::new(), logprob, tokens: 2, bytes, unconditional: None };
        let one: Vec<_> = (0..12).map(|i| window(-3.0 - f64::from(i % 4), 4)).collect();
        let other: Vec<_> = (0..12).map(|i| window(-3.5 - f64::from(i % 4), 4)).collect();
        let sum = |windows: &[Likelihood]| windows.iter().map(|w| w.logprob).sum::<f64>();
        let scores = [&one, &other]
            .map(|w| score(ScoreValue::Number(1.0), json!({"logprob": sum(w), "tokens": 24, "bytes": 48})));
        let run = |other: &[Likelihood]| {
            let row = |scores, windows| Row { case: "book", scores, truth: None, cut: false, windows };
            let sides = [row(&scores[0], &one), row(&scores[1], other)];
            compare(&sides[..1], &sides[1..], &spec(MetricKind::Perplexity), LEVEL)[0].difference.clone()
        };
        let compared = run(&other);
        assert_eq!((compared.n, compared.test), (1, Test::Swap));
        assert!(compared.p_value.is_some_and(|p| p < 0.01) && compared.difference.unwrap() > 0.0);
        assert_eq!(run(&other[..6]).p_value, Some(1.0), "one case alone shows nothing");
    }

    #[test]
    fn does_not_depend_on_the_number_of_threads() {
        let ids = ids(60);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                kinds().map(|(kind, made)| {
                    let scores = [0, 1].map(|side| (0..60).map(|case| made(case, side)).collect::<Vec<_>>());
                    let differences = compare(&rows(&ids, &scores[0]), &rows(&ids, &scores[1]), &spec(kind), LEVEL);
                    differences.into_iter().map(|one| one.difference).collect::<Vec<_>>()
                })
            })
        };
        assert_eq!(run(1), run(3));
    }
}
