//! What stands in a recipe's files and generators: rows, before any model sees them.

use super::gather::Gathered;
use super::prose;
use super::rows::{self, Row};
use super::shots;
use crate::error::{Place, Problems};
use crate::suite::{SuiteError, SuiteProblem, Vars, read_rows};
use crate::train::error::{TrainError, TrainProblem};
use crate::train::recipe::{Origin, Recipe, Source};

/// One reading of sources: the problems gather here.
pub(super) struct Sources<'a> {
    recipe: &'a Recipe,
    pub problems: Problems,
    pub warnings: Problems,
}

impl<'a> Sources<'a> {
    pub(super) fn new(recipe: &'a Recipe) -> Self {
        Self { recipe, problems: Problems::new(), warnings: Problems::new() }
    }

    pub(super) fn fail(&mut self, path: &str, problem: TrainProblem) {
        self.problems.push(TrainError::new(self.recipe.place(path), problem));
    }

    pub(super) fn warn(&mut self, path: &str, problem: TrainProblem) {
        self.warnings.push(TrainError::new(self.recipe.place(path), problem));
    }

    /// The rows of a file or a generator; none of a run, which has samples.
    pub(super) fn rows(&mut self, source: &Source) -> Vec<Row> {
        let before = self.problems.len();
        let limit = source.limit.unwrap_or(usize::MAX);
        let (rows, broken) = match &source.origin {
            Origin::File { file } if file.extension().is_some_and(|ending| ending == "txt") => prose::read(file, limit),
            Origin::File { file } => read_rows(file, limit),
            Origin::Generate { generate } => {
                let place = self.recipe.place(&format!("{}.generate", source.at));
                let (cases, problems) = match generate.cases() {
                    Ok(cases) => (cases, Vec::new()),
                    Err(problem) => (Vec::new(), vec![SuiteError::new(place.clone(), problem)]),
                };
                let rows = cases.into_iter().map(|case| {
                    let target = case.target.map(|target| ("target".to_owned(), target.into()));
                    (case.vars.into_iter().chain(target).collect(), place.clone())
                });
                (rows.collect(), problems)
            }
            Origin::Run { .. } => (Vec::new(), Vec::new()),
        };
        let rows = self.read(source, rows, broken);
        if rows.is_empty() && self.problems.len() == before {
            let help = "the source has no row: name another, or leave it out".to_owned();
            self.fail(&source.at, TrainProblem::NoData { help });
        }
        rows
    }

    fn read(&mut self, source: &Source, rows: Vec<(Vars, Place)>, broken: Vec<SuiteError>) -> Vec<Row> {
        let mut gathered = Gathered::default();
        for error in broken {
            let kind = if matches!(error.problem, SuiteProblem::Row { .. }) { "broken line" } else { "file" };
            gathered.push(kind, &error.place.clone(), error);
        }
        let mut read = Vec::with_capacity(rows.len());
        for (row, place) in rows {
            match rows::row(source, self.recipe.kind, row, place.clone()) {
                Ok(row) => read.push(row),
                Err(problem) => gathered.row(&place, problem),
            }
        }
        self.problems.append(gathered.done());
        if let Some(examples) = source.examples {
            shots::draw(&mut read, examples, self.recipe);
        }
        read
    }
}
