//! Templates of other tools, rendered as those tools render them: what an imported prompt is held against.

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

/// A filter that no template knows.
const PAIRS: &str = "pairs_of_nunjucks";

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
                environment.set_formatter(|out, _, value| write_nunjucks(out, value));
                environment.add_filter(PAIRS, pairs);
                environment
                    .add_filter("dump", |value: &Value| serde_json::to_string(value).map_err(|error| failed(&error)));
            }
        }
        let source = match dialect {
            Dialect::Python => Cow::Borrowed(source),
            Dialect::Nunjucks => with_pairs(source)?,
        };
        environment.add_template_owned(NAME, source.to_string()).map_err(|error| explained(&error, &source))?;
        Ok(Self { environment })
    }

    /// Renders it with the variables of a row.
    pub fn render(&self, vars: &Vars) -> Result<String, JinjaError> {
        let template = self.environment.get_template(NAME).map_err(|error| explained(&error, ""))?;
        template.render(Value::from(Serde(vars))).map_err(|error| explained(&error, template.source()))
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

/// `{% for key, value in map %}`, which Nunjucks has, takes the pairs of a map.
fn with_pairs(source: &str) -> Result<Cow<'_, str>, JinjaError> {
    let head = r"(\{%[-+]?\s*for\s+\w+\s*,\s*\w+\s+in\s+)((?s:.*?))(\s*[-+]?%\})";
    let head = Regex::new(head).map_err(|error| JinjaError { message: error.to_string() })?;
    Ok(head.replace_all(source, format!("$1($2) | {PAIRS}$3")))
}

/// The pairs of a map; a list, which may be one of pairs, as it is.
fn pairs(value: &Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Map {
        return Ok(value.clone());
    }
    let pair = |key: Value| Ok::<Value, Error>(Value::from(vec![key.clone(), value.get_item(&key)?]));
    value.try_iter()?.map(pair).collect::<Result<Vec<Value>, Error>>().map(Value::from)
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
            format!("[{}]", items().map(|item| python(&item)).collect::<Vec<_>>().join(", "))
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

/// As Nunjucks prints without escaping; maps as JSON, where JavaScript would say `[object Object]`.
fn write_nunjucks(out: &mut Output, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => {}
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" })?,
        ValueKind::Seq => {
            for (at, item) in value.try_iter()?.enumerate() {
                out.write_str(if at > 0 { "," } else { "" })?;
                write_nunjucks(out, &item)?;
            }
        }
        ValueKind::Map => out.write_str(&serde_json::to_string(value).map_err(|error| failed(&error))?)?,
        _ => write!(out, "{value}")?,
    }
    Ok(())
}

fn failed(error: &dyn std::fmt::Display) -> Error {
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

    #[test]
    fn prints_as_nunjucks_does() {
        let row = json!({"l": [1, "b", true], "m": {"k": true}, "n": null, "t": "<a>", "f": false, "p": [["x", 1]]});
        let source = "{{l}}|{{n}}|{{t}}|{{f}}|{{gone.deep}}|{{ m | dump }}|{{ m }}\n";
        let said = rendered(source, Dialect::Nunjucks, row.clone()).unwrap();
        assert_eq!(said, "1,b,true||<a>|false||{\"k\":true}|{\"k\":true}\n");
        let source = "{% for k, v in m %}{{k}}={{v}};{% endfor %}{%- for k, v in p -%} {{k}}:{{v}} {%- endfor %}";
        assert_eq!(rendered(source, Dialect::Nunjucks, row).unwrap(), "k=true;x:1");
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
