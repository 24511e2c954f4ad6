//! One sitting of a training run: from parity to the trained file, whether it begins or goes on.

use super::checkpoint;
use super::examine::examine;
use super::failure::TrainingFailure;
use super::learner::{Learner, Pupil};
use super::lessons::{Lessons, material};
use super::maker::{HeadOf, Maker};
use super::observer::Watch;
use super::parity;
use super::prepare::Prepared;
use super::product::Product;
use super::progress::Progress;
use super::recipe::{Kind, Schedule};
use super::reference::Reference;
use super::trainer::{Ended, Lesson, Trainer};
use crate::engine::Render;
use crate::error::{Place, Problems};
use crate::gguf::sha256_file;
use crate::model::{Decoder, Estimate, Lineage, Settings};
use crate::run::RunSettings;
use crate::store::Status;
use crate::store::training::{
    FileRecord, MemoryRecord, Outcome, ParityRecord, SCHEMA, Stop, TrainingFolder, TrainingHeader, TrainingSegment,
};
use crate::suite::PromptFile;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a sitting works with.
#[derive(Debug, Clone, Copy)]
pub struct Sitting<'a> {
    /// The recipe, ready.
    pub prepared: &'a Prepared,
    /// How the machine is used.
    pub machine: &'a RunSettings,
    /// Who watches.
    pub watch: Watch<'a>,
    /// The flags that shape the run, for its header.
    pub flags: &'a BTreeMap<String, Value>,
    /// Copy the trained file to the recipe's `output`.
    pub copy: bool,
}

/// What was measured before the first step.
struct Measured<'a> {
    lessons: Lessons<'a>,
    settings: Settings,
    needs: Estimate,
    memory: MemoryRecord,
    parity: ParityRecord,
}

impl<'a> Sitting<'a> {
    /// Begins a run in a folder of its own in `parent`.
    pub fn begin(&self, parent: &Path) -> Result<(PathBuf, Ended), Problems> {
        let measured = self.measure()?;
        let mut folder = TrainingFolder::create(parent, self.header(&measured), self.segment(0, self.peak()))?;
        let ended = self.attend(&measured, &mut folder, self.peak(), None);
        Self::closed(folder, ended)
    }

    /// Goes on with a run from its newest checkpoint, with another peak of the learning rate where one is given.
    pub fn go_on(&self, mut folder: TrainingFolder, lr: Option<f64>) -> Result<(PathBuf, Ended), Problems> {
        self.prepared.is_of(folder.header(), folder.path())?;
        checkpoint::tidy(&folder.checkpoints());
        checkpoint::tidy(folder.path());
        let newest = checkpoint::list(&folder.checkpoints()).pop();
        let saved = newest.map(|(_, file)| checkpoint::read(&file, &self.prepared.identity)).transpose()?;
        let measured = self.measure()?;
        let lr = lr.or(folder.header().lr()).unwrap_or(self.peak());
        let from = saved.as_ref().map_or(0, |(step, _)| *step);
        folder.begin_again(self.segment(from, lr))?;
        // What was the best may be of a step that is made again.
        let best = Progress::of(&folder.evaluations()?).best();
        folder.note(|header| (header.parity, header.best) = (Some(measured.parity.clone()), best))?;
        let ended = self.attend(&measured, &mut folder, lr, saved.map(|(_, saved)| saved));
        Self::closed(folder, ended)
    }

    /// Notes how it ended. Where it failed, the problem at hand is what is said, not that the header could not be written.
    fn closed(mut folder: TrainingFolder, ended: Result<Ended, Problems>) -> Result<(PathBuf, Ended), Problems> {
        let status = match &ended {
            Ok(Ended::Complete(_)) => Status::Complete,
            Ok(Ended::Interrupted) => Status::Interrupted,
            Err(_) => Status::Failed,
        };
        let closed = folder.close(status);
        let ended = ended?;
        closed?;
        Ok((folder.path().to_path_buf(), ended))
    }

    /// The peak of the learning rate, as the recipe has it.
    fn peak(&self) -> f64 {
        self.prepared.recipe.schedule.lr
    }

    fn segment(&self, from_step: u64, lr: f64) -> TrainingSegment {
        let build = format!("tripos {}, {}", env!("CARGO_PKG_VERSION"), self.machine.llama_cpp);
        TrainingSegment { started: String::new(), ended: None, from_step, lr, build, threads: self.machine.threads }
    }

    /// Memory and parity, before anything is made.
    fn measure(&self) -> Result<Measured<'a>, Problems> {
        let lessons = self.prepared.lessons();
        let settings = self.prepared.settings(&lessons, self.machine.threads);
        let (needs, memory) = self.prepared.estimate(&settings)?;
        let sample = parity::sample(lessons.examples());
        if sample.is_empty() {
            return Err(TrainingFailure::NothingToCompare { place: self.prepared.recipe.place("data") }.into());
        }
        let parity = parity::measure(&self.prepared.recipe.model, &settings, &sample, self.machine)?;
        self.watch.observer.parity(&parity);
        Ok(Measured { lessons, settings, needs, memory, parity })
    }

    fn header(&self, measured: &Measured) -> TrainingHeader {
        let Prepared { recipe, data, identity, .. } = self.prepared;
        let from_root = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        TrainingHeader {
            schema: SCHEMA,
            run: String::new(),
            status: Status::Started,
            tripos: env!("CARGO_PKG_VERSION").to_owned(),
            llama_cpp: self.machine.llama_cpp.clone(),
            features: self.machine.features.clone(),
            recipe_name: recipe.name.clone(),
            recipe_path: from_root(&recipe.path),
            recipe: recipe.json(),
            recipe_sha256: identity.recipe.clone(),
            flags: self.flags.clone(),
            base: FileRecord {
                path: if recipe.from_nothing.is_some() { "from nothing".into() } else { from_root(&recipe.model) },
                sha256: identity.base.clone(),
            },
            material: material(&measured.lessons, &data.train, &data.held_out),
            labels: data.labels.clone(),
            parameters: measured.needs.parameters,
            trained: measured.needs.trained,
            steps: measured.lessons.steps(),
            parity: Some(measured.parity.clone()),
            memory: measured.memory,
            segments: Vec::new(),
            started: String::new(),
            ended: None,
            best: None,
            outcome: None,
        }
    }

    /// Learns, and exports what was learned best.
    fn attend(
        &self,
        measured: &Measured,
        folder: &mut TrainingFolder,
        lr: f64,
        saved: Option<Vec<crate::model::Saved>>,
    ) -> Result<Ended, Problems> {
        let Prepared { recipe, base, identity, questions, .. } = self.prepared;
        let decoder = Decoder::open(&recipe.model, &measured.settings)?;
        let mut pupil = Pupil { decoder, shape: measured.settings.shape.clone() };
        let reference = match recipe.kind {
            Kind::Dpo => Reference::read(&mut pupil, &measured.lessons, self.watch.stop)?,
            _ => Reference::default(),
        };
        if let Some(saved) = saved {
            pupil.restore(&saved)?;
        }
        let held = pupil.decoder.memory();
        folder.note(|header| header.memory.held = Some(held))?;
        let file = recipe.model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lineage = Lineage {
            base: recipe.from_nothing.is_none().then(|| (identity.base.clone(), file)),
            recipe_sha256: identity.recipe.clone(),
            parent: base.metadata().text("tripos.recipe.sha256").map(|_| identity.base.clone()),
        };
        let axes = self.axes();
        let maker =
            Maker { recipe, base, lineage: &lineage, heads: self.heads(&axes), questions, machine: self.machine };
        let schedule = Schedule { lr, ..recipe.schedule };
        let lesson =
            Lesson { recipe, schedule: &schedule, lessons: &measured.lessons, identity, reference: &reference };
        let ended = Trainer::new(lesson, (&mut pupil, &maker), folder, self.watch)?.run()?;
        if let Ended::Complete(stop) = ended {
            self.finish(folder, maker, (pupil, &measured.lessons), stop)?;
        }
        Ok(ended)
    }

    /// What is known of the head before it has learned.
    fn heads<'m>(&'m self, axes: &'m [String]) -> Option<HeadOf<'m>> {
        let Prepared { recipe, data, .. } = self.prepared;
        match (recipe.kind, recipe.judging) {
            (Kind::Classify, _) => {
                let chat = recipe.data.iter().filter_map(|source| source.prompt.as_ref()).any(PromptFile::is_chat);
                let render = if chat { Render::Chat } else { Render::Text };
                Some(HeadOf::Labels { labels: &data.labels, render })
            }
            (Kind::Reward, Some(judging)) => Some(HeadOf::Reward { axes, render: judging.render, scale: (0.0, 1.0) }),
            _ => None,
        }
    }

    /// By what the answers were judged that are learned from, sorted.
    fn axes(&self) -> Vec<String> {
        let judged = self.prepared.data.train.groups.iter().flat_map(|group| &group.judged);
        judged.filter_map(|judged| judged.axis.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Writes what was learned best as the run's file.
    #[allow(clippy::cast_possible_truncation, reason = "a file keeps f32")]
    fn finish(
        &self,
        folder: &mut TrainingFolder,
        mut maker: Maker,
        (mut pupil, lessons): (Pupil, &Lessons),
        stop: Stop,
    ) -> Result<(), Problems> {
        let progress = Progress::of(&folder.evaluations()?);
        if let (Some(before), Some(best)) = (progress.first(), progress.best())
            && best.loss >= before
        {
            let place = Place::file(folder.path());
            self.watch.observer.warning(&TrainingFailure::NoBetter { loss: best.loss, before, place });
        }
        let kept = checkpoint::list(&folder.checkpoints());
        let last = kept.last().map_or(0, |(step, _)| *step);
        let step = progress.best().map_or(last, |best| best.step);
        let (_, saved) = checkpoint::read(&checkpoint::path(&folder.checkpoints(), step), &self.prepared.identity)?;
        let judging = match &mut maker.heads {
            Some(HeadOf::Reward { scale, .. }) => {
                pupil.restore(&saved)?;
                let found = examine(&mut pupil, lessons)?;
                *scale = (found.mean as f32, found.std as f32);
                Some(found)
            }
            _ => None,
        };
        drop(pupil);
        if let Some(found) = judging.as_ref().filter(|found| found.accuracy.n > 0 && !found.beats_length) {
            let place = self.prepared.recipe.place("data");
            let (reward, length) = (found.accuracy.value.unwrap_or(0.0), found.by_length.value.unwrap_or(0.0));
            self.watch.observer.warning(&TrainingFailure::NoMoreThanLength { reward, length, place });
        }
        let file = folder.path().join(maker.file_name());
        maker.export(&saved, &file)?;
        let copied_to = match &self.prepared.recipe.output {
            Some(output) if self.copy => Some(copy(&file, output)?),
            _ => None,
        };
        let sha256 = sha256_file(&file).map_err(|e| unwritten(&file, &e))?;
        let path = PathBuf::from(maker.file_name());
        let outcome = Outcome {
            stop,
            steps: last,
            exported_step: step,
            output: FileRecord { path, sha256 },
            copied_to,
            judging,
            suite_runs: Vec::new(),
        };
        folder.note(|header| header.outcome = Some(outcome))?;
        Ok(())
    }
}

fn unwritten(file: &Path, error: &std::io::Error) -> TrainingFailure {
    TrainingFailure::Write { what: "the trained model", reason: error.to_string(), place: Place::file(file) }
}

/// Copies a file; the copy appears whole or not at all.
pub fn copy(from: &Path, to: &Path) -> Result<PathBuf, Problems> {
    let work = || -> std::io::Result<()> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut copied = tempfile::NamedTempFile::new_in(folder)?;
        std::io::copy(&mut std::fs::File::open(from)?, &mut copied)?;
        copied.as_file().sync_all()?;
        #[cfg(unix)]
        std::fs::set_permissions(copied.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        copied.persist(to).map_err(|e| e.error)?;
        Ok(())
    };
    work().map_err(|e| unwritten(to, &e))?;
    Ok(to.to_path_buf())
}
