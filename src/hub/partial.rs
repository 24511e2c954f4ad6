//! A file that is not complete: what is here of it, what that comes to, and a note of whose it is.

use super::download::Order;
use super::error::HubProblem;
use super::listing::Sum;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

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
    hash: Hash,
    /// The length that git's hash begins with, where that is the one that is needed.
    git: Option<u64>,
    note: Note,
}

/// The one hash that is needed.
#[derive(Debug, Clone)]
enum Hash {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hash {
    /// Of nothing yet. git's begins with the length of the whole.
    fn new(git: Option<u64>) -> Self {
        git.map_or_else(
            || Self::Sha256(Sha256::new()),
            |bytes| Self::Git(Sha1::new_with_prefix(format!("blob {bytes}\0"))),
        )
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Git(hash) => hash.update(bytes),
        }
    }
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
    ///
    /// # Errors
    /// Where it cannot be written or read, and where `stop` turns true meanwhile: reading takes its time.
    pub(super) fn open(order: &Order, stop: &AtomicBool) -> Result<Self, HubProblem> {
        let path = of_place(&order.place);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(HubProblem::file("write", &path))?;
        let note = Note { uri: order.uri.clone(), bytes: order.bytes, etag: None };
        let before = Note::beside(&path).filter(|before| before.uri == note.uri && before.bytes == note.bytes);
        let git = order.bytes.filter(|_| matches!(order.sum, Some(Sum::Git(_))));
        let mut partial = Self { path, file, len: 0, hash: Hash::new(git), git, note };
        if !partial.read(stop).map_err(HubProblem::file("read", &partial.path))? {
            let kept = partial.file.metadata().map_or(0, |about| about.len());
            return Err(HubProblem::Interrupted { kept });
        }
        // Longer than the whole: it is of something else.
        if order.bytes.is_some_and(|bytes| partial.len > bytes) {
            partial.restart()?;
        } else if partial.len > 0 {
            partial.note.etag = before.and_then(|before| before.etag);
        }
        partial.write_note()?;
        Ok(partial)
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are here.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What the server calls what is here; a weak name promises no equal bytes and is none.
    pub(super) fn etag(&self) -> Option<&str> {
        self.note.etag.as_deref().filter(|etag| etag.starts_with('"'))
    }

    /// Keeps the name that the server gives to what comes. Without a hash, nothing else tells what may be added to it.
    pub(super) fn remember(&mut self, etag: Option<&str>) -> Result<(), HubProblem> {
        if self.note.etag.as_deref() == etag {
            return Ok(());
        }
        self.note.etag = etag.map(str::to_owned);
        self.write_note()
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
        (self.len, self.hash) = (0, Hash::new(self.git));
        // A name that stayed would be taken for that of the bytes that come now.
        self.remember(None)
    }

    /// What is here comes to this, in hex: SHA-256, or git's hash where that is what is known of it.
    pub(super) fn sum(&self) -> String {
        match &self.hash {
            Hash::Sha256(hash) => hex(&hash.clone().finalize()),
            Hash::Git(hash) => hex(&hash.clone().finalize()),
        }
    }

    /// Puts the file into its place, once it is on the disk; gives its SHA-256, unless git's hash was what was needed.
    pub(super) fn finish(self, place: &Path) -> Result<Option<String>, HubProblem> {
        let failed = |error| HubProblem::file("write", place)(error);
        self.file.sync_all().map_err(failed)?;
        // First: without it what is here is still known by its hash, and after a kill no note is left of nothing.
        let _ = std::fs::remove_file(note_of(&self.path));
        std::fs::rename(&self.path, place).map_err(failed)?;
        sync(place);
        Ok(self.git.is_none().then(|| self.sum()))
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

    /// Whether it was read to its end, and not stopped.
    fn read(&mut self, stop: &AtomicBool) -> std::io::Result<bool> {
        let mut piece = vec![0; PIECE];
        while !stop.load(Ordering::Relaxed) {
            match self.file.read(&mut piece) {
                Ok(0) => return Ok(true),
                Ok(n) => self.take(piece.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.hash.update(bytes);
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

    static GO: AtomicBool = AtomicBool::new(false);

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

    fn open(order: &Order) -> Partial {
        Partial::open(order, &GO).unwrap()
    }

    /// ```sh
    /// printf 'foobar' | sha256sum; printf 'foobar' | git hash-object --stdin
    /// ```
    #[test]
    fn what_is_added_later_comes_to_the_same_sums() {
        let sha256 = "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2";
        let git = "f6ea0495187600e7b2288c8ac19c5886383a4632";
        for (sum, expected, told) in [
            (Some(Sum::Git(git.into())), git, None),
            (Some(Sum::Sha256(sha256.into())), sha256, Some(sha256)),
            (None, sha256, Some(sha256)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let order = Order { sum, ..order(folder.path()) };
            let mut first = open(&order);
            first.write(b"foo").unwrap();
            first.remember(Some("\"one\"")).unwrap();
            assert_eq!(first.keep().unwrap(), 3);
            let mut second = open(&order);
            assert_eq!((second.len(), second.etag()), (3, Some("\"one\"")));
            second.write(b"bar").unwrap();
            assert_eq!(second.sum(), expected);
            assert_eq!(second.finish(&folder.path().join("a")).unwrap().as_deref(), told);
            let left: Vec<_> =
                std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["a"]);
        }
    }

    #[test]
    fn what_is_too_long_or_empty_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.incomplete"), "seven b").unwrap();
        let partial = open(&order(folder.path()));
        assert_eq!((partial.len(), partial.etag()), (0, None));
        partial.keep().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_weak_name_of_the_server_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = open(&order(folder.path()));
        partial.remember(Some("W/\"one\"")).unwrap();
        assert_eq!(partial.etag(), None);
    }

    #[test]
    fn a_name_goes_with_the_bytes_that_it_names_even_where_the_next_have_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = open(&order(folder.path()));
        partial.remember(Some("\"one\"")).unwrap();
        partial.write(b"foo").unwrap();
        partial.restart().unwrap();
        partial.remember(None).unwrap();
        partial.write(b"ba").unwrap();
        // Killed here.
        drop(partial);
        let later = open(&order(folder.path()));
        assert_eq!((later.len(), later.etag()), (2, None));
    }

    #[test]
    fn stopped_while_it_is_read_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.incomplete"), "foo").unwrap();
        let stopped = Partial::open(&order(folder.path()), &AtomicBool::new(true)).unwrap_err();
        assert!(matches!(stopped, HubProblem::Interrupted { kept: 3 }), "{stopped}");
        assert_eq!(std::fs::read(folder.path().join("a.incomplete")).unwrap(), b"foo");
    }
}
