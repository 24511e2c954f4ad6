//! A plan made ready: models opened, prompts, chat templates and scorers compiled; all problems at once.

use super::error::RunError;
use super::models::{Models, RunSettings};
use super::select::{Cell, Plan};
use crate::engine::cache::Identity;
use crate::engine::{Engine, Token};
use crate::error::{Explain, Place, Problems};
use crate::prompt::{
    ChatSettings, ChatTemplate, Controls, ExampleOrder, Prompt, PromptError, PromptTemplate, Renderer,
};
use crate::score::Scorers;
use crate::store::{CaseRecord, CaseSet, Header, ModelRecord, SCHEMA, ScorerRecord, Status, Trial};
use crate::suite::{Case, ScorerKind, Suite, Variant};
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
            match model_parts(suite, variant, engine) {
                Ok((controls, chat)) => parts.push(Parts { variant: index, template, controls, chat, scorers }),
                Err(error) => once(error.into(), &mut problems),
            }
        }
        match models {
            Some(models) if !problems.any_error() => {
                let prepared = Self { suite, plan, models, parts };
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
        let (Some(variant), Some(case)) = (self.variant(cell.variant), self.suite.cases.get(cell.case)) else {
            return Asked { cell, prompt: None, refusal: None };
        };
        let prompt = match renderer.render(case) {
            Ok(prompt) => prompt,
            Err(error) => return Asked { cell, prompt: None, refusal: Some(not_rendered(variant, &error, !strict)) },
        };
        let Some((_, engine, _)) = self.models.of(variant) else { return Asked { cell, prompt: None, refusal: None } };
        let tokens = engine.tokenize(&prompt.text, &prompt.quoted);
        let refusal = fits(variant, case, tokens.len(), engine.context(), !strict);
        Asked { cell, prompt: Some((prompt, tokens)), refusal }
    }

    /// The trial of a cell.
    #[must_use]
    pub fn trial(&self, cell: Cell) -> Trial {
        let variant = self.variant(cell.variant).map(|v| v.name.clone()).unwrap_or_default();
        let case = self.suite.cases.get(cell.case).map(|c| c.id.clone()).unwrap_or_default();
        Trial { variant, case, repeat: cell.repeat }
    }

    /// What the answers of a variant's model are remembered under.
    pub(super) fn identity(&self, variant: usize, build: &str) -> Option<Identity> {
        let (_, _, record) = self.models.of(self.variant(variant)?)?;
        Some(Identity {
            model: record.facts.sha256.clone(),
            adapter: record.adapter.as_ref().map(|(_, sha256, scale)| (sha256.clone(), *scale)),
            policy: format!("{} | {build}", record.policy),
        })
    }

    /// The header of a run of this plan. `flags` are those that shape the plan, `build` and `features` say what the
    /// kernels are.
    pub fn header(
        &self,
        flags: BTreeMap<String, Value>,
        seed: u64,
        build: String,
        features: Vec<String>,
    ) -> Result<Header, Problems> {
        let suite = serde_json::to_value(self.suite).unwrap_or_default();
        let cases = self.case_set();
        let models: BTreeMap<String, ModelRecord> = self
            .plan
            .variants
            .iter()
            .filter_map(|&i| self.variant(i))
            .filter_map(|v| Some((v.name.clone(), self.models.of(v)?.2.clone())))
            .collect();
        let plan = (&suite, &cases.sha256, &models, &flags);
        Ok(Header {
            schema: SCHEMA,
            run: String::new(),
            status: Status::Started,
            tripos: env!("CARGO_PKG_VERSION").to_owned(),
            llama_cpp: build,
            features,
            suite_name: self.suite.name.clone(),
            suite_path: self.suite.path.clone(),
            plan_sha256: hex(&Sha256::digest(serde_json::to_vec(&plan).unwrap_or_default())),
            suite,
            scorers: self.scorer_records(),
            cases,
            models,
            flags,
            seed,
            prefixes: self.prefixes()?,
            trials: self.plan.len(),
            segments: Vec::new(),
        })
    }

    /// What the recorded run was made of, against what there is now.
    pub fn same_as(&self, recorded: &Header, now: &Header, run: &Place) -> Result<(), Problems> {
        let mut problems = Problems::new();
        let mut check = |same: bool, what: String| {
            if !same {
                problems.push(RunError::Changed { what, place: run.clone() });
            }
        };
        check(recorded.suite == now.suite, "the suite or one of its prompts".into());
        check(recorded.cases == now.cases, "the cases".into());
        for (variant, model) in &now.models {
            let before = recorded.models.get(variant);
            let same = before.is_some_and(|b| {
                b.facts.sha256 == model.facts.sha256 && b.adapter == model.adapter && b.policy == model.policy
            });
            check(same, format!("the model of variant `{variant}` or how it is run"));
        }
        problems.or_ok(())
    }

    fn case_set(&self) -> CaseSet {
        let mut hash = Sha256::new();
        for case in self.plan.cases.iter().filter_map(|&i| self.suite.cases.get(i)) {
            hash.update(serde_json::to_vec(&(&case.id, CaseRecord::from(case))).unwrap_or_default());
        }
        CaseSet { count: self.plan.cases.len(), sha256: hex(&hash.finalize()) }
    }

    /// What each scorer's values are, for whoever makes metrics of them.
    fn scorer_records(&self) -> Vec<ScorerRecord> {
        let first = self.plan.variants.first().and_then(|&v| self.scorers(v));
        let mut records: Vec<ScorerRecord> = self
            .suite
            .scorers
            .iter()
            .map(|spec| match &spec.kind {
                ScorerKind::Label(_) => {
                    let labels = first.and_then(|scorers| scorers.labels(&spec.name)).unwrap_or_default();
                    ScorerRecord::Labels {
                        name: spec.name.clone(),
                        labels: labels.iter().map(|&l| l.to_owned()).collect(),
                    }
                }
                ScorerKind::EditDistance(_) | ScorerKind::RougeL(_) | ScorerKind::Chrf(_) | ScorerKind::Command(_) => {
                    ScorerRecord::Number { name: spec.name.clone() }
                }
                _ => ScorerRecord::Pass { name: spec.name.clone() },
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
