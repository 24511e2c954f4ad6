//! Room 3: a prompt becomes a [`Completion`].
//!
//! An [`Engine`] sees text, tokens and [`Sampling`]; never a suite, a prompt or a score. [`llama`] runs GGUF files,
//! [`endpoint`] asks servers, [`scripted`] answers from a list (a deterministic fake, for tests of suites), and [`cache`]
//! remembers what was said. A [`Classifier`] and a [`RewardModel`] are heads on a model, kept in a GGUF file.

mod answered;
pub mod cache;
mod classifier;
pub mod endpoint;
mod error;
pub mod llama;
mod reward;
pub mod scripted;
mod talk;

pub use answered::{Answered, end_of_text, without_bos};
pub use classifier::{Base, Classifier, HeadFault, Render};
pub use error::EngineError;
pub use reward::RewardModel;
pub use talk::Talk;

use crate::sampling::Sampling;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

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
    /// Tokens of the prompt that were decoded for this completion: what it shares with others is counted once, where it
    /// was decoded. 0 when it came from the cache.
    pub prompt_tokens_decoded: usize,
    /// Tokens drawn.
    pub completion_tokens: usize,
    /// Its share, by tokens, of the seconds spent decoding; 0 when it came from the cache.
    pub elapsed_s: f64,
    /// How likely each token drawn was, where `logprobs` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// The token of the model's that ended it, where `logprobs` asks; `None` where a stop text or the limit did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Token>,
}

/// How likely the model found a token that was drawn, before temperature and all else that steers the draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token drawn.
    pub id: Token,
    /// Its log-probability (natural logarithm).
    pub logprob: f32,
    /// The likeliest tokens with theirs, best first.
    pub top: Vec<(Token, f32)>,
}

/// How likely a model finds continuations of a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Likelihoods {
    /// Of each continuation, the log-probability of each of its tokens given all before it (natural logarithm).
    pub logprobs: Vec<Vec<f32>>,
    /// Tokens that were decoded for it: what it shares with others is counted once, where it was decoded. 0 when it came
    /// from the cache.
    pub tokens_decoded: usize,
    /// Tokens of the prompt, where only a server can count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<usize>,
    /// Its share, by tokens, of the seconds spent decoding; 0 when it came from the cache.
    pub elapsed_s: f64,
}

/// What is wanted of a model behind a list of tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Go on with it.
    Generate {
        /// How tokens are drawn.
        sampling: Sampling,
        /// Seed of this request alone (see [`crate::seed::trial`]).
        seed: u64,
    },
    /// Say how likely each of these continuations is; none is empty.
    Likelihood {
        /// The continuations.
        continuations: Vec<Vec<Token>>,
    },
    /// The mean of the last layer's states over the tokens: what the text is about, as the model sees it.
    Embed,
    /// The last token's state behind the output norm: what a head on the model reads ([`Classifier`]).
    State,
}

/// One thing asked of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The caller's number for it, given back with the answer.
    pub id: usize,
    /// The prompt, BOS included; never empty.
    pub tokens: Vec<Token>,
    /// What is wanted behind it.
    pub ask: Ask,
}

/// What a model answers, of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Ask::Generate`].
    Completion(Completion),
    /// To [`Ask::Likelihood`].
    Likelihood(Likelihoods),
    /// To [`Ask::Embed`]: as long as the model is wide.
    Embedding(Vec<f32>),
    /// To [`Ask::State`]: as long as the model is wide.
    State(Vec<f32>),
    /// To whatever was asked: no answer was to be had, for a reason outside the model. It is never remembered.
    Failed {
        /// What happened.
        reason: String,
        /// How to mend it.
        help: String,
    },
}

/// What a suite may want of a model beside the completions of whole prompts, and not every engine can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// How likely given texts are behind a completion prompt.
    Likelihood,
    /// The same behind a chat.
    LikelihoodInChat,
    /// The windows of a long text.
    LongText,
    /// A chat that ends in the answer's first words.
    Prefill,
    /// States and embeddings.
    States,
    /// A JSON Schema behind a completion prompt.
    SchemaBehindText,
    /// Variables of the suite's in the chat template.
    TemplateVars,
}

/// What answering took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Tokens of prompts and continuations given to decode; what is drawn comes on top.
    pub tokens_decoded: usize,
    /// Shared beginnings that had to be given up for want of room, and were decoded again.
    pub evictions: usize,
}

/// What is known of a model before its weights are loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// `llama`, `qwen2`, …; `scripted`, or `endpoint`.
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
    /// SHA-256 of the reward models that moved it, or the adapter that it is asked with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewards: Vec<String>,
    /// Spelling of the token that begins a text.
    pub bos: Option<String>,
    /// Spelling of the token that ends a text.
    pub eos: Option<String>,
    /// Spellings of its control tokens.
    #[serde(skip)]
    pub controls: Vec<String>,
    /// Numbers in a state; 0 where it is not known.
    #[serde(skip)]
    pub width: usize,
}

/// The architecture of a model behind a server: which it really is, only the server knows.
const SERVED: &str = "endpoint";

impl ModelFacts {
    /// Whether it runs behind a server, which may run something else by the next time it is asked.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.architecture == SERVED
    }
}

/// Something that answers requests.
pub trait Engine: Send + Sync {
    /// What is known of the model.
    fn facts(&self) -> &ModelFacts;

    /// Context length of one request, prompt and completion together, in tokens.
    fn context(&self) -> usize;

    /// The text's tokens, with BOS exactly once where the model wants one. Control-token spellings become control
    /// tokens, except inside `quoted` (byte ranges of `text`), where they are plain text.
    fn tokenize(&self, text: &str, quoted: &[Range<usize>]) -> Vec<Token>;

    /// The token that begins a text: BOS, or EOS where there is none; `None` where there is neither.
    fn start(&self) -> Option<Token>;

    /// The tokens that end what the model says, in order: EOS, and what chat templates end an answer with. A file may have
    /// them as ordinary tokens.
    fn ends(&self) -> &[Token] {
        &[]
    }

    /// Whether a token is one of them.
    fn is_end(&self, token: Token) -> bool {
        self.ends().binary_search(&token).is_ok()
    }

    /// The bytes that tokens stand for; those of control tokens are left out.
    fn bytes(&self, tokens: &[Token]) -> Vec<u8>;

    /// Whether it can draw as a sampling says: grammars and schemas that it takes, biases of single tokens.
    ///
    /// # Errors
    /// What it cannot do.
    fn check(&self, _sampling: &Sampling) -> Result<(), EngineError> {
        Ok(())
    }

    /// Whether it can give what a suite wants beside completions.
    ///
    /// # Errors
    /// Why not.
    fn offers(&self, _what: Offer) -> Result<(), EngineError> {
        Ok(())
    }

    /// Whether its tokens are the model's. Where they are not, they say nothing to anybody, and no record shows them.
    fn knows_tokens(&self) -> bool {
        true
    }

    /// Whether an answer to this may be remembered for another run.
    fn may_be_kept(&self, _ask: &Ask) -> bool {
        true
    }

    /// Answers the requests and calls `done` as each is complete, in an order that depends on the requests alone (and, where
    /// servers answer, on how fast they do). Once `stop` is set, nothing new is begun; what is in flight is finished.
    ///
    /// # Errors
    /// When the model cannot be loaded or decoding fails; answers handed out before stay good.
    fn answer(
        &self,
        requests: Vec<Request>,
        done: &mut dyn FnMut(usize, Answer),
        stop: &AtomicBool,
    ) -> Result<Effort, EngineError>;

    /// The same, one line of tokens at a time from an empty cache, whatever the engine's own mode: the reference that
    /// `--kv check` compares with.
    ///
    /// # Errors
    /// As [`Engine::answer`].
    fn answer_alone(
        &self,
        requests: Vec<Request>,
        done: &mut dyn FnMut(usize, Answer),
        stop: &AtomicBool,
    ) -> Result<Effort, EngineError> {
        self.answer(requests, done, stop)
    }

    /// Lends a [`Talk`] for as long as `with` takes: it keeps what it has read from text to text, and is heard while it
    /// speaks, where the engine can do so. Nothing else is to be asked of the engine meanwhile.
    ///
    /// # Errors
    /// When the model cannot be loaded.
    fn talk(&self, with: &mut dyn FnMut(&mut dyn Talk)) -> Result<(), EngineError> {
        with(&mut talk::Forgetful(self));
        Ok(())
    }

    /// Gives the memory of the weights back; the next [`Engine::answer`] loads them again.
    fn unload(&self) {}
}

/// How the sequences of a run share the KV cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvMode {
    /// One continuous batch of many sequences, what they share decoded once: fast, the default.
    #[default]
    Tree,
    /// One trial at a time, in plan order: a trial's text never depends on what else is in the run.
    Exact,
}
