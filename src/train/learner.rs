//! What can be taught: the decoder, and in tests something smaller.

use crate::model::{Batch, Coefficients, Decoder, Document, ModelError, Readings, Saved, Shape, Update};
use std::time::Instant;

/// A function from the readings of a micro-batch to how the loss moves with each.
pub type Slopes = Box<dyn FnOnce(&Readings) -> Coefficients + Send>;

/// Something that reads rows of documents and learns from them.
pub trait Learner {
    /// What it says of the rows: forward only.
    fn read(&mut self, rows: &[Vec<&Document>]) -> Result<Readings, ModelError>;

    /// The same, and the gradients behind `slopes`, which add up until [`update`](Self::update). `key` seeds dropout.
    fn learn(&mut self, rows: &[Vec<&Document>], key: u64, slopes: Slopes) -> Result<Readings, ModelError>;

    /// Makes a step and forgets the gradients; gives the gradient's norm before clipping. Where that is not finite nothing
    /// is changed.
    fn update(&mut self, how: &Update) -> Result<f64, ModelError>;

    /// Everything that it has learned, with what the optimiser remembers.
    fn save(&self) -> Result<Vec<Saved>, ModelError>;

    /// Puts all of that back.
    fn restore(&mut self, saved: &[Saved]) -> Result<(), ModelError>;
}

/// A decoder with the shape that it was made for.
#[derive(Debug)]
pub struct Pupil {
    /// The decoder.
    pub decoder: Decoder,
    /// The most that a micro-batch may hold.
    pub shape: Shape,
}

impl Learner for Pupil {
    fn read(&mut self, rows: &[Vec<&Document>]) -> Result<Readings, ModelError> {
        self.decoder.read(&Batch::new(rows, &self.shape)?)
    }

    fn learn(&mut self, rows: &[Vec<&Document>], key: u64, slopes: Slopes) -> Result<Readings, ModelError> {
        self.decoder.learn(&Batch::new(rows, &self.shape)?, key, slopes)
    }

    fn update(&mut self, how: &Update) -> Result<f64, ModelError> {
        self.decoder.update(how)
    }

    fn save(&self) -> Result<Vec<Saved>, ModelError> {
        self.decoder.save()
    }

    fn restore(&mut self, saved: &[Saved]) -> Result<(), ModelError> {
        self.decoder.restore(saved)
    }
}

/// A learner whose seconds are counted.
pub(super) struct Timed<'a> {
    /// The learner.
    pub learner: &'a mut dyn Learner,
    /// What it has taken by now.
    pub seconds: f64,
}

impl std::fmt::Debug for Timed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timed").field("seconds", &self.seconds).finish_non_exhaustive()
    }
}

impl Timed<'_> {
    fn time<T>(&mut self, work: impl FnOnce(&mut dyn Learner) -> T) -> T {
        let began = Instant::now();
        let done = work(self.learner);
        self.seconds += began.elapsed().as_secs_f64();
        done
    }
}

impl Learner for Timed<'_> {
    fn read(&mut self, rows: &[Vec<&Document>]) -> Result<Readings, ModelError> {
        self.time(|learner| learner.read(rows))
    }

    fn learn(&mut self, rows: &[Vec<&Document>], key: u64, slopes: Slopes) -> Result<Readings, ModelError> {
        self.time(|learner| learner.learn(rows, key, slopes))
    }

    fn update(&mut self, how: &Update) -> Result<f64, ModelError> {
        self.time(|learner| learner.update(how))
    }

    fn save(&self) -> Result<Vec<Saved>, ModelError> {
        self.learner.save()
    }

    fn restore(&mut self, saved: &[Saved]) -> Result<(), ModelError> {
        self.learner.restore(saved)
    }
}
