//! The file of a model that has learned nothing yet: vocabulary, shape, chat template, and numbers drawn by a seed.

use super::Architecture;
use super::vocabulary::{Vocabulary, taken_from};
use crate::error::Problems;
use crate::gguf::{Gguf, Metadata, TensorInfo, Value, Writer};
use crate::seed;
use rand::RngExt as _;
use std::path::Path;

/// The deviation of the numbers at the beginning (Radford et al. 2019).
const SPREAD: f32 = 0.02;
/// How conversations are written, where the vocabulary is our own: ChatML.
pub const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Where the tokens of a new model come from.
#[derive(Debug, Clone, Copy)]
pub enum Tokens<'a> {
    /// They were learned.
    Learned(&'a Vocabulary),
    /// They are another model's, with its chat template.
    Of(&'a Gguf),
}

impl Tokens<'_> {
    fn count(self) -> usize {
        match self {
            Self::Learned(vocabulary) => vocabulary.len(),
            Self::Of(gguf) => gguf.metadata().texts("tokenizer.ggml.tokens").map_or(0, <[String]>::len),
        }
    }

    fn put(self, metadata: &mut Metadata) {
        match self {
            Self::Learned(vocabulary) => {
                vocabulary.put(metadata);
                metadata.set("tokenizer.chat_template", CHATML.into());
            }
            Self::Of(gguf) => taken_from(gguf, metadata),
        }
    }
}

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct Initial<'a> {
    /// What it calls itself.
    pub name: &'a str,
    /// Its licence, as an SPDX name, where the recipe gives one.
    pub licence: Option<&'a str>,
    /// Its shape.
    pub architecture: &'a Architecture,
    /// Its tokens.
    pub tokens: Tokens<'a>,
    /// Draws its numbers.
    pub seed: u64,
}

impl Initial<'_> {
    /// Writes the file. The same settings give the same bytes.
    pub fn write(&self, path: &Path) -> Result<(), Problems> {
        let (vocabulary, mut metadata) = (self.tokens.count(), Metadata::default());
        self.architecture.put(vocabulary, &mut metadata);
        metadata.set("general.type", "model".into());
        metadata.set("general.name", self.name.into());
        if let Some(licence) = self.licence {
            metadata.set("general.license", licence.into());
        }
        metadata.set("general.file_type", Value::U32(0));
        self.tokens.put(&mut metadata);
        let tensors = self.architecture.tensors(vocabulary);
        Gguf::planned(path, &metadata, &tensors)?.check()?;
        let mut writer = Writer::create(path, &metadata, &tensors)?;
        for tensor in &tensors {
            let bytes: Vec<u8> = self.numbers(tensor).into_iter().flat_map(f32::to_le_bytes).collect();
            writer.tensor(&bytes)?;
        }
        Ok(writer.finish()?)
    }

    /// What a tensor begins with: norms with 1, matrices spread evenly around 0, and those that write into the residual
    /// stream less the more layers there are, so that its deviation does not grow with depth (Radford et al. 2019).
    fn numbers(&self, tensor: &TensorInfo) -> Vec<f32> {
        let len = usize::try_from(tensor.elements().unwrap_or(0)).unwrap_or(0);
        if tensor.dims.len() == 1 {
            return vec![1.0; len];
        }
        let writes = ["attn_output", "ffn_down"].iter().any(|part| tensor.name.contains(part));
        let depth = if writes { (2.0 * self.architecture.layers as f32).sqrt() } else { 1.0 };
        // An even spread over ±√3 σ has the deviation σ.
        let most = 3.0_f32.sqrt() * SPREAD / depth;
        let mut random = seed::rng(seed::key(self.seed, &["initial", &tensor.name]));
        (0..len).map(|_| random.random_range(-most..most)).collect()
    }
}
