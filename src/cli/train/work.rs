//! What a recipe works with: data that is learned, or cases that are practised.

use super::super::failure::Failure;
use super::{Format, dry_run};
use crate::error::Problems;
use crate::run::RunSettings;
use crate::store::training::{TrainingFolder, TrainingHeader};
use crate::train::recipe::Recipe;
use crate::train::reinforce::{Practising, Ready};
use crate::train::trainer::Ended;
use crate::train::{Prepared, Sitting, Watch};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A recipe with all that it needs.
pub(super) enum Work {
    /// Documents.
    Data(Box<Prepared>),
    /// A suite's cases.
    Practice(Box<Ready>),
}

/// How a sitting is made.
pub(super) struct Sat<'a> {
    pub settings: &'a RunSettings,
    pub watch: Watch<'a>,
    pub flags: &'a BTreeMap<String, Value>,
    /// Copy the trained file to the recipe's output.
    pub copy: bool,
}

impl Work {
    /// Reads what the recipe names.
    pub(super) fn new(recipe: Recipe, settings: &RunSettings) -> Result<Self, Problems> {
        Ok(if recipe.kind.practises() {
            Self::Practice(Box::new(Ready::new(recipe, settings)?))
        } else {
            Self::Data(Box::new(Prepared::new(recipe, settings)?))
        })
    }

    pub(super) fn recipe(&self) -> &Recipe {
        match self {
            Self::Data(prepared) => &prepared.recipe,
            Self::Practice(ready) => &ready.recipe,
        }
    }

    /// The recipe, to leave out what is not to be done.
    pub(super) fn recipe_mut(&mut self) -> &mut Recipe {
        match self {
            Self::Data(prepared) => &mut prepared.recipe,
            Self::Practice(ready) => &mut ready.recipe,
        }
    }

    /// Prints what it would take; nothing is learned.
    pub(super) fn plan(&self, settings: &RunSettings, format: Format) -> Result<(), Failure> {
        match self {
            Self::Data(prepared) => dry_run::run(prepared, settings, format),
            Self::Practice(ready) => dry_run::practice(ready, settings, format),
        }
    }

    /// What the user should know.
    pub(super) fn warnings(&self) -> &Problems {
        match self {
            Self::Data(prepared) => &prepared.data.warnings,
            Self::Practice(ready) => &ready.warnings,
        }
    }

    /// Whether a run was begun with the same.
    pub(super) fn is_of(&self, recorded: &TrainingHeader, run: &Path) -> Result<(), Problems> {
        match self {
            Self::Data(prepared) => prepared.is_of(recorded, run),
            Self::Practice(ready) => ready.is_of(recorded, run),
        }
    }

    /// A run of its own in a folder of `parent`.
    pub(super) fn begin(&self, sat: &Sat, parent: &Path) -> Result<(PathBuf, Ended), Problems> {
        match self {
            Self::Data(prepared) => sat.learning(prepared).begin(parent),
            Self::Practice(ready) => sat.practising(ready).begin(parent),
        }
    }

    /// Goes on with a run.
    pub(super) fn go_on(&self, sat: &Sat, folder: &Path, lr: Option<f64>) -> Result<(PathBuf, Ended), Failure> {
        let folder = TrainingFolder::open(folder)?;
        Ok(match self {
            Self::Data(prepared) => sat.learning(prepared).go_on(folder, lr),
            Self::Practice(ready) => sat.practising(ready).go_on(folder, lr),
        }?)
    }
}

impl<'a> Sat<'a> {
    fn learning(&self, prepared: &'a Prepared) -> Sitting<'a> {
        let Self { settings, watch, flags, copy } = *self;
        Sitting { prepared, machine: settings, watch, flags, copy }
    }

    fn practising(&self, ready: &'a Ready) -> Practising<'a> {
        let Self { settings, watch, flags, copy } = *self;
        Practising { ready, machine: settings, watch, flags, copy }
    }
}
