//! A suite to be written, and the folder that it is written into.

use super::model::left_elsewhere;
use super::{ImportError, Listed};
use crate::error::{Place, Problems};
use crate::suite::{Case, Document, load};
use serde_json::json;
use serde_yaml::{Mapping, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an import came to.
#[derive(Debug)]
pub struct Imported {
    /// The suites that were written.
    pub suites: Vec<Written>,
    /// What is not in them as it was.
    pub listed: Vec<Listed>,
    /// What the source calls its metrics, and what the table will call them.
    pub metrics: Vec<(String, String)>,
}

/// One suite that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its file.
    pub path: PathBuf,
    /// How many cases it has.
    pub cases: usize,
    /// Its variants' names.
    pub variants: Vec<String>,
    /// Its scorers' names.
    pub scorers: Vec<String>,
}

/// A suite to be written.
#[derive(Debug)]
pub(super) struct Draft {
    pub name: String,
    pub description: Option<String>,
    /// The model of every variant; `None` where each says its own.
    pub model: Option<Value>,
    pub sampling: Mapping,
    pub scorers: Vec<Value>,
    pub variants: Vec<Mapping>,
    pub cases: Rows,
    pub examples: Vec<Case>,
}

/// The cases of a draft.
#[derive(Debug)]
pub(super) enum Rows {
    Cases(Vec<Case>),
    /// Long texts, with the names of their files.
    Texts(Vec<(String, String)>),
}

/// The files to be written, by their names in the folder.
#[derive(Debug)]
pub(super) struct Folder {
    out: PathBuf,
    files: BTreeMap<String, String>,
    suites: Vec<Written>,
}

impl Folder {
    pub(super) fn new(out: &Path) -> Self {
        Self { out: out.to_path_buf(), files: BTreeMap::new(), suites: Vec::new() }
    }

    /// Makes the folder, so that paths can be seen from it.
    pub(super) fn make(&self) -> Result<(), ImportError> {
        std::fs::create_dir_all(&self.out).map_err(|error| self.unwritable(&self.out, &error))
    }

    /// A file that prompts or cases name; its name here. A second file of that name gets a number, the same text is
    /// kept once.
    pub(super) fn file(&mut self, stem: &str, ending: &str, text: String) -> String {
        let name =
            |number: usize| if number == 1 { format!("{stem}{ending}") } else { format!("{stem}_{number}{ending}") };
        let mut number = 1;
        while self.files.get(&name(number)).is_some_and(|there| *there != text) {
            number += 1;
        }
        self.files.insert(name(number), text);
        name(number)
    }

    /// A suite, its cases and its examples.
    pub(super) fn add(&mut self, draft: Draft, from: &str) {
        let stem = |ending: &str| format!("cases/{}{ending}", draft.name);
        let mut suite = Mapping::new();
        suite.insert("suite".into(), draft.name.as_str().into());
        if let Some(description) = &draft.description {
            suite.insert("description".into(), description.as_str().into());
        }
        if let Some(model) = draft.model {
            suite.insert("model".into(), model);
        }
        if !draft.sampling.is_empty() {
            suite.insert("sampling".into(), draft.sampling.into());
        }
        let count = match draft.cases {
            Rows::Cases(cases) => {
                suite.insert("cases".into(), self.file(&stem(""), ".jsonl", lines(&cases)).into());
                cases.len()
            }
            Rows::Texts(texts) => {
                let count = texts.len();
                let files: Vec<Value> = texts
                    .into_iter()
                    .map(|(name, text)| self.file(&format!("texts/{name}"), ".txt", text).into())
                    .collect();
                suite.insert("cases".into(), Mapping::from_iter([("text".into(), files.into())]).into());
                count
            }
        };
        if !draft.examples.is_empty() {
            suite.insert("examples".into(), self.file(&stem(".examples"), ".jsonl", lines(&draft.examples)).into());
        }
        let scorers = draft.scorers.iter().filter_map(scorer_name).collect();
        let variants =
            draft.variants.iter().filter_map(|variant| Some(variant.get("name")?.as_str()?.to_owned())).collect();
        suite.insert("scorers".into(), draft.scorers.into());
        suite.insert("variants".into(), draft.variants.into_iter().map(Value::from).collect::<Vec<_>>().into());
        let yaml = serde_yaml::to_string(&suite).unwrap_or_default();
        let name = format!("{}.yaml", draft.name);
        self.files.insert(name.clone(), format!("# Imported from {from} by Tripos.\n{yaml}"));
        self.suites.push(Written { path: self.out.join(name), cases: count, variants, scorers });
    }

    /// Writes all files, none over one that is there, and reads the suites again: what is wrong with them is an error.
    pub(super) fn write(self) -> Result<Vec<Written>, Problems> {
        let there = self.files.keys().map(|name| self.out.join(name)).find(|path| path.exists());
        if let Some(path) = there {
            let what = "this file is there already, and an import writes over nothing";
            return Err(ImportError::new(&Place::file(&path), what, "name another folder: --out DIR").into());
        }
        for (name, text) in &self.files {
            let path = self.out.join(name);
            let folder = path.parent().unwrap_or(&self.out);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|error| self.unwritable(&path, &error))?;
        }
        let mut problems = Problems::new();
        for suite in &self.suites {
            // One that cannot be opened is reported by its reader.
            let overrides = Document::open(&suite.path, "the suite").map(|document| left_elsewhere(&document));
            let (_, mut found) = load(&suite.path, &overrides.unwrap_or_default());
            found.retain(|problem| problem.level() == crate::error::Level::Error);
            problems.append(found);
        }
        problems.or_ok(self.suites)
    }

    fn unwritable(&self, path: &Path, error: &std::io::Error) -> ImportError {
        let help = format!("check that you may write into {}", self.out.display());
        ImportError::new(&Place::file(path), format!("this cannot be written: {error}"), help)
    }
}

/// The name of a scorer: its own, or that of its kind.
fn scorer_name(scorer: &Value) -> Option<String> {
    let (kind, settings) = match scorer.as_mapping() {
        Some(map) => map.iter().next()?,
        None => (scorer, &Value::Null),
    };
    Some(settings.get("name").unwrap_or(kind).as_str()?.to_owned())
}

/// Cases as JSON lines.
fn lines(cases: &[Case]) -> String {
    let line = |case: &Case| {
        let mut line = json!({"id": case.id, "vars": case.vars});
        if let Some(target) = &case.target {
            line["target"] = target.as_str().into();
        }
        if !case.tags.is_empty() {
            line["tags"] = case.tags.clone().into();
        }
        format!("{line}\n")
    };
    cases.iter().map(line).collect()
}

/// A name for files, suites and variants: letters, digits, `-`, `_` and `.`, at most 40 of them.
pub(super) fn slug(text: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { ' ' };
    let words = text.chars().map(kept).collect::<String>();
    let joined = words.split_whitespace().collect::<Vec<_>>().join("_").to_lowercase();
    let short: String = joined.trim_start_matches('.').chars().take(40).collect();
    let short = short.trim_end_matches(['_', '.', '-']);
    if short.is_empty() { "unnamed".to_owned() } else { short.to_owned() }
}

/// A name that is not among those taken, made so by a number, and taken then.
pub(super) fn unique(name: &str, taken: &mut Vec<String>) -> String {
    let mut candidate = name.to_owned();
    let mut number = 1;
    while taken.contains(&candidate) {
        number += 1;
        candidate = format!("{name}_{number}");
    }
    taken.push(candidate.clone());
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_unique() {
        assert_eq!(slug("Convert this English to {{language}}: {{input}}"), "convert_this_english_to_language_input");
        assert_eq!(slug("../…"), "unnamed");
        let mut taken = Vec::new();
        assert_eq!([unique("a", &mut taken), unique("a", &mut taken), unique("a", &mut taken)], ["a", "a_2", "a_3"]);
    }

    #[test]
    fn one_text_is_one_file_and_two_texts_are_two() {
        let mut folder = Folder::new(Path::new("out"));
        let names = ["x", "y", "x"].map(|text| folder.file("prompts/p", ".txt", text.to_owned()));
        assert_eq!(names, ["prompts/p.txt", "prompts/p_2.txt", "prompts/p.txt"]);
    }
}
