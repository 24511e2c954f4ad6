//! One request from its question to its answer, at one server.

use super::body::Style;
use super::echo::{Echo, candidates};
use super::fault::Fault;
use super::heard::{Heard, Piece};
use super::wire::Wire;
use super::words::{Pieces, Wording, text, wording};
use crate::engine::{Answer, Ask, Completion, Likelihoods, Request, StopReason, TokenLogprob};
use crate::sampling::Sampling;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What all requests to the servers of one model share.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) wire: Wire,
    pub(super) style: Style,
    pub(super) pieces: Pieces,
    /// Most tokens that may be used; every answer must then say what it took.
    pub(super) budget: Option<u64>,
    /// Tokens so far, of answers that came to nothing, too.
    pub(super) spent: Arc<AtomicU64>,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// Go on.
    Say(Wording, Box<Sampling>, u64),
    /// How likely are these texts behind that one?
    Weigh(String, Vec<String>),
    /// What no server is asked: said before a run begins.
    Nothing,
}

impl Question {
    pub(super) fn of(request: Request) -> Self {
        match request.ask {
            Ask::Generate { sampling, seed } => Self::Say(wording(&request.tokens), Box::new(sampling), seed),
            Ask::Likelihood { continuations } => {
                Self::Weigh(text(&request.tokens), continuations.iter().map(|tokens| text(tokens)).collect())
            }
            Ask::Embed | Ask::State => Self::Nothing,
        }
    }
}

impl Line {
    /// Has one question answered at an address.
    pub(super) async fn ask(&self, url: &str, question: &Question) -> Result<Answer, Fault> {
        let answer = match question {
            Question::Say(wording, sampling, seed) => self.say(url, wording, (sampling, *seed)).await,
            Question::Weigh(context, texts) => self.weigh(url, context, texts).await,
            Question::Nothing => Err(Fault::Beyond { what: "a server keeps the states of its model", help: "" }),
        };
        if let Err(Fault::Empty { took, .. }) = &answer {
            self.spent.fetch_add(*took, Ordering::Relaxed);
        }
        answer
    }

    /// That the budget is spent, where it is.
    pub(super) fn over(&self) -> Option<Fault> {
        let budget = self.budget.filter(|budget| self.spent.load(Ordering::Relaxed) >= *budget)?;
        Some(Fault::Spent { budget })
    }

    async fn say(&self, url: &str, wording: &Wording, (sampling, seed): (&Sampling, u64)) -> Result<Answer, Fault> {
        let (path, body) = self.style.complete(wording, sampling, seed);
        let began = Instant::now();
        let heard = self.wire.post(&format!("{url}/{path}"), body).await?;
        let elapsed_s = began.elapsed().as_secs_f64();
        self.count(url, &heard)?;
        let usage = heard.usage.unwrap_or_default();
        // One without a number would make a record that nobody can read.
        let whole = heard.tokens.iter().all(|piece| piece.logprob.is_some_and(f32::is_finite));
        let told = sampling.logprobs.is_some() && !heard.tokens.is_empty() && whole;
        let completion = Completion {
            tokens: Vec::new(),
            stop_reason: if heard.finish.as_deref() == Some("length") { StopReason::Length } else { StopReason::Stop },
            prompt_tokens: usage.prompt_tokens,
            prompt_tokens_decoded: usage.decoded(),
            completion_tokens: heard.usage.map_or(heard.pieces, |usage| usage.completion_tokens),
            elapsed_s,
            logprobs: told.then(|| heard.tokens.iter().map(|piece| self.told(piece)).collect()),
            end: None,
            text: heard.text,
        };
        Ok(Answer::Completion(completion))
    }

    /// The echo of each text behind the context, one request after the other.
    async fn weigh(&self, url: &str, context: &str, texts: &[String]) -> Result<Answer, Fault> {
        let began = Instant::now();
        let (mut wholes, mut told) = (Vec::new(), Likelihoods::default());
        for text in texts {
            if let Some(spent) = self.over() {
                return Err(spent);
            }
            let (echo, heard) = self.echo(url, &format!("{context}{text}")).await?;
            told.tokens_decoded += heard.usage.map_or(0, |usage| usage.decoded());
            wholes.push(echo);
        }
        let unaligned = |reason| Fault::Unaligned { url: url.to_owned(), reason };
        let (logprobs, before) = candidates(context.chars().count(), &wholes).map_err(unaligned)?;
        told.prompt_tokens = Some(before);
        told.elapsed_s = began.elapsed().as_secs_f64();
        Ok(Answer::Likelihood(Likelihoods { logprobs, ..told }))
    }

    /// A text echoed, and what else was heard.
    pub(super) async fn echo(&self, url: &str, text: &str) -> Result<(Echo, Heard), Fault> {
        let heard = self.wire.post(&format!("{url}/completions"), self.style.echo(text)).await?;
        self.count(url, &heard)?;
        if heard.tokens.is_empty() {
            return Err(Fault::NoEcho { url: url.to_owned(), reason: "its echo has no log-probabilities".into() });
        }
        let unaligned = |reason| Fault::Unaligned { url: url.to_owned(), reason };
        let echo = Echo::new(text, &heard.tokens).map_err(unaligned)?;
        Ok((echo, heard))
    }

    /// Counts the tokens that an answer took.
    fn count(&self, url: &str, heard: &Heard) -> Result<(), Fault> {
        match heard.usage {
            Some(usage) => self.spent.fetch_add(usage.all(), Ordering::Relaxed),
            None if self.budget.is_some() => return Err(Fault::Uncounted { url: url.to_owned() }),
            None => 0,
        };
        Ok(())
    }

    fn told(&self, piece: &Piece) -> TokenLogprob {
        let finite = piece.top.iter().filter(|(_, logprob)| logprob.is_finite());
        TokenLogprob {
            id: self.pieces.id(&piece.bytes),
            logprob: piece.logprob.unwrap_or(f32::NEG_INFINITY),
            top: finite.map(|(bytes, logprob)| (self.pieces.id(bytes), *logprob)).collect(),
        }
    }
}
