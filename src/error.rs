//! Places, problems, and the one renderer that lays them out.
//!
//! Every module has its own `thiserror` enum with data fields and implements [`Explain`] for it: what went wrong
//! (`Display`), where ([`Explain::at`]), whose ([`Explain::about`]) and how to mend it ([`Explain::help`]).
//! Only this file turns them into text, so every message has one shape:
//!
//! ```text
//! error: unknown field `temprature` in variant `terse`
//!   --> suites/gsm8k.yaml:14:7
//!   help: did you mean `temperature`?
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a file that a user can open. Lines and columns count from 1; 0 means "the file as a whole".
///
/// ```
/// use tripos::error::Place;
/// assert_eq!(Place::new("a.yaml", 3, 7).to_string(), "a.yaml:3:7");
/// assert_eq!(Place::file("a.yaml").to_string(), "a.yaml");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Place {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// Line, from 1; 0 for the whole file.
    pub line: usize,
    /// Column in characters, from 1; 0 for the whole line.
    pub column: usize,
}

impl Place {
    /// A line and a column of a file.
    pub fn new(file: impl AsRef<Path>, line: usize, column: usize) -> Self {
        Self { file: file.as_ref().to_path_buf(), line, column }
    }

    /// A file as a whole.
    pub fn file(file: impl AsRef<Path>) -> Self {
        Self::new(file, 0, 0)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        Ok(())
    }
}

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing is run.
    Error,
    /// The run goes on; the user should know.
    Warning,
    /// A fact that explains a choice.
    Note,
}

/// An error that can say where it is and how to mend it.
pub trait Explain: std::error::Error + Send + Sync + 'static {
    /// How much it matters; an error unless said otherwise.
    fn level(&self) -> Level {
        Level::Error
    }

    /// The place to look at.
    fn at(&self) -> Option<&Place> {
        None
    }

    /// The variant or case concerned, said in brackets behind the place.
    fn about(&self) -> Option<String> {
        None
    }

    /// What the user can do, as one line.
    fn help(&self) -> Option<String> {
        None
    }
}

/// Everything that is wrong, reported at once, in the order it was found.
#[derive(Debug, Default)]
pub struct Problems(Vec<Box<dyn Explain>>);

impl Problems {
    /// No problems yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one problem.
    pub fn push(&mut self, problem: impl Explain) {
        self.0.push(Box::new(problem));
    }

    /// Adds all of another list.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Keeps those that `wanted` picks.
    pub fn retain(&mut self, wanted: impl Fn(&dyn Explain) -> bool) {
        self.0.retain(|problem| wanted(problem.as_ref()));
    }

    /// Adds each of an iterator.
    pub fn extend<E: Explain>(&mut self, problems: impl IntoIterator<Item = E>) {
        for problem in problems {
            self.push(problem);
        }
    }

    /// Whether any of them is an error (rather than a warning or a note).
    #[must_use]
    pub fn any_error(&self) -> bool {
        self.0.iter().any(|p| p.level() == Level::Error)
    }

    /// The problems in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Explain> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// How many there are, notes included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Err` if any is an error, else the value; warnings and notes are then dropped, so print them first.
    pub fn or_ok<T>(self, value: T) -> Result<T, Self> {
        if self.any_error() { Err(self) } else { Ok(value) }
    }
}

impl<E: Explain> From<E> for Problems {
    fn from(problem: E) -> Self {
        Self(vec![Box::new(problem)])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&render(problem, false))?;
        }
        Ok(())
    }
}

/// Lays one problem out over at most three lines, ending in a newline; `colour` adds ANSI codes.
#[must_use]
pub fn render(problem: &dyn Explain, colour: bool) -> String {
    let (word, code) = match problem.level() {
        Level::Error => ("error", "1;31"),
        Level::Warning => ("warning", "1;33"),
        Level::Note => ("note", "1;36"),
    };
    let paint = |text: &str, code: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut out = format!("{}: {}\n", paint(word, code), indent(&problem.to_string()));
    match (problem.at(), problem.about()) {
        (Some(place), Some(about)) => out += &format!("  {} {place} ({about})\n", paint("-->", "34")),
        (Some(place), None) => out += &format!("  {} {place}\n", paint("-->", "34")),
        (None, Some(about)) => out += &format!("  {} {about}\n", paint("-->", "34")),
        (None, None) => {}
    }
    if let Some(help) = problem.help() {
        out += &format!("  {}: {}\n", paint("help", "1;32"), indent(&help));
    }
    out
}

/// Continuation lines of a message are indented, so that each problem stays one block. A name that a file gives cannot send
/// escape codes to the terminal.
fn indent(text: &str) -> String {
    let plain = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c };
    text.trim_end().chars().map(plain).collect::<String>().replace('\n', "\n    ")
}

/// The known name nearest to a misspelt one, when it is near enough to be meant.
///
/// ```
/// use tripos::error::nearest;
/// assert_eq!(nearest("temprature", ["temperature", "top_k"]), Some("temperature"));
/// assert_eq!(nearest("zebra", ["temperature", "top_k"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().min(name.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What may be shown and recorded of an address: no name and password, and no query, which may be a signature. What stands
/// behind `#` stays: there a model's hash is written. Other texts stay as they are.
///
/// ```
/// use tripos::error::without_secrets;
/// assert_eq!(without_secrets("https://me:secret@host/a@b.gguf?Signature=x#sha256=12"), "https://…@host/a@b.gguf#sha256=12");
/// assert_eq!(without_secrets("hf://owner/repo/a.gguf@v1"), "hf://owner/repo/a.gguf@v1");
/// ```
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")) else {
        return text.to_owned();
    };
    let (rest, hash) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (secret, host) = host.rsplit_once('@').map_or(("", host), |(_, host)| ("…@", host));
    format!("{scheme}://{secret}{host}{path}{hash}")
}

/// `did you mean …` followed by all known names, for the help of "unknown name" errors.
#[must_use]
pub fn did_you_mean(name: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? ({all})"),
        None if known.is_empty() => "there are none here".to_owned(),
        None => format!("known here: {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("prompt does not fit: {tokens} tokens")]
    struct TooLong {
        tokens: usize,
        place: Place,
    }

    impl Explain for TooLong {
        fn at(&self) -> Option<&Place> {
            Some(&self.place)
        }
        fn about(&self) -> Option<String> {
            Some("variant `cot`, case `doc-3`".into())
        }
        fn help(&self) -> Option<String> {
            Some("set `context: 4424` or more".into())
        }
    }

    #[test]
    fn lays_out_what_where_whose_and_how_to_mend() {
        let problem = TooLong { tokens: 3912, place: Place::new("suites/long.yaml", 8, 3) };
        insta::assert_snapshot!(render(&problem, false), @r"
        error: prompt does not fit: 3912 tokens
          --> suites/long.yaml:8:3 (variant `cot`, case `doc-3`)
          help: set `context: 4424` or more
        ");
    }

    #[test]
    fn colour_is_only_added_when_asked_for() {
        let problem = TooLong { tokens: 1, place: Place::file("x") };
        assert!(render(&problem, true).contains("\x1b[1;31merror\x1b[0m"));
        assert!(!render(&problem, false).contains('\x1b'));
    }

    #[test]
    fn suggests_a_near_name_and_lists_the_rest() {
        assert_eq!(
            did_you_mean("tmperature", &["temperature", "seed"]),
            "did you mean `temperature`? (temperature, seed)"
        );
        assert_eq!(did_you_mean("colour", &["temperature", "seed"]), "known here: temperature, seed");
    }
}
