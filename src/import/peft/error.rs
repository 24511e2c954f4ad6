//! What can be wrong with a PEFT adapter.

use crate::error::{Explain, Place};
use std::path::Path;

/// Something wrong with one of the two files.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct PeftError {
    /// The file, and the line of a setting.
    pub place: Place,
    /// What is wrong.
    pub problem: PeftProblem,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum PeftProblem {
    /// A file is absent.
    #[error("there is no such file, so this is not the folder of a PEFT adapter")]
    Missing {
        /// Whether there are weights as PyTorch pickles them.
        pickled: bool,
    },
    /// A file cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// The configuration is no JSON object.
    #[error("this is not PEFT's configuration: {0}")]
    NotConfig(String),
    /// The weights are not in safetensors.
    #[error("this is not a safetensors file: {0}")]
    NotSafetensors(String),
    /// The new file would replace one that it is made of.
    #[error("the result would replace this file, which it is made of")]
    Replaces,
    /// There is no pair of matrices in it.
    #[error("the file holds no LoRA matrices")]
    Empty,
    /// A setting that no adapter GGUF can express, or that makes no sense.
    #[error("`{key}` {why}")]
    Setting {
        /// Its name.
        key: String,
        /// What is wrong with it.
        why: String,
        /// How to mend it.
        help: &'static str,
    },
    /// A tensor that cannot be used.
    #[error("`{name}` {why}")]
    Tensor {
        /// Its name, or its module's.
        name: String,
        /// What is wrong with it.
        why: String,
        /// How to mend it.
        help: &'static str,
    },
}

impl PeftError {
    pub(super) fn new(file: &Path, problem: PeftProblem) -> Self {
        Self { place: super::place(file), problem }
    }

    pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        let problem = match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                PeftProblem::Missing { pickled: file.with_extension("bin").exists() }
            }
            _ => PeftProblem::Unreadable(error.to_string()),
        };
        Self::new(file, problem)
    }

    pub(super) fn tensor(file: &Path, name: &str, why: impl Into<String>, help: &'static str) -> Self {
        Self::new(file, PeftProblem::Tensor { name: name.to_owned(), why: why.into(), help })
    }
}

impl Explain for PeftError {
    fn at(&self) -> Option<&Place> {
        Some(&self.place)
    }

    fn help(&self) -> Option<String> {
        const AGAIN: &str = "save the adapter again: model.save_pretrained(DIR)";
        Some(match &self.problem {
            PeftProblem::Replaces => "give the result a name of its own".into(),
            PeftProblem::Missing { pickled: true } => {
                "pickled weights can run programs and are not read; \
                 save them as safetensors: model.save_pretrained(DIR, safe_serialization=True)"
                    .into()
            }
            PeftProblem::Missing { .. } => {
                "name the folder that model.save_pretrained(DIR) wrote: adapter_config.json and adapter_model.safetensors"
                    .into()
            }
            PeftProblem::Unreadable(_) => "check that you may read it, and that the disk is healthy".into(),
            PeftProblem::NotConfig(_) | PeftProblem::NotSafetensors(_) | PeftProblem::Empty => AGAIN.into(),
            PeftProblem::Setting { help, .. } | PeftProblem::Tensor { help, .. } => (*help).to_owned(),
        })
    }
}
