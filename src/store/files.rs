//! What the folders of runs have in common: how they are called, locked and written, and where their last line ends.

use crate::error::Place;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// Makes `parent/<name>-<date>-<four digits>` and gives its path and its last part.
pub(super) fn create_folder(parent: &Path, name: &str) -> Result<(PathBuf, String), (PathBuf, std::io::Error)> {
    std::fs::create_dir_all(parent).map_err(|e| (parent.to_path_buf(), e))?;
    let now = jiff::Timestamp::now();
    let date = now.strftime("%Y-%m-%d").to_string();
    let mut attempt = 0_u32;
    loop {
        let digits = (now.as_nanosecond() / 1_000 + i128::from(std::process::id()) + i128::from(attempt)) & 0xffff;
        let run = format!("{name}-{date}-{digits:04x}");
        let path = parent.join(&run);
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok((path, run)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && attempt < 1_000 => attempt += 1,
            Err(e) => return Err((path, e)),
        }
    }
}

/// Takes a folder for this process, until what is returned is dropped; `None` where another process has it.
pub(super) fn lock(folder: &Path) -> Result<Option<File>, (PathBuf, std::io::Error)> {
    let file = folder.join(LOCK);
    let lock = match File::create(&file) {
        Ok(lock) => lock,
        Err(e) => return Err((file, e)),
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(e)) => Err((file, e)),
    }
}

/// Writes a value as JSON for people; the file appears whole or not at all.
pub(super) fn write_json(file: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut temporary, value)?;
    temporary.write_all(b"\n")?;
    #[cfg(unix)]
    std::fs::set_permissions(temporary.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|e| e.error)?;
    Ok(())
}

/// Reads the whole lines from where a file stands on and hands each to `keep`, its end included; stops before the first that
/// is not kept or has no end. Returns the length of what was kept.
pub(super) fn whole_lines(file: &mut File, mut keep: impl FnMut(&[u8]) -> bool) -> std::io::Result<u64> {
    let mut end = 0;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 || line.last() != Some(&b'\n') || !keep(&line) {
            return Ok(end);
        }
        end += read as u64;
    }
}

/// Why a file of a run cannot be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The system's words.
    Read { place: Place, reason: String },
    /// A line is not what was written.
    Damaged { place: Place, reason: String },
    /// It is of the other kind of run.
    OtherKind { place: Place },
    /// Written by a later version.
    Newer { place: Place, found: u32, known: u32 },
}

/// Reads a header, whose schema this version must know; it has the field `own`, by which its kind of run is known.
pub(super) fn read_header<T: DeserializeOwned>(file: &Path, own: &str, known: u32) -> Result<T, Unread> {
    let text =
        std::fs::read_to_string(file).map_err(|e| Unread::Read { place: Place::file(file), reason: e.to_string() })?;
    let damaged =
        |e: serde_json::Error| Unread::Damaged { place: Place::new(file, e.line(), e.column()), reason: e.to_string() };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
    let kinds = ["suite_name", "recipe_name"];
    if value.get(own).is_none() && kinds.iter().any(|kind| value.get(kind).is_some()) {
        return Err(Unread::OtherKind { place: Place::file(file) });
    }
    let schema = value.get("schema").and_then(serde_json::Value::as_u64);
    let found = schema.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    if found > known {
        return Err(Unread::Newer { place: Place::file(file), found, known });
    }
    serde_json::from_value(value).map_err(damaged)
}

/// Hands each line of a file to `each`, its end included; a last line without an end is passed over.
pub(super) fn read_lines(
    file: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), serde_json::Error>,
) -> Result<(), Unread> {
    let read = |e: std::io::Error| Unread::Read { place: Place::file(file), reason: e.to_string() };
    let mut reader = BufReader::new(File::open(file).map_err(read)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(read)? == 0 || line.last() != Some(&b'\n') {
            break;
        }
        let damaged = |e: serde_json::Error| Unread::Damaged {
            place: Place::new(file, number, e.column()),
            reason: e.to_string(),
        };
        each(&line).map_err(damaged)?;
    }
    Ok(())
}
