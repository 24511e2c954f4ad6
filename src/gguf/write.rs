//! Writes GGUF files (version 3): test models, adapters, exports.

use super::error::{GgufError, GgufProblem};
use super::read::{MAX_KEY, MAX_TENSOR_NAME};
use super::tensor::TensorInfo;
use super::tensor::TensorType;
use super::value::{Array, Metadata, Value};
use super::{DEFAULT_ALIGNMENT, Gguf, pad};
use crate::error::Place;
use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// A tensor to be written: what the file says of it, and its bytes as ggml lays them out.
///
/// ```
/// use tripos::gguf::{TensorData, TensorType};
/// let ones = TensorData::f32("output_norm.weight", &[4], &[1.0; 4]);
/// assert_eq!((ones.kind, ones.bytes.len()), (TensorType::F32, 16));
/// ```
#[derive(Debug, Clone)]
pub struct TensorData<'a> {
    /// Its name; at most 63 bytes.
    pub name: String,
    /// Sizes, the row length first.
    pub dims: Vec<u64>,
    /// Its number format.
    pub kind: TensorType,
    /// Its data, exactly as long as type and shape say.
    pub bytes: Cow<'a, [u8]>,
}

impl TensorData<'_> {
    /// A tensor of `f32`.
    #[must_use]
    pub fn f32(name: impl Into<String>, dims: &[u64], numbers: &[f32]) -> Self {
        let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { name: name.into(), dims: dims.to_vec(), kind: TensorType::F32, bytes: Cow::Owned(bytes) }
    }
}

/// Writes a file: metadata and tensors in the order given, each tensor at a multiple of `general.alignment` (else 32).
/// The file appears whole or not at all. For files too large to be held in memory: [`Writer`].
///
/// Errors when a name is too long or comes twice, when a tensor's bytes do not fit its shape and type, when the
/// alignment is not a power of two, or when the disk refuses.
pub fn write(path: &Path, metadata: &Metadata, tensors: &[TensorData<'_>]) -> Result<(), GgufError> {
    let infos: Vec<TensorInfo> =
        tensors.iter().map(|tensor| TensorInfo::new(tensor.name.as_str(), &tensor.dims, tensor.kind)).collect();
    // Before anything is written: what is wrong with the bytes is wrong with the call.
    for (info, tensor) in infos.iter().zip(tensors) {
        check_tensor(info)
            .and_then(|()| fits(info, &tensor.bytes))
            .map_err(|problem| problem.at(&Place::file(path)))?;
    }
    let mut writer = Writer::create(path, metadata, &infos)?;
    for tensor in tensors {
        writer.tensor(&tensor.bytes)?;
    }
    writer.finish()
}

/// Writes a file tensor by tensor, so that only one of them is in memory. The file is written beside its place and moved
/// there by [`finish`](Self::finish); without that, nothing is left behind.
///
/// ```
/// use tripos::gguf::{Gguf, Metadata, TensorInfo, TensorType, Writer};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.gguf");
/// let tensors = [TensorInfo::new("a", &[2], TensorType::F32), TensorInfo::new("b", &[1], TensorType::F32)];
/// let mut writer = Writer::create(&path, &Metadata::default(), &tensors)?;
/// writer.tensor(&[0; 8])?;
/// writer.tensor(&[0; 4])?;
/// writer.finish()?;
/// assert_eq!(Gguf::open(&path)?.tensors().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    place: Place,
    file: BufWriter<NamedTempFile>,
    alignment: u64,
    /// The tensors that are still to come, the next one last.
    left: Vec<TensorInfo>,
}

impl Writer {
    /// Writes the header. The tensors come in this order; their offsets are given here, whatever they say.
    pub fn create(path: &Path, metadata: &Metadata, tensors: &[TensorInfo]) -> Result<Self, GgufError> {
        let place = Place::file(path);
        let begin = || -> Result<_, GgufProblem> {
            let alignment = alignment(metadata)?;
            let header = header(metadata, tensors, alignment)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut file = BufWriter::with_capacity(1 << 20, NamedTempFile::new_in(folder)?);
            file.write_all(&header)?;
            Ok((file, alignment))
        };
        let (file, alignment) = begin().map_err(|problem| problem.at(&place))?;
        Ok(Self { place, file, alignment, left: tensors.iter().rev().cloned().collect() })
    }

    /// Writes the next tensor's data.
    pub fn tensor(&mut self, bytes: &[u8]) -> Result<(), GgufError> {
        let Some(info) = self.left.pop() else {
            return Err(GgufProblem::tensor("", "was never announced: all tensors are written").at(&self.place));
        };
        let written = fits(&info, bytes).and_then(|()| {
            self.file.write_all(bytes)?;
            Ok(self.file.write_all(&padding(bytes.len(), self.alignment))?)
        });
        written.map_err(|problem| problem.at(&self.place))
    }

    /// Puts the file into its place, in the place of one that is there. Its data is on the disk when this returns.
    pub fn finish(mut self) -> Result<(), GgufError> {
        if let Some(info) = self.left.pop() {
            return Err(GgufProblem::tensor(info.name, "was announced and not written").at(&self.place));
        }
        let Self { place, file, .. } = self;
        let path = place.file.as_path();
        let end = || -> std::io::Result<()> {
            let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            #[cfg(unix)]
            std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        end().map_err(|error| GgufProblem::from(error).at(&place))
    }
}

impl Gguf {
    /// What a file of this metadata and these tensors would be: to be checked before it is written.
    pub fn planned(path: &Path, metadata: &Metadata, tensors: &[TensorInfo]) -> Result<Self, GgufError> {
        let plan = || -> Result<_, GgufProblem> {
            let alignment = alignment(metadata)?;
            let header = header(metadata, tensors, alignment)?;
            let sizes = tensors.iter().filter_map(TensorInfo::size).filter_map(|size| pad(size, alignment));
            let len = sizes.fold(header.len() as u64, u64::saturating_add);
            Ok((header, len))
        };
        let (header, len) = plan().map_err(|problem| problem.at(&Place::file(path)))?;
        Self::parse(header.as_slice(), len, path)
    }
}

fn alignment(metadata: &Metadata) -> Result<u64, GgufProblem> {
    match metadata.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(n)) if n.is_power_of_two() => Ok(u64::from(*n)),
        Some(_) => Err(GgufProblem::field("general.alignment", "is not a u32 that is a power of two")),
    }
}

/// Zeros from `len` up to the next multiple of the alignment.
fn padding(len: usize, alignment: u64) -> Vec<u8> {
    let len = len as u64;
    let zeros = pad(len, alignment).unwrap_or(len) - len;
    vec![0; usize::try_from(zeros).unwrap_or(0)]
}

fn header(metadata: &Metadata, tensors: &[TensorInfo], alignment: u64) -> Result<Vec<u8>, GgufProblem> {
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata.iter() {
        if key.is_empty() || key.len() > MAX_KEY || key.chars().any(char::is_control) {
            return Err(GgufProblem::field(key, "has an impossible name"));
        }
        put_text(&mut out, key);
        out.extend(value.kind().code().to_le_bytes());
        put_value(&mut out, value);
    }
    let mut offset = 0_u64;
    let mut names = std::collections::HashSet::new();
    for tensor in tensors {
        check_tensor(tensor)?;
        if !names.insert(tensor.name.as_str()) {
            return Err(GgufProblem::tensor(tensor.name.as_str(), "is there twice"));
        }
        put_text(&mut out, &tensor.name);
        out.extend(u32::try_from(tensor.dims.len()).unwrap_or(u32::MAX).to_le_bytes());
        tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
        out.extend(tensor.kind.code().to_le_bytes());
        out.extend(u64::to_le_bytes(offset));
        offset = pad(offset.saturating_add(tensor.size().unwrap_or(0)), alignment).unwrap_or(u64::MAX);
    }
    let zeros = padding(out.len(), alignment);
    out.extend(zeros);
    Ok(out)
}

fn check_tensor(tensor: &TensorInfo) -> Result<(), GgufProblem> {
    let fault = |fault: String| Err(GgufProblem::tensor(tensor.name.as_str(), fault));
    if tensor.name.is_empty() || tensor.name.len() > MAX_TENSOR_NAME || tensor.name.chars().any(char::is_control) {
        return fault(format!("has an impossible name: 1 to {MAX_TENSOR_NAME} bytes are allowed"));
    }
    if !(1..=4).contains(&tensor.dims.len()) || tensor.dims.contains(&0) {
        return fault(format!("has the impossible shape {:?}", tensor.dims));
    }
    if tensor.size().is_none() {
        return fault(format!("has rows that are not whole blocks of {}: {:?}", tensor.kind, tensor.dims));
    }
    Ok(())
}

/// A tensor's bytes are exactly those that its shape and type need.
fn fits(tensor: &TensorInfo, bytes: &[u8]) -> Result<(), GgufProblem> {
    if tensor.size() == Some(bytes.len() as u64) {
        return Ok(());
    }
    let fault = format!("has {} bytes, which is not {} {:?}", bytes.len(), tensor.kind, tensor.dims);
    Err(GgufProblem::tensor(tensor.name.as_str(), fault))
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(n) => out.push(*n),
        Value::I8(n) => out.extend(n.to_le_bytes()),
        Value::U16(n) => out.extend(n.to_le_bytes()),
        Value::I16(n) => out.extend(n.to_le_bytes()),
        Value::U32(n) => out.extend(n.to_le_bytes()),
        Value::I32(n) => out.extend(n.to_le_bytes()),
        Value::F32(x) => out.extend(x.to_le_bytes()),
        Value::Bool(b) => out.push((*b).into()),
        Value::Text(text) => put_text(out, text),
        Value::Array(array) => put_array(out, array),
        Value::U64(n) => out.extend(n.to_le_bytes()),
        Value::I64(n) => out.extend(n.to_le_bytes()),
        Value::F64(x) => out.extend(x.to_le_bytes()),
    }
}

fn put_array(out: &mut Vec<u8>, array: &Array) {
    out.extend(array.kind().code().to_le_bytes());
    out.extend((array.len() as u64).to_le_bytes());
    match array {
        Array::U8(v) => out.extend(v),
        Array::I8(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::U16(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::I16(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::U32(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::I32(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::F32(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::Bool(v) => out.extend(v.iter().map(|b| u8::from(*b))),
        Array::Text(v) => v.iter().for_each(|text| put_text(out, text)),
        Array::Array(v) => v.iter().for_each(|inner| put_array(out, inner)),
        Array::U64(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::I64(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::F64(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_type() -> Metadata {
        let arrays = [
            Array::U8(vec![1, 2]),
            Array::I8(vec![-1]),
            Array::U16(vec![]),
            Array::I16(vec![-300]),
            Array::U32(vec![7; 3]),
            Array::I32(vec![-7]),
            Array::F32(vec![0.5]),
            Array::Bool(vec![true, false]),
            Array::Text(vec!["a".into(), String::new(), "→".into()]),
            Array::Array(vec![Array::U8(vec![9]), Array::Text(vec!["x".into()])]),
            Array::U64(vec![u64::MAX]),
            Array::I64(vec![i64::MIN]),
            Array::F64(vec![1e300]),
        ];
        let scalars = [
            Value::U8(1),
            Value::I8(-1),
            Value::U16(2),
            Value::I16(-2),
            Value::U32(3),
            Value::I32(-3),
            Value::F32(1.5),
            Value::Bool(true),
            Value::Text("text".into()),
            Value::U64(4),
            Value::I64(-4),
            Value::F64(2.5),
        ];
        let values = scalars.into_iter().chain(arrays.into_iter().map(Value::Array));
        values.enumerate().map(|(i, value)| (format!("k{i}"), value)).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        for alignment in [None, Some(64), Some(8)] {
            let mut metadata = every_type();
            alignment.map(|n| metadata.set("general.alignment", Value::U32(n)));
            let quantised =
                TensorData { name: "q".into(), dims: vec![32, 2], kind: TensorType::Q8_0, bytes: vec![7; 68].into() };
            let tensors =
                [TensorData::f32("a", &[3], &[1.0, 2.0, 3.0]), quantised, TensorData::f32("b", &[1, 2], &[4.0, 5.0])];
            write(&path, &metadata, &tensors).unwrap();

            let gguf = Gguf::open(&path).unwrap();
            assert_eq!(gguf.metadata(), &metadata);
            assert_eq!(gguf.alignment(), u64::from(alignment.unwrap_or(32)));
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(gguf.tensors().len(), 3);
            for (read, written) in gguf.tensors().iter().zip(&tensors) {
                assert_eq!((&read.name, &read.dims, read.kind), (&written.name, &written.dims, written.kind));
                assert!(read.offset.is_multiple_of(gguf.alignment()));
                let start = usize::try_from(gguf.data_offset() + read.offset).unwrap();
                assert_eq!(&bytes[start..start + written.bytes.len()], &*written.bytes);
            }
            assert_eq!(bytes.len() as u64 % gguf.alignment(), 0);
        }
    }

    #[test]
    fn refuses_what_it_could_not_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        let refusal = |tensors: &[TensorData]| write(&path, &Metadata::default(), tensors).unwrap_err().to_string();
        let one = |name: &str| TensorData::f32(name, &[1], &[1.0]);
        insta::assert_snapshot!(refusal(&[one(&"n".repeat(64))]).split_once("` ").unwrap().1, @"has an impossible name: 1 to 63 bytes are allowed");
        insta::assert_snapshot!(refusal(&[one("a"), one("a")]), @"tensor `a` is there twice");
        insta::assert_snapshot!(refusal(&[TensorData::f32("a", &[2], &[1.0])]), @"tensor `a` has 4 bytes, which is not F32 [2]");
        insta::assert_snapshot!(refusal(&[TensorData::f32("a", &[0], &[])]), @"tensor `a` has the impossible shape [0]");
        assert!(!path.exists());
    }

    /// Written anew, the bundled model keeps every byte but the unused ones: the same header, data and length.
    #[test]
    fn rewrites_the_bundled_model_byte_for_byte() {
        let path = Path::new("models/tripos-tiny.gguf");
        let gguf = Gguf::open(path).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let tensors: Vec<TensorData> = gguf
            .tensors()
            .iter()
            .map(|t| {
                let start = usize::try_from(gguf.data_offset() + t.offset).unwrap();
                let len = usize::try_from(t.size().unwrap()).unwrap();
                TensorData {
                    name: t.name.clone(),
                    dims: t.dims.clone(),
                    kind: t.kind,
                    bytes: bytes[start..start + len].into(),
                }
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy.gguf");
        write(&copy, gguf.metadata(), &tensors).unwrap();
        assert!(std::fs::read(&copy).unwrap() == bytes);
    }
}
