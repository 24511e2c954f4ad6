//! Asks every trial of a plan that is not recorded yet.
//!
//! Trials are taken a window at a time, so that a run of any length needs the memory of one window: rendered and
//! tokenised on every core, looked up in the cache, and the rest handed to the engine together, which decodes what they
//! share once. A trial is recorded as soon as its last answer is there.

use super::models::RunSettings;
use super::observer::Observer;
use super::prepare::{Asked, Prepared};
use super::record::Recorder;
use super::select::Cell;
use super::underway::Underway;
use crate::engine::cache::{Cache, Identity, Key};
use crate::engine::{Answer, Engine, Request};
use crate::error::Problems;
use crate::prompt::Renderer;
use crate::store::{RunFolder, Trial};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

/// Trials in a window.
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
    let mut recorder = Recorder::new(prepared, folder, observer, cache);
    let mut result = Ok(());
    for group in groups(prepared) {
        let Some(engine) = engine_of(prepared, &group) else { continue };
        result = Round::new(prepared, engine, &group, (cache, stop))
            .and_then(|round| round.run(cells(prepared, &group, recorded), &mut recorder));
        recorder.remember();
        engine.unload();
        if result.is_err() || stop.load(Ordering::Relaxed) || recorder.failed.is_some() {
            break;
        }
    }
    observer.finished();
    if let Some(problems) = recorder.failed {
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

/// The trials of some variants that are not recorded yet, in order.
fn cells<'p>(
    prepared: &'p Prepared,
    group: &'p [usize],
    recorded: &'p BTreeSet<Trial>,
) -> impl Iterator<Item = Cell> + 'p {
    let cells = group.iter().flat_map(|&variant| prepared.plan.cells_of(variant));
    cells.filter(move |cell| recorded.is_empty() || !recorded.contains(&prepared.trial(*cell)))
}

/// The trials of one engine.
struct Round<'a> {
    prepared: &'a Prepared<'a>,
    engine: &'a dyn Engine,
    renderers: HashMap<usize, (Renderer<'a>, Option<Identity>)>,
    cache: Option<&'a Cache>,
    stop: &'a AtomicBool,
}

impl<'a> Round<'a> {
    fn new(
        prepared: &'a Prepared<'a>,
        engine: &'a dyn Engine,
        group: &[usize],
        (cache, stop): (Option<&'a Cache>, &'a AtomicBool),
    ) -> Result<Self, Problems> {
        let mut renderers = HashMap::new();
        for &variant in group {
            if let Some(renderer) = prepared.renderer(variant)? {
                renderers.insert(variant, (renderer, prepared.identity(variant)));
            }
        }
        Ok(Self { prepared, engine, renderers, cache, stop })
    }

    fn run(&self, cells: impl Iterator<Item = Cell>, recorder: &mut Recorder<'a>) -> Result<(), Problems> {
        let mut cells = cells.peekable();
        while cells.peek().is_some() && !self.stop.load(Ordering::Relaxed) && recorder.failed.is_none() {
            let window: Vec<Cell> = cells.by_ref().take(WINDOW).collect();
            self.window(window, recorder)?;
        }
        Ok(())
    }

    /// One window: stage by stage, until every trial in it is recorded.
    fn window(&self, window: Vec<Cell>, recorder: &mut Recorder<'a>) -> Result<(), Problems> {
        let ask = |cell: Cell| Some(self.prepared.ask(&self.renderers.get(&cell.variant)?.0, cell, false));
        let asked: Vec<Asked> = window.into_par_iter().filter_map(ask).collect();
        let mut trials: Vec<Underway> = asked.into_iter().map(Underway::new).collect();
        while !trials.is_empty() && !self.stop.load(Ordering::Relaxed) {
            trials = self.stage(trials, recorder)?;
        }
        Ok(())
    }

    /// Has the requests of one stage answered, from the cache where it knows them; gives back the trials that have
    /// another stage to go.
    fn stage(&self, trials: Vec<Underway>, recorder: &mut Recorder<'a>) -> Result<Vec<Underway>, Problems> {
        let (places, requests) = self.requests(&trials);
        let known = self.look_up(&places);
        let mut stage =
            Stage { round: self, recorder, trials: trials.into_iter().map(Some).collect(), next: Vec::new() };
        for trial in 0..stage.trials.len() {
            stage.settle(trial);
        }
        let mut unknown = Vec::new();
        for ((request, known), place) in requests.into_iter().zip(known).zip(&places) {
            match known {
                Some(answer) => stage.answered(place, answer, true),
                None => unknown.push(request),
            }
        }
        let mut done = |id: usize, answer: Answer| {
            let Some(place) = places.get(id) else { return };
            if let Some(key) = place.key {
                stage.recorder.fresh(key, &answer);
            }
            stage.answered(place, answer, false);
        };
        self.engine.answer(unknown, &mut done, self.stop)?;
        Ok(stage.next)
    }

    /// The requests of trials, numbered, and where each answer belongs.
    fn requests(&self, trials: &[Underway]) -> (Vec<Place>, Vec<Request>) {
        let mut places = Vec::new();
        let mut requests = Vec::new();
        for (trial, underway) in trials.iter().enumerate() {
            let Cell { variant, repeat, .. } = underway.cell();
            let identity = self.renderers.get(&variant).and_then(|(_, identity)| identity.as_ref());
            let identity = identity.filter(|_| self.cache.is_some());
            for (want, request) in underway.requests().enumerate() {
                let key = identity.map(|identity| identity.key(request, repeat));
                requests.push(Request { id: places.len(), ..request.clone() });
                places.push(Place { trial, want, key });
            }
        }
        (places, requests)
    }

    /// What the cache knows of the requests; nothing where it fails.
    fn look_up(&self, places: &[Place]) -> Vec<Option<Answer>> {
        let keys: Vec<Key> = places.iter().filter_map(|place| place.key).collect();
        let found = match self.cache.filter(|_| !keys.is_empty()).map(|cache| cache.get(&keys)) {
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                tracing::warn!("{error}: asking the model instead");
                Vec::new()
            }
            None => Vec::new(),
        };
        let mut found = found.into_iter();
        places.iter().map(|place| place.key.and_then(|_| found.next().flatten())).collect()
    }
}

/// Where an answer belongs.
struct Place {
    trial: usize,
    want: usize,
    key: Option<Key>,
}

/// The trials of a window while one of their stages is answered.
struct Stage<'s, 'a> {
    round: &'s Round<'a>,
    recorder: &'s mut Recorder<'a>,
    trials: Vec<Option<Underway>>,
    /// Those that go on with another stage.
    next: Vec<Underway>,
}

impl Stage<'_, '_> {
    fn answered(&mut self, place: &Place, answer: Answer, cached: bool) {
        if let Some(Some(trial)) = self.trials.get_mut(place.trial) {
            trial.answered(place.want, answer, cached);
        }
        self.settle(place.trial);
    }

    /// Takes a trial whose last answer is there onwards: to its next stage, or into the record.
    fn settle(&mut self, trial: usize) {
        let Some(trial) = self.trials.get_mut(trial).and_then(|trial| trial.take_if(|trial| trial.is_answered()))
        else {
            return;
        };
        self.recorder.record(trial);
    }
}
