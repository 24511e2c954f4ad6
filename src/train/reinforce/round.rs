//! One round on the learner's side: the answers are read, and the policy is moved.

use super::answers::Practised;
use crate::model::{Document, ModelError, Readings, Saved, Update};
use crate::seed;
use crate::train::data::{Dataset, Loader};
use crate::train::learner::{Learner, Slopes};
use crate::train::lessons::Rows;
use crate::train::loss::{Drawn, Reins, kl, policy, ratio};
use std::collections::HashMap;

/// What is known of a document's tokens, in the order in which they are learned.
#[derive(Debug, Clone, Default)]
struct Known {
    engine: Vec<Option<f32>>,
    advantages: Vec<f64>,
    /// log π before the first step of the round.
    old: Vec<f32>,
    /// log π before anything was learned.
    reference: Vec<f32>,
}

/// The answers of a round, packed into rows.
#[derive(Debug)]
pub(super) struct Round {
    set: Dataset,
    known: Vec<Known>,
    sequence: usize,
    micro_batch: usize,
}

/// Sums over the tokens of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    pub tokens: usize,
    pub loss: f64,
    pub kl: f64,
    pub ratio: f64,
    pub cut: usize,
    /// Σ −log π: of tokens drawn by the policy its entropy, in the mean.
    pub surprise: f64,
    /// Σ |log π of the decoder − log π of the engine|, and how many tokens the engine told of.
    pub apart: (f64, usize),
    /// Σ of how many times likelier the decoder finds those than the engine did.
    pub against_engine: f64,
}

impl Round {
    pub(super) fn new(practised: Vec<Practised>, sequence: usize, micro_batch: usize) -> Self {
        let (mut set, mut known) = (Dataset::default(), Vec::with_capacity(practised.len()));
        for Practised { document, engine, advantages } in practised {
            set.documents.push(document);
            known.push(Known { engine, advantages, ..Known::default() });
        }
        Self { set, known, sequence, micro_batch }
    }

    /// Tokens that are learned.
    pub(super) fn targets(&self) -> usize {
        self.set.documents.iter().map(Document::targets).sum()
    }

    /// Tokens that are read.
    pub(super) fn tokens(&self) -> usize {
        self.set.tokens()
    }

    /// What the model said before it learned, for the pull towards it: `initial` is put in the learner's place meanwhile.
    pub(super) fn refer(&mut self, learner: &mut dyn Learner, initial: &[Saved]) -> Result<(), ModelError> {
        let now = learner.save()?;
        learner.restore(initial)?;
        for rows in rows(&self.set, self.sequence, self.micro_batch) {
            let readings = learner.read(&rows)?;
            each(&self.set, &rows, &readings, |document, own| self.known[document].reference = own.to_vec());
        }
        learner.restore(&now)
    }

    /// One step over all answers; `first`: they were drawn by the policy as it is.
    pub(super) fn step(
        &mut self,
        learner: &mut dyn Learner,
        (reins, how, first): (Reins, &Update, bool),
        key: u64,
    ) -> Result<(Sums, f64), ModelError> {
        let (total, mut sums) = (self.targets(), Sums::default());
        for (part, rows) in rows(&self.set, self.sequence, self.micro_batch).into_iter().enumerate() {
            let drawn = self.drawn(&rows);
            let same = drawn.clone();
            let slopes: Slopes = Box::new(move |readings| policy(readings, &same, reins, total).coefficients);
            let readings = learner.learn(&rows, seed::key(key, &[&part.to_string()]), slopes)?;
            sums.loss += policy(&readings, &drawn, reins, total).loss;
            self.tally(&rows, &readings, reins.clip, &mut sums);
            if first {
                each(&self.set, &rows, &readings, |document, own| self.known[document].old = own.to_vec());
            }
        }
        Ok((sums, learner.update(how)?))
    }

    /// What is known of the tokens of some rows, in their order.
    fn drawn(&self, rows: &Rows) -> Drawn {
        let mut drawn = Drawn::default();
        for document in places(&self.set, rows) {
            let known = &self.known[document];
            drawn.old.extend(&known.old);
            drawn.reference.extend(&known.reference);
            drawn.advantages.extend(&known.advantages);
        }
        drawn
    }

    fn tally(&self, rows: &Rows, readings: &Readings, clip: f64, sums: &mut Sums) {
        each(&self.set, rows, readings, |document, own| {
            let known = &self.known[document];
            for (at, now) in own.iter().map(|now| f64::from(*now)).enumerate() {
                let old = known.old.get(at).map_or(now, |old| f64::from(*old));
                let (ratio, cut) = ratio(now, old, known.advantages[at], clip);
                sums.tokens += 1;
                sums.ratio += ratio;
                sums.cut += usize::from(cut);
                sums.surprise -= now;
                sums.kl += known.reference.get(at).map_or(0.0, |reference| kl(now, f64::from(*reference)));
                if let Some(engine) = known.engine[at].map(f64::from) {
                    sums.apart.0 += (now - engine).abs();
                    sums.apart.1 += 1;
                    sums.against_engine += (now - engine).exp();
                }
            }
        });
    }
}

/// All rows once, in micro-batches.
fn rows(set: &Dataset, sequence: usize, micro_batch: usize) -> Vec<Rows<'_>> {
    let loader = Loader::new(set, sequence, 0);
    loader.batch(1, loader.rows()).chunks(micro_batch.max(1)).map(<[_]>::to_vec).collect()
}

/// The documents of some rows, by index.
fn places(set: &Dataset, rows: &Rows) -> Vec<usize> {
    let places: HashMap<*const Document, usize> =
        set.documents.iter().enumerate().map(|(at, document)| (std::ptr::from_ref(document), at)).collect();
    rows.iter().flatten().filter_map(|document| places.get(&std::ptr::from_ref(*document)).copied()).collect()
}

/// Hands out the log-probabilities of each document of some rows.
fn each(set: &Dataset, rows: &Rows, readings: &Readings, mut to: impl FnMut(usize, &[f32])) {
    let mut rest = readings.logprobs.as_slice();
    for document in places(set, rows) {
        let (own, others) = rest.split_at(set.documents[document].targets().min(rest.len()));
        rest = others;
        to(document, own);
    }
}
