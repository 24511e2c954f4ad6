//! The loop: micro-batches, a step, a line; now and then a checkpoint and a look at the held-out documents.
//!
//! What is on disk decides where a run goes on: the line of a step is written before its checkpoint, the checkpoint before
//! the evaluation and the export. A run that is killed anywhere and goes on from its newest checkpoint makes the same
//! steps with the same numbers, because rows and dropout are functions of the step's number alone.

use super::checkpoint::{self, Identity};
use super::conclude;
use super::evaluate::evaluate;
use super::failure::TrainingFailure;
use super::learner::{Learner, Slopes};
use super::lessons::{Lessons, Rows};
use super::loss::{Answer, Pair, classify, dpo, reward, sft};
use super::memory;
use super::observer::Watch;
use super::product::Product;
use super::progress::Progress;
use super::recipe::{By, Kind, Recipe, Schedule};
use super::reference::Reference;
use super::schedule::rate;
use crate::error::Problems;
use crate::model::{Document, Readings, Update};
use crate::seed;
use crate::store::training::{EvaluationRecord, Said, StepRecord, Stop, TrainingFolder};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// How a training run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It has learned all that it was to.
    Complete(Stop),
    /// Stopped from outside; what was learned is in the newest checkpoint.
    Interrupted,
}

/// What a run learns and how; nothing in it changes while it goes on.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Its learning rate, which may have been lowered since the run began.
    pub schedule: &'a Schedule,
    /// Its documents.
    pub lessons: &'a Lessons<'a>,
    /// What its checkpoints belong to.
    pub identity: &'a Identity,
    /// What the model said of its answers before it learned; empty where no policy is held to it.
    pub reference: &'a Reference,
}

/// A run under way.
pub struct Trainer<'a> {
    lesson: Lesson<'a>,
    learner: &'a mut dyn Learner,
    product: &'a dyn Product,
    folder: &'a mut TrainingFolder,
    watch: Watch<'a>,
    progress: Progress,
    step: u64,
    /// The gradient's norm in that step; NaN before the first of this sitting.
    grad_norm: f64,
}

/// The file by which a model speaks at an evaluation; a name that is tidied away after a kill.
const SPEAKS: &str = ".tmp-speaks.gguf";

impl std::fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("step", &self.step).finish_non_exhaustive()
    }
}

impl<'a> Trainer<'a> {
    /// A run that goes on behind the last line of its folder: `learner` is as it was then.
    pub fn new(
        lesson: Lesson<'a>,
        (learner, product): (&'a mut dyn Learner, &'a dyn Product),
        folder: &'a mut TrainingFolder,
        watch: Watch<'a>,
    ) -> Result<Self, Problems> {
        let step = folder.header().segments.last().map_or(0, |segment| segment.from_step);
        let progress = Progress::of(&folder.evaluations()?);
        Ok(Self { lesson, learner, product, folder, watch, progress, step, grad_norm: f64::NAN })
    }

    /// Learns until the recipe is done, the held-out loss no longer falls, or it is stopped.
    pub fn run(mut self) -> Result<Ended, Problems> {
        let patience = self.lesson.recipe.evaluate.patience;
        self.watch.observer.began(self.folder.header(), self.step);
        if self.is_evaluated(self.step) && !self.progress.has(self.step) {
            self.evaluate()?;
        }
        while self.step < self.lesson.lessons.steps() && !self.progress.is_over(patience) {
            if self.is_to_stop() || !self.make_step()? {
                self.keep()?;
                return Ok(Ended::Interrupted);
            }
            if self.is_kept(self.step) {
                self.keep()?;
            }
            if self.is_evaluated(self.step) {
                self.evaluate()?;
            }
        }
        if self.is_to_stop() && self.is_evaluated(self.step) && !self.progress.has(self.step) {
            // The last evaluation was cut short, and decides what is exported.
            return Ok(Ended::Interrupted);
        }
        Ok(Ended::Complete(if self.step < self.lesson.lessons.steps() { Stop::Patience } else { Stop::Steps }))
    }

    fn is_to_stop(&self) -> bool {
        self.watch.stop.load(Ordering::Relaxed)
    }

    /// Whether the held-out documents are read behind a step.
    fn is_evaluated(&self, step: u64) -> bool {
        let every = self.lesson.recipe.evaluate.every;
        let due = step == self.lesson.lessons.steps() || step.checked_rem(every) == Some(0);
        every > 0 && due && self.lesson.lessons.held_out().next().is_some()
    }

    /// Whether a checkpoint is written behind a step.
    fn is_kept(&self, step: u64) -> bool {
        let due = step.checked_rem(self.lesson.recipe.checkpoint.every) == Some(0);
        due || step == self.lesson.lessons.steps() || self.is_evaluated(step)
    }

    /// Makes one step and records it; false when it was stopped in its middle, which changes nothing.
    fn make_step(&mut self) -> Result<bool, Problems> {
        let began = Instant::now();
        let lessons = self.lesson.lessons;
        let step = self.step + 1;
        let parts = lessons.parts(step);
        let total: usize = parts.iter().map(|rows| lessons.targets(rows)).sum();
        let said: usize = parts.iter().map(|rows| Lessons::said(rows)).sum();
        let mut loss = 0.0;
        for (part, rows) in parts.iter().enumerate().filter(|(_, rows)| lessons.targets(rows) > 0) {
            if self.is_to_stop() {
                return Ok(false);
            }
            loss += self.learn((step, part), rows, (total, said))?;
        }
        let lr = rate(self.lesson.schedule, step, lessons.steps());
        // Without a target there is no gradient, and nothing to step along.
        let norm = if total == 0 { 0.0 } else { self.learner.update(&update(self.lesson.recipe, step, lr))? };
        let elapsed_s = began.elapsed().as_secs_f64().max(1e-9);
        let tokens: u64 = parts.iter().flatten().flatten().map(|document| document.tokens.len() as u64).sum();
        let record = StepRecord {
            step,
            loss: Some(loss).filter(|loss| loss.is_finite()),
            lr,
            grad_norm: Some(norm).filter(|norm| norm.is_finite()),
            tokens,
            targets: total as u64,
            tokens_per_s: tokens as f64 / elapsed_s,
            peak_mib: memory::peak().map(|bytes| bytes as f64 / f64::from(1 << 20)),
            elapsed_s,
            practice: None,
        };
        self.folder.step(&record)?;
        for (what, number) in [("loss", loss), ("gradient norm", norm)] {
            if !number.is_finite() {
                return Err(self.not_finite(format!("{what} is {number}"), (step, lr, norm)).into());
            }
        }
        (self.step, self.grad_norm) = (step, norm);
        self.watch.observer.step(&record);
        Ok(true)
    }

    /// Learns from one micro-batch and gives its share of the loss.
    fn learn(&mut self, (step, part): (u64, usize), rows: &Rows, whole: (usize, usize)) -> Result<f64, Problems> {
        let key = seed::key(self.lesson.recipe.seed, &["dropout", &step.to_string(), &part.to_string()]);
        let loss = self.loss(rows, whole);
        let same = loss.clone();
        let slopes: Slopes = Box::new(move |readings| same.of(readings).coefficients);
        let readings = self.learner.learn(rows, key, slopes)?;
        Ok(loss.of(&readings).loss)
    }

    /// What a micro-batch costs; in the whole step are `total` targets, and `said` tokens that are learned.
    fn loss(&self, rows: &[Vec<&Document>], (total, said): (usize, usize)) -> LossOf {
        let Lesson { lessons, recipe, .. } = self.lesson;
        match lessons.kind() {
            Kind::Sft | Kind::Pretrain | Kind::Grpo | Kind::Ppo => LossOf::Tokens(total),
            Kind::Classify => LossOf::Labels(lessons.labels(rows), total),
            Kind::Reward | Kind::Dpo => {
                let (language, by) = recipe.judging.map_or((0.0, By::Centring(0.0)), |it| (it.language, it.by));
                let pairs = lessons.pairs(rows);
                match by {
                    By::Centring(centring) => LossOf::Rewards { pairs, total, centring, language, said },
                    By::Beta(beta) => {
                        let answers = Lessons::answers(rows, self.lesson.reference);
                        LossOf::Policy { answers, pairs, total, beta, language }
                    }
                }
            }
        }
    }

    /// The numbers went out of bounds with what was learned by now: going on from here would end here again, whatever the
    /// rate, so that this step's checkpoint is none to go on from.
    fn not_finite(&self, what: String, (step, lr, grad_norm): (u64, f64, f64)) -> TrainingFailure {
        checkpoint::set_aside(&self.folder.checkpoints(), self.step);
        conclude::not_finite(self.lesson.recipe, self.folder, (what, self.lesson.schedule.lr), (step, lr, grad_norm))
    }

    /// Writes the checkpoint of the last step, where it is not there yet, and deletes those that are no longer needed.
    fn keep(&mut self) -> Result<(), Problems> {
        let folder = self.folder.checkpoints();
        if self.step > 0 && !checkpoint::path(&folder, self.step).exists() {
            let saved = self.learner.save()?;
            if !conclude::is_finite(&saved) {
                let lr = rate(self.lesson.schedule, self.step, self.lesson.lessons.steps());
                let what = "a weight is no finite number".to_owned();
                return Err(self.not_finite(what, (self.step, lr, self.grad_norm)).into());
            }
            // A checkpoint that is ahead of the lines of its steps could not be gone on from.
            self.folder.sync()?;
            checkpoint::write(&folder, self.step, self.lesson.identity, saved)?;
        }
        self.prune();
        Ok(())
    }

    fn prune(&self) {
        let best = self.progress.best().map(|best| best.step);
        checkpoint::prune(&self.folder.checkpoints(), self.lesson.recipe.checkpoint.keep, best);
    }

    /// Reads the held-out documents, lets the model speak, and records both; nothing when it is stopped meanwhile.
    fn evaluate(&mut self) -> Result<(), Problems> {
        let began = Instant::now();
        let Lesson { recipe, reference, .. } = self.lesson;
        let beta = recipe.judging.and_then(|judging| judging.by.beta()).unwrap_or(0.0);
        let Some(measured) = evaluate(self.learner, self.lesson.lessons, (reference, beta), self.watch.stop)? else {
            return Ok(());
        };
        if !measured.loss.is_finite() {
            let lr = rate(self.lesson.schedule, self.step.max(1), self.lesson.lessons.steps());
            let what = format!("held-out loss is {}", measured.loss);
            return Err(self.not_finite(what, (self.step, lr, self.grad_norm)).into());
        }
        let says = self.says()?;
        if self.is_to_stop() {
            return Ok(());
        }
        let record = EvaluationRecord {
            step: self.step,
            held_out_loss: measured.loss,
            perplexity: measured.perplexity,
            accuracy: measured.accuracy,
            scores: std::collections::BTreeMap::new(),
            left_out: 0,
            run: None,
            best: self.progress.add(self.step, measured.loss),
            says,
            elapsed_s: began.elapsed().as_secs_f64(),
        };
        self.folder.evaluation(&record)?;
        let best = self.progress.best();
        self.folder.note(|header| header.best = best)?;
        self.prune();
        self.watch.observer.evaluated(&record);
        Ok(())
    }

    /// What the model says by now. That it cannot be asked is a warning: the run is worth more than its chatter.
    fn says(&mut self) -> Result<Vec<Said>, Problems> {
        if !self.product.speaks() {
            return Ok(Vec::new());
        }
        // Only to be heard: the run's own file is that of the best step, once all is over.
        let file = self.folder.path().join(SPEAKS);
        let saved = self.learner.save()?;
        let exported = self.product.export(&saved, &file);
        drop(saved);
        let said = exported.and_then(|()| self.product.says(&file, self.watch.stop));
        let _ = std::fs::remove_file(&file);
        Ok(said.unwrap_or_else(|problems| {
            problems.iter().for_each(|problem| self.watch.observer.warning(problem));
            Vec::new()
        }))
    }
}

/// The optimiser's numbers for a step.
#[allow(clippy::cast_possible_truncation)] // the optimiser counts in f32
pub(super) fn update(recipe: &Recipe, step: u64, lr: f64) -> Update {
    let optimiser = &recipe.optimiser;
    Update {
        step,
        lr: lr as f32,
        betas: (optimiser.betas.0 as f32, optimiser.betas.1 as f32),
        eps: optimiser.eps as f32,
        weight_decay: optimiser.weight_decay as f32,
        clip: optimiser.clip as f32,
    }
}

/// The loss of a micro-batch, with all that it needs beside the readings.
#[derive(Debug, Clone)]
enum LossOf {
    Tokens(usize),
    Labels(Vec<usize>, usize),
    Rewards { pairs: Vec<Pair>, total: usize, centring: f64, language: f64, said: usize },
    Policy { answers: Vec<Answer>, pairs: Vec<Pair>, total: usize, beta: f64, language: f64 },
}

impl LossOf {
    fn of(&self, readings: &Readings) -> super::loss::Loss {
        match self {
            Self::Tokens(total) => sft(readings, *total),
            Self::Labels(labels, total) => classify(readings, labels, *total),
            Self::Rewards { pairs, total, centring, language, said } => {
                reward(readings, pairs, *total, *centring).and(*language, &sft(readings, *said))
            }
            Self::Policy { answers, pairs, total, beta, language } => {
                dpo(readings, answers, pairs, (*beta, *language), *total)
            }
        }
    }
}
