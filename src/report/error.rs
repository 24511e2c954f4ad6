//! Why a report could not be made.

use crate::error::{Explain, Place};
use crate::store::StoreError;
use crate::store::training::TrainingError;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The run cannot be read.
    #[error("{0}")]
    Run(#[from] StoreError),
    /// The training run cannot be read.
    #[error("{0}")]
    Training(#[from] TrainingError),
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Write(#[from] std::io::Error),
}

impl Explain for ReportError {
    fn at(&self) -> Option<&Place> {
        match self {
            Self::Run(error) => error.at(),
            Self::Training(error) => error.at(),
            Self::Write(_) => None,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Run(error) => error.help(),
            Self::Training(error) => error.help(),
            Self::Write(_) => Some("choose another file with -o, or free some space".into()),
        }
    }
}
