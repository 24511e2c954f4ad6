//! `logit_bias`: tokens made likelier or less likely, by id or by spelling.

use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A token whose logit is moved.
///
/// ```
/// use tripos::sampling::BiasToken;
/// assert!(BiasToken::Id(7) < BiasToken::Text("a".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum BiasToken {
    /// By its id: an integer key.
    Id(u32),
    /// By its spelling, which must be one token of the model: a text key.
    Text(String),
}

impl fmt::Display for BiasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

impl<'de> Deserialize<'de> for BiasToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl Visitor<'_> for Key {
            type Value = BiasToken;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token's id (a whole number) or its spelling (a text)")
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<BiasToken, E> {
                u32::try_from(id).map(BiasToken::Id).map_err(|_| E::invalid_value(Unexpected::Unsigned(id), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<BiasToken, E> {
                u32::try_from(id).map(BiasToken::Id).map_err(|_| E::invalid_value(Unexpected::Signed(id), &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BiasToken, E> {
                if text.is_empty() {
                    return Err(E::custom("an empty text is no token's spelling"));
                }
                Ok(BiasToken::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Key)
    }
}

/// What a user writes, `{42: 5, " Paris": -100}`, in one order: ids first, then spellings, each sorted.
pub(super) fn from_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<(BiasToken, f32)>>, D::Error> {
    let map = Option::<BTreeMap<BiasToken, f32>>::deserialize(deserializer).map_err(D::Error::custom)?;
    Ok(map.map(|map| map.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::SamplingSpec;

    fn read(yaml: &str) -> Result<Vec<(BiasToken, f32)>, String> {
        let spec: SamplingSpec = serde_yaml::from_str(&format!("logit_bias: {yaml}")).map_err(|e| e.to_string())?;
        Ok(spec.logit_bias.unwrap_or_default())
    }

    #[test]
    fn integers_are_ids_and_texts_are_spellings_in_one_order() {
        let expected = vec![
            (BiasToken::Id(7), 1.5),
            (BiasToken::Id(42), 5.0),
            (BiasToken::Text(" Paris".into()), -100.0),
            (BiasToken::Text("42".into()), 1.0),
        ];
        assert_eq!(read("{\" Paris\": -100, 42: 5, \"42\": 1, 7: 1.5}").unwrap(), expected);
        let json = serde_json::to_string(&expected).unwrap();
        assert_eq!(json, "[[7,1.5],[42,5.0],[\" Paris\",-100.0],[\"42\",1.0]]");
        assert_eq!(serde_json::from_str::<Vec<(BiasToken, f32)>>(&json).unwrap(), expected);
    }

    #[test]
    fn what_can_be_no_token_is_refused() {
        for yaml in ["{-1: 1}", "{4294967296: 1}", "{1.5: 1}", "{\"\": 1}", "[1, 2]", "{a: b}"] {
            assert!(read(yaml).is_err(), "{yaml}");
        }
    }
}
