//! The prompt of a task in Tera, held against what Jinja2 prints for every row, and the cases that it is asked with.

use super::config::Task;
use super::metrics::delimiter;
use super::reading::{Item, Reading};
use crate::import::ImportError;
use crate::import::translate::{Names, literal, says_the_same, shows_the_same, to_tera, variable_name};
use crate::prompt::{Dialect, Jinja};
use crate::suite::{Case, Vars};
use std::collections::BTreeSet;

/// The variables that hold what no translation says.
const TEXT: &str = "question_text";
const DESCRIPTION: &str = "description_text";

/// Cases and examples while their prompt is made.
#[derive(Debug)]
pub(super) struct Asked {
    cases: Vec<Case>,
    examples: Vec<Case>,
    source: Option<String>,
    read: BTreeSet<String>,
    /// The variable with a case's choices.
    choices: &'static str,
}

/// One template for both uses.
struct Pair {
    of_case: String,
    of_example: String,
}

impl Asked {
    /// The rows with the variables that asking reads.
    pub(super) fn new(items: &[Item], examples: &[Item], reading: &Reading) -> Self {
        let (source, read) = (reading.source(), reading.variables());
        let case = |(at, item): (usize, &Item)| {
            let read = read.iter().filter_map(|name| Some((variable_name(name), item.row.get(name)?.clone())));
            Case { id: (at + 1).to_string(), vars: read.collect(), target: None, tags: Vec::new(), probe: None }
        };
        let target = |(case, item): (Case, &Item)| Case { target: item.golds.first().cloned(), ..case };
        let cases: Vec<Case> = items.iter().enumerate().map(case).collect();
        let solved = examples.iter().enumerate().map(case).zip(examples).map(target).collect();
        // The question may show a column that is called like the choices and holds something else.
        let choices = if read.contains("choices") { "choice_texts" } else { "choices" };
        let mut asked = Self { cases, examples: solved, source, read, choices };
        if items.iter().all(|item| item.choices.is_some()) && !items.is_empty() {
            // Examples have them too, so that a case is not shown among its own examples.
            let both = asked.cases.iter_mut().zip(items).chain(asked.examples.iter_mut().zip(examples));
            for (case, item) in both {
                case.vars.insert(choices.to_owned(), item.choices.clone().unwrap_or_default().into());
            }
        }
        asked
    }

    /// The variable with a case's choices.
    pub(super) fn choices(&self) -> &'static str {
        self.choices
    }

    /// What is right in each case.
    pub(super) fn targets(&mut self, targets: &[String]) {
        for (case, target) in self.cases.iter_mut().zip(targets) {
            case.target = Some(target.clone());
        }
    }

    /// The cases and the examples, ready to be written.
    pub(super) fn into_cases(self) -> (Vec<Case>, Vec<Case>) {
        (self.cases, self.examples)
    }

    /// The prompt: the description, a block an example, and the question.
    pub(super) fn prompt(&mut self, task: &Task, items: &[Item], examples: &[Item]) -> Result<String, ImportError> {
        let texts = |items: &[Item]| items.iter().map(|item| item.text.clone()).collect::<Vec<_>>();
        let source = self.source.clone();
        let question = self.pair(source.as_deref(), TEXT, (&texts(items), &texts(examples)));
        let description = self.of_task(task, "description", DESCRIPTION, (items, examples))?;
        let prefix = self.of_task(task, "gen_prefix", "gen_prefix_text", (items, examples))?;
        let between = literal(&delimiter(task));
        let (prefix, shown_prefix) = match prefix {
            Some(prefix) => (format!("{between}{}", prefix.of_case), format!("{} ", prefix.of_example)),
            None => (String::new(), String::new()),
        };
        let shown = if examples.is_empty() {
            String::new()
        } else {
            let (block, behind) = (&question.of_example, literal(&fewshot_delimiter(task)));
            format!("{{% for e in examples %}}{block}{between}{shown_prefix}{{{{ e.target }}}}{behind}{{% endfor %}}")
        };
        let description = description.map(|pair| pair.of_case).unwrap_or_default();
        Ok(format!("{description}{shown}{}{prefix}", question.of_case))
    }

    /// A template of the task's, rendered with each row.
    fn of_task(
        &mut self,
        task: &Task,
        key: &str,
        variable: &str,
        (items, examples): (&[Item], &[Item]),
    ) -> Result<Option<Pair>, ImportError> {
        let Some(node) = task.get(key) else { return Ok(None) };
        let fail = |what: String| node.error(format!("`{key}` cannot be rendered: {what}"), "it is Jinja2");
        if let Some(function) = node.function() {
            let help = "write it as a text";
            return Err(node.error(format!("`{key}: !function {function}` is a program, and none is run"), help));
        }
        let source = node.text().unwrap_or_default();
        let template = Jinja::compile(&source, Dialect::Python).map_err(|error| fail(error.to_string()))?;
        let render = |items: &[Item]| -> Result<Vec<String>, ImportError> {
            items.iter().map(|item| template.render(&item.row).map_err(|error| fail(error.to_string()))).collect()
        };
        let (wanted, shown) = (render(items)?, render(examples)?);
        // What is the same everywhere needs no variables.
        if let Some(first) = wanted.first().filter(|first| wanted.iter().chain(&shown).all(|text| text == *first)) {
            let text = literal(first);
            return Ok(Some(Pair { of_case: text.clone(), of_example: text }));
        }
        for (case, item) in self.cases.iter_mut().zip(items).chain(self.examples.iter_mut().zip(examples)) {
            let read = template.variables();
            let more = read.iter().filter_map(|name| Some((variable_name(name), item.row.get(name)?.clone())));
            case.vars.extend(more.collect::<Vars>());
        }
        self.read.extend(template.variables());
        Ok(Some(self.pair(Some(&source), variable, (&wanted, &shown))))
    }

    /// A template that says what is wanted of cases and examples, by a translation or else by a variable.
    fn pair(&mut self, source: Option<&str>, variable: &str, (wanted, shown): (&[String], &[String])) -> Pair {
        let names = |before: &str| -> Names {
            self.read.iter().map(|name| (name.clone(), format!("{before}{}", variable_name(name)))).collect()
        };
        if let Some(source) = source {
            let of_case = to_tera(source, &names(""));
            let of_example = to_tera(source, &names("e."));
            if says_the_same(&of_case, &self.cases, wanted) && shows_the_same(&of_example, &self.examples, shown) {
                return Pair { of_case, of_example };
            }
        }
        let texts = self.cases.iter_mut().zip(wanted).chain(self.examples.iter_mut().zip(shown));
        for (case, text) in texts {
            case.vars.insert(variable.to_owned(), text.as_str().into());
        }
        Pair { of_case: format!("{{{{ {variable} }}}}"), of_example: format!("{{{{ e.{variable} }}}}") }
    }
}

/// What stands between examples.
pub(super) fn fewshot_delimiter(task: &Task) -> String {
    task.text("fewshot_delimiter").unwrap_or_else(|| "\n\n".to_owned())
}
