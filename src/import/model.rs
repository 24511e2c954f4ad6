//! The `model:` line of an imported suite.

use super::ImportError;
use crate::error::{Level, Place};
use crate::suite::{Document, Located, ModelRef, Overrides, elsewhere, is_elsewhere, load_model};
use serde_yaml::{Mapping, Value};
use std::path::{Component, Path, PathBuf};

/// A model that a suite may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Model {
    /// A file: a GGUF, or the YAML of a scripted model.
    File(PathBuf),
    /// An OpenAI-compatible server.
    Endpoint {
        /// Its address, up to `/v1`.
        url: String,
        /// What the server calls the model.
        name: String,
        /// The environment variable of its key.
        key: Option<String>,
    },
    /// One that the command line names in a suite's own words: a server, or where a file lies elsewhere.
    Written {
        /// As it was typed.
        text: String,
        /// As the suite writes it.
        value: Value,
    },
}

/// How the command line names a model.
const HELP: &str = "--model names a GGUF file, hf://owner/repo/file.gguf, https://…#sha256=…, or a server in a suite's words: \
                    '{endpoint: http://localhost:8080/v1, name: NAME}'";

/// What is told a reader of suites about models that lie elsewhere: an import fetches none.
pub(super) fn left_elsewhere(document: &Document) -> Overrides {
    let mut located = Located::default();
    for (uri, _) in elsewhere(document, true) {
        located.would(uri, "an import fetches nothing".to_owned());
    }
    Overrides { located, ..Overrides::default() }
}

/// The model of a line `model: …`, or what a suite with that line would be told. Nothing is read or written but the
/// files that the line names.
fn of_line(line: &str) -> Result<(ModelRef, Value), String> {
    let path = Path::new("suite.yaml");
    let document = Document::parse(path, line).map_err(|error| error.to_string())?;
    let (model, problems) = load_model(path, line, &left_elsewhere(&document));
    let fault = problems.iter().find(|problem| problem.level() == Level::Error).map(ToString::to_string);
    match (model, fault) {
        (Some(model), None) => Ok((model, document.value().get("model").cloned().unwrap_or_default())),
        (_, fault) => Err(fault.unwrap_or_else(|| "this is no model".to_owned())),
    }
}

impl Model {
    /// The one that the command line names: a file that is there, where one lies elsewhere, or a server.
    pub(super) fn named(text: &str) -> Result<Self, ImportError> {
        let path = Path::new(text);
        if path.is_file() {
            return Ok(Self::File(path.to_path_buf()));
        }
        let fail = |what: &str, help: &str| Err(ImportError::new(&Place::file("--model"), what, help));
        if is_elsewhere(path) {
            // What it says may hold a password, so it is not repeated.
            if !text.starts_with("hf://") && !text.contains("#sha256=") {
                let help = "of a server: --model '{endpoint: http://localhost:8080/v1, name: NAME}'; of a file: add \
                            #sha256= and the hash of its bytes";
                return fail("the address does not say whether a server or a file is there", help);
            }
            return Ok(Self::Written { text: text.to_owned(), value: text.into() });
        }
        if !text.trim_start().starts_with('{') {
            return Err(ImportError::new(&Place::file(path), "there is no such model", HELP));
        }
        match of_line(&format!("model: {}", text.trim())) {
            Ok((ModelRef::Gguf(file), _)) if !is_elsewhere(&file) => fail("a file is named by its path alone", HELP),
            Ok((ModelRef::Scripted(_), _)) => fail("a script is named by its path alone", "write --model FILE.yaml"),
            Ok((ModelRef::Gguf(_) | ModelRef::Endpoint(_), value)) => {
                Ok(Self::Written { text: text.trim().to_owned(), value })
            }
            Err(what) => fail(&what, HELP),
        }
    }

    /// Whether it is asked over the network, in chats where nothing else is said.
    pub(super) fn is_server(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Endpoint { .. } => true,
            Self::Written { value, .. } => value.get("endpoint").is_some(),
        }
    }

    /// As the suite in a folder writes it.
    pub(super) fn line(&self, folder: &Path) -> Value {
        match self {
            Self::File(path) => {
                let path = Value::from(relative(folder, path).display().to_string());
                let scripted = self.is_scripted();
                if scripted { Value::from(Mapping::from_iter([("scripted".into(), path)])) } else { path }
            }
            Self::Endpoint { url, name, key } => {
                let mut map = Mapping::from_iter([
                    ("endpoint".into(), url.as_str().into()),
                    ("name".into(), name.as_str().into()),
                ]);
                if let Some(key) = key {
                    map.insert("key_env".into(), key.as_str().into());
                }
                map.into()
            }
            Self::Written { value, .. } => value.clone(),
        }
    }

    /// As one line, for people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => format!("model: {}", path.display()),
            Self::Written { text, .. } => format!("model: {text}"),
            Self::Endpoint { url, name, key: None } => format!("model: {{endpoint: {url}, name: {name}}}"),
            Self::Endpoint { url, name, key: Some(key) } => {
                format!("model: {{endpoint: {url}, name: {name}, key_env: {key}}}")
            }
        }
    }

    /// What a suite that names it would be told: asked of the suite's own reader.
    pub(super) fn fault(&self) -> Option<String> {
        let line = Mapping::from_iter([("model".into(), self.line(Path::new(".")))]);
        of_line(&serde_yaml::to_string(&line).unwrap_or_default()).err()
    }

    fn is_scripted(&self) -> bool {
        matches!(self, Self::File(path) if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"))
    }
}

/// A path seen from a folder.
fn relative(folder: &Path, path: &Path) -> PathBuf {
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    let (Ok(from), Ok(to)) = (whole(folder), whole(path)) else { return path.to_path_buf() };
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    // Only the root (or not even the drive) is shared: a way up to it says nothing.
    if shared < 2 {
        return to;
    }
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_seen_from_the_suites_folder() {
        let dir = tempfile::tempdir().unwrap();
        let suites = dir.path().join("mine/suites");
        std::fs::create_dir_all(&suites).unwrap();
        std::fs::write(dir.path().join("m.gguf"), "").unwrap();
        assert_eq!(relative(&suites, &dir.path().join("m.gguf")), Path::new("../../m.gguf"));
        assert_eq!(relative(dir.path(), &dir.path().join("m.gguf")), Path::new("m.gguf"));
        let line = Model::File(dir.path().join("answers.yaml")).line(dir.path());
        assert_eq!(serde_yaml::to_string(&line).unwrap(), "scripted: answers.yaml\n");
    }

    #[test]
    fn a_server_at_no_address_is_told_as_a_suite_is_told() {
        let at = |url: &str| Model::Endpoint { url: url.into(), name: "m".into(), key: None }.fault();
        assert_eq!(at("http://localhost:8080/v1"), None);
        assert_eq!(at("localhost").unwrap(), "`localhost` is no address of a server");
    }
}
