//! What of a source has no equivalent, or only nearly one: said by name and place, never passed over.

use crate::error::{Explain, Level, Place, Problems};
use serde::Serialize;

/// What became of a part of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It has no equivalent and is left out: results lack it.
    LeftOut,
    /// It is there, and means something a little different.
    Changed,
    /// It is left out, and no score depends on it.
    Harmless,
}

/// One part of the source that is not in the suite as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it is: ``assertion `similar` ``.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
    /// Why, or how it differs.
    pub why: String,
    /// What can be done, where something can.
    pub help: Option<String>,
    /// Where it stands; the first place of several.
    pub place: Place,
    /// How often the source has it.
    pub times: usize,
}

impl std::fmt::Display for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, why, .. } = self;
        match self.fate {
            Fate::LeftOut => write!(f, "{name} is left out: {why}")?,
            Fate::Changed => write!(f, "{name} is not quite the same: {why}")?,
            Fate::Harmless => write!(f, "{name} {why}")?,
        }
        if self.times > 1 { write!(f, " ({} times; the first is here)", self.times) } else { Ok(()) }
    }
}

impl std::error::Error for Listed {}

impl Explain for Listed {
    fn level(&self) -> Level {
        match self.fate {
            Fate::LeftOut => Level::Warning,
            Fate::Changed | Fate::Harmless => Level::Note,
        }
    }

    fn at(&self) -> Option<&Place> {
        Some(&self.place)
    }

    fn help(&self) -> Option<String> {
        self.help.clone()
    }
}

/// The list of one import. What is said twice in the same words is counted.
#[derive(Debug, Default)]
pub(super) struct List(Vec<Listed>);

impl List {
    /// Something without an equivalent.
    pub(super) fn left_out(&mut self, name: impl Into<String>, why: impl Into<String>, place: &Place) {
        self.push(Fate::LeftOut, name.into(), why.into(), None, place);
    }

    /// The same, with what can be done.
    pub(super) fn left_out_but(
        &mut self,
        name: impl Into<String>,
        why: impl Into<String>,
        help: impl Into<String>,
        place: &Place,
    ) {
        self.push(Fate::LeftOut, name.into(), why.into(), Some(help.into()), place);
    }

    /// Something that means a little else.
    pub(super) fn changed(&mut self, name: impl Into<String>, how: impl Into<String>, place: &Place) {
        self.push(Fate::Changed, name.into(), how.into(), None, place);
    }

    /// Keys that no score depends on, as one entry.
    pub(super) fn harmless(&mut self, keys: &[String], place: &Place) {
        if !keys.is_empty() {
            let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            let several = keys.len() > 1;
            let why =
                if several { "are left out: no score depends on them" } else { "is left out: no score depends on it" };
            self.push(Fate::Harmless, names.join(", "), why.to_owned(), None, place);
        }
    }

    fn push(&mut self, fate: Fate, name: String, why: String, help: Option<String>, place: &Place) {
        let same =
            |one: &&mut Listed| one.fate == fate && one.name == name && one.why == why && one.place.file == place.file;
        match self.0.iter_mut().find(same) {
            Some(one) => one.times += 1,
            None => self.0.push(Listed { name, fate, why, help, place: place.clone(), times: 1 }),
        }
    }

    /// What was found on the way to an error explains it.
    pub(super) fn before(self, problems: Problems) -> Problems {
        let mut all = Problems::new();
        all.extend(self.0);
        all.append(problems);
        all
    }

    /// All of it, in the order it was found.
    pub(super) fn into_vec(self) -> Vec<Listed> {
        self.0
    }
}
