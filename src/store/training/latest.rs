//! The latest training run of a recipe.

use super::{TrainingError, TrainingHeader, read_training};
use crate::error::Place;
use std::path::{Path, PathBuf};

/// The training run of a recipe (by its file) in `parent` that was begun last. Folders that are no training runs, or none
/// that can be read, are passed over.
///
/// # Errors
/// There is none.
pub fn latest(parent: &Path, recipe: &Path) -> Result<PathBuf, TrainingError> {
    let from_root = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let wanted = from_root(recipe);
    let folders = std::fs::read_dir(parent).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let found: Option<(TrainingHeader, PathBuf)> = folders
        .filter_map(|path| Some((read_training(&path).ok()?, path)))
        .filter(|(header, _)| from_root(&header.recipe_path) == wanted)
        .max_by(|(a, _), (b, _)| (&a.started, &a.run).cmp(&(&b.started, &b.run)));
    let none = || TrainingError::None { place: Place::file(recipe), parent: parent.to_path_buf() };
    found.map(|(_, path)| path).ok_or_else(none)
}
