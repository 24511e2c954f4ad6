//! The run as one JSON document: contract.md, section 3.

use crate::gate::probes;
use crate::store::ModelRecord;
use crate::summary::{RunSummary, VariantSummary};
use serde_json::{Value, json};

/// `{"schema":1,"run":…,"variants":[…]}`; nothing is rounded, and what could not be computed is null. With `by_tag` also
/// `"tags":{tag:[{name, metrics}]}`. A probe's has `"probes":[…]`, a [`crate::gate::ProbeComparison`] for each two groups of
/// each variant.
#[must_use]
pub fn json(run: &RunSummary, by_tag: bool) -> Value {
    let mut document = json!({
        "schema": crate::store::SCHEMA,
        "run": run.header.run,
        "dir": run.dir,
        "suite": run.header.suite_name,
        "status": run.header.status,
        "variants": run.variants.iter().map(|v| variant(run, v)).collect::<Vec<_>>(),
    });
    if run.probe().is_some() {
        document["probes"] = json!(probes(run));
    }
    if by_tag {
        let of_tag = |tag: &String| {
            let variants = run.with_tag(tag);
            let variants = variants.iter().map(|v| json!({"name": v.name, "metrics": v.metrics}));
            (tag.clone(), variants.collect())
        };
        document["tags"] = run.tags().iter().map(of_tag).collect::<serde_json::Map<_, _>>().into();
    }
    document
}

/// A model's file and hash, and where it came from.
fn named(model: &ModelRecord) -> Value {
    let mut named = json!({"path": model.facts.path, "sha256": model.facts.sha256});
    if let Some(uri) = &model.uri {
        named["uri"] = json!(uri);
    }
    named
}

fn variant(run: &RunSummary, variant: &VariantSummary) -> Value {
    let model = run.header.models.get(&variant.name);
    json!({
        "name": variant.name,
        "model": model.map(named),
        "metrics": variant.metrics,
        "confusion": variant.confusions.iter().map(|(scorer, confusion)| (scorer.clone(), json!({
            "labels": confusion.labels,
            "rows": confusion.counts,
        }))).collect::<serde_json::Map<_, _>>(),
        "reliability": variant.reliability.iter().map(|(scorer, bins)| (scorer.clone(), json!(bins)))
            .collect::<serde_json::Map<_, _>>(),
        "trials": variant.trials,
        "cached": variant.cached,
        "usage": variant.usage,
    })
}
