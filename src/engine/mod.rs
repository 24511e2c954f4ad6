//! Room 3: a prompt becomes a [`Completion`].
//!
//! An [`Engine`] sees text, tokens and [`Sampling`]; never a suite, a prompt or a score. [`llama`] runs GGUF files,
//! [`scripted`] answers from a list (a deterministic fake), and [`cache`] remembers what either has said.

use serde::{Deserialize, Serialize};

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
    pub tokens: Vec<u32>,
    /// What ended it.
    pub stop_reason: StopReason,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens drawn.
    pub completion_tokens: usize,
    /// Seconds from the first decode of the prompt to the last token, shared with the sequences beside it.
    pub elapsed_s: f64,
}
