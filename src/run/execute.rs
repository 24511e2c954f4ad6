//! Asks every trial of a plan that is not recorded yet.
//!
//! Trials are taken a window at a time, so that a run of any length needs the memory of one window: rendered and
//! tokenised on every core, and handed to the engine together, which decodes what they share once. A trial is recorded as
//! soon as its last answer is there; where other models judge it, with the others of its window.

use super::ask::{Asked, Stages};
use super::asking::Asking;
use super::error::RunError;
use super::judges::{Judges, Verdicts};
use super::kv_check;
use super::models::RunSettings;
use super::observer::{StopRule, Watch};
use super::prepare::Prepared;
use super::record::Recorder;
use super::select::Cell;
use super::underway::Underway;
use crate::engine::cache::Identity;
use crate::engine::{Answer, Engine};
use crate::error::Problems;
use crate::store::{RunFolder, StageRecord, Trial};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;

/// Trials in a window.
const WINDOW: usize = 2_000;

/// The same where they wait for judges, and would be lost with the program.
const JUDGED_WINDOW: usize = 200;

/// The same where a rule decides between windows when enough is known. Few, since each window is asked whole; more than are
/// in flight, since the last of a window leave room unused.
const RULED_WINDOW: usize = 32;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every trial is recorded.
    Complete,
    /// A rule has seen enough: what is left was not needed.
    Decided,
    /// Stopped from outside; what was in flight is recorded.
    Interrupted,
}

/// Runs a plan into its folder, leaving out the trials in `recorded`.
///
/// # Errors
/// A model that fails, or a record that cannot be written; what was recorded before stays good.
pub fn execute(
    prepared: &Prepared,
    folder: &mut RunFolder,
    recorded: &BTreeSet<Trial>,
    settings: &RunSettings,
    watch: Watch,
) -> Result<Outcome, Problems> {
    let Watch { observer, stop, rule } = watch;
    let asking = Asking::new(settings.memory.as_deref().filter(|_| settings.use_cache), stop);
    observer.started(prepared.plan.len(), recorded.len());
    let mut recorder = Recorder::new(prepared, folder, observer, !recorded.is_empty())?;
    let mut result = Ok(());
    for group in groups(prepared) {
        let Some(round) = Round::new(prepared, &group, &asking)? else { continue };
        result = match rule {
            None => round.run(cells(prepared, &group, recorded), &mut recorder),
            Some(rule) => group
                .iter()
                .try_for_each(|&variant| round.run_until(cells(prepared, &[variant], recorded), &mut recorder, rule)),
        };
        if settings.kv_check && round.engine.knows_tokens() && result.is_ok() && !round.is_over(&recorder) {
            result = kv_check::run(prepared, (round.engine, &group), &round.stages, stop).map(|found| {
                observer.kv_checked(&found);
                recorder.folder.kv_checked(found);
            });
        }
        round.engine.unload();
        if result.is_err() || round.is_over(&recorder) {
            break;
        }
    }
    observer.finished();
    recorder.folder.evicted(asking.evictions.get());
    if let Some(problems) = recorder.failed {
        return Err(problems);
    }
    result?;
    Ok(match rule {
        _ if folder.written() >= prepared.plan.len() => Outcome::Complete,
        Some(_) if !stop.load(Ordering::Relaxed) => Outcome::Decided,
        _ => Outcome::Interrupted,
    })
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
    identity: Identity,
    stages: HashMap<usize, Stages<'a>>,
    judges: Judges<'a>,
    asking: &'a Asking<'a>,
}

impl<'a> Round<'a> {
    fn new(prepared: &'a Prepared<'a>, group: &[usize], asking: &'a Asking<'a>) -> Result<Option<Self>, Problems> {
        let Some(variant) = group.first().and_then(|&first| prepared.variant(first)) else { return Ok(None) };
        let Some((_, engine, record)) = prepared.models.of(variant) else { return Ok(None) };
        let mut stages = HashMap::new();
        for &variant in group {
            stages.extend(prepared.stages(variant)?.map(|of_variant| (variant, of_variant)));
        }
        let judges = Judges::new(prepared)?;
        Ok(Some(Self { prepared, engine, identity: prepared.identity(record), stages, judges, asking }))
    }

    fn is_over(&self, recorder: &Recorder) -> bool {
        self.asking.is_to_stop() || recorder.failed.is_some()
    }

    fn run(&self, cells: impl Iterator<Item = Cell>, recorder: &mut Recorder<'a>) -> Result<(), Problems> {
        let size = if self.judges.is_empty() { WINDOW } else { JUDGED_WINDOW };
        let mut cells = cells.peekable();
        while cells.peek().is_some() && !self.is_over(recorder) {
            let window: Vec<Cell> = cells.by_ref().take(size).collect();
            self.window(window, recorder)?;
        }
        Ok(())
    }

    /// The trials of one variant, window by window, until the rule has seen enough.
    fn run_until(
        &self,
        cells: impl Iterator<Item = Cell>,
        recorder: &mut Recorder<'a>,
        rule: &dyn StopRule,
    ) -> Result<(), Problems> {
        let mut cells = cells.peekable();
        while let Some(next) = cells.peek().copied() {
            let decided = self.prepared.variant(next.variant).is_some_and(|variant| rule.is_decided(&variant.name));
            if decided || self.is_over(recorder) {
                break;
            }
            // A case is asked whole, with all of its repeats.
            let repeats = self.prepared.plan.repeats_of(next.variant).max(1) as usize;
            let size = RULED_WINDOW.div_ceil(repeats) * repeats;
            self.window(cells.by_ref().take(size).collect(), recorder)?;
        }
        Ok(())
    }

    /// One window: stage by stage, until every trial in it is recorded.
    fn window(&self, window: Vec<Cell>, recorder: &mut Recorder<'a>) -> Result<(), Problems> {
        let (prepared, stages) = (self.prepared, &self.stages);
        let ask = |cell: Cell| Some(prepared.ask(stages.get(&cell.variant)?, cell, false));
        let asked: Vec<Asked> = window.into_par_iter().filter_map(ask).collect();
        let mut trials: Vec<Underway> = asked.into_iter().map(Underway::new).collect();
        while !trials.is_empty() && !self.is_over(recorder) {
            trials = self.stage(trials, recorder)?;
        }
        Ok(())
    }

    /// Has the questions of one stage answered; gives back the trials that have another stage to go.
    fn stage(&self, trials: Vec<Underway>, recorder: &mut Recorder<'a>) -> Result<Vec<Underway>, Problems> {
        let mut places = Vec::new();
        let mut requests = Vec::new();
        for (trial, underway) in trials.iter().enumerate() {
            for (want, request) in underway.requests().enumerate() {
                places.push((trial, want));
                requests.push((request.clone(), underway.cell().repeat));
            }
        }
        let trials = trials.into_iter().map(Some).collect();
        let mut stage = Stage { round: self, recorder, trials, next: Vec::new(), unjudged: Vec::new() };
        // What cannot be asked has nothing to wait for.
        (0..stage.trials.len()).for_each(|trial| stage.settle(trial));
        let answered = self.asking.answer(self.engine, &self.identity, requests, &mut |id, answer, cached| {
            if let Some(&(trial, want)) = places.get(id) {
                stage.answered(trial, want, answer, cached);
            }
        });
        let Stage { next, unjudged, .. } = stage;
        for (trial, verdicts) in self.judges.judge(unjudged, self.asking)? {
            // One that its judges have not finished is asked again when the run goes on; the cache knows its answer.
            if !verdicts.cut_off {
                recorder.record(trial, &verdicts);
            }
        }
        answered.map(|()| next)
    }

    /// Why a trial has no answer, where its model gave none.
    fn unanswered(&self, trial: &Underway) -> Option<RunError> {
        let (reason, help) = trial.failure()?;
        let place = self.prepared.variant(trial.cell().variant)?.place.clone();
        let about = self.prepared.about(trial.cell());
        Some(RunError::Unanswered { reason: reason.to_owned(), help: help.to_owned(), place, about })
    }

    /// The next question of a trial, and what its present stage has told; nothing where that was the last one.
    fn after(&self, trial: &Underway, recorder: &mut Recorder<'a>) -> Option<(Asked, StageRecord)> {
        let then = self.stages.get(&trial.cell().variant)?.then.as_ref().filter(|_| trial.before.is_empty())?;
        let said = trial.completion()?;
        if said.text.trim().is_empty() {
            recorder.warn(&RunError::EmptyStage {
                place: self.prepared.variant(trial.cell().variant)?.place.clone(),
                about: self.prepared.about(trial.cell()),
            });
            return None;
        }
        let asked = self.prepared.ask_after(then, trial.cell(), &said.text);
        Some((asked, StageRecord { prompt: recorder.prompt(&trial.asked)?, completion: said.clone() }))
    }
}

/// The trials of a window while one of their stages is answered.
struct Stage<'s, 'a> {
    round: &'s Round<'a>,
    recorder: &'s mut Recorder<'a>,
    trials: Vec<Option<Underway>>,
    /// Those that go on with another stage.
    next: Vec<Underway>,
    /// Those that are answered and wait for judges.
    unjudged: Vec<Underway>,
}

impl Stage<'_, '_> {
    fn answered(&mut self, trial: usize, want: usize, answer: Answer, cached: bool) {
        if let Some(Some(trial)) = self.trials.get_mut(trial) {
            trial.answered(want, answer, cached);
        }
        self.settle(trial);
    }

    /// Takes a trial whose last answer is there onwards: to its next stage, before its judges, or into the record.
    fn settle(&mut self, trial: usize) {
        let Some(place) = self.trials.get_mut(trial) else { return };
        let Some(mut trial) = place.take_if(|trial| trial.is_answered()) else { return };
        if let Some(refusal) = self.round.unanswered(&trial) {
            trial.asked.refusal = Some(refusal);
            self.recorder.record(trial, &Verdicts::default());
        } else if let Some((asked, told)) = self.round.after(&trial, self.recorder) {
            self.next.push(trial.next(asked, told));
        } else if self.round.judges.is_empty() {
            self.recorder.record(trial, &Verdicts::default());
        } else {
            self.unjudged.push(trial);
        }
    }
}
