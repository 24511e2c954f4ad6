//! A reward model: a head that says how good an answer is, kept in the metadata of a GGUF file, where it cannot get lost.
//!
//! The file is a LoRA adapter, or a model trained as a whole. Its keys (contract.md, section 6): `tripos.reward.head` (f32,
//! as many as the model is wide), `.bias`, `.mean`, `.std` (f32), `.axes` (texts, may be missing), `.render` (`text` or
//! `chat`), and for an adapter `tripos.base.sha256` and `tripos.base.file`.

use super::classifier::{Base, HeadFault, Render};
use crate::error::Problems;
use crate::gguf::Gguf;
use std::path::Path;

/// The keys.
const HEAD: &str = "tripos.reward.head";
const BIAS: &str = "tripos.reward.bias";
const MEAN: &str = "tripos.reward.mean";
const STD: &str = "tripos.reward.std";
const AXES: &str = "tripos.reward.axes";
const RENDER: &str = "tripos.reward.render";

/// A head on a model, and what it says of an answer.
///
/// For the state `s` of the token that ends an answer, behind the output norm, the [`reward`](Self::reward) is
/// `(w·s + b − mean) / std`: over the answers that it learned from it has mean 0 and standard deviation 1.
///
/// ```
/// use tripos::engine::RewardModel;
/// let model = RewardModel::new(vec![1.0, -1.0], 0.5, (1.0, 2.0));
/// assert_eq!(model.reward(&[4.0, 0.5]), (4.0 - 0.5 + 0.5 - 1.0) / 2.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RewardModel {
    /// By what the answers that it learned from were judged; empty where nobody said.
    pub axes: Vec<String>,
    /// How prompt and answer are put to the model.
    pub render: Render,
    /// The model that it belongs on; `None` where the file is that model itself.
    pub base: Option<Base>,
    head: Vec<f32>,
    bias: f32,
    mean: f32,
    std: f32,
}

impl RewardModel {
    /// One of these weights and this bias, on the file itself, whose raw rewards have this mean and standard deviation.
    #[must_use]
    pub fn new(head: Vec<f32>, bias: f32, (mean, std): (f32, f32)) -> Self {
        Self { axes: Vec::new(), render: Render::Text, base: None, head, bias, mean, std }
    }

    /// Reads a reward model's head; of the file's tensors only what its header says.
    ///
    /// # Errors
    /// `Err` where the file cannot be read or llama.cpp could not take it; `Ok(Err)` where it is a good file and no reward
    /// model, or one whose head is damaged.
    pub fn open(path: &Path) -> Result<Result<Self, HeadFault>, Problems> {
        Ok(Self::of(&Gguf::open_checked(path)?))
    }

    fn of(gguf: &Gguf) -> Result<Self, HeadFault> {
        let metadata = gguf.metadata();
        if metadata.get(HEAD).is_none() {
            return Err(HeadFault::NoRewardHead);
        }
        let head = metadata.f32s(HEAD).filter(|head| !head.is_empty());
        let head = head.ok_or(HeadFault::Key { key: HEAD, wanted: "an array of f32" })?.to_vec();
        let number = |key: &'static str| metadata.f32(key).ok_or(HeadFault::Key { key, wanted: "a number (f32)" });
        let (bias, mean, std) = (number(BIAS)?, number(MEAN)?, number(STD)?);
        if head.iter().chain([&bias, &mean, &std]).any(|weight| !weight.is_finite()) || std <= 0.0 {
            return Err(HeadFault::NotFinite);
        }
        let axes = match metadata.get(AXES) {
            None => Vec::new(),
            Some(_) => metadata.texts(AXES).ok_or(HeadFault::Key { key: AXES, wanted: "a list of texts" })?.to_vec(),
        };
        let render = Render::of(metadata.text(RENDER)).ok_or(HeadFault::Key { key: RENDER, wanted: Render::WANTED })?;
        Ok(Self { axes, render, base: Base::of(gguf)?, head, bias, mean, std })
    }

    /// Numbers that it reads of a state.
    #[must_use]
    pub fn width(&self) -> usize {
        self.head.len()
    }

    /// How good the answer is whose last token has this state, of [`width`](Self::width) numbers.
    #[must_use]
    pub fn reward(&self, state: &[f32]) -> f64 {
        let product: f64 = self.head.iter().zip(state).map(|(w, s)| f64::from(*w) * f64::from(*s)).sum();
        (product + f64::from(self.bias) - f64::from(self.mean)) / f64::from(self.std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Array, Metadata, TensorData, Value, write};

    /// A head on states of three numbers, after `change`.
    fn read(change: impl Fn(&mut Metadata)) -> Result<RewardModel, HeadFault> {
        let mut metadata = Metadata::default();
        let text = |text: &str| Value::Text(text.to_owned());
        for (key, value) in [
            ("general.type", text("adapter")),
            ("general.architecture", text("llama")),
            ("adapter.type", text("lora")),
            ("adapter.lora.alpha", Value::F32(1.0)),
            (HEAD, Value::Array(Array::F32(vec![1.0, 2.0, -0.5]))),
            (BIAS, Value::F32(0.25)),
            (MEAN, Value::F32(-1.0)),
            (STD, Value::F32(2.0)),
            (AXES, Value::Array(Array::Text(vec!["helpful".to_owned()]))),
            (RENDER, text("chat")),
            ("tripos.base.sha256", text("aa")),
            ("tripos.base.file", text("base.gguf")),
        ] {
            metadata.set(key, value);
        }
        change(&mut metadata);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.gguf");
        let name = |half: &str| format!("blk.0.attn_q.weight.{half}");
        let tensors =
            [TensorData::f32(name("lora_a"), &[3, 1], &[0.0; 3]), TensorData::f32(name("lora_b"), &[1, 3], &[0.0; 3])];
        write(&path, &metadata, &tensors).unwrap();
        RewardModel::open(&path).unwrap()
    }

    /// ```python
    /// w, s = np.array([1., 2, -.5]), np.array([2., -1, 4])
    /// (w @ s + .25 - -1) / 2  # -0.375
    /// ```
    #[test]
    fn the_reward_is_the_head_times_the_state_set_to_the_scale() {
        let model = read(|_| ()).unwrap();
        assert_eq!((model.width(), model.render, &model.axes[..]), (3, Render::Chat, &["helpful".to_owned()][..]));
        assert_eq!(model.base.as_ref().map(|base| base.sha256.as_str()), Some("aa"));
        assert!((model.reward(&[2.0, -1.0, 4.0]) + 0.375).abs() < 1e-12);
        assert!(read(|m| drop(m.remove(AXES))).unwrap().axes.is_empty());
    }

    #[test]
    fn says_what_is_wrong_with_a_head() {
        let fault = |change: &dyn Fn(&mut Metadata)| read(change).unwrap_err().to_string();
        let without = |key: &'static str| fault(&move |m| drop(m.remove(key)));
        insta::assert_snapshot!(without(HEAD), @"it has no `tripos.reward.head`");
        insta::assert_snapshot!(without(BIAS), @"`tripos.reward.bias` is not a number (f32)");
        insta::assert_snapshot!(without(RENDER), @"`tripos.reward.render` is not `text` or `chat`");
        insta::assert_snapshot!(without("tripos.base.sha256"), @"it is an adapter, and has no `tripos.base.sha256`");
        let with = |key: &'static str, value: Value| fault(&move |m| drop(m.set(key, value.clone())));
        insta::assert_snapshot!(with(STD, Value::F32(0.0)), @"its head holds a weight that is not a number");
        insta::assert_snapshot!(with(AXES, Value::F32(0.0)), @"`tripos.reward.axes` is not a list of texts");
    }

    #[test]
    fn a_model_that_has_no_head_is_no_reward_model() {
        let model = RewardModel::open(Path::new("models/tripos-tiny.gguf")).unwrap();
        assert_eq!(model.unwrap_err(), HeadFault::NoRewardHead);
    }
}
