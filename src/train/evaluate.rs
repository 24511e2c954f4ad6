//! How well a model does on documents that it does not learn from.

use super::learner::Learner;
use super::lessons::Lessons;
use super::loss::{classify, right, sft};
use crate::model::ModelError;
use std::sync::atomic::{AtomicBool, Ordering};

/// What all held-out documents together say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The mean loss over their targets (natural logarithm).
    pub loss: f64,
    /// exp(loss), where tokens are learned.
    pub perplexity: Option<f64>,
    /// The share whose label is the likeliest, where a head learns.
    pub accuracy: Option<f64>,
}

/// Reads every held-out document once; `None` where there is none, or when `stop` turned true.
pub fn evaluate(
    learner: &mut dyn Learner,
    lessons: &Lessons,
    stop: &AtomicBool,
) -> Result<Option<Measured>, ModelError> {
    let total: usize = lessons.held_out().map(|rows| lessons.targets(rows)).sum();
    let (mut loss, mut correct) = (0.0, 0);
    for rows in lessons.held_out().filter(|rows| lessons.targets(rows) > 0) {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let readings = learner.read(rows)?;
        if lessons.tells_labels() {
            let labels = lessons.labels(rows);
            loss += classify(&readings, &labels, total).loss;
            correct += right(&readings.outputs, &labels);
        } else {
            loss += sft(&readings, total).loss;
        }
    }
    let measured = if lessons.tells_labels() {
        Measured { loss, perplexity: None, accuracy: Some(correct as f64 / total.max(1) as f64) }
    } else {
        Measured { loss, perplexity: Some(loss.exp()), accuracy: None }
    };
    Ok((total > 0).then_some(measured))
}
