//! Chat prompts: a YAML list of `{system|user|assistant: template}` and at most one `{examples: [{user: …}, …]}`.

use super::chat_template::{Message, Role};
use super::control::Controls;
use super::template::{Columns, Origin, TextTemplate};
use super::yaml::{Node, Scalar, parse};
use super::{PromptError, data};
use crate::error::{Place, did_you_mean};
use crate::suite::{Case, PromptFile};
use saphyr_parser::ScalarStyle;
use std::path::Path;
use tera::Context;

/// A compiled chat prompt.
///
/// A last `{assistant: …}` is a prefill: the model continues it.
///
/// ```
/// use tripos::prompt::ChatPrompt;
/// use tripos::suite::PromptFile;
/// let text = "- system: Answer with the number only.\n- user: '{{ question }}'\n".to_owned();
/// assert!(ChatPrompt::compile(&PromptFile { path: "qa.yaml".into(), text }).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct ChatPrompt {
    before: Vec<Turn>,
    examples: Option<Vec<Turn>>,
    after: Vec<Turn>,
    file: Place,
}

/// One message to be.
#[derive(Debug, Clone)]
struct Turn {
    role: Role,
    content: TextTemplate,
    place: Place,
}

impl ChatPrompt {
    /// Reads and compiles a chat prompt.
    pub fn compile(file: &PromptFile) -> Result<Self, PromptError> {
        let mut chat = Self { before: Vec::new(), examples: None, after: Vec::new(), file: Place::file(&file.path) };
        for item in list(&parse(file)?, &file.path)? {
            let (key, value) = pair(item, &file.path)?;
            let place = place(&file.path, key);
            if key.text != "examples" {
                let turns = if chat.examples.is_none() { &mut chat.before } else { &mut chat.after };
                turns.push(turn(key, value, file)?);
            } else if chat.examples.is_some() {
                return Err(shape("`examples` stands here a second time", place));
            } else {
                let turns = list(value, &file.path)?.iter().map(|item| {
                    let (key, value) = pair(item, &file.path)?;
                    turn(key, value, file)
                });
                chat.examples = Some(turns.collect::<Result<_, _>>()?);
            }
        }
        if chat.before.is_empty() && chat.after.is_empty() {
            return Err(shape("this chat has no message outside `examples`", chat.file));
        }
        Ok(chat)
    }

    /// The prompt file.
    pub(super) fn file(&self) -> &Place {
        &self.file
    }

    /// Where the last message stands, if it is one to be continued.
    pub(super) fn prefill(&self) -> Option<&Place> {
        let ends_in_examples = self.after.is_empty() && self.examples.is_some();
        let last = if ends_in_examples { None } else { self.after.last().or(self.before.last()) };
        last.filter(|turn| turn.role == Role::Assistant).map(|turn| &turn.place)
    }

    /// The messages that one example adds.
    pub(super) fn example(&self, example: &Case, controls: &Controls) -> Result<Vec<Message>, PromptError> {
        let context = data::example_context(example, controls)?;
        self.examples.iter().flatten().map(|turn| turn.render(&context)).collect()
    }

    /// All messages, and how many of them come before the end of the examples (0 where there are none).
    pub(super) fn messages(
        &self,
        context: &Context,
        examples: &[Message],
    ) -> Result<(Vec<Message>, usize), PromptError> {
        let mut messages = self.before.iter().map(|turn| turn.render(context)).collect::<Result<Vec<_>, _>>()?;
        messages.extend_from_slice(examples);
        let head = if examples.is_empty() { 0 } else { messages.len() };
        for turn in &self.after {
            messages.push(turn.render(context)?);
        }
        Ok((messages, head))
    }
}

impl Turn {
    fn render(&self, context: &Context) -> Result<Message, PromptError> {
        Ok(Message { role: self.role, content: self.content.render(context)?.into() })
    }
}

fn turn(key: &Scalar, value: &Node, file: &PromptFile) -> Result<Turn, PromptError> {
    let place = place(&file.path, key);
    let role = match key.text.as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => {
            let help = did_you_mean(other, &["assistant", "examples", "system", "user"]);
            return Err(PromptError::ChatFile { message: format!("unknown role `{other}`"), help, place });
        }
    };
    match value {
        Node::Scalar(scalar) if !scalar.is_null() => {
            let content = TextTemplate::compile_at(&scalar.text, origin(scalar, file))?;
            Ok(Turn { role, content, place })
        }
        _ => Err(shape(&format!("`{}` needs a text", key.text), place)),
    }
}

/// Where the template's own lines stand in the file, as far as the YAML style lets that be known.
fn origin(scalar: &Scalar, file: &PromptFile) -> Origin {
    let before = scalar.column - 1;
    let blank_lines = scalar.text.chars().take_while(|c| *c == '\n').count();
    let (line, columns) = match scalar.style {
        ScalarStyle::Literal => (scalar.line.saturating_sub(blank_lines), Columns::Each(before)),
        ScalarStyle::Folded => (scalar.line, Columns::Unknown),
        ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
            let before = before + usize::from(scalar.style != ScalarStyle::Plain);
            let line = file.text.lines().nth(scalar.line.saturating_sub(1)).unwrap_or_default();
            let rest = line.char_indices().nth(before).and_then(|(at, _)| line.get(at..)).unwrap_or_default();
            let as_written = rest.starts_with(&scalar.text);
            (scalar.line, if as_written { Columns::Each(before) } else { Columns::Unknown })
        }
    };
    Origin { file: file.path.clone(), line, columns }
}

fn list<'n>(node: &'n Node, path: &Path) -> Result<&'n [Node], PromptError> {
    match node {
        Node::List(items) => Ok(items),
        other => Err(shape("expected a list of messages", other.place(path))),
    }
}

fn pair<'n>(node: &'n Node, path: &Path) -> Result<(&'n Scalar, &'n Node), PromptError> {
    match node {
        Node::Map(pairs, ..) => match pairs.as_slice() {
            [(key, value)] => Ok((key, value)),
            _ => Err(shape("a message has one role and one text", node.place(path))),
        },
        other => Err(shape("expected a message", other.place(path))),
    }
}

fn place(path: &Path, scalar: &Scalar) -> Place {
    Place::new(path, scalar.line, scalar.column)
}

fn shape(message: &str, place: Place) -> PromptError {
    let help = "a chat is a list of `- system: …`, `- user: …`, `- assistant: …` and `- examples: [{user: …}, {assistant: …}]`";
    PromptError::ChatFile { message: message.to_owned(), help: help.to_owned(), place }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    fn compile(text: &str) -> Result<ChatPrompt, PromptError> {
        ChatPrompt::compile(&PromptFile { path: "chat.yaml".into(), text: text.into() })
    }

    fn error(text: &str) -> String {
        render(&compile(text).unwrap_err(), false)
    }

    #[test]
    fn refuses_what_is_not_a_list_of_roles() {
        insta::assert_snapshot!(error("- user: hi\n- sytem: x\n"), @r"
        error: unknown role `sytem`
          --> chat.yaml:2:3
          help: did you mean `system`? (assistant, examples, system, user)
        ");
        insta::assert_snapshot!(error("user: hi"), @r"
        error: expected a list of messages
          --> chat.yaml:1:1
          help: a chat is a list of `- system: …`, `- user: …`, `- assistant: …` and `- examples: [{user: …}, {assistant: …}]`
        ");
        insta::assert_snapshot!(error("- user: hi\n  system: ho\n"), @r"
        error: a message has one role and one text
          --> chat.yaml:1:3
          help: a chat is a list of `- system: …`, `- user: …`, `- assistant: …` and `- examples: [{user: …}, {assistant: …}]`
        ");
        insta::assert_snapshot!(error("- user:\n"), @r"
        error: `user` needs a text
          --> chat.yaml:1:3
          help: a chat is a list of `- system: …`, `- user: …`, `- assistant: …` and `- examples: [{user: …}, {assistant: …}]`
        ");
        insta::assert_snapshot!(error("- examples: [{user: a}]\n"), @r"
        error: this chat has no message outside `examples`
          --> chat.yaml
          help: a chat is a list of `- system: …`, `- user: …`, `- assistant: …` and `- examples: [{user: …}, {assistant: …}]`
        ");
        insta::assert_snapshot!(error("- user: [\n"), @r"
        error: not YAML: while parsing a node, did not find expected node content
          --> chat.yaml:2:1
          help: see the YAML around this place; a text with `: `, `#` or quotes goes behind `|`
        ");
        assert!(error("").contains("expected a list of messages"));
    }

    #[test]
    fn an_error_in_a_template_has_the_line_and_column_of_the_file() {
        for (text, place) in [
            ("- system: s\n- user: |\n    Q:\n     {{ x\n", "chat.yaml:4:10\n"),
            ("- user: 'Q: {{ q | uper }}'\n", "chat.yaml:1:20\n"),
            ("- user: \"Q:\\n{{ q | uper }}\"\n", "chat.yaml:1\n"),
            ("- user: Q {{ q | uper }}\n", "chat.yaml:1:18\n"),
            ("- user: >-\n    Q:\n    {{ q | uper }}\n", "chat.yaml:2\n"),
            ("- user: |\n\n    Größe\n    ä {{ q | uper }}\n", "chat.yaml:4:14\n"),
        ] {
            assert!(error(text).contains(&format!("--> {place}")), "{text}\n{}", error(text));
        }
    }

    #[test]
    fn only_a_last_assistant_message_is_continued() {
        let prefill = |text| compile(text).unwrap().prefill().map(|place| place.line);
        assert_eq!(prefill("- user: a\n- assistant: b\n"), Some(2));
        assert_eq!(prefill("- assistant: a\n- user: b\n"), None);
        assert_eq!(prefill("- user: a\n- assistant: b\n- examples: [{user: c}]\n"), None);
    }
}
