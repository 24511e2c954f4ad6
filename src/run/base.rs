//! The model that a classifier sits on: looked for by name, known by hash.

use super::error::RunError;
use super::models::Need;
use crate::engine::cache::Cache;
use crate::engine::llama::hash;
use crate::engine::{Base, Classifier};
use crate::error::Place;
use crate::suite::{self, ModelRef, ScorerKind, ScorerSpec};
use std::path::{Path, PathBuf};

/// The folder of models, seen from where Tripos was started.
const MODELS: &str = "models";

/// What the classifier of a scorer needs to be run: itself where it is a whole model, else itself on its base. `None` for
/// any other scorer, and for a file that is no classifier, of which the scorer itself complains. `asked` are the models of
/// the variants.
pub(super) fn need_of_classifier(
    scorer: &ScorerSpec,
    asked: &[&ModelRef],
    memory: Option<&Cache>,
) -> Option<Result<Need, Box<RunError>>> {
    let ScorerKind::Label(label) = &scorer.kind else { return None };
    let spec = label.classifier.as_ref()?;
    let classifier = Classifier::open(&spec.file).ok()?.ok()?;
    let on = |model, adapter| Need { model, adapter, context: spec.context };
    let Some(base) = &classifier.base else { return Some(Ok(on(ModelRef::Gguf(spec.file.clone()), None))) };
    let found = find(spec, base, asked, memory, &scorer.place);
    Some(found.map(|model| on(model, Some((spec.file.clone(), 1.0)))))
}

/// The base: the model that the suite names, else the first of that hash beside the classifier, in `models/` and among the
/// models that are asked.
fn find(
    spec: &suite::Classifier,
    base: &Base,
    asked: &[&ModelRef],
    memory: Option<&Cache>,
    place: &Place,
) -> Result<ModelRef, Box<RunError>> {
    let mut other: Option<(PathBuf, String)> = None;
    for model in candidates(spec, base, asked).into_iter().filter(|model| model.path().is_file()) {
        let Ok(sha256) = hash(model.path(), memory) else { continue };
        if sha256 == base.sha256 {
            return Ok(model);
        }
        other.get_or_insert((model.path().to_path_buf(), sha256));
    }
    let (classifier, place) = (spec.file.clone(), place.clone());
    Err(Box::new(match other {
        Some((model, found)) => RunError::OtherBase {
            classifier,
            wanted: base.sha256.clone(),
            model,
            found,
            file: base.file.clone(),
            place,
        },
        None => RunError::NoBase { classifier, file: base.file.clone(), wanted: base.sha256.clone(), place },
    }))
}

fn candidates(spec: &suite::Classifier, base: &Base, asked: &[&ModelRef]) -> Vec<ModelRef> {
    if let Some(model) = &spec.model {
        return vec![model.clone()];
    }
    // The file's name only: an adapter is no reason to read anywhere else.
    let name = Path::new(&base.file).file_name();
    let beside = spec.file.parent().unwrap_or(Path::new(""));
    let named = [beside, Path::new(MODELS)].into_iter().filter_map(|folder| Some(folder.join(name?)));
    let model = |path: PathBuf| match path.extension() {
        Some(ending) if ending == "yaml" || ending == "yml" => ModelRef::Scripted(path),
        _ => ModelRef::Gguf(path),
    };
    named.map(model).chain(asked.iter().map(|&model| model.clone())).collect()
}
