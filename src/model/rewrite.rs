//! A file made of another: tensor by tensor, as it is, in another format, or with other numbers.

use super::storage::{Because, FormatShare, formats, stored_as};
use crate::error::{Explain, Place, Problems};
use crate::ggml::quants::{self, QuantsError};
use crate::gguf::{Gguf, GgufError, Metadata, TensorInfo, TensorReader, TensorType, Writer};
use std::collections::BTreeMap;
use std::path::Path;

/// Is told how many bytes of how many are done; says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A tensor's numbers cannot be converted.
    #[error("tensor `{name}`: {why}")]
    Numbers {
        /// The tensor.
        name: String,
        /// Why not.
        why: QuantsError,
        /// The file.
        place: Place,
    },
    /// Trained numbers that are not the base's, or other things that do not go together.
    #[error("{what}")]
    Foreign {
        /// What does not fit.
        what: String,
        /// The file.
        place: Place,
        /// How to mend it.
        help: &'static str,
    },
    /// The new file would replace one that it is made of.
    #[error("the result would replace {}, which it is made of", .0.file.display())]
    Replaces(Place),
    /// The user wants no more.
    #[error("interrupted: nothing was written")]
    Interrupted,
}

impl Explain for FileError {
    fn at(&self) -> Option<&Place> {
        match self {
            Self::Gguf(error) => error.at(),
            Self::Numbers { place, .. } | Self::Foreign { place, .. } | Self::Replaces(place) => Some(place),
            Self::Interrupted => None,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Gguf(error) => error.help(),
            Self::Numbers { why, .. } => why.help(),
            Self::Foreign { help, .. } => Some((*help).to_owned()),
            Self::Replaces(_) => Some("give the result a name of its own".into()),
            Self::Interrupted => None,
        }
    }
}

/// What was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Length of the file that it was made of, in bytes.
    pub before: u64,
    /// Its own length.
    pub after: u64,
    /// Its formats, the commonest first.
    pub formats: Vec<FormatShare>,
    /// What the user should know of it.
    pub notes: Vec<String>,
}

/// A file to be made.
pub(super) struct Rewrite<'a> {
    /// Made of this one.
    pub(super) base: &'a Gguf,
    /// Put here.
    pub(super) path: &'a Path,
    /// With this metadata.
    pub(super) metadata: Metadata,
    /// In these formats, one a tensor.
    pub(super) kinds: Vec<TensorType>,
}

/// Gives a tensor's new numbers, or none where they stay.
pub(super) type Change<'a> = &'a mut dyn FnMut(&TensorInfo, &mut TensorReader) -> Result<Option<Vec<f32>>, FileError>;

impl Rewrite<'_> {
    /// The new file's tensors.
    fn tensors(&self) -> Vec<TensorInfo> {
        let pairs = self.base.tensors().iter().zip(&self.kinds);
        pairs.map(|(tensor, kind)| TensorInfo::new(tensor.name.as_str(), &tensor.dims, *kind)).collect()
    }

    /// Writes it. The plan is checked before the first byte, so nothing is written that llama.cpp would refuse.
    pub(super) fn write(&self, change: Change<'_>, watch: Watch<'_>) -> Result<Written, Problems> {
        let tensors = self.tensors();
        Gguf::planned(self.path, &self.metadata, &tensors)?.check()?;
        self.write_tensors(&tensors, change, watch)?;
        let after = Gguf::open(self.path)?.file_len();
        Ok(Written { before: self.base.file_len(), after, formats: formats(&tensors), notes: Vec::new() })
    }

    fn write_tensors(&self, tensors: &[TensorInfo], change: Change<'_>, watch: Watch<'_>) -> Result<(), FileError> {
        let mut data = TensorReader::open(self.base)?;
        let mut writer = Writer::create(self.path, &self.metadata, tensors)?;
        let total = tensors.iter().filter_map(TensorInfo::size).sum();
        let mut done = 0;
        for (old, new) in self.base.tensors().iter().zip(tensors) {
            if !watch(done, total) {
                return Err(FileError::Interrupted);
            }
            let bytes = match change(old, &mut data)? {
                None if old.kind == new.kind => data.read(old)?,
                None => encode(new, &numbers(self.base, old, &mut data)?, self.path)?,
                Some(numbers) => encode(new, &numbers, self.path)?,
            };
            writer.tensor(&bytes)?;
            done += bytes.len() as u64;
        }
        watch(done, total);
        Ok(writer.finish()?)
    }
}

/// A tensor's numbers.
pub(super) fn numbers(file: &Gguf, tensor: &TensorInfo, data: &mut TensorReader) -> Result<Vec<f32>, FileError> {
    let bytes = data.read(tensor)?;
    quants::to_f32(tensor.kind, row_len(tensor), &bytes).map_err(|why| at(why, tensor, file.path()))
}

/// Numbers as a tensor's format has them.
fn encode(tensor: &TensorInfo, numbers: &[f32], path: &Path) -> Result<Vec<u8>, FileError> {
    quants::from_f32(tensor.kind, row_len(tensor), numbers).map_err(|why| at(why, tensor, path))
}

fn at(why: QuantsError, tensor: &TensorInfo, path: &Path) -> FileError {
    FileError::Numbers { name: tensor.name.clone(), why, place: Place::file(path) }
}

fn row_len(tensor: &TensorInfo) -> usize {
    tensor.dims.first().and_then(|row| usize::try_from(*row).ok()).unwrap_or(0)
}

/// Formats for all tensors of a file when it is brought to one, and notes on those that get another.
pub(super) fn plan(file: &Gguf, wanted: TensorType) -> (Vec<TensorType>, Vec<String>) {
    let mut kinds = Vec::new();
    let mut fallbacks: BTreeMap<(TensorType, u64), usize> = BTreeMap::new();
    let mut notes = Vec::new();
    for tensor in file.tensors() {
        let (kind, because) = stored_as(tensor, wanted, file);
        kinds.push(kind);
        match because {
            Because::Rows => {
                *fallbacks.entry((kind, tensor.dims.first().copied().unwrap_or(1))).or_default() += 1;
            }
            Because::Output => {
                notes.push(format!("{} is the output matrix, where bits count most: {kind}", tensor.name));
            }
            Because::Asked | Because::Kept => {}
        }
    }
    let rows = fallbacks.into_iter().map(|((kind, row), count)| {
        let (plural, block) = (if count == 1 { "" } else { "s" }, wanted.block_len());
        format!("{count} tensor{plural} with rows of {row} numbers, no multiple of {block}: {kind} instead of {wanted}")
    });
    notes.extend(rows);
    (kinds, notes)
}

/// Refuses to write over one of the files that are read.
pub(super) fn refuse_replacing(path: &Path, sources: &[&Path]) -> Result<(), FileError> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let target = real(path);
    match sources.iter().find(|source| target.is_some() && real(source) == target) {
        Some(source) => Err(FileError::Replaces(Place::file(source))),
        None => Ok(()),
    }
}
