//! A recipe made ready: its data read, its base opened, its memory counted.

use super::checkpoint::Identity;
use super::conclude;
use super::data::{self, Asked, Data};
use super::failure::TrainingFailure;
use super::lessons::{Lessons, material};
use super::memory;
use super::pretrain;
use super::recipe::{Kind, Recipe};
use crate::engine::Engine;
use crate::engine::llama::Llama;
use crate::error::Problems;
use crate::gguf::{Gguf, TensorInfo};
use crate::model::{Estimate, Settings, Trained, estimate};
use crate::run::RunSettings;
use crate::store::training::{MemoryRecord, TrainingHeader};
use std::path::Path;

/// Held-out documents whose beginnings the model is asked where the recipe has no prompts.
const QUESTIONS: usize = 3;
/// Most tokens of a text without a prompt that it is asked to go on with.
const BEGINNING: usize = 32;

/// A recipe with all that it needs, none of it on the way to change.
#[derive(Debug)]
pub struct Prepared {
    /// The recipe.
    pub recipe: Recipe,
    /// Its documents.
    pub data: Data,
    /// The header of its base.
    pub base: Gguf,
    /// What its checkpoints belong to.
    pub identity: Identity,
    /// What the model is asked at each evaluation.
    pub questions: Vec<Asked>,
    /// Keeps the file of a base that was made from nothing.
    #[allow(dead_code, reason = "held, not read")]
    made: Option<pretrain::Base>,
}

impl Prepared {
    /// Reads the data of a recipe and opens its base.
    pub fn new(mut recipe: Recipe, machine: &RunSettings) -> Result<Self, Problems> {
        let made = recipe.from_nothing.as_ref().map(|nothing| pretrain::Base::of(&recipe, nothing)).transpose()?;
        if let Some(made) = &made {
            recipe.model = made.file();
        }
        let engine = data::tokenizer(&recipe, machine)?;
        let mut problems = Problems::new();
        let mut or_problems = |found: Problems| problems.append(found);
        let data = data::read(&recipe, &engine).map_err(&mut or_problems).ok();
        let asked = data::asked(&recipe, &engine).map_err(&mut or_problems).ok();
        let (Some(data), Some(asked)) = (data, asked) else { return Err(problems) };
        let identity = Identity { recipe: recipe.sha256(), base: engine.facts().sha256.clone() };
        let base = Gguf::open(&recipe.model)?;
        let mut prepared = Self { recipe, data, base, identity, questions: asked, made };
        if prepared.questions.is_empty() {
            prepared.questions = prepared.usual_questions(&engine);
        }
        Ok(prepared)
    }

    /// The documents as the steps see them.
    #[must_use]
    pub fn lessons(&self) -> Lessons<'_> {
        Lessons::new(&self.recipe, &self.data.train, &self.data.held_out)
    }

    /// Whether a run was begun with the same recipe, base and data.
    ///
    /// # Errors
    /// Each that is another now.
    pub fn is_of(&self, recorded: &TrainingHeader, run: &Path) -> Result<(), Problems> {
        let now = material(&self.lessons(), &self.data.train, &self.data.held_out);
        conclude::unchanged(recorded, (&self.identity, &now), ["what is learned from", "what is held out"], run)
    }

    /// How the decoder is made.
    #[must_use]
    pub fn settings(&self, lessons: &Lessons, threads: usize) -> Settings {
        Settings {
            trained: self.recipe.train.clone(),
            precision: self.recipe.precision,
            shape: lessons.shape(self.recipe.sequence),
            outputs: match self.recipe.kind {
                Kind::Sft | Kind::Pretrain | Kind::Dpo | Kind::Grpo | Kind::Ppo => 0,
                Kind::Classify => self.data.labels.len(),
                Kind::Reward => 1,
            },
            recompute: self.recipe.recompute,
            threads,
            seed: self.recipe.seed,
        }
    }

    /// What it will take, or that there is too little memory for it.
    pub fn estimate(&self, settings: &Settings) -> Result<(Estimate, MemoryRecord), Problems> {
        estimate_of(&self.recipe, &self.base, settings)
    }

    /// The beginnings of the first documents held out: up to the first token that is learned, or some of a text.
    fn usual_questions(&self, engine: &Llama) -> Vec<Asked> {
        let lessons = self.lessons();
        let ask = |document: &crate::model::Document| {
            let learned = document.learn.iter().skip(1).position(|learn| *learn).map_or(0, |at| at + 1);
            let end = if learned > 1 { learned } else { (document.tokens.len() / 2).clamp(1, BEGINNING) };
            let tokens = document.tokens.get(..end)?.to_vec();
            Some(Asked { text: String::from_utf8_lossy(&engine.bytes(&tokens)).into_owned(), tokens })
        };
        lessons.examples().take(QUESTIONS).filter_map(ask).collect()
    }
}

/// What a recipe will take, or that there is too little memory for it.
pub(super) fn estimate_of(
    recipe: &Recipe,
    base: &Gguf,
    settings: &Settings,
) -> Result<(Estimate, MemoryRecord), Problems> {
    let available = memory::available();
    // Not even its weights: then there is nothing to measure.
    let weights = base.tensors().iter().filter_map(TensorInfo::size).sum();
    within(recipe, available, weights, || {
        format!("take a smaller base, or one of fewer bits (`tripos quantize`); {} needs more still", recipe.name)
    })?;
    let needs = estimate(&recipe.model, settings)?;
    within(recipe, available, needs.bytes, || to_need_less(recipe))?;
    Ok((needs, MemoryRecord { estimated: needs.bytes, available, held: None }))
}

/// Refuses what needs more memory than there is.
fn within(recipe: &Recipe, available: Option<u64>, needed: u64, help: impl Fn() -> String) -> Result<(), Problems> {
    let Some(available) = available.filter(|available| needed > *available) else { return Ok(()) };
    let written = ["micro_batch", "batch", "sequence"].map(|name| recipe.place(name));
    let place = written.into_iter().find(|place| place.line > 0).unwrap_or_else(|| recipe.place("batch"));
    Err(TrainingFailure::Memory { needed, available, place, help: help() }.into())
}

/// The settings that would need less memory, most telling first.
fn to_need_less(recipe: &Recipe) -> String {
    let mut ways = Vec::new();
    if recipe.micro_batch > 1 {
        ways.push(format!("`micro_batch: {}` (now {})", recipe.micro_batch / 2, recipe.micro_batch));
    }
    if !recipe.recompute {
        ways.push("`recompute: true`".to_owned());
    }
    ways.push(format!("a shorter `sequence` (now {})", recipe.sequence));
    if recipe.train == Trained::Full {
        ways.push("`train: lora`".to_owned());
    }
    format!("set {}; or free some memory", ways.join(", or "))
}
