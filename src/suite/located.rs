//! Models that are named by where they lie elsewhere, and the files of this machine that stand for them.
//!
//! A suite or a recipe may write `hf://owner/repo/file.gguf[@revision]` or `{url: https://…, sha256: …}` where it could write a
//! path. Whoever reads it first asks [`elsewhere`] what it names, brings that here, and hands the [`Located`] files in. This room
//! knows no network: it looks a name up, and reports one that has no file.

use super::load::split_scale;
use super::yaml::Document;
use crate::error::{Place, without_secrets};
use serde::{Deserialize, Deserializer};
use serde_untagged::UntaggedEnumVisitor;
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What begins a name that is no path.
const SCHEMES: [&str; 3] = ["hf://", "https://", "http://"];
/// The fields that name a model's file, wherever they stand.
const FIELDS: [&str; 4] = ["model", "base", "classifier", "adapter"];
/// What holds words of the user's own, whatever they are called.
const NOT_OURS: [&str; 6] = ["cases", "examples", "template_vars", "data", "held_out", "schema"];
/// Where a suite or a recipe names the model that `--model` takes the place of.
const ASKED: [&str; 4] = ["model", "variants", "matrix", "adapter"];

/// Which file stands for each name of a model that lies elsewhere. Looked up as they are written, names are given back as they
/// may be shown and recorded: addresses without their queries.
///
/// ```
/// use std::path::Path;
/// use tripos::suite::Located;
/// let mut located = Located::default();
/// located.insert("hf://owner/repo/model.gguf", "/cache/model.gguf".into());
/// assert_eq!(located.file("hf://owner/repo/model.gguf"), Some(Path::new("/cache/model.gguf")));
/// assert_eq!(located.uri(Path::new("/cache/model.gguf")), Some("hf://owner/repo/model.gguf"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Located {
    here: BTreeMap<String, Named<PathBuf>>,
    /// Names that have no file, and what would become of them.
    coming: BTreeMap<String, Named<String>>,
}

/// What is known of a name, and the name as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named<T> {
    shown: String,
    known: T,
}

impl<T> Named<T> {
    fn new(uri: &str, known: T) -> Self {
        Self { shown: without_secrets(uri), known }
    }
}

impl Located {
    /// A name and its file.
    pub fn insert(&mut self, uri: impl Into<String>, file: PathBuf) {
        let uri = uri.into();
        let named = Named::new(&uri, file);
        self.here.insert(uri, named);
    }

    /// A name without a file, and what would become of it: `638.3 MiB would be downloaded`.
    pub fn would(&mut self, uri: impl Into<String>, what: String) {
        let uri = uri.into();
        let named = Named::new(&uri, what);
        self.coming.insert(uri, named);
    }

    /// Adds all of another table.
    pub fn extend(&mut self, other: Self) {
        self.here.extend(other.here);
        self.coming.extend(other.coming);
    }

    /// The file behind a name, also where the table has it as it was recorded.
    #[must_use]
    pub fn file(&self, uri: &str) -> Option<&Path> {
        let recorded = || self.here.get(&without_secrets(uri));
        self.here.get(uri).or_else(recorded).map(|named| named.known.as_path())
    }

    /// What a file was named as, the first of several names; `None` where it was named by its path.
    #[must_use]
    pub fn uri(&self, file: &Path) -> Option<&str> {
        self.here.values().find(|named| named.known == file).map(|named| named.shown.as_str())
    }

    /// The names that have no file, each with what would become of it.
    pub fn coming(&self) -> impl Iterator<Item = (&str, &str)> {
        self.coming.values().map(|named| (named.shown.as_str(), named.known.as_str()))
    }

    /// What would become of a name that has no file; `None` where nobody looked for it.
    #[must_use]
    pub fn fate(&self, uri: &str) -> Option<&str> {
        self.coming.get(uri).map(|named| named.known.as_str())
    }

    /// The file that a path stands for, where it is a name; else the path.
    #[must_use]
    pub fn local(&self, path: &Path) -> PathBuf {
        path.to_str().and_then(|uri| self.file(uri)).unwrap_or(path).to_path_buf()
    }
}

/// Whether a model is named by where it lies elsewhere. No path is: it would begin with a folder called `hf:`.
#[must_use]
pub fn is_elsewhere(path: &Path) -> bool {
    path.to_str().is_some_and(|text| SCHEMES.iter().any(|scheme| text.starts_with(scheme)))
}

/// The models that a suite or a recipe names by where they lie elsewhere, each once, and where. Without `asked`: only those
/// that `--model` takes no place of.
#[must_use]
pub fn elsewhere(document: &Document, asked: bool) -> Vec<(String, Place)> {
    let mut found: Vec<(String, Place)> = Vec::new();
    let mut add = |uri: String, path: &str| {
        if found.iter().all(|(known, _)| *known != uri) {
            found.push((uri, document.place(path)));
        }
    };
    for (key, value) in document.value().as_mapping().into_iter().flatten() {
        let Some(key) = key.as_str() else { continue };
        if !NOT_OURS.contains(&key) && (asked || !ASKED.contains(&key)) {
            walk(key, key, value, &mut add);
        }
    }
    found
}

/// Looks through a value for fields that name models.
fn walk(path: &str, key: &str, value: &Value, add: &mut dyn FnMut(String, &str)) {
    if FIELDS.contains(&key)
        && let Some(uri) = written(key, value)
    {
        return add(uri, path);
    }
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                if let Some(key) = key.as_str().filter(|key| !NOT_OURS.contains(key)) {
                    walk(&format!("{path}.{key}"), key, value, add);
                }
            }
        }
        Value::Sequence(list) => {
            for (at, value) in list.iter().enumerate() {
                walk(&format!("{path}[{at}]"), key, value, add);
            }
        }
        _ => {}
    }
}

/// The name in a value, as one text; `None` for a path and whatever else.
fn written(key: &str, value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let text = if key == "adapter" { split_scale(text).0 } else { text };
            is_elsewhere(Path::new(text)).then(|| text.to_owned())
        }
        Value::Mapping(_) => serde_yaml::from_value::<Address>(value.clone()).ok().map(|address| address.text()),
        _ => None,
    }
}

/// `{url: https://…, sha256: …}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Address {
    url: String,
    sha256: String,
}

impl Address {
    /// As one text: `https://…#sha256=…`
    pub(super) fn text(&self) -> String {
        format!("{}#sha256={}", self.url, self.sha256)
    }
}

/// The file of a model as written, also where it lies elsewhere: a text, or an address with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(pub String);

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("the path of a GGUF file, hf://owner/repo/file.gguf or {url: …, sha256: …}")
            .string(|path| Ok(Self(path.to_owned())))
            .map(|map| map.deserialize().map(|address: Address| Self(address.text())))
            .deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, asked: bool) -> Vec<String> {
        let document = Document::parse(Path::new("s.yaml"), text).unwrap();
        let line = |(uri, place): (String, Place)| format!("{}:{} {uri}", place.line, place.column);
        elsewhere(&document, asked).into_iter().map(line).collect()
    }

    const SUITE: &str = "\
suite: s
model: hf://o/r/a.gguf
cases: [{vars: {model: hf://o/r/case.gguf}}]
scorers:
  - judge_model: {model: hf://o/r/judge.gguf, prompt: p.txt}
  - reward: {model: r.gguf, base: {url: https://h/b.gguf, sha256: 0a}}
variants:
  - {name: a, prompt: p.txt}
  - {name: b, prompt: p.txt, model: hf://o/r/b.gguf@v1}
  - {name: c, prompt: p.txt, model: hf://o/r/a.gguf}
matrix: {model: [m.gguf, hf://o/r/m.gguf]}
";

    #[test]
    fn an_address_is_looked_up_as_it_is_written_and_given_back_without_its_query() {
        let (written, shown) = ("https://h/a.gguf?Signature=x#sha256=0a", "https://h/a.gguf#sha256=0a");
        let mut located = Located::default();
        located.insert(written, "/cache/a.gguf".into());
        located.would("https://h/b.gguf?Signature=x#sha256=0b", "it would be downloaded".to_owned());
        assert_eq!(located.file(written), Some(Path::new("/cache/a.gguf")));
        assert_eq!(located.uri(Path::new("/cache/a.gguf")), Some(shown));
        assert_eq!(located.coming().next(), Some(("https://h/b.gguf#sha256=0b", "it would be downloaded")));
        // As a run reads it back from its header.
        let mut recorded = Located::default();
        recorded.insert(shown, "/cache/a.gguf".into());
        assert_eq!(recorded.file(written), Some(Path::new("/cache/a.gguf")));
    }

    #[test]
    fn every_model_of_a_suite_is_found_once_with_its_place() {
        assert_eq!(
            named(SUITE, true),
            [
                "2:1 hf://o/r/a.gguf",
                "5:19 hf://o/r/judge.gguf",
                "6:29 https://h/b.gguf#sha256=0a",
                "9:30 hf://o/r/b.gguf@v1",
                "11:26 hf://o/r/m.gguf",
            ]
        );
    }

    #[test]
    fn what_the_command_line_replaces_is_not_brought() {
        assert_eq!(named(SUITE, false), ["5:19 hf://o/r/judge.gguf", "6:29 https://h/b.gguf#sha256=0a"]);
    }

    #[test]
    fn words_of_the_users_own_name_no_model() {
        let text = "suite: s\nscorers: [{json: {schema: {properties: {model: https://h/x}}}}]\ntemplate_vars: {model: hf://a/b}\n";
        assert_eq!(named(text, true), [""; 0]);
    }
}
