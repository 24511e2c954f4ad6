//! Checks the sums that a model writes down: `4 + 9 = 13` is right, `4 + 9 = 12` is wrong.
//!
//! Numbers are exact decimals. What cannot be read with certainty is no equation and gets no mark: letters, percents and
//! powers beside a number, a remainder, a mixed fraction, words that change what is meant (`twice 3 + 4 = 10`). Where the
//! left side divides or multiplies, the right side may be rounded or cut to the digits that it gives; a whole number for a
//! quotient that is none (`7 / 2 = 3`) may be either a mistake or a whole division, and gets no mark.

use rust_decimal::Decimal;
use std::ops::Range;

/// Brackets within brackets that are followed; deeper ones are no arithmetic.
const DEEPEST: usize = 16;

/// Words before a sum that change what it says.
const BEFORE: [&str; 14] =
    ["of", "twice", "half", "double", "triple", "times", "plus", "minus", "by", "per", "sqrt", "log", "root", "over"];

/// Words behind a result that change what it says.
const BEHIND: [&str; 14] = [
    "r",
    "rem",
    "remainder",
    "mod",
    "percent",
    "hundred",
    "thousand",
    "million",
    "billion",
    "trillion",
    "dozen",
    "and",
    "over",
    "squared",
];

/// A sum, and whether it holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Equation {
    /// Where it stands: bytes of the text.
    pub(super) range: Range<usize>,
    /// Whether both sides are equal.
    pub(super) right: bool,
    /// What the left side comes to.
    pub(super) value: Decimal,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Number(Decimal),
    Sign(char),
    Open,
    Close,
    Equals,
    Other,
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    range: Range<usize>,
}

/// The equations of a text that can be checked, in order.
pub(super) fn equations(text: &str) -> Vec<Equation> {
    if !text.contains('=') {
        return Vec::new();
    }
    let tokens = tokens(text);
    let equals = tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Equals);
    equals.filter_map(|(at, _)| equation(text, &tokens, at)).collect()
}

/// The equation around the equals sign at `at`.
fn equation(text: &str, tokens: &[Token], at: usize) -> Option<Equation> {
    let left = left_of(text, tokens, at)?;
    let mut sum = Sum { tokens: tokens.get(left.clone())?, at: 0, operations: 0, inexact: false };
    let value = sum.terms(0)?;
    if sum.at < sum.tokens.len() || sum.operations == 0 {
        return None;
    }
    let (result, end) = right_of(text, tokens, at)?;
    let right = if value == result {
        true
    } else if sum.inexact {
        near(value, result)?
    } else {
        false
    };
    Some(Equation { range: tokens.get(left.start)?.range.start..end, right, value })
}

/// Whether a rounded result is one of a quotient or product; `None` where it cannot be told.
fn near(value: Decimal, result: Decimal) -> Option<bool> {
    let unit = Decimal::new(1, result.scale());
    let close = value.checked_sub(result)?.abs() < unit;
    if close && result.scale() == 0 { None } else { Some(close) }
}

/// The tokens of the left side.
fn left_of(text: &str, tokens: &[Token], at: usize) -> Option<Range<usize>> {
    let arithmetic = |token: &Token| !matches!(token.kind, Kind::Equals | Kind::Other);
    let run = tokens.get(..at)?.iter().rev().take_while(|token| arithmetic(token)).count();
    let mut start = at - run;
    let mut open = 0_usize;
    for token in tokens.get(start..at)?.iter().rev() {
        match token.kind {
            Kind::Close => open += 1,
            Kind::Open => open = open.checked_sub(1).unwrap_or(usize::MAX),
            _ => {}
        }
        if open == usize::MAX {
            break;
        }
    }
    // `(4 + 9 = 13)`: the bracket is around the equation.
    if open == usize::MAX && tokens.get(start)?.kind == Kind::Open {
        start += 1;
    }
    let first = tokens.get(start)?;
    let before = start.checked_sub(1).and_then(|before| tokens.get(before));
    let glued = text.get(..first.range.start)?.chars().next_back();
    if glued.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ')' | '^' | '%')) {
        return None;
    }
    let word = before.and_then(|before| text.get(before.range.clone())).unwrap_or_default();
    if BEFORE.contains(&word.to_lowercase().as_str()) {
        return None;
    }
    // A sign in front belongs to what stands before it, unless nothing does.
    if matches!(first.kind, Kind::Sign(_)) && !matches!(word, "" | "=" | "," | ":" | ";" | "." | "\n") {
        return None;
    }
    Some(start..at)
}

/// The number on the right side and where it ends.
fn right_of(text: &str, tokens: &[Token], at: usize) -> Option<(Decimal, usize)> {
    let mut place = at + 1;
    let minus = tokens.get(place)?.kind == Kind::Sign('-');
    if minus {
        place += 1;
    }
    let Token { kind: Kind::Number(number), range } = tokens.get(place)? else { return None };
    if let Some(next) = tokens.get(place + 1) {
        let word = text.get(next.range.clone()).unwrap_or_default().to_lowercase();
        let goes_on = matches!(next.kind, Kind::Sign(_) | Kind::Open | Kind::Number(_));
        if goes_on || BEHIND.contains(&word.as_str()) {
            return None;
        }
    }
    Some((if minus { -*number } else { *number }, range.end))
}

/// Works out a sum, product or bracket.
struct Sum<'t> {
    tokens: &'t [Token],
    at: usize,
    operations: usize,
    /// It divides or multiplies, so that a result may be rounded.
    inexact: bool,
}

impl Sum<'_> {
    fn sign(&self, signs: &[char]) -> Option<char> {
        match self.tokens.get(self.at)?.kind {
            Kind::Sign(sign) if signs.contains(&sign) => Some(sign),
            _ => None,
        }
    }

    fn terms(&mut self, depth: usize) -> Option<Decimal> {
        let mut value = self.factors(depth)?;
        while let Some(sign) = self.sign(&['+', '-']) {
            self.at += 1;
            self.operations += 1;
            let next = self.factors(depth)?;
            value = if sign == '+' { value.checked_add(next)? } else { value.checked_sub(next)? };
        }
        Some(value)
    }

    fn factors(&mut self, depth: usize) -> Option<Decimal> {
        let mut value = self.atom(depth)?;
        while let Some(sign) = self.sign(&['*', '/']) {
            self.at += 1;
            self.operations += 1;
            self.inexact = true;
            let next = self.atom(depth)?;
            value = if sign == '*' { value.checked_mul(next)? } else { value.checked_div(next)? };
        }
        Some(value)
    }

    fn atom(&mut self, depth: usize) -> Option<Decimal> {
        let minus = self.sign(&['-']).is_some();
        self.at += usize::from(minus);
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        let value = match token.kind {
            Kind::Number(number) => number,
            Kind::Open if depth < DEEPEST => {
                let value = self.terms(depth + 1)?;
                if self.tokens.get(self.at)?.kind != Kind::Close {
                    return None;
                }
                self.at += 1;
                value
            }
            _ => return None,
        };
        Some(if minus { -value } else { value })
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let (kind, length) = token(before, rest);
        if let Some(kind) = kind {
            found.push(Token { kind, range: at..at + length });
        }
        at += length;
    }
    found
}

/// What a text begins with, `None` for what counts as nothing, and its length in bytes; `before` is what stands in front.
fn token(before: Option<char>, rest: &str) -> (Option<Kind>, usize) {
    let mut letters = rest.chars();
    let (Some(first), next) = (letters.next(), letters.next()) else { return (None, 1) };
    let is_space = |c: Option<char>| c.is_some_and(char::is_whitespace);
    for (name, sign) in [("\\times", '*'), ("\\cdot", '*'), ("\\div", '/')] {
        if rest.starts_with(name) {
            return (Some(Kind::Sign(sign)), name.len());
        }
    }
    let one = first.len_utf8();
    match first {
        '\n' => (Some(Kind::Other), 1),
        _ if first.is_whitespace() => (None, one),
        // Markdown's bold.
        '*' if next == Some('*') => (None, 2),
        '$' | '€' | '£' if next.is_some_and(|c| c.is_ascii_digit()) => (None, one),
        '0'..='9' | '.' if first != '.' || next.is_some_and(|c| c.is_ascii_digit()) => number(before, rest),
        '-' | '=' if next == Some('>') => (Some(Kind::Other), 2),
        '=' if next == Some('=') || before.is_some_and(|c| "<>!=:~".contains(c)) => (Some(Kind::Other), 1),
        '=' => (Some(Kind::Equals), 1),
        '+' => (Some(Kind::Sign('+')), 1),
        '-' | '−' | '–' => (Some(Kind::Sign('-')), one),
        '*' | '×' | '·' => (Some(Kind::Sign('*')), one),
        '/' | '÷' => (Some(Kind::Sign('/')), one),
        'x' | 'X' if is_space(before) && is_space(next) => (Some(Kind::Sign('*')), 1),
        '(' => (Some(Kind::Open), 1),
        ')' => (Some(Kind::Close), 1),
        _ if first.is_alphanumeric() => {
            let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
            (Some(Kind::Other), end.max(one))
        }
        _ => (Some(Kind::Other), one),
    }
}

/// A number with its commas and point, unless something beside it makes it another thing.
fn number(before: Option<char>, rest: &str) -> (Option<Kind>, usize) {
    let run = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(rest.len());
    let text = rest.get(..run).unwrap_or_default().trim_end_matches(['.', ',']);
    let behind = rest.get(text.len()..).and_then(|behind| behind.chars().next());
    let glued = |c: char| c.is_alphanumeric() || matches!(c, '_' | '^' | '#' | '%' | '°' | '²' | '³' | '\\');
    let apart = !before.is_some_and(|c| glued(c) || c == '.' || c == ',') && !behind.is_some_and(glued);
    let number = if apart { decimal(text) } else { None };
    (Some(number.map_or(Kind::Other, Kind::Number)), text.len().max(1))
}

/// `1234`, `1,234`, `0.5`, `.5`; commas only where thousands have them.
fn decimal(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let grouped = rest.is_empty() || (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3);
    if !grouped || fraction.contains(['.', ',']) || (text.contains('.') && fraction.is_empty()) {
        return None;
    }
    format!("{first}{}.{fraction}", rest.concat()).trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each equation of a text as it stands there, with `ok` or what is right.
    fn marks(text: &str) -> Vec<String> {
        let mark = |e: &Equation| if e.right { "ok".into() } else { format!("no, {}", e.value.normalize()) };
        equations(text).iter().map(|e| format!("{} → {}", &text[e.range.clone()], mark(e))).collect()
    }

    #[test]
    fn what_the_bundled_model_writes_is_checked() {
        assert_eq!(marks("2 < 7, borrow, 12 - 7 = 5. 7 - 3 = 4."), ["12 - 7 = 5 → ok", "7 - 3 = 4 → ok"]);
        assert_eq!(marks("7 + 6 = 13, write 3 carry 1. 2 + 3 + 1 = 6."), ["7 + 6 = 13 → ok", "2 + 3 + 1 = 6 → ok"]);
        assert_eq!(marks("4 + 9 = 12, write 2 carry 1."), ["4 + 9 = 12 → no, 13"]);
        assert_eq!(marks("4 + 9 = 13，写 3 进 1。1 + 1 = 3。"), ["4 + 9 = 13 → ok", "1 + 1 = 3 → no, 2"]);
    }

    #[test]
    fn decimals_thousands_money_signs_and_brackets_are_read() {
        for right in [
            "0.1 + 0.2 = 0.3",
            "1,234 + 1 = 1,235",
            "$3 + $4.50 = $7.50",
            "-7 + 3 = -4",
            "so: -7 + 3 = -4",
            "3 × 4 ÷ 2 = 6",
            "3 x 4 = 12",
            "3 \\times 4 = 12",
            "(2 + 3) * 4 = 20",
            "5 - -2 = 7",
            "10 − 4 = 6",
            "2 + 3 * 4 = 14",
            "(4 + 9 = 13)",
            "total = 4 + 9 = 13",
            "7 + 6 = **13**",
            "<<4+9=13>>13",
            "2 + 3 = 5 = 5",
            ".5 + .5 = 1.0",
        ] {
            let found = equations(right);
            assert!(found.len() == 1 && found[0].right, "{right}: {:?}", marks(right));
        }
        for wrong in [
            "0.1 + 0.2 = 0.4",
            "1,234 + 1 = 1,236",
            "(2 + 3) * 4 = 14",
            "2 + 3 * 4 = 20",
            "-7 + 3 = 4",
            "9 - 4 = 6 apples",
        ] {
            let found = equations(wrong);
            assert!(found.len() == 1 && !found[0].right, "{wrong}: {:?}", marks(wrong));
        }
    }

    #[test]
    fn a_quotient_may_be_rounded_to_the_digits_that_it_gives() {
        assert_eq!(marks("1 / 3 = 0.33; 2 / 3 = 0.67; 2 / 3 = 0.66").len(), 3);
        assert!(equations("1 / 3 = 0.33; 2 / 3 = 0.67; 2 / 3 = 0.66; 1 / 3 = 0.333...").iter().all(|e| e.right));
        assert!(equations("1 / 3 = 0.35, 7 / 2 = 9, 7 / 2 = 2").iter().all(|e| !e.right));
        assert_eq!(marks("7 / 2 = 3 and 7 / 2 = 4 may be whole divisions"), [""; 0]);
        assert_eq!(marks("1.5 + 1.2 = 3"), ["1.5 + 1.2 = 3 → no, 2.7"], "a sum is not rounded");
    }

    #[test]
    fn what_cannot_be_read_with_certainty_gets_no_mark() {
        for unsure in [
            "x = 5",
            "5 = 5",
            "x + 3 = 5",
            "x - 3 + 4 = 9",
            "2x + 3 = 7",
            "10% + 5% = 20%",
            "3 apples + 4 apples = 8 apples",
            "twice 3 + 4 = 10",
            "half of 10 + 2 = 7",
            "17 / 3 = 5 remainder 2",
            "17 / 3 = 5 R 2",
            "1/2 + 1/3 = 5/6",
            "7 / 2 = 3 1/2",
            "2^3 + 1 = 9",
            "2**3 = 8",
            "3 + 4 == 8",
            "3 + 4 >= 8",
            "3 + 4 => 8",
            "x = 3,5 + 1 = 4,5",
            "5 + 3 = 2 * 5",
            "2,000,000 + 3,000,000 = 5 million",
            "v1.2.3 + 1 = 4",
            "3rd + 1 = 5",
            "f(3 + 4) = 1",
            "3 + = 4",
            "3 + 4 = ",
            "1 / 0 = 3",
            "79228162514264337593543950335 + 1 = 2",
            "99999999999999999999999999999999999 + 1 = 2",
        ] {
            assert_eq!(marks(unsure), [""; 0], "{unsure}");
        }
    }

    #[test]
    fn a_text_made_to_exhaust_the_reader_is_read() {
        assert_eq!(equations(&format!("{}1 = 2", "(".repeat(100_000))), []);
        assert_eq!(equations(&format!("{}1 = 2", "-".repeat(100_000))), []);
        assert_eq!(equations(&"=".repeat(100_000)), []);
        assert_eq!(equations(&"1 + ".repeat(100_000)), []);
    }
}
