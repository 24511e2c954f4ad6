//! Messages that were not rendered from a prompt file: what people and a model say to each other.

use super::chat_template::{ChatTemplate, Message};
use super::control::Controls;
use super::lesson::reserved;
use super::render::explain;
use super::{Prompt, PromptError};
use crate::error::Place;

impl Prompt {
    /// A conversation as it is put to the model: the text ends where the next answer begins. What the messages say is data:
    /// a control token that they spell is plain text. `place` is where an error is said to be.
    ///
    /// ```
    /// use tripos::error::Place;
    /// use tripos::prompt::{ChatSettings, ChatTemplate, Controls, Message, Prompt, Role};
    /// let source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>";
    /// let template = ChatTemplate::compile(source, &ChatSettings::default())?;
    /// let controls = Controls::new(&["<|user|>".to_owned(), "<|assistant|>".to_owned()])?;
    /// let messages = [Message { role: Role::User, content: "Say <|user|>.".into() }];
    /// let prompt = Prompt::conversation(&messages, &controls, &template, &Place::default())?;
    /// assert_eq!(prompt.text, "<|user|>Say <|user|>.<|assistant|>");
    /// assert_eq!(prompt.quoted, [12..20]);
    /// # Ok::<(), tripos::prompt::PromptError>(())
    /// ```
    ///
    /// # Errors
    /// What the template refuses, and noncharacters that mark data here.
    pub fn conversation(
        messages: &[Message],
        controls: &Controls,
        template: &ChatTemplate,
        place: &Place,
    ) -> Result<Self, PromptError> {
        let marked = messages.iter().map(|message| {
            let content = controls.mark(&message.content).ok_or_else(|| reserved("this message"))?;
            Ok(Message { role: message.role, content: content.as_ref().into() })
        });
        let marked = marked.collect::<Result<Vec<Message>, PromptError>>()?;
        let raw = template.render(&marked, true).map_err(|failure| explain(failure, place))?;
        Ok(Self { messages: messages.to_vec(), ..controls.unmark(raw, 0) })
    }
}
