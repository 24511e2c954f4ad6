//! What a run is recorded with, and whether one that goes on is still the same.

use super::error::RunError;
use super::prepare::Prepared;
use crate::error::{Place, Problems};
use crate::store::{CaseSet, Header, ModelRecord, SCHEMA, ScorerRecord, Status, without_own_paths, without_paths};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Shorter shared parts are not worth naming.
const LEAST_PREFIX: usize = 64;

impl Prepared<'_> {
    /// The header of a run of this plan. `flags` are those that shape the plan.
    pub fn header(&self, flags: BTreeMap<String, Value>, seed: u64) -> Result<Header, Problems> {
        let suite = serde_json::to_value(self.suite).unwrap_or_default();
        // In the suite's order, whatever the order in which they are asked.
        let mut picked = self.plan.cases.clone();
        picked.sort_unstable();
        let chosen = picked.iter().filter_map(|&i| self.suite.cases.get(i));
        let mut models: BTreeMap<String, ModelRecord> = self
            .plan
            .variants
            .iter()
            .filter_map(|&i| self.variant(i))
            .filter_map(|v| Some((v.name.clone(), self.models.of(v)?.2.clone())))
            .collect();
        for bench in self.judges()? {
            if let Some((_, record)) = self.models.of_judge(&bench.judge) {
                models.insert(format!("judge {}", bench.judge.name()), record.clone());
            }
        }
        for reader in self.readers() {
            if let Some((_, record)) = self.models.of_head(reader.classifier.name()) {
                models.insert(format!("classifier {}", reader.classifier.name()), record.clone());
            }
        }
        for rewarder in self.rewarders()? {
            if let Some((_, record)) = self.models.of_head(rewarder.rewarding.name()) {
                models.insert(format!("reward {}", rewarder.rewarding.name()), record.clone());
            }
        }
        Ok(Header {
            schema: SCHEMA,
            run: String::new(),
            status: Status::Started,
            tripos: env!("CARGO_PKG_VERSION").to_owned(),
            llama_cpp: self.build.clone(),
            features: self.features.clone(),
            suite_name: self.suite.name.clone(),
            suite_path: self.suite.path.canonicalize().unwrap_or_else(|_| self.suite.path.clone()),
            suite,
            scorers: self.scorer_records(),
            cases: CaseSet::of(chosen),
            examples: CaseSet::of(self.suite.examples.iter()),
            models,
            flags,
            seed,
            prefixes: self.prefixes()?,
            trials: self.plan.len(),
            segments: Vec::new(),
        })
    }

    /// What the recorded run was made of, against what there is now. Under `--kv exact` the resumed result is to equal an
    /// uninterrupted one, so there the program has to be the same, too.
    pub fn same_as(&self, recorded: &Header, now: &Header, exact: bool, run: &Place) -> Result<(), Problems> {
        let mut problems = Problems::new();
        let mut check = |same: bool, what: String| {
            if !same {
                problems.push(RunError::Changed { what, place: run.clone() });
            }
        };
        check(without_paths(&recorded.suite) == without_paths(&now.suite), "the suite or one of its prompts".into());
        check(recorded.cases == now.cases, "the cases".into());
        check(recorded.examples == now.examples, "the few-shot pool".into());
        for (variant, model) in &now.models {
            let same = recorded.models.get(variant).is_some_and(|before| {
                let adapter =
                    |m: &ModelRecord| m.adapter.as_ref().map(|(_, sha256, scale)| (sha256.clone(), scale.to_bits()));
                before.facts.sha256 == model.facts.sha256
                    && adapter(before) == adapter(model)
                    && before.policy == model.policy
            });
            check(same, format!("the model of variant `{variant}` or how it is run"));
        }
        let program = recorded.build() == now.build() && recorded.features == now.features;
        check(program || !exact, "Tripos, llama.cpp or the CPU".into());
        problems.or_ok(())
    }

    /// What each scorer's values are, for whoever makes metrics of them.
    fn scorer_records(&self) -> Vec<ScorerRecord> {
        let first = self.plan.variants.first().and_then(|&v| self.scorers(v));
        let mut records: Vec<ScorerRecord> = self
            .suite
            .scorers
            .iter()
            .map(|spec| {
                let labels = first.and_then(|scorers| scorers.labels(&spec.name)).unwrap_or_default();
                ScorerRecord::of(spec, &labels)
            })
            .collect();
        let mut groups: Vec<&String> = Vec::new();
        for group in self.suite.scorers.iter().filter_map(|s| s.group.as_ref()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        records.extend(groups.into_iter().map(|name| ScorerRecord::Number { name: name.clone() }));
        records
    }

    /// The leading parts that prompts share: each variant's few-shot block as its first trial shows it.
    fn prefixes(&self) -> Result<BTreeMap<String, String>, Problems> {
        let mut prefixes = BTreeMap::new();
        for &variant in &self.plan.variants {
            let Some(stages) = self.stages(variant)? else { continue };
            let Some(cell) = self.plan.cells_of(variant).next() else { continue };
            let Some((prompt, _)) = self.ask(&stages, cell, false).prompt else { continue };
            if let Some(prefix) = prompt.text.get(..prompt.case_start).filter(|p| p.len() >= LEAST_PREFIX) {
                let id: String = hex(&Sha256::digest(prefix)).chars().take(12).collect();
                prefixes.insert(id, prefix.to_owned());
            }
        }
        Ok(prefixes)
    }
}

/// The variants of which nothing has changed between two plans: what they ask of whom, how it is judged, and by which
/// program. The few-shot pool counts for those that show examples.
#[must_use]
pub fn unchanged(before: &Header, now: &Header) -> BTreeSet<String> {
    let whole = |header: &Header| match without_paths(&header.suite) {
        Value::Object(mut map) => {
            map.retain(|key, _| !matches!(key.as_str(), "variants" | "gate" | "max_unscored" | "description"));
            map
        }
        _ => serde_json::Map::new(),
    };
    // What a program of the user's says may change without a word of the suite.
    let scorers = now.suite.get("scorers").and_then(Value::as_array).into_iter().flatten();
    let programs = scorers.into_iter().any(|scorer| scorer.get("command").is_some());
    let judged = now.models.iter().any(|(name, model)| name.starts_with("judge ") && model.facts.is_served());
    let alike = !programs
        && !judged
        && whole(before) == whole(now)
        && before.cases == now.cases
        && before.build() == now.build();
    let variants = |header: &Header| -> BTreeMap<String, Value> {
        let all = header.suite.get("variants").and_then(Value::as_array).into_iter().flatten();
        all.filter_map(|variant| Some((variant.get("name")?.as_str()?.to_owned(), without_own_paths(variant))))
            .collect()
    };
    let (earlier, later) = (variants(before), variants(now));
    let same = |name: &&String| {
        let model = |header: &Header| {
            // What a server runs may change without a word, too.
            let model = header.models.get(*name).filter(|model| !model.facts.is_served())?;
            let adapter = model.adapter.as_ref().map(|(_, sha256, scale)| (sha256.clone(), scale.to_bits()));
            Some((model.facts.sha256.clone(), adapter, model.context, model.policy.clone()))
        };
        let (Some(was), Some(is)) = (earlier.get(*name), later.get(*name)) else { return false };
        let shows_examples = is.get("examples").is_some_and(|examples| !examples.is_null());
        was == is
            && model(now).is_some()
            && model(before) == model(now)
            && (!shows_examples || before.examples == now.examples)
    };
    let names = now.models.keys().filter(|name| alike && before.models.contains_key(*name));
    names.filter(|name| before.heads() == now.heads() && same(name)).cloned().collect()
}

/// Bytes as lower-case hex.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
