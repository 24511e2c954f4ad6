//! What can go wrong with rankings and preferences.

use super::record::SCHEMA;
use crate::error::{Explain, Level, Place, did_you_mean};

/// A problem and where it is.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct RankError {
    /// What is wrong.
    pub problem: RankProblem,
    /// Where, if it has a place.
    pub place: Option<Place>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RankProblem {
    /// A file cannot be read.
    #[error("cannot read it: {reason}")]
    Read {
        /// The system's words.
        reason: String,
    },
    /// A file cannot be written.
    #[error("cannot write it: {reason}")]
    Write {
        /// The system's words.
        reason: String,
    },
    /// A line is no JSON, or not of the shape of its file.
    #[error("not a line of {kind}: {reason}")]
    Line {
        /// What the file holds.
        kind: &'static str,
        /// The parser's words.
        reason: String,
    },
    /// Written by a later version.
    #[error("a judgement of schema {found}, and this version reads up to {SCHEMA}")]
    Newer {
        /// The line's schema.
        found: u64,
    },
    /// There is nothing to compare.
    #[error("a ranking of one answer says nothing")]
    OneAnswer,
    /// A judgement contradicts itself.
    #[error("{what}")]
    Shape {
        /// What is wrong.
        what: String,
    },
    /// The last line has no end.
    #[error("the last line is cut: {bytes} bytes without an end are passed over")]
    Cut {
        /// How much of it is there.
        bytes: usize,
    },
    /// A name is not known.
    #[error("unknown {what} `{name}`")]
    Unknown {
        /// What it should name.
        what: &'static str,
        /// What was written.
        name: String,
        /// What is there.
        known: Vec<String>,
    },
    /// `--axes` is not a list of names.
    #[error("`{written}` is no list of axes: {why}")]
    Axes {
        /// What was written.
        written: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A person must not bear a scorer's name.
    #[error("a rater cannot be called `{name}`")]
    RaterName {
        /// The name.
        name: String,
    },
    /// No case has two different answers.
    #[error("there is nothing to rank: {single} cases have one answer only, {without} have none")]
    NothingToRank {
        /// Cases with one.
        single: usize,
        /// Cases without.
        without: usize,
    },
    /// The page has no port.
    #[error("cannot listen on 127.0.0.1:{port}: {reason}")]
    Listen {
        /// The port asked for; 0 for any.
        port: u16,
        /// The system's words.
        reason: String,
    },
    /// It is none of the shapes that can be read.
    #[error("neither rankings nor preferences: {found}")]
    Kind {
        /// What its first row is instead.
        found: String,
    },
    /// Rows of one kind are left out.
    #[error("{why} ({rows} {}, the first here): left out", if *.rows == 1 { "row" } else { "rows" })]
    LeftOut {
        /// How many.
        rows: usize,
        /// What is the matter with them.
        why: &'static str,
        /// How to mend it.
        help: &'static str,
    },
    /// Nothing is left.
    #[error("no pair is left")]
    NoPairs {
        /// What was dropped, by reason.
        dropped: String,
    },
    /// A prompt stands on both sides.
    #[error("{prompts} of the prompts are also in {other}, the first here")]
    BothSides {
        /// How many.
        prompts: usize,
        /// The other file and line.
        other: Place,
    },
    /// A side of the split has nothing.
    #[error("the {side} side of the split has none of the {prompts} prompts")]
    EmptySide {
        /// Which.
        side: &'static str,
        /// Prompts in all.
        prompts: usize,
    },
    /// A run has answers, and nothing says which are good.
    #[error("a run needs a scorer to choose among its answers")]
    NoScorer,
    /// A file of rankings holds none.
    #[error("there are no judgements in it")]
    NoJudgements,
    /// The result would overwrite what it is made of.
    #[error("the result would overwrite what it is made of")]
    Overwrites,
}

impl RankProblem {
    /// With its place.
    #[must_use]
    pub fn at(self, place: Place) -> RankError {
        RankError { problem: self, place: Some(place) }
    }
}

impl From<RankProblem> for RankError {
    fn from(problem: RankProblem) -> Self {
        Self { problem, place: None }
    }
}

impl Explain for RankError {
    fn level(&self) -> Level {
        match self.problem {
            RankProblem::Cut { .. } | RankProblem::LeftOut { .. } => Level::Warning,
            _ => Level::Error,
        }
    }

    fn at(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    fn help(&self) -> Option<String> {
        Some(match &self.problem {
            RankProblem::Read { .. } => "give a file of rankings, of preferences, or the folder of a run".into(),
            RankProblem::Write { .. } => "free some space, or choose another file with --out".into(),
            RankProblem::Line { .. } | RankProblem::Shape { .. } => "mend the line or remove it".into(),
            RankProblem::Newer { .. } => "update Tripos".into(),
            RankProblem::OneAnswer => "remove the line; a judgement compares two answers or more".into(),
            RankProblem::Cut { .. } => "a program was killed while it wrote; the next judgement mends the file".into(),
            RankProblem::Unknown { name, known, .. } => {
                did_you_mean(name, &known.iter().map(String::as_str).collect::<Vec<_>>())
            }
            RankProblem::Axes { .. } => "write names with commas between them: --axes helpful,honest,harmless".into(),
            RankProblem::RaterName { .. } => {
                "give a name without `simulated:` in front, of 1 to 60 characters and no control characters".into()
            }
            RankProblem::NothingToRank { .. } => {
                "answers are compared within a case: run several variants, or one with `repeats: 4` and a temperature".into()
            }
            RankProblem::Listen { .. } => "choose another port with --port, or leave it out for a free one".into(),
            RankProblem::Kind { .. } => "rows need `prompt`, `chosen` and `rejected`; or `chosen` and `rejected` that are \
                 conversations with one beginning; or what `tripos rank` writes"
                .into(),
            RankProblem::LeftOut { help, .. } => (*help).to_owned(),
            RankProblem::NoPairs { dropped } if dropped.is_empty() => "the files have no rows".into(),
            RankProblem::NoPairs { dropped } => format!("left out: {dropped}"),
            RankProblem::BothSides { .. } => {
                "a test would then ask what was learned: give all files together with --test 0.1 --test-out FILE, which \
                 divides them by prompt, or remove those rows from one side"
                    .into()
            }
            RankProblem::EmptySide { side: "test", .. } => "choose a larger --test, or give more data".into(),
            RankProblem::EmptySide { .. } => "choose a smaller --test, or give more data".into(),
            RankProblem::NoScorer => "name one of the run's: --scorer NAME".into(),
            RankProblem::NoJudgements => "make some: tripos rank RUN".into(),
            RankProblem::Overwrites => "choose another file for the result".into(),
        })
    }
}
