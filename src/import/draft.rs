//! A suite to be written, and the folder that it is written into.

use super::model::left_elsewhere;
use super::{ImportError, Listed};
use crate::error::{Level, Place, Problems};
use crate::suite::{Case, Document, load};
use serde_json::json;
use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A name made of a text, such as a prompt, is so long at most.
const SHORT: usize = 40;
/// A name that is one already is kept up to this length: file systems take 255 bytes, and endings come behind it.
const LONG: usize = 120;
/// What no name ends in.
const ENDS: [char; 3] = ['_', '.', '-'];

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

impl Written {
    fn stem(&self) -> Option<String> {
        Some(self.path.file_stem()?.to_str()?.to_owned())
    }
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
///
/// All of them are written, or none: what was made on the disk is taken away again unless every suite was read without
/// an error. They are written where they stay, and not moved there from a folder beside it: suites name their model as
/// seen from there, and what is beside it may be another disk, or not be ours to write.
#[derive(Debug)]
pub(super) struct Folder {
    out: PathBuf,
    files: BTreeMap<String, String>,
    suites: Vec<Written>,
    /// Folders and files made so far, in order.
    made: Vec<PathBuf>,
}

impl Drop for Folder {
    fn drop(&mut self) {
        for path in self.made.drain(..).rev() {
            // A folder that holds something else by now stays.
            let _ = if path.is_dir() { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) };
        }
    }
}

impl Folder {
    pub(super) fn new(out: &Path) -> Self {
        Self { out: out.to_path_buf(), files: BTreeMap::new(), suites: Vec::new(), made: Vec::new() }
    }

    /// Makes the folder, so that paths can be seen from it.
    pub(super) fn make(&mut self) -> Result<(), ImportError> {
        self.make_folder(&self.out.clone())
    }

    /// Makes a folder and those above it, and remembers which.
    fn make_folder(&mut self, folder: &Path) -> Result<(), ImportError> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
        for folder in missing.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
            match std::fs::create_dir(folder) {
                Ok(()) => self.made.push(folder.to_path_buf()),
                Err(_) if folder.is_dir() => {}
                Err(error) => return Err(self.unwritable(folder, &error)),
            }
        }
        Ok(())
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

    /// A suite, its cases and its examples. A second suite of a name gets a number: each has a file of its own.
    pub(super) fn add(&mut self, draft: Draft, from: &str) {
        let mut taken = self.suites.iter().filter_map(Written::stem).collect();
        let name = unique(&draft.name, &mut taken);
        let stem = |ending: &str| format!("cases/{name}{ending}");
        let mut suite = Mapping::new();
        suite.insert("suite".into(), name.as_str().into());
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
        let file = format!("{name}.yaml");
        self.files.insert(file.clone(), format!("# Imported from {from} by Tripos.\n{yaml}"));
        self.suites.push(Written { path: self.out.join(file), cases: count, variants, scorers });
    }

    /// Writes all files, none over one that is there, and reads the suites again: what is wrong with them is an error, and
    /// nothing stays.
    pub(super) fn write(mut self) -> Result<Vec<Written>, Problems> {
        for (name, text) in std::mem::take(&mut self.files) {
            self.write_file(&self.out.join(name), &text)?;
        }
        let mut problems = Problems::new();
        for suite in &self.suites {
            problems.append(read_again(&suite.path));
        }
        let suites = problems.or_ok(std::mem::take(&mut self.suites))?;
        self.made.clear();
        Ok(suites)
    }

    fn write_file(&mut self, path: &Path, text: &str) -> Result<(), ImportError> {
        if let Some(folder) = path.parent() {
            self.make_folder(folder)?;
        }
        let mut file = File::create_new(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                let what = "this file is there already, and an import writes over nothing";
                ImportError::new(&Place::file(path), what, "name another folder: --out DIR")
            }
            _ => self.unwritable(path, &error),
        })?;
        self.made.push(path.to_path_buf());
        file.write_all(text.as_bytes()).map_err(|error| self.unwritable(path, &error))
    }

    fn unwritable(&self, path: &Path, error: &std::io::Error) -> ImportError {
        let help = format!("check that you may write into {}", self.out.display());
        ImportError::new(&Place::file(path), format!("this cannot be written: {error}"), help)
    }
}

/// What is wrong with a suite that was written. Its file goes, so what it says is quoted with what is wrong.
fn read_again(path: &Path) -> Problems {
    // One that cannot be opened is reported by its reader.
    let overrides = Document::open(path, "the suite").map(|document| left_elsewhere(&document));
    let (_, found) = load(path, &overrides.unwrap_or_default());
    let mut problems = Problems::new();
    for problem in found.iter().filter(|problem| problem.level() == Level::Error) {
        let place = problem.at().cloned().unwrap_or_else(|| Place::file(path));
        let text = std::fs::read_to_string(&place.file).unwrap_or_default();
        let line = place.line.checked_sub(1).and_then(|at| text.lines().nth(at)).map(str::trim).unwrap_or_default();
        let of = if line.is_empty() { String::new() } else { format!(", of its line `{line}`") };
        let what = format!("the suite that this makes is refused{of}: {problem}");
        let help = "nothing was written; change what the source says there";
        let help = problem.help().map_or_else(|| help.to_owned(), |more| format!("{help}: {more}"));
        problems.push(ImportError::new(&Place::file(&place.file), what, help));
    }
    problems
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

/// A short name for files, suites and variants, made of any text: letters, digits, `-`, `_` and `.`, at most 40 of them.
/// Texts that differ behind that have names that differ: one that is cut ends in a hash of all of it.
pub(super) fn slug(text: &str) -> String {
    cut(text, SHORT)
}

/// The same of a text that is a name already, such as a task's, and is kept whole.
pub(super) fn whole_slug(text: &str) -> String {
    cut(text, LONG)
}

fn cut(text: &str, longest: usize) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { ' ' };
    let words = text.chars().map(kept).collect::<String>();
    let joined = words.split_whitespace().collect::<Vec<_>>().join("_").to_lowercase();
    let joined = joined.trim_start_matches('.').trim_end_matches(ENDS);
    if joined.is_empty() {
        return "unnamed".to_owned();
    }
    if joined.chars().count() <= longest {
        return joined.to_owned();
    }
    let hash = Sha256::digest(joined).iter().take(3).map(|byte| format!("{byte:02x}")).collect::<String>();
    let start: String = joined.chars().take(longest - 1 - hash.len()).collect();
    format!("{}_{hash}", start.trim_end_matches(ENDS))
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

    /// Cut at 40, both of `bbh`'s would be called `bbh_cot_fewshot_tracking_shuffled_object`.
    #[test]
    fn texts_that_differ_behind_the_cut_have_names_that_differ() {
        let of = |end: &str| format!("bbh_cot_fewshot_tracking_shuffled_objects_{end}_objects");
        for name in [slug, whole_slug] {
            assert_ne!(name(&of("three")), name(&of("five")));
            assert_eq!(name(&of("three")), name(&of("three")));
        }
        assert_eq!(slug(&of("three")).chars().count(), SHORT);
        assert_eq!(whole_slug(&of("three")), of("three"));
        assert_eq!(slug(&"é".repeat(41)).chars().count(), SHORT);
    }

    #[test]
    fn one_text_is_one_file_and_two_texts_are_two() {
        let mut folder = Folder::new(Path::new("out"));
        let names = ["x", "y", "x"].map(|text| folder.file("prompts/p", ".txt", text.to_owned()));
        assert_eq!(names, ["prompts/p.txt", "prompts/p_2.txt", "prompts/p.txt"]);
    }

    fn draft(name: &str, scorer: &str) -> Draft {
        let variant = [("name".into(), "v".into()), ("prompt".into(), "prompts/p.txt".into())];
        Draft {
            name: name.to_owned(),
            description: None,
            model: Some(Mapping::from_iter([("scripted".into(), "../m.yaml".into())]).into()),
            sampling: Mapping::new(),
            scorers: vec![scorer.into()],
            variants: vec![Mapping::from_iter(variant)],
            cases: Rows::Cases(vec![Case::new("1", [("q", "1")], Some("1"))]),
            examples: Vec::new(),
        }
    }

    /// A folder `out` with a prompt, and drafts that each have a name and a scorer.
    fn written(home: &Path, drafts: &[(&str, &str)]) -> Result<Vec<Written>, Problems> {
        std::fs::write(home.join("m.yaml"), "otherwise: hi\n").unwrap();
        let mut folder = Folder::new(&home.join("out"));
        folder.make()?;
        folder.file("prompts/p", ".txt", "{{ q }}".to_owned());
        for (name, scorer) in drafts {
            folder.add(draft(name, scorer), "here");
        }
        folder.write()
    }

    #[test]
    fn suites_of_one_name_are_files_of_their_own_and_all_are_there() {
        let home = tempfile::tempdir().unwrap();
        let suites = written(home.path(), &[("a", "exact"), ("a", "exact"), ("a_2", "exact")]).unwrap();
        let names: Vec<_> = suites.iter().filter_map(Written::stem).collect();
        assert_eq!(names, ["a", "a_2", "a_2_2"]);
        for suite in &suites {
            assert_eq!(read_again(&suite.path).len(), 0);
        }
    }

    #[test]
    fn one_suite_that_is_refused_leaves_nothing_of_any() {
        let home = tempfile::tempdir().unwrap();
        let problems = written(home.path(), &[("a", "exact"), ("b", "nonesuch")]).unwrap_err();
        let text = problems.to_string();
        for part in
            ["the suite that this makes is refused, of its line `- nonesuch`: ", "/out/b.yaml\n", "help: nothing was "]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(!home.path().join("out").exists());
        assert!(written(home.path(), &[("a", "exact")]).is_ok(), "the way is free");
    }

    #[test]
    fn what_was_there_before_stays() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("out")).unwrap();
        std::fs::write(home.path().join("out/b.yaml"), "mine").unwrap();
        let problems = written(home.path(), &[("a", "exact"), ("b", "exact")]).unwrap_err();
        assert!(problems.to_string().contains("this file is there already"), "{problems}");
        let left: Vec<_> = std::fs::read_dir(home.path().join("out")).unwrap().map(|one| one.unwrap().path()).collect();
        assert_eq!(left, [home.path().join("out/b.yaml")]);
        assert_eq!(std::fs::read_to_string(&left[0]).unwrap(), "mine");
    }
}
