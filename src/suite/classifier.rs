//! `label: {classifier: FILE}`: the label is what a head on a model says of the prompt.

use super::file::ModelEntry;
use super::load::Loader;
use super::scorer::{Label, LabelBy};
use super::{ModelRef, ScorerKind};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A classifier that was trained (`kind: classify`), and what it runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Classifier {
    /// Its GGUF: an adapter with a head, or a whole model with one.
    pub file: PathBuf,
    /// The model that it sits on; looked for where the suite does not say.
    pub model: Option<ModelRef>,
    /// Context length in tokens; `None` is the model's own, at most 4096.
    pub context: Option<u32>,
}

/// `label:` as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LabelEntry {
    pub labels: Vec<String>,
    pub by: Option<LabelBy>,
    pub delimiter: Option<String>,
    pub classifier: Option<String>,
    pub model: Option<ModelEntry>,
    pub context: Option<u32>,
}

impl LabelEntry {
    /// What of its settings does not go with the others.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let by_classifier = self.classifier.is_some();
        if by_classifier && (self.by.is_some() || self.delimiter.is_some()) {
            return Some("a `classifier` finds the label by itself: drop `by` and `delimiter`");
        }
        if !by_classifier && (self.model.is_some() || self.context.is_some()) {
            return Some("`model` and `context` are those of a `classifier`: name its file, or drop them");
        }
        None
    }
}

impl Loader<'_> {
    /// A label scorer with its files. `None` where one of them cannot be read, which is then reported.
    pub(super) fn label(&mut self, path: &str, entry: &LabelEntry) -> Option<ScorerKind> {
        let path = format!("{path}.label");
        let at = |field: &str| format!("{path}.{field}");
        let classifier = match &entry.classifier {
            Some(written) => {
                let (file, there) = self.trained(&at("classifier"), "classifier", written);
                self.context(&at("context"), entry.context);
                let model = entry.model.as_ref().map(|entry| self.base_model(&at("model"), entry));
                if !there || model.as_ref().is_some_and(Option::is_none) {
                    return None;
                }
                Some(Classifier { file, model: model.flatten(), context: entry.context })
            }
            None => None,
        };
        Some(ScorerKind::Label(Label {
            labels: entry.labels.clone(),
            by: entry.by.unwrap_or_default(),
            delimiter: entry.delimiter.clone(),
            classifier,
        }))
    }

    /// A file that a recipe trains, and whether it is there: where training has put it, before the recipe's output is.
    pub(super) fn trained(&mut self, at: &str, what: &'static str, written: &str) -> (PathBuf, bool) {
        let file = self.model_path(written);
        if let Some(output) = self.output(&file) {
            return (output.trained.clone().unwrap_or(file), true);
        }
        let there = self.file_is_there(self.place(at), what, &file);
        (file, there)
    }
}
