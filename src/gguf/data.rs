//! Reads the tensors' data, one tensor at a time.

use super::{Gguf, GgufError, GgufProblem, TensorInfo};
use crate::error::Place;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// A file of which the header was read, open for its data. A tensor is read when it is asked for, into memory of its
/// own: what else happens to the file cannot pull it away, as it could a memory map.
///
/// ```
/// use std::path::Path;
/// use tripos::gguf::{Gguf, TensorReader};
/// let model = Gguf::open(Path::new("models/tripos-tiny.gguf"))?;
/// let mut data = TensorReader::open(&model)?;
/// let norm = model.tensor("output_norm.weight").ok_or("missing")?;
/// assert_eq!(data.read(norm)?.len(), 256 * 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorReader {
    place: Place,
    file: File,
    /// Where the data begins.
    begin: u64,
    len: u64,
}

impl TensorReader {
    /// Opens the file again. Errors when it is no longer as long as when its header was read.
    pub fn open(gguf: &Gguf) -> Result<Self, GgufError> {
        let place = Place::file(gguf.path());
        let (file, len) = super::open_file(gguf.path()).map_err(|problem| problem.at(&place))?;
        if len < gguf.file_len() {
            let problem = GgufProblem::Truncated { missing: gguf.file_len() - len, expected: gguf.file_len() };
            return Err(problem.at(&place));
        }
        Ok(Self { place, file, begin: gguf.data_offset(), len })
    }

    /// The bytes of a tensor of this file, as ggml lays them out.
    pub fn read(&mut self, tensor: &TensorInfo) -> Result<Vec<u8>, GgufError> {
        self.try_read(tensor).map_err(|problem| problem.at(&self.place))
    }

    fn try_read(&mut self, tensor: &TensorInfo) -> Result<Vec<u8>, GgufProblem> {
        let damaged = || GgufProblem::tensor(tensor.name.as_str(), "does not lie inside the file");
        let size = tensor.size().ok_or_else(damaged)?;
        let start = self.begin.checked_add(tensor.offset).ok_or_else(damaged)?;
        if start.checked_add(size).is_none_or(|end| end > self.len) {
            return Err(damaged());
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| damaged())?];
        self.file.seek(SeekFrom::Start(start))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Metadata, TensorData, TensorType, Writer, write};

    #[test]
    fn each_tensor_is_read_from_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        let tensors = [TensorData::f32("a", &[3], &[1.0, 2.0, 3.0]), TensorData::f32("b", &[1, 2], &[4.0, 5.0])];
        write(&path, &Metadata::default(), &tensors).unwrap();
        let gguf = Gguf::open(&path).unwrap();
        let mut data = TensorReader::open(&gguf).unwrap();
        for (info, written) in gguf.tensors().iter().zip(&tensors).rev() {
            assert_eq!(data.read(info).unwrap(), *written.bytes);
        }
        let beyond = TensorInfo { offset: 1 << 40, ..gguf.tensors()[0].clone() };
        assert_eq!(data.read(&beyond).unwrap_err().to_string(), "tensor `a` does not lie inside the file");
    }

    #[test]
    fn a_file_that_was_cut_since_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        write(&path, &Metadata::default(), &[TensorData::f32("a", &[64], &[1.0; 64])]).unwrap();
        let gguf = Gguf::open(&path).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
        let cut = TensorReader::open(&gguf).unwrap_err();
        assert!(cut.to_string().contains("are missing"), "{cut}");
    }

    #[test]
    fn a_writer_that_is_dropped_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        let tensors = [TensorInfo::new("a", &[2], TensorType::F32), TensorInfo::new("b", &[1], TensorType::F32)];
        let mut writer = Writer::create(&path, &Metadata::default(), &tensors).unwrap();
        writer.tensor(&[0; 8]).unwrap();
        assert_eq!(writer.tensor(&[0; 8]).unwrap_err().to_string(), "tensor `b` has 8 bytes, which is not F32 [1]");
        drop(writer);
        let mut writer = Writer::create(&path, &Metadata::default(), &tensors).unwrap();
        writer.tensor(&[0; 8]).unwrap();
        assert_eq!(writer.finish().unwrap_err().to_string(), "tensor `b` was announced and not written");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_plan_is_what_will_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        let tensors = [TensorInfo::new("a", &[2, 3], TensorType::F32), TensorInfo::new("b", &[32], TensorType::Q8_0)];
        let plan = Gguf::planned(&path, &Metadata::default(), &tensors).unwrap();
        let mut writer = Writer::create(&path, &Metadata::default(), &tensors).unwrap();
        for info in &tensors {
            writer.tensor(&vec![0; usize::try_from(info.size().unwrap()).unwrap()]).unwrap();
        }
        writer.finish().unwrap();
        let read = Gguf::open(&path).unwrap();
        assert_eq!((plan.tensors(), plan.file_len()), (read.tensors(), read.file_len()));
    }
}
