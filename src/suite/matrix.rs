//! `matrix:` written out: every combination of its lists as a variant.

use super::file::{Matrix, ModelEntry, SuiteFile, VariantEntry};
use super::shape::ExamplesWanted;
use crate::sampling::SamplingSpec;
use std::path::Path;

/// Every combination of a matrix as a variant, named by its parts.
pub(super) fn matrix(file: &SuiteFile) -> Vec<VariantEntry> {
    let Some(matrix) = &file.matrix else { return Vec::new() };
    let stem = |path: &str| Path::new(path).file_stem().map_or(path.to_owned(), |s| s.to_string_lossy().into_owned());
    let mut entries = Vec::new();
    let prompts: Vec<Option<&String>> = options(matrix.prompt.as_deref());
    let models: Vec<Option<&ModelEntry>> = options(matrix.model.as_deref());
    let examples: Vec<Option<&ExamplesWanted>> = options(matrix.examples.as_deref());
    let temperatures: Vec<Option<&f32>> = options(matrix.temperature.as_deref());
    for prompt in &prompts {
        for model in &models {
            for example in &examples {
                for temperature in &temperatures {
                    let model_name = model.map(|m| match m {
                        ModelEntry::Path(path) | ModelEntry::Scripted(path) => stem(path),
                        ModelEntry::Endpoint(entry) => entry.called(),
                    });
                    let parts = [
                        prompt.map(|path| stem(path)),
                        model_name,
                        example.map(|e| format!("{}-shot", e.0.count)),
                        temperature.map(|t| format!("t{t}")),
                    ];
                    entries.push(VariantEntry {
                        name: parts.into_iter().flatten().collect::<Vec<_>>().join("/"),
                        prompt: prompt.cloned(),
                        examples: example.cloned(),
                        model: model.cloned(),
                        adapter: None,
                        context: None,
                        sampling: SamplingSpec { temperature: temperature.copied(), ..SamplingSpec::default() },
                        answer: None,
                        then: None,
                        repeats: None,
                        reduce: None,
                    });
                }
            }
        }
    }
    entries
}

/// Each of a list, or one absent value.
fn options<T>(list: Option<&[T]>) -> Vec<Option<&T>> {
    list.map_or_else(|| vec![None], |list| list.iter().map(Some).collect())
}

/// The lists of a matrix that are there and hold nothing: no combination has one of nothing.
pub(super) fn empty_lists(matrix: &Matrix) -> impl Iterator<Item = &'static str> {
    [
        ("prompt", matrix.prompt.as_ref().is_some_and(Vec::is_empty)),
        ("model", matrix.model.as_ref().is_some_and(Vec::is_empty)),
        ("examples", matrix.examples.as_ref().is_some_and(Vec::is_empty)),
        ("temperature", matrix.temperature.as_ref().is_some_and(Vec::is_empty)),
    ]
    .into_iter()
    .filter_map(|(list, empty)| empty.then_some(list))
}
