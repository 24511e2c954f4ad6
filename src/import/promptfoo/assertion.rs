//! One assertion as written: in YAML, or in a CSV cell.

use crate::error::Place;
use crate::import::listed::List;
use crate::import::node::Node;
use serde_json::Value as Json;
use std::path::PathBuf;

/// An assertion, its value not yet rendered.
#[derive(Debug, Clone)]
pub(super) struct Assertion {
    /// `contains`, without `not-`.
    pub kind: String,
    pub not: bool,
    pub value: Option<Json>,
    pub threshold: Option<f64>,
    pub weight: Option<f64>,
    /// The name under which its score counts.
    pub metric: Option<String>,
    pub place: Place,
    /// The file that `file://` values are relative to.
    pub file: PathBuf,
}

/// The kinds that a CSV cell may name with a colon.
const NAMED: [&str; 34] = [
    "answer-relevance",
    "bleu",
    "classifier",
    "contains",
    "contains-all",
    "contains-any",
    "contains-json",
    "contains-sql",
    "contains-xml",
    "context-faithfulness",
    "context-recall",
    "context-relevance",
    "cost",
    "equals",
    "factuality",
    "g-eval",
    "icontains",
    "icontains-all",
    "icontains-any",
    "is-json",
    "is-refusal",
    "is-sql",
    "is-xml",
    "latency",
    "levenshtein",
    "llm-rubric",
    "model-graded-closedqa",
    "model-graded-factuality",
    "perplexity",
    "regex",
    "rouge-n",
    "similar",
    "starts-with",
    "webhook",
];

impl Assertion {
    /// From YAML; `root` is where references to `assertionTemplates` lead. Sets of assertions are taken apart.
    pub(super) fn read(node: &Node, root: &Node, list: &mut List) -> Vec<Self> {
        let node = &referred(node, root);
        let Some(written) = node.text_at("type") else {
            list.left_out("an assertion", "it has no `type`", &node.place());
            return Vec::new();
        };
        let place = node.get("type").unwrap_or_else(|| node.clone()).place();
        if written == "assert-set" {
            for key in ["threshold", "weight", "metric"] {
                if let Some(there) = node.get(key) {
                    let why = "each of its assertions counts by itself, and the score is their weighted mean";
                    list.left_out(format!("`{key}` of an `assert-set`"), why, &there.place());
                }
            }
            let parts = node.get("assert").map(|node| node.items()).unwrap_or_default();
            return parts.iter().flat_map(|part| Self::read(part, root, list)).collect();
        }
        for key in node.keys() {
            let known = ["type", "value", "threshold", "weight", "metric", "$ref"].contains(&key.as_str());
            if let Some(there) = node.get(&key).filter(|_| !known) {
                let why = match key.as_str() {
                    "transform" | "contextTransform" => "it is a program, and suites run none",
                    "provider" | "rubricPrompt" => "the judge is the model and the prompt of the suite's own scorer",
                    _ => "Tripos has nothing like it",
                };
                list.left_out(format!("`{key}` of an assertion"), why, &there.place());
            }
        }
        let (not, kind) = without_not(&written);
        vec![Self {
            kind: kind.to_owned(),
            not,
            value: node.get("value").map(|value| value.json()),
            threshold: node.number_at("threshold"),
            weight: node.number_at("weight"),
            metric: node.text_at("metric"),
            place,
            file: node.file().to_path_buf(),
        }]
    }

    /// From a cell of the column `__expected`: `contains:Paris`, `similar(0.8):…`, `llm-rubric: …`; a plain text is
    /// what the answer must equal.
    pub(super) fn from_cell(cell: &str, place: &Place) -> Self {
        let (kind, not, threshold, value) = cell_parts(cell);
        let list = |text: &str| Json::from(text.split(',').map(str::trim).collect::<Vec<_>>());
        let value = value.map(|text| match kind.as_str() {
            "contains-all" | "contains-any" | "icontains-all" | "icontains-any" => list(&text),
            _ => text.into(),
        });
        let file = place.file.clone();
        Self { kind, not, value, threshold, weight: None, metric: None, place: place.clone(), file }
    }

    /// As the source writes its kind.
    pub(super) fn written(&self) -> String {
        format!("{}{}", if self.not { "not-" } else { "" }, self.kind)
    }
}

fn without_not(kind: &str) -> (bool, &str) {
    kind.strip_prefix("not-").map_or((false, kind), |kind| (true, kind))
}

fn cell_parts(cell: &str) -> (String, bool, Option<f64>, Option<String>) {
    let programs =
        [("javascript:", "javascript"), ("fn:", "javascript"), ("eval:", "javascript"), ("python:", "python")];
    let rubrics = [("grade:", "llm-rubric"), ("llm-rubric:", "llm-rubric")];
    for (start, kind) in programs.into_iter().chain(rubrics) {
        if let Some(value) = cell.strip_prefix(start) {
            return (kind.to_owned(), false, None, Some(value.trim().to_owned()));
        }
    }
    for (part, kind) in [(".py", "python"), (".js", "javascript"), (".ts", "javascript")] {
        if cell.starts_with("file://") && cell.contains(part) {
            return (kind.to_owned(), false, None, Some(cell.to_owned()));
        }
    }
    let equals = || ("equals".to_owned(), false, None, Some(cell.to_owned()));
    let (head, value) = match cell.split_once(':') {
        Some((head, value)) => (head, Some(value.to_owned())),
        None => (cell, None),
    };
    let (not, head) = without_not(head);
    let (kind, threshold) = match head.strip_suffix(')').and_then(|head| head.split_once('(')) {
        Some((kind, number)) => match number.parse() {
            Ok(number) => (kind, Some(number)),
            Err(_) => return equals(),
        },
        None => (head, None),
    };
    if NAMED.contains(&kind) { (kind.to_owned(), not, threshold, value) } else { equals() }
}

/// What `$ref: "#/assertionTemplates/name"` stands for, its own keys over it.
fn referred(node: &Node, root: &Node) -> Node {
    let target = node.text_at("$ref").and_then(|pointer| {
        let mut at = root.clone();
        for part in pointer.strip_prefix("#/")?.split('/') {
            at = at.get(part)?;
        }
        Some(at)
    });
    let Some(target) = target else { return node.clone() };
    let mut merged = target.value().as_mapping().cloned().unwrap_or_default();
    for (key, value) in node.value().as_mapping().into_iter().flatten() {
        merged.insert(key.clone(), value.clone());
    }
    node.with(merged.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> (String, Option<f64>, Option<Json>) {
        let read = Assertion::from_cell(text, &Place::file("t.csv"));
        (read.written(), read.threshold, read.value)
    }

    #[test]
    fn a_cell_names_its_assertion_or_is_what_the_answer_equals() {
        assert_eq!(cell("contains:Paris: the city"), ("contains".into(), None, Some("Paris: the city".into())));
        assert_eq!(
            cell("not-icontains-any:a, b"),
            ("not-icontains-any".into(), None, Some(serde_json::json!(["a", "b"])))
        );
        assert_eq!(cell("similar(0.8):hello"), ("similar".into(), Some(0.8), Some("hello".into())));
        assert_eq!(cell("is-json"), ("is-json".into(), None, None));
        assert_eq!(cell("grade: is polite"), ("llm-rubric".into(), None, Some("is polite".into())));
        assert_eq!(cell("fn: output.length < 9").0, "javascript");
        assert_eq!(cell("file://check.py:f").0, "python");
        assert_eq!(cell("Note: bring 2"), ("equals".into(), None, Some("Note: bring 2".into())));
        assert_eq!(cell("f(x):y").0, "equals");
    }
}
