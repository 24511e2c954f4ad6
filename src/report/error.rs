//! What can go wrong when a report is written.

use crate::error::{Explain, Place};
use crate::store::StoreError;

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A run cannot be read.
    #[error(transparent)]
    Run(#[from] StoreError),
    /// The bytes went nowhere.
    #[error("cannot write the report: {reason}")]
    Write {
        /// The system's words.
        reason: String,
    },
}

impl From<std::io::Error> for ReportError {
    fn from(error: std::io::Error) -> Self {
        Self::Write { reason: error.to_string() }
    }
}

impl Explain for ReportError {
    fn at(&self) -> Option<&Place> {
        match self {
            Self::Run(error) => error.at(),
            Self::Write { .. } => None,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Run(error) => error.help(),
            Self::Write { .. } => Some("free some space, or write it to another folder".into()),
        }
    }
}
