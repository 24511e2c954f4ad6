//! From a recipe's sources to the documents that are learned and those that are held out.

use super::Dataset;
use super::fit::Fitter;
use super::gather::Gathered;
use super::mask;
use super::passed::Passed;
use super::preference::{self, Group, Says, Tokenised};
use super::rows::Row;
use super::scribe::{Refused, Templates};
use super::sources::Sources;
use super::teacher::Teacher;
use super::texts;
use crate::engine::llama::{KvStorage, Llama, LlamaSettings};
use crate::engine::{Engine, KvMode, Render, Token};
use crate::error::{Explain, Place, Problems};
use crate::model::Document;
use crate::prompt::PromptError;
use crate::run::RunSettings;
use crate::seed;
use crate::train::clean::Text;
use crate::train::error::{TrainError, TrainProblem};
use crate::train::recipe::{By, HeldOut, Judging, Kind, Origin, Recipe, Source, TooLong};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashSet};

/// All that a recipe teaches.
#[derive(Debug, Default)]
pub struct Data {
    /// What is learned from.
    pub train: Dataset,
    /// What is evaluated on; empty where nothing is.
    pub held_out: Dataset,
    /// The labels of what is classified: the recipe's, else those of the data, sorted.
    pub labels: Vec<String>,
    /// Of each source its path in the recipe and the first document that is learned, what is learned of it in brackets.
    pub first: Vec<(String, String)>,
    /// What the user should know.
    pub warnings: Problems,
}

/// Something that the model is asked while it learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// As it is put to the model.
    pub text: String,
    /// The same as tokens.
    pub tokens: Vec<Token>,
}

/// One row's documents.
#[derive(Debug)]
pub(super) struct Found {
    pub place: Place,
    pub documents: Vec<Document>,
    /// Hash of what they say: decides who is held out.
    pub key: u64,
    pub label: Option<usize>,
    /// What it says, where it is yet to be cleaned.
    pub text: String,
    /// What was preferred in it, where it is judged.
    pub group: Option<Group>,
}

impl Found {
    pub(super) fn new(place: Place, documents: Vec<Document>, text: &str) -> Self {
        Self {
            place,
            documents,
            key: seed::first_u64(&Sha256::digest(text.as_bytes())),
            label: None,
            text: String::new(),
            group: None,
        }
    }
}

/// Opens the model of a recipe for its tokenizer and its chat template; the weights stay on disk.
pub fn tokenizer(recipe: &Recipe, settings: &RunSettings) -> Result<Llama, Problems> {
    let llama = LlamaSettings {
        context: None,
        threads: settings.threads,
        gpu_layers: settings.gpu_layers,
        kv_type: KvStorage::F16,
        kv: KvMode::Exact,
        parallel: 1,
        adapter: None,
    };
    Llama::open(&recipe.model, llama, (settings.probe.as_ref(), &settings.llama_cpp), settings.memory.as_deref())
}

/// The prompts of a recipe's evaluations.
pub fn asked(recipe: &Recipe, engine: &dyn Engine) -> Result<Vec<Asked>, Problems> {
    let teacher = Teacher::new(recipe, engine).map_err(|error| of_model(recipe, &error))?;
    let mut problems = Problems::new();
    let mut prompts = Vec::new();
    for (index, ask) in recipe.evaluate.prompts.iter().enumerate() {
        match teacher.ask(recipe, index, ask) {
            Ok((text, tokens)) => prompts.push(Asked { text, tokens }),
            Err(error) => problems.push(error),
        }
    }
    problems.or_ok(prompts)
}

/// The tokens that end what a model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// A text.
    pub text: Option<Token>,
    /// A turn of a conversation.
    pub turn: Option<Token>,
}

/// The tokens that end an answer of a recipe's model.
pub fn ends(recipe: &Recipe, engine: &dyn Engine) -> Result<Ends, Problems> {
    let teacher = Teacher::new(recipe, engine).map_err(|error| of_model(recipe, &error))?;
    Ok(Ends { text: teacher.end, turn: teacher.end_of_turn() })
}

/// Reads, renders and tokenises all data of a recipe. `engine` is the recipe's model ([`tokenizer`]).
pub fn read(recipe: &Recipe, engine: &dyn Engine) -> Result<Data, Problems> {
    let teacher = Teacher::new(recipe, engine).map_err(|error| of_model(recipe, &error))?;
    let mut reader = Reader { recipe, teacher: &teacher, sources: Sources::new(recipe) };
    let own = match &recipe.held_out {
        HeldOut::Share(_) => &[][..],
        HeldOut::Data(own) => own,
    };
    let (written, written_own) = (reader.written(&recipe.data), reader.written(own));
    let labels = reader.labels(&written);
    let (found, found_own) = (reader.found(written, &labels), reader.found(written_own, &labels));
    let found = reader.cleaned(found)?;
    let mut data = Data { labels, ..Data::default() };
    reader.fill(&mut data, found, found_own);
    reader.sound(&data);
    if let Some((asked, finished)) = teacher.scribe.other_start.get().cloned() {
        reader.sources.warn("data", TrainProblem::OtherStart { asked, finished });
    }
    data.warnings = reader.sources.warnings;
    reader.sources.problems.or_ok(data)
}

/// A problem of the model's own template, or of the day that it is to see, at its place in the recipe.
pub(super) fn of_model(recipe: &Recipe, error: &PromptError) -> TrainError {
    let path = if matches!(error, PromptError::Date { .. }) { "date" } else { "model" };
    let problem = TrainProblem::Setting { what: error.to_string(), help: error.help().unwrap_or_default() };
    TrainError::new(recipe.place(path), problem)
}

/// What stands in a source.
enum Written {
    Rows(Vec<Row>),
    Found(Vec<Found>),
}

/// One reading of all data: the problems gather here.
struct Reader<'a> {
    recipe: &'a Recipe,
    teacher: &'a Teacher<'a>,
    sources: Sources<'a>,
}

impl<'a> Reader<'a> {
    /// Each source with what stands in it.
    fn written(&mut self, sources: &'a [Source]) -> Vec<(&'a Source, Written)> {
        sources.iter().map(|source| (source, self.written_in(source))).collect()
    }

    fn written_in(&mut self, source: &Source) -> Written {
        let Origin::Run { run, variant, scorer } = &source.origin else {
            return Written::Rows(self.sources.rows(source));
        };
        let before = self.sources.problems.len();
        let place = self.recipe.place(&format!("{}.run", source.at));
        let limit = source.limit.unwrap_or(usize::MAX);
        let cleaned = texts::is_cleaned(self.recipe);
        let passed = Passed { run, variant: variant.as_deref(), scorer: scorer.as_deref(), place, limit, cleaned };
        let found = self.passed(source, &passed);
        if found.is_empty() && self.sources.problems.len() == before {
            let help = "no sample of the run passes: choose another variant, scorer or run".to_owned();
            self.sources.fail(&source.at, TrainProblem::NoData { help });
        }
        Written::Found(found)
    }

    fn passed(&mut self, source: &Source, passed: &Passed) -> Vec<Found> {
        match passed.read(self.teacher) {
            Ok((found, cut)) => {
                if cut > 0 {
                    let why = "they passed, but were cut at `max_tokens` before their end".to_owned();
                    self.sources.warn(&source.at, TrainProblem::Dropped { rows: cut, of: cut + found.len(), why });
                }
                found
            }
            Err(found) => {
                self.sources.problems.append(found);
                Vec::new()
            }
        }
    }

    /// The labels of what is classified.
    fn labels(&mut self, written: &[(&Source, Written)]) -> Vec<String> {
        if self.recipe.kind != Kind::Classify || !self.recipe.labels.is_empty() {
            return self.recipe.labels.clone();
        }
        let rows = written.iter().flat_map(|(_, written)| match written {
            Written::Rows(rows) => &rows[..],
            Written::Found(_) => &[],
        });
        let labels: BTreeSet<&String> = rows.filter_map(|row| row.label.as_ref()).collect();
        if labels.len() == 1 {
            let what = "all rows have one label, and there is nothing to tell apart".to_owned();
            let help =
                "give rows of other labels as well, or name the right column: `columns: {label: COLUMN}`".to_owned();
            self.sources.fail("data", TrainProblem::Setting { what, help });
        }
        labels.into_iter().cloned().collect()
    }

    /// Renders and tokenises, on every core, in the order of the rows.
    fn found(&mut self, written: Vec<(&'a Source, Written)>, labels: &[String]) -> Vec<(&'a Source, Vec<Found>)> {
        let render = |(source, written): (&'a Source, Written)| match written {
            Written::Found(found) => (source, found),
            Written::Rows(rows) => match &self.recipe.judging {
                Some(judging) => (source, self.judged(source, &rows, judging.render)),
                None => (source, self.taught(source, rows, labels)),
            },
        };
        written.into_iter().map(render).collect()
    }

    fn taught(&mut self, source: &Source, rows: Vec<Row>, labels: &[String]) -> Vec<Found> {
        let templates = match Templates::compile(self.recipe, source) {
            Ok(templates) => templates,
            Err(error) => {
                self.sources.problems.push(error);
                return Vec::new();
            }
        };
        let teacher = self.teacher;
        let teach = |row: &Row| match &row.label {
            None => teacher.learned(row, &templates),
            Some(_) => teacher.classified(row, &templates),
        };
        let taught: Vec<_> = rows.par_iter().map(teach).collect();
        let (mut found, mut gathered) = (Vec::with_capacity(rows.len()), Gathered::default());
        for (row, taught) in rows.into_iter().zip(taught) {
            let label = row.label.as_ref().map(|name| labels.iter().position(|label| label == name));
            match (taught, label) {
                (Err(refused), _) => refused.gather(&row.place, &mut gathered),
                (Ok(_), Some(None)) => {
                    let name = row.label.unwrap_or_default();
                    gathered.row(&row.place, TrainProblem::Unknown { what: "label", name, known: labels.to_vec() });
                }
                (Ok(taught), label) => {
                    let found_here = Found::new(row.place, taught.documents, &taught.text);
                    let text = if texts::is_cleaned(self.recipe) { taught.text } else { String::new() };
                    let key = row.key.unwrap_or(found_here.key);
                    found.push(Found { label: label.flatten(), text, key, ..found_here });
                }
            }
        }
        self.sources.problems.append(gathered.done());
        found
    }

    /// What was preferred in the rows of a source, all answers to one prompt together.
    fn judged(&mut self, source: &Source, rows: &[Row], render: Render) -> Vec<Found> {
        let templates = match Templates::compile(self.recipe, source) {
            Ok(templates) => templates,
            Err(error) => {
                self.sources.problems.push(error);
                return Vec::new();
            }
        };
        let teacher = self.teacher;
        let judged = |row: &Row| {
            let said = teacher.scribe.preference(row, &templates, source)?;
            let read = |answer: &str| {
                let tokens = teacher.judged(&said.asked, answer, render)?;
                tokens.ok_or_else(|| Refused::Row(TrainProblem::NoStop { help: self.ends() }))
            };
            let (chosen, rejected) = (read(&said.chosen)?, read(&said.rejected)?);
            Ok(Tokenised { place: row.place.clone(), said, chosen, rejected })
        };
        let judged: Vec<Result<Tokenised, Refused>> = rows.par_iter().map(judged).collect();
        let (mut all, mut gathered) = (Vec::with_capacity(rows.len()), Gathered::default());
        for (row, judged) in rows.iter().zip(judged) {
            match judged {
                Ok(judged) => all.push(judged),
                Err(refused) => refused.gather(&row.place, &mut gathered),
            }
        }
        let (sequence, of) = (self.recipe.sequence, all.len());
        let says = match self.recipe.judging {
            Some(Judging { by: By::Beta(_), .. }) => Says::All,
            Some(judging) if judging.language > 0.0 => Says::Best,
            _ => Says::Nothing,
        };
        let (found, too_long) = preference::documents(all, sequence, says);
        if self.recipe.too_long == TooLong::Refuse {
            for (place, tokens) in &too_long {
                let what = format!("prompt and answers of this row have {tokens} tokens, and `sequence` is {sequence}");
                let help = "set a larger `sequence`, or leave such rows out: `too_long: drop`".to_owned();
                gathered.row(place, TrainProblem::Row { what, help });
            }
        } else if !too_long.is_empty() {
            let why = format!("prompt and both answers are longer than `sequence: {sequence}`");
            self.sources.warn(&source.at, TrainProblem::Dropped { rows: too_long.len(), of, why });
        }
        self.sources.problems.append(gathered.done());
        found
    }

    /// What is learned, without what is dirty, repeated or asked by a suite, as far as the recipe wants it clean.
    fn cleaned(&mut self, mut found: Vec<(&'a Source, Vec<Found>)>) -> Result<Vec<(&'a Source, Vec<Found>)>, Problems> {
        if !texts::is_cleaned(self.recipe) {
            return Ok(found);
        }
        let all = found.iter().flat_map(|(source, found)| found.iter().map(|one| (source.is_generated(), one)));
        let texts = all.map(|(generated, one)| Text { text: &one.text, place: one.place.clone(), generated });
        let (kept, dropped) = texts::kept(self.recipe, &texts.collect::<Vec<_>>())?;
        self.sources.warnings.extend(dropped);
        let mut kept = kept.into_iter();
        for (_, found) in &mut found {
            found.retain(|_| kept.next().unwrap_or(true));
        }
        Ok(found)
    }

    /// Divides what was found into what is learned and what is held out, and makes it fit.
    fn fill(&mut self, data: &mut Data, found: Vec<(&Source, Vec<Found>)>, own: Vec<(&Source, Vec<Found>)>) {
        let held_out = &self.recipe.held_out;
        for (source, found) in found {
            let (held, learned): (Vec<Found>, Vec<Found>) =
                found.into_iter().partition(|row: &Found| held_out.takes(row.key));
            let engine = self.teacher.engine;
            let first = learned.first().and_then(|found| match &found.group {
                Some(group) => group.shown(),
                None => found.documents.first().map(|document| mask::shown(engine, document)),
            });
            data.first.extend(first.map(|first| (source.at.clone(), first)));
            let mut fitter = Fitter::new(self.recipe, engine, source);
            fitter.add(learned, &mut data.train);
            if held_out.is_share() {
                fitter.add(held, &mut data.held_out);
            }
            self.fitted(fitter);
        }
        for (source, found) in own {
            let mut fitter = Fitter::new(self.recipe, self.teacher.engine, source);
            fitter.add(found, &mut data.held_out);
            self.fitted(fitter);
        }
    }

    fn fitted(&mut self, fitter: Fitter) {
        let (problems, warnings) = fitter.done();
        self.sources.problems.append(problems);
        self.sources.warnings.append(warnings);
    }

    /// What must hold of all data together. Follow-up mistakes of rows that were refused are not said.
    fn sound(&mut self, data: &Data) {
        if self.sources.problems.any_error() || self.recipe.data.is_empty() {
            return;
        }
        let (learned, held) = (&data.train.documents, &data.held_out.documents);
        let documents = learned.len() + held.len();
        if documents == 0 {
            let help = "every document was left out: set a larger `sequence`".to_owned();
            return self.sources.fail("data", TrainProblem::NoData { help });
        }
        if learned.is_empty() {
            return self.sources.fail("held_out", TrainProblem::AllHeldOut { documents });
        }
        if held.is_empty() && self.recipe.evaluate.every > 0 {
            self.sources.fail("held_out", TrainProblem::NoHeldOut { documents });
        }
        let known: HashSet<&[Token]> = learned.iter().map(|document| &document.tokens[..]).collect();
        let leaked = held.iter().filter(|document| known.contains(&document.tokens[..])).count();
        if leaked > 0 {
            self.sources.warn("held_out", TrainProblem::Leak { documents: leaked, of: held.len() });
        }
        let engine = self.teacher.engine;
        if matches!(self.recipe.kind, Kind::Sft | Kind::Pretrain)
            && !learned.iter().any(|document| mask::ends(engine, document))
        {
            let help = self.no_stop(data);
            self.sources.fail("data", TrainProblem::NoStop { help });
        }
    }

    fn no_stop(&self, data: &Data) -> String {
        let cut: usize = data.train.sources.iter().map(|source| source.cut).sum();
        if cut == data.train.documents.len() {
            return "every document was cut before its end: set a larger `sequence`, or `too_long: drop`".to_owned();
        }
        self.ends()
    }

    /// How to get a token that ends an answer.
    fn ends(&self) -> String {
        match self.teacher.end {
            None => {
                "the model's file names no such token (`tokenizer.ggml.eos_token_id`): take another GGUF of it".into()
            }
            Some(_) => {
                "the model's chat template writes none behind an answer: teach texts (`prompt` and `completion`), \
                        whose end token Tripos writes itself, or take a GGUF with a better template"
                    .into()
            }
        }
    }
}
