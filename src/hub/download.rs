//! One file: resumed where it broke off, held to its length and hash, and in its place whole or not at all.
//!
//! Bytes go to `NAME.incomplete` beside the place of the file, under a lock that one process holds. Only when all of them are
//! there, on the disk, and come to the hash that is meant, is the file renamed. What was there from before is hashed again
//! before it is added to; where the whole then comes to another hash, it is fetched once more from its beginning, since the
//! fault may lie in what was there.

use super::error::{HubProblem, looks};
use super::http::{Http, TRIES, host, pause, words};
use super::listing::Sum;
use super::partial::Partial;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode, Url};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How every GGUF begins.
const MAGIC: &[u8] = b"GGUF";
/// How often a lock is tried.
const LOCKED: Duration = Duration::from_millis(200);
/// Bytes left free on the disk.
const SPARE: u64 = 16 << 20;

/// A file to be fetched, and where to.
#[derive(Debug)]
pub(super) struct Order {
    /// What it is called to the user.
    pub(super) name: String,
    /// The model, as a note beside what is not complete names it.
    pub(super) uri: String,
    pub(super) url: Url,
    /// Where it goes.
    pub(super) place: PathBuf,
    /// The file that is locked meanwhile.
    pub(super) lock: PathBuf,
    /// Its length, where that is known beforehand.
    pub(super) bytes: Option<u64>,
    /// What its bytes must come to; `None`: nobody says.
    pub(super) sum: Option<Sum>,
}

/// A file that is in its place.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Bytes that came over the network, this time.
    pub(super) came: u64,
    /// What its bytes come to, where they were read.
    pub(super) sha256: Option<String>,
}

/// How an attempt ended that was not the last.
enum Ended {
    /// Every byte is here.
    Complete,
    /// It broke off, and may go on.
    Broken(String),
    /// What was here does not fit what the server has: from the beginning.
    Stale,
}

/// Holds the lock of an order until it is dropped. The file stays: others may be waiting for it.
pub(super) struct Held(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

/// Fetches a file, unless it is there. Waits for another process that does.
pub(super) fn fetch(http: &Http, order: &Order) -> Result<Fetched, HubProblem> {
    for folder in [&order.place, &order.lock].into_iter().filter_map(|path| path.parent()) {
        std::fs::create_dir_all(folder).map_err(HubProblem::file("make the folder", folder))?;
    }
    let _held = wait_for(http, order)?;
    if order.place.is_file() {
        return Ok(Fetched { came: 0, sha256: None });
    }
    let mut partial = Partial::open(order)?;
    let mut work = Work { http, order, came: 0 };
    http.watch.observer.began(&order.name, partial.len(), order.bytes);
    let done = work.all(&mut partial);
    http.watch.observer.ended();
    match done {
        Ok(()) => {
            let sha256 = partial.finish(&order.place)?;
            Ok(Fetched { came: work.came, sha256: Some(sha256) })
        }
        Err(HubProblem::Interrupted { .. }) => Err(HubProblem::Interrupted { kept: partial.keep()? }),
        Err(problem) => {
            if matches!(problem, HubProblem::Length { .. } | HubProblem::Hash { .. } | HubProblem::NotGguf { .. }) {
                partial.restart()?;
            }
            partial.keep()?;
            Err(problem)
        }
    }
}

/// The lock, once no other process has it. That process may be of another program: huggingface_hub locks the same files.
fn wait_for(http: &Http, order: &Order) -> Result<Held, HubProblem> {
    let mut said = false;
    loop {
        if let Some(held) = try_lock(&order.lock)? {
            return Ok(held);
        }
        if !said {
            http.watch.observer.waits(&format!("another process is downloading {}; waiting for it", order.name));
            said = true;
        }
        http.pause(LOCKED)?;
    }
}

/// The lock, unless another process has it.
pub(super) fn try_lock(path: &Path) -> Result<Option<Held>, HubProblem> {
    let file = File::options().create(true).append(true).open(path).map_err(HubProblem::file("open the lock", path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Held(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(HubProblem::file("lock", path)(error)),
    }
}

struct Work<'a> {
    http: &'a Http<'a>,
    order: &'a Order,
    came: u64,
}

impl Work<'_> {
    /// Attempts until every byte is here and is what it should be.
    fn all(&mut self, partial: &mut Partial) -> Result<(), HubProblem> {
        let mut idle = 0;
        let mut anew = false;
        loop {
            let before = self.came;
            match self.attempt(partial)? {
                Ended::Complete => match self.check(partial) {
                    Ok(()) => return Ok(()),
                    // What was here from before may be the fault.
                    Err(_) if !anew && self.came < partial.len() => {
                        anew = true;
                        partial.restart()?;
                    }
                    Err(problem) => return Err(problem),
                },
                Ended::Stale if !anew => {
                    anew = true;
                    partial.restart()?;
                }
                Ended::Stale => {
                    return Err(HubProblem::Status {
                        host: host(&self.order.url),
                        status: "a range that was not asked for".into(),
                        said: None,
                    });
                }
                Ended::Broken(why) => {
                    idle = if self.came > before { 1 } else { idle + 1 };
                    if idle >= TRIES {
                        return Err(HubProblem::Cut { tries: idle, done: partial.len(), total: self.order.bytes });
                    }
                    let pause = pause(idle);
                    let words = format!("the connection broke off ({why}); going on in {:.1} s", pause.as_secs_f64());
                    self.http.watch.observer.waits(&words);
                    self.http.pause(pause)?;
                }
            }
        }
    }

    /// One request, for what is not here yet.
    fn attempt(&mut self, partial: &mut Partial) -> Result<Ended, HubProblem> {
        if self.order.bytes == Some(partial.len()) && partial.len() > 0 {
            return Ok(Ended::Complete);
        }
        let response = match self.http.get(&self.order.url, &wanted(partial)) {
            // A network that was there comes back.
            Err(HubProblem::Unreachable { why, .. }) if partial.len() > 0 => return Ok(Ended::Broken(why)),
            answered => answered?,
        };
        match response.status() {
            StatusCode::OK => {
                let announced = response.content_length();
                if let (Some(expected), Some(found)) =
                    (self.order.bytes, announced.filter(|n| Some(*n) != self.order.bytes))
                {
                    return Err(HubProblem::Length { expected, found });
                }
                // The server has other bytes than those that are here, or none to give in part.
                partial.restart()?;
                self.read(partial, response, announced)
            }
            StatusCode::PARTIAL_CONTENT => match range(response.headers()) {
                Some((from, total)) if from == partial.len() => {
                    if let (Some(expected), Some(found)) =
                        (self.order.bytes, total.filter(|n| Some(*n) != self.order.bytes))
                    {
                        return Err(HubProblem::Length { expected, found });
                    }
                    self.read(partial, response, total)
                }
                _ => Ok(Ended::Stale),
            },
            // More is here than the server has. Where that is all, `attempt` did not come so far, unless no length was known.
            StatusCode::RANGE_NOT_SATISFIABLE if partial.len() > 0 => {
                let total = range(response.headers()).and_then(|(_, total)| total);
                Ok(if total == Some(partial.len()) && self.order.bytes.is_none() {
                    Ended::Complete
                } else {
                    Ended::Stale
                })
            }
            _ => Err(refusal(&response)),
        }
    }

    /// Takes what comes. The first bytes are looked at before the rest is waited for.
    fn read(&mut self, partial: &mut Partial, mut response: Response, total: Option<u64>) -> Result<Ended, HubProblem> {
        partial.remember(response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()));
        let expected = self.order.bytes.or(total);
        self.room(partial, expected)?;
        let mut head = Vec::new();
        loop {
            let piece = match self.http.chunk(&mut response)? {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(why) => return Ok(Ended::Broken(why)),
            };
            self.came += piece.len() as u64;
            if partial.len() == 0 {
                head.extend_from_slice(&piece);
                if head.len() < MAGIC.len() {
                    continue;
                }
                is_gguf(&head)?;
                partial.write(&std::mem::take(&mut head))?;
            } else {
                partial.write(&piece)?;
            }
            if let Some(expected) = expected.filter(|expected| partial.len() > *expected) {
                return Err(HubProblem::Length { expected, found: partial.len() });
            }
            self.http.watch.observer.came(partial.len(), expected);
        }
        if partial.len() == 0 {
            is_gguf(&head)?;
        }
        match expected {
            Some(expected) if partial.len() < expected => Ok(Ended::Broken("the server ended early".into())),
            _ => Ok(Ended::Complete),
        }
    }

    /// Refuses what the disk has no room for.
    fn room(&self, partial: &Partial, expected: Option<u64>) -> Result<(), HubProblem> {
        let needed = expected.unwrap_or(0).saturating_sub(partial.len());
        let folder = self.order.place.parent().unwrap_or(Path::new("."));
        enough(folder, needed)
    }

    fn check(&self, partial: &Partial) -> Result<(), HubProblem> {
        let (kind, expected) = match &self.order.sum {
            None => return Ok(()),
            Some(Sum::Sha256(hex)) => ("SHA-256", hex),
            Some(Sum::Git(hex)) => ("git's SHA-1", hex),
        };
        let found = partial.sum(kind == "SHA-256");
        if found == *expected { Ok(()) } else { Err(HubProblem::Hash { kind, expected: expected.clone(), found }) }
    }
}

/// Why a server does not give a file.
fn refusal(response: &Response) -> HubProblem {
    let said = response.headers().get("x-error-message").and_then(|said| said.to_str().ok()).map(str::to_owned);
    HubProblem::Status { host: host(response.url()), status: words(response.status()), said }
}

/// Refuses where a folder's disk has less room than is needed.
pub(super) fn enough(folder: &Path, needed: u64) -> Result<(), HubProblem> {
    // A system that does not say leaves it to the writing.
    let Ok(free) = fs4::available_space(folder) else { return Ok(()) };
    if needed.saturating_add(SPARE) > free {
        return Err(HubProblem::Disk { folder: folder.to_path_buf(), needed, free });
    }
    Ok(())
}

fn is_gguf(head: &[u8]) -> Result<(), HubProblem> {
    if head.starts_with(MAGIC) { Ok(()) } else { Err(HubProblem::NotGguf { looks: looks(head) }) }
}

/// What is asked for: the rest, if the file is still the one of which the beginning is here.
fn wanted(partial: &Partial) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if partial.len() > 0 {
        let range = HeaderValue::try_from(format!("bytes={}-", partial.len()));
        headers.extend(range.ok().map(|range| (RANGE, range)));
        let etag = partial.etag().and_then(|etag| HeaderValue::from_str(etag).ok());
        headers.extend(etag.map(|etag| (IF_RANGE, etag)));
    }
    headers
}

/// `bytes 5-9/10`: where the part begins, and the length of the whole. `bytes */10` begins nowhere.
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (part, total) = text.split_once('/')?;
    let from = part.split_once('-').and_then(|(from, _)| from.parse().ok()).unwrap_or(u64::MAX);
    Some((from, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_where_it_begins_and_how_long_the_whole_is() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_str(text).unwrap());
            range(&headers)
        };
        assert_eq!(of("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(of("bytes 5-9/*"), Some((5, None)));
        assert_eq!(of("bytes */10"), Some((u64::MAX, Some(10))));
        assert_eq!(of("lines 5-9/10"), None);
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let held = try_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
