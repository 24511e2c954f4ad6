//! What a model said of the answers before it learned: the reference that a policy is held to.

use super::learner::Learner;
use super::lessons::Lessons;
use super::loss::sum;
use crate::model::{Document, ModelError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of each document log p of its answers (natural logarithm), by the model as it was when this was read.
#[derive(Debug, Clone, Default)]
pub struct Reference {
    /// Documents are known by where they lie.
    answers: HashMap<*const Document, Vec<f64>>,
}

impl Reference {
    /// Reads everything that is learned and held out once. Empty when `stop` turned true meanwhile.
    pub fn read(learner: &mut dyn Learner, lessons: &Lessons, stop: &AtomicBool) -> Result<Self, ModelError> {
        let mut answers = HashMap::new();
        let held_out = lessons.held_out().map(<[_]>::to_vec);
        for rows in lessons.all().into_iter().chain(held_out) {
            if stop.load(Ordering::Relaxed) {
                return Ok(Self::default());
            }
            let readings = learner.read(&rows)?;
            let mut rest = readings.logprobs.as_slice();
            for document in rows.iter().flatten() {
                let mut next = |len: usize| {
                    let (own, others) = rest.split_at(len.min(rest.len()));
                    rest = others;
                    sum(own)
                };
                answers.insert(std::ptr::from_ref(*document), spans(document).into_iter().map(&mut next).collect());
            }
        }
        Ok(Self { answers })
    }

    /// log p of each answer of a document; empty for one that was not read.
    #[must_use]
    pub fn of(&self, document: &Document) -> &[f64] {
        self.answers.get(&std::ptr::from_ref(document)).map_or(&[], Vec::as_slice)
    }
}

/// How many tokens of each answer are read, in order.
pub(super) fn spans(document: &Document) -> Vec<usize> {
    let learned: Vec<usize> = document.learned().map(|(place, _)| place).collect();
    document.parts().into_iter().map(|part| learned.iter().filter(|place| part.contains(place)).count()).collect()
}
