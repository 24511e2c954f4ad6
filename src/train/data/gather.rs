//! Problems of rows: the first few of each kind, and how many more there are.

use crate::error::{Explain, Place, Problems};
use crate::train::error::{TrainError, TrainProblem};

/// So many rows with one problem are named.
const NAMED: usize = 3;

/// What was found wrong with the rows of a source.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    problems: Problems,
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    name: String,
    last: Place,
    count: usize,
}

impl Gathered {
    /// Adds a problem of a row. Problems of one `kind` are one mistake made in many rows.
    pub(super) fn push(&mut self, kind: &str, place: &Place, problem: impl Explain) {
        let at = self.kinds.iter().position(|known| known.name == kind).unwrap_or_else(|| {
            self.kinds.push(Kind { name: kind.to_owned(), last: place.clone(), count: 0 });
            self.kinds.len() - 1
        });
        let Some(known) = self.kinds.get_mut(at) else { return };
        known.count += 1;
        if known.count <= NAMED {
            known.last = place.clone();
            self.problems.push(problem);
        }
    }

    /// Adds a problem of a row that says itself what kind it is.
    pub(super) fn row(&mut self, place: &Place, problem: TrainProblem) {
        let kind = match &problem {
            TrainProblem::TooLong { sequence, .. } => format!("longer than `sequence: {sequence}`"),
            other => other.to_string(),
        };
        self.push(&kind, place, TrainError::new(place.clone(), problem));
    }

    /// All of them.
    pub(super) fn done(mut self) -> Problems {
        for kind in self.kinds.into_iter().filter(|kind| kind.count > NAMED) {
            let problem = TrainProblem::More { count: kind.count - NAMED, what: kind.name };
            self.problems.push(TrainError::new(kind.last, problem));
        }
        self.problems
    }
}
