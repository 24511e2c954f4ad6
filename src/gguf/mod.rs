//! GGUF files: a bounds-checked reader and writer in safe Rust.
//!
//! llama.cpp asserts, and an assertion ends the process. So nothing reaches it that this module has not checked:
//! [`Gguf::open`] reads the header (never the tensors' data), [`Gguf::check`] says everything that llama.cpp would
//! refuse or stumble over. What cannot be seen in a header (NaN in the weights, an architecture's own graph) is left to
//! a trial in a child process.
//!
//! Sources: the specification (ggml, `docs/gguf.md`) and llama.cpp as bundled with llama-cpp-sys-2 0.1.161
//! (`gguf.cpp`, `llama-model-loader.cpp`, `llama-model.cpp`, `llama-vocab.cpp`, `llama-adapter.cpp`).
//!
//! - Stricter than llama.cpp: text must be UTF-8, truth values 0 or 1, tensors have 1 to 4 dimensions and no size of 0,
//!   an id outside the vocabulary is refused (unless it is 2³² − 1, "none"), models split over several files are too.

mod architecture;
mod check;
mod data;
mod error;
mod facts;
#[cfg(test)]
mod fuzz;
mod hash;
mod impostor;
mod read;
mod tensor;
mod value;
mod write;

pub use data::TensorReader;
pub use error::{GgufError, GgufProblem};
pub use hash::sha256_file;
pub use impostor::Impostor;
pub use tensor::{TensorInfo, TensorType};
pub(crate) use value::REWARDS;
pub use value::{Array, Metadata, Value, ValueType};
pub use write::{TensorData, Writer, write};

use crate::error::{Place, Problems};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Data sections begin at multiples of this when `general.alignment` is absent.
pub(crate) const DEFAULT_ALIGNMENT: u64 = 32;

/// The header of a GGUF file.
///
/// ```
/// use std::path::Path;
/// use tripos::gguf::Gguf;
/// let model = Gguf::open(Path::new("models/tripos-tiny.gguf"))?;
/// assert!(model.check().is_ok());
/// assert_eq!(model.architecture(), Some("llama"));
/// assert_eq!(model.context_length(), Some(512));
/// # Ok::<(), tripos::gguf::GgufError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gguf {
    place: Place,
    version: u32,
    metadata: Metadata,
    tensors: Vec<TensorInfo>,
    header_len: u64,
    file_len: u64,
}

impl Gguf {
    /// Reads the header of a file. The tensors' data is not read, so this is fast for files of any size.
    ///
    /// Errors when there is no such file, when it is no GGUF (and says what it looks like), or when its header cannot
    /// be read to its end. A header that was read may still be nonsense: [`Gguf::check`].
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let place = Place::file(path);
        let (file, len) = open_file(path).map_err(|problem| problem.at(&place))?;
        Self::parse(BufReader::with_capacity(1 << 16, file), len, path)
    }

    /// [`open`](Self::open) and [`check`](Self::check) in one.
    pub fn open_checked(path: &Path) -> Result<Self, Problems> {
        let gguf = Self::open(path)?;
        gguf.check()?;
        Ok(gguf)
    }

    /// Reads a header from any source; `file_len` is the length of the whole file that it begins, and `path` is what
    /// messages call it.
    pub fn parse(source: impl Read, file_len: u64, path: &Path) -> Result<Self, GgufError> {
        let place = Place::file(path);
        match read::header(source, file_len) {
            Ok(read::Header { version, metadata, tensors, len }) => {
                Ok(Self { place, version, metadata, tensors, header_len: len, file_len })
            }
            Err(problem) => Err(problem.at(&place)),
        }
    }

    /// Checks all that llama.cpp takes for granted and reports every problem found; `Ok` means that the file may be
    /// given to llama.cpp. An adapter is checked by the adapters' rules; that it belongs to a model is
    /// [`check_fits`](Self::check_fits).
    pub fn check(&self) -> Result<(), Problems> {
        self.report(check::problems(self))
    }

    /// Checks that this is a whole model, and no adapter.
    pub fn check_model(&self) -> Result<(), Problems> {
        self.report(if self.is_adapter() { vec![GgufProblem::NotModel] } else { Vec::new() })
    }

    /// Checks that this adapter belongs to `base`: same architecture, every tensor's base is there with matching shape.
    pub fn check_fits(&self, base: &Self) -> Result<(), Problems> {
        self.report(check::adapter_fits(self, base))
    }

    /// Checks that this adapter was trained on `base`, whose SHA-256 is given; one that does not say is let through.
    pub fn check_trained_on(&self, base: &Self, sha256: &str) -> Result<(), Problems> {
        self.report(check::adapter_made_for(self, base, sha256).into_iter().collect())
    }

    fn report(&self, found: Vec<GgufProblem>) -> Result<(), Problems> {
        let mut problems = Problems::new();
        problems.extend(found.into_iter().map(|problem| problem.at(&self.place)));
        problems.or_ok(())
    }

    /// The file, as the user named it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.file
    }

    /// Version of the format: 2 or 3.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The metadata, in order.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The tensors, in order.
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of a name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// What offsets are multiples of, in bytes: `general.alignment`, else 32. `check` refuses anything that is not a
    /// power of two.
    #[must_use]
    pub fn alignment(&self) -> u64 {
        self.metadata.u64("general.alignment").unwrap_or(DEFAULT_ALIGNMENT)
    }

    /// Where the tensors' data begins, in bytes from the start of the file: the header's length rounded up to the
    /// alignment.
    #[must_use]
    pub fn data_offset(&self) -> u64 {
        pad(self.header_len, self.alignment()).unwrap_or(u64::MAX)
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.file_len
    }
}

/// The next multiple of `alignment`; `None` when it does not fit or the alignment is 0.
fn pad(len: u64, alignment: u64) -> Option<u64> {
    len.checked_next_multiple_of(alignment)
}

fn open_file(path: &Path) -> Result<(File, u64), GgufProblem> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => GgufProblem::Missing,
        _ => GgufProblem::Unreadable(error),
    };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if about.is_dir() {
        return Err(GgufProblem::Folder);
    }
    Ok((File::open(path).map_err(unreadable)?, about.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    fn refusal(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Gguf::open(&path).unwrap_err().to_string()
    }

    /// A header of version 3 with one entry whose bytes are given.
    fn with_entry(entry: &[u8]) -> Vec<u8> {
        let counts = [0_u64.to_le_bytes(), 1_u64.to_le_bytes()].concat();
        [b"GGUF", &3_u32.to_le_bytes()[..], &counts, entry].concat()
    }

    #[test]
    fn says_what_is_wrong_with_a_file_that_is_not_there() {
        let missing = Gguf::open(Path::new("no/such.gguf")).unwrap_err();
        insta::assert_snapshot!(render(&missing, false), @r"
        error: there is no such model file
          --> no/such.gguf
          help: check the path; what a file names is relative to that file
        ");
        assert!(matches!(Gguf::open(Path::new("models")).unwrap_err().problem, GgufProblem::Folder));
        assert_eq!(refusal("a.gguf", b""), "the model file is empty");
    }

    #[test]
    fn refuses_other_formats_versions_and_byte_orders() {
        insta::assert_snapshot!(refusal("a", b"PK\x03\x04 and more"), @"this is not a GGUF file: it looks like a zip archive or a PyTorch file");
        insta::assert_snapshot!(refusal("a", b"GGUF\0\0\0\x03"), @"this GGUF file is big-endian; llama.cpp reads the byte order of this machine only");
        insta::assert_snapshot!(refusal("a", b"GGUF\x01\0\0\0"), @"this GGUF file has version 1; llama.cpp reads versions 2 and 3");
        insta::assert_snapshot!(refusal("a", b"GGUF\x04\0\0\0"), @"this GGUF file has version 4; llama.cpp reads versions 2 and 3");
        insta::assert_snapshot!(refusal("a", b"GGU"), @"this is not a GGUF file: it looks like plain text");
    }

    #[test]
    fn refuses_a_truncated_header() {
        insta::assert_snapshot!(refusal("a", b"GGUF\x03\0\0\0\0"), @"the header is damaged or cut off: its first 24 bytes needs 8 more bytes, and 1 are left in the file");
        let entry = [&3_u64.to_le_bytes()[..], b"abc", &4_u32.to_le_bytes(), &[1, 2]].concat();
        insta::assert_snapshot!(refusal("a", &with_entry(&entry)), @"the header is damaged or cut off: metadata `abc` needs 4 more bytes, and 2 are left in the file");
    }

    #[test]
    fn counts_of_two_to_the_sixty_are_refused_before_anything_is_set_aside() {
        let count = (1_u64 << 60).to_le_bytes();
        insta::assert_snapshot!(refusal("a", &[b"GGUF\x03\0\0\0", &count[..], &count].concat()), @"the header is damaged or cut off: its first 24 bytes needs 18446744073709551615 more bytes, and 0 are left in the file");
        let array =
            |kind: u32| [&1_u64.to_le_bytes()[..], b"a", &9_u32.to_le_bytes(), &kind.to_le_bytes(), &count].concat();
        for kind in 0..13 {
            assert!(
                refusal("a", &with_entry(&array(kind))).starts_with("the header is damaged or cut off: metadata `a`")
            );
        }
    }

    #[test]
    fn refuses_unknown_types_and_impossible_truth_values() {
        let entry = |kind: u32, value: &[u8]| {
            refusal("a", &with_entry(&[&1_u64.to_le_bytes()[..], b"a", &kind.to_le_bytes(), value].concat()))
        };
        insta::assert_snapshot!(entry(13, &[0; 8]), @"the header is damaged: metadata `a` has the unknown type 13");
        insta::assert_snapshot!(entry(7, &[2]), @"the header is damaged: metadata `a` is a truth value of 2, neither 0 nor 1");
        insta::assert_snapshot!(entry(8, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff]), @"the header is damaged: metadata `a` is not UTF-8 text");
        let nested = [9_u32.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec()].concat().repeat(9);
        insta::assert_snapshot!(entry(9, &nested), @"the header is damaged: metadata `a` nests arrays too deeply");
    }

    #[test]
    fn reads_version_2_like_version_3() {
        let mut bytes = std::fs::read("models/tripos-tiny.gguf").unwrap();
        bytes[4] = 2;
        let gguf = Gguf::parse(bytes.as_slice(), bytes.len() as u64, Path::new("v2.gguf")).unwrap();
        assert_eq!(gguf.version(), 2);
        assert!(gguf.check().is_ok());
    }
}
