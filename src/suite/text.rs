//! Long texts as cases: what the perplexity scorer reads.

use super::Case;
use super::cases::{Cases, TextFiles};
use super::error::SuiteProblem;
use super::file::{SuiteFile, VariantEntry};
use super::load::Loader;
use super::rows::Placed;
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

/// How long texts are read: in windows of the context, each token scored once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TextCases {
    /// Tokens from the start of a window to the start of the next; `None` leaves it to whoever knows the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<u32>,
}

/// What a variant cannot have where nothing is asked, and why.
const ASKING: &str = "the cases are texts, which are read and not asked";

impl Loader<'_> {
    /// One case a file, the whole text in its variable `text`.
    pub(super) fn text_files(&mut self, field: &str, spec: &TextFiles) -> Vec<Placed> {
        if field != "cases" {
            let help = "long texts are `cases:`; an example is a case with vars and a target".into();
            let what = format!("`{field}` cannot be texts");
            self.fail(field, SuiteProblem::Contradiction { what, help });
            return Vec::new();
        }
        if spec.stride == Some(0) {
            let help = "write the tokens from one window to the next, or leave it out".into();
            self.fail("cases.stride", SuiteProblem::Contradiction { what: "`stride` is 0".into(), help });
        }
        if spec.files.is_empty() {
            let help = "write at least one file: `text: book.txt`".into();
            self.fail("cases.text", SuiteProblem::Empty { what: "`cases.text`".into(), help });
        }
        let stem = |file: &str| Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let mut stems: HashMap<Option<String>, usize> = HashMap::new();
        for file in &spec.files {
            *stems.entry(stem(file)).or_default() += 1;
        }
        let mut cases = Vec::new();
        for (index, file) in spec.files.iter().enumerate() {
            let listed = format!("cases.text[{index}]");
            let Some(text) = self.text_file(&listed, file) else { continue };
            let stem = stem(file);
            let id = if stems.get(&stem) == Some(&1) { stem } else { None };
            let case = Case::new(id.as_deref().unwrap_or(file), [("text", text)], None);
            cases.push((case, self.place(&listed)));
        }
        cases
    }

    fn text_file(&mut self, at: &str, written: &str) -> Option<String> {
        let (path, text) = self.named_file(at, written, "the text")?;
        // Nothing comes before a first character that could predict it.
        if text.chars().nth(1).is_none() {
            let what = format!("the text `{}` is shorter than two characters", path.display());
            let help = "perplexity is of each token given those before it: name a longer file".into();
            self.fail(at, SuiteProblem::Contradiction { what, help });
            return None;
        }
        Some(text)
    }

    /// What of asking a variant says although its cases are texts.
    pub(super) fn asks_nothing(&mut self, path: &str, entry: &VariantEntry, file: &SuiteFile) {
        let given = [
            ("prompt", entry.prompt.is_some()),
            ("examples", entry.examples.is_some()),
            ("then", entry.then.is_some()),
            ("repeats", entry.repeats.is_some()),
        ];
        for (field, _) in given.iter().filter(|(_, given)| *given && matches!(file.cases, Cases::Text(_))) {
            let what = format!("a variant has no `{field}` here: {ASKING}");
            let help = format!("leave `{field}` out, or give `cases` with vars");
            self.fail(&format!("{path}.{field}"), SuiteProblem::Contradiction { what, help });
        }
    }
}
