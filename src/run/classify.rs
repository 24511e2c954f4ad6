//! Classifiers read the prompts of trials: the scorers `label` with a `classifier`.

use super::asking::Asking;
use super::error::RunError;
use super::judges::Verdicts;
use super::prepare::Prepared;
use super::underway::Underway;
use crate::engine::cache::Identity;
use crate::engine::{Answer, Ask, Engine, Render, Request, Token};
use crate::error::Problems;
use crate::prompt::Prompt;
use crate::score::{Classifying, Found, Verdict};
use crate::suite::Variant;

/// A classifier with the model that it is run on.
pub(super) struct Reader<'a> {
    pub(super) classifier: Classifying<'a>,
    pub(super) engine: &'a dyn Engine,
    pub(super) identity: Identity,
}

impl Reader<'_> {
    /// The prompt's tokens, as the classifier's model sees them; or how many there are where they do not fit.
    pub(super) fn tokens(&self, prompt: &Prompt) -> Result<Vec<Token>, usize> {
        let tokens = self.engine.tokenize(&prompt.text, &prompt.quoted);
        if (1..=self.engine.context()).contains(&tokens.len()) { Ok(tokens) } else { Err(tokens.len()) }
    }

    /// Has the prompts of trials read, and puts what was found to their verdicts.
    pub(super) fn read(&self, trials: &mut [(Underway, Verdicts)], asking: &Asking) -> Result<(), Problems> {
        let mut found: Vec<Option<Result<Found, String>>> = vec![None; trials.len()];
        let (mut places, mut requests) = (Vec::new(), Vec::new());
        for (place, (trial, _)) in trials.iter().enumerate() {
            let Some((prompt, _)) = trial.asked.prompt.as_ref().filter(|_| trial.asked.refusal.is_none()) else {
                continue;
            };
            match self.tokens(prompt) {
                Ok(tokens) => {
                    places.push((place, tokens.len()));
                    requests.push((Request { id: 0, tokens, ask: Ask::State }, 0));
                }
                Err(count) => {
                    let reason = format!("{count} tokens of prompt > {} context tokens", self.engine.context());
                    found[place] = Some(Err(reason));
                }
            }
        }
        let asked: Vec<usize> = places.iter().map(|(place, _)| *place).collect();
        asking.answer(self.engine, &self.identity, requests, &mut |id, answer, cached| {
            let (Some(&(place, count)), Answer::State(state)) = (places.get(id), answer) else { return };
            if let (Some(told), Some((_, verdicts))) = (found.get_mut(place), trials.get_mut(place)) {
                *told = Some(Ok(Found::State(state)));
                verdicts.tokens_decoded += if cached { 0 } else { count };
                verdicts.states.0 += usize::from(cached);
                verdicts.states.1 += 1;
            }
        })?;
        for place in asked {
            if let (Some(None), Some((_, verdicts))) = (found.get(place), trials.get_mut(place)) {
                verdicts.cut_off = true;
            }
        }
        for ((_, verdicts), told) in trials.iter_mut().zip(found) {
            let scorer = self.classifier.name().to_owned();
            verdicts.found.extend(told.map(|asked| Verdict { scorer, asked }));
        }
        Ok(())
    }

    /// What does not go together between the classifier and the model that it was found to sit on.
    pub(super) fn fault(&self, prepared: &Prepared) -> Option<RunError> {
        let width = self.engine.facts().width;
        let spec = prepared.suite.scorers.iter().find(|scorer| scorer.name == self.classifier.name())?;
        (width != self.classifier.width()).then(|| RunError::HeadWidth {
            classifier: self.classifier.spec().file.clone(),
            head: self.classifier.width(),
            model: self.engine.facts().path.clone(),
            width,
            place: spec.place.clone(),
        })
    }

    /// A variant whose prompts are of another kind than what the classifier learned from.
    pub(super) fn unlike(&self, variant: &Variant) -> Option<RunError> {
        let last = variant.then.as_ref().map_or(&variant.prompt, |stage| &stage.prompt);
        let learned = self.classifier.render();
        (last.is_chat() != (learned == Render::Chat)).then(|| RunError::OtherRender {
            scorer: self.classifier.name().to_owned(),
            learned: if learned == Render::Chat { "chats" } else { "texts" },
            place: variant.place.clone(),
            variant: variant.name.clone(),
        })
    }
}
