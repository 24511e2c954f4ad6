//! What comes out of a training run.

use crate::error::Problems;
use crate::model::Saved;
use crate::store::training::Said;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Makes a file of what was learned, and lets it speak.
pub trait Product {
    /// Its file's name in the run's folder.
    fn file_name(&self) -> String;

    /// Whether there is anything to ask it.
    fn speaks(&self) -> bool;

    /// Writes what was learned as a file that llama.cpp loads. The same numbers give the same bytes.
    fn export(&self, saved: &[Saved], file: &Path) -> Result<(), Problems>;

    /// What the model says with that file, as the ordinary engine runs it. Empty where there is nothing to ask, or once
    /// `stop` is true.
    fn says(&self, file: &Path, stop: &AtomicBool) -> Result<Vec<Said>, Problems>;
}
