//! What can go wrong on the way to a model.

use super::uri::is_gguf;
use crate::error::{Explain, Place, did_you_mean};
use std::path::{Path, PathBuf};

/// A problem with a model that lies elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct HubError {
    /// What is wrong. Boxed: it travels through every request.
    pub problem: Box<HubProblem>,
    /// The model, as it was named.
    pub about: String,
    /// Where it was named, in a suite or a recipe.
    pub place: Option<Place>,
}

impl HubError {
    /// The same, named at this place of a file.
    #[must_use]
    pub fn named_at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// Whether it was ended by the user.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(*self.problem, HubProblem::Interrupted { .. })
    }

    /// Whether nobody could be asked: there is no way to the server, or it is out of order.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        use HubProblem::{Busy, Offline, Server, Tls, Unreachable};
        matches!(*self.problem, Offline | Unreachable { .. } | Tls { .. } | Server { .. } | Busy { .. })
    }
}

impl Explain for HubError {
    fn at(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    fn about(&self) -> Option<String> {
        Some(self.about.clone())
    }

    fn help(&self) -> Option<String> {
        self.problem.help(&self.about)
    }
}

/// The kinds of problem. The message says what; [`HubProblem::help`] says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum HubProblem {
    /// No name of a model.
    #[error("`{written}` names no model: {why}")]
    Name {
        /// As it was written.
        written: String,
        /// What is wrong.
        why: String,
        /// How to mend it.
        help: String,
    },
    /// A repository where one file is wanted.
    #[error("a repository is no model: it holds several files")]
    NoFileNamed,
    /// An address alone.
    #[error("an address does not say which bytes are meant: what is there may change any day")]
    NoHash {
        /// What it would be called on the hub, where it is an address of the hub.
        hub: Option<String>,
    },
    /// Nobody may be asked.
    #[error("HF_HUB_OFFLINE is set, so nobody is asked")]
    Offline,
    /// There is no way to the server.
    #[error("cannot reach {host}: {why}")]
    Unreachable {
        /// The server.
        host: String,
        /// The system's words.
        why: String,
    },
    /// The connection is not to be trusted.
    #[error("no trusted connection to {host}: {why}")]
    Tls {
        /// The server.
        host: String,
        /// The library's words.
        why: String,
    },
    /// 401: the hub wants to know who asks.
    #[error("{}", if *token { "the hub does not accept the token (401)" } else { "the hub shows it only to those it knows (401)" })]
    Denied {
        /// Whether a token was sent.
        token: bool,
        /// Where tokens are made.
        site: String,
    },
    /// 403: its owners decide who may have it.
    #[error("the repository is gated: its owners have not let you in")]
    Gated {
        /// Whether a token was sent.
        token: bool,
        /// The page where one asks.
        page: String,
    },
    /// No such repository, or a private one.
    #[error("there is no repository {repo} on {host}, or it is private")]
    NoRepository {
        /// `owner/repo`
        repo: String,
        /// The hub.
        host: String,
    },
    /// No such branch, tag or commit.
    #[error("{repo} has no revision `{revision}`")]
    NoRevision {
        /// `owner/repo`
        repo: String,
        /// As it was named.
        revision: String,
    },
    /// No such file.
    #[error("{repo} has no file `{file}`")]
    NoFile {
        /// `owner/repo`
        repo: String,
        /// As it was named.
        file: String,
        /// The GGUFs that it has.
        known: Vec<String>,
    },
    /// A split model without all of its parts.
    #[error("the model has {of} parts, and {repo} lacks `{part}`")]
    NoPart {
        /// `owner/repo`
        repo: String,
        /// The first that is missing.
        part: String,
        /// How many there are to be.
        of: usize,
    },
    /// Another status than one that helps.
    #[error("{host} answers {status}{}", said.as_ref().map_or_else(String::new, |said| format!(": {said}")))]
    Status {
        /// The server.
        host: String,
        /// Its status.
        status: String,
        /// What the hub calls the reason (`X-Error-Code`); mostly empty.
        code: String,
        /// Its words.
        said: Option<String>,
    },
    /// 429, more often than was waited for.
    #[error("{host} has had too many requests (429){}", after.map_or_else(String::new, |s| format!(", and asks to wait {s} s")))]
    Busy {
        /// The server.
        host: String,
        /// `Retry-After`, in seconds.
        after: Option<u64>,
    },
    /// 5xx, again and again.
    #[error("{host} is out of order: {status}{}", if *tries > 1 { format!(", asked {tries} times") } else { String::new() })]
    Server {
        /// The server.
        host: String,
        /// Its status.
        status: String,
        /// How often it was asked.
        tries: u32,
    },
    /// Redirects that lead nowhere.
    #[error("{host} sends in circles: {why}")]
    Redirects {
        /// The server that was asked.
        host: String,
        /// How.
        why: String,
    },
    /// The hub's description of a repository is none.
    #[error("{host} does not answer as the hub does: it sends {found}")]
    NotHub {
        /// The server.
        host: String,
        /// What came.
        found: String,
    },
    /// What comes is no GGUF.
    #[error("what is there is no GGUF: it looks like {looks}")]
    NotGguf {
        /// What it looks like.
        looks: String,
    },
    /// The connection breaks again and again.
    #[error("the connection broke off {tries} times in a row, at {}{}", amount(*done), total.map_or_else(String::new, |total| format!(" of {}", amount(total))))]
    Cut {
        /// How often nothing more came.
        tries: u32,
        /// Bytes that are here.
        done: u64,
        /// Bytes of the whole.
        total: Option<u64>,
    },
    /// Another length than was announced.
    #[error("the server gives {found} bytes, and the file has {expected}")]
    Length {
        /// What the hub says.
        expected: u64,
        /// What comes.
        found: u64,
    },
    /// Other bytes than those that are meant.
    #[error("the bytes are not those that are meant: {kind} {found}, expected {expected}")]
    Hash {
        /// `SHA-256`, or git's own.
        kind: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Too large for the disk.
    #[error("the disk is too small: {} more are needed, and {} are free in {}", amount(*needed), amount(*free), folder.display())]
    Disk {
        /// Where it would go.
        folder: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The cache cannot be written or read.
    #[error("cannot {doing} {}: {error}", path.display())]
    File {
        /// Write, read, lock …
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// Parts of a split model that do not belong together.
    #[error("the parts do not make one model: {why}")]
    Parts {
        /// What does not fit.
        why: String,
    },
    /// Ended by the user.
    #[error("interrupted{}", if *kept > 0 { format!(": {} are kept", amount(*kept)) } else { String::new() })]
    Interrupted {
        /// Bytes of it that are here.
        kept: u64,
    },
    /// It is not in the cache.
    #[error("it is not in the cache")]
    NotHere,
    /// Another process is downloading it.
    #[error("another process is downloading it now")]
    InUse,
    /// The settings of the hub are wrong.
    #[error("{what} `{value}` cannot be used: {why}")]
    Setting {
        /// Which.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        why: String,
    },
}

impl HubProblem {
    pub(super) fn about(self, model: &(impl ToString + ?Sized)) -> HubError {
        HubError { problem: Box::new(self), about: model.to_string(), place: None }
    }

    /// A problem with a file of the cache, for `map_err`.
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::File { doing, path: path.to_path_buf(), error }
    }

    /// How to mend it.
    #[must_use]
    pub fn help(&self, model: &str) -> Option<String> {
        self.help_to_find(model).or_else(|| self.help_to_have(model))
    }

    /// Of names, ways and doors.
    fn help_to_find(&self, model: &str) -> Option<String> {
        Some(match self {
            Self::Name { help, .. } => help.clone(),
            Self::NoFileNamed => format!("see what it holds, with sizes: tripos model pull {model}"),
            Self::NoHash { hub: Some(hub) } => format!("write {hub}: the hub says itself which bytes they are"),
            Self::NoHash { hub: None } if !is_gguf(model.split(['?', '#']).next().unwrap_or(model)) => {
                format!("if a server of models listens there, a suite names it: `model: {{endpoint: {model}}}`")
            }
            Self::NoHash { hub: None } => {
                format!(
                    "write `{{url: {model}, sha256: …}}`, or {model}#sha256=…\n\
                     tripos model pull {model} fetches it and says its SHA-256"
                )
            }
            Self::Offline => "unset it, or name a model that is here: tripos model list".into(),
            Self::Unreachable { .. } => "check the network, HTTPS_PROXY, NO_PROXY and HF_ENDPOINT; \
                                         models that are cached need no network: tripos model list"
                .into(),
            Self::Tls { .. } => {
                "check the clock of this machine; where a proxy opens connections, let the system trust its \
                                 certificate"
                    .into()
            }
            Self::Denied { token: false, site } => format!("make a token on {site}/settings/tokens and set HF_TOKEN"),
            Self::Denied { token: true, site } => {
                format!(
                    "see on {site}/settings/tokens whether it is still valid; HF_TOKEN holds it, or the file `token` in HF_HOME"
                )
            }
            Self::Gated { page, token } => {
                let token = if *token { "" } else { ", and set HF_TOKEN" };
                format!("accept its terms on {page}{token}")
            }
            Self::NoRepository { .. } => "check its spelling; for a private one set HF_TOKEN".into(),
            Self::NoRevision { .. } => {
                "name a branch, a tag or a commit behind the @, or leave it out for `main`".into()
            }
            Self::NoFile { known, .. } if known.is_empty() => {
                "it holds no GGUF at all; look for a repository that does".into()
            }
            Self::NoFile { file, known, .. } => {
                did_you_mean(file, &known.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Self::NoPart { .. } | Self::Parts { .. } => {
                "its owner has to mend it; take another file of the repository".into()
            }
            _ => return None,
        })
    }

    /// Of what comes, and where it goes.
    fn help_to_have(&self, model: &str) -> Option<String> {
        Some(match self {
            Self::Status { .. } if model.starts_with("hf:") => {
                "check the address; HF_ENDPOINT, where it is set, names the hub".into()
            }
            Self::Status { status, .. } if status.starts_with("401") || status.starts_with("403") => {
                "it wants a login: download the file by other means, and name its path".into()
            }
            Self::Status { .. } => "check the address".into(),
            Self::Busy { .. } => "try again later; with HF_TOKEN set the hub allows more".into(),
            Self::Server { .. } | Self::Cut { .. } => {
                format!("try again later, what came is kept: tripos model pull {model}")
            }
            Self::Redirects { .. } | Self::NotHub { .. } => {
                "check HF_ENDPOINT, and whether a proxy or a login page answers in the hub's place".into()
            }
            Self::NotGguf { .. } => {
                "nothing more was downloaded; check the name, and whether one has to log in there".into()
            }
            Self::Length { .. } => "nothing of it is kept; try again, or ask its owner".into(),
            Self::Hash { .. } => {
                "nothing of it is kept; try again, and where it stays so, do not trust the source".into()
            }
            Self::Disk { .. } => {
                "make room (tripos model list, tripos model rm), or name folders on a larger disk: HF_HUB_CACHE, and TRIPOS_CACHE \
                 for joined models and those of other addresses"
                    .into()
            }
            Self::File { error, .. } if error.kind() == std::io::ErrorKind::StorageFull => {
                "make room: tripos model list, tripos model rm; what came is kept".into()
            }
            Self::File { .. } => "check who owns the folder; HF_HUB_CACHE and TRIPOS_CACHE name others".into(),
            Self::Interrupted { .. } => format!("go on: tripos model pull {model}"),
            Self::NotHere => "see what is: tripos model list".into(),
            Self::InUse => "wait until it is done".into(),
            Self::Setting { .. } => "mend the environment variable, or unset it".into(),
            _ => return None,
        })
    }
}

/// `638.3 MiB`
fn amount(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB"];
    let (mut number, mut unit) = (bytes as f64 / 1024.0, 0);
    while number >= 1024.0 && unit + 1 < units.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.1} {}", units.get(unit).unwrap_or(&""))
}

/// What some bytes look like that are no GGUF, in words.
pub(super) fn looks(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let start = text.trim_start();
    if bytes.is_empty() {
        return "nothing: it is empty".into();
    }
    if start.is_empty() {
        return "white space".into();
    }
    if start.starts_with('<') {
        return "a web page".into();
    }
    if start.starts_with("version https://git-lfs") {
        return "a pointer of Git LFS, not the file that it points to".into();
    }
    if start.starts_with(['{', '[']) {
        return "JSON".into();
    }
    if bytes.starts_with(b"PK") {
        return "a zip archive or a PyTorch file".into();
    }
    if bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        let words: String = start.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
        return format!("text: {words}");
    }
    "other data".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_model_is_told_from_one_of_a_server_by_its_path() {
        let help = |model: &str| HubProblem::NoHash { hub: None }.help(model).unwrap();
        for model in ["https://h/a.gguf", "https://h/a.GGUF", "https://h/a.gguf?download=true", "https://h/a.gguf#x"] {
            assert!(help(model).contains("sha256: …"), "{model}");
        }
        for model in ["http://h:8080/v1", "http://h/v1?name=a.gguf"] {
            assert!(help(model).contains("model: {endpoint: "), "{model}");
        }
    }

    #[test]
    fn what_came_instead_is_named() {
        assert_eq!(looks(b" <!doctype html>"), "a web page");
        assert_eq!(
            looks(b"version https://git-lfs.github.com/spec/v1"),
            "a pointer of Git LFS, not the file that it points to"
        );
        assert_eq!(looks(b"{\"error\""), "JSON");
        assert_eq!(looks(b"PK\x03\x04"), "a zip archive or a PyTorch file");
        assert_eq!(looks(b"Not found\n"), "text: Not found ");
        assert_eq!(looks(&[0, 1, 2]), "other data");
    }
}
