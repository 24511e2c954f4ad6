//! GGUF models run by llama.cpp.
//!
//! [`Llama::open`] checks the file ([`crate::gguf`]), lets a child process try it ([`probe`]), and loads its
//! vocabulary; the weights follow on the first [`Engine::answer`], so a run that is answered from the cache never
//! loads them. `scheduler` keeps many sequences in one continuous batch and decodes what they share (`tree`, `walk`) once.

mod backend;
mod cells;
mod context;
mod draw;
mod embed;
mod line;
mod logprob;
pub mod probe;
mod scheduler;
mod slot;
mod state;
mod talk;
mod tells;
mod tokens;
mod tree;
mod walk;

use super::{Answer, Ask, Effort, Engine, EngineError, KvMode, ModelFacts, Request, Talk, Token, cache::Cache};
use crate::error::{Place, Problems};
use crate::gguf::{self, Gguf};
use crate::sampling::{Sampling, check_grammar};
use backend::backend;
use context::{Purpose, context};
use draw::Drawer;
use llama_cpp_2::model::params::{LlamaModelParams, LlamaSplitMode};
use llama_cpp_2::model::{LlamaLoraAdapter, LlamaModel};
use probe::Probe;
use scheduler::Scheduler;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use talk::LlamaTalk;
use tokens::Tokenizer;

pub use scheduler::BATCH;

/// Bytes that the KV cache may take beyond the one context that any run needs.
const KV_BUDGET: usize = 2 << 30;

/// Sequences that llama.cpp allows in a context (`LLAMA_MAX_SEQ`).
const MOST_SEQUENCES: usize = 256;

/// Sequences beside the completions where each costs a state.
const BESIDE_STATES: usize = 8;

/// Context length where neither the suite nor the model asks for less, in tokens.
const MOST_CONTEXT: u32 = 4096;

/// How a model is run. What changes its answers in the last digit is part of the run's header and of the cache key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlamaSettings {
    /// Context length of one trial, in tokens; `None` is the model's own, at most 4096.
    pub context: Option<u32>,
    /// Threads of ggml.
    pub threads: usize,
    /// Layers on the GPU; `None` leaves it to llama.cpp.
    pub gpu_layers: Option<u32>,
    /// Storage of keys and values.
    pub kv_type: KvStorage,
    /// One batch for all, or one trial at a time.
    pub kv: KvMode,
    /// Most sequences in flight (1 under `exact`).
    pub parallel: usize,
    /// A LoRA adapter and its scale.
    pub adapter: Option<(PathBuf, f32)>,
}

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvStorage {
    /// 16-bit floats.
    F16,
    /// 32-bit floats, without flash attention, which would round them to 16 bits.
    F32,
    /// 8-bit blocks.
    Q8_0,
}

impl KvStorage {
    /// `LLAMA_FLASH_ATTN_TYPE_DISABLED` or `_AUTO`. llama.cpp casts F32 keys and values to F16 on the way into flash
    /// attention (`build_attn_mha`), so that F32 would be no better than F16 with it.
    fn flash_attention(self) -> i32 {
        if self == Self::F32 { 0 } else { -1 }
    }
}

/// A GGUF model.
pub struct Llama {
    facts: ModelFacts,
    settings: LlamaSettings,
    tokenizer: Tokenizer,
    shape: KvShape,
    weights: Mutex<Option<Weights>>,
}

/// What a context has room for.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Cells of the KV cache.
    cells: usize,
    /// Completions drawn at a time.
    parallel: usize,
    /// Sequences.
    sequences: usize,
}

/// What of a model decides how large its KV cache may be.
#[derive(Debug, Clone, Copy)]
struct KvShape {
    /// Values that a token's keys and values take, all layers together.
    values: usize,
    /// A context longer than this changes the rotation of every position (longrope: Phi-3 and its like), so that one
    /// trial's context, not the cells of all, has to decide.
    turns_at: Option<usize>,
    /// It has layers that keep a state for each sequence (recurrent and hybrid models).
    keeps_states: bool,
}

impl std::fmt::Debug for Llama {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Llama").field("facts", &self.facts).field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The loaded weights, the adapter initialised on them.
struct Weights {
    adapter: Option<LlamaLoraAdapter>,
    model: LlamaModel,
}

impl Llama {
    /// Opens a model without its weights. A file not seen before by this build of llama.cpp is tried in a child process
    /// first; `memory` remembers hashes and what was tried.
    pub fn open(
        path: &Path,
        settings: LlamaSettings,
        (probe, build): (Option<&Probe>, &str),
        memory: Option<&Cache>,
    ) -> Result<Self, Problems> {
        let gguf = Gguf::open_checked(path)?;
        gguf.check_model()?;
        let sha256 = hash(path, memory)?;
        let mut rewards = gguf.metadata().rewards();
        if let Some((adapter, _)) = &settings.adapter {
            let adapter = Gguf::open_checked(adapter)?;
            adapter.check_trained_on(&gguf, &sha256)?;
            adapter.check_fits(&gguf)?;
            rewards.extend(adapter.metadata().rewards());
        }
        if let Some(probe) = probe {
            let known = settings.adapter.is_none() && memory.is_some_and(|m| m.was_tried(&sha256, build));
            if !known {
                probe.try_model(path, settings.adapter.as_ref().map(|(path, _)| path.as_path()))?;
                if let Some(memory) = memory.filter(|_| settings.adapter.is_none()) {
                    memory.remember_tried(&sha256, build);
                }
            }
        }
        let tokenizer = Tokenizer::new(load(path, &LlamaModelParams::default().with_vocab_only(true))?);
        Ok(Self {
            facts: ModelFacts { rewards, ..facts(path, &gguf, sha256, tokenizer.spellings()) },
            tokenizer,
            shape: kv_shape(&gguf),
            settings,
            weights: Mutex::new(None),
        })
    }

    /// What of the settings can change an answer's last digits, as one line: for the header and the cache key.
    #[must_use]
    pub fn policy(&self) -> String {
        let LlamaSettings { threads, gpu_layers, kv_type, kv, .. } = &self.settings;
        let limits = self.limits(*kv);
        format!(
            "kv {kv:?}, context {}, continuous batch of {BATCH} tokens, {} sequences in {} cells, {}, KV {kv_type:?}, flash attention {}, {threads} threads, GPU layers {}",
            self.context(),
            limits.parallel,
            limits.cells,
            if *kv == KvMode::Tree { "shared beginnings decoded once" } else { "nothing shared between them" },
            if kv_type.flash_attention() == 0 { "off" } else { "auto" },
            gpu_layers.map_or("auto".to_owned(), |n| n.to_string())
        )
        .to_lowercase()
    }

    /// What a context has room for in a mode. Cells: a context for each completion, within the budget, and always one
    /// whole context. Sequences: one for each completion, and those of the prefixes and candidates beside them; an
    /// attention model has as many as llama.cpp allows, since a sequence costs nothing but its cells, a recurrent one
    /// keeps a state for each. More sequences than cells make llama.cpp abort.
    fn limits(&self, mode: KvMode) -> Limits {
        let context = self.context();
        let parallel = if mode == KvMode::Exact { 1 } else { self.settings.parallel.clamp(1, MOST_SEQUENCES) };
        let per_value = match self.settings.kv_type {
            KvStorage::F32 => 4,
            KvStorage::F16 => 2,
            KvStorage::Q8_0 => 1,
        };
        let budget = KV_BUDGET / (self.shape.values * per_value).max(1);
        let most = self.shape.turns_at.filter(|turn| context <= *turn).unwrap_or(usize::MAX);
        let cells = budget.min(most).clamp(context, context * parallel);
        let sequences = match (mode, self.shape.keeps_states) {
            (KvMode::Exact, _) => 1,
            (KvMode::Tree, false) => MOST_SEQUENCES,
            (KvMode::Tree, true) => parallel + BESIDE_STATES,
        };
        Limits { cells, parallel, sequences: sequences.min(MOST_SEQUENCES).min(cells) }
    }

    fn answer_as(
        &self,
        mode: KvMode,
        requests: Vec<Request>,
        done: &mut dyn FnMut(usize, Answer),
        stop: &AtomicBool,
    ) -> Result<Effort, EngineError> {
        if requests.is_empty() {
            return Ok(Effort::default());
        }
        let mut guard = self.lock();
        let weights = self.loaded(&mut guard)?;
        let (texts, rest): (Vec<Request>, Vec<Request>) =
            requests.into_iter().partition(|request| request.ask == Ask::Embed);
        let (heads, lines): (Vec<Request>, Vec<Request>) =
            rest.into_iter().partition(|request| request.ask == Ask::State);
        let mut effort = embed::run(weights, self, &texts, done)?;
        effort.tokens_decoded += state::run(weights, self, (mode, &heads), done, stop)?.tokens_decoded;
        if !lines.is_empty() {
            let limits = self.limits(mode);
            let context = context(weights, self, (limits.cells, limits.sequences), Purpose::Logits)?;
            let more = Scheduler::new(context, &self.tokenizer, limits, &lines).run(mode, done, stop)?;
            effort = Effort { tokens_decoded: effort.tokens_decoded + more.tokens_decoded, ..more };
        }
        Ok(effort)
    }

    /// The place of the weights. A thread that panicked while it held the lock left nothing half-done behind: the weights
    /// are read-only.
    fn lock(&self) -> MutexGuard<'_, Option<Weights>> {
        self.weights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The weights, loaded if they are not there yet.
    fn loaded<'g>(&self, place: &'g mut Option<Weights>) -> Result<&'g mut Weights, EngineError> {
        Ok(match place.take() {
            Some(weights) => place.insert(weights),
            None => place.insert(self.load_weights()?),
        })
    }

    /// Loads the weights and the adapter.
    fn load_weights(&self) -> Result<Weights, EngineError> {
        let mut params = LlamaModelParams::default();
        match self.settings.gpu_layers {
            // Without devices: llama.cpp would still send large batches to a GPU.
            Some(0) => params = params.with_split_mode(LlamaSplitMode::None).with_main_gpu(-1),
            Some(layers) => params = params.with_n_gpu_layers(layers),
            None => {}
        }
        let mut model = load(&self.facts.path, &params)?;
        let adapter = match &self.settings.adapter {
            Some((path, _)) => Some(
                model
                    .lora_adapter_init(path)
                    .map_err(|e| EngineError::Adapter { place: Place::file(path), reason: e.to_string() })?,
            ),
            None => None,
        };
        Ok(Weights { adapter, model })
    }
}

impl Engine for Llama {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn context(&self) -> usize {
        self.settings.context.unwrap_or(self.facts.trained_context.min(MOST_CONTEXT)) as usize
    }

    fn tokenize(&self, text: &str, quoted: &[Range<usize>]) -> Vec<Token> {
        self.tokenizer.tokenize(text, quoted)
    }

    fn start(&self) -> Option<Token> {
        self.tokenizer.start()
    }

    fn ends(&self) -> &[Token] {
        self.tokenizer.ends()
    }

    fn bytes(&self, tokens: &[Token]) -> Vec<u8> {
        self.tokenizer.bytes(tokens)
    }

    fn check(&self, sampling: &Sampling) -> Result<(), EngineError> {
        // What the suite's reader has refused never reaches llama.cpp.
        if sampling.grammar.as_ref().is_some_and(|grammar| !check_grammar(grammar).is_empty()) {
            return Ok(());
        }
        Drawer::new(sampling, 0, &self.tokenizer).map(|_| ())
    }

    fn answer(
        &self,
        requests: Vec<Request>,
        done: &mut dyn FnMut(usize, Answer),
        stop: &AtomicBool,
    ) -> Result<Effort, EngineError> {
        self.answer_as(self.settings.kv, requests, done, stop)
    }

    fn answer_alone(
        &self,
        requests: Vec<Request>,
        done: &mut dyn FnMut(usize, Answer),
        stop: &AtomicBool,
    ) -> Result<Effort, EngineError> {
        self.answer_as(KvMode::Exact, requests, done, stop)
    }

    fn talk(&self, with: &mut dyn FnMut(&mut dyn Talk)) -> Result<(), EngineError> {
        let mut guard = self.lock();
        let weights = self.loaded(&mut guard)?;
        let cells = self.context();
        let context = context(weights, self, (cells, 1), Purpose::Logits)?;
        with(&mut LlamaTalk::new(context, &self.tokenizer, cells));
        Ok(())
    }

    fn unload(&self) {
        *self.lock() = None;
    }
}

fn kv_shape(gguf: &Gguf) -> KvShape {
    let number = |key: &str| gguf.hyperparameter(key).and_then(|n| usize::try_from(n).ok());
    let heads = number("attention.head_count").unwrap_or(1).max(1);
    let head = gguf.embedding_length().and_then(|n| usize::try_from(n).ok()).unwrap_or(0) / heads;
    let width = number("attention.key_length").unwrap_or(head) + number("attention.value_length").unwrap_or(head);
    let layers = gguf.block_count().and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    let longrope = gguf.tensors().iter().any(|tensor| tensor.name.contains("rope_factors_long"));
    KvShape {
        values: layers * width * number("attention.head_count_kv").unwrap_or(heads),
        turns_at: number("rope.scaling.original_context_length").filter(|_| longrope),
        keeps_states: gguf.keeps_states(),
    }
}

/// The file's SHA-256, remembered by path, size, time and inode.
pub fn hash(path: &Path, memory: Option<&Cache>) -> Result<String, EngineError> {
    if let Some(known) = memory.and_then(|m| m.known_hash(path)) {
        return Ok(known);
    }
    let sha256 = gguf::sha256_file(path)
        .map_err(|e| EngineError::Refused { place: Place::file(path), reason: e.to_string() })?;
    if let Some(memory) = memory {
        memory.remember_hash(path, &sha256);
    }
    Ok(sha256)
}

fn facts(path: &Path, gguf: &Gguf, sha256: String, controls: Vec<String>) -> ModelFacts {
    ModelFacts {
        path: path.to_path_buf(),
        sha256,
        architecture: gguf.architecture().unwrap_or_default().to_owned(),
        parameters: gguf.parameter_count(),
        quantisation: gguf.quantisation().to_owned(),
        trained_context: gguf.context_length().and_then(|n| u32::try_from(n).ok()).unwrap_or(MOST_CONTEXT),
        rewards: Vec::new(),
        chat_template: gguf.chat_template().map(str::to_owned),
        bos: gguf.bos_token().map(str::to_owned),
        eos: gguf.eos_token().map(str::to_owned),
        controls,
        width: gguf.embedding_length().and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
    }
}

fn load(path: &Path, params: &LlamaModelParams) -> Result<LlamaModel, EngineError> {
    let refused = |reason: String| EngineError::Refused { place: Place::file(path), reason };
    let backend = backend().map_err(refused)?;
    LlamaModel::load_from_file(backend, path, params).map_err(|e| refused(e.to_string()))
}
