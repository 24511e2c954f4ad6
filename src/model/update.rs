//! Steps of the optimiser: gradients are measured, clipped, and used up.

use super::error::ModelError;
use super::weights::Weights;
use crate::ggml::{ADAMW_SETTINGS, AdamW, Arena, Device, Graph, Plan, Tensor};
use crate::gguf::TensorType;

/// How a step is taken (AdamW, Loshchilov 2017, 1711.05101).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Which step it is, from 1.
    pub step: u64,
    /// Learning rate.
    pub lr: f32,
    /// How much of the first and second moment is kept.
    pub betas: (f32, f32),
    /// Added to the root of the second moment.
    pub eps: f32,
    /// What is taken away from matrices, times the learning rate; norms and biases keep theirs.
    pub weight_decay: f32,
    /// The largest norm of all gradients together: longer ones are shortened to it. Infinity clips nothing.
    pub clip: f32,
}

impl Default for Update {
    fn default() -> Self {
        Self { step: 1, lr: 1e-3, betas: (0.9, 0.95), eps: 1e-8, weight_decay: 0.0, clip: 1.0 }
    }
}

/// The graphs of a step: one measures, one changes.
#[derive(Debug)]
pub(super) struct Optimiser {
    settings: Tensor,
    squares: Vec<Tensor>,
    measure: Plan,
    change: Plan,
}

impl Optimiser {
    pub(super) fn new(weights: &Weights, device: &Device) -> Result<Self, ModelError> {
        let arena = Arena::new(1)?;
        let settings = arena.tensor("settings", TensorType::F32, &[ADAMW_SETTINGS])?;
        arena.allocate(device)?;
        let nodes = weights.learned.len() * 4 + 64;
        let (measure, change) = (Graph::new(nodes)?, Graph::new(nodes)?);
        let mut squares = Vec::new();
        for learned in &weights.learned {
            let sums = measure.arena().square_sums(&learned.gradient)?;
            sums.keep();
            measure.need(&sums);
            squares.push(sums);
            let numbers = [&learned.gradient, &learned.first, &learned.second];
            change.need(&change.arena().adamw(&learned.value, numbers, &settings, learned.decays())?);
        }
        Ok(Self { settings, squares, measure: measure.plan(device)?, change: change.plan(device)? })
    }

    pub(super) fn update(&self, weights: &Weights, how: &Update) -> Result<f64, ModelError> {
        self.measure.compute()?;
        let mut sum = 0.0_f64;
        for squares in &self.squares {
            sum += squares.values()?.iter().map(|square| f64::from(*square)).sum::<f64>();
        }
        let norm = sum.sqrt();
        if !norm.is_finite() {
            for learned in &weights.learned {
                learned.gradient.clear()?;
            }
            return Ok(norm);
        }
        #[allow(clippy::cast_possible_truncation)] // a factor of at most 1
        let scale = if norm > f64::from(how.clip) { (f64::from(how.clip) / norm) as f32 } else { 1.0 };
        let Update { step, lr, betas, eps, weight_decay, .. } = *how;
        self.settings.set(&AdamW { step, lr, betas, eps, weight_decay, scale }.numbers())?;
        self.change.compute()?;
        Ok(norm)
    }
}
