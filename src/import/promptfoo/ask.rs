//! Nunjucks prompts as prompts of Tripos's, held against what Nunjucks prints for every test.

use super::cases::Test;
use super::prompts::{Body, Prompt};
use crate::import::draft::{slug, unique};
use crate::import::listed::List;
use crate::import::translate::{Names, literal, says_the_same, to_tera, variable_name};
use crate::prompt::{Dialect, Jinja, JinjaError};
use crate::suite::Case;
use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};
use std::collections::BTreeSet;

/// The variables that hold what a test puts before and behind its prompt.
const PREFIX: &str = "prompt_prefix";
const SUFFIX: &str = "prompt_suffix";

/// A prompt, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub label: String,
    pub id: String,
    /// Of its file, and of its variants' names.
    pub stem: String,
    pub chat: bool,
    pub text: String,
}

impl Question {
    /// A text as the only message of a chat.
    pub(super) fn as_message(&self) -> String {
        let message = Mapping::from_iter([(Value::from("user"), Value::from(self.text.trim_end_matches('\n')))]);
        serde_yaml::to_string(&[message]).unwrap_or_default()
    }
}

/// Variables may hold templates over other variables.
pub(super) fn render_vars(test: &mut Test, list: &mut List) {
    let vars = test.vars.clone();
    for (name, value) in &mut test.vars {
        let Json::String(text) = value else { continue };
        if !text.contains("{{") && !text.contains("{%") {
            continue;
        }
        match Jinja::compile(text, Dialect::Nunjucks).and_then(|template| template.render(&vars)) {
            Ok(rendered) => *text = rendered,
            Err(error) => {
                list.changed(
                    format!("variable `{name}`"),
                    format!("its template is kept as text: {error}"),
                    &test.place,
                );
            }
        }
    }
}

/// The prompts that can be asked. Cases get what a prompt needs and they lack.
pub(super) fn questions(prompts: &[Prompt], tests: &[Test], cases: &mut [Case], list: &mut List) -> Vec<Question> {
    let dressed = tests.iter().any(|test| !test.prefix.is_empty() || !test.suffix.is_empty());
    if dressed {
        for (case, test) in cases.iter_mut().zip(tests) {
            case.vars.insert(PREFIX.to_owned(), test.prefix.as_str().into());
            case.vars.insert(SUFFIX.to_owned(), test.suffix.as_str().into());
        }
    }
    let (mut found, mut taken) = (Vec::new(), Vec::new());
    for prompt in prompts {
        let stem = unique(&slug(&prompt.label), &mut taken);
        let mut asker = Asker { tests, cases: &mut *cases, stem: &stem, dressed, list: &mut *list };
        let text = match &prompt.body {
            Body::Text(source) => asker.message(source, "text", true).map(|text| text + "\n"),
            Body::Chat(turns) => asker.chat(turns),
        };
        match text {
            Ok(text) => {
                let chat = matches!(prompt.body, Body::Chat(_));
                if chat && dressed {
                    let why = "a chat has no text before or behind it";
                    list.left_out(format!("prefix and suffix of prompt `{}`", clip(&prompt.label)), why, &prompt.place);
                }
                let (label, id) = (prompt.label.clone(), prompt.id.clone());
                found.push(Question { label, id, stem, chat, text });
            }
            Err(error) => {
                let why = format!("its template cannot be rendered: {error}");
                list.left_out(format!("prompt `{}`", clip(&prompt.label)), why, &prompt.place);
            }
        }
    }
    found
}

/// A label short enough for a line.
fn clip(label: &str) -> String {
    let line = label.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 48 { line.chars().take(47).chain(['…']).collect() } else { line }
}

struct Asker<'a> {
    tests: &'a [Test],
    cases: &'a mut [Case],
    stem: &'a str,
    /// Tests put something before or behind it.
    dressed: bool,
    list: &'a mut List,
}

impl Asker<'_> {
    fn chat(&mut self, turns: &[(&'static str, String)]) -> Result<String, JinjaError> {
        let mut messages = Vec::new();
        for (at, (role, source)) in turns.iter().enumerate() {
            let text = self.message(source, &format!("message_{}", at + 1), false)?;
            messages.push(Mapping::from_iter([(Value::from(*role), Value::from(text))]));
        }
        Ok(serde_yaml::to_string(&messages).unwrap_or_default())
    }

    /// A template in Tera that says for each case what Nunjucks says; where no translation does, one that prints a
    /// variable that holds it.
    fn message(&mut self, source: &str, part: &str, whole: bool) -> Result<String, JinjaError> {
        let template = Jinja::compile(source, Dialect::Nunjucks)?;
        let dressed = self.dressed && whole;
        let mut wanted = Vec::with_capacity(self.tests.len());
        for test in self.tests {
            let text = template.render(&test.vars)?;
            wanted.push(if dressed { format!("{}{text}{}", test.prefix, test.suffix) } else { text });
        }
        let read = template.variables();
        self.fill(&read);
        let names: Names = read.iter().map(|name| (name.clone(), variable_name(name))).collect();
        let around = |text: String| if dressed { format!("{{{{ {PREFIX} }}}}{text}{{{{ {SUFFIX} }}}}") } else { text };
        let translated = around(to_tera(source, &names));
        if says_the_same(&translated, self.cases, &wanted) {
            return Ok(translated);
        }
        let plain = around(literal(source));
        if read.is_empty() && says_the_same(&plain, self.cases, &wanted) {
            return Ok(plain);
        }
        let variable = format!("{}_{part}", self.stem.replace(['-', '.'], "_"));
        let variable =
            if variable.starts_with(|c: char| c.is_ascii_digit()) { format!("_{variable}") } else { variable };
        for (case, text) in self.cases.iter_mut().zip(wanted) {
            case.vars.insert(variable.clone(), text.into());
        }
        Ok(format!("{{{{ {variable} }}}}"))
    }

    /// What a test lacks prints nothing in Nunjucks.
    fn fill(&mut self, read: &BTreeSet<String>) {
        for (case, test) in self.cases.iter_mut().zip(self.tests) {
            for name in read {
                case.vars.entry(variable_name(name)).or_insert_with(|| {
                    let how = "a test without it asks with nothing in its place";
                    self.list.changed(format!("variable `{name}`"), how, &test.place);
                    "".into()
                });
            }
        }
    }
}
