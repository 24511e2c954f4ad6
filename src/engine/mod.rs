//! Room 3: a prompt becomes a [`Completion`].
//!
//! An [`Engine`] sees text, tokens and [`Sampling`]; never a suite, a prompt or a score. [`llama`] runs GGUF files,
//! [`scripted`] answers from a list (a deterministic fake, for tests of suites), and [`cache`] remembers what either
//! has said.

pub mod cache;
mod error;
pub mod llama;
pub mod scripted;

pub use error::EngineError;

use crate::sampling::Sampling;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

/// A token id of the model's vocabulary.
pub type Token = u32;

/// What ended a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended it, or a stop text came up.
    Stop,
    /// `max_tokens` was reached: the completion is cut.
    Length,
}

/// What the model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text, without the stop text.
    pub text: String,
    /// The tokens drawn, the end token excluded.
    pub tokens: Vec<Token>,
    /// What ended it.
    pub stop_reason: StopReason,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were decoded for this completion; 0 when it came from the cache.
    pub prompt_tokens_decoded: usize,
    /// Tokens drawn.
    pub completion_tokens: usize,
    /// Its share, by tokens, of the seconds spent decoding; 0 when it came from the cache.
    pub elapsed_s: f64,
}

/// One prompt to complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The caller's number for it, given back with the completion.
    pub id: usize,
    /// The prompt, BOS included.
    pub tokens: Vec<Token>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Seed of this request alone (see [`crate::seed::trial`]).
    pub seed: u64,
}

/// What is known of a model before its weights are loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// `llama`, `qwen2`, … or `scripted`.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// How they are stored, for people: `Q8_0`, `F16`, …
    pub quantisation: String,
    /// Context length it was trained with, in tokens.
    pub trained_context: u32,
    /// Its Jinja chat template.
    #[serde(skip)]
    pub chat_template: Option<String>,
    /// Spelling of the token that begins a text.
    pub bos: Option<String>,
    /// Spelling of the token that ends a text.
    pub eos: Option<String>,
    /// Spellings of its control tokens.
    #[serde(skip)]
    pub controls: Vec<String>,
}

/// Something that completes prompts.
pub trait Engine: Send + Sync {
    /// What is known of the model.
    fn facts(&self) -> &ModelFacts;

    /// Context length of one request, prompt and completion together, in tokens.
    fn context(&self) -> usize;

    /// The text's tokens, with BOS exactly once where the model wants one. Control-token spellings become control
    /// tokens, except inside `quoted` (byte ranges of `text`), where they are plain text.
    fn tokenize(&self, text: &str, quoted: &[Range<usize>]) -> Vec<Token>;

    /// Completes the requests, pulling the next when there is room for it, and calls `done` as each is complete, in an
    /// order that depends on the requests alone. Ends when the requests do and all that were pulled are complete.
    ///
    /// # Errors
    /// When the model cannot be loaded or decoding fails; completions handed out before stay good.
    fn generate(
        &self,
        requests: &mut dyn Iterator<Item = Request>,
        done: &mut dyn FnMut(usize, Completion),
    ) -> Result<(), EngineError>;

    /// Gives the memory of the weights back; the next [`Engine::generate`] loads them again.
    fn unload(&self) {}
}

/// How the sequences of a run share the KV cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvMode {
    /// One continuous batch of many sequences: fast, the default.
    #[default]
    Tree,
    /// One trial at a time, in plan order: a trial's text never depends on what else is in the run.
    Exact,
}
