//! Comparing two sides: the draws of one interval, and all that two runs of 25,000 cases come to.

use crate::spread::Spread;
use crate::table::Row;
use anyhow::ensure;
use std::hint::black_box;
use std::time::Instant;
use tripos::score::{Score, ScoreValue};
use tripos::stats::{LEVEL, MetricKind, MetricSpec, compare, resampled_means};

/// The bound of issue 3, in seconds.
const MOST: f64 = 1.0;
const ROUNDS: usize = 7;
const CASES: usize = 25_000;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let differences: Vec<f64> = (0..10_000_u32).map(|case| f64::from(case * 37 % 101) / 50.0 - 1.0).collect();
    let time = |work: &dyn Fn() -> usize, wanted: usize| -> anyhow::Result<f64> {
        let began = Instant::now();
        let got = black_box(work());
        ensure!(got == wanted, "{got} results rather than {wanted}");
        Ok(began.elapsed().as_secs_f64())
    };
    let rounds = |work: &dyn Fn() -> usize, wanted: usize| -> anyhow::Result<Spread> {
        Ok(Spread::of((0..ROUNDS).map(|_| time(work, wanted)).collect::<Result<Vec<f64>, _>>()?))
    };
    let draws = rounds(&|| resampled_means(&differences, 10_000, 1).len(), 10_000)?;
    let seconds = |s: f64| format!("{s:.3}");
    let kept = draws.median() <= MOST;
    let mut rows = vec![Row::bound("10,000 bootstrap draws over 10,000 cases, s", draws.show(seconds), "≤ 1", kept)];
    let labels = || MetricKind::Labels { labels: ["a", "b", "c"].map(String::from).to_vec(), by_likelihood: false };
    for (what, kind, metrics) in [
        ("comparing 25,000 cases: passes, s", MetricKind::Proportion, 1),
        ("comparing 25,000 cases: numbers, s", MetricKind::Mean, 1),
        ("comparing 25,000 cases: 16 metrics of labels, s", labels(), 16),
    ] {
        let sides = [0, 1].map(|side| scores(&kind, side));
        let ids: Vec<String> = (0..CASES).map(|case| format!("case-{case}")).collect();
        let spec = [MetricSpec { name: "s".into(), kind }];
        let compared = || {
            let [baseline, candidate] = sides.each_ref().map(|scores| table(&ids, scores));
            compare(&baseline, &candidate, &spec, LEVEL).len()
        };
        rows.push(Row::beside(what, rounds(&compared, metrics)?.show(seconds)));
    }
    Ok(rows)
}

/// One score a case.
fn scores(kind: &MetricKind, side: usize) -> Vec<Vec<Score>> {
    let value = |case: usize| {
        let drawn = (case * 37 + case * case % 89 * (side + 1)) % 101;
        match kind {
            MetricKind::Proportion => ScoreValue::Pass(drawn > 30),
            MetricKind::Mean => ScoreValue::Number(drawn as f64 / 100.0),
            _ => ScoreValue::Label(["a", "b", "c"][if drawn > 30 { case % 3 } else { drawn % 3 }].into()),
        }
    };
    let score = |case| Score {
        scorer: "s".into(),
        value: value(case),
        answer: Some(String::new()),
        explanation: String::new(),
        parts: serde_json::Map::new(),
    };
    (0..CASES).map(|case| vec![score(case)]).collect()
}

fn table<'a>(ids: &'a [String], scores: &'a [Vec<Score>]) -> Vec<tripos::stats::Row<'a>> {
    let row = |(case, (id, scores)): (usize, (&'a String, &'a Vec<Score>))| tripos::stats::Row {
        case: id,
        scores,
        truth: Some(["a", "b", "c"][case % 3]),
        cut: false,
        windows: &[],
    };
    ids.iter().zip(scores).enumerate().map(row).collect()
}
