//! Where a recipe's data comes from: a file of rows, a generator, or the passing samples of a run.

use super::Kind;
use super::file::SourceEntry;
use super::load::Loader;
use super::shape::ExamplesEntry;
use crate::gguf::sha256_file;
use crate::prompt::{PromptTemplate, TextTemplate};
use crate::store::samples_file;
use crate::suite::{Generate, PromptFile};
use crate::train::data::{Format, JUDGED, ROLES};
use crate::train::error::TrainProblem;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Most examples before a row.
const MOST_EXAMPLES: usize = 64;

/// One source of data, resolved.
#[derive(Debug, Clone, Serialize)]
pub struct Source {
    /// Its path in the recipe: `data`, `data[1]`, `held_out.data`.
    #[serde(skip)]
    pub at: String,
    /// What it is.
    #[serde(flatten)]
    pub origin: Origin,
    /// What a row's parts (or a prompt's variables) are called, to the columns they are in; `None` where the columns are
    /// called so already. Other columns are then passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<BTreeMap<String, String>>,
    /// Only the first rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The prompt that a row fills in: the one that a suite asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptFile>,
    /// The answer to it, a template that sees the row and its `target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
    /// The better answer to it and the worse one, templates that see the row and its `target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<[String; 2]>,
    /// By what its rows were judged, where they do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub axis: Option<String>,
    /// The tags of its rows, where they have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The document that a row fills in, a template that knows the filter `given`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How many other rows stand before a row as examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples: Option<Examples>,
}

/// How many examples a row has: the fewest and the most, each number between them as often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Examples {
    /// Fewest and most.
    pub count: [usize; 2],
}

/// What a source is.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Origin {
    /// A .jsonl, .csv or .yaml file of rows.
    File {
        /// The file.
        file: PathBuf,
    },
    /// Rows made by rule, as a suite's cases are.
    Generate {
        /// The rule.
        generate: Box<Generate>,
    },
    /// What a model said in a run, as far as it passed.
    Run {
        /// The run's folder.
        run: PathBuf,
        /// Which variant; `None` where the run has one only.
        #[serde(skip_serializing_if = "Option::is_none")]
        variant: Option<String>,
        /// Which scorer decides; `None`: all of them.
        #[serde(skip_serializing_if = "Option::is_none")]
        scorer: Option<String>,
    },
}

impl Source {
    /// SHA-256 of its file, or of the samples of its run; `None` for a generator, and for what cannot be read.
    #[must_use]
    pub fn sha256(&self) -> Option<String> {
        match &self.origin {
            Origin::File { file } => sha256_file(file).ok(),
            Origin::Run { run, .. } => sha256_file(&samples_file(run)).ok(),
            Origin::Generate { .. } => None,
        }
    }

    /// What people know it by.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.origin {
            Origin::File { file } => file.display().to_string(),
            Origin::Generate { .. } => "generate".to_owned(),
            Origin::Run { run, .. } => run.display().to_string(),
        }
    }

    /// Whether its rows are made by rule.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        matches!(self.origin, Origin::Generate { .. })
    }

    /// The files that it names.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let own = match &mut self.origin {
            Origin::File { file } => Some(file),
            Origin::Run { run, .. } => Some(run),
            Origin::Generate { .. } => None,
        };
        own.into_iter().chain(self.prompt.iter_mut().map(|prompt| &mut prompt.path))
    }
}

impl Loader<'_> {
    /// A source; `None` where it cannot be read, which is then reported. `kind` is `None` where it is not known.
    pub(super) fn source(&mut self, at: &str, entry: &SourceEntry, kind: Option<Kind>) -> Option<Source> {
        let origin = self.origin(at, entry)?;
        self.belongs(at, entry, &origin, kind);
        let prompt = entry.prompt.as_ref().map(|written| self.prompt_file(&format!("{at}.prompt"), written));
        for (name, part) in
            [("completion", &entry.completion), ("chosen", &entry.chosen), ("rejected", &entry.rejected)]
        {
            let place = self.place(&format!("{at}.{name}"));
            if let Some(Err(error)) = part.as_ref().map(|part| TextTemplate::compile_part(part, &place)) {
                self.problems.push(error);
            }
        }
        if let Some(text) = &entry.text {
            let place = self.place(&format!("{at}.text"));
            if let Err(error) = TextTemplate::compile_document(text, &place) {
                self.problems.push(error);
            }
        }
        self.columns(at, entry, kind);
        Some(Source {
            at: at.to_owned(),
            origin,
            columns: entry.columns.clone(),
            limit: entry.limit,
            prompt: match prompt {
                Some(prompt) => Some(prompt?),
                None => None,
            },
            completion: entry.completion.clone(),
            answers: entry.chosen.clone().zip(entry.rejected.clone()).map(|(chosen, rejected)| [chosen, rejected]),
            axis: entry.axis.clone(),
            tags: entry.tags.clone(),
            text: entry.text.clone(),
            examples: entry.examples.map(|ExamplesEntry(examples)| examples),
        })
    }

    fn origin(&mut self, at: &str, entry: &SourceEntry) -> Option<Origin> {
        match (&entry.file, &entry.generate, &entry.run) {
            (Some(file), None, None) => {
                let file = self.join(file);
                self.must_be_file(&format!("{at}.file"), "the data", &file);
                Some(Origin::File { file })
            }
            (None, Some(generate), None) => Some(Origin::Generate { generate: Box::new(generate.clone()) }),
            (None, None, Some(run)) => {
                let run = self.join(run);
                self.must_be_file(&format!("{at}.run"), "the run", &run.join("header.json"));
                Some(Origin::Run { run, variant: entry.variant.clone(), scorer: entry.scorer.clone() })
            }
            _ => {
                if !self.refused(at) {
                    let help = "write one of `file: FILE`, `generate: {…}` and `run: FOLDER`";
                    self.fail(at, "a source of data is one thing", help);
                }
                None
            }
        }
    }

    /// Each field has the sources it belongs to.
    fn belongs(&mut self, at: &str, entry: &SourceEntry, origin: &Origin, kind: Option<Kind>) {
        let (name, allowed) = allowed(origin, kind);
        let given = [
            ("columns", entry.columns.is_some()),
            ("limit", entry.limit.is_some()),
            ("prompt", entry.prompt.is_some()),
            ("completion", entry.completion.is_some()),
            ("chosen", entry.chosen.is_some()),
            ("rejected", entry.rejected.is_some()),
            ("axis", entry.axis.is_some()),
            ("tags", !entry.tags.is_empty()),
            ("text", entry.text.is_some()),
            ("examples", entry.examples.is_some()),
            ("variant", entry.variant.is_some()),
            ("scorer", entry.scorer.is_some()),
        ];
        for (field, _) in given.iter().filter(|(field, given)| *given && !allowed.contains(field)) {
            let help = format!("beside `{name}:` there may be: {}", allowed.join(", "));
            self.fail(&format!("{at}.{field}"), &format!("`{field}` does not belong beside `{name}:`"), &help);
        }
        if entry.limit == Some(0) {
            self.fail(&format!("{at}.limit"), "`limit` is 0", "leave it out to read all rows");
        }
        if entry.text.is_some()
            && (entry.prompt.is_some() || entry.completion.is_some() || kind == Some(Kind::Classify))
        {
            let help = "`text` is a whole document; leave out `prompt` and `completion`, or `text`";
            self.fail(&format!("{at}.text"), "`text` stands alone, and is learned word by word", help);
        }
        if let Some(ExamplesEntry(examples)) = entry.examples {
            self.examples(&format!("{at}.examples"), examples, entry, kind);
        }
        if kind.is_some_and(Kind::is_judged) {
            self.answers(at, entry, origin);
        }
        self.said(at, entry, kind);
        if let Origin::Run { .. } = origin {
            self.of_run(at, kind);
        }
    }

    /// Prompt and completion go together.
    fn said(&mut self, at: &str, entry: &SourceEntry, kind: Option<Kind>) {
        match (kind, &entry.prompt, &entry.completion) {
            (Some(Kind::Classify), _, Some(_)) => {
                let what = "a classifier says nothing, so there is no `completion` to learn";
                let help = "the label of a row is its column `label`, or `target`: `columns: {label: COLUMN}`";
                self.fail(&format!("{at}.completion"), what, help);
            }
            (Some(Kind::Sft | Kind::Pretrain), Some(_), None) if !self.refused(&format!("{at}.completion")) => {
                let help = "add what is to be said, a template over the same row: `completion: \" {{ target }}\"`";
                self.fail(&format!("{at}.prompt"), "`prompt` without a `completion`", help);
            }
            (Some(Kind::Sft | Kind::Pretrain), None, Some(_)) if !self.refused(&format!("{at}.prompt")) => {
                let help = "add what is asked, a prompt file: `prompt: ../prompts/qa.txt`";
                self.fail(&format!("{at}.completion"), "`completion` without a `prompt`", help);
            }
            _ => {}
        }
    }

    /// What a run's answers do not teach.
    fn of_run(&mut self, at: &str, kind: Option<Kind>) {
        let (what, help) = match kind {
            Some(Kind::Pretrain) => (
                "a model from nothing has said nothing yet",
                "use `file: …` or `generate: …`; a run's answers teach the model that gave them (`kind: sft`)",
            ),
            Some(Kind::Reward | Kind::Dpo) => (
                "the answers of a run are no preferences yet",
                "make pairs of its answers first: tripos preferences RUN --scorer NAME -o pairs.jsonl",
            ),
            Some(Kind::Classify) => (
                "a classifier does not learn from what a model said",
                "use `file: …` or `generate: …`, whose rows have labels",
            ),
            Some(Kind::Sft | Kind::Grpo | Kind::Ppo) | None => return,
        };
        self.fail(&format!("{at}.run"), what, help);
    }

    /// A prompt with a better and a worse answer, or rows that have them.
    fn answers(&mut self, at: &str, entry: &SourceEntry, origin: &Origin) {
        let given = [("prompt", &entry.prompt), ("chosen", &entry.chosen), ("rejected", &entry.rejected)];
        let missing: Vec<&str> = given.iter().filter(|(_, given)| given.is_none()).map(|(name, _)| *name).collect();
        let none = missing.len() == given.len() && !matches!(origin, Origin::Generate { .. });
        let refused = given.iter().any(|(name, _)| self.refused(&format!("{at}.{name}")));
        if missing.is_empty() || none || refused {
            return;
        }
        let what = format!("a judgement has three parts, and `{}` is missing", missing.join("` and `"));
        let help = "write a prompt file and two templates over the row: `prompt: ../prompts/chat.yaml`, \
                    `chosen: \"{{ target }}\"`, `rejected: \"{{ target + 1 }}\"`";
        self.fail(at, &what, help);
    }

    fn examples(
        &mut self,
        at: &str,
        Examples { count: [fewest, most] }: Examples,
        entry: &SourceEntry,
        kind: Option<Kind>,
    ) {
        if entry.prompt.is_none() && entry.text.is_none() || kind == Some(Kind::Classify) {
            let help = "`prompt` and `completion`, or `text`, print them: `{% for e in examples %}…{% endfor %}`";
            self.fail(at, "nothing shows these examples", help);
        }
        if most == 0 || most < fewest || most > MOST_EXAMPLES {
            let help = format!("write `examples: {{count: 4}}` or `{{count: [0, 4]}}`, at most {MOST_EXAMPLES}");
            self.fail(at, &format!("{fewest} to {most} examples"), &help);
        }
    }

    /// Where no prompt gives names of its own a meaning, `columns` names the parts of a row.
    fn columns(&mut self, at: &str, entry: &SourceEntry, kind: Option<Kind>) {
        let (Some(columns), None, None) = (&entry.columns, &entry.prompt, &entry.text) else { return };
        let known: &[&str] = match kind {
            Some(Kind::Classify) => &["text", "label"],
            Some(Kind::Reward | Kind::Dpo) => &JUDGED,
            _ => &ROLES,
        };
        let strange: Vec<&String> = columns.keys().filter(|name| !known.contains(&name.as_str())).collect();
        for name in &strange {
            let known = known.iter().map(|&name| name.to_owned()).collect();
            let problem = TrainProblem::Unknown { what: "part of a row", name: (*name).clone(), known };
            self.push(&format!("{at}.columns.{name}"), problem);
        }
        let complete = match kind {
            Some(Kind::Classify) => columns.contains_key("text"),
            Some(Kind::Reward | Kind::Dpo) => {
                ["prompt", "chosen", "rejected"].iter().all(|name| columns.contains_key(*name))
            }
            _ => Format::of(columns.keys().map(String::as_str)).is_some(),
        };
        if strange.is_empty() && !complete {
            let help = match kind {
                Some(Kind::Classify) => "write `columns: {text: COLUMN, label: COLUMN}`".to_owned(),
                Some(Kind::Reward | Kind::Dpo) => {
                    "write `columns: {prompt: COLUMN, chosen: COLUMN, rejected: COLUMN}`".to_owned()
                }
                _ => format!("write {}", Format::KNOWN),
            };
            self.fail(&format!("{at}.columns"), "these columns do not make up something to learn", &help);
        }
    }

    /// A prompt file that compiles.
    pub(super) fn prompt_file(&mut self, at: &str, written: &str) -> Option<PromptFile> {
        let path = self.join(written);
        if !self.must_be_file(at, "the prompt", &path) {
            return None;
        }
        let text = match crate::suite::read_text(&path, "the prompt") {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(error);
                return None;
            }
        };
        let prompt = PromptFile::new(path, &text);
        if let Err(error) = PromptTemplate::compile(&prompt) {
            self.problems.push(error);
        }
        Some(prompt)
    }
}

/// What a source is called, and the fields that may stand beside it.
fn allowed(origin: &Origin, kind: Option<Kind>) -> (&'static str, &'static [&'static str]) {
    let judged = kind.is_some_and(Kind::is_judged);
    match origin {
        Origin::File { .. } if judged => {
            ("file", &["columns", "limit", "prompt", "chosen", "rejected", "axis", "tags"])
        }
        Origin::Generate { .. } if judged => ("generate", &["prompt", "chosen", "rejected", "axis", "tags"]),
        Origin::File { .. } => ("file", &["columns", "limit", "prompt", "completion", "text", "examples"]),
        Origin::Generate { .. } => ("generate", &["prompt", "completion", "text", "examples"]),
        Origin::Run { .. } => ("run", &["variant", "scorer", "limit"]),
    }
}
