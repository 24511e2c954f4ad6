//! From a completion to a line of the record: judged, written, told to the observer, remembered in the cache.

use super::error::RunError;
use super::observer::Observer;
use super::prepare::{Asked, Prepared};
use crate::engine::Completion;
use crate::engine::cache::{Cache, Key};
use crate::error::{Explain, Problems};
use crate::score::{Judged, Score, ScoreValue};
use crate::store::{CaseRecord, PromptRecord, RunFolder, Sample};
use std::collections::HashSet;

/// Answers are handed to the cache so many at a time: one transaction each would be slow.
const CACHE_BATCH: usize = 256;

/// Writes samples.
pub(super) struct Recorder<'a> {
    prepared: &'a Prepared<'a>,
    folder: &'a mut RunFolder,
    observer: &'a dyn Observer,
    cache: Option<&'a Cache>,
    fresh: Vec<(Key, Completion)>,
    /// Kinds of warning that were said.
    said: HashSet<std::mem::Discriminant<RunError>>,
    /// The first thing that went wrong; nothing is recorded after it.
    pub(super) failed: Option<Problems>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(
        prepared: &'a Prepared<'a>,
        folder: &'a mut RunFolder,
        observer: &'a dyn Observer,
        cache: Option<&'a Cache>,
    ) -> Self {
        Self { prepared, folder, observer, cache, fresh: Vec::new(), said: HashSet::new(), failed: None }
    }

    /// Records an answer that the model has just given, and remembers it under its key.
    pub(super) fn answered(&mut self, asked: Asked, completion: Completion, key: Option<Key>) {
        if let Some(key) = key.filter(|_| self.cache.is_some()) {
            self.fresh.push((key, completion.clone()));
            if self.fresh.len() >= CACHE_BATCH {
                self.remember();
            }
        }
        self.record(asked, Some(completion), false);
    }

    /// Records an answer from the cache.
    pub(super) fn recalled(&mut self, asked: Asked, completion: Completion) {
        self.record(asked, Some(completion), true);
    }

    /// Records a trial that cannot be asked: unscored, with the reason; each kind of reason is said once.
    pub(super) fn refused(&mut self, asked: Asked) {
        if let Some(refusal) = &asked.refusal
            && self.said.insert(std::mem::discriminant(refusal))
        {
            self.observer.warning(refusal);
        }
        self.record(asked, None, false);
    }

    /// Hands the answers since the last time to the cache. A cache that fails costs the answers nothing: it is said
    /// once, and the run goes on without it.
    pub(super) fn remember(&mut self) {
        if let Some(cache) = self.cache
            && let Err(error) = cache.put(&self.fresh)
        {
            tracing::warn!("{error}: going on without it");
            self.cache = None;
        }
        self.fresh.clear();
    }

    fn record(&mut self, asked: Asked, completion: Option<Completion>, cached: bool) {
        if self.failed.is_some() {
            return;
        }
        let sample = self.sample(asked, completion, cached);
        match self.folder.append(&sample) {
            Ok(()) => self.observer.sample(&sample),
            Err(error) => self.failed = Some(error.into()),
        }
    }

    fn sample(&self, asked: Asked, completion: Option<Completion>, cached: bool) -> Sample {
        let Asked { cell, prompt, refusal } = asked;
        let case = self.prepared.suite.cases.get(cell.case);
        let scorers = self.prepared.scorers(cell.variant);
        let scores = match (&completion, &prompt, case, scorers) {
            (Some(completion), Some((prompt, _)), Some(case), Some(scorers)) => {
                scorers.judge(&Judged { case, prompt: &prompt.text, completion })
            }
            (.., scorers) => {
                let reason = refusal.map_or_else(|| "the trial was not asked".to_owned(), |r| reason(&r));
                scorers.map(|s| s.names().map(|name| unscored(name, &reason)).collect()).unwrap_or_default()
            }
        };
        Sample {
            trial: self.prepared.trial(cell),
            case: case.map_or_else(|| CaseRecord::from(&crate::suite::Case::default()), CaseRecord::from),
            prompt: prompt.map(|(prompt, tokens)| {
                let prefix = self.folder.header().prefixes.iter().find(|(_, text)| prompt.text.starts_with(*text));
                let shared = prefix.map_or(0, |(_, text)| text.len());
                PromptRecord {
                    prefix: prefix.map(|(id, _)| id.clone()),
                    text: prompt.text.get(shared..).unwrap_or_default().to_owned(),
                    tokens,
                    case_start: prompt.case_start,
                }
            }),
            completion,
            cached,
            scores,
        }
    }
}

/// A refusal as one line: message and help.
fn reason(refusal: &RunError) -> String {
    match refusal.help() {
        Some(help) => format!("{refusal}; {help}"),
        None => refusal.to_string(),
    }
}

fn unscored(scorer: &str, reason: &str) -> Score {
    Score {
        scorer: scorer.to_owned(),
        value: ScoreValue::Unscored(reason.to_owned()),
        answer: None,
        explanation: String::new(),
        parts: serde_json::Map::new(),
    }
}
