//! The product of a recipe: an adapter or a whole model, and the engine that lets it speak.

use super::data::Asked;
use super::product::Product;
use super::recipe::Recipe;
use crate::engine::llama::{KvStorage, Llama, LlamaSettings};
use crate::engine::{Answer, Ask, Engine, KvMode, Render, Request};
use crate::error::Problems;
use crate::gguf::{Gguf, TensorType};
use crate::model::export::{Export, adapter, full};
use crate::model::{Classifier, Head, Lineage, RewardHead, Saved, Trained};
use crate::run::RunSettings;
use crate::sampling::Sampling;
use crate::store::training::Said;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The largest number that F16 holds.
const F16_MOST: f32 = 65_504.0;

/// What is known of a head beside its weights.
#[derive(Debug, Clone, Copy)]
pub enum HeadOf<'a> {
    /// Tells labels apart.
    Labels {
        /// The labels, in the order of its outputs.
        labels: &'a [String],
        /// How texts are put to the model.
        render: Render,
    },
    /// Says how good an answer is.
    Reward {
        /// By what the answers were judged.
        axes: &'a [String],
        /// How prompts and answers are put to the model.
        render: Render,
        /// Mean and standard deviation of what it says of the answers that it learned from.
        scale: (f32, f32),
    },
}

/// Makes the trained file of a recipe.
#[derive(Debug, Clone, Copy)]
pub struct Maker<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The header of the model that is trained.
    pub base: &'a Gguf,
    /// Where the file will say that it comes from.
    pub lineage: &'a Lineage,
    /// What its head is, where one learns.
    pub heads: Option<HeadOf<'a>>,
    /// What it is asked at each evaluation.
    pub questions: &'a [Asked],
    /// How the engine runs.
    pub machine: &'a RunSettings,
}

impl Maker<'_> {
    /// The head as the file holds it; none where no head learns.
    fn head(&self, saved: &[Saved]) -> Option<Head> {
        let part = |name: &str| saved.iter().find(|one| one.name == name).map(|one| one.values.clone());
        let (weights, bias) = (part("head.weight").unwrap_or_default(), part("head.bias").unwrap_or_default());
        Some(match self.heads? {
            HeadOf::Labels { labels, render } => {
                let (labels, render) = (labels.to_vec(), render.name().to_owned());
                Head::Classifier(Classifier { labels, weights, bias, render })
            }
            HeadOf::Reward { axes, render, scale: (mean, std) } => {
                let (axes, render) = (axes.to_vec(), render.name().to_owned());
                let bias = bias.first().copied().unwrap_or(0.0);
                Head::Reward(RewardHead { weights, bias, mean, std, axes, render })
            }
        })
    }

    /// The longest question and its answer.
    fn context(&self) -> usize {
        let longest = self.questions.iter().map(|question| question.tokens.len()).max().unwrap_or(0);
        longest + self.recipe.evaluate.max_tokens as usize + 1
    }

    /// The engine with what was learned.
    fn engine(&self, file: &Path) -> Result<Llama, Problems> {
        let (model, adapter) = match self.recipe.train {
            Trained::Full => (file, None),
            Trained::Lora(_) => (self.recipe.model.as_path(), Some((file.to_path_buf(), 1.0))),
        };
        let settings = LlamaSettings {
            context: u32::try_from(self.context().next_multiple_of(256)).ok(),
            threads: self.machine.threads,
            gpu_layers: self.machine.gpu_layers,
            kv_type: KvStorage::F16,
            kv: KvMode::Tree,
            parallel: self.questions.len().max(1),
            adapter,
        };
        Llama::open(model, settings, (None, &self.machine.llama_cpp), self.machine.memory.as_deref())
    }
}

impl Product for Maker<'_> {
    fn file_name(&self) -> String {
        match self.recipe.train {
            Trained::Full => format!("{}.gguf", self.recipe.name),
            Trained::Lora(_) => format!("{}.adapter.gguf", self.recipe.name),
        }
    }

    fn speaks(&self) -> bool {
        !self.questions.is_empty() && self.heads.is_none()
    }

    fn export(&self, saved: &[Saved], file: &Path) -> Result<(), Problems> {
        let head = self.head(saved);
        let export = Export {
            path: file,
            name: &self.recipe.name,
            base: self.base,
            saved,
            lineage: self.lineage,
            head: head.as_ref(),
        };
        match &self.recipe.train {
            Trained::Lora(lora) => adapter(&export, lora),
            // What was learned in small steps would be lost in a quantised format; `tripos quantize` makes one of it.
            Trained::Full => {
                let exact = self.base.tensors().iter().all(|tensor| tensor.kind == TensorType::F32);
                let most = saved.iter().flat_map(|one| &one.values).fold(0.0_f32, |most, value| most.max(value.abs()));
                let kind = if most < F16_MOST { TensorType::F16 } else { TensorType::F32 };
                full(&export, (!exact).then_some(kind)).map(|_| ())
            }
        }
    }

    fn says(&self, file: &Path, stop: &AtomicBool) -> Result<Vec<Said>, Problems> {
        let engine = self.engine(file)?;
        let sampling =
            Sampling { max_tokens: self.recipe.evaluate.max_tokens, temperature: 0.0, ..Sampling::default() };
        let request = |(id, question): (usize, &Asked)| Request {
            id,
            tokens: question.tokens.clone(),
            ask: Ask::Generate { sampling: sampling.clone(), seed: 0 },
        };
        let requests = self.questions.iter().enumerate().map(request).collect();
        let mut said: Vec<Said> =
            self.questions.iter().map(|one| Said { prompt: one.text.clone(), completion: String::new() }).collect();
        let mut keep = |id: usize, answer: Answer| {
            if let (Answer::Completion(completion), Some(place)) = (answer, said.get_mut(id)) {
                place.completion = completion.text;
            }
        };
        engine.answer(requests, &mut keep, stop)?;
        Ok(said)
    }
}
