//! What a scorer says of one completion.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value, json};

/// The judgement itself. Never NaN and never a silent 0: what could not be judged says why.
///
/// In JSON: a boolean, a number, a string, or `{"unscored": "reason"}`.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoreValue {
    /// Right or wrong.
    Pass(bool),
    /// A finite number.
    Number(f64),
    /// One of a closed set.
    Label(String),
    /// The trial could not be carried out or judged, for a reason outside the model. It is not "wrong".
    Unscored(String),
}

impl ScoreValue {
    /// A number, or unscored where it is not finite.
    #[must_use]
    pub fn number(value: f64) -> Self {
        if value.is_finite() { Self::Number(value) } else { Self::Unscored(format!("the score is {value}")) }
    }

    /// The value as a number: 1 and 0 for pass and fail; `None` for labels and what is unscored.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Pass(pass) => Some(f64::from(u8::from(*pass))),
            Self::Number(number) => Some(*number),
            Self::Label(_) | Self::Unscored(_) => None,
        }
    }
}

impl Serialize for ScoreValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pass(pass) => serializer.serialize_bool(*pass),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Label(label) => serializer.serialize_str(label),
            Self::Unscored(reason) => json!({ "unscored": reason }).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ScoreValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(pass) => Ok(Self::Pass(pass)),
            Value::Number(number) => number.as_f64().map(Self::Number).ok_or_else(|| D::Error::custom("not a number")),
            Value::String(label) => Ok(Self::Label(label)),
            Value::Object(map) => match map.get("unscored").and_then(Value::as_str) {
                Some(reason) => Ok(Self::Unscored(reason.to_owned())),
                None => Err(D::Error::custom("expected {\"unscored\": reason}")),
            },
            other => Err(D::Error::custom(format!("a score value cannot be {other}"))),
        }
    }
}

/// One scorer's judgement of one completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The scorer's name in the suite.
    pub scorer: String,
    /// The judgement.
    pub value: ScoreValue,
    /// The answer that was read; `None` (with value false) counts as "no answer".
    pub answer: Option<String>,
    /// Why, for people; empty where the value says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub explanation: String,
    /// Further numbers, each a metric `scorer.part`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parts: Map<String, Value>,
}
