//! What can be wrong with what a model is asked directly.

use crate::error::{Explain, Level, Place};
use crate::sampling::OutOfRange;

/// Why a model cannot be asked so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DirectError {
    /// A text without a character.
    #[error("{what} is empty")]
    Empty {
        /// Which text.
        what: String,
    },
    /// A text of which no token can be judged.
    #[error("{what} is one token, and the model has none to begin a text with")]
    OneToken {
        /// Which text.
        what: String,
        /// The model.
        place: Place,
    },
    /// A text that leaves no room in the context for what is asked behind it.
    #[error("{what} does not fit: {tokens} tokens + {behind} {of} > {context} context tokens ({} over)", tokens + behind - context)]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its tokens.
        tokens: usize,
        /// Tokens behind it.
        behind: usize,
        /// Of what.
        of: &'static str,
        /// Tokens that fit.
        context: usize,
        /// Tokens that the model was trained with.
        trained: usize,
    },
    /// Nothing to rank.
    #[error("{count} candidate{} cannot be ranked", if *count == 1 { "" } else { "s" })]
    FewCandidates {
        /// How many there are.
        count: usize,
    },
    /// A candidate that is given twice.
    #[error("the candidate `{candidate}` is given twice")]
    Twice {
        /// The candidate.
        candidate: String,
    },
    /// A candidate of which the tokenizer keeps nothing.
    #[error("the candidate `{candidate}` adds no token to the text")]
    NoTokens {
        /// The candidate.
        candidate: String,
    },
    /// A model that cannot be asked how likely a text is by itself.
    #[error(
        "the model has no token to begin a text with, so it does not say how likely a candidate is without the text"
    )]
    NoStart {
        /// The model.
        place: Place,
    },
    /// A model that does not say how likely other tokens were.
    #[error("this model does not say how likely its tokens are")]
    NoProbabilities {
        /// The model.
        place: Place,
    },
    /// A conversation with a model that cannot tell who speaks.
    #[error("this model has no chat template, so it cannot tell who speaks")]
    NoTemplate {
        /// The model.
        place: Place,
    },
    /// More context than the model was trained with.
    #[error("a context of {context} tokens is beyond the {trained} that the model was trained with")]
    BeyondTraining {
        /// Tokens asked for.
        context: usize,
        /// Tokens it knows.
        trained: u32,
        /// The model.
        place: Place,
        /// Whether the model can be asked all the same.
        warning: bool,
    },
    /// A setting outside its range.
    #[error("{0}")]
    Sampling(OutOfRange),
    /// An engine that was asked and did not answer.
    #[error("the model left a question without an answer")]
    Unanswered {
        /// The model.
        place: Place,
    },
}

impl Explain for DirectError {
    fn level(&self) -> Level {
        if matches!(self, Self::BeyondTraining { warning: true, .. }) { Level::Warning } else { Level::Error }
    }

    fn at(&self) -> Option<&Place> {
        match self {
            Self::OneToken { place, .. }
            | Self::NoStart { place }
            | Self::NoProbabilities { place }
            | Self::NoTemplate { place }
            | Self::BeyondTraining { place, .. }
            | Self::Unanswered { place } => Some(place),
            Self::Empty { .. }
            | Self::TooLong { .. }
            | Self::FewCandidates { .. }
            | Self::Twice { .. }
            | Self::NoTokens { .. }
            | Self::Sampling(_) => None,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Empty { .. } => "give at least one character".into(),
            Self::OneToken { .. } => "give a longer text: each token is judged by those before it".into(),
            Self::TooLong { tokens, behind, context, trained, .. } => {
                let wanted = tokens + behind;
                let more = if wanted <= *trained { format!("give --context {wanted} or more, or ") } else { String::new() };
                format!("{more}shorten it by {} tokens", wanted - context)
            }
            Self::FewCandidates { .. } => "give two or more: --candidates A B".into(),
            Self::Twice { .. } => "leave one of them out".into(),
            Self::NoTokens { .. } => "a candidate needs a character that the model's tokenizer keeps".into(),
            Self::NoStart { .. } => "put them in order by `likelihood` or `per-byte`".into(),
            Self::NoProbabilities { .. } => "name a GGUF model".into(),
            Self::NoTemplate { .. } => {
                "chat with a model that was taught to (`tripos model show` says `can chat`), teach this one conversations \
                 (`tripos train`, kind sft), or let it go on with a text: tripos lm next"
                    .into()
            }
            Self::BeyondTraining { trained, .. } => format!("give --context {trained} or less"),
            Self::Sampling(_) => "tripos chat --help says what each means".into(),
            Self::Unanswered { .. } => "ask again with -vv to see what it does".into(),
        })
    }
}
