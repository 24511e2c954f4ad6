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

use super::{Completion, Engine, EngineError, ModelFacts, Request, StopReason, Token};
use crate::error::Place;
use regex::Regex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

/// Context length where the script names none, in bytes.
const CONTEXT: u32 = 4096;

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
    answers: Vec<Answer>,
    #[serde(default)]
    otherwise: String,
    context: Option<u32>,
    chat_template: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
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
            chat_template: script.chat_template,
            bos: None,
            eos: None,
            controls: Vec::new(),
        };
        Ok(Self { facts, answers, otherwise: script.otherwise, context: context.unwrap_or(own) as usize })
    }

    fn answer(&self, prompt: &str) -> &str {
        self.answers.iter().find(|(when, _)| when.is_match(prompt)).map_or(&self.otherwise, |(_, say)| say)
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

    fn generate(
        &self,
        requests: &mut dyn Iterator<Item = Request>,
        done: &mut dyn FnMut(usize, Completion),
    ) -> Result<(), EngineError> {
        for request in requests {
            let bytes: Vec<u8> = request.tokens.iter().map(|t| u8::try_from(*t).unwrap_or(b'?')).collect();
            let prompt = String::from_utf8_lossy(&bytes);
            let (text, stop_reason) = cut(self.answer(&prompt), &request);
            let completion = Completion {
                tokens: text.bytes().map(Token::from).collect(),
                stop_reason,
                prompt_tokens: request.tokens.len(),
                prompt_tokens_decoded: request.tokens.len(),
                completion_tokens: text.len(),
                elapsed_s: 0.0,
                logprobs: None,
                text,
            };
            done(request.id, completion);
        }
        Ok(())
    }
}

/// The answer up to the first stop text or `max_tokens` bytes.
fn cut(answer: &str, request: &Request) -> (String, StopReason) {
    let most = usize::try_from(request.sampling.max_tokens).unwrap_or(usize::MAX);
    let end = request.sampling.stop.iter().filter_map(|stop| answer.find(stop)).min().unwrap_or(answer.len());
    if end <= most {
        return (answer[..end].to_owned(), StopReason::Stop);
    }
    (answer[..answer.floor_char_boundary(most)].to_owned(), StopReason::Length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::Sampling;

    #[test]
    fn answers_by_the_first_match_and_honours_stop_and_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.yaml");
        std::fs::write(&path, "answers: [{when: '2 \\+ 2', say: \"4\\n\\nQ: next\"}]\notherwise: caféine\n").unwrap();
        let model = Scripted::open(&path, None).unwrap();
        let ask = |prompt: &str, sampling: Sampling| {
            let request = Request { id: 3, tokens: model.tokenize(prompt, &[]), sampling, seed: 0 };
            let mut said = Vec::new();
            model.generate(&mut [request].into_iter(), &mut |id, c| said.push((id, c.text, c.stop_reason))).unwrap();
            said.remove(0)
        };
        let stop = Sampling { stop: vec!["\n".into()], ..Sampling::default() };
        assert_eq!(ask("What is 2 + 2?", stop), (3, "4".into(), StopReason::Stop));
        let short = Sampling { max_tokens: 4, ..Sampling::default() };
        assert_eq!(ask("Coffee?", short), (3, "caf".into(), StopReason::Length));
    }
}
