//! Models that lie elsewhere: on the Hugging Face hub, or at any address with a SHA-256.
//!
//! [`Uri`] is how they are named, [`Hub`] finds them on this machine and brings those that are not here. What is here is used
//! without asking anybody: a run needs no network once its models are cached, and does not change because a branch moved;
//! [`Hub::pull`] asks what the branch is at now. A file gets its place when it is whole, and holds its length and hash.
//!
//! This room must not read the environment, print or know suites: settings come in, progress goes to an [`Observer`], and paths
//! come out.
//!
//! - The token is sent to the hub alone, never to where it sends to.
//! - A split model is joined into one file, so it takes its room twice: its parts stay where other tools look for them.

mod cache;
mod download;
mod error;
mod http;
mod join;
mod kept;
mod listing;
mod partial;
mod split;
mod uri;

pub use error::{HubError, HubProblem};
pub use kept::{Entry, Removed};
pub use listing::Offer;
pub use uri::{Repo, Uri};

use crate::error::without_secrets;
use cache::{Cache, touch, whole};
use download::{Fetched, Order, enough, fetch};
use http::Http;
use kept::ADDRESS;
use listing::{Listed, Listing, Sum, meant};
use sha2::{Digest, Sha256};
use std::cell::OnceCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Where the hub is, who asks, and where files go.
#[derive(Clone)]
pub struct Settings {
    /// The hub's address.
    pub endpoint: String,
    /// Who asks; `None`: anybody.
    pub token: Option<String>,
    /// The folder of the Hugging Face cache: `HF_HUB_CACHE`, or `HF_HOME/hub`.
    pub hub: PathBuf,
    /// The folder of what that cache has no place for.
    pub own: PathBuf,
    /// The proxy for `http://`.
    pub http_proxy: Option<String>,
    /// The proxy for `https://`.
    pub https_proxy: Option<String>,
    /// The hosts that are asked without a proxy, as in `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// What is here is all that there is: nobody is asked.
    pub offline: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &without_secrets(&self.endpoint))
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

/// Who is told how it goes. Nothing is said of what is here already.
pub trait Observer {
    /// A file is being fetched, of which this many bytes are here.
    fn began(&self, file: &str, done: u64, total: Option<u64>);
    /// So many bytes are here now.
    fn came(&self, done: u64, total: Option<u64>);
    /// It is fetched, or was given up.
    fn ended(&self);
    /// Something is waited for.
    fn waits(&self, why: &str);
}

/// Nobody is told.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn began(&self, _file: &str, _done: u64, _total: Option<u64>) {}
    fn came(&self, _done: u64, _total: Option<u64>) {}
    fn ended(&self) {}
    fn waits(&self, _why: &str) {}
}

/// Who is told, and what ends it early.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Who is told how it goes.
    pub observer: &'a dyn Observer,
    /// Ends everything when it turns true. What came is kept.
    pub stop: &'a AtomicBool,
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("stop", self.stop).finish_non_exhaustive()
    }
}

/// A model that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its file, one also where it comes in parts.
    pub path: PathBuf,
    /// Bytes that came over the network for it, this time.
    pub came: u64,
    /// SHA-256 of its bytes, where they were read or its name says it.
    pub sha256: Option<String>,
}

/// The way to models that lie elsewhere.
///
/// ```
/// use tripos::hub::{Hub, Settings, Silent, Uri, Watch};
/// let folder = tempfile::tempdir()?;
/// let settings = Settings {
///     endpoint: "https://huggingface.co".into(), token: None, hub: folder.path().join("hub"), own: folder.path().join("own"),
///     http_proxy: None, https_proxy: None, no_proxy: None, offline: true,
/// };
/// let stop = std::sync::atomic::AtomicBool::new(false);
/// let hub = Hub::new(settings, Watch { observer: &Silent, stop: &stop });
/// // Looking for what is here asks nobody.
/// assert_eq!(hub.find(&Uri::parse("hf://owner/repo/model.gguf")?)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Hub<'a> {
    settings: Settings,
    cache: Cache,
    watch: Watch<'a>,
    http: OnceCell<Http<'a>>,
}

impl fmt::Debug for Hub<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<'a> Hub<'a> {
    /// Nothing is asked or written yet.
    #[must_use]
    pub fn new(settings: Settings, watch: Watch<'a>) -> Self {
        let cache = Cache { hub: settings.hub.clone(), own: settings.own.clone() };
        Self { settings, cache, watch, http: OnceCell::new() }
    }

    /// The model, where it is on this machine. Nobody is asked.
    ///
    /// # Errors
    /// A name that names no file, and an address that does not say which bytes are meant.
    pub fn find(&self, uri: &Uri) -> Result<Option<Found>, HubError> {
        let found = |path: PathBuf, sha256| {
            touch(&path);
            Some(Found { path, came: 0, sha256 })
        };
        match uri {
            Uri::Repo(_) => Err(HubProblem::NoFileNamed.about(uri)),
            Uri::Web { url, sha256: None } => Err(HubProblem::NoHash { hub: uri::of_browser(url) }.about(uri)),
            Uri::Web { sha256: Some(sha256), .. } => {
                Ok(self.cache.find_by_hash(sha256).and_then(|path| found(path, Some(sha256.clone()))))
            }
            Uri::File { repo, file } => Ok(match self.cache.find(repo, file).as_deref() {
                None => None,
                Some([path]) => found(path.clone(), named_by_hash(path)),
                Some(parts) => {
                    let joined = self.cache.joined(parts, file);
                    joined.is_file().then(|| found(joined, None)).flatten()
                }
            }),
        }
    }

    /// The model: as it is here, else as it is fetched now.
    pub fn bring(&self, uri: &Uri) -> Result<Found, HubError> {
        if let Some(found) = self.find(uri)? {
            return Ok(found);
        }
        if let Uri::File { repo, file } = uri
            && let Some(parts) = self.cache.find(repo, file)
        {
            return self.joined(uri, &parts, file, 0);
        }
        self.pull(uri)
    }

    /// The model as it is elsewhere now. An address needs no hash here: what it comes to is told.
    ///
    /// # Errors
    /// Whatever a network, a server and a disk can do: [`HubProblem`].
    pub fn pull(&self, uri: &Uri) -> Result<Found, HubError> {
        match uri {
            Uri::Repo(_) => Err(HubProblem::NoFileNamed.about(uri)),
            Uri::Web { url, sha256 } => self.web(uri, url, sha256.as_deref()).map_err(|problem| problem.about(uri)),
            Uri::File { repo, file } => self.file(uri, repo, file),
        }
    }

    /// How many bytes would have to come for a model; `None` where that is not known before.
    pub fn would_come(&self, uri: &Uri) -> Result<Option<u64>, HubError> {
        let Uri::File { repo, file } = uri else { return Ok(None) };
        let size = || {
            let listing = Listing::of(self.http()?, repo)?;
            let parts = listing.parts(repo, file)?;
            Ok(parts.iter().map(|part| self.missing(repo, part)).sum())
        };
        size().map(Some).map_err(|problem: HubProblem| problem.about(uri))
    }

    /// The models of a repository, the smallest first.
    pub fn offers(&self, repo: &Repo) -> Result<Vec<Offer>, HubError> {
        let listing = self.http().and_then(|http| Listing::of(http, repo));
        listing.map(|listing| listing.offers()).map_err(|problem| problem.about(repo))
    }

    /// What is on this machine, whoever put it there.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.cache.entries()
    }

    /// Takes a model out of the cache, or all models of a repository.
    ///
    /// # Errors
    /// Where it is not there, where another process is downloading it, and where the system refuses.
    pub fn remove(&self, uri: &Uri) -> Result<Removed, HubError> {
        self.cache.remove(uri).map_err(|problem| problem.about(uri))
    }

    fn http(&self) -> Result<&Http<'a>, HubProblem> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        if self.settings.offline {
            return Err(HubProblem::Offline);
        }
        let http = Http::new(&self.settings, self.watch)?;
        Ok(self.http.get_or_init(|| http))
    }

    /// A file of a repository. The branch is noted last: until all of it is here, it stays where it was.
    fn file(&self, uri: &Uri, repo: &Repo, file: &str) -> Result<Found, HubError> {
        let fetch_all = || -> Result<_, HubProblem> {
            let http = self.http()?;
            let listing = Listing::of(http, repo)?;
            let parts = listing.parts(repo, file)?;
            std::fs::create_dir_all(&self.cache.hub).map_err(HubProblem::file("make the folder", &self.cache.hub))?;
            self.room(repo, file, &parts)?;
            let (mut paths, mut came) = (Vec::new(), 0);
            for part in parts {
                let order = self.order(uri, (repo, listing.commit.as_str()), part)?;
                came += fetch(http, &order).map_err(|problem| refused(http, repo, problem))?.came;
                paths.push(self.cache.link(repo, (&listing.commit, &part.name), &order.place)?);
            }
            self.cache.note(repo, &listing.commit)?;
            Ok((paths, came))
        };
        let (paths, came) = fetch_all().map_err(|problem| problem.about(uri))?;
        match paths.as_slice() {
            [path] => {
                touch(path);
                Ok(Found { path: path.clone(), came, sha256: named_by_hash(path) })
            }
            parts => self.joined(uri, parts, file, came),
        }
    }

    /// Refuses what the disks have no room for: the parts that are not here, and the file that they are joined into.
    fn room(&self, repo: &Repo, file: &str, parts: &[&Listed]) -> Result<(), HubProblem> {
        let missing = parts.iter().map(|part| self.missing(repo, part)).sum::<u64>();
        let blobs: Vec<PathBuf> = parts.iter().map(|part| self.cache.blob(repo, &part.sum)).collect();
        if parts.len() < 2 || self.cache.joined(&blobs, file).is_file() {
            return enough(&self.cache.hub, missing);
        }
        let (own, whole) = (&self.cache.own, parts.iter().map(|part| part.bytes).sum::<u64>());
        std::fs::create_dir_all(own).map_err(HubProblem::file("make the folder", own))?;
        if cache::on_one_disk(&self.cache.hub, own) {
            return enough(own, missing.saturating_add(whole));
        }
        enough(&self.cache.hub, missing)?;
        enough(own, whole)
    }

    /// The bytes of a file that are not here.
    fn missing(&self, repo: &Repo, part: &Listed) -> u64 {
        let place = self.cache.blob(repo, &part.sum);
        let here = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
        if place.is_file() { 0 } else { part.bytes.saturating_sub(here(&partial::of_place(&place))) }
    }

    /// What is asked for, from the commit that was listed: a branch may move meanwhile.
    fn order(&self, uri: &Uri, (repo, commit): (&Repo, &str), part: &Listed) -> Result<Order, HubProblem> {
        let path = [repo.owner.as_str(), &repo.name, "resolve", commit];
        let path: Vec<&str> = path.into_iter().chain(part.name.split('/')).collect();
        Ok(Order {
            name: part.name.clone(),
            uri: uri.to_string(),
            url: self.http()?.hub(&path),
            place: self.cache.blob(repo, &part.sum),
            lock: self.cache.lock(repo, part.sum.hex()),
            bytes: Some(part.bytes),
            sum: Some(part.sum.clone()),
        })
    }

    /// The parts of a split model as one file.
    fn joined(&self, uri: &Uri, parts: &[PathBuf], file: &str, came: u64) -> Result<Found, HubError> {
        let path = self.cache.joined(parts, file);
        if !path.is_file() {
            join::once(parts, &path, &uri.to_string(), self.watch)?;
        }
        touch(&path);
        Ok(Found { path, came, sha256: None })
    }

    /// A file of another address. Without a hash it goes by its address until it is here, and by what it is then.
    fn web(&self, uri: &Uri, url: &str, sha256: Option<&str>) -> Result<Found, HubProblem> {
        let here = sha256.and_then(|sha256| Some((self.cache.find_by_hash(sha256)?, sha256)));
        if let Some((path, sha256)) = here {
            return Ok(Found { path, came: 0, sha256: Some(sha256.to_owned()) });
        }
        let unnamed = || self.cache.own.join("unnamed").join(partial::hex(&Sha256::digest(url)));
        let folder = sha256.map_or_else(unnamed, |sha256| self.cache.by_hash(sha256));
        let address = reqwest::Url::parse(url);
        let order = Order {
            name: uri.file_name().to_owned(),
            uri: uri.to_string(),
            url: address.map_err(|e| HubProblem::Unreachable { host: without_secrets(url), why: e.to_string() })?,
            place: folder.join(uri.file_name()),
            lock: folder.join("lock"),
            bytes: None,
            sum: sha256.map(|sha256| Sum::Sha256(sha256.to_owned())),
        };
        if sha256.is_some() {
            whole(&folder.join(ADDRESS), &without_secrets(url))?;
        }
        let Fetched { came, sha256: read, held } = fetch(self.http()?, &order)?;
        let sha256 = match (read, sha256) {
            (Some(sha256), _) => sha256,
            (None, Some(sha256)) => sha256.to_owned(),
            // Left by a process that was ended before it moved it away below.
            (None, None) => crate::gguf::sha256_file(&order.place).map_err(HubProblem::file("read", &order.place))?,
        };
        let place = self.cache.by_hash(&sha256).join(uri.file_name());
        if place != order.place {
            whole(&self.cache.by_hash(&sha256).join(ADDRESS), &without_secrets(url))?;
            std::fs::rename(&order.place, &place).map_err(HubProblem::file("write", &place))?;
        }
        // Only now: another process that waits for the same address must not find it half moved.
        drop(held);
        touch(&place);
        Ok(Found { path: place, came, sha256: Some(sha256) })
    }
}

/// What it means that a file is listed and not given. The servers that the hub sends to have reasons of their own.
fn refused(http: &Http, repo: &Repo, problem: HubProblem) -> HubProblem {
    match &problem {
        HubProblem::Status { host, .. } if *host == http.host() => meant(http, repo, problem),
        _ => problem,
    }
}

/// The SHA-256 that the bytes behind a link are named by.
fn named_by_hash(path: &Path) -> Option<String> {
    let name = path.canonicalize().ok()?.file_name()?.to_str()?.to_owned();
    listing::is_hex(&name, 64).then_some(name)
}
