//! Templates of other tools, rendered as those tools render them: what an imported prompt is held against.

use super::tojson::tojson;
use crate::suite::Vars;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use regex::{Captures, Regex};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

const NAME: &str = "template";

/// Filters that no template knows.
const PAIRS: &str = "pairs_of_nunjucks";
const LENGTH: &str = "length_of_nunjucks";
const TEXT: &str = "text_of_nunjucks";
const NUMBER: &str = "number_of_nunjucks";

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
                environment.set_formatter(|out, _, value| write_nunjucks(out, value));
                environment.add_filter(PAIRS, pairs);
                environment.add_filter("dump", dump);
                environment.add_filter("round", round);
                environment.add_filter(LENGTH, javascript_length);
                environment.add_filter(TEXT, javascript_text);
                environment.add_filter(NUMBER, javascript_number);
            }
        }
        let source = match dialect {
            Dialect::Python => Cow::Borrowed(source),
            Dialect::Nunjucks => Cow::Owned(nunjucks_as_jinja(source)?),
        };
        environment.add_template_owned(NAME, source.to_string()).map_err(|error| explained(&error, &source))?;
        Ok(Self { environment, dialect })
    }

    /// Renders it with the variables of a row.
    pub fn render(&self, vars: &Vars) -> Result<String, JinjaError> {
        let template = self.environment.get_template(NAME).map_err(|error| explained(&error, ""))?;
        let vars = match self.dialect {
            Dialect::Python => Value::from(Serde(vars)),
            Dialect::Nunjucks => {
                Value::from_pairs(vars.iter().map(|(name, value)| (name.as_str(), of_javascript(value))))
            }
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

/// A template of Nunjucks with what minijinja does not know said in its words: `.length`, `elseif`, `===`, the pairs of a
/// map, and texts and numbers that are compared.
fn nunjucks_as_jinja(source: &str) -> Result<String, JinjaError> {
    let regex = |pattern: &str| Regex::new(pattern).map_err(|error| JinjaError { message: error.to_string() });
    let raw = r"\{%[-+]?\s*raw\s*[-+]?%\}(?s:.*?)\{%[-+]?\s*endraw\s*[-+]?%\}";
    let tag = regex(&format!(r"({raw})|{}", r#"\{[{%](?:'[^']*'|"[^"]*"|[^'"])*?[%}]\}"#))?;
    let (quoted, elseif) = (regex(r#"'[^']*'|"[^"]*""#)?, regex(r"^(\{%[-+]?\s*)elseif\b")?);
    let strict = regex(r"([=!]=)=")?;
    let length = regex(r"\.length\b(\s*[(])?")?;
    let with_number = regex(r"([\w.\])]+)(\s*[=!]=\s*)(-?\d+(?:\.\d+)?)\b")?;
    let with_text = regex(r#"([\w.\])]+)(\s*[=!]=\s*)('-?\d+(?:\.\d+)?'|"-?\d+(?:\.\d+)?")"#)?;
    let of_tag = |tag: &str| {
        let tag = elseif.replace(tag, "${1}elif");
        // `===` compares kinds, too; only `==` takes the text of a number for the number.
        let tag = with_text.replace_all(&tag, format!("$1 | {TEXT}$2$3"));
        let (mut out, mut rest) = (String::new(), 0);
        let outside = |text: &str| {
            let text = with_number.replace_all(text, format!("$1 | {NUMBER}$2$3"));
            let text = strict.replace_all(&text, "$1");
            length
                .replace_all(&text, |found: &Captures<'_>| match found.get(1) {
                    Some(_) => found[0].to_owned(),
                    None => format!(" | {LENGTH}"),
                })
                .into_owned()
        };
        for text in quoted.find_iter(&tag) {
            out += &outside(&tag[rest..text.start()]);
            out += text.as_str();
            rest = text.end();
        }
        out + &outside(&tag[rest..])
    };
    let source = tag.replace_all(source, |found: &Captures<'_>| match found.get(1) {
        Some(raw) => raw.as_str().to_owned(),
        None => of_tag(&found[0]),
    });
    with_pairs(&source).map(Cow::into_owned)
}

/// A value as JavaScript has it: `2.0` is 2, and an empty list or map is true.
fn of_javascript(value: &Json) -> Value {
    match value {
        Json::Number(number) => {
            number.as_f64().filter(|_| number.is_f64()).map_or_else(|| Value::from(Serde(value)), number_of)
        }
        Json::Array(items) if items.is_empty() => Value::from_object(Hollow(ObjectRepr::Seq)),
        Json::Object(map) if map.is_empty() => Value::from_object(Hollow(ObjectRepr::Map)),
        Json::Array(items) => items.iter().map(of_javascript).collect::<Vec<Value>>().into(),
        Json::Object(map) => Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), of_javascript(value)))),
        other => Value::from(Serde(other)),
    }
}

/// An empty list or map that is true.
#[derive(Debug)]
struct Hollow(ObjectRepr);

impl Object for Hollow {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        self.0
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Empty
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// A number that is whole prints without a fraction.
fn number_of(number: f64) -> Value {
    let whole = number.fract() == 0.0 && number.abs() < 9e15;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
    if whole { Value::from(number as i64) } else { Value::from(number) }
}

/// A whole number made whole again: `8 / 2`.
fn whole(value: &Value) -> Value {
    let number = f64::try_from(value.clone()).ok().filter(|_| value.kind() == ValueKind::Number);
    number.map_or_else(|| value.clone(), |number| if value.is_integer() { value.clone() } else { number_of(number) })
}

/// `value.length`: of a list, or of a text in UTF-16.
fn javascript_length(value: &Value) -> Value {
    match value.as_str() {
        Some(text) => Value::from(text.encode_utf16().count()),
        None if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) => {
            Value::from(value.try_iter().map_or(0, Iterator::count))
        }
        None => value.get_attr("length").unwrap_or_default(),
    }
}

/// A number as text, where it is compared with one.
fn javascript_text(value: &Value) -> Value {
    if value.kind() == ValueKind::Number { Value::from(whole(value).to_string()) } else { value.clone() }
}

/// The text of a number as a number, where it is compared with one.
fn javascript_number(value: &Value) -> Value {
    let number = value.as_str().and_then(|text| text.trim().parse::<f64>().ok());
    number.filter(|number| number.is_finite()).map_or_else(|| value.clone(), number_of)
}

/// JavaScript's `Math.round`, of so many digits: halves go up.
fn round(value: f64, digits: Option<i32>, method: Option<&str>) -> Value {
    let factor = 10_f64.powi(digits.unwrap_or(0));
    let scaled = value * factor;
    let rounded = match method {
        Some("ceil") => scaled.ceil(),
        Some("floor") => scaled.floor(),
        _ => (scaled + 0.5).floor(),
    };
    number_of(rounded / factor)
}

/// `JSON.stringify(value, null, indent)`.
fn dump(value: &Value, indent: Option<usize>) -> Result<String, Error> {
    let value = whole(value);
    let Some(width) = indent.filter(|width| *width > 0) else {
        return serde_json::to_string(&value).map_err(|error| failed(&error));
    };
    let (mut out, spaces) = (Vec::new(), " ".repeat(width.min(10)));
    let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    serde::Serialize::serialize(&value, &mut serializer).map_err(|error| failed(&error))?;
    String::from_utf8(out).map_err(|error| failed(&error))
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

/// As Nunjucks prints without escaping; maps as JSON, where JavaScript would say `[object Object]`.
fn write_nunjucks(out: &mut Output, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => {}
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" })?,
        ValueKind::Seq | ValueKind::Iterable => {
            for (at, item) in value.try_iter()?.enumerate() {
                out.write_str(if at > 0 { "," } else { "" })?;
                write_nunjucks(out, &item)?;
            }
        }
        ValueKind::Map => out.write_str(&serde_json::to_string(value).map_err(|error| failed(&error))?)?,
        _ => write!(out, "{}", whole(value))?,
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
    use serde_json::json;

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

    /// ```js
    /// const env = require('nunjucks').configure({autoescape: false});
    /// console.log(env.renderString("{{ items.length }}", {items: [1, 2, 3], text: "h\u{e9}llo", v: 2.0, n: 3, s: "3"}));
    /// ```
    #[test]
    fn counts_divides_and_compares_as_nunjucks_does() {
        let row = json!({"items": [1, 2, 3], "text": "hello", "v": 2.0, "n": 3, "s": "3", "m": {"a": 1}, "el": [],
                         "emp": {}, "length": 9, "neg": -2.5});
        for (source, wanted) in [
            ("{{ items.length }} {{ text.length }} {{ m.length }} {{ '.length' }}", "3 5  .length"),
            ("{% if items.length > 2 %}y{% else %}n{% endif %}{{ el.length }}", "y0"),
            ("{% if el %}y{% endif %}{% if emp %}y{% endif %}{% if not el %}n{% endif %}", "yy"),
            ("{{ 8/2 }} {{ 7/2 }} {{ v }} {{ [v, 1.5] }}", "4 3.5 2 2,1.5"),
            ("{{ n == '3' }} {{ s == 3 }} {{ n === 3 }} {{ n === '3' }} {{ n !== '3' }}", "true true true false true"),
            ("{{ range(0,3) }} {{ items | reverse }}", "0,1,2 3,2,1"),
            (
                "{{ 2.5 | round }} {{ neg | round }} {{ 2.345 | round(2) }} {{ 2.345 | round(1, 'floor') }}",
                "3 -2 2.35 2.3",
            ),
            ("{{ m | dump(2) }} {{ v | dump }} {{ (8/2) | dump }}", "{\n  \"a\": 1\n} 2 4"),
            ("{% if n == 4 %}a{% elseif n == 3 %}b{% endif %}{{ 'x' if gone }}", "b"),
            (
                "{% for i in items %}{{ loop.length }}{% endfor %}{% raw %}{{ a.length }}{% endraw %}",
                "333{{ a.length }}",
            ),
        ] {
            assert_eq!(rendered(source, Dialect::Nunjucks, row.clone()).as_deref(), Ok(wanted), "{source}");
        }
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
