//! One sitting of a training run: from parity to the trained file, whether it begins or goes on.

use super::checkpoint;
use super::conclude::{self, Begun, Finished};
use super::examine::examine;
use super::failure::TrainingFailure;
use super::learner::{Learner, Pupil};
use super::lessons::{Lessons, material};
use super::maker::{HeadOf, Maker};
use super::observer::Watch;
use super::parity;
use super::prepare::Prepared;
use super::progress::Progress;
use super::recipe::{Kind, Schedule};
use super::reference::Reference;
use super::trainer::{Ended, Lesson, Trainer};
use crate::engine::Render;
use crate::error::Problems;
use crate::model::{Decoder, Estimate, Settings};
use crate::run::RunSettings;
use crate::store::training::{MemoryRecord, ParityRecord, Stop, TrainingFolder, TrainingHeader};
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
        let mut folder = TrainingFolder::create(parent, self.header(&measured), self.begun().segment(0, self.peak()))?;
        let ended = self.attend(&measured, &mut folder, self.peak(), None);
        conclude::closed(folder, ended)
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
        folder.begin_again(self.begun().segment(from, lr))?;
        // What was the best may be of a step that is made again.
        let best = Progress::of(&folder.evaluations()?).best();
        folder.note(|header| (header.parity, header.best) = (Some(measured.parity.clone()), best))?;
        let ended = self.attend(&measured, &mut folder, lr, saved.map(|(_, saved)| saved));
        conclude::closed(folder, ended)
    }

    /// The peak of the learning rate, as the recipe has it.
    fn peak(&self) -> f64 {
        self.prepared.recipe.schedule.lr
    }

    fn begun(&self) -> Begun<'_> {
        let Prepared { recipe, identity, .. } = self.prepared;
        Begun { recipe, identity, machine: self.machine, flags: self.flags }
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
        let data = &self.prepared.data;
        let material = material(&measured.lessons, &data.train, &data.held_out);
        let needs = (measured.needs, measured.memory);
        TrainingHeader {
            labels: data.labels.clone(),
            parity: Some(measured.parity.clone()),
            ..self.begun().header(material, needs, measured.lessons.steps())
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
        let lineage = conclude::lineage(recipe, base, identity);
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
        let Prepared { recipe, identity, .. } = self.prepared;
        let finished = Finished { recipe, identity, copy: self.copy, watch: self.watch };
        let (step, last, saved) = finished.best(folder)?;
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
            let place = recipe.place("data");
            let (reward, length) = (found.accuracy.value.unwrap_or(0.0), found.by_length.value.unwrap_or(0.0));
            self.watch.observer.warning(&TrainingFailure::NoMoreThanLength { reward, length, place });
        }
        finished.write(folder, &maker, (step, last, &saved), (stop, judging))
    }
}
