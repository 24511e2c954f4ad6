//! The lines that a training run writes while it goes on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One optimiser step: a line of `steps.jsonl`.
///
/// ```
/// use tripos::store::training::StepRecord;
/// let line = r#"{"step":1,"loss":2.5,"lr":0.0002,"grad_norm":0.7,"tokens":900,"targets":400,"tokens_per_s":5832.0,"peak_mib":80.0,"elapsed_s":0.15}"#;
/// let record: StepRecord = serde_json::from_str(line).unwrap();
/// assert_eq!(serde_json::to_string(&record).unwrap(), line);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its number, from 1.
    pub step: u64,
    /// The mean loss over its targets (natural logarithm), before the step; `None` (null) where it is not finite.
    pub loss: Option<f64>,
    /// The learning rate of the step.
    pub lr: f64,
    /// The norm of the gradient before clipping; `None` (null) where it is not finite.
    pub grad_norm: Option<f64>,
    /// Tokens read, padding left out.
    pub tokens: u64,
    /// Of those, the tokens that count in the loss (documents, where a head learns).
    pub targets: u64,
    /// Tokens read a second.
    pub tokens_per_s: f64,
    /// The most memory that the program has held so far, in MiB; absent where the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_mib: Option<f64>,
    /// Seconds that the step took.
    pub elapsed_s: f64,
    /// The round of answers that it was made of, where a policy practises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practice: Option<PracticeRecord>,
}

/// A round of a policy's own answers, and how the policy is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PracticeRecord {
    /// Its number, from 0.
    pub round: u64,
    /// Answers that were drawn.
    pub answers: usize,
    /// Those of them that were not learned from: not to be judged, or longer than a row.
    pub left_out: usize,
    /// The mean reward.
    pub reward: f64,
    /// The standard deviation of the rewards.
    pub spread: f64,
    /// The mean of each scorer.
    pub scores: BTreeMap<String, f64>,
    /// Nats a token between the policy that drew and the model before it learned (k3, never negative).
    pub kl: f64,
    /// How much likelier the tokens have become since they were drawn, in the mean.
    pub ratio: f64,
    /// The share of tokens that have gone as far as they may.
    pub clipped: f64,
    /// Nats a token: the mean of −log p of what was drawn, by the policy that drew it.
    pub entropy: f64,
    /// Tokens an answer.
    pub length: f64,
    /// The share of prompts whose answers are all worth the same, which teach nothing; with a critic 1 where all answers of the round
    /// are, else 0.
    pub silent: f64,
    /// The share of answers that were cut at `max_tokens`.
    pub unstopped: f64,
    /// Mean |Δ log p| between trainer and engine, over the tokens that were drawn, before the round moved the trainer's policy.
    pub parity: f64,
    /// How much likelier the trainer then finds them than the engine, in the mean: 1 where they are one policy.
    pub ratio_engine: f64,
    /// How much of the spread of what came a critic foresaw: 1 all of it, 0 no more than the mean does (`explained variance`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<f64>,
    /// Seconds that drawing and judging took.
    pub drawn_s: f64,
    /// Of those the seconds in which the engine decoded the answers; the rest is judging, rendering and files.
    #[serde(default)]
    pub decoded_s: f64,
    /// Seconds in which the answers were read and learned from, since the round began; the rest of the step's is files.
    #[serde(default)]
    pub learned_s: f64,
}

/// One look at the held-out documents: a line of `evaluations.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// The step behind which it was made; 0 is before the first.
    pub step: u64,
    /// The mean loss over the held-out targets; where a policy practises, the mean reward of its answers to held-out cases, with
    /// its sign turned.
    pub held_out_loss: f64,
    /// exp(loss), where tokens are learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<f64>,
    /// The share of held-out documents whose label is the likeliest, where a head learns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The mean of each scorer, where a policy practises.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, f64>,
    /// Answers that a scorer that counts could not judge, where a policy practises.
    #[serde(default, skip_serializing_if = "is_none_left_out")]
    pub left_out: usize,
    /// The run of the held-out cases, from the run's folder, where a policy practises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<PathBuf>,
    /// No evaluation before had a smaller loss.
    pub best: bool,
    /// What the model says by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub says: Vec<Said>,
    /// Seconds that it took.
    pub elapsed_s: f64,
}

/// Whether there is nothing to say of them.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands it by reference
fn is_none_left_out(count: &usize) -> bool {
    *count == 0
}

impl EvaluationRecord {
    /// The mean reward of held-out cases, where a policy practises.
    #[must_use]
    pub fn reward(&self) -> Option<f64> {
        self.run.as_ref().map(|_| 0.0 - self.held_out_loss)
    }
}

/// A prompt and what the model, as it is by then, goes on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What was put to it, control tokens left out.
    pub prompt: String,
    /// What it said, drawn greedily.
    pub completion: String,
}
