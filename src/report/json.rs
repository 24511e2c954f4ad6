//! The run as one JSON document: contract.md, section 3.

use super::RunSummary;
use serde_json::{Value, json};

/// `{"schema":1,"run":…,"variants":[…]}`; nothing is rounded, and what could not be computed is null.
#[must_use]
pub fn json(run: &RunSummary) -> Value {
    let variants: Vec<Value> = run
        .variants
        .iter()
        .map(|variant| {
            let model = run.header.models.get(&variant.name);
            json!({
                "name": variant.name,
                "model": model.map(|m| json!({"path": m.facts.path, "sha256": m.facts.sha256})),
                "metrics": variant.metrics,
                "confusion": variant.confusions.iter().map(|(scorer, confusion)| (scorer.clone(), json!({
                    "labels": confusion.labels,
                    "rows": confusion.counts,
                }))).collect::<serde_json::Map<_, _>>(),
                "trials": variant.trials,
                "cached": variant.cached,
                "usage": variant.usage,
            })
        })
        .collect();
    json!({
        "schema": crate::store::SCHEMA,
        "run": run.header.run,
        "dir": run.dir,
        "suite": run.header.suite_name,
        "status": run.header.status,
        "variants": variants,
    })
}
