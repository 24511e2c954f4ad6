//! Which of several texts a model prefers behind a text: the third use of a language model.

use super::super::want::{self, Unfit};
use super::{DirectError, LanguageModel};
use crate::error::Problems;
use crate::prompt::Prompt;
use crate::score::{Candidate, Likelihood, Readings, shares};

/// What candidates are put in order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The sum of log-probabilities: what the model would say.
    Likelihood,
    /// The same for each byte: long candidates are not worse for being long.
    PerByte,
    /// What the text adds to it: common candidates are not better for being common.
    MutualInformation,
    /// What a reward model finds in it.
    Reward,
}

/// A candidate and all that it can be judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// The candidate as given.
    pub candidate: String,
    /// Its likelihood, the space before it included.
    pub likelihood: Likelihood,
    /// The readings of it.
    pub readings: Readings,
    /// Its probability if one of the candidates comes.
    pub share: f64,
    /// What a reward model finds in it; `None` where none was asked or it found nothing.
    pub reward: Option<f64>,
}

impl Ranked {
    /// The number that it is put in order by; higher is better.
    #[must_use]
    pub fn worth(&self, by: By) -> Option<f64> {
        match by {
            By::Likelihood => Some(self.readings.sum),
            By::PerByte => Some(self.readings.per_byte),
            By::MutualInformation => self.readings.gain,
            By::Reward => self.reward,
        }
    }
}

/// The indices of candidates, the best first; what has no worth is last, and of equals the one given first is first.
#[must_use]
pub fn in_order(candidates: &[Ranked], by: By) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let worth = |at: &usize| candidates.get(*at).and_then(|one| one.worth(by));
    order.sort_by(|a, b| match (worth(a), worth(b)) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    order
}

impl LanguageModel {
    /// The likelihood of each candidate behind a text, in the order given, so that they can be put in order `by` it. Where the
    /// two meet is decided as by the scorer `choice`: one space stands between, unless there is white space already.
    /// Spellings of control tokens are control tokens in the text, which is a prompt, and plain text in candidates.
    ///
    /// # Errors
    /// Fewer than two candidates, one that is empty or given twice; what does not fit the context; mutual information of a
    /// model that has no token to begin a text with; when the model cannot be loaded or decoding fails.
    pub fn rank(&self, text: &str, candidates: &[String], by: By) -> Result<Vec<Ranked>, Problems> {
        comparable(text, candidates)?;
        if by == By::MutualInformation && self.engine().start().is_none() {
            return Err(DirectError::NoStart { place: self.place() }.into());
        }
        let prompt = Prompt { text: text.to_owned(), ..Prompt::default() };
        let tokens = self.engine().tokenize(text, &[]);
        let behind: Vec<Candidate> = candidates.iter().map(|candidate| Candidate::behind(text, candidate)).collect();
        let wants = want::candidates(self.engine(), (&prompt, &tokens), &behind).map_err(|unfit| match unfit {
            Unfit::TooLong { prompt, candidate } => self.too_long("the text", (prompt, candidate), "of a candidate"),
            Unfit::NoTokens { text } => DirectError::NoTokens { candidate: text },
            Unfit::ShortText => DirectError::Empty { what: "the text".to_owned() },
        })?;
        let answers = self.ask(wants.iter().map(|want| want.request.clone()).collect())?;
        let (_, likelihoods, _) = want::gathered(wants.iter().zip(&answers));
        let shares = shares(&likelihoods.iter().map(|likelihood| likelihood.logprob).collect::<Vec<_>>());
        let all = candidates.iter().zip(likelihoods).zip(shares).map(|((candidate, likelihood), share)| Ranked {
            candidate: candidate.clone(),
            readings: Readings::of(candidate, &likelihood),
            likelihood,
            share,
            reward: None,
        });
        Ok(all.collect())
    }
}

/// All that is wrong with a text and its candidates, whatever the model.
fn comparable(text: &str, candidates: &[String]) -> Result<(), Problems> {
    let mut problems = Problems::new();
    if text.is_empty() {
        problems.push(DirectError::Empty { what: "the text".to_owned() });
    }
    if candidates.len() < 2 {
        problems.push(DirectError::FewCandidates { count: candidates.len() });
    }
    for (at, candidate) in candidates.iter().enumerate() {
        if candidate.is_empty() {
            problems.push(DirectError::Empty { what: format!("candidate {}", at + 1) });
        } else if candidates.iter().take(at).any(|other| other == candidate) {
            problems.push(DirectError::Twice { candidate: candidate.clone() });
        }
    }
    problems.or_ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_worth_is_last_and_the_first_of_equals_first() {
        let one = |sum: f64, reward| Ranked {
            candidate: "x".into(),
            likelihood: Likelihood { text: " x".into(), logprob: sum, tokens: 1, bytes: 2, unconditional: None },
            readings: Readings { sum, per_character: sum, per_byte: sum, gain: None },
            share: 0.25,
            reward,
        };
        let all = [one(-2.0, None), one(-1.0, Some(0.5)), one(-2.0, Some(1.5)), one(f64::NEG_INFINITY, None)];
        assert_eq!(in_order(&all, By::Likelihood), [1, 0, 2, 3]);
        assert_eq!(in_order(&all, By::Reward), [2, 1, 0, 3]);
        assert_eq!(in_order(&all, By::MutualInformation), [0, 1, 2, 3]);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let said = |text: &str, candidates: &[&str]| {
            let candidates: Vec<String> = candidates.iter().map(|&one| one.to_owned()).collect();
            comparable(text, &candidates).unwrap_err().to_string()
        };
        insta::assert_snapshot!(said("", &["a"]), @r"
        error: the text is empty
          help: give at least one character

        error: 1 candidate cannot be ranked
          help: give two or more: --candidates A B
        ");
        insta::assert_snapshot!(said("x", &["a", "", "a"]), @r"
        error: candidate 2 is empty
          help: give at least one character

        error: the candidate `a` is given twice
          help: leave one of them out
        ");
    }
}
