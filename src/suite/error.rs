//! What can be wrong with a suite.

use super::choice::ChoiceFault;
use crate::error::{Explain, Level, Place, did_you_mean};

/// A problem of a suite, its case files or its prompts' paths, and where it is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{problem}")]
pub struct SuiteError {
    /// Where to look.
    pub place: Place,
    /// What is wrong there.
    pub problem: SuiteProblem,
}

impl SuiteError {
    /// A problem at a place.
    #[must_use]
    pub fn new(place: Place, problem: SuiteProblem) -> Self {
        Self { place, problem }
    }
}

impl Explain for SuiteError {
    fn level(&self) -> Level {
        match self.problem {
            SuiteProblem::FewExamples { .. }
            | SuiteProblem::FewUnits { .. }
            | SuiteProblem::Elsewhere { fate: Some(_), .. } => Level::Note,
            SuiteProblem::MissingTargets { strict: false, .. }
            | SuiteProblem::SameRepeats { .. }
            | SuiteProblem::Unfit { error: false, .. }
            | SuiteProblem::Begins { .. } => Level::Warning,
            _ => Level::Error,
        }
    }

    fn at(&self) -> Option<&Place> {
        Some(&self.place)
    }

    fn about(&self) -> Option<String> {
        let SuiteProblem::Unfit { scorer, case, others, .. } = &self.problem else { return None };
        let others = match others {
            0 => String::new(),
            1 => " and 1 other case".to_owned(),
            others => format!(" and {others} other cases"),
        };
        Some(format!("scorer `{scorer}`, case `{case}`{others}"))
    }

    fn help(&self) -> Option<String> {
        self.problem.help()
    }
}

/// The kinds of problem. The message says what; [`SuiteProblem::help`] says how to mend it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SuiteProblem {
    /// The file cannot be opened or read.
    #[error("cannot read {what}: {reason}")]
    Unreadable {
        /// The suite, the case file, the prompt …
        what: String,
        /// The system's words.
        reason: String,
    },
    /// Larger than the limit.
    #[error("the file has {bytes} bytes; it may have at most {max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// Not UTF-8.
    #[error("the file is not UTF-8: byte {offset} starts no character")]
    NotUtf8 {
        /// Offset of the first bad byte.
        offset: usize,
    },
    /// Not YAML, or nested or repeated beyond the limits.
    #[error("this is not YAML that can be read: {reason}")]
    Yaml {
        /// The parser's words.
        reason: String,
    },
    /// A field that nothing reads.
    #[error("unknown field `{field}` in {within}")]
    UnknownField {
        /// The field as written.
        field: String,
        /// What it was written in.
        within: String,
        /// The fields known there.
        known: Vec<String>,
    },
    /// A field that must be there.
    #[error("{within} has no `{field}`")]
    MissingField {
        /// The field.
        field: String,
        /// Where it belongs.
        within: String,
    },
    /// A value of the wrong type or shape.
    #[error("`{path}`: {reason}")]
    WrongValue {
        /// The value's path.
        path: String,
        /// serde's words.
        reason: String,
    },
    /// A model that lies elsewhere, and has no file here.
    #[error("`{uri}` is not on this machine{}", fate.as_ref().map_or_else(String::new, |fate| format!(": {fate}")))]
    Elsewhere {
        /// As it is named.
        uri: String,
        /// What would become of it in a run; `None` where nobody looked for it.
        fate: Option<String>,
    },
    /// Two things of one name.
    #[error("{what} `{name}` is there twice; the first is at line {first}")]
    Duplicate {
        /// Variant, case, scorer …
        what: &'static str,
        /// The name.
        name: String,
        /// Where the first stands.
        first: String,
    },
    /// A rule, a scorer or a flag names something that does not exist.
    #[error("{what} `{name}` does not exist")]
    Unknown {
        /// Variant, metric, column …
        what: &'static str,
        /// The name.
        name: String,
        /// What exists.
        known: Vec<String>,
    },
    /// There is nothing to run.
    #[error("{what} is empty")]
    Empty {
        /// The list.
        what: String,
        /// What to write there.
        help: String,
    },
    /// A number outside its range.
    #[error("{0}")]
    OutOfRange(#[from] crate::sampling::OutOfRange),
    /// A broken line of a case file.
    #[error("broken line: {reason}")]
    Row {
        /// What is wrong with it.
        reason: String,
        /// How to mend it.
        help: String,
    },
    /// A template of a generator or a probe failed.
    #[error("{template} fails: {reason}")]
    Template {
        /// Which template, and whose: ``the generator's `vars.question` ``.
        template: String,
        /// What is wrong.
        reason: String,
        /// How to mend it.
        help: String,
    },
    /// A probe too small to tell its groups apart.
    #[error("{count} {unit}{} too few to tell groups apart at the 5 % level", if *count == 1 { " is" } else { "s are" })]
    FewUnits {
        /// How many there are.
        count: usize,
        /// What counts as one.
        unit: &'static str,
    },
    /// A generator cannot reach its count.
    #[error("the generator found only {found} distinct cases of {count}")]
    FewBindings {
        /// How many it found.
        found: usize,
        /// How many were asked for.
        count: usize,
    },
    /// No case has a target, and a scorer needs one.
    #[error("scorer `{scorer}` needs a target, and no case has one")]
    NoTargets {
        /// The scorer.
        scorer: String,
    },
    /// Some cases have no target.
    #[error("{} no target, which scorer `{scorer}` needs: {}", if *count == 1 { "a case has".to_owned() } else { format!("{count} cases have") }, list(cases))]
    MissingTargets {
        /// The scorer.
        scorer: String,
        /// How many.
        count: usize,
        /// The first few.
        cases: Vec<String>,
        /// Whether that is an error (`check`, `--dry-run`) or leaves them unscored (`run`).
        strict: bool,
    },
    /// Cases that cannot be asked as multiple choice, or not quite fairly.
    #[error("{fault}")]
    Unfit {
        /// What is wrong with the first of them.
        fault: Box<ChoiceFault>,
        /// The scorer.
        scorer: String,
        /// The first case.
        case: String,
        /// How many others have the same kind of fault.
        others: usize,
        /// Whether that is an error (`check`, `--dry-run`, or no case is fit), or leaves them unscored or less fair (`run`).
        error: bool,
    },
    /// A label or a verdict begins another, and they are compared by likelihood.
    #[error("`{short}` begins `{long}`, so scorer `{scorer}` can only find it likelier")]
    Begins {
        /// The shorter one.
        short: String,
        /// The longer one.
        long: String,
        /// The scorer.
        scorer: String,
    },
    /// Fewer examples than asked for, once the case itself is left out.
    #[error("variant `{variant}` asks for {count} examples; {} only {available}", if *cases == 0 { "the pool has".to_owned() } else { format!("{cases} cases get") })]
    FewExamples {
        /// The variant.
        variant: String,
        /// Examples asked for.
        count: usize,
        /// Examples there are.
        available: usize,
        /// Cases concerned; 0 for all of them.
        cases: usize,
    },
    /// An expression that does not compile.
    #[error("the expression `{regex}` does not compile: {reason}")]
    Regex {
        /// The expression.
        regex: String,
        /// The regex crate's words.
        reason: String,
    },
    /// A grammar that llama.cpp would refuse, or that means nothing.
    #[error("{message}")]
    Grammar {
        /// What is wrong.
        message: String,
        /// How to mend it.
        help: String,
    },
    /// A JSON Schema that does not compile, or that admits nothing.
    #[error("the JSON schema cannot be used: {reason}")]
    Schema {
        /// Where in it, and why.
        reason: String,
        /// How to mend it.
        help: &'static str,
    },
    /// Every repeat of a case would be the same.
    #[error("variant `{variant}` asks each case {repeats} times at temperature 0, and gets the same answer each time")]
    SameRepeats {
        /// The variant.
        variant: String,
        /// How often it asks.
        repeats: u32,
    },
    /// Settings that contradict each other or belong elsewhere.
    #[error("{what}")]
    Contradiction {
        /// What does not fit together.
        what: String,
        /// How to mend it.
        help: String,
    },
}

fn list(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

impl SuiteProblem {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "check the path; what a file names is relative to that file".into(),
            Self::TooLarge { .. } => "split it; many cases belong in a file of their own: `cases: cases.jsonl`".into(),
            Self::NotUtf8 { .. } => "save the file as UTF-8 (iconv -f latin1 -t utf-8)".into(),
            Self::Yaml { .. } => "quote texts that hold `: `, ` #`, `{` or `\"`, and indent with spaces".into(),
            Self::UnknownField { field, known, .. } => {
                let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
                known.sort_unstable();
                did_you_mean(field, &known)
            }
            Self::MissingField { field, .. } => format!("add `{field}: …`"),
            Self::WrongValue { .. } | Self::OutOfRange(_) => return None,
            Self::Elsewhere { uri, .. } => format!("to have it now: tripos model pull {uri}"),
            Self::Duplicate { what, .. } => format!("give each {what} a name of its own"),
            Self::Unknown { name, known, .. } => {
                did_you_mean(name, &known.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Self::Empty { help, .. }
            | Self::Row { help, .. }
            | Self::Grammar { help, .. }
            | Self::Template { help, .. }
            | Self::Contradiction { help, .. } => help.clone(),
            Self::Schema { help, .. } => (*help).to_owned(),
            Self::SameRepeats { .. } => "set a `temperature` above 0, or leave `repeats` out".into(),
            Self::FewUnits { count, unit } => format!(
                "a test of {count} can at best come to p = {}; write 6 {unit}s or more",
                0.5_f64.powi(i32::try_from(*count).unwrap_or(i32::MAX) - 1)
            ),
            Self::FewBindings { found, .. } => format!("widen the ranges in `let`, or set `count: {found}`"),
            Self::NoTargets { .. } | Self::MissingTargets { .. } => {
                "give each case a `target`, or map a column to it: `cases: {file: …, target: COLUMN}`".into()
            }
            Self::Unfit { fault, .. } => fault.help().into(),
            Self::Begins { .. } => "write them so that none is the beginning of another".into(),
            Self::FewExamples { .. } => "those that remain are used".into(),
            Self::Regex { .. } => "see https://docs.rs/regex/#syntax; in YAML use single quotes".into(),
        })
    }
}
