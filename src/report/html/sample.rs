//! A sample as the page holds it: what [`Sample`] says, with the places that a script cannot find by itself.

use super::layers::{Places, ShownStep, ShownToken, shown_steps, shown_tokens};
use crate::store::{Completion, Header, Likelihood, PromptRecord, Repeat, Sample, Score, StopReason};
use crate::suite::Vars;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where a sample stands among the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Its column.
    pub(super) column: usize,
    /// Its case's row.
    pub(super) row: usize,
    /// Whether it is the case's first, which brings the case itself along.
    pub(super) first: bool,
    /// What is added to the number of a prefix of this run.
    pub(super) prefixes: usize,
}

/// One sample.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'s> {
    column: usize,
    row: usize,
    repeat: Repeat,
    /// The case, with its first sample only.
    #[serde(skip_serializing_if = "Option::is_none")]
    vars: Option<&'s Vars>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'s str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before: Vec<Stage<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<Prompt<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Answer<'s>>,
    #[serde(skip_serializing_if = "<[Likelihood]>::is_empty")]
    likelihood: &'s [Likelihood],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    scores: &'s [Score],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pieces: &'s BTreeMap<u32, String>,
}

#[derive(Debug, Serialize)]
struct Stage<'s> {
    prompt: Prompt<'s>,
    answer: Answer<'s>,
}

#[derive(Debug, Serialize)]
struct Prompt<'s> {
    /// The number of the shared beginning that is left out of `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<usize>,
    text: &'s str,
    /// Where the case begins in the whole text, in UTF-16 units.
    case: usize,
    tokens: &'s [u32],
}

#[derive(Debug, Serialize)]
struct Answer<'s> {
    text: &'s str,
    stop: StopReason,
    tokens: &'s [u32],
    prompt_tokens: usize,
    elapsed_s: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<ShownStep>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drawn: Option<Vec<ShownToken>>,
}

impl<'s> Shown<'s> {
    pub(super) fn of(header: &Header, sample: &'s Sample, standing: Standing) -> Self {
        let answer = |said: &'s Completion| Answer {
            text: &said.text,
            stop: said.stop_reason,
            tokens: &said.tokens,
            prompt_tokens: said.prompt_tokens,
            elapsed_s: (said.elapsed_s * 1e6).round() / 1e6,
            steps: shown_steps(&said.text),
            drawn: shown_tokens(said, &sample.pieces),
        };
        let prompt = |prompt: &'s PromptRecord| shown_prompt(header, prompt, standing.prefixes);
        let before = sample.before.iter();
        Self {
            column: standing.column,
            row: standing.row,
            repeat: sample.trial.repeat,
            vars: Some(&sample.case.vars).filter(|_| standing.first),
            target: sample.case.target.as_deref().filter(|_| standing.first),
            before: before.map(|one| Stage { prompt: prompt(&one.prompt), answer: answer(&one.completion) }).collect(),
            prompt: sample.prompt.as_ref().map(prompt),
            answer: sample.completion.as_ref().map(answer),
            likelihood: &sample.likelihood,
            cached: sample.cached,
            scores: &sample.scores,
            pieces: &sample.pieces,
        }
    }
}

fn shown_prompt<'s>(header: &Header, prompt: &'s PromptRecord, before: usize) -> Prompt<'s> {
    let named = prompt.prefix.as_ref();
    let found = named.and_then(|id| header.prefixes.iter().enumerate().find(|(_, (own, _))| *own == id));
    let shared = found.map_or("", |(_, (_, text))| text.as_str());
    let case = match prompt.case_start.checked_sub(shared.len()) {
        Some(own) => Places::of(shared).at(shared.len()) + Places::of(&prompt.text).at(own),
        None => Places::of(shared).at(prompt.case_start),
    };
    Prompt { prefix: found.map(|(number, _)| before + number), text: &prompt.text, case, tokens: &prompt.tokens }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_is_placed_behind_the_shared_beginning() {
        let header: Header = serde_json::from_value(serde_json::json!({
            "schema": 1, "run": "r", "status": "complete", "tripos": "", "llama_cpp": "", "features": [],
            "suite_name": "s", "suite_path": "s", "suite": {}, "scorers": [], "cases": {"count": 1, "sha256": ""},
            "examples": {"count": 0, "sha256": ""}, "models": {}, "flags": {}, "seed": 0,
            "prefixes": {"a": "x", "b": "é é\n"}, "trials": 1, "segments": []
        }))
        .unwrap();
        let place = |prefix: Option<&str>, text: &str, case_start| {
            let (prefix, text) = (prefix.map(Into::into), text.into());
            let record = PromptRecord { prefix, text, tokens: vec![], case_start, messages: vec![] };
            let shown = shown_prompt(&header, &record, 10);
            (shown.prefix, shown.case)
        };
        assert_eq!(place(Some("b"), "é?", 6), (Some(11), 4));
        assert_eq!(place(Some("b"), "é?", 8), (Some(11), 5));
        assert_eq!(place(Some("b"), "é?", 3), (Some(11), 2));
        assert_eq!(place(Some("gone"), "é?", 2), (None, 1));
        assert_eq!(place(None, "é?", 0), (None, 0));
    }
}
