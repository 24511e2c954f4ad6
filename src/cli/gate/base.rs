//! `gate --base REF`: the suite, its prompts and its cases as they are at a git ref, in a folder of their own.

use crate::error::{Explain, Place};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Why a suite cannot be had at a git ref.
#[derive(Debug, thiserror::Error)]
pub(super) enum BaseError {
    /// There is no git, or no repository.
    #[error("--base needs git: {reason}")]
    Git { reason: String, place: Place },
    /// The ref is unknown.
    #[error("git does not know `{reference}`")]
    Unknown { reference: String, place: Place },
    /// The suite was not there yet.
    #[error("the suite was not there at `{reference}`")]
    Absent { reference: String, place: Place },
}

impl Explain for BaseError {
    fn at(&self) -> Option<&Place> {
        let (Self::Git { place, .. } | Self::Unknown { place, .. } | Self::Absent { place, .. }) = self;
        Some(place)
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Git { .. } => "run it inside a git checkout, or give --baseline FILE".into(),
            Self::Unknown { reference, .. } => {
                let name = reference.strip_prefix("origin/").unwrap_or(reference);
                format!(
                    "fetch it first: git fetch origin {name} (in CI, a checkout with its whole history: fetch-depth: 0)"
                )
            }
            Self::Absent { .. } => {
                "a new suite has nothing to be compared with: gate it with `at_least` rules and without --base".into()
            }
        })
    }
}

/// A tree of files as they are at a git ref; gone when dropped.
pub(super) struct Base {
    /// Holds the files.
    _folder: tempfile::TempDir,
    /// The suite's file in it.
    pub(super) suite: PathBuf,
}

impl Base {
    /// Lays out the tree of `reference` around a suite of the working tree.
    pub(super) fn new(reference: &str, suite: &Path) -> anyhow::Result<Result<Self, BaseError>> {
        let place = Place::file(suite);
        let suite = suite.canonicalize().with_context(|| format!("cannot read {}", suite.display()))?;
        let folder = suite.parent().unwrap_or(Path::new("."));
        let root = match git(folder, &["rev-parse", "--show-toplevel"]) {
            Ok(output) if output.status.success() => PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()),
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Ok(Err(BaseError::Git { reason, place }));
            }
            Err(error) => return Ok(Err(BaseError::Git { reason: error.to_string(), place })),
        };
        let within = suite.strip_prefix(root.canonicalize()?).context("the suite is outside its repository")?;
        let reference = reference.to_owned();
        let commit = format!("{reference}^{{commit}}");
        if !git(&root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])?.status.success() {
            return Ok(Err(BaseError::Unknown { reference, place }));
        }
        let named = within.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        if !git(&root, &["cat-file", "-e", &format!("{reference}:{named}")])?.status.success() {
            return Ok(Err(BaseError::Absent { reference, place }));
        }
        let into = tempfile::tempdir().context("no folder for the files of the base")?;
        unpack(&root, &reference, into.path())?;
        Ok(Ok(Self { suite: into.path().join(within), _folder: into }))
    }
}

fn git(folder: &Path, arguments: &[&str]) -> std::io::Result<Output> {
    Command::new("git").arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).output()
}

/// Writes the files of a ref into a folder.
fn unpack(root: &Path, reference: &str, into: &Path) -> anyhow::Result<()> {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["archive", "--format=tar", reference])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("git archive does not start")?;
    let tar = child.stdout.take().context("git archive says nothing")?;
    let mut archive = tar::Archive::new(tar);
    let unpacked = archive.unpack(into);
    // The end of an archive is padded; whoever still writes that would find nobody reading.
    let _ = std::io::copy(&mut archive.into_inner(), &mut std::io::sink());
    let ended = child.wait().context("git archive does not end")?;
    unpacked.with_context(|| format!("the files of {reference} cannot be written"))?;
    anyhow::ensure!(ended.success(), "git archive of {reference} failed");
    Ok(())
}
