//! From a completion to a line of the record: judged, written, told to the observer, remembered in the cache.

use super::error::RunError;
use super::observer::Observer;
use super::prepare::{Asked, Prepared};
use super::underway::Underway;
use super::want::gathered;
use crate::engine::cache::{Cache, Key};
use crate::engine::{Answer, Token};
use crate::error::{Explain, Problems};
use crate::prompt::Prompt;
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
    fresh: Vec<(Key, Answer)>,
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

    /// Keeps an answer that the model has just given for the cache.
    pub(super) fn fresh(&mut self, key: Key, answer: &Answer) {
        self.fresh.push((key, answer.clone()));
        if self.fresh.len() >= CACHE_BATCH {
            self.remember();
        }
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

    /// Judges and records a trial that has all its answers, or that cannot be asked: unscored, with the reason; each kind
    /// of reason is said once.
    pub(super) fn record(&mut self, trial: Underway) {
        if let Some(refusal) = &trial.asked.refusal
            && self.said.insert(std::mem::discriminant(refusal))
        {
            self.observer.warning(refusal);
        }
        if self.failed.is_some() {
            return;
        }
        let sample = self.sample(trial);
        match self.folder.append(&sample) {
            Ok(()) => self.observer.sample(&sample),
            Err(error) => self.failed = Some(error.into()),
        }
    }

    fn sample(&self, trial: Underway) -> Sample {
        let (completion, likelihood, likelihood_cost) = gathered(trial.answers());
        let (completion, cached) = (completion.cloned(), trial.is_cached());
        let Underway { asked: Asked { cell, prompt, refusal, .. }, before, .. } = trial;
        let case = self.prepared.suite.cases.get(cell.case);
        let scorers = self.prepared.scorers(cell.variant);
        let scores = match (&completion, &prompt, case, scorers) {
            (Some(completion), Some((prompt, _)), Some(case), Some(scorers)) => scorers.judge(&Judged {
                case,
                prompt: &prompt.text,
                chat: false,
                completion: Some(completion),
                likelihood: &likelihood,
                verdicts: &[],
            }),
            (.., scorers) => {
                let reason = refusal.map_or_else(|| "the trial was not asked".to_owned(), |r| reason(&r));
                scorers.map(|s| s.names().map(|name| unscored(name, &reason)).collect()).unwrap_or_default()
            }
        };
        Sample {
            trial: self.prepared.trial(cell),
            case: case.map_or_else(|| CaseRecord::from(&crate::suite::Case::default()), CaseRecord::from),
            before,
            prompt: prompt.map(|(prompt, tokens)| self.prompt(&prompt, tokens)),
            completion,
            likelihood,
            likelihood_cost,
            judge_tokens_decoded: 0,
            cached,
            scores,
        }
    }

    /// A prompt as it is kept: the part that others share is in the header.
    fn prompt(&self, prompt: &Prompt, tokens: Vec<Token>) -> PromptRecord {
        let prefix = self.folder.header().prefixes.iter().find(|(_, text)| prompt.text.starts_with(*text));
        let shared = prefix.map_or(0, |(_, text)| text.len());
        PromptRecord {
            prefix: prefix.map(|(id, _)| id.clone()),
            text: prompt.text.get(shared..).unwrap_or_default().to_owned(),
            tokens,
            case_start: prompt.case_start,
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
