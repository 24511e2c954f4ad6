//! What can go wrong with the folder of a training run.

use crate::error::{Explain, Place};
use crate::store::files::Unread;
use std::path::PathBuf;

/// Why a training run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The folder or a file in it cannot be made or written.
    #[error("cannot write the training run: {reason}")]
    Write {
        /// The file.
        place: Place,
        /// The system's words.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read the training run: {reason}")]
    Read {
        /// The file.
        place: Place,
        /// The system's words.
        reason: String,
    },
    /// The header or a line is not what was written.
    #[error("damaged: {reason}")]
    Damaged {
        /// The line.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// It is of the other kind.
    #[error("this is a run of a suite, not a training run")]
    OtherKind {
        /// The header.
        place: Place,
    },
    /// Written by a later version.
    #[error("this training run has schema {found}, and this version reads up to {known}")]
    Newer {
        /// The header.
        place: Place,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Another process writes to it.
    #[error("another process is working on this training run")]
    Busy {
        /// The folder.
        place: Place,
    },
    /// Nothing to go on with.
    #[error("there is no training run of this recipe to go on with")]
    None {
        /// The recipe.
        place: Place,
        /// Where it was looked for.
        parent: PathBuf,
    },
}

impl From<Unread> for TrainingError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Read { place, reason } => Self::Read { place, reason },
            Unread::Damaged { place, reason } => Self::Damaged { place, reason },
            Unread::OtherKind { place } => Self::OtherKind { place },
            Unread::Newer { place, found, known } => Self::Newer { place, found, known },
        }
    }
}

impl Explain for TrainingError {
    fn at(&self) -> Option<&Place> {
        let (Self::Write { place, .. }
        | Self::Read { place, .. }
        | Self::Damaged { place, .. }
        | Self::OtherKind { place }
        | Self::Newer { place, .. }
        | Self::Busy { place }
        | Self::None { place, .. }) = self;
        Some(place)
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Write { .. } => {
                "free some space or choose another folder with --out; checkpoints are kept: go on with --resume".into()
            }
            Self::Read { .. } => {
                "give the folder of a training run, for example reports/train/sft-2026-01-31-1a2b".into()
            }
            Self::Damaged { .. } => "start a training run of its own without --resume".into(),
            Self::OtherKind { .. } => "`tripos report` shows it, and `tripos run --resume` goes on with it".into(),
            Self::Newer { .. } => "update Tripos".into(),
            Self::Busy { .. } => "wait for it, or start a training run of its own without --resume".into(),
            Self::None { parent, .. } => {
                format!("none lies in {}: start one without --resume, or name its folder", parent.display())
            }
        })
    }
}
