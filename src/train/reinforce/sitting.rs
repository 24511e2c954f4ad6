//! One sitting of practice: round after round, from the base to the trained file, whether it begins or goes on.

use super::answers::{self, Group};
use super::health::{Health, Outlook};
use super::ready::{Ready, judge};
use super::rollouts::{Drawn, Rollouts};
use super::round::{Round, Sums};
use crate::error::{Place, Problems};
use crate::model::{Decoder, Lineage, Saved};
use crate::run::RunSettings;
use crate::seed;
use crate::store::training::{EvaluationRecord, PracticeRecord, StepRecord, Stop, TrainingFolder, read_steps};
use crate::train::checkpoint;
use crate::train::conclude::{self, Begun, Finished};
use crate::train::failure::TrainingFailure;
use crate::train::learner::{Learner, Pupil, Timed};
use crate::train::maker::Maker;
use crate::train::memory;
use crate::train::observer::Watch;
use crate::train::product::Product;
use crate::train::progress::Progress;
use crate::train::recipe::{Against, Schedule};
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
        let mut initial = pupil.save()?;
        // A critic begins by expecting nothing: what it took by chance for worth something would move the policy.
        for head in initial.iter_mut().filter(|saved| saved.name.starts_with("head.")) {
            head.values.fill(0.0);
        }
        pupil.restore(&initial)?;
        if let Some(saved) = saved {
            pupil.restore(&saved)?;
        }
        let held = pupil.decoder.memory();
        folder.note(|header| header.memory.held = Some(held))?;
        let judges = self.ready.judges().iter().map(|(_, sha256)| sha256.clone()).collect();
        let lineage = Lineage { rewards: judges, ..conclude::lineage(recipe, base, identity) };
        let maker = Maker { recipe, base, lineage: &lineage, heads: None, questions: &[], machine: self.machine };
        let rollouts = Rollouts::new(self.ready, self.machine, folder.path());
        let step = folder.header().segments.last().map_or(0, |segment| segment.from_step);
        let progress = Progress::of(&folder.evaluations()?);
        let schedule = Schedule { lr, ..recipe.schedule };
        let (health, outlook) = Health::of(&read_steps(folder.path())?, self.ready.rules());
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
            health,
            level: outlook == Outlook::Level,
            grad_norm: f64::NAN,
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
    health: Health,
    /// No answer is worth more than another any more.
    level: bool,
    /// The gradient's norm in the last step; NaN before the first of this sitting.
    grad_norm: f64,
}

impl Reinforcer<'_, '_> {
    fn run(&mut self) -> Result<Ended, Problems> {
        let recipe = &self.of.ready.recipe;
        let steps = self.of.ready.steps();
        self.of.watch.observer.began(self.folder.header(), self.step);
        // One that was cut short, too.
        if self.is_due(recipe.evaluate.every) && !self.progress.has(self.step) && !self.evaluate()? {
            return Ok(Ended::Interrupted);
        }
        while self.step < steps && !self.level && !self.progress.is_over(recipe.evaluate.patience) {
            if self.is_to_stop() || !self.round()? {
                self.keep()?;
                return Ok(Ended::Interrupted);
            }
            if self.is_due(recipe.checkpoint.every) || self.is_due(recipe.evaluate.every) {
                self.keep()?;
            }
            if self.is_due(recipe.evaluate.every) && !self.evaluate()? {
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

    /// Whether what is done every so many steps is done behind the last round, or before the first; never for 0.
    fn is_due(&self, every: u64) -> bool {
        let before = self.step.saturating_sub(self.of.ready.practice.passes);
        let last = self.level || self.step >= self.of.ready.steps();
        every > 0 && (self.step == 0 || last || self.step / every > before / every)
    }

    /// Makes one round and records its steps; false when it was stopped in its middle, which changes nothing.
    fn round(&mut self) -> Result<bool, Problems> {
        let Ready { recipe, practice, .. } = self.of.ready;
        let round = self.of.ready.round_of(self.step + 1);
        let began = Instant::now();
        self.speak()?;
        let Some(Drawn { samples, run }) = self.rollouts.round(round, self.of.watch.stop)? else { return Ok(false) };
        let (groups, unscored) = answers::groups(&samples, self.of.ready);
        let decoded = samples.iter().filter_map(|sample| sample.completion.as_ref()).map(|said| said.elapsed_s);
        let (drawing, decoding) = (began.elapsed().as_secs_f64(), decoded.sum());
        let mut seconds = Seconds { drawing, decoding, learning: 0.0 };
        let (documents, too_long) = answers::documents(&groups, practice.against, recipe.sequence);
        if documents.is_empty() {
            return Err(TrainingFailure::Unjudged { answers: samples.len(), place: Place::file(&run) }.into());
        }
        let sizes = (recipe.sequence, recipe.micro_batch);
        let mut answers = Round::new(documents, (practice.reins, practice.against), sizes);
        let mut pupil = Timed { learner: &mut self.pupil, seconds: 0.0 };
        answers.prepare(&mut pupil, &self.initial)?;
        seconds.learning = pupil.seconds;
        let (mut first, mut since) = (None, began);
        for pass in 0..practice.passes {
            let step = self.step + 1;
            let lr = rate(&self.schedule, step, self.of.ready.steps());
            let key = seed::key(recipe.seed, &["dropout", &step.to_string()]);
            let how = update(recipe, step, lr);
            let mut pupil = Timed { learner: &mut self.pupil, seconds: seconds.learning };
            let (now, norm) = answers.step(&mut pupil, (&how, pass == 0), key)?;
            let sums = now.with(first.get_or_insert(now));
            seconds.learning = pupil.seconds;
            let told = told((round, practice.against), (&groups, &sums), [unscored, too_long], seconds);
            self.record((step, lr, norm), &answers, (&sums, told), since)?;
            since = Instant::now();
            (self.step, self.grad_norm) = (step, norm);
        }
        Ok(true)
    }

    fn record(
        &mut self,
        (step, lr, norm): (u64, f64, f64),
        answers: &Round,
        (sums, told): (&Sums, PracticeRecord),
        since: Instant,
    ) -> Result<(), Problems> {
        let elapsed_s = since.elapsed().as_secs_f64().max(1e-9);
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
            return Err(self
                .not_finite(format!("loss is {}, gradient norm {norm}", sums.loss), (step, lr, norm))
                .into());
        }
        self.of.watch.observer.step(&record);
        let Some((signs, outlook)) = self.health.look(&told, &place) else { return Ok(()) };
        for sign in &signs {
            self.of.watch.observer.warning(sign);
        }
        if let Outlook::Hopeless(failure) = outlook {
            return Err(failure.into());
        }
        self.level = outlook == Outlook::Level;
        Ok(())
    }

    /// The numbers went out of bounds with what was learned by now: this step's checkpoint is none to go on from.
    fn not_finite(&self, what: String, step: (u64, f64, f64)) -> TrainingFailure {
        checkpoint::set_aside(&self.folder.checkpoints(), self.step);
        conclude::not_finite(&self.of.ready.recipe, self.folder, (what, self.schedule.lr), step)
    }

    /// Writes the file through which the policy speaks.
    fn speak(&self) -> Result<(), Problems> {
        for (path, before) in self.of.ready.judges() {
            if judge(path)? != *before {
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
        let rewards: Vec<f64> =
            drawn.samples.iter().filter_map(|sample| answers::reward(sample, self.of.ready)).collect();
        if rewards.is_empty() {
            return Err(TrainingFailure::Unjudged { answers: scores.len(), place: Place::file(&drawn.run) }.into());
        }
        let reward = mean(rewards.iter().copied());
        // `0 − x`, so that nothing is 0 and not −0.
        let held_out_loss = 0.0 - reward;
        let best = self.progress.add(self.step, held_out_loss);
        let record = EvaluationRecord {
            step: self.step,
            held_out_loss,
            perplexity: None,
            accuracy: None,
            scores: means(&scores),
            left_out: drawn.samples.len() - rewards.len(),
            run: drawn.run.strip_prefix(self.folder.path()).ok().map(Path::to_path_buf),
            best,
            says: Vec::new(),
            elapsed_s: began.elapsed().as_secs_f64(),
        };
        self.folder.evaluation(&record)?;
        let found = self.progress.best();
        self.folder.note(|header| header.best = found)?;
        self.prune();
        self.of.watch.observer.evaluated(&record);
        Ok(true)
    }

    /// Writes the checkpoint of the last step, where it is not there yet, and deletes those that are no longer needed.
    fn keep(&mut self) -> Result<(), Problems> {
        let folder = self.folder.checkpoints();
        if self.step > 0 && !checkpoint::path(&folder, self.step).exists() {
            let saved = self.pupil.save()?;
            if !conclude::is_finite(&saved) {
                let lr = rate(&self.schedule, self.step, self.of.ready.steps());
                return Err(self
                    .not_finite("a weight is no finite number".to_owned(), (self.step, lr, self.grad_norm))
                    .into());
            }
            // A checkpoint that is ahead of the lines of its steps could not be gone on from.
            self.folder.sync()?;
            checkpoint::write(&folder, self.step, &self.of.ready.identity, saved)?;
        }
        self.prune();
        Ok(())
    }

    fn prune(&self) {
        let best = self.progress.best().map(|best| best.step);
        checkpoint::prune(&self.folder.checkpoints(), self.of.ready.recipe.checkpoint.keep, best);
    }
}

/// Where the seconds of a round went, as [`PracticeRecord`] has them.
#[derive(Debug, Clone, Copy)]
struct Seconds {
    drawing: f64,
    decoding: f64,
    learning: f64,
}

/// The numbers of a step.
fn told(
    (round, against): (u64, Against),
    (groups, sums): (&[Group], &Sums),
    [unscored, too_long]: [usize; 2],
    seconds: Seconds,
) -> PracticeRecord {
    let answers = || groups.iter().flat_map(|group| &group.answers);
    let count = answers().count().max(1) as f64;
    let rewards: Vec<f64> = answers().map(|answer| answer.reward).collect();
    let reward = mean(rewards.iter().copied());
    let level = |rewards: &[f64]| rewards.windows(2).all(|pair| (pair[0] - pair[1]).abs() <= 0.0);
    let silent = match against {
        // A critic tells prompts apart: nothing is learned only of a round that is level as a whole.
        Against::Critic(_) => f64::from(u8::from(level(&rewards))),
        Against::Group { .. } => mean(groups.iter().map(|group| {
            let rewards: Vec<f64> = group.answers.iter().map(|answer| answer.reward).collect();
            f64::from(u8::from(level(&rewards)))
        })),
    };
    let tokens = sums.tokens.max(1) as f64;
    PracticeRecord {
        round,
        answers: rewards.len() + unscored,
        left_out: unscored + too_long,
        reward,
        spread: mean(rewards.iter().map(|one| (one - reward).powi(2))).sqrt(),
        scores: means(&answers().map(|answer| answer.scores.clone()).collect::<Vec<_>>()),
        kl: sums.kl / tokens,
        ratio: sums.ratio / tokens,
        clipped: sums.cut as f64 / tokens,
        entropy: sums.surprise / tokens,
        length: answers().map(|answer| answer.tokens.len() as f64).sum::<f64>() / count,
        silent,
        unstopped: answers().filter(|answer| !answer.stopped).count() as f64 / count,
        parity: sums.apart.0 / sums.apart.1.max(1) as f64,
        foreseen: against.critic().map(|_| sums.foreseen()),
        ratio_engine: if sums.apart.1 == 0 { 1.0 } else { sums.against_engine / sums.apart.1 as f64 },
        drawn_s: seconds.drawing,
        decoded_s: seconds.decoding,
        learned_s: seconds.learning,
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
