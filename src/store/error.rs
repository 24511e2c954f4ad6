//! What can go wrong with a run folder.

use super::files::Unread;
use crate::error::{Explain, Place};

/// Why a run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file in it cannot be made or written.
    #[error("cannot write the run: {reason}")]
    Write {
        /// The file.
        place: Place,
        /// The system's words.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read the run: {reason}")]
    Read {
        /// The file.
        place: Place,
        /// The system's words.
        reason: String,
    },
    /// The header or a sample is not what was written.
    #[error("damaged: {reason}")]
    Damaged {
        /// The line.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// It is of the other kind.
    #[error("this is a training run, not a run of a suite")]
    OtherKind {
        /// The header.
        place: Place,
    },
    /// Written by a later version.
    #[error("this run has schema {found}, and this version reads up to {known}")]
    Newer {
        /// The header.
        place: Place,
        /// The run's schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Another process works on the folder.
    #[error("another process is writing this run")]
    Busy {
        /// The folder.
        place: Place,
    },
}

impl From<Unread> for StoreError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Read { place, reason } => Self::Read { place, reason },
            Unread::Damaged { place, reason } => Self::Damaged { place, reason },
            Unread::OtherKind { place } => Self::OtherKind { place },
            Unread::Newer { place, found, known } => Self::Newer { place, found, known },
        }
    }
}

impl Explain for StoreError {
    fn at(&self) -> Option<&Place> {
        let (Self::Write { place, .. }
        | Self::Read { place, .. }
        | Self::Damaged { place, .. }
        | Self::OtherKind { place }
        | Self::Newer { place, .. }
        | Self::Busy { place }) = self;
        Some(place)
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Write { .. } => {
                "free some space or choose another folder with --out; a run that has begun is kept: go on with --resume"
                    .into()
            }
            Self::Read { .. } => "give the folder of a run, for example reports/arithmetic-2026-01-31-1a2b".into(),
            Self::Damaged { .. } => "remove that line; --resume asks its trial again".into(),
            Self::OtherKind { .. } => {
                "`tripos report` shows it, and `tripos train RECIPE --resume` goes on with it".into()
            }
            Self::Newer { .. } => "update Tripos".into(),
            Self::Busy { .. } => "wait for it, or start a run of its own without --resume".into(),
        })
    }
}
