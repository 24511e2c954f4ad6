//! The model that a classifier or a reward model sits on: looked for by name, known by hash.

use super::error::RunError;
use super::models::{Need, RunSettings};
use crate::engine::llama::hash;
use crate::engine::{Base, Classifier, RewardModel};
use crate::error::Place;
use crate::suite::{ModelRef, ScorerKind, ScorerSpec};
use std::path::{Path, PathBuf};

/// The folder of models, seen from where Tripos was started.
const MODELS: &str = "models";

/// A file with a head, and what the suite says of where it sits.
struct Seated<'a> {
    file: &'a Path,
    /// The base that the suite names.
    named: Option<&'a ModelRef>,
    context: Option<u32>,
    /// The base that the file itself names; `None` where it is a whole model.
    base: Option<Base>,
    /// How a user names the base.
    by: &'static str,
}

/// The file of a scorer that has a head; `None` for any other scorer, and for a file that has none, of which the scorer
/// itself complains.
fn seated(scorer: &ScorerSpec) -> Option<Seated<'_>> {
    match &scorer.kind {
        ScorerKind::Label(label) => {
            let spec = label.classifier.as_ref()?;
            let base = Classifier::open(&spec.file).ok()?.ok()?.base;
            let by = "`label: {classifier: …, model: FILE}`";
            Some(Seated { file: &spec.file, named: spec.model.as_ref(), context: spec.context, base, by })
        }
        ScorerKind::Reward(spec) => {
            let base = RewardModel::open(&spec.file).ok()?.ok()?.base;
            let by = "`reward: {model: …, base: FILE}`, or `tripos judge --model FILE`";
            Some(Seated { file: &spec.file, named: spec.base.as_ref(), context: spec.context, base, by })
        }
        _ => None,
    }
}

/// What the classifier or reward model of a scorer needs to be run: itself where it is a whole model, else itself on its
/// base. `asked` are the models of the variants.
pub(super) fn need_of_head(
    scorer: &ScorerSpec,
    asked: &[&ModelRef],
    settings: &RunSettings,
) -> Option<Result<Need, Box<RunError>>> {
    let spec = seated(scorer)?;
    let on = |model, adapter| Need { model, adapter, context: spec.context };
    let Some(base) = &spec.base else {
        let (file, place) = (spec.file.to_path_buf(), scorer.place.clone());
        let whole = on(ModelRef::Gguf(file.clone()), None);
        let named = spec.named.and_then(ModelRef::path).filter(|named| *named != spec.file).map(Path::to_path_buf);
        return Some(
            named.map_or(Ok(whole), |model| Err(Box::new(RunError::Whole { file, model, by: spec.by, place }))),
        );
    };
    let found = find(&spec, base, asked, settings, &scorer.place);
    Some(found.map(|model| on(model, Some((spec.file.to_path_buf(), 1.0)))))
}

/// The base: the model that the suite names, else the first of that hash beside the classifier, in `models/`, among the
/// models that are asked and in the cache of those from elsewhere.
fn find(
    spec: &Seated,
    base: &Base,
    asked: &[&ModelRef],
    settings: &RunSettings,
    place: &Place,
) -> Result<ModelRef, Box<RunError>> {
    let mut other: Option<(PathBuf, String)> = None;
    let memory = settings.memory.as_deref();
    for model in candidates(spec, base, asked, &settings.kept) {
        let Some(path) = model.path().filter(|path| path.is_file()).map(Path::to_path_buf) else { continue };
        let Ok(sha256) = hash(&path, memory) else { continue };
        if sha256 == base.sha256 {
            return Ok(model);
        }
        other.get_or_insert((path, sha256));
    }
    let (classifier, place, by) = (spec.file.to_path_buf(), place.clone(), spec.by);
    Err(Box::new(match other {
        Some((model, found)) => RunError::OtherBase {
            classifier,
            wanted: base.sha256.clone(),
            model,
            found,
            file: base.file.clone(),
            by,
            place,
        },
        None => RunError::NoBase { classifier, file: base.file.clone(), wanted: base.sha256.clone(), by, place },
    }))
}

fn candidates(spec: &Seated, base: &Base, asked: &[&ModelRef], kept: &[PathBuf]) -> Vec<ModelRef> {
    if let Some(model) = spec.named {
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
    // Hashing takes time: of the cache only what is called so.
    let kept = kept.iter().filter(|path| path.file_name() == name).cloned().map(ModelRef::Gguf);
    named.map(model).chain(asked.iter().map(|&model| model.clone())).chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_cache_only_what_is_called_so_is_looked_at() {
        let base = Base { file: "elsewhere/base.gguf".into(), sha256: String::new() };
        let spec = Seated { file: Path::new("a/adapter.gguf"), named: None, context: None, base: None, by: "" };
        let kept = ["/hub/other.gguf".into(), "/hub/base.gguf".into()];
        let found = candidates(&spec, &base, &[], &kept);
        let paths: Vec<&Path> = found.iter().filter_map(ModelRef::path).collect();
        assert_eq!(paths, ["a/base.gguf", "models/base.gguf", "/hub/base.gguf"].map(Path::new));
    }
}
