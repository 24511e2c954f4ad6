//! What a reward model is worth: its rewards held to judgements that it has not learned from.

use super::data::{Group, Judged};
use super::learner::Learner;
use super::lessons::{Lessons, Rows};
use crate::model::{Document, ModelError};
use crate::stats::{
    Estimate, Forecast, LEVEL, calibration_error, clustered_proportion, mcnemar, proportion, reliability,
};
use crate::store::training::{JudgingRecord, MistakeRecord, ShareRecord, SureRecord};
use std::collections::BTreeMap;

/// Mistakes that are shown.
const MISTAKES: usize = 5;
/// Answers that are learned from whose rewards are looked at.
const ANSWERS: usize = 20_000;
/// A difference between the model and length that chance makes this seldom counts as one.
const CHANCE: f64 = 0.05;

/// A judgement, with the number of its prompt and what the model says of that.
type One<'a, 'b> = (usize, &'b Rewarded<'a>, &'b Judged);

/// What the model says of the answers of one document.
struct Rewarded<'a> {
    group: &'a Group,
    rewards: Vec<f64>,
    /// Tokens of each answer without the prompt.
    lengths: Vec<usize>,
}

impl Rewarded<'_> {
    /// By how much the better answer of a judgement lies above the worse one.
    fn apart(&self, judged: &Judged) -> f64 {
        self.rewards[judged.better] - self.rewards[judged.worse]
    }

    /// By how many tokens it is longer.
    fn longer(&self, judged: &Judged) -> isize {
        self.lengths[judged.better].cast_signed() - self.lengths[judged.worse].cast_signed()
    }

    fn judged(&self) -> impl Iterator<Item = &Judged> {
        let known = |one: &&Judged| one.better.max(one.worse) < self.rewards.len();
        self.group.judged.iter().filter(known)
    }
}

/// Reads what is learned from (as far as it says how rewards are spread) and what is held out.
pub(super) fn examine(learner: &mut dyn Learner, lessons: &Lessons) -> Result<JudgingRecord, ModelError> {
    let mut learned = Vec::new();
    for rows in lessons.all() {
        learned.extend(rewarded(learner, lessons, &rows)?);
        if learned.iter().map(|one: &Rewarded| one.rewards.len()).sum::<usize>() >= ANSWERS {
            break;
        }
    }
    let mut held_out = Vec::new();
    for rows in lessons.held_out() {
        held_out.extend(rewarded(learner, lessons, &rows.to_vec())?);
    }
    Ok(judging(&learned, &held_out))
}

fn rewarded<'a>(
    learner: &mut dyn Learner,
    lessons: &Lessons<'a>,
    rows: &Rows<'a>,
) -> Result<Vec<Rewarded<'a>>, ModelError> {
    let readings = learner.read(rows)?;
    let mut outputs = readings.outputs.iter().map(|reward| f64::from(*reward));
    let of = |document: &&Document| {
        let rewards: Vec<f64> = outputs.by_ref().take(document.ends()).collect();
        let lengths = document.parts().into_iter().map(|part| part.len()).collect();
        Some(Rewarded { group: lessons.group(document)?, rewards, lengths })
    };
    Ok(rows.iter().flatten().filter_map(of).collect())
}

fn judging(learned: &[Rewarded], held_out: &[Rewarded]) -> JudgingRecord {
    let rewards: Vec<f64> = learned.iter().flat_map(|one| one.rewards.iter().copied()).collect();
    let (mean, std) = spread(&rewards);
    let prefers_longer =
        learned.iter().flat_map(|one| one.judged().map(|judged| one.longer(judged).signum())).sum::<isize>() >= 0;
    let all: Vec<One> =
        held_out.iter().enumerate().flat_map(|(at, one)| one.judged().map(move |judged| (at, one, judged))).collect();
    let by_model = |(_, one, judged): &One| one.apart(judged) > 0.0;
    let by_length = |(_, one, judged): &One| {
        let longer = one.longer(judged);
        if prefers_longer { longer > 0 } else { longer < 0 }
    };
    let share = |of: &str, part: &[&One], right: &dyn Fn(&One) -> bool| {
        let values: Vec<f64> = part.iter().map(|one| f64::from(u8::from(right(one)))).collect();
        share(of, &values, &part.iter().map(|(at, ..)| *at).collect::<Vec<_>>())
    };
    let whole: Vec<&One> = all.iter().collect();
    let parts = parts(&all).into_iter().map(|(of, part)| share(&of, &part, &by_model)).collect();
    let forecasts: Vec<Forecast> = all.iter().map(|(case, one, judged)| forecast(*case, one.apart(judged))).collect();
    let (won, lost) = all.iter().fold((0, 0), |(won, lost), one| match (by_model(one), by_length(one)) {
        (true, false) => (won + 1, lost),
        (false, true) => (won, lost + 1),
        _ => (won, lost),
    });
    JudgingRecord {
        mean,
        std,
        accuracy: share("all", &whole, &by_model),
        parts,
        calibration_error: calibration_error(&forecasts),
        reliability: sure(&forecasts),
        length_correlation: correlation(held_out),
        by_length: share("length", &whole, &by_length),
        beats_length: won > lost && mcnemar(won, lost) < CHANCE,
        mistakes: mistakes(&all),
    }
}

/// Mean and standard deviation; 0 and 1 where there is nothing, or no spread.
fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let std = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
    (mean, if std > 1e-6 && std.is_finite() { std } else { 1.0 })
}

fn share(of: &str, values: &[f64], clusters: &[usize]) -> ShareRecord {
    let mut distinct = clusters.to_vec();
    distinct.dedup();
    let Estimate { value, ci, .. } = if distinct.len() == clusters.len() {
        proportion(values.iter().filter(|value| **value > 0.5).count(), values.len(), LEVEL)
    } else {
        clustered_proportion(values, clusters, LEVEL)
    };
    ShareRecord { of: of.to_owned(), n: values.len(), value, ci }
}

/// σ of how far two rewards lie apart is how likely the judgement is; the model's own answer is the likelier side.
fn forecast(case: usize, apart: f64) -> Forecast {
    Forecast { case, confidence: 1.0 / (1.0 + (-apart.abs()).exp()), right: apart > 0.0 }
}

fn sure(forecasts: &[Forecast]) -> Vec<SureRecord> {
    let bins = reliability(forecasts).into_iter();
    let known = bins.filter_map(|bin| {
        let (confidence, accuracy) = bin.confidence.zip(bin.accuracy)?;
        Some(SureRecord { low: bin.low, high: bin.high, n: bin.n, confidence, accuracy })
    });
    known.collect()
}

/// The judgements by axis, by tag, and by margin (the smaller half is the harder one).
fn parts<'a, 'b, 'c>(all: &'c [One<'a, 'b>]) -> Vec<(String, Vec<&'c One<'a, 'b>>)> {
    let mut named: BTreeMap<String, Vec<&One>> = BTreeMap::new();
    let mut margins: Vec<f32> = all.iter().map(|(.., judged)| judged.margin).collect();
    margins.sort_by(f32::total_cmp);
    let middle = margins.get(margins.len() / 2).copied().unwrap_or(0.0);
    let differ = margins.first() != margins.last();
    for one @ (.., judged) in all {
        let axis = judged.axis.iter().map(|axis| format!("axis {axis}"));
        let tags = judged.tags.iter().map(|tag| format!("tag {tag}"));
        let side = if judged.margin < middle { "below" } else { "from" };
        let margin = differ.then(|| format!("margin {side} {middle}"));
        for name in axis.chain(tags).chain(margin) {
            named.entry(name).or_default().push(one);
        }
    }
    named.into_iter().collect()
}

/// Pearson's r of reward and length over all answers.
fn correlation(all: &[Rewarded]) -> Option<f64> {
    let points: Vec<(f64, f64)> =
        all.iter().flat_map(|one| one.rewards.iter().copied().zip(one.lengths.iter().map(|n| *n as f64))).collect();
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|(a, b)| of(a - x, b - y)).sum::<f64>();
    let r = sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    r.is_finite().then_some(r)
}

fn mistakes(all: &[One]) -> Vec<MistakeRecord> {
    let mut wrong: Vec<&One> = all.iter().filter(|(_, one, judged)| one.apart(judged) < 0.0).collect();
    wrong.sort_by(|(_, a, x), (_, b, y)| a.apart(x).total_cmp(&b.apart(y)));
    let record = |(_, one, judged): &&One| {
        let answer = |at: usize| one.group.answers.get(at).cloned().unwrap_or_default();
        MistakeRecord {
            prompt: one.group.prompt.clone(),
            chosen: answer(judged.better),
            rejected: answer(judged.worse),
            confidence: forecast(0, one.apart(judged)).confidence,
        }
    };
    wrong.iter().take(MISTAKES).map(record).collect()
}
