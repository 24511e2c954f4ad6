//! Metadata: typed values under names, in the order of the file.

use std::collections::HashMap;

/// Under which a trained file names the reward models that moved it, by SHA-256, with commas between them.
pub(crate) const REWARDS: &str = "tripos.reward.sha256";

/// The type of a metadata value, with the number that the file gives it (GGUF specification, `gguf_metadata_value_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of Rust's own types")]
pub enum ValueType {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    Text = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

impl ValueType {
    /// The type behind the file's number; `None` for one that GGUF does not know.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            _ => return None,
        })
    }

    /// The file's number for it.
    #[must_use]
    pub fn code(self) -> u32 {
        self as u32
    }

    /// Its name in messages, as llama.cpp says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::Text => "str",
            Self::Array => "arr",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }
}

/// One metadata value.
///
/// ```
/// use tripos::gguf::{Value, ValueType};
/// assert_eq!(Value::U32(512).kind(), ValueType::U32);
/// assert_eq!(Value::from("llama"), Value::Text("llama".into()));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names are those of Rust's own types")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl Value {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::Text(_) => ValueType::Text,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// Its type in words, arrays with the type of their elements: `u32`, `arr[str]`.
    #[must_use]
    pub fn type_name(&self) -> String {
        match self {
            Self::Array(array) => format!("arr[{}]", array.kind().name()),
            other => other.kind().name().to_owned(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A metadata array: all elements have one type. The file format allows arrays of arrays; llama.cpp reads none.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names are those of Rust's own types")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    Text(Vec<String>),
    Array(Vec<Array>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl Array {
    /// The type of its elements.
    #[must_use]
    pub fn kind(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::Text(_) => ValueType::Text,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::Text(v) => v.len(),
            Self::Array(v) => v.len(),
            Self::U64(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The metadata of a file: values under names, in order, each name once.
///
/// ```
/// use tripos::gguf::{Metadata, Value};
/// let mut metadata = Metadata::default();
/// metadata.set("general.architecture", Value::from("llama"));
/// metadata.set("llama.context_length", Value::U32(512));
/// assert_eq!(metadata.text("general.architecture"), Some("llama"));
/// assert_eq!(metadata.u64("llama.context_length"), Some(512));
/// assert_eq!(metadata.u64("llama.block_count"), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    entries: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

impl Metadata {
    /// The value under a name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(*self.index.get(key)?).map(|(_, value)| value)
    }

    /// Puts a value under a name, in the place of the old one if there is one; returns the old one.
    pub fn set(&mut self, key: impl Into<String>, value: Value) -> Option<Value> {
        let key = key.into();
        if let Some((_, old)) = self.index.get(&key).and_then(|at| self.entries.get_mut(*at)) {
            return Some(std::mem::replace(old, value));
        }
        self.index.insert(key.clone(), self.entries.len());
        self.entries.push((key, value));
        None
    }

    /// Takes a value out; the order of the others stays.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.index.remove(key)?;
        let (_, value) = self.entries.remove(at);
        for (i, (key, _)) in self.entries.iter().enumerate().skip(at) {
            self.index.insert(key.clone(), i);
        }
        Some(value)
    }

    /// Names and values in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// SHA-256 of the reward models that moved the model (contract.md, section 6).
    #[must_use]
    pub fn rewards(&self) -> Vec<String> {
        let all = self.text(REWARDS).unwrap_or_default().split(',');
        all.map(str::trim).filter(|sha256| !sha256.is_empty()).map(str::to_owned).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The text under a name; `None` if it is absent or of another type.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number under a name, of any width; `None` if it is absent, negative or of another type.
    #[must_use]
    pub fn u64(&self, key: &str) -> Option<u64> {
        match *self.get(key)? {
            Value::U8(n) => Some(n.into()),
            Value::U16(n) => Some(n.into()),
            Value::U32(n) => Some(n.into()),
            Value::U64(n) => Some(n),
            Value::I8(n) => u64::try_from(n).ok(),
            Value::I16(n) => u64::try_from(n).ok(),
            Value::I32(n) => u64::try_from(n).ok(),
            Value::I64(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// The `f32` under a name; `None` if it is absent or of another type.
    #[must_use]
    pub fn f32(&self, key: &str) -> Option<f32> {
        match *self.get(key)? {
            Value::F32(x) => Some(x),
            _ => None,
        }
    }

    /// The truth value under a name; `None` if it is absent or of another type.
    #[must_use]
    pub fn bool(&self, key: &str) -> Option<bool> {
        match *self.get(key)? {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The array under a name; `None` if it is absent or not an array.
    #[must_use]
    pub fn array(&self, key: &str) -> Option<&Array> {
        match self.get(key)? {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The array of texts under a name; `None` if it is absent or of another type.
    #[must_use]
    pub fn texts(&self, key: &str) -> Option<&[String]> {
        match self.array(key)? {
            Array::Text(texts) => Some(texts),
            _ => None,
        }
    }

    /// The array of `i32` under a name; `None` if it is absent or of another type.
    #[must_use]
    pub fn i32s(&self, key: &str) -> Option<&[i32]> {
        match self.array(key)? {
            Array::I32(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The array of `f32` under a name; `None` if it is absent or of another type.
    #[must_use]
    pub fn f32s(&self, key: &str) -> Option<&[f32]> {
        match self.array(key)? {
            Array::F32(numbers) => Some(numbers),
            _ => None,
        }
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        let mut metadata = Self::default();
        for (key, value) in entries {
            metadata.set(key, value);
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_the_number_of_the_specification() {
        for code in 0..13 {
            assert_eq!(ValueType::from_code(code).map(ValueType::code), Some(code));
        }
        assert_eq!(ValueType::from_code(13), None);
    }

    #[test]
    fn removing_a_value_keeps_the_order_and_the_index() {
        let mut metadata: Metadata =
            [("a", Value::U8(1)), ("b", Value::U8(2)), ("c", Value::U8(3))].into_iter().collect();
        assert_eq!(metadata.remove("a"), Some(Value::U8(1)));
        assert_eq!(metadata.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!((metadata.u64("b"), metadata.u64("c"), metadata.u64("a")), (Some(2), Some(3), None));
    }

    #[test]
    fn a_value_of_another_type_is_not_converted() {
        let metadata: Metadata = [("x", Value::F64(1.0)), ("n", Value::I32(-1))].into_iter().collect();
        assert_eq!((metadata.f32("x"), metadata.u64("x"), metadata.u64("n")), (None, None, None));
    }
}
