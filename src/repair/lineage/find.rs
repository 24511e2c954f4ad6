//! Where what is known by hash or by name lies.

use crate::gguf::sha256_file;
use crate::store::training::{TrainingHeader, read_training};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Knows the training runs of some folders.
pub(super) struct Finder {
    runs: Vec<PathBuf>,
    trainings: Vec<(PathBuf, TrainingHeader)>,
}

impl Finder {
    pub(super) fn new(runs: &[PathBuf], trainings: &[PathBuf]) -> Self {
        let mut known: Vec<_> = trainings
            .iter()
            .flat_map(|parent| folders(parent))
            .filter_map(|folder| Some((folder.clone(), read_training(&folder).ok()?)))
            .collect();
        known.sort_by(|a, b| b.1.started.cmp(&a.1.started));
        Self { runs: runs.to_vec(), trainings: known }
    }

    /// The training run that made a file, and true; else the newest of the same recipe and base, which made another file. It is looked for
    /// where the file lies, too: its folder may be that of the run.
    pub(super) fn maker(
        &self,
        sha256: &str,
        (recipe, base): (Option<&str>, Option<&str>),
        beside: &Path,
    ) -> Option<(PathBuf, bool)> {
        let near = std::iter::once(beside.to_path_buf()).chain(folders(&beside.join(super::TRAINING)));
        let near = near.filter_map(|folder| Some((folder.clone(), read_training(&folder).ok()?)));
        let all: Vec<(PathBuf, TrainingHeader)> = near.chain(self.trainings.iter().cloned()).collect();
        let made = |header: &TrainingHeader| header.outcome.as_ref().is_some_and(|o| o.output.sha256 == sha256);
        let same = |header: &TrainingHeader| {
            header.outcome.is_some()
                && Some(header.recipe_sha256.as_str()) == recipe
                && header.base.sha256 == base.unwrap_or_default()
        };
        let find = |by: &dyn Fn(&TrainingHeader) -> bool| all.iter().find(|(_, header)| by(header));
        find(&made)
            .map(|(folder, _)| (folder.clone(), true))
            .or_else(|| find(&same).map(|(folder, _)| (folder.clone(), false)))
    }

    /// A run by its id.
    pub(super) fn run(&self, id: &str) -> Option<PathBuf> {
        self.runs.iter().map(|parent| parent.join(id)).find(|folder| folder.is_dir())
    }
}

/// A model of this name and content: beside what was made of it, or in `models`.
pub(super) fn model(name: &str, sha256: &str, beside: &Path) -> Option<PathBuf> {
    let places = [beside, Path::new("models")].map(|folder| folder.join(name));
    places.into_iter().find(|path| sha256_file(path).is_ok_and(|found| found == sha256))
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The runs that the lines of a file of rankings name.
pub(super) fn runs_named(file: &Path) -> Vec<String> {
    #[derive(Deserialize)]
    struct Line {
        run: String,
    }
    let Ok(text) = std::fs::read_to_string(file) else { return Vec::new() };
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines.map(|line| line.run).collect::<BTreeSet<_>>().into_iter().collect()
}
