//! What a trial wants to know of its model: what it says, and how likely it finds texts.

use crate::engine::{Answer, Ask, Completion, Engine, Request, Token};
use crate::prompt::Prompt;
use crate::sampling::Sampling;
use crate::score::{Candidate, Likelihood};
use crate::store::LikelihoodCost;

/// One request of a trial, and what its answer is.
#[derive(Debug, Clone, PartialEq)]
pub struct Want {
    /// What it is for.
    pub(super) part: Part,
    /// The request; its number is not set.
    pub(super) request: Request,
}

impl Want {
    /// The tokens whose likelihood is asked, where they are of one text.
    pub(super) fn continuation(&self) -> Option<&[Token]> {
        match &self.request.ask {
            Ask::Likelihood { continuations } => match continuations.as_slice() {
                [one] => Some(one),
                _ => None,
            },
            Ask::Generate { .. } | Ask::Embed | Ask::State => None,
        }
    }
}

/// What an answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The completion.
    Say,
    /// Texts that could follow the prompt, one for each continuation.
    Candidates(Vec<Span>),
    /// Some of them again without the prompt, by index.
    Unconditional(Vec<usize>),
    /// A window of a long text.
    Window(Span),
}

/// A text whose likelihood is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) bytes: usize,
}

/// Why likelihoods cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfit {
    /// A candidate adds no token to the prompt.
    NoTokens {
        /// The candidate.
        text: String,
    },
    /// A text of fewer than two tokens.
    ShortText,
    /// Prompt and candidate do not fit the context: tokens of the prompt, and of the longest candidate.
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the longest candidate.
        candidate: usize,
    },
}

/// The completion of a prompt.
pub(super) fn say(tokens: &[Token], sampling: &Sampling, seed: u64) -> Want {
    let ask = Ask::Generate { sampling: sampling.clone(), seed };
    Want { part: Part::Say, request: Request { id: 0, tokens: tokens.to_vec(), ask } }
}

/// The likelihoods of candidates behind a prompt, and of those that need it without the prompt.
///
/// Where a candidate begins is decided by tokens: the prompt is tokenised alone and with each candidate, and what all of
/// them share is the context. So a token that merges the end of the prompt with a candidate is scored as the model would
/// write it, and all candidates are scored from the same place. (lm-evaluation-harness cuts each candidate where the
/// prompt's own tokens end.)
pub(super) fn candidates(
    engine: &dyn Engine,
    (prompt, tokens): (&Prompt, &[Token]),
    candidates: &[Candidate],
) -> Result<Vec<Want>, Unfit> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let whole = |candidate: &Candidate| {
        let text = format!("{}{}", prompt.text, candidate.text);
        // A candidate is data: control tokens that it spells are plain text.
        let quoted = [prompt.quoted.as_slice(), std::slice::from_ref(&(prompt.text.len()..text.len()))].concat();
        engine.tokenize(&text, &quoted)
    };
    let wholes: Vec<Vec<Token>> = candidates.iter().map(whole).collect();
    let shared = |whole: &Vec<Token>| whole.iter().zip(tokens).take_while(|(a, b)| a == b).count();
    let context = wholes.iter().map(shared).min().unwrap_or(0);
    let mut continuations = Vec::with_capacity(wholes.len());
    for (whole, candidate) in wholes.iter().zip(candidates) {
        match whole.get(context..) {
            Some(rest) if !rest.is_empty() && context > 0 => continuations.push(rest.to_vec()),
            _ => return Err(Unfit::NoTokens { text: candidate.text.clone() }),
        }
    }
    let longest = continuations.iter().map(Vec::len).max().unwrap_or(0);
    if context + longest > engine.context() {
        return Err(Unfit::TooLong { prompt: context, candidate: longest });
    }
    let spans = candidates.iter().map(|c| Span { text: c.text.clone(), bytes: c.text.len() }).collect();
    let bare: Vec<usize> = (0..candidates.len()).filter(|&at| candidates[at].unconditional).collect();
    let mut wants = Vec::new();
    if let Some(start) = engine.start().filter(|_| !bare.is_empty()) {
        let continuations = bare.iter().map(|&at| continuations[at].clone()).collect();
        wants.push(likelihood(Part::Unconditional(bare), vec![start], continuations));
    }
    wants.push(likelihood(Part::Candidates(spans), tokens[..context].to_vec(), continuations));
    Ok(wants)
}

/// The windows of a long text: as many of its tokens as fit the context behind the token that begins a text, the next
/// window `stride` tokens on (half a window unless said otherwise). Each token is scored once, in the first window that
/// holds it, so all but those of the first window have at least a window less the stride before them. In a window of its
/// own, half of it context, that is the method of llama-perplexity.
pub(super) fn windows(engine: &dyn Engine, text: &str, stride: Option<u32>) -> Result<Vec<Want>, Unfit> {
    let quoted = 0..text.len();
    let mut tokens = engine.tokenize(text, std::slice::from_ref(&quoted));
    let start = engine.start();
    if start.is_some() && tokens.first() == start.as_ref() {
        tokens.remove(0);
    }
    let size = engine.context().saturating_sub(usize::from(start.is_some()));
    // Without a token that begins a text each window needs one of its own to go on from.
    let most = size.saturating_sub(usize::from(start.is_none()));
    if most == 0 {
        return Err(Unfit::TooLong { prompt: 1, candidate: 1 });
    }
    let stride = stride.map_or(size / 2, |stride| stride as usize).clamp(1, most);
    let mut wants = Vec::new();
    // Without a token to begin with, nothing says how likely the first one is.
    let mut scored = usize::from(start.is_none());
    let mut begin = 0;
    while scored < tokens.len() {
        let end = (begin + size).min(tokens.len());
        let context: Vec<Token> = start.iter().chain(&tokens[begin..scored]).copied().collect();
        let own = tokens[scored..end].to_vec();
        let bytes = engine.bytes(&tokens[scored..end]);
        let mut span = Span { text: String::from_utf8_lossy(&bytes).into_owned(), bytes: bytes.len() };
        // Some tokenizers put a space before the text.
        if scored == 0 && bytes.starts_with(b" ") && !text.starts_with(' ') {
            span = Span { text: span.text.split_off(1), bytes: bytes.len() - 1 };
        }
        wants.push(likelihood(Part::Window(span), context, vec![own]));
        scored = end;
        begin += stride;
    }
    if wants.is_empty() { Err(Unfit::ShortText) } else { Ok(wants) }
}

fn likelihood(part: Part, tokens: Vec<Token>, continuations: Vec<Vec<Token>>) -> Want {
    Want { part, request: Request { id: 0, tokens, ask: Ask::Likelihood { continuations } } }
}

/// What the answers of a trial come to: what was said, and each text with its likelihood.
pub(super) fn gathered<'a>(
    answers: impl Iterator<Item = (&'a Want, &'a Answer)>,
) -> (Option<&'a Completion>, Vec<Likelihood>, Option<LikelihoodCost>) {
    let (mut said, mut likelihoods, mut bare) = (None, Vec::new(), Vec::new());
    let mut cost: Option<LikelihoodCost> = None;
    for (want, answer) in answers {
        let told = match answer {
            Answer::Completion(completion) => {
                said = Some(completion);
                continue;
            }
            Answer::Likelihood(told) => told,
            Answer::Embedding(_) | Answer::State(_) | Answer::Failed { .. } => continue,
        };
        let cost = cost.get_or_insert_default();
        cost.prompt_tokens_decoded += told.tokens_decoded;
        cost.elapsed_s += told.elapsed_s;
        let sums = told.logprobs.iter().map(|all| all.iter().map(|logprob| f64::from(*logprob)).sum::<f64>());
        match &want.part {
            Part::Unconditional(which) => bare.extend(which.iter().copied().zip(sums)),
            Part::Candidates(spans) => {
                cost.prompt_tokens += told.prompt_tokens.unwrap_or(want.request.tokens.len());
                likelihoods.extend(spans.iter().zip(&told.logprobs).zip(sums).map(entry));
            }
            Part::Window(span) => {
                cost.prompt_tokens += want.request.tokens.len() + told.logprobs.iter().map(Vec::len).sum::<usize>();
                likelihoods.extend(std::iter::once(span).zip(&told.logprobs).zip(sums).map(entry));
            }
            Part::Say => {}
        }
    }
    for (which, sum) in bare {
        if let Some(likelihood) = likelihoods.get_mut(which) {
            likelihood.unconditional = Some(sum);
        }
    }
    (said, likelihoods, cost)
}

fn entry(((span, logprobs), logprob): ((&Span, &Vec<f32>), f64)) -> Likelihood {
    Likelihood { text: span.text.clone(), logprob, tokens: logprobs.len(), bytes: span.bytes, unconditional: None }
}
