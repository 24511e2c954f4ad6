//! Heads that are kept in a trained file's own metadata, where they cannot get lost (contract.md, section 6).

use crate::gguf::{Array, Metadata, Value};

/// A head of a trained model.
#[derive(Debug, Clone, PartialEq)]
pub enum Head {
    /// Tells labels apart.
    Classifier(Classifier),
    /// Says how good an answer is.
    Reward(RewardHead),
}

impl Head {
    /// What is wrong with it, for a model of this width.
    pub(super) fn fault(&self, width: u64) -> Option<String> {
        match self {
            Self::Classifier(classifier) => classifier.fault(width),
            Self::Reward(reward) => reward.fault(width),
        }
    }

    pub(super) fn put(&self, metadata: &mut Metadata) {
        match self {
            Self::Classifier(classifier) => classifier.put(metadata),
            Self::Reward(reward) => reward.put(metadata),
        }
    }
}

/// A head that tells texts apart: `weights · state + bias`, one number a label, where the state is that of a text's last
/// token after the output norm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classifier {
    /// The labels, in the order of the outputs.
    pub labels: Vec<String>,
    /// One row of the model's width a label, row after row.
    pub weights: Vec<f32>,
    /// One number a label.
    pub bias: Vec<f32>,
    /// How a text is put to the model: `text` or `chat`.
    pub render: String,
}

impl Classifier {
    /// What is wrong with it, for a model of this width.
    fn fault(&self, width: u64) -> Option<String> {
        let labels = self.labels.len();
        let wanted = usize::try_from(width).ok().and_then(|width| width.checked_mul(labels));
        if labels < 2 {
            Some(format!("a classifier of {labels} labels tells nothing apart"))
        } else if Some(self.weights.len()) != wanted || self.bias.len() != labels {
            let (weights, biases) = (self.weights.len(), self.bias.len());
            Some(format!(
                "a head of {weights} weights and {biases} biases does not fit {labels} labels of width {width}"
            ))
        } else if self.weights.iter().chain(&self.bias).any(|x| !x.is_finite()) {
            Some("the classifier's head holds NaN or infinite numbers".into())
        } else {
            None
        }
    }

    fn put(&self, metadata: &mut Metadata) {
        metadata.set("tripos.classifier.head", Value::Array(Array::F32(self.weights.clone())));
        metadata.set("tripos.classifier.bias", Value::Array(Array::F32(self.bias.clone())));
        metadata.set("tripos.classifier.labels", Value::Array(Array::Text(self.labels.clone())));
        metadata.set("tripos.classifier.render", self.render.as_str().into());
    }
}

/// A head that says how good an answer is: `(weights · state + bias − mean) / std`, where the state is that of the token that
/// ends the answer, after the output norm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RewardHead {
    /// As many as the model is wide.
    pub weights: Vec<f32>,
    /// Added to it.
    pub bias: f32,
    /// The mean reward of the answers that it learned from.
    pub mean: f32,
    /// Their standard deviation.
    pub std: f32,
    /// By what they were judged; empty where nobody said.
    pub axes: Vec<String>,
    /// How prompt and answer are put to the model: `text` or `chat`.
    pub render: String,
}

impl RewardHead {
    fn fault(&self, width: u64) -> Option<String> {
        let numbers = self.weights.iter().chain([&self.bias, &self.mean, &self.std]);
        if self.weights.len() as u64 != width {
            Some(format!("a head of {} weights does not fit a model of width {width}", self.weights.len()))
        } else if numbers.into_iter().any(|x| !x.is_finite()) || self.std <= 0.0 {
            Some("the reward model's head holds NaN or infinite numbers, or no spread".into())
        } else {
            None
        }
    }

    fn put(&self, metadata: &mut Metadata) {
        metadata.set("tripos.reward.head", Value::Array(Array::F32(self.weights.clone())));
        for (key, value) in [("bias", self.bias), ("mean", self.mean), ("std", self.std)] {
            metadata.set(format!("tripos.reward.{key}"), Value::F32(value));
        }
        if !self.axes.is_empty() {
            metadata.set("tripos.reward.axes", Value::Array(Array::Text(self.axes.clone())));
        }
        metadata.set("tripos.reward.render", self.render.as_str().into());
    }
}
