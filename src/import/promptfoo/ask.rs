//! Nunjucks prompts as prompts of Tripos's, held against what Nunjucks prints for every test.

use super::cases::Test;
use super::prompts::{Body, Prompt, Turn, chat_text};
use crate::import::draft::{slug, unique};
use crate::import::listed::List;
use crate::import::translate::{Names, literal, says_the_same, to_tera, variable_name};
use crate::prompt::{Dialect, Jinja, JinjaError};
use crate::suite::{Case, Vars};
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

/// How often variables are rendered that hold variables, as promptfoo does; those that hold themselves never end.
const MOST_ROUNDS: usize = 5;

/// Whether a template reads the environment, which no suite does.
pub(super) fn reads_environment(template: &Jinja, vars: &Vars) -> bool {
    !vars.contains_key("env") && template.variables().contains("env")
}

/// Variables may hold templates over other variables, and those in turn.
pub(super) fn render_vars(test: &mut Test, list: &mut List) {
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for _ in 0..MOST_ROUNDS {
        let vars = test.vars.clone();
        for (name, value) in &mut test.vars {
            let Json::String(text) = value else { continue };
            if kept.contains(name) || !text.contains("{{") && !text.contains("{%") {
                continue;
            }
            let rendered = Jinja::compile(text, Dialect::Nunjucks).map_err(|error| error.to_string());
            let rendered = rendered.and_then(|template| {
                if reads_environment(&template, &vars) {
                    return Err("it reads `env`, and a suite reads no environment".to_owned());
                }
                template.render(&vars).map_err(|error| error.to_string())
            });
            match rendered {
                Ok(rendered) => *text = rendered,
                Err(why) => {
                    kept.insert(name.clone());
                    let how = format!("its template is kept as text: {why}");
                    list.changed(format!("variable `{name}`"), how, &test.place);
                }
            }
        }
        if test.vars == vars {
            return;
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
            Body::Text(source) => asker.text(source),
            Body::Chat(turns) => asker.chat(turns).map(|text| (text, true)),
        };
        match text {
            Ok((text, chat)) => {
                if chat && dressed {
                    let why = "a chat has no text before or behind it";
                    list.left_out(format!("prefix and suffix of prompt `{}`", clip(&prompt.label)), why, &prompt.place);
                }
                let (label, id) = (prompt.label.clone(), prompt.id.clone());
                found.push(Question { label, id, stem, chat, text });
            }
            Err(error) => {
                list.left_out(format!("prompt `{}`", clip(&prompt.label)), error, &prompt.place);
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

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unrendered(error: JinjaError) -> String {
    format!("its template cannot be rendered: {error}")
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
    /// A text; a chat where JSON is what every test makes of it. Tells which.
    fn text(&mut self, source: &str) -> Result<(String, bool), String> {
        match self.drawn(source)? {
            Some(turns) => Ok((self.turns(&turns), true)),
            None => Ok((self.message(source, "text", true)? + "\n", false)),
        }
    }

    /// The chats that a template draws as JSON, one for each test; `None` where it draws none.
    fn drawn(&self, source: &str) -> Result<Option<Vec<Vec<Turn>>>, String> {
        if !source.trim_start().starts_with('[') {
            return Ok(None);
        }
        let template = Jinja::compile(source, Dialect::Nunjucks).map_err(unrendered)?;
        let texts = self.tests.iter().map(|test| template.render(&test.vars).map_err(unrendered));
        let chats: Vec<Option<Vec<Turn>>> =
            texts.map(|text| text.map(|text| chat_text(&text))).collect::<Result<_, _>>()?;
        if chats.iter().all(Option::is_none) {
            return Ok(None);
        }
        let roles = |turns: &[Turn]| turns.iter().map(|(role, _)| *role).collect::<Vec<_>>();
        let drawn: Vec<Vec<Turn>> = chats.iter().flatten().cloned().collect();
        if drawn.len() < chats.len() || drawn.windows(2).any(|pair| roles(&pair[0]) != roles(&pair[1])) {
            return Err("its template makes chats of other roles for other tests, and a prompt has the same".to_owned());
        }
        Ok(Some(drawn))
    }

    /// Chats of the same roles, one for each case, as one whose messages are variables where they differ.
    fn turns(&mut self, chats: &[Vec<Turn>]) -> String {
        let mut messages = Vec::new();
        for (at, (role, text)) in chats.first().into_iter().flatten().enumerate() {
            let said = |chat: &Vec<Turn>| chat.get(at).map(|(_, text)| text.clone()).unwrap_or_default();
            let texts: Vec<String> = chats.iter().map(said).collect();
            let same = texts.iter().all(|other| other == text);
            let shown = if same { literal(text) } else { self.variable(&format!("message_{}", at + 1), texts) };
            messages.push(Mapping::from_iter([(Value::from(*role), Value::from(shown))]));
        }
        serde_yaml::to_string(&messages).unwrap_or_default()
    }

    fn chat(&mut self, turns: &[Turn]) -> Result<String, String> {
        let mut messages = Vec::new();
        for (at, (role, source)) in turns.iter().enumerate() {
            let text = self.message(source, &format!("message_{}", at + 1), false)?;
            messages.push(Mapping::from_iter([(Value::from(*role), Value::from(text))]));
        }
        Ok(serde_yaml::to_string(&messages).unwrap_or_default())
    }

    /// A template in Tera that says for each case what Nunjucks says; where no translation does, one that prints a
    /// variable that holds it.
    fn message(&mut self, source: &str, part: &str, whole: bool) -> Result<String, String> {
        let template = Jinja::compile(source, Dialect::Nunjucks).map_err(unrendered)?;
        let dressed = self.dressed && whole;
        let mut wanted = Vec::with_capacity(self.tests.len());
        for test in self.tests {
            let text = template.render(&test.vars).map_err(unrendered)?;
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
        Ok(self.variable(part, wanted))
    }

    /// A new variable that holds a text for each case, as a prompt prints it.
    fn variable(&mut self, part: &str, texts: Vec<String>) -> String {
        let variable = format!("{}_{part}", self.stem.replace(['-', '.'], "_"));
        let variable =
            if variable.starts_with(|c: char| c.is_ascii_digit()) { format!("_{variable}") } else { variable };
        for (case, text) in self.cases.iter_mut().zip(texts) {
            case.vars.insert(variable.clone(), text.into());
        }
        format!("{{{{ {variable} }}}}")
    }

    /// What a test lacks prints nothing in Nunjucks.
    fn fill(&mut self, read: &BTreeSet<String>) {
        for (case, test) in self.cases.iter_mut().zip(self.tests) {
            for name in read {
                case.vars.entry(variable_name(name)).or_insert_with(|| {
                    let how = match name.as_str() {
                        "env" => "a suite reads no environment, and asks with nothing in its place",
                        _ => "a test without it asks with nothing in its place",
                    };
                    self.list.changed(format!("variable `{name}`"), how, &test.place);
                    "".into()
                });
            }
        }
    }
}
