//! Texts to learn from: prompts with their answers in them, rendered by the code that renders prompts.

use super::chat_template::{ChatTemplate, Message, Role};
use super::control::{Controls, QUOTE};
use super::render::{Kind, Renderer, explain};
use super::template::TextTemplate;
use super::{Prompt, PromptError, data};
use crate::error::Place;
use crate::suite::Case;
use std::ops::Range;

/// A text, and what of it the model is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lesson {
    /// The whole text; it ends with the last answer.
    pub text: String,
    /// The byte ranges of `text` in which data spells a control token: as in a [`Prompt`].
    pub quoted: Vec<Range<usize>>,
    /// The byte ranges of `text` that are answers, in order: each begins where the model begins when it is asked, and holds
    /// what the chat template writes to end the answer.
    pub answers: Vec<Range<usize>>,
    /// Where the template does not begin a finished answer as it asks for one: what it writes when it asks, and what in
    /// its place.
    pub other_start: Option<(String, String)>,
}

/// What an answer is judged as an answer to.
///
/// ```
/// use tripos::prompt::Asked;
/// assert_ne!(Asked::Text("2 + 2?".to_owned()), Asked::Conversation(vec![]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A text.
    Text(String),
    /// The messages so far; the last one is not the assistant's.
    Conversation(Vec<Message>),
}

impl Asked {
    /// What a prompt asks: its messages, where it is a chat, else its text.
    #[must_use]
    pub fn of(prompt: &Prompt) -> Self {
        if prompt.messages.is_empty() {
            Self::Text(prompt.text.clone())
        } else {
            Self::Conversation(prompt.messages.clone())
        }
    }

    /// For people.
    #[must_use]
    pub fn shown(&self) -> String {
        let turn = |message: &Message| format!("{}: {}", message.role.name(), message.content);
        match self {
            Self::Text(text) => text.clone(),
            Self::Conversation(messages) => messages.iter().map(turn).collect::<Vec<_>>().join("\n"),
        }
    }
}

impl Lesson {
    /// One answer as a reward model is shown it. With a chat template it is the last turn of a conversation: a prompt that is
    /// a text is the user's turn, and white space around an answer counts for nothing. Without one it stands behind the
    /// text. `place` is where the prompt stands.
    ///
    /// # Errors
    /// A conversation where there is no template; what the template refuses.
    pub fn judged(
        (asked, answer): (&Asked, &str),
        controls: &Controls,
        template: Option<&ChatTemplate>,
        place: &Place,
    ) -> Result<Self, PromptError> {
        let Some(template) = template else {
            return match asked {
                Asked::Text(text) => Self::plain(text, answer, controls),
                Asked::Conversation(_) => Err(PromptError::NoChatTemplate { place: place.clone() }),
            };
        };
        let mut messages = match asked {
            Asked::Text(text) => vec![Message { role: Role::User, content: text.as_str().into() }],
            Asked::Conversation(messages) => messages.clone(),
        };
        // The first words of an answer may have been put into the model's mouth.
        let begun = messages.pop_if(|last| last.role == Role::Assistant).map_or("".into(), |last| last.content);
        messages.push(Message { role: Role::Assistant, content: format!("{begun}{answer}").trim().into() });
        // Where earlier answers are written otherwise once others follow, the last lesson has the last answer.
        let mut lesson = Self::conversation(&messages, controls, template, place)?.pop().unwrap_or_default();
        lesson.answers.drain(..lesson.answers.len().saturating_sub(1));
        Ok(lesson)
    }

    /// A text all of which is to be learned: data, in which no control token is meant.
    pub fn whole(text: &str, controls: &Controls) -> Result<Self, PromptError> {
        Self::plain("", text, controls)
    }

    /// An answer behind a prompt, both of them data.
    ///
    /// ```
    /// use tripos::prompt::{Controls, Lesson};
    /// let controls = Controls::new(&["<|end|>".to_owned()])?;
    /// let lesson = Lesson::plain("Q: What is <|end|>?\nA:", " A token.", &controls)?;
    /// assert_eq!(&lesson.text[lesson.answers[0].clone()], " A token.");
    /// assert_eq!(&lesson.text[lesson.quoted[0].clone()], "<|end|>");
    /// # Ok::<(), tripos::prompt::PromptError>(())
    /// ```
    pub fn plain(prompt: &str, answer: &str, controls: &Controls) -> Result<Self, PromptError> {
        let Prompt { text, quoted, .. } = controls.quote(&format!("{prompt}{answer}"))?;
        let answers = std::iter::once(prompt.len()..text.len()).collect();
        Ok(Self { text, quoted, answers, other_start: None })
    }

    /// A conversation, every answer of the assistant's in it. It is one lesson, unless the template writes an earlier answer
    /// otherwise once others follow (reasoning left out, say): then each lesson holds the answers as the model says
    /// them. `place` is where the conversation stands.
    pub fn conversation(
        messages: &[Message],
        controls: &Controls,
        template: &ChatTemplate,
        place: &Place,
    ) -> Result<Vec<Self>, PromptError> {
        let marked = messages.iter().map(|message| {
            let content = controls.mark(&message.content).ok_or_else(|| reserved("this row"))?;
            Ok(Message { role: message.role, content: content.as_ref().into() })
        });
        let messages = marked.collect::<Result<Vec<Message>, PromptError>>()?;
        let mut left = Vec::new();
        for (at, _) in messages.iter().enumerate().filter(|(_, message)| message.role == Role::Assistant) {
            let explain = |failure| explain(failure, place);
            let asked = template.render(&messages[..at], true).map_err(explain)?;
            let told = template.render(&messages[..=at], false).map_err(explain)?;
            left.push(Turn::new(&asked, told, controls));
        }
        let mut lessons = Vec::new();
        while let Some(last) = left.last() {
            let raw = last.told.clone();
            let (said, others) = left.into_iter().partition(|turn: &Turn| turn.is_in(&raw));
            lessons.push(Self::of(&raw, said, controls));
            left = others;
        }
        lessons.reverse();
        Ok(lessons)
    }

    /// Some answers in a text with marks.
    fn of(raw: &str, turns: Vec<Turn>, controls: &Controls) -> Self {
        let plain = |at: usize| at - raw[..at].matches(QUOTE).count() * QUOTE.len_utf8();
        let answers = turns.iter().map(|turn| plain(turn.start)..plain(turn.end_in(raw))).collect();
        let other_start = turns.into_iter().find_map(|turn| turn.other_start);
        let Prompt { text, quoted, .. } = controls.unmark(raw.to_owned(), 0);
        Self { text, quoted, answers, other_start }
    }
}

/// One answer in a conversation that ends with it. The texts hold marks.
struct Turn {
    /// The conversation, without the white space behind it.
    told: String,
    /// Where in it the answer begins.
    start: usize,
    /// Where in it the answer ends: behind the first of the control tokens at its end.
    end: usize,
    other_start: Option<(String, String)>,
}

impl Turn {
    /// `asked` is the conversation before the answer, as it is given to the model.
    fn new(asked: &str, mut told: String, controls: &Controls) -> Self {
        told.truncate(told.trim_end().len());
        let shared = asked.chars().zip(told.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        // White space behind a prompt that an answer lacks was cut off just now, or the template leaves it out.
        let end = controls.ending(&told).unwrap_or(told.len());
        if asked.trim_end().len() <= shared {
            return Self { told, start: shared, end, other_start: None };
        }
        let start = controls.boundary(&told, shared);
        let rest = |text: &str| text[start..].chars().take(40).collect::<String>();
        let other_start = Some((rest(asked), rest(&told)));
        Self { told, start, end, other_start }
    }

    /// Whether a longer conversation begins with it; what its template writes behind the last message of all (`</s>` for
    /// some) may be missing there.
    fn is_in(&self, raw: &str) -> bool {
        raw.starts_with(&self.told[..self.end])
    }

    /// Where its answer ends in a longer conversation.
    fn end_in(&self, raw: &str) -> usize {
        if raw.starts_with(&self.told) { self.told.len() } else { self.end }
    }
}

impl Renderer<'_> {
    /// The prompt of a case behind some examples, and the answer to it, a template that sees the case's variables and its
    /// `target`. The answer alone is learned, not those of the examples.
    pub fn lesson(&self, case: &Case, examples: &[&Case], answer: &TextTemplate) -> Result<Lesson, PromptError> {
        self.lesson_of(case, examples, answer).map_err(|error| error.of("case", &case.id))
    }

    fn lesson_of(&self, case: &Case, examples: &[&Case], answer: &TextTemplate) -> Result<Lesson, PromptError> {
        let block = self.block_of(examples.iter().copied())?;
        let answer = answer.render(&data::example_context(case, self.controls)?)?;
        let mut context = data::context(&case.vars, self.controls)?;
        context.insert_value("examples", block.values);
        let (raw, turn) = match self.kind {
            Kind::Text(template) => {
                let asked = template.render(&context)?;
                let told = format!("{asked}{answer}");
                (told.clone(), Turn { start: asked.len(), end: told.len(), told, other_start: None })
            }
            Kind::Chat(prompt, template) => {
                let (mut messages, _) = prompt.messages(&context, &block.messages)?;
                let asked = Self::asked(prompt, template, &messages)?;
                match messages.last_mut().filter(|_| prompt.prefill().is_some()) {
                    Some(last) => last.content = format!("{}{answer}", last.content).into(),
                    None => messages.push(Message { role: Role::Assistant, content: answer.into() }),
                }
                let told = template.render(&messages, false).map_err(|failure| explain(failure, prompt.file()))?;
                let turn = Turn::new(&asked, told, self.controls);
                (turn.told.clone(), turn)
            }
        };
        Ok(Lesson::of(&raw, vec![turn], self.controls))
    }
}

impl TextTemplate {
    /// What an answer says of a case, as plain text: it sees the case's variables and its `target`.
    pub fn answer(&self, case: &Case, controls: &Controls) -> Result<String, PromptError> {
        let said = self.render(&data::example_context(case, controls)?).map_err(|error| error.of("case", &case.id))?;
        Ok(controls.unmark(said, 0).text)
    }
}

impl Controls {
    /// A text of data as it is, with the control tokens that it spells quoted.
    pub fn quote(&self, text: &str) -> Result<Prompt, PromptError> {
        let marked = self.mark(text).ok_or_else(|| reserved("this text"))?;
        Ok(self.unmark(marked.into_owned(), 0))
    }
}

pub(super) fn reserved(what: &str) -> PromptError {
    PromptError::Reserved { what: what.to_owned() }
}

#[cfg(test)]
#[path = "lesson_tests.rs"]
mod tests;
