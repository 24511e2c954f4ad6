//! What metrics and comparisons need of the samples of one variant.

use super::{ProbeRow, TrialCost, Usage, VariantSummary};
use crate::seed::first_u64;
use crate::stats::{MetricSpec, Row, metrics_of};
use crate::store::{Counterpart, Likelihood, Repeat, Sample, Score, StopReason};
use crate::suite::Vars;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// What the metrics of a variant need of its samples.
#[derive(Debug, Clone, Default)]
pub(super) struct VariantRows {
    pub(super) name: String,
    /// Its metrics rest on what the repeats of a case come to, rather than on each of them.
    reduced: bool,
    pub(super) rows: Vec<Kept>,
    usage: Usage,
    cached: usize,
}

/// One sample without its texts.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) case: String,
    /// What the case was: its variables and target, hashed.
    text: u64,
    reduced: bool,
    scores: Vec<Score>,
    /// Those of a long text.
    windows: Vec<Likelihood>,
    truth: Option<String>,
    pub(super) tags: Vec<String>,
    /// Where it belongs, if it is a side of a probe's pair.
    probe: Option<Counterpart>,
    cut: bool,
    /// Seconds of decoding, those of the cached answer where it is one.
    elapsed_s: f64,
    /// Tokens of the prompts, and tokens drawn.
    tokens: [usize; 2],
}

impl Kept {
    fn row(&self) -> Row<'_> {
        let (scores, windows) = (&self.scores[..], &self.windows[..]);
        Row { case: &self.case, scores, truth: self.truth.as_deref(), cut: self.cut, windows }
    }
}

impl VariantRows {
    /// Those of a variant of the header's suite.
    pub(super) fn of(variant: &Value) -> Option<Self> {
        let name = variant.get("name")?.as_str()?.to_owned();
        // The mean needs no rows of its own: repeats are clustered by case.
        let reduced = variant.get("reduce").is_some_and(|reduce| !reduce.is_null() && reduce != "mean");
        Some(Self { name, reduced, ..Self::default() })
    }

    pub(super) fn add(&mut self, sample: Sample) {
        let reduced = sample.trial.repeat == Repeat::Reduced;
        if !reduced {
            self.cached += usize::from(sample.cached);
            self.usage.add(&sample);
        }
        let (elapsed_s, tokens) = cost(&sample);
        let text = case_hash(&sample.case.vars, sample.case.target.as_deref());
        let cut = sample.completion.as_ref().is_some_and(|said| said.stop_reason == StopReason::Length);
        let is_text = sample.case.target.is_none() && sample.completion.is_none();
        let windows = if is_text { sample.likelihood } else { Vec::new() };
        let windows = windows.into_iter().map(|window| Likelihood { text: String::new(), ..window }).collect();
        let mut scores = sample.scores;
        for score in &mut scores {
            score.explanation = String::new();
            // Only whether there was an answer counts from here on.
            score.answer = score.answer.take().map(|_| String::new());
        }
        self.rows.push(Kept {
            case: sample.trial.case,
            text,
            reduced,
            scores,
            windows,
            truth: sample.case.target,
            tags: sample.case.tags,
            probe: sample.case.probe,
            cut,
            elapsed_s,
            tokens,
        });
    }

    /// What its metrics rest on, of the samples that are wanted: each repeat, or what the repeats come to.
    pub(super) fn rows(&self, wanted: impl Fn(&Kept) -> bool) -> Vec<Row<'_>> {
        self.wanted(wanted).map(|(_, row)| row).collect()
    }

    /// Each repeat, where the metrics rest on what they come to.
    pub(super) fn repeats(&self) -> Vec<Row<'_>> {
        let each = self.rows.iter().filter(|row| self.reduced && !row.reduced);
        each.map(Kept::row).collect()
    }

    /// The same for a group of a probe.
    pub(super) fn probe_rows(&self, group: &str) -> Vec<ProbeRow<'_>> {
        let mut sides = Vec::new();
        for (kept, row) in self.wanted(|kept| kept.probe.as_ref().is_some_and(|side| side.group == group)) {
            if let Some(Counterpart { pair, unit, .. }) = &kept.probe {
                sides.push(ProbeRow { pair, row: Row { case: unit, ..row } });
            }
        }
        sides
    }

    fn wanted(&self, wanted: impl Fn(&Kept) -> bool) -> impl Iterator<Item = (&Kept, Row<'_>)> {
        // A case is cut where one of its repeats is: the row that they come to says nothing itself.
        let cut: HashSet<&str> = self.rows.iter().filter(|row| row.cut).map(|row| row.case.as_str()).collect();
        let kept = self.rows.iter().filter(move |row| row.reduced == self.reduced && wanted(row));
        kept.map(move |row| {
            let cut = if self.reduced { cut.contains(row.case.as_str()) } else { row.cut };
            (row, Row { cut, ..row.row() })
        })
    }

    pub(super) fn summary(&self, specs: &[MetricSpec], wanted: impl Fn(&Kept) -> bool) -> VariantSummary {
        let summary = metrics_of(&self.rows(&wanted), specs);
        VariantSummary {
            name: self.name.clone(),
            metrics: summary.metrics,
            confusions: summary.confusions,
            reliability: summary.reliability,
            trials: self.rows.iter().filter(|row| wanted(row) && !row.reduced).count(),
            cached: self.cached,
            usage: self.usage,
        }
    }

    /// The first recorded text of each case, in the order of the record.
    pub(super) fn cases(&self) -> impl Iterator<Item = (&str, u64)> {
        let mut seen = HashSet::new();
        self.rows.iter().filter(move |row| seen.insert(row.case.as_str())).map(|row| (row.case.as_str(), row.text))
    }

    /// What each trial took.
    pub(super) fn costs(&self) -> impl Iterator<Item = TrialCost<'_>> {
        self.rows.iter().filter(|row| !row.reduced).map(|row| TrialCost {
            case: &row.case,
            elapsed_s: row.elapsed_s,
            prompt_tokens: row.tokens[0],
            completion_tokens: row.tokens[1],
        })
    }
}

/// Seconds of decoding, tokens of the prompts and tokens drawn, over all stages.
fn cost(sample: &Sample) -> (f64, [usize; 2]) {
    let stages = sample.before.iter().map(|stage| &stage.completion).chain(&sample.completion);
    let likelihood = sample.likelihood_cost.map_or((0.0, [0, 0]), |cost| (cost.elapsed_s, [cost.prompt_tokens, 0]));
    stages.fold(likelihood, |(elapsed_s, [prompt, drawn]), said| {
        (elapsed_s + said.elapsed_s, [prompt + said.prompt_tokens, drawn + said.completion_tokens])
    })
}

/// The first 8 bytes of the SHA-256 of a case's variables and target: whether two cases of one id are the same.
#[must_use]
pub fn case_hash(vars: &Vars, target: Option<&str>) -> u64 {
    let text = serde_json::to_vec(&(vars, target)).unwrap_or_default();
    first_u64(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::MetricKind;
    use serde_json::json;

    fn said(cut: bool) -> Value {
        json!({"text": "x", "tokens": [], "stop_reason": if cut { "length" } else { "stop" }, "prompt_tokens": 10,
            "prompt_tokens_decoded": 4, "completion_tokens": 2, "elapsed_s": 0.5})
    }

    fn sample(repeat: &Value, pass: bool) -> Sample {
        let completion = if *repeat == "reduced" { Value::Null } else { said(*repeat == 1) };
        let sample = json!({"trial": {"variant": "v", "case": "c", "repeat": repeat},
            "case": {"vars": {}, "target": "x", "tags": []}, "prompt": null, "completion": completion,
            "scores": [{"scorer": "exact", "value": pass, "answer": "x"}]});
        serde_json::from_value(sample).unwrap()
    }

    /// One case of three repeats, one of them right and one cut, whose majority is right.
    fn summed(variant: &Value) -> VariantSummary {
        let mut rows = VariantRows::of(variant).unwrap();
        let repeats = [sample(&0.into(), false), sample(&1.into(), true), sample(&2.into(), false)];
        repeats.into_iter().chain([sample(&"reduced".into(), true)]).for_each(|sample| rows.add(sample));
        rows.summary(&[MetricSpec { name: "exact".into(), kind: MetricKind::Proportion }], |_| true)
    }

    #[test]
    fn repeats_count_each_for_a_mean_and_together_for_what_they_come_to() {
        for variant in [json!({"name": "v"}), json!({"name": "v", "reduce": "mean"})] {
            let mean = summed(&variant);
            assert_eq!((mean.metrics[0].value, mean.metrics[0].n, mean.metrics[0].cut), (Some(1.0 / 3.0), 1, 1));
        }
        for reduce in [json!("majority"), json!("max"), json!({"pass_at": 2})] {
            let together = summed(&json!({"name": "v", "reduce": reduce}));
            let exact = &together.metrics[0];
            assert_eq!((exact.value, exact.n, exact.cut, together.trials), (Some(1.0), 1, 1, 3));
            assert_eq!((together.usage.prompt_tokens, together.usage.completions), (30, 3), "the repeats' alone");
        }
    }
}
