//! The variants of a suite: what each says over what the suite says. A mistake of the suite's own settings is reported
//! once and at its own place, however many variants inherit it.

use super::cases::Cases;
use super::error::{SuiteError, SuiteProblem};
use super::file::{AnswerEntry, ModelEntry, StageEntry, SuiteFile, VariantEntry};
use super::load::{Loader, split_scale};
use super::located::is_elsewhere;
use super::matrix::{empty_lists, matrix};
use super::shape::ExamplesWanted;
use super::{AdapterRef, Answer, ExampleChoice, ModelRef, PromptFile, Stage, Variant, check};
use crate::error::{Place, without_secrets};
use crate::sampling::Sampling;
use std::path::{Path, PathBuf};

/// The least and the most context that llama.cpp and a prompt can do anything with.
const CONTEXT: std::ops::RangeInclusive<u32> = 16..=1 << 24;

impl Loader<'_> {
    /// The settings that variants inherit, checked; those of sampling are resolved in place.
    pub(super) fn inherited(&mut self, file: &mut SuiteFile) {
        file.sampling = self.sampling_spec("sampling", &file.sampling);
        self.context("context", file.context);
        if let Some(context) = self.overrides.context {
            self.context("", Some(context));
        }
        self.adapter("adapter", file.adapter.as_deref());
    }

    pub(super) fn context(&mut self, path: &str, context: Option<u32>) {
        if let Some(context) = context.filter(|context| !CONTEXT.contains(context)) {
            let what = format!("`context` is {context} tokens");
            let help = format!("it is a number from {} to {}", CONTEXT.start(), CONTEXT.end());
            self.fail(path, SuiteProblem::Contradiction { what, help });
        }
    }

    /// The variants as written, then those of the matrix.
    pub(super) fn variants(&mut self, file: &SuiteFile) -> Vec<Variant> {
        let mut variants: Vec<Variant> = file
            .variants
            .iter()
            .flatten()
            .enumerate()
            .filter_map(|(i, entry)| self.variant(&format!("variants[{i}]"), entry, file))
            .collect();
        for list in file.matrix.iter().flat_map(empty_lists) {
            let help = "write at least one value, or leave the list out".into();
            self.fail(&format!("matrix.{list}"), SuiteProblem::Empty { what: format!("`matrix.{list}`"), help });
        }
        for entry in matrix(file) {
            variants.extend(self.variant("matrix", &entry, file));
        }
        if file.variants.is_none() && file.matrix.is_none() {
            self.fail("", SuiteProblem::MissingField { field: "variants".into(), within: "the suite".into() });
        } else if file.variants.as_ref().is_some_and(Vec::is_empty)
            && file.matrix.is_none()
            && !self.pruned.within("variants")
        {
            let help = "write at least one: `- {name: zero_shot, prompt: prompt.txt}`".into();
            self.fail("variants", SuiteProblem::Empty { what: "`variants`".into(), help });
        }
        variants
    }

    fn variant(&mut self, path: &str, entry: &VariantEntry, file: &SuiteFile) -> Option<Variant> {
        self.context(&format!("{path}.context"), entry.context);
        let sampling = self.sampling(path, entry, file);
        let answer = self.answer(path, entry.answer.as_ref(), file);
        let examples = self.example_choice(path, entry.examples.as_ref(), file);
        let model = self.model(path, entry.model.as_ref().or(file.model.as_ref()));
        let adapter = match &entry.adapter {
            Some(adapter) => self.adapter(&format!("{path}.adapter"), Some(adapter)),
            None => self.adapter("adapter", file.adapter.as_deref()),
        };
        self.no_adapter_on_a_server(path, model.as_ref(), adapter.as_ref());
        self.asks_nothing(path, entry, file);
        let (repeats, reduce) = self.repeats(path, entry, file);
        let prompt = self.prompt(path, entry, file);
        let then = entry.then.as_ref().map(|then| self.stage(&format!("{path}.then"), then, &sampling));
        Some(Variant {
            name: entry.name.clone(),
            prompt: prompt?,
            then: match then {
                Some(stage) => Some(stage?),
                None => None,
            },
            examples,
            model: model?,
            adapter,
            sampling,
            repeats,
            reduce,
            answer,
            // One out of range is reported above, and would make every prompt too long as well.
            context: self.overrides.context.or(entry.context).or(file.context).filter(|c| CONTEXT.contains(c)),
            place: self.place(path),
        })
    }

    fn sampling(&mut self, path: &str, entry: &VariantEntry, file: &SuiteFile) -> Sampling {
        let own = self.sampling_spec(&format!("{path}.sampling"), &entry.sampling);
        let mut sampling = own.over(&file.sampling.over(&Sampling::default()));
        if let Some(seed) = self.overrides.seed {
            sampling.seed = seed;
        }
        sampling
    }

    /// The second stage; its sampling settings lie over the variant's.
    fn stage(&mut self, path: &str, entry: &StageEntry, variant: &Sampling) -> Option<Stage> {
        let mut sampling = self.sampling_spec(&format!("{path}.sampling"), &entry.sampling).over(variant);
        sampling.seed = self.overrides.seed.unwrap_or(sampling.seed);
        let prompt = self.prompt_file(&format!("{path}.prompt"), &entry.prompt)?;
        Some(Stage { prompt, sampling })
    }

    fn answer(&mut self, path: &str, entry: Option<&AnswerEntry>, file: &SuiteFile) -> Option<Answer> {
        let (at, entry) = match entry {
            Some(entry) => (format!("{path}.answer"), entry),
            None => ("answer".to_owned(), file.answer.as_ref()?),
        };
        let problem = match entry.resolve() {
            Ok(answer) => match check::expression(&answer) {
                None => return Some(answer),
                Some(problem) => problem,
            },
            Err(what) => SuiteProblem::Contradiction {
                what,
                help: "`number` and `letter` take `which`, `json` takes `pointer`, `pattern` takes `regex`, `group`, `which`"
                    .into(),
            },
        };
        self.fail(&at, problem);
        None
    }

    fn example_choice(
        &mut self,
        path: &str,
        wanted: Option<&ExamplesWanted>,
        file: &SuiteFile,
    ) -> Option<ExampleChoice> {
        let ExamplesWanted(entry) = wanted?;
        if entry.count == 0 {
            return None;
        }
        if file.examples.is_none() {
            let what = "the variant asks for examples, and the suite has no `examples`".into();
            let help = "add `examples:` with solved cases, in the same shapes as `cases:`".into();
            self.fail_once(&format!("{path}.examples"), SuiteProblem::Contradiction { what, help });
        }
        Some(ExampleChoice { count: entry.count, select: entry.select, seed: entry.seed })
    }

    fn model(&mut self, path: &str, entry: Option<&ModelEntry>) -> Option<ModelRef> {
        if let Some(model) = &self.overrides.model {
            let model = match model {
                ModelRef::Gguf(file) => ModelRef::Gguf(self.overrides.located.local(file)),
                ModelRef::Scripted(_) | ModelRef::Endpoint(_) => model.clone(),
            };
            self.model_file(self.place(path), &model);
            return Some(model);
        }
        let model = match entry {
            Some(ModelEntry::Path(path)) => ModelRef::Gguf(self.model_path(path)),
            Some(ModelEntry::Scripted(path)) => ModelRef::Scripted(self.model_path(path)),
            Some(ModelEntry::Endpoint(entry)) => return self.endpoint(&self.model_at(path), entry),
            // What serde refused was reported, and is not left out.
            None if self.refused("model") || self.refused(&format!("{path}.model")) => return None,
            None => {
                self.fail_once(
                    path,
                    SuiteProblem::Contradiction {
                        what: "the variant has no model".into(),
                        help: "add `model: FILE.gguf` to the suite or the variant, or give --model FILE.gguf".into(),
                    },
                );
                return None;
            }
        };
        self.model_file(self.model_place(path), &model);
        Some(model)
    }

    /// A model that a scorer names; one that is not there is reported.
    pub(super) fn named_model(&mut self, at: &str, entry: &ModelEntry) -> Option<ModelRef> {
        let model = match entry {
            ModelEntry::Path(file) => ModelRef::Gguf(self.model_path(file)),
            ModelEntry::Scripted(file) => ModelRef::Scripted(self.model_path(file)),
            ModelEntry::Endpoint(entry) => return self.endpoint(at, entry),
        };
        self.model_file(self.place(at), &model);
        Some(model)
    }

    /// Reports a model that is not there, once for all variants that ask it.
    fn model_file(&mut self, place: Place, model: &ModelRef) {
        let kind = if matches!(model, ModelRef::Gguf(_)) { "model" } else { "script" };
        if let Some(path) = model.path() {
            self.file_is_there(place, kind, path);
        }
    }

    /// Whether there is such a file; reported once where there is none.
    pub(super) fn file_is_there(&mut self, place: Place, kind: &str, path: &Path) -> bool {
        if is_elsewhere(path) {
            // Where it may be fetched, the rest of the suite is looked at as if it were here.
            let uri = path.display().to_string();
            let fate = self.overrides.located.fate(&uri).map(str::to_owned);
            let uri = without_secrets(&uri);
            self.push_once(SuiteError::new(place, SuiteProblem::Elsewhere { uri, fate }));
            return true;
        }
        let reason = match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() => return true,
            Ok(_) => "it is not a file".to_owned(),
            Err(error) => error.to_string(),
        };
        let what = format!("the {kind} `{}`", path.display());
        self.push_once(SuiteError::new(place, SuiteProblem::Unreadable { what, reason }));
        false
    }

    /// The variant's `model:`, or the suite's.
    fn model_place(&self, path: &str) -> Place {
        self.place(&self.model_at(path))
    }

    fn model_at(&self, path: &str) -> String {
        let own = format!("{path}.model");
        if self.place(&own) == self.place(path) { "model".to_owned() } else { own }
    }

    fn adapter(&mut self, at: &str, written: Option<&str>) -> Option<AdapterRef> {
        if let Some(AdapterRef { path, scale }) = &self.overrides.adapter {
            return Some(AdapterRef { path: self.overrides.located.local(path), scale: *scale });
        }
        let (file, scale) = split_scale(written?);
        let adapter = AdapterRef { path: self.model_path(file), scale };
        if is_elsewhere(&adapter.path) {
            self.file_is_there(self.place(at), "adapter", &adapter.path);
        } else if !adapter.path.is_file() {
            self.fail(
                at,
                SuiteProblem::Unreadable {
                    what: format!("the adapter `{}`", adapter.path.display()),
                    reason: "there is no such file".into(),
                },
            );
            return None;
        }
        Some(adapter)
    }

    /// The variant's prompt; an empty one where the cases are texts.
    fn prompt(&mut self, path: &str, entry: &VariantEntry, file: &SuiteFile) -> Option<PromptFile> {
        match &entry.prompt {
            _ if matches!(file.cases, Cases::Text(_)) => Some(PromptFile { path: PathBuf::new(), text: String::new() }),
            Some(written) => self.prompt_file(&format!("{path}.prompt"), written),
            None => {
                let missing = "missing field `prompt`";
                if !self.pruned.explains(&self.pruned.original(path), missing) {
                    let within = if path == "matrix" { "`matrix`".into() } else { format!("variant `{}`", entry.name) };
                    self.fail(path, SuiteProblem::MissingField { field: "prompt".into(), within });
                }
                None
            }
        }
    }

    pub(super) fn prompt_file(&mut self, at: &str, written: &str) -> Option<PromptFile> {
        let (path, text) = self.named_file(at, written, "the prompt")?;
        Some(PromptFile::new(path, &text))
    }
}
