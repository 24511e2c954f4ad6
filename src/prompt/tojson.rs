//! The `tojson` filter of chat templates: Python's `json.dumps(x, ensure_ascii=False, indent=indent)`, which is what
//! transformers gives them. minijinja's own filter escapes `<`, `>`, `&` and `'` for HTML.

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io;

/// `x | tojson`, `x | tojson(indent=4)`. The only values of `ensure_ascii`, `separators` and `sort_keys` taken are
/// Python's defaults, as transformers sets them.
pub(super) fn tojson(value: &Value, indent: Option<usize>, options: &Kwargs) -> Result<Value, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<usize>>("indent")?,
    };
    for option in ["ensure_ascii", "sort_keys"] {
        if options.get::<Option<bool>>(option)?.unwrap_or(false) {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: `{option}=true` is not supported")));
        }
    }
    options.assert_all_used()?;
    let text = match indent {
        Some(width) => dump(value, PrettyFormatter::with_indent(" ".repeat(width.min(64)).as_bytes())),
        None => dump(value, Spaced),
    };
    text.map(Value::from).map_err(|message| Error::new(ErrorKind::BadSerialization, message))
}

fn dump(value: &Value, formatter: impl Formatter) -> Result<String, String> {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, formatter)).map_err(|error| error.to_string())?;
    String::from_utf8(out).map_err(|error| error.to_string())
}

/// Python's separators on one line: `", "` and `": "`.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}
