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
struct OfLabels(usize);

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
struct OfForecasts;

impl Aggregate for OfForecasts {
    type Item = Forecast;

    fn values<'a>(&self, items: impl Iterator<Item = &'a Forecast>) -> Vec<f64> {
        vec![error(items)]
    }
}

/// Perplexity and bits per byte.
struct OfTexts;

impl Aggregate for OfTexts {
    type Item = Surprise;

    fn values<'a>(&self, items: impl Iterator<Item = &'a Surprise>) -> Vec<f64> {
        ratios(items).to_vec()
    }
}
