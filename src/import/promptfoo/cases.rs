//! `tests:`, `scenarios:` and `defaultTest:`: every test with its own variables and assertions.

use super::assertion::Assertion;
use super::is_program;
use super::prompts::matching;
use crate::error::{Place, Problems};
use crate::import::listed::List;
use crate::import::node::Node;
use crate::suite::{Vars, read_rows, read_text};
use serde_json::Value as Json;

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

/// Every test of a file, in order; list values are multiplied out.
pub(super) fn read(root: &Node, list: &mut List) -> Result<Vec<Test>, Problems> {
    let mut reader = Reader { root, list };
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
    Ok(found.into_iter().map(|test| test.over(&default)).flat_map(Test::multiplied).collect())
}

impl Test {
    /// The test with what it inherits.
    fn over(self, base: &Self) -> Self {
        let mut vars = base.vars.clone();
        vars.extend(self.vars);
        let inherited = if self.own_assertions { Vec::new() } else { base.assertions.clone() };
        let either = |own: String, base: &str| if own.is_empty() { base.to_owned() } else { own };
        Self {
            vars,
            assertions: inherited.into_iter().chain(self.assertions).collect(),
            description: self.description.or_else(|| base.description.clone()),
            tags: base.tags.iter().cloned().chain(self.tags).collect(),
            prefix: either(self.prefix, &base.prefix),
            suffix: either(self.suffix, &base.suffix),
            place: self.place,
            whole_lists: self.whole_lists || base.whole_lists,
            own_assertions: false,
        }
    }

    /// A test for each combination of its list values.
    fn multiplied(self) -> Vec<Self> {
        let mut all = vec![self];
        let names: Vec<String> = all.iter().flat_map(|test| test.vars.keys().cloned()).collect();
        for name in names {
            let spread = |test: Self| match test.vars.get(&name) {
                Some(Json::Array(values)) if !test.whole_lists => {
                    let with = |value: &Json| {
                        let mut one = test.clone();
                        one.vars.insert(name.clone(), value.clone());
                        one
                    };
                    values.iter().map(with).collect()
                }
                _ => vec![test],
            };
            all = all.into_iter().flat_map(spread).collect();
        }
        all
    }
}

/// What a node is, or the file that it names holds.
fn opened(node: &Node) -> Result<Node, Problems> {
    match node.text().as_deref().and_then(|text| text.strip_prefix("file://")) {
        Some(file) => Node::open(&node.beside(file)),
        None => Ok(node.clone()),
    }
}

struct Reader<'a> {
    root: &'a Node,
    list: &'a mut List,
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
        let mut found = Vec::new();
        for path in files {
            match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
                "csv" | "jsonl" => found.extend(self.rows(&path)?),
                "yaml" | "yml" | "json" => {
                    for item in Node::open(&path)?.items() {
                        found.extend(self.tests(&item)?);
                    }
                }
                _ => {
                    let help = "run it yourself, and write its tests as YAML, CSV or JSON lines";
                    let name = format!("tests of `{}`", path.display());
                    self.list.left_out_but(
                        name,
                        "a program makes them, or nobody knows how to read them",
                        help,
                        &place,
                    );
                }
            }
        }
        Ok(found)
    }

    /// CSV rows with promptfoo's own columns; JSON lines that are tests.
    fn rows(&mut self, path: &std::path::Path) -> Result<Vec<Test>, Problems> {
        let (rows, problems) = read_rows(path, usize::MAX);
        let mut all = Problems::new();
        all.extend(problems);
        all.or_ok(())?;
        let csv = path.extension().is_some_and(|ending| ending == "csv");
        let mut found = Vec::new();
        for (row, place) in rows {
            found.push(if csv { self.row(row, &place) } else { self.json_test(row, place) });
        }
        Ok(found)
    }

    /// A row of a CSV file.
    fn row(&mut self, row: Vars, place: &Place) -> Test {
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
                    let key = name.trim_start_matches("__metadata:").trim_end_matches("[]");
                    let values = text.split(',').map(str::trim).filter(|value| !value.is_empty());
                    test.tags.extend(values.map(|value| format!("{key}:{value}")));
                }
                name if name.starts_with("__") => {
                    self.list.left_out(format!("column `{name}`"), "Tripos has nothing like it", place);
                }
                name => {
                    test.vars.insert(name.to_owned(), value);
                }
            }
        }
        for assertion in &mut test.assertions {
            assertion.metric.clone_from(&metric);
        }
        test
    }

    /// A JSON line in the shape of a test.
    fn json_test(&mut self, mut row: Vars, place: Place) -> Test {
        let vars = match row.remove("vars") {
            Some(Json::Object(vars)) => vars,
            _ => Vars::new(),
        };
        let mut test = Test { vars, place, ..Test::default() };
        test.description = row.get("description").and_then(Json::as_str).map(str::to_owned);
        for written in row.get("assert").and_then(Json::as_array).into_iter().flatten() {
            let value = serde_yaml::to_value(written).unwrap_or_default();
            for mut assertion in Assertion::read(&self.root.with(value), self.root, self.list) {
                assertion.place = test.place.clone();
                assertion.file.clone_from(&test.place.file);
                test.assertions.push(assertion);
            }
        }
        test
    }

    /// `{config: [tests], tests: [tests]}`: each of the one with each of the other.
    fn scenario(&mut self, node: &Node) -> Result<Vec<Test>, Problems> {
        let mut sides = [Vec::new(), Vec::new()];
        for (side, key) in sides.iter_mut().zip(["config", "tests"]) {
            for item in node.get(key).map(|node| node.items()).unwrap_or_default() {
                side.extend(self.tests(&item)?);
            }
        }
        let [config, tests] = sides;
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
            let tag = |key: String| {
                metadata.get(&key)?.items().iter().filter_map(Node::text).map(|value| format!("{key}:{value}")).next()
            };
            test.tags = metadata.keys().into_iter().filter_map(tag).collect();
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
        if node.value().as_mapping().is_none() {
            for item in node.items() {
                let path = item.text().unwrap_or_default();
                for file in matching(&item.beside(path.strip_prefix("file://").unwrap_or(&path))) {
                    vars.extend(self.vars(&Node::open(&file)?)?);
                }
            }
            return Ok(vars);
        }
        for name in node.keys() {
            let Some(value) = node.get(&name) else {
                vars.insert(name, Json::Null);
                continue;
            };
            let file = value.text().and_then(|text| text.strip_prefix("file://").map(str::to_owned));
            match file {
                Some(file) => self.of_file(name, &value, &file, &mut vars)?,
                None => {
                    vars.insert(name, value.json());
                }
            }
        }
        Ok(vars)
    }

    /// A variable whose value is a file: YAML and JSON as values, a pattern as a list, anything else as text.
    fn of_file(&mut self, name: String, node: &Node, file: &str, vars: &mut Vars) -> Result<(), Problems> {
        let program = is_program(file);
        let files = matching(&node.beside(file));
        if program || files.is_empty() {
            let why = if program { "a program makes it" } else { "there is no such file" };
            self.list.left_out(format!("variable `{name}` of `{file}`"), why, &node.place());
            return Ok(());
        }
        let mut values = Vec::new();
        for path in &files {
            values.push(match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
                "yaml" | "yml" | "json" => Node::open(path)?.json(),
                "png" | "jpg" | "jpeg" | "gif" | "webp" | "pdf" | "mp3" | "wav" | "mp4" => {
                    let why = "it is no text, and models are asked in text here";
                    self.list.left_out(format!("variable `{name}` of `{file}`"), why, &node.place());
                    continue;
                }
                _ => read_text(path, "the variable")?.trim().to_owned().into(),
            });
        }
        let value = if file.contains('*') { Some(Json::from(values)) } else { values.into_iter().next() };
        vars.extend(value.map(|value| (name, value)));
        Ok(())
    }
}
