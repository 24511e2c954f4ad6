//! Nunjucks by minijinja: what the two have otherwise is said in the words of the other, or added.

use super::jinja::{JinjaError, failed};
use crate::suite::Vars;
use minijinja::value::{Enumerator, Object, ObjectRepr, Serde, ValueKind};
use minijinja::{Environment, Error, Output, Value};
use regex::{Captures, Regex};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::sync::Arc;

/// Filters that no template knows.
const PAIRS: &str = "pairs_of_nunjucks";
const LENGTH: &str = "length_of_nunjucks";
const TEXT: &str = "text_of_nunjucks";
const NUMBER: &str = "number_of_nunjucks";

/// Gives an environment what Nunjucks has, and its way to print.
pub(super) fn prepare(environment: &mut Environment<'static>) {
    environment.set_formatter(|out, _, value| print(out, value));
    environment.add_filter(PAIRS, pairs);
    environment.add_filter("dump", dump);
    environment.add_filter("round", round);
    environment.add_filter(LENGTH, length);
    environment.add_filter(TEXT, text);
    environment.add_filter(NUMBER, number);
}

/// The variables of a row, as JavaScript has them.
pub(super) fn variables(row: &Vars) -> Value {
    Value::from_pairs(row.iter().map(|(name, value)| (name.as_str(), of_javascript(value))))
}

/// A template of Nunjucks with what minijinja does not know said in its words: `.length`, `elseif`, `===`, the pairs of a
/// map, and texts and numbers that are compared.
pub(super) fn as_jinja(source: &str) -> Result<String, JinjaError> {
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
fn length(value: &Value) -> Value {
    match value.as_str() {
        Some(text) => Value::from(text.encode_utf16().count()),
        None if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) => {
            Value::from(value.try_iter().map_or(0, Iterator::count))
        }
        None => value.get_attr("length").unwrap_or_default(),
    }
}

/// A number as text, where it is compared with one.
fn text(value: &Value) -> Value {
    if value.kind() == ValueKind::Number { Value::from(whole(value).to_string()) } else { value.clone() }
}

/// The text of a number as a number, where it is compared with one.
fn number(value: &Value) -> Value {
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

/// As Nunjucks prints without escaping; maps as JSON, where JavaScript would say `[object Object]`.
fn print(out: &mut Output, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => {}
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" })?,
        ValueKind::Seq | ValueKind::Iterable => {
            for (at, item) in value.try_iter()?.enumerate() {
                out.write_str(if at > 0 { "," } else { "" })?;
                print(out, &item)?;
            }
        }
        ValueKind::Map => out.write_str(&serde_json::to_string(value).map_err(|error| failed(&error))?)?,
        _ => write!(out, "{}", whole(value))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::prompt::{Dialect, Jinja};
    use crate::suite::Vars;
    use serde_json::{Value as Json, json};

    fn rendered(source: &str, row: Json) -> Result<String, String> {
        let row: Vars = serde_json::from_value(row).unwrap();
        let template = Jinja::compile(source, Dialect::Nunjucks).map_err(|error| error.to_string())?;
        template.render(&row).map_err(|error| error.to_string())
    }

    #[test]
    fn prints_as_nunjucks_does() {
        let row = json!({"l": [1, "b", true], "m": {"k": true}, "n": null, "t": "<a>", "f": false, "p": [["x", 1]]});
        let source = "{{l}}|{{n}}|{{t}}|{{f}}|{{gone.deep}}|{{ m | dump }}|{{ m }}\n";
        let said = rendered(source, row.clone()).unwrap();
        assert_eq!(said, "1,b,true||<a>|false||{\"k\":true}|{\"k\":true}\n");
        let source = "{% for k, v in m %}{{k}}={{v}};{% endfor %}{%- for k, v in p -%} {{k}}:{{v}} {%- endfor %}";
        assert_eq!(rendered(source, row).unwrap(), "k=true;x:1");
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
            assert_eq!(rendered(source, row.clone()).as_deref(), Ok(wanted), "{source}");
        }
    }
}
