//! The Tera templates of a case, of generators and probes alike.

use crate::error::did_you_mean;
use crate::suite::case::{Case, Vars};
use crate::suite::error::SuiteProblem;
use crate::suite::file::CaseTemplate;
use serde_json::Value;
use tera::{Context, Tera};

/// The templates of a case, compiled once.
pub(in crate::suite) struct Templates<'a> {
    tera: Tera,
    case: &'a CaseTemplate,
}

/// A template that does not compile, or cannot be filled in.
#[derive(Debug)]
pub(in crate::suite) struct Failed {
    /// Where it stands in the case: `vars.question`, `tags.0`, `id`, `target`.
    pub template: String,
    /// What is wrong.
    pub reason: String,
    /// How to mend it, where that is known.
    pub help: Option<String>,
}

impl Failed {
    /// The problem of a generator or a probe; `help` where nothing better is known.
    pub(in crate::suite) fn of(self, what: &str, help: &str) -> SuiteProblem {
        let template = format!("the {what}'s `{}`", self.template);
        let help = self.help.unwrap_or_else(|| help.to_owned());
        SuiteProblem::Template { template, reason: self.reason, help }
    }
}

impl<'a> Templates<'a> {
    /// Compiles each text of a case; all that do not compile are reported.
    pub(in crate::suite) fn compile(case: &'a CaseTemplate) -> Result<Self, Vec<Failed>> {
        let mut tera = Tera::default();
        tera.autoescape_on(Vec::<&'static str>::new());
        let vars = case.vars.iter().filter_map(|(name, value)| Some((format!("vars.{name}"), value.as_str()?)));
        let tags = case.tags.iter().enumerate().map(|(i, tag)| (format!("tags.{i}"), tag.as_str()));
        let id = case.id.as_deref().map(|id| ("id".to_owned(), id));
        let target = case.target.as_ref().map(|target| ("target".to_owned(), target.0.as_str()));
        let texts = vars.chain(tags).chain(id).chain(target);
        let broken: Vec<Failed> = texts
            .filter_map(|(name, text)| tera.add_raw_template(&name, text).err().map(|error| failed(&name, &error)))
            .collect();
        if broken.is_empty() { Ok(Self { tera, case }) } else { Err(broken) }
    }

    /// The case of some bindings, its id `index` where the template has none. All templates that fail are reported.
    pub(in crate::suite) fn case(&self, index: usize, bindings: &[(&str, Value)]) -> Result<Case, Vec<Failed>> {
        let mut context = Context::new();
        for (name, value) in bindings {
            context.insert((*name).to_owned(), value);
        }
        context.insert("index", &index);
        let mut broken = Vec::new();
        let mut render = |name: &str| match self.tera.render(name, &context) {
            Ok(text) => text,
            Err(error) => {
                broken.push(failed(name, &error));
                String::new()
            }
        };
        let template = self.case;
        let mut vars = Vars::new();
        for (name, value) in &template.vars {
            let value = if value.is_string() { render(&format!("vars.{name}")).into() } else { value.clone() };
            vars.insert(name.clone(), value);
        }
        let case = Case {
            id: if template.id.is_some() { render("id") } else { index.to_string() },
            vars,
            target: template.target.as_ref().map(|_| render("target")),
            tags: (0..template.tags.len()).map(|i| render(&format!("tags.{i}"))).collect(),
            probe: None,
        };
        if broken.is_empty() { Ok(case) } else { Err(broken) }
    }
}

fn failed(template: &str, error: &tera::Error) -> Failed {
    let reason = match error.kind() {
        tera::ErrorKind::SyntaxError(report) | tera::ErrorKind::RenderingError(report) => report.message().to_owned(),
        // A laid-out report, whose first line says what is wrong.
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    let template = template.to_owned();
    match undefined(&reason) {
        Some((reason, help)) => Failed { template, reason, help: Some(help) },
        None => Failed { template, reason, help: None },
    }
}

/// Tera's "Variable `x` is not defined. Available variables: a, b" as a message and a help.
fn undefined(reason: &str) -> Option<(String, String)> {
    let (what, rest) = reason.split_once(" `")?;
    let (name, rest) = rest.split_once("` is not defined.")?;
    let known: Vec<&str> = rest.split_once(": ").map_or_else(Vec::new, |(_, names)| names.split(", ").collect());
    Some((format!("undefined {} `{name}`", what.to_lowercase()), did_you_mean(name, &known)))
}
