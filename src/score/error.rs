//! What can be wrong with a scorer before anything is judged.

use crate::engine::HeadFault;
use crate::error::{Explain, Place};
use std::path::PathBuf;

/// Why a scorer, or a way to read an answer, cannot be built. What goes wrong with one completion is never an error
/// but a score: see [`ScoreValue::Unscored`](super::ScoreValue::Unscored).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScoreError {
    /// A regular expression does not compile.
    #[error("the regular expression `{pattern}` does not compile: {reason}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What the compiler said, in one line.
        reason: String,
    },
    /// An expression lacks the group that is asked for.
    #[error("the regular expression `{pattern}` has no group {group}")]
    NoGroup {
        /// The expression.
        pattern: String,
        /// The group asked for.
        group: usize,
        /// The highest group that it has; 0 is the whole match.
        highest: usize,
    },
    /// A text is no RFC 6901 pointer.
    #[error("`{pointer}` is not a JSON pointer")]
    Pointer {
        /// The text.
        pointer: String,
    },
    /// A JSON Schema is malformed, or refers to one that is not inside it.
    #[error("the JSON Schema cannot be used: {reason}")]
    Schema {
        /// What the schema compiler said.
        reason: String,
    },
    /// A tolerance is negative, too precise or not a number.
    #[error("the tolerance `{text}` is not a decimal number of 0 or more")]
    Tolerance {
        /// What was written.
        text: String,
    },
    /// A text to look for, or a label, is empty.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: &'static str,
    },
    /// A label scorer names no labels and no case has a target.
    #[error("there are no labels: the scorer names none and no case has a target")]
    NoLabels,
    /// Two labels are the same once case, spaces and punctuation are set aside.
    #[error("the labels `{first}` and `{second}` cannot be told apart")]
    LabelsAlike {
        /// One label.
        first: String,
        /// The other.
        second: String,
    },
    /// A file that is no classifier, or whose head is damaged.
    #[error("`{}` is no classifier that can be used: {fault}", file.display())]
    Classifier {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        fault: HeadFault,
    },
    /// A file that is no reward model, or whose head is damaged.
    #[error("`{}` is no reward model that can be used: {fault}", file.display())]
    RewardModel {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        fault: HeadFault,
    },
    /// The suite names other labels than the classifier has.
    #[error("the scorer's labels are {}; those of the classifier are {}", written.join(", "), known.join(", "))]
    OtherLabels {
        /// What the suite says.
        written: Vec<String>,
        /// What the classifier has.
        known: Vec<String>,
    },
    /// No case has a target that the classifier could say.
    #[error("no case has a target that the classifier knows; its labels are {}", known.join(", "))]
    StrangeTargets {
        /// What the classifier has.
        known: Vec<String>,
        /// A target of the suite.
        target: String,
    },
    /// `not` on a reward scorer.
    #[error("`not` has no meaning for a reward, which has no highest value")]
    NotOnReward,
    /// `not` on a scorer whose value is a label.
    #[error("`not` has no meaning for a label")]
    NotOnLabel,
    /// A program would have to be run, and the user has not allowed it.
    #[error("the scorer would run the program `{program}`")]
    CommandsOff {
        /// The program.
        program: String,
    },
    /// A command scorer without a program, or with no time to run it.
    #[error("the command scorer has no {what}")]
    Command {
        /// What is missing.
        what: &'static str,
    },
}

impl Explain for ScoreError {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Regex { .. } => {
                "the syntax is that of Rust's `regex` crate: no look-around and no back-references".into()
            }
            Self::NoGroup { highest: 0, .. } => "put brackets round the part that counts, or drop `group`".into(),
            Self::NoGroup { highest, .. } => format!("its groups are 0 (the whole match) to {highest}"),
            Self::Pointer { .. } => {
                "write `/answer/0`, or an empty text for the whole document; `~` is written `~0`, `/` inside a name `~1`"
                    .into()
            }
            Self::Schema { .. } => "everything it refers to must stand inside it, as `#/$defs/name`".into(),
            Self::Tolerance { .. } => "write it as `0.01`; at most 28 digits".into(),
            Self::Empty { .. } => "every text would match it: write at least one character".into(),
            Self::NoLabels => "write `labels: [yes, no]`, or give the cases targets".into(),
            Self::LabelsAlike { .. } => {
                "case, spaces and surrounding punctuation do not count: use one spelling, also in the targets".into()
            }
            Self::Classifier { fault, .. } | Self::RewardModel { fault, .. } => fault.help().into(),
            Self::OtherLabels { .. } => "leave `labels` out: a classifier brings its own".into(),
            Self::StrangeTargets { target, .. } => {
                format!("a target is a label letter by letter; one of them is `{target}`")
            }
            Self::NotOnReward => "drop `not`; a gate may ask for `at_most`".into(),
            Self::NotOnLabel => "drop `not`; a confusion matrix shows what was mistaken for what".into(),
            Self::CommandsOff { .. } => "read the program, then allow it with --allow-commands".into(),
            Self::Command { .. } => "write `run: [python3, judge.py]` and a `timeout_s` of 1 or more".into(),
        })
    }
}

/// A [`ScoreError`] with the place and the owner that a suite gives it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct ScoreProblem {
    /// What is wrong.
    pub error: ScoreError,
    /// Whose it is: ``scorer `exact` ``.
    pub owner: String,
    /// Where the scorer stands; the default place where that is not known.
    pub place: Place,
}

impl Explain for ScoreProblem {
    fn at(&self) -> Option<&Place> {
        (!self.place.file.as_os_str().is_empty()).then_some(&self.place)
    }

    fn about(&self) -> Option<String> {
        Some(self.owner.clone())
    }

    fn help(&self) -> Option<String> {
        self.error.help()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    fn shown(error: ScoreError) -> String {
        let owner = "scorer `judge`".to_owned();
        render(&ScoreProblem { error, owner, place: Place::new("suites/a.yaml", 9, 5) }, false)
    }

    #[test]
    fn says_what_where_whose_and_how_to_mend() {
        insta::assert_snapshot!(shown(ScoreError::CommandsOff { program: "./judge.py".into() }), @r"
        error: the scorer would run the program `./judge.py`
          --> suites/a.yaml:9:5 (scorer `judge`)
          help: read the program, then allow it with --allow-commands
        ");
        insta::assert_snapshot!(shown(ScoreError::NoGroup { pattern: "(a)".into(), group: 2, highest: 1 }), @r"
        error: the regular expression `(a)` has no group 2
          --> suites/a.yaml:9:5 (scorer `judge`)
          help: its groups are 0 (the whole match) to 1
        ");
        insta::assert_snapshot!(shown(ScoreError::LabelsAlike { first: "Yes".into(), second: "yes".into() }), @r"
        error: the labels `Yes` and `yes` cannot be told apart
          --> suites/a.yaml:9:5 (scorer `judge`)
          help: case, spaces and surrounding punctuation do not count: use one spelling, also in the targets
        ");
    }

    #[test]
    fn an_unknown_place_is_left_out() {
        let problem =
            ScoreProblem { error: ScoreError::NoLabels, owner: "scorer `label`".into(), place: Place::default() };
        insta::assert_snapshot!(render(&problem, false), @r"
        error: there are no labels: the scorer names none and no case has a target
          --> scorer `label`
          help: write `labels: [yes, no]`, or give the cases targets
        ");
    }
}
