//! One sitting of practice: round after round, from the base to the trained file, whether it begins or goes on.

use super::answers::{self, Answer, Group};
use super::health::{Health, Outlook};
use super::ready::Ready;
use super::rollouts::{Drawn, Rollouts};
use super::round::{Round, Sums};
use crate::error::{Place, Problems};
use crate::gguf::sha256_file;
use crate::model::{Decoder, Lineage, Saved};
use crate::run::RunSettings;
use crate::seed;
use crate::store::training::{EvaluationRecord, PracticeRecord, StepRecord, Stop, TrainingFolder};
use crate::train::checkpoint;
use crate::train::conclude::{self, Begun, Finished};
use crate::train::failure::TrainingFailure;
use crate::train::learner::{Learner, Pupil};
use crate::train::maker::Maker;
use crate::train::memory;
use crate::train::observer::Watch;
use crate::train::product::Product;
use crate::train::progress::Progress;
use crate::train::recipe::Schedule;
use crate::train::schedule::rate;
use crate::train::trainer::{Ended, update};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What a sitting works with.
#[derive(Debug, Clone, Copy)]
pub struct Practising<'a> {
    /// The recipe, ready.
    pub ready: &'a Ready,
    /// How the machine is used.
    pub machine: &'a RunSettings,
    /// Who watches.
    pub watch: Watch<'a>,
    /// The flags that shape the run, for its header.
    pub flags: &'a BTreeMap<String, Value>,
    /// Copy the trained file to the recipe's `output`.
    pub copy: bool,
}

impl Practising<'_> {
    /// Begins a run in a folder of its own in `parent`.
    pub fn begin(&self, parent: &Path) -> Result<(PathBuf, Ended), Problems> {
        let Ready { recipe, identity, .. } = self.ready;
        let settings = self.ready.settings(self.machine.threads);
        let (needs, memory) = self.ready.estimate(&settings)?;
        let begun = Begun { recipe, identity, machine: self.machine, flags: self.flags };
        let header = begun.header(self.ready.material(), (needs, memory), self.ready.steps());
        let mut folder = TrainingFolder::create(parent, header, begun.segment(0, recipe.schedule.lr))?;
        let ended = self.attend(&mut folder, recipe.schedule.lr, None);
        conclude::closed(folder, ended)
    }

    /// Goes on with a run from its newest checkpoint, with another peak of the learning rate where one is given.
    pub fn go_on(&self, mut folder: TrainingFolder, lr: Option<f64>) -> Result<(PathBuf, Ended), Problems> {
        let Ready { recipe, identity, .. } = self.ready;
        self.ready.is_of(folder.header(), folder.path())?;
        checkpoint::tidy(&folder.checkpoints());
        checkpoint::tidy(folder.path());
        let newest = checkpoint::list(&folder.checkpoints()).pop();
        let saved = newest.map(|(_, file)| checkpoint::read(&file, identity)).transpose()?;
        let lr = lr.or(folder.header().lr()).unwrap_or(recipe.schedule.lr);
        let from = saved.as_ref().map_or(0, |(step, _)| *step);
        let begun = Begun { recipe, identity, machine: self.machine, flags: self.flags };
        folder.begin_again(begun.segment(from, lr))?;
        let best = Progress::of(&folder.evaluations()?).best();
        folder.note(|header| header.best = best)?;
        let ended = self.attend(&mut folder, lr, saved.map(|(_, saved)| saved));
        conclude::closed(folder, ended)
    }

    fn attend(&self, folder: &mut TrainingFolder, lr: f64, saved: Option<Vec<Saved>>) -> Result<Ended, Problems> {
        let Ready { recipe, base, identity, .. } = self.ready;
        let settings = self.ready.settings(self.machine.threads);
        let mut pupil = Pupil { decoder: Decoder::open(&recipe.model, &settings)?, shape: settings.shape.clone() };
        let initial = pupil.save()?;
        if let Some(saved) = saved {
            pupil.restore(&saved)?;
        }
        let held = pupil.decoder.memory();
        folder.note(|header| header.memory.held = Some(held))?;
        let judges = self.judges()?;
        let lineage = Lineage { rewards: judges.clone(), ..conclude::lineage(recipe, base, identity) };
        let maker = Maker { recipe, base, lineage: &lineage, heads: None, questions: &[], machine: self.machine };
        let rollouts = Rollouts::new(self.ready, self.machine, folder.path());
        let step = folder.header().segments.last().map_or(0, |segment| segment.from_step);
        let progress = Progress::of(&folder.evaluations()?);
        let schedule = Schedule { lr, ..recipe.schedule };
        let mut practice = Reinforcer {
            of: self,
            schedule,
            pupil,
            initial,
            maker: &maker,
            rollouts,
            folder,
            progress,
            step,
            judges,
            health: Health::default(),
            level: false,
        };
        let ended = practice.run();
        let _ = std::fs::remove_file(practice.rollouts.policy());
        let stop = match ended? {
            Ended::Complete(stop) => stop,
            Ended::Interrupted => return Ok(Ended::Interrupted),
        };
        let finished = Finished { recipe, identity, copy: self.copy, watch: self.watch };
        let (best, last, saved) = finished.best(folder)?;
        finished.write(folder, &maker, (best, last, &saved), (stop, None))?;
        Ok(Ended::Complete(stop))
    }

    /// SHA-256 of the reward models that judge.
    fn judges(&self) -> Result<Vec<String>, Problems> {
        self.ready.judges().into_iter().map(judge).collect()
    }
}

/// Practice under way.
struct Reinforcer<'a, 'b> {
    of: &'a Practising<'a>,
    schedule: Schedule,
    pupil: Pupil,
    /// What the policy was before it learned.
    initial: Vec<Saved>,
    maker: &'a Maker<'a>,
    rollouts: Rollouts<'a>,
    folder: &'b mut TrainingFolder,
    progress: Progress,
    step: u64,
    /// SHA-256 of the reward models, as they were at the start.
    judges: Vec<String>,
    health: Health,
    /// No answer is worth more than another any more.
    level: bool,
}

impl Reinforcer<'_, '_> {
    fn run(&mut self) -> Result<Ended, Problems> {
        let Ready { recipe, practice, .. } = self.of.ready;
        let steps = self.of.ready.steps();
        self.of.watch.observer.began(self.folder.header(), self.step);
        if self.is_evaluated(self.step) && !self.progress.has(self.step) && !self.evaluate()? {
            return Ok(Ended::Interrupted);
        }
        while self.step < steps && !self.level && !self.progress.is_over(recipe.evaluate.patience) {
            if self.is_to_stop() || !self.round()? {
                self.keep()?;
                return Ok(Ended::Interrupted);
            }
            let (step, before) = (self.step, self.step - practice.passes);
            let last = step >= steps || self.level;
            let due = |every: u64| every > 0 && (step / every > before / every || last);
            if due(recipe.checkpoint.every) || due(recipe.evaluate.every) {
                self.keep()?;
            }
            if due(recipe.evaluate.every) && !self.evaluate()? {
                return Ok(Ended::Interrupted);
            }
        }
        Ok(Ended::Complete(match self.step < steps {
            true if self.level => Stop::Level,
            true => Stop::Patience,
            false => Stop::Steps,
        }))
    }

    fn is_to_stop(&self) -> bool {
        self.of.watch.stop.load(Ordering::Relaxed)
    }

    /// Whether the held-out cases are asked before the first round.
    fn is_evaluated(&self, step: u64) -> bool {
        step == 0 && self.of.ready.recipe.evaluate.every > 0
    }

    /// Makes one round and records its steps; false when it was stopped in its middle, which changes nothing.
    fn round(&mut self) -> Result<bool, Problems> {
        let Ready { recipe, practice, .. } = self.of.ready;
        let round = self.of.ready.round_of(self.step + 1);
        let began = Instant::now();
        self.speak()?;
        let Some(Drawn { samples, run }) = self.rollouts.round(round, self.of.watch.stop)? else { return Ok(false) };
        let (groups, unscored) = answers::groups(&samples, self.of.ready);
        let drawn_s = began.elapsed().as_secs_f64();
        if groups.is_empty() {
            return Err(TrainingFailure::Unjudged { answers: samples.len(), place: Place::file(&run) }.into());
        }
        let (documents, too_long) = answers::documents(&groups, practice.spread, recipe.sequence);
        let mut answers = Round::new(documents, recipe.sequence, recipe.micro_batch);
        if practice.reins.kl > 0.0 {
            answers.refer(&mut self.pupil, &self.initial)?;
        }
        for pass in 0..practice.passes {
            let step = self.step + 1;
            let lr = rate(&self.schedule, step, self.of.ready.steps());
            let key = seed::key(recipe.seed, &["dropout", &step.to_string()]);
            let how = update(recipe, step, lr);
            let (sums, norm) = answers.step(&mut self.pupil, (practice.reins, &how, pass == 0), key)?;
            let told = told(round, &groups, &sums, (unscored + too_long, drawn_s));
            self.record((step, lr, norm), &answers, (&sums, told), began)?;
            self.step = step;
        }
        Ok(true)
    }

    fn record(
        &mut self,
        (step, lr, norm): (u64, f64, f64),
        answers: &Round,
        (sums, told): (&Sums, PracticeRecord),
        began: Instant,
    ) -> Result<(), Problems> {
        let elapsed_s = began.elapsed().as_secs_f64().max(1e-9);
        let record = StepRecord {
            step,
            loss: Some(sums.loss).filter(|loss| loss.is_finite()),
            lr,
            grad_norm: Some(norm).filter(|norm| norm.is_finite()),
            tokens: answers.tokens() as u64,
            targets: answers.targets() as u64,
            tokens_per_s: answers.tokens() as f64 / elapsed_s,
            peak_mib: memory::peak().map(|bytes| bytes as f64 / f64::from(1 << 20)),
            elapsed_s,
            practice: Some(told.clone()),
        };
        self.folder.step(&record)?;
        let place = Place::new(self.folder.steps(), usize::try_from(step).unwrap_or(0), 0);
        if !sums.loss.is_finite() || !norm.is_finite() {
            let what = format!("loss is {}, gradient norm {norm}", sums.loss);
            checkpoint::set_aside(&self.folder.checkpoints(), self.step);
            let recipe = &self.of.ready.recipe;
            return Err(conclude::not_finite(recipe, self.folder, (what, self.schedule.lr), (step, lr, norm)).into());
        }
        self.of.watch.observer.step(&record);
        let (signs, outlook) = self.health.look(&told, &place);
        for sign in &signs {
            self.of.watch.observer.warning(sign);
        }
        if let Outlook::Hopeless(failure) = outlook {
            return Err(failure.into());
        }
        self.level = outlook == Outlook::Level;
        Ok(())
    }

    /// Writes the file through which the policy speaks.
    fn speak(&self) -> Result<(), Problems> {
        for (path, before) in self.of.ready.judges().into_iter().zip(&self.judges) {
            let now = judge(path)?;
            if now != *before {
                let reason = "it has changed since the run began".to_owned();
                return Err(TrainingFailure::Judge { reason, place: Place::file(path) }.into());
            }
        }
        self.maker.export(&self.pupil.save()?, &self.rollouts.policy())
    }

    /// Asks the held-out cases, and records what the answers were worth; false when it was stopped meanwhile.
    fn evaluate(&mut self) -> Result<bool, Problems> {
        let began = Instant::now();
        self.speak()?;
        let Some(drawn) = self.rollouts.held_out(self.of.watch.stop)? else { return Ok(false) };
        let scores: Vec<BTreeMap<String, f64>> = drawn.samples.iter().map(answers::scores).collect();
        let rewards: Vec<f64> = scores.iter().filter_map(|scores| self.of.ready.worth(scores)).collect();
        if rewards.is_empty() {
            return Err(TrainingFailure::Unjudged { answers: scores.len(), place: Place::file(&drawn.run) }.into());
        }
        let reward = mean(rewards.iter().copied());
        let best = self.progress.add(self.step, -reward);
        let record = EvaluationRecord {
            step: self.step,
            held_out_loss: -reward,
            perplexity: None,
            accuracy: None,
            scores: means(&scores),
            run: drawn.run.strip_prefix(self.folder.path()).ok().map(Path::to_path_buf),
            best,
            says: Vec::new(),
            elapsed_s: began.elapsed().as_secs_f64(),
        };
        self.folder.evaluation(&record)?;
        let found = self.progress.best();
        self.folder.note(|header| header.best = found)?;
        self.of.watch.observer.evaluated(&record);
        Ok(true)
    }

    /// Writes the checkpoint of the last step, where it is not there yet, and deletes those that are no longer needed.
    fn keep(&mut self) -> Result<(), Problems> {
        let folder = self.folder.checkpoints();
        if self.step > 0 && !checkpoint::path(&folder, self.step).exists() {
            let saved = self.pupil.save()?;
            self.folder.sync()?;
            checkpoint::write(&folder, self.step, &self.of.ready.identity, saved)?;
        }
        let best = self.progress.best().map(|best| best.step);
        checkpoint::prune(&folder, self.of.ready.recipe.checkpoint.keep, best);
        Ok(())
    }
}

/// SHA-256 of a reward model.
fn judge(file: &Path) -> Result<String, Problems> {
    let unread = |error: std::io::Error| TrainingFailure::Judge { reason: error.to_string(), place: Place::file(file) };
    Ok(sha256_file(file).map_err(unread)?)
}

/// The numbers of a step.
fn told(round: u64, groups: &[Group], sums: &Sums, (left_out, drawn_s): (usize, f64)) -> PracticeRecord {
    let answers = || groups.iter().flat_map(|group| &group.answers);
    let count = answers().count().max(1) as f64;
    let rewards: Vec<f64> = answers().map(|answer| answer.reward).collect();
    let reward = mean(rewards.iter().copied());
    let same = |pair: &[Answer]| (pair[0].reward - pair[1].reward).abs() <= 0.0;
    let level = |group: &&Group| group.answers.windows(2).all(same);
    let tokens = sums.tokens.max(1) as f64;
    PracticeRecord {
        round,
        answers: rewards.len(),
        left_out,
        reward,
        spread: mean(rewards.iter().map(|one| (one - reward).powi(2))).sqrt(),
        scores: means(&answers().map(|answer| answer.scores.clone()).collect::<Vec<_>>()),
        kl: sums.kl / tokens,
        ratio: sums.ratio / tokens,
        clipped: sums.cut as f64 / tokens,
        entropy: sums.surprise / tokens,
        length: answers().map(|answer| answer.tokens.len() as f64).sum::<f64>() / count,
        silent: groups.iter().filter(level).count() as f64 / groups.len().max(1) as f64,
        unstopped: answers().filter(|answer| !answer.stopped).count() as f64 / count,
        parity: sums.apart.0 / sums.apart.1.max(1) as f64,
        ratio_engine: if sums.apart.1 == 0 { 1.0 } else { sums.against_engine / sums.apart.1 as f64 },
        drawn_s,
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1) as f64;
    values.sum::<f64>() / n
}

/// The mean of each scorer over the answers that it could judge.
fn means(scores: &[BTreeMap<String, f64>]) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, (f64, usize)> = BTreeMap::new();
    for (name, score) in scores.iter().flatten() {
        let sum = sums.entry(name.clone()).or_default();
        *sum = (sum.0 + score, sum.1 + 1);
    }
    sums.into_iter().map(|(name, (sum, count))| (name, sum / count as f64)).collect()
}
