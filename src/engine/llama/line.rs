//! What of a request has to be decoded, and what is kept of it.

use crate::engine::{Answer, Ask, Likelihoods, Request, Token};
use std::borrow::Cow;

/// One list of tokens that a request needs decoded.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Which of the requests.
    pub(super) request: usize,
    /// Which of its continuations; 0 for a generation.
    pub(super) part: usize,
    /// The tokens. The last one of a continuation is only looked at, so it is not among them.
    pub(super) tokens: Cow<'a, [Token]>,
    /// The tokens whose likelihood is wanted, the last `targets.len()` positions each telling one; empty for a
    /// generation, which draws from what the last position tells.
    pub(super) targets: &'a [Token],
}

impl Line<'_> {
    /// The first position that tells something.
    pub(super) fn from(&self) -> usize {
        self.tokens.len() - self.targets.len().max(1)
    }

    /// The token whose likelihood a position tells.
    pub(super) fn target(&self, position: usize) -> Option<Token> {
        self.targets.get(position.checked_sub(self.from())?).copied()
    }
}

/// The lines of a request; none for what cannot be decoded as lines (an embedding, a state, an empty prompt).
pub(super) fn lines<'r>(index: usize, request: &'r Request) -> Vec<Line<'r>> {
    if request.tokens.is_empty() {
        return Vec::new();
    }
    match &request.ask {
        Ask::Embed | Ask::State => Vec::new(),
        Ask::Generate { .. } => {
            vec![Line { request: index, part: 0, tokens: Cow::Borrowed(&request.tokens), targets: &[] }]
        }
        Ask::Likelihood { continuations } => {
            let line = |(part, targets): (usize, &'r Vec<Token>)| {
                let tokens = match targets.split_last()? {
                    (_, []) => Cow::Borrowed(request.tokens.as_slice()),
                    (_, known) => Cow::Owned([&request.tokens, known].concat()),
                };
                Some(Line { request: index, part, tokens, targets: targets.as_slice() })
            };
            continuations.iter().enumerate().filter_map(line).collect()
        }
    }
}

/// What has come together for a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// Tokens of its prompt and continuations that were decoded on its account.
    pub(super) decoded: usize,
    /// Its share of the time.
    pub(super) elapsed_s: f64,
    /// The log-probabilities of each continuation, by position.
    logprobs: Vec<Vec<Option<f32>>>,
}

impl Account {
    pub(super) fn new(request: &Request) -> Self {
        let logprobs = match &request.ask {
            Ask::Likelihood { continuations } => continuations.iter().map(|c| vec![None; c.len()]).collect(),
            _ => Vec::new(),
        };
        Self { logprobs, ..Self::default() }
    }

    /// Puts tokens and time on the account.
    pub(super) fn charge(&mut self, tokens: usize, seconds: f64) {
        self.decoded += tokens;
        self.elapsed_s += seconds;
    }

    /// Keeps what a position told of a continuation.
    pub(super) fn tell(&mut self, part: usize, at: usize, logprob: f32) {
        if let Some(place) = self.logprobs.get_mut(part).and_then(|part| part.get_mut(at)) {
            *place = Some(logprob);
        }
    }

    /// The answer to a request for likelihoods, once every position has told what it can.
    pub(super) fn likelihoods(&self) -> Option<Answer> {
        let whole = |part: &Vec<Option<f32>>| part.iter().copied().collect::<Option<Vec<f32>>>();
        let logprobs = self.logprobs.iter().map(whole).collect::<Option<Vec<_>>>()?;
        Some(Answer::Likelihood(Likelihoods {
            logprobs,
            tokens_decoded: self.decoded,
            prompt_tokens: None,
            elapsed_s: self.elapsed_s,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_token_of_a_continuation_is_looked_at_and_not_decoded() {
        let ask = Ask::Likelihood { continuations: vec![vec![7], vec![7, 8, 9], vec![]] };
        let request = Request { id: 1, tokens: vec![1, 2], ask };
        let lines = lines(0, &request);
        let shown: Vec<_> = lines.iter().map(|line| (line.part, line.tokens.to_vec(), line.from())).collect();
        assert_eq!(shown, [(0, vec![1, 2], 1), (1, vec![1, 2, 7, 8], 1)]);
        let told: Vec<_> = (0..5).map(|position| lines[1].target(position)).collect();
        assert_eq!(told, [None, Some(7), Some(8), Some(9), None]);
    }

    #[test]
    fn an_answer_is_there_when_every_position_has_told() {
        let ask = Ask::Likelihood { continuations: vec![vec![7], vec![7, 8]] };
        let mut account = Account::new(&Request { id: 1, tokens: vec![1], ask });
        account.tell(0, 0, -1.0);
        account.tell(1, 0, -1.0);
        assert_eq!(account.likelihoods(), None);
        account.tell(1, 1, -2.0);
        let Some(Answer::Likelihood(told)) = account.likelihoods() else { panic!("incomplete") };
        assert_eq!(told.logprobs, [vec![-1.0], vec![-1.0, -2.0]]);
    }
}
