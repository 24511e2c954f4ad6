//! How well a model does on documents that it does not learn from.

use super::learner::Learner;
use super::lessons::Lessons;
use super::loss::{Pair, classify, implied, reward, right, sft};
use super::recipe::Kind;
use super::reference::Reference;
use crate::model::{ModelError, Readings};
use std::sync::atomic::{AtomicBool, Ordering};

/// What all held-out documents together say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The mean loss over their targets (natural logarithm).
    pub loss: f64,
    /// exp(loss), where tokens are learned.
    pub perplexity: Option<f64>,
    /// The share whose label is the likeliest, or of judgements that the rewards agree with, where a head learns.
    pub accuracy: Option<f64>,
}

/// Reads every held-out document once; `None` where there is none, or when `stop` turned true. A policy is held to its
/// `reference`, and its rewards are so many times (`beta`) how far it has gone from there.
pub fn evaluate(
    learner: &mut dyn Learner,
    lessons: &Lessons,
    (reference, beta): (&Reference, f64),
    stop: &AtomicBool,
) -> Result<Option<Measured>, ModelError> {
    let total: usize = lessons.held_out().map(|rows| lessons.targets(rows)).sum();
    let (mut loss, mut correct) = (0.0, 0);
    for rows in lessons.held_out().filter(|rows| lessons.targets(rows) > 0) {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let readings = learner.read(rows)?;
        match lessons.kind() {
            Kind::Sft | Kind::Pretrain | Kind::Grpo | Kind::Ppo => loss += sft(&readings, total).loss,
            Kind::Classify => {
                let labels = lessons.labels(rows);
                loss += classify(&readings, &labels, total).loss;
                correct += right(&readings.outputs, &labels);
            }
            Kind::Reward | Kind::Dpo => {
                // How likely the judgements are; neither margin, centring nor language, which only help to learn.
                let pairs = lessons.pairs(rows).into_iter().map(|pair| Pair { margin: 0.0, ..pair });
                let pairs: Vec<Pair> = pairs.collect();
                let outputs = match lessons.kind() {
                    Kind::Dpo => implied(&readings, &Lessons::answers(rows, reference), beta),
                    _ => readings.outputs,
                };
                correct += pairs.iter().filter(|pair| pair.holds(&outputs)).count();
                let rewards = Readings { logprobs: Vec::new(), outputs };
                loss += reward(&rewards, &pairs, total, 0.0).loss;
            }
        }
    }
    let accuracy = Some(correct as f64 / total.max(1) as f64);
    let measured = match lessons.kind() {
        Kind::Sft | Kind::Pretrain | Kind::Grpo | Kind::Ppo => {
            Measured { loss, perplexity: Some(loss.exp()), accuracy: None }
        }
        Kind::Classify | Kind::Reward | Kind::Dpo => Measured { loss, perplexity: None, accuracy },
    };
    Ok((total > 0).then_some(measured))
}
