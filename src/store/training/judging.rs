//! What a reward model is worth, as its run's header keeps it.

use serde::{Deserialize, Serialize};

/// A reward model on the judgements that were held out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgingRecord {
    /// The mean reward of the answers that were learned from, before it is taken off.
    pub mean: f64,
    /// Their standard deviation, before it is divided by.
    pub std: f64,
    /// Judgements that it agrees with.
    pub accuracy: ShareRecord,
    /// The same by what was judged: `axis helpful`, `tag off_by_ten`, `margin up to 1.5`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ShareRecord>,
    /// How far its probabilities are off, from 0 to 1; absent where nothing is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_error: Option<f64>,
    /// How often it was right where it was so sure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<SureRecord>,
    /// Pearson's correlation of an answer's reward with its length in tokens; absent where one of them never varies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_correlation: Option<f64>,
    /// Judgements that length alone agrees with: the longer answer, or the shorter one, whichever was preferred more often
    /// in what was learned.
    pub by_length: ShareRecord,
    /// Whether it is shown to know more than length.
    pub beats_length: bool,
    /// Where it was most sure, and wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<MistakeRecord>,
}

/// A share of judgements, with a 95 % interval that counts those of one prompt together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShareRecord {
    /// Of what.
    pub of: String,
    /// How many judgements.
    pub n: usize,
    /// The share; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Lower and upper bound; absent where there are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<[f64; 2]>,
}

/// Judgements of one kind of certainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SureRecord {
    /// The certainty is above this …
    pub low: f64,
    /// … and at most this.
    pub high: f64,
    /// How many.
    pub n: usize,
    /// Their mean certainty.
    pub confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
}

/// A judgement that the model does not agree with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MistakeRecord {
    /// What was asked.
    pub prompt: String,
    /// What was preferred.
    pub chosen: String,
    /// What the model prefers.
    pub rejected: String,
    /// How sure of that it is, 0.5 to 1.
    pub confidence: f64,
}
