//! A classifier: a head on a model's last state, kept in the metadata of a GGUF file, where it cannot get lost.
//!
//! The file is a LoRA adapter, or a model trained as a whole. Its keys (contract.md, section 6, tells those of a reward
//! model, which are like them): `tripos.classifier.head` (f32, row by row: labels × width), `tripos.classifier.bias` (f32),
//! `tripos.classifier.labels` (texts), `tripos.classifier.render` (`text` or `chat`), and for an adapter
//! `tripos.base.sha256` and `tripos.base.file`.

use crate::error::Problems;
use crate::gguf::Gguf;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The keys.
const HEAD: &str = "tripos.classifier.head";
const BIAS: &str = "tripos.classifier.bias";
const LABELS: &str = "tripos.classifier.labels";
const RENDER: &str = "tripos.classifier.render";
const BASE_HASH: &str = "tripos.base.sha256";
const BASE_FILE: &str = "tripos.base.file";

/// A head on a model, and what it says.
///
/// For a text whose last token has the state `s` behind the output norm, [`outputs`](Self::outputs) are `W·s + b`, a
/// number for each label; their softmax are the labels' probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    /// What its outputs mean, in their order.
    pub labels: Vec<String>,
    /// How the texts that it learned from were put to the model.
    pub render: Render,
    /// The model that it belongs on; `None` where the file is that model itself.
    pub base: Option<Base>,
    head: Vec<f32>,
    bias: Vec<f32>,
}

/// How a text is put to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Render {
    /// As it is.
    Text,
    /// By the model's chat template.
    Chat,
}

impl Render {
    /// What a file may say.
    pub(super) const WANTED: &str = "`text` or `chat`";

    /// What a file says.
    pub(super) fn of(text: Option<&str>) -> Option<Self> {
        match text? {
            "text" => Some(Self::Text),
            "chat" => Some(Self::Chat),
            _ => None,
        }
    }

    /// As files and recipes name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Chat => "chat",
        }
    }
}

/// The model that an adapter was trained on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// SHA-256 of its file, in hex.
    pub sha256: String,
    /// The file's name, to look for; empty where the adapter does not say.
    pub file: String,
}

impl Base {
    /// What a file says of it; `None` where it is no adapter.
    pub(super) fn of(gguf: &Gguf) -> Result<Option<Self>, HeadFault> {
        if !gguf.is_adapter() {
            return Ok(None);
        }
        let sha256 = gguf.metadata().text(BASE_HASH).ok_or(HeadFault::NoBase)?.to_owned();
        let file = gguf.metadata().text(BASE_FILE).unwrap_or_default().to_owned();
        Ok(Some(Self { sha256, file }))
    }
}

/// Why a file that can be read is no classifier, or no reward model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// It has no head that tells labels apart.
    #[error("it has no `{HEAD}`")]
    NoHead,
    /// It has no head that judges answers.
    #[error("it has no `tripos.reward.head`")]
    NoRewardHead,
    /// A key is missing or not of its type.
    #[error("`{key}` is not {wanted}")]
    Key {
        /// The key.
        key: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// The sizes do not go together.
    #[error("{labels} labels have {bias} biases and a head of {head} numbers")]
    Sizes {
        /// How many labels.
        labels: usize,
        /// How many biases.
        bias: usize,
        /// Numbers of the head.
        head: usize,
    },
    /// A label is there twice.
    #[error("the label `{label}` is there twice")]
    Twice {
        /// The label.
        label: String,
    },
    /// A weight is NaN or infinite.
    #[error("its head holds a weight that is not a number")]
    NotFinite,
    /// An adapter that does not say on what.
    #[error("it is an adapter, and has no `{BASE_HASH}`")]
    NoBase,
}

impl HeadFault {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoHead => "a recipe of `kind: classify` trains one, and keeps its head in the file",
            Self::NoRewardHead => "a recipe of `kind: reward` trains one, and keeps its head in the file",
            _ => "the file may be damaged: train it again, or take another copy of it",
        }
    }
}

impl Classifier {
    /// One of these labels, weights (row by row: labels × width) and biases, on the file itself.
    ///
    /// ```
    /// use tripos::engine::Classifier;
    /// let labels = ["no".to_owned(), "yes".to_owned()].to_vec();
    /// let classifier = Classifier::new(labels, vec![1.0, 0.0, 0.0, 1.0], vec![0.5, 0.0]);
    /// assert_eq!(classifier.outputs(&[1.0, 3.0]), [1.5, 3.0]);
    /// ```
    #[must_use]
    pub fn new(labels: Vec<String>, head: Vec<f32>, bias: Vec<f32>) -> Self {
        Self { labels, render: Render::Text, base: None, head, bias }
    }

    /// Reads a classifier's head; of the file's tensors only what its header says.
    ///
    /// # Errors
    /// `Err` where the file cannot be read or llama.cpp could not take it; `Ok(Err)` where it is a good file and no
    /// classifier, or one whose head is damaged.
    pub fn open(path: &Path) -> Result<Result<Self, HeadFault>, Problems> {
        Ok(Self::of(&Gguf::open_checked(path)?))
    }

    fn of(gguf: &Gguf) -> Result<Self, HeadFault> {
        let metadata = gguf.metadata();
        if metadata.get(HEAD).is_none() {
            return Err(HeadFault::NoHead);
        }
        let numbers = |key: &'static str| {
            metadata.f32s(key).map(<[f32]>::to_vec).ok_or(HeadFault::Key { key, wanted: "an array of f32" })
        };
        let (head, bias) = (numbers(HEAD)?, numbers(BIAS)?);
        let labels = metadata.texts(LABELS).filter(|labels| !labels.is_empty());
        let labels = labels.ok_or(HeadFault::Key { key: LABELS, wanted: "a list of texts" })?.to_vec();
        let render = Render::of(metadata.text(RENDER)).ok_or(HeadFault::Key { key: RENDER, wanted: Render::WANTED })?;
        if bias.len() != labels.len() || head.is_empty() || !head.len().is_multiple_of(labels.len()) {
            return Err(HeadFault::Sizes { labels: labels.len(), bias: bias.len(), head: head.len() });
        }
        if let Some((_, label)) = labels.iter().enumerate().find(|(at, label)| labels[..*at].contains(label)) {
            return Err(HeadFault::Twice { label: label.clone() });
        }
        if head.iter().chain(&bias).any(|weight| !weight.is_finite()) {
            return Err(HeadFault::NotFinite);
        }
        let base = Base::of(gguf)?;
        Ok(Self { labels, render, base, head, bias })
    }

    /// Numbers that it reads of a state.
    #[must_use]
    pub fn width(&self) -> usize {
        self.head.len() / self.labels.len().max(1)
    }

    /// `W·s + b` for a state of [`width`](Self::width) numbers: one for each label, in their order.
    #[must_use]
    pub fn outputs(&self, state: &[f32]) -> Vec<f64> {
        let rows = self.head.chunks(self.width().max(1)).zip(&self.bias);
        let product = |row: &[f32]| row.iter().zip(state).map(|(w, s)| f64::from(*w) * f64::from(*s)).sum::<f64>();
        rows.map(|(row, bias)| product(row) + f64::from(*bias)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Array, Metadata, TensorData, Value, write};

    fn texts(all: &[&str]) -> Value {
        Value::Array(Array::Text(all.iter().map(|&text| text.to_owned()).collect()))
    }

    fn numbers(all: &[f32]) -> Value {
        Value::Array(Array::F32(all.to_vec()))
    }

    /// A head of two labels on states of three numbers, after `change`.
    fn read(change: impl Fn(&mut Metadata)) -> Result<Classifier, HeadFault> {
        let mut metadata = Metadata::default();
        let text = |text: &str| Value::Text(text.to_owned());
        for (key, value) in [
            ("general.type", text("adapter")),
            ("general.architecture", text("llama")),
            ("adapter.type", text("lora")),
            ("adapter.lora.alpha", Value::F32(1.0)),
            (HEAD, numbers(&[1.0, 2.0, 3.0, -1.0, 0.0, 0.5])),
            (BIAS, numbers(&[0.25, -0.5])),
            (LABELS, texts(&["no", "yes"])),
            (RENDER, text("text")),
            (BASE_HASH, text("aa")),
            (BASE_FILE, text("base.gguf")),
        ] {
            metadata.set(key, value);
        }
        change(&mut metadata);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.gguf");
        let name = |half: &str| format!("blk.0.attn_q.weight.{half}");
        let tensors =
            [TensorData::f32(name("lora_a"), &[3, 1], &[0.0; 3]), TensorData::f32(name("lora_b"), &[1, 3], &[0.0; 3])];
        write(&path, &metadata, &tensors).unwrap();
        Classifier::open(&path).unwrap()
    }

    /// ```python
    /// W = np.array([[1., 2, 3], [-1, 0, .5]]); b = np.array([.25, -.5])
    /// W @ [2., -1, 4] + b  # 12.25, -0.5
    /// ```
    #[test]
    fn the_outputs_are_the_head_times_the_state_and_the_bias() {
        let classifier = read(|_| ()).unwrap();
        assert_eq!((classifier.width(), classifier.render), (3, Render::Text));
        assert_eq!(classifier.labels, ["no", "yes"]);
        assert_eq!(classifier.base, Some(Base { sha256: "aa".into(), file: "base.gguf".into() }));
        assert_eq!(classifier.outputs(&[2.0, -1.0, 4.0]), [12.25, -0.5]);
    }

    #[test]
    fn says_what_is_wrong_with_a_head() {
        let fault = |change: &dyn Fn(&mut Metadata)| read(change).unwrap_err().to_string();
        let without = |key: &'static str| fault(&move |m| drop(m.remove(key)));
        insta::assert_snapshot!(without(HEAD), @"it has no `tripos.classifier.head`");
        insta::assert_snapshot!(without(BIAS), @"`tripos.classifier.bias` is not an array of f32");
        insta::assert_snapshot!(without(LABELS), @"`tripos.classifier.labels` is not a list of texts");
        insta::assert_snapshot!(without(RENDER), @"`tripos.classifier.render` is not `text` or `chat`");
        insta::assert_snapshot!(without(BASE_HASH), @"it is an adapter, and has no `tripos.base.sha256`");
        let with = |key: &'static str, value: Value| fault(&move |m| drop(m.set(key, value.clone())));
        insta::assert_snapshot!(with(BIAS, numbers(&[0.0])), @"2 labels have 1 biases and a head of 6 numbers");
        insta::assert_snapshot!(with(HEAD, numbers(&[0.0; 5])), @"2 labels have 2 biases and a head of 5 numbers");
        insta::assert_snapshot!(with(HEAD, numbers(&[f32::NAN; 6])), @"its head holds a weight that is not a number");
        insta::assert_snapshot!(with(LABELS, texts(&["a", "a"])), @"the label `a` is there twice");
        insta::assert_snapshot!(with(LABELS, texts(&[])), @"`tripos.classifier.labels` is not a list of texts");
    }

    #[test]
    fn a_model_that_has_no_head_is_no_classifier() {
        let model = Classifier::open(Path::new("models/tripos-tiny.gguf")).unwrap();
        assert_eq!(model.unwrap_err(), HeadFault::NoHead);
        assert!(Classifier::open(Path::new("no/such.gguf")).is_err());
    }
}
