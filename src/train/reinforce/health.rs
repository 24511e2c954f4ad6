//! The signs by which a policy's training is seen to go wrong.

use crate::error::Place;
use crate::store::training::PracticeRecord;
use crate::train::failure::TrainingFailure;

/// Rounds in a row in which no answer was worth more than another of its prompt: then nothing is learned any more.
const SILENT: usize = 5;
/// The importance ratio of a round's first step may differ so much from 1: decoder and engine are to be one policy.
const RATIO: f64 = 0.02;
/// The share of its first entropy below which a policy has next to nothing left to draw.
const ENTROPY: f64 = 0.1;
/// The spread of rewards below which nearly all answers are worth the same: then it may well draw the same.
const SPREAD: f64 = 0.2;
/// Nats a token beyond which the policy is another model.
const KL: f64 = 1.0;
/// A share of answers that did not stop from which on it is said.
const UNSTOPPED: f64 = 0.5;

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

/// What was seen so far; each sign is said once.
#[derive(Debug, Default)]
pub(super) struct Health {
    silent: usize,
    /// Some answer was once worth more than another.
    taught: bool,
    /// The entropy of the first round that was looked at.
    entropy: Option<f64>,
    said: Vec<&'static str>,
}

impl Health {
    /// What a round shows that the user should know, and whether there is more to learn.
    pub(super) fn look(&mut self, round: &PracticeRecord, place: &Place) -> (Vec<TrainingFailure>, Outlook) {
        self.silent = if round.silent >= 1.0 { self.silent + 1 } else { 0 };
        self.taught |= round.silent < 1.0;
        let entropy = *self.entropy.get_or_insert(round.entropy);
        let mut signs = Vec::new();
        let mut sign = |name: &'static str, seen: bool, what: String, help: &str| {
            if seen && !self.said.contains(&name) {
                self.said.push(name);
                signs.push(TrainingFailure::Sign { what, help: help.to_owned(), place: place.clone() });
            }
        };
        sign(
            "ratio",
            (round.ratio_engine - 1.0).abs() > RATIO,
            format!(
                "the trainer finds what the engine drew {:.3} times as likely in the mean: they are not one policy",
                round.ratio_engine
            ),
            "a base in F16 or Q8_0 lies closer than one of few bits; `precision: f32` lies closest",
        );
        sign(
            "entropy",
            round.entropy < ENTROPY * entropy && round.spread > SPREAD,
            format!(
                "the policy draws the same again and again: entropy {:.4} nats a token, {entropy:.4} at first",
                round.entropy
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
        let outlook = match (self.silent >= SILENT, self.taught) {
            (false, _) => Outlook::GoOn,
            (true, true) => Outlook::Level,
            (true, false) => {
                let (rounds, reward) = (self.silent, round.reward);
                Outlook::Hopeless(TrainingFailure::Silent { rounds, reward, place: place.clone() })
            }
        };
        (signs, outlook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(silent: f64) -> PracticeRecord {
        PracticeRecord { silent, ratio_engine: 1.0, entropy: 0.5, ..PracticeRecord::default() }
    }

    #[test]
    fn a_reward_that_never_told_anything_apart_is_hopeless_and_one_that_no_longer_does_is_done() {
        let (mut health, place) = (Health::default(), Place::default());
        let mut look = |silent: f64| health.look(&round(silent), &place).1;
        assert!((1..SILENT).all(|_| look(1.0) == Outlook::GoOn));
        assert!(matches!(look(1.0), Outlook::Hopeless(TrainingFailure::Silent { rounds: SILENT, .. })));
        assert!(look(0.9) == Outlook::GoOn && (1..SILENT).all(|_| look(1.0) == Outlook::GoOn));
        assert_eq!(look(1.0), Outlook::Level);
    }

    #[test]
    fn each_sign_is_said_once() {
        let (mut health, place) = (Health::default(), Place::default());
        let ill = PracticeRecord {
            silent: 0.0,
            ratio_engine: 1.05,
            entropy: 0.001,
            spread: 0.5,
            kl: 2.0,
            unstopped: 0.9,
            ..PracticeRecord::default()
        };
        assert!(health.look(&round(0.0), &place).0.is_empty());
        assert_eq!(health.look(&ill, &place).0.len(), 4);
        assert!(health.look(&ill, &place).0.is_empty());
        assert!(Health::default().look(&round(0.0), &place).0.is_empty());
    }
}
