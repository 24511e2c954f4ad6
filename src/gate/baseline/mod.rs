//! The baseline file: what a run scored, case by case, small and stable enough for git (contract.md, section 4).
//!
//! Keys are sorted and each case has a line of its own, so that a diff shows what changed. Numbers are rounded to six
//! decimals: the last digits of a log-probability move with the machine. `cases` holds a hash of what each case asks, so
//! that a case which asks something else is not mistaken for the old one.

mod changes;
mod format;
mod rows;

use super::error::GateError;
use super::record::SCHEMA;
use super::sheet::Sheet;
use crate::error::{Place, Problems};
use crate::stats::Row;
use crate::store::Score;
use crate::suite::{Bound, Suite};
use crate::summary::RunSummary;
use format::OneLineLists;
use rows::{rows, values};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The values of one metric's scores, by case; one a repeat, null where it is unscored.
type Values = BTreeMap<String, Vec<Value>>;

/// A baseline file.
#[derive(Debug, Clone)]
pub struct Baseline {
    /// Where it lies.
    pub path: PathBuf,
    file: File,
    /// The scores that its values stand for, by variant, in the order of the cases.
    rows: BTreeMap<String, Vec<Kept>>,
}

/// One trial as the file keeps it.
#[derive(Debug, Clone)]
struct Kept {
    case: String,
    scores: Vec<Score>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    cases: BTreeMap<String, String>,
    models: BTreeMap<String, String>,
    schema: u32,
    suite: String,
    suite_sha256: String,
    /// Variant to scorer (or `scorer.part`) to values.
    variants: BTreeMap<String, BTreeMap<String, Values>>,
}

impl Baseline {
    /// What a run scored; `suite_sha256` is that of the suite's file.
    #[must_use]
    pub fn of(run: &RunSummary, suite_sha256: String, path: &Path) -> Self {
        let mut cases = BTreeMap::new();
        let mut variants = BTreeMap::new();
        for variant in &run.variants {
            let texts = run.cases(&variant.name);
            cases.extend(texts.map(|(case, text)| (case.to_owned(), format!("{text:016x}"))));
            variants.insert(variant.name.clone(), values(&run.rows(&variant.name), &run.specs()));
        }
        let named = |name: &String| run.variants.iter().any(|variant| variant.name == *name);
        let models = run.header.models.iter().filter(|(name, _)| named(name));
        let file = File {
            cases,
            models: models.map(|(name, model)| (name.clone(), model.facts.sha256.clone())).collect(),
            schema: SCHEMA,
            suite: run.header.suite_name.clone(),
            suite_sha256,
            variants,
        };
        Self::new(path, file)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is no baseline, or comes from a newer version.
    pub fn read(path: &Path) -> Result<Self, GateError> {
        let fail = |what: String, help: &str, place: Place| GateError::Baseline { what, help: help.to_owned(), place };
        let make = "make it with `tripos gate SUITE --update-baseline FILE`, or give the folder of a run";
        let text = std::fs::read_to_string(path)
            .map_err(|e| fail(format!("cannot read the baseline: {e}"), make, Place::file(path)))?;
        let damaged = |e: serde_json::Error| {
            let help = "make the baseline again with --update-baseline, or take it from git";
            fail(format!("this is no baseline: {e}"), help, Place::new(path, e.line(), e.column()))
        };
        let value: Value = serde_json::from_str(&text).map_err(damaged)?;
        match value.get("schema").and_then(Value::as_u64) {
            Some(found) if found > u64::from(SCHEMA) => {
                let what = format!("this baseline has schema {found}, and this version reads up to {SCHEMA}");
                Err(fail(what, "update Tripos", Place::file(path)))
            }
            // From the text again: a value has lost its places.
            _ => Ok(Self::new(path, serde_json::from_str(&text).map_err(damaged)?)),
        }
    }

    fn new(path: &Path, file: File) -> Self {
        let rows = file.variants.iter().map(|(variant, metrics)| (variant.clone(), rows(metrics))).collect();
        Self { path: path.to_path_buf(), file, rows }
    }

    /// Whether a suite's rules can be judged against it.
    ///
    /// # Errors
    /// It is of another suite, or lacks a variant or metric that a rule compares.
    pub fn check(&self, suite: &Suite) -> Result<(), Problems> {
        let mut problems = Problems::new();
        if self.file.suite != suite.name {
            problems.push(GateError::Baseline {
                what: format!("this is a baseline of suite `{}`, not of `{}`", self.file.suite, suite.name),
                help: "give the baseline of this suite, or make one with --update-baseline FILE".into(),
                place: Place::file(&self.path),
            });
            return Err(problems);
        }
        for rule in suite.gate.iter().filter(|rule| matches!(rule.bound, Bound::NoWorseBy(_))) {
            if !self.file.variants.contains_key(&rule.variant) {
                problems.push(GateError::NoVariant {
                    whose: self.path.display().to_string(),
                    name: rule.variant.clone(),
                    known: self.variants().map(str::to_owned).collect(),
                    place: rule.place.clone(),
                });
            }
        }
        problems.or_ok(())
    }

    /// The names of its variants, sorted.
    pub fn variants(&self) -> impl Iterator<Item = &str> {
        self.file.variants.keys().map(String::as_str)
    }

    /// One variant, with the true label of each case, which the file does not hold.
    #[must_use]
    pub fn sheet<'a>(&'a self, variant: &str, truths: &HashMap<&str, &'a str>) -> Option<Sheet<'a>> {
        let (name, kept) = self.rows.get_key_value(variant)?;
        let row = |kept: &'a Kept| Row {
            case: &kept.case,
            scores: &kept.scores,
            truth: truths.get(kept.case.as_str()).copied(),
            cut: false,
            windows: &[],
        };
        let text = |case: &str| self.file.cases.get(case).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let cases = kept.iter().map(|kept| (kept.case.as_str(), text(&kept.case))).collect();
        let run = self.path.display().to_string();
        Some(Sheet { run, variant: name.clone(), rows: kept.iter().map(row).collect(), cases })
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let mut writer = serde_json::Serializer::with_formatter(&mut text, OneLineLists::default());
        // Maps of texts and numbers: nothing in them can be refused.
        let _ = self.file.serialize(&mut writer);
        String::from_utf8_lossy(&text).into_owned() + "\n"
    }
}

/// The SHA-256 of some bytes, as lower-case hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
