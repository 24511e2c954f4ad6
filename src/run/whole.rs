//! A run from its first trial to its closed folder, where nothing of it is recorded yet.

use super::execute::{Outcome, execute};
use super::models::RunSettings;
use super::observer::Watch;
use super::prepare::Prepared;
use crate::error::Problems;
use crate::store::{RunFolder, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Asks all of a plan into a folder of its own in `parent`, and closes it. Gives the folder; nothing where the run was stopped.
///
/// # Errors
/// As [`execute`]; the folder is then closed as failed, and keeps what was answered.
pub fn whole(
    prepared: &Prepared,
    (parent, seed): (&Path, u64),
    settings: &RunSettings,
    watch: Watch,
) -> Result<Option<PathBuf>, Problems> {
    let mut folder = RunFolder::create(parent, prepared.header(BTreeMap::new(), seed)?)?;
    let outcome = execute(prepared, &mut folder, &BTreeSet::new(), settings, watch);
    let closed = folder.close(match &outcome {
        Ok(Outcome::Interrupted) => Status::Interrupted,
        Ok(Outcome::Complete | Outcome::Decided) => Status::Complete,
        Err(_) => Status::Failed,
    });
    let (outcome, (path, _)) = (outcome?, closed?);
    Ok((outcome != Outcome::Interrupted).then_some(path))
}
