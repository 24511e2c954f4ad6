//! A case's data as the template sees it: JSON becomes Tera's values, with control spellings marked.

use super::PromptError;
use super::control::{Controls, GIVEN, MARK, QUOTE};
use crate::suite::{Case, Vars};
use serde_json::Value as Json;
use tera::value::Key;
use tera::{Context, Map, Value};

/// What no data may hold.
const MARKS: [char; 4] = [QUOTE, MARK, GIVEN[0], GIVEN[1]];

/// The variables of a case at top level.
pub(super) fn context(vars: &Vars, controls: &Controls) -> Result<Context, PromptError> {
    let mut context = Context::new();
    for (name, value) in vars {
        context.insert_value(name.clone(), variable(name, value, controls)?);
    }
    Ok(context)
}

/// The variables of an example and its `target` at top level, as the `examples:` of a chat see them.
pub(super) fn example_context(example: &Case, controls: &Controls) -> Result<Context, PromptError> {
    let mut context = context(&example.vars, controls)?;
    if let Some(target) = &example.target {
        context.insert_value("target", Value::from(text("target", target, controls)?));
    }
    Ok(context)
}

/// What an earlier stage said. Marks that a model writes are dropped: no template means them.
pub(super) fn completion(said: &str, controls: &Controls) -> Result<Value, PromptError> {
    Ok(Value::from(text("completion", &said.replace(MARKS, "\u{fffd}"), controls)?.into_owned()))
}

/// One element of `examples`: a map of the example's variables and its `target`.
pub(super) fn example(example: &Case, controls: &Controls) -> Result<Value, PromptError> {
    let mut map = Map::with_capacity(example.vars.len() + 1);
    for (name, value) in &example.vars {
        map.insert(Key::from(name.clone()), variable(name, value, controls)?);
    }
    if let Some(target) = &example.target {
        map.insert(Key::from("target"), Value::from(text("target", target, controls)?));
    }
    Ok(Value::from(map))
}

/// The value with [`MARK`] behind every string and number in it; numbers become text. Empty strings stay empty, so
/// that `{% if e.hint %}` takes the same way.
pub(super) fn marked(value: &Value) -> Value {
    if let Some(text) = value.as_str() {
        if text.is_empty() { value.clone() } else { Value::from(format!("{text}{MARK}")) }
    } else if value.is_number() {
        Value::from(format!("{value}{MARK}"))
    } else if let Some(items) = value.as_array() {
        Value::from(items.iter().map(marked).collect::<Vec<_>>())
    } else if let Some(map) = value.as_map() {
        Value::from(map.iter().map(|(key, value)| (key.clone(), marked(value))).collect::<Map>())
    } else {
        value.clone()
    }
}

fn variable(name: &str, json: &Json, controls: &Controls) -> Result<Value, PromptError> {
    Ok(match json {
        Json::Null => Value::none(),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => number.as_f64().map_or_else(Value::none, Value::from),
        },
        Json::String(string) => Value::from(text(name, string, controls)?),
        Json::Array(items) => {
            Value::from(items.iter().map(|item| variable(name, item, controls)).collect::<Result<Vec<_>, _>>()?)
        }
        Json::Object(fields) => {
            let mut map = Map::with_capacity(fields.len());
            for (key, value) in fields {
                map.insert(Key::from(text(name, key, controls)?.into_owned()), variable(name, value, controls)?);
            }
            Value::from(map)
        }
    })
}

fn text<'t>(name: &str, text: &'t str, controls: &Controls) -> Result<std::borrow::Cow<'t, str>, PromptError> {
    controls.mark(text).ok_or_else(|| PromptError::Reserved { what: format!("variable `{name}`") })
}
