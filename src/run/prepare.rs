//! A plan made ready: models opened, prompts, chat templates and scorers compiled; all problems at once.

use super::error::RunError;
use super::models::{Models, RunSettings};
use super::select::{Cell, Plan};
use super::want::{self, Want};
use crate::engine::cache::Identity;
use crate::engine::{Engine, Token};
use crate::error::{Explain, Level, Place, Problems};
use crate::prompt::{
    ChatSettings, ChatTemplate, Controls, ExampleOrder, Prompt, PromptError, PromptTemplate, Renderer,
};
use crate::score::Scorers;
use crate::seed;
use crate::store::{CaseRecord, CaseSet, Header, ModelRecord, Repeat, SCHEMA, ScorerRecord, Status, Trial};
use crate::suite::{Case, Suite, Variant};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};

/// Shorter shared parts are not worth naming.
const LEAST_PREFIX: usize = 64;

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
    /// The program that asks: versions of Tripos and of llama.cpp.
    build: String,
    features: Vec<String>,
    /// What the user should know before anything is asked.
    pub warnings: Problems,
}

/// What one variant is rendered and judged with.
#[derive(Debug)]
struct Parts {
    variant: usize,
    template: PromptTemplate,
    controls: Controls,
    chat: Option<ChatTemplate>,
    scorers: Scorers,
}

/// A trial's prompt, or why it cannot be asked.
#[derive(Debug)]
pub struct Asked {
    /// The trial.
    pub cell: Cell,
    /// The prompt and its tokens; `None` where it could not be rendered.
    pub prompt: Option<(Prompt, Vec<Token>)>,
    /// What its model is asked.
    pub wants: Vec<Want>,
    /// Why it cannot be asked.
    pub refusal: Option<RunError>,
}

impl<'a> Prepared<'a> {
    /// Opens the models and compiles everything that the plan needs.
    pub fn new(suite: &'a Suite, plan: Plan, settings: &RunSettings) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let picked = || plan.variants.iter().filter_map(|&i| suite.variants.get(i));
        let models = match Models::open(suite, picked(), settings) {
            Ok(models) => Some(models),
            Err(found) => {
                problems.append(found);
                None
            }
        };
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
            let template = PromptTemplate::compile(&variant.prompt).map_err(|error| once(error.into(), &mut problems));
            let engine = models.as_ref().and_then(|models| models.of(variant));
            let (Ok(scorers), Ok(template), Some((_, engine, _))) = (scorers, template, engine) else { continue };
            if let Some(error) = beyond_training(variant, engine) {
                match error.level() {
                    Level::Error => problems.push(error),
                    Level::Warning | Level::Note => warnings.push(error),
                }
            }
            match model_parts(suite, variant, engine) {
                Ok((controls, chat)) => parts.push(Parts { variant: index, template, controls, chat, scorers }),
                Err(error) => once(error.into(), &mut problems),
            }
        }
        match models {
            Some(models) if !problems.any_error() => {
                let build = settings.llama_cpp.clone();
                let features = settings.features.clone();
                let prepared = Self { suite, plan, models, parts, build, features, warnings };
                for parts in &prepared.parts {
                    if let Err(error) = prepared.renderer(parts.variant) {
                        once(error.into(), &mut problems);
                    }
                }
                problems.or_ok(prepared)
            }
            _ => Err(problems),
        }
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

    /// What renders a variant's prompts; `None` for a variant that is not in the plan.
    pub fn renderer(&self, variant: usize) -> Result<Option<Renderer<'_>>, PromptError> {
        let (Some(parts), Some(spec)) = (self.parts(variant), self.variant(variant)) else { return Ok(None) };
        let renderer = Renderer::new(&parts.template, &parts.controls, parts.chat.as_ref())?;
        match &spec.examples {
            Some(choice) => {
                renderer.with_examples(ExampleOrder::new(choice, &self.suite.examples, self.suite.seed)).map(Some)
            }
            None => Ok(Some(renderer)),
        }
    }

    /// Renders and tokenises the prompt of a trial, and sees whether it fits. `strict` makes what does not an error
    /// rather than a warning.
    #[must_use]
    pub fn ask(&self, renderer: &Renderer, cell: Cell, strict: bool) -> Asked {
        let mut asked = Asked { cell, prompt: None, wants: Vec::new(), refusal: None };
        let (Some(variant), Some(case)) = (self.variant(cell.variant), self.suite.cases.get(cell.case)) else {
            return asked;
        };
        let Some((_, engine, _)) = self.models.of(variant) else { return asked };
        let prompt = match renderer.render(case) {
            Ok(prompt) => prompt,
            Err(error) => return Asked { refusal: Some(not_rendered(variant, &error, !strict)), ..asked },
        };
        let tokens = engine.tokenize(&prompt.text, &prompt.quoted);
        asked.refusal = fits(variant, case, tokens.len(), engine.context(), !strict);
        asked.wants.push(want::say(&tokens, &variant.sampling, self.seed(cell)));
        asked.prompt = Some((prompt, tokens));
        asked
    }

    /// The seed of a trial alone.
    fn seed(&self, cell: Cell) -> u64 {
        let seed = self.variant(cell.variant).map_or(0, |v| v.sampling.seed);
        let trial = self.trial(cell);
        seed::trial(seed, &trial.variant, &trial.case, cell.repeat)
    }

    /// The trial of a cell.
    #[must_use]
    pub fn trial(&self, cell: Cell) -> Trial {
        let variant = self.variant(cell.variant).map(|v| v.name.clone()).unwrap_or_default();
        let case = self.suite.cases.get(cell.case).map(|c| c.id.clone()).unwrap_or_default();
        Trial { variant, case, repeat: Repeat::Number(cell.repeat) }
    }

    /// What the answers of a variant's model are remembered under.
    pub(super) fn identity(&self, variant: usize) -> Option<Identity> {
        let (_, _, record) = self.models.of(self.variant(variant)?)?;
        Some(Identity {
            model: record.facts.sha256.clone(),
            adapter: record.adapter.as_ref().map(|(_, sha256, scale)| (sha256.clone(), *scale)),
            policy: format!("{} | tripos {} | {}", record.policy, env!("CARGO_PKG_VERSION"), self.build),
        })
    }

    /// The header of a run of this plan. `flags` are those that shape the plan.
    pub fn header(&self, flags: BTreeMap<String, Value>, seed: u64) -> Result<Header, Problems> {
        let suite = serde_json::to_value(self.suite).unwrap_or_default();
        let chosen = self.plan.cases.iter().filter_map(|&i| self.suite.cases.get(i));
        let models: BTreeMap<String, ModelRecord> = self
            .plan
            .variants
            .iter()
            .filter_map(|&i| self.variant(i))
            .filter_map(|v| Some((v.name.clone(), self.models.of(v)?.2.clone())))
            .collect();
        Ok(Header {
            schema: SCHEMA,
            run: String::new(),
            status: Status::Started,
            tripos: env!("CARGO_PKG_VERSION").to_owned(),
            llama_cpp: self.build.clone(),
            features: self.features.clone(),
            suite_name: self.suite.name.clone(),
            suite_path: self.suite.path.canonicalize().unwrap_or_else(|_| self.suite.path.clone()),
            suite,
            scorers: self.scorer_records(),
            cases: case_set(chosen),
            examples: case_set(self.suite.examples.iter()),
            models,
            flags,
            seed,
            prefixes: self.prefixes()?,
            trials: self.plan.len(),
            segments: Vec::new(),
        })
    }

    /// What the recorded run was made of, against what there is now. Under `--kv exact` the resumed result is to equal an
    /// uninterrupted one, so there the program has to be the same, too.
    pub fn same_as(&self, recorded: &Header, now: &Header, exact: bool, run: &Place) -> Result<(), Problems> {
        let mut problems = Problems::new();
        let mut check = |same: bool, what: String| {
            if !same {
                problems.push(RunError::Changed { what, place: run.clone() });
            }
        };
        check(without_paths(&recorded.suite) == without_paths(&now.suite), "the suite or one of its prompts".into());
        check(recorded.cases == now.cases, "the cases".into());
        check(recorded.examples == now.examples, "the few-shot pool".into());
        for (variant, model) in &now.models {
            let same = recorded.models.get(variant).is_some_and(|before| {
                let adapter =
                    |m: &ModelRecord| m.adapter.as_ref().map(|(_, sha256, scale)| (sha256.clone(), scale.to_bits()));
                before.facts.sha256 == model.facts.sha256
                    && adapter(before) == adapter(model)
                    && before.policy == model.policy
            });
            check(same, format!("the model of variant `{variant}` or how it is run"));
        }
        let program = recorded.build() == now.build() && recorded.features == now.features;
        check(program || !exact, "Tripos, llama.cpp or the CPU".into());
        problems.or_ok(())
    }

    /// What each scorer's values are, for whoever makes metrics of them.
    fn scorer_records(&self) -> Vec<ScorerRecord> {
        let first = self.plan.variants.first().and_then(|&v| self.scorers(v));
        let mut records: Vec<ScorerRecord> = self
            .suite
            .scorers
            .iter()
            .map(|spec| {
                let labels = first.and_then(|scorers| scorers.labels(&spec.name)).unwrap_or_default();
                ScorerRecord::of(spec, &labels)
            })
            .collect();
        let mut groups: Vec<&String> = Vec::new();
        for group in self.suite.scorers.iter().filter_map(|s| s.group.as_ref()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        records.extend(groups.into_iter().map(|name| ScorerRecord::Number { name: name.clone() }));
        records
    }

    /// The leading parts that prompts share: each variant's few-shot block as its first trial shows it.
    fn prefixes(&self) -> Result<BTreeMap<String, String>, Problems> {
        let mut prefixes = BTreeMap::new();
        for &variant in &self.plan.variants {
            let Some(renderer) = self.renderer(variant)? else { continue };
            let Some(cell) = self.plan.cells_of(variant).next() else { continue };
            let Some((prompt, _)) = self.ask(&renderer, cell, false).prompt else { continue };
            if let Some(prefix) = prompt.text.get(..prompt.case_start).filter(|p| p.len() >= LEAST_PREFIX) {
                let id: String = hex(&Sha256::digest(prefix)).chars().take(12).collect();
                prefixes.insert(id, prefix.to_owned());
            }
        }
        Ok(prefixes)
    }
}

fn case_set<'a>(cases: impl Iterator<Item = &'a Case>) -> CaseSet {
    let mut hash = Sha256::new();
    let mut count = 0;
    for case in cases {
        hash.update(serde_json::to_vec(&(&case.id, CaseRecord::from(case))).unwrap_or_default());
        count += 1;
    }
    CaseSet { count, sha256: hex(&hash.finalize()) }
}

/// A resolved suite without the paths of its files: they depend on where Tripos was started, and what the files hold is
/// compared by itself.
fn without_paths(suite: &Value) -> Value {
    match suite {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !matches!(key.as_str(), "path" | "model" | "folder"));
            Value::Object(kept.map(|(key, value)| (key.clone(), without_paths(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_paths).collect()),
        other => other.clone(),
    }
}

/// What a model gives to the rendering of a variant's prompts: its control tokens and, for a chat, its template.
fn model_parts(
    suite: &Suite,
    variant: &Variant,
    engine: &dyn Engine,
) -> Result<(Controls, Option<ChatTemplate>), PromptError> {
    let facts = engine.facts();
    let settings = ChatSettings {
        bos: facts.bos.clone().unwrap_or_default(),
        eos: facts.eos.clone().unwrap_or_default(),
        date: suite.date.clone(),
        template_vars: suite.template_vars.clone(),
    };
    let chat = match &facts.chat_template {
        Some(source) if variant.prompt.is_chat() => Some(ChatTemplate::compile(source, &settings)?),
        _ => None,
    };
    Ok((Controls::new(&facts.controls)?, chat))
}

/// Architectures that learned each position: beyond their context there is nothing to look up, and ggml aborts.
const LEARNED_POSITIONS: [&str; 2] = ["gpt2", "starcoder"];

fn beyond_training(variant: &Variant, engine: &dyn Engine) -> Option<RunError> {
    let (context, facts) = (engine.context(), engine.facts());
    (context > facts.trained_context as usize && facts.architecture != "scripted").then(|| RunError::BeyondTraining {
        context,
        trained: facts.trained_context,
        place: variant.place.clone(),
        variant: variant.name.clone(),
        warning: !LEARNED_POSITIONS.contains(&facts.architecture.as_str()),
    })
}

fn fits(variant: &Variant, case: &Case, prompt: usize, context: usize, warning: bool) -> Option<RunError> {
    let (place, name, id) = (variant.place.clone(), variant.name.clone(), case.id.clone());
    if prompt == 0 {
        return Some(RunError::EmptyPrompt { place, variant: name, case: id, warning });
    }
    let max_tokens = variant.sampling.max_tokens as usize;
    (prompt + max_tokens > context).then_some(RunError::TooLong {
        prompt,
        max_tokens,
        context,
        place,
        variant: name,
        case: id,
        warning,
    })
}

fn not_rendered(variant: &Variant, error: &PromptError, warning: bool) -> RunError {
    let about = match error.about() {
        Some(whose) => format!("variant `{}`, {whose}", variant.name),
        None => format!("variant `{}`", variant.name),
    };
    RunError::NotRendered { message: error.to_string(), place: error.at().cloned(), about, help: error.help(), warning }
}

/// Bytes as lower-case hex.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
