//! A conversation with a model: what was said, what of it the model still sees, and its next answer.

use super::{DirectError, LanguageModel};
use crate::engine::{Completion, StopReason, Talk, Token};
use crate::error::Problems;
use crate::prompt::{ChatSettings, ChatTemplate, Controls, Message, Prompt, Role};
use crate::sampling::{Sampling, SamplingSpec};
use crate::seed;
use std::sync::atomic::AtomicBool;

/// What is said between a user and a model. All of it is kept; the model sees as much of its end as fits the context.
#[derive(Debug)]
pub struct Conversation<'m> {
    model: &'m LanguageModel,
    controls: Controls,
    template: ChatTemplate,
    system: Option<String>,
    /// Of the user and of the model by turns.
    messages: Vec<Message>,
    /// The first message that the model still sees.
    from: usize,
    sampling: Sampling,
    /// Most tokens of an answer; `None` is as many as fit.
    limit: Option<u32>,
}

/// An answer, and what became of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The answer.
    pub completion: Completion,
    /// Turns that the model does not see any more, for want of room.
    pub forgotten: usize,
    /// The answer was cut because the context is full.
    pub full: bool,
}

impl<'m> Conversation<'m> {
    /// An empty conversation. The template's date is that of suites without a `date:`, so that an answer can be had again.
    ///
    /// # Errors
    /// A model without a chat template, or with one that cannot be read; settings outside their ranges, all of them.
    pub fn new(model: &'m LanguageModel, sampling: &SamplingSpec) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        problems.extend(sampling.out_of_range().into_iter().map(DirectError::Sampling));
        let facts = model.engine().facts();
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        let settings = ChatSettings { bos: of(&facts.bos), eos: of(&facts.eos), ..ChatSettings::default() };
        let Some(source) = &facts.chat_template else {
            problems.push(DirectError::NoTemplate { place: model.place() });
            return Err(problems);
        };
        problems.or_ok(())?;
        Ok(Self {
            model,
            controls: Controls::new(&facts.controls)?,
            template: ChatTemplate::compile(source, &settings)?,
            system: None,
            messages: Vec::new(),
            from: 0,
            sampling: sampling.over(&Sampling::default()),
            limit: sampling.max_tokens,
        })
    }

    /// What stands before all that is said; it is never forgotten.
    #[must_use]
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// Sets or removes that, from the next answer on.
    pub fn set_system(&mut self, system: Option<String>) {
        self.system = system;
    }

    /// Forgets what was said.
    pub fn reset(&mut self) {
        self.messages.clear();
        self.from = 0;
    }

    /// All that was said, the system's message first.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.system_message().into_iter().chain(self.messages.iter().cloned()).collect()
    }

    /// Most tokens of the context.
    #[must_use]
    pub fn context(&self) -> usize {
        self.model.engine().context()
    }

    /// The answer to a message; `hear` gets it while it is said, and `stop` ends it. A message to which nothing was
    /// said is taken back, and so is one that failed.
    ///
    /// # Errors
    /// An empty message, or one that is longer than the context; what the template refuses; when decoding fails.
    pub fn say(
        &mut self,
        talk: &mut dyn Talk,
        message: &str,
        hear: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Said, Problems> {
        if message.trim().is_empty() {
            return Err(DirectError::Empty { what: "the message".to_owned() }.into());
        }
        let (before, seen) = (self.messages.len(), self.from);
        self.messages.push(Message { role: Role::User, content: message.into() });
        let said = self.answer(talk, hear, stop);
        match &said {
            Ok(said) if !said.completion.tokens.is_empty() => {
                let content = said.completion.text.as_str().into();
                self.messages.push(Message { role: Role::Assistant, content });
            }
            Ok(_) => self.messages.truncate(before),
            Err(_) => {
                self.messages.truncate(before);
                self.from = seen;
            }
        }
        said
    }

    fn answer(&mut self, talk: &mut dyn Talk, hear: &mut dyn FnMut(&str), stop: &AtomicBool) -> Result<Said, Problems> {
        let (tokens, forgotten) = self.fitted()?;
        let room = u32::try_from(self.context() - tokens.len()).unwrap_or(u32::MAX);
        let max_tokens = self.limit.unwrap_or(u32::MAX).min(room);
        let sampling = Sampling { max_tokens, ..self.sampling.clone() };
        let seed = seed::key(sampling.seed, &["chat", &self.messages.len().to_string()]);
        let completion = talk.say(&tokens, (&sampling, seed), hear, stop)?;
        let full = completion.stop_reason == StopReason::Length && self.limit.is_none_or(|limit| limit > room);
        Ok(Said { completion, forgotten, full })
    }

    /// The tokens of what the model is to see, and how many turns had to be forgotten for it: where an answer of a quarter of
    /// the context does not fit, the oldest, until half of the context is free. (Were it no more than needed, nearly every
    /// further turn would begin otherwise than the one before, and be read from its beginning.)
    fn fitted(&mut self) -> Result<(Vec<Token>, usize), Problems> {
        let context = self.context();
        let wanted = (context / 4).min(self.limit.map_or(usize::MAX, |limit| limit as usize));
        let mut tokens = self.tokens()?;
        let mut forgotten = 0;
        if tokens.len() + wanted > context {
            while tokens.len() > context / 2 && self.from + 2 < self.messages.len() {
                self.from += 2;
                forgotten += 1;
                tokens = self.tokens()?;
            }
        }
        if tokens.len() >= context {
            let what = if self.system.is_some() { "the message, with the system's before it," } else { "the message" };
            return Err(self.model.too_long(what, (tokens.len(), 1), "of an answer").into());
        }
        Ok((tokens, forgotten))
    }

    /// The tokens of what the model sees, up to where it is to answer.
    fn tokens(&self) -> Result<Vec<Token>, Problems> {
        let seen = self.messages.get(self.from..).unwrap_or_default();
        let messages: Vec<Message> = self.system_message().into_iter().chain(seen.iter().cloned()).collect();
        let prompt = Prompt::conversation(&messages, &self.controls, &self.template, &self.model.place())?;
        Ok(self.model.engine().tokenize(&prompt.text, &prompt.quoted))
    }

    fn system_message(&self) -> Option<Message> {
        Some(Message { role: Role::System, content: self.system.as_deref()?.into() })
    }
}
