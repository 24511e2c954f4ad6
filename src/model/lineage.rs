//! What a file says of where it comes from, and the head of a classifier (contract.md, section 6).

use crate::gguf::{Array, Gguf, Metadata, Value};

/// What a trained file was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// SHA-256 and file name of the model that it was trained on; `None` where it began from nothing.
    pub base: Option<(String, String)>,
    /// SHA-256 of the recipe.
    pub recipe_sha256: String,
    /// SHA-256 of the adapter or model whose training was continued, if any.
    pub parent: Option<String>,
}

impl Lineage {
    pub(super) fn put(&self, metadata: &mut Metadata) {
        if let Some((sha256, file)) = &self.base {
            metadata.set("tripos.base.sha256", sha256.as_str().into());
            metadata.set("tripos.base.file", file.as_str().into());
        }
        metadata.set("tripos.recipe.sha256", self.recipe_sha256.as_str().into());
        if let Some(parent) = &self.parent {
            metadata.set("tripos.parent", parent.as_str().into());
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
    pub(super) fn fault(&self, width: u64) -> Option<String> {
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

    pub(super) fn put(&self, metadata: &mut Metadata) {
        metadata.set("tripos.classifier.head", Value::Array(Array::F32(self.weights.clone())));
        metadata.set("tripos.classifier.bias", Value::Array(Array::F32(self.bias.clone())));
        metadata.set("tripos.classifier.labels", Value::Array(Array::Text(self.labels.clone())));
        metadata.set("tripos.classifier.render", self.render.as_str().into());
    }
}

/// Metadata without what is said of a file's own descent: it does not hold for what is made of the file.
pub(super) fn without_lineage(file: &Gguf) -> Metadata {
    file.metadata().iter().filter(|(key, _)| !key.starts_with("tripos.")).map(|(k, v)| (k, v.clone())).collect()
}
