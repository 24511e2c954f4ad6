//! Recorded suites without the paths of their files: they depend on where Tripos was started, and what the files hold is
//! compared by itself.

use super::header::{CaseSet, Header, ModelRecord};
use crate::suite::Suite;
use serde_json::Value;
use sha2::{Digest, Sha256};

impl Header {
    /// The scorers as they were written, without the paths of their files.
    #[must_use]
    pub fn scorers_written(&self) -> Vec<Value> {
        let scorers = self.suite.get("scorers").and_then(Value::as_array).into_iter().flatten();
        scorers.map(without_own_paths).collect()
    }

    /// The models of the scorers that have one, each with its adapter, by SHA-256: their files may change without a word of the
    /// suite.
    #[must_use]
    pub fn heads(&self) -> Vec<(String, Option<String>)> {
        let others = |name: &str| ["judge ", "classifier ", "reward "].iter().any(|kind| name.starts_with(kind));
        let heads = self.models.iter().filter(|(name, _)| others(name)).map(|(_, model)| model);
        let files = |model: &ModelRecord| (model.facts.sha256.clone(), model.adapter.as_ref().map(|one| one.1.clone()));
        heads.map(files).collect()
    }
}

/// A resolved suite without the paths of its files and models: they depend on where Tripos was started, and what the files
/// hold is compared by itself. Only where paths stand: a map of the user's own may have a key of such a name.
#[must_use]
pub fn without_paths(suite: &Value) -> Value {
    let mut suite = suite.clone();
    if let Some(map) = suite.as_object_mut() {
        map.remove("path");
    }
    for part in ["variants", "scorers"] {
        let all = suite.get_mut(part).and_then(Value::as_array_mut).into_iter().flatten();
        all.for_each(|one| *one = without_own_paths(one));
    }
    suite
}

/// SHA-256 of all that a suite asks, in hex: its words, prompts, cases and examples, whatever the paths of its files and models.
#[must_use]
pub fn suite_sha256(suite: &Suite) -> String {
    let words = without_paths(&serde_json::to_value(suite).unwrap_or_default());
    let [cases, examples] = [&suite.cases, &suite.examples].map(|cases| CaseSet::of(cases.iter()).sha256);
    let hash = Sha256::digest(format!("{words}\n{cases}\n{examples}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A variant or a scorer without the paths of its own files.
#[must_use]
pub fn without_own_paths(one: &Value) -> Value {
    let mut one = one.clone();
    for owner in ["", "/then", "/judge_model", "/reward"] {
        if let Some(map) = one.pointer_mut(owner).and_then(Value::as_object_mut) {
            map.remove("model");
        }
        if let Some(map) = one.pointer_mut(&format!("{owner}/prompt")).and_then(Value::as_object_mut) {
            map.remove("path");
        }
    }
    if let Some(map) = one.pointer_mut("/adapter").and_then(Value::as_object_mut) {
        map.remove("path");
    }
    for head in ["/label/classifier", "/reward"] {
        if let Some(map) = one.pointer_mut(head).and_then(Value::as_object_mut) {
            map.retain(|key, _| !["file", "model", "base"].contains(&key.as_str()));
        }
    }
    one
}
