//! Renders rows for one model: its control tokens, its chat template, its end token.

use super::mask;
use super::rows::{Row, Said, nothing_learned};
use crate::engine::{Engine, Token};
use crate::error::{Explain, Place};
use crate::model::Document;
use crate::prompt::{
    ChatSettings, ChatTemplate, Controls, Lesson, Message, PromptError, PromptTemplate, Renderer, Role, TextTemplate,
};
use crate::suite::{Case, Vars};
use crate::train::error::{TrainError, TrainProblem};
use crate::train::recipe::{Ask, Recipe, Source};
use std::sync::OnceLock;

/// What a model gives to the rendering of its data.
pub(super) struct Teacher<'a> {
    pub engine: &'a dyn Engine,
    pub controls: Controls,
    pub chat: Option<ChatTemplate>,
    /// The token that ends a text.
    pub end: Option<Token>,
    /// How a finished answer begins otherwise than one that is asked for, where it does.
    pub other_start: OnceLock<(String, String)>,
}

/// The prompt and the completion of a source, compiled.
#[derive(Debug, Default)]
pub(super) struct Templates {
    prompt: Option<PromptTemplate>,
    completion: Option<TextTemplate>,
}

/// A row as documents.
#[derive(Debug)]
pub(super) struct Taught {
    pub documents: Vec<Document>,
    /// What it says: equal texts are held out together.
    pub text: String,
}

/// What is wrong with a row.
pub(super) enum Refused {
    Row(TrainProblem),
    Prompt(PromptError),
}

impl From<PromptError> for Refused {
    fn from(error: PromptError) -> Self {
        Self::Prompt(error)
    }
}

impl From<TrainProblem> for Refused {
    fn from(problem: TrainProblem) -> Self {
        Self::Row(problem)
    }
}

impl Templates {
    pub(super) fn compile(recipe: &Recipe, source: &Source) -> Result<Self, PromptError> {
        let place = recipe.place(&format!("{}.completion", source.at));
        Ok(Self {
            prompt: source.prompt.as_ref().map(PromptTemplate::compile).transpose()?,
            completion: source.completion.as_ref().map(|text| TextTemplate::compile_part(text, &place)).transpose()?,
        })
    }
}

impl<'a> Teacher<'a> {
    pub(super) fn new(recipe: &Recipe, engine: &'a dyn Engine) -> Result<Self, PromptError> {
        let facts = engine.facts();
        let settings = ChatSettings {
            bos: facts.bos.clone().unwrap_or_default(),
            eos: facts.eos.clone().unwrap_or_default(),
            date: recipe.date.clone(),
            template_vars: recipe.template_vars.clone(),
        };
        let chat = facts.chat_template.as_ref().map(|source| ChatTemplate::compile(source, &settings)).transpose()?;
        let end = facts.eos.as_ref().and_then(|eos| engine.tokenize(eos, &[]).last().copied());
        Ok(Self {
            engine,
            controls: Controls::new(&facts.controls)?,
            chat,
            end: end.filter(|token| engine.is_end(*token)),
            other_start: OnceLock::new(),
        })
    }

    /// The documents of a row whose answers are learned.
    pub(super) fn learned(&self, row: &Row, templates: &Templates) -> Result<Taught, Refused> {
        let (lessons, end) = match &row.said {
            Said::Messages(messages) => (self.conversation(messages, &row.place)?, None),
            Said::Text(text) => (vec![Lesson::whole(text, &self.controls)?], self.end),
            Said::Answer { prompt, completion } => (vec![Lesson::plain(prompt, completion, &self.controls)?], self.end),
            Said::Instruction { instruction, input, output } => self.instruction((instruction, input, output), row)?,
            Said::Case(case) => {
                let (Some(prompt), Some(completion)) = (&templates.prompt, &templates.completion) else {
                    return Err(nothing_learned().into());
                };
                let renderer = Renderer::new(prompt, &self.controls, self.chat.as_ref())?;
                let lesson = renderer.lesson(case, completion).map_err(|error| refused(case, error))?;
                (vec![lesson], if matches!(prompt, PromptTemplate::Chat(_)) { None } else { self.end })
            }
        };
        for start in lessons.iter().filter_map(|lesson| lesson.other_start.clone()) {
            let _ = self.other_start.set(start);
        }
        let documents: Vec<Document> = lessons.iter().map(|lesson| mask::document(self.engine, lesson, end)).collect();
        if documents.iter().any(|document| mask::is_blank(self.engine, document)) {
            return Err(nothing_learned().into());
        }
        Ok(Taught { documents, text: lessons.into_iter().map(|lesson| lesson.text).collect() })
    }

    /// The document of a row that is classified: the prompt as a suite would ask it, or the bare text.
    pub(super) fn classified(&self, row: &Row, templates: &Templates) -> Result<Taught, Refused> {
        let prompt = match (&row.said, &templates.prompt) {
            (Said::Case(case), Some(prompt)) => {
                Renderer::new(prompt, &self.controls, self.chat.as_ref())?.render(case)?
            }
            (Said::Text(text), _) => self.controls.quote(text)?,
            _ => return Err(nothing_learned().into()),
        };
        let tokens = self.engine.tokenize(&prompt.text, &prompt.quoted);
        let learn = vec![false; tokens.len()];
        Ok(Taught { documents: vec![Document { tokens, learn }], text: prompt.text })
    }

    fn conversation(&self, messages: &[Message], place: &Place) -> Result<Vec<Lesson>, Refused> {
        let Some(chat) = &self.chat else {
            let what = "this row is a conversation, and the model has no chat template".to_owned();
            let help = "teach it texts (`prompt` and `completion`), or take a model with a chat template".to_owned();
            return Err(TrainProblem::Row { what, help }.into());
        };
        Ok(Lesson::conversation(messages, &self.controls, chat, place)?)
    }

    /// An instruction is a turn of a conversation; for a model that has none it is laid out as Alpaca did.
    fn instruction(
        &self,
        (instruction, input, output): (&str, &str, &str),
        row: &Row,
    ) -> Result<(Vec<Lesson>, Option<Token>), Refused> {
        if self.chat.is_some() {
            let user = if input.is_empty() { instruction.to_owned() } else { format!("{instruction}\n\n{input}") };
            let messages = [
                Message { role: Role::User, content: user.into() },
                Message { role: Role::Assistant, content: output.into() },
            ];
            return Ok((self.conversation(&messages, &row.place)?, None));
        }
        let prompt = if input.is_empty() {
            format!("### Instruction:\n{instruction}\n\n### Response:\n")
        } else {
            format!("### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n")
        };
        Ok((vec![Lesson::plain(&prompt, output, &self.controls)?], self.end))
    }

    /// What the template writes behind a finished answer: the first token that ends one.
    pub(super) fn end_of_turn(&self) -> Option<Token> {
        let message = |role, content: &str| Message { role, content: content.into() };
        let messages = [message(Role::User, "a"), message(Role::Assistant, "b")];
        let lessons = self.conversation(&messages, &Place::default()).ok()?;
        let document = mask::document(self.engine, lessons.first()?, None);
        document.tokens.last().copied().filter(|token| self.engine.is_end(*token))
    }

    /// A prompt of an evaluation, as text and tokens.
    pub(super) fn ask(&self, recipe: &Recipe, index: usize, ask: &Ask) -> Result<(String, Vec<Token>), PromptError> {
        let (template, vars) = match ask {
            Ask::Text(text) => {
                let place = recipe.place(&format!("evaluate.prompts[{index}]"));
                (PromptTemplate::Text(TextTemplate::compile_part(text, &place)?), Vars::new())
            }
            Ask::File { prompt, vars } => (PromptTemplate::compile(prompt)?, vars.clone()),
        };
        let case = Case { id: (index + 1).to_string(), vars, ..Case::default() };
        let prompt = Renderer::new(&template, &self.controls, self.chat.as_ref())?.render(&case)?;
        let tokens = self.engine.tokenize(&prompt.text, &prompt.quoted);
        Ok((prompt.text, tokens))
    }
}

/// A completion that prints the target of a row without one.
fn refused(case: &Case, error: PromptError) -> Refused {
    if case.target.is_some() || error.to_string() != "undefined variable `target`" {
        return error.into();
    }
    let help = "give each row a `target`, or name the column: `columns: {target: COLUMN}`".to_owned();
    TrainProblem::Row { what: "this row has no `target`".to_owned(), help }.into()
}

impl Refused {
    /// Reports it at its row.
    pub(super) fn gather(self, place: &Place, gathered: &mut super::gather::Gathered) {
        match self {
            Self::Row(problem) => gathered.row(place, problem),
            Self::Prompt(error) if error.at().is_some() => gathered.push(&error.to_string(), place, error),
            Self::Prompt(error) => {
                let problem = TrainProblem::Row { what: error.to_string(), help: error.help().unwrap_or_default() };
                gathered.push(&error.to_string(), place, TrainError::new(place.clone(), problem));
            }
        }
    }
}
