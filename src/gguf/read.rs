//! The header of a GGUF file, read once from front to back (specification: ggml `docs/gguf.md`, versions 2 and 3):
//!
//! ```text
//! "GGUF"  version:u32  tensors:u64  entries:u64
//! entries × { key:text  type:u32  value }             text = length:u64, UTF-8
//! tensors × { name:text  n:u32  dims:u64×n  type:u32  offset:u64 }
//! padding to `general.alignment`                      then the tensors' data
//! ```
//!
//! Every length is compared with what is left of the file before anything is set aside for it, and memory then grows
//! with what was really read: a header cannot claim more than the file holds.

use super::error::GgufProblem;
use super::impostor::Impostor;
use super::tensor::{TensorInfo, TensorType};
use super::value::{Array, Metadata, Value, ValueType};
use std::io::Read;

/// The longest header that is read; the largest known (a vocabulary of 262,144 and a tokenizer.json) takes 60 MB.
pub(super) const HEADER_LIMIT: u64 = 1 << 29;

/// Arrays in arrays are followed so far.
const DEPTH_LIMIT: usize = 4;

/// Longest metadata name in bytes (specification).
pub(super) const MAX_KEY: usize = (1 << 16) - 1;

/// Longest tensor name in bytes: ggml's `GGML_MAX_NAME` counts the closing NUL.
pub(super) const MAX_TENSOR_NAME: usize = 63;

/// What a header holds.
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<TensorInfo>,
    /// Bytes of the header without the padding behind it.
    pub(super) len: u64,
}

/// Reads the header of a file of `file_len` bytes.
pub(super) fn header(source: impl Read, file_len: u64) -> Result<Header, GgufProblem> {
    let mut reader = Reader { source, position: 0, file_len, reading: "its first 24 bytes".into() };
    let version = reader.version()?;
    let (tensor_count, entry_count) = (reader.u64()?, reader.u64()?);
    // A metadata entry has at least 8 + 4 + 1 bytes, a tensor 8 + 4 + 4 + 8.
    reader.claim(entry_count.saturating_mul(13).saturating_add(tensor_count.saturating_mul(24)))?;
    let metadata = reader.metadata(entry_count)?;
    let tensors = reader.tensors(tensor_count)?;
    Ok(Header { version, metadata, tensors, len: reader.position })
}

struct Reader<R> {
    source: R,
    position: u64,
    file_len: u64,
    /// What is being read, for messages.
    reading: String,
}

impl<R: Read> Reader<R> {
    /// Whether `needs` more bytes can be there.
    fn claim(&self, needs: u64) -> Result<(), GgufProblem> {
        let reading = || self.reading.clone();
        let left = self.file_len.saturating_sub(self.position);
        if needs > left {
            Err(GgufProblem::HeaderCut { reading: reading(), needs, left })
        } else if needs.saturating_add(self.position) > HEADER_LIMIT {
            Err(GgufProblem::HeaderTooLong { reading: reading(), limit: HEADER_LIMIT })
        } else {
            Ok(())
        }
    }

    fn fault<T>(&self, fault: impl Into<String>) -> Result<T, GgufProblem> {
        Err(GgufProblem::Header { reading: self.reading.clone(), fault: fault.into() })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], GgufProblem> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, GgufProblem> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, GgufProblem> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn version(&mut self) -> Result<u32, GgufProblem> {
        if self.file_len == 0 {
            return Err(GgufProblem::Empty);
        }
        let mut start = Vec::new();
        self.source.by_ref().take(8).read_to_end(&mut start)?;
        let Some(([b'G', b'G', b'U', b'F'], rest)) = start.split_first_chunk() else {
            self.source.by_ref().take(56).read_to_end(&mut start)?;
            return Err(GgufProblem::NotGguf(Impostor::of(&start)));
        };
        let &[a, b, c, d] = rest else {
            self.claim(24)?;
            return self.fault("ends at once");
        };
        self.position = 8;
        match u32::from_le_bytes([a, b, c, d]) {
            version @ (2 | 3) => Ok(version),
            // The lower half is empty in the wrong byte order, as in llama.cpp's own test.
            version if version.trailing_zeros() >= 16 && version != 0 => Err(GgufProblem::BigEndian),
            version => Err(GgufProblem::Version(version)),
        }
    }

    fn text(&mut self) -> Result<String, GgufProblem> {
        let len = self.u64()?;
        self.claim(len)?;
        let mut bytes = Vec::new();
        self.source.by_ref().take(len).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != len {
            return Err(GgufProblem::HeaderCut { reading: self.reading.clone(), needs: len, left: bytes.len() as u64 });
        }
        self.position += len;
        String::from_utf8(bytes).or_else(|_| self.fault("is not UTF-8 text"))
    }

    /// A text that names something: not empty, at most `limit` bytes, without NUL (where C would cut it) or other controls.
    fn name(&mut self, limit: usize) -> Result<String, GgufProblem> {
        let name = self.text()?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return self.fault("has an impossible name");
        }
        if name.len() > limit {
            return self.fault(format!("has a name of {} bytes; {limit} are allowed", name.len()));
        }
        Ok(name)
    }

    fn bool(&mut self) -> Result<bool, GgufProblem> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => self.fault(format!("is a truth value of {other}, neither 0 nor 1")),
        }
    }

    fn value_type(&mut self) -> Result<ValueType, GgufProblem> {
        let code = self.u32()?;
        ValueType::from_code(code).map_or_else(|| self.fault(format!("has the unknown type {code}")), Ok)
    }

    fn value(&mut self) -> Result<Value, GgufProblem> {
        Ok(match self.value_type()? {
            ValueType::U8 => Value::U8(u8::from_le_bytes(self.take()?)),
            ValueType::I8 => Value::I8(i8::from_le_bytes(self.take()?)),
            ValueType::U16 => Value::U16(u16::from_le_bytes(self.take()?)),
            ValueType::I16 => Value::I16(i16::from_le_bytes(self.take()?)),
            ValueType::U32 => Value::U32(self.u32()?),
            ValueType::I32 => Value::I32(i32::from_le_bytes(self.take()?)),
            ValueType::F32 => Value::F32(f32::from_le_bytes(self.take()?)),
            ValueType::Bool => Value::Bool(self.bool()?),
            ValueType::Text => Value::Text(self.text()?),
            ValueType::Array => Value::Array(self.array(DEPTH_LIMIT)?),
            ValueType::U64 => Value::U64(self.u64()?),
            ValueType::I64 => Value::I64(i64::from_le_bytes(self.take()?)),
            ValueType::F64 => Value::F64(f64::from_le_bytes(self.take()?)),
        })
    }

    fn array(&mut self, depth: usize) -> Result<Array, GgufProblem> {
        let kind = self.value_type()?;
        let count = self.u64()?;
        Ok(match kind {
            ValueType::U8 => Array::U8(self.numbers(count, u8::from_le_bytes)?),
            ValueType::I8 => Array::I8(self.numbers(count, i8::from_le_bytes)?),
            ValueType::U16 => Array::U16(self.numbers(count, u16::from_le_bytes)?),
            ValueType::I16 => Array::I16(self.numbers(count, i16::from_le_bytes)?),
            ValueType::U32 => Array::U32(self.numbers(count, u32::from_le_bytes)?),
            ValueType::I32 => Array::I32(self.numbers(count, i32::from_le_bytes)?),
            ValueType::F32 => Array::F32(self.numbers(count, f32::from_le_bytes)?),
            ValueType::U64 => Array::U64(self.numbers(count, u64::from_le_bytes)?),
            ValueType::I64 => Array::I64(self.numbers(count, i64::from_le_bytes)?),
            ValueType::F64 => Array::F64(self.numbers(count, f64::from_le_bytes)?),
            ValueType::Bool => Array::Bool(self.items(count, 1, Self::bool)?),
            ValueType::Text => Array::Text(self.items(count, 8, Self::text)?),
            ValueType::Array if depth > 0 => Array::Array(self.items(count, 12, |r| r.array(depth - 1))?),
            ValueType::Array => return self.fault("nests arrays too deeply"),
        })
    }

    fn numbers<T, const N: usize>(&mut self, count: u64, number: fn([u8; N]) -> T) -> Result<Vec<T>, GgufProblem> {
        self.items(count, N as u64, |r| Ok(number(r.take()?)))
    }

    /// `count` items of at least `least` bytes each.
    fn items<T>(
        &mut self,
        count: u64,
        least: u64,
        mut item: impl FnMut(&mut Self) -> Result<T, GgufProblem>,
    ) -> Result<Vec<T>, GgufProblem> {
        self.claim(count.saturating_mul(least))?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn metadata(&mut self, count: u64) -> Result<Metadata, GgufProblem> {
        let mut metadata = Metadata::default();
        for i in 0..count {
            self.reading = format!("metadata entry {} of {count}", i + 1);
            let key = self.name(MAX_KEY)?;
            self.reading = format!("metadata `{key}`");
            let value = self.value()?;
            if metadata.set(key, value).is_some() {
                return self.fault("is there twice");
            }
        }
        Ok(metadata)
    }

    fn tensors(&mut self, count: u64) -> Result<Vec<TensorInfo>, GgufProblem> {
        let mut tensors = Vec::new();
        let mut names = std::collections::HashSet::new();
        for i in 0..count {
            self.reading = format!("tensor {} of {count}", i + 1);
            let name = self.name(MAX_TENSOR_NAME)?;
            self.reading = format!("tensor `{name}`");
            if !names.insert(name.clone()) {
                return self.fault("is there twice");
            }
            tensors.push(self.tensor(name)?);
        }
        Ok(tensors)
    }

    fn tensor(&mut self, name: String) -> Result<TensorInfo, GgufProblem> {
        let n = self.u32()?;
        if !(1..=4).contains(&n) {
            return self.fault(format!("has {n} dimensions; 1 to 4 are possible"));
        }
        let dims = self.numbers(n.into(), u64::from_le_bytes)?;
        let code = self.u32()?;
        let Some(kind) = TensorType::from_code(code) else {
            return self.fault(format!("has the unknown tensor type {code}"));
        };
        Ok(TensorInfo { name, dims, kind, offset: self.u64()? })
    }
}
