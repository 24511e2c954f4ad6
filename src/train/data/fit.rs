//! Documents that are longer than a row.

use super::gather::Gathered;
use super::mask;
use super::read::Found;
use super::{Dataset, SourceFacts};
use crate::engine::Engine;
use crate::error::{Place, Problems};
use crate::train::error::{TrainError, TrainProblem};
use crate::train::recipe::{Kind, Recipe, Source, TooLong};

/// Puts what a source gave into a data set, each document within the recipe's sequence.
pub(super) struct Fitter<'a> {
    pub recipe: &'a Recipe,
    pub engine: &'a dyn Engine,
    pub warnings: Problems,
}

/// What became of the documents of a source that are too long.
#[derive(Default)]
struct Long {
    cut: usize,
    lost_stop: usize,
    dropped: usize,
    emptied: usize,
}

impl Fitter<'_> {
    /// Adds the documents; the errors of a recipe that refuses long ones.
    pub(super) fn add(&mut self, source: &Source, found: Vec<Found>, set: &mut Dataset) -> Result<(), Problems> {
        let place = self.recipe.place(&source.at);
        let mut facts =
            SourceFacts { name: source.name(), place: place.clone(), rows: found.len(), ..SourceFacts::default() };
        let mut refused = Gathered::default();
        let mut long = Long::default();
        let mut all = 0;
        for row in found {
            for mut document in row.documents {
                all += 1;
                let (tokens, sequence) = (document.tokens.len(), self.recipe.sequence);
                if tokens > sequence {
                    match self.recipe.too_long {
                        TooLong::Refuse => {
                            refused.row(&row.place, TrainProblem::TooLong { tokens, sequence });
                            continue;
                        }
                        TooLong::Drop => {
                            long.dropped += 1;
                            continue;
                        }
                        TooLong::Cut => {
                            let stopped = mask::ends(self.engine, &document);
                            document.tokens.truncate(sequence);
                            document.learn.truncate(sequence);
                            if self.recipe.kind == Kind::Sft && mask::is_blank(self.engine, &document) {
                                long.emptied += 1;
                                continue;
                            }
                            long.cut += 1;
                            long.lost_stop += usize::from(stopped && !mask::ends(self.engine, &document));
                        }
                    }
                }
                facts.documents += 1;
                facts.tokens += document.tokens.len();
                facts.targets += document.targets();
                set.documents.push(document);
                set.labels.extend(row.label);
            }
        }
        (facts.cut, facts.dropped) = (long.cut, long.dropped + long.emptied);
        set.sources.push(facts);
        self.warn(&place, &long, all);
        refused.done().or_ok(())
    }

    fn warn(&mut self, place: &Place, long: &Long, of: usize) {
        let sequence = self.recipe.sequence;
        let mut warn = |problem| self.warnings.push(TrainError::new(place.clone(), problem));
        if long.cut > 0 {
            warn(TrainProblem::Cut { rows: long.cut, of, sequence, stops: long.lost_stop });
        }
        if long.dropped > 0 {
            let why = format!("they are longer than `sequence: {sequence}`");
            warn(TrainProblem::Dropped { rows: long.dropped, of, why });
        }
        if long.emptied > 0 {
            let why = format!("their answers begin behind the {sequence} tokens of `sequence`");
            warn(TrainProblem::Dropped { rows: long.emptied, of, why });
        }
    }
}
