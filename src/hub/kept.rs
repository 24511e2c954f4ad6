//! What the cache holds, and taking something out of it.

use super::cache::{Cache, leftovers};
use super::download::try_lock;
use super::error::HubProblem;
use super::listing::is_hex;
use super::partial::{self, Note};
use super::split;
use super::uri::{Repo, Uri};
use crate::error::without_secrets;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file beside one of another address that says which.
pub(super) const ADDRESS: &str = "address";

/// A model in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is called in suites.
    pub uri: String,
    /// Its file, the one to be read; where it is not complete, what is here of it.
    pub path: PathBuf,
    /// Bytes that it takes on the disk: of all its parts, and of the file that they are joined into.
    pub bytes: u64,
    /// When it was last used, as far as the system says.
    pub used: Option<SystemTime>,
    /// Bytes of the whole, where it is not complete and that is known.
    pub whole: Option<u64>,
    /// Whether all of it is here.
    pub complete: bool,
}

/// What was taken out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// What the models were called.
    pub uris: Vec<String>,
    /// Bytes that are free now.
    pub bytes: u64,
}

/// A file of a snapshot of a repository.
struct Linked {
    repo: Repo,
    commit: String,
    file: String,
    path: PathBuf,
}

impl Linked {
    /// What it is called: by its commit, unless a branch or a tag is at it.
    fn uri(&self, cache: &Cache) -> Uri {
        let refs = cache.folder(&self.repo).join("refs");
        let at = |name: &String| Repo { revision: Some(name.clone()), ..self.repo.clone() };
        let mut names = files(&refs);
        names.sort_by_key(|name| (name != "main", name.clone()));
        let name = names.into_iter().find(|name| cache.commit(&at(name)).as_deref() == Some(self.commit.as_str()));
        let revision = name.unwrap_or_else(|| self.commit.clone());
        let revision = Some(revision).filter(|revision| revision != "main");
        Uri::File { repo: Repo { revision, ..self.repo.clone() }, file: self.file.clone() }
    }
}

impl Cache {
    /// Every model of the cache, those that are not complete last.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let linked = self.linked();
        let firsts = linked.iter().filter(|linked| !split::follows(&linked.file));
        let mut entries: Vec<Entry> = firsts.map(|linked| self.entry(linked)).collect();
        entries.extend(self.of_addresses());
        entries.sort_by(|a, b| a.uri.cmp(&b.uri));
        entries.extend(self.incomplete());
        entries
    }

    fn entry(&self, linked: &Linked) -> Entry {
        let uri = linked.uri(self).to_string();
        let folder = self.snapshot(&linked.repo, &linked.commit);
        let Some(names) = split::parts(&linked.file) else {
            let (path, used) = (linked.path.clone(), used(&linked.path));
            return Entry { uri, bytes: size(&path), path, used, whole: None, complete: true };
        };
        let parts: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        let complete = parts.iter().all(|part| part.is_file());
        let joined = self.joined(&parts, &linked.file);
        let left = joined.parent().map(leftovers).unwrap_or_default();
        let bytes = parts.iter().chain([&joined]).chain(&left).map(|path| size(path)).sum();
        let path = if joined.is_file() { joined } else { linked.path.clone() };
        Entry { uri, bytes, used: used(&path), path, whole: None, complete }
    }

    /// The GGUFs of all snapshots of all repositories.
    fn linked(&self) -> Vec<Linked> {
        let mut found = Vec::new();
        for name in names(&self.hub) {
            let Some((owner, repo)) = name.strip_prefix("models--").and_then(|name| name.split_once("--")) else {
                continue;
            };
            let repo = Repo { owner: owner.to_owned(), name: repo.to_owned(), revision: None };
            for commit in names(&self.folder(&repo).join("snapshots")) {
                let folder = self.snapshot(&repo, &commit);
                let ggufs = files(&folder).into_iter().filter(|file| file.to_ascii_lowercase().ends_with(".gguf"));
                found.extend(ggufs.map(|file| {
                    let path = folder.join(&file);
                    Linked { repo: repo.clone(), commit: commit.clone(), file, path }
                }));
            }
        }
        // A link whose bytes somebody took away is nothing.
        found.retain(|linked| linked.path.is_file());
        found
    }

    /// Files of other addresses.
    fn of_addresses(&self) -> Vec<Entry> {
        let hashes = names(&self.own.join("sha256"));
        let entry = |sha256: String| {
            let path = self.find_by_hash(&sha256)?;
            let url = std::fs::read_to_string(self.by_hash(&sha256).join(ADDRESS)).ok()?;
            let (bytes, used) = (size(&path), used(&path));
            let uri = Uri::Web { url, sha256: Some(sha256) }.to_string();
            Some(Entry { uri, path, bytes, used, whole: None, complete: true })
        };
        hashes.into_iter().filter_map(entry).collect()
    }

    /// What broke off, ours only: of another program's nothing says which model it is.
    fn beginnings(&self) -> Vec<(Note, PathBuf)> {
        let repos = names(&self.hub).into_iter().filter(|name| name.starts_with("models--"));
        let mut folders: Vec<PathBuf> = repos.map(|name| self.hub.join(name).join("blobs")).collect();
        for kind in ["sha256", "unnamed"] {
            folders.extend(names(&self.own.join(kind)).into_iter().map(|name| self.own.join(kind).join(name)));
        }
        let paths = folders.iter().flat_map(|folder| names(folder).into_iter().map(move |name| folder.join(name)));
        paths.filter(|path| partial::is_one(path)).filter_map(|path| Some((Note::beside(&path)?, path))).collect()
    }

    /// The models of which they are beginnings.
    fn incomplete(&self) -> Vec<Entry> {
        let mut found: BTreeMap<String, Entry> = BTreeMap::new();
        for (note, path) in self.beginnings() {
            let (bytes, used) = (size(&path), used(&path));
            // Several parts of one model are one line.
            let entry = found.entry(note.uri.clone()).or_insert_with(|| Entry {
                uri: note.uri,
                path,
                bytes: 0,
                used,
                whole: note.bytes.map(|_| 0),
                complete: false,
            });
            entry.bytes += bytes;
            entry.whole = entry.whole.zip(note.bytes).map(|(sum, bytes)| sum + bytes);
        }
        found.into_values().collect()
    }

    /// Takes a model out, or all models of a repository; what another snapshot still names stays on the disk.
    pub(super) fn remove(&self, uri: &Uri) -> Result<Removed, HubProblem> {
        let mut removed = Removed::default();
        match uri {
            Uri::Web { url, sha256 } => self.remove_address(url, sha256.as_deref(), &mut removed),
            Uri::File { repo, file } => {
                let names = split::parts(file).unwrap_or_else(|| vec![file.clone()]);
                let commit = self.commit(repo).unwrap_or_default();
                let meant = |linked: &Linked| {
                    names.contains(&linked.file) && (linked.commit == commit || self.broke_off(linked, &names))
                };
                self.remove_linked(repo, &meant, &mut removed)?;
            }
            Uri::Repo(repo) => {
                let commit = repo.revision.is_some().then(|| self.commit(repo).unwrap_or_default());
                let meant = |linked: &Linked| commit.as_ref().is_none_or(|commit| *commit == linked.commit);
                self.remove_linked(repo, &meant, &mut removed)?;
            }
        }
        for entry in self.incomplete() {
            let of = Uri::parse(&entry.uri).ok();
            let meant = match (uri, &of) {
                (Uri::Repo(repo), Some(Uri::File { repo: of, .. })) => {
                    repo.id() == of.id() && (repo.revision.is_none() || repo.revision == of.revision)
                }
                // As they are shown: no note holds more of an address.
                _ => of.is_some_and(|of| of.to_string() == uri.to_string()),
            };
            if meant {
                removed.bytes += self.remove_incomplete(&entry)?;
                removed.uris.push(entry.uri);
            }
        }
        removed.uris.sort();
        removed.uris.dedup();
        if removed.uris.is_empty() { Err(HubProblem::NotHere) } else { Ok(removed) }
    }

    fn remove_linked(
        &self,
        repo: &Repo,
        meant: &dyn Fn(&Linked) -> bool,
        removed: &mut Removed,
    ) -> Result<(), HubProblem> {
        let all = self.linked();
        let going: Vec<&Linked> = all.iter().filter(|linked| linked.repo.id() == repo.id() && meant(linked)).collect();
        for linked in &going {
            if let Some(names) = split::parts(&linked.file).filter(|_| !split::follows(&linked.file)) {
                let folder = self.snapshot(&linked.repo, &linked.commit);
                let parts: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
                let joined = self.joined(&parts, &linked.file);
                if joined.parent().is_some_and(Path::exists) {
                    let _held = held(&Cache::lock_of_joined(&joined))?;
                    removed.bytes += clear(&joined);
                }
            }
        }
        for linked in &going {
            let uri = linked.uri(self).to_string();
            removed.bytes += self.unlink(linked, &all)?;
            if !split::follows(&linked.file) {
                removed.uris.push(uri);
            }
        }
        for linked in going {
            self.forget(repo, &linked.commit);
        }
        Ok(())
    }

    /// Removes branches and tags that are at a commit of which nothing is left: other tools call a cache with such names
    /// corrupt. What is not empty stays.
    fn forget(&self, repo: &Repo, commit: &str) {
        if self.snapshot(repo, commit).exists() {
            return;
        }
        let folder = self.folder(repo);
        let refs = folder.join("refs");
        for name in files(&refs) {
            let at = self.commit(&Repo { revision: Some(name.clone()), ..repo.clone() });
            if at.as_deref() == Some(commit) {
                let path = refs.join(name);
                let _ = std::fs::remove_file(&path);
                prune(&path, &folder);
            }
        }
        for empty in [folder.join("snapshots"), folder.join("blobs"), folder] {
            let _ = std::fs::remove_dir(empty);
        }
    }

    /// Whether a file is left of a split model whose download broke off: others of its parts are missing, and no branch or
    /// tag is at its commit, since that is noted last.
    fn broke_off(&self, linked: &Linked, names: &[String]) -> bool {
        let (folder, refs) = (self.snapshot(&linked.repo, &linked.commit), self.folder(&linked.repo).join("refs"));
        let at = |name: String| self.commit(&Repo { revision: Some(name), ..linked.repo.clone() });
        names.iter().any(|name| !folder.join(name).is_file())
            && files(&refs).into_iter().all(|name| at(name).as_deref() != Some(linked.commit.as_str()))
    }

    /// Removes a file of a snapshot, and its bytes where no other names them.
    fn unlink(&self, linked: &Linked, all: &[Linked]) -> Result<u64, HubProblem> {
        let blobs = self.folder(&linked.repo).join("blobs");
        let bytes = linked.path.canonicalize().ok();
        // Only what lies among the bytes of this repository is ours to remove.
        let blob = bytes.filter(|blob| blobs.canonicalize().is_ok_and(|blobs| blob.parent() == Some(&blobs)));
        let lock = blob.as_ref().and_then(|blob| Some(self.lock(&linked.repo, blob.file_name()?.to_str()?)));
        let _held = lock.as_deref().map(held).transpose()?;
        let plain = if blob.is_none() { size(&linked.path) } else { 0 };
        std::fs::remove_file(&linked.path).map_err(HubProblem::file("remove", &linked.path))?;
        prune(&linked.path, &self.folder(&linked.repo).join("snapshots"));
        let Some(blob) = blob else { return Ok(plain) };
        if all.iter().any(|other| other.path.canonicalize().is_ok_and(|path| path == blob)) {
            return Ok(0);
        }
        let freed = size(&blob);
        std::fs::remove_file(&blob).map_err(HubProblem::file("remove", &blob))?;
        Ok(freed)
    }

    fn remove_address(&self, url: &str, sha256: Option<&str>, removed: &mut Removed) {
        for sha in names(&self.own.join("sha256")) {
            let folder = self.by_hash(&sha);
            let of = std::fs::read_to_string(folder.join(ADDRESS)).unwrap_or_default();
            let Some(path) = self.find_by_hash(&sha) else { continue };
            // As it was noted by a version that kept all of the address, too.
            let of = without_secrets(&of);
            if sha256.map_or(of == without_secrets(url), |sha256| sha256 == sha) {
                removed.bytes += clear(&path);
                removed.uris.push(Uri::Web { url: of, sha256: Some(sha) }.to_string());
            }
        }
    }

    /// Removes all beginnings of a model.
    fn remove_incomplete(&self, entry: &Entry) -> Result<u64, HubProblem> {
        let mut freed = 0;
        for (_, path) in self.beginnings().into_iter().filter(|(note, _)| note.uri == entry.uri) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let lock = match Uri::parse(&entry.uri) {
                Ok(Uri::File { repo, .. }) => self.lock(&repo, name.trim_end_matches(".incomplete")),
                _ => path.with_file_name("lock"),
            };
            let _held = held(&lock)?;
            freed += size(&path);
            partial::remove(&path);
        }
        Ok(freed)
    }
}

/// The lock of a file that nobody is downloading.
fn held(lock: &Path) -> Result<super::download::Held, HubProblem> {
    if let Some(folder) = lock.parent() {
        std::fs::create_dir_all(folder).map_err(HubProblem::file("make the folder", folder))?;
    }
    try_lock(lock)?.ok_or(HubProblem::InUse)
}

/// Removes a file with the folder that is its own, and what a killed process left there; gives the bytes freed.
fn clear(path: &Path) -> u64 {
    let left = path.parent().map(leftovers).unwrap_or_default();
    let freed = size(path) + left.iter().map(|path| size(path)).sum::<u64>();
    if let Some(folder) = path.parent().filter(|folder| folder.exists()) {
        // Its name is a hash: nothing else lies there.
        if folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_hex(name, 64)) {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
    freed
}

/// Removes folders that are empty now, up to one that stays.
fn prune(path: &Path, top: &Path) {
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != top && folder.starts_with(top)) {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

fn used(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.accessed().ok()
}

/// The names in a folder, sorted; none where there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The files under a folder, as paths from there with `/`. Links to folders are not followed.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in names(folder) {
        let path = folder.join(&name);
        let is_folder = std::fs::symlink_metadata(&path).is_ok_and(|about| about.is_dir());
        if is_folder {
            found.extend(files(&path).into_iter().map(|file| format!("{name}/{file}")));
        } else {
            found.push(name);
        }
    }
    found
}
