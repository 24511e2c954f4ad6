//! YAML with places: what serde refuses, all of it at once, and where each value stands.
//!
//! `serde_yaml` reads the values and `serde_path_to_error` names the path of the first one that serde refuses. That
//! value is reported and taken out, and the rest is read again, until nothing is refused: so one reading reports every
//! problem. The place of a path comes from a second pass by `saphyr-parser`, which keeps marks but builds no values
//! (so an alias bomb costs it nothing).

use super::error::{SuiteError, SuiteProblem};
use super::prune::Pruned;
use crate::error::Place;
use saphyr_parser::{Event, Parser};
use serde::de::DeserializeOwned;
use serde_yaml::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest YAML file that is read.
pub(super) const MAX_BYTES: u64 = 16 << 20;
/// Deepest nesting that is read.
const MAX_DEPTH: usize = 100;
/// Most problems reported for one file: a wrong kind of file would otherwise print thousands.
const MAX_PROBLEMS: usize = 50;

/// A YAML file as values, with the place of each.
#[derive(Debug, Clone)]
pub struct Document {
    path: PathBuf,
    text: String,
    value: Value,
    /// Path (`variants[0].sampling`) of each value to (line, column) of its key, or of itself in a list.
    places: HashMap<String, (usize, usize)>,
}

/// What became of a document that was read as a `T`.
#[derive(Debug)]
pub struct Reading<T> {
    /// `None` where too much was refused to build one.
    pub value: Option<T>,
    /// Every problem.
    pub problems: Vec<SuiteError>,
    /// What had to be left out, and so the way from the value's paths to the document's.
    pub pruned: Pruned,
}

impl Document {
    /// Reads a file: at most 16 MiB, UTF-8, and YAML within the limits of depth and repetition.
    pub fn open(path: &Path, what: &str) -> Result<Self, SuiteError> {
        Self::parse(path, &read_text(path, what)?)
    }

    /// The same for a text; `path` is what places will name.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SuiteError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let places = places(path, text)?;
        let value: Value = serde_yaml::from_str(text).map_err(|error| {
            let place = error.location().map_or(Place::file(path), |at| Place::new(path, at.line(), at.column()));
            SuiteError::new(place, SuiteProblem::Yaml { reason: error.to_string() })
        })?;
        Ok(Self { path: path.to_path_buf(), text: text.to_owned(), value, places })
    }

    /// The values as they were read.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The text as it was read.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The place of a value by its path, or of the nearest value around it.
    #[must_use]
    pub fn place(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some((line, column)) = self.places.get(path) {
                return Place::new(&self.path, *line, *column);
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => return Place::file(&self.path),
            }
        }
    }

    /// Reads the document as a `T`, and reports everything that serde refuses.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Reading<T> {
        let mut left = self.value.clone();
        let mut pruned = Pruned::default();
        let mut problems = Vec::new();
        while problems.len() < MAX_PROBLEMS {
            let error = match serde_path_to_error::deserialize::<_, T>(left.clone()) {
                Ok(read) => return Reading { value: Some(read), problems, pruned },
                Err(error) => error,
            };
            let message = error.inner().to_string();
            let refused = pruned.refused(&left, error.path(), &message);
            if !pruned.explains(&refused.path, &message) {
                problems.push(self.problem(&refused.path, &message));
            }
            if !pruned.take(&mut left, refused) {
                break;
            }
        }
        Reading { value: None, problems, pruned }
    }

    /// serde's message as one of ours.
    fn problem(&self, path: &str, message: &str) -> SuiteError {
        let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let (place, problem) = match names.split_first() {
            Some((field, known)) if message.starts_with("unknown field") => {
                let own =
                    path.strip_suffix(*field).and_then(|p| if p.is_empty() { Some(p) } else { p.strip_suffix('.') });
                let within = own.unwrap_or(path);
                (
                    self.place(&join(within, field)),
                    SuiteProblem::UnknownField {
                        field: (*field).to_owned(),
                        within: self.label(within),
                        known: known.iter().map(|s| (*s).to_owned()).collect(),
                    },
                )
            }
            Some((name, known)) if message.starts_with("unknown scorer") => {
                let known = known.iter().map(|s| (*s).to_owned()).collect();
                (self.place(path), SuiteProblem::Unknown { what: "scorer", name: (*name).to_owned(), known })
            }
            Some((field, _)) if message.starts_with("missing field") => {
                (self.place(path), SuiteProblem::MissingField { field: (*field).to_owned(), within: self.label(path) })
            }
            _ => {
                let named = join(path, self.scorer_kind(path).unwrap_or_default());
                let path = named.trim_end_matches('.').to_owned();
                (self.place(&path), SuiteProblem::WrongValue { path, reason: plain_types(message) })
            }
        };
        SuiteError::new(place, problem)
    }

    /// The kind of the scorer at a path, where a scorer is there.
    fn scorer_kind(&self, path: &str) -> Option<&str> {
        let index: usize = path.strip_prefix("scorers[")?.strip_suffix(']')?.parse().ok()?;
        only_key(self.value.get("scorers")?.get(index)?)
    }

    /// What a user calls the thing at a path: ``variant `terse` ``, `the suite`.
    fn label(&self, path: &str) -> String {
        if path.is_empty() || path == "." {
            return "the file".into();
        }
        if let Some((list, rest)) = path.split_once('[')
            && let Some((index, below)) = rest.split_once(']')
            && let Some(item) = index.parse::<usize>().ok().and_then(|i| self.value.get(list)?.get(i))
        {
            let below = below.trim_start_matches('.');
            let (name, part) = match only_key(item).filter(|_| list == "scorers") {
                Some(kind) => (Some(kind), below.strip_prefix(kind).map_or(below, |part| part.trim_start_matches('.'))),
                None => (["name", "id"].iter().find_map(|key| item.get(key)?.as_str()), below),
            };
            if let Some(name) = name {
                let part = if part.is_empty() { String::new() } else { format!(", `{part}`") };
                return format!("{} `{name}`{part}", list.trim_end_matches('s'));
            }
        }
        format!("`{path}`")
    }
}

/// Opens a regular file: a folder cannot be read, a pipe may never answer, and a device may never end.
pub(super) fn open_file(path: &Path) -> std::io::Result<File> {
    let kind = std::fs::metadata(path)?;
    if kind.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    File::open(path)
}

/// Reads a text file with the checks that every file of ours gets.
pub fn read_text(path: &Path, what: &str) -> Result<String, SuiteError> {
    let fail = |problem| SuiteError::new(Place::file(path), problem);
    let unreadable =
        |e: std::io::Error| fail(SuiteProblem::Unreadable { what: what.to_owned(), reason: e.to_string() });
    let too_large = |bytes| fail(SuiteProblem::TooLarge { bytes, max: MAX_BYTES });
    let file = open_file(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes > MAX_BYTES {
        return Err(too_large(bytes));
    }
    // The file may grow meanwhile, and those of `/proc` have no length.
    let mut content = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(unreadable)? as u64;
    if read > MAX_BYTES {
        return Err(too_large(read));
    }
    String::from_utf8(content).map_err(|e| fail(SuiteProblem::NotUtf8 { offset: e.utf8_error().valid_up_to() }))
}

/// The key of a map that has only one: a scorer's kind.
fn only_key(value: &Value) -> Option<&str> {
    match value {
        Value::Mapping(map) if map.len() == 1 => map.keys().next()?.as_str(),
        _ => None,
    }
}

/// `a` and `b` as one path.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// serde's type names in plain words.
fn plain_types(message: &str) -> String {
    let mut out = message.to_owned();
    for (from, to) in [
        ("invalid type: ", "found "),
        ("invalid value: ", "found "),
        ("unit value", "nothing"),
        ("string \"", "the text \""),
        (", expected a string", ", expected a text"),
        ("expected struct ", "expected a map: "),
        ("expected u32", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected usize", "expected a whole number"),
        ("expected i64", "expected a whole number"),
        ("expected f32", "expected a number"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list"),
        ("sequence", "a list"),
        ("found map", "found a map"),
    ] {
        out = out.replace(from, to);
    }
    out
}

/// Where in a container the next value goes.
enum Frame {
    List { path: String, next: usize },
    Map { path: String, key: Option<String> },
}

/// The place of every value, by path; an error for text that is no YAML, or nested too deep.
fn places(file: &Path, text: &str) -> Result<HashMap<String, (usize, usize)>, SuiteError> {
    let fail = |line, column, reason: &str| {
        SuiteError::new(Place::new(file, line, column), SuiteProblem::Yaml { reason: reason.to_owned() })
    };
    let mut places = HashMap::new();
    let mut stack: Vec<Frame> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| fail(e.marker().line(), e.marker().col() + 1, e.info()))?;
        let at = (span.start.line(), span.start.col() + 1);
        let starts = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        if !starts && !matches!(event, Event::Scalar(..) | Event::Alias(_)) {
            if matches!(event, Event::SequenceEnd | Event::MappingEnd) {
                stack.pop();
            }
            continue;
        }
        let path = match stack.last_mut() {
            None => String::new(),
            Some(Frame::List { path, next }) => {
                *next += 1;
                format!("{path}[{}]", *next - 1)
            }
            Some(Frame::Map { path, key }) => {
                if let Some(key) = key.take() {
                    join(path, &key)
                } else {
                    let name = if let Event::Scalar(name, ..) = &event { name.to_string() } else { String::new() };
                    places.insert(join(path, &name), at);
                    *key = Some(name);
                    if !starts {
                        continue;
                    }
                    // A map or list as a key: its inside belongs to no path.
                    String::from("?")
                }
            }
        };
        places.entry(path.clone()).or_insert(at);
        match event {
            Event::SequenceStart(..) => stack.push(Frame::List { path, next: 0 }),
            Event::MappingStart(..) => stack.push(Frame::Map { path, key: None }),
            _ => {}
        }
        if stack.len() > MAX_DEPTH {
            return Err(fail(at.0, at.1, &format!("nested more than {MAX_DEPTH} deep")));
        }
    }
    Ok(places)
}

/// Without the mark that some editors put before the first character.
#[must_use]
pub fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code)]
        name: String,
        #[serde(default)]
        #[allow(dead_code)]
        size: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code)]
        variants: Vec<Inner>,
    }

    fn messages(text: &str) -> String {
        match Document::parse(Path::new("s.yaml"), text) {
            Ok(document) => document.read::<Outer>().problems.iter().map(|e| format!("{} {e}\n", e.place)).collect(),
            Err(error) => format!("{} {error}\n", error.place),
        }
    }

    #[test]
    fn reports_every_problem_with_its_place_in_one_reading() {
        let text = "variants:\n- {name: a, sise: 3}\n- {size: 1}\n- {name: b, size: big}\nextra: 1\n";
        insta::assert_snapshot!(messages(text), @r#"
        s.yaml:2:13 unknown field `sise` in variant `a`
        s.yaml:3:3 `variants[1]` has no `name`
        s.yaml:4:13 `variants[2].size`: found the text "big", expected a whole number
        s.yaml:5:1 unknown field `extra` in the file
        "#);
    }

    #[test]
    fn a_required_value_of_the_wrong_type_is_reported_once() {
        insta::assert_snapshot!(messages("variants:\n- {name: [1], size: 3}\n"), @"s.yaml:2:4 `variants[0].name`: found a list, expected a text");
    }

    #[test]
    fn deep_nesting_and_alias_bombs_are_refused() {
        let deep = format!("variants: {}{}", "[".repeat(10_000), "]".repeat(10_000));
        let message = messages(&deep);
        assert!(message.starts_with("s.yaml:1:") && message.contains("recursion"), "{message}");
        let block = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>();
        assert!(messages(&block).contains("nested more than 100 deep"), "{}", messages(&block));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb += &format!("a{i}: &a{i} [{refs}]\n");
        }
        assert!(messages(&bomb).contains("repetition limit"), "{}", messages(&bomb));
    }

    #[test]
    fn broken_yaml_and_twin_keys_have_a_place() {
        assert!(messages("variants: [1, 2\nx: }").starts_with("s.yaml:"));
        assert!(messages("variants: []\nvariants: []\n").contains("duplicate"));
    }

    #[test]
    fn a_file_that_is_not_utf8_is_refused_by_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.yaml");
        std::fs::write(&path, b"suite: caf\xe9\n").unwrap();
        assert!(matches!(read_text(&path, "the suite").unwrap_err().problem, SuiteProblem::NotUtf8 { offset: 10 }));
    }
}
