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

/// The kinds that a CSV cell may name, all of promptfoo's: the first that fits is meant.
const NAMED: [&str; 66] = [
    "agent-rubric",
    "answer-relevance",
    "bleu",
    "classifier",
    "contains",
    "contains-all",
    "contains-any",
    "contains-html",
    "contains-json",
    "contains-sql",
    "contains-xml",
    "context-faithfulness",
    "context-recall",
    "context-relevance",
    "conversation-relevance",
    "cost",
    "equals",
    "factuality",
    "finish-reason",
    "g-eval",
    "gleu",
    "guardrails",
    "icontains",
    "icontains-all",
    "icontains-any",
    "is-html",
    "is-json",
    "is-refusal",
    "is-sql",
    "is-valid-function-call",
    "is-valid-openai-function-call",
    "is-valid-openai-tools-call",
    "is-xml",
    "javascript",
    "latency",
    "levenshtein",
    "llm-rubric",
    "pi",
    "meteor",
    "model-graded-closedqa",
    "model-graded-factuality",
    "moderation",
    "perplexity",
    "perplexity-score",
    "python",
    "regex",
    "rouge-n",
    "ruby",
    "similar",
    "similar:cosine",
    "similar:dot",
    "similar:euclidean",
    "starts-with",
    "tool-call-f1",
    "skill-used",
    "trajectory:goal-success",
    "trajectory:tool-args-match",
    "trajectory:step-count",
    "trajectory:tool-sequence",
    "trajectory:tool-used",
    "trace-error-spans",
    "trace-span-count",
    "trace-span-duration",
    "search-rubric",
    "webhook",
    "word-count",
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
        let (kind, not, threshold, value) = cell_parts(cell.trim());
        let value = value.map(|text| match kind.as_str() {
            "contains-all" | "contains-any" | "icontains-all" | "icontains-any" => separated(&text).into(),
            "is-json" | "contains-json" => text.into(),
            _ => text.trim().into(),
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
    let (not, positive) = without_not(cell);
    match NAMED.into_iter().find_map(|kind| Some((kind, behind(positive.strip_prefix(kind)?)?))) {
        Some((kind, (threshold, value))) => (kind.to_owned(), not, threshold, value.map(str::to_owned)),
        None => equals(),
    }
}

/// What stands behind the kind: `(0.8):value`, either part or none.
fn behind(rest: &str) -> Option<(Option<f64>, Option<&str>)> {
    let (threshold, rest) = match rest.strip_prefix('(') {
        Some(inside) => {
            let (number, rest) = inside.split_once(')')?;
            (Some(number.parse().ok().filter(|_| number.starts_with(|c: char| c.is_ascii_digit()))?), rest)
        }
        None => (None, rest),
    };
    let value = rest.strip_prefix(':');
    (rest.is_empty() || value.is_some()).then_some((threshold, value))
}

/// Texts between commas, without the space around them; one in double quotes may hold commas.
pub(super) fn separated(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if rest.is_empty() {
            return found;
        }
        let (field, behind) = if let Some(inside) = rest.strip_prefix('"') {
            quoted(inside)
        } else {
            let (field, behind) = rest.split_once(',').unwrap_or((rest, ""));
            (field.trim().to_owned(), behind)
        };
        found.push(field);
        rest = behind;
    }
}

/// A text up to its closing quote, and what is behind; `""`, `\"` and `\\` stand for a quote and a backslash in it.
fn quoted(inside: &str) -> (String, &str) {
    let mut field = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        let next = chars.as_str().chars().next();
        match (c, next) {
            ('\\', Some('"' | '\\')) | ('"', Some('"')) => field.extend(chars.next()),
            ('"', _) => break,
            _ => field.push(c),
        }
    }
    (field, chars.as_str())
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
        assert_eq!(cell(" regex: ^hi "), ("regex".into(), None, Some("^hi".into())));
        assert_eq!(cell("not-contains-json: {a: 1} "), ("not-contains-json".into(), None, Some(" {a: 1}".into())));
        assert_eq!(cell("contains-any: \"a, b\", c,,").2, Some(serde_json::json!(["a, b", "c"])));
        assert_eq!(cell("icontains-any:").2, Some(serde_json::json!([])));
        assert_eq!(cell("similar(x):y").0, "equals");
        for kind in ["word-count", "finish-reason", "trace-span-count", "trajectory:tool-used", "gleu", "ruby"] {
            assert_eq!(cell(&format!("{kind}:3")), (kind.into(), None, Some("3".into())));
        }
    }
}
