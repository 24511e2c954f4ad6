//! A failing suite teaches its model.
//!
//! The cases are divided once: one half may be learned from, the other is not looked at before the end. What the model gets wrong in the
//! first half becomes training data (`lessons`), with what it gets right replayed, so that it is not forgotten. The adapter that
//! comes of it is judged on the other half, and on whatever other suites are named, by the paired test that `tripos gate` uses
//! (`verdict`).
//!
//! Whoever tries again until chance says yes has proven nothing. So attempts are counted (`attempts`), and the k-th is tested at α/2ᵏ,
//! which all together come to no more than α (Bonferroni with spending; Ramdas 2017, "Online control of the false discovery rate", gives
//! others).

mod apart;
mod ask;
mod attempts;
mod card;
mod divide;
mod error;
mod lessons;
mod outcome;
mod recipe;
mod verdict;

pub use attempts::Attempt;
pub use card::{gate_command, unruled};
pub use error::FixError;
pub use verdict::{Came, Found, Judged};

use crate::error::{Explain, Place, Problems};
use crate::run::{Observer, RunSettings};
use crate::store::training::read_training;
use crate::suite::{self, Located, ModelRef, Overrides, Suite};
use crate::train::trainer::Ended;
use crate::train::{Prepared, Sitting, TrainObserver};
use apart::Apart;
use ask::Asker;
use divide::Halves;
use lessons::Class;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use verdict::Bench;

/// What is to be fixed, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The suite.
    pub suite: PathBuf,
    /// Asked and taught instead of the suite's model.
    pub model: Option<PathBuf>,
    /// The files of models that lie elsewhere.
    pub located: Located,
    /// The variant that fails; may be left out where the suite has one.
    pub variant: Option<String>,
    /// The scorer that says what fails; the first that passes or fails where it is left out.
    pub scorer: Option<String>,
    /// A recipe whose settings are taken: its kind, its weights, its rates. Its data is not.
    pub recipe: Option<PathBuf>,
    /// The share that is held out, or of a generator how many fresh cases are drawn beside the suite's.
    pub holdout: f64,
    /// Suites that must not get worse.
    pub also: Vec<PathBuf>,
    /// Where the baseline for later gates is written.
    pub baseline: Option<PathBuf>,
    /// Folder that gets the attempt's folder.
    pub out: PathBuf,
    /// Moves the division, and everything drawn.
    pub seed: u64,
    /// `command` scorers may run programs, in the gate that is printed, too.
    pub allow_commands: bool,
}

/// Who is told what happens.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Of runs.
    pub run: &'a dyn Observer,
    /// Of the training.
    pub train: &'a dyn TrainObserver,
    /// A line about what is done now.
    pub say: &'a dyn Fn(&str),
    /// What the user should know.
    pub warn: &'a dyn Fn(&dyn Explain),
    /// Ends it early when it turns true.
    pub stop: &'a AtomicBool,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("stop", self.stop).finish_non_exhaustive()
    }
}

/// What an attempt came to.
#[derive(Debug)]
pub enum Fixed {
    /// The first half has no failing case: there is nothing to learn.
    NothingFails {
        /// Cases that pass.
        passing: usize,
        /// Cases that the scorer could not judge.
        unscored: usize,
    },
    /// An adapter was made and judged.
    Judged(Box<Judged>),
    /// It was stopped.
    Interrupted,
}

/// Makes one attempt.
///
/// # Errors
/// The suites' and the recipe's own problems; no variant, scorer or case to work with; too few cases to hold any out; data of which
/// nothing can be learned.
pub fn fix(request: &Request, machine: &RunSettings, watch: Watch) -> Result<Fixed, Problems> {
    let (suite, also) = suites(request, watch)?;
    let suite = ask::narrowed(suite, request)?;
    let scorer = ask::scorer(&suite, request.scorer.as_deref())?;
    let model = ask::model(&suite)?;
    let settings = recipe::settings(request)?;
    let halves = Halves::of(&suite, request)?;
    let folder = attempts::folder(&request.out, &suite.name)?;
    let attempt = opened(&folder, (&suite, &halves))?;
    let file = baseline_file(request, &folder)?;
    let asker = Asker { machine, watch, folder: &folder };
    (watch.say)(&format!("{} cases to learn from, {} held out", halves.learned.len(), halves.held_out.len()));
    if !settings.set_aside.is_empty() {
        (watch.say)(&format!("not taken from the recipe: {}", settings.set_aside.join(", ")));
    }
    let Some(before) = asker.run(&divide::with(&suite, &halves.learned), "learned from", None)? else {
        return Ok(Fixed::Interrupted);
    };
    let mut apart = Apart::default();
    apart.add(&suite, &halves.held_out);
    for other in &also {
        apart.add(other, &other.cases);
    }
    let (by_pairs, seed) = (settings.by_pairs, request.seed);
    let class = Class { suite: &suite, scorer: &scorer, apart: &apart, by_pairs, seed };
    let Some(lessons) = class.lessons(&asker, &before)? else { return Ok(Fixed::Interrupted) };
    if lessons.failing == 0 {
        return Ok(Fixed::NothingFails { passing: lessons.passing, unscored: lessons.unscored });
    }
    (watch.say)(&lessons.to_string());
    let recipe = recipe::write((settings, request), &folder, (&model, &suite), &lessons)?;
    let Some((training, adapter)) = teach(&recipe, (request, &model), machine, watch)? else {
        return Ok(Fixed::Interrupted);
    };
    let bench = Bench { asker: &asker, suite: &suite, halves: &halves, also: &also, scorer: &scorer, attempt };
    let Some(mut judged) = bench.judge(&adapter)? else { return Ok(Fixed::Interrupted) };
    (judged.training, judged.lessons) = (training, lessons.to_string());
    card::write(&judged, request)?;
    if judged.came == Came::Fixed {
        keep(&mut judged, &asker, &suite, &file);
        card::write(&judged, request)?;
    }
    Ok(Fixed::Judged(Box::new(judged)))
}

/// The attempt that is about to be made; none where so few cases could prove nothing at its level.
fn opened(folder: &Path, (suite, halves): (&Suite, &Halves)) -> Result<Attempt, Problems> {
    let variant = suite.variants.first().map(|variant| variant.name.clone()).unwrap_or_default();
    let (number, level) = attempts::next(folder, &variant)?;
    let held_out = halves.held_out.len();
    // McNemar's exact test where every case is won.
    if 2.0 * 0.5_f64.powf(held_out as f64) > level {
        return Err(FixError::TooOften { number, level, held_out, place: Place::file(&suite.path) }.into());
    }
    let (holdout, folder) = (halves.sha256.clone(), folder.to_path_buf());
    Ok(Attempt { variant, holdout, number, level, p_value: None, verdict: None, folder })
}

/// Where the baseline goes: a folder that is there.
fn baseline_file(request: &Request, folder: &Path) -> Result<PathBuf, Problems> {
    let Some(file) = &request.baseline else { return Ok(folder.join("baseline.json")) };
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    if parent.is_some_and(|parent| !parent.is_dir()) || file.is_dir() {
        let what =
            format!("the baseline cannot be written to `{}`: its folder is not there, or it is one", file.display());
        let help = "make the folder first, or name a file".into();
        return Err(FixError::Unfit { what, help, place: Place::file(file) }.into());
    }
    Ok(file.clone())
}

/// Keeps what the suite comes to with the adapter. What cannot be kept takes nothing from the verdict.
fn keep(judged: &mut Judged, asker: &Asker, suite: &Suite, file: &Path) {
    match verdict::baseline(asker, suite, (&judged.adapter, file)) {
        Ok(true) => judged.baseline = Some(file.to_path_buf()),
        Ok(false) => {}
        Err(problems) => problems.iter().for_each(|problem| (asker.watch.warn)(problem)),
    }
}

/// The suite, and those that must not get worse, on its model; or all that is wrong with any of them.
fn suites(request: &Request, watch: Watch) -> Result<(Suite, Vec<Suite>), Problems> {
    let mut problems = Problems::new();
    let mut load = |path: &Path, model: Option<PathBuf>| {
        let located = request.located.clone();
        let overrides = Overrides { model: model.map(ModelRef::Gguf), located, ..Overrides::default() };
        let (suite, found) = suite::load(path, &overrides);
        problems.append(found);
        suite
    };
    let suite = load(&request.suite, request.model.clone());
    let model = suite.as_ref().and_then(|suite| ask::narrowed(suite.clone(), request).ok());
    let model = model.and_then(|suite| ask::model(&suite).ok());
    let also: Vec<Suite> = request.also.iter().filter_map(|path| load(path, model.clone())).collect();
    problems.extend(also.iter().filter_map(|suite| ask::stacked(&suite.variants)));
    problems.extend(request.also.iter().filter_map(|path| ask::itself(path, &request.suite)));
    match suite {
        Some(suite) if !problems.any_error() => {
            problems.iter().for_each(|problem| (watch.warn)(problem));
            Ok((suite, also))
        }
        _ => Err(problems),
    }
}

/// Trains by the recipe that was written; gives the run's folder and its adapter, nothing where it was stopped.
fn teach(
    recipe: &Path,
    (request, model): (&Request, &Path),
    machine: &RunSettings,
    watch: Watch,
) -> Result<Option<(PathBuf, PathBuf)>, Problems> {
    let (read, problems) = crate::train::recipe::load(recipe, &crate::train::recipe::Overrides::default());
    let read = match read {
        Some(read) if !problems.any_error() => read,
        _ => return Err(problems),
    };
    let prepared = Prepared::new(read, machine)?;
    prepared.data.warnings.iter().for_each(|problem| (watch.warn)(problem));
    let flags = BTreeMap::new();
    let seen = crate::train::Watch { observer: watch.train, stop: watch.stop };
    let sitting = Sitting { prepared: &prepared, machine, watch: seen, flags: &flags, copy: true };
    (watch.say)(&format!("teaching {}", model.display()));
    let parent = recipe.parent().unwrap_or(&request.out).join(super::lineage::TRAINING);
    let (folder, ended) = sitting.begin(&parent)?;
    let Ended::Complete(_) = ended else { return Ok(None) };
    let header = read_training(&folder)?;
    let output = header.outcome.map(|outcome| folder.join(outcome.output.path));
    let output = output.ok_or_else(|| FixError::NoAdapter { place: Place::file(&folder) })?;
    Ok(Some((folder, output)))
}
