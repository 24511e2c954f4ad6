//! The suite of a run, read again and held against what the run recorded of it.

use super::{State, Step};
use crate::repair::FRESH;
use crate::store::{CaseRecord, CaseSet, Header, read_samples, without_paths};
use crate::suite::{self, Overrides, Suite};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// The suite of a run.
pub(super) fn asked(run: &Path, header: &Header) -> Step {
    let path = header.suite_path.clone();
    let mut step =
        Step { role: "suite".into(), state: State::Gone, sha256: None, says: None, from: vec![], path: path.clone() };
    if path.is_file() {
        let now = suite::load(&path, &overrides(header)).0;
        let same = now.is_some_and(|now| same_words(header, &now) && same_cases(run, header, &now));
        step.state = if same { State::Same } else { State::Changed };
    }
    step
}

/// What the command line of the run put in the place of what the suite says. Which models it asked the run says itself.
fn overrides(header: &Header) -> Overrides {
    let context = header.flags.get("context").and_then(Value::as_u64);
    let context = context.and_then(|context| u32::try_from(context).ok());
    Overrides { seed: Some(header.seed), context, ..Overrides::default() }
}

/// Whether variants, scorers and rules are those that were recorded. A run of a part of the suite, as `tripos fix` makes them, recorded
/// the variants that it asked, and the labels of all cases where the suite names none.
fn same_words(header: &Header, now: &Suite) -> bool {
    let targets = now.targets();
    let Ok(now) = serde_json::to_value(now) else { return false };
    let [recorded, now] = [&header.suite, &now].map(without_models);
    let names: Vec<&Value> = variants(&recorded).filter_map(|variant| variant.get("name")).collect();
    let (recorded, mut now) = (with_labels(recorded.clone(), &targets), with_labels(now, &targets));
    if let Some(all) = now.get_mut("variants").and_then(Value::as_array_mut) {
        all.retain(|variant| variant.get("name").is_some_and(|name| names.contains(&name)));
    }
    recorded == now
}

fn variants(suite: &Value) -> impl Iterator<Item = &Value> {
    suite.get("variants").and_then(Value::as_array).into_iter().flatten()
}

/// A suite without paths, models and adapters.
fn without_models(suite: &Value) -> Value {
    let mut suite = without_paths(suite);
    for variant in suite.get_mut("variants").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(variant) = variant.as_object_mut() {
            variant.remove("adapter");
        }
    }
    suite
}

/// A suite whose label scorers say which labels there are: the targets, where it names none.
fn with_labels(mut suite: Value, targets: &[String]) -> Value {
    for scorer in suite.get_mut("scorers").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(label) = scorer.get_mut("label").and_then(Value::as_object_mut)
            && label.get("labels").is_none_or(|labels| labels.as_array().is_some_and(Vec::is_empty))
            && label.get("classifier").is_none_or(Value::is_null)
        {
            label.insert("labels".into(), targets.into());
        }
    }
    suite
}

/// Whether each case that was answered asks what it asks now, and the few-shot pool is what it was. Fresh cases of a generator, which
/// `tripos fix` holds out, are none of the suite's.
fn same_cases(run: &Path, header: &Header, now: &Suite) -> bool {
    let known: HashMap<&str, CaseRecord> =
        now.cases.iter().map(|case| (case.id.as_str(), CaseRecord::from(case))).collect();
    let mut same = header.examples == CaseSet::of(now.examples.iter());
    let read = read_samples(run, |sample| {
        let fresh = sample.trial.case.starts_with(FRESH);
        same &= fresh || known.get(sample.trial.case.as_str()) == Some(&sample.case);
    });
    read.is_ok() && same
}
