//! What was answered before, and what is known of model files: one SQLite file, safe with several processes.
//!
//! A key is the SHA-256 of everything that decides an answer (contract.md, section 5), so a swapped model can never
//! answer for another, and a repeat is never the same row.

use super::{Answer, Ask, Completion, EngineError, Likelihoods, Request, Token};
use crate::sampling::Sampling;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The cache file's layout; another number starts a new file.
const SCHEMA: u32 = 1;

/// An open cache.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// The SHA-256 of all that decides an answer.
pub type Key = [u8; 32];

/// Everything that decides an answer, apart from the token ids.
#[derive(Debug, Clone)]
pub struct Identity {
    /// SHA-256 of the model's file.
    pub model: String,
    /// SHA-256 and scale of the adapter.
    pub adapter: Option<(String, f32)>,
    /// KV mode, split policy, KV type, flash attention, back end, and the builds of llama.cpp and of Tripos.
    pub policy: String,
}

impl Identity {
    /// The key of a request's answer. Repeats of one request are different answers where something is drawn.
    #[must_use]
    pub fn key(&self, request: &Request, repeat: u32) -> Key {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        let bytes = |tokens: &[Token]| tokens.iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<u8>>();
        part(match request.ask {
            Ask::Generate { .. } => b"generate",
            Ask::Likelihood { .. } => b"likelihood",
            Ask::Embed => b"embed",
            Ask::State => b"state",
        });
        part(self.model.as_bytes());
        if let Some((sha256, scale)) = &self.adapter {
            part(sha256.as_bytes());
            part(&scale.to_le_bytes());
        }
        part(self.policy.as_bytes());
        part(&bytes(&request.tokens));
        match &request.ask {
            Ask::Generate { sampling, seed } => {
                // A greedy answer draws nothing, so the seed cannot change it; leaving it out lets variants share it.
                let seed = if sampling.is_greedy() { 0 } else { *seed };
                part(&serde_json::to_vec(&Sampling { seed: 0, ..sampling.clone() }).unwrap_or_default());
                part(&seed.to_le_bytes());
                part(&repeat.to_le_bytes());
            }
            Ask::Likelihood { continuations } => continuations.iter().for_each(|tokens| part(&bytes(tokens))),
            Ask::Embed | Ask::State => {}
        }
        hash.finalize().into()
    }
}

impl Cache {
    /// Opens or makes the cache in a folder.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let path = folder.join(format!("cache-v{SCHEMA}.sqlite"));
        let fail = |reason: String| EngineError::Cache { path: path.clone(), reason };
        std::fs::create_dir_all(folder).map_err(|e| fail(e.to_string()))?;
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(Duration::from_secs(30))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, sha256 TEXT NOT NULL);
                 CREATE TABLE IF NOT EXISTS tried (sha256 TEXT, build TEXT, PRIMARY KEY (sha256, build));",
            )?;
            Ok(connection)
        };
        let connection = open().map_err(|e| fail(e.to_string()))?;
        Ok(Self { connection: Mutex::new(connection), path })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // SQLite keeps its own state whole; a panic elsewhere does not harm it.
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fail(&self, error: &rusqlite::Error) -> EngineError {
        EngineError::Cache { path: self.path.clone(), reason: error.to_string() }
    }

    /// The answers known for these keys, each in its place; they count as used now. They cost nothing this time:
    /// no tokens decoded, no seconds.
    pub fn get(&self, keys: &[Key]) -> Result<Vec<Option<Answer>>, EngineError> {
        let mut connection = self.connection();
        let mut look_up = || -> rusqlite::Result<Vec<Option<Answer>>> {
            // Immediate: a read that turns into a write would fail at once beside another writer.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut found = Vec::with_capacity(keys.len());
            {
                let mut select = transaction.prepare_cached("SELECT answer FROM answers WHERE key = ?1")?;
                let mut touch =
                    transaction.prepare_cached("UPDATE answers SET used = ?2 WHERE key = ?1 AND used < ?2")?;
                for key in keys {
                    let answer: Option<String> = select.query_row([key.as_slice()], |row| row.get(0)).optional()?;
                    let answer = answer.and_then(|text| serde_json::from_str::<Answer>(&text).ok());
                    if answer.is_some() {
                        touch.execute(params![key.as_slice(), today()])?;
                    }
                    found.push(answer.map(free));
                }
            }
            transaction.commit()?;
            Ok(found)
        };
        look_up().map_err(|e| self.fail(&e))
    }

    /// Keeps answers.
    pub fn put(&self, answers: &[(Key, Answer)]) -> Result<(), EngineError> {
        let mut connection = self.connection();
        let mut store = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO answers VALUES (?1, ?2, ?3)")?;
                for (key, answer) in answers {
                    let text = serde_json::to_string(answer).unwrap_or_default();
                    insert.execute(params![key.as_slice(), text, today()])?;
                }
            }
            transaction.commit()
        };
        store().map_err(|e| self.fail(&e))
    }

    /// The remembered SHA-256 of a file whose path, size, time and inode are as they were.
    #[must_use]
    pub fn known_hash(&self, path: &Path) -> Option<String> {
        let (name, stamp) = (absolute(path)?, stamp(path)?);
        self.connection()
            .query_row("SELECT sha256 FROM hashes WHERE path = ?1 AND stamp = ?2", [name, stamp], |row| row.get(0))
            .ok()
    }

    /// Remembers the SHA-256 of a file. Failing to is no harm: it is computed again.
    pub fn remember_hash(&self, path: &Path, sha256: &str) {
        if let (Some(name), Some(stamp)) = (absolute(path), stamp(path)) {
            let row = params![name, stamp, sha256];
            let _ = self.connection().execute("INSERT OR REPLACE INTO hashes VALUES (?1, ?2, ?3)", row);
        }
    }

    /// Whether a model of this hash has decoded a token in a child process of this build before.
    #[must_use]
    pub fn was_tried(&self, sha256: &str, build: &str) -> bool {
        let row = [sha256, build];
        self.connection().query_row("SELECT 1 FROM tried WHERE sha256 = ?1 AND build = ?2", row, |_| Ok(())).is_ok()
    }

    /// Remembers that it has.
    pub fn remember_tried(&self, sha256: &str, build: &str) {
        let _ = self.connection().execute("INSERT OR IGNORE INTO tried VALUES (?1, ?2)", [sha256, build]);
    }

    /// How many answers there are, and the bytes of the file.
    pub fn size(&self) -> Result<(u64, u64), EngineError> {
        let rows: i64 = self
            .connection()
            .query_row("SELECT count(*) FROM answers", [], |row| row.get(0))
            .map_err(|e| self.fail(&e))?;
        Ok((rows.cast_unsigned(), std::fs::metadata(&self.path).map_or(0, |meta| meta.len())))
    }

    /// Removes answers not used for so many days (0: all of them) and gives the space back; returns how many.
    pub fn prune(&self, days: u32) -> Result<usize, EngineError> {
        let connection = self.connection();
        let prune = || -> rusqlite::Result<usize> {
            let bound = if days == 0 { i64::MAX } else { today() - i64::from(days) };
            let removed = connection.execute("DELETE FROM answers WHERE used < ?1", [bound])?;
            connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
            Ok(removed)
        };
        prune().map_err(|e| self.fail(&e))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A remembered answer costs nothing this time.
fn free(answer: Answer) -> Answer {
    match answer {
        Answer::Completion(c) => Answer::Completion(Completion { prompt_tokens_decoded: 0, elapsed_s: 0.0, ..c }),
        Answer::Likelihood(l) => Answer::Likelihood(Likelihoods { tokens_decoded: 0, elapsed_s: 0.0, ..l }),
        answer @ (Answer::Embedding(_) | Answer::State(_) | Answer::Failed { .. }) => answer,
    }
}

/// Days since 1970: fine enough to prune by.
fn today() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds / 86_400).unwrap_or(0)
}

fn absolute(path: &Path) -> Option<String> {
    path.canonicalize().ok().map(|path| path.to_string_lossy().into_owned())
}

/// Size, time and inode: what changes when a file is replaced.
fn stamp(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    let time = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let inode = 0;
    Some(format!("{} {time} {inode}", meta.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::StopReason;

    fn identity() -> Identity {
        Identity { model: "m".into(), adapter: None, policy: "tree".into() }
    }

    fn completion(text: &str) -> Completion {
        Completion {
            text: text.into(),
            tokens: vec![1, 2],
            stop_reason: StopReason::Stop,
            prompt_tokens: 3,
            prompt_tokens_decoded: 3,
            completion_tokens: 2,
            elapsed_s: 0.5,
            logprobs: None,
            end: None,
        }
    }

    fn generate(tokens: &[Token], sampling: &Sampling, seed: u64) -> Request {
        Request { id: 0, tokens: tokens.to_vec(), ask: Ask::Generate { sampling: sampling.clone(), seed } }
    }

    fn likelihood(tokens: &[Token], continuations: &[&[Token]]) -> Request {
        let continuations = continuations.iter().map(|c| c.to_vec()).collect();
        Request { id: 0, tokens: tokens.to_vec(), ask: Ask::Likelihood { continuations } }
    }

    #[test]
    fn every_part_of_a_request_changes_its_key() {
        let base = identity();
        let sampling = Sampling { temperature: 0.5, ..Sampling::default() };
        let request = generate(&[1, 2], &sampling, 7);
        let keys = [
            base.key(&request, 0),
            Identity { model: "n".into(), ..base.clone() }.key(&request, 0),
            Identity { adapter: Some(("a".into(), 1.0)), ..base.clone() }.key(&request, 0),
            Identity { adapter: Some(("a".into(), 0.5)), ..base.clone() }.key(&request, 0),
            Identity { policy: "exact".into(), ..base.clone() }.key(&request, 0),
            base.key(&generate(&[1, 3], &sampling, 7), 0),
            base.key(&generate(&[1, 2], &Sampling { stop: vec!["x".into()], ..sampling.clone() }, 7), 0),
            base.key(&generate(&[1, 2], &Sampling { top_k: Some(2), ..sampling.clone() }, 7), 0),
            base.key(&generate(&[1, 2], &Sampling { logprobs: Some(2), ..sampling.clone() }, 7), 0),
            base.key(&generate(&[1, 2], &sampling, 8), 0),
            base.key(&request, 1),
            base.key(&likelihood(&[1, 2], &[&[3], &[4, 5]]), 0),
            base.key(&likelihood(&[1, 2], &[&[3, 4], &[5]]), 0),
            base.key(&likelihood(&[1, 2, 3], &[&[4, 5]]), 0),
            base.key(&Request { id: 0, tokens: vec![1, 2], ask: Ask::Embed }, 0),
            base.key(&Request { id: 0, tokens: vec![1, 2], ask: Ask::State }, 0),
        ];
        let distinct: std::collections::BTreeSet<Key> = keys.into();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(base.key(&Request { id: 9, ..request.clone() }, 0), keys[0], "the caller's number is no part of it");
    }

    #[test]
    fn a_greedy_answer_does_not_depend_on_the_seed() {
        let greedy = Sampling::default();
        assert_eq!(identity().key(&generate(&[1], &greedy, 1), 0), identity().key(&generate(&[1], &greedy, 2), 0));
    }

    #[test]
    fn gives_back_what_was_put_and_counts_no_cost() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let told =
            Likelihoods { logprobs: vec![vec![-0.1, -2.5]], tokens_decoded: 4, prompt_tokens: None, elapsed_s: 0.5 };
        let put = [([1; 32], Answer::Completion(completion("hi"))), ([2; 32], Answer::Likelihood(told.clone()))];
        cache.put(&put).unwrap();
        let found = Cache::open(dir.path()).unwrap().get(&[[1; 32], [2; 32], [3; 32]]).unwrap();
        let Some(Answer::Completion(said)) = &found[0] else { panic!("{found:?}") };
        assert_eq!((said.text.as_str(), said.prompt_tokens_decoded), ("hi", 0));
        let free = Likelihoods { tokens_decoded: 0, elapsed_s: 0.0, ..told };
        assert_eq!((&found[1], &found[2]), (&Some(Answer::Likelihood(free)), &None));
        assert_eq!(cache.size().unwrap().0, 2);
        assert_eq!((cache.prune(1).unwrap(), cache.prune(0).unwrap()), (0, 2));
    }

    #[test]
    fn a_replaced_file_is_hashed_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let file = dir.path().join("m.gguf");
        std::fs::write(&file, b"one").unwrap();
        cache.remember_hash(&file, "aa");
        assert_eq!(cache.known_hash(&file).as_deref(), Some("aa"));
        std::fs::write(&file, b"other").unwrap();
        assert_eq!(cache.known_hash(&file), None);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_with_help() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let error = Cache::open(&file.join("sub")).unwrap_err();
        assert!(crate::error::Explain::help(&error).unwrap().contains("--no-cache"));
    }
}
