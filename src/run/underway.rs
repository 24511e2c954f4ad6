//! A trial between being asked and being recorded.

use super::ask::Asked;
use super::select::Cell;
use super::want::Want;
use crate::engine::{Answer, Completion, Request};
use crate::store::StageRecord;

/// A trial, what it was told so far, and what is still open.
#[derive(Debug)]
pub(super) struct Underway {
    /// The present stage.
    pub(super) asked: Asked,
    /// The stages before it.
    pub(super) before: Vec<StageRecord>,
    /// The answers to what the present stage wants, and whether each came from the cache.
    answers: Vec<Option<(Answer, bool)>>,
}

impl Underway {
    pub(super) fn new(asked: Asked) -> Self {
        let answers = vec![None; if asked.refusal.is_some() { 0 } else { asked.wants.len() }];
        Self { asked, before: Vec::new(), answers }
    }

    /// The next stage of a trial, the present one told.
    pub(super) fn next(self, asked: Asked, told: StageRecord) -> Self {
        let before = self.before.into_iter().chain([told]).collect();
        Self { before, ..Self::new(asked) }
    }

    pub(super) fn cell(&self) -> Cell {
        self.asked.cell
    }

    /// What the present stage asks of the engine; nothing where it cannot be asked.
    pub(super) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.asked.wants.iter().take(self.answers.len()).map(|want| &want.request)
    }

    pub(super) fn answered(&mut self, want: usize, answer: Answer, cached: bool) {
        if let Some(place) = self.answers.get_mut(want) {
            *place = Some((answer, cached));
        }
    }

    /// Why one of the questions of the present stage has no answer: what happened, and how to mend it.
    pub(super) fn failure(&self) -> Option<(&str, &str)> {
        self.answers().find_map(|(_, answer)| match answer {
            Answer::Failed { reason, help } => Some((reason.as_str(), help.as_str())),
            _ => None,
        })
    }

    /// Whether nothing is open.
    pub(super) fn is_answered(&self) -> bool {
        self.answers.iter().all(Option::is_some)
    }

    /// Whether there are answers, and all of them came from the cache.
    pub(super) fn is_cached(&self) -> bool {
        !self.answers.is_empty() && self.answers.iter().flatten().all(|(_, cached)| *cached)
    }

    /// Whether its own model is asked nothing, since others judge the prompt.
    pub(super) fn wants_nothing(&self) -> bool {
        self.answers.is_empty() && self.before.is_empty()
    }

    /// What was said in the present stage.
    pub(super) fn completion(&self) -> Option<&Completion> {
        self.answers().find_map(|(_, answer)| match answer {
            Answer::Completion(completion) => Some(completion),
            _ => None,
        })
    }

    /// What was wanted, each with its answer.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&Want, &Answer)> {
        self.asked.wants.iter().zip(&self.answers).filter_map(|(want, answer)| Some((want, &answer.as_ref()?.0)))
    }
}
