//! What a file was made from: a note beside it, `FILE.from.json`, by which `tripos lineage` finds the way back.

use super::training::FileRecord;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Version of the note.
const SCHEMA: u32 = 1;

/// What a file was made from, by content.
///
/// ```
/// use tripos::store::{OriginRecord, Origins, training::FileRecord};
/// let folder = tempfile::tempdir().unwrap();
/// let made = folder.path().join("pairs.jsonl");
/// let file = FileRecord { path: "rankings.jsonl".into(), sha256: "0f…".into() };
/// let from = vec![OriginRecord { kind: "rankings".into(), file }];
/// Origins::new("1e…", from.clone()).write(&made).unwrap();
/// assert_eq!(Origins::read(&made).unwrap().from, from);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins {
    /// Always 1.
    pub schema: u32,
    /// SHA-256 of the file itself, in hex: of other content the note says nothing.
    pub sha256: String,
    /// What it was made from.
    pub from: Vec<OriginRecord>,
}

/// One thing that a file was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginRecord {
    /// What it is, for people: rankings, a run …
    pub kind: String,
    /// The file, or the folder of a run, of which the samples count.
    #[serde(flatten)]
    pub file: FileRecord,
}

impl Origins {
    /// The note of a file with this SHA-256.
    #[must_use]
    pub fn new(sha256: impl Into<String>, from: Vec<OriginRecord>) -> Self {
        Self { schema: SCHEMA, sha256: sha256.into(), from }
    }

    /// Writes the note beside a file.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn write(&self, made: &Path) -> std::io::Result<()> {
        std::fs::write(beside(made), serde_json::to_vec_pretty(self)?)
    }

    /// The note beside a file; `None` where there is none that can be read.
    #[must_use]
    pub fn read(made: &Path) -> Option<Self> {
        let note: Self = serde_json::from_slice(&std::fs::read(beside(made)).ok()?).ok()?;
        (note.schema == SCHEMA).then_some(note)
    }
}

fn beside(made: &Path) -> PathBuf {
    let mut name = made.as_os_str().to_owned();
    name.push(".from.json");
    name.into()
}
