//! The variants of a suite: what each says over what the suite says. A mistake of the suite's own settings is reported
//! once and at its own place, however many variants inherit it.

use super::error::{SuiteError, SuiteProblem};
use super::file::{AnswerEntry, ModelEntry, SamplingEntry, SuiteFile, VariantEntry};
use super::load::{Loader, split_scale};
use super::matrix::{empty_lists, matrix};
use super::shape::ExamplesWanted;
use super::yaml::read_text;
use super::{AdapterRef, Answer, ExampleChoice, ModelRef, PromptFile, Variant, check};
use crate::error::Place;
use crate::sampling::Sampling;

/// The least and the most context that llama.cpp and a prompt can do anything with.
const CONTEXT: std::ops::RangeInclusive<u32> = 16..=1 << 24;

impl Loader<'_> {
    /// The settings that variants inherit.
    pub(super) fn inherited(&mut self, file: &SuiteFile) {
        self.sampling_entry("sampling", &file.sampling);
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
        for (feature, value) in [("then", &entry.then), ("repeats", &entry.repeats), ("reduce", &entry.reduce)] {
            if value.is_some() {
                self.fail(&format!("{path}.{feature}"), SuiteProblem::NotYet { feature: feature.to_owned() });
            }
        }
        self.sampling_entry(&format!("{path}.sampling"), &entry.sampling);
        self.context(&format!("{path}.context"), entry.context);
        let sampling = self.sampling(entry, file);
        let answer = self.answer(path, entry.answer.as_ref(), file);
        let examples = self.example_choice(path, entry.examples.as_ref(), file);
        let model = self.model(path, entry.model.as_ref().or(file.model.as_ref()));
        let adapter = match &entry.adapter {
            Some(adapter) => self.adapter(&format!("{path}.adapter"), Some(adapter)),
            None => self.adapter("adapter", file.adapter.as_deref()),
        };
        let prompt = self.prompt(path, &entry.prompt);
        Some(Variant {
            name: entry.name.clone(),
            prompt: prompt?,
            examples,
            model: model?,
            adapter,
            sampling,
            answer,
            // One out of range is reported above, and would make every prompt too long as well.
            context: self.overrides.context.or(entry.context).or(file.context).filter(|c| CONTEXT.contains(c)),
            then: None,
            repeats: 1,
            reduce: super::Reduce::default(),
            place: self.place(path),
        })
    }

    fn sampling_entry(&mut self, at: &str, entry: &SamplingEntry) {
        for feature in entry.not_yet() {
            self.fail(&format!("{at}.{feature}"), SuiteProblem::NotYet { feature: format!("sampling: {feature}") });
        }
        for wrong in entry.spec().out_of_range() {
            self.fail(&format!("{at}.{}", wrong.field), wrong.into());
        }
    }

    fn sampling(&self, entry: &VariantEntry, file: &SuiteFile) -> Sampling {
        let mut sampling = entry.sampling.spec().over(&file.sampling.spec().over(&Sampling::default()));
        if let Some(seed) = self.overrides.seed {
            sampling.seed = seed;
        }
        sampling
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
        let Some(select) = entry.select.select() else {
            let feature = "examples: {select: similar}".to_owned();
            self.fail(&format!("{path}.examples.select"), SuiteProblem::NotYet { feature });
            return None;
        };
        if file.examples.is_none() {
            let what = "the variant asks for examples, and the suite has no `examples`".into();
            let help = "add `examples:` with solved cases, in the same shapes as `cases:`".into();
            self.fail_once(&format!("{path}.examples"), SuiteProblem::Contradiction { what, help });
        }
        Some(ExampleChoice { count: entry.count, select, seed: entry.seed })
    }

    fn model(&mut self, path: &str, entry: Option<&ModelEntry>) -> Option<ModelRef> {
        if let Some(model) = &self.overrides.model {
            self.model_file(self.place(path), model);
            return Some(model.clone());
        }
        let model = match entry {
            Some(ModelEntry::Path(path)) => ModelRef::Gguf(self.join(path)),
            Some(ModelEntry::Scripted(path)) => ModelRef::Scripted(self.join(path)),
            Some(ModelEntry::NotYet(feature)) => {
                let place = self.model_place(path);
                self.push(SuiteError::new(place, SuiteProblem::NotYet { feature: feature.clone() }));
                return None;
            }
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

    /// Reports a model that is not there, once for all variants that ask it.
    pub(super) fn model_file(&mut self, place: Place, model: &ModelRef) {
        let path = model.path();
        let reason = match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() => return,
            Ok(_) => "it is not a file".to_owned(),
            Err(error) => error.to_string(),
        };
        let kind = if matches!(model, ModelRef::Gguf(_)) { "model" } else { "script" };
        let what = format!("the {kind} `{}`", path.display());
        self.push_once(SuiteError::new(place, SuiteProblem::Unreadable { what, reason }));
    }

    /// The variant's `model:`, or the suite's.
    fn model_place(&self, path: &str) -> Place {
        let own = self.place(&format!("{path}.model"));
        if own == self.place(path) { self.place("model") } else { own }
    }

    fn adapter(&mut self, at: &str, written: Option<&str>) -> Option<AdapterRef> {
        if self.overrides.adapter.is_some() {
            return self.overrides.adapter.clone();
        }
        let (file, scale) = split_scale(written?);
        let adapter = AdapterRef { path: self.join(file), scale };
        if !adapter.path.is_file() {
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

    pub(super) fn prompt(&mut self, path: &str, written: &str) -> Option<PromptFile> {
        let file = self.join(written);
        match read_text(&file, "the prompt") {
            Ok(text) => {
                let text = text.strip_suffix("\r\n").or(text.strip_suffix('\n')).unwrap_or(&text);
                Some(PromptFile { path: file, text: text.to_owned() })
            }
            Err(SuiteError { problem: SuiteProblem::Unreadable { reason, .. }, .. }) => {
                let what = format!("the prompt `{}`", file.display());
                self.fail(&format!("{path}.prompt"), SuiteProblem::Unreadable { what, reason });
                None
            }
            Err(error) => {
                self.push(error);
                None
            }
        }
    }
}
