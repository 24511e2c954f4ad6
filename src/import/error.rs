//! Why nothing could be imported.

use crate::error::{Explain, Place};

/// A source that cannot be made a suite of.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ImportError {
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub help: String,
    /// Where.
    pub place: Place,
}

impl ImportError {
    pub(super) fn new(place: &Place, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into(), place: place.clone() }
    }
}

impl Explain for ImportError {
    fn at(&self) -> Option<&Place> {
        Some(&self.place)
    }

    fn help(&self) -> Option<String> {
        Some(self.help.clone())
    }
}
