//! `grammar:` and `json_schema:` of a suite: read from their files, and checked before anything is asked.

use super::error::{SuiteError, SuiteProblem};
use super::load::Loader;
use super::yaml::without_mark;
use super::yaml::{Document, read_text};
use crate::error::Place;
use crate::sampling::{GrammarProblem, SamplingSpec, SchemaProblem, check_grammar, check_schema};
use serde_json::Value;
use std::path::Path;

impl Loader<'_> {
    /// The settings at a path, checked: every range kept, a grammar and a schema read and without problems.
    pub(super) fn sampling_spec(&mut self, at: &str, written: &SamplingSpec) -> SamplingSpec {
        for wrong in written.out_of_range() {
            self.fail(&format!("{at}.{}", wrong.field), wrong.into());
        }
        if written.grammar.is_some() && written.json_schema.is_some() {
            let what = "`grammar` and `json_schema` are both given: a completion is held to one of them".into();
            let help = "leave one out; a variant's replaces the suite's, whichever it is".into();
            self.fail(&format!("{at}.json_schema"), SuiteProblem::Contradiction { what, help });
        }
        let grammar = written.grammar.as_ref().and_then(|text| self.grammar(&format!("{at}.grammar"), text));
        let json_schema = written.json_schema.as_ref();
        let json_schema = json_schema.and_then(|value| self.json_schema(&format!("{at}.json_schema"), value));
        SamplingSpec { grammar, json_schema, ..written.clone() }
    }

    /// The text of a grammar, or of the `.gbnf` file that stands in its place.
    fn grammar(&mut self, at: &str, written: &str) -> Option<String> {
        let named = written.trim();
        if named.lines().count() != 1 || Path::new(named).extension().is_none_or(|ending| ending != "gbnf") {
            let path = self.pruned.original(at);
            for problem in check_grammar(written) {
                let place = self.document().place_within(&path, written, (problem.line, problem.column));
                self.push(of_grammar(place, problem));
            }
            return Some(written.to_owned());
        }
        let (file, text) = self.named_file(at, named, "the grammar")?;
        let text = without_mark(text);
        for problem in check_grammar(&text) {
            self.push(of_grammar(Place::new(&file, problem.line, problem.column), problem));
        }
        Some(text)
    }

    /// A schema, or that in the `.json` file named in its place.
    fn json_schema(&mut self, at: &str, written: &Value) -> Option<Value> {
        let Value::String(name) = written else {
            if !matches!(written, Value::Object(_) | Value::Bool(_)) {
                let reason = "expected a JSON Schema (a map) or the path of a .json file".into();
                self.fail(at, SuiteProblem::WrongValue { path: at.to_owned(), reason });
                return None;
            }
            if let Some(problem) = check_schema(written) {
                let place = self.place(&format!("{at}{}", dotted(&problem.pointer)));
                self.push(SuiteError::new(place, of_schema(problem)));
            }
            return Some(written.clone());
        };
        let (file, text) = self.named_file(at, name, "the JSON schema")?;
        let text = without_mark(text);
        match serde_json::from_str(&text) {
            Ok(schema) => {
                if let Some(problem) = check_schema(&schema) {
                    let place = in_json(&file, &text, &problem.pointer);
                    self.push(SuiteError::new(place, of_schema(problem)));
                }
                Some(schema)
            }
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
                let problem = SuiteProblem::Schema {
                    reason: format!("it is not JSON: {reason}"),
                    help: "the file holds one JSON Schema",
                };
                self.push(SuiteError::new(Place::new(file, error.line(), error.column()), problem));
                None
            }
        }
    }

    /// A file named at a path of the suite, and its text; that it cannot be read is reported at that path.
    pub(super) fn named_file(&mut self, at: &str, written: &str, what: &str) -> Option<(std::path::PathBuf, String)> {
        let file = self.join(written);
        match read_text(&file, what) {
            Ok(text) => Some((file, text)),
            Err(SuiteError { problem: SuiteProblem::Unreadable { reason, .. }, .. }) => {
                let what = format!("{what} `{}`", file.display());
                self.fail(at, SuiteProblem::Unreadable { what, reason });
                None
            }
            Err(error) => {
                self.push(error);
                None
            }
        }
    }
}

fn of_grammar(place: Place, problem: GrammarProblem) -> SuiteError {
    SuiteError::new(place, SuiteProblem::Grammar { message: problem.message, help: problem.help })
}

fn of_schema(problem: SchemaProblem) -> SuiteProblem {
    let SchemaProblem { pointer, reason, help } = problem;
    let reason = if pointer.is_empty() { reason } else { format!("at {pointer}: {reason}") };
    SuiteProblem::Schema { reason, help }
}

/// A JSON pointer as a path of a YAML document: `/a/0` as `.a[0]`.
fn dotted(pointer: &str) -> String {
    let step = |step: &str| {
        let step = step.replace("~1", "/").replace("~0", "~");
        if step.parse::<usize>().is_ok() { format!("[{step}]") } else { format!(".{step}") }
    };
    pointer.split('/').skip(1).map(step).collect()
}

/// The place of a value in a JSON file: JSON is YAML, whose places are known.
fn in_json(file: &Path, text: &str, pointer: &str) -> Place {
    let path = dotted(pointer);
    Document::parse(file, text)
        .map_or_else(|_| Place::file(file), |document| document.place(path.trim_start_matches('.')))
}
