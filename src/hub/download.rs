//! One file: resumed where it broke off, held to its length and hash, and in its place whole or not at all.
//!
//! Bytes go to `NAME.incomplete` beside the place of the file, under a lock that one process holds. Only when all of them are
//! there, on the disk, and come to the hash that is meant, is the file renamed. What was there from before is hashed again
//! before it is added to; where the whole then comes to another hash, it is fetched once more from its beginning, since the
//! fault may lie in what was there. Where the server begins anew, what is here goes only once the first new bytes are seen to
//! be those of a model.
//!
//! Without a hash nothing tells two files glued together: then the rest is asked for only of what the server itself calls the
//! same, and a body that does not say how long it is must hold all of its tensors.

use super::Watch;
use super::error::{HubProblem, looks};
use super::http::{Http, TRIES, host, pause, refusal};
use super::listing::Sum;
use super::partial::Partial;
use crate::gguf::Gguf;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode, Url};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How every GGUF begins.
const MAGIC: &[u8] = b"GGUF";
/// How often a lock is tried.
const LOCKED: Duration = Duration::from_millis(200);
/// Bytes left free on the disk.
const SPARE: u64 = 16 << 20;
/// How often it is looked at the disk while a file comes of which nobody knows the length, in bytes.
const LOOK: u64 = 64 << 20;

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
    /// What its bytes come to, where they were read for that.
    pub(super) sha256: Option<String>,
    /// Its lock: until it is let go, no other process looks at the place.
    pub(super) held: Held,
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

/// Holds a lock until it is dropped. The file stays: others may be waiting for it.
#[derive(Debug)]
pub(super) struct Held(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

/// Fetches a file, unless it is there. Waits for another process that does.
pub(super) fn fetch(http: &Http, order: &Order) -> Result<Fetched, HubProblem> {
    for folder in [&order.place, &order.lock].into_iter().filter_map(|path| path.parent()) {
        std::fs::create_dir_all(folder).map_err(HubProblem::file("make the folder", folder))?;
    }
    let held = wait_for(&order.lock, http.watch, &format!("downloading {}", order.name))?;
    if order.place.is_file() {
        return Ok(Fetched { came: 0, sha256: None, held });
    }
    let mut partial = Partial::open(order, http.watch.stop)?;
    let mut work = Work { http, order, came: 0 };
    http.watch.observer.began(&order.name, partial.len(), order.bytes);
    let done = work.all(&mut partial);
    http.watch.observer.ended();
    match done {
        Ok(()) => {
            let sha256 = partial.finish(&order.place)?;
            Ok(Fetched { came: work.came, sha256, held })
        }
        Err(HubProblem::Interrupted { .. }) => Err(HubProblem::Interrupted { kept: partial.keep()? }),
        Err(problem) => {
            // Of other problems no wrong byte is in it.
            if matches!(problem, HubProblem::Hash { .. }) {
                partial.restart()?;
            }
            partial.keep()?;
            Err(problem)
        }
    }
}

/// The lock, once no other process has it. That process may be of another program: huggingface_hub locks the same files.
pub(super) fn wait_for(lock: &Path, watch: Watch, doing: &str) -> Result<Held, HubProblem> {
    let mut said = false;
    loop {
        if let Some(held) = try_lock(lock)? {
            return Ok(held);
        }
        if !said {
            watch.observer.waits(&format!("another process is {doing}; waiting for it"));
            said = true;
        }
        if watch.stop.load(Ordering::Relaxed) {
            return Err(HubProblem::Interrupted { kept: 0 });
        }
        std::thread::sleep(LOCKED);
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
        let (mut idle, mut anew) = (0, false);
        // Bytes that come a second time are no progress.
        let mut most = partial.len();
        loop {
            match self.attempt(partial)? {
                Ended::Complete => match self.check(partial) {
                    Ok(()) => return Ok(()),
                    // What was here from before may be the fault.
                    Err(_) if !anew && self.came < partial.len() => {
                        (anew, most) = (true, 0);
                        partial.restart()?;
                    }
                    Err(problem) => return Err(problem),
                },
                Ended::Stale if !anew => {
                    (anew, most) = (true, 0);
                    partial.restart()?;
                }
                Ended::Stale => {
                    return Err(HubProblem::Status {
                        host: host(&self.order.url),
                        status: "a range that was not asked for".into(),
                        code: String::new(),
                        said: None,
                    });
                }
                Ended::Broken(why) => {
                    idle = if partial.len() > most { 1 } else { idle + 1 };
                    most = most.max(partial.len());
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
        let response = match self.http.get(&self.order.url, &self.wanted(partial)) {
            // A network that was there comes back.
            Err(HubProblem::Unreachable { why, .. }) if partial.len() > 0 => return Ok(Ended::Broken(why)),
            answered => answered?,
        };
        match response.status() {
            // The server has other bytes than those that are here, or none to give in part.
            StatusCode::OK => {
                let announced = response.content_length();
                self.begin(partial, response, announced)
            }
            StatusCode::PARTIAL_CONTENT => match range(response.headers()) {
                Some((0, total)) if partial.len() == 0 => self.begin(partial, response, total),
                Some((from, total)) if from == partial.len() && self.is_same(partial, &response) => {
                    self.agrees(total)?;
                    self.read(partial, response, total, Vec::new())
                }
                _ => Ok(Ended::Stale),
            },
            // More is here than the server has. Where that is all, `attempt` did not come so far, unless no length was known.
            StatusCode::RANGE_NOT_SATISFIABLE if partial.len() > 0 => {
                let total = range(response.headers()).and_then(|(_, total)| total);
                let all = total == Some(partial.len()) && self.order.bytes.is_none();
                let all = all && (self.order.sum.is_some() || holds_its_tensors(partial.path()));
                Ok(if all { Ended::Complete } else { Ended::Stale })
            }
            _ => Err(refusal(&response)),
        }
    }

    /// What is asked for: the rest, if the file is still the one of which the beginning is here. Where no hash will tell, only
    /// the server's own name of the bytes can say so.
    fn wanted(&self, partial: &Partial) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if partial.len() > 0 && (self.order.sum.is_some() || partial.etag().is_some()) {
            let range = HeaderValue::try_from(format!("bytes={}-", partial.len()));
            headers.extend(range.ok().map(|range| (RANGE, range)));
            let etag = partial.etag().and_then(|etag| HeaderValue::from_str(etag).ok());
            headers.extend(etag.map(|etag| (IF_RANGE, etag)));
        }
        headers
    }

    /// Whether a part belongs to what is here, as far as that must be known now: a hash tells later.
    fn is_same(&self, partial: &Partial, response: &Response) -> bool {
        self.order.sum.is_some() || partial.etag().is_some_and(|known| etag(response) == Some(known))
    }

    /// Refuses another length than the one that is known.
    fn agrees(&self, announced: Option<u64>) -> Result<(), HubProblem> {
        match (self.order.bytes, announced) {
            (Some(expected), Some(found)) if expected != found => Err(HubProblem::Length { expected, found }),
            _ => Ok(()),
        }
    }

    /// Whether what is here is all of it, where nobody says how much that is: it comes to the hash that is meant, or is a model
    /// with all of its tensors. Of that, too, the hash says whether it is the one that is meant.
    fn is_whole(&self, partial: &Partial) -> bool {
        (self.order.sum.is_some() && self.check(partial).is_ok()) || holds_its_tensors(partial.path())
    }

    /// Takes all of it, from its beginning. What is here goes once the first bytes and the length are seen to be right: a login
    /// page costs nothing.
    fn begin(
        &mut self,
        partial: &mut Partial,
        mut response: Response,
        total: Option<u64>,
    ) -> Result<Ended, HubProblem> {
        let mut head = Vec::new();
        while head.len() < MAGIC.len() {
            match self.http.chunk(&mut response)? {
                Ok(Some(piece)) => head.extend(piece),
                Ok(None) => break,
                Err(why) => return Ok(Ended::Broken(why)),
            }
        }
        is_gguf(&head)?;
        self.agrees(total)?;
        partial.restart()?;
        self.read(partial, response, total, head)
    }

    /// Takes what comes, after what of it is in hand already.
    fn read(
        &mut self,
        partial: &mut Partial,
        mut response: Response,
        total: Option<u64>,
        head: Vec<u8>,
    ) -> Result<Ended, HubProblem> {
        partial.remember(etag(&response))?;
        let expected = self.order.bytes.or(total);
        room(partial, expected.unwrap_or(0).saturating_sub(partial.len()))?;
        let mut piece = head;
        loop {
            let before = partial.len();
            self.came += piece.len() as u64;
            partial.write(&piece)?;
            if let Some(expected) = expected.filter(|expected| partial.len() > *expected) {
                let found = partial.len();
                partial.restart()?;
                return Err(HubProblem::Length { expected, found });
            }
            if expected.is_none() && is_due(before, partial.len()) {
                room(partial, LOOK)?;
            }
            self.http.watch.observer.came(partial.len(), expected);
            piece = match self.http.chunk(&mut response)? {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(why) => return Ok(Ended::Broken(why)),
            };
        }
        let all = expected.map_or_else(|| self.is_whole(partial), |expected| partial.len() >= expected);
        Ok(if all { Ended::Complete } else { Ended::Broken("the server ended early".into()) })
    }

    fn check(&self, partial: &Partial) -> Result<(), HubProblem> {
        let (kind, expected) = match &self.order.sum {
            None => return Ok(()),
            Some(Sum::Sha256(hex)) => ("SHA-256", hex),
            Some(Sum::Git(hex)) => ("git's SHA-1", hex),
        };
        let found = partial.sum();
        if found == *expected { Ok(()) } else { Err(HubProblem::Hash { kind, expected: expected.clone(), found }) }
    }
}

/// Refuses what the disk has no room for beside what is here.
fn room(partial: &Partial, needed: u64) -> Result<(), HubProblem> {
    enough(partial.path().parent().unwrap_or(Path::new(".")), needed)
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

/// What the server calls the bytes that it sends.
fn etag(response: &Response) -> Option<&str> {
    response.headers().get(ETAG).and_then(|etag| etag.to_str().ok())
}

/// Whether a file is a GGUF of which no tensor reaches beyond its end.
fn holds_its_tensors(path: &Path) -> bool {
    Gguf::open(path).is_ok_and(|gguf| {
        let end = |tensor: &crate::gguf::TensorInfo| {
            gguf.data_offset().checked_add(tensor.offset)?.checked_add(tensor.size()?)
        };
        gguf.tensors().iter().all(|tensor| end(tensor).is_some_and(|end| end <= gguf.file_len()))
    })
}

/// Whether it is time to look at the disk again, after so many bytes have become so many.
fn is_due(before: u64, after: u64) -> bool {
    before / LOOK != after / LOOK
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
    fn the_disk_is_looked_at_as_a_file_grows() {
        assert!(!is_due(0, LOOK - 1) && is_due(LOOK - 1, LOOK) && !is_due(LOOK, LOOK + 1));
        assert!(is_due(LOOK + 5, 3 * LOOK), "a large piece passes several marks");
    }

    #[test]
    fn a_file_is_whole_when_its_last_tensor_ends_inside_it() {
        let whole = std::fs::read("models/tripos-tiny.gguf").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (length, expected) in [(whole.len(), true), (whole.len() - 64, false), (5000, false), (0, false)] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(holds_its_tensors(&path), expected, "{length}");
        }
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
