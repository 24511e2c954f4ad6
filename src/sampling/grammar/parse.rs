//! GBNF read as llama.cpp reads it, down to the helper rules that its repetitions and groups become.

use super::Found;
use std::collections::HashMap;

/// `MAX_REPETITION_THRESHOLD` of llama.cpp.
const MAX_REPEATS: u64 = 2_000;
/// Deepest groups; llama.cpp takes a stack frame for each.
const MAX_DEPTH: usize = 100;
/// Most elements (characters, ranges, references) once repetitions are written out: 8 MB in llama.cpp.
const MAX_ELEMENTS: usize = 1_000_000;

/// A part of an alternative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// Characters or a token: this many elements of llama.cpp's.
    Terminal(usize),
    /// Another rule, by its index.
    Rule(usize),
}

impl Element {
    /// The rule referred to.
    pub(super) fn rule(&self) -> Option<usize> {
        if let Self::Rule(id) = self { Some(*id) } else { None }
    }
}

/// The alternatives of a rule; an empty one is the empty text.
pub(super) type Rule = Vec<Vec<Element>>;

/// The name of a rule. Groups and repetitions become rules too, under the name of the rule that they stand in.
#[derive(Debug)]
pub(super) struct Symbol {
    pub name: String,
    /// Whether the name is its own.
    pub own: bool,
    /// Where it is first used.
    pub used: Option<usize>,
    /// Where it is defined, or where the group or repetition stands.
    pub defined: Option<usize>,
}

/// A grammar whose syntax is right.
#[derive(Debug)]
pub(super) struct Parsed {
    /// One for each rule.
    pub symbols: Vec<Symbol>,
    /// By symbol; one that is not defined is taken for some character, so that nothing follows from it.
    pub rules: Vec<Rule>,
    /// What is wrong nevertheless.
    pub problems: Vec<Found>,
}

/// Reads a grammar, or says where its syntax first goes wrong.
pub(super) fn parse(text: &str) -> Result<Parsed, Found> {
    let mut parser = Parser::new(text);
    if let Some(at) = parser.chars.iter().position(|c| *c == '\0') {
        return Err(Found::at(at, "a grammar cannot hold a NUL character", "take it out"));
    }
    parser.space(true);
    while parser.peek() != '\0' {
        parser.rule()?;
    }
    let rules = parser.rules.into_iter().map(|rule| rule.unwrap_or_else(|| vec![vec![Element::Terminal(1)]]));
    Ok(Parsed { symbols: parser.symbols, rules: rules.collect(), problems: parser.problems })
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    /// Groups around `at`.
    depth: usize,
    /// Elements so far.
    size: usize,
    symbols: Vec<Symbol>,
    by_name: HashMap<String, usize>,
    rules: Vec<Option<Rule>>,
    problems: Vec<Found>,
}

/// One alternative while it is read.
#[derive(Default)]
struct Sequence {
    elements: Vec<Element>,
    /// Where the last item begins, which a repetition repeats.
    last: usize,
    /// How many rules that item stands for: llama.cpp limits the product with its repeats.
    weight: u64,
}

impl Parser {
    fn new(text: &str) -> Self {
        Self {
            chars: text.chars().collect(),
            at: 0,
            depth: 0,
            size: 0,
            symbols: Vec::new(),
            by_name: HashMap::new(),
            rules: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The next character; NUL at the end.
    fn peek(&self) -> char {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> char {
        self.chars.get(self.at + by).copied().unwrap_or('\0')
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek() != '\0' && accept(self.peek()) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    /// Blanks and comments; line ends too inside groups.
    fn space(&mut self, lines: bool) {
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
    fn expected(&self, what: &str) -> Found {
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

    fn expect(&mut self, wanted: char) -> Result<(), Found> {
        if self.peek() != wanted {
            return Err(self.expected(&format!("`{wanted}`")));
        }
        self.at += 1;
        Ok(())
    }

    fn spend(&mut self, elements: usize) -> Result<(), Found> {
        self.size += elements;
        if self.size <= MAX_ELEMENTS {
            return Ok(());
        }
        let message = format!("the grammar has more than {MAX_ELEMENTS} parts once its repetitions are written out");
        Err(Found::at(
            self.at.min(self.chars.len()),
            message,
            "repeat less, or without an upper bound: `*`, `+`, `{2,}`",
        ))
    }

    fn name(&mut self) -> Result<String, Found> {
        let name = self.take_while(is_word);
        if name.is_empty() { Err(self.expected("the name of a rule")) } else { Ok(name) }
    }

    fn symbol(&mut self, name: &str) -> usize {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = self.add(Symbol { name: name.to_owned(), own: true, used: None, defined: None });
        self.by_name.insert(name.to_owned(), id);
        id
    }

    fn add(&mut self, symbol: Symbol) -> usize {
        self.symbols.push(symbol);
        self.rules.push(None);
        self.symbols.len() - 1
    }

    /// The rule that a group or a repetition becomes.
    fn helper(&mut self, of: usize, at: usize) -> usize {
        self.add(Symbol { name: self.symbols[of].name.clone(), own: false, used: None, defined: Some(at) })
    }

    /// `name ::= alternatives`, to the end of its line.
    fn rule(&mut self) -> Result<(), Found> {
        let start = self.at;
        let name = self.name()?;
        self.space(false);
        let id = self.symbol(&name);
        for wanted in "::=".chars() {
            self.expect(wanted).map_err(|_| self.expected("`::=`"))?;
        }
        self.space(true);
        if self.symbols[id].defined.replace(start).is_some() {
            let message = format!("rule `{name}` is there twice, and llama.cpp would only use the last");
            self.problems.push(Found::at(start, message, "join them: `a | b`, or rename one"));
        }
        let rule = self.alternatives(id)?;
        self.rules[id] = Some(rule);
        match (self.peek(), self.ahead(1)) {
            ('\r', '\n') => self.at += 2,
            ('\r' | '\n', _) => self.at += 1,
            ('\0', _) => {}
            _ => return Err(self.expected("the end of the line")),
        }
        self.space(true);
        Ok(())
    }

    fn alternatives(&mut self, of: usize) -> Result<Rule, Found> {
        let mut rule = vec![self.sequence(of)?];
        while self.peek() == '|' {
            self.at += 1;
            self.space(true);
            rule.push(self.sequence(of)?);
        }
        self.spend(rule.len())?;
        Ok(rule)
    }

    fn sequence(&mut self, of: usize) -> Result<Vec<Element>, Found> {
        let mut sequence = Sequence::default();
        loop {
            let at = self.at;
            let (min, max) = match self.peek() {
                '*' => (0, None),
                '+' => (1, None),
                '?' => (0, Some(1)),
                '{' => self.bounds()?,
                c if "\"[<!(.".contains(c) && c != '\0' || is_word(c) => {
                    self.item(of, &mut sequence)?;
                    self.space(self.depth > 0);
                    continue;
                }
                _ => return Ok(sequence.elements),
            };
            self.at += 1;
            self.space(self.depth > 0);
            self.repeat(of, &mut sequence, (min, max), at)?;
        }
    }

    /// A text, a class, a token, a reference, a group or `.`.
    fn item(&mut self, of: usize, sequence: &mut Sequence) -> Result<(), Found> {
        let at = self.at;
        let before = self.symbols.len();
        sequence.last = sequence.elements.len();
        sequence.weight = 1;
        let element = match self.peek() {
            '"' => Element::Terminal(self.literal()?),
            '[' => Element::Terminal(self.class()?),
            '<' | '!' => Element::Terminal(self.token()?),
            '.' => {
                self.at += 1;
                Element::Terminal(1)
            }
            '(' => {
                let group = self.group(of, at)?;
                sequence.weight = (self.symbols.len() - before).max(1) as u64;
                Element::Rule(group)
            }
            _ => {
                let name = self.name()?;
                let id = self.symbol(&name);
                self.symbols[id].used.get_or_insert(at);
                Element::Rule(id)
            }
        };
        if element != Element::Terminal(0) {
            self.spend(weight(element))?;
            sequence.elements.push(element);
        }
        Ok(())
    }

    fn group(&mut self, of: usize, at: usize) -> Result<usize, Found> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("groups nested more than {MAX_DEPTH} deep");
            return Err(Found::at(at, message, "give the inner ones rules of their own"));
        }
        self.at += 1;
        self.space(true);
        let id = self.helper(of, at);
        let rule = self.alternatives(of)?;
        self.rules[id] = Some(rule);
        if self.peek() == '\0' {
            return Err(Found::at(at, "the group is not closed", "add `)`"));
        }
        self.expect(')')?;
        self.depth -= 1;
        Ok(id)
    }

    /// `{m}`, `{m,}` or `{m,n}`, up to the closing brace.
    fn bounds(&mut self) -> Result<(u64, Option<u64>), Found> {
        let (open, lines) = (self.at, self.depth > 0);
        self.at += 1;
        self.space(lines);
        let min = self.number()?;
        self.space(lines);
        let max = if self.peek() == '}' {
            Some(min)
        } else {
            self.expect(',')?;
            self.space(lines);
            let max = if self.peek().is_ascii_digit() { Some(self.number()?) } else { None };
            self.space(lines);
            max
        };
        if self.peek() != '}' {
            return Err(self.expected("`}`"));
        }
        // llama.cpp would count down past zero, and not come back.
        if max.is_some_and(|max| max < min) {
            return Err(Found::at(open, "a repetition ends below where it begins", "write the smaller number first"));
        }
        // It would silently read a larger upper bound as none.
        if min > MAX_REPEATS || max.is_some_and(|max| max > MAX_REPEATS) {
            let message = format!("a repetition of more than {MAX_REPEATS}, which llama.cpp does not count");
            return Err(Found::at(open, message, "write `{m,}`, `*` or `+` for as many as come"));
        }
        Ok((min, max))
    }

    /// Digits; more than fit are more than any limit.
    fn number(&mut self) -> Result<u64, Found> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(self.expected("a number"));
        }
        Ok(digits.parse().unwrap_or(u64::MAX))
    }

    /// Writes a repetition of the last item out, as llama.cpp does:
    /// `S{m,n}` is `S … S S'(n-m)` with `S'(x) ::= S S'(x-1) |`, and `S{m,}` is `S … S S'` with `S' ::= S S' |`.
    fn repeat(
        &mut self,
        of: usize,
        sequence: &mut Sequence,
        (min, max): (u64, Option<u64>),
        at: usize,
    ) -> Result<(), Found> {
        let item = sequence.elements[sequence.last..].to_vec();
        if item.is_empty() {
            let what = format!("there is nothing before `{}` to repeat", self.chars[at]);
            return Err(Found::at(at, what, "it stands behind a text, a class, a rule or a group"));
        }
        let times = max.unwrap_or(min).max(1);
        sequence.weight *= times;
        if sequence.weight > MAX_REPEATS {
            let message = format!("repetitions inside one another come to more than {MAX_REPEATS}");
            return Err(Found::at(at, message, "write `*` or `+` for the outer or the inner one"));
        }
        let optional = max.map_or(1, |max| max - min);
        let size: usize = item.iter().map(|element| weight(*element)).sum();
        let copies = usize::try_from(min + optional).unwrap_or(usize::MAX);
        self.spend((size + 3).saturating_mul(copies))?;
        sequence.elements.truncate(sequence.last);
        for _ in 0..min {
            sequence.elements.extend(&item);
        }
        let mut inner = None;
        for _ in 0..optional {
            let id = self.helper(of, at);
            let more = if max.is_none() { Some(id) } else { inner };
            let once = item.iter().copied().chain(more.map(Element::Rule)).collect();
            self.rules[id] = Some(vec![once, Vec::new()]);
            inner = Some(id);
        }
        sequence.elements.extend(inner.map(Element::Rule));
        Ok(())
    }

    /// `"text"`: its length in characters.
    fn literal(&mut self) -> Result<usize, Found> {
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
    fn class(&mut self) -> Result<usize, Found> {
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
    fn token(&mut self) -> Result<usize, Found> {
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

/// llama.cpp's elements in one of ours.
fn weight(element: Element) -> usize {
    if let Element::Terminal(size) = element { size } else { 1 }
}

/// Letters, digits and `-` (but not `_`) make a name.
fn is_word(c: char) -> bool {
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
        let free = ranges.iter().fold(
            *first,
            |free, (low, high)| {
                if *low <= free { free.max(high.saturating_add(1)) } else { free }
            },
        );
        free <= *last
    })
}
