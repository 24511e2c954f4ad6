//! The `model:` line of an imported suite.

use super::ImportError;
use crate::error::Place;
use crate::suite::{Overrides, load_text};
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
}

impl Model {
    /// The one that the command line names, which has to be there.
    pub(super) fn named(path: &Path) -> Result<Self, ImportError> {
        if path.is_file() {
            return Ok(Self::File(path.to_path_buf()));
        }
        Err(ImportError::new(&Place::file(path), "there is no such model", "--model names a GGUF file"))
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
        }
    }

    /// As one line, for people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => format!("model: {}", path.display()),
            Self::Endpoint { url, name, key: None } => format!("model: {{endpoint: {url}, name: {name}}}"),
            Self::Endpoint { url, name, key: Some(key) } => {
                format!("model: {{endpoint: {url}, name: {name}, key_env: {key}}}")
            }
        }
    }

    /// What a suite that names it would be told: asked of the suite's own reader.
    pub(super) fn fault(&self) -> Option<String> {
        let folder = std::env::temp_dir();
        let variant = Mapping::from_iter([("name".into(), "a".into()), ("prompt".into(), "a.txt".into())]);
        let suite = Mapping::from_iter([
            ("suite".into(), "probe".into()),
            ("model".into(), self.line(&folder)),
            ("cases".into(), Value::from(vec![Value::from(Mapping::new())])),
            ("scorers".into(), Value::from(vec![Value::from("stopped")])),
            ("variants".into(), Value::from(vec![Value::from(variant)])),
        ]);
        let text = serde_yaml::to_string(&suite).unwrap_or_default();
        let (_, problems) = load_text(&folder.join("probe.yaml"), &text, &Overrides::default());
        let mut about =
            problems.iter().filter(|problem| problem.at().is_some_and(|place| (2..=5).contains(&place.line)));
        // Line 1 is the suite's name, and what follows are the model's.
        about.next().map(ToString::to_string)
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
