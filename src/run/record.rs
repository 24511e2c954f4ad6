//! From answers to a line of the record: judged, written, told to the observer.

use super::ask::Asked;
use super::error::RunError;
use super::judges::Verdicts;
use super::observer::Observer;
use super::prepare::Prepared;
use super::select::Cell;
use super::underway::Underway;
use super::want::gathered;
use crate::engine::{Completion, Token};
use crate::error::{Explain, Problems};
use crate::prompt::Message;
use crate::score::{Judged, Score, ScoreValue};
use crate::store::{CaseRecord, MessageRecord, PromptRecord, Repeat, RunFolder, Sample, Trial, read_samples};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The scores of some repeats of a case, and which repeat each is.
type Repeats = Vec<(u32, Vec<Score>)>;

/// Writes samples.
pub(super) struct Recorder<'a> {
    prepared: &'a Prepared<'a>,
    pub(super) folder: &'a mut RunFolder,
    observer: &'a dyn Observer,
    /// Kinds of warning that were said.
    said: HashSet<std::mem::Discriminant<RunError>>,
    /// The scores of the repeats of cases that are not complete, by variant and case.
    repeats: HashMap<(String, String), Repeats>,
    /// The first thing that went wrong; nothing is recorded after it.
    pub(super) failed: Option<Problems>,
}

impl<'a> Recorder<'a> {
    /// A recorder of a run; of one that goes on, what is reduced from repeats needs those recorded before.
    pub(super) fn new(
        prepared: &'a Prepared<'a>,
        folder: &'a mut RunFolder,
        observer: &'a dyn Observer,
        goes_on: bool,
    ) -> Result<Self, Problems> {
        let (said, repeats) = (HashSet::new(), HashMap::new());
        let mut recorder = Self { prepared, folder, observer, said, repeats, failed: None };
        if goes_on && prepared.plan.has_repeats() {
            recorder.read_repeats()?;
        }
        Ok(recorder)
    }

    /// Takes in the repeats recorded before; a case whose repeats are all there is reduced if it is not yet.
    fn read_repeats(&mut self) -> Result<(), Problems> {
        let mut reduced: HashSet<(String, String)> = HashSet::new();
        let mut scores: Vec<(Trial, Vec<Score>)> = Vec::new();
        read_samples(self.folder.path(), |sample| match sample.trial.repeat {
            Repeat::Number(_) => scores.push((sample.trial, sample.scores)),
            Repeat::Reduced => {
                reduced.insert((sample.trial.variant, sample.trial.case));
            }
        })?;
        for (trial, scores) in scores {
            let key = (trial.variant, trial.case);
            let (false, Repeat::Number(number)) = (reduced.contains(&key), trial.repeat) else { continue };
            self.repeats.entry(key).or_default().push((number, scores));
        }
        let prepared = self.prepared;
        for cell in prepared.plan.variants.iter().flat_map(|&variant| prepared.plan.cells_of(variant)) {
            if cell.repeat == 0 {
                self.reduce(cell);
            }
        }
        Ok(())
    }

    /// Tells the observer, each kind of problem once.
    pub(super) fn warn(&mut self, problem: &RunError) {
        if self.said.insert(std::mem::discriminant(problem)) {
            self.observer.warning(problem);
        }
    }

    /// Judges and records a trial that has all its answers, or that cannot be asked: unscored, with the reason.
    pub(super) fn record(&mut self, trial: Underway, judges: &Verdicts) {
        if let Some(refusal) = &trial.asked.refusal {
            self.warn(refusal);
        }
        let cell = trial.cell();
        let sample = self.sample(trial, judges);
        if self.prepared.plan.repeats_of(cell.variant) > 1 {
            let key = (sample.trial.variant.clone(), sample.trial.case.clone());
            self.repeats.entry(key).or_default().push((cell.repeat, sample.scores.clone()));
        }
        self.append(&sample);
        self.reduce(cell);
    }

    fn append(&mut self, sample: &Sample) {
        if self.failed.is_some() {
            return;
        }
        match self.folder.append(sample) {
            Ok(()) => self.observer.sample(sample),
            Err(error) => self.failed = Some(error.into()),
        }
    }

    /// Records what the repeats of a case come to, once all of them are there.
    fn reduce(&mut self, cell: Cell) {
        let trial = Trial { repeat: Repeat::Reduced, ..self.prepared.trial(cell) };
        let key = (trial.variant.clone(), trial.case.clone());
        let count = self.prepared.plan.repeats_of(cell.variant) as usize;
        if count < 2 || self.repeats.get(&key).is_none_or(|repeats| repeats.len() < count) {
            return;
        }
        let (Some(scorers), Some(case), Some(variant), Some(mut repeats)) = (
            self.prepared.scorers(cell.variant),
            self.prepared.suite.cases.get(cell.case),
            self.prepared.variant(cell.variant),
            self.repeats.remove(&key),
        ) else {
            return;
        };
        repeats.sort_by_key(|(number, _)| *number);
        let scores: Vec<&[Score]> = repeats.iter().map(|(_, scores)| scores.as_slice()).collect();
        let scores = scorers.reduce(&variant.reduce, &scores, case.target.as_deref());
        self.append(&Sample { scores, ..empty(trial, CaseRecord::from(case)) });
    }

    fn sample(&self, trial: Underway, judges: &Verdicts) -> Sample {
        let (completion, likelihood, likelihood_cost) = gathered(trial.answers());
        let cell = trial.cell();
        let mut record = CaseRecord::default();
        if let Some(case) = self.prepared.suite.cases.get(cell.case) {
            record = CaseRecord::from(case);
        }
        if self.prepared.suite.text.is_some() {
            // A long text stands in its file, and its windows among the likelihoods.
            record.vars.clear();
        }
        let case = self.prepared.suite.cases.get(cell.case);
        let chat = self.prepared.begins_a_message(cell.variant);
        let text = trial.asked.prompt.as_ref().map_or("", |(prompt, _)| &prompt.text);
        let scores = match (case, self.prepared.scorers(cell.variant), &trial.asked.refusal) {
            (Some(case), Some(scorers), None) => scorers.judge(&Judged {
                case,
                prompt: text,
                chat,
                completion,
                likelihood: &likelihood,
                verdicts: &judges.found,
            }),
            (_, Some(scorers), Some(refusal)) => {
                let reason = reason(refusal);
                scorers.names().map(|name| unscored(name, &reason)).collect()
            }
            _ => Vec::new(),
        };
        Sample {
            prompt: self.prompt(&trial.asked),
            completion: completion.cloned(),
            cached: trial.is_cached() || trial.wants_nothing() && judges.is_cached(),
            likelihood,
            likelihood_cost,
            judge_tokens_decoded: judges.tokens_decoded,
            pieces: self.pieces(cell, trial.before.iter().map(|stage| &stage.completion).chain(completion)),
            scores,
            unanswered: judges.unanswered || matches!(trial.asked.refusal, Some(RunError::Unanswered { .. })),
            before: trial.before,
            ..empty(self.prepared.trial(cell), record)
        }
    }

    /// The texts of the tokens that the log-probabilities of some completions name.
    fn pieces<'c>(&self, cell: Cell, said: impl Iterator<Item = &'c Completion>) -> BTreeMap<Token, String> {
        let mut named = said.filter_map(|completion| completion.logprobs.as_ref()).flatten().peekable();
        let variant = named.peek().and_then(|_| self.prepared.variant(cell.variant));
        let Some((_, engine, _)) = variant.and_then(|variant| self.prepared.models.of(variant)) else {
            return BTreeMap::new();
        };
        let ids = named.flat_map(|token| std::iter::once(token.id).chain(token.top.iter().map(|(id, _)| *id)));
        ids.map(|id| (id, String::from_utf8_lossy(&engine.bytes(&[id])).into_owned())).collect()
    }

    /// A prompt as it is kept: the part that others share is in the header.
    pub(super) fn prompt(&self, asked: &Asked) -> Option<PromptRecord> {
        let (prompt, tokens) = asked.prompt.as_ref()?;
        let prefix = self.folder.header().prefixes.iter().find(|(_, text)| prompt.text.starts_with(*text));
        let shared = prefix.map_or(0, |(_, text)| text.len());
        let engine = self.prepared.variant(asked.cell.variant).and_then(|variant| self.prepared.models.of(variant));
        let known = engine.is_none_or(|(_, engine, _)| engine.knows_tokens());
        Some(PromptRecord {
            prefix: prefix.map(|(id, _)| id.clone()),
            text: prompt.text.get(shared..).unwrap_or_default().to_owned(),
            tokens: if known { tokens.clone() } else { Vec::new() },
            case_start: prompt.case_start,
            messages: prompt.messages.iter().map(said).collect(),
        })
    }
}

fn said(message: &Message) -> MessageRecord {
    MessageRecord { role: message.role.name().to_owned(), content: message.content.to_string() }
}

/// A sample of which nothing is known yet.
fn empty(trial: Trial, case: CaseRecord) -> Sample {
    Sample {
        trial,
        case,
        before: Vec::new(),
        prompt: None,
        completion: None,
        likelihood: Vec::new(),
        likelihood_cost: None,
        judge_tokens_decoded: 0,
        cached: false,
        pieces: BTreeMap::new(),
        unanswered: false,
        scores: Vec::new(),
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
