//! Attempts on one held-out half, counted: the k-th is tested at α/2ᵏ.

use super::error::FixError;
use crate::error::Problems;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What all attempts together may be wrong with: 5 in 100.
const ALPHA: f64 = 0.05;
/// The log of a suite's attempts, in the folder of its fixes.
const LOG: &str = "attempts.jsonl";

/// One attempt: a line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// SHA-256 of what was held out.
    pub holdout: String,
    /// Its number on that half, from 1.
    pub number: u32,
    /// The level that it was tested at.
    pub level: f64,
    /// The p-value; absent where there was nothing to test.
    pub p_value: Option<f64>,
    /// What it came to.
    pub verdict: String,
    /// Its folder.
    pub folder: PathBuf,
}

/// A new folder for an attempt on a suite.
pub(super) fn folder(out: &Path, suite: &str) -> Result<PathBuf, Problems> {
    let parent = out.join(suite);
    let make = || -> std::io::Result<PathBuf> {
        std::fs::create_dir_all(&parent)?;
        for number in 1_u32.. {
            let folder = parent.join(format!("attempt-{number}"));
            match std::fs::create_dir(&folder) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| folder),
            }
        }
        Err(std::io::ErrorKind::StorageFull.into())
    };
    make().map_err(|e| FixError::write("the folder of the attempt", &e, &parent).into())
}

/// The number of the next attempt on a held-out half, from 1, and the level that it is tested at.
pub(super) fn next(folder: &Path, holdout: &str) -> (u32, f64) {
    let log = folder.parent().map(|parent| parent.join(LOG)).unwrap_or_default();
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let before = text.lines().filter_map(|line| serde_json::from_str::<Attempt>(line).ok());
    let before = before.filter(|attempt| attempt.holdout == holdout).count();
    let number = u32::try_from(before).unwrap_or(u32::MAX - 1) + 1;
    (number, ALPHA / 2_f64.powi(i32::try_from(number).unwrap_or(i32::MAX)))
}

/// Adds an attempt to the log.
pub(super) fn log(folder: &Path, attempt: &Attempt) -> Result<(), Problems> {
    let file = folder.parent().unwrap_or(folder).join(LOG);
    let add = || -> std::io::Result<()> {
        let mut log = std::fs::OpenOptions::new().create(true).append(true).open(&file)?;
        log.write_all(format!("{}\n", serde_json::to_string(attempt)?).as_bytes())?;
        log.sync_all()
    };
    add().map_err(|e| FixError::write("the log of attempts", &e, &file).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_on_one_half_is_tested_at_half_the_level_and_all_of_them_at_no_more_than_5_in_100() {
        let out = tempfile::tempdir().unwrap();
        let mut levels = Vec::new();
        for number in 1..=20 {
            let folder = folder(out.path(), "sums").unwrap();
            assert!(folder.ends_with(format!("attempt-{number}")));
            let (counted, level) = next(&folder, "aa");
            assert_eq!(counted, number);
            levels.push(level);
            let attempt = Attempt {
                holdout: "aa".into(),
                number,
                level,
                p_value: Some(0.2),
                verdict: "not fixed".into(),
                folder: folder.clone(),
            };
            log(&folder, &attempt).unwrap();
            assert_eq!(next(&folder, "bb").0, 1, "another half is another matter");
        }
        assert!((levels[0] - 0.025).abs() < 1e-12 && (levels[1] - 0.0125).abs() < 1e-12);
        assert!(levels.iter().sum::<f64>() <= ALPHA);
    }
}
