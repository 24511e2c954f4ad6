//! Teaches one model: its tokenizer, its end token.

use super::mask;
use super::rows::{Row, nothing_learned};
use super::scribe::{Refused, Scribe, Templates};
use crate::engine::{Engine, Render, Token, end_of_text};
use crate::error::Place;
use crate::model::Document;
use crate::prompt::{Asked, Message, PromptError, PromptTemplate, Renderer, Role, TextTemplate};
use crate::run::judged_tokens;
use crate::suite::{Case, Vars};
use crate::train::error::TrainProblem;
use crate::train::recipe::{Ask, Recipe};

/// What a model makes of texts.
pub(super) struct Teacher<'a> {
    pub engine: &'a dyn Engine,
    pub scribe: Scribe,
    /// The token that ends a text.
    pub end: Option<Token>,
}

/// A row as documents.
#[derive(Debug)]
pub(super) struct Taught {
    pub documents: Vec<Document>,
    /// What it says: equal texts are held out together.
    pub text: String,
}

impl<'a> Teacher<'a> {
    pub(super) fn new(recipe: &Recipe, engine: &'a dyn Engine) -> Result<Self, PromptError> {
        let facts = engine.facts();
        let written = |text: &Option<String>| text.clone().unwrap_or_default();
        let (bos, eos) = (written(&facts.bos), written(&facts.eos));
        let scribe = Scribe::new(&facts.controls, facts.chat_template.as_deref(), (recipe, &bos, &eos))?;
        Ok(Self { engine, scribe, end: end_of_text(engine) })
    }

    /// The documents of a row whose answers are learned.
    pub(super) fn learned(&self, row: &Row, templates: &Templates) -> Result<Taught, Refused> {
        let (lessons, ends) = self.scribe.lessons(row, templates)?;
        let end = self.end.filter(|_| ends);
        let documents: Vec<Document> = lessons.iter().map(|lesson| mask::document(self.engine, lesson, end)).collect();
        if documents.iter().any(|document| mask::is_blank(self.engine, document)) {
            return Err(nothing_learned().into());
        }
        Ok(Taught { documents, text: lessons.into_iter().map(|lesson| lesson.text).collect() })
    }

    /// The document of a row that is classified.
    pub(super) fn classified(&self, row: &Row, templates: &Templates) -> Result<Taught, Refused> {
        let prompt = self.scribe.prompt(row, templates)?;
        let tokens = self.engine.tokenize(&prompt.text, &prompt.quoted);
        let learn = vec![false; tokens.len()];
        Ok(Taught { documents: vec![Document::new(tokens, learn)], text: prompt.text })
    }

    /// An answer with its prompt, as the reward model reads them: up to and with the token that ends it. `None` where none
    /// does.
    pub(super) fn judged(&self, asked: &Asked, answer: &str, render: Render) -> Result<Option<Vec<Token>>, Refused> {
        let chat = self.scribe.chat.as_ref().filter(|_| render == Render::Chat);
        if let (Asked::Conversation(_), None) = (asked, chat) {
            let what = "the prompt of this row is a conversation, and the recipe says `render: text`".to_owned();
            let help = "write `render: chat`, or make the prompt a text".to_owned();
            return Err(TrainProblem::Row { what, help }.into());
        }
        let tokens = judged_tokens(self.engine, (asked, answer), &self.scribe.controls, chat)?;
        Ok(Some(tokens).filter(|tokens| tokens.last().is_some_and(|last| self.engine.is_end(*last))))
    }

    /// What the template writes behind a finished answer: the first token that ends one.
    pub(super) fn end_of_turn(&self) -> Option<Token> {
        let message = |role, content: &str| Message { role, content: content.into() };
        let messages = [message(Role::User, "a"), message(Role::Assistant, "b")];
        let lessons = self.scribe.conversation(&messages, &Place::default()).ok()?;
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
        let prompt = Renderer::new(&template, &self.scribe.controls, self.scribe.chat.as_ref())?.render(&case)?;
        let tokens = self.engine.tokenize(&prompt.text, &prompt.quoted);
        Ok((prompt.text, tokens))
    }
}
