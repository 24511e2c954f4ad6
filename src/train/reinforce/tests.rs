//! A problem whose best answer is known, on a learner of a few hundred numbers.

use super::answers::{Answer, Group, documents};
use super::round::{Round, Sums};
use crate::model::Update;
use crate::seed;
use crate::train::bigram::Bigram;
use crate::train::learner::Learner;
use crate::train::loss::Reins;
use crate::train::recipe::{Against, Critic};
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

/// What an answer is worth by its share of the good token.
type Worth = fn(f64) -> f64;

/// Answers to a prompt of one token, drawn from the policy.
fn group(policy: &Bigram, prompt: u32, (count, worth): (usize, Worth), key: u64) -> Group {
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
        Answer { tokens, logprobs: vec![], reward: worth(good), scores: BTreeMap::new(), stopped: true }
    });
    Group { prompt: vec![prompt], answers: answers.collect() }
}

/// How a toy is practised.
#[derive(Clone, Copy)]
struct How {
    rounds: u64,
    passes: u64,
    worth: Worth,
    reins: Reins,
    against: Against,
}

const FREE: Reins = Reins { clip: 0.2, kl: 0.0 };
const GRPO: How =
    How { rounds: 80, passes: 1, worth: |good| good, reins: FREE, against: Against::Group { spread: true } };
const CRITIC: Critic = Critic { clip: 0.2, weight: 1.0, gamma: 1.0, lambda: 0.95 };
const PPO: How = How { rounds: 40, passes: 2, against: Against::Critic(CRITIC), ..GRPO };

/// Practises; gives the policy and the sums of each step.
fn practised(how: How) -> (Bigram, Vec<Sums>) {
    let mut policy = Bigram::new(TOKENS, usize::from(how.against.critic().is_some()));
    let initial = policy.save().unwrap();
    let (mut all, mut step) = (Vec::new(), 0);
    for round in 0..how.rounds {
        let groups: Vec<Group> =
            (0..COUNT).map(|prompt| group(&policy, prompt, (16, how.worth), round * 100 + u64::from(prompt))).collect();
        let (documents, _) = documents(&groups, how.against, 64);
        let mut round = Round::new(documents, (how.reins, how.against), (64, 2));
        round.prepare(&mut policy, &initial).unwrap();
        for pass in 0..how.passes {
            step += 1;
            let update = Update { step, lr: 0.1, betas: (0.9, 0.95), eps: 1e-8, weight_decay: 0.0, clip: 1.0 };
            all.push(round.step(&mut policy, (&update, pass == 0), step).unwrap().0);
        }
    }
    (policy, all)
}

fn good(policy: &Bigram) -> f64 {
    (0..COUNT).map(|token| follows(policy, token)[GOOD as usize]).sum::<f64>() / TOKENS as f64
}

#[test]
fn the_policy_finds_the_best_answer() {
    let (policy, sums) = practised(GRPO);
    assert!(good(&policy) > 0.95, "{}", good(&policy));
    assert!(
        sums.iter().all(|one| (one.ratio / one.tokens as f64 - 1.0).abs() < 1e-6 && one.cut == 0),
        "drawn by itself"
    );
    assert!(sums[0].surprise / sums[0].tokens as f64 > 2.0 && sums[79].surprise / (sums[79].tokens as f64) < 0.5);
}

#[test]
fn so_it_does_with_a_critic_which_learns_to_foresee() {
    let (policy, sums) = practised(PPO);
    assert!(good(&policy) > 0.95, "{}", good(&policy));
    let foreseen = |of: &[Sums]| of.iter().map(Sums::foreseen).fold(f64::NEG_INFINITY, f64::max);
    // It knew nothing; then it knows what is worth more than something else.
    assert!(foreseen(&sums[..2]) < 0.05 && foreseen(&sums) > 0.1, "{} {}", foreseen(&sums[..2]), foreseen(&sums));
}

/// The negative twins.
#[test]
fn with_the_sign_of_the_reward_turned_it_shuns_it() {
    for how in [GRPO, PPO] {
        let policy = practised(How { worth: |good| -good, ..how }).0;
        assert!(good(&policy) < 0.02, "{}", good(&policy));
    }
}

/// Tokens that come early would else be shunned, and those that come late sought, for nothing but their place.
#[test]
fn what_is_always_worth_the_same_moves_no_policy() {
    for how in [GRPO, PPO] {
        let (policy, sums) = practised(How { worth: |_| 1.0, rounds: 10, ..how });
        let even = 1.0 / TOKENS as f64;
        assert!((0..COUNT).all(|token| follows(&policy, token).iter().all(|p| (p - even).abs() < 1e-6)));
        assert!(sums.iter().all(|one| one.kl.abs() < 1e-9));
    }
}

#[test]
fn the_pull_towards_the_beginning_holds_it_back() {
    for how in [GRPO, PPO] {
        let (free, held) = (practised(how).0, practised(How { reins: Reins { kl: 2.0, ..FREE }, ..how }));
        assert!(good(&held.0) < good(&free) - 0.2, "{} {}", good(&held.0), good(&free));
        assert!(held.1.iter().all(|one| one.kl >= 0.0));
        assert!(held.1[0].kl <= 0.0, "it begins where it is held");
    }
}

/// Where reward and pull are one sum, as with a critic, the best policy is known: the beginning, times e to the power of what a token
/// is worth by what the pull costs (Ziebart 2008; Rafailov 2023, 2305.18290, equation 4).
#[test]
fn with_a_critic_the_pull_holds_it_where_it_should() {
    let kl = 0.2;
    let policy = practised(How { rounds: 150, reins: Reins { kl, ..FREE }, ..PPO }).0;
    let worth = (1.0 / LENGTH as f64 / kl).exp();
    let best = worth / (worth + TOKENS as f64 - 1.0);
    assert!((good(&policy) - best).abs() < 0.08, "{} {best}", good(&policy));
}

/// Several steps of one round's answers: the first finds them as likely as they were drawn, later ones are cut off at 1 ± ε.
#[test]
fn answers_may_be_learned_from_more_than_once_but_not_without_end() {
    for how in [GRPO, PPO] {
        let (policy, sums) = practised(How { rounds: 20, passes: 4, ..how });
        assert!(good(&policy) > 0.9, "{}", good(&policy));
        for round in sums.chunks(4) {
            assert!((round[0].ratio / round[0].tokens as f64 - 1.0).abs() < 1e-6 && round[0].cut == 0);
        }
        assert!(sums.iter().any(|one| one.cut > 0), "nothing was ever cut off");
    }
}

/// One answer a prompt is enough for a critic: no group is needed.
#[test]
fn with_a_critic_the_advantages_of_a_round_are_whitened() {
    let policy = &mut Bigram::new(TOKENS, 1);
    let groups: Vec<Group> =
        (0..COUNT).map(|prompt| group(policy, prompt, (1, |good| good), u64::from(prompt))).collect();
    let (documents, _) = documents(&groups, PPO.against, 64);
    let mut round = Round::new(documents, (FREE, PPO.against), (64, 3));
    let initial = policy.save().unwrap();
    round.prepare(policy, &initial).unwrap();
    let all = round.advantages();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let variance = all.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / all.len() as f64;
    assert_eq!(all.len(), TOKENS * LENGTH);
    assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
}
