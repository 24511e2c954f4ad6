//! `doc_to_text`, `doc_to_target` and `doc_to_choice`: what a row becomes.

use super::config::Task;
use super::literal::literal;
use super::rows::Rows;
use crate::error::Place;
use crate::import::ImportError;
use crate::import::node::Node;
use crate::prompt::{Dialect, Jinja};
use crate::suite::{Vars, text_of};
use serde_json::Value;
use std::collections::BTreeSet;

/// One row, read.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub row: Vars,
    /// What is asked.
    pub text: String,
    /// Whether that is the position of a choice, which the harness does not ask but puts the choices before the target.
    pub asks_a_position: bool,
    /// The right answers; the first is the one that examples show.
    pub golds: Vec<String>,
    /// What can be chosen.
    pub choices: Option<Vec<String>>,
    pub place: Place,
}

/// The templates of a task, compiled.
#[derive(Debug)]
pub(super) struct Reading {
    text: Rule,
    target: Rule,
    choices: Option<Rule>,
    /// What has to be done to the rows first, by a program.
    prepared: Option<String>,
}

/// How a value is made of a row.
#[derive(Debug)]
struct Rule {
    key: String,
    how: How,
    place: Place,
}

#[derive(Debug)]
enum How {
    Column(String),
    Template(Box<Jinja>, String),
    /// The same for every row.
    Fixed(Value),
    /// A list whose items are templates.
    Each(Vec<Jinja>),
}

impl Reading {
    /// Compiles the templates; a program is refused by name. `example` names the keys that examples have of their own.
    pub(super) fn new(task: &Task, columns: &BTreeSet<String>, text_is_wanted: bool) -> Result<Self, ImportError> {
        let rule = |key: &str| task.get(key).map(|node| Rule::new(key, node, columns)).transpose();
        let missing = |key: &str| {
            let help = "a task says how a row is asked and what is right: `doc_to_text`, `doc_to_target`";
            ImportError::new(&task.place(), format!("the task has no `{key}`"), help)
        };
        let text = match rule("doc_to_text")? {
            Some(text) => text,
            None if !text_is_wanted => {
                Rule { key: "doc_to_text".into(), how: How::Fixed("".into()), place: task.place() }
            }
            None => return Err(missing("doc_to_text")),
        };
        let target = rule("doc_to_target")?.ok_or_else(|| missing("doc_to_target"))?;
        let choices = rule("doc_to_choice")?;
        let prepared = task.get("process_docs").and_then(Node::function);
        Ok(Self { text, target, choices, prepared })
    }

    /// The template that asks, where it is one.
    pub(super) fn source(&self) -> Option<String> {
        match &self.text.how {
            How::Template(_, source) => Some(source.clone()),
            How::Column(name) => Some(format!("{{{{ {name} }}}}")),
            How::Fixed(value) => text_of(value),
            How::Each(_) => None,
        }
    }

    /// The variables that asking reads.
    pub(super) fn variables(&self) -> BTreeSet<String> {
        match &self.text.how {
            How::Template(template, _) => template.variables(),
            How::Column(name) => BTreeSet::from([name.clone()]),
            How::Fixed(_) | How::Each(_) => BTreeSet::new(),
        }
    }

    /// Reads every row; the first that cannot be read is an error.
    pub(super) fn items(&self, rows: Rows) -> Result<Vec<Item>, ImportError> {
        rows.into_iter().map(|(row, place)| self.item(row, place)).collect()
    }

    fn item(&self, row: Vars, place: Place) -> Result<Item, ImportError> {
        let fail = |rule: &Rule, what: String| self.failed(rule, &row, &place, &what);
        let value = |rule: &Rule| rule.value(&row).map_err(|what| fail(rule, what));
        let asked = value(&self.text)?;
        let choices = match &self.choices {
            Some(rule) => {
                let found = value(rule)?;
                Some(texts(&found).ok_or_else(|| fail(rule, format!("`{found}` is no list of choices")))?)
            }
            None => None,
        };
        let golds = self.golds(&value(&self.target)?, choices.as_deref()).map_err(|what| fail(&self.target, what))?;
        let asks_a_position = choices.is_some() && self.is_position(&asked, &place);
        Ok(Item { row, text: text_or_python(&asked), asks_a_position, golds, choices, place })
    }

    /// Whether the harness takes what asks as a number: one, or the digits that a template prints. A CSV file has
    /// numbers as text.
    fn is_position(&self, asked: &Value, place: &Place) -> bool {
        let from_text = match self.text.how {
            How::Template(..) => true,
            How::Column(_) => place.file.extension().is_some_and(|ending| ending == "csv"),
            How::Fixed(_) | How::Each(_) => false,
        };
        match asked {
            Value::Number(_) => true,
            Value::String(text) => from_text && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        }
    }

    /// The right answers: the texts of choices where the target is their position.
    fn golds(&self, target: &Value, choices: Option<&[String]>) -> Result<Vec<String>, String> {
        let templated = matches!(self.target.how, How::Template(..));
        let target = match target {
            // A number that a template prints, or that a CSV file has as text, is a position.
            Value::String(text)
                if choices.is_some_and(|choices| templated || !choices.contains(text))
                    && text.trim().bytes().all(|b| b.is_ascii_digit()) =>
            {
                text.trim().parse::<u64>().map_or_else(|_| target.clone(), Value::from)
            }
            Value::String(text) if templated && text.starts_with('[') && text.ends_with(']') => {
                literal(text).unwrap_or_else(|| target.clone())
            }
            other => other.clone(),
        };
        let one = |value: &Value| match (choices, value) {
            (Some(choices), Value::Number(number)) => {
                let at = number.as_u64().and_then(|at| usize::try_from(at).ok());
                at.and_then(|at| choices.get(at))
                    .cloned()
                    .ok_or(format!("there is no choice {number} (counted from 0)"))
            }
            (Some(choices), Value::Bool(flag)) => {
                choices.get(usize::from(*flag)).cloned().ok_or("there are no two choices".to_owned())
            }
            (Some(choices), Value::String(text)) if !choices.contains(text) => {
                Err(format!("the target `{text}` is none of the choices {choices:?}"))
            }
            (_, value) => Ok(text_or_python(value)),
        };
        let golds: Vec<String> = match &target {
            Value::Array(all) => all.iter().map(one).collect::<Result<_, _>>()?,
            value => vec![one(value)?],
        };
        if golds.is_empty() { Err("the list of targets is empty".to_owned()) } else { Ok(golds) }
    }

    fn failed(&self, rule: &Rule, row: &Vars, place: &Place, what: &str) -> ImportError {
        let columns = row.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let what = format!("`{}` cannot be made of the row at {place}: {what}", rule.key);
        match &self.prepared {
            Some(function) => {
                let help = format!(
                    "`process_docs: !function {function}` is a program and is not run: run it over the rows yourself, and \
                     give what it makes: --data FILE (columns there: {columns})"
                );
                ImportError::new(&rule.place, what, help)
            }
            None => ImportError::new(&rule.place, what, format!("the row has the columns {columns}")),
        }
    }
}

impl Rule {
    fn new(key: &str, node: &Node, columns: &BTreeSet<String>) -> Result<Self, ImportError> {
        if let Some(function) = node.function() {
            let what = format!("`{key}: !function {function}` is a program, and none is run");
            let help =
                format!("write it as a template, or put what it makes into a column and name that: `{key}: COLUMN`");
            return Err(node.error(what, help));
        }
        let compile = |source: &str| {
            let failed =
                |error| node.error(format!("`{key}` is no template that can be read: {error}"), "it is Jinja2");
            Jinja::compile(source, Dialect::Python).map_err(failed)
        };
        let how = match (node.text(), node.json()) {
            (Some(text), _) if columns.contains(&text) => How::Column(text),
            (Some(_), json) if !json.is_string() => How::Fixed(json),
            (Some(text), _) => How::Template(Box::new(compile(&text)?), text),
            (None, Value::Array(items))
                if items.iter().any(|item| item.as_str().is_some_and(|text| text.contains("{{"))) =>
            {
                How::Each(items.iter().map(|item| compile(&text_or_python(item))).collect::<Result<_, _>>()?)
            }
            (None, json) => How::Fixed(json),
        };
        Ok(Self { key: key.to_owned(), how, place: node.place() })
    }

    fn value(&self, row: &Vars) -> Result<Value, String> {
        let rendered = |template: &Jinja| template.render(row).map_err(|error| error.to_string());
        Ok(match &self.how {
            How::Column(name) => row.get(name).cloned().ok_or(format!("there is no column `{name}`"))?,
            How::Template(template, _) => rendered(template)?.into(),
            How::Fixed(value) => value.clone(),
            How::Each(templates) => templates.iter().map(rendered).collect::<Result<Vec<_>, _>>()?.into(),
        })
    }
}

/// The choices as a list, a map's values, or the text of such a list.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => Some(items.iter().map(text_or_python).collect()),
        Value::Object(map) => Some(map.values().map(text_or_python).collect()),
        Value::String(text) => literal(text).filter(|value| !value.is_string()).and_then(|value| texts(&value)),
        _ => None,
    }
}

/// A value as Python prints it.
fn text_or_python(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => {
            let row = Vars::from_iter([("value".to_owned(), other.clone())]);
            let printed = Jinja::compile("{{ value }}", Dialect::Python).and_then(|template| template.render(&row));
            printed.unwrap_or_else(|_| other.to_string())
        }
    }
}
