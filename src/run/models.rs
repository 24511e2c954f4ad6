//! Opens each model of a plan once.

use super::base::need_of_head;
use crate::engine::cache::{Cache, Identity};
use crate::engine::endpoint::{Endpoint, EndpointSettings, Key, Proxies};
use crate::engine::llama::probe::Probe;
use crate::engine::llama::{KvStorage, Llama, LlamaSettings, hash};
use crate::engine::scripted::Scripted;
use crate::engine::{Engine, KvMode};
use crate::error::Problems;
use crate::score::Judge;
use crate::store::ModelRecord;
use crate::suite::{self, KvType, ScorerKind, ScorerSpec, Suite, Variant, Vars};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a run uses the machine, whatever the suite.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// Threads of ggml.
    pub threads: usize,
    /// Layers on the GPU.
    pub gpu_layers: Option<u32>,
    /// One batch, or one trial at a time.
    pub kv: KvMode,
    /// A share of the trials is asked again one line at a time, and compared.
    pub kv_check: bool,
    /// Most sequences in flight.
    pub parallel: usize,
    /// Tries models not seen before; `None` trusts them.
    pub probe: Option<Probe>,
    /// Remembers hashes of models, and which were tried.
    pub memory: Option<Arc<Cache>>,
    /// Answers are looked up and kept; needs `memory`.
    pub use_cache: bool,
    /// Models elsewhere on this machine, among which the base of an adapter is looked for by its name.
    pub kept: Vec<PathBuf>,
    /// `command` scorers may run.
    pub allow_commands: bool,
    /// The build of llama.cpp's kernels.
    pub llama_cpp: String,
    /// Instruction sets and back ends in use.
    pub features: Vec<String>,
    /// Whether servers are asked.
    pub servers: Servers,
}

/// Whether models behind servers are asked anything.
#[derive(Debug, Clone, Copy, Default)]
pub enum Servers {
    /// Suites are only looked at.
    #[default]
    Unasked,
    /// They are, and first of all what they are.
    Asked {
        /// What a variable of the environment holds: their keys.
        variable: fn(&str) -> Option<String>,
    },
}

/// What decides which engine a variant needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Need {
    pub(super) model: crate::suite::ModelRef,
    pub(super) adapter: Option<(PathBuf, f32)>,
    pub(super) context: Option<u32>,
}

/// The engines of a plan.
pub struct Models {
    engines: Vec<(Need, Box<dyn Engine>, ModelRecord)>,
    /// What the classifier or reward model of each scorer that has one needs.
    heads: Vec<(String, Need)>,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.engines.iter().map(|(need, ..)| need)).finish()
    }
}

impl Models {
    /// Opens every model that the variants, judges, classifiers and reward models need, none of them with its weights; all problems at
    /// once.
    pub fn open<'a>(
        suite: &Suite,
        variants: impl Iterator<Item = &'a Variant>,
        settings: &RunSettings,
    ) -> Result<Self, Problems> {
        let mut models = Self { engines: Vec::new(), heads: Vec::new() };
        let mut failed: Vec<Need> = Vec::new();
        let mut problems = Problems::new();
        let variants: Vec<&Variant> = variants.collect();
        let asked: Vec<_> = variants.iter().map(|variant| &variant.model).collect();
        for scorer in &suite.scorers {
            match need_of_head(scorer, &asked, settings) {
                Some(Ok(need)) => models.heads.push((scorer.name.clone(), need)),
                Some(Err(error)) => problems.push(*error),
                None => {}
            }
        }
        let others: Vec<Need> = models.heads.iter().map(|(_, need)| need.clone()).collect();
        let judges = suite.scorers.iter().filter_map(need_of_judge);
        for need in variants.into_iter().map(need).chain(judges).chain(others) {
            if models.engines.iter().any(|(other, ..)| *other == need) || failed.contains(&need) {
                continue;
            }
            match open(&need, (suite.kv_type, &suite.template_vars), settings) {
                Ok((engine, mut record)) => {
                    let uri = need.model.path().and_then(|path| suite.located.uri(path));
                    record.uri = uri.map(str::to_owned);
                    models.engines.push((need, engine, record));
                }
                Err(found) => {
                    problems.append(found);
                    failed.push(need);
                }
            }
        }
        problems.or_ok(models)
    }

    /// The engine of a judge and its record.
    #[must_use]
    pub fn of_judge(&self, judge: &Judge) -> Option<(&dyn Engine, &ModelRecord)> {
        let need = Need { model: judge.model().clone(), adapter: None, context: judge.context() };
        let found = self.engines.iter().find(|(other, ..)| *other == need);
        found.map(|(_, engine, record)| (engine.as_ref(), record))
    }

    /// The engine of a classifier or a reward model and its record, by its scorer's name.
    #[must_use]
    pub fn of_head(&self, scorer: &str) -> Option<(&dyn Engine, &ModelRecord)> {
        let (_, need) = self.heads.iter().find(|(name, _)| name == scorer)?;
        let found = self.engines.iter().find(|(other, ..)| other == need);
        found.map(|(_, engine, record)| (engine.as_ref(), record))
    }

    /// The engine of a variant: its index, the engine itself and its record. `None` for a variant not opened.
    #[must_use]
    pub fn of(&self, variant: &Variant) -> Option<(usize, &dyn Engine, &ModelRecord)> {
        let need = need(variant);
        let index = self.engines.iter().position(|(other, ..)| *other == need)?;
        self.engines.get(index).map(|(_, engine, record)| (index, engine.as_ref(), record))
    }
}

fn need_of_judge(scorer: &ScorerSpec) -> Option<Need> {
    match &scorer.kind {
        ScorerKind::JudgeModel(judge) => {
            Some(Need { model: judge.model.clone(), adapter: None, context: judge.context })
        }
        _ => None,
    }
}

fn need(variant: &Variant) -> Need {
    Need {
        model: variant.model.clone(),
        adapter: variant.adapter.as_ref().map(|adapter| (adapter.path.clone(), adapter.scale)),
        context: variant.context,
    }
}

pub(super) fn open(
    need: &Need,
    (kv_type, template_vars): (KvType, &Vars),
    settings: &RunSettings,
) -> Result<(Box<dyn Engine>, ModelRecord), Problems> {
    let memory = settings.memory.as_deref();
    let (engine, policy): (Box<dyn Engine>, String) = match &need.model {
        crate::suite::ModelRef::Scripted(path) => (Box::new(Scripted::open(path, need.context)?), "scripted".into()),
        crate::suite::ModelRef::Endpoint(spec) => {
            let asked = matches!(settings.servers, Servers::Asked { .. });
            let endpoint = Endpoint::open(endpoint_settings(spec, template_vars, settings.servers), asked)?;
            (Box::new(endpoint), "endpoint".into())
        }
        crate::suite::ModelRef::Gguf(path) => {
            let llama = LlamaSettings {
                context: need.context,
                threads: settings.threads,
                gpu_layers: settings.gpu_layers,
                kv_type: match kv_type {
                    KvType::F16 => KvStorage::F16,
                    KvType::F32 => KvStorage::F32,
                    KvType::Q8_0 => KvStorage::Q8_0,
                },
                kv: settings.kv,
                parallel: settings.parallel,
                adapter: need.adapter.clone(),
            };
            let tried_by = (settings.probe.as_ref(), settings.llama_cpp.as_str());
            let llama = Llama::open(path, llama, tried_by, memory)?;
            let policy = llama.policy();
            (Box::new(llama), policy)
        }
    };
    let adapter = match &need.adapter {
        Some((path, scale)) => Some((path.clone(), hash(path, memory)?, *scale)),
        None => None,
    };
    let facts = engine.facts().clone();
    let context = if engine.knows_tokens() { engine.context() } else { facts.trained_context as usize };
    let record = ModelRecord { facts, uri: None, adapter, context, policy };
    Ok((engine, record))
}

/// What the answers of a model are remembered under; `build` is that of llama.cpp's kernels.
pub(super) fn identity(record: &ModelRecord, build: &str) -> Identity {
    Identity {
        model: record.facts.sha256.clone(),
        adapter: record.adapter.as_ref().map(|(_, sha256, scale)| (sha256.clone(), *scale)),
        policy: format!("{} | tripos {} | {build}", record.policy, env!("CARGO_PKG_VERSION")),
    }
}

/// How a suite's server is asked; the key is looked up here, and goes no further than into the requests.
fn endpoint_settings(spec: &suite::Endpoint, template_vars: &Vars, servers: Servers) -> EndpointSettings {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let value = |name: &str| match servers {
        Servers::Unasked => None,
        Servers::Asked { variable } => variable(name),
    };
    let proxy = |name: &str| value(&name.to_lowercase()).or_else(|| value(name));
    let key = |name: &String| (name.clone(), value(name).as_deref().and_then(Key::new));
    EndpointSettings {
        urls: spec.urls.clone(),
        name: spec.name.clone(),
        key: spec.key_env.as_ref().map(key),
        proxies: Proxies { http: proxy("HTTP_PROXY"), https: proxy("HTTPS_PROXY"), none: proxy("NO_PROXY") },
        concurrency: spec.concurrency as usize,
        retries: spec.retries,
        timeout: seconds(spec.timeout_s),
        total: spec.total_s.map(seconds),
        budget: spec.budget_tokens,
        stream: spec.stream,
        takes: spec.takes.clone(),
        keep: spec.cache,
        template_vars: template_vars.clone(),
        place: spec.place.0.clone(),
    }
}
