//! Room 2: a case and a variant become a [`Prompt`].
//!
//! A [`PromptTemplate`] is compiled once a variant, [`Controls`] and [`ChatTemplate`] once a model; a [`Renderer`] puts
//! them together and renders case by case, on as many threads as there are. This room knows nothing of tokens: it says
//! which bytes of the text the tokenizer has to take as plain text.

mod chat;
mod chat_template;
mod control;
mod conversation;
mod data;
mod error;
mod examples;
mod given;
mod jinja;
mod lesson;
mod nunjucks;
mod render;
mod strftime;
mod template;
mod tojson;
mod yaml;

pub use chat::ChatPrompt;
pub use chat_template::{ChatFailure, ChatSettings, ChatTemplate, DEFAULT_DATE, Message, Role};
pub use control::Controls;
pub use error::PromptError;
pub use examples::{ExampleOrder, Nearest};
pub use jinja::{Dialect, Jinja, JinjaError};
pub use lesson::{Asked, Lesson};
pub use render::Renderer;
pub use template::TextTemplate;

use crate::suite::PromptFile;
use std::ops::Range;

/// What a model is asked, rendered once and stored verbatim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The whole text. For a chat it holds the template's own begin-of-sequence token, if that writes one.
    pub text: String,
    /// The byte of `text` at which the case begins: behind the few-shot block. 0 without examples, and where the block
    /// has no end of its own.
    pub case_start: usize,
    /// The byte ranges of `text`, in order and without overlap, in which data (the case, an example) spells a control
    /// token. They are plain text; the same spelling elsewhere was written by a template and is a control token.
    pub quoted: Vec<Range<usize>>,
    /// The messages that the text was rendered from, a prefill as the last of them; none for a completion prompt.
    pub messages: Vec<Message>,
}

/// A compiled prompt file.
///
/// ```
/// use tripos::prompt::PromptTemplate;
/// use tripos::suite::PromptFile;
/// let text = "- user: '{{ question }}'".to_owned();
/// let chat = PromptTemplate::compile(&PromptFile { path: "qa.yaml".into(), text })?;
/// assert!(matches!(chat, PromptTemplate::Chat(_)));
/// # Ok::<(), tripos::prompt::PromptError>(())
/// ```
#[derive(Debug, Clone)]
pub enum PromptTemplate {
    /// A completion prompt.
    Text(TextTemplate),
    /// A chat.
    Chat(ChatPrompt),
}

impl PromptTemplate {
    /// Compiles a prompt file: `.yaml` and `.yml` are chats, anything else is a completion prompt.
    pub fn compile(file: &PromptFile) -> Result<Self, PromptError> {
        if file.is_chat() {
            ChatPrompt::compile(file).map(Self::Chat)
        } else {
            TextTemplate::compile(file).map(Self::Text)
        }
    }

    /// Whether what a model says to it begins a message: a chat that does not end in an assistant's first words.
    #[must_use]
    pub fn begins_a_message(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Chat(chat) => chat.prefill().is_none(),
        }
    }
}

#[cfg(test)]
mod tests;
