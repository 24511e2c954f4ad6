//! A test item, and how its values become text.

use super::probe::Counterpart;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The variables of a case, in the order they were written.
pub type Vars = serde_json::Map<String, Value>;

/// One test item; also a solved example of the few-shot pool.
///
/// ```
/// use tripos::suite::Case;
/// let case = Case::new("c-1", [("question", "What is 2 + 2?")], Some("4"));
/// assert_eq!(case.vars["question"], "What is 2 + 2?");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Unique in its suite; the row's number where none is given.
    #[serde(skip)]
    pub id: String,
    /// What templates see.
    pub vars: Vars,
    /// The right answer as text; `None` where the item has none.
    pub target: Option<String>,
    /// Groups for `--tag` and `--by tag`.
    pub tags: Vec<String>,
    /// Its place among the counterparts of a probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Counterpart>,
}

impl Case {
    /// A case with text variables and no tags.
    pub fn new<K: Into<String>, V: Into<Value>>(
        id: &str,
        vars: impl IntoIterator<Item = (K, V)>,
        target: Option<&str>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            vars: vars.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            target: target.map(str::to_owned),
            tags: Vec::new(),
            probe: None,
        }
    }
}

/// A scalar as the text a user would read: no quotes, `4` for 4; `None` for lists, maps and null.
#[must_use]
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
