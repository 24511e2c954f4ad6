//! What can be wrong with a prompt.

use crate::error::{Explain, Place, did_you_mean};

/// A prompt that cannot be read or rendered.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// A template that does not parse, or that names a filter, test or function that does not exist.
    #[error("{message}")]
    Syntax {
        /// What the parser said.
        message: String,
        /// How to mend it, where that is known.
        help: Option<String>,
        /// The tag concerned.
        place: Place,
    },
    /// A variable that the case does not have, or a field that its map does not have.
    #[error("undefined {what} `{name}`")]
    Undefined {
        /// "variable", "field" (of a map) or "value" (of an expression).
        what: &'static str,
        /// Its name.
        name: String,
        /// What is defined there.
        known: Vec<String>,
        /// Where the template uses it.
        place: Place,
    },
    /// Anything else that fails while rendering.
    #[error("{message}")]
    Render {
        /// What the template engine said.
        message: String,
        /// The expression concerned.
        place: Place,
    },
    /// `include` or `extends`.
    #[error("a prompt is one file: `{{% {tag} %}}` cannot be used")]
    OtherFile {
        /// The tag.
        tag: String,
        /// Where it stands.
        place: Place,
    },
    /// A chat prompt that is not a list of roles.
    #[error("{message}")]
    ChatFile {
        /// What is wrong.
        message: String,
        /// What is expected instead.
        help: String,
        /// The item concerned.
        place: Place,
    },
    /// A chat prompt for a model that has no chat template.
    #[error("this prompt is a chat, and the model has no chat template")]
    NoChatTemplate {
        /// The prompt file.
        place: Place,
    },
    /// A chat template, out of the model's file, that cannot be read.
    #[error("the model's chat template cannot be read: {message}")]
    ChatTemplate {
        /// What the parser said, with the template's line.
        message: String,
    },
    /// The chat template called `raise_exception`.
    #[error("the model's chat template refuses this prompt: {message}")]
    Refused {
        /// The template's own words.
        message: String,
        /// The prompt file.
        place: Place,
    },
    /// The chat template failed otherwise.
    #[error("the model's chat template fails on this prompt: {message}")]
    ChatTemplateFails {
        /// What the template engine said, with the template's line.
        message: String,
        /// The prompt file.
        place: Place,
    },
    /// The prompt ends in an assistant message to be continued, and the template does not write it.
    #[error("the model's chat template leaves out the last assistant message, so it cannot be continued")]
    PrefillLost {
        /// The assistant message.
        place: Place,
    },
    /// The suite's `date:` is not a day.
    #[error("`{date}` is not a day")]
    Date {
        /// What was given.
        date: String,
    },
    /// Data that holds one of the two noncharacters used as marks.
    #[error("{what} holds U+FDD0 or U+FDD1, which Unicode keeps for internal use")]
    Reserved {
        /// The variable, or the file.
        what: String,
    },
    /// Too many control tokens for one automaton: no real vocabulary comes near.
    #[error("the model's control tokens cannot be indexed: {message}")]
    Controls {
        /// What the automaton said.
        message: String,
    },
    /// One of the above while rendering one case or example.
    #[error("{error}")]
    Of {
        /// "case `a-17`" or "example `3`".
        whose: String,
        /// What went wrong.
        error: Box<PromptError>,
    },
}

impl PromptError {
    /// Says which case or example was being rendered; the innermost name stays.
    pub(super) fn of(self, kind: &str, id: &str) -> Self {
        match self {
            Self::Of { .. } => self,
            error => Self::Of { whose: format!("{kind} `{id}`"), error: Box::new(error) },
        }
    }
}

impl Explain for PromptError {
    fn at(&self) -> Option<&Place> {
        match self {
            Self::Syntax { place, .. }
            | Self::Undefined { place, .. }
            | Self::Render { place, .. }
            | Self::OtherFile { place, .. }
            | Self::ChatFile { place, .. }
            | Self::NoChatTemplate { place }
            | Self::Refused { place, .. }
            | Self::ChatTemplateFails { place, .. }
            | Self::PrefillLost { place } => Some(place),
            Self::ChatTemplate { .. } | Self::Date { .. } | Self::Reserved { .. } | Self::Controls { .. } => None,
            Self::Of { error, .. } => error.at(),
        }
    }

    fn about(&self) -> Option<String> {
        match self {
            Self::Of { whose, .. } => Some(whose.clone()),
            _ => None,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Syntax { help, .. } => return help.clone(),
            Self::Undefined { name, .. } if name == "target" => {
                "`target` is known inside examples only, so that no answer leaks into a prompt".into()
            }
            Self::Undefined { what: "value", .. } => {
                "test it first (`{% if x is defined %}`), or use `| default(value=\"\")`".into()
            }
            Self::Undefined { name, known, .. } => {
                did_you_mean(name, &known.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Self::OtherFile { .. } => "copy the other file's text here".into(),
            Self::ChatFile { help, .. } => help.clone(),
            Self::NoChatTemplate { .. } => "use a completion prompt (a .txt file) for this model".into(),
            Self::ChatTemplate { .. } => "use completion prompts (.txt files), or another GGUF of this model".into(),
            Self::Refused { .. } | Self::ChatTemplateFails { .. } => {
                "change the roles to those the template takes, or use a completion prompt (a .txt file)".into()
            }
            Self::PrefillLost { .. } => "end the prompt with a user message".into(),
            Self::Date { .. } => "write it as `date: 2026-11-23`".into(),
            Self::Reserved { .. } => "remove that character from the data".into(),
            Self::Of { error, .. } => return error.help(),
            Self::Render { .. } | Self::Controls { .. } => return None,
        };
        Some(help)
    }
}
