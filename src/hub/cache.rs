//! Where files lie: in the Hugging Face cache as every tool of theirs lays it out, so that ours are theirs and theirs ours.
//!
//! ```text
//! HF_HOME/hub/models--owner--repo/blobs/<sha256>                 the bytes, once
//!                                 refs/main                      the commit that the branch was at
//!                                 snapshots/<commit>/d/a.gguf    a link to the bytes
//!            .locks/models--owner--repo/<sha256>.lock            held while they come
//! TRIPOS_CACHE/models/sha256/<sha256>/a.gguf                     files of other addresses, by what they are
//!                    /joined/<parts>/a.gguf                      split models made one file
//! ```
//!
//! Source: huggingface_hub, `file_download.py` ("Understand caching" in its guides).

use super::error::HubProblem;
use super::listing::{Sum, is_hex};
use super::split;
use super::uri::Repo;
use sha2::{Digest, Sha256};
use std::fs::{File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folders of the cache.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    /// `HF_HUB_CACHE`, or `HF_HOME/hub`
    pub(super) hub: PathBuf,
    /// `TRIPOS_CACHE/models`
    pub(super) own: PathBuf,
}

impl Cache {
    pub(super) fn folder(&self, repo: &Repo) -> PathBuf {
        self.hub.join(format!("models--{}--{}", repo.owner, repo.name))
    }

    pub(super) fn blob(&self, repo: &Repo, sum: &Sum) -> PathBuf {
        self.folder(repo).join("blobs").join(sum.hex())
    }

    /// The lock of a file of the cache, by the name of its bytes; huggingface_hub's.
    pub(super) fn lock(&self, repo: &Repo, blob: &str) -> PathBuf {
        self.hub.join(".locks").join(format!("models--{}--{}", repo.owner, repo.name)).join(format!("{blob}.lock"))
    }

    pub(super) fn snapshot(&self, repo: &Repo, commit: &str) -> PathBuf {
        self.folder(repo).join("snapshots").join(commit)
    }

    /// The commit that a revision was at when it was last asked for.
    pub(super) fn commit(&self, repo: &Repo) -> Option<String> {
        if is_hex(repo.at(), 40) {
            return Some(repo.at().to_owned());
        }
        let text = std::fs::read_to_string(self.folder(repo).join("refs").join(repo.at())).ok()?;
        let commit = text.trim();
        is_hex(commit, 40).then(|| commit.to_owned())
    }

    /// A model that is here whole: its file, or all parts of a split one.
    pub(super) fn find(&self, repo: &Repo, file: &str) -> Option<Vec<PathBuf>> {
        let folder = self.snapshot(repo, &self.commit(repo)?);
        let names = split::parts(file).unwrap_or_else(|| vec![file.to_owned()]);
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        paths.iter().all(|path| path.is_file()).then_some(paths)
    }

    /// Lets a file of a commit stand for its bytes.
    pub(super) fn link(&self, repo: &Repo, (commit, file): (&str, &str), blob: &Path) -> Result<PathBuf, HubProblem> {
        let path = self.snapshot(repo, commit).join(file);
        if same(&path, blob) {
            return Ok(path);
        }
        let folder = path.parent().unwrap_or(&path);
        std::fs::create_dir_all(folder).map_err(HubProblem::file("make the folder", folder))?;
        // Made apart and moved there, so that a link that is there never vanishes.
        let apart = folder.join(format!(".{}.{}", blob.file_name().unwrap_or_default().display(), std::process::id()));
        let _ = std::fs::remove_file(&apart);
        let linked = link(blob, &apart, file).and_then(|()| std::fs::rename(&apart, &path));
        linked.map_err(|error| {
            let _ = std::fs::remove_file(&apart);
            HubProblem::file("write", &path)(error)
        })?;
        Ok(path)
    }

    /// Keeps which commit a branch or a tag is at.
    pub(super) fn note(&self, repo: &Repo, commit: &str) -> Result<(), HubProblem> {
        if is_hex(repo.at(), 40) || self.commit(repo).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder(repo).join("refs").join(repo.at());
        whole(&path, commit)
    }

    /// Where a split model lies as one file. Its parts are known by what they are: by the hashes that links lead to; where there
    /// are no links (a copied cache, a file system without them), by their place, length and time.
    pub(super) fn joined(&self, parts: &[PathBuf], file: &str) -> PathBuf {
        let mut hash = Sha256::new();
        for part in parts {
            let bytes = part.canonicalize().unwrap_or_else(|_| part.clone());
            let name = bytes.file_name().unwrap_or_default();
            if name.to_str().is_some_and(|name| is_hex(name, 40) || is_hex(name, 64)) {
                hash.update(name.as_encoded_bytes());
            } else {
                let about = std::fs::metadata(&bytes).map(|about| (about.len(), about.modified().ok()));
                hash.update(format!("{} {about:?}", bytes.display()));
            }
            hash.update(b"\n");
        }
        let name = split::whole(file.rsplit('/').next().unwrap_or(file));
        self.own.join("joined").join(super::partial::hex(&hash.finalize())).join(name)
    }

    /// What is held while a split model is made one file: beside its folder, which goes with the file.
    pub(super) fn lock_of_joined(joined: &Path) -> PathBuf {
        joined.parent().unwrap_or(joined).with_extension("lock")
    }

    /// The folder of a file that is known by its hash alone.
    pub(super) fn by_hash(&self, sha256: &str) -> PathBuf {
        self.own.join("sha256").join(sha256)
    }

    /// The model of that hash.
    pub(super) fn find_by_hash(&self, sha256: &str) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.by_hash(sha256)).ok()?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        files
            .into_iter()
            .find(|path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")) && path.is_file())
    }
}

/// Writes a small file, whole or not at all.
pub(super) fn whole(path: &Path, text: &str) -> Result<(), HubProblem> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(HubProblem::file("make the folder", folder))?;
    let write = || {
        use std::io::Write;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        #[cfg(unix)]
        std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(HubProblem::file("write", path))
}

/// Notes that a file was used now. The time of access is what other tools go by, too, and file systems seldom keep it by
/// themselves.
pub(super) fn touch(path: &Path) {
    let now = FileTimes::new().set_accessed(SystemTime::now());
    // A cache that belongs to somebody else is used all the same.
    let _ = File::open(path).and_then(|file| file.set_times(now));
}

/// Whether what is written to one folder is missing in the other. A system that does not say: it is.
pub(super) fn on_one_disk(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (std::fs::metadata(a), std::fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        return a.dev() == b.dev();
    }
    #[cfg(not(unix))]
    let _ = (a, b);
    true
}

/// What a process that was killed left of a file that it wrote beside its place.
pub(super) fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    // `tempfile`'s own prefix: both the writer of GGUFs and `whole` write through it.
    let left = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".tmp"));
    left.map(|entry| entry.path()).collect()
}

fn same(path: &Path, blob: &Path) -> bool {
    matches!((path.canonicalize(), blob.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// A link as seen from the folder of the snapshot: the cache may be moved as a whole.
#[cfg(unix)]
fn link(blob: &Path, at: &Path, file: &str) -> std::io::Result<()> {
    let mut target: PathBuf = std::iter::repeat_n("..", file.split('/').count() + 1).collect();
    target.extend([Path::new("blobs"), Path::new(blob.file_name().unwrap_or_default())]);
    std::os::unix::fs::symlink(target, at)
}

/// Where links need rights that users seldom have: a second name for the same bytes, or else a copy.
#[cfg(not(unix))]
fn link(blob: &Path, at: &Path, _file: &str) -> std::io::Result<()> {
    std::fs::hard_link(blob, at).or_else(|_| std::fs::copy(blob, at).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path) -> Cache {
        Cache { hub: folder.join("hub"), own: folder.join("models") }
    }

    fn repo(revision: Option<&str>) -> Repo {
        Repo { owner: "o".into(), name: "r".into(), revision: revision.map(str::to_owned) }
    }

    /// As in a cache that was copied without its links.
    #[test]
    fn parts_of_one_name_and_of_other_models_are_joined_apart() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { hub: folder.path().join("hub"), own: folder.path().join("own") };
        let joined = |repo: &str, text: &str| {
            let part = cache.hub.join(repo).join("m-00001-of-00001.gguf");
            std::fs::create_dir_all(part.parent().unwrap()).unwrap();
            std::fs::write(&part, text).unwrap();
            cache.joined(&[part], "m-00001-of-00001.gguf")
        };
        let (one, other) = (joined("one", "first"), joined("other", "second"));
        assert_ne!(one, other);
        assert_ne!(joined("one", "first, and later"), one, "another length");
    }

    #[test]
    fn a_linked_file_is_found_under_its_branch_and_its_commit() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, commit) = (cache(folder.path()), "c".repeat(40));
        let blob = cache.blob(&repo(None), &Sum::Sha256("b".repeat(64)));
        std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
        std::fs::write(&blob, "bytes").unwrap();
        assert_eq!(cache.find(&repo(None), "d/a.gguf"), None);
        let path = cache.link(&repo(None), (&commit, "d/a.gguf"), &blob).unwrap();
        assert_eq!(cache.link(&repo(None), (&commit, "d/a.gguf"), &blob).unwrap(), path, "twice is once");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "bytes");
        assert_eq!(cache.find(&repo(None), "d/a.gguf"), None, "which commit `main` is at is not known yet");
        cache.note(&repo(None), &commit).unwrap();
        assert_eq!(cache.find(&repo(None), "d/a.gguf"), Some(vec![path.clone()]));
        assert_eq!(cache.find(&repo(Some(&commit)), "d/a.gguf"), Some(vec![path.clone()]));
        assert_eq!(cache.find(&repo(Some("v1")), "d/a.gguf"), None);
        #[cfg(unix)]
        assert_eq!(std::fs::read_link(&path).unwrap(), Path::new("../../../blobs").join("b".repeat(64)));
    }

    #[test]
    fn a_file_is_found_by_its_hash_however_its_ending_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, sha256) = (cache(folder.path()), "a".repeat(64));
        let path = cache.by_hash(&sha256).join("Model.GGUF");
        std::fs::create_dir_all(cache.by_hash(&sha256)).unwrap();
        std::fs::write(cache.by_hash(&sha256).join("address"), "https://h/Model.GGUF").unwrap();
        assert_eq!(cache.find_by_hash(&sha256), None);
        std::fs::write(&path, "bytes").unwrap();
        assert_eq!(cache.find_by_hash(&sha256), Some(path));
    }

    #[test]
    fn a_split_model_is_here_when_all_its_parts_are() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, commit) = (cache(folder.path()), "c".repeat(40));
        let snapshot = cache.snapshot(&repo(None), &commit);
        std::fs::create_dir_all(&snapshot).unwrap();
        cache.note(&repo(None), &commit).unwrap();
        let names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
        std::fs::write(snapshot.join(names[0]), "1").unwrap();
        assert_eq!(cache.find(&repo(None), names[0]), None);
        std::fs::write(snapshot.join(names[1]), "2").unwrap();
        let parts = cache.find(&repo(None), names[0]).unwrap();
        assert_eq!(parts.len(), 2);
        let joined = cache.joined(&parts, names[0]);
        assert_eq!(joined.file_name().unwrap(), "m.gguf");
        assert_ne!(joined, cache.joined(&parts[..1], names[0]));
    }
}
