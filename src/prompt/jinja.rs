//! Templates of other tools, rendered as those tools render them: what an imported prompt is held against.

use super::nunjucks;
use super::tojson::tojson;
use crate::suite::Vars;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use regex::Regex;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const NAME: &str = "template";

/// Whose Jinja it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Python's Jinja2 as lm-evaluation-harness sets it: what is undefined is an error, a value prints as Python prints it
    /// (`True`, `None`, `['a', 'b']`), and there is a filter `regex_replace`.
    Python,
    /// Nunjucks as promptfoo sets it: what is undefined prints nothing, lists print their items with commas, maps as
    /// JSON, and there is a filter `dump`.
    Nunjucks,
}

/// A compiled template of another tool.
///
/// ```
/// use tripos::prompt::{Dialect, Jinja};
/// use tripos::suite::Case;
/// let row = Case::new("1", [("choices", serde_json::json!(["it's", "no"]))], None).vars;
/// let python = Jinja::compile("{{ choices }} {{ choices[0].upper() }}", Dialect::Python)?;
/// assert_eq!(python.render(&row)?, "[\"it's\", 'no'] IT'S");
/// let nunjucks = Jinja::compile("{{ choices }}{{ missing }}", Dialect::Nunjucks)?;
/// assert_eq!(nunjucks.render(&row)?, "it's,no");
/// # Ok::<(), tripos::prompt::JinjaError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Jinja {
    environment: Environment<'static>,
    dialect: Dialect,
}

/// Why a template of another tool cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JinjaError {
    /// What is wrong, with the template's line where it has several.
    pub message: String,
}

impl Jinja {
    /// Compiles a template.
    pub fn compile(source: &str, dialect: Dialect) -> Result<Self, JinjaError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| explained(&error, source))?);
        environment.add_filter("tojson", |value: &Value, options: Kwargs| tojson(value, None, &options));
        environment.set_unknown_method_callback(method);
        match dialect {
            Dialect::Python => {
                environment.set_undefined_behavior(UndefinedBehavior::Strict);
                environment.set_formatter(|out, _, value| Ok(write_python(out, value)?));
                environment.add_filter("regex_replace", regex_replace);
            }
            Dialect::Nunjucks => {
                environment.set_undefined_behavior(UndefinedBehavior::Chainable);
                nunjucks::prepare(&mut environment);
            }
        }
        let source = match dialect {
            Dialect::Python => Cow::Borrowed(source),
            Dialect::Nunjucks => Cow::Owned(nunjucks::as_jinja(source)?),
        };
        environment.add_template_owned(NAME, source.to_string()).map_err(|error| explained(&error, &source))?;
        Ok(Self { environment, dialect })
    }

    /// Renders it with the variables of a row.
    pub fn render(&self, vars: &Vars) -> Result<String, JinjaError> {
        let template = self.environment.get_template(NAME).map_err(|error| explained(&error, ""))?;
        let vars = match self.dialect {
            Dialect::Python => Value::from(Serde(vars)),
            Dialect::Nunjucks => nunjucks::variables(vars),
        };
        template.render(vars).map_err(|error| explained(&error, template.source()))
    }

    /// The variables that it reads and does not set itself.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<String> {
        let found = self.environment.get_template(NAME).map(|template| template.undeclared_variables(false));
        let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        found.into_iter().flatten().filter(|name| !globals.contains(&name.as_str())).collect()
    }
}

/// Python's methods, and `index`, which tasks of multiple choice look up the right choice by.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let ("index", [wanted]) = (name, args) else {
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args);
    };
    let found = match (value.as_str(), wanted.as_str()) {
        (Some(text), Some(part)) => text.find(part).map(|at| text.get(..at).unwrap_or_default().chars().count()),
        (None, _) if value.kind() == ValueKind::Seq => value.try_iter()?.position(|item| item == *wanted),
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    };
    let missing = || Error::new(ErrorKind::InvalidOperation, format!("{} is not in {}", python(wanted), python(value)));
    found.map(Value::from).ok_or_else(missing)
}

/// Python's `re.sub(pattern, repl, value)`; `\1` and `\g<1>` are groups.
fn regex_replace(value: &str, pattern: &str, repl: &str) -> Result<String, Error> {
    let regex = Regex::new(pattern).map_err(|error| failed(&error))?;
    let groups = Regex::new(r"\\g<(\w+)>|\\(\d)").map_err(|error| failed(&error))?;
    let repl = groups.replace_all(&repl.replace('$', "$$"), "$${$1$2}").into_owned();
    Ok(regex.replace_all(value, repl.as_str()).into_owned())
}

/// Python's `str(value)`.
fn write_python(out: &mut Output, value: &Value) -> std::fmt::Result {
    match value.as_str() {
        Some(text) => out.write_str(text),
        // An `if` without `else`; a name that is not defined is an error before.
        None if value.is_undefined() => Ok(()),
        None => out.write_str(&python(value)),
    }
}

/// Python's `repr(value)`.
fn python(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return quoted(text);
    }
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::None | ValueKind::Undefined => "None".to_owned(),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<String> = items().map(|item| python(&item)).collect();
            match (value.is_tuple(), items.as_slice()) {
                (true, [only]) => format!("({only},)"),
                (true, _) => format!("({})", items.join(", ")),
                (false, _) => format!("[{}]", items.join(", ")),
            }
        }
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), python_float)
        }
        ValueKind::Map => {
            let pair = |key: Value| {
                let value = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", python(&key), python(&value))
            };
            format!("{{{}}}", items().map(pair).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// Python's `repr` of a float: `1e-07`, `1e+20`, `2.0`.
fn python_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let exponent = scientific.split_once('e').and_then(|(digits, power)| Some((digits, power.parse::<i32>().ok()?)));
    match exponent {
        Some((digits, power)) if !(-4..16).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", power.abs())
        }
        Some(_) => format!("{number:?}"),
        None => number.to_string().to_lowercase(),
    }
}

/// A text as Python writes it: in double quotes only where it holds single ones and no double ones.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            '\\' => out += "\\\\",
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.to_string())
}

fn explained(error: &Error, source: &str) -> JinjaError {
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    let line = error.line().filter(|_| source.trim_end().contains('\n'));
    JinjaError { message: line.map_or_else(|| what.clone(), |line| format!("{what} (its line {line})")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn rendered(source: &str, dialect: Dialect, vars: Json) -> Result<String, String> {
        let vars: Vars = serde_json::from_value(vars).unwrap();
        let template = Jinja::compile(source, dialect).map_err(|error| error.to_string())?;
        template.render(&vars).map_err(|error| error.to_string())
    }

    /// ```python
    /// from jinja2 import Environment, StrictUndefined
    /// env = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    /// row = {"l": ["it's", "a\nb", True, None, 1.0], "m": {"k": 'q"'}, "t": "The cat sat"}
    /// print(env.from_string("{{l}} {{m}} {{t.split(' ')[:-1] | join(' ')}} {{['a', 'b'].index('b')}} {{t.index('cat')}}\n").render(row))
    /// ```
    #[test]
    fn prints_as_python_does() {
        let row = json!({"l": ["it's", "a\nb", true, null, 1.0], "m": {"k": "q\""}, "t": "The cat sat"});
        let source = "{{l}} {{m}} {{t.split(' ')[:-1] | join(' ')}} {{['a', 'b'].index('b')}} {{t.index('cat')}}\n";
        assert_eq!(
            rendered(source, Dialect::Python, row).unwrap(),
            "[\"it's\", 'a\\nb', True, None, 1.0] {'k': 'q\"'} The cat 1 4\n"
        );
    }

    #[test]
    fn replaces_as_pythons_re_does() {
        let row = json!({"t": "cost: $5 [x]"});
        let source = r"{{ t | regex_replace('(\\d)', '<\\1>$') | regex_replace('\\[.*?\\]', '') }}";
        assert_eq!(rendered(source, Dialect::Python, row).unwrap(), "cost: $<5>$ ");
    }

    /// ```python
    /// env.from_string("{% for i in l %}{{ i }}{{ ',' if not loop.last }}{% endfor %} {{ f }} …").render(row)
    /// ```
    #[test]
    fn an_if_without_else_floats_and_tuples_print_as_in_python() {
        let row =
            json!({"l": [1, 2], "f": [1e-7, 1e20, 1e16, 0.0001, 123_456_789_012_345_680.0], "m": {"b": 1}, "n": null});
        for (source, wanted) in [
            ("{% for i in l %}{{ i }}{{ ',' if not loop.last }}{% endfor %} {{ n }}", "1,2 None"),
            ("{{ f }} {{ f[0] }} {{ 4/2 }}", "[1e-07, 1e+20, 1e+16, 0.0001, 1.2345678901234568e+17] 1e-07 2.0"),
            ("{{ m.items() | list }} {{ (1,) }}", "[('b', 1)] (1,)"),
        ] {
            assert_eq!(rendered(source, Dialect::Python, row.clone()).as_deref(), Ok(wanted), "{source}");
        }
    }

    #[test]
    fn says_what_is_undefined_and_what_does_not_parse() {
        let fails = |source: &str| rendered(source, Dialect::Python, json!({"a": 1})).unwrap_err();
        assert!(fails("{{ b }}").contains("undefined"));
        assert!(fails("{{ ['x'].index('y') }}").contains("'y' is not in ['x']"));
        assert!(fails("{{ a").starts_with("syntax error"));
    }

    #[test]
    fn knows_which_variables_it_reads() {
        let source =
            "{% set x = a %}{% for i in b.c %}{{ i + x }}{% endfor %}{% for i in range(2) %}{{ d }}{% endfor %}";
        let names = Jinja::compile(source, Dialect::Python).unwrap().variables();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b", "d"]);
    }
}
