//! promptfoo's assertions in terms of Tripos's scorers.

use super::ask::reads_environment;
use super::assertion::{Assertion, separated};
use super::{ending, is_program};
use crate::import::listed::List;
use crate::prompt::{Dialect, Jinja};
use crate::suite::{Vars, read_text, text_of};
use serde_json::{Value as Json, json};
use serde_yaml::{Mapping, Value};

/// A scorer to be, with what it is given by its case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Check {
    /// The kind of scorer.
    pub kind: &'static str,
    /// What it should be called.
    pub name: String,
    /// The settings that do not come from the value.
    pub settings: Mapping,
    pub given: Given,
}

/// What an assertion's value is for a scorer, of which a suite has one for all cases.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    /// Nothing.
    Nothing,
    /// The case's target; or, the same for all cases of a suite, one of the scorer's settings.
    Target(String, Otherwise),
    /// A setting: cases of one suite have to share it.
    Setting(&'static str, Value),
    /// A variable that a judge's prompt shows.
    Shown(Judging, String),
}

/// What a scorer does with a value that cannot be the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// It is its setting `value`.
    Value,
    /// It is an expression that matches nothing else.
    Regex,
    /// There is no other way.
    Never,
}

/// What a judge is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judging {
    /// Whether the answer meets a criterion.
    Rubric,
    /// Whether the answer agrees with a fact.
    Fact,
}

impl Judging {
    /// The stem of its prompt's file and of its variable.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rubric => "judge_rubric",
            Self::Fact => "judge_fact",
        }
    }

    /// Its prompt, with the variable so named.
    pub(super) fn prompt(self, variable: &str) -> String {
        let (what, question) = match self {
            Self::Rubric => ("Criterion", "Does the answer meet the criterion?"),
            Self::Fact => ("Fact", "Does the answer agree with the fact?"),
        };
        format!("Answer: {{{{ completion }}}}\n{what}: {{{{ {variable} }}}}\n{question} Yes or No?\nVerdict:\n")
    }
}

/// The most values of a `contains-all`, each a scorer of its own.
const MOST_PARTS: usize = 8;

/// The scorers that say what an assertion says; none where it is listed instead.
pub(super) fn checks(assertion: &Assertion, vars: &Vars, list: &mut List) -> Vec<Check> {
    let written = assertion.written();
    let name = format!("assertion `{written}`");
    let found = match value_of(assertion, vars) {
        Ok(value) => translated(assertion, &value, list),
        Err(why) => Err(why),
    };
    let checks = match found {
        Ok(checks) => checks,
        Err(why) => {
            list.left_out(name, why, &assertion.place);
            return Vec::new();
        }
    };
    let weight = assertion.weight.unwrap_or(1.0);
    if weight <= 0.0 {
        let why = if weight < 0.0 {
            format!("its weight is {weight}, and no weight here is below 0")
        } else {
            "its weight is 0, so that it decides nothing".to_owned()
        };
        list.left_out(name, why, &assertion.place);
        return Vec::new();
    }
    if assertion.not {
        list.changed(name, "an empty answer passes nothing here, and this there", &assertion.place);
    }
    let share = weight / checks.len().max(1) as f64;
    checks.into_iter().map(|check| finished(check, assertion, share)).collect()
}

/// With what every scorer may have.
fn finished(mut check: Check, assertion: &Assertion, weight: f64) -> Check {
    if assertion.not {
        check.settings.insert("not".into(), true.into());
    }
    if (weight - 1.0).abs() > f64::EPSILON {
        check.settings.insert("weight".into(), weight.into());
    }
    check.name = match &assertion.metric {
        Some(metric) => super::slug(metric),
        None => assertion.written().replace('-', "_"),
    };
    check
}

/// The value with its templates rendered and its file read; a text where it is one.
fn value_of(assertion: &Assertion, vars: &Vars) -> Result<Json, String> {
    let value = assertion.value.clone().unwrap_or(Json::Null);
    if let Some(file) = value.as_str().and_then(|text| text.strip_prefix("file://")) {
        if is_program(file) {
            return Err("it is a program, and suites run none; a `command` scorer can run yours".to_owned());
        }
        let path = crate::suite::beside(&assertion.file, file);
        let text = read_text(&path, "the value").map_err(|error| format!("`{file}`: {error}"))?;
        return match ending(file) {
            "json" | "yaml" | "yml" => serde_yaml::from_str(&text).map_err(|error| format!("`{file}`: {error}")),
            _ => rendered(&text.trim().into(), vars),
        };
    }
    rendered(&value, vars)
}

fn rendered(value: &Json, vars: &Vars) -> Result<Json, String> {
    Ok(match value {
        Json::String(text) if text.contains("{{") || text.contains("{%") => {
            let failed = |error| format!("its value is no template that can be rendered: {error}");
            let template = Jinja::compile(text, Dialect::Nunjucks).map_err(failed)?;
            if reads_environment(&template, vars) {
                return Err("its value reads `env`, and a suite reads no environment".to_owned());
            }
            template.render(vars).map_err(failed)?.into()
        }
        Json::Array(items) => items.iter().map(|item| rendered(item, vars)).collect::<Result<Vec<_>, _>>()?.into(),
        other => other.clone(),
    })
}

fn check(kind: &'static str, settings: Json, given: Given) -> Check {
    let settings =
        serde_yaml::to_value(settings).ok().and_then(|value| value.as_mapping().cloned()).unwrap_or_default();
    Check { kind, name: String::new(), settings, given }
}

/// By the kind of assertion; the error is why there is no such scorer.
fn translated(assertion: &Assertion, value: &Json, list: &mut List) -> Result<Vec<Check>, String> {
    let text = || printed(value).filter(|text| !text.trim().is_empty()).ok_or("it has no text as its value".to_owned());
    let texts = || match value {
        Json::Array(items) => {
            items.iter().map(printed).collect::<Option<Vec<_>>>().ok_or("its values are no texts".to_owned())
        }
        Json::String(joined) => Ok(separated(joined)),
        _ => Err("it has no list of values".to_owned()),
    };
    let pattern = |pattern: String| Given::Setting("pattern", pattern.into());
    let sensitive = json!({"case_sensitive": true});
    let place = &assertion.place;
    Ok(match assertion.kind.as_str() {
        "equals" if value.is_object() || value.is_array() => {
            let schema = serde_yaml::to_value(json!({"const": value})).unwrap_or_default();
            vec![check("json", json!({}), Given::Setting("schema", schema))]
        }
        "equals" => {
            let settings = json!({"case_sensitive": true, "keep_punctuation": true});
            vec![check("exact", settings, Given::Target(text()?, Otherwise::Regex))]
        }
        "contains" => vec![check("contains", sensitive, Given::Target(text()?, Otherwise::Value))],
        "icontains" => vec![check("contains", json!({}), Given::Target(text()?, Otherwise::Value))],
        "contains-any" => vec![check("regex", json!({}), pattern(any_of(&texts()?, "")?))],
        "icontains-any" => vec![check("regex", json!({}), pattern(any_of(&texts()?, "(?i)")?))],
        "contains-all" | "icontains-all" => all_of(assertion, &texts()?, list)?,
        "regex" => {
            let text = text()?;
            regex::Regex::new(&text).map_err(|_| {
                format!("`{text}` is no expression of the regex crate, which looks neither ahead nor back")
            })?;
            vec![check("regex", json!({}), pattern(text))]
        }
        // The text that is judged has no space around it.
        "starts-with" => {
            vec![check("regex", json!({}), pattern(format!(r"\A{}", regex::escape(text()?.trim_start()))))]
        }
        "contains-json" if assertion.not => {
            return Err("an answer without JSON has none to judge, and passes nothing here".to_owned());
        }
        "is-json" | "contains-json" => {
            let inside = assertion.kind == "contains-json";
            if !inside {
                list.changed("assertion `is-json`", "JSON inside one fenced block counts, too", place);
            }
            let settings = if inside { json!({"answer": {"take": "json"}}) } else { json!({}) };
            vec![check("json", settings, schema(value)?)]
        }
        "levenshtein" => {
            let how = "the value is a similarity from 0 to 1, not a pass within so many edits";
            list.changed(format!("assertion `{}`", assertion.written()), how, place);
            vec![check("edit_distance", json!({}), Given::Target(text()?, Otherwise::Never))]
        }
        "llm-rubric" | "model-graded-closedqa" => judged(assertion, Judging::Rubric, text()?, list),
        "factuality" | "model-graded-factuality" => judged(assertion, Judging::Fact, text()?, list),
        other => return Err(without(other).to_owned()),
    })
}

/// Why Tripos has no scorer of that kind.
fn without(kind: &str) -> &'static str {
    match kind {
        "javascript" | "python" | "ruby" | "webhook" => {
            "it is a program, and suites run none; a `command` scorer can run yours"
        }
        "similar" | "similar:cosine" | "similar:dot" | "similar:euclidean" | "answer-relevance" => {
            "it compares embeddings; `rouge_l`, `chrf` and `judge_model` compare texts"
        }
        "latency" => "times are kept with every sample, and judged by no scorer",
        "cost" | "perplexity" | "perplexity-score" => "a gate rule can bound a run's own metrics instead",
        "rouge-n" | "bleu" | "gleu" | "meteor" => "Tripos has `rouge_l` and `chrf` only",
        "g-eval" | "context-faithfulness" | "context-recall" | "context-relevance" | "conversation-relevance" => {
            "its steps of judging are not those of `judge_model`; an `llm-rubric` is brought in"
        }
        "is-xml" | "contains-xml" | "is-sql" | "contains-sql" | "is-html" | "contains-html" => {
            "Tripos parses JSON only"
        }
        "select-best" | "max-score" => "answers are judged one by one; `tripos rank` puts them in order",
        "classifier" | "moderation" | "guardrails" | "is-refusal" | "pi" => {
            "it asks a service; a `label` scorer with a `classifier` asks a local one"
        }
        "human" => "people judge with `tripos rank`",
        _ => "Tripos has no such scorer",
    }
}

/// An expression for any of some texts; of none there is no such expression.
fn any_of(texts: &[String], flags: &str) -> Result<String, String> {
    if texts.is_empty() {
        return Err("its list of values is empty, so that no answer could pass".to_owned());
    }
    let escaped: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
    Ok(format!("{flags}{}", escaped.join("|")))
}

/// A value as JavaScript's `String` prints it: `5` for 5.0.
fn printed(value: &Json) -> Option<String> {
    text_of(value).map(|text| match value {
        Json::Number(_) => text.strip_suffix(".0").map(str::to_owned).unwrap_or(text),
        _ => text,
    })
}

/// A scorer for each text: their mean is the share that occurs.
fn all_of(assertion: &Assertion, texts: &[String], list: &mut List) -> Result<Vec<Check>, String> {
    let written = assertion.written();
    if texts.is_empty() || texts.len() > MOST_PARTS || texts.iter().any(|text| text.trim().is_empty()) {
        return Err(format!(
            "it has {} values, and each would be a scorer (1 to {MOST_PARTS}, none empty)",
            texts.len()
        ));
    }
    if texts.len() > 1 {
        if assertion.not {
            return Err("that one of several texts is missing cannot be said by a scorer".to_owned());
        }
        let how = "each text is judged by itself; the score counts the share that occurs";
        list.changed(format!("assertion `{written}`"), how, &assertion.place);
    }
    let settings = if assertion.kind.starts_with('i') { json!({}) } else { json!({"case_sensitive": true}) };
    let one = |text: &String| check("contains", settings.clone(), Given::Target(text.clone(), Otherwise::Value));
    Ok(texts.iter().map(one).collect())
}

/// A JSON schema, written as a map, or as text in JSON or YAML.
fn schema(value: &Json) -> Result<Given, String> {
    let schema = match value {
        Json::Null => return Ok(Given::Nothing),
        Json::String(text) if text.trim().is_empty() => return Ok(Given::Nothing),
        Json::String(text) => serde_yaml::from_str(text).map_err(|error| format!("its schema is not YAML: {error}"))?,
        other => serde_yaml::to_value(other).unwrap_or_default(),
    };
    if schema.is_mapping() { Ok(Given::Setting("schema", schema)) } else { Err("its schema is no map".to_owned()) }
}

fn judged(assertion: &Assertion, judging: Judging, text: String, list: &mut List) -> Vec<Check> {
    let how = "the suite's own model judges, by how likely it finds Yes behind the judge's prompt, from 0 to 1";
    list.changed(format!("assertion `{}`", assertion.written()), how, &assertion.place);
    if assertion.threshold.is_some() {
        let why = "the judge's value is a number; a gate rule bounds its mean";
        list.left_out(format!("`threshold` of `{}`", assertion.written()), why, &assertion.place);
    }
    vec![check("judge_model", json!({"choices": ["Yes", "No"]}), Given::Shown(judging, text))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;

    /// What becomes of a CSV cell, and what is listed.
    fn of(cell: &str) -> (Vec<String>, Vec<String>) {
        let assertion = Assertion::from_cell(cell, &Place::new("t.csv", 2, 1));
        let mut list = List::default();
        let vars = Vars::from_iter([("city".to_owned(), "Paris".into())]);
        let shown = |check: Check| {
            let settings = serde_json::to_string(&check.settings).unwrap();
            format!("{} {} {settings} {:?}", check.name, check.kind, check.given)
        };
        let found = checks(&assertion, &vars, &mut list).into_iter().map(shown).collect();
        (found, list.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_kind_has_a_scorer_or_a_reason() {
        let mut all = String::new();
        for cell in [
            "{{ city }}",
            "not-icontains: x",
            "contains-any:a+,b",
            "not-contains-all:a,b",
            "contains-all:a,b",
            "regex:(?!x)",
            "starts-with: To: {{ city }}",
            "contains-json:{type: object}",
            "levenshtein(5):x",
            "similar:x",
            "not-is-json",
            "not-contains-json",
            "icontains-any:",
            "contains:{{ env.CITY }}",
            "fn:1",
        ] {
            let (found, listed) = of(cell);
            all += &format!("{cell}\n");
            found.iter().chain(&listed).for_each(|line| all += &format!("    {line}\n"));
        }
        insta::assert_snapshot!(all, @r#"
        {{ city }}
            equals exact {"case_sensitive":true,"keep_punctuation":true} Target("Paris", Regex)
        not-icontains: x
            not_icontains contains {"not":true} Target("x", Value)
            assertion `not-icontains` is not quite the same: an empty answer passes nothing here, and this there
        contains-any:a+,b
            contains_any regex {} Setting("pattern", String("a\\+|b"))
        not-contains-all:a,b
            assertion `not-contains-all` is left out: that one of several texts is missing cannot be said by a scorer
        contains-all:a,b
            contains_all contains {"case_sensitive":true,"weight":0.5} Target("a", Value)
            contains_all contains {"case_sensitive":true,"weight":0.5} Target("b", Value)
            assertion `contains-all` is not quite the same: each text is judged by itself; the score counts the share that occurs
        regex:(?!x)
            assertion `regex` is left out: `(?!x)` is no expression of the regex crate, which looks neither ahead nor back
        starts-with: To: {{ city }}
            starts_with regex {} Setting("pattern", String("\\ATo: Paris"))
        contains-json:{type: object}
            contains_json json {"answer":{"take":"json"}} Setting("schema", Mapping {"type": String("object")})
        levenshtein(5):x
            levenshtein edit_distance {} Target("x", Never)
            assertion `levenshtein` is not quite the same: the value is a similarity from 0 to 1, not a pass within so many edits
        similar:x
            assertion `similar` is left out: it compares embeddings; `rouge_l`, `chrf` and `judge_model` compare texts
        not-is-json
            not_is_json json {"not":true} Nothing
            assertion `is-json` is not quite the same: JSON inside one fenced block counts, too
            assertion `not-is-json` is not quite the same: an empty answer passes nothing here, and this there
        not-contains-json
            assertion `not-contains-json` is left out: an answer without JSON has none to judge, and passes nothing here
        icontains-any:
            assertion `icontains-any` is left out: its list of values is empty, so that no answer could pass
        contains:{{ env.CITY }}
            assertion `contains` is left out: its value reads `env`, and a suite reads no environment
        fn:1
            assertion `javascript` is left out: it is a program, and suites run none; a `command` scorer can run yours
        "#);
    }
}
