//! What can be wrong with a recipe and its data.

use crate::error::{Explain, Level, Place, did_you_mean};

/// A problem of a recipe or of its data, and where it is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{problem}")]
pub struct TrainError {
    /// Where to look.
    pub place: Place,
    /// What is wrong there.
    pub problem: TrainProblem,
}

impl TrainError {
    /// A problem at a place.
    #[must_use]
    pub fn new(place: Place, problem: TrainProblem) -> Self {
        Self { place, problem }
    }
}

/// The kinds of problem. The message says what; the help says how to mend it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainProblem {
    /// A setting out of its range, or settings that contradict each other.
    #[error("{what}")]
    Setting {
        /// What does not fit.
        what: String,
        /// How to mend it.
        help: String,
    },
    /// A setting that may not be what was meant.
    #[error("{what}")]
    Doubtful {
        /// What it leads to.
        what: String,
        /// How to mend it.
        help: String,
    },
    /// A name that means nothing here.
    #[error("{what} `{name}` does not exist")]
    Unknown {
        /// kind, column, variant …
        what: &'static str,
        /// The name.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A file that cannot be read.
    #[error("cannot read {what}: {reason}")]
    Unreadable {
        /// Which.
        what: String,
        /// The system's words.
        reason: String,
    },
    /// An architecture that the trainable decoder does not know.
    #[error("a model of the architecture `{name}` cannot be trained")]
    Architecture {
        /// Its name.
        name: String,
    },
    /// A row of data that cannot be learned from.
    #[error("{what}")]
    Row {
        /// What is wrong with it.
        what: String,
        /// How to mend it.
        help: String,
    },
    /// More rows with a problem that was reported of the first ones.
    #[error("{count} more {}: {what}", if *count == 1 { "row" } else { "rows" })]
    More {
        /// How many.
        count: usize,
        /// What is wrong with them.
        what: String,
    },
    /// A row longer than the sequence, where the recipe refuses that.
    #[error("this row has {tokens} tokens, and `sequence` is {sequence}")]
    TooLong {
        /// Its tokens.
        tokens: usize,
        /// Most that fit.
        sequence: usize,
    },
    /// Rows that were cut.
    #[error("cut {rows} of {of} documents that are longer than `sequence: {sequence}`{}", lost(*stops))]
    Cut {
        /// How many were cut.
        rows: usize,
        /// Of how many.
        of: usize,
        /// Most tokens that fit.
        sequence: usize,
        /// How many lost their stop token.
        stops: usize,
    },
    /// Rows that were left out because they are too long, or because nothing to learn was left of them.
    #[error("left out {rows} of {of} documents: {why}")]
    Dropped {
        /// How many.
        rows: usize,
        /// Of how many.
        of: usize,
        /// Why.
        why: String,
    },
    /// A source that gives nothing.
    #[error("there is nothing to learn from here")]
    NoData {
        /// How to mend it.
        help: String,
    },
    /// No document was held out, and evaluation is on.
    #[error("no document is held out of {documents}, so there is nothing to evaluate on")]
    NoHeldOut {
        /// Documents there are.
        documents: usize,
    },
    /// All documents were held out.
    #[error("all {documents} documents are held out, and none is left to learn from")]
    AllHeldOut {
        /// Documents there are.
        documents: usize,
    },
    /// What is held out is learned as well.
    #[error("{documents} of {of} held-out documents are learned as well, so their loss says little")]
    Leak {
        /// How many.
        documents: usize,
        /// Of how many.
        of: usize,
    },
    /// The token that ends an answer is learned nowhere.
    #[error("no document ends in a token that ends an answer, so the model would learn never to stop")]
    NoStop {
        /// How to mend it.
        help: String,
    },
    /// The generation prompt has a part that finished answers lack.
    #[error(
        "where an answer begins, the model's chat template writes {asked:?}; before finished answers it writes {finished:?}"
    )]
    OtherStart {
        /// What it writes when it asks.
        asked: String,
        /// What it writes when it tells.
        finished: String,
    },
}

fn lost(stops: usize) -> String {
    match stops {
        0 => String::new(),
        1 => "; 1 of them lost its stop token".to_owned(),
        stops => format!("; {stops} of them lost their stop token"),
    }
}

impl Explain for TrainError {
    fn level(&self) -> Level {
        match self.problem {
            TrainProblem::Cut { .. }
            | TrainProblem::Doubtful { .. }
            | TrainProblem::Dropped { .. }
            | TrainProblem::Leak { .. }
            | TrainProblem::OtherStart { .. } => Level::Warning,
            _ => Level::Error,
        }
    }

    fn at(&self) -> Option<&Place> {
        Some(&self.place)
    }

    fn help(&self) -> Option<String> {
        Some(match &self.problem {
            TrainProblem::Setting { help, .. }
            | TrainProblem::Doubtful { help, .. }
            | TrainProblem::Row { help, .. }
            | TrainProblem::NoData { help }
            | TrainProblem::NoStop { help } => help.clone(),
            TrainProblem::Unknown { name, known, .. } => {
                did_you_mean(name, &known.iter().map(String::as_str).collect::<Vec<_>>())
            }
            TrainProblem::Unreadable { .. } => "check the path; paths are relative to the recipe's file".into(),
            TrainProblem::Architecture { .. } => {
                format!("these can be: {}", crate::model::architectures().join(", "))
            }
            TrainProblem::More { .. } => return None,
            TrainProblem::TooLong { .. } => {
                "set a larger `sequence`, or `too_long: cut` (keep the beginning) or `too_long: drop`".into()
            }
            TrainProblem::Cut { .. } => {
                "a larger `sequence` keeps them whole; `too_long: drop` leaves them out".into()
            }
            TrainProblem::Dropped { .. } => "a larger `sequence` keeps them".into(),
            TrainProblem::NoHeldOut { .. } => {
                "hold out more (`held_out: {share: 0.1}`), give data of its own (`held_out: {data: …}`), or do not \
                 evaluate (`evaluate: {every: 0}`)"
                    .into()
            }
            TrainProblem::AllHeldOut { .. } => "hold out less, or give more data".into(),
            TrainProblem::Leak { .. } => {
                "leave these rows out of `data`, or hold out a share of it (`held_out: {share: 0.05}`)".into()
            }
            TrainProblem::OtherStart { .. } => {
                "answers are learned as the template writes them when they are finished; the model begins elsewhere when asked".into()
            }
        })
    }
}
