//! GBNF read as llama.cpp reads it, down to the helper rules that its repetitions and groups become.

use super::Found;
use super::scan::{Scanner, is_word};
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
    if let Some(at) = parser.scan.chars.iter().position(|c| *c == '\0') {
        return Err(Found::at(at, "a grammar cannot hold a NUL character", "take it out"));
    }
    parser.scan.space(true);
    while parser.scan.peek() != '\0' {
        parser.rule()?;
    }
    let rules = parser.rules.into_iter().map(|rule| rule.unwrap_or_else(|| vec![vec![Element::Terminal(1)]]));
    Ok(Parsed { symbols: parser.symbols, rules: rules.collect(), problems: parser.scan.problems })
}

struct Parser {
    scan: Scanner,
    /// Groups around `at`.
    depth: usize,
    /// Elements so far.
    size: usize,
    symbols: Vec<Symbol>,
    by_name: HashMap<String, usize>,
    rules: Vec<Option<Rule>>,
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
            scan: Scanner::new(text),
            depth: 0,
            size: 0,
            symbols: Vec::new(),
            by_name: HashMap::new(),
            rules: Vec::new(),
        }
    }

    fn spend(&mut self, elements: usize) -> Result<(), Found> {
        self.size += elements;
        if self.size <= MAX_ELEMENTS {
            return Ok(());
        }
        let message = format!("the grammar has more than {MAX_ELEMENTS} parts once its repetitions are written out");
        Err(Found::at(self.scan.at, message, "repeat less, or without an upper bound: `*`, `+`, `{2,}`"))
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
        let start = self.scan.at;
        let name = self.scan.name()?;
        self.scan.space(false);
        let id = self.symbol(&name);
        for wanted in "::=".chars() {
            self.scan.expect(wanted).map_err(|_| self.scan.expected("`::=`"))?;
        }
        self.scan.space(true);
        if self.symbols[id].defined.replace(start).is_some() {
            let message = format!("rule `{name}` is there twice, and llama.cpp would only use the last");
            self.scan.problems.push(Found::at(start, message, "join them: `a | b`, or rename one"));
        }
        let rule = self.alternatives(id)?;
        self.rules[id] = Some(rule);
        match (self.scan.peek(), self.scan.ahead(1)) {
            ('\r', '\n') => self.scan.at += 2,
            ('\r' | '\n', _) => self.scan.at += 1,
            ('\0', _) => {}
            _ => return Err(self.scan.expected("the end of the line")),
        }
        self.scan.space(true);
        Ok(())
    }

    fn alternatives(&mut self, of: usize) -> Result<Rule, Found> {
        let mut rule = vec![self.sequence(of)?];
        while self.scan.peek() == '|' {
            self.scan.at += 1;
            self.scan.space(true);
            rule.push(self.sequence(of)?);
        }
        self.spend(rule.len())?;
        Ok(rule)
    }

    fn sequence(&mut self, of: usize) -> Result<Vec<Element>, Found> {
        let mut sequence = Sequence::default();
        loop {
            let at = self.scan.at;
            let (min, max) = match self.scan.peek() {
                '*' => (0, None),
                '+' => (1, None),
                '?' => (0, Some(1)),
                '{' => self.bounds()?,
                c if "\"[<!(.".contains(c) && c != '\0' || is_word(c) => {
                    self.item(of, &mut sequence)?;
                    self.scan.space(self.depth > 0);
                    continue;
                }
                _ => return Ok(sequence.elements),
            };
            self.scan.at += 1;
            self.scan.space(self.depth > 0);
            self.repeat(of, &mut sequence, (min, max), at)?;
        }
    }

    /// A text, a class, a token, a reference, a group or `.`.
    fn item(&mut self, of: usize, sequence: &mut Sequence) -> Result<(), Found> {
        let at = self.scan.at;
        let before = self.symbols.len();
        sequence.last = sequence.elements.len();
        sequence.weight = 1;
        let element = match self.scan.peek() {
            '"' => Element::Terminal(self.scan.literal()?),
            '[' => Element::Terminal(self.scan.class()?),
            '<' | '!' => Element::Terminal(self.scan.token()?),
            '.' => {
                self.scan.at += 1;
                Element::Terminal(1)
            }
            '(' => {
                let group = self.group(of, at)?;
                sequence.weight = (self.symbols.len() - before).max(1) as u64;
                Element::Rule(group)
            }
            _ => {
                let name = self.scan.name()?;
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
        self.scan.at += 1;
        self.scan.space(true);
        let id = self.helper(of, at);
        let rule = self.alternatives(of)?;
        self.rules[id] = Some(rule);
        if self.scan.peek() == '\0' {
            return Err(Found::at(at, "the group is not closed", "add `)`"));
        }
        self.scan.expect(')')?;
        self.depth -= 1;
        Ok(id)
    }

    /// `{m}`, `{m,}` or `{m,n}`, up to the closing brace.
    fn bounds(&mut self) -> Result<(u64, Option<u64>), Found> {
        let (open, lines) = (self.scan.at, self.depth > 0);
        self.scan.at += 1;
        self.scan.space(lines);
        let min = self.scan.number()?;
        self.scan.space(lines);
        let max = if self.scan.peek() == '}' {
            Some(min)
        } else {
            self.scan.expect(',')?;
            self.scan.space(lines);
            let max = if self.scan.peek().is_ascii_digit() { Some(self.scan.number()?) } else { None };
            self.scan.space(lines);
            max
        };
        if self.scan.peek() != '}' {
            return Err(self.scan.expected("`}`"));
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
            let what = format!("there is nothing before `{}` to repeat", self.scan.chars[at]);
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
}

/// llama.cpp's elements in one of ours.
fn weight(element: Element) -> usize {
    if let Element::Terminal(size) = element { size } else { 1 }
}
