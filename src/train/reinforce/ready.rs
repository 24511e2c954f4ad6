//! A recipe of practice made ready: its suite read, its cases divided, its base opened.

use crate::engine::llama::Llama;
use crate::engine::{Engine, Token};
use crate::error::{Place, Problems};
use crate::gguf::Gguf;
use crate::model::{Estimate, Settings, Shape};
use crate::run::RunSettings;
use crate::sampling::Sampling;
use crate::seed;
use crate::store::training::{Material, MemoryRecord, SourceRecord, TrainingHeader};
use crate::suite::{self, Case, Overrides, ScorerKind, Suite, Variant};
use crate::train::checkpoint::Identity;
use crate::train::data;
use crate::train::error::{TrainError, TrainProblem};
use crate::train::failure::TrainingFailure;
use crate::train::prepare;
use crate::train::recipe::{HeldOut, Practice, Recipe};
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// A recipe with all that it needs, none of it on the way to change.
#[derive(Debug)]
pub struct Ready {
    /// The recipe.
    pub recipe: Recipe,
    /// What it practises.
    pub practice: Practice,
    /// The suite, with the one variant that asks.
    pub suite: Suite,
    /// Which of its cases are practised.
    pub learned: Vec<usize>,
    /// Which are held out.
    pub held_out: Vec<usize>,
    /// The header of its base.
    pub base: Gguf,
    /// What its checkpoints belong to.
    pub identity: Identity,
    /// What the user should know.
    pub warnings: Problems,
    pub(super) engine: Llama,
    /// The token that ends an answer to the variant's prompt.
    pub(super) end: Option<Token>,
    /// What a reward is the sum of.
    weights: BTreeMap<String, f64>,
}

impl Ready {
    /// Reads the suite of a recipe and opens its base.
    ///
    /// # Errors
    /// The suite's own problems; a variant or a scorer that it does not have; nothing to practise, or nothing to measure it on.
    pub fn new(recipe: Recipe, machine: &RunSettings) -> Result<Self, Problems> {
        let Some(practice) = recipe.practice.clone() else {
            return Err(refused(&recipe, "practice", "there is nothing to practise", "add `practice: {suite: FILE}`"));
        };
        let asked = Overrides { model: Some(suite::ModelRef::Gguf(recipe.model.clone())), ..Overrides::default() };
        let (read, warnings) = suite::load(&practice.suite, &asked);
        let mut suite = match read {
            Some(suite) if !warnings.any_error() => suite,
            _ => return Err(warnings),
        };
        let mut problems = Problems::new();
        let variant = variant(&recipe, &practice, &suite).map_err(|found| problems.append(found)).ok();
        let weights = weights(&recipe, &practice, &suite).map_err(|found| problems.append(found)).ok();
        let (learned, held_out) = divided(&recipe, &suite.cases);
        if held_out.is_empty() && recipe.evaluate.every > 0 || learned.is_empty() {
            let what = format!(
                "of {} cases {} are practised and {} held out",
                suite.cases.len(),
                learned.len(),
                held_out.len()
            );
            let help = "give the suite more cases, or another share: `held_out: {share: 0.2}`";
            problems.append(refused(&recipe, "held_out", &what, help));
        }
        let (Some(variant), Some(weights)) = (variant, weights) else { return Err(problems) };
        problems.or_ok(())?;
        let chat = variant.prompt.is_chat();
        suite.variants = vec![variant];
        let engine = data::tokenizer(&recipe, machine)?;
        let ends = data::ends(&recipe, &engine)?;
        let identity = Identity { recipe: recipe.sha256(), base: engine.facts().sha256.clone() };
        let base = Gguf::open(&recipe.model)?;
        let end = if chat { ends.turn } else { ends.text };
        Ok(Self { recipe, practice, suite, learned, held_out, base, identity, warnings, engine, end, weights })
    }

    /// The variant that asks.
    #[must_use]
    pub fn variant(&self) -> &str {
        self.suite.variants.first().map_or("", |variant| &variant.name)
    }

    /// The reward of an answer by its scores; `None` where a scorer that counts could not judge it.
    #[must_use]
    pub fn worth(&self, scores: &BTreeMap<String, f64>) -> Option<f64> {
        self.weights.iter().try_fold(0.0, |sum, (name, weight)| Some(sum + weight * scores.get(name)?))
    }

    /// The cases of a round, counted from 0: one after another in an order of their own each time all have been asked.
    #[must_use]
    pub fn of_round(&self, round: u64) -> Vec<usize> {
        let (count, all) = (self.practice.prompts.min(self.learned.len()), self.learned.len());
        let first = usize::try_from(round).unwrap_or(usize::MAX).saturating_mul(count);
        let mut order = (usize::MAX, Vec::new());
        let mut picked: Vec<usize> = Vec::with_capacity(count);
        for place in first..first.saturating_add(count) {
            if order.0 != place / all {
                let mut cases = self.learned.clone();
                let key = seed::key(self.recipe.seed, &["cases", &(place / all).to_string()]);
                cases.shuffle(&mut seed::rng(key));
                order = (place / all, cases);
            }
            picked.extend(order.1.get(place % all).filter(|case| !picked.contains(case)));
        }
        picked
    }

    /// Rounds of a run of so many optimiser steps.
    #[must_use]
    pub fn round_of(&self, step: u64) -> u64 {
        step.saturating_sub(1) / self.practice.passes
    }

    /// Optimiser steps, whole rounds of them.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let each = self.practice.prompts * self.practice.answers;
        let rounds = self.learned.len() * self.practice.answers;
        let steps = self.recipe.length.steps(rounds, each).max(1);
        match self.recipe.length {
            crate::train::recipe::Length::Steps(_) => steps.next_multiple_of(self.practice.passes),
            crate::train::recipe::Length::Epochs(_) => steps * self.practice.passes,
        }
    }

    /// How the decoder is made.
    #[must_use]
    pub fn settings(&self, threads: usize) -> Settings {
        let (rows, len) = (self.recipe.micro_batch, self.recipe.sequence);
        Settings {
            trained: self.recipe.train.clone(),
            precision: self.recipe.precision,
            // Which answers there will be nobody knows: as many targets and ends as tokens.
            shape: Shape { rows, len, targets: rows * len, ends: rows * len },
            outputs: 0,
            recompute: self.recipe.recompute,
            threads,
            seed: self.recipe.seed,
        }
    }

    /// What it will take, or that there is too little memory for it.
    pub fn estimate(&self, settings: &Settings) -> Result<(Estimate, MemoryRecord), Problems> {
        prepare::estimate_of(&self.recipe, &self.base, settings)
    }

    /// What is practised and held out, for the header.
    #[must_use]
    pub fn material(&self) -> Material {
        Material {
            sources: vec![SourceRecord {
                name: self.suite.path.display().to_string(),
                rows: self.suite.cases.len(),
                ..SourceRecord::default()
            }],
            documents: self.learned.len(),
            held_out_documents: self.held_out.len(),
            sha256: self.hash(&self.learned),
            held_out_sha256: self.hash(&self.held_out),
            ..Material::default()
        }
    }

    /// Whether a run was begun with the same recipe, base and cases.
    ///
    /// # Errors
    /// Each that is another now.
    pub fn is_of(&self, recorded: &TrainingHeader, run: &Path) -> Result<(), Problems> {
        let now = self.material();
        let mut problems = Problems::new();
        for (what, recorded, now) in [
            ("the recipe", &recorded.recipe_sha256, &self.identity.recipe),
            ("the base model", &recorded.base.sha256, &self.identity.base),
            ("what is practised", &recorded.material.sha256, &now.sha256),
            ("what is held out", &recorded.material.held_out_sha256, &now.held_out_sha256),
        ] {
            if recorded != now {
                problems.push(TrainingFailure::Changed { what, place: Place::file(run) });
            }
        }
        problems.or_ok(())
    }

    /// The files of the reward models among the scorers.
    pub(super) fn judges(&self) -> Vec<&Path> {
        let scorers = self.suite.scorers.iter().filter(|scorer| self.weights.contains_key(&scorer.name));
        let files = scorers.filter_map(|scorer| match &scorer.kind {
            ScorerKind::Reward(reward) => Some(reward.file.as_path()),
            _ => None,
        });
        files.collect()
    }

    /// SHA-256 of what some cases ask and how they are asked, in hex.
    fn hash(&self, cases: &[usize]) -> String {
        let mut hash = Sha256::new();
        for case in cases.iter().filter_map(|&at| self.suite.cases.get(at)) {
            hash.update(serde_json::to_vec(&(&case.id, &case.vars, &case.target)).unwrap_or_default());
        }
        for variant in &self.suite.variants {
            hash.update(&variant.prompt.text);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn refused(recipe: &Recipe, at: &str, what: &str, help: &str) -> Problems {
    let problem = TrainProblem::Setting { what: what.to_owned(), help: help.to_owned() };
    TrainError::new(recipe.place(at), problem).into()
}

/// The variant that asks.
fn variant(recipe: &Recipe, practice: &Practice, suite: &Suite) -> Result<Variant, Problems> {
    let known: Vec<String> = suite.variants.iter().map(|variant| variant.name.clone()).collect();
    let found = match (&practice.variant, &suite.variants[..]) {
        (Some(name), all) => all.iter().find(|variant| variant.name == *name).ok_or_else(|| {
            let problem = TrainProblem::Unknown { what: "variant", name: name.clone(), known };
            TrainError::new(recipe.place("practice.variant"), problem).into()
        }),
        (None, [one]) => Ok(one),
        (None, _) => {
            let help = format!("say which asks: `variant: NAME` ({})", known.join(", "));
            Err(refused(recipe, "practice", "the suite has several variants", &help))
        }
    }?;
    if found.then.is_some() || suite.text.is_some() {
        let help = "practise a variant that asks one prompt and reads one answer";
        return Err(refused(recipe, "practice.variant", "what is asked in stages cannot be practised", help));
    }
    let Sampling { grammar, json_schema, repeat_penalty, presence_penalty, frequency_penalty, logit_bias, .. } =
        &found.sampling;
    let steered = grammar.is_some() || json_schema.is_some() || !logit_bias.is_empty();
    if steered || [repeat_penalty, presence_penalty, frequency_penalty].iter().any(|penalty| penalty.is_some()) {
        let what =
            "the variant's sampling steers what is drawn, and the policy would learn from what it would not have said";
        let help = "leave grammar, schema, penalties and biases out; temperature, top_k, top_p and min_p are set aside by themselves";
        return Err(refused(recipe, "practice.variant", what, help));
    }
    Ok(Variant { repeats: 1, ..found.clone() })
}

/// The weight of each scorer that counts.
fn weights(recipe: &Recipe, practice: &Practice, suite: &Suite) -> Result<BTreeMap<String, f64>, Problems> {
    let known: Vec<String> = suite.scorers.iter().map(|scorer| scorer.name.clone()).collect();
    if practice.rewards.is_empty() {
        return Ok(known.into_iter().map(|name| (name, 1.0)).collect());
    }
    let mut problems = Problems::new();
    for name in practice.rewards.keys().filter(|name| !known.contains(name)) {
        let problem = TrainProblem::Unknown { what: "scorer", name: name.clone(), known: known.clone() };
        problems.push(TrainError::new(recipe.place(&format!("practice.rewards.{name}")), problem));
    }
    problems.or_ok(
        practice
            .rewards
            .iter()
            .filter(|(_, weight)| **weight != 0.0)
            .map(|(name, weight)| (name.clone(), *weight))
            .collect(),
    )
}

/// Which cases are practised and which are held out, by a hash of what they ask.
fn divided(recipe: &Recipe, cases: &[Case]) -> (Vec<usize>, Vec<usize>) {
    let held = |case: &Case| {
        let vars = serde_json::Value::Object(case.vars.clone()).to_string();
        let key = seed::key(0, &[&vars, case.target.as_deref().unwrap_or_default()]);
        matches!(&recipe.held_out, HeldOut::Share(_)) && recipe.held_out.takes(key)
    };
    (0..cases.len()).partition(|&at| !held(&cases[at]))
}
