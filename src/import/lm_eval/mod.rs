//! Tasks of lm-evaluation-harness: each becomes a suite.
//!
//! The harness puts a prompt together as `description`, then for each example its text, `target_delimiter`, its target
//! and `fewshot_delimiter`, then the text of the row; so does the prompt that is written here. `generate_until` is
//! judged by what is said, `multiple_choice` by `choice`, `loglikelihood` and `loglikelihood_rolling` by `perplexity`.
//! Programs (`!function`) are refused by name; where one only prepares the rows (`process_docs`), rows that are
//! prepared already may be given.
//!
//! Differences that remain, and are not said each time:
//!
//! - Examples are drawn by Tripos's own random numbers, not by Python's.
//! - Answers and targets are compared in NFKC, with runs of white space as one space and none around.
//! - A pattern that is not found is no answer, and wrong; the harness compares its `fallback`.

mod ask;
mod config;
mod literal;
mod metrics;
mod reading;
mod rows;
mod sampling;
#[cfg(test)]
mod tests;

use super::ImportError;
use super::draft::{Draft, Folder, Imported, Rows as Written, whole_slug};
use super::listed::List;
use super::model::Model;
use super::node::Node;
use crate::error::{Place, Problems};
use ask::Asked;
use config::Task;
use metrics::Judging;
use reading::{Item, Reading};
use rows::{Found, Rows};
use serde_yaml::{Mapping, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// What an import is told beside its file.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The model that is asked, for no task names one: a file, where one lies elsewhere, or a server in a suite's words.
    pub model: Option<&'a str>,
    /// The folder that is written.
    pub out: &'a Path,
    /// The rows, or the folder with a file of rows for each task.
    pub data: Option<&'a Path>,
    /// The same for examples.
    pub examples: Option<&'a Path>,
    /// How many examples, whatever the task says.
    pub num_fewshot: Option<usize>,
}

/// Keys that are read.
const READ: [&str; 25] = [
    "task",
    "include",
    "dataset_path",
    "dataset_name",
    "dataset_kwargs",
    "custom_dataset",
    "test_split",
    "validation_split",
    "training_split",
    "fewshot_split",
    "fewshot_config",
    "num_fewshot",
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "process_docs",
    "description",
    "target_delimiter",
    "fewshot_delimiter",
    "gen_prefix",
    "output_type",
    "generation_kwargs",
    "filter_list",
    "metric_list",
    "repeats",
];
/// Keys that no score depends on.
const HARMLESS: [&str; 11] = [
    "task_alias",
    "tag",
    "tags",
    "group",
    "group_alias",
    "metadata",
    "should_decontaminate",
    "doc_to_decontamination_query",
    "weight_by_size",
    "aggregate_metric_list",
    "dataset_alias",
];

/// Brings a task in, or every task of a group.
pub fn import(file: &Path, options: &Options) -> Result<Imported, Problems> {
    let mut list = List::default();
    let done = read(file, options, &mut list).and_then(|(folder, metrics)| Ok((folder.write()?, metrics)));
    match done {
        Ok((suites, metrics)) => Ok(Imported { suites, listed: list.into_vec(), metrics }),
        Err(problems) => Err(list.before(problems)),
    }
}

/// What will be written, and the metrics' names there and here.
fn read(file: &Path, options: &Options, list: &mut List) -> Result<(Folder, Vec<(String, String)>), Problems> {
    let Some(model) = options.model else {
        let help = "name it: --model FILE.gguf";
        return Err(ImportError::new(&Place::file(file), "a task names no model to ask", help).into());
    };
    let model = Model::named(model)?;
    let mut folder = Folder::new(options.out);
    let mut problems = Problems::new();
    let (mut drafts, mut metrics) = (Vec::new(), Vec::new());
    let tasks = config::read(file, list)?;
    rows::for_all(&tasks, options.data)?;
    rows::for_all(&tasks, options.examples)?;
    for task in &tasks {
        match (Importer { task, options, list: &mut *list }).import(&mut folder) {
            Ok((draft, found)) => {
                drafts.push(draft);
                for pair in found {
                    if !metrics.contains(&pair) {
                        metrics.push(pair);
                    }
                }
            }
            Err(found) => problems.append(found),
        }
    }
    problems.or_ok(())?;
    folder.make()?;
    for draft in drafts {
        let model = Some(model.line(options.out));
        folder.add(Draft { model, ..draft }, &file.display().to_string());
    }
    Ok((folder, metrics))
}

/// The kinds of task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Generated,
    Choice,
    Target,
    Text,
}

struct Importer<'a> {
    task: &'a Task,
    options: &'a Options<'a>,
    list: &'a mut List,
}

impl Importer<'_> {
    fn import(mut self, folder: &mut Folder) -> Result<(Draft, Vec<(String, String)>), Problems> {
        let output = self.output()?;
        self.keys();
        let rows = self.rows()?;
        let columns: BTreeSet<String> = rows.iter().flat_map(|(row, _)| row.keys().cloned()).collect();
        let reading = Reading::new(self.task, &columns, output != Output::Text)?;
        let items = reading.items(rows)?;
        if output == Output::Text {
            return Ok(self.texts(&items));
        }
        if output == Output::Choice {
            self.can_choose(&items)?;
        }
        let (count, select, examples) = self.examples(&reading)?;
        let mut asked = Asked::new(&items, &examples, &reading);
        let (judging, targets) = match output {
            Output::Choice => (metrics::by_choice(self.task, asked.choices(), self.list), first(&items)),
            Output::Target => (metrics::by_target(self.task, self.list), first(&items)),
            Output::Generated | Output::Text => metrics::by_generation(self.task, &items, self.list),
        };
        self.several(&items);
        self.is_judged(&judging)?;
        asked.targets(&targets);
        let text = asked.prompt(self.task, &items, &examples)?;
        let stem = whole_slug(&self.task.name());
        let prompt = folder.file(&format!("prompts/{stem}"), ".txt", text + "\n");
        let sampling =
            if output == Output::Generated { sampling::sampling(self.task, self.list)? } else { Mapping::new() };
        let few = (count > 0).then(|| {
            Mapping::from_iter([("count".into(), Value::from(count)), ("select".into(), Value::from(select))])
        });
        let variants = judging.votes.iter().map(|vote| {
            let name = if vote.majority { format!("majority_{}", vote.repeats) } else { "once".to_owned() };
            let name = if judging.votes.len() == 1 && !vote.majority { shots(count) } else { name };
            let mut variant =
                Mapping::from_iter([("name".into(), Value::from(name)), ("prompt".into(), prompt.as_str().into())]);
            if let Some(few) = &few {
                variant.insert("examples".into(), few.clone().into());
            }
            if vote.majority {
                variant.insert("repeats".into(), vote.repeats.into());
                variant.insert("reduce".into(), "majority".into());
            }
            variant
        });
        let (variants, Judging { scorers, metrics, .. }) = (variants.collect(), judging);
        let (cases, examples) = asked.into_cases();
        let draft = Draft { scorers, variants, sampling, examples, cases: Written::Cases(cases), ..self.draft() };
        Ok((draft, metrics))
    }

    /// Choices have to be there, and to stand behind one prompt.
    fn can_choose(&self, items: &[Item]) -> Result<(), ImportError> {
        if items.iter().any(|item| item.choices.is_none()) {
            let help = "write the choices: `doc_to_choice: [yes, no]`, a column, or a template";
            return Err(ImportError::new(&self.task.place(), "multiple choice without `doc_to_choice`", help));
        }
        if items.iter().all(|item| item.asks_a_position) {
            let what = "`doc_to_text` is the position of the right choice: the choices are what stands before one target, \
                        as in WinoGrande, and `choice` compares what stands behind one prompt";
            let help = "ask it the other way round, if that will do: what is before the gap as `doc_to_text`, each option \
                        with the rest of the sentence as `doc_to_choice`, and the position as `doc_to_target`";
            let place = self.task.get("doc_to_text").map_or_else(|| self.task.place(), Node::place);
            return Err(ImportError::new(&place, what, help));
        }
        Ok(())
    }

    /// Something has to be measured.
    fn is_judged(&self, judging: &Judging) -> Result<(), ImportError> {
        if !judging.scorers.is_empty() {
            return Ok(());
        }
        let (key, of, help) = if judging.votes.is_empty() {
            let help = "filters that have one: regex, take_first, take_first_k, majority_vote, lowercase, uppercase, \
                        remove_whitespace";
            ("filter_list", "filters", help)
        } else {
            let help = "metrics that have one: exact_match, acc, acc_norm, perplexity, bits_per_byte, chrf";
            ("metric_list", "metrics", help)
        };
        let what = format!("none of the {of} has an equivalent in Tripos, so there would be nothing to measure");
        let place = self.task.get(key).map_or_else(|| self.task.place(), Node::place);
        Err(ImportError::new(&place, what, help))
    }

    /// A suite without anything in it yet.
    fn draft(&self) -> Draft {
        Draft {
            name: whole_slug(&self.task.name()),
            description: None,
            model: None,
            sampling: Mapping::new(),
            scorers: Vec::new(),
            variants: Vec::new(),
            cases: Written::Cases(Vec::new()),
            examples: Vec::new(),
        }
    }

    /// Long texts, for perplexity.
    fn texts(&mut self, items: &[Item]) -> (Draft, Vec<(String, String)>) {
        let Judging { scorers, metrics, .. } = metrics::by_text(self.task, self.list);
        let how = "long texts are read in windows that overlap, each token scored once; the harness's do not overlap";
        self.list.changed("`loglikelihood_rolling`", how, &self.task.place());
        let stem = whole_slug(&self.task.name());
        let mut texts = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let text = item.golds.first().cloned().unwrap_or_default();
            if text.chars().nth(1).is_none() {
                self.list.left_out("a text", "it is shorter than two characters", &item.place);
            } else {
                texts.push((format!("{stem}_{}", at + 1), text));
            }
        }
        let variants = vec![Mapping::from_iter([("name".into(), Value::from("read"))])];
        (Draft { scorers, variants, cases: Written::Texts(texts), ..self.draft() }, metrics)
    }

    fn output(&self) -> Result<Output, ImportError> {
        let Some(node) = self.task.get("output_type") else { return Ok(Output::Generated) };
        let written = node.text().unwrap_or_default();
        Ok(match written.as_str() {
            "generate_until" => Output::Generated,
            "multiple_choice" => Output::Choice,
            "loglikelihood" => Output::Target,
            "loglikelihood_rolling" => Output::Text,
            other => {
                let help = "generate_until, multiple_choice, loglikelihood and loglikelihood_rolling are brought in";
                return Err(node.error(format!("there is no output type `{other}`"), help));
            }
        })
    }

    /// Lists the keys that are not read, and programs by name.
    fn keys(&mut self) {
        let is_harmless = |key: &&String| HARMLESS.contains(&key.as_str()) && self.task.get(key).is_some();
        let harmless: Vec<String> = self.task.keys().iter().filter(is_harmless).cloned().collect();
        if let Some(first) = harmless.first().and_then(|key| self.task.get(key)) {
            self.list.harmless(&harmless, &first.place());
        }
        for key in self.task.keys().iter().filter(|key| !HARMLESS.contains(&key.as_str())) {
            let Some(node) = self.task.get(key) else { continue };
            match node.function() {
                Some(function) if key == "process_docs" => {
                    let why = "it is a program, and none is run; the rows are taken as if it had been";
                    self.list.left_out(format!("`process_docs: !function {function}`"), why, &node.place());
                }
                Some(function) if !READ.contains(&key.as_str()) => {
                    let why = "it is a program, and none is run";
                    self.list.left_out(format!("`{key}: !function {function}`"), why, &node.place());
                }
                None if !READ.contains(&key.as_str()) => {
                    self.list.left_out(format!("`{key}`"), "Tripos has nothing like it", &node.place());
                }
                _ => {}
            }
        }
    }

    fn rows(&mut self) -> Result<Rows, Problems> {
        match rows::rows(self.task, &rows::judged_split(self.task), self.options.data, self.list)? {
            Found::Rows(rows) => Ok(rows),
            Found::Remote(remote) => Err(ImportError::new(&remote.place, remote.what(), remote.help("--data")).into()),
        }
    }

    /// How many examples, chosen how, and the pool; none where the pool is elsewhere, which is listed.
    fn examples(&mut self, reading: &Reading) -> Result<(usize, &'static str, Vec<Item>), Problems> {
        let config = self.task.get("fewshot_config").cloned();
        let written = self.task.get("num_fewshot");
        let number = |node: &Node| {
            let count = node.value().as_u64().and_then(|count| usize::try_from(count).ok());
            let what = || format!("`num_fewshot: {}` is no number of examples", node.text().unwrap_or_default());
            count.ok_or_else(|| node.error(what(), "write a whole number, or say it here: --num-fewshot N"))
        };
        let count = self.options.num_fewshot.map_or_else(|| written.map_or(Ok(0), number), Ok)?;
        if count == 0 {
            return Ok((0, "first", Vec::new()));
        }
        let place = config.as_ref().or(written).map_or_else(|| self.task.place(), Node::place);
        let mut select = "random";
        for key in config.iter().flat_map(Node::keys) {
            let node = config.as_ref().and_then(|config| config.get(&key));
            match (key.as_str(), node.as_ref().and_then(Node::text).as_deref()) {
                ("sampler", Some("first_n")) => select = "first",
                ("sampler", Some("default")) | ("samples" | "split", _) => {}
                (_, _) => {
                    let place = node.as_ref().map_or_else(|| place.clone(), Node::place);
                    self.list.left_out(format!("`{key}` of `fewshot_config`"), "examples are read as rows are", &place);
                }
            }
        }
        let samples = config.as_ref().and_then(|config| config.get("samples"));
        if let Some(samples) = samples.filter(|_| self.options.examples.is_none()) {
            if let Some(function) = samples.function() {
                let what = format!("`samples: !function {function}` is a program, and none is run");
                return Err(samples.error(what, "run it yourself, and give the rows: --examples FILE").into());
            }
            let row = |node: &Node| Some((node.json().as_object()?.clone(), node.place()));
            let rows: Rows = samples.items().iter().filter_map(row).collect();
            if rows.is_empty() {
                let what = format!("`samples` holds no example, and {count} are to be shown");
                return Err(samples.error(what, "write them as a list of rows, or set `num_fewshot: 0`").into());
            }
            return Ok((count, "first", reading.items(rows)?));
        }
        let split = rows::example_split(self.task);
        let same = split == rows::judged_split(self.task);
        let given = self.options.examples.or(self.options.data.filter(|_| same));
        match rows::rows(self.task, &split, given, self.list)? {
            Found::Rows(rows) => Ok((count, select, reading.items(rows)?)),
            Found::Remote(remote) => {
                let why = format!("{}; the prompts are written without", remote.what());
                let help = remote.help("--examples");
                self.list.left_out_but(format!("`num_fewshot: {count}`"), why, help, &remote.place);
                Ok((0, "first", Vec::new()))
            }
        }
    }

    /// Several right answers, of which a case here has one.
    fn several(&mut self, items: &[Item]) {
        for item in items.iter().filter(|item| item.golds.len() > 1) {
            let how = "the first of its right answers counts, so that scores are lower bounds";
            let place = self.task.get("doc_to_target").map_or_else(|| item.place.clone(), Node::place);
            self.list.changed("a row with several targets", how, &place);
        }
    }
}

/// The first right answer of each.
fn first(items: &[Item]) -> Vec<String> {
    items.iter().filter_map(|item| item.golds.first().cloned()).collect()
}

/// The name of a task's only variant.
fn shots(count: usize) -> String {
    if count == 0 { "zero_shot".to_owned() } else { format!("{count}_shot") }
}
