//! A model that answers from a list: deterministic, instant, needs no weights. For tests of suites and of Tripos
//! itself; `model: {scripted: answers.yaml}` in a suite.
//!
//! ```yaml
//! answers:
//!   - {when: "2 \\+ 2", say: "The answer is 4."}   # the first expression that matches the prompt wins
//! otherwise: "I do not know."
//! ```
//!
//! Its tokens are bytes, so that prompts can be too long for it.

use super::{
    Answer, Ask, Completion, Effort, Engine, EngineError, Likelihoods, ModelFacts, Request, StopReason, Token,
};
use crate::error::Place;
use crate::sampling::Sampling;
use regex::Regex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Context length where the script names none, in bytes.
const CONTEXT: u32 = 4096;

/// Numbers in a state: how often each letter comes up.
const LETTERS: usize = 26;

/// A deterministic fake model.
#[derive(Debug)]
pub struct Scripted {
    facts: ModelFacts,
    answers: Vec<(Regex, String)>,
    otherwise: String,
    context: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default)]
    answers: Vec<Reply>,
    #[serde(default)]
    otherwise: String,
    context: Option<u32>,
    chat_template: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    when: String,
    say: String,
}

impl Scripted {
    /// Reads a script; `context` overrides the script's own.
    pub fn open(path: &Path, context: Option<u32>) -> Result<Self, EngineError> {
        let fail = |place: Place, reason: String| EngineError::Script { place, reason };
        let text = std::fs::read_to_string(path).map_err(|e| fail(Place::file(path), e.to_string()))?;
        let script: Script = serde_yaml::from_str(&text).map_err(|e| {
            let place = e.location().map_or(Place::file(path), |at| Place::new(path, at.line(), at.column()));
            fail(place, e.to_string())
        })?;
        let answers = script
            .answers
            .into_iter()
            .map(|a| Ok((Regex::new(&a.when).map_err(|e| fail(Place::file(path), e.to_string()))?, a.say)))
            .collect::<Result<_, EngineError>>()?;
        let sha256 = Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let own = script.context.unwrap_or(CONTEXT);
        let facts = ModelFacts {
            path: path.to_path_buf(),
            sha256,
            architecture: "scripted".into(),
            parameters: 0,
            quantisation: "none".into(),
            trained_context: own,
            rewards: Vec::new(),
            chat_template: script.chat_template,
            bos: None,
            eos: None,
            controls: Vec::new(),
            width: LETTERS,
        };
        Ok(Self { facts, answers, otherwise: script.otherwise, context: context.unwrap_or(own) as usize })
    }

    fn say(&self, prompt: &str) -> &str {
        self.answers.iter().find(|(when, _)| when.is_match(prompt)).map_or(&self.otherwise, |(_, say)| say)
    }

    fn completion(&self, prompt: &str, sampling: &Sampling) -> Completion {
        let (text, stop_reason) = cut(self.say(prompt), sampling);
        Completion {
            tokens: text.bytes().map(Token::from).collect(),
            stop_reason,
            prompt_tokens: prompt.len(),
            prompt_tokens_decoded: prompt.len(),
            completion_tokens: text.len(),
            elapsed_s: 0.0,
            logprobs: None,
            end: None,
            text,
        }
    }

    /// A byte that it would say next is likely (p = 0.9), any other is not (0.01); a leading space does not count.
    fn logprobs(&self, prompt: &str, continuation: &[Token]) -> Vec<f32> {
        let wanted = self.say(prompt).trim_start();
        let given = text(continuation);
        let skipped = given.len() - given.trim_start().len();
        let likely = wanted.bytes().zip(given.trim_start().bytes()).take_while(|(a, b)| a == b).count() + skipped;
        (0..continuation.len()).map(|at| if at < likely { 0.9_f32.ln() } else { 0.01_f32.ln() }).collect()
    }
}

impl Engine for Scripted {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn context(&self) -> usize {
        self.context
    }

    fn tokenize(&self, text: &str, _quoted: &[Range<usize>]) -> Vec<Token> {
        text.bytes().map(Token::from).collect()
    }

    fn start(&self) -> Option<Token> {
        Some(0)
    }

    fn bytes(&self, tokens: &[Token]) -> Vec<u8> {
        tokens.iter().filter_map(|token| u8::try_from(*token).ok()).collect()
    }

    fn answer(
        &self,
        requests: Vec<Request>,
        done: &mut dyn FnMut(usize, Answer),
        stop: &AtomicBool,
    ) -> Result<Effort, EngineError> {
        let mut effort = Effort::default();
        for Request { id, tokens, ask } in requests {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            effort.tokens_decoded += tokens.len();
            let prompt = text(&tokens);
            let answer = match ask {
                Ask::Generate { sampling, .. } => Answer::Completion(self.completion(&prompt, &sampling)),
                Ask::Likelihood { continuations } => Answer::Likelihood(Likelihoods {
                    logprobs: continuations.iter().map(|c| self.logprobs(&prompt, c)).collect(),
                    tokens_decoded: tokens.len(),
                    prompt_tokens: None,
                    elapsed_s: 0.0,
                }),
                Ask::Embed => Answer::Embedding(letters(&tokens)),
                Ask::State => Answer::State(letters(&tokens)),
            };
            done(id, answer);
        }
        Ok(effort)
    }
}

/// Bytes as text.
fn text(tokens: &[Token]) -> String {
    let bytes: Vec<u8> = tokens.iter().map(|t| u8::try_from(*t).unwrap_or(b'?')).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How often each letter comes up, so that texts of the same letters are near each other.
fn letters(tokens: &[Token]) -> Vec<f32> {
    let mut counts = vec![0.0; LETTERS];
    for token in tokens {
        let letter = u8::try_from(*token).unwrap_or(0).to_ascii_lowercase().wrapping_sub(b'a');
        if let Some(count) = counts.get_mut(usize::from(letter)) {
            *count += 1.0;
        }
    }
    counts
}

/// The answer up to the first stop text or `max_tokens` bytes.
fn cut(answer: &str, sampling: &Sampling) -> (String, StopReason) {
    let most = usize::try_from(sampling.max_tokens).unwrap_or(usize::MAX);
    let end = sampling.stop.iter().filter_map(|stop| answer.find(stop)).min().unwrap_or(answer.len());
    if end <= most {
        return (answer[..end].to_owned(), StopReason::Stop);
    }
    (answer[..answer.floor_char_boundary(most)].to_owned(), StopReason::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_by_the_first_match_and_honours_stop_and_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.yaml");
        std::fs::write(&path, "answers: [{when: '2 \\+ 2', say: \"4\\n\\nQ: next\"}]\notherwise: caféine\n").unwrap();
        let model = Scripted::open(&path, None).unwrap();
        let ask = |prompt: &str, sampling: Sampling| {
            let ask = Ask::Generate { sampling, seed: 0 };
            let request = Request { id: 3, tokens: model.tokenize(prompt, &[]), ask };
            let mut said = Vec::new();
            let mut hear = |id, answer| {
                let Answer::Completion(c) = answer else { panic!("{answer:?}") };
                said.push((id, c.text, c.stop_reason));
            };
            model.answer(vec![request], &mut hear, &AtomicBool::new(false)).unwrap();
            said.remove(0)
        };
        let stop = Sampling { stop: vec!["\n".into()], ..Sampling::default() };
        assert_eq!(ask("What is 2 + 2?", stop), (3, "4".into(), StopReason::Stop));
        let short = Sampling { max_tokens: 4, ..Sampling::default() };
        assert_eq!(ask("Coffee?", short), (3, "caf".into(), StopReason::Length));
    }
}
