//! From a trained file, a run or a file of pairs back to what it was made from: base, recipe, data, judges, suite, and what those were
//! made from in turn. Everything is known by its SHA-256, so that a step can say whether it still is what it was.
//!
//! A trained file says of which recipe and base it is; the training run that made it, found by the file's own hash, knows the rest.
//! Files of pairs have a note of their origin beside them ([`Origins`]), rankings name the runs that they judge.

mod asked;
mod find;
mod training;

use crate::error::{Explain, Place, Problems};
use crate::gguf::{Gguf, sha256_file};
use crate::store::{ModelRecord, Origins, read_header, samples_file};
use asked::asked;
use find::Finder;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What `tripos fix` calls the folder of its training run, beside the adapter.
pub(super) const TRAINING: &str = "training";

/// Whether something is what it was when it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Byte for byte.
    Same,
    /// It is there, and is another.
    Changed,
    /// It is not there.
    Gone,
    /// Nothing to compare it with was recorded.
    Unrecorded,
}

/// One thing, and what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// What it is to the step above: base, recipe, data, judge …; what it is, for the first.
    pub role: String,
    /// Its file or folder.
    pub path: PathBuf,
    /// Whether it is what it was.
    pub state: State,
    /// SHA-256 by which it was known, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// What it was made from.
    pub from: Vec<Step>,
}

/// Why there is no way back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct NoWay {
    what: String,
    place: Place,
}

impl Explain for NoWay {
    fn at(&self) -> Option<&Place> {
        Some(&self.place)
    }

    fn help(&self) -> Option<String> {
        Some(
            "give a GGUF file, the folder of a run or of a training run, or a file that `tripos preferences` wrote"
                .into(),
        )
    }
}

/// SHA-256 of a file, or of the samples of a run's folder, in hex.
///
/// # Errors
/// What cannot be read.
pub fn content(path: &Path) -> std::io::Result<String> {
    sha256_file(&if path.is_dir() { samples_file(path) } else { path.to_path_buf() })
}

/// The way back from a file or a run. Training runs are looked for in `trainings`, around their file, and where `tripos fix` has them, in a
/// folder `training` beside it; runs in `runs`, each a folder of such.
///
/// # Errors
/// What is neither.
pub fn lineage(path: &Path, runs: &[PathBuf], trainings: &[PathBuf]) -> Result<Step, Problems> {
    if !path.exists() {
        let what = format!("cannot read `{}`: it does not exist", path.display());
        return Err(NoWay { what, place: Place::file(path) }.into());
    }
    let mut way = Way { find: Finder::new(runs, trainings), seen: BTreeSet::new() };
    let mut step = if path.is_dir() { way.folder(path) } else { way.file("file", path, None) };
    if step.from.is_empty() && step.says.is_none() {
        let what = format!("`{}` does not say what it was made from", path.display());
        return Err(NoWay { what, place: Place::file(path) }.into());
    }
    if step.state == State::Unrecorded {
        // It is the thing that is asked about.
        step.state = State::Same;
    }
    Ok(step)
}

/// The way so far: what was gone through is not gone through again.
struct Way {
    find: Finder,
    seen: BTreeSet<String>,
}

impl Way {
    /// A step that is compared with what was recorded of it.
    fn step(role: &str, path: &Path, recorded: Option<&str>) -> Step {
        let now = content(path).ok();
        let state = match (recorded, &now) {
            (_, None) => State::Gone,
            (None, Some(_)) => State::Unrecorded,
            (Some(recorded), Some(now)) if recorded == now => State::Same,
            _ => State::Changed,
        };
        let sha256 = recorded.map(str::to_owned).or(now);
        Step { role: role.to_owned(), path: path.to_path_buf(), state, sha256, says: None, from: Vec::new() }
    }

    /// A file with what it was made from: as long as it is what it was, since of something else nothing is known.
    fn file(&mut self, role: &str, path: &Path, recorded: Option<&str>) -> Step {
        let mut step = Self::step(role, path, recorded);
        let known = [State::Same, State::Unrecorded].contains(&step.state);
        let Some(sha256) = step.sha256.clone().filter(|_| known) else { return step };
        if !self.seen.insert(sha256.clone()) {
            step.says = Some("as above".into());
            return step;
        }
        match Gguf::open(path) {
            Ok(gguf) => self.of_gguf(&gguf, &sha256, &mut step),
            Err(_) => self.of_note(&sha256, &mut step),
        }
        step
    }

    /// Of a model or an adapter: the run that made it, or else what the file itself says.
    fn of_gguf(&mut self, gguf: &Gguf, sha256: &str, step: &mut Step) {
        let said = |key: &str| gguf.metadata().text(key);
        let folder = step.path.parent().unwrap_or(Path::new("")).to_path_buf();
        let by = (said("tripos.recipe.sha256"), said("tripos.base.sha256"));
        if let Some((run, same)) = self.find.maker(sha256, by, &folder) {
            let mut made = self.training(&run);
            if !same {
                let says = made.says.unwrap_or_default();
                made.says = Some(format!(
                    "{says}; the newest of this recipe and base, which made another file (quantised since, say)"
                ));
            }
            step.from.push(made);
            return;
        }
        for (role, key) in [("base", "tripos.base"), ("adapter", "tripos.adapter")] {
            let (Some(name), Some(sha256)) = (said(&format!("{key}.file")), said(&format!("{key}.sha256"))) else {
                continue;
            };
            let path = find::model(name, sha256, &folder).unwrap_or_else(|| folder.join(name));
            step.from.push(self.file(role, &path, Some(sha256)));
        }
        if let Some(recipe) = said("tripos.recipe.sha256") {
            step.says = Some(format!("of the recipe {}, whose training run is not here", short(recipe)));
        }
    }

    /// Of another file: what the note beside it says, or the runs that rankings name.
    fn of_note(&mut self, sha256: &str, step: &mut Step) {
        if let Some(note) = Origins::read(&step.path).filter(|note| note.sha256 == sha256) {
            for origin in note.from {
                let (path, known) = (&origin.file.path, Some(origin.file.sha256.as_str()));
                let from = if path.is_dir() { self.run(path, known) } else { self.file(&origin.kind, path, known) };
                step.from.push(from);
            }
            return;
        }
        for run in find::runs_named(&step.path) {
            step.from.push(match self.find.run(&run) {
                Some(folder) => self.run(&folder, None),
                None => Step {
                    role: "run".into(),
                    path: run.into(),
                    state: State::Gone,
                    sha256: None,
                    says: None,
                    from: vec![],
                },
            });
        }
    }

    fn folder(&mut self, path: &Path) -> Step {
        if read_header(path).is_ok() { self.run(path, None) } else { self.training(path) }
    }

    /// A run: the suite that it asked, and the models that it asked and judged with.
    fn run(&mut self, path: &Path, recorded: Option<&str>) -> Step {
        let mut step = Self::step("run", path, recorded);
        let Ok(header) = read_header(path) else { return step };
        step.says = Some(format!("{} samples asked for of suite {}", header.trials, header.suite_name));
        if !self.seen.insert(path.display().to_string()) {
            step.says = Some("as above".into());
            return step;
        }
        step.from.push(asked(path, &header));
        for (name, model) in &header.models {
            let known = step.from.iter().any(|other: &Step| other.sha256.as_ref() == Some(&model.facts.sha256));
            if !known || model.adapter.is_some() {
                self.models(&role(name), model, &mut step);
            }
        }
        step
    }

    fn models(&mut self, role: &str, model: &ModelRecord, step: &mut Step) {
        let facts = &model.facts;
        if !step.from.iter().any(|other| other.sha256.as_ref() == Some(&facts.sha256)) {
            let made = if facts.is_served() {
                let (path, says) = (facts.path.clone(), Some("behind a server, which may run another by now".into()));
                let (role, state) = (role.to_owned(), State::Unrecorded);
                Step { role, state, sha256: Some(facts.sha256.clone()), says, from: vec![], path }
            } else {
                self.file(role, &facts.path, Some(&facts.sha256))
            };
            step.from.push(made);
        }
        if let Some((path, sha256, _)) = &model.adapter {
            step.from.push(self.file(&format!("{role}'s adapter"), path, Some(sha256)));
        }
    }
}

/// What a model is to a run, by its name in the header.
fn role(name: &str) -> String {
    match name.split_once(' ') {
        Some((kind @ ("judge" | "classifier" | "reward"), scorer)) => format!("{kind} `{scorer}`"),
        _ => "model".to_owned(),
    }
}

/// The beginning of a hash, for people.
#[must_use]
pub fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}
