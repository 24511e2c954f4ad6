//! A plan made ready: models opened, prompts, chat templates and scorers compiled; all problems at once.

use super::ask::Stages;
use super::asking::Asking;
use super::classify::Reader;
use super::error::RunError;
use super::judges::Bench;
use super::models::{Models, RunSettings, identity};
use super::offers;
use super::rewards::Rewarder;
use super::select::{Cell, Plan};
use super::similar::Similar;
use crate::engine::cache::Identity;
use crate::engine::{Engine, EngineError};
use crate::error::{Explain, Level, Problems};
use crate::prompt::{ChatSettings, ChatTemplate, Controls, ExampleOrder, PromptError, PromptTemplate, Renderer};
use crate::score::Scorers;
use crate::store::{ModelRecord, Repeat, Trial};
use crate::suite::{Case, Select, Suite, Variant};
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

/// A plan ready to run.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// The suite.
    pub suite: &'a Suite,
    /// What is asked.
    pub plan: Plan,
    /// The models that are asked.
    pub models: Models,
    /// The variants picked, in the plan's order.
    parts: Vec<Parts>,
    /// What the models of judges give to the rendering of their prompts, in the order of the judges.
    judges: Vec<(Controls, Option<ChatTemplate>)>,
    /// The same of the models of reward models, in their order.
    rewards: Vec<(Controls, Option<ChatTemplate>)>,
    /// The program that asks: versions of Tripos and of llama.cpp.
    pub(super) build: String,
    pub(super) features: Vec<String>,
    /// What the user should know before anything is asked.
    pub warnings: Problems,
}

/// What one variant is rendered and judged with.
#[derive(Debug)]
struct Parts {
    variant: usize,
    template: PromptTemplate,
    then: Option<PromptTemplate>,
    controls: Controls,
    chat: Option<ChatTemplate>,
    scorers: Scorers,
    similar: Option<Similar>,
}

impl<'a> Prepared<'a> {
    /// Opens the models and compiles everything that the plan needs.
    pub fn new(suite: &'a Suite, plan: Plan, settings: &RunSettings) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let picked = || plan.variants.iter().filter_map(|&i| suite.variants.get(i));
        let models = Models::open(suite, picked(), settings).map_err(|found| problems.append(found)).ok();
        let mut warnings = Problems::new();
        let targets = suite.targets();
        let mut parts = Vec::new();
        let mut said = HashSet::new();
        let mut once = |found: Problems, problems: &mut Problems| {
            if said.insert(found.to_string()) {
                problems.append(found);
            }
        };
        for (&index, variant) in plan.variants.iter().zip(picked()) {
            let scorers = Scorers::new(&suite.scorers, variant.answer.as_ref(), &targets, settings.allow_commands)
                .map_err(|found| once(found, &mut problems));
            let mut compile =
                |prompt| PromptTemplate::compile(prompt).map_err(|error| once(error.into(), &mut problems));
            let template = compile(&variant.prompt);
            let then = variant.then.as_ref().map(|stage| compile(&stage.prompt)).transpose();
            let engine = models.as_ref().and_then(|models| models.of(variant));
            let (Ok(scorers), Ok(template), Ok(then), Some((_, engine, _))) = (scorers, template, then, engine) else {
                continue;
            };
            let stages = [Some(&template), then.as_ref()];
            once(unsuited((suite, variant), engine, stages, &mut warnings), &mut problems);
            let is_chat = variant.prompt.is_chat() || variant.then.as_ref().is_some_and(|then| then.prompt.is_chat());
            match model_parts(suite, engine, is_chat) {
                Ok((controls, chat)) => {
                    parts.push(Parts { variant: index, template, then, controls, chat, scorers, similar: None });
                }
                Err(error) => once(error.into(), &mut problems),
            }
        }
        match models {
            Some(models) if !problems.any_error() => {
                let (build, features) = (settings.llama_cpp.clone(), settings.features.clone());
                let (judges, rewards) = (Vec::new(), Vec::new());
                let mut prepared = Self { suite, plan, models, parts, judges, rewards, build, features, warnings };
                prepared.judges = prepared.judge_parts()?;
                prepared.rewards = prepared.reward_parts()?;
                problems.extend(prepared.misfits()?);
                let unlike = prepared.unlike_classifiers();
                prepared.warnings.extend(unlike);
                prepared.find_similar(settings)?;
                for parts in &prepared.parts {
                    if let Err(error) = prepared.stages(parts.variant) {
                        once(error.into(), &mut problems);
                    }
                }
                problems.or_ok(prepared)
            }
            _ => Err(problems),
        }
    }

    /// Heads that do not fit the models that they were found to sit on.
    fn misfits(&self) -> Result<Vec<RunError>, Problems> {
        let (rewarders, readers) = (self.rewarders()?, self.readers());
        let rewards = rewarders.iter().filter_map(|rewarder| rewarder.fault(self));
        Ok(rewards.chain(readers.iter().filter_map(|reader| reader.fault(self))).collect())
    }

    /// Embeds cases and pool for the variants that show similar examples. This loads their models.
    fn find_similar(&mut self, settings: &RunSettings) -> Result<(), Problems> {
        let never = AtomicBool::new(false);
        let asking = Asking::new(settings.memory.as_deref().filter(|_| settings.use_cache), &never);
        let cases: Vec<&Case> = self.plan.cases.iter().filter_map(|&index| self.suite.cases.get(index)).collect();
        let mut found = Vec::new();
        for (place, parts) in self.parts.iter().enumerate() {
            let Some(variant) = self.variant(parts.variant) else { continue };
            let Some(choice) = variant.examples.as_ref().filter(|e| e.select == Select::Similar) else { continue };
            let Some((_, engine, record)) = self.models.of(variant) else { continue };
            let model = (engine, &self.identity(record));
            let similar = Similar::new(model, &self.suite.examples, &cases, choice.count, &asking);
            engine.unload();
            found.push((place, similar?));
        }
        for (place, similar) in found {
            if let Some(parts) = self.parts.get_mut(place) {
                parts.similar = Some(similar);
            }
        }
        Ok(())
    }

    fn judge_parts(&self) -> Result<Vec<(Controls, Option<ChatTemplate>)>, Problems> {
        let mut found = Vec::new();
        for judge in self.parts.first().iter().flat_map(|parts| parts.scorers.judges()) {
            let Some((engine, _)) = self.models.of_judge(&judge) else { continue };
            let is_chat = matches!(judge.template(), PromptTemplate::Chat(_));
            let spec = self.suite.scorers.iter().find(|scorer| scorer.name == judge.name());
            if let Some(error) = spec.and_then(|spec| offers::judging(spec, engine, is_chat)) {
                return Err(error.into());
            }
            found.push(model_parts(self.suite, engine, is_chat)?);
        }
        Ok(found)
    }

    fn reward_parts(&self) -> Result<Vec<(Controls, Option<ChatTemplate>)>, Problems> {
        let mut found = Vec::new();
        for rewarding in self.parts.first().iter().flat_map(|parts| parts.scorers.rewards()) {
            let Some((engine, _)) = self.models.of_head(rewarding.name()) else { continue };
            found.push(model_parts(self.suite, engine, Rewarder::is_chat(rewarding))?);
        }
        Ok(found)
    }

    /// The reward models among the scorers, each with its model and what renders what they judge.
    pub(super) fn rewarders(&self) -> Result<Vec<Rewarder<'_>>, Problems> {
        let rewards = self.parts.first().into_iter().flat_map(|parts| parts.scorers.rewards());
        let mut found = Vec::new();
        for (rewarding, (controls, chat)) in rewards.zip(&self.rewards) {
            let Some((engine, record)) = self.models.of_head(rewarding.name()) else { continue };
            let chat = chat.as_ref();
            let renderer = |template| Renderer::new(template, controls, chat);
            let question = rewarding.template().map(renderer).transpose()?;
            let identity = self.identity(record);
            found.push(Rewarder { rewarding, engine, identity, controls, chat, question });
        }
        Ok(found)
    }

    /// The judges among the scorers, each with what renders its prompts, its model, and what that is remembered under.
    pub(super) fn judges(&self) -> Result<Vec<Bench<'_>>, Problems> {
        let judges = self.parts.first().into_iter().flat_map(|parts| parts.scorers.judges());
        let mut found = Vec::new();
        for (judge, (controls, chat)) in judges.zip(&self.judges) {
            let Some((engine, record)) = self.models.of_judge(&judge) else { continue };
            let renderer = Renderer::new(judge.template(), controls, chat.as_ref())?;
            found.push(Bench { judge, renderer, engine, identity: self.identity(record) });
        }
        Ok(found)
    }

    /// The classifiers among the scorers, each with its model, and what that is remembered under.
    pub(super) fn readers(&self) -> Vec<Reader<'_>> {
        let mut readers = Vec::new();
        for classifier in self.parts.first().into_iter().flat_map(|parts| parts.scorers.classifiers()) {
            if let Some((engine, record)) = self.models.of_head(classifier.name()) {
                readers.push(Reader { classifier, engine, identity: self.identity(record) });
            }
        }
        readers
    }

    /// Where a variant's prompts are not of the kind that a classifier learned from.
    fn unlike_classifiers(&self) -> Vec<RunError> {
        let readers = self.readers();
        let variants = self.plan.variants.iter().filter_map(|&index| self.variant(index));
        variants.flat_map(|variant| readers.iter().filter_map(|reader| reader.unlike(variant))).collect()
    }

    /// A variant of the suite, by index.
    #[must_use]
    pub fn variant(&self, index: usize) -> Option<&'a Variant> {
        self.suite.variants.get(index)
    }

    fn parts(&self, variant: usize) -> Option<&Parts> {
        self.parts.iter().find(|parts| parts.variant == variant)
    }

    /// The scorers of a variant.
    pub(super) fn scorers(&self, variant: usize) -> Option<&Scorers> {
        self.parts(variant).map(|parts| &parts.scorers)
    }

    /// Whether the answer to a variant's last prompt begins a message of its own.
    pub(super) fn begins_a_message(&self, variant: usize) -> bool {
        let last = self.parts(variant).map(|parts| parts.then.as_ref().unwrap_or(&parts.template));
        last.is_some_and(PromptTemplate::begins_a_message)
    }

    /// What renders a variant's prompts, stage by stage; `None` for a variant that is not in the plan.
    pub fn stages(&self, variant: usize) -> Result<Option<Stages<'_>>, PromptError> {
        let (Some(parts), Some(spec)) = (self.parts(variant), self.variant(variant)) else { return Ok(None) };
        let renderer = |template| {
            let renderer = Renderer::new(template, &parts.controls, parts.chat.as_ref())?;
            let pool = &self.suite.examples;
            match (&spec.examples, &parts.similar) {
                (None, _) => Ok(renderer),
                (Some(choice), Some(near)) => renderer.with_examples(ExampleOrder::by_nearness(choice, pool, near)),
                (Some(choice), None) => renderer.with_examples(ExampleOrder::new(choice, pool, self.suite.seed)),
            }
        };
        let first = renderer(&parts.template)?;
        let then = parts.then.as_ref().map(renderer).transpose()?;
        Ok(Some(Stages { first, then }))
    }

    /// The trial of a cell.
    #[must_use]
    pub fn trial(&self, cell: Cell) -> Trial {
        let variant = self.variant(cell.variant).map(|v| v.name.clone()).unwrap_or_default();
        let case = self.suite.cases.get(cell.case).map(|c| c.id.clone()).unwrap_or_default();
        Trial { variant, case, repeat: Repeat::Number(cell.repeat) }
    }

    /// A cell for people.
    pub(super) fn about(&self, cell: Cell) -> String {
        let Trial { variant, case, .. } = self.trial(cell);
        format!("variant `{variant}`, case `{case}`")
    }

    /// What the answers of a model are remembered under.
    pub(super) fn identity(&self, record: &ModelRecord) -> Identity {
        identity(record, &self.build)
    }
}

/// What a model gives to the rendering of prompts: its control tokens and, for a chat, its template.
fn model_parts(
    suite: &Suite,
    engine: &dyn Engine,
    is_chat: bool,
) -> Result<(Controls, Option<ChatTemplate>), PromptError> {
    let facts = engine.facts();
    let settings = ChatSettings {
        bos: facts.bos.clone().unwrap_or_default(),
        eos: facts.eos.clone().unwrap_or_default(),
        date: suite.date.clone(),
        template_vars: suite.template_vars.clone(),
    };
    let chat = match &facts.chat_template {
        Some(source) if is_chat => Some(ChatTemplate::compile(source, &settings)?),
        _ => None,
    };
    Ok((Controls::new(&facts.controls)?, chat))
}

/// Architectures that learned each position: beyond their context there is nothing to look up, and ggml aborts.
pub(super) const LEARNED_POSITIONS: [&str; 2] = ["gpt2", "starcoder"];

fn beyond_training(variant: &Variant, engine: &dyn Engine) -> Option<RunError> {
    let (context, facts) = (engine.context(), engine.facts());
    let known = facts.architecture != "scripted" && engine.knows_tokens();
    (known && context > facts.trained_context as usize).then(|| RunError::BeyondTraining {
        context,
        trained: facts.trained_context,
        place: variant.place.clone(),
        variant: variant.name.clone(),
        warning: !LEARNED_POSITIONS.contains(&facts.architecture.as_str()),
    })
}

/// What a variant asks of its model that it cannot give; what is only unwise is a warning.
fn unsuited(
    (suite, variant): (&Suite, &Variant),
    engine: &dyn Engine,
    stages: [Option<&PromptTemplate>; 2],
    warnings: &mut Problems,
) -> Problems {
    let mut problems = Problems::new();
    let first_words = |stage: &PromptTemplate| matches!(stage, PromptTemplate::Chat(_)) && !stage.begins_a_message();
    let prefilled = stages.into_iter().flatten().any(first_words);
    for missing in offers::missing(suite, variant, engine, prefilled) {
        match missing.level() {
            Level::Error => problems.push(missing),
            Level::Warning | Level::Note => warnings.push(missing),
        }
    }
    if let Some(error) = beyond_training(variant, engine) {
        match error.level() {
            Level::Error => problems.push(error),
            Level::Warning | Level::Note => warnings.push(error),
        }
    }
    for sampling in std::iter::once(&variant.sampling).chain(variant.then.as_ref().map(|then| &then.sampling)) {
        if let Err(error) = engine.check(sampling) {
            problems.push(bad_sampling(variant, &error));
        }
    }
    problems
}

fn bad_sampling(variant: &Variant, error: &EngineError) -> RunError {
    RunError::Sampling {
        reason: error.to_string(),
        help: error.help().unwrap_or_default(),
        place: variant.place.clone(),
        variant: variant.name.clone(),
    }
}
