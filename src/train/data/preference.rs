//! What was preferred: rows of judgements become prompts with their answers, each of which is computed once.

use super::read::Found;
use super::rows::Preference;
use crate::engine::Token;
use crate::error::Place;
use crate::model::Document;
use crate::prompt::Asked;
use std::collections::{HashMap, HashSet};

/// A prompt with its answers, and what was said of them. The answers are the branches of its document, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// The prompt, for people.
    pub prompt: String,
    /// The answers, as they were given.
    pub answers: Vec<String>,
    /// What was preferred to what.
    pub judged: Vec<Judged>,
}

impl Group {
    /// One of its judgements, to read.
    pub(super) fn shown(&self) -> Option<String> {
        let judged = self.judged.first()?;
        let (better, worse) = (self.answers.get(judged.better)?, self.answers.get(judged.worse)?);
        Some(format!("{}\n⟦better⟧ {better}\n⟦worse⟧ {worse}", self.prompt))
    }
}

/// One judgement of two answers of a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// The answer that was preferred.
    pub better: usize,
    /// The other one.
    pub worse: usize,
    /// By how much, where somebody said; else 0.
    pub margin: f32,
    /// By what it was judged, where that is said.
    pub axis: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// A preference with both answers as tokens, the prompt before each and the token that ends it behind.
pub(super) struct Tokenised {
    pub place: Place,
    pub said: Preference,
    pub chosen: Vec<Token>,
    pub rejected: Vec<Token>,
}

/// Of which answers the tokens are read, from where they part: −log p of those is learned, or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// Of none: a head is read, and nothing else.
    Nothing,
    /// Of those to which none was preferred.
    Best,
    /// Of all.
    All,
}

/// Preferences of one prompt, on their way to documents.
#[derive(Default)]
struct Bundle {
    group: Group,
    /// Of each answer its tokens.
    tokens: Vec<Vec<Token>>,
}

impl Bundle {
    /// The number of an answer, which is new or known.
    fn answer(&mut self, text: &str, tokens: &[Token]) -> usize {
        if let Some(known) = self.tokens.iter().position(|known| known == tokens) {
            return known;
        }
        self.group.answers.push(text.to_owned());
        self.tokens.push(tokens.to_vec());
        self.tokens.len() - 1
    }

    fn add(&mut self, one: &Tokenised) {
        let (better, worse) =
            (self.answer(&one.said.chosen, &one.chosen), self.answer(&one.said.rejected, &one.rejected));
        let Preference { margin, axis, tags, .. } = &one.said;
        self.group.judged.push(Judged { better, worse, margin: *margin, axis: axis.clone(), tags: tags.clone() });
    }

    /// How long its document is: what all answers begin with, and the rest of each.
    fn len(&self) -> usize {
        let trunk = self.trunk();
        trunk + self.tokens.iter().map(|tokens| tokens.len() - trunk).sum::<usize>()
    }

    /// Tokens that all answers begin with; of each at least one is its own.
    fn trunk(&self) -> usize {
        let Some((first, others)) = self.tokens.split_first() else { return 0 };
        let shared = |other: &Vec<Token>| {
            let same = first.iter().zip(other).take_while(|(a, b)| a == b).count();
            same.min(first.len() - 1).min(other.len() - 1)
        };
        others.iter().map(shared).min().unwrap_or(0)
    }

    /// `says`: of each answer, whether its tokens are read.
    fn document(&self, says: impl Fn(&[Token]) -> bool) -> Document {
        let trunk = self.trunk();
        let mut tokens: Vec<Token> = self.tokens.first().map_or(Vec::new(), |first| first[..trunk].to_vec());
        let mut learn = vec![false; trunk];
        let mut branches = Vec::with_capacity(self.tokens.len());
        for answer in &self.tokens {
            branches.push(tokens.len());
            tokens.extend_from_slice(&answer[trunk..]);
            learn.resize(tokens.len(), says(answer));
        }
        Document { branches, ..Document::new(tokens, learn) }
    }
}

/// The documents of some preferences: all of one prompt in one, as far as `sequence` tokens hold them. Those whose two
/// answers are too long for that together are given back.
pub(super) fn documents(all: Vec<Tokenised>, sequence: usize, says: Says) -> (Vec<Found>, Vec<(Place, usize)>) {
    let mut places: HashMap<Asked, usize> = HashMap::new();
    let mut prompts: Vec<Vec<Tokenised>> = Vec::new();
    for one in all {
        let at = *places.entry(one.said.asked.clone()).or_insert(prompts.len());
        if at == prompts.len() {
            prompts.push(Vec::new());
        }
        prompts[at].push(one);
    }
    let (mut found, mut too_long) = (Vec::new(), Vec::new());
    for preferences in prompts {
        let Some(first) = preferences.first() else { continue };
        let (place, prompt) = (first.place.clone(), first.said.asked.shown());
        let begin = || Bundle { group: Group { prompt: prompt.clone(), ..Group::default() }, ..Bundle::default() };
        // Of all judgements of the prompt: an answer may lose in another document than the one where it wins.
        let worse: HashSet<&[Token]> = preferences.iter().map(|one| one.rejected.as_slice()).collect();
        let read = |answer: &[Token]| says == Says::All || says == Says::Best && !worse.contains(answer);
        let mut bundles = vec![begin()];
        for one in &preferences {
            let mut alone = begin();
            alone.add(one);
            if alone.len() > sequence {
                too_long.push((one.place.clone(), alone.len()));
                continue;
            }
            let Some(last) = bundles.last_mut() else { continue };
            let mut longer = Bundle { group: last.group.clone(), tokens: last.tokens.clone() };
            longer.add(one);
            if longer.len() <= sequence { *last = longer } else { bundles.push(alone) }
        }
        for bundle in bundles.into_iter().filter(|bundle| !bundle.tokens.is_empty()) {
            let mut one = Found::new(place.clone(), vec![bundle.document(read)], &prompt);
            one.text = std::iter::once(&prompt).chain(&bundle.group.answers).cloned().collect::<Vec<_>>().join("\n\n");
            one.group = Some(bundle.group);
            found.push(one);
        }
    }
    (found, too_long)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preference(prompt: &str, chosen: &[Token], rejected: &[Token]) -> Tokenised {
        let text = |tokens: &[Token]| format!("{tokens:?}");
        let said = Preference {
            asked: Asked::Text(prompt.to_owned()),
            chosen: text(chosen),
            rejected: text(rejected),
            margin: 0.5,
            axis: None,
            tags: vec![],
        };
        let with_prompt = |answer: &[Token]| [&[1, 2, 3][..], answer].concat();
        Tokenised { place: Place::default(), said, chosen: with_prompt(chosen), rejected: with_prompt(rejected) }
    }

    #[test]
    fn answers_to_one_prompt_are_branches_of_one_document_each_of_them_once() {
        let all = vec![
            preference("a", &[7, 0], &[8, 0]),
            preference("b", &[9, 0], &[7, 0]),
            preference("a", &[7, 0], &[9, 9, 0]),
            preference("a", &[8, 0], &[9, 9, 0]),
        ];
        let (found, too_long) = documents(all, 64, Says::Nothing);
        assert_eq!((found.len(), too_long.len()), (2, 0));
        let document = &found[0].documents[0];
        assert_eq!(
            (&document.tokens[..], &document.branches[..]),
            (&[1, 2, 3, 7, 0, 8, 0, 9, 9, 0][..], &[3, 5, 7][..])
        );
        let group = found[0].group.as_ref().unwrap();
        let order: Vec<(usize, usize)> = group.judged.iter().map(|judged| (judged.better, judged.worse)).collect();
        assert_eq!((group.answers.len(), order), (3, vec![(0, 1), (0, 2), (1, 2)]));
        // What is held out is decided by the prompt.
        assert_ne!(found[0].key, found[1].key);
    }

    #[test]
    fn what_does_not_fit_together_is_divided_and_what_fits_nowhere_is_given_back() {
        let all = vec![
            preference("a", &[7, 0], &[8, 0]),
            preference("a", &[5, 5, 0], &[6, 6, 0]),
            preference("a", &[4; 9], &[7, 0]),
        ];
        let (found, too_long) = documents(all, 9, Says::Nothing);
        assert_eq!(found.iter().map(|found| found.documents[0].tokens.len()).collect::<Vec<_>>(), [7, 9]);
        assert_eq!(too_long.iter().map(|(_, tokens)| *tokens).collect::<Vec<_>>(), [14]);
        assert_eq!(found[0].key, found[1].key, "they stay on one side");
    }

    #[test]
    fn what_is_also_said_are_the_answers_to_which_none_was_preferred() {
        let all = || vec![preference("a", &[7, 5, 0], &[7, 8, 0]), preference("a", &[7, 8, 0], &[7, 9, 9, 0])];
        let learned = |says| documents(all(), 64, says).0[0].documents[0].clone();
        let apart = documents(all(), 9, Says::Best).0;
        let targets: Vec<usize> = apart.iter().map(|found| found.documents[0].targets()).collect();
        assert_eq!(targets, [2, 0], "what wins in the second document lost in the first");
        assert_eq!(learned(Says::Best).tokens, [1, 2, 3, 7, 5, 0, 8, 0, 9, 9, 0]);
        let from_where_they_part = [4, 5].map(|at| learned(Says::Best).learn[at]);
        assert_eq!(
            (from_where_they_part, learned(Says::Best).targets(), learned(Says::Nothing).targets()),
            ([true; 2], 2, 0)
        );
        assert_eq!(learned(Says::All).targets(), 7, "of each answer what is its own");
    }

    #[test]
    fn one_answer_may_begin_with_all_of_another() {
        let (found, _) = documents(vec![preference("a", &[7, 0], &[7, 0, 0])], 64, Says::Nothing);
        let document = &found[0].documents[0];
        assert_eq!((&document.tokens[..], &document.branches[..]), (&[1, 2, 3, 7, 0, 0, 0][..], &[4, 5][..]));
    }
}
