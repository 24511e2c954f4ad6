//! What a repository holds, as the hub describes it: `GET /api/models/{repo}/revision/{revision}?blobs=true`.

use super::error::{HubProblem, looks};
use super::http::{Http, host, refusal};
use super::split;
use super::uri::{Repo, part};
use reqwest::header::HeaderMap;
use serde::Deserialize;

/// What is known of a file before it is downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its path in the repository.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    /// What its bytes come to.
    pub(super) sum: Sum,
}

/// What the bytes of a file must come to. It names the file in the cache, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sum {
    /// SHA-256, of files that are kept apart (LFS): every GGUF of more than a few MiB.
    Sha256(String),
    /// git's own, of files that lie in the repository itself: SHA-1 of `blob {length}\0` and the bytes.
    Git(String),
}

impl Sum {
    pub(super) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }
}

/// A repository at a commit.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<Listed>,
}

/// A model that a repository offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The file, or the first part of a split model.
    pub file: String,
    /// Bytes of all its parts.
    pub bytes: u64,
    /// How many files it is cut into.
    pub parts: usize,
}

/// The hub's own words for it; whatever else it says is of no matter here.
#[derive(Deserialize)]
struct Described {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Listing {
    /// Asks the hub.
    pub(super) fn of(http: &Http, repo: &Repo) -> Result<Self, HubProblem> {
        let mut url = http.hub(&["api", "models", &repo.owner, &repo.name, "revision", repo.at()]);
        url.set_query(Some("blobs=true"));
        let response = http.get(&url, &HeaderMap::new())?;
        let at = host(response.url());
        if !response.status().is_success() {
            return Err(match meant(http, repo, refusal(&response)) {
                HubProblem::Status { host, status, .. } if status.starts_with("404") => {
                    HubProblem::NoRepository { repo: repo.id(), host }
                }
                problem => problem,
            });
        }
        let body = http.body(response)?;
        let described: Described = serde_json::from_slice(&body).map_err(|error| {
            let found = looks(&body);
            let found = if found == "JSON" { format!("JSON of another shape ({error})") } else { found };
            HubProblem::NotHub { host: at.clone(), found }
        })?;
        // It becomes the name of a folder.
        if !is_hex(&described.sha, 40) {
            return Err(HubProblem::NotHub { host: at, found: "a commit that is none".into() });
        }
        let files = described.siblings.into_iter().filter_map(Sibling::listed).collect();
        Ok(Self { commit: described.sha, files })
    }

    /// The models among its files, by name.
    pub(super) fn offers(&self) -> Vec<Offer> {
        let is_gguf = |file: &&Listed| file.name.to_ascii_lowercase().ends_with(".gguf");
        let models = self.files.iter().filter(is_gguf).filter(|file| !split::follows(&file.name));
        let offer = |file: &Listed| {
            let names = split::parts(&file.name).unwrap_or_else(|| vec![file.name.clone()]);
            let bytes = self.files.iter().filter(|other| names.contains(&other.name)).map(|other| other.bytes).sum();
            Offer { file: file.name.clone(), bytes, parts: names.len() }
        };
        let mut offers: Vec<Offer> = models.map(offer).collect();
        offers.sort_by(|a, b| a.bytes.cmp(&b.bytes).then_with(|| a.file.cmp(&b.file)));
        offers
    }

    /// The files of a model, in order: one, or all parts of a split one.
    pub(super) fn parts(&self, repo: &Repo, file: &str) -> Result<Vec<&Listed>, HubProblem> {
        let find = |name: &str| self.files.iter().find(|listed| listed.name == name);
        if find(file).is_none() {
            let known = self.offers().into_iter().map(|offer| offer.file).collect();
            return Err(HubProblem::NoFile { repo: repo.id(), file: file.to_owned(), known });
        }
        let names = split::parts(file).unwrap_or_else(|| vec![file.to_owned()]);
        let of = names.len();
        let part = |name: String| find(&name).ok_or(HubProblem::NoPart { repo: repo.id(), part: name, of });
        names.into_iter().map(part).collect()
    }
}

impl Sibling {
    /// `None` for what could not be downloaded or kept: no length, no hash, or a name that leads elsewhere.
    fn listed(self) -> Option<Listed> {
        let (bytes, sum) = match (self.lfs, self.blob_id) {
            (Some(lfs), _) if is_hex(&lfs.sha256, 64) => (lfs.size, Sum::Sha256(lfs.sha256)),
            (None, Some(id)) if is_hex(&id, 40) => (self.size?, Sum::Git(id)),
            _ => return None,
        };
        self.rfilename.split('/').all(part).then_some(Listed { name: self.rfilename, bytes, sum })
    }
}

pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What the hub means by a refusal, from its status and what it calls the reason.
pub(super) fn meant(http: &Http, repo: &Repo, problem: HubProblem) -> HubProblem {
    let HubProblem::Status { status, code, .. } = &problem else { return problem };
    let token = http.has_token();
    match (code.as_str(), status.get(..3)) {
        ("GatedRepo", _) | (_, Some("403")) => {
            HubProblem::Gated { token, page: format!("{}/{}", http.site(), repo.id()) }
        }
        ("RevisionNotFound", _) => HubProblem::NoRevision { repo: repo.id(), revision: repo.at().to_owned() },
        // Whether there is a private repository of that name, the hub does not tell strangers.
        ("RepoNotFound", _) => HubProblem::NoRepository { repo: repo.id(), host: http.host() },
        (_, Some("401")) => HubProblem::Denied { token, site: http.site() },
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[(&str, u64)]) -> Listing {
        let listed = |(name, bytes): &(&str, u64)| Listed {
            name: (*name).to_owned(),
            bytes: *bytes,
            sum: Sum::Git("0".repeat(40)),
        };
        Listing { commit: "0".repeat(40), files: files.iter().map(listed).collect() }
    }

    fn repo() -> Repo {
        Repo { owner: "o".into(), name: "r".into(), revision: None }
    }

    #[test]
    fn a_split_model_is_one_offer_with_all_its_bytes() {
        let found = listing(&[
            ("README.md", 1),
            ("q/m-00001-of-00002.gguf", 10),
            ("q/m-00002-of-00002.gguf", 5),
            ("a.gguf", 3),
        ]);
        let offers: Vec<_> = found.offers().into_iter().map(|offer| (offer.file, offer.bytes, offer.parts)).collect();
        assert_eq!(offers, [("a.gguf".to_owned(), 3, 1), ("q/m-00001-of-00002.gguf".to_owned(), 15, 2)]);
        assert_eq!(found.parts(&repo(), "q/m-00001-of-00002.gguf").unwrap().len(), 2);
    }

    #[test]
    fn a_part_or_a_file_that_is_missing_is_named() {
        let cut = listing(&[("m-00001-of-00002.gguf", 10)]);
        let said = |file: &str| cut.parts(&repo(), file).unwrap_err().about("m");
        assert_eq!(
            said("m-00001-of-00002.gguf").to_string(),
            "the model has 2 parts, and o/r lacks `m-00002-of-00002.gguf`"
        );
        let help = crate::error::Explain::help(&said("m-00001-of-00003.gguf"));
        assert_eq!(help.unwrap(), "did you mean `m-00001-of-00002.gguf`? (m-00001-of-00002.gguf)");
    }

    #[test]
    fn what_leads_out_of_the_cache_is_not_listed() {
        let of = |name: &str, sha256: &str| {
            let text =
                format!(r#"{{"rfilename": "{name}", "lfs": {{"sha256": "{sha256}", "size": 3, "pointerSize": 1}}}}"#);
            serde_json::from_str::<Sibling>(&text).unwrap().listed()
        };
        assert!(of("d/a.gguf", &"a".repeat(64)).is_some());
        assert_eq!(of("../a.gguf", &"a".repeat(64)), None);
        assert_eq!(of("a.gguf", "../../x"), None);
    }
}
