//! One round on the learner's side: the answers are read, and the policy is moved.

use super::answers::Practised;
use crate::model::{Document, ModelError, Readings, Saved, Update};
use crate::seed;
use crate::train::data::{Dataset, Loader};
use crate::train::learner::{Learner, Slopes};
use crate::train::lessons::Rows;
use crate::train::loss::{Drawn, Expected, Loss, Reins, gae, kl, policy, ratio, value, whiten};
use crate::train::recipe::{Against, Critic};
use std::collections::HashMap;

/// What is known of a document's tokens, in the order in which they are learned.
#[derive(Debug, Clone, Default)]
struct Known {
    engine: Vec<Option<f32>>,
    /// Of each answer how many tokens it has, and what it is worth.
    worth: Vec<(usize, f64)>,
    advantages: Vec<f64>,
    /// log π before the first step of the round.
    old: Vec<f32>,
    /// log π before anything was learned.
    reference: Vec<f32>,
    /// What the critic expected before the first step of the round, and what it should have expected.
    expected: Expected,
}

/// The answers of a round, packed into rows.
#[derive(Debug)]
pub(super) struct Round {
    set: Dataset,
    known: Vec<Known>,
    sequence: usize,
    micro_batch: usize,
    reins: Reins,
    critic: Option<Critic>,
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
    /// Of a critic Σ (return − value)², Σ return and Σ return².
    pub critic: [f64; 3],
}

impl Sums {
    /// With what was read of the answers before the round's first step: later ones read a policy that has moved since it drew, of which
    /// the answers are no sample.
    pub(super) fn with(self, as_drawn: &Self) -> Self {
        let Self { kl, surprise, apart, against_engine, .. } = *as_drawn;
        Self { kl, surprise, apart, against_engine, ..self }
    }

    /// How much of the spread of what came a critic foresaw: 1 all of it, 0 no more than the mean does; 0 where nothing is spread.
    pub(super) fn foreseen(&self) -> f64 {
        let [off, sum, squares] = self.critic;
        let spread = squares - sum * sum / self.tokens.max(1) as f64;
        if spread > 1e-12 { 1.0 - off / spread } else { 0.0 }
    }
}

impl Round {
    /// `practised` as `practice` has it measured.
    pub(super) fn new(
        practised: Vec<Practised>,
        practice: (Reins, Against),
        (sequence, micro_batch): (usize, usize),
    ) -> Self {
        let (mut set, mut known) = (Dataset::default(), Vec::with_capacity(practised.len()));
        for Practised { document, engine, worth } in practised {
            set.documents.push(document);
            let advantages = worth.iter().flat_map(|(tokens, worth)| std::iter::repeat_n(*worth, *tokens)).collect();
            known.push(Known { engine, worth, advantages, ..Known::default() });
        }
        let (reins, critic) = (practice.0, practice.1.critic());
        Self { set, known, sequence, micro_batch, reins, critic }
    }

    /// Tokens that are learned.
    pub(super) fn targets(&self) -> usize {
        self.set.documents.iter().map(Document::targets).sum()
    }

    /// Tokens that are read.
    pub(super) fn tokens(&self) -> usize {
        self.set.tokens()
    }

    /// All that is to be known before the first step: what the model said before it learned, and what the critic expects. `initial` is
    /// put in the learner's place meanwhile.
    pub(super) fn prepare(&mut self, learner: &mut dyn Learner, initial: &[Saved]) -> Result<(), ModelError> {
        let now = learner.save()?;
        learner.restore(initial)?;
        self.read(learner, |known, Own { logprobs, .. }| known.reference = logprobs.to_vec())?;
        learner.restore(&now)?;
        if let Some(critic) = self.critic {
            self.read(learner, |known, own| {
                (known.old, known.expected.old) = (own.logprobs.to_vec(), own.outputs.to_vec());
            })?;
            self.known.iter_mut().for_each(|known| known.expect(critic, self.reins.kl));
            let mut all = self.advantages();
            // Whitened, what little is left of a round in which nothing was worth more than anything else would move it at full strength.
            if self.level() {
                all.fill(0.0);
            } else {
                whiten(&mut all);
            }
            let places = self.known.iter_mut().flat_map(|known| &mut known.advantages);
            places.zip(all).for_each(|(place, advantage)| *place = advantage);
        }
        Ok(())
    }

    /// Whether all answers are worth the same.
    fn level(&self) -> bool {
        let mut worths = self.known.iter().flat_map(|known| &known.worth).map(|(_, worth)| *worth);
        let first = worths.next();
        worths.all(|worth| first.is_some_and(|first| (worth - first).abs() <= 0.0))
    }

    /// How much better each token was than was to be expected.
    pub(super) fn advantages(&self) -> Vec<f64> {
        self.known.iter().flat_map(|known| known.advantages.iter().copied()).collect()
    }

    fn read(&mut self, learner: &mut dyn Learner, mut to: impl FnMut(&mut Known, Own)) -> Result<(), ModelError> {
        for rows in rows(&self.set, self.sequence, self.micro_batch) {
            let readings = learner.read(&rows)?;
            each(&self.set, &rows, &readings, |document, own| to(&mut self.known[document], own));
        }
        Ok(())
    }

    /// One step over all answers; `first`: they were drawn by the policy as it is.
    pub(super) fn step(
        &mut self,
        learner: &mut dyn Learner,
        (how, first): (&Update, bool),
        key: u64,
    ) -> Result<(Sums, f64), ModelError> {
        let (total, mut sums) = (self.targets(), Sums::default());
        for (part, rows) in rows(&self.set, self.sequence, self.micro_batch).into_iter().enumerate() {
            let loss = self.loss(&rows, total);
            let same = loss.clone();
            let slopes: Slopes = Box::new(move |readings| same.of(readings).coefficients);
            let readings = learner.learn(&rows, seed::key(key, &[&part.to_string()]), slopes)?;
            sums.loss += loss.of(&readings).loss;
            self.tally(&rows, &readings, &mut sums);
            if first {
                let known = &mut self.known;
                each(&self.set, &rows, &readings, |document, own| known[document].old = own.logprobs.to_vec());
            }
        }
        Ok((sums, learner.update(how)?))
    }

    /// The loss of some rows, with what is known of their tokens.
    fn loss(&self, rows: &Rows, total: usize) -> LossOf {
        let (mut drawn, mut expected) = (Drawn::default(), Expected::default());
        for document in places(&self.set, rows) {
            let known = &self.known[document];
            drawn.old.extend(&known.old);
            drawn.advantages.extend(&known.advantages);
            // With a critic it is the rewards that pull.
            drawn.reference.extend(known.reference.iter().filter(|_| self.critic.is_none()));
            expected.old.extend(&known.expected.old);
            expected.returns.extend(&known.expected.returns);
        }
        LossOf { drawn, expected, reins: self.reins, critic: self.critic, total }
    }

    fn tally(&self, rows: &Rows, readings: &Readings, sums: &mut Sums) {
        each(&self.set, rows, readings, |document, own| {
            let known = &self.known[document];
            for (at, now) in own.logprobs.iter().map(|now| f64::from(*now)).enumerate() {
                let old = known.old.get(at).map_or(now, |old| f64::from(*old));
                let (ratio, cut) = ratio(now, old, known.advantages[at], self.reins.clip);
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
            for (value, came) in own.outputs.iter().zip(&known.expected.returns) {
                let told = [(came - f64::from(*value)).powi(2), *came, came.powi(2)];
                sums.critic.iter_mut().zip(told).for_each(|(sum, one)| *sum += one);
            }
        });
    }
}

impl Known {
    /// Measures each answer's tokens against what the critic expected. The reward comes with the last token; each costs `kl` times
    /// how much likelier it is than it was before anything was learned (Ouyang 2022, 2203.02155, equation 2).
    fn expect(&mut self, critic: Critic, kl: f64) {
        self.advantages.clear();
        for (tokens, worth) in &self.worth {
            let own = self.advantages.len()..self.advantages.len() + tokens;
            let cost = |at: usize| match self.reference.get(at) {
                Some(reference) => kl * f64::from(self.old[at] - reference),
                None => 0.0,
            };
            let mut rewards: Vec<f64> = own.clone().map(|at| -cost(at)).collect();
            rewards.last_mut().into_iter().for_each(|last| *last += worth);
            let values: Vec<f64> = self.expected.old[own].iter().map(|value| f64::from(*value)).collect();
            let (advantages, returns) = gae(&rewards, &values, critic.gamma, critic.lambda);
            self.advantages.extend(advantages);
            self.expected.returns.extend(returns);
        }
    }
}

/// The loss of a micro-batch: the policy's, and its critic's.
#[derive(Debug, Clone)]
struct LossOf {
    drawn: Drawn,
    expected: Expected,
    reins: Reins,
    critic: Option<Critic>,
    total: usize,
}

impl LossOf {
    fn of(&self, readings: &Readings) -> Loss {
        let moved = policy(readings, &self.drawn, self.reins, self.total);
        match self.critic {
            Some(Critic { clip, weight, .. }) => moved.and(weight, &value(readings, &self.expected, clip, self.total)),
            None => moved,
        }
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

/// What was read of one document.
#[derive(Debug, Clone, Copy)]
struct Own<'a> {
    logprobs: &'a [f32],
    /// Of a critic; empty without one.
    outputs: &'a [f32],
}

/// Hands out the readings of each document of some rows.
fn each(set: &Dataset, rows: &Rows, readings: &Readings, mut to: impl FnMut(usize, Own)) {
    let (mut logprobs, mut outputs) = (readings.logprobs.as_slice(), readings.outputs.as_slice());
    for document in places(set, rows) {
        let targets = set.documents[document].targets();
        let [logprobs, outputs] = [&mut logprobs, &mut outputs].map(|rest| {
            let (own, others) = rest.split_at(targets.min(rest.len()));
            *rest = others;
            own
        });
        to(document, Own { logprobs, outputs });
    }
}
