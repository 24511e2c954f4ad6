//! Why a model cannot be trained, or a batch not computed.

use crate::error::{Explain, Place};
use crate::ggml::GgmlError;
use std::path::PathBuf;

/// A reason why a decoder cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The architecture is none of those that can be trained.
    #[error("the architecture `{name}` cannot be trained")]
    Architecture {
        /// `general.architecture`.
        name: String,
        /// The model's file.
        place: Place,
    },
    /// The model has something that its graph here does not.
    #[error("{what}, which cannot be trained")]
    Unsupported {
        /// What it has.
        what: String,
        /// The model's file.
        place: Place,
    },
    /// The file lacks something that its architecture needs.
    #[error("{what}")]
    Broken {
        /// What is missing or does not fit.
        what: String,
        /// The model's file.
        place: Place,
    },
    /// The file cannot be read.
    #[error("the model cannot be read: {reason}")]
    Unreadable {
        /// What the system says.
        reason: String,
        /// The model's file.
        place: Place,
    },
    /// A batch does not fit the graph.
    #[error("a batch of {got} {what}: the decoder was made for {most}")]
    Batch {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many were planned.
        most: usize,
    },
    /// Saved numbers belong to another decoder.
    #[error("{what}: these numbers belong to another model or recipe")]
    Foreign {
        /// What does not fit.
        what: String,
    },
    /// A setting that cannot be.
    #[error("{what}")]
    Setting {
        /// Which, and why.
        what: String,
    },
    /// ggml refused or failed.
    #[error(transparent)]
    Ggml(#[from] GgmlError),
}

impl ModelError {
    pub(super) fn batch(what: &'static str, got: usize, most: usize) -> Self {
        Self::Batch { what, got, most }
    }

    pub(super) fn unreadable(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::Unreadable { reason: reason.to_string(), place: Place::file(path.into()) }
    }
}

impl Explain for ModelError {
    fn at(&self) -> Option<&Place> {
        match self {
            Self::Architecture { place, .. }
            | Self::Unsupported { place, .. }
            | Self::Broken { place, .. }
            | Self::Unreadable { place, .. } => Some(place),
            Self::Batch { .. } | Self::Foreign { .. } | Self::Setting { .. } => None,
            Self::Ggml(error) => error.at(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Architecture { .. } => Some(format!("these can be trained: {}", super::architectures().join(", "))),
            Self::Ggml(error) => error.help(),
            _ => None,
        }
    }
}
