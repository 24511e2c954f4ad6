//! Attempts on a variant of a suite, counted: the k-th is tested at α/2ᵏ.
//!
//! Each is a line before its held-out half is looked at, and another one with its verdict. Whoever draws other halves until one says yes
//! has tried as often, so that all halves count together; so does an attempt that was broken off.

use super::error::FixError;
use crate::error::Problems;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
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

/// The number of a variant's next attempt, from 1, and the level that it would be tested at.
///
/// # Errors
/// A log that cannot be read: without it nobody knows how often was tried.
pub(super) fn next(folder: &Path, variant: &str) -> Result<(u32, f64), Problems> {
    let log = log_of(folder);
    match std::fs::read_to_string(&log) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => numbered("", &log, variant),
        read => numbered(&read.map_err(|e| FixError::read("the log of attempts", &e, &log))?, &log, variant),
    }
}

/// Gives an attempt its number, and logs that it is opened: no other one gets between.
pub(super) fn open(attempt: Attempt) -> Result<Attempt, Problems> {
    let file = log_of(&attempt.folder);
    let failed = |e: std::io::Error| FixError::write("the log of attempts", &e, &file);
    let mut log = std::fs::OpenOptions::new().create(true).read(true).append(true).open(&file).map_err(failed)?;
    // Until it is closed.
    log.lock().map_err(failed)?;
    let mut text = String::new();
    log.read_to_string(&mut text).map_err(|e| FixError::read("the log of attempts", &e, &file))?;
    let (number, level) = numbered(&text, &file, &attempt.variant)?;
    let attempt = Attempt { number, level, ..attempt };
    add(&mut log, &attempt).map_err(failed)?;
    Ok(attempt)
}

/// Adds how an attempt ended.
pub(super) fn close(attempt: &Attempt) -> Result<(), Problems> {
    let file = log_of(&attempt.folder);
    let log = std::fs::OpenOptions::new().append(true).open(&file);
    log.and_then(|mut log| add(&mut log, attempt)).map_err(|e| FixError::write("the log of attempts", &e, &file))?;
    Ok(())
}

fn log_of(folder: &Path) -> PathBuf {
    folder.parent().unwrap_or(folder).join(LOG)
}

fn add(log: &mut std::fs::File, attempt: &Attempt) -> std::io::Result<()> {
    log.write_all(format!("{}\n", serde_json::to_string(attempt)?).as_bytes())?;
    log.sync_all()
}

fn numbered(text: &str, log: &Path, variant: &str) -> Result<(u32, f64), Problems> {
    let mut last = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let attempt: Attempt =
            serde_json::from_str(line).map_err(|e| FixError::read("the log of attempts", &e.into(), log))?;
        if attempt.variant == variant {
            last = last.max(attempt.number);
        }
    }
    let number = last.saturating_add(1);
    Ok((number, ALPHA / 2_f64.powi(i32::try_from(number).unwrap_or(i32::MAX))))
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
            let attempt = open(Attempt { holdout: format!("half {number}"), ..attempt(&folder) }).unwrap();
            assert_eq!((attempt.number, attempt.level), (counted, level));
            close(&Attempt { verdict: Some("not fixed".into()), p_value: Some(0.2), ..attempt }).unwrap();
            assert_eq!(next(&folder, "b").unwrap().0, 1, "another variant is another matter");
        }
        assert!((levels[0] - 0.025).abs() < 1e-12 && (levels[1] - 0.0125).abs() < 1e-12);
        assert!(levels.iter().sum::<f64>() <= ALPHA);
    }

    fn attempt(folder: &Path) -> Attempt {
        let (variant, holdout, folder) = ("a".into(), String::new(), folder.to_path_buf());
        Attempt { variant, holdout, number: 1, level: ALPHA / 2.0, p_value: None, verdict: None, folder }
    }

    /// Each of them looked at the log before any of them was in it.
    #[test]
    fn attempts_that_are_made_at_once_are_told_apart() {
        let out = tempfile::tempdir().unwrap();
        let forecasts: Vec<Attempt> = (0..8).map(|_| attempt(&folder(out.path(), "sums").unwrap())).collect();
        let mut numbers: Vec<u32> = std::thread::scope(|scope| {
            let threads: Vec<_> = forecasts.into_iter().map(|one| scope.spawn(|| open(one).unwrap().number)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_log_that_cannot_be_read_is_not_taken_for_none() {
        let out = tempfile::tempdir().unwrap();
        let folder = folder(out.path(), "sums").unwrap();
        std::fs::write(out.path().join("sums").join(LOG), "{\"number\": 3}\n").unwrap();
        let said = next(&folder, "a").unwrap_err().to_string();
        assert!(said.contains("cannot read the log of attempts"), "{said}");
        let said = open(attempt(&folder)).unwrap_err().to_string();
        assert!(said.contains("cannot read the log of attempts"), "{said}");
    }
}
