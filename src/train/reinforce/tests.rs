//! A problem whose best answer is known, on a learner of a few hundred numbers.

use super::answers::{Answer, Group, documents};
use super::round::{Round, Sums};
use crate::model::Update;
use crate::seed;
use crate::train::bigram::Bigram;
use crate::train::learner::Learner;
use crate::train::loss::Reins;
use rand::RngExt;
use std::collections::BTreeMap;

const COUNT: u32 = 8;
const TOKENS: usize = COUNT as usize;
const LENGTH: usize = 3;
/// The token that is worth something.
const GOOD: u32 = 5;

/// The probabilities of what follows a token.
fn follows(policy: &Bigram, token: u32) -> Vec<f64> {
    let saved = policy.save().unwrap();
    let row = &saved[0].values[token as usize * TOKENS..][..TOKENS];
    let all: Vec<f64> = row.iter().map(|x| f64::from(*x).exp()).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|x| x / sum).collect()
}

/// Answers to a prompt of one token, drawn from the policy, each worth its share of the good token times `sign`.
fn group(policy: &Bigram, prompt: u32, (count, sign): (usize, f64), key: u64) -> Group {
    let mut random = seed::rng(key);
    let mut draw = |before: u32| {
        let mut left = random.random::<f64>();
        let next = follows(policy, before).iter().position(|p| {
            left -= p;
            left < 0.0
        });
        next.map_or(COUNT - 1, |next| u32::try_from(next).unwrap())
    };
    let answers = (0..count).map(|_| {
        let mut tokens = vec![draw(prompt)];
        while tokens.len() < LENGTH {
            tokens.push(draw(*tokens.last().unwrap()));
        }
        let good = tokens.iter().filter(|token| **token == GOOD).count() as f64 / LENGTH as f64;
        Answer { tokens, logprobs: vec![], reward: sign * good, scores: BTreeMap::new(), stopped: true }
    });
    Group { prompt: vec![prompt], answers: answers.collect() }
}

/// Practises for some rounds; gives the policy and the sums of each step.
fn practised(rounds: u64, passes: u64, sign: f64, reins: Reins) -> (Bigram, Vec<Sums>) {
    let mut policy = Bigram::new(TOKENS, 0);
    let initial = policy.save().unwrap();
    let (mut all, mut step) = (Vec::new(), 0);
    for round in 0..rounds {
        let groups: Vec<Group> =
            (0..COUNT).map(|prompt| group(&policy, prompt, (16, sign), round * 100 + u64::from(prompt))).collect();
        let (documents, _) = documents(&groups, true, 64);
        let mut round = Round::new(documents, 64, 2);
        round.refer(&mut policy, &initial).unwrap();
        for pass in 0..passes {
            step += 1;
            let how = Update { step, lr: 0.1, betas: (0.9, 0.95), eps: 1e-8, weight_decay: 0.0, clip: 1.0 };
            all.push(round.step(&mut policy, (reins, &how, pass == 0), step).unwrap().0);
        }
    }
    (policy, all)
}

fn good(policy: &Bigram) -> f64 {
    (0..COUNT).map(|token| follows(policy, token)[GOOD as usize]).sum::<f64>() / TOKENS as f64
}

const FREE: Reins = Reins { clip: 0.2, kl: 0.0 };

#[test]
fn the_policy_finds_the_best_answer() {
    let (policy, sums) = practised(80, 1, 1.0, FREE);
    assert!(good(&policy) > 0.95, "{}", good(&policy));
    assert!(
        sums.iter().all(|one| (one.ratio / one.tokens as f64 - 1.0).abs() < 1e-6 && one.cut == 0),
        "drawn by itself"
    );
    assert!(sums[0].surprise / sums[0].tokens as f64 > 2.0 && sums[79].surprise / (sums[79].tokens as f64) < 0.5);
}

/// The negative twin.
#[test]
fn with_the_sign_of_the_reward_turned_it_shuns_it() {
    let policy = practised(80, 1, -1.0, FREE).0;
    assert!(good(&policy) < 0.02, "{}", good(&policy));
}

#[test]
fn the_pull_towards_the_beginning_holds_it_back() {
    let (free, held) = (practised(80, 1, 1.0, FREE).0, practised(80, 1, 1.0, Reins { kl: 2.0, ..FREE }));
    assert!(good(&held.0) < good(&free) - 0.2, "{} {}", good(&held.0), good(&free));
    assert!(good(&held.0) > 1.5 / TOKENS as f64, "{}", good(&held.0));
    assert!(held.1.iter().all(|one| one.kl >= 0.0));
    assert!(held.1[0].kl <= 0.0, "it begins where it is held");
}

/// Several steps of one round's answers: the first finds them as likely as they were drawn, later ones are cut off at 1 ± ε.
#[test]
fn answers_may_be_learned_from_more_than_once_but_not_without_end() {
    let (policy, sums) = practised(20, 4, 1.0, FREE);
    assert!(good(&policy) > 0.9, "{}", good(&policy));
    for round in sums.chunks(4) {
        assert!((round[0].ratio / round[0].tokens as f64 - 1.0).abs() < 1e-6 && round[0].cut == 0);
    }
    assert!(sums.iter().any(|one| one.cut > 0), "nothing was ever cut off");
}
