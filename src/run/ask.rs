//! What a trial asks of its model: rendered, tokenised, and seen to fit.

use super::error::RunError;
use super::prepare::Prepared;
use super::select::Cell;
use super::want::{self, Unfit, Want};
use crate::engine::{Engine, Token};
use crate::error::Explain;
use crate::prompt::{Prompt, PromptError, Renderer};
use crate::sampling::Sampling;
use crate::score::Scorers;
use crate::seed;
use crate::suite::{Case, Variant};

/// A trial's prompt and what is asked behind it, or why it cannot be asked.
#[derive(Debug)]
pub struct Asked {
    /// The trial.
    pub cell: Cell,
    /// The prompt and its tokens; `None` where it could not be rendered, and for a long text, which has none.
    pub prompt: Option<(Prompt, Vec<Token>)>,
    /// What its model is asked.
    pub wants: Vec<Want>,
    /// Why it cannot be asked.
    pub refusal: Option<RunError>,
}

impl Asked {
    fn nothing(cell: Cell) -> Self {
        Self { cell, prompt: None, wants: Vec::new(), refusal: None }
    }

    fn refused(cell: Cell, refusal: RunError) -> Self {
        Self { refusal: Some(refusal), ..Self::nothing(cell) }
    }
}

/// The stages that a variant's trials go through.
#[derive(Debug)]
pub struct Stages<'a> {
    /// What renders the first prompt.
    pub first: Renderer<'a>,
    /// What renders the prompt that quotes the first completion.
    pub then: Option<Renderer<'a>>,
}

impl Prepared<'_> {
    /// The first question of a trial. `strict` makes what cannot be asked an error rather than a warning, and looks at the
    /// second stage, too, as it would stand behind an empty answer.
    #[must_use]
    pub fn ask(&self, stages: &Stages, cell: Cell, strict: bool) -> Asked {
        let Some(question) = self.question(cell, strict) else { return Asked::nothing(cell) };
        let Question { variant, case, engine, .. } = question;
        if let Some(text) = &self.suite.text {
            let long = case.vars.get("text").and_then(|text| text.as_str()).unwrap_or_default();
            return match want::windows(engine, long, text.stride) {
                Ok(wants) => Asked { wants, ..Asked::nothing(cell) },
                Err(unfit) => Asked::refused(cell, question.unfit(unfit)),
            };
        }
        let asked = question.prompt(stages.first.render(case));
        let asked = match (&stages.then, &variant.then) {
            (Some(then), Some(stage)) => {
                let mut asked = question.say(asked, &variant.sampling);
                if strict && asked.refusal.is_none() {
                    let after = question.prompt(then.render_after(case, ""));
                    asked.refusal = question.last(after, &stage.sampling).refusal;
                }
                return asked;
            }
            _ => question.last(asked, &variant.sampling),
        };
        if strict { self.read_by_all(&question, asked) } else { asked }
    }

    /// The same, refused where it does not fit the model of a classifier. (A run says so in the score.)
    fn read_by_all(&self, question: &Question, mut asked: Asked) -> Asked {
        if let (Some((prompt, _)), None) = (&asked.prompt, &asked.refusal) {
            let readers = self.readers();
            let short = readers.iter().find_map(|reader| Some((reader, reader.tokens(prompt).err()?)));
            let refusal = short.map(|(reader, prompt)| RunError::Unreadable {
                scorer: reader.classifier.name().to_owned(),
                prompt,
                context: reader.engine.context(),
                place: question.variant.place.clone(),
                about: question.about(),
            });
            asked.refusal = refusal;
        }
        asked
    }

    /// The second question of a trial, behind what was said to the first.
    #[must_use]
    pub fn ask_after(&self, then: &Renderer, cell: Cell, completion: &str) -> Asked {
        let Some(question) = self.question(cell, false) else { return Asked::nothing(cell) };
        let Some(stage) = &question.variant.then else { return Asked::nothing(cell) };
        let asked = question.prompt(then.render_after(question.case, completion));
        question.last(asked, &stage.sampling)
    }

    fn question(&self, cell: Cell, strict: bool) -> Option<Question<'_>> {
        let variant = self.variant(cell.variant)?;
        let case = self.suite.cases.get(cell.case)?;
        let (_, engine, _) = self.models.of(variant)?;
        let scorers = self.scorers(cell.variant)?;
        let trial = self.trial(cell);
        let seed = seed::trial(variant.sampling.seed, &trial.variant, &trial.case, cell.repeat);
        let chat = self.begins_a_message(cell.variant);
        Some(Question { cell, variant, case, engine, scorers, chat, seed, strict })
    }
}

/// Who asks what of whom.
struct Question<'q> {
    cell: Cell,
    variant: &'q Variant,
    case: &'q Case,
    engine: &'q dyn Engine,
    scorers: &'q Scorers,
    /// The answer begins a message of its own.
    chat: bool,
    seed: u64,
    strict: bool,
}

impl Question<'_> {
    /// A rendered prompt, tokenised.
    fn prompt(&self, prompt: Result<Prompt, PromptError>) -> Asked {
        let prompt = match prompt {
            Ok(prompt) => prompt,
            Err(error) => return Asked::refused(self.cell, self.not_rendered(&error)),
        };
        let tokens = self.engine.tokenize(&prompt.text, &prompt.quoted);
        let refusal = tokens.is_empty().then(|| RunError::EmptyPrompt {
            place: self.variant.place.clone(),
            variant: self.variant.name.clone(),
            case: self.case.id.clone(),
            warning: !self.strict,
        });
        Asked { prompt: Some((prompt, tokens)), refusal, ..Asked::nothing(self.cell) }
    }

    /// Asks for a completion.
    fn say(&self, mut asked: Asked, sampling: &Sampling) -> Asked {
        let (Some((_, tokens)), None) = (&asked.prompt, &asked.refusal) else { return asked };
        if tokens.len() + sampling.max_tokens as usize > self.engine.context() {
            asked.refusal = Some(self.too_long(tokens.len(), sampling.max_tokens as usize, "max_tokens"));
        } else {
            asked.wants.push(want::say(tokens, sampling, self.seed));
        }
        asked
    }

    /// Asks the last question of a trial: all that its scorers need.
    fn last(&self, mut asked: Asked, sampling: &Sampling) -> Asked {
        let (Some((prompt, tokens)), None) = (&asked.prompt, &asked.refusal) else { return asked };
        let candidates = self.scorers.candidates(self.case, &prompt.text, self.chat);
        match want::candidates(self.engine, (prompt, tokens), &candidates) {
            Ok(wants) => asked.wants = wants,
            Err(unfit) => asked.refusal = Some(self.unfit(unfit)),
        }
        if self.scorers.needs_completion() { self.say(asked, sampling) } else { asked }
    }

    fn unfit(&self, unfit: Unfit) -> RunError {
        match unfit {
            Unfit::TooLong { prompt, candidate } => self.too_long(prompt, candidate, "candidate"),
            Unfit::NoTokens { text } => RunError::NoTokens {
                what: format!("`{text}` adds no token to the prompt"),
                help: "a target or choice needs at least one character that the model's tokenizer keeps".into(),
                place: self.variant.place.clone(),
                about: self.about(),
                warning: !self.strict,
            },
            Unfit::ShortText => RunError::NoTokens {
                what: "the text is shorter than two tokens".into(),
                help: "perplexity is of each token given those before it: name a longer file".into(),
                place: self.variant.place.clone(),
                about: self.about(),
                warning: !self.strict,
            },
        }
    }

    fn too_long(&self, prompt: usize, behind: usize, what: &'static str) -> RunError {
        RunError::TooLong {
            prompt,
            behind,
            what,
            context: self.engine.context(),
            place: self.variant.place.clone(),
            variant: self.variant.name.clone(),
            case: self.case.id.clone(),
            warning: !self.strict,
        }
    }

    fn not_rendered(&self, error: &PromptError) -> RunError {
        let about = match error.about() {
            Some(whose) => format!("variant `{}`, {whose}", self.variant.name),
            None => format!("variant `{}`", self.variant.name),
        };
        let (message, place, help) = (error.to_string(), error.at().cloned(), error.help());
        RunError::NotRendered { message, place, about, help, warning: !self.strict }
    }

    fn about(&self) -> String {
        format!("variant `{}`, case `{}`", self.variant.name, self.case.id)
    }
}
