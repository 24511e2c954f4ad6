//! `tests:`, `scenarios:` and `defaultTest:`: every test with its own variables and assertions.

use super::assertion::Assertion;
use super::is_program;
use super::prompts::matching;
use crate::error::{Place, Problems};
use crate::import::ImportError;
use crate::import::listed::List;
use crate::import::node::Node;
use crate::suite::{Vars, read_rows, read_text};
use serde_json::Value as Json;
use std::path::Path;

/// One test; several fields may still be those of what it inherits.
#[derive(Debug, Clone, Default)]
pub(super) struct Test {
    pub vars: Vars,
    pub assertions: Vec<Assertion>,
    pub description: Option<String>,
    pub tags: Vec<String>,
    /// What is put before and behind the prompt.
    pub prefix: String,
    pub suffix: String,
    pub place: Place,
    /// Its lists of values stay lists.
    pub whole_lists: bool,
    /// It does not want the assertions of `defaultTest`.
    pub own_assertions: bool,
}

/// What a test may hold beside `vars` and `assert`, and why it is not kept.
const WITHOUT: [(&str, &str); 8] = [
    ("threshold", "a test passes here by each of its scorers, and the group `score` is their weighted mean"),
    ("provider", "every variant is asked every case"),
    ("providers", "every variant is asked every case"),
    ("prompts", "every variant is asked every case"),
    ("providerOutput", "answers come from the model"),
    ("assertScoringFunction", "it is a program, and suites run none"),
    ("transform", "it is a program, and suites run none"),
    ("transformVars", "it is a program, and suites run none"),
];

/// Most tests of one configuration.
const MOST_TESTS: usize = 100_000;
/// Deepest nesting of files of tests that name files of tests.
const MOST_DEPTH: usize = 8;

/// Every test of a file, in order; list values are multiplied out.
pub(super) fn read(root: &Node, list: &mut List) -> Result<Vec<Test>, Problems> {
    let mut reader = Reader { root, list, depth: 0 };
    let default = match root.get("defaultTest") {
        Some(node) => reader.test(&opened(&node)?)?,
        None => Test::default(),
    };
    let mut found = Vec::new();
    for node in root.get("tests").map(|tests| tests.items()).unwrap_or_default() {
        found.extend(reader.tests(&node)?);
    }
    for scenario in root.get("scenarios").map(|node| node.items()).unwrap_or_default() {
        found.extend(reader.scenario(&opened(&scenario)?)?);
    }
    if found.is_empty() && !default.vars.is_empty() || root.get("tests").is_none() && found.is_empty() {
        found.push(Test { place: root.place(), ..Test::default() });
    }
    let mut all = Vec::new();
    let bare = Test { assertions: Vec::new(), ..default.clone() };
    for test in found {
        let base = if test.own_assertions { &bare } else { &default };
        test.over(base).multiplied(&mut all)?;
    }
    Ok(all)
}

/// An error where there would be more tests than memory should hold.
fn few_enough(count: usize, place: &Place) -> Result<(), ImportError> {
    if count <= MOST_TESTS {
        return Ok(());
    }
    let what = format!("the combinations of all lists would be more than {MOST_TESTS} tests");
    let help = "shorten the lists; a list that is one value is kept whole by `options: {disableVarExpansion: true}`";
    Err(ImportError::new(place, what, help))
}

impl Test {
    /// The test with what it inherits.
    fn over(self, base: &Self) -> Self {
        let mut vars = base.vars.clone();
        vars.extend(self.vars);
        let either = |own: String, base: &str| if own.is_empty() { base.to_owned() } else { own };
        Self {
            vars,
            assertions: base.assertions.iter().cloned().chain(self.assertions).collect(),
            description: self.description.or_else(|| base.description.clone()),
            tags: base.tags.iter().cloned().chain(self.tags).collect(),
            prefix: either(self.prefix, &base.prefix),
            suffix: either(self.suffix, &base.suffix),
            place: self.place,
            whole_lists: self.whole_lists || base.whole_lists,
            own_assertions: self.own_assertions || base.own_assertions,
        }
    }

    /// The values that a variable takes in turn. As in promptfoo: a list does so only where its first item is a text.
    fn values(&self, name: &str) -> Option<&[Json]> {
        let values = self.vars.get(name)?.as_array().filter(|_| !self.whole_lists)?;
        values.first().is_some_and(Json::is_string).then_some(values)
    }

    /// Adds a test for each combination of its list values.
    fn multiplied(self, all: &mut Vec<Self>) -> Result<(), ImportError> {
        let names: Vec<String> = self.vars.keys().filter(|name| self.values(name).is_some()).cloned().collect();
        let lengths = names.iter().filter_map(|name| self.values(name)).map(<[Json]>::len);
        few_enough(lengths.fold(1, usize::saturating_mul).saturating_add(all.len()), &self.place)?;
        let mut combined = vec![self];
        for name in names {
            let spread = |test: Self| {
                let with = |value: &Json| {
                    let mut one = test.clone();
                    one.vars.insert(name.clone(), value.clone());
                    one
                };
                test.values(&name).unwrap_or_default().iter().map(with).collect::<Vec<_>>()
            };
            combined = combined.into_iter().flat_map(spread).collect();
        }
        all.append(&mut combined);
        Ok(())
    }
}

/// What a node is, or the file that it names holds.
fn opened(node: &Node) -> Result<Node, Problems> {
    match node.text().as_deref().and_then(|text| text.strip_prefix("file://")) {
        Some(file) => Node::open(&node.beside(file)),
        None => Ok(node.clone()),
    }
}

/// A cell of `__metadata:key`, or of `__metadata:key[]`, where commas part values and `\,` is a comma.
fn metadata_tags(key: &str, cell: &str) -> Vec<String> {
    let values = match key.strip_suffix("[]") {
        Some(_) => cell.replace("\\,", "\0").split(',').map(|value| value.trim().replace('\0', ",")).collect(),
        None => vec![cell.trim().to_owned()],
    };
    let key = key.trim_end_matches("[]");
    values.iter().filter(|value| !value.is_empty()).map(|value| format!("{key}:{value}")).collect()
}

struct Reader<'a> {
    root: &'a Node,
    list: &'a mut List,
    /// How many files deep the tests are that are read.
    depth: usize,
}

impl Reader<'_> {
    /// The tests that an item stands for: itself, or those of a file.
    fn tests(&mut self, node: &Node) -> Result<Vec<Test>, Problems> {
        let Some(written) = node.text().or_else(|| node.text_at("path")) else { return Ok(vec![self.test(node)?]) };
        let place = node.place();
        if written.starts_with("http") || written.starts_with("huggingface://") {
            let help = "fetch the rows as CSV or JSON lines, and name that file";
            self.list.left_out_but(format!("tests of `{written}`"), "an import fetches nothing", help, &place);
            return Ok(Vec::new());
        }
        let file = written.strip_prefix("file://").unwrap_or(&written);
        let files = matching(&node.beside(file));
        if files.is_empty() {
            if is_program(file) {
                let help = "run it yourself, and write its tests as YAML, CSV or JSON lines";
                self.list.left_out_but(format!("tests of `{written}`"), "a program makes them", help, &place);
                return Ok(Vec::new());
            }
            let help = "paths are seen from the file that names them";
            return Err(node.error(format!("there is no file `{written}`"), help).into());
        }
        if self.depth >= MOST_DEPTH {
            let what = format!("files of tests name one another more than {MOST_DEPTH} deep");
            return Err(node.error(what, "name the files from the configuration itself").into());
        }
        self.depth += 1;
        let found = files.iter().map(|path| self.file(path, &place)).collect::<Result<Vec<_>, _>>();
        self.depth -= 1;
        Ok(found?.into_iter().flatten().collect())
    }

    /// The tests of a file, by its ending.
    fn file(&mut self, path: &Path, place: &Place) -> Result<Vec<Test>, Problems> {
        match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
            "csv" | "jsonl" => self.rows(path),
            "yaml" | "yml" | "json" => {
                let mut found = Vec::new();
                for item in Node::open(path)?.items() {
                    found.extend(self.tests(&item)?);
                }
                Ok(found)
            }
            _ => {
                let help = "run it yourself, and write its tests as YAML, CSV or JSON lines";
                let why = "a program makes them, or nobody knows how to read them";
                self.list.left_out_but(format!("tests of `{}`", path.display()), why, help, place);
                Ok(Vec::new())
            }
        }
    }

    /// CSV rows with promptfoo's own columns; JSON lines that are tests.
    fn rows(&mut self, path: &Path) -> Result<Vec<Test>, Problems> {
        let (rows, problems) = read_rows(path, usize::MAX);
        let mut all = Problems::new();
        all.extend(problems);
        all.or_ok(())?;
        let csv = path.extension().is_some_and(|ending| ending == "csv");
        let mut found = Vec::new();
        for (row, place) in rows {
            found.push(if csv { self.row(row, &place)? } else { self.test(&self.of_row(row, &place))? });
        }
        Ok(found)
    }

    /// A value of a row as if a YAML file held it.
    fn of_row(&self, value: impl Into<Json>, place: &Place) -> Node {
        self.root.row(serde_yaml::to_value(value.into()).unwrap_or_default(), place)
    }

    /// A row of a CSV file.
    fn row(&mut self, row: Vars, place: &Place) -> Result<Test, Problems> {
        let mut test = Test { place: place.clone(), ..Test::default() };
        let mut metric = None;
        for (column, value) in row {
            let text = value.as_str().unwrap_or_default().to_owned();
            let blank = text.trim().is_empty();
            match column.as_str() {
                "__prefix" => test.prefix = text,
                "__suffix" => test.suffix = text,
                "__description" => test.description = Some(text).filter(|_| !blank),
                "__metric" => metric = Some(text).filter(|_| !blank),
                "__threshold" | "__providerOutput" if !blank => {
                    let key = column.trim_start_matches('_');
                    let why = WITHOUT.iter().find(|(name, _)| *name == key).map_or("", |(_, why)| why);
                    self.list.left_out(format!("column `{column}`"), why, place);
                }
                "__threshold" | "__providerOutput" => {}
                name if name.starts_with("__expected") => {
                    if !blank {
                        test.assertions.push(Assertion::from_cell(&text, place));
                    }
                }
                name if name.starts_with("__metadata:") => {
                    test.tags.extend(metadata_tags(name.trim_start_matches("__metadata:"), &text));
                }
                name if name.starts_with("__") => {
                    self.list.left_out(format!("column `{name}`"), "Tripos has nothing like it", place);
                }
                name => self.variable(name, &self.of_row(value, place), &mut test.vars)?,
            }
        }
        for assertion in &mut test.assertions {
            assertion.metric.clone_from(&metric);
        }
        Ok(test)
    }

    /// `{config: [tests], tests: [tests]}`: each of the one with each of the other.
    fn scenario(&mut self, node: &Node) -> Result<Vec<Test>, Problems> {
        for key in node.keys().iter().filter(|key| !["config", "tests", "description"].contains(&key.as_str())) {
            if let Some(there) = node.get(key) {
                self.list.left_out(format!("`{key}` of a scenario"), "Tripos has nothing like it", &there.place());
            }
        }
        let mut sides = [Vec::new(), Vec::new()];
        for (side, key) in sides.iter_mut().zip(["config", "tests"]) {
            for item in node.get(key).map(|node| node.items()).unwrap_or_default() {
                side.extend(self.tests(&item)?);
            }
        }
        let [config, tests] = sides;
        few_enough(config.len().saturating_mul(tests.len()), &node.place())?;
        let with = |base: &Test| tests.iter().map(|test| test.clone().over(base)).collect::<Vec<_>>();
        Ok(config.iter().flat_map(with).collect())
    }

    fn test(&mut self, node: &Node) -> Result<Test, Problems> {
        let mut test = Test { place: node.place(), description: node.text_at("description"), ..Test::default() };
        if let Some(vars) = node.get("vars") {
            test.vars = self.vars(&vars)?;
        }
        for assertion in node.get("assert").map(|node| node.items()).unwrap_or_default() {
            test.assertions.extend(Assertion::read(&assertion, self.root, self.list));
        }
        if let Some(metadata) = node.get("metadata") {
            test.tags = self.tags(&metadata);
        }
        if let Some(options) = node.get("options") {
            self.options(&options, &mut test);
        }
        for key in node.keys() {
            let known = ["vars", "assert", "description", "options", "metadata"].contains(&key.as_str());
            if let Some(there) = node.get(&key).filter(|_| !known) {
                let why =
                    WITHOUT.iter().find(|(name, _)| *name == key).map_or("Tripos has nothing like it", |(_, why)| why);
                self.list.left_out(format!("`{key}` of a test"), why, &there.place());
            }
        }
        Ok(test)
    }

    /// `metadata:` as tags, each value of a list by itself; a map in it is listed.
    fn tags(&mut self, metadata: &Node) -> Vec<String> {
        let mut tags = Vec::new();
        for key in metadata.keys() {
            for item in metadata.get(&key).map(|node| node.items()).unwrap_or_default() {
                match item.text() {
                    Some(value) => tags.push(format!("{key}:{value}")),
                    None => self.list.harmless(&[format!("metadata.{key}")], &item.place()),
                }
            }
        }
        tags
    }

    fn options(&mut self, options: &Node, test: &mut Test) {
        for key in options.keys() {
            let Some(there) = options.get(&key) else { continue };
            match key.as_str() {
                "prefix" => test.prefix = there.text().unwrap_or_default(),
                "suffix" => test.suffix = there.text().unwrap_or_default(),
                "disableVarExpansion" => test.whole_lists = options.flag_at("disableVarExpansion"),
                "disableDefaultAsserts" => test.own_assertions = options.flag_at("disableDefaultAsserts"),
                "transform" | "postprocess" | "transformVars" => {
                    self.list.left_out(
                        format!("option `{key}`"),
                        "it is a program, and suites run none",
                        &there.place(),
                    );
                }
                "provider" | "rubricPrompt" | "factuality" => {
                    let why = "the judge is the model and the prompt of the suite's own scorer";
                    self.list.left_out(format!("option `{key}`"), why, &there.place());
                }
                _ => self.list.left_out(format!("option `{key}`"), "Tripos has nothing like it", &there.place()),
            }
        }
    }

    /// Variables, those of files read.
    fn vars(&mut self, node: &Node) -> Result<Vars, Problems> {
        let mut vars = Vars::new();
        // `vars: file://vars.yaml`, or a list of such files.
        if !node.value().is_mapping() {
            for item in node.items() {
                vars.extend(self.vars_of_file(&item)?);
            }
            return Ok(vars);
        }
        for name in node.keys() {
            match node.get(&name) {
                Some(value) => self.variable(&name, &value, &mut vars)?,
                None => vars.extend([(name, Json::Null)]),
            }
        }
        Ok(vars)
    }

    /// The variables of the files that an item names.
    fn vars_of_file(&mut self, item: &Node) -> Result<Vars, Problems> {
        let Some(written) = item.text() else {
            let help = "write `vars: {NAME: VALUE}`, or the name of a YAML file that holds such a map";
            return Err(item.error("`vars` is neither a map nor the name of a file", help).into());
        };
        let path = written.strip_prefix("file://").unwrap_or(&written);
        if is_program(path) {
            let help = "run it yourself, and write its variables as YAML";
            self.list.left_out_but(format!("`vars` of `{written}`"), "a program makes them", help, &item.place());
            return Ok(Vars::new());
        }
        let files = matching(&item.beside(path));
        if files.is_empty() {
            let help = "paths are seen from the file that names them";
            return Err(item.error(format!("there is no file `{written}`"), help).into());
        }
        let mut vars = Vars::new();
        for file in files {
            let found = Node::open(&file)?;
            if !found.value().is_mapping() {
                return Err(found.error("this is no map of variables", "write `NAME: VALUE`, one a line").into());
            }
            vars.extend(self.vars(&found)?);
        }
        Ok(vars)
    }

    /// A variable as it is written, or what the files that it names hold; so, too, in a list of texts.
    fn variable(&mut self, name: &str, node: &Node, vars: &mut Vars) -> Result<(), Problems> {
        let items = node.items();
        let of_texts = node.value().is_sequence() && items.first().is_some_and(|item| item.value().is_string());
        if !of_texts {
            let value = match named_file(node) {
                Some(file) => self.of_file(name, node, &file)?,
                None => Some(node.json()),
            };
            vars.extend(value.map(|value| (name.to_owned(), value)));
            return Ok(());
        }
        let mut values = Vec::new();
        for item in items {
            match named_file(&item) {
                Some(file) => match self.of_file(name, &item, &file)? {
                    Some(Json::Array(several)) => values.extend(several),
                    one => values.extend(one),
                },
                None => values.push(item.json()),
            }
        }
        if !values.is_empty() {
            vars.insert(name.to_owned(), values.into());
        }
        Ok(())
    }

    /// What a file holds as a text, or a list of such texts where a pattern names several. YAML is printed as JSON.
    fn of_file(&mut self, name: &str, node: &Node, file: &str) -> Result<Option<Json>, Problems> {
        let program = is_program(file);
        let files = matching(&node.beside(file));
        if program || files.is_empty() {
            let why = if program { "a program makes it" } else { "there is no such file" };
            self.list.left_out(format!("variable `{name}` of `{file}`"), why, &node.place());
            return Ok(None);
        }
        let mut values: Vec<Json> = Vec::new();
        for path in &files {
            let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
            values.push(match ending.as_str() {
                "yaml" | "yml" => {
                    let document = Node::open(path)?;
                    let failed = |error| document.error(format!("this cannot be written as JSON: {error}"), AS_TEXT);
                    serde_json::to_string(document.value()).map_err(failed)?.into()
                }
                ending if NO_TEXT.contains(&ending) => {
                    let why = "it is no text, and models are asked in text here";
                    self.list.left_out(format!("variable `{name}` of `{file}`"), why, &node.place());
                    continue;
                }
                _ => read_text(path, "the variable")?.trim().to_owned().into(),
            });
        }
        Ok(if file.contains('*') && !values.is_empty() { Some(values.into()) } else { values.into_iter().next() })
    }
}

/// Endings of files that hold pictures, sounds and films.
const NO_TEXT: [&str; 14] =
    ["png", "jpg", "jpeg", "gif", "bmp", "webp", "svg", "pdf", "mp3", "wav", "mp4", "webm", "mov", "avi"];
/// What can be done about YAML that JSON cannot say.
const AS_TEXT: &str = "give the keys plain names, or end the file's name in .txt";

/// The file that a value names: `file://notes.txt`.
fn named_file(node: &Node) -> Option<String> {
    node.value().as_str()?.strip_prefix("file://").map(str::to_owned)
}
