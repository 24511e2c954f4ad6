//! `generation_kwargs`: how answers are drawn.

use super::ask::fewshot_delimiter;
use super::config::Task;
use crate::error::Problems;
use crate::import::ImportError;
use crate::import::listed::List;
use crate::import::node::Node;
use crate::sampling::SamplingSpec;
use serde_yaml::{Mapping, Value};

/// The settings of a suite. An answer ends at the delimiter of examples where the task does not say where; it is the
/// likeliest unless the task says `do_sample: true`. A value that a suite would refuse is an error at its place.
pub(super) fn sampling(task: &Task, list: &mut List) -> Result<Mapping, Problems> {
    let mut sampling = Mapping::new();
    let mut problems = Problems::new();
    let mut stop = vec![Value::from(fewshot_delimiter(task))];
    let kwargs = task.get("generation_kwargs");
    let sampled = kwargs.is_some_and(|kwargs| kwargs.flag_at("do_sample"));
    for key in kwargs.map(Node::keys).unwrap_or_default() {
        let Some(node) = kwargs.and_then(|kwargs| kwargs.get(&key)) else { continue };
        let setting = match key.as_str() {
            "until" => {
                stop = node.items().iter().filter_map(|stop| stop.text().map(Value::from)).collect();
                continue;
            }
            "do_sample" => continue,
            "max_gen_toks" | "max_new_tokens" | "max_tokens" => "max_tokens",
            "temperature" | "top_p" | "top_k" | "min_p"
                if is_off(&key, &node) && !(sampled && key == "temperature") =>
            {
                continue;
            }
            "temperature" | "top_p" | "top_k" | "min_p" if !sampled => {
                let name = format!("`{key}: {}`", node.text().unwrap_or_default());
                let why = "without `do_sample: true` the likeliest answer is taken, as transformers does";
                list.left_out(name, why, &node.place());
                continue;
            }
            "temperature" | "top_p" | "top_k" | "min_p" => key.as_str(),
            other => {
                let name = format!("`{other}` of `generation_kwargs`");
                list.left_out(name, "Tripos has no such setting", &node.place());
                continue;
            }
        };
        match refused(setting, &key, &node) {
            Some(error) => problems.push(error),
            None => drop(sampling.insert(setting.into(), node.value().clone())),
        }
    }
    if sampled && !sampling.contains_key("temperature") {
        sampling.insert("temperature".into(), 1.0.into());
    }
    stop.retain(|stop| stop.as_str() != Some(""));
    if !stop.is_empty() {
        sampling.insert("stop".into(), stop.into());
    }
    problems.or_ok(sampling)
}

/// Whether a value turns its setting off, or is what being greedy means.
fn is_off(key: &str, node: &Node) -> bool {
    let Some(number) = node.value().as_f64() else { return false };
    match key {
        "top_p" => number >= 1.0,
        // vLLM turns it off by -1, transformers by 0.
        "top_k" => number <= 0.0,
        _ => number == 0.0,
    }
}

/// Why a suite would refuse a setting of this value.
fn refused(setting: &str, key: &str, node: &Node) -> Option<ImportError> {
    let entry = Mapping::from_iter([(setting.into(), node.value().clone())]);
    let fault = match serde_yaml::from_value::<SamplingSpec>(entry.into()) {
        Err(error) => error.to_string(),
        Ok(spec) => spec.out_of_range().first()?.to_string(),
    };
    let written = node.text().map_or_else(|| format!("`{key}`"), |text| format!("`{key}: {text}`"));
    let what = format!("{written} of `generation_kwargs` is refused: {fault}");
    Some(node.error(what, "write it as a number in its range: a suite knows no variables here"))
}
