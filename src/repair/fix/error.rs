//! What keeps a suite from being fixed.

use crate::error::{Explain, Place, did_you_mean};

/// A problem of a fix.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FixError {
    /// A name that the suite does not have, or several where one is meant.
    #[error("{what}")]
    Unclear {
        /// What is not clear.
        what: String,
        /// The name that was given.
        name: String,
        /// What there is.
        known: Vec<String>,
        /// The suite.
        place: Place,
    },
    /// A suite that cannot be learned from.
    #[error("{what}")]
    Unfit {
        /// What does not fit.
        what: String,
        /// How to mend it.
        help: String,
        /// The suite, or the recipe.
        place: Place,
    },
    /// There are not enough cases to hold any out.
    #[error("{cases} cases leave {held_out} to hold out and {learned} to learn from: too few to prove anything")]
    TooFew {
        /// All of them.
        cases: usize,
        /// How many would be held out.
        held_out: usize,
        /// How many would be learned from.
        learned: usize,
        /// The fewest on either side.
        fewest: usize,
        /// The suite.
        place: Place,
    },
    /// No result of so few cases could be told from chance.
    #[error(
        "attempt {number} is tested at {level}, which {held_out} held-out cases cannot reach, were all of them won"
    )]
    TooOften {
        /// The attempt's number.
        number: u32,
        /// Its level.
        level: f64,
        /// How many cases are held out.
        held_out: usize,
        /// The suite.
        place: Place,
    },
    /// Training made no file.
    #[error("the training made no adapter")]
    NoAdapter {
        /// Its folder.
        place: Place,
    },
    /// A file that cannot be read.
    #[error("cannot read {what}: {reason}")]
    Read {
        /// What it holds.
        what: &'static str,
        /// What the system said.
        reason: String,
        /// The file.
        place: Place,
    },
    /// A file that cannot be written.
    #[error("cannot write {what}: {reason}")]
    Write {
        /// What it holds.
        what: &'static str,
        /// What the system said.
        reason: String,
        /// The file.
        place: Place,
    },
}

impl FixError {
    /// A failure to read.
    pub(super) fn read(what: &'static str, error: &std::io::Error, file: &std::path::Path) -> Self {
        Self::Read { what, reason: error.to_string(), place: Place::file(file) }
    }

    /// A failure to write.
    pub(super) fn write(what: &'static str, error: &std::io::Error, file: &std::path::Path) -> Self {
        Self::Write { what, reason: error.to_string(), place: Place::file(file) }
    }
}

impl Explain for FixError {
    fn at(&self) -> Option<&Place> {
        let (Self::Unclear { place, .. }
        | Self::Unfit { place, .. }
        | Self::TooFew { place, .. }
        | Self::TooOften { place, .. }
        | Self::Read { place, .. }
        | Self::NoAdapter { place }
        | Self::Write { place, .. }) = self;
        Some(place)
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unclear { name, known, .. } => {
                did_you_mean(name, &known.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Self::Unfit { help, .. } => help.clone(),
            Self::TooFew { fewest, .. } => {
                format!("give the suite more cases: at least {fewest} on either side (or another `--holdout`)")
            }
            Self::TooOften { .. } => "give the suite more cases".into(),
            Self::Read { .. } => "check the path and its permissions, or name another folder (--out)".into(),
            Self::NoAdapter { .. } => {
                "look at its steps, and try a lower `lr` in a recipe of your own (--recipe)".into()
            }
            Self::Write { .. } => "check the path and the free space, and try again".into(),
        })
    }
}
