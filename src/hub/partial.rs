//! A file that is not complete: what is here of it, what that comes to, and a note of whose it is.

use super::download::Order;
use super::error::HubProblem;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Read at once from what is here.
const PIECE: usize = 1 << 20;
/// The ending of what is not complete: huggingface_hub's, which goes on with such files as well.
const ENDING: &str = ".incomplete";

/// The beginning of a file.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    len: u64,
    sha256: Sha256,
    /// git's hash begins with the length, so it is known beforehand or not at all.
    sha1: Option<Sha1>,
    of: Option<u64>,
    note: Note,
}

/// What is kept beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    /// The model as it is named.
    pub(super) uri: String,
    /// The length of the whole.
    pub(super) bytes: Option<u64>,
    /// What the server calls the bytes that came from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

impl Partial {
    /// Opens what is here, and reads it to know what it comes to; or begins.
    pub(super) fn open(order: &Order) -> Result<Self, HubProblem> {
        let path = of_place(&order.place);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(HubProblem::file("write", &path))?;
        let note = Note { uri: order.uri.clone(), bytes: order.bytes, etag: None };
        let before = Note::beside(&path).filter(|before| before.uri == note.uri && before.bytes == note.bytes);
        let mut partial = Self { path, file, len: 0, sha256: Sha256::new(), sha1: None, of: order.bytes, note };
        partial.begin_hashes();
        partial.read().map_err(HubProblem::file("read", &partial.path))?;
        // Longer than the whole: it is of something else.
        if order.bytes.is_some_and(|bytes| partial.len > bytes) {
            partial.restart()?;
        } else if partial.len > 0 {
            partial.note.etag = before.and_then(|before| before.etag);
        }
        partial.write_note()?;
        Ok(partial)
    }

    /// Bytes that are here.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What the server calls what is here; a weak name promises no equal bytes and is none.
    pub(super) fn etag(&self) -> Option<&str> {
        self.note.etag.as_deref().filter(|etag| etag.starts_with('"'))
    }

    /// Keeps the name that the server gives to what comes.
    pub(super) fn remember(&mut self, etag: Option<&str>) {
        if self.note.etag.as_deref() != etag {
            self.note.etag = etag.map(str::to_owned);
            // Without it the rest is asked for all the same, and the hash decides.
            let _ = self.write_note();
        }
    }

    /// Adds what came.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), HubProblem> {
        self.file.write_all(bytes).map_err(HubProblem::file("write", &self.path))?;
        self.take(bytes);
        Ok(())
    }

    /// Forgets what is here.
    pub(super) fn restart(&mut self) -> Result<(), HubProblem> {
        let empty = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        empty.map_err(HubProblem::file("write", &self.path))?;
        (self.len, self.sha256, self.note.etag) = (0, Sha256::new(), None);
        self.begin_hashes();
        Ok(())
    }

    /// What is here comes to this, in hex: SHA-256, or git's hash of it.
    pub(super) fn sum(&self, sha256: bool) -> String {
        match &self.sha1 {
            Some(sha1) if !sha256 => hex(&sha1.clone().finalize()),
            _ => hex(&self.sha256.clone().finalize()),
        }
    }

    /// Puts the file into its place, once it is on the disk; gives its SHA-256.
    pub(super) fn finish(self, place: &Path) -> Result<String, HubProblem> {
        let failed = |error| HubProblem::file("write", place)(error);
        self.file.sync_all().map_err(failed)?;
        // First: without it what is here is still known by its hash, and after a kill no note is left of nothing.
        let _ = std::fs::remove_file(note_of(&self.path));
        std::fs::rename(&self.path, place).map_err(failed)?;
        sync(place);
        Ok(self.sum(true))
    }

    /// Leaves what is here for the next time; nothing where nothing is. Gives how much that is.
    pub(super) fn keep(self) -> Result<u64, HubProblem> {
        if self.len == 0 {
            remove(&self.path);
            return Ok(0);
        }
        self.file.sync_all().map_err(HubProblem::file("write", &self.path))?;
        Ok(self.len)
    }

    fn begin_hashes(&mut self) {
        self.sha1 = self.of.map(|bytes| Sha1::new_with_prefix(format!("blob {bytes}\0")));
    }

    fn read(&mut self) -> std::io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            match self.file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => self.take(piece.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.sha256.update(bytes);
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
    }

    fn write_note(&self) -> Result<(), HubProblem> {
        let path = note_of(&self.path);
        let text = serde_json::to_string(&self.note).unwrap_or_default();
        std::fs::write(&path, text).map_err(HubProblem::file("write", &path))
    }
}

impl Note {
    /// The note beside what is not complete; `None` where another program began it.
    pub(super) fn beside(partial: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(note_of(partial)).ok()?).ok()
    }
}

/// Where a file lies until it is complete.
pub(super) fn of_place(place: &Path) -> PathBuf {
    with_ending(place, ENDING)
}

/// Whether a file is not complete, by its name.
pub(super) fn is_one(path: &Path) -> bool {
    path.to_string_lossy().ends_with(ENDING)
}

/// Removes what is not complete, with its note.
pub(super) fn remove(partial: &Path) {
    // What cannot be removed is found again next time.
    let _ = std::fs::remove_file(partial);
    let _ = std::fs::remove_file(note_of(partial));
}

fn note_of(partial: &Path) -> PathBuf {
    with_ending(partial, ".json")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes a rename last: the folder is a file of its own.
fn sync(place: &Path) {
    #[cfg(unix)]
    if let Some(folder) = place.parent().and_then(|folder| File::open(folder).ok()) {
        // Some file systems have no such thing; the file itself is on the disk.
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = place;
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::listing::Sum;

    fn order(folder: &Path) -> Order {
        Order {
            name: "a".into(),
            uri: "hf://o/r/a.gguf".into(),
            url: reqwest::Url::parse("http://127.0.0.1/").unwrap(),
            place: folder.join("a"),
            lock: folder.join("a.lock"),
            bytes: Some(6),
            sum: Some(Sum::Git(String::new())),
        }
    }

    /// ```sh
    /// printf 'foobar' | sha256sum; printf 'foobar' | git hash-object --stdin
    /// ```
    #[test]
    fn what_is_added_later_comes_to_the_same_sums() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Partial::open(&order(folder.path())).unwrap();
        first.write(b"foo").unwrap();
        first.remember(Some("\"one\""));
        assert_eq!(first.keep().unwrap(), 3);
        let mut second = Partial::open(&order(folder.path())).unwrap();
        assert_eq!((second.len(), second.etag()), (3, Some("\"one\"")));
        second.write(b"bar").unwrap();
        assert_eq!(second.sum(true), "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2");
        assert_eq!(second.sum(false), "f6ea0495187600e7b2288c8ac19c5886383a4632");
        second.finish(&folder.path().join("a")).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a"]);
    }

    #[test]
    fn what_is_too_long_or_empty_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.incomplete"), "seven b").unwrap();
        let partial = Partial::open(&order(folder.path())).unwrap();
        assert_eq!((partial.len(), partial.etag()), (0, None));
        partial.keep().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_weak_name_of_the_server_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = Partial::open(&order(folder.path())).unwrap();
        partial.remember(Some("W/\"one\""));
        assert_eq!(partial.etag(), None);
    }
}
