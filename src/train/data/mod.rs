//! Training data: rows become documents, and documents become rows of tokens again, packed.
//!
//! A row is rendered by the code that renders prompts in evaluation ([`crate::prompt`]), so that a model is asked
//! later exactly what it learned to answer. Of each document the answers alone are learned, with the token that ends each
//! of them.

mod fit;
mod format;
mod gather;
mod loader;
mod mask;
mod pack;
mod passed;
mod preference;
mod prose;
mod read;
mod rows;
mod scribe;
mod shots;
mod sources;
mod teacher;
mod texts;

pub use loader::Loader;
pub use preference::{Group, Judged};
pub use read::{Asked, Data, Ends, asked, ends, read, tokenizer};
pub use texts::texts;

pub(super) use format::{Format, ROLES};
pub(super) use rows::JUDGED;

#[cfg(test)]
mod tests;

use crate::error::Place;
use crate::model::Document;
use sha2::{Digest, Sha256};

/// Documents to learn from, or to evaluate on.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// The documents, in the order of the sources.
    pub documents: Vec<Document>,
    /// Of each document the label, an index into [`Data::labels`]; empty where nothing is classified.
    pub labels: Vec<usize>,
    /// Of each document what was preferred in it; empty where nothing is judged.
    pub groups: Vec<Group>,
    /// What each source gave.
    pub sources: Vec<SourceFacts>,
}

/// What one source gave to a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct SourceFacts {
    /// Its file, its run, or `generate`.
    pub name: String,
    /// SHA-256 of the file, or of the samples of the run.
    #[serde(skip)]
    pub sha256: Option<String>,
    /// Where it stands in the recipe.
    #[serde(skip)]
    pub place: Place,
    /// Rows that were read.
    pub rows: usize,
    /// Documents that they became.
    pub documents: usize,
    /// Tokens of those.
    pub tokens: usize,
    /// Tokens that are learned.
    pub targets: usize,
    /// Documents that lost their end because they are too long.
    pub cut: usize,
    /// Documents that were left out.
    pub dropped: usize,
}

impl Dataset {
    /// Tokens of all documents.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.documents.iter().map(|document| document.tokens.len()).sum()
    }

    /// Tokens that are learned.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.documents.iter().map(Document::targets).sum()
    }

    /// SHA-256, in hex, of everything in it: the same documents in the same order.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for document in &self.documents {
            hash.update((document.tokens.len() as u64).to_le_bytes());
            for (token, learn) in document.tokens.iter().zip(&document.learn) {
                hash.update(token.to_le_bytes());
                hash.update([u8::from(*learn)]);
            }
        }
        for label in &self.labels {
            hash.update((*label as u64).to_le_bytes());
        }
        let branches = self.documents.iter().flat_map(|document| &document.branches);
        let judged = self.groups.iter().flat_map(|group| &group.judged);
        let judged = judged.flat_map(|judged| [judged.better, judged.worse, judged.margin.to_bits() as usize]);
        branches.copied().chain(judged).for_each(|number| hash.update((number as u64).to_le_bytes()));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
