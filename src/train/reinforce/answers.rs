//! From the samples of a round to what the decoder reads, and what each answer is worth.

use super::ready::Ready;
use crate::engine::{StopReason, Token};
use crate::model::Document;
use crate::score::{Score, ScoreValue};
use crate::store::{Repeat, Sample};
use crate::train::loss::of_group;
use crate::train::recipe::Against;
use std::collections::BTreeMap;

/// One answer: what was drawn, and what it is worth.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// The tokens that were drawn, with the one that ended them.
    pub tokens: Vec<Token>,
    /// log π of them by the engine, as far as it said.
    pub logprobs: Vec<f32>,
    /// The weighted sum of its scores.
    pub reward: f64,
    /// Of each scorer.
    pub scores: BTreeMap<String, f64>,
    /// It came to an end before `max_tokens`.
    pub stopped: bool,
}

/// A prompt and the answers to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Group {
    pub prompt: Vec<Token>,
    pub answers: Vec<Answer>,
}

/// A document of a round: a prompt with answers as its branches.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Practised {
    pub document: Document,
    /// log π by the engine, in the order in which the tokens are learned; `None` where it did not say.
    pub engine: Vec<Option<f32>>,
    /// Of each answer how many tokens it has, and what it is worth: its reward, or how much more that is than its group's.
    pub worth: Vec<(usize, f64)>,
}

/// The prompts of a round with their answers, and how many samples no scorer could judge.
pub(super) fn groups(samples: &[Sample], ready: &Ready) -> (Vec<Group>, usize) {
    let mut groups: Vec<(&str, Group)> = Vec::new();
    let mut unscored = 0;
    for sample in samples.iter().filter(|sample| sample.trial.repeat != Repeat::Reduced) {
        let Some((prompt, answer)) = answer(sample, ready) else {
            unscored += 1;
            continue;
        };
        match groups.iter_mut().find(|(case, _)| *case == sample.trial.case) {
            Some((_, group)) => group.answers.push(answer),
            None => groups.push((&sample.trial.case, Group { prompt, answers: vec![answer] })),
        }
    }
    (groups.into_iter().map(|(_, group)| group).collect(), unscored)
}

fn answer(sample: &Sample, ready: &Ready) -> Option<(Vec<Token>, Answer)> {
    let (prompt, said) = (sample.prompt.as_ref()?, sample.completion.as_ref()?);
    let (reward, scores) = (reward(sample, ready)?, scores(sample));
    let stopped = said.stop_reason == StopReason::Stop;
    // A stop text was drawn like any other; where none was, a token of the model's ended the answer.
    let tokens: Vec<Token> = said.tokens.iter().copied().chain(said.end).collect();
    let logprobs = said.logprobs.iter().flatten().map(|token| token.logprob).collect();
    (!tokens.is_empty()).then(|| (prompt.tokens.clone(), Answer { tokens, logprobs, reward, scores, stopped }))
}

/// What an answer is worth: the weighted sum of its scores, less what it costs not to have stopped. `None` where a scorer that
/// counts could not judge it.
pub(super) fn reward(sample: &Sample, ready: &Ready) -> Option<f64> {
    let stopped = sample.completion.as_ref()?.stop_reason == StopReason::Stop;
    let penalty = if stopped { 0.0 } else { ready.practice.unstopped };
    Some(ready.worth(&scores(sample))? - penalty)
}

/// What each scorer says, as a number; those that could not judge are left out.
pub(super) fn scores(sample: &Sample) -> BTreeMap<String, f64> {
    let target = sample.case.target.as_deref().map(str::trim);
    let number = |score: &Score| match &score.value {
        ScoreValue::Pass(pass) => Some(f64::from(u8::from(*pass))),
        ScoreValue::Number(number) => Some(*number),
        ScoreValue::Label(label) => target.map(|target| f64::from(u8::from(target == label))),
        ScoreValue::Unscored(_) => None,
    };
    sample.scores.iter().filter_map(|score| Some((score.scorer.clone(), number(score)?))).collect()
}

/// The documents of a round, each within `sequence` tokens; and how many answers are longer than that.
pub(super) fn documents(groups: &[Group], against: Against, sequence: usize) -> (Vec<Practised>, usize) {
    let (mut documents, mut too_long) = (Vec::new(), 0);
    for group in groups {
        let rewards: Vec<f64> = group.answers.iter().map(|answer| answer.reward).collect();
        let (valued, worth) = match against {
            Against::Critic(_) => (true, rewards),
            Against::Group { spread } => (false, of_group(&rewards, spread)),
        };
        let prompt = Document { valued, ..Document::new(group.prompt.clone(), vec![false; group.prompt.len()]) };
        let begin = || Practised { document: prompt.clone(), ..Practised::default() };
        let mut last = begin();
        for (answer, worth) in group.answers.iter().zip(worth) {
            if group.prompt.len() + answer.tokens.len() > sequence {
                too_long += 1;
                continue;
            }
            if last.document.tokens.len() + answer.tokens.len() > sequence {
                documents.push(std::mem::replace(&mut last, begin()));
            }
            let Practised { document, engine, worth: all } = &mut last;
            document.branches.push(document.tokens.len());
            document.tokens.extend(&answer.tokens);
            document.learn.resize(document.tokens.len(), true);
            engine.extend((0..answer.tokens.len()).map(|at| answer.logprobs.get(at).copied()));
            all.push((answer.tokens.len(), worth));
        }
        documents.push(last);
    }
    documents.retain(|one| !one.document.branches.is_empty());
    (documents, too_long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::Critic;

    fn answer(tokens: &[Token], reward: f64) -> Answer {
        Answer { tokens: tokens.to_vec(), logprobs: vec![-1.0], reward, scores: BTreeMap::new(), stopped: true }
    }

    #[test]
    fn answers_are_branches_behind_their_prompt_and_each_token_has_its_answers_advantage() {
        let group = Group { prompt: vec![1, 2], answers: vec![answer(&[7, 0], 1.0), answer(&[8, 9, 0], 0.0)] };
        let (documents, too_long) = documents(std::slice::from_ref(&group), Against::Group { spread: false }, 16);
        assert_eq!((documents.len(), too_long), (1, 0));
        let Practised { document, engine, worth } = &documents[0];
        assert_eq!((&document.tokens[..], &document.branches[..]), (&[1, 2, 7, 0, 8, 9, 0][..], &[2, 4][..]));
        assert_eq!(document.learn, [false, false, true, true, true, true, true]);
        assert_eq!(worth, &[(2, 0.5), (3, -0.5)]);
        assert_eq!(engine, &[Some(-1.0), None, Some(-1.0), None, None]);
        assert_eq!((document.targets(), document.ends()), (5, 2));
        // With a critic it is the rewards themselves, and the critic is read at each token.
        let (documents, _) = super::documents(&[group], Against::Critic(Critic::default()), 16);
        assert_eq!((&documents[0].worth[..], documents[0].document.ends()), (&[(2, 1.0), (3, 0.0)][..], 5));
    }

    #[test]
    fn what_does_not_fit_together_is_divided_and_measured_together() {
        let answers = vec![answer(&[7, 0], 1.0), answer(&[8, 0], 0.0), answer(&[9; 9], 0.0)];
        let (documents, too_long) =
            documents(&[Group { prompt: vec![1, 2], answers }], Against::Group { spread: false }, 5);
        assert_eq!((documents.len(), too_long), (2, 1));
        let advantages: Vec<f64> = documents.iter().map(|one| one.worth[0].1).collect();
        assert!((advantages[0] - 2.0 / 3.0).abs() < 1e-9 && (advantages[1] + 1.0 / 3.0).abs() < 1e-9);
    }
}
