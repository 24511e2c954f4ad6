//! Attempts on a variant of a suite, counted: the k-th is tested at α/2ᵏ.
//!
//! Each is a line before its held-out half is looked at, and another one with its verdict. Whoever draws other halves until one says yes
//! has tried as often, so that all halves count together; so does an attempt that was broken off.

use super::error::FixError;
use crate::error::Problems;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What all attempts together may be wrong with: 5 in 100.
const ALPHA: f64 = 0.05;
/// The log of a suite's attempts, in the folder of its fixes.
const LOG: &str = "attempts.jsonl";

/// One attempt, as it is opened or as it ended: a line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The variant that is to be fixed.
    pub variant: String,
    /// SHA-256 of what was held out.
    pub holdout: String,
    /// Its number, from 1.
    pub number: u32,
    /// The level that it is tested at.
    pub level: f64,
    /// The p-value; absent while there is none.
    #[serde(default)]
    pub p_value: Option<f64>,
    /// What it came to; absent while it is open.
    #[serde(default)]
    pub verdict: Option<String>,
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

/// The number of a variant's next attempt, from 1, and the level that it is tested at.
///
/// # Errors
/// A log that cannot be read: without it nobody knows how often was tried.
pub(super) fn next(folder: &Path, variant: &str) -> Result<(u32, f64), Problems> {
    let log = folder.parent().unwrap_or(folder).join(LOG);
    let text = match std::fs::read_to_string(&log) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|e| FixError::read("the log of attempts", &e, &log))?,
    };
    let mut last = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let attempt: Attempt =
            serde_json::from_str(line).map_err(|e| FixError::read("the log of attempts", &e.into(), &log))?;
        if attempt.variant == variant {
            last = last.max(attempt.number);
        }
    }
    let number = last.saturating_add(1);
    Ok((number, ALPHA / 2_f64.powi(i32::try_from(number).unwrap_or(i32::MAX))))
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
    fn each_attempt_is_tested_at_half_the_level_of_the_last_and_all_of_them_at_no_more_than_5_in_100() {
        let out = tempfile::tempdir().unwrap();
        let mut levels = Vec::new();
        for number in 1..=20 {
            let folder = folder(out.path(), "sums").unwrap();
            assert!(folder.ends_with(format!("attempt-{number}")));
            let (counted, level) = next(&folder, "a").unwrap();
            assert_eq!(counted, number);
            levels.push(level);
            let attempt = Attempt {
                variant: "a".into(),
                holdout: format!("half {number}"),
                number,
                level,
                p_value: None,
                verdict: None,
                folder: folder.clone(),
            };
            log(&folder, &attempt).unwrap();
            let ended = Attempt { verdict: Some("not fixed".into()), p_value: Some(0.2), ..attempt };
            log(&folder, &ended).unwrap();
            assert_eq!(next(&folder, "b").unwrap().0, 1, "another variant is another matter");
        }
        assert!((levels[0] - 0.025).abs() < 1e-12 && (levels[1] - 0.0125).abs() < 1e-12);
        assert!(levels.iter().sum::<f64>() <= ALPHA);
    }

    #[test]
    fn a_log_that_cannot_be_read_is_not_taken_for_none() {
        let out = tempfile::tempdir().unwrap();
        let folder = folder(out.path(), "sums").unwrap();
        std::fs::write(out.path().join("sums").join(LOG), "{\"number\": 3}\n").unwrap();
        let said = next(&folder, "a").unwrap_err().to_string();
        assert!(said.contains("cannot read the log of attempts"), "{said}");
    }
}
