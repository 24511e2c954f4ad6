//! How a command ends when it does not end well.

use super::output::complain;
use crate::error::{Explain, Problems, render};

/// Why a command stopped.
#[derive(Debug)]
pub(super) enum Failure {
    /// Problems to print; exit code 2.
    Problems(Problems),
    /// A message to print; exit code 2.
    Message(anyhow::Error),
    /// All was said; only the exit code is left.
    Code(u8),
}

impl Failure {
    /// Prints what is left to say and gives the exit code.
    pub(super) fn report(self) -> u8 {
        match self {
            Self::Problems(problems) => {
                print_problems(&problems);
                2
            }
            Self::Message(error) => {
                complain(&format!("error: {error:#}\n"));
                2
            }
            Self::Code(code) => code,
        }
    }

    /// As problems, to be gathered with others.
    pub(super) fn problems(self) -> Problems {
        match self {
            Self::Problems(problems) => problems,
            Self::Message(error) => Said(format!("{error:#}")).into(),
            Self::Code(_) => Said("interrupted".to_owned()).into(),
        }
    }
}

/// A message as a problem.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

impl Explain for Said {}

/// Each problem as a block on stderr, in colour where that is a terminal.
pub(super) fn print_problems(problems: &Problems) {
    let colour = super::environment::stderr_colour();
    for problem in problems.iter() {
        complain(&render(problem, colour));
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Problems(error.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Message(error)
    }
}
