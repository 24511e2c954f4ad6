//! Documents that are longer than a row.

use super::gather::Gathered;
use super::mask;
use super::read::Found;
use super::{Dataset, SourceFacts};
use crate::engine::{Engine, Token};
use crate::error::{Place, Problems};
use crate::model::Document;
use crate::train::error::{TrainError, TrainProblem};
use crate::train::recipe::{Kind, Recipe, Source, TooLong};

/// Puts what a source gave into data sets, each document within the recipe's sequence.
pub(super) struct Fitter<'a> {
    recipe: &'a Recipe,
    engine: &'a dyn Engine,
    source: &'a Source,
    place: Place,
    all: usize,
    cut: usize,
    lost_stop: usize,
    too_long: usize,
    emptied: usize,
    refused: Gathered,
}

impl<'a> Fitter<'a> {
    pub(super) fn new(recipe: &'a Recipe, engine: &'a dyn Engine, source: &'a Source) -> Self {
        let place = recipe.place(&source.at);
        let refused = Gathered::default();
        Self { recipe, engine, source, place, all: 0, cut: 0, lost_stop: 0, too_long: 0, emptied: 0, refused }
    }

    /// Adds documents of the source to a data set.
    pub(super) fn add(&mut self, found: Vec<Found>, set: &mut Dataset) {
        let before = (self.cut, self.too_long + self.emptied);
        let name = self.source.name();
        let mut facts = SourceFacts {
            name,
            sha256: self.source.sha256(),
            place: self.place.clone(),
            rows: found.len(),
            ..SourceFacts::default()
        };
        for row in found {
            for document in row.documents {
                self.all += 1;
                for document in self.fitting(document, &row.place) {
                    facts.documents += 1;
                    facts.tokens += document.tokens.len();
                    facts.targets += document.targets();
                    set.documents.push(document);
                    set.labels.extend(row.label);
                    set.groups.extend(row.group.clone());
                }
            }
        }
        (facts.cut, facts.dropped) = (self.cut - before.0, self.too_long + self.emptied - before.1);
        set.sources.push(facts);
    }

    /// The document, or what the recipe makes of it where it is too long.
    fn fitting(&mut self, mut document: Document, place: &Place) -> Vec<Document> {
        let (tokens, sequence) = (document.tokens.len(), self.recipe.sequence);
        if tokens <= sequence {
            return vec![document];
        }
        match self.recipe.too_long {
            TooLong::Refuse => self.refused.row(place, TrainProblem::TooLong { tokens, sequence }),
            TooLong::Drop => self.too_long += 1,
            TooLong::Cut => {
                let stopped = mask::ends(self.engine, &document);
                document.tokens.truncate(sequence);
                document.learn.truncate(sequence);
                if self.recipe.kind == Kind::Classify || !mask::is_blank(self.engine, &document) {
                    self.cut += 1;
                    self.lost_stop += usize::from(stopped && !mask::ends(self.engine, &document));
                    return vec![document];
                }
                self.emptied += 1;
            }
            TooLong::Split => return split(&document, sequence),
        }
        Vec::new()
    }

    /// The errors, and what the user should know.
    pub(super) fn done(self) -> (Problems, Problems) {
        let (sequence, of) = (self.recipe.sequence, self.all);
        let mut warnings = Problems::new();
        let mut warn = |problem| warnings.push(TrainError::new(self.place.clone(), problem));
        if self.cut > 0 {
            warn(TrainProblem::Cut { rows: self.cut, of, sequence, stops: self.lost_stop });
        }
        if self.too_long > 0 {
            let why = format!("longer than `sequence: {sequence}`");
            warn(TrainProblem::Dropped { rows: self.too_long, of, why });
        }
        if self.emptied > 0 {
            let why = format!("nothing of an answer lies within the {sequence} tokens of `sequence`");
            warn(TrainProblem::Dropped { rows: self.emptied, of, why });
        }
        (self.refused.done(), warnings)
    }
}

/// Its windows of so many tokens, one behind the other; the first token of each is only read.
fn split(document: &Document, sequence: usize) -> Vec<Document> {
    let windows = document.tokens.chunks(sequence).zip(document.learn.chunks(sequence));
    let window = |(tokens, learn): (&[Token], &[bool])| {
        let mut learn = learn.to_vec();
        learn.iter_mut().take(1).for_each(|first| *first = false);
        Document::new(tokens.to_vec(), learn)
    };
    windows.map(window).filter(|window| window.targets() > 0).collect()
}
