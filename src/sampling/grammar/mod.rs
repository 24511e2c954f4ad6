//! GBNF checked before llama.cpp sees it: what its parser would refuse, and what it takes although no good comes of it.
//!
//! The syntax is that of llama.cpp's `src/llama-grammar.cpp` (its `grammars/README.md` is the manual): [`parse`] follows
//! that parser step by step, because one mistake ends in an exception or an abort there. On top come the mistakes that
//! llama.cpp does not see: a rule written twice (the last silently wins), a class that holds no character (`[]` is
//! silently the empty text), recursion that grows its stacks without end, a rule that can never end, a grammar that
//! admits only the empty text. Every walk is iterative or bounded, and linear in the size of the grammar, so that a
//! hostile one costs neither stack nor time.
//!
//! Left to whoever knows the vocabulary: whether `<word>` is one token, and whether `<[id]>` exists.

mod parse;
mod reach;
mod recursion;
mod scan;

use crate::error::did_you_mean;
use parse::{Parsed, parse};
use reach::{admits_more_than_nothing, satisfied};

/// Most problems reported for one grammar.
const MAX_PROBLEMS: usize = 50;

/// What is wrong with a grammar, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrammarProblem {
    /// Line, from 1; 0 for the grammar as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 for the grammar as a whole.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

/// A problem at an offset in characters; `None` for the grammar as a whole.
#[derive(Debug, Clone)]
struct Found {
    at: Option<usize>,
    message: String,
    help: String,
}

impl Found {
    fn at(at: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into(), help: help.into() }
    }

    fn whole(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), help: help.into() }
    }
}

/// Every problem of a grammar, in the order of the text; a syntax error hides what comes after it.
///
/// ```
/// use tripos::sampling::check_grammar;
/// assert!(check_grammar("root ::= \"yes\" | \"no\"").is_empty());
/// let problems = check_grammar("root ::= \"a\" rot");
/// assert_eq!((problems[0].line, problems[0].column), (1, 14));
/// assert_eq!(problems[0].message, "rule `rot` does not exist");
/// ```
#[must_use]
pub fn check_grammar(text: &str) -> Vec<GrammarProblem> {
    let mut found = match parse(text) {
        Ok(parsed) => rules(&parsed),
        Err(problem) => vec![problem],
    };
    found.sort_by_key(|problem| problem.at);
    found.truncate(MAX_PROBLEMS);
    // llama.cpp counts characters, and so do people who look for a column.
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(offset, _)| offset + 1))
        .collect();
    let located = |problem: Found| {
        let (line, column) = problem.at.map_or((0, 0), |at| {
            let line = starts.partition_point(|start| *start <= at);
            (line, at + 1 - starts[line - 1])
        });
        GrammarProblem { line, column, message: problem.message, help: problem.help }
    };
    found.into_iter().map(located).collect()
}

/// What is wrong with rules that can be read.
fn rules(parsed: &Parsed) -> Vec<Found> {
    let mut found = parsed.problems.clone();
    let defined: Vec<&str> = parsed.symbols.iter().filter(|s| s.own && s.defined.is_some()).map(|s| &*s.name).collect();
    for symbol in parsed.symbols.iter().filter(|symbol| symbol.defined.is_none()) {
        let message = format!("rule `{}` does not exist", symbol.name);
        found.push(Found::at(symbol.used.unwrap_or(0), message, did_you_mean(&symbol.name, &defined)));
    }
    let Some(root) = parsed.symbols.iter().position(|symbol| symbol.name == "root" && symbol.own) else {
        let help = if defined.is_empty() {
            "write at least `root ::= …`".to_owned()
        } else {
            format!("a text is what `root` admits: add `root ::= …` ({})", did_you_mean("root", &defined))
        };
        found.push(Found::whole("the grammar has no rule `root`", help));
        return found;
    };
    let recursion = recursion::problems(parsed);
    // A rule that only comes back to itself never ends either: once is enough.
    let recursive = !recursion.is_empty();
    found.extend(recursion);
    let ends = satisfied(&parsed.rules, true);
    for (id, symbol) in parsed.symbols.iter().enumerate().filter(|(id, s)| s.own && !ends[*id] && !recursive) {
        let message = if id == root {
            "the grammar admits no text: `root` can never end".to_owned()
        } else {
            format!("rule `{}` can never end", symbol.name)
        };
        let help = "every alternative leads back to it: add one that does not";
        found.push(Found::at(symbol.defined.unwrap_or(0), message, help));
    }
    if found.is_empty() && !admits_more_than_nothing(&parsed.rules, root) {
        let at = parsed.symbols[root].defined.unwrap_or(0);
        found.push(Found::at(at, "the grammar admits only the empty text", "give `root` something to say"));
    }
    found
}

#[cfg(test)]
mod tests;
