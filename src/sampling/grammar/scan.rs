//! The smallest pieces of GBNF: blanks, names, texts, classes, tokens, escapes.

use super::Found;

/// A grammar's text, read from left to right.
#[derive(Debug)]
pub(super) struct Scanner {
    pub chars: Vec<char>,
    /// The next character.
    pub at: usize,
    /// What is wrong although the syntax is right.
    pub problems: Vec<Found>,
}

impl Scanner {
    pub(super) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0, problems: Vec::new() }
    }

    /// The next character; NUL at the end.
    pub(super) fn peek(&self) -> char {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, by: usize) -> char {
        self.chars.get(self.at + by).copied().unwrap_or('\0')
    }

    pub(super) fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek() != '\0' && accept(self.peek()) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    /// Blanks and comments; line ends too inside groups.
    pub(super) fn space(&mut self, lines: bool) {
        loop {
            match self.peek() {
                ' ' | '\t' => self.at += 1,
                '\r' | '\n' if lines => self.at += 1,
                '#' => drop(self.take_while(|c| !"\r\n".contains(c))),
                _ => return,
            }
        }
    }

    /// A syntax error here, with a guess at what was meant.
    pub(super) fn expected(&self, what: &str) -> Found {
        let found = match self.peek() {
            '\0' => "the end".to_owned(),
            '\r' | '\n' => "the end of the line".to_owned(),
            other => format!("`{other}`"),
        };
        let help = match self.peek() {
            '_' => "a rule's name is made of letters, digits and `-`",
            '\'' => "texts stand in \"double quotes\"",
            '|' => "an alternative on a line of its own stands inside ( ), or `|` ends the line before it",
            ':' | '=' => "a rule is `name ::= …`, on a line of its own",
            '/' | ';' => "a comment begins with `#`, and a rule ends with its line",
            _ => "a rule is `name ::= \"text\" | [a-z]+ other-rule`; one that spans lines has them inside ( )",
        };
        Found::at(self.at, format!("expected {what}, found {found}"), help)
    }

    pub(super) fn expect(&mut self, wanted: char) -> Result<(), Found> {
        if self.peek() != wanted {
            return Err(self.expected(&format!("`{wanted}`")));
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn name(&mut self) -> Result<String, Found> {
        let name = self.take_while(is_word);
        if name.is_empty() { Err(self.expected("the name of a rule")) } else { Ok(name) }
    }

    /// Digits; more than fit are more than any limit.
    pub(super) fn number(&mut self) -> Result<u64, Found> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(self.expected("a number"));
        }
        Ok(digits.parse().unwrap_or(u64::MAX))
    }

    /// `"text"`: its length in characters.
    pub(super) fn literal(&mut self) -> Result<usize, Found> {
        let open = self.at;
        self.at += 1;
        let mut length = 0;
        while self.peek() != '"' {
            self.closed(open, "text", '"')?;
            self.character()?;
            length += 1;
        }
        self.at += 1;
        Ok(length)
    }

    /// Still before the end of the grammar, where a text or a class has to be closed.
    fn closed(&self, open: usize, what: &str, close: char) -> Result<(), Found> {
        if self.peek() != '\0' {
            return Ok(());
        }
        let help = format!("add `{close}`; inside, write it `\\{close}`");
        Err(Found::at(open, format!("the {what} is not closed"), help))
    }

    /// `[a-z]`, `[^a-z]`: how many elements it takes. One that holds no character is a problem of its own.
    pub(super) fn class(&mut self) -> Result<usize, Found> {
        let open = self.at;
        self.at += 1;
        let negated = self.peek() == '^';
        if negated {
            self.at += 1;
        }
        let mut ranges = Vec::new();
        let mut size = 0;
        while self.peek() != ']' {
            self.closed(open, "class", ']')?;
            let low = self.character()?;
            let mut high = low;
            size += 1;
            if self.peek() == '-' && self.ahead(1) != ']' {
                self.at += 1;
                self.closed(open, "class", ']')?;
                high = self.character()?;
                size += 1;
            }
            ranges.push((low, high));
        }
        self.at += 1;
        let written: String = self.chars[open..self.at].iter().take(40).collect();
        if ranges.is_empty() {
            let message = format!("the class `{written}` is empty: llama.cpp would read it as the empty text");
            self.problems.push(Found::at(open, message, "put characters into it; `.` is any character"));
        } else if !holds_any(ranges, negated) {
            let message = format!("the class `{written}` holds no character");
            self.problems.push(Found::at(open, message, "a range goes from the lower to the higher: `[a-z]`"));
        }
        Ok(size.max(1))
    }

    /// `<[123]>`, `<word>`, `!<word>`: one token, or any other.
    pub(super) fn token(&mut self) -> Result<usize, Found> {
        if self.peek() == '!' {
            self.at += 1;
        }
        let open = self.at;
        self.expect('<')?;
        if self.peek() == '[' {
            self.at += 1;
            if u32::try_from(self.number()?).is_err() {
                return Err(Found::at(open, "no token has so high an id", "see `tripos tokens` for a model's ids"));
            }
            self.expect(']')?;
        } else {
            self.take_while(|c| c != '>');
        }
        if self.peek() == '\0' {
            return Err(Found::at(open, "the token is not closed", "a token is `<word>` or `<[123]>`"));
        }
        self.expect('>')?;
        Ok(1)
    }

    /// One character of a text or a class, which may be escaped.
    fn character(&mut self) -> Result<u32, Found> {
        let at = self.at;
        self.at += 1;
        if self.chars[at] != '\\' {
            return Ok(self.chars[at].into());
        }
        let kind = self.peek();
        self.at += 1;
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            't' => return Ok('\t'.into()),
            'r' => return Ok('\r'.into()),
            'n' => return Ok('\n'.into()),
            '\\' | '"' | '[' | ']' | '-' => return Ok(kind.into()),
            _ => {
                let written: String = self.chars[at..self.at.min(self.chars.len())].iter().collect();
                let help = r#"there are \n \r \t \\ \" \[ \] \- \x41 \u0041 \U00000041; other characters stand for themselves"#;
                return Err(Found::at(at, format!("unknown escape `{written}`"), help));
            }
        };
        let mut value = 0;
        for _ in 0..digits {
            let digit = self.peek().to_digit(16).ok_or_else(|| {
                let help = r"as in \x41, \u00e9 and \U0001f600";
                Found::at(at, format!("`\\{kind}` takes {digits} hexadecimal digits"), help)
            })?;
            value = value << 4 | digit;
            self.at += 1;
        }
        Ok(value)
    }
}

/// Letters, digits and `-` (but not `_`) make a name.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

/// Whether any character but NUL, which no token holds, is in the ranges, or outside them all.
fn holds_any(mut ranges: Vec<(u32, u32)>, negated: bool) -> bool {
    const ALL: [(u32, u32); 2] = [(0x1, 0xd7ff), (0xe000, 0x0010_ffff)];
    ranges.retain(|(low, high)| low <= high);
    if !negated {
        return ranges.iter().any(|(low, high)| ALL.iter().any(|(first, last)| low <= last && first <= high));
    }
    ranges.sort_unstable();
    ALL.iter().any(|(first, last)| {
        // The first character that no range up to here covers.
        let mut free = *first;
        for (low, high) in &ranges {
            if *low <= free {
                free = free.max(high.saturating_add(1));
            }
        }
        free <= *last
    })
}
