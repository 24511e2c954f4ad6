//! The flags that shape a plan: which model, which variants and cases, which seed. They are kept in the run's header,
//! so that `--resume` needs none of them and refuses others.

use super::environment;
use super::failure::Failure;
use crate::engine::KvMode;
use crate::error::{Place, Problems};
use crate::run::{RunError, RunSettings, Selection};
use crate::store::{Header, Repeat, Trial, read_samples};
use crate::suite::{AdapterRef, Located, ModelRef, Overrides, split_scale};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Sequences in flight where nothing else is asked for. More is not faster: attention runs over the cells of all of them
/// (3 million parameters, 2 cores, tokens/s: 8 4,500, 16 4,200, 32 3,400, 64 2,300).
const PARALLEL: u32 = 8;

/// Flags that shape the plan.
#[derive(Debug, Clone, Default, clap::Args, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct PlanArgs {
    /// Ask this model (a GGUF file, or hf://owner/repo/file.gguf) instead of every model of the suite
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// Apply this LoRA adapter, scaled (1 unless said otherwise)
    #[arg(long, value_name = "FILE[=SCALE]", value_parser = adapter)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Only this variant (repeatable)
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variant: Vec<String>,
    /// Only this case (repeatable)
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub case: Vec<String>,
    /// Only cases with this tag (repeatable: any of them)
    #[arg(long, value_name = "TAG")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    /// Only the cases that failed in this run, in any of its variants
    #[arg(long, value_name = "RUN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_failing: Option<PathBuf>,
    /// Only the first N cases
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only N cases, drawn by the seed
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<usize>,
    /// Moves sampling and the choice of examples
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Context length of a trial, in tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=16_777_216))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// How sequences are decoded
    #[arg(long, value_enum, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv: Option<Kv>,
    /// Threads that decode [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Layers kept on the GPU [default: all that fit]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_layers: Option<u32>,
    /// Trials in flight at most [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
}

/// An adapter and its scale. A file's name may hold `=`.
pub(super) fn adapter(written: &str) -> Result<String, String> {
    match written.rsplit_once('=') {
        Some((file, scale)) if split_scale(written).0 == written && Path::new(file).is_file() => {
            Err(format!("`{scale}` is no number to scale it by"))
        }
        _ => Ok(written.to_owned()),
    }
}

/// How sequences are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kv {
    /// Many at once, what they share decoded once: fast, the default
    Tree,
    /// One at a time: an answer never depends on what else is run
    Exact,
    /// As tree, and a share of the trials again one at a time: how far the answers lie apart
    Check,
}

impl PlanArgs {
    /// The flags as the header keeps them: what decides how tokens are decoded is kept even where it was not given, so
    /// that a run is resumed in the same way, also on a machine with more cores.
    pub(super) fn recorded(&self) -> BTreeMap<String, Value> {
        let threads = self.threads.or_else(|| u32::try_from(environment::cores()).ok());
        let decoding = Self {
            threads,
            parallel: self.parallel.or(Some(PARALLEL)),
            kv: self.kv.or(Some(Kv::Tree)),
            ..self.clone()
        };
        decoding.given()
    }

    /// The flags given, as JSON.
    fn given(&self) -> BTreeMap<String, Value> {
        // Files are kept from the root: a run may be resumed from another folder.
        let whole = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let flags = Self {
            model: self.model.as_ref().map(whole),
            filter_failing: self.filter_failing.as_ref().map(whole),
            adapter: self.adapter.as_ref().map(|written| {
                let (path, scale) = split_scale(written);
                format!("{}={scale}", whole(&path.into()).display())
            }),
            ..self.clone()
        };
        match serde_json::to_value(flags) {
            Ok(Value::Object(map)) => map.into_iter().collect(),
            _ => BTreeMap::new(),
        }
    }

    /// The settings with these flags in them.
    pub(super) fn decoding(&self, settings: RunSettings) -> RunSettings {
        RunSettings {
            threads: self.threads.map_or_else(environment::cores, |n| n as usize),
            gpu_layers: self.gpu_layers,
            parallel: self.parallel.unwrap_or(PARALLEL) as usize,
            kv: match self.kv {
                Some(Kv::Exact) => KvMode::Exact,
                Some(Kv::Tree | Kv::Check) | None => KvMode::Tree,
            },
            kv_check: self.kv == Some(Kv::Check),
            ..settings
        }
    }

    /// The flags of the run that is resumed; each flag given beside --resume must say the same.
    pub(super) fn resumed(&self, header: &Header, run: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        for (flag, given) in self.given() {
            let recorded = header.flags.get(&flag);
            if recorded != Some(&given) {
                problems.push(RunError::OtherFlag {
                    flag,
                    given: given.to_string(),
                    recorded: recorded.map_or_else(|| "none".to_owned(), Value::to_string),
                    place: Place::file(run),
                });
            }
        }
        let recorded = Value::Object(header.flags.clone().into_iter().collect());
        problems.or_ok(serde_json::from_value(recorded).unwrap_or_default())
    }

    /// What these flags put in the place of what the suite says.
    pub(super) fn overrides(&self, strict: bool) -> Overrides {
        Overrides {
            drawn: None,
            model: self.model.clone().map(|path| match path.extension() {
                Some(ending) if ending == "yaml" || ending == "yml" => ModelRef::Scripted(path),
                _ => ModelRef::Gguf(path),
            }),
            adapter: self.adapter.as_deref().map(|written| {
                let (path, scale) = split_scale(written);
                AdapterRef { path: path.into(), scale }
            }),
            context: self.context,
            seed: self.seed,
            models_beside: None,
            located: Located::default(),
            output: None,
            strict,
        }
    }

    /// Whether they leave out variants or cases.
    pub(super) fn picks_cases(&self) -> bool {
        let named = [&self.variant, &self.case, &self.tag].iter().any(|names| !names.is_empty());
        named || self.limit.is_some() || self.sample.is_some() || self.filter_failing.is_some()
    }

    /// Which variants and cases they pick.
    pub(super) fn selection(&self) -> Result<Selection, Failure> {
        let failing = match &self.filter_failing {
            Some(run) => Some(failing(run)?),
            None => None,
        };
        Ok(Selection {
            variants: self.variant.clone(),
            cases: self.case.clone(),
            tags: self.tag.clone(),
            failing,
            limit: self.limit,
            sample: self.sample,
        })
    }
}

/// The cases that failed in a run, in any of its variants. Repeats that were reduced count by what they came to.
fn failing(run: &Path) -> Result<HashSet<String>, Failure> {
    let mut passed: HashMap<(String, String), bool> = HashMap::new();
    read_samples(run, |sample| {
        let pass = sample.passed();
        let Trial { variant, case, repeat } = sample.trial;
        let of_case = passed.entry((variant, case)).or_insert(true);
        *of_case = if repeat == Repeat::Reduced { pass } else { pass && *of_case };
    })?;
    Ok(passed.into_iter().filter(|(_, pass)| !pass).map(|((_, case), _)| case).collect())
}
