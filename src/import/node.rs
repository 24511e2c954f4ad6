//! A value of a YAML or JSON file that knows where it stands.

use super::ImportError;
use crate::error::{Place, Problems};
use crate::suite::Document;
use serde_yaml::Value;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A value, its place, and the file that it was read from.
#[derive(Debug, Clone)]
pub(super) struct Node {
    document: Rc<Document>,
    file: Rc<PathBuf>,
    path: String,
    value: Value,
    /// The place of all of it, where it is a row of a file.
    row: Option<Rc<Place>>,
}

impl Node {
    /// Reads a file. Merge keys (`<<`) are resolved.
    pub(super) fn open(path: &Path) -> Result<Self, Problems> {
        let document = Document::open(path, "the file")?;
        let mut value = document.value().clone();
        // A merge of what is no map stays as it is written.
        let _ = value.apply_merge();
        Ok(Self {
            document: Rc::new(document),
            file: Rc::new(path.to_path_buf()),
            path: String::new(),
            value,
            row: None,
        })
    }

    /// The file that it was read from.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// A path that the file writes, seen from its folder.
    pub(super) fn beside(&self, written: &str) -> PathBuf {
        crate::suite::beside(&self.file, written)
    }

    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        self.row.as_ref().map_or_else(|| self.document.place(&self.path), |row| Place::clone(row))
    }

    /// What it is.
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// The same place with another value: what a reference stands for.
    pub(super) fn with(&self, value: Value) -> Self {
        Self { value, ..self.clone() }
    }

    /// A row of a file of rows, whose parts stand where it stands.
    pub(super) fn row(&self, value: Value, place: &Place) -> Self {
        let (file, row) = (Rc::new(place.file.clone()), Some(Rc::new(place.clone())));
        Self { document: Rc::clone(&self.document), file, path: String::new(), value, row }
    }

    /// The value of a key; `None` where it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Some(Self { path, ..self.with(value.clone()) })
    }

    /// The items of a list; the value itself where it is none.
    pub(super) fn items(&self) -> Vec<Self> {
        match &self.value {
            Value::Sequence(items) => {
                let item = |(at, value): (usize, &Value)| Self {
                    path: format!("{}[{at}]", self.path),
                    ..self.with(value.clone())
                };
                items.iter().enumerate().map(item).collect()
            }
            _ => vec![self.clone()],
        }
    }

    /// The keys of a map, in their order.
    pub(super) fn keys(&self) -> Vec<String> {
        let keys = self.value.as_mapping().into_iter().flat_map(|map| map.keys());
        keys.filter_map(text_of).collect()
    }

    /// Its text; numbers and truth values, too.
    pub(super) fn text(&self) -> Option<String> {
        text_of(&self.value)
    }

    /// The text of a key.
    pub(super) fn text_at(&self, key: &str) -> Option<String> {
        self.get(key)?.text()
    }

    /// The number of a key.
    pub(super) fn number_at(&self, key: &str) -> Option<f64> {
        self.get(key)?.value.as_f64()
    }

    /// Whether a key says so.
    pub(super) fn flag_at(&self, key: &str) -> bool {
        self.get(key).is_some_and(|node| node.value.as_bool() == Some(true))
    }

    /// The function that a value names: `!function utils.process_docs`.
    pub(super) fn function(&self) -> Option<String> {
        match &self.value {
            Value::Tagged(tagged) if tagged.tag == "function" => Some(text_of(&tagged.value).unwrap_or_default()),
            _ => None,
        }
    }

    /// As JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::to_value(&self.value).unwrap_or_default()
    }

    /// An error at its place.
    pub(super) fn error(&self, what: impl Into<String>, help: impl Into<String>) -> ImportError {
        ImportError::new(&self.place(), what, help)
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
