//! From a suite's file to a [`Suite`]: paths joined, defaults filled in, cases read or generated, all problems listed.

use super::case::Case;
use super::check;
use super::error::{SuiteError, SuiteProblem};
use super::file::{AnswerEntry, ModelEntry, RuleEntry, SamplingEntry, SuiteFile, VariantEntry};
use super::generate::generate;
use super::rows::{self, Placed};
use super::scorer::{ScorerKind, ScorerSpec};
use super::shape::{Cases, ExamplesWanted, ScorerEntry};
use super::yaml::{Document, read_text};
use super::{AdapterRef, Answer, Bound, ExampleChoice, ModelRef, PromptFile, Rule, Suite, Variant};
use crate::error::{Place, Problems};
use crate::sampling::Sampling;
use std::path::{Path, PathBuf};

/// What the command line puts in the place of what suites say.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Asked instead of every model of the suite.
    pub model: Option<ModelRef>,
    /// Applied instead of every adapter of the suite.
    pub adapter: Option<AdapterRef>,
    /// Context length in tokens.
    pub context: Option<u32>,
    /// Moves sampling and example selection.
    pub seed: Option<u64>,
    /// Cases without a target are errors rather than unscored.
    pub strict: bool,
}

/// Reads a suite. `None` where it is too broken to describe; the problems hold everything that was found, notes too.
#[must_use]
pub fn load(path: &Path, overrides: &Overrides) -> (Option<Suite>, Problems) {
    match Document::open(path, "the suite") {
        Ok(document) => Loader::new(path, &document, overrides).suite(),
        Err(error) => (None, error.into()),
    }
}

/// The same for a text, as if it stood at `path`.
#[must_use]
pub fn load_text(path: &Path, text: &str, overrides: &Overrides) -> (Option<Suite>, Problems) {
    match Document::parse(path, text) {
        Ok(document) => Loader::new(path, &document, overrides).suite(),
        Err(error) => (None, error.into()),
    }
}

/// One reading of one suite: the problems gather here.
struct Loader<'a> {
    path: &'a Path,
    document: &'a Document,
    overrides: &'a Overrides,
    problems: Vec<SuiteError>,
}

impl<'a> Loader<'a> {
    fn new(path: &'a Path, document: &'a Document, overrides: &'a Overrides) -> Self {
        Self { path, document, overrides, problems: Vec::new() }
    }

    fn suite(mut self) -> (Option<Suite>, Problems) {
        let (file, found) = self.document.read::<SuiteFile>();
        self.problems.extend(found);
        let suite = file.map(|file| self.resolve(file));
        let mut problems = Problems::new();
        problems.extend(self.problems);
        (suite, problems)
    }

    fn fail(&mut self, path: &str, problem: SuiteProblem) {
        self.problems.push(SuiteError::new(self.document.place(path), problem));
    }

    fn resolve(&mut self, file: SuiteFile) -> Suite {
        let placed = self.cases("cases", &file.cases);
        let examples = file.examples.as_ref().map_or_else(Vec::new, |pool| self.cases("examples", pool));
        let scorers = file.scorers.iter().enumerate().map(|(i, entry)| self.scorer(i, entry)).collect();
        let variants = self.variants(&file);
        let gate = file.gate.iter().enumerate().filter_map(|(i, rule)| self.rule(i, rule)).collect();
        check::cases("case", &placed, &mut self.problems);
        check::cases("example", &examples, &mut self.problems);
        let suite = Suite {
            name: file.suite,
            description: file.description,
            date: file.date,
            template_vars: file.template_vars,
            kv_type: file.kv_type,
            seed: self.overrides.seed.unwrap_or(0),
            cases: placed.into_iter().map(|(case, _)| case).collect(),
            examples: examples.into_iter().map(|(case, _)| case).collect(),
            scorers,
            variants,
            gate,
            max_unscored: file.max_unscored,
            path: self.path.to_path_buf(),
        };
        check::suite(&suite, self.document, self.overrides.strict, &mut self.problems);
        suite
    }

    /// A path as written, seen from the suite's folder.
    fn join(&self, written: &str) -> PathBuf {
        tidy(self.path.parent().unwrap_or(Path::new("")).join(written))
    }

    fn cases(&mut self, field: &str, cases: &Cases) -> Vec<Placed> {
        let before = self.problems.len();
        let mut found = match cases {
            Cases::NotYet(feature) => {
                self.fail(field, SuiteProblem::NotYet { feature: (*feature).to_owned() });
                return Vec::new();
            }
            Cases::Path(path) => rows::read(&self.join(path), None, &mut self.problems),
            Cases::File(columns) => rows::read(&self.join(&columns.file), Some(columns), &mut self.problems),
            Cases::Generate(spec) => match generate(spec) {
                Ok(cases) => {
                    let place = self.document.place(&format!("{field}.generate"));
                    cases.into_iter().map(|case| (case, place.clone())).collect()
                }
                Err(problem) => {
                    self.fail(&format!("{field}.generate"), problem);
                    Vec::new()
                }
            },
            Cases::List(list) => {
                let place = |i| self.document.place(&format!("{field}[{i}]"));
                list.iter().enumerate().map(|(i, entry)| (rows::case_from(entry.clone()), place(i))).collect()
            }
        };
        for (number, (case, _)) in found.iter_mut().enumerate() {
            if case.id.is_empty() {
                case.id = (number + 1).to_string();
            }
        }
        if found.is_empty() && self.problems.len() == before {
            let help = "write at least one: `- {vars: {question: \"…\"}, target: \"…\"}`".into();
            self.fail(field, SuiteProblem::Empty { what: format!("`{field}`"), help });
        }
        found
    }

    fn scorer(&mut self, index: usize, entry: &ScorerEntry) -> ScorerSpec {
        let path = format!("scorers[{index}]");
        let place = self.document.place(&path);
        let mut kind = entry.kind.clone();
        if let ScorerKind::Command(command) = &mut kind {
            command.folder = self.path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        }
        ScorerSpec {
            name: entry.name.clone().unwrap_or_else(|| kind.name().to_owned()),
            not: entry.not,
            weight: entry.weight.unwrap_or(1.0),
            group: entry.group.clone(),
            answer: entry.answer.clone(),
            kind,
            place,
        }
    }

    /// The variants as written, then those of the matrix.
    fn variants(&mut self, file: &SuiteFile) -> Vec<Variant> {
        let mut variants: Vec<Variant> = file
            .variants
            .iter()
            .flatten()
            .enumerate()
            .filter_map(|(i, entry)| self.variant(&format!("variants[{i}]"), entry, file))
            .collect();
        for entry in matrix(file) {
            variants.extend(self.variant("matrix", &entry, file));
        }
        if file.variants.is_none() && file.matrix.is_none() {
            self.fail("", SuiteProblem::MissingField { field: "variants".into(), within: "the suite".into() });
        } else if file.variants.as_ref().is_some_and(Vec::is_empty) && file.matrix.is_none() {
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
        let sampling = self.sampling(path, &entry.sampling, file);
        let answer = self.answer(path, entry.answer.as_ref(), file);
        let examples = self.example_choice(path, entry.examples.as_ref(), file);
        let model = self.model(path, entry.model.as_ref().or(file.model.as_ref()));
        let adapter = self.adapter(path, entry.adapter.as_deref().or(file.adapter.as_deref()));
        let prompt = self.prompt(path, &entry.prompt);
        Some(Variant {
            name: entry.name.clone(),
            prompt: prompt?,
            examples,
            model: model?,
            adapter,
            sampling,
            answer,
            context: self.overrides.context.or(entry.context).or(file.context),
            place: self.document.place(path),
        })
    }

    fn sampling(&mut self, path: &str, entry: &SamplingEntry, file: &SuiteFile) -> Sampling {
        for (at, entry) in [("sampling".to_owned(), &file.sampling), (format!("{path}.sampling"), entry)] {
            // The suite's own settings are reported once, with its first variant.
            if at == "sampling" && !matches!(path, "variants[0]" | "matrix") {
                continue;
            }
            for feature in entry.not_yet() {
                self.fail(&format!("{at}.{feature}"), SuiteProblem::NotYet { feature: format!("sampling: {feature}") });
            }
            for wrong in entry.spec().out_of_range() {
                self.fail(&format!("{at}.{}", wrong.field), wrong.into());
            }
        }
        let mut sampling = entry.spec().over(&file.sampling.spec().over(&Sampling::default()));
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
        let error = SuiteError::new(self.document.place(&at), problem);
        if !self.problems.contains(&error) {
            self.problems.push(error);
        }
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
            self.fail(&format!("{path}.examples"), SuiteProblem::Contradiction { what, help });
        }
        Some(ExampleChoice { count: entry.count, select, seed: entry.seed })
    }

    fn model(&mut self, path: &str, entry: Option<&ModelEntry>) -> Option<ModelRef> {
        if let Some(model) = &self.overrides.model {
            return Some(model.clone());
        }
        let model = match entry {
            Some(ModelEntry::Path(path)) => ModelRef::Gguf(self.join(path)),
            Some(ModelEntry::Scripted(path)) => ModelRef::Scripted(self.join(path)),
            Some(ModelEntry::NotYet(feature)) => {
                let error = SuiteError::new(self.model_place(path), SuiteProblem::NotYet { feature: feature.clone() });
                if !self.problems.contains(&error) {
                    self.problems.push(error);
                }
                return None;
            }
            None => {
                self.fail(
                    path,
                    SuiteProblem::Contradiction {
                        what: "the variant has no model".into(),
                        help: "add `model: FILE.gguf` to the suite or the variant, or give --model FILE.gguf".into(),
                    },
                );
                return None;
            }
        };
        Some(model)
    }

    /// The variant's `model:`, or the suite's.
    fn model_place(&self, path: &str) -> Place {
        let own = self.document.place(&format!("{path}.model"));
        if own == self.document.place(path) { self.document.place("model") } else { own }
    }

    fn adapter(&mut self, path: &str, written: Option<&str>) -> Option<AdapterRef> {
        if self.overrides.adapter.is_some() {
            return self.overrides.adapter.clone();
        }
        let (file, scale) = split_scale(written?);
        let adapter = AdapterRef { path: self.join(file), scale };
        if !adapter.path.is_file() {
            self.fail(
                &format!("{path}.adapter"),
                SuiteProblem::Unreadable {
                    what: format!("the adapter `{}`", adapter.path.display()),
                    reason: "there is no such file".into(),
                },
            );
        }
        Some(adapter)
    }

    fn prompt(&mut self, path: &str, written: &str) -> Option<PromptFile> {
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
                self.problems.push(error);
                None
            }
        }
    }

    fn rule(&mut self, index: usize, entry: &RuleEntry) -> Option<Rule> {
        let path = format!("gate[{index}]");
        let bound = match (entry.no_worse_by, entry.at_least, entry.at_most) {
            (Some(margin), None, None) => Bound::NoWorseBy(margin),
            (None, Some(least), None) => Bound::AtLeast(least),
            (None, None, Some(most)) => Bound::AtMost(most),
            _ => {
                self.fail(
                    &path,
                    SuiteProblem::Contradiction {
                        what: "a rule has exactly one bound".into(),
                        help: "write one of `no_worse_by`, `at_least` and `at_most`".into(),
                    },
                );
                return None;
            }
        };
        Some(Rule {
            variant: entry.variant.clone(),
            metric: entry.metric.clone(),
            bound,
            confidence: entry.confidence.unwrap_or(0.95),
            place: self.document.place(&path),
        })
    }
}

/// `FILE` or `FILE=SCALE`.
#[must_use]
pub fn split_scale(written: &str) -> (&str, f32) {
    match written.rsplit_once('=').and_then(|(file, scale)| Some((file, scale.parse().ok()?))) {
        Some((file, scale)) => (file, scale),
        None => (written, 1.0),
    }
}

/// Every combination of a matrix as a variant, named by its parts.
fn matrix(file: &SuiteFile) -> Vec<VariantEntry> {
    let Some(matrix) = &file.matrix else { return Vec::new() };
    let stem = |path: &str| Path::new(path).file_stem().map_or(path.to_owned(), |s| s.to_string_lossy().into_owned());
    let mut entries = Vec::new();
    let models: Vec<Option<&ModelEntry>> = options(matrix.model.as_deref());
    let examples: Vec<Option<&ExamplesWanted>> = options(matrix.examples.as_deref());
    let temperatures: Vec<Option<&f32>> = options(matrix.temperature.as_deref());
    for prompt in &matrix.prompt {
        for model in &models {
            for example in &examples {
                for temperature in &temperatures {
                    let model_name = model.map(|m| match m {
                        ModelEntry::Path(path) | ModelEntry::Scripted(path) | ModelEntry::NotYet(path) => stem(path),
                    });
                    let parts = [
                        Some(stem(prompt)),
                        model_name,
                        example.map(|e| format!("{}-shot", e.0.count)),
                        temperature.map(|t| format!("t{t}")),
                    ];
                    entries.push(VariantEntry {
                        name: parts.into_iter().flatten().collect::<Vec<_>>().join("/"),
                        prompt: prompt.clone(),
                        examples: example.cloned(),
                        model: model.cloned(),
                        adapter: None,
                        context: None,
                        sampling: SamplingEntry { temperature: temperature.copied(), ..SamplingEntry::default() },
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

/// `suites/../prompts/a.txt` as `prompts/a.txt`, where that is the same file (a link could make it another).
fn tidy(path: PathBuf) -> PathBuf {
    use std::path::Component;
    let mut short = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if matches!(short.components().next_back(), Some(Component::Normal(_))) => {
                short.pop();
            }
            Component::CurDir => {}
            part => short.push(part),
        }
    }
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(&short, &path) || !path.exists() { short } else { path }
}

/// Cases by id, for those who look one up.
impl Suite {
    /// The distinct targets of the cases, sorted: the labels where a suite names none.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        let targets: std::collections::BTreeSet<&str> =
            self.cases.iter().filter_map(|case: &Case| case.target.as_deref()).collect();
        targets.into_iter().map(str::to_owned).collect()
    }
}
