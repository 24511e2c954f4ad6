//! Rust files as tokens, as far as the rules need it: without comments and texts, and with test code told apart.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

/// A Rust file: its path from the repository's root, with `/`, its text, and whether it is compiled for tests only.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) only_tests: bool,
}

impl Source {
    /// Its place among the modules: `["suite", "check"]` for src/suite/check.rs, nothing for lib.rs and main.rs.
    pub(super) fn modules(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).collect()
    }

    /// Whether it is one of some modules or lies inside one: `src/ggml` covers src/ggml.rs and src/ggml/*.
    pub(super) fn is_in(&self, homes: &str) -> bool {
        homes
            .split(' ')
            .any(|home| self.path.strip_prefix(home).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')))
    }

    pub(super) fn complain(&self, line: usize, rule: &str) -> String {
        format!("{}:{line}: {rule}", self.path)
    }
}

/// A word or sign of Rust, and its line from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// The tokens of a text, without comments, strings and characters.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let silent = silence(rest);
        let length = match first {
            _ if silent > 0 => silent,
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        if silent == 0 && !first.is_whitespace() {
            found.push(Token { line, text: &rest[..length] });
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    found
}

/// The length of the comment, string or character that a text starts with; 0 where it starts with none.
fn silence(text: &str) -> usize {
    let until = |after: usize, close: &str| text[after..].find(close).map_or(text.len(), |at| after + at + close.len());
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    // r"…", br#"…"#, cr##"…"##: nothing is escaped, and the same number of # closes it.
    let raw = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - raw.len();
    if prefix <= 1 && raw.starts_with('r') {
        let hashes = raw[1..].len() - raw[1..].trim_start_matches('#').len();
        let open = prefix + 1 + hashes;
        return if text[open..].starts_with('"') { until(open + 1, &format!("\"{}", "#".repeat(hashes))) } else { 0 };
    }
    let escaped = |quote: char| {
        let mut escape = false;
        let close = text.char_indices().skip(1).find(|&(_, c)| {
            let closes = c == quote && !escape;
            escape = c == '\\' && !escape;
            closes
        });
        close.map_or(text.len(), |(at, _)| at + 1)
    };
    let mut letters = text.chars();
    match (letters.next(), letters.next(), letters.next()) {
        (Some('"'), ..) => escaped('"'),
        // 'a' and '\n' are characters, 'a is a lifetime.
        (Some('\''), Some('\\'), _) | (Some('\''), Some(_), Some('\'')) => escaped('\''),
        _ => 0,
    }
}

/// The length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// How an item ends.
pub(super) const ITEM: [&str; 2] = ["}", ";"];
/// How an element of a group ends, unless the group does.
pub(super) const ELEMENT: [&str; 1] = [","];

/// Where what starts at a token ends: behind the first of the given signs that is in no bracket opened since, or
/// before the bracket that closes around it.
pub(super) fn end(tokens: &[Token], start: usize, ends: &[&str]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" if depth == 0 => return at,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 && ends.contains(&token.text) {
            return at + 1;
        }
    }
    tokens.len()
}

/// The items under `#[cfg(test)]` or `#[cfg(all(test, …))]`, as ranges of tokens.
fn test_items(tokens: &[Token]) -> Vec<Range<usize>> {
    let spells = |at: usize, words: &[&str]| {
        tokens.len() >= at + words.len() && words.iter().zip(&tokens[at..]).all(|(word, token)| *word == token.text)
    };
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if spells(at, &["#", "[", "cfg", "(", "test", ")"]) || spells(at, &["#", "[", "cfg", "(", "all", "(", "test"]) {
            found.push(at..end(tokens, at, &ITEM));
            at = end(tokens, at, &ITEM);
        } else {
            at += 1;
        }
    }
    found
}

/// The tokens that are no test code.
pub(super) fn shipped(source: &Source) -> Vec<Token<'_>> {
    if source.only_tests {
        return Vec::new();
    }
    let mut all = tokens(&source.text);
    for items in test_items(&all).into_iter().rev() {
        all.drain(items);
    }
    all
}

/// Marks the files that others declare as `#[cfg(test)] mod x;`, and the files below them.
pub(super) fn mark_tests(mut sources: Vec<Source>) -> Vec<Source> {
    let mut declared: Vec<Vec<String>> = Vec::new();
    for source in &sources {
        let all = tokens(&source.text);
        for item in test_items(&all).into_iter().map(|items| &all[items]) {
            if let [.., Token { text: "mod", .. }, name, Token { text: ";", .. }] = item {
                declared.push(source.modules().into_iter().chain([name.text]).map(str::to_owned).collect());
            }
        }
    }
    for source in &mut sources {
        source.only_tests =
            declared.iter().any(|test| source.modules().iter().zip(test).filter(|(a, b)| a == b).count() == test.len());
    }
    sources
}

/// The Rust files under a folder, sorted by path.
pub(super) fn read(root: &Path, folder: &str) -> io::Result<Vec<Source>> {
    let mut entries = fs::read_dir(root.join(folder))?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut sources = Vec::new();
    for entry in entries {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            sources.extend(read(root, &path)?);
        } else if Path::new(&path).extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source { text: fs::read_to_string(entry.path())?, path, only_tests: false });
        }
    }
    Ok(sources)
}
