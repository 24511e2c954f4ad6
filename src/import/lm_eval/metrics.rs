//! `metric_list` and `filter_list` in terms of Tripos's scorers and repeats.

use super::config::Task;
use super::reading::Item;
use crate::error::Place;
use crate::import::draft::{slug, unique};
use crate::import::listed::List;
use crate::import::node::Node;
use regex::Regex;
use serde_yaml::{Mapping, Value};

/// How often a case is asked, and whether the answers vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Vote {
    pub repeats: u64,
    pub majority: bool,
}

/// What judges.
#[derive(Debug, Default)]
pub(super) struct Judging {
    pub scorers: Vec<Value>,
    /// One variant each.
    pub votes: Vec<Vote>,
    /// What the source calls its metrics, and what the table calls them.
    pub metrics: Vec<(String, String)>,
}

/// One filter: how the answer is read, and what becomes of several.
struct Filter {
    name: Option<String>,
    answer: Option<Mapping>,
    folds: bool,
    vote: Vote,
}

/// One entry of `metric_list`.
struct Metric {
    name: String,
    node: Option<Node>,
}

impl Metric {
    fn place(&self, task: &Task) -> Place {
        self.node.as_ref().map_or_else(|| task.place(), Node::place)
    }

    /// Lists what it says that no scorer reads: keys other than those `read`, and another way to make one number of many.
    fn keys(&self, read: &[&str], list: &mut List) {
        let Some(node) = &self.node else { return };
        for key in node.keys().iter().filter(|key| !read.contains(&key.as_str())) {
            let Some(value) = node.get(key) else { continue };
            let of = format!("of `{}`", self.name);
            match (key.as_str(), value.function()) {
                ("metric" | "higher_is_better", None) => {}
                (_, Some(function)) => {
                    let name = format!("`{key}: !function {function}` {of}");
                    list.left_out(name, "it is a program, and none is run", &value.place());
                }
                ("aggregation", None) => {
                    let written = value.text().unwrap_or_default();
                    if !self.is_usual(&written) {
                        let why = "each metric is made into one number in its own way, most by their mean";
                        list.left_out(format!("`aggregation: {written}` {of}"), why, &value.place());
                    }
                }
                (_, None) => list.left_out(format!("`{key}` {of}"), "Tripos has no such setting", &value.place()),
            }
        }
    }

    /// Whether an aggregation is the metric's own in the harness, which is what its equivalent does.
    fn is_usual(&self, aggregation: &str) -> bool {
        match self.name.as_str() {
            "byte_perplexity" => aggregation == "weighted_perplexity",
            name @ ("perplexity" | "bits_per_byte" | "brier_score" | "chrf") => aggregation == name,
            _ => aggregation == "mean",
        }
    }
}

/// The metrics of a task; its output type's own where it lists none.
fn metrics(task: &Task, usual: &[&str], list: &mut List) -> Vec<Metric> {
    let Some(all) = task.get("metric_list") else {
        return usual.iter().map(|name| Metric { name: (*name).to_owned(), node: None }).collect();
    };
    let mut found = Vec::new();
    for node in all.items() {
        let metric = node.get("metric").unwrap_or_else(|| node.clone());
        match (metric.function(), metric.text()) {
            (Some(function), _) => {
                list.left_out(
                    format!("metric `!function {function}`"),
                    "it is a program, and none is run",
                    &metric.place(),
                );
            }
            (None, Some(name)) => found.push(Metric { name, node: Some(node) }),
            (None, None) => list.left_out("a metric", "it has no name", &node.place()),
        }
    }
    found
}

/// Metrics that are parts of one scorer: the name there, the name here, and how it differs where it does.
type Parts = [(&'static str, &'static str, &'static str)];

const CHOICE: &Parts = &[
    ("acc", "choice.acc", ""),
    ("exact_match", "choice.acc", ""),
    ("acc_norm", "choice.acc_norm", ""),
    ("acc_bytes", "choice.acc_bytes", ""),
    ("acc_mutual_info", "choice.acc_mi", ""),
    ("brier_score", "choice.brier", ""),
];
const TARGET: &Parts = &[("perplexity", "perplexity", "it is per token, where the harness's is per target")];
const TEXT: &Parts = &[
    ("bits_per_byte", "perplexity.bits_per_byte", ""),
    ("byte_perplexity", "perplexity.bits_per_byte", "`bits_per_byte` is its logarithm to the base 2"),
];

/// Multiple choice.
pub(super) fn by_choice(task: &Task, variable: &str, list: &mut List) -> Judging {
    let mut settings = Mapping::from_iter([("delimiter".into(), Value::from(delimiter(task)))]);
    if variable != "choices" {
        settings.insert("choices".into(), variable.into());
    }
    let metrics = parts(task, (&["acc", "acc_norm"], CHOICE), list);
    judging(scorer("choice", settings), metrics)
}

/// The likelihood of a target.
pub(super) fn by_target(task: &Task, list: &mut List) -> Judging {
    let settings = Mapping::from_iter([("delimiter".into(), Value::from(delimiter(task)))]);
    let metrics = parts(task, (&["perplexity", "acc"], TARGET), list);
    judging(scorer("perplexity", settings), metrics)
}

/// The likelihood of long texts.
pub(super) fn by_text(task: &Task, list: &mut List) -> Judging {
    let metrics = parts(task, (&["word_perplexity", "byte_perplexity", "bits_per_byte"], TEXT), list);
    judging("perplexity".into(), metrics)
}

/// What stands between a prompt and its answer.
pub(super) fn delimiter(task: &Task) -> String {
    task.text("target_delimiter").unwrap_or_else(|| " ".to_owned())
}

fn judging(scorer: Value, metrics: Vec<(String, String)>) -> Judging {
    Judging { scorers: vec![scorer], votes: vec![Vote { repeats: 1, majority: false }], metrics }
}

fn scorer(kind: &str, settings: Mapping) -> Value {
    if settings.is_empty() { kind.into() } else { Mapping::from_iter([(kind.into(), settings.into())]).into() }
}

fn parts(task: &Task, (usual, known): (&[&str], &Parts), list: &mut List) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for metric in metrics(task, usual, list) {
        let place = metric.place(task);
        match known.iter().find(|(name, ..)| *name == metric.name) {
            Some((name, here, how)) => {
                if !how.is_empty() {
                    list.changed(format!("metric `{name}`"), *how, &place);
                }
                metric.keys(&[], list);
                found.push(((*name).to_owned(), (*here).to_owned()));
            }
            None => list.left_out(format!("metric `{}`", metric.name), without(&metric.name), &place),
        }
    }
    found
}

/// Why there is no such metric.
fn without(name: &str) -> &'static str {
    match name {
        "acc" => "whether the target is what the model would say itself is not asked by a scorer of likelihoods",
        "word_perplexity" => "words are told apart by no scorer; `perplexity` is per token",
        "f1" | "mcc" => "the `choice` scorer counts what is right; a `label` scorer has F1 for each label",
        "bleu" | "ter" | "rouge1" | "rouge2" | "rougeL" | "rougeLsum" => "Tripos has `rouge_l` and `chrf`, of its own",
        _ => "Tripos has no such metric",
    }
}

/// Generated answers: a scorer for each metric and each way to read the answer.
pub(super) fn by_generation(task: &Task, items: &[Item], list: &mut List) -> (Judging, Vec<String>) {
    let filters = filters(task, list);
    let metrics = metrics(task, &["exact_match"], list);
    let mut judging = Judging::default();
    let mut targets: Vec<String> = items.iter().filter_map(|item| item.golds.first().cloned()).collect();
    let (mut taken, mut seen) = (Vec::new(), Vec::new());
    for metric in metrics {
        let place = metric.place(task);
        let (kind, settings) = match metric.name.as_str() {
            "exact_match" | "acc" => equality(&metric, &mut targets, list),
            "chrf" => {
                metric.keys(&[], list);
                ("chrf", Mapping::new())
            }
            other => {
                list.left_out(format!("metric `{other}`"), without(other), &place);
                continue;
            }
        };
        for filter in &filters {
            let mut settings = settings.clone();
            if filter.folds && kind == "exact" {
                settings.remove("case_sensitive");
            }
            if let Some(answer) = &filter.answer {
                settings.insert("answer".into(), answer.clone().into());
            }
            let there =
                filter.name.as_ref().map_or_else(|| metric.name.clone(), |name| format!("{},{name}", metric.name));
            let same = seen.iter().find(|(one, _): &&((&str, Mapping), String)| one.0 == kind && one.1 == settings);
            if let Some((_, name)) = same {
                judging.metrics.push((there, name.clone()));
                continue;
            }
            let name = filter.name.as_ref().filter(|_| filters.len() > 1);
            let name = unique(&slug(name.unwrap_or(&metric.name)).replace('-', "_"), &mut taken);
            seen.push(((kind, settings.clone()), name.clone()));
            judging.metrics.push((there, name.clone()));
            let named = Mapping::from_iter([("name".into(), name.into())]).into_iter().chain(settings).collect();
            judging.scorers.push(scorer(kind, named));
        }
    }
    judging.votes = filters.iter().map(|filter| filter.vote).collect();
    judging.votes.sort_unstable();
    judging.votes.dedup();
    (judging, targets)
}

/// `exact_match` with what it ignores. Where what it ignores is what numbers are dressed with, and every target is a
/// number, numbers are compared as numbers.
fn equality(metric: &Metric, targets: &mut [String], list: &mut List) -> (&'static str, Mapping) {
    let flag = |key: &str| metric.node.as_ref().is_some_and(|node| node.flag_at(key));
    metric.keys(&["ignore_case", "ignore_punctuation", "regexes_to_ignore"], list);
    let ignored = metric.node.as_ref().and_then(|node| node.get("regexes_to_ignore"));
    if let Some(ignored) = &ignored {
        for pattern in ignored.items().iter().filter_map(Node::text) {
            if let Ok(regex) = Regex::new(&pattern) {
                for text in &mut *targets {
                    *text = regex.replace_all(text, "").into_owned();
                }
            } else {
                let name = format!("`{pattern}` of `regexes_to_ignore`");
                list.left_out(name, "it is no expression of the regex crate", &ignored.place());
            }
        }
        let number =
            |text: &String| text.trim().trim_end_matches('.').replace(',', "").parse::<f64>().is_ok_and(f64::is_finite);
        if targets.iter().all(number) {
            let how = "what it ignores is how numbers are written, so answers are compared as numbers: 5.0 is 5";
            list.changed(format!("`regexes_to_ignore` of `{}`", metric.name), how, &ignored.place());
            return ("number", Mapping::new());
        }
        let why = "the targets are written without what it ignores, the answers are judged with it";
        list.left_out(format!("`regexes_to_ignore` of `{}`", metric.name), why, &ignored.place());
    }
    let mut settings = Mapping::new();
    if !flag("ignore_case") {
        settings.insert("case_sensitive".into(), true.into());
    }
    if flag("ignore_punctuation") {
        let place = metric.node.as_ref().map(Node::place).unwrap_or_default();
        let how = "punctuation around an answer does not count, inside of it does";
        list.changed(format!("`ignore_punctuation` of `{}`", metric.name), how, &place);
    } else {
        settings.insert("keep_punctuation".into(), true.into());
    }
    ("exact", settings)
}

/// The filters that can be said; one that takes the answer as it is where there are none.
fn filters(task: &Task, list: &mut List) -> Vec<Filter> {
    let repeats = task.get("repeats").and_then(|node| node.value().as_u64()).unwrap_or(1).max(1);
    let plain = |name| Filter { name, answer: None, folds: false, vote: Vote { repeats: 1, majority: false } };
    let Some(all) = task.get("filter_list").filter(|all| !all.items().is_empty()) else { return vec![plain(None)] };
    let mut found = Vec::new();
    for node in all.items() {
        let name = node.text_at("name");
        let mut filter = plain(name.clone());
        // Answers that are still there for a vote.
        filter.vote.repeats = repeats;
        let steps = node.get("filter").map(|node| node.items()).unwrap_or_default();
        let done = steps.iter().try_for_each(|step| filter.step(step, list).map_err(|why| (why, step.place())));
        match done {
            Ok(()) => {
                if !filter.vote.majority {
                    filter.vote.repeats = 1;
                }
                found.push(filter);
            }
            Err((why, place)) => list.left_out(format!("filter `{}`", name.unwrap_or_default()), why, &place),
        }
    }
    found
}

impl Filter {
    /// Adds a step. What it says beside its name and what is read of it is listed.
    fn step(&mut self, step: &Node, list: &mut List) -> Result<(), String> {
        if let Some(function) = step.function().or_else(|| step.get("function").and_then(|node| node.function())) {
            return Err(format!("`!function {function}` is a program, and none is run"));
        }
        let name = step.text_at("function").unwrap_or_default();
        let read: &[&str] = match name.as_str() {
            // Answers are read without the space around them.
            "take_first" | "remove_whitespace" => &[],
            "take_first_k" => {
                let k = step.get("k").and_then(|k| k.value().as_u64()).unwrap_or(1);
                self.vote.repeats = self.vote.repeats.min(k.max(1));
                &["k"]
            }
            "majority_vote" => {
                self.vote.majority = self.vote.repeats > 1;
                &[]
            }
            "lowercase" | "uppercase" => {
                self.folds = true;
                &[]
            }
            "regex" if self.answer.is_some() => return Err("it reads an answer out of an answer".to_owned()),
            "regex" => {
                self.answer = Some(pattern(step, self.folds)?);
                // A fallback is no answer here, which the module says.
                &["regex_pattern", "group_select", "fallback"]
            }
            other => return Err(format!("Tripos has no filter `{other}`")),
        };
        for key in step.keys().iter().filter(|key| *key != "function" && !read.contains(&key.as_str())) {
            let place = step.get(key).map_or_else(|| step.place(), |node| node.place());
            list.left_out(format!("`{key}` of the filter step `{name}`"), "Tripos has no such setting", &place);
        }
        Ok(())
    }
}

/// `regex` with its pattern: Python's `findall`, and one of its matches. Behind a step that writes the answer in one case
/// it is found in either.
fn pattern(step: &Node, folded: bool) -> Result<Mapping, String> {
    let written = step.text_at("regex_pattern").unwrap_or_else(|| r"#### (\-?[0-9\.\,]+)".to_owned());
    let Ok(regex) = Regex::new(&written) else {
        return Err(format!("`{written}` is no expression of the regex crate, which looks neither ahead nor back"));
    };
    let which = match step.get("group_select").map(|node| node.value().as_i64()) {
        None | Some(Some(0)) => "first",
        Some(Some(-1)) => "last",
        _ => return Err("`group_select` is neither the first match (0) nor the last (-1)".to_owned()),
    };
    let mut answer = Mapping::from_iter([
        ("take".into(), Value::from("pattern")),
        ("regex".into(), if folded { format!("(?i){written}") } else { written.clone() }.into()),
        ("which".into(), which.into()),
    ]);
    if regex.captures_len() > 2 {
        if !each_branch_is_a_group(&written) {
            return Err(format!("`{written}` has several groups, and one of them is read"));
        }
        // Python gives the group that took part; it is the whole match.
        answer.insert("group".into(), 0.into());
    }
    Ok(answer)
}

/// Whether an expression is `(…)|(…)`, each branch one group.
fn each_branch_is_a_group(pattern: &str) -> bool {
    let (mut depth, mut escaped, mut class) = (0_usize, false, false);
    // Whether the character before closed a whole branch, or none has begun.
    let mut between = true;
    let mut closed = false;
    for c in pattern.chars() {
        if escaped {
            escaped = false;
            continue;
        }
        match c {
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => {
                if depth == 0 && !between {
                    return false;
                }
                (depth, between, closed) = (depth + 1, false, false);
                continue;
            }
            ')' if !class => {
                depth = depth.saturating_sub(1);
                closed = depth == 0;
                continue;
            }
            '|' if !class && depth == 0 && closed => {
                (between, closed) = (true, false);
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            return false;
        }
    }
    closed && depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_groups_are_one_match_where_each_is_a_branch() {
        for pattern in [r"(-?[$0-9.,]{2,})|(-?[0-9]+)", r"(a)", r"(\(A\))|(B)", r"((a)b)|([)])"] {
            assert!(each_branch_is_a_group(pattern), "{pattern}");
        }
        for pattern in [r"(a)(b)", r"(a)|b", r"x(a)|(b)", r"(a)+|(b)", "", r"(a)|"] {
            assert!(!each_branch_is_a_group(pattern), "{pattern}");
        }
    }
}
