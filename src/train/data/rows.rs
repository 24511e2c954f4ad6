//! Rows of data, as they are written, become what is said in them.

use super::format::Format;
use crate::error::{Place, did_you_mean};
use crate::prompt::{Asked, Message, Role};
use crate::suite::{Case, Vars, text_of};
use crate::train::error::TrainProblem;
use crate::train::recipe::{Kind, Source};
use serde_json::Value;
use std::sync::Arc;

/// A row and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub place: Place,
    pub said: Said,
    /// The label of a row that is classified.
    pub label: Option<String>,
    /// Decides who is held out, where that is not what the row says in all.
    pub key: Option<u64>,
}

/// What is said in a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// A conversation.
    Messages(Vec<Message>),
    /// A prompt and its answer.
    Answer { prompt: String, completion: String },
    /// An instruction in Alpaca's format: a turn of a conversation where the model has those.
    Instruction { instruction: String, input: String, output: String },
    /// A text.
    Text(String),
    /// Two answers, of which one was preferred.
    Preference(Box<Preference>),
    /// Variables, which the source's prompt and completion fill in, behind those of other rows.
    Case { case: Arc<Case>, examples: Vec<Arc<Case>> },
}

/// One judgement: of two answers to a prompt, which is better.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preference {
    pub asked: Asked,
    pub chosen: String,
    pub rejected: String,
    /// By how much; 0 where nobody said.
    pub margin: f32,
    pub axis: Option<String>,
    pub tags: Vec<String>,
}

impl Preference {
    /// What makes it no judgement.
    pub(super) fn fault(&self) -> Option<TrainProblem> {
        let empty = match &self.asked {
            Asked::Text(text) => text.trim().is_empty(),
            Asked::Conversation(messages) => messages.iter().all(|message| message.content.trim().is_empty()),
        };
        if empty {
            return Some(bad("the prompt of this row is empty", "say what was asked, or leave the row out"));
        }
        if self.chosen.trim() == self.rejected.trim() {
            let help = "leave the row out: `tripos preferences` does so";
            return Some(bad("`chosen` and `rejected` are the same, so nothing is preferred", help));
        }
        None
    }
}

/// What a row says.
pub(super) fn row(source: &Source, kind: Kind, row: Vars, place: Place) -> Result<Row, TrainProblem> {
    let (mut vars, target) = unwrapped(row);
    if let Some(columns) = &source.columns {
        vars = renamed(&vars, columns)?;
    }
    let target = target.or_else(|| vars.remove("target").as_ref().and_then(text_of));
    let label = match kind {
        Kind::Sft | Kind::Pretrain | Kind::Reward | Kind::Dpo | Kind::Grpo | Kind::Ppo => None,
        Kind::Classify => Some(label(&mut vars, target.as_deref())?),
    };
    let said = match (source.prompt.is_some() || source.text.is_some(), kind) {
        (true, _) => {
            let id = format!("{}:{}", place.file.display(), place.line);
            let case = Case { id, vars, target, tags: Vec::new(), probe: None };
            Said::Case { case: Arc::new(case), examples: Vec::new() }
        }
        (false, Kind::Sft | Kind::Pretrain | Kind::Grpo | Kind::Ppo) => said(&vars)?,
        (false, Kind::Reward | Kind::Dpo) => Said::Preference(Box::new(preference(source, &vars)?)),
        (false, Kind::Classify) => Said::Text(only_text(&vars)?),
    };
    Ok(Row { place, said, label, key: None })
}

/// The variables and the target of a case in our own shape; any other row as it is.
fn unwrapped(mut row: Vars) -> (Vars, Option<String>) {
    let ours = row.keys().all(|key| ["id", "vars", "target", "tags"].contains(&key.as_str()));
    match row.remove("vars") {
        Some(Value::Object(vars)) if ours => (vars, row.get("target").and_then(text_of)),
        Some(other) => {
            row.insert("vars".to_owned(), other);
            (row, None)
        }
        None => (row, None),
    }
}

/// The columns that are named, by the names they get.
fn renamed(row: &Vars, columns: &std::collections::BTreeMap<String, String>) -> Result<Vars, TrainProblem> {
    let missing = |column: &String| TrainProblem::Unknown {
        what: "column",
        name: column.clone(),
        known: row.keys().cloned().collect(),
    };
    let column = |(name, column): (&String, &String)| match row.get(column) {
        Some(value) => Ok((name.clone(), value.clone())),
        None => Err(missing(column)),
    };
    columns.iter().map(column).collect()
}

fn label(vars: &mut Vars, target: Option<&str>) -> Result<String, TrainProblem> {
    let help = "each row has a `label` (or a `target`); of other columns: `columns: {label: COLUMN}`";
    match vars.remove("label") {
        Some(label) => text_of(&label).ok_or_else(|| wrong("the label", &label, "a text")),
        None => target.map(str::to_owned).ok_or_else(|| bad("this row has no label", help)),
    }
}

/// The text of a row that has nothing else.
fn only_text(vars: &Vars) -> Result<String, TrainProblem> {
    let strange: Vec<&str> = vars.keys().map(String::as_str).filter(|name| *name != "text").collect();
    if !strange.is_empty() {
        return Err(strange_columns(&strange, "a row is `text` and `label`, or gives its variables to a `prompt:`"));
    }
    text("text", vars)
}

fn said(vars: &Vars) -> Result<Said, TrainProblem> {
    let columns: Vec<&str> = vars.keys().map(String::as_str).collect();
    let (format, strange) = Format::nearest(&columns);
    let Some(format) = format else {
        let what = format!("nothing tells what is to be learned from the columns {}", list(&columns));
        let help = format!(
            "rows have {}; other columns are renamed (`columns: {{prompt: question, completion: answer}}`) or fill in a \
             `prompt:` and a `completion:`",
            Format::KNOWN
        );
        return Err(TrainProblem::Row { what, help });
    };
    if !strange.is_empty() {
        let help = "leave them out of the file, or name the columns that count: `columns: {NAME: COLUMN}`";
        return Err(strange_columns(&strange, help));
    }
    let said = match format {
        Format::Messages => return messages(vars.get("messages").unwrap_or(&Value::Null)).map(Said::Messages),
        Format::Completion => Said::Answer { prompt: text("prompt", vars)?, completion: text("completion", vars)? },
        Format::Alpaca => Said::Instruction {
            instruction: text("instruction", vars)?,
            input: if vars.get("input").is_none_or(Value::is_null) { String::new() } else { text("input", vars)? },
            output: text("output", vars)?,
        },
        Format::Text => Said::Text(text("text", vars)?),
    };
    let (Said::Answer { completion: learned, .. } | Said::Instruction { output: learned, .. } | Said::Text(learned)) =
        &said
    else {
        return Ok(said);
    };
    if learned.trim().is_empty() { Err(nothing_learned()) } else { Ok(said) }
}

/// The columns of a row that says what was preferred.
pub(in crate::train) const JUDGED: [&str; 7] = ["prompt", "chosen", "rejected", "margin", "group", "axis", "tags"];

fn preference(source: &Source, vars: &Vars) -> Result<Preference, TrainProblem> {
    let strange: Vec<&str> = vars.keys().map(String::as_str).filter(|name| !JUDGED.contains(name)).collect();
    if !strange.is_empty() {
        let help = "a row is `prompt`, `chosen` and `rejected`, with `margin`, `group`, `axis` and `tags` where they are \
                    known; other columns are renamed (`columns: {chosen: COLUMN}`)";
        return Err(strange_columns(&strange, help));
    }
    let asked = match vars.get("prompt") {
        Some(Value::Array(list)) => Asked::Conversation(list.iter().map(message).collect::<Result<_, _>>()?),
        _ => Asked::Text(text("prompt", vars)?),
    };
    let margin = match vars.get("margin") {
        None | Some(Value::Null) => 0.0,
        Some(value) => number(value).ok_or_else(|| {
            let what = format!("`margin` is {value}, expected a number, 0 or more");
            bad(&what, "mend the row, or leave it out")
        })?,
    };
    let axis = match vars.get("axis") {
        None | Some(Value::Null) => source.axis.clone(),
        Some(_) => Some(text("axis", vars)?),
    };
    let tags = match vars.get("tags") {
        None | Some(Value::Null) => Ok(source.tags.clone()),
        Some(Value::Array(tags)) => {
            tags.iter().map(|tag| text_of(tag).ok_or_else(|| wrong("a tag", tag, "a text"))).collect()
        }
        Some(other) => Err(wrong("`tags`", other, "a list of texts")),
    }?;
    Ok(Preference { asked, chosen: answer("chosen", vars)?, rejected: answer("rejected", vars)?, margin, axis, tags })
}

#[allow(clippy::cast_possible_truncation, reason = "margins are small, and the loss counts in f32")]
fn number(value: &Value) -> Option<f32> {
    let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))?;
    (number.is_finite() && number >= 0.0).then_some(number as f32)
}

/// An answer: a text, or a list of one message.
fn answer(name: &str, vars: &Vars) -> Result<String, TrainProblem> {
    match vars.get(name) {
        Some(Value::Array(list)) => {
            let messages = list.iter().map(message).collect::<Result<Vec<_>, _>>()?;
            if let [Message { role: Role::Assistant, content }] = &messages[..] {
                return Ok(content.to_string());
            }
            let help = "`tripos preferences` makes rows of other shapes into `prompt`, `chosen` and `rejected`";
            Err(bad(&format!("`{name}` is no single message of the assistant's"), help))
        }
        _ => text(name, vars),
    }
}

/// A row whose answer is empty.
pub(super) fn nothing_learned() -> TrainProblem {
    bad("the answer of this row is empty, so there is nothing to learn", "give it an answer, or leave the row out")
}

fn text(name: &str, vars: &Vars) -> Result<String, TrainProblem> {
    let value = vars.get(name).unwrap_or(&Value::Null);
    text_of(value).ok_or_else(|| wrong(&format!("`{name}`"), value, "a text"))
}

/// The messages of a conversation in which the assistant says something.
fn messages(value: &Value) -> Result<Vec<Message>, TrainProblem> {
    let Value::Array(list) = value else { return Err(wrong("`messages`", value, "a list of messages")) };
    let messages = list.iter().map(message).collect::<Result<Vec<_>, _>>()?;
    if messages.iter().all(|message| message.role != Role::Assistant) {
        let help =
            "a conversation holds at least one message of `role: assistant`, which is learned; leave the row out";
        return Err(bad("no message of this row is the assistant's, so there is nothing to learn", help));
    }
    let empty = |message: &Message| message.role == Role::Assistant && message.content.trim().is_empty();
    if messages.iter().any(empty) { Err(nothing_learned()) } else { Ok(messages) }
}

fn message(value: &Value) -> Result<Message, TrainProblem> {
    let Value::Object(fields) = value else { return Err(wrong("a message", value, "{role: …, content: …}")) };
    let strange: Vec<&str> =
        fields.keys().map(String::as_str).filter(|key| !["role", "content"].contains(key)).collect();
    if !strange.is_empty() {
        return Err(bad(&format!("a message has {}", list(&strange)), "a message is {role: …, content: …}"));
    }
    let role = match fields.get("role").and_then(Value::as_str) {
        Some("system") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some(other) => {
            let help = did_you_mean(other, &["assistant", "system", "user"]);
            return Err(bad(&format!("unknown role `{other}`"), &help));
        }
        None => return Err(bad("a message has no `role`", "a message is {role: …, content: …}")),
    };
    match fields.get("content") {
        Some(Value::String(content)) => Ok(Message { role, content: content.as_str().into() }),
        other => Err(wrong("`content`", other.unwrap_or(&Value::Null), "a text")),
    }
}

fn strange_columns(names: &[&str], help: &str) -> TrainProblem {
    let what = if names.len() == 1 { "unknown column" } else { "unknown columns" };
    bad(&format!("{what} {}", list(names)), help)
}

fn wrong(what: &str, value: &Value, wanted: &str) -> TrainProblem {
    let found = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    };
    bad(&format!("{what} is {found}, expected {wanted}"), "mend the row, or leave it out")
}

fn bad(what: &str, help: &str) -> TrainProblem {
    TrainProblem::Row { what: what.to_owned(), help: help.to_owned() }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
