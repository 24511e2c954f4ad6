//! What can go wrong between a suite and its samples.

use crate::error::{Explain, Level, Place};
use std::path::PathBuf;

/// A problem of a plan or of one of its trials.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RunError {
    /// A flag names something that the suite does not have.
    #[error("--{flag} {name}: the suite has no such {what}")]
    NoSuch {
        /// The flag.
        flag: &'static str,
        /// variant, case, tag.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
        /// The suite.
        place: Place,
    },
    /// The flags leave no trial.
    #[error("no case is left to run")]
    NothingLeft {
        /// The suite.
        place: Place,
        /// Which flags to look at.
        help: String,
    },
    /// Prompt and completion do not fit the context.
    #[error(
        "prompt does not fit: {prompt} prompt + {behind} {what} > {context} context tokens ({} over)",
        prompt + behind - context
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens that may be drawn, or that are judged.
        behind: usize,
        /// Which of the two: max_tokens, candidate.
        what: &'static str,
        /// Tokens that fit.
        context: usize,
        /// The variant.
        place: Place,
        /// Its name.
        variant: String,
        /// The case.
        case: String,
        /// Whether the run goes on without it.
        warning: bool,
    },
    /// More context than the model was trained with.
    #[error("a context of {context} tokens is beyond the {trained} that the model was trained with")]
    BeyondTraining {
        /// Tokens asked for.
        context: usize,
        /// Tokens it knows.
        trained: u32,
        /// The variant.
        place: Place,
        /// Its name.
        variant: String,
        /// Whether the model can be run at all: one that learned each position has none beyond.
        warning: bool,
    },
    /// A prompt without a single token.
    #[error("the prompt is empty")]
    EmptyPrompt {
        /// The variant.
        place: Place,
        /// Its name.
        variant: String,
        /// The case.
        case: String,
        /// Whether the run goes on without it.
        warning: bool,
    },
    /// Something whose likelihood is asked, and that has no tokens of its own.
    #[error("{what}")]
    NoTokens {
        /// What it is.
        what: String,
        /// How to mend it.
        help: String,
        /// The variant.
        place: Place,
        /// Variant and case.
        about: String,
        /// Whether the run goes on without it.
        warning: bool,
    },
    /// A first stage that said nothing: there is nothing for the second to go on from.
    #[error("the first stage said nothing, so the second is not asked")]
    EmptyStage {
        /// The variant.
        place: Place,
        /// Variant and case.
        about: String,
    },
    /// What a sampling asks for does not go with the model.
    #[error("{reason}")]
    Sampling {
        /// Why.
        reason: String,
        /// How to mend it.
        help: String,
        /// The variant.
        place: Place,
        /// Its name.
        variant: String,
    },
    /// What a suite wants does not go with who answers.
    #[error("{reason}")]
    Unsuited {
        /// What, and why not.
        reason: String,
        /// How to mend it.
        help: String,
        /// What wants it.
        place: Place,
        /// The variant, or the judge.
        about: String,
        /// Whether the run goes on without it.
        warning: bool,
    },
    /// A trial that nobody has answered, for a reason outside the model. It is asked again when the run goes on.
    #[error("{reason}")]
    Unanswered {
        /// What happened.
        reason: String,
        /// How to mend it.
        help: String,
        /// The variant.
        place: Place,
        /// Variant and case.
        about: String,
    },
    /// A prompt that could not be rendered for one case; the run goes on without it.
    #[error("{message}")]
    NotRendered {
        /// The template's problem.
        message: String,
        /// Where.
        place: Option<Place>,
        /// Variant and case.
        about: String,
        /// How to mend it.
        help: Option<String>,
        /// Whether the run goes on without it.
        warning: bool,
    },
    /// The base of a classifier is nowhere to be found.
    #[error("the model that `{}` was trained on is not there{}", classifier.display(), called(file))]
    NoBase {
        /// The classifier.
        classifier: PathBuf,
        /// The base's file name; may be empty.
        file: String,
        /// The base's SHA-256.
        wanted: String,
        /// How a user names the base.
        by: &'static str,
        /// The scorer.
        place: Place,
    },
    /// A whole model with a head, for which a base is named.
    #[error("`{}` is a whole model with its head, and sits on no other: `{}` would not be read", file.display(), model.display())]
    Whole {
        /// The file with the head.
        file: PathBuf,
        /// The base that was named.
        model: PathBuf,
        /// How a user names a base.
        by: &'static str,
        /// The scorer.
        place: Place,
    },
    /// A classifier that was trained on another model.
    #[error(
        "`{}` was trained on another model than `{}`: on one with SHA-256 {wanted}, and this has {found}",
        classifier.display(),
        model.display()
    )]
    OtherBase {
        /// The classifier.
        classifier: PathBuf,
        /// The SHA-256 of its base.
        wanted: String,
        /// The model that is there.
        model: PathBuf,
        /// Its SHA-256.
        found: String,
        /// The base's file name; may be empty.
        file: String,
        /// How a user names the base.
        by: &'static str,
        /// The scorer.
        place: Place,
    },
    /// A classifier whose head is not as wide as its model.
    #[error(
        "the head of `{}` reads states of {head} numbers, and those of `{}` have {width}",
        classifier.display(),
        model.display()
    )]
    HeadWidth {
        /// The classifier.
        classifier: PathBuf,
        /// Numbers that its head reads.
        head: usize,
        /// Its model.
        model: PathBuf,
        /// Numbers of a state.
        width: usize,
        /// The scorer.
        place: Place,
    },
    /// A variant's prompts are of another kind than what a classifier learned from.
    #[error("the classifier of scorer `{scorer}` learned from {learned}, and this prompt is {}", if *learned == "chats" { "a text" } else { "a chat" })]
    OtherRender {
        /// The scorer.
        scorer: String,
        /// texts, chats.
        learned: &'static str,
        /// The variant.
        place: Place,
        /// Its name.
        variant: String,
    },
    /// A prompt that does not fit the context of a classifier's model.
    #[error("prompt does not fit the classifier of scorer `{scorer}`: {prompt} tokens for a context of {context}")]
    Unreadable {
        /// The scorer.
        scorer: String,
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens that fit.
        context: usize,
        /// The variant.
        place: Place,
        /// Variant and case.
        about: String,
    },
    /// What is resumed is not what was begun.
    #[error("{what} changed since the run began")]
    Changed {
        /// The suite, the cases, a model …
        what: String,
        /// The run.
        place: Place,
    },
    /// A flag given with --resume says otherwise than the run.
    #[error("--{flag} would change the plan of the run that is resumed ({given}, the run has {recorded})")]
    OtherFlag {
        /// The flag.
        flag: String,
        /// What was given.
        given: String,
        /// What the run was begun with.
        recorded: String,
        /// The run.
        place: Place,
    },
}

/// A file's name in brackets, where there is one.
fn called(file: &str) -> String {
    if file.is_empty() { String::new() } else { format!(" (`{file}`)") }
}

impl Explain for RunError {
    fn level(&self) -> Level {
        match self {
            Self::TooLong { warning: true, .. }
            | Self::BeyondTraining { warning: true, .. }
            | Self::EmptyPrompt { warning: true, .. }
            | Self::NoTokens { warning: true, .. }
            | Self::EmptyStage { .. }
            | Self::Unsuited { warning: true, .. }
            | Self::Unanswered { .. }
            | Self::OtherRender { .. }
            | Self::NotRendered { warning: true, .. } => Level::Warning,
            _ => Level::Error,
        }
    }

    fn at(&self) -> Option<&Place> {
        match self {
            Self::NotRendered { place, .. } => place.as_ref(),
            Self::NoSuch { place, .. }
            | Self::NothingLeft { place, .. }
            | Self::TooLong { place, .. }
            | Self::BeyondTraining { place, .. }
            | Self::EmptyPrompt { place, .. }
            | Self::NoTokens { place, .. }
            | Self::EmptyStage { place, .. }
            | Self::Sampling { place, .. }
            | Self::Unsuited { place, .. }
            | Self::Unanswered { place, .. }
            | Self::NoBase { place, .. }
            | Self::OtherBase { place, .. }
            | Self::Whole { place, .. }
            | Self::HeadWidth { place, .. }
            | Self::OtherRender { place, .. }
            | Self::Unreadable { place, .. }
            | Self::Changed { place, .. }
            | Self::OtherFlag { place, .. } => Some(place),
        }
    }

    fn about(&self) -> Option<String> {
        match self {
            Self::TooLong { variant, case, .. } | Self::EmptyPrompt { variant, case, .. } => {
                Some(format!("variant `{variant}`, case `{case}`"))
            }
            Self::BeyondTraining { variant, .. }
            | Self::Sampling { variant, .. }
            | Self::OtherRender { variant, .. } => Some(format!("variant `{variant}`")),
            Self::NotRendered { about, .. }
            | Self::NoTokens { about, .. }
            | Self::Unsuited { about, .. }
            | Self::Unanswered { about, .. }
            | Self::Unreadable { about, .. }
            | Self::EmptyStage { about, .. } => Some(about.clone()),
            _ => None,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoSuch { name, known, .. } => {
                let known: Vec<&str> = known.iter().map(String::as_str).take(30).collect();
                crate::error::did_you_mean(name, &known)
            }
            Self::NothingLeft { help, .. }
            | Self::NoTokens { help, .. }
            | Self::Sampling { help, .. }
            | Self::Unsuited { help, .. }
            | Self::Unanswered { help, .. } => help.clone(),
            Self::TooLong { prompt, behind, what: "max_tokens", context, .. } if prompt < context => {
                format!("set `context: {}` or more, or `max_tokens: {}` or less", prompt + behind, context - prompt)
            }
            Self::TooLong { prompt, behind, .. } => format!("set `context: {}` or more", prompt + behind),
            Self::BeyondTraining { trained, .. } => format!("set `context: {trained}` or less"),
            Self::EmptyStage { .. } => {
                "end its prompt where an answer has to follow, and look at `stop` and `max_tokens`; the case counts as \
                 one without an answer"
                    .into()
            }
            Self::EmptyPrompt { .. } => "write something for the model to go on from".into(),
            Self::NotRendered { help, .. } => return help.clone(),
            Self::NoBase { wanted, by, .. } => {
                format!("put it (SHA-256 {wanted}) beside the file or into models/, or name it: {by}")
            }
            Self::OtherBase { file, by, .. } => {
                format!("name its own model{}: {by}; or train another on this one", called(file))
            }
            Self::Whole { by, .. } => format!("leave the base out; only an adapter needs one: {by}"),
            Self::HeadWidth { .. } => "the file was put together wrongly: train it again".into(),
            Self::OtherRender { learned: "chats", .. } => {
                "ask in a chat (a prompt file `.yaml`), or train the classifier on texts".into()
            }
            Self::OtherRender { .. } => "ask by a text (a prompt file `.txt`), or train the classifier on chats".into(),
            Self::Unreadable { prompt, .. } => {
                format!("set `context: {prompt}` or more: `label: {{classifier: …, context: {prompt}}}`")
            }
            Self::Changed { .. } => {
                "start a run of its own without --resume; what was answered comes from the cache (a server's answers only with \
                 `cache: true`)"
                    .into()
            }
            Self::OtherFlag { flag, .. } => format!("leave --{flag} out, or start a run of its own without --resume"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    #[test]
    fn a_prompt_that_does_not_fit_says_by_how_much_and_what_would() {
        let error = RunError::TooLong {
            prompt: 3912,
            behind: 512,
            what: "max_tokens",
            context: 4096,
            place: Place::new("suites/long.yaml", 8, 3),
            variant: "cot".into(),
            case: "doc-3".into(),
            warning: false,
        };
        insta::assert_snapshot!(render(&error, false), @r"
        error: prompt does not fit: 3912 prompt + 512 max_tokens > 4096 context tokens (328 over)
          --> suites/long.yaml:8:3 (variant `cot`, case `doc-3`)
          help: set `context: 4424` or more, or `max_tokens: 184` or less
        ");
    }
}
