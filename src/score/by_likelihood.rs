//! The scorers that judge by how likely the model finds given texts, and the one place that tells them apart.

use super::candidate::Behind;
use super::choice::ChoiceScorer;
use super::judgement::Judgement;
use super::label_likelihood::LabelLikelihood;
use super::perplexity::PerplexityScorer;
use super::{Candidate, Judged};
use crate::suite::Case;

/// One scorer by likelihood, built from its settings.
#[derive(Debug)]
pub(super) enum ByLikelihood {
    Choice(ChoiceScorer),
    Perplexity(PerplexityScorer),
    Label(LabelLikelihood),
}

impl ByLikelihood {
    fn behind<'a>(&'a self, prompt: &'a str, chat: bool) -> Behind<'a> {
        let delimiter = match self {
            Self::Choice(scorer) => scorer.delimiter(),
            Self::Perplexity(scorer) => scorer.delimiter(),
            Self::Label(scorer) => scorer.delimiter(),
        };
        Behind { prompt, chat, delimiter }
    }

    /// The texts whose likelihood it needs; none where the case does not fit.
    pub(super) fn candidates(&self, case: &Case, prompt: &str, chat: bool) -> Vec<Candidate> {
        let behind = self.behind(prompt, chat);
        match self {
            Self::Choice(scorer) => scorer.candidates(case, behind),
            Self::Perplexity(_) => PerplexityScorer::candidates(case, behind),
            Self::Label(scorer) => scorer.candidates(case, behind),
        }
    }

    /// The judgement, and the text that is the model's answer, where one is.
    pub(super) fn judge(&self, judged: &Judged) -> (Judgement, Option<String>) {
        let behind = self.behind(judged.prompt, judged.chat);
        match self {
            Self::Choice(scorer) => scorer.judge(judged, behind),
            Self::Perplexity(_) => (PerplexityScorer::judge(judged, behind), None),
            Self::Label(scorer) => scorer.judge(judged, behind),
        }
    }
}
