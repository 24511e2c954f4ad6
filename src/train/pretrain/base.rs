//! The base of a recipe that begins from nothing: its tokens are learned, its file is written, and training goes on from
//! there as with any other base. The same recipe and data give the same file, so that it need not be kept.

use super::{Initial, Tokens, Vocabulary, VocabularyFault};
use crate::error::Problems;
use crate::gguf::Gguf;
use crate::train::data;
use crate::train::error::{TrainError, TrainProblem};
use crate::train::recipe::{FromNothing, Recipe, Tokenizer};
use std::path::PathBuf;
use tempfile::TempDir;

/// The base of a recipe, in a folder that is gone with this value.
#[derive(Debug)]
pub struct Base {
    folder: TempDir,
}

impl Base {
    /// Makes the base of a recipe that begins from nothing.
    ///
    /// # Errors
    /// The data cannot be read, or is too little for the vocabulary; the file cannot be written.
    pub fn of(recipe: &Recipe, nothing: &FromNothing) -> Result<Self, Problems> {
        let unwritten = |error: std::io::Error| {
            let (what, reason) = ("a folder for the model".to_owned(), error.to_string());
            TrainError::new(recipe.place("kind"), TrainProblem::Unreadable { what, reason })
        };
        let base = Self { folder: tempfile::tempdir().map_err(unwritten)? };
        let initial = |tokens| Initial {
            name: &recipe.name,
            licence: nothing.licence.as_deref(),
            architecture: &nothing.architecture,
            tokens,
            seed: recipe.seed,
        };
        match &nothing.tokenizer {
            Tokenizer::From { from } => initial(Tokens::Of(&Gguf::open_checked(from)?)).write(&base.file())?,
            Tokenizer::Learned { vocabulary, control } => {
                let texts = data::texts(recipe, control)?;
                let learned = Vocabulary::learn(texts.iter().map(String::as_str), *vocabulary, control);
                let learned = learned.map_err(|fault| unlearned(recipe, &fault))?;
                initial(Tokens::Learned(&learned)).write(&base.file())?;
            }
        }
        Ok(base)
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("initial.gguf")
    }
}

fn unlearned(recipe: &Recipe, fault: &VocabularyFault) -> TrainError {
    let help = match fault {
        VocabularyFault::TooLittleText { found, .. } => {
            format!("set `tokenizer: {{vocabulary: {found}}}` or less, or give more text")
        }
        _ => "set another `tokenizer.vocabulary`".to_owned(),
    };
    TrainError::new(recipe.place("tokenizer.vocabulary"), TrainProblem::Setting { what: fault.to_string(), help })
}
