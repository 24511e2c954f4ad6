//! Suites of promptfoo: `promptfooconfig.yaml` and the files that it names become one suite or several.
//!
//! In promptfoo every test has its own assertions. In Tripos every scorer of a suite judges every case. So tests that
//! assert the same kinds of thing share a suite; a text that differs from test to test is the case's target, a rubric
//! is a variable that the judge's prompt shows, and any other setting that differs makes a suite of its own (`shapes`).
//! A test without an assertion that has an equivalent is asked all the same, and scored by whether the model ended its
//! answer itself (`stopped`).
//!
//! Differences that remain, and are not said each time:
//!
//! - Texts are compared in NFKC with runs of white space as one space, and an answer is judged without the space around it.
//! - An empty answer passes no assertion, `not-` or not.
//! - A provider without `max_tokens` gets Tripos's 256.
//! - A YAML file that a variable names is printed as JSON with its dates as written, and `1.0` as `1.0`.

mod ask;
mod assertion;
mod cases;
mod check;
mod prompts;
mod providers;
mod shapes;
#[cfg(test)]
mod tests;

use super::ImportError;
use super::draft::{Draft, Folder, Imported, Rows, slug, unique};
use super::listed::List;
use super::model::Model;
use super::node::Node;
use super::translate::variable_name;
use crate::error::{Place, Problems};
use crate::suite::{Case, Vars};
use ask::Question;
use cases::Test;
use providers::Provider;
use serde_yaml::{Mapping, Value};
use shapes::{Judged, Shape, shapes};
use std::collections::BTreeMap;
use std::path::Path;

/// Keys of the configuration that are read.
const READ: [&str; 10] = [
    "description",
    "prompts",
    "providers",
    "targets",
    "tests",
    "scenarios",
    "defaultTest",
    "evaluateOptions",
    "assertionTemplates",
    "env",
];
/// Keys that no score depends on.
const HARMLESS: [&str; 7] =
    ["$schema", "commandLineOptions", "metadata", "outputPath", "sharing", "tags", "writeLatestResults"];

/// Brings a configuration in: suites, prompts and cases in a new folder. `model` is asked where the file names none that
/// Tripos can ask, and stands for those that it cannot: a file, where one lies elsewhere, or a server in a suite's words.
pub fn import(file: &Path, model: Option<&str>, out: &Path) -> Result<Imported, Problems> {
    let mut list = List::default();
    match read(file, model, out, &mut list).and_then(Folder::write) {
        Ok(suites) => Ok(Imported { suites, listed: list.into_vec(), metrics: Vec::new() }),
        Err(problems) => Err(list.before(problems)),
    }
}

/// What will be written.
fn read(file: &Path, model: Option<&str>, out: &Path, list: &mut List) -> Result<Folder, Problems> {
    let root = configuration(file)?;
    let instead = model.map(Model::named).transpose()?;
    let repeats = top_level(&root, list);
    let prompts = root.get("prompts").map(|node| prompts::read(&node, list)).unwrap_or_default();
    let providers = providers::read(&root, instead.as_ref(), list)?;
    let mut tests = cases::read(&root, list)?;
    if tests.is_empty() {
        let place = root.get("tests").unwrap_or_else(|| root.clone()).place();
        let help = "write one: `tests: [{vars: {…}, assert: […]}]`";
        return Err(ImportError::new(&place, "there is no test here that Tripos can ask", help).into());
    }
    for test in &mut tests {
        ask::render_vars(test, list);
    }
    let mut cases = named(&tests);
    let questions = ask::questions(&prompts, &tests, &mut cases, list);
    if questions.is_empty() {
        let place = root.get("prompts").unwrap_or_else(|| root.clone()).place();
        let help = "write one as a text: `prompts: [\"Translate: {{ input }}\"]`";
        return Err(ImportError::new(&place, "there is no prompt here that Tripos can ask", help).into());
    }
    let asserted = tests.iter().map(|test| test.assertions.len()).sum::<usize>();
    let judged: Vec<Judged> = tests
        .into_iter()
        .zip(cases)
        .map(|(test, case)| {
            let of = |assertion| check::checks(assertion, &test.vars, list);
            Judged { checks: test.assertions.iter().flat_map(of).collect(), case, test }
        })
        .collect();
    if asserted > 0 && judged.iter().all(|one| one.checks.is_empty()) {
        let what = "none of the assertions has an equivalent in Tripos, so there would be nothing to measure";
        let help =
            "add one that has: contains, icontains, equals, regex, starts-with, is-json, llm-rubric, levenshtein";
        return Err(ImportError::new(&Place::file(file), what, help).into());
    }
    let unjudged = judged.iter().filter(|one| one.checks.is_empty());
    for one in unjudged {
        let how = "nothing judges its answer but `stopped`: whether the model ended it itself";
        list.changed("a test without an assertion", how, &one.test.place);
    }
    let place = Place::file(file);
    let mut writer = Writer { folder: Folder::new(out), providers, questions, repeats, out, place };
    writer.folder.make()?;
    writer.unasked(list);
    let drafts = writer.drafts(&suite_name(file), root.text_at("description").as_deref(), shapes(judged, list))?;
    for draft in drafts {
        writer.folder.add(draft, &file.display().to_string());
    }
    Ok(writer.folder)
}

/// The file's map; anything else is refused.
fn configuration(file: &Path) -> Result<Node, Problems> {
    if is_program(&file.display().to_string()) {
        let help = "have promptfoo write it as YAML, and import that";
        return Err(
            ImportError::new(&Place::file(file), "this configuration is a program, and none is run", help).into()
        );
    }
    let root = Node::open(file)?;
    let has = |key: &str| root.get(key).is_some();
    if !(has("prompts") && (has("providers") || has("targets") || has("tests") || has("scenarios"))) {
        let what = "this is no configuration of promptfoo: it has no `prompts` with `providers` or `tests`";
        let lm_eval = has("output_type") || has("doc_to_text") || has("task") || has("dataset_path");
        let help = if lm_eval {
            format!("it looks like a task of lm-evaluation-harness: tripos import lm-eval {}", file.display())
        } else {
            "name a promptfooconfig.yaml".to_owned()
        };
        return Err(ImportError::new(&Place::file(file), what, help).into());
    }
    Ok(root)
}

/// Lists the keys that are not read; how often each case is asked.
fn top_level(root: &Node, list: &mut List) -> Option<u64> {
    let keys = root.keys();
    let harmless: Vec<String> = keys.iter().filter(|key| HARMLESS.contains(&key.as_str())).cloned().collect();
    if let Some(first) = harmless.first().and_then(|key| root.get(key)) {
        list.harmless(&harmless, &first.place());
    }
    for key in keys.iter().filter(|key| !READ.contains(&key.as_str()) && !HARMLESS.contains(&key.as_str())) {
        if let Some(node) = root.get(key) {
            list.left_out(format!("`{key}`"), "Tripos has nothing like it", &node.place());
        }
    }
    let options = root.get("evaluateOptions")?;
    let others: Vec<String> = options.keys().into_iter().filter(|key| key != "repeat").collect();
    list.harmless(&others, &options.place());
    options.number_at("repeat").filter(|repeat| *repeat > 1.0).map(|repeat| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count above 1")]
        let repeat = repeat as u64;
        repeat
    })
}

/// The configuration's name, or that of its folder where it has the usual one.
fn suite_name(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let whole = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let folder = whole.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    slug(&folder.filter(|_| stem == "promptfooconfig").unwrap_or(stem))
}

/// A case for each test. Its id is its description where that is its own, else its number.
fn named(tests: &[Test]) -> Vec<Case> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for described in tests.iter().filter_map(|test| test.description.as_deref()) {
        *times.entry(described).or_default() += 1;
    }
    // A number may be another test's description.
    let mut taken: Vec<String> = times.keys().map(|&described| described.to_owned()).collect();
    let case = |(at, test): (usize, &Test)| {
        let own = |text: &String| !text.trim().is_empty() && times.get(text.as_str()) == Some(&1);
        let described = test.description.clone().filter(own);
        let id = described.unwrap_or_else(|| unique(&(at + 1).to_string(), &mut taken));
        let vars: Vars = test.vars.iter().map(|(name, value)| (variable_name(name), value.clone())).collect();
        Case { id, vars, target: None, tags: test.tags.clone(), probe: None }
    };
    tests.iter().enumerate().map(case).collect()
}

/// The ending of a file's name; behind it may stand a function of the file: `prompt.py:make`.
fn ending(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, ending)| ending.split(':').next().unwrap_or_default())
}

/// Whether a file is a program by its name.
fn is_program(path: &str) -> bool {
    ["py", "js", "ts", "mjs", "cjs", "mts", "cts"].contains(&ending(path))
}

/// The name of one suite of several: what it asserts that not all of them do, two scorers at most.
fn shape_name(name: &str, shape: &Shape, all: &[Shape]) -> String {
    if all.len() < 2 {
        return name.to_owned();
    }
    let shared = |scorer: &str| all.iter().all(|other| other.scorers.iter().any(|one| one.name() == scorer));
    let names = shape.scorers.iter().map(shapes::Scorer::name);
    let own: Vec<&str> = names.clone().filter(|name| !shared(name)).take(2).collect();
    let own = if own.is_empty() { names.take(1).collect() } else { own };
    format!("{name}_{}", own.join("_"))
}

struct Writer<'a> {
    folder: Folder,
    providers: Vec<Provider>,
    questions: Vec<Question>,
    repeats: Option<u64>,
    out: &'a Path,
    /// The configuration as a whole.
    place: Place,
}

impl Writer<'_> {
    /// Lists the providers that are asked none of the prompts: their labels may be misspelt, or left out.
    fn unasked(&self, list: &mut List) {
        for provider in self.providers.iter().filter(|one| !self.questions.iter().any(|question| one.asks(question))) {
            let why = format!("none of its prompts is here: {}", provider.prompts.join(", "));
            list.left_out(format!("provider `{}`", provider.label), why, &provider.place);
        }
    }

    fn drafts(&mut self, name: &str, description: Option<&str>, shapes: Vec<Shape>) -> Result<Vec<Draft>, ImportError> {
        let variants = self.variants()?;
        let alone = self.providers.len() == 1;
        let only = self.providers.first().filter(|_| alone);
        let (model, sampling) =
            only.map_or((None, Mapping::new()), |one| (Some(one.model.line(self.out)), one.sampling.clone()));
        let mut taken = Vec::new();
        let mut drafts = Vec::new();
        let names: Vec<String> = shapes.iter().map(|shape| shape_name(name, shape, &shapes)).collect();
        for (shape, name) in shapes.into_iter().zip(names) {
            let scorers: Vec<Value> = shape.scorers.iter().map(|scorer| self.scorer(scorer)).collect();
            let name = unique(&name, &mut taken);
            drafts.push(Draft {
                name,
                description: description.map(str::to_owned),
                model: model.clone(),
                sampling: sampling.clone(),
                scorers,
                variants: variants.clone(),
                cases: Rows::Cases(shape.cases),
                examples: Vec::new(),
            });
        }
        Ok(drafts)
    }

    /// Every prompt with every provider that is asked it.
    fn variants(&mut self) -> Result<Vec<Mapping>, ImportError> {
        let (mut variants, mut taken) = (Vec::new(), Vec::new());
        let alone = self.providers.len() == 1;
        for question in &self.questions {
            let (mut written, mut as_message) = (None, None);
            for provider in &self.providers {
                if !provider.asks(question) {
                    continue;
                }
                let path = format!("prompts/{}", question.stem);
                let folder = &mut self.folder;
                let file: &String = if provider.chat && !question.chat {
                    as_message.get_or_insert_with(|| folder.file(&path, ".yaml", question.as_message()))
                } else {
                    let ending = if question.chat { ".yaml" } else { ".txt" };
                    written.get_or_insert_with(|| folder.file(&path, ending, question.text.clone()))
                };
                let name = match (alone, self.questions.len()) {
                    (true, _) => question.stem.clone(),
                    (false, 1) => slug(&provider.label),
                    (false, _) => format!("{}-{}", question.stem, slug(&provider.label)),
                };
                let mut variant = Mapping::new();
                variant.insert("name".into(), unique(&name, &mut taken).into());
                variant.insert("prompt".into(), file.as_str().into());
                if !alone {
                    variant.insert("model".into(), provider.model.line(self.out));
                    if !provider.sampling.is_empty() {
                        variant.insert("sampling".into(), provider.sampling.clone().into());
                    }
                }
                if let Some(repeats) = self.repeats {
                    variant.insert("repeats".into(), repeats.into());
                }
                variants.push(variant);
            }
        }
        if variants.is_empty() {
            let help = "`prompts` of a provider holds labels of prompts";
            return Err(ImportError::new(&self.place, "no provider is asked any of the prompts", help));
        }
        Ok(variants)
    }

    /// A scorer as the suite writes it; a judge with its prompt and the suite's first model.
    fn scorer(&mut self, scorer: &shapes::Scorer) -> Value {
        let mut settings = scorer.settings.clone();
        if let Some((stem, text)) = &scorer.prompt {
            let file = self.folder.file(&format!("prompts/{stem}"), ".txt", text.clone());
            settings.insert("prompt".into(), file.into());
            if let Some(provider) = self.providers.first() {
                settings.insert("model".into(), provider.model.line(self.out));
            }
        }
        if settings.is_empty() {
            scorer.kind.into()
        } else {
            Mapping::from_iter([(scorer.kind.into(), settings.into())]).into()
        }
    }
}
