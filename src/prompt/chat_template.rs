//! The model's own chat template: the Jinja text in its GGUF, rendered as transformers renders it.
//!
//! Differences from Python's Jinja2 that remain: floats print as Rust prints them, and `tojson` takes `indent` only.
//! `{% generation %}` blocks, which mark what is trained on, become `{% if true %}`.

use super::PromptError;
use super::control::{holds_mark, plain_marks};
use super::strftime::Date;
use super::tojson::tojson;
use crate::suite::Vars;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};
use std::borrow::Cow;
use std::error::Error as _;
use std::sync::Arc;

/// Today, for a template that asks and a suite that does not say: the day that Llama 3's templates fall back to.
pub const DEFAULT_DATE: &str = "2024-07-26";

const NAME: &str = "chat";

/// What a chat template sees beside the messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatSettings {
    /// The text of the token that begins a sequence; empty where the model has none.
    pub bos: String,
    /// The text of the token that ends a sequence; empty where the model has none.
    pub eos: String,
    /// The suite's `date:` (`YYYY-MM-DD`); [`DEFAULT_DATE`] where it has none.
    pub date: Option<String>,
    /// The suite's `template_vars:`, top-level variables such as `enable_thinking`.
    pub template_vars: Vars,
}

/// A message as the template sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Arc<str>,
}

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The role's name in chat templates and prompt files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A compiled chat template; one a model, shared by all threads.
///
/// ```
/// use tripos::prompt::{ChatSettings, ChatTemplate, Message, Role};
/// let source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}\
///               {% if add_generation_prompt %}<|assistant|>{% endif %}";
/// let template = ChatTemplate::compile(source, &ChatSettings::default())?;
/// let messages = [Message { role: Role::User, content: "Hello".into() }];
/// assert_eq!(template.render(&messages, true).unwrap(), "<|user|>Hello<|assistant|>");
/// # Ok::<(), tripos::prompt::PromptError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
}

/// Why a chat template did not render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatFailure {
    /// It called `raise_exception` with these words.
    Refused(String),
    /// Anything else, with the template's line.
    Failed(String),
}

/// The words given to `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

impl ChatTemplate {
    /// Compiles a template. Trims blocks as transformers does.
    pub fn compile(source: &str, settings: &ChatSettings) -> Result<Self, PromptError> {
        let date = settings.date.as_deref().unwrap_or(DEFAULT_DATE);
        let today = Date::parse(date).ok_or_else(|| PromptError::Date { date: date.to_owned() })?;
        if holds_mark(source) {
            return Err(PromptError::Reserved { what: "the model's chat template".to_owned() });
        }
        let mut environment = environment(today).map_err(|error| unreadable(&error))?;
        environment.add_global("bos_token", settings.bos.as_str());
        environment.add_global("eos_token", settings.eos.as_str());
        environment.add_global("tools", ());
        environment.add_global("documents", ());
        for (name, value) in &settings.template_vars {
            environment.add_global(name.clone(), Value::from(Serde(value)));
        }
        let source = without_generation_tags(source).into_owned();
        environment.add_template_owned(NAME, source).map_err(|error| unreadable(&error))?;
        Ok(Self { environment })
    }

    /// The messages as one text, which ends where the model's answer begins if `add_generation_prompt` is set.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, ChatFailure> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| {
                let content = Value::from(Arc::clone(&message.content));
                Value::from_pairs([("role", Value::from(message.role.name())), ("content", content)])
            })
            .collect();
        let variables =
            [("messages", Value::from(messages)), ("add_generation_prompt", Value::from(add_generation_prompt))];
        let template = self.environment.get_template(NAME).map_err(|error| failure(&error))?;
        template.render(Value::from_pairs(variables)).map(plain_marks).map_err(|error| failure(&error))
    }
}

fn environment(today: Date) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_formatter(python_words);
    environment
        .add_filter("tojson", |value: &Value, indent: Option<usize>, options: Kwargs| tojson(value, indent, &options));
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(Refusal(message)))
    });
    environment.add_function("strftime_now", move |format: &str| {
        today
            .format(format)
            .map_err(|unknown| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: unknown `{unknown}`")))
    });
    Ok(environment)
}

/// Prints `True`, `False` and `None` as Python does.
fn python_words(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Bool => Ok(out.write_str(if value.is_true() { "True" } else { "False" })?),
        ValueKind::None => Ok(out.write_str("None")?),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Each `{% generation %}` as `{% if true %}` and each `{% endgeneration %}` as `{% endif %}`: whitespace control and
/// lines stay as they are.
fn without_generation_tags(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len());
    for (number, part) in source.split("{%").enumerate() {
        if number > 0 {
            out.push_str("{%");
        }
        let inside = part.split_once("%}").map_or("", |(inside, _)| inside);
        match inside.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+') {
            "generation" => out += &part.replacen("generation", "if true", 1),
            "endgeneration" => out += &part.replacen("endgeneration", "endif", 1),
            _ => out += part,
        }
    }
    Cow::Owned(out)
}

fn unreadable(error: &Error) -> PromptError {
    PromptError::ChatTemplate { message: with_line(error) }
}

fn failure(error: &Error) -> ChatFailure {
    match error.source().and_then(|source| source.downcast_ref::<Refusal>()) {
        Some(refusal) => ChatFailure::Refused(refusal.0.clone()),
        None => ChatFailure::Failed(with_line(error)),
    }
}

fn with_line(error: &Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    error.line().map_or_else(|| what.clone(), |line| format!("{what} (its line {line})"))
}

#[cfg(test)]
#[path = "chat_template_tests.rs"]
mod tests;
