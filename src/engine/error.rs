//! What can go wrong with a model.

use super::endpoint::Fault;
use crate::error::{Explain, Place};
use std::path::PathBuf;

/// Why an engine cannot be opened or stopped working.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// llama.cpp refused the model, or died of it in the trial process.
    #[error("llama.cpp cannot run this model: {reason}")]
    Refused {
        /// The model.
        place: Place,
        /// llama.cpp's words.
        reason: String,
    },
    /// An adapter that does not fit the model.
    #[error("the adapter does not fit the model: {reason}")]
    Adapter {
        /// The adapter.
        place: Place,
        /// llama.cpp's words.
        reason: String,
    },
    /// A context could not be made.
    #[error("no memory for a context of {context} tokens in {sequences} sequences")]
    Context {
        /// Tokens in all.
        context: usize,
        /// Sequences.
        sequences: usize,
        /// The model.
        place: Place,
    },
    /// Decoding failed in the middle of a run.
    #[error("decoding failed: {reason}")]
    Decode {
        /// llama.cpp's words.
        reason: String,
    },
    /// A grammar, or one made of a JSON Schema, that llama.cpp refuses.
    #[error("llama.cpp does not take the {what}{reason}")]
    Grammar {
        /// grammar, JSON Schema.
        what: &'static str,
        /// Its words, behind a colon; empty where it has none.
        reason: String,
    },
    /// A bias for what is not one token.
    #[error("`logit_bias` names `{text}`, which is {count} tokens of this model")]
    Bias {
        /// The text.
        text: String,
        /// Its tokens.
        count: usize,
    },
    /// A bias for a token that there is not.
    #[error("`logit_bias` names token {id}, and the model has {count}")]
    NoToken {
        /// The id.
        id: u32,
        /// Tokens of the vocabulary.
        count: usize,
    },
    /// A file of canned answers that cannot be read.
    #[error("the script cannot be read: {reason}")]
    Script {
        /// Where.
        place: Place,
        /// Why.
        reason: String,
    },
    /// A server that cannot be asked, or not that.
    #[error("{fault}")]
    Server {
        /// Where the suite names it.
        place: Place,
        /// What is the matter.
        fault: Box<Fault>,
    },
    /// The response cache failed.
    #[error("the cache cannot be used: {reason}")]
    Cache {
        /// Its file.
        path: PathBuf,
        /// SQLite's words.
        reason: String,
    },
}

impl Explain for EngineError {
    fn at(&self) -> Option<&Place> {
        match self {
            Self::Refused { place, .. }
            | Self::Adapter { place, .. }
            | Self::Context { place, .. }
            | Self::Script { place, .. }
            | Self::Server { place, .. } => Some(place),
            Self::Decode { .. }
            | Self::Grammar { .. }
            | Self::Bias { .. }
            | Self::NoToken { .. }
            | Self::Cache { .. } => None,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Refused { .. } => {
                "the file may be damaged, or too new for this llama.cpp: download or convert it again".into()
            }
            Self::Adapter { .. } => "an adapter runs only on the base model it was trained on".into(),
            Self::Context { .. } => "set a smaller `context:`, or free some memory".into(),
            Self::Decode { .. } => {
                "what was answered is kept: go on with --resume; a smaller `context:` needs less memory".into()
            }
            Self::Grammar { what: "grammar", .. } => "write it in GBNF; -vv shows what llama.cpp says".into(),
            Self::Grammar { .. } => "use the parts of JSON Schema that llama.cpp's grammars can express".into(),
            Self::Bias { .. } => "name a single token, with the space before it (`\" Paris\"`), or give its id".into(),
            Self::NoToken { count, .. } => format!("ids are 0 to {}", count.saturating_sub(1)),
            Self::Script { .. } => "a script is {answers: [{when: REGEX, say: TEXT}], otherwise: TEXT}".into(),
            Self::Server { fault, .. } => fault.help(),
            Self::Cache { path, .. } => {
                format!(
                    "check that {} can be written, set TRIPOS_CACHE to another folder, or give --no-cache",
                    path.display()
                )
            }
        })
    }
}
