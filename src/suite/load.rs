//! From a suite's file to a [`Suite`]: paths joined, defaults filled in, cases read or generated, all problems listed.

use super::case::Case;
use super::cases::Cases;
use super::check::{self, Written};
use super::check_scorers;
use super::error::{SuiteError, SuiteProblem};
use super::file::{Generate, ModelEntry, RuleEntry, SuiteFile};
use super::generate::generate;
use super::located::{Located, is_elsewhere};
use super::matrix::matrix;
use super::prune::Pruned;
use super::rows::{self, Placed};
use super::scorer::{ScorerKind, ScorerSpec};
use super::shape::{KindEntry, ScorerEntry};
use super::text::TextCases;
use super::yaml::Document;
use super::{AdapterRef, Bound, ModelRef, Rule, Suite};
use crate::error::{Place, Problems};
use serde::Deserialize;
use serde_yaml::Value;
use std::path::{Path, PathBuf};

/// What templates see besides the variables of a case.
const RESERVED: [&str; 3] = ["target", "examples", "completion"];

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
    /// A model or adapter that is not beside the suite is looked for beside this file: files of that size are seldom in git.
    pub models_beside: Option<PathBuf>,
    /// The file that a recipe trains.
    pub output: Option<Output>,
    /// The files of models that lie elsewhere.
    pub located: Located,
    /// Cases without a target are errors rather than unscored.
    pub strict: bool,
    /// Fresh cases of a generator: the seed that they are drawn with, and how many.
    pub drawn: Option<(u64, usize)>,
}

/// The file that a recipe trains: its suite may name it before it is there.
#[derive(Debug, Clone)]
pub struct Output {
    /// Where the recipe puts it.
    pub path: PathBuf,
    /// Read in its place: what was trained. Nothing is looked for while there is none.
    pub trained: Option<PathBuf>,
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

/// A suite's line of a model, by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelLine {
    model: ModelEntry,
}

/// Reads `model: …` by itself, as a suite at `path` that holds this line would be read.
#[must_use]
pub fn load_model(path: &Path, line: &str, overrides: &Overrides) -> (Option<ModelRef>, Problems) {
    let document = match Document::parse(path, line) {
        Ok(document) => document,
        Err(error) => return (None, error.into()),
    };
    let mut loader = Loader::new(path, &document, overrides);
    let read = document.read::<ModelLine>();
    loader.problems.extend(read.problems);
    loader.pruned = read.pruned;
    let model = read.value.and_then(|line| loader.named_model("model", &line.model));
    let mut problems = Problems::new();
    problems.extend(loader.problems);
    (model, problems)
}

/// One reading of one suite: the problems gather here.
pub(super) struct Loader<'a> {
    path: &'a Path,
    document: &'a Document,
    pub(super) overrides: &'a Overrides,
    problems: Vec<SuiteError>,
    /// What serde refused and is missing from the values.
    pub(super) pruned: Pruned,
}

impl<'a> Loader<'a> {
    fn new(path: &'a Path, document: &'a Document, overrides: &'a Overrides) -> Self {
        Self { path, document, overrides, problems: Vec::new(), pruned: Pruned::default() }
    }

    fn suite(mut self) -> (Option<Suite>, Problems) {
        let has = |key: &str| self.document.value().get(key).is_some();
        if has("recipe") && has("kind") && !has("cases") {
            let what = "this is a recipe, not a suite".into();
            let help = format!("a recipe is trained: tripos train {}", self.path.display());
            let error = SuiteError::new(self.place("recipe"), SuiteProblem::Contradiction { what, help });
            return (None, error.into());
        }
        let read = self.document.read::<SuiteFile>();
        self.problems.extend(read.problems);
        self.pruned = read.pruned;
        let suite = read.value.map(|file| self.resolve(file));
        let mut problems = Problems::new();
        problems.extend(self.problems);
        (suite, problems)
    }

    /// What was read.
    pub(super) fn document(&self) -> &Document {
        self.document
    }

    /// Whether serde refused the value at a path, so that it is missing without being left out.
    pub(super) fn refused(&self, path: &str) -> bool {
        self.pruned.within(&self.pruned.original(path))
    }

    /// The place of a value by its path in what was read, which may lack items of the document's lists.
    pub(super) fn place(&self, path: &str) -> Place {
        self.document.place(&self.pruned.original(path))
    }

    /// Reports a problem at a path, unless it is there already.
    pub(super) fn fail(&mut self, path: &str, problem: SuiteProblem) {
        self.push(SuiteError::new(self.place(path), problem));
    }

    /// Reports a problem of the whole suite at the first path that shows it.
    pub(super) fn fail_once(&mut self, path: &str, problem: SuiteProblem) {
        self.push_once(SuiteError::new(self.place(path), problem));
    }

    /// Reports a problem, unless it is there already, wherever.
    pub(super) fn push_once(&mut self, error: SuiteError) {
        if self.problems.iter().all(|earlier| earlier.problem != error.problem) {
            self.problems.push(error);
        }
    }

    /// Reports a problem, unless it is there already.
    pub(super) fn push(&mut self, error: SuiteError) {
        if !self.problems.contains(&error) {
            self.problems.push(error);
        }
    }

    fn resolve(&mut self, mut file: SuiteFile) -> Suite {
        let placed = self.cases("cases", &file.cases);
        let examples = file.examples.as_ref().map_or_else(Vec::new, |pool| self.cases("examples", pool));
        let scorers: Vec<ScorerSpec> =
            file.scorers.iter().enumerate().filter_map(|(i, entry)| self.scorer(i, entry)).collect();
        self.inherited(&mut file);
        let variants = self.variants(&file);
        let written = self.written(&file, scorers.len());
        let gate = file.gate.iter().enumerate().filter_map(|(i, rule)| self.rule(i, rule)).collect();
        check::cases("case", &placed, &mut self.problems);
        check::cases("example", &examples, &mut self.problems);
        let (cases, places): (Vec<Case>, Vec<Place>) = placed.into_iter().unzip();
        let suite = Suite {
            name: file.suite,
            description: file.description,
            date: file.date,
            template_vars: file.template_vars,
            kv_type: file.kv_type,
            seed: self.overrides.seed.unwrap_or(0),
            text: match &file.cases {
                Cases::Text(spec) => Some(TextCases { stride: spec.stride }),
                _ => None,
            },
            probe: match &file.cases {
                Cases::Probe(entry) => entry.probe(),
                _ => None,
            },
            generated: matches!(&file.cases, Cases::Generate(_)),
            cases,
            examples: examples.into_iter().map(|(case, _)| case).collect(),
            scorers,
            variants,
            gate,
            max_unscored: file.max_unscored,
            path: self.path.to_path_buf(),
            located: self.overrides.located.clone(),
        };
        check::suite(&suite, self.document, &written, self.overrides.strict, &mut self.problems);
        check_scorers::scorers(&suite, &places, self.overrides.strict, &mut self.problems);
        suite
    }

    /// The names that a gate may use, whether or not what they name could be read.
    fn written(&self, file: &SuiteFile, scorers: usize) -> Written {
        let listed = self.document.value().get("variants").and_then(Value::as_sequence).into_iter().flatten();
        let listed = listed.filter_map(|entry| Some(entry.get("name")?.as_str()?.to_owned()));
        Written {
            variants: listed.chain(matrix(file).into_iter().map(|entry| entry.name)).collect(),
            variants_known: !self.pruned.within("matrix"),
            metrics_known: !self.pruned.within("scorers") && scorers == file.scorers.len(),
        }
    }

    /// A path as written, seen from the suite's folder.
    pub(super) fn join(&self, written: &str) -> PathBuf {
        beside(self.path, written)
    }

    /// The recipe's output, where a path leads there.
    pub(super) fn output(&self, path: &Path) -> Option<&'a Output> {
        self.overrides.output.as_ref().filter(|output| same_place(&output.path, path))
    }

    /// The same for a model or an adapter, which may lie beside another suite.
    pub(super) fn model_path(&self, written: &str) -> PathBuf {
        if is_elsewhere(Path::new(written)) {
            return self.overrides.located.local(Path::new(written));
        }
        let path = self.join(written);
        match self.overrides.models_beside.as_deref().and_then(Path::parent) {
            Some(folder) if !path.exists() => tidy(folder.join(written)),
            _ => path,
        }
    }

    /// The cases of a generator; fresh ones where they are asked for, as many as there are.
    fn generated(&self, field: &str, spec: &Generate) -> Result<Vec<Case>, SuiteProblem> {
        let Some((seed, count)) = self.overrides.drawn.filter(|_| field == "cases") else { return generate(spec) };
        let fresh = |count| generate(&Generate { count, seed, ..spec.clone() });
        match fresh(count) {
            Err(SuiteProblem::FewBindings { found, .. }) => fresh(found),
            cases => cases,
        }
    }

    fn cases(&mut self, field: &str, cases: &Cases) -> Vec<Placed> {
        let before = self.problems.len();
        let mut found = match cases {
            Cases::Text(spec) => self.text_files(field, spec),
            Cases::Probe(entry) => self.probe_cases(field, entry),
            Cases::Path(path) => rows::read(&self.join(path), None, &mut self.problems),
            Cases::File(columns) => rows::read(&self.join(&columns.file), Some(columns), &mut self.problems),
            Cases::Generate(spec) => match self.generated(field, spec) {
                Ok(cases) => {
                    let place = self.place(&format!("{field}.generate"));
                    cases.into_iter().map(|case| (case, place.clone())).collect()
                }
                Err(problem) => {
                    self.fail(&format!("{field}.generate"), problem);
                    Vec::new()
                }
            },
            Cases::List(list) => {
                let place = |i| self.place(&format!("{field}[{i}]"));
                list.iter().enumerate().map(|(i, entry)| (rows::case_from(entry.clone()), place(i))).collect()
            }
        };
        self.reserved(field, cases, &found);
        for (number, (case, _)) in found.iter_mut().enumerate() {
            if case.id.is_empty() {
                case.id = (number + 1).to_string();
            }
        }
        if found.is_empty() && self.problems.len() == before && !self.refused(field) {
            let help = "write at least one: `- {vars: {question: \"…\"}, target: \"…\"}`".into();
            self.fail(field, SuiteProblem::Empty { what: format!("`{field}`"), help });
        }
        found
    }

    /// Variables that a prompt could not see, because it knows something else by that name: each is said once.
    fn reserved(&mut self, field: &str, cases: &Cases, found: &[Placed]) {
        for name in RESERVED {
            let Some((number, (_, place))) =
                found.iter().enumerate().find(|(_, (case, _))| case.vars.contains_key(name))
            else {
                continue;
            };
            let place = match cases {
                Cases::List(_) => self.place(&format!("{field}[{number}].vars.{name}")),
                Cases::Generate(_) => self.place(&format!("{field}.generate.case.vars.{name}")),
                Cases::Probe(_) => self.place(&format!("{field}.probe.case.vars.{name}")),
                Cases::File(columns) if columns.vars.is_some() => self.place(&format!("{field}.vars.{name}")),
                Cases::File(_) | Cases::Path(_) | Cases::Text(_) => place.clone(),
            };
            let what = format!("a variable cannot be called `{name}`: prompts know something else by that name");
            let help = format!("rename it; of a file's columns: `{field}: {{file: …, vars: {{OTHER_NAME: {name}}}}}`");
            self.push(SuiteError::new(place, SuiteProblem::Contradiction { what, help }));
        }
    }

    /// A scorer; `None` where a file that it names cannot be read, which is then reported.
    fn scorer(&mut self, index: usize, entry: &ScorerEntry) -> Option<ScorerSpec> {
        let path = format!("scorers[{index}]");
        let place = self.place(&path);
        let mut kind = match &entry.kind {
            KindEntry::Whole(kind) => kind.clone(),
            KindEntry::Label(label) => self.label(&path, label)?,
            KindEntry::Judge(judge) => ScorerKind::JudgeModel(self.judge(&path, judge)?),
            KindEntry::Reward(reward) => self.reward(&path, reward)?,
        };
        if let ScorerKind::Command(command) = &mut kind {
            command.folder = self.path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        }
        Some(ScorerSpec {
            name: entry.name.clone().unwrap_or_else(|| entry.kind.name().to_owned()),
            not: entry.not,
            weight: entry.weight.unwrap_or(1.0),
            group: entry.group.clone(),
            answer: entry.answer.clone(),
            kind,
            place,
        })
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
            place: self.place(&path),
        })
    }
}

/// `FILE` or `FILE=SCALE`.
#[must_use]
pub fn split_scale(written: &str) -> (&str, f32) {
    match written
        .rsplit_once('=')
        .and_then(|(file, scale)| Some((file, scale.parse().ok().filter(|scale: &f32| scale.is_finite())?)))
    {
        Some((file, scale)) => (file, scale),
        None => (written, 1.0),
    }
}

/// A path that a file writes, seen from the file's folder.
#[must_use]
pub fn beside(file: &Path, written: &str) -> PathBuf {
    tidy(file.parent().unwrap_or(Path::new("")).join(written))
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

/// Whether two paths lead to the same file, which need not be there.
fn same_place(a: &Path, b: &Path) -> bool {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.canonicalize().ok(),
        _ => Path::new(".").canonicalize().ok(),
    };
    a.file_name() == b.file_name() && (a == b || folder(a).is_some() && folder(a) == folder(b))
}

/// What scorers take from the cases.
impl Suite {
    /// The distinct targets of the cases, sorted: the labels where a suite names none.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        let targets: std::collections::BTreeSet<&str> =
            self.cases.iter().filter_map(|case: &Case| case.target.as_deref()).collect();
        targets.into_iter().map(str::to_owned).collect()
    }
}
