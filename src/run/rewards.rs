//! Reward models read what was said in trials: the scorers `reward`.

use super::asking::Asking;
use super::error::RunError;
use super::judges::Verdicts;
use super::prepare::Prepared;
use super::underway::Underway;
use crate::engine::cache::Identity;
use crate::engine::{Answer, Answered, Ask, Engine, Render, Request, Token, end_of_text};
use crate::error::{Place, Problems};
use crate::prompt::{Asked, ChatTemplate, Controls, Lesson, PromptError, Renderer};
use crate::score::{Found, Rewarding, Verdict};

/// A reward model with the model that it is run on, and what its questions are rendered with.
pub(super) struct Rewarder<'a> {
    pub(super) rewarding: Rewarding<'a>,
    pub(super) engine: &'a dyn Engine,
    pub(super) identity: Identity,
    pub(super) controls: &'a Controls,
    /// The chat template of that model, where it judges chats.
    pub(super) chat: Option<&'a ChatTemplate>,
    /// What renders its own prompt, where it has one; else the last prompt of a trial is what was asked.
    pub(super) question: Option<Renderer<'a>>,
}

/// An answer with its prompt, as a reward model reads them: up to and with the token that ends the answer. Where nothing
/// would end it, its last token.
///
/// # Errors
/// A conversation for a model that has no chat template; what the template refuses.
pub fn judged_tokens(
    engine: &dyn Engine,
    (asked, answer): (&Asked, &str),
    controls: &Controls,
    chat: Option<&ChatTemplate>,
) -> Result<Vec<Token>, PromptError> {
    let lesson = Lesson::judged((asked, answer), controls, chat, &Place::default())?;
    let text = Answered { text: &lesson.text, quoted: &lesson.quoted, answers: &lesson.answers };
    let end = if chat.is_some() { None } else { end_of_text(engine) };
    Ok(text.tokens(engine, end).0)
}

impl Rewarder<'_> {
    /// Has what was said in trials read, and puts what was found to their verdicts.
    pub(super) fn read(
        &self,
        prepared: &Prepared,
        trials: &mut [(Underway, Verdicts)],
        asking: &Asking,
    ) -> Result<(), Problems> {
        let mut found: Vec<Option<Result<Found, String>>> = vec![None; trials.len()];
        let (mut places, mut requests) = (Vec::new(), Vec::new());
        for (place, (trial, _)) in trials.iter().enumerate() {
            match self.tokens(prepared, trial) {
                None => {}
                Some(Ok(tokens)) => {
                    places.push((place, tokens.len()));
                    requests.push((Request { id: 0, tokens, ask: Ask::State }, 0));
                }
                Some(Err(reason)) => found[place] = Some(Err(reason)),
            }
        }
        let asked: Vec<usize> = places.iter().map(|(place, _)| *place).collect();
        asking.answer(self.engine, &self.identity, requests, &mut |id, answer, cached| {
            let (Some(&(place, count)), Answer::State(state)) = (places.get(id), answer) else { return };
            if let (Some(told), Some((_, verdicts))) = (found.get_mut(place), trials.get_mut(place)) {
                *told = Some(Ok(Found::State(state)));
                verdicts.tokens_decoded += if cached { 0 } else { count };
            }
        })?;
        for place in asked {
            if let (Some(None), Some((_, verdicts))) = (found.get(place), trials.get_mut(place)) {
                verdicts.cut_off = true;
            }
        }
        for ((_, verdicts), told) in trials.iter_mut().zip(found) {
            let scorer = self.rewarding.name().to_owned();
            verdicts.found.extend(told.map(|asked| Verdict { scorer, asked }));
        }
        Ok(())
    }

    /// What was said in a trial behind what it is judged as an answer to; `None` where nothing was.
    fn tokens(&self, prepared: &Prepared, trial: &Underway) -> Option<Result<Vec<Token>, String>> {
        if trial.asked.refusal.is_some() {
            return None;
        }
        let said = trial.completion()?;
        let case = prepared.suite.cases.get(trial.cell().case)?;
        let asked = match (&self.question, &trial.asked.prompt) {
            (Some(own), _) => own.render(case).map(|prompt| Asked::of(&prompt)),
            (None, Some((prompt, _))) => Ok(Asked::of(prompt)),
            (None, None) => return None,
        };
        let tokens = asked.and_then(|asked| judged_tokens(self.engine, (&asked, &said.text), self.controls, self.chat));
        let context = self.engine.context();
        Some(match tokens {
            Ok(tokens) if (1..=context).contains(&tokens.len()) => Ok(tokens),
            Ok(tokens) => Err(format!("{} tokens of prompt and answer > {context} context tokens", tokens.len())),
            Err(error) => Err(error.to_string()),
        })
    }

    /// What does not go together between the reward model and the model that it was found to sit on.
    pub(super) fn fault(&self, prepared: &Prepared) -> Option<RunError> {
        let (head, width) = (self.rewarding.model().width(), self.engine.facts().width);
        let spec = prepared.suite.scorers.iter().find(|scorer| scorer.name == self.rewarding.name())?;
        let (file, model) = (self.rewarding.spec().file.clone(), self.engine.facts().path.clone());
        (width != head).then(|| RunError::HeadWidth { classifier: file, head, model, width, place: spec.place.clone() })
    }

    /// Whether it judges conversations.
    pub(super) fn is_chat(rewarding: Rewarding) -> bool {
        rewarding.model().render == Render::Chat
    }
}
