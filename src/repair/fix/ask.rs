//! What is asked, of whom, and who says what fails.

use super::error::FixError;
use super::{Request, Watch};
use crate::error::{Place, Problems};
use crate::run::{self, Prepared, RunSettings, Selection, whole};
use crate::suite::{AdapterRef, ModelRef, ScorerKind, Suite, Variant};
use crate::summary::RunSummary;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Has suites answered.
pub(super) struct Asker<'a> {
    pub machine: &'a RunSettings,
    pub watch: Watch<'a>,
    /// The folder of the attempt.
    pub folder: &'a Path,
}

impl Asker<'_> {
    /// A run of a suite into the attempt's folder; nothing where it was stopped.
    pub(super) fn run(
        &self,
        suite: &Suite,
        what: &str,
        adapter: Option<&Path>,
    ) -> Result<Option<RunSummary>, Problems> {
        let by = if adapter.is_some() { "the adapter" } else { "the base" };
        (self.watch.say)(&format!("asking {by}: {} cases of {}, {what}", suite.cases.len(), suite.name));
        let suite = match adapter {
            Some(path) => with_adapter(suite, path),
            None => suite.clone(),
        };
        let plan = Selection::default().plan(&suite, suite.seed)?;
        let prepared = Prepared::new(&suite, plan, self.machine);
        // Ctrl-C ends the children that try a model, too; that is no fault of the model's.
        if self.watch.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut prepared = prepared?;
        std::mem::take(&mut prepared.warnings).iter().for_each(|problem| (self.watch.warn)(problem));
        let watch = run::Watch { observer: self.watch.run, stop: self.watch.stop, rule: None };
        let run = whole(&prepared, (&self.folder.join("runs"), suite.seed), self.machine, watch)?;
        Ok(run.map(|run| RunSummary::read(&run)).transpose()?)
    }
}

/// A suite whose every variant is asked through an adapter.
fn with_adapter(suite: &Suite, path: &Path) -> Suite {
    let mut suite = suite.clone();
    for variant in &mut suite.variants {
        variant.adapter = Some(AdapterRef { path: path.to_path_buf(), scale: 1.0 });
    }
    suite
}

/// The suite with the one variant that is to be fixed.
pub(super) fn narrowed(mut suite: Suite, request: &Request) -> Result<Suite, Problems> {
    let place = Place::file(&suite.path);
    let known: Vec<String> = suite.variants.iter().map(|variant| variant.name.clone()).collect();
    let picked = match (&request.variant, &known[..]) {
        (Some(name), _) => known.iter().position(|known| known == name),
        (None, [_]) => Some(0),
        (None, _) => None,
    };
    let Some(at) = picked else {
        let name = request.variant.clone().unwrap_or_default();
        let what = match request.variant {
            Some(_) => format!("the suite has no variant `{name}`"),
            None => format!("the suite has {} variants: say which is to be fixed (--variant)", known.len()),
        };
        return Err(FixError::Unclear { what, name, known, place }.into());
    };
    let variant = suite.variants.swap_remove(at);
    if let Some(error) = stacked(std::slice::from_ref(&variant)) {
        return Err(error.into());
    }
    let unfit = |what: &str, help: &str| {
        Err(FixError::Unfit { what: what.into(), help: help.into(), place: variant.place.clone() }.into())
    };
    if variant.then.is_some() || suite.text.is_some() {
        return unfit(
            "what is asked in stages, or read as a long text, gives no answers to learn from",
            "fix a variant that asks one prompt",
        );
    }
    suite.variants = vec![variant];
    // Of a part of the cases others would be the labels.
    let targets = suite.targets();
    for spec in &mut suite.scorers {
        if let ScorerKind::Label(label) = &mut spec.kind
            && label.labels.is_empty()
            && label.classifier.is_none()
        {
            label.labels.clone_from(&targets);
        }
    }
    Ok(suite)
}

/// A variant that has an adapter: the one that is to be made would be put in its place.
pub(super) fn stacked(variants: &[Variant]) -> Option<FixError> {
    let variant = variants.iter().find(|variant| variant.adapter.is_some())?;
    Some(FixError::Unfit {
        what: format!("variant `{}` has an adapter already", variant.name),
        help: "merge it first (`tripos merge`), and fix the merged model (--model)".into(),
        place: variant.place.clone(),
    })
}

/// A suite that is to be fixed, and not to get worse.
pub(super) fn itself(also: &Path, suite: &Path) -> Option<FixError> {
    let whole = |path: &Path| path.canonicalize().ok();
    (whole(also).is_some() && whole(also) == whole(suite)).then(|| FixError::Unfit {
        what: "the suite that is to be fixed is named as another one".into(),
        help: "leave it out of --also: its held-out half is asked anyway".into(),
        place: Place::file(also),
    })
}

/// The scorer that says what fails.
pub(super) fn scorer(suite: &Suite, asked: Option<&str>) -> Result<String, Problems> {
    let place = Place::file(&suite.path);
    let decides = |kind: &ScorerKind| {
        !kind.by_likelihood()
            && !matches!(
                kind,
                ScorerKind::Reward(_)
                    | ScorerKind::JudgeModel(_)
                    | ScorerKind::Perplexity(_)
                    | ScorerKind::EditDistance(_)
                    | ScorerKind::RougeL(_)
                    | ScorerKind::Chrf(_)
                    | ScorerKind::Stopped(_)
            )
    };
    let known: Vec<String> =
        suite.scorers.iter().filter(|one| decides(&one.kind)).map(|one| one.name.clone()).collect();
    match (asked, known.first()) {
        (None, Some(first)) => Ok(first.clone()),
        (Some(name), _) if known.iter().any(|known| known == name) => Ok(name.to_owned()),
        (Some(name), _) => {
            let what = format!("`{name}` is no scorer of the suite that passes or fails what is said");
            Err(FixError::Unclear { what, name: name.to_owned(), known, place }.into())
        }
        (None, None) => {
            let what = "no scorer of the suite passes or fails what is said".to_owned();
            let help = "add one that does: exact, number, label, contains, regex …".to_owned();
            Err(FixError::Unfit { what, help, place }.into())
        }
    }
}

/// The model that is taught.
pub(super) fn model(suite: &Suite) -> Result<PathBuf, Problems> {
    if let Some(ModelRef::Gguf(path)) = suite.variants.first().map(|variant| &variant.model) {
        return Ok(path.clone());
    }
    let what = "the suite asks no GGUF model, and nothing else can be taught".to_owned();
    Err(FixError::Unfit { what, help: "give one: --model FILE".into(), place: Place::file(&suite.path) }.into())
}
