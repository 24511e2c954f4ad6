//! What a model said in a run, as far as it passed, as documents: it learns from its own right answers.

use super::gather::Gathered;
use super::mask;
use super::read::Found;
use super::rows::nothing_learned;
use super::teacher::Teacher;
use crate::engine::Token;
use crate::error::{Place, Problems};
use crate::model::Document;
use crate::prompt::Lesson;
use crate::score::ScoreValue;
use crate::store::{Completion, Header, Repeat, Sample, StopReason, read_header, read_samples, samples_file};
use crate::train::error::{TrainError, TrainProblem};
use std::path::{Path, PathBuf};

/// A run, and which of its samples count.
pub(super) struct Passed<'a> {
    pub run: &'a Path,
    pub variant: Option<&'a str>,
    pub scorer: Option<&'a str>,
    /// Where the run stands in the recipe.
    pub place: Place,
    pub limit: usize,
    /// What they say is kept, to be cleaned.
    pub cleaned: bool,
}

impl Passed<'_> {
    /// The documents of the samples that pass, and how many passed but were cut short.
    pub(super) fn read(&self, teacher: &Teacher) -> Result<(Vec<Found>, usize), Problems> {
        let header = read_header(self.run)?;
        let variant = self.variant(&header)?;
        self.scorer(&header)?;
        let same = header.models.get(&variant).is_some_and(|model| model.facts.sha256 == teacher.engine.facts().sha256);
        let chat = is_chat(&header, &variant);
        let end = if chat { teacher.end_of_turn() } else { teacher.end };
        let told = Told { header: &header, teacher, same, chat, end };
        let (mut found, mut cut, mut line) = (Vec::new(), 0, 0);
        let mut gathered = Gathered::default();
        let file = samples_file(self.run);
        read_samples(self.run, |sample| {
            line += 1;
            let place = Place::new(&file, line, 0);
            if found.len() >= self.limit || sample.trial.variant != variant || !self.counts(&sample) {
                return;
            }
            if sample.completion.as_ref().is_some_and(|said| said.stop_reason == StopReason::Length) {
                cut += 1;
                return;
            }
            match told.document(&sample) {
                Ok(Some((document, text))) => {
                    let one = Found::new(place, vec![document], &text);
                    found.push(if self.cleaned { Found { text, ..one } } else { one });
                }
                Ok(None) => {}
                Err(problem) => gathered.row(&place, problem),
            }
        })?;
        gathered.done().or_ok((found, cut))
    }

    /// The variant asked for, or the only one.
    fn variant(&self, header: &Header) -> Result<String, TrainError> {
        let mut known = header.models.keys().cloned().collect::<Vec<String>>();
        match (self.variant, known.len()) {
            (Some(name), _) if known.iter().any(|known| known == name) => Ok(name.to_owned()),
            (Some(name), _) => Err(self.error(TrainProblem::Unknown { what: "variant", name: name.to_owned(), known })),
            (None, 1) => Ok(known.remove(0)),
            (None, _) => {
                let what = "the run has several variants".to_owned();
                let help = format!("say which counts: `variant: NAME` ({})", known.join(", "));
                Err(self.error(TrainProblem::Setting { what, help }))
            }
        }
    }

    fn scorer(&self, header: &Header) -> Result<(), TrainError> {
        let names = header.suite.get("scorers").and_then(|scorers| scorers.as_array()).into_iter().flatten();
        let known: Vec<String> = names.filter_map(|scorer| Some(scorer.get("name")?.as_str()?.to_owned())).collect();
        match self.scorer.filter(|name| !known.iter().any(|known| known == name)) {
            Some(name) => Err(self.error(TrainProblem::Unknown { what: "scorer", name: name.to_owned(), known })),
            None => Ok(()),
        }
    }

    fn error(&self, problem: TrainProblem) -> TrainError {
        TrainError::new(self.place.clone(), problem)
    }

    /// Whether a sample is one of the run's own (not of several together) and passes.
    fn counts(&self, sample: &Sample) -> bool {
        if sample.trial.repeat == Repeat::Reduced || sample.completion.is_none() {
            return false;
        }
        let Some(name) = self.scorer else { return sample.passed() };
        sample.scores.iter().filter(|score| score.scorer == name).any(|score| match &score.value {
            ScoreValue::Pass(pass) => *pass,
            ScoreValue::Label(label) => sample.case.target.as_deref().is_some_and(|target| target.trim() == label),
            ScoreValue::Number(_) | ScoreValue::Unscored(_) => false,
        })
    }
}

/// Whether a variant's last prompt is a chat.
fn is_chat(header: &Header, variant: &str) -> bool {
    let variants = header.suite.get("variants").and_then(|variants| variants.as_array()).into_iter().flatten();
    let of_name = |spec: &&serde_json::Value| spec.get("name").and_then(|name| name.as_str()) == Some(variant);
    let prompt = variants.into_iter().find(of_name).and_then(|spec| {
        let stage = spec.get("then").filter(|then| !then.is_null()).unwrap_or(spec);
        stage.get("prompt")?.get("path")?.as_str().map(PathBuf::from)
    });
    prompt.is_some_and(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"))
}

/// How a run's texts become tokens of the model that learns.
struct Told<'a> {
    header: &'a Header,
    teacher: &'a Teacher<'a>,
    /// The model that said them is the one that learns.
    same: bool,
    chat: bool,
    /// The token that ends an answer.
    end: Option<Token>,
}

impl Told<'_> {
    /// The document of a sample, and its text. Tokens that were recorded are kept where they are this model's; texts of a
    /// model with another vocabulary are taken anew, and no control token is meant in them.
    fn document(&self, sample: &Sample) -> Result<Option<(Document, String)>, TrainProblem> {
        let (Some(prompt), Some(said)) = (&sample.prompt, &sample.completion) else { return Ok(None) };
        let prefix = prompt.prefix.as_ref().and_then(|id| self.header.prefixes.get(id)).map_or("", String::as_str);
        let asked = format!("{prefix}{}", prompt.text);
        let text = format!("{asked}{}", said.text);
        let document = if self.same || self.knows(&asked, &prompt.tokens) {
            let mut tokens = prompt.tokens.clone();
            tokens.extend(self.drawn(said));
            tokens.extend(self.end);
            let learn = (0..tokens.len()).map(|at| at >= prompt.tokens.len().max(1)).collect();
            Document::new(tokens, learn)
        } else if self.chat {
            let what = "another model was asked this, in its own chat format".to_owned();
            let help = "run the suite on the model that is to learn (`tripos run SUITE --model M`)".to_owned();
            return Err(TrainProblem::Row { what, help });
        } else {
            let lesson = Lesson::plain(&asked, &said.text, &self.teacher.scribe.controls).map_err(|error| {
                TrainProblem::Row { what: error.to_string(), help: "leave this sample out".to_owned() }
            })?;
            mask::document(self.teacher.engine, &lesson, self.end)
        };
        let blank = mask::is_blank(self.teacher.engine, &document);
        if blank { Err(nothing_learned()) } else { Ok(Some((document, text))) }
    }

    /// Whether the recorded tokens of a text are this vocabulary's, its control tokens being meant or quoted.
    fn knows(&self, text: &str, tokens: &[Token]) -> bool {
        let quoted = self.teacher.scribe.controls.quote(text).map(|prompt| prompt.quoted).unwrap_or_default();
        [Vec::new(), quoted].iter().any(|quoted| self.teacher.engine.tokenize(text, quoted) == tokens)
    }

    /// The tokens that were drawn, without those of a stop text.
    fn drawn(&self, said: &Completion) -> Vec<Token> {
        let engine = self.teacher.engine;
        let ends_here = |count: &usize| engine.bytes(&said.tokens[..*count]) == said.text.as_bytes();
        match (0..=said.tokens.len()).rev().find(ends_here) {
            Some(count) => said.tokens[..count].to_vec(),
            None => mask::alone(engine, &said.text, &self.teacher.scribe.controls),
        }
    }
}
