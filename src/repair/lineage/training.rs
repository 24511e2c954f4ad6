//! A training run: its recipe, base, data, suite and judges.

use super::{State, Step, Way, content};
use crate::store::suite_sha256;
use crate::store::training::{SourceRecord, TrainingHeader, read_training};
use crate::suite::{self, ModelRef, Overrides, ScorerKind, Suite};
use crate::train::recipe;
use std::path::{Path, PathBuf};

impl Way {
    pub(super) fn training(&mut self, folder: &Path) -> Step {
        let step = |state, says| Step {
            role: "training".into(),
            path: folder.to_path_buf(),
            state,
            sha256: None,
            says,
            from: Vec::new(),
        };
        let Ok(header) = read_training(folder) else { return step(State::Gone, None) };
        if !self.seen.insert(folder.display().to_string()) {
            return step(State::Same, Some("as above".into()));
        }
        let state = match &header.outcome {
            Some(outcome)
                if content(&folder.join(&outcome.output.path)).ok().as_ref() == Some(&outcome.output.sha256) =>
            {
                State::Same
            }
            Some(_) => State::Changed,
            None => State::Unrecorded,
        };
        let mut made = step(state, Some(says(&header)));
        made.from.push(recipe(&header));
        if !header.base.path.as_os_str().is_empty() {
            made.from.push(self.file("base", &header.base.path, Some(&header.base.sha256)));
        }
        if header.recipe.get("practice").is_some_and(|practice| !practice.is_null()) {
            made.from.extend(self.practised(&header));
        } else {
            for source in header.material.sources.iter().filter(|source| source.name != "generate") {
                made.from.push(self.source(source));
            }
        }
        made
    }

    /// A file of data, or the run whose answers were learned.
    fn source(&mut self, source: &SourceRecord) -> Step {
        let (path, known) = (PathBuf::from(&source.name), source.sha256.as_deref());
        if path.is_dir() { self.run(&path, known) } else { self.file("data", &path, known) }
    }

    /// The suite that was practised, and the reward models that judged.
    fn practised(&mut self, header: &TrainingHeader) -> Vec<Step> {
        let suites =
            header.material.sources.iter().map(|source| (PathBuf::from(&source.name), source.sha256.as_deref()));
        let mut steps = Vec::new();
        for (path, known) in suites {
            let asked = Overrides { model: Some(ModelRef::Gguf(header.base.path.clone())), ..Overrides::default() };
            let now = suite::load(&path, &asked).0;
            steps.push(practised(&path, known, now.as_ref()));
            for scorer in now.map(|suite| suite.scorers).unwrap_or_default() {
                if let ScorerKind::Reward(reward) = &scorer.kind {
                    // Of several it is told by content which one this is.
                    let now = content(&reward.file).ok();
                    let same = header.material.heads.iter().find(|head| Some(*head) == now.as_ref());
                    let recorded = same.or(header.material.heads.last()).map(String::as_str);
                    steps.push(self.file(&format!("reward `{}`", scorer.name), &reward.file, recorded));
                }
            }
        }
        steps
    }
}

/// The suite that was practised, by all that it asks: its words, prompts and cases.
fn practised(path: &Path, recorded: Option<&str>, now: Option<&Suite>) -> Step {
    let now = now.map(suite_sha256);
    let state = match (recorded, &now) {
        _ if !path.is_file() => State::Gone,
        (None, _) => State::Unrecorded,
        (Some(recorded), Some(now)) if recorded == now => State::Same,
        _ => State::Changed,
    };
    let sha256 = recorded.map(str::to_owned).or(now);
    Step { role: "practised suite".into(), path: path.to_path_buf(), state, sha256, says: None, from: Vec::new() }
}

/// What a training run was, in words.
fn says(header: &TrainingHeader) -> String {
    let kind = header.recipe.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default();
    match &header.outcome {
        Some(outcome) => format!("{kind}, step {} of {}, {}", outcome.exported_step, outcome.steps, header.build()),
        None => format!("{kind}, not complete"),
    }
}

/// The file of a base that lies elsewhere, as it was.
fn located(header: &TrainingHeader) -> suite::Located {
    let mut located = suite::Located::default();
    if let Some(uri) = header.recipe.get("uri").and_then(|uri| uri.as_str()) {
        located.insert(uri, header.base.path.clone());
    }
    located
}

/// The recipe, read again with what the command line said.
fn recipe(header: &TrainingHeader) -> Step {
    let path = header.recipe_path.clone();
    let flag = |name: &str| header.flags.get(name);
    let overrides = recipe::Overrides {
        seed: flag("seed").and_then(serde_json::Value::as_u64),
        model: flag("model").and_then(|model| model.as_str()).map(PathBuf::from),
        steps: flag("steps").and_then(serde_json::Value::as_u64),
        lr: flag("lr").and_then(serde_json::Value::as_f64),
        located: located(header),
    };
    let state = match recipe::load(&path, &overrides).0 {
        _ if !path.is_file() => State::Gone,
        Some(recipe) if recipe.sha256() == header.recipe_sha256 => State::Same,
        _ => State::Changed,
    };
    let sha256 = Some(header.recipe_sha256.clone());
    Step { role: "recipe".into(), path, state, sha256, says: None, from: Vec::new() }
}
