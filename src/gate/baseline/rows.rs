//! From the rows of a run to the values of the file, and back.

use super::{Kept, Values};
use crate::stats::{MetricSpec, Row};
use crate::store::{Score, ScoreValue};
use serde_json::Value;
use std::collections::BTreeMap;

/// The values of every scorer and part of some rows.
pub(super) fn values(rows: &[Row], specs: &[MetricSpec]) -> BTreeMap<String, Values> {
    let mut metrics: BTreeMap<String, Values> = BTreeMap::new();
    for row in rows {
        for spec in specs {
            let score = row.scores.iter().find(|score| score.scorer == spec.name);
            let mut add = |metric: String, value: Value| {
                metrics.entry(metric).or_default().entry(row.case.to_owned()).or_default().push(value);
            };
            add(spec.name.clone(), score.map_or(Value::Null, |score| value(&score.value)));
            let parts = score.into_iter().flat_map(|score| &score.parts);
            let numbers = parts.filter_map(|(part, value)| Some((part, value.as_f64()?)));
            numbers.for_each(|(part, number)| add(format!("{}.{part}", spec.name), rounded(number)));
        }
    }
    metrics
}

fn value(value: &ScoreValue) -> Value {
    match value {
        ScoreValue::Pass(pass) => Value::from(u8::from(*pass)),
        ScoreValue::Number(number) => rounded(*number),
        ScoreValue::Label(label) => Value::from(label.clone()),
        ScoreValue::Unscored(_) => Value::Null,
    }
}

/// Six decimals, without a point where there are none.
fn rounded(number: f64) -> Value {
    let number = (number * 1e6).round() / 1e6;
    #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
    if number.fract() == 0.0 && number.abs() < 1e15 { Value::from(number as i64) } else { Value::from(number) }
}

/// The trials behind the values of a variant.
pub(super) fn rows(metrics: &BTreeMap<String, Values>) -> Vec<Kept> {
    // A metric is a part where what stands before its dot is a scorer of its own.
    let scorer_of = |metric: &str| {
        let mut dots = metric.match_indices('.').map(|(at, _)| metric.get(..at).unwrap_or_default());
        dots.rfind(|scorer| metrics.contains_key(*scorer)).map(str::to_owned)
    };
    let mut trials: BTreeMap<(&String, usize), Vec<Score>> = BTreeMap::new();
    let (parts, scorers): (Vec<_>, Vec<_>) =
        metrics.iter().map(|(metric, values)| (metric, scorer_of(metric), values)).partition(|(_, of, _)| of.is_some());
    for (metric, _, values) in scorers {
        for (case, repeats) in values {
            for (repeat, value) in repeats.iter().enumerate() {
                trials.entry((case, repeat)).or_default().push(score(metric, value));
            }
        }
    }
    for (metric, of, values) in parts {
        let Some(scorer) = of else { continue };
        let part = metric.get(scorer.len() + 1..).unwrap_or_default();
        for (case, repeats) in values {
            for (repeat, value) in repeats.iter().enumerate() {
                let scores = trials.get_mut(&(case, repeat)).into_iter().flatten();
                if let Some(score) = scores.into_iter().find(|score| score.scorer == scorer) {
                    score.parts.insert(part.to_owned(), value.clone());
                }
            }
        }
    }
    trials.into_iter().map(|((case, _), scores)| Kept { case: case.clone(), scores }).collect()
}

fn score(scorer: &str, value: &Value) -> Score {
    let value = match value {
        Value::String(label) => ScoreValue::Label(label.clone()),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => ScoreValue::Pass(false),
            Some(1.0) => ScoreValue::Pass(true),
            Some(number) => ScoreValue::Number(number),
            None => ScoreValue::Unscored("not a number".into()),
        },
        Value::Bool(pass) => ScoreValue::Pass(*pass),
        _ => ScoreValue::Unscored("unscored in the baseline".into()),
    };
    let answer = Some(String::new());
    Score { scorer: scorer.to_owned(), value, answer, explanation: String::new(), parts: serde_json::Map::new() }
}
