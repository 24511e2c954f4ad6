//! The signs by which a policy's training is seen to go wrong.

use crate::error::Place;
use crate::store::training::{PracticeRecord, StepRecord};
use crate::train::failure::TrainingFailure;
use std::collections::{BTreeMap, VecDeque};

/// Rounds in a row in which no answer was worth more than another of its prompt: then nothing is learned any more.
const SILENT: usize = 5;
/// The importance ratio of a round's first step may differ so much from 1: decoder and engine are to be one policy.
const RATIO: f64 = 0.02;
/// Nats by which they may differ on a token, in the mean: what the two are held to on quantised weights.
const PARITY: f64 = 0.02;
/// The share of its first entropy below which a policy has next to nothing left to draw.
const ENTROPY: f64 = 0.1;
/// The spread of rewards below which nearly all answers are worth the same: then it may well draw the same.
const SPREAD: f64 = 0.2;
/// Nats a token beyond which the policy is another model.
const KL: f64 = 1.0;
/// A share of answers that did not stop from which on it is said.
const UNSTOPPED: f64 = 0.5;
/// A share of answers that are not learned from, from which on it is said.
const LEFT_OUT: f64 = 0.1;
/// So many times as long as at first, or as short, and it is said.
const DRIFT: f64 = 2.0;
/// Rounds that are looked at together for what rises and what falls.
const WINDOW: usize = 5;
/// Standard errors, and at least so much of a score, by which it must have fallen.
const FALL: (f64, f64) = (3.0, 0.05);

/// Whether there is more to learn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outlook {
    /// Some answers are still worth more than others.
    GoOn,
    /// They no longer are, for some rounds.
    Level,
    /// They never were.
    Hopeless(TrainingFailure),
}

/// What was seen so far; each sign is said once. It is looked at once a round, at its first step: what was drawn is then what
/// the policy says.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The round that was looked at last.
    round: Option<u64>,
    silent: usize,
    /// Some answer was once worth more than another.
    taught: bool,
    /// The first round that was looked at.
    first: Option<PracticeRecord>,
    trends: Trends,
    said: Vec<&'static str>,
}

/// What rises and what falls over the rounds.
#[derive(Debug, Default)]
struct Trends {
    /// Scorers that judge by a rule, and not as a model was taught to.
    rules: Vec<String>,
    last: VecDeque<PracticeRecord>,
    /// Of each of those the highest it came to, with the reward at that time.
    best: BTreeMap<String, (f64, f64)>,
}

impl Trends {
    /// Takes a round in. Where the reward has risen since a rule was met best and the rule is met less by now, by more than chance:
    /// over-optimisation (Gao 2022, 2210.10760).
    fn fell(&mut self, round: &PracticeRecord) -> Option<String> {
        self.last.push_back(round.clone());
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
        if self.last.len() < WINDOW {
            return None;
        }
        let over = |of: &dyn Fn(&PracticeRecord) -> f64| self.last.iter().map(of).sum::<f64>() / WINDOW as f64;
        let (reward, spread) = (over(&|round| round.reward), over(&|round| round.spread));
        let answers: usize = self.last.iter().map(|round| round.answers).sum();
        // Of a difference of two means of so many answers; a rule's own spread is ½ at most.
        let error = |spread: f64| spread * (2.0 / answers.max(1) as f64).sqrt();
        let mut found = None;
        for rule in &self.rules {
            if self.last.iter().any(|round| !round.scores.contains_key(rule)) {
                continue;
            }
            let now = over(&|round| round.scores.get(rule).copied().unwrap_or(0.0));
            let best = self.best.entry(rule.clone()).or_insert((now, reward));
            if now >= best.0 {
                *best = (now, reward);
            } else if best.0 - now > FALL.1.max(FALL.0 * error(0.5)) && reward - best.1 > FALL.0 * error(spread) {
                let (was, before) = *best;
                found.get_or_insert(format!(
                    "over-optimised: the reward has risen from {before:.3} to {reward:.3} while `{rule}` fell from {was:.3} to {now:.3}"
                ));
            }
        }
        found
    }
}

impl Health {
    /// As it is behind some steps, so that a run that goes on decides as one that was never interrupted; and what it led to.
    /// `rules` are the scorers that judge by a rule.
    pub(super) fn of(steps: &[StepRecord], rules: Vec<String>) -> (Self, Outlook) {
        let mut health = Self { trends: Trends { rules, ..Trends::default() }, ..Self::default() };
        let mut outlook = Outlook::GoOn;
        for round in steps.iter().filter_map(|step| step.practice.as_ref()) {
            if let Some((_, found)) = health.look(round, &Place::default()) {
                outlook = found;
            }
        }
        (health, outlook)
    }

    /// What a round shows that the user should know, and whether there is more to learn.
    /// Nothing for one that was looked at.
    pub(super) fn look(&mut self, round: &PracticeRecord, place: &Place) -> Option<(Vec<TrainingFailure>, Outlook)> {
        if self.round.replace(round.round) == Some(round.round) {
            return None;
        }
        self.silent = if round.silent >= 1.0 { self.silent + 1 } else { 0 };
        self.taught |= round.silent < 1.0;
        let first = self.first.get_or_insert_with(|| round.clone());
        let mut signs = signs(round, first);
        signs.extend(self.trends.fell(round).map(|what| Sign {
            name: "over-optimised",
            what,
            help: "raise `kl`, give the rule a weight in `rewards`, or let people rank these answers (`tripos rank`) and train the judge on them",
        }));
        signs.retain(|sign| !self.said.contains(&sign.name));
        self.said.extend(signs.iter().map(|sign| sign.name));
        let failure =
            |Sign { what, help, .. }| TrainingFailure::Sign { what, help: help.to_owned(), place: place.clone() };
        let outlook = match (self.silent >= SILENT, self.taught) {
            (false, _) => Outlook::GoOn,
            (true, true) => Outlook::Level,
            (true, false) => {
                let (rounds, reward) = (self.silent, round.reward);
                Outlook::Hopeless(TrainingFailure::Silent { rounds, reward, place: place.clone() })
            }
        };
        Some((signs.into_iter().map(failure).collect(), outlook))
    }
}

/// Something that the user should know.
struct Sign {
    name: &'static str,
    what: String,
    help: &'static str,
}

/// What one round shows beside the first.
fn signs(round: &PracticeRecord, first: &PracticeRecord) -> Vec<Sign> {
    let mut signs = Vec::new();
    let mut sign = |name, seen: bool, what: String, help| {
        if seen {
            signs.push(Sign { name, what, help });
        }
    };
    sign(
        "parity",
        (round.ratio_engine - 1.0).abs() > RATIO || round.parity > PARITY,
        format!(
            "trainer and engine are not one policy: they differ by {:.3} nats on a token, and the one finds what the other drew {:.3} times as likely",
            round.parity, round.ratio_engine
        ),
        "a base in F16 or Q8_0 lies closer than one of few bits; `precision: f32` lies closest",
    );
    sign(
        "entropy",
        round.entropy < ENTROPY * first.entropy && round.spread > SPREAD,
        format!(
            "the policy draws the same again and again: entropy {:.4} nats a token, {:.4} at first",
            round.entropy, first.entropy
        ),
        "stop here, or begin again with a lower `lr` or a larger `kl`",
    );
    sign(
        "kl",
        round.kl > KL,
        format!("the policy has gone far from its base: KL {:.2} nats a token", round.kl),
        "lower `lr`, or raise `kl`, and look at what it says (`tripos show`)",
    );
    sign(
        "unstopped",
        round.unstopped > UNSTOPPED,
        format!("{:.0} % of the answers were cut at `max_tokens`", 100.0 * round.unstopped),
        "raise `max_tokens` in the suite, or let it cost something: `practice: {unstopped: 0.5}`",
    );
    let share = round.left_out as f64 / round.answers.max(1) as f64;
    sign(
        "left out",
        share > LEFT_OUT,
        format!("{:.0} % of the answers are not learned from: longer than a row, or not to be judged", 100.0 * share),
        "raise `sequence`, or see what the scorers say of the round (`tripos show`)",
    );
    let times = round.length / first.length.max(1.0);
    sign(
        "length",
        first.length > 0.0 && !(1.0 / DRIFT..=DRIFT).contains(&times),
        format!(
            "the answers have become {times:.1} times as long: {:.1} tokens, {:.1} at first",
            round.length, first.length
        ),
        "look at the rounds (`tripos show`): is it what was asked for, or does length alone earn the reward?",
    );
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round by its number and its share of level prompts.
    fn round(round: u64, silent: f64) -> PracticeRecord {
        PracticeRecord { round, silent, ratio_engine: 1.0, entropy: 0.5, ..PracticeRecord::default() }
    }

    fn step(practice: PracticeRecord) -> StepRecord {
        let line = r#"{"step":1,"loss":0.0,"lr":0.1,"grad_norm":0.0,"tokens":1,"targets":1,"tokens_per_s":1.0,"elapsed_s":1.0}"#;
        StepRecord { practice: Some(practice), ..serde_json::from_str(line).unwrap() }
    }

    /// What rounds of these shares of level prompts lead to, each made of so many steps.
    fn outlook(shares: &[f64], passes: usize) -> Outlook {
        let rounds = (0..).zip(shares).map(|(number, share)| round(number, *share));
        let steps: Vec<StepRecord> = rounds.flat_map(|round| std::iter::repeat_n(step(round), passes)).collect();
        Health::of(&steps, Vec::new()).1
    }

    #[test]
    fn a_reward_that_never_told_anything_apart_is_hopeless_and_one_that_no_longer_does_is_done() {
        for passes in [1, 4] {
            assert_eq!(outlook(&[1.0; SILENT - 1], passes), Outlook::GoOn, "rounds count, not steps");
            assert!(matches!(outlook(&[1.0; SILENT], passes), Outlook::Hopeless(_)));
            let once = |level: usize| [&[1.0, 0.9][..], &vec![1.0; level]].concat();
            assert_eq!(outlook(&once(SILENT - 1), passes), Outlook::GoOn);
            assert_eq!(outlook(&once(SILENT), passes), Outlook::Level);
        }
        assert_eq!(outlook(&[], 1), Outlook::GoOn);
    }

    /// What an earlier sitting saw counts: the last level round of a run that had learned ends it well.
    #[test]
    fn a_run_that_goes_on_remembers() {
        let earlier: Vec<StepRecord> =
            (0..).zip([0.5, 1.0, 1.0, 1.0, 1.0]).map(|(at, share)| step(round(at, share))).collect();
        let (mut health, _) = Health::of(&earlier, Vec::new());
        assert_eq!(health.look(&round(5, 1.0), &Place::default()).unwrap().1, Outlook::Level);
    }

    #[test]
    fn two_policies_are_none_by_their_ratio_or_by_what_hides_in_it() {
        let (mut health, place) = (Health::default(), Place::default());
        assert_eq!(health.look(&round(0, 0.0), &place).unwrap().0.len(), 0);
        // Errors of either sign leave the ratio where it is.
        let apart = PracticeRecord { parity: 0.3, ..round(1, 0.0) };
        assert_eq!(health.look(&apart, &place).unwrap().0.len(), 1);
    }

    #[test]
    fn each_sign_is_said_once() {
        let (mut health, place) = (Health::default(), Place::default());
        let ill = |number| PracticeRecord {
            ratio_engine: 1.05,
            parity: 0.3,
            entropy: 0.001,
            spread: 0.5,
            kl: 2.0,
            unstopped: 0.9,
            length: 90.0,
            left_out: 1,
            answers: 4,
            ..round(number, 0.0)
        };
        let mut signs = |round: &PracticeRecord| health.look(round, &place).unwrap().0.len();
        let first = PracticeRecord { length: 9.0, ..round(0, 0.0) };
        assert_eq!([signs(&first), signs(&ill(1)), signs(&ill(2))], [0, 6, 0]);
    }

    /// Ten rounds in which reward and rule go from one number to another; what is said of them.
    fn said(reward: [f64; 2], rule: [f64; 2]) -> Vec<String> {
        let at = |[from, to]: [f64; 2], round: u64| if round < 5 { from } else { to };
        let rounds = (0..10).map(|number| PracticeRecord {
            answers: 256,
            reward: at(reward, number),
            spread: 1.0,
            scores: [("exact".to_owned(), at(rule, number))].into(),
            ..round(number, 0.0)
        });
        let mut health = Health::of(&[], vec!["exact".into()]).0;
        let all = rounds.flat_map(|round| health.look(&round, &Place::default()).unwrap().0);
        all.map(|sign| sign.to_string()).collect()
    }

    #[test]
    fn a_reward_that_rises_while_a_rule_is_met_less_is_over_optimised() {
        assert_eq!(
            said([0.0, 2.0], [0.6, 0.4]),
            ["over-optimised: the reward has risen from 0.000 to 0.800 while `exact` fell from 0.600 to 0.520"]
                .map(String::from)
        );
        for (reward, rule) in
            [([0.0, 2.0], [0.4, 0.6]), ([2.0, 0.0], [0.6, 0.4]), ([0.0, 2.0], [0.6, 0.57]), ([0.0, 0.05], [0.6, 0.4])]
        {
            assert_eq!(said(reward, rule), Vec::<String>::new(), "{reward:?} {rule:?}");
        }
    }
}
