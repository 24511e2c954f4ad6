//! Hands out packed rows, step by step.

use super::Dataset;
use super::pack::pack;
use crate::model::Document;
use crate::seed;
use rand::seq::SliceRandom;
use std::cell::RefCell;

/// The rows of a data set, in an order that the seed and the step alone decide: to go on after a stop, the number of the
/// step is all that has to be known.
///
/// Each epoch goes over all rows in a new order; a batch may hold the last rows of one and the first of the next.
///
/// ```
/// use tripos::model::Document;
/// use tripos::train::data::{Dataset, Loader};
/// let document = |len: usize| Document::new(vec![7; len], vec![true; len]);
/// let data = Dataset { documents: vec![document(5), document(3), document(8)], ..Dataset::default() };
/// let loader = Loader::new(&data, 8, 1);
/// assert_eq!(loader.rows(), 2);
/// assert_eq!(loader.batch(1, 2).iter().flatten().count(), 3);
/// ```
#[derive(Debug)]
pub struct Loader<'a> {
    data: &'a Dataset,
    /// The documents of each row, by index.
    rows: Vec<Vec<usize>>,
    seed: u64,
    /// The epoch that was asked for last, and the order of its rows.
    latest: RefCell<(usize, Vec<usize>)>,
}

impl<'a> Loader<'a> {
    /// Packs a data set into rows of `sequence` tokens.
    #[must_use]
    pub fn new(data: &'a Dataset, sequence: usize, seed: u64) -> Self {
        let lengths: Vec<usize> = data.documents.iter().map(|document| document.tokens.len()).collect();
        Self { data, rows: pack(&lengths, sequence), seed, latest: RefCell::default() }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows of a step, counted from 1: each the documents that stand in it.
    #[must_use]
    pub fn batch(&self, step: u64, batch: usize) -> Vec<Vec<&'a Document>> {
        self.drawn(step, batch).into_iter().map(|row| self.documents(row)).collect()
    }

    fn documents(&self, row: &[usize]) -> Vec<&'a Document> {
        row.iter().filter_map(|document| self.data.documents.get(*document)).collect()
    }

    /// The rows of a step.
    fn drawn(&self, step: u64, batch: usize) -> Vec<&Vec<usize>> {
        let rows = self.rows.len();
        if rows == 0 {
            return Vec::new();
        }
        let first = usize::try_from(step.saturating_sub(1)).unwrap_or(usize::MAX).saturating_mul(batch);
        (first..first.saturating_add(batch)).filter_map(|at| self.rows.get(self.row(at / rows, at % rows)?)).collect()
    }

    /// The row at a place of an epoch.
    fn row(&self, epoch: usize, at: usize) -> Option<usize> {
        let mut latest = self.latest.borrow_mut();
        if latest.0 != epoch || latest.1.is_empty() {
            *latest = (epoch, self.order(epoch));
        }
        latest.1.get(at).copied()
    }

    /// The order of the rows in an epoch.
    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.shuffle(&mut seed::rng(seed::key(self.seed, &["rows", &epoch.to_string()])));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents of 1 to 30 tokens, each of one token that no other has.
    fn data() -> Dataset {
        let lengths = (0..200_u32).map(|i| (i, 1 + (i * 7 % 30) as usize));
        let document = |(i, len)| Document::new(vec![i; len], vec![true; len]);
        Dataset { documents: lengths.map(document).collect(), labels: (0..200).collect(), ..Dataset::default() }
    }

    fn names(rows: &[Vec<&Document>]) -> Vec<Vec<u32>> {
        rows.iter().map(|row| row.iter().map(|document| document.tokens[0]).collect()).collect()
    }

    #[test]
    fn an_epoch_shows_each_document_once_and_the_next_in_another_order() {
        let data = data();
        let loader = Loader::new(&data, 32, 7);
        let epoch = |first: u64| -> Vec<Vec<Vec<u32>>> {
            (first..first + loader.rows() as u64).map(|step| names(&loader.batch(step, 1))).collect()
        };
        let (one, two) = (epoch(1), epoch(1 + loader.rows() as u64));
        let mut seen: Vec<u32> = one.iter().flatten().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        assert_ne!(one, two);
        let sorted = |mut rows: Vec<Vec<Vec<u32>>>| {
            rows.sort();
            rows
        };
        assert_eq!(sorted(one), sorted(two));
    }

    #[test]
    fn a_batch_depends_on_seed_and_step_alone() {
        let data = data();
        let (loader, again) = (Loader::new(&data, 32, 7), Loader::new(&data, 32, 7));
        let last = again.batch(40, 6);
        for step in 1..40 {
            let _ = loader.batch(step, 6);
        }
        assert_eq!(names(&loader.batch(40, 6)), names(&last));
        assert_ne!(names(&Loader::new(&data, 32, 8).batch(40, 6)), names(&last));
        // Step and batch only cut the same line of rows.
        let two = [loader.batch(1, 6), loader.batch(2, 6)].concat();
        assert_eq!(names(&two), names(&loader.batch(1, 12)));
    }

    #[test]
    fn a_batch_is_full_however_large_it_is() {
        let data = data();
        let loader = Loader::new(&data, 32, 7);
        for batch in [1, 4, 2 * loader.rows() + 3] {
            assert!((1..60).all(|step| loader.batch(step, batch).len() == batch));
        }
        let filled = data.tokens() as f64 / (32 * loader.rows()) as f64;
        assert!(filled > 0.95, "{filled}");
        assert!(Loader::new(&Dataset::default(), 32, 7).batch(1, 4).is_empty());
    }
}
