//! Completion prompts, and the pieces of chat prompts: Tera templates.

use super::control::{holds_mark, plain_marks};
use super::{PromptError, given};
use crate::error::{Place, did_you_mean, nearest};
use crate::suite::PromptFile;
use std::path::{Path, PathBuf};
use tera::{Context, ErrorKind, Kwargs, ReportError, State, Tera, Value};

/// The name under which each template is compiled; it never reaches a user.
const NAME: &str = "prompt";

/// Tera's filters, and `json_encode`.
const FILTERS: &[&str] = &[
    "abs",
    "capitalize",
    "default",
    "escape",
    "escape_html",
    "escape_xml",
    "first",
    "float",
    "get",
    "group_by",
    "indent",
    "int",
    "join",
    "json_encode",
    "keys",
    "last",
    "length",
    "lower",
    "newlines_to_br",
    "nth",
    "pairs",
    "pluralize",
    "replace",
    "reverse",
    "round",
    "safe",
    "sort",
    "split",
    "str",
    "title",
    "trim",
    "trim_end",
    "trim_start",
    "truncate",
    "unique",
    "upper",
    "values",
    "wordcount",
];

/// A compiled Tera template that knows where it stands, so that errors carry the file's own lines.
///
/// Nothing is escaped. An undefined variable is an error wherever it is printed, passed on or indexed; `{% if x %}` and
/// `{{ x | default(value="") }}` take it as absent, as Tera does.
///
/// ```
/// use tripos::prompt::TextTemplate;
/// use tripos::suite::PromptFile;
/// let file = PromptFile { path: "qa.txt".into(), text: "Q: {{ question }}\nA:".into() };
/// assert!(TextTemplate::compile(&file).is_ok());
/// let file = PromptFile { path: "qa.txt".into(), text: "Q: {{ question".into() };
/// assert!(TextTemplate::compile(&file).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct TextTemplate {
    tera: Box<Tera>,
    source: String,
    origin: Origin,
}

/// Where a template's text stands in its file.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The file.
    pub(super) file: PathBuf,
    /// The file's line that holds the template's first line, from 1.
    pub(super) line: usize,
    /// What stands before the template's lines.
    pub(super) columns: Columns,
}

/// What stands before the lines of a template in its file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Columns {
    /// So many characters before each line.
    Each(usize),
    /// The lines in the file are not the template's: only its first is known.
    Unknown,
}

impl Origin {
    fn file(path: &Path) -> Self {
        Self { file: path.to_path_buf(), line: 1, columns: Columns::Each(0) }
    }

    /// The place of a template's line (from 1) and column (from 0, as Tera counts).
    fn place(&self, line: usize, column: usize) -> Place {
        match self.columns {
            Columns::Each(before) => Place::new(&self.file, (self.line + line).saturating_sub(1), before + column + 1),
            Columns::Unknown => Place::new(&self.file, self.line, 0),
        }
    }
}

impl TextTemplate {
    /// Compiles a completion prompt.
    pub fn compile(file: &PromptFile) -> Result<Self, PromptError> {
        Self::compile_at(&file.text, Origin::file(&file.path))
    }

    /// Compiles a template that is a value of another file, such as a recipe; `place` is that of the value.
    pub fn compile_part(source: &str, place: &Place) -> Result<Self, PromptError> {
        Self::compile_at(source, Origin { file: place.file.clone(), line: place.line, columns: Columns::Unknown })
    }

    /// Compiles the template of a document to learn, which knows the filter `given`: see [`super::Lesson::document`].
    pub fn compile_document(source: &str, place: &Place) -> Result<Self, PromptError> {
        let origin = Origin { file: place.file.clone(), line: place.line, columns: Columns::Unknown };
        let given = |value: &Value, _: Kwargs, _: &State| {
            given::mark(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let mut tera = tera();
        tera.register_filter("given", given);
        Self::compile_with(tera, source, origin)
    }

    /// Compiles a template that is a part of a file.
    pub(super) fn compile_at(source: &str, origin: Origin) -> Result<Self, PromptError> {
        Self::compile_with(tera(), source, origin)
    }

    fn compile_with(mut tera: Tera, source: &str, origin: Origin) -> Result<Self, PromptError> {
        if holds_mark(source) {
            return Err(PromptError::Reserved { what: format!("`{}`", origin.file.display()) });
        }
        let added = tera.add_raw_template(NAME, source);
        let template = Self { tera: Box::new(tera), source: source.to_owned(), origin };
        match added {
            Ok(()) => Ok(template),
            Err(error) => Err(template.explain(&error)),
        }
    }

    /// Renders; the marks of the data are still in the text.
    pub(super) fn render(&self, context: &Context) -> Result<String, PromptError> {
        self.tera.render(NAME, context).map(plain_marks).map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &tera::Error) -> PromptError {
        match error.kind() {
            ErrorKind::SyntaxError(report) => PromptError::Syntax {
                message: lower_first(report.message()),
                help: None,
                place: self.origin.place(report.span().start_line, report.span().start_col),
            },
            ErrorKind::RenderingError(report) => self.explain_rendering(report),
            ErrorKind::MissingParent { .. } | ErrorKind::CircularExtend { .. } => self.other_file("extends"),
            ErrorKind::TemplateNotFound(_) | ErrorKind::CircularInclude { .. } => self.other_file("include"),
            ErrorKind::Msg(report) => self.explain_report(report),
            other => PromptError::Render { message: lower_first(&other.to_string()), place: self.origin.place(1, 0) },
        }
    }

    fn explain_rendering(&self, report: &ReportError) -> PromptError {
        let span = report.span();
        let place = self.origin.place(span.start_line, span.start_col);
        let message = report.message();
        if let Some((what, name, known)) = undefined(message) {
            return PromptError::Undefined { what, name, known, place };
        }
        if message == "Tried to render a variable that is undefined" {
            let name = self.source.get(span.range.clone()).unwrap_or_default().to_owned();
            return PromptError::Undefined { what: "value", name, known: Vec::new(), place };
        }
        PromptError::Render { message: lower_first(message), place }
    }

    /// Unknown filters, tests, functions and templates reach us as a laid-out report:
    /// "error: Unknown filter `x`" and, on the next line, " --> prompt:1:8". The first one counts.
    fn explain_report(&self, report: &str) -> PromptError {
        let mut lines = report.lines();
        let message = lines.next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let place = lines.next().and_then(|line| {
            let mut numbers = line.rsplit(':').map_while(|number| number.trim().parse::<usize>().ok());
            let (column, line) = (numbers.next()?, numbers.next()?);
            Some(self.origin.place(line, column.saturating_sub(1)))
        });
        let place = place.unwrap_or_else(|| self.origin.place(1, 0));
        let name = message.split('`').nth(1).unwrap_or_default();
        let help = match message.split(' ').nth(1) {
            Some("template") => return PromptError::OtherFile { tag: "include".into(), place },
            Some("filter") => Some(match nearest(name, FILTERS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => did_you_mean(name, FILTERS),
            }),
            Some("function") => Some(did_you_mean(name, &["range", "throw"])),
            _ => None,
        };
        PromptError::Syntax { message: lower_first(message), help, place }
    }

    /// Tera gives no place for these: the first such tag.
    fn other_file(&self, tag: &str) -> PromptError {
        let tag_at = self.source.match_indices(tag).map(|(at, _)| at).find(|at| {
            let before = self.source.get(..*at).unwrap_or_default().trim_end().trim_end_matches('-');
            before.ends_with("{%")
        });
        let before = tag_at.and_then(|at| self.source.get(..at)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count());
        PromptError::OtherFile { tag: tag.to_owned(), place: self.origin.place(line, column) }
    }
}

/// Tera as prompts see it.
fn tera() -> Tera {
    let mut tera = Tera::default();
    tera.autoescape_on(Vec::<&str>::new());
    tera.register_filter("json_encode", |value: &Value, options: Kwargs, _: &State| json_encode(value, &options));
    tera
}

/// What is missing, its name and what is defined beside it, out of Tera's "Variable `x` is not defined. Available variables: a, b".
fn undefined(message: &str) -> Option<(&'static str, String, Vec<String>)> {
    let (what, rest) = match message.split_once(" `")? {
        ("Variable", rest) => ("variable", rest),
        ("Field", rest) => ("field", rest),
        _ => return None,
    };
    let (name, rest) = rest.split_once("` is not defined.")?;
    let known =
        rest.split_once(": ").map_or_else(Vec::new, |(_, names)| names.split(", ").map(str::to_owned).collect());
    Some((what, name.to_owned(), known))
}

fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// `{{ x | json_encode }}`: JSON on one line, or over several with `pretty=true`.
fn json_encode(value: &Value, options: &Kwargs) -> Result<String, tera::Error> {
    let encode = match options.get::<bool>("pretty")? {
        Some(true) => serde_json::to_string_pretty,
        Some(false) | None => serde_json::to_string,
    };
    encode(value).map_err(tera::Error::message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;
    use crate::prompt::Controls;
    use crate::prompt::data;
    use crate::suite::{Case, Vars};
    use serde_json::json;

    fn compile(text: &str) -> Result<TextTemplate, PromptError> {
        TextTemplate::compile(&PromptFile { path: "prompts/qa.txt".into(), text: text.into() })
    }

    fn rendered(text: &str, vars: serde_json::Value) -> Result<String, PromptError> {
        let vars: Vars = serde_json::from_value(vars).unwrap();
        compile(text)?.render(&data::context(&vars, &Controls::new(&[]).unwrap())?)
    }

    fn error(text: &str, vars: serde_json::Value) -> String {
        render(&rendered(text, vars).unwrap_err(), false)
    }

    #[test]
    fn says_what_was_defined_instead() {
        insta::assert_snapshot!(error("Solve.\n  Q: {{ questoin }}", json!({"question": "?", "unit": "kg"})), @r"
        error: undefined variable `questoin`
          --> prompts/qa.txt:2:9
          help: did you mean `question`? (question, unit)
        ");
        insta::assert_snapshot!(error("{{ item.nmae }}", json!({"item": {"name": 1}})), @r"
        error: undefined field `nmae`
          --> prompts/qa.txt:1:9
          help: did you mean `name`? (name)
        ");
    }

    #[test]
    fn says_why_the_target_is_not_there() {
        insta::assert_snapshot!(error("{{ target }}", json!({"question": "?"})), @r"
        error: undefined variable `target`
          --> prompts/qa.txt:1:4
          help: `target` is known inside examples only, so that no answer leaks into a prompt
        ");
    }

    #[test]
    fn says_where_a_template_does_not_parse() {
        insta::assert_snapshot!(error("Q: {{ question }}\n{% for e in %}", json!({})), @r"
        error: found `%}` but expected one of: integer, float, string, bool, ident, `-`, `not`, `<`, `{`, `[` or `(`
          --> prompts/qa.txt:2:13
        ");
    }

    #[test]
    fn names_unknown_filters_with_their_place() {
        insta::assert_snapshot!(error("Q:\n {{ q | uper }}", json!({"q": ""})), @r"
        error: unknown filter `uper`
          --> prompts/qa.txt:2:9
          help: did you mean `upper`?
        ");
    }

    #[test]
    fn refuses_other_files() {
        insta::assert_snapshot!(error("Q:\n{% include \"shots.txt\" %}", json!({})), @r"
        error: a prompt is one file: `{% include %}` cannot be used
          --> prompts/qa.txt:2:12
          help: copy the other file's text here
        ");
        insta::assert_snapshot!(error("{% extends \"base.txt\" %}", json!({})), @r"
        error: a prompt is one file: `{% extends %}` cannot be used
          --> prompts/qa.txt:1:4
          help: copy the other file's text here
        ");
    }

    #[test]
    fn a_filter_given_the_wrong_type_is_an_error_with_its_place() {
        insta::assert_snapshot!(error("{{ n | upper }}", json!({"n": 3})), @r"
        error: invalid type for the value, expected `string` but got `u64`
          --> prompts/qa.txt:1:4
        ");
    }

    #[test]
    fn knows_every_filter_that_it_lists() {
        for filter in FILTERS {
            assert!(compile(&format!("{{{{ x | {filter} }}}}")).is_ok(), "{filter}");
        }
    }

    #[test]
    fn escapes_nothing_and_keeps_the_order_of_maps() {
        let text = "{{ q }} {{ m | json_encode }}{% for k, v in m %} {{ k }}={{ v }}{% endfor %}";
        let vars = json!({"q": "<b> & \"c\"", "m": {"z": 1, "y": 2.5, "x": "<", "w": null, "v": true}});
        assert_eq!(
            rendered(text, vars).unwrap(),
            "<b> & \"c\" {\"z\":1,\"y\":2.5,\"x\":\"<\",\"w\":null,\"v\":true} z=1 y=2.5 x=< w= v=true"
        );
    }

    #[test]
    fn refuses_data_that_holds_a_mark() {
        let vars = Case::new("c", [("q", "a\u{FDD0}b")], None).vars;
        insta::assert_snapshot!(error("{{ q }}", serde_json::Value::Object(vars)), @r"
        error: variable `q` holds U+FDD0 or U+FDD1, which Unicode keeps for internal use
          help: remove that character from the data
        ");
    }
}
