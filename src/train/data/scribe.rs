//! Writes rows out as texts: what prompt files, a chat template and control tokens make of them. It knows no tokenizer.

use super::rows::{Preference, Row, Said, nothing_learned};
use crate::error::{Explain, Place};
use crate::prompt::{
    Asked, ChatSettings, ChatTemplate, Controls, Lesson, Message, Prompt, PromptError, PromptTemplate, Renderer, Role,
    TextTemplate,
};
use crate::suite::Case;
use crate::train::error::{TrainError, TrainProblem};
use crate::train::recipe::{Recipe, Source};
use std::sync::{Arc, OnceLock};

/// What a model's file says of how texts are written.
pub(super) struct Scribe {
    pub controls: Controls,
    pub chat: Option<ChatTemplate>,
    /// How a finished answer begins otherwise than one that is asked for, where it does.
    pub other_start: OnceLock<(String, String)>,
}

/// The templates of a source, compiled.
#[derive(Debug, Default)]
pub(super) struct Templates {
    prompt: Option<PromptTemplate>,
    completion: Option<TextTemplate>,
    /// The better answer and the worse one.
    answers: Option<[TextTemplate; 2]>,
    document: Option<TextTemplate>,
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
        let place = |field: &str| recipe.place(&format!("{}.{field}", source.at));
        let named = |text: &String, name: &str| TextTemplate::compile_part(text, &place(name));
        let part = |text: &String| named(text, "completion");
        let answers = |[chosen, rejected]: &[String; 2]| Ok([named(chosen, "chosen")?, named(rejected, "rejected")?]);
        let document = |text: &String| TextTemplate::compile_document(text, &place("text"));
        Ok(Self {
            prompt: source.prompt.as_ref().map(PromptTemplate::compile).transpose()?,
            completion: source.completion.as_ref().map(part).transpose()?,
            answers: source.answers.as_ref().map(answers).transpose()?,
            document: source.text.as_ref().map(document).transpose()?,
        })
    }
}

impl Scribe {
    /// By a model's control tokens and its chat template.
    pub(super) fn new(
        controls: &[String],
        chat: Option<&str>,
        (recipe, bos, eos): (&Recipe, &str, &str),
    ) -> Result<Self, PromptError> {
        let settings = ChatSettings {
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            date: recipe.date.clone(),
            template_vars: recipe.template_vars.clone(),
        };
        let chat = chat.map(|source| ChatTemplate::compile(source, &settings)).transpose()?;
        Ok(Self { controls: Controls::new(controls)?, chat, other_start: OnceLock::new() })
    }

    /// The lessons of a row whose answers are learned, and whether the token that ends a text belongs behind each: the chat
    /// template writes its own.
    pub(super) fn lessons(&self, row: &Row, templates: &Templates) -> Result<(Vec<Lesson>, bool), Refused> {
        let (lessons, ends) = match &row.said {
            Said::Messages(messages) => (self.conversation(messages, &row.place)?, false),
            Said::Text(text) => (vec![Lesson::whole(text, &self.controls)?], true),
            Said::Answer { prompt, completion } => (vec![Lesson::plain(prompt, completion, &self.controls)?], true),
            Said::Instruction { instruction, input, output } => self.instruction((instruction, input, output), row)?,
            Said::Case { case, examples } => self.case(case, examples, templates)?,
            Said::Preference(_) => return Err(nothing_learned().into()),
        };
        for start in lessons.iter().filter_map(|lesson| lesson.other_start.clone()) {
            let _ = self.other_start.set(start);
        }
        Ok((lessons, ends))
    }

    fn case(&self, case: &Case, examples: &[Arc<Case>], templates: &Templates) -> Result<(Vec<Lesson>, bool), Refused> {
        let examples: Vec<&Case> = examples.iter().map(AsRef::as_ref).collect();
        let refused = |error| refused(case, error);
        if let Some(document) = &templates.document {
            let lesson = Lesson::document(case, &examples, document, &self.controls).map_err(refused)?;
            return Ok((vec![lesson], true));
        }
        let (Some(prompt), Some(completion)) = (&templates.prompt, &templates.completion) else {
            return Err(nothing_learned().into());
        };
        let renderer = Renderer::new(prompt, &self.controls, self.chat.as_ref())?;
        let lesson = renderer.lesson(case, &examples, completion).map_err(refused)?;
        Ok((vec![lesson], !matches!(prompt, PromptTemplate::Chat(_))))
    }

    /// The prompt of a row that is classified: as a suite would ask it, or the bare text.
    pub(super) fn prompt(&self, row: &Row, templates: &Templates) -> Result<Prompt, Refused> {
        Ok(match (&row.said, &templates.prompt) {
            (Said::Case { case, .. }, Some(prompt)) => {
                Renderer::new(prompt, &self.controls, self.chat.as_ref())?.render(case)?
            }
            (Said::Text(text), _) => self.controls.quote(text)?,
            _ => return Err(nothing_learned().into()),
        })
    }

    /// What was preferred in a row.
    pub(super) fn preference(&self, row: &Row, templates: &Templates, source: &Source) -> Result<Preference, Refused> {
        let said = match (&row.said, &templates.prompt, &templates.answers) {
            (Said::Preference(said), ..) => Preference::clone(said),
            (Said::Case { case, .. }, Some(prompt), Some(answers)) => {
                let refused = |error| refused(case, error);
                let asked = Renderer::new(prompt, &self.controls, self.chat.as_ref())?.render(case).map_err(refused)?;
                let mut said = answers.iter().map(|answer| answer.answer(case, &self.controls).map_err(refused));
                let [chosen, rejected] = [said.next(), said.next()].map(|said| said.unwrap_or(Ok(String::new())));
                let (axis, tags) = (source.axis.clone(), source.tags.clone());
                Preference { asked: Asked::of(&asked), chosen: chosen?, rejected: rejected?, margin: 0.0, axis, tags }
            }
            _ => return Err(nothing_learned().into()),
        };
        said.fault().map_or(Ok(said), |fault| Err(fault.into()))
    }

    pub(super) fn conversation(&self, messages: &[Message], place: &Place) -> Result<Vec<Lesson>, Refused> {
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
    ) -> Result<(Vec<Lesson>, bool), Refused> {
        if self.chat.is_some() {
            let user = if input.is_empty() { instruction.to_owned() } else { format!("{instruction}\n\n{input}") };
            let messages = [
                Message { role: Role::User, content: user.into() },
                Message { role: Role::Assistant, content: output.into() },
            ];
            return Ok((self.conversation(&messages, &row.place)?, false));
        }
        let prompt = if input.is_empty() {
            format!("### Instruction:\n{instruction}\n\n### Response:\n")
        } else {
            format!("### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n")
        };
        Ok((vec![Lesson::plain(&prompt, output, &self.controls)?], true))
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
