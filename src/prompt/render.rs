//! One variant's prompts, case by case.

use super::chat::ChatPrompt;
use super::chat_template::{ChatFailure, ChatTemplate, Message};
use super::control::{Controls, MARK};
use super::template::TextTemplate;
use super::{ExampleOrder, Prompt, PromptError, PromptTemplate, data};
use crate::error::Place;
use crate::suite::Case;
use std::borrow::Cow;
use std::sync::OnceLock;
use tera::{Context, Value};

/// Renders the prompts of one variant. It is `Sync`: cases may be rendered on every core, and each prompt depends on
/// its own case alone.
///
/// ```
/// use tripos::prompt::{Controls, PromptTemplate, Renderer};
/// use tripos::suite::{Case, PromptFile};
/// let file = PromptFile { path: "qa.txt".into(), text: "Q: {{ question }}\nA:".into() };
/// let template = PromptTemplate::compile(&file)?;
/// let controls = Controls::new(&["<|end|>".to_owned()])?;
/// let renderer = Renderer::new(&template, &controls, None)?;
/// let prompt = renderer.render(&Case::new("c-1", [("question", "What is <|end|>?")], None))?;
/// assert_eq!(prompt.text, "Q: What is <|end|>?\nA:");
/// assert_eq!(&prompt.text[prompt.quoted[0].clone()], "<|end|>");
/// # Ok::<(), tripos::prompt::PromptError>(())
/// ```
#[derive(Debug)]
pub struct Renderer<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) controls: &'a Controls,
    examples: Option<(ExampleOrder<'a>, Block)>,
    /// The few-shot head of a chat that was rendered first. Only a memory: another head is rendered anew.
    head: OnceLock<(Vec<Message>, Option<String>)>,
}

#[derive(Debug)]
pub(super) enum Kind<'a> {
    Text(&'a TextTemplate),
    Chat(&'a ChatPrompt, &'a ChatTemplate),
}

/// A few-shot block, ready for the template.
#[derive(Debug, Clone)]
pub(super) struct Block {
    picked: Vec<usize>,
    /// `examples`.
    pub values: Value,
    /// The same with [`MARK`] behind each value.
    marked: Value,
    /// The messages of a chat's `examples:`.
    pub messages: Vec<Message>,
}

impl<'a> Renderer<'a> {
    /// A renderer without examples. `chat` is the model's chat template; a chat prompt needs one.
    pub fn new(
        template: &'a PromptTemplate,
        controls: &'a Controls,
        chat: Option<&'a ChatTemplate>,
    ) -> Result<Self, PromptError> {
        let kind = match (template, chat) {
            (PromptTemplate::Text(text), _) => Kind::Text(text),
            (PromptTemplate::Chat(prompt), Some(chat)) => Kind::Chat(prompt, chat),
            (PromptTemplate::Chat(prompt), None) => {
                return Err(PromptError::NoChatTemplate { place: prompt.file().clone() });
            }
        };
        Ok(Self { kind, controls, examples: None, head: OnceLock::new() })
    }

    /// The same with few-shot examples. Fails if one of those usually shown cannot be rendered.
    pub fn with_examples(mut self, order: ExampleOrder<'a>) -> Result<Self, PromptError> {
        let usual = self.block(&order, order.usual().to_vec())?;
        self.examples = Some((order, usual));
        Ok(self)
    }

    /// The prompt of one case.
    pub fn render(&self, case: &Case) -> Result<Prompt, PromptError> {
        self.render_case(case, None).map_err(|error| error.of("case", &case.id))
    }

    /// The prompt of one case in a second stage, which may quote the `completion` of the first.
    pub fn render_after(&self, case: &Case, completion: &str) -> Result<Prompt, PromptError> {
        self.render_case(case, Some(completion)).map_err(|error| error.of("case", &case.id))
    }

    fn render_case(&self, case: &Case, completion: Option<&str>) -> Result<Prompt, PromptError> {
        let block = self.examples_of(case)?;
        let mut context = data::context(&case.vars, self.controls)?;
        if let Some(completion) = completion {
            context.insert_value("completion", data::completion(completion, self.controls)?);
        }
        match self.kind {
            Kind::Text(template) => self.text(template, context, &block),
            Kind::Chat(prompt, template) => self.chat(prompt, template, context, &block),
        }
    }

    /// The few-shot block that a case is shown.
    pub(super) fn examples_of(&self, case: &Case) -> Result<Cow<'_, Block>, PromptError> {
        let Some((order, usual)) = &self.examples else { return Ok(Cow::Owned(Block::none())) };
        let picked = order.pick(case);
        Ok(if picked == usual.picked { Cow::Borrowed(usual) } else { Cow::Owned(self.block(order, picked)?) })
    }

    fn block(&self, order: &ExampleOrder, picked: Vec<usize>) -> Result<Block, PromptError> {
        let block = self.block_of(picked.iter().filter_map(|index| order.pool().get(*index)))?;
        Ok(Block { picked, ..block })
    }

    pub(super) fn block_of<'e>(&self, examples: impl Iterator<Item = &'e Case>) -> Result<Block, PromptError> {
        let (mut block, mut values) = (Block::none(), Vec::new());
        for example in examples {
            let of = |error: PromptError| error.of("example", &example.id);
            values.push(data::example(example, self.controls).map_err(of)?);
            if let Kind::Chat(prompt, _) = self.kind {
                block.messages.extend(prompt.example(example, self.controls).map_err(of)?);
            }
        }
        block.marked = Value::from(values.iter().map(data::marked).collect::<Vec<_>>());
        block.values = Value::from(values);
        Ok(block)
    }

    /// A completion prompt. The case begins behind the last byte that depends on the examples, and behind the whitespace
    /// that follows. Two more renderings find that byte: one with the examples' values marked, whose last mark
    /// counts if the marks changed nothing else; and one without examples, with which the prompt shares its end.
    fn text(&self, template: &TextTemplate, mut context: Context, block: &Block) -> Result<Prompt, PromptError> {
        context.insert_value("examples", block.values.clone());
        let raw = template.render(&context)?;
        if block.picked.is_empty() {
            return Ok(self.controls.unmark(raw, 0));
        }
        context.insert_value("examples", block.marked.clone());
        let by_marks = template.render(&context).ok().and_then(|marked| last_mark(&marked, &raw)).unwrap_or(0);
        context.insert_value("examples", Block::none().values);
        let by_end = template.render(&context).map_or(0, |bare| raw.len() - common_end(&raw, &bare));
        let mut start = by_marks.max(by_end);
        if start > 0 {
            let rest = raw.get(start..).unwrap_or_default();
            start += rest.len() - rest.trim_start().len();
        }
        Ok(self.controls.unmark(raw, start))
    }

    /// A chat. The case begins where the rendering of the messages up to the last example ends, if the prompt begins
    /// with it; examples that a message prints itself (`{{ examples }}`) do not count.
    fn chat(
        &self,
        prompt: &ChatPrompt,
        template: &ChatTemplate,
        mut context: Context,
        block: &Block,
    ) -> Result<Prompt, PromptError> {
        context.insert_value("examples", block.values.clone());
        let (messages, head) = prompt.messages(&context, &block.messages)?;
        let raw = Self::asked(prompt, template, &messages)?;
        let head = messages.get(..head).unwrap_or_default();
        let start = self.head_text(head, template).filter(|head| raw.starts_with(head.as_ref())).map_or(0, |h| h.len());
        let plain = |message: &Message| Message { role: message.role, content: Controls::plain(&message.content) };
        Ok(Prompt { messages: messages.iter().map(plain).collect(), ..self.controls.unmark(raw, start) })
    }

    /// Messages as they are put to the model, marks and all. A prefill is rendered as a finished message with a mark at
    /// its end, and the text is cut at that mark.
    pub(super) fn asked(
        prompt: &ChatPrompt,
        template: &ChatTemplate,
        messages: &[Message],
    ) -> Result<String, PromptError> {
        let explain = |failure| explain(failure, prompt.file());
        let Some(place) = prompt.prefill() else { return template.render(messages, true).map_err(explain) };
        let mut messages = messages.to_vec();
        if let Some(last) = messages.last_mut() {
            last.content = format!("{}{MARK}", last.content).into();
        }
        let mut raw = template.render(&messages, false).map_err(explain)?;
        let end = raw.rfind(MARK).ok_or_else(|| PromptError::PrefillLost { place: place.clone() })?;
        raw.truncate(end);
        Ok(raw.replace(MARK, ""))
    }

    /// The few-shot head as text; `None` where there is none or the template does not take it alone.
    fn head_text(&self, head: &[Message], template: &ChatTemplate) -> Option<Cow<'_, str>> {
        if head.is_empty() {
            return None;
        }
        let (known, text) = self.head.get_or_init(|| (head.to_vec(), template.render(head, false).ok()));
        if known == head {
            text.as_deref().map(Cow::Borrowed)
        } else {
            template.render(head, false).ok().map(Cow::Owned)
        }
    }
}

impl Block {
    fn none() -> Self {
        let empty = || Value::from(Vec::<Value>::new());
        Self { picked: Vec::new(), values: empty(), marked: empty(), messages: Vec::new() }
    }
}

pub(super) fn explain(failure: ChatFailure, place: &Place) -> PromptError {
    match failure {
        ChatFailure::Refused(message) => PromptError::Refused { message, place: place.clone() },
        ChatFailure::Failed(message) => PromptError::ChatTemplateFails { message, place: place.clone() },
    }
}

/// Where the last mark stands, counted without marks; `None` if there is none or the texts differ in more than marks.
fn last_mark(marked: &str, raw: &str) -> Option<usize> {
    let mut rest = raw;
    let mut pieces = marked.split(MARK).peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return (rest == piece && rest.len() < raw.len()).then(|| raw.len() - rest.len());
        }
        rest = rest.strip_prefix(piece)?;
    }
    None
}

/// How many bytes of whole characters two texts share at their ends.
fn common_end(a: &str, b: &str) -> usize {
    let shared = a.chars().rev().zip(b.chars().rev()).take_while(|(x, y)| x == y);
    shared.map(|(char, _)| char.len_utf8()).sum()
}
