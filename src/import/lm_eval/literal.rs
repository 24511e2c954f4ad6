//! Python literals, as `ast.literal_eval` reads them: tasks render lists to text and read them back.

use serde_json::Value;

/// The value of a Python literal; `None` where the text is none.
pub(super) fn literal(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text.trim(), depth: 0 };
    let value = reader.value()?;
    reader.rest.trim().is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

/// Deeper lists are none that a task writes.
const DEEPEST: usize = 32;

impl Reader<'_> {
    fn value(&mut self) -> Option<Value> {
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            '[' => self.list(']'),
            '(' => self.list(')'),
            '{' => self.map(),
            '\'' | '"' => self.texts(),
            _ => self.word(),
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        let found = self.rest.strip_prefix(wanted);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn list(&mut self, close: char) -> Option<Value> {
        self.depth += 1;
        self.rest = self.rest.get(1..).filter(|_| self.depth < DEEPEST)?;
        let (mut items, mut comma) = (Vec::new(), false);
        while !self.eat(close) {
            items.push(self.value()?);
            comma = self.eat(',');
            if !comma && !self.rest.trim_start().starts_with(close) {
                return None;
            }
        }
        self.depth -= 1;
        // `("a")` is a text in brackets.
        if close == ')' && items.len() == 1 && !comma { items.pop() } else { Some(items.into()) }
    }

    fn map(&mut self) -> Option<Value> {
        self.depth += 1;
        self.rest = self.rest.get(1..).filter(|_| self.depth < DEEPEST)?;
        let mut map = serde_json::Map::new();
        while !self.eat('}') {
            let key = self.value()?;
            if !self.eat(':') {
                return None;
            }
            let value = self.value()?;
            map.insert(key.as_str().map_or_else(|| key.to_string(), str::to_owned), value);
            if !self.eat(',') && !self.rest.trim_start().starts_with('}') {
                return None;
            }
        }
        self.depth -= 1;
        Some(map.into())
    }

    /// Texts side by side are one.
    fn texts(&mut self) -> Option<Value> {
        let mut all = String::new();
        while let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            all += &self.text(quote)?;
            self.rest = self.rest.trim_start();
        }
        Some(all.into())
    }

    fn text(&mut self, quote: char) -> Option<String> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.rest = self.rest.get(at + 1..)?;
                return Some(out);
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            let (_, escaped) = chars.next()?;
            let digits = match escaped {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            match escaped {
                _ if digits > 0 => {
                    let hex: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                    out.push(char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?);
                }
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                '\n' => {}
                '\\' | '\'' | '"' => out.push(escaped),
                other => out.extend(['\\', other]),
            }
        }
        None
    }

    fn word(&mut self) -> Option<Value> {
        let length = self.rest.find([',', ']', ')', '}', ':', ' ', '\n']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(match word {
            "True" => true.into(),
            "False" => false.into(),
            "None" => Value::Null,
            number => match number.replace('_', "").parse::<i64>() {
                Ok(whole) => whole.into(),
                Err(_) => serde_json::Number::from_f64(number.parse().ok()?)?.into(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// ```python
    /// import ast
    /// for text in [...]: print(ast.literal_eval(text))
    /// ```
    #[test]
    fn reads_what_python_reads() {
        for (text, wanted) in [
            ("['it', \"it's\", 'a\\'b\\n\\u00e9\\x41\\d']", json!(["it", "it's", "a'b\néA\\d"])),
            (" (1, -2.5, True, None,) ", json!([1, -2.5, true, null])),
            ("('a')", json!("a")),
            ("('a',)", json!(["a"])),
            ("{'a': [1], 2: ()}", json!({"a": [1], "2": []})),
            ("['a' 'b']", json!(["ab"])),
            ("[]", json!([])),
            ("12", json!(12)),
        ] {
            assert_eq!(literal(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_literals() {
        for text in ["", "[a]", "['a'", "['a' 1]", "'a", "[1] 2", "yes", "{'a'}", &"[".repeat(100)] {
            assert_eq!(literal(text), None, "{text}");
        }
    }
}
