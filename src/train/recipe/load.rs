//! From a recipe's file to a [`Recipe`]: paths joined, defaults filled in, all problems listed.

use super::file::{LabelEntry, RecipeFile, ScheduleEntry};
use super::shape::{AskEntry, Sources};
use super::{
    Ask, By, Checkpoint, Evaluate, HeldOut, Judging, Kind, Length, Optimiser, Practice, Recipe, Schedule, Shape,
    Source, TooLong, Written,
};
use crate::engine::Render;
use crate::error::{Place, Problems, without_secrets};
use crate::gguf::Gguf;
use crate::model::{LoraSettings, Trained};
use crate::suite::{Document, FileName, Located, SuiteError, SuiteProblem, beside, is_elsewhere, text_of};
use crate::train::clean::Rules;
use crate::train::error::{TrainError, TrainProblem};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Share of the documents that is held out where the recipe does not say.
const SHARE: f64 = 0.05;
/// Tokens a row, where the recipe does not say and the model allows it.
const SEQUENCE: usize = 512;
/// Rows an optimiser step.
const BATCH: usize = 16;
/// Steps between two evaluations.
const EVALUATE: u64 = 50;
/// Tokens said to a prompt of an evaluation.
const SAY: u32 = 48;
/// How strongly rewards are drawn to 0.
const CENTRING: f64 = 0.01;
/// How much a policy's log-ratio to its reference is worth as reward, where the recipe does not say.
const BETA: f64 = 0.1;
/// Steps between two checkpoints, and how many are kept.
const CHECKPOINT: (u64, usize) = (100, 2);

/// What the command line puts in the place of what a recipe says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Trained instead of the recipe's model.
    pub model: Option<PathBuf>,
    /// Optimiser steps, instead of `steps` or `epochs`.
    pub steps: Option<u64>,
    /// The learning rate.
    pub lr: Option<f64>,
    /// The seed.
    pub seed: Option<u64>,
    /// The files of models that lie elsewhere.
    pub located: Located,
}

/// Reads a recipe. `None` where it is too broken to describe; the problems hold everything that was found, that of the
/// model's header and of the suite included.
#[must_use]
pub fn load(path: &Path, overrides: &Overrides) -> (Option<Recipe>, Problems) {
    match Document::open(path, "the recipe") {
        Ok(document) => read(path, document, overrides),
        Err(error) => (None, error.into()),
    }
}

/// The same for a text, as if it stood at `path`.
#[must_use]
pub fn load_text(path: &Path, text: &str, overrides: &Overrides) -> (Option<Recipe>, Problems) {
    match Document::parse(path, text) {
        Ok(document) => read(path, document, overrides),
        Err(error) => (None, error.into()),
    }
}

fn read(path: &Path, document: Document, overrides: &Overrides) -> (Option<Recipe>, Problems) {
    let has = |key: &str| document.value().get(key).is_some();
    if has("suite") && has("cases") && !has("recipe") {
        let what = "this is a suite, not a recipe".to_owned();
        let help = format!("a suite is run: tripos run {}", path.display());
        return (None, TrainError::new(document.place("suite"), TrainProblem::Setting { what, help }).into());
    }
    if document.value().get("model").is_some_and(|model| model.get("endpoint").is_some()) {
        let what = "a recipe teaches a model whose weights are here, and a server keeps those of its own".into();
        let help = "write `model: FILE.gguf`; suites may ask a server".into();
        return (None, TrainError::new(document.place("model"), TrainProblem::Setting { what, help }).into());
    }
    let read = document.read::<RecipeFile>();
    let mut problems = Problems::new();
    problems.extend(read.problems);
    let written = Arc::new(Written { document, pruned: read.pruned });
    let mut loader = Loader { path, overrides, problems, written };
    let recipe = read.value.and_then(|file| loader.resolve(&file));
    (recipe, loader.problems)
}

/// One reading of one recipe: the problems gather here.
pub(super) struct Loader<'a> {
    path: &'a Path,
    pub(super) overrides: &'a Overrides,
    pub(super) problems: Problems,
    written: Arc<Written>,
}

impl Loader<'_> {
    /// Whether serde refused the value at a path, so that it is missing without being left out.
    pub(super) fn refused(&self, path: &str) -> bool {
        self.written.pruned.within(&self.written.pruned.original(path))
    }

    /// The place of a value by its path in what was read.
    pub(super) fn place(&self, path: &str) -> Place {
        self.written.document.place(&self.written.pruned.original(path))
    }

    /// Reports a problem at a path.
    pub(super) fn push(&mut self, path: &str, problem: TrainProblem) {
        self.problems.push(TrainError::new(self.place(path), problem));
    }

    /// Reports a setting that does not fit.
    pub(super) fn fail(&mut self, path: &str, what: &str, help: &str) {
        self.push(path, TrainProblem::Setting { what: what.to_owned(), help: help.to_owned() });
    }

    /// A path as written, seen from the recipe's folder.
    pub(super) fn join(&self, written: &str) -> PathBuf {
        beside(self.path, written)
    }

    /// Whether a file is there; reported where it is not.
    pub(super) fn must_be_file(&mut self, at: &str, what: &str, path: &Path) -> bool {
        let reason = match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() => return true,
            Ok(_) => "it is not a file".to_owned(),
            Err(error) => error.to_string(),
        };
        self.push(at, TrainProblem::Unreadable { what: format!("{what} `{}`", path.display()), reason });
        false
    }

    fn resolve(&mut self, file: &RecipeFile) -> Option<Recipe> {
        let kind = self.kind(&file.kind);
        let pretrain = kind == Some(Kind::Pretrain);
        let nothing = self.made_from_nothing(file, pretrain);
        let clean = self.clean(file, pretrain);
        let leaks = self.leaks(file);
        let model = if pretrain { None } else { self.model(file.model.as_ref()) };
        let (data, held_out) = (self.data(file, kind), self.held_out(file, kind));
        let architecture = nothing.as_ref().map(|nothing| nothing.architecture);
        let context = match architecture {
            Some(architecture) => Some(architecture.context),
            None => model.as_deref().and_then(|model| self.trainable(model)),
        };
        let sequence = file.sequence.unwrap_or(context.map_or(SEQUENCE, |context| context.min(SEQUENCE)));
        let pace = architecture.map(|architecture| architecture.pace());
        let usual_batch = pace.map_or(BATCH, |pace| (pace.batch_tokens / sequence.max(1)).max(1));
        let batch = file.batch.or(super::practice::practised_rows(file, kind)).unwrap_or(usual_batch);
        let train = trained(file, kind);
        let practice = self.practice(file, kind);
        let recipe = Recipe {
            name: file.recipe.clone(),
            path: self.path.to_path_buf(),
            kind: kind.unwrap_or(Kind::Sft),
            description: file.description.clone(),
            schedule: self.schedule(&file.schedule, pace.map_or_else(|| usual_rate(kind, &train), |pace| pace.rate)),
            model: model.clone().unwrap_or_default(),
            located: self.overrides.located.clone(),
            from_nothing: nothing.clone(),
            data,
            checkpoint: checkpoint(file, practice.as_ref()),
            practice,
            clean,
            leaks,
            held_out,
            train,
            sequence,
            batch,
            micro_batch: file.micro_batch.unwrap_or(batch),
            length: self.length(file, pace.map(|pace| (pace.tokens, (batch * sequence) as u64))),
            optimiser: self.optimiser(file, pretrain),
            precision: file.precision,
            recompute: file.recompute,
            too_long: file.too_long.unwrap_or_else(|| usually_too_long(kind)),
            evaluate: self.evaluate(file),
            suite: file.suite.as_ref().map(|suite| self.join(suite)),
            output: file.output.as_ref().map(|output| self.join(output)),
            seed: self.overrides.seed.unwrap_or(file.seed),
            labels: self.labels(&file.labels),
            judging: self.judging(file, kind, model.as_deref()),
            template_vars: file.template_vars.clone(),
            date: file.date.clone(),
            written: Arc::clone(&self.written),
        };
        self.check(&recipe, kind, context);
        // What is not known here was taken for the usual above, to see what else there is to say.
        let whole = if pretrain { nothing.is_some() } else { model.is_some() };
        kind.filter(|_| whole).map(|_| recipe)
    }

    fn kind(&mut self, written: &str) -> Option<Kind> {
        match written {
            "sft" => Some(Kind::Sft),
            "classify" => Some(Kind::Classify),
            "pretrain" => Some(Kind::Pretrain),
            "reward" => Some(Kind::Reward),
            "dpo" => Some(Kind::Dpo),
            "grpo" => Some(Kind::Grpo),
            "ppo" => Some(Kind::Ppo),
            other => {
                let known = ["pretrain", "sft", "classify", "reward", "dpo", "grpo", "ppo"].map(str::to_owned).to_vec();
                self.push("kind", TrainProblem::Unknown { what: "kind", name: other.to_owned(), known });
                None
            }
        }
    }

    fn model(&mut self, written: Option<&FileName>) -> Option<PathBuf> {
        let located = &self.overrides.located;
        let model = match (&self.overrides.model, written) {
            (Some(model), _) => located.local(model),
            (None, Some(FileName(uri))) if is_elsewhere(Path::new(uri)) => located.local(Path::new(uri)),
            (None, Some(FileName(written))) => self.join(written),
            (None, None) => {
                if !self.refused("model") {
                    self.fail("", "the recipe has no `model`", "add `model: FILE.gguf`, or give --model FILE.gguf");
                }
                return None;
            }
        };
        if is_elsewhere(&model) {
            let uri = model.display().to_string();
            let fate = located.fate(&uri).map(str::to_owned);
            let uri = without_secrets(&uri);
            self.problems.push(SuiteError::new(self.place("model"), SuiteProblem::Elsewhere { uri, fate }));
            return Some(model);
        }
        self.must_be_file("model", "the model", &model).then_some(model)
    }

    /// Looks into the model's header: its context, in tokens, where it can be trained and is here.
    fn trainable(&mut self, model: &Path) -> Option<usize> {
        if is_elsewhere(model) {
            return None;
        }
        let gguf = match Gguf::open_checked(model) {
            Ok(gguf) => gguf,
            Err(found) => {
                self.problems.append(found);
                return None;
            }
        };
        if gguf.is_adapter() {
            let what = format!("`{}` is an adapter, not a model", model.display());
            self.fail("model", &what, "name the base model; merge an adapter into it to train on from there");
            return None;
        }
        let name = gguf.architecture().unwrap_or_default();
        if !crate::model::architectures().contains(&name) {
            self.push("model", TrainProblem::Architecture { name: name.to_owned() });
        }
        gguf.context_length().and_then(|context| usize::try_from(context).ok())
    }

    /// What is dropped of what is learned; a model from nothing reads what nobody has looked through.
    fn clean(&mut self, file: &RecipeFile, pretrain: bool) -> Option<Rules> {
        let rules = file.clean.clone().or_else(|| pretrain.then(Rules::default))?;
        if let Some(near) = rules.near.filter(|near| !Rules::NEAR.contains(near)) {
            let (least, most) = (Rules::NEAR.start(), Rules::NEAR.end());
            let help = format!("it is {least} to {most}: the share of two documents that is the same");
            self.fail("clean.near", &format!("`near` is {near}"), &help);
        }
        Some(rules)
    }

    fn leaks(&mut self, file: &RecipeFile) -> Vec<PathBuf> {
        let leaks: Vec<PathBuf> = file.leaks.iter().map(|suite| self.join(suite)).collect();
        for (at, suite) in leaks.iter().enumerate() {
            self.must_be_file(&format!("leaks[{at}]"), "the suite", suite);
        }
        leaks
    }

    /// What is learned from: all kinds but those that practise learn from data.
    fn data(&mut self, file: &RecipeFile, kind: Option<Kind>) -> Vec<Source> {
        match (&file.data, kind.is_some_and(Kind::practises)) {
            (Some(data), false) => self.sources("data", data, kind),
            (None, false) => {
                if !self.refused("data") {
                    let help = "name what it learns from: `data: {file: rows.jsonl}`";
                    self.fail("", "the recipe has no `data`", help);
                }
                Vec::new()
            }
            (Some(_), true) => {
                let help = "leave it out: what is practised is a suite's cases (`practice: {suite: FILE}`)";
                self.fail("data", "a policy learns from its own answers, and not from data", help);
                Vec::new()
            }
            (None, true) => Vec::new(),
        }
    }

    fn sources(&mut self, at: &str, sources: &Sources, kind: Option<Kind>) -> Vec<Source> {
        let placed = sources.placed(at);
        if placed.is_empty() && !self.refused(at) {
            self.push(at, TrainProblem::NoData { help: "write at least one source: `{file: rows.jsonl}`".into() });
        }
        placed.into_iter().filter_map(|(at, entry)| self.source(&at, entry, kind)).collect()
    }

    fn held_out(&mut self, file: &RecipeFile, kind: Option<Kind>) -> HeldOut {
        match file.held_out.as_ref().map(|entry| (entry.share, &entry.data)) {
            None => HeldOut::Share(SHARE),
            Some((Some(share), None)) => HeldOut::Share(share),
            Some((None, Some(data))) => HeldOut::Data(self.sources("held_out.data", data, kind)),
            Some(_) => {
                if !self.refused("held_out") {
                    let help = "write `{share: 0.05}`, or `{data: …}` with sources of its own";
                    self.fail("held_out", "`held_out` is one of two things", help);
                }
                HeldOut::Share(SHARE)
            }
        }
    }

    /// How long is trained; `budget` is what a model from nothing is to read, and the tokens of a step.
    fn length(&mut self, file: &RecipeFile, budget: Option<(u64, u64)>) -> Length {
        let said =
            [("steps", file.steps.is_some()), ("epochs", file.epochs.is_some()), ("tokens", file.tokens.is_some())];
        let said: Vec<&str> = said.iter().filter(|(_, said)| *said).map(|(name, _)| *name).collect();
        if let [first, .., last] = said[..] {
            let what = format!("`{first}` and `{last}` both say how long is trained");
            self.fail(last, &what, "leave one of them out");
        }
        match (self.overrides.steps.or(file.steps), file.epochs, budget) {
            (Some(steps), ..) => Length::Steps(steps),
            (None, None, Some((usual, step))) => Length::Steps(file.tokens.unwrap_or(usual).div_ceil(step.max(1))),
            (None, epochs, _) => Length::Epochs(epochs.unwrap_or(1.0)),
        }
    }

    fn schedule(&self, entry: &ScheduleEntry, usual: f64) -> Schedule {
        let warmup = entry.warmup.unwrap_or(0.02);
        let fall = if entry.shape == Shape::Constant { 0.0 } else { 1.0 - warmup };
        Schedule {
            lr: self.overrides.lr.or(entry.lr).unwrap_or(usual),
            warmup,
            shape: entry.shape,
            r#final: entry.r#final.unwrap_or(0.1),
            warmdown: entry.warmdown.unwrap_or(fall),
        }
    }

    fn optimiser(&mut self, file: &RecipeFile, pretrain: bool) -> Optimiser {
        let entry = &file.optimiser;
        let betas = match entry.betas.as_deref() {
            None => (0.9, 0.95),
            Some(&[first, second]) => (first, second),
            Some(_) => {
                self.fail("optimiser.betas", "`betas` are two numbers", "write `betas: [0.9, 0.95]`");
                (0.9, 0.95)
            }
        };
        Optimiser {
            betas,
            eps: entry.eps.unwrap_or(1e-8),
            weight_decay: entry.weight_decay.unwrap_or(if pretrain { 0.1 } else { 0.0 }),
            clip: entry.clip.unwrap_or(1.0),
        }
    }

    fn evaluate(&mut self, file: &RecipeFile) -> Evaluate {
        let entry = &file.evaluate;
        let ask = |(i, ask): (usize, &AskEntry)| match ask {
            AskEntry::Text(text) => Some(Ask::Text(text.clone())),
            AskEntry::File { prompt, vars } => {
                let prompt = self.prompt_file(&format!("evaluate.prompts[{i}].prompt"), prompt)?;
                Some(Ask::File { prompt, vars: vars.clone() })
            }
        };
        Evaluate {
            prompts: entry.prompts.iter().enumerate().filter_map(ask).collect(),
            every: entry.every.unwrap_or(EVALUATE),
            patience: entry.patience,
            max_tokens: entry.max_tokens.unwrap_or(SAY),
        }
    }

    /// How judgements are learned: in turns where the base has a chat template, unless the recipe says otherwise.
    fn judging(&mut self, file: &RecipeFile, kind: Option<Kind>, model: Option<&Path>) -> Option<Judging> {
        let fields = [
            ("render", file.render.is_some(), &[Kind::Reward, Kind::Dpo][..]),
            ("language", file.language.is_some(), &[Kind::Reward, Kind::Dpo]),
            ("centring", file.centring.is_some(), &[Kind::Reward]),
            ("beta", file.beta.is_some(), &[Kind::Dpo]),
        ];
        let strange = |(_, given, of): &(_, bool, &[Kind])| *given && kind.is_some_and(|kind| !of.contains(&kind));
        for (name, _, of) in fields.into_iter().filter(strange) {
            let of: Vec<String> = of.iter().map(|kind| format!("`kind: {kind}`")).collect();
            self.fail(name, &format!("`{name}` belongs to {}", of.join(" and ")), "leave it out");
        }
        let kind = kind.filter(|kind| kind.is_judged())?;
        let model = model.filter(|model| !is_elsewhere(model));
        let talks = model.and_then(|model| Gguf::open(model).ok()).is_some_and(|gguf| gguf.chat_template().is_some());
        let render = file.render.unwrap_or(if talks { Render::Chat } else { Render::Text });
        if render == Render::Chat && model.is_some() && !talks {
            self.fail("render", "the model has no chat template", "write `render: text`, or take a model that has one");
        }
        let by = match kind {
            Kind::Dpo => By::Beta(file.beta.unwrap_or(BETA)),
            _ => By::Centring(file.centring.unwrap_or(CENTRING)),
        };
        Some(Judging { render, language: file.language.unwrap_or(0.0), by })
    }

    fn labels(&mut self, written: &[LabelEntry]) -> Vec<String> {
        let mut labels: Vec<String> = Vec::new();
        for (i, label) in written.iter().enumerate() {
            let path = format!("labels[{i}]");
            match text_of(label) {
                None => self.fail(&path, "a label is a text", "write `labels: [negative, positive]`"),
                Some(label) if labels.contains(&label) => {
                    self.fail(&path, &format!("label `{label}` is there twice"), "leave one of them out");
                }
                Some(label) => labels.push(label),
            }
        }
        labels
    }
}

/// Starting values: field-notes.md, section 5. A head learns faster than the words of a whole vocabulary.
fn usual_rate(kind: Option<Kind>, train: &Trained) -> f64 {
    match (kind, train) {
        (Some(Kind::Classify | Kind::Reward), Trained::Full) => 1e-4,
        (Some(Kind::Classify | Kind::Reward), Trained::Lora(_)) => 1e-3,
        (Some(Kind::Dpo | Kind::Grpo), Trained::Full) => 1e-6,
        (Some(Kind::Ppo), Trained::Full) => 3e-6,
        (Some(Kind::Ppo), Trained::Lora(_)) => 3e-5,
        (Some(Kind::Dpo | Kind::Grpo), Trained::Lora(_)) | (_, Trained::Full) => 2e-5,
        (_, Trained::Lora(_)) => 2e-4,
    }
}

/// Which weights are trained.
fn trained(file: &RecipeFile, kind: Option<Kind>) -> Trained {
    match &file.train {
        Some(entry) => entry.resolve(&usual_adapter(kind)),
        None if kind == Some(Kind::Pretrain) => Trained::Full,
        None => Trained::Lora(usual_adapter(kind)),
    }
}

/// The adapter that is trained, as far as the recipe does not say.
fn usual_adapter(kind: Option<Kind>) -> LoraSettings {
    match kind {
        // A reward is one number, a head's or of a ratio: dropout moves it more than a word.
        Some(Kind::Reward | Kind::Dpo | Kind::Grpo | Kind::Ppo) => {
            LoraSettings { dropout: 0.0, ..LoraSettings::default() }
        }
        _ => LoraSettings::default(),
    }
}

/// When what was learned is kept: a round is dear, and a run that was killed goes on behind the last one.
fn checkpoint(file: &RecipeFile, practice: Option<&Practice>) -> Checkpoint {
    let usual = practice.map_or(CHECKPOINT.0, |practice| practice.passes.max(1));
    Checkpoint { every: file.checkpoint.every.unwrap_or(usual), keep: file.checkpoint.keep.unwrap_or(CHECKPOINT.1) }
}

/// What becomes of long documents where the recipe does not say.
fn usually_too_long(kind: Option<Kind>) -> TooLong {
    match kind {
        Some(Kind::Pretrain) => TooLong::Split,
        Some(Kind::Reward | Kind::Dpo) => TooLong::Drop,
        _ => TooLong::Cut,
    }
}
