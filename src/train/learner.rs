//! What can be taught: the decoder, and in tests something smaller.

use crate::model::{Batch, Coefficients, Decoder, Document, ModelError, Readings, Saved, Shape, Update};

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
