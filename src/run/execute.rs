//! Asks every trial of a plan that is not recorded yet.
//!
//! Trials are rendered and tokenised on every core, a window at a time, so that a run of any length needs the memory of
//! one window. Each window is looked up in the cache first; the rest is pulled by the engine as it has room.

use super::models::RunSettings;
use super::observer::Observer;
use super::prepare::{Asked, Prepared};
use super::record::Recorder;
use super::select::Cell;
use crate::engine::cache::{Cache, Identity, Key};
use crate::engine::{Engine, Request};
use crate::error::Problems;
use crate::prompt::Renderer;
use crate::seed;
use crate::store::{RunFolder, Trial};
use rayon::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

/// Trials rendered at a time.
const WINDOW: usize = 2_000;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every trial is recorded.
    Complete,
    /// Stopped from outside; what was in flight is recorded.
    Interrupted,
}

/// Runs a plan into its folder, leaving out the trials in `recorded`. `stop` ends it early: what is in flight is
/// finished and recorded.
///
/// # Errors
/// A model that fails, or a record that cannot be written; what was recorded before stays good.
pub fn execute(
    prepared: &Prepared,
    folder: &mut RunFolder,
    recorded: &BTreeSet<Trial>,
    settings: &RunSettings,
    watch: (&dyn Observer, &AtomicBool),
) -> Result<Outcome, Problems> {
    let (observer, stop) = watch;
    let cache = settings.memory.as_deref().filter(|_| settings.use_cache);
    observer.started(prepared.plan.len(), recorded.len());
    let recorder = RefCell::new(Recorder::new(prepared, folder, observer, cache));
    let mut result = Ok(());
    for group in groups(prepared) {
        let mut feeder = Feeder::new(prepared, &group, recorded, (&recorder, cache, stop))?;
        let pending: RefCell<HashMap<usize, (Asked, Option<Key>)>> = RefCell::new(HashMap::new());
        let mut requests = std::iter::from_fn(|| {
            let (request, asked, key) = feeder.next()?;
            pending.borrow_mut().insert(request.id, (asked, key));
            Some(request)
        });
        let mut done = |id: usize, completion| {
            if let Some((asked, key)) = pending.borrow_mut().remove(&id) {
                recorder.borrow_mut().answered(asked, completion, key);
            }
        };
        let Some(engine) = engine_of(prepared, &group) else { continue };
        result = engine.generate(&mut requests, &mut done).map_err(Problems::from);
        recorder.borrow_mut().remember();
        engine.unload();
        if result.is_err() || stop.load(Ordering::Relaxed) || recorder.borrow().failed.is_some() {
            break;
        }
    }
    observer.finished();
    if let Some(problems) = recorder.into_inner().failed {
        return Err(problems);
    }
    result?;
    Ok(if folder.written() >= prepared.plan.len() { Outcome::Complete } else { Outcome::Interrupted })
}

/// The variants of a plan by the engine that they share, in the order in which the engines are first needed.
fn groups(prepared: &Prepared) -> Vec<Vec<usize>> {
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    for &variant in &prepared.plan.variants {
        let engine = prepared.variant(variant).and_then(|v| prepared.models.of(v)).map(|(index, ..)| index);
        let Some(engine) = engine else { continue };
        match groups.iter_mut().find(|(other, _)| *other == engine) {
            Some((_, variants)) => variants.push(variant),
            None => groups.push((engine, vec![variant])),
        }
    }
    groups.into_iter().map(|(_, variants)| variants).collect()
}

fn engine_of<'a>(prepared: &'a Prepared, group: &[usize]) -> Option<&'a dyn Engine> {
    prepared.models.of(prepared.variant(*group.first()?)?).map(|(_, engine, _)| engine)
}

/// Makes requests of the trials of one engine, a window ahead.
struct Feeder<'a, 'r> {
    prepared: &'a Prepared<'a>,
    renderers: HashMap<usize, (Renderer<'a>, Option<Identity>)>,
    cells: Box<dyn Iterator<Item = Cell> + 'a>,
    ready: VecDeque<(Asked, Option<Key>)>,
    recorder: &'r RefCell<Recorder<'a>>,
    cache: Option<&'a Cache>,
    stop: &'a AtomicBool,
    next_id: usize,
}

impl<'a, 'r> Feeder<'a, 'r> {
    fn new(
        prepared: &'a Prepared<'a>,
        group: &[usize],
        recorded: &'a BTreeSet<Trial>,
        shared: (&'r RefCell<Recorder<'a>>, Option<&'a Cache>, &'a AtomicBool),
    ) -> Result<Self, Problems> {
        let mut renderers = HashMap::new();
        for &variant in group {
            if let Some(renderer) = prepared.renderer(variant)? {
                renderers.insert(variant, (renderer, prepared.identity(variant)));
            }
        }
        let group = group.to_vec();
        let cells = group
            .into_iter()
            .flat_map(move |variant| prepared.plan.cells_of(variant))
            .filter(move |cell| recorded.is_empty() || !recorded.contains(&prepared.trial(*cell)));
        let (recorder, cache, stop) = shared;
        Ok(Self {
            prepared,
            renderers,
            cells: Box::new(cells),
            ready: VecDeque::new(),
            recorder,
            cache,
            stop,
            next_id: 0,
        })
    }

    /// The next request, its prompt, and its key in the cache; `None` at the end, or when the run is to stop.
    fn next(&mut self) -> Option<(Request, Asked, Option<Key>)> {
        loop {
            if self.stop.load(Ordering::Relaxed) || self.recorder.borrow().failed.is_some() {
                return None;
            }
            let Some((asked, key)) = self.ready.pop_front() else {
                if !self.window() {
                    return None;
                }
                continue;
            };
            let Some(variant) = self.prepared.variant(asked.cell.variant) else { continue };
            let Some((_, tokens)) = &asked.prompt else { continue };
            self.next_id += 1;
            let request = Request {
                id: self.next_id,
                tokens: tokens.clone(),
                sampling: variant.sampling.clone(),
                seed: self.seed(&asked),
            };
            return Some((request, asked, key));
        }
    }

    fn seed(&self, asked: &Asked) -> u64 {
        let trial = self.prepared.trial(asked.cell);
        let seed = self.prepared.variant(asked.cell.variant).map_or(0, |v| v.sampling.seed);
        seed::trial(seed, &trial.variant, &trial.case, trial.repeat)
    }

    /// Renders the next window; what cannot be asked and what the cache knows is recorded at once. False at the end.
    fn window(&mut self) -> bool {
        let cells: Vec<Cell> = self.cells.by_ref().take(WINDOW).collect();
        if cells.is_empty() {
            return false;
        }
        let (prepared, renderers) = (self.prepared, &self.renderers);
        let asked: Vec<Asked> = cells
            .into_par_iter()
            .filter_map(|cell| Some(prepared.ask(&renderers.get(&cell.variant)?.0, cell, false)))
            .collect();
        let keys: Vec<Option<Key>> = asked.iter().map(|asked| self.key(asked)).collect();
        let known = self.look_up(&keys);
        let mut recorder = self.recorder.borrow_mut();
        for ((asked, key), known) in asked.into_iter().zip(keys).zip(known) {
            match known {
                _ if asked.refusal.is_some() || asked.prompt.is_none() => recorder.refused(asked),
                Some(completion) => recorder.recalled(asked, completion),
                None => self.ready.push_back((asked, key)),
            }
        }
        true
    }

    fn key(&self, asked: &Asked) -> Option<Key> {
        self.cache?;
        let (_, identity) = self.renderers.get(&asked.cell.variant)?;
        let (_, tokens) = asked.prompt.as_ref().filter(|_| asked.refusal.is_none())?;
        let sampling = &self.prepared.variant(asked.cell.variant)?.sampling;
        Some(identity.as_ref()?.generate(tokens, sampling, self.seed(asked), asked.cell.repeat))
    }

    /// What the cache knows of a window; nothing where it fails.
    fn look_up(&self, keys: &[Option<Key>]) -> Vec<Option<crate::engine::Completion>> {
        let asked: Vec<Key> = keys.iter().flatten().copied().collect();
        let found = match self.cache.filter(|_| !asked.is_empty()).map(|cache| cache.get(&asked)) {
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                tracing::warn!("{error}: asking the model instead");
                Vec::new()
            }
            None => Vec::new(),
        };
        let mut found = found.into_iter();
        keys.iter().map(|key| key.and_then(|_| found.next().flatten())).collect()
    }
}
