//! How a model that lies elsewhere is named: `hf://owner/repo/file.gguf[@revision]`, or an address with a hash.

use super::error::HubProblem;
use super::split;
use crate::error::without_secrets;
use std::fmt;

/// What stands between an address and the SHA-256 of what is there.
const HASH: &str = "#sha256=";
/// The branch that is meant where no revision is named.
const MAIN: &str = "main";

/// A repository of the hub, at a revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repo {
    /// The user or organisation.
    pub owner: String,
    /// The repository's own name.
    pub name: String,
    /// A branch, a tag or a commit; `None` is `main`.
    pub revision: Option<String>,
}

/// A model that lies elsewhere.
///
/// ```
/// use tripos::hub::Uri;
/// let uri = Uri::parse("hf://owner/repo/folder/model-q8_0.gguf@v1.0")?;
/// assert!(matches!(&uri, Uri::File { repo, file } if repo.name == "repo" && file == "folder/model-q8_0.gguf"));
/// assert_eq!(uri.to_string(), "hf://owner/repo/folder/model-q8_0.gguf@v1.0");
/// assert!(matches!(Uri::parse("hf://owner/repo")?, Uri::Repo(_)));
/// assert!(Uri::parse("hf://owner/../etc/passwd").is_err());
/// # Ok::<(), tripos::hub::HubError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Uri {
    /// A file of a repository. A split model is named by its first part.
    File {
        /// The repository.
        repo: Repo,
        /// The file's path in it.
        file: String,
    },
    /// A repository as a whole, which is a list to choose from.
    Repo(Repo),
    /// A file at any other address.
    Web {
        /// The address, without the hash.
        url: String,
        /// SHA-256 of its bytes, in lower-case hex; `None` where nothing says which bytes are meant.
        sha256: Option<String>,
    },
}

impl Repo {
    /// `owner/repo`
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The revision that is meant.
    #[must_use]
    pub fn at(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf://{}/{}", self.owner, self.name)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
    }
}

/// As it is shown and recorded: an address without its query, which may be a signature.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repo(repo) => repo.fmt(f),
            Self::File { repo: Repo { owner, name, revision }, file } => {
                write!(f, "hf://{owner}/{name}/{file}")?;
                revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
            }
            Self::Web { url, sha256: Some(sha256) } => write!(f, "{}{HASH}{sha256}", without_secrets(url)),
            Self::Web { url, sha256: None } => f.write_str(&without_secrets(url)),
        }
    }
}

impl Uri {
    /// Reads a name. Its parts become parts of paths, so whatever would lead out of a folder is refused.
    pub fn parse(text: &str) -> Result<Self, super::HubError> {
        let refused = |why: &str, help: String| {
            let shown = without_secrets(text);
            HubProblem::Name { written: shown.clone(), why: why.to_owned(), help }.about(&shown)
        };
        let shape = || "write hf://owner/repo/file.gguf, and @revision behind it where one is meant".to_owned();
        if text.starts_with("https://") || text.starts_with("http://") {
            return web(text).map_err(|(why, help)| refused(why, help));
        }
        let Some(path) = text.strip_prefix("hf://") else {
            return Err(refused("this is no address of a model", shape()));
        };
        if path.starts_with("datasets/") || path.starts_with("spaces/") {
            return Err(refused("this is no model but a data set or a space", shape()));
        }
        let (path, revision) = divided(path);
        let mut parts = path.split('/');
        let (Some(owner), Some(name)) = (parts.next(), parts.next()) else {
            return Err(refused("the owner or the repository is missing", shape()));
        };
        let whole = parts.collect::<Vec<_>>();
        let file = whole.join("/");
        if !named(owner) || !named(name) || revision.is_some_and(|revision| !revision.split('/').all(part)) {
            return Err(refused("the owner, the repository or the revision cannot be called that", shape()));
        }
        let repo = Repo { owner: owner.into(), name: name.into(), revision: revision.map(str::to_owned) };
        if whole.iter().all(|part| part.is_empty()) {
            return Ok(Self::Repo(repo));
        }
        if !whole.iter().all(|&one| part(one)) {
            return Err(refused("the file cannot be called that", shape()));
        }
        if !is_gguf(&file) {
            let help = format!("see which files there are: tripos model pull {repo}");
            return Err(refused("the file is no GGUF by its name", help));
        }
        let file = split::parts(&file).and_then(|parts| parts.into_iter().next()).unwrap_or(file);
        Ok(Self::File { repo, file })
    }

    /// The file's own name, without folders.
    #[must_use]
    pub fn file_name(&self) -> &str {
        let last = |path: &'_ str| path.rfind('/').map_or(0, |at| at + 1);
        match self {
            Self::File { file, .. } => file.get(last(file)..).unwrap_or(file),
            Self::Repo(repo) => &repo.name,
            Self::Web { url, .. } => {
                let path = url.split(['?', '#']).next().unwrap_or(url);
                path.get(last(path)..).filter(|name| part(name) && is_gguf(name)).unwrap_or("model.gguf")
            }
        }
    }
}

/// An address, and the hash behind it.
fn web(text: &str) -> Result<Uri, (&'static str, String)> {
    let (url, sha256) = match text.split_once('#') {
        None => (text, None),
        Some((url, hash)) => match hash.strip_prefix("sha256=") {
            Some(hex) if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                (url, Some(hex.to_ascii_lowercase()))
            }
            _ => {
                return Err((
                    "the SHA-256 is not 64 hexadecimal digits",
                    format!("write it as {}{HASH}…", without_secrets(url)),
                ));
            }
        },
    };
    match reqwest::Url::parse(url) {
        // Passwords in addresses end up in logs, headers and reports.
        Ok(parsed) if parsed.password().is_some() || !parsed.username().is_empty() => {
            Err(("an address with a name or a password in it would be recorded", "leave them out".to_owned()))
        }
        Ok(_) => Ok(Uri::Web { url: url.to_owned(), sha256 }),
        Err(_) => Err(("this is no address", "write https://host/path/file.gguf".to_owned())),
    }
}

/// The path, and the revision behind the last `@` that does not belong to the file's name.
fn divided(path: &str) -> (&str, Option<&str>) {
    let folded = path.to_ascii_lowercase();
    let at = folded.rfind(".gguf@").map(|at| at + 5).or_else(|| path.find('@').filter(|_| !is_gguf(path)));
    match at {
        Some(at) => (path.get(..at).unwrap_or(path), path.get(at + 1..)),
        None => (path, None),
    }
}

/// Whether a file is a GGUF by its name.
pub(super) fn is_gguf(file: &str) -> bool {
    file.len() > 5 && file.to_ascii_lowercase().ends_with(".gguf")
}

/// Whether an owner or a repository may be called so: as the hub allows it. `--` stands for `/` in the cache's folders.
fn named(name: &str) -> bool {
    part(name)
        && !name.contains("--")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Whether it may be part of a path.
pub(super) fn part(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.chars().any(|c| c.is_control() || matches!(c, '\\' | ':' | '?' | '#'))
}

/// What `hf://…` an address in a browser stands for: `https://huggingface.co/owner/repo/blob/main/file.gguf`.
pub(super) fn of_browser(url: &str) -> Option<String> {
    let path = ["https://huggingface.co/", "https://hf.co/"].iter().find_map(|site| url.strip_prefix(site))?;
    let path = path.split(['?', '#']).next()?;
    let parts: Vec<&str> = path.split('/').collect();
    let found = match parts.as_slice() {
        [owner, name, "blob" | "resolve", "main", file @ ..] => format!("hf://{owner}/{name}/{}", file.join("/")),
        [owner, name, "blob" | "resolve", at, file @ ..] => format!("hf://{owner}/{name}/{}@{at}", file.join("/")),
        [owner, name] => format!("hf://{owner}/{name}"),
        _ => return None,
    };
    Uri::parse(&found).ok().map(|uri| uri.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    fn refused(text: &str) -> String {
        render(&Uri::parse(text).unwrap_err(), false)
    }

    #[test]
    fn names_are_read_with_their_revision_and_written_back() {
        let long = format!("https://host/a.gguf#sha256={}", "0a".repeat(32));
        for text in
            ["hf://o/r", "hf://o/r@v1", "hf://o/r/a.gguf", "hf://o/r/d/a.gguf@refs/pr/1", "hf://o/r/a@b.gguf", &long]
        {
            assert_eq!(Uri::parse(text).unwrap().to_string(), *text);
        }
        let Uri::File { repo, file } = Uri::parse("hf://o/r/d/a.gguf@refs/pr/1").unwrap() else { panic!("a file") };
        assert_eq!((repo.at(), file.as_str()), ("refs/pr/1", "d/a.gguf"));
        assert_eq!(Uri::parse("hf://o/r/").unwrap().to_string(), "hf://o/r");
        assert_eq!(Uri::parse(&long).unwrap().file_name(), "a.gguf");
        assert_eq!(Uri::parse("https://host/..").unwrap().file_name(), "model.gguf");
    }

    #[test]
    fn a_query_is_asked_with_and_not_shown() {
        let hash = format!("#sha256={}", "0a".repeat(32));
        for hash in ["", &hash] {
            let uri = Uri::parse(&format!("https://host/a.gguf?Signature=secret{hash}")).unwrap();
            assert!(matches!(&uri, Uri::Web { url, .. } if url == "https://host/a.gguf?Signature=secret"));
            assert_eq!(uri.to_string(), format!("https://host/a.gguf{hash}"));
        }
        assert!(!refused("https://host/a.gguf?Signature=secret#sha256=12").contains("secret"));
    }

    #[test]
    fn a_part_of_a_split_model_names_the_model() {
        let uri = Uri::parse("hf://o/r/big-00002-of-00003.gguf@main").unwrap();
        assert_eq!(uri.to_string(), "hf://o/r/big-00001-of-00003.gguf@main");
    }

    #[test]
    fn nothing_leads_out_of_the_cache() {
        for text in [
            "hf://o/../a.gguf",
            "hf://../r/a.gguf",
            "hf://o/r/../../a.gguf",
            "hf://o/r/d//a.gguf",
            "hf://o/r/a.gguf@../../x",
            "hf://o/r/a.gguf@",
            "hf://o/r\\..\\a.gguf",
            "hf://o--p/r/a.gguf",
            "hf://o",
        ] {
            assert!(Uri::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_name() {
        insta::assert_snapshot!(refused("hf://o/r/config.json"), @r"
        error: `hf://o/r/config.json` names no model: the file is no GGUF by its name
          --> hf://o/r/config.json
          help: see which files there are: tripos model pull hf://o/r
        ");
        insta::assert_snapshot!(refused("https://h/a.gguf#sha256=12"), @r"
        error: `https://h/a.gguf#sha256=12` names no model: the SHA-256 is not 64 hexadecimal digits
          --> https://h/a.gguf#sha256=12
          help: write it as https://h/a.gguf#sha256=…
        ");
        insta::assert_snapshot!(refused("https://me:secret@h/a.gguf"), @r"
        error: `https://…@h/a.gguf` names no model: an address with a name or a password in it would be recorded
          --> https://…@h/a.gguf
          help: leave them out
        ");
    }

    #[test]
    fn an_address_from_a_browser_is_recognised() {
        let of = |path: &str| of_browser(&format!("https://huggingface.co/{path}"));
        assert_eq!(of("o/r/blob/main/d/a.gguf").as_deref(), Some("hf://o/r/d/a.gguf"));
        assert_eq!(of("o/r/resolve/v1/a.gguf?download=true").as_deref(), Some("hf://o/r/a.gguf@v1"));
        assert_eq!(of("o/r").as_deref(), Some("hf://o/r"));
        assert_eq!(of_browser("https://example.com/o/r/blob/main/a.gguf"), None);
    }
}
