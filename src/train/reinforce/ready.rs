//! A recipe of practice made ready: its suite read, its cases divided, its base opened.

use crate::error::{Place, Problems};
use crate::gguf::{Gguf, sha256_file};
use crate::model::{Estimate, Settings, Shape};
use crate::run::{self, RunSettings, Selection};
use crate::sampling::Sampling;
use crate::seed;
use crate::store::training::{Material, MemoryRecord, SourceRecord, TrainingHeader};
use crate::store::{Header, suite_sha256, without_paths};
use crate::suite::{self, Case, Overrides, ScorerKind, ScorerSpec, Suite, Variant};
use crate::train::checkpoint::Identity;
use crate::train::conclude;
use crate::train::error::{TrainError, TrainProblem};
use crate::train::failure::TrainingFailure;
use crate::train::prepare;
use crate::train::recipe::{HeldOut, Length, Practice, Recipe};
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// What a reward is the sum of.
    weights: BTreeMap<String, f64>,
    /// SHA-256 of the suite as a whole, other variants and all.
    sha256: String,
    /// SHA-256 of all that asks and judges beside the cases: variant, scorers, their settings.
    asks: String,
    /// The same of the models that judge, whether or not they count.
    heads: Vec<String>,
    /// The reward models that count, with their SHA-256.
    judges: Vec<(PathBuf, String)>,
}

impl Ready {
    /// Reads the suite of a recipe, and looks at all that it asks and judges with as a run of it on the base would.
    ///
    /// # Errors
    /// The suite's own problems; a variant or a scorer that it does not have; nothing to practise, or nothing to measure it on; a
    /// prompt that does not fit, and whatever else a run would refuse.
    pub fn new(recipe: Recipe, machine: &RunSettings) -> Result<Self, Problems> {
        let Some(practice) = recipe.practice.clone() else {
            return Err(refused(&recipe, "practice", "there is nothing to practise", "add `practice: {suite: FILE}`"));
        };
        let model = Some(suite::ModelRef::Gguf(recipe.model.clone()));
        let asked = Overrides { model, located: recipe.located.clone(), ..Overrides::default() };
        let (read, mut warnings) = suite::load(&practice.suite, &asked);
        let mut suite = match read {
            Some(suite) if !warnings.any_error() => suite,
            _ => return Err(warnings),
        };
        let sha256 = suite_sha256(&suite);
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
        suite.variants = vec![variant];
        let judges = judges(&suite, &weights)?;
        let plan = Selection::default().plan(&suite, 0)?;
        let mut prepared = run::Prepared::new(&suite, plan, machine)?;
        let longest = prepared.prompts()?;
        let header = prepared.header(BTreeMap::new(), 0)?;
        warnings.append(std::mem::take(&mut prepared.warnings));
        warnings.append(too_short(&recipe, &suite, longest));
        let base = Gguf::open(&recipe.model)?;
        let identity = Identity { recipe: recipe.sha256(), base: base_of(&header, &suite) };
        let asks = hex(serde_json::to_vec(&without_paths(&header.suite)).unwrap_or_default());
        let files = |(model, adapter): (String, Option<String>)| std::iter::once(model).chain(adapter);
        let heads = header.heads().into_iter().flat_map(files).collect();
        drop(prepared);
        Ok(Self {
            recipe,
            practice,
            suite,
            learned,
            held_out,
            base,
            identity,
            warnings,
            weights,
            sha256,
            asks,
            heads,
            judges,
        })
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

    /// Prompts a round: no more than there are.
    #[must_use]
    pub fn prompts(&self) -> usize {
        self.practice.prompts.min(self.learned.len())
    }

    /// The cases of a round, counted from 0: one after another in an order of their own each time all have been asked.
    #[must_use]
    pub fn of_round(&self, round: u64) -> Vec<usize> {
        let (count, all) = (self.prompts(), self.learned.len());
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

    /// The round, counted from 0, that a step belongs to.
    #[must_use]
    pub fn round_of(&self, step: u64) -> u64 {
        step.saturating_sub(1) / self.practice.passes
    }

    /// Optimiser steps, whole rounds of them.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let (length, passes) = (self.recipe.length, self.practice.passes);
        let rounds = match length {
            Length::Steps(steps) => steps.div_ceil(passes),
            Length::Epochs(_) => length.steps(self.learned.len(), self.prompts()),
        };
        rounds.max(1).saturating_mul(passes)
    }

    /// How the decoder is made.
    #[must_use]
    pub fn settings(&self, threads: usize) -> Settings {
        let (rows, len) = (self.recipe.micro_batch, self.recipe.sequence);
        Settings {
            trained: self.recipe.train.clone(),
            precision: self.recipe.precision,
            // Which answers there will be nobody knows: as many targets as tokens, and with a critic as many places of its head.
            shape: Shape { rows, len, targets: rows * len, ends: rows * len },
            outputs: usize::from(self.practice.against.critic().is_some()),
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
                name: self.suite.path.canonicalize().unwrap_or_else(|_| self.suite.path.clone()).display().to_string(),
                sha256: Some(self.sha256.clone()),
                rows: self.suite.cases.len(),
                ..SourceRecord::default()
            }],
            documents: self.learned.len(),
            held_out_documents: self.held_out.len(),
            sha256: self.hash(&self.learned),
            held_out_sha256: self.hash(&self.held_out),
            heads: self.heads.clone(),
            ..Material::default()
        }
    }

    /// Whether a run was begun with the same recipe, base and cases.
    ///
    /// # Errors
    /// Each that is another now.
    pub fn is_of(&self, recorded: &TrainingHeader, run: &Path) -> Result<(), Problems> {
        let now = self.material();
        conclude::unchanged(recorded, (&self.identity, &now), ["what is practised", "what is held out"], run)
    }

    /// The reward models that count, each with its SHA-256 as it was when this was made.
    pub(super) fn judges(&self) -> &[(PathBuf, String)] {
        &self.judges
    }

    /// The scorers that judge by a rule, and not as a model was taught to.
    pub(super) fn rules(&self) -> Vec<String> {
        let taught = |kind: &ScorerKind| {
            kind.by_likelihood() || matches!(kind, ScorerKind::Reward(_) | ScorerKind::JudgeModel(_))
        };
        let rules = self.suite.scorers.iter().filter(|scorer| !taught(&scorer.kind));
        rules.map(|scorer| scorer.name.clone()).collect()
    }

    /// SHA-256 of some cases and of how they are asked and judged, in hex.
    fn hash(&self, cases: &[usize]) -> String {
        let asked = cases.iter().filter_map(|&at| self.suite.cases.get(at));
        let asked: Vec<_> = asked.map(|case| (&case.id, &case.vars, &case.target)).collect();
        hex(serde_json::to_vec(&(&self.asks, asked)).unwrap_or_default())
    }
}

/// SHA-256, in hex.
fn hex(bytes: Vec<u8>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the model that is asked.
fn base_of(header: &Header, suite: &Suite) -> String {
    let asked = suite.variants.first().and_then(|variant| header.models.get(&variant.name));
    asked.map(|model| model.facts.sha256.clone()).unwrap_or_default()
}

/// The reward models that count, with their SHA-256.
fn judges(suite: &Suite, weights: &BTreeMap<String, f64>) -> Result<Vec<(PathBuf, String)>, Problems> {
    let scorers = suite.scorers.iter().filter(|scorer| weights.contains_key(&scorer.name));
    let files = scorers.filter_map(|scorer| match &scorer.kind {
        ScorerKind::Reward(reward) => Some(reward.file.clone()),
        _ => None,
    });
    files.map(|file| judge(&file).map(|sha256| (file, sha256))).collect()
}

/// SHA-256 of a reward model.
pub(super) fn judge(file: &Path) -> Result<String, Problems> {
    let unread = |error: std::io::Error| TrainingFailure::Judge { reason: error.to_string(), place: Place::file(file) };
    Ok(sha256_file(file).map_err(unread)?)
}

/// Warns where an answer may be longer than what is left of a row.
fn too_short(recipe: &Recipe, suite: &Suite, longest: usize) -> Problems {
    let most = suite.variants.iter().map(|variant| longest + variant.sampling.max_tokens as usize).max().unwrap_or(0);
    if most <= recipe.sequence {
        return Problems::new();
    }
    let what = format!("an answer may take {most} tokens with its prompt, and a row has {}", recipe.sequence);
    let help = format!("answers that do not fit are not learned from: `sequence: {most}`, or a smaller `max_tokens`");
    TrainError::new(recipe.place("sequence"), TrainProblem::Doubtful { what, help }).into()
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

/// What can be a reward.
const JUDGES: &str = "name scorers of the completion: exact, number, label by its text, reward …";

/// The weight of each scorer that counts.
fn weights(recipe: &Recipe, practice: &Practice, suite: &Suite) -> Result<BTreeMap<String, f64>, Problems> {
    let known: Vec<String> = suite.scorers.iter().map(|scorer| scorer.name.clone()).collect();
    let judges = |scorer: &&ScorerSpec| !scorer.kind.by_likelihood();
    if practice.rewards.is_empty() {
        let all: BTreeMap<String, f64> =
            suite.scorers.iter().filter(judges).map(|scorer| (scorer.name.clone(), 1.0)).collect();
        if all.is_empty() {
            let what = "no scorer of the suite judges what the policy says";
            return Err(refused(recipe, "practice.suite", what, JUDGES));
        }
        return Ok(all);
    }
    let mut problems = Problems::new();
    for scorer in suite.scorers.iter().filter(|one| !judges(one) && practice.rewards.contains_key(&one.name)) {
        let name = &scorer.name;
        let what = format!("`{name}` judges given texts by their likelihood, and not what the policy says");
        problems.append(refused(recipe, &format!("practice.rewards.{name}"), &what, JUDGES));
    }
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
