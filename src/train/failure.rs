//! Why a training run cannot begin, go on or end.

use crate::error::{Explain, Level, Place};
use std::path::{Path, PathBuf};

/// What can go wrong with a training run, once its recipe and data are read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainingFailure {
    /// The numbers went out of bounds.
    #[error(
        "{what} at step {step} (lr {}, gradient norm {}, batch {batch} x {sequence} tokens)",
        rate_text(*lr), number_text(*grad_norm)
    )]
    NotFinite {
        /// `loss is NaN`, `gradient norm is inf`, …
        what: String,
        /// The step.
        step: u64,
        /// Its learning rate.
        lr: f64,
        /// Its gradient's norm.
        grad_norm: f64,
        /// Rows of the step.
        batch: usize,
        /// Tokens a row.
        sequence: usize,
        /// The step's line.
        place: Place,
        /// The recipe, to be named in the command that mends it.
        recipe: PathBuf,
        /// The last good checkpoint.
        good: Option<u64>,
        /// The peak of the rate, to be lowered.
        peak: f64,
    },
    /// Trainer and engine disagree about the same tokens.
    #[error(
        "the trainer {precision} and llama.cpp disagree: mean |Δ log p| is {measured:.1e} over {tokens} tokens, at most {limit:.0e} is allowed"
    )]
    Parity {
        /// in f32, in bf16, rounding as llama.cpp does.
        precision: &'static str,
        /// What was measured.
        measured: f64,
        /// What is allowed.
        limit: f64,
        /// Tokens compared.
        tokens: usize,
        /// The base model.
        place: Place,
    },
    /// No document holds two tokens, of which the second could be compared.
    #[error("trainer and llama.cpp cannot be held together: no document has more than one token")]
    NothingToCompare {
        /// The recipe.
        place: Place,
    },
    /// There is too little memory.
    #[error("training needs about {} of memory, and {} are available", bytes_text(*needed), bytes_text(*available))]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes there are.
        available: u64,
        /// The recipe.
        place: Place,
        /// What would need less.
        help: String,
    },
    /// What was learned is no better than what was there.
    #[error(
        "no evaluation was better than the one before training: held-out loss {loss:.4} at best, {before:.4} before"
    )]
    NoBetter {
        /// The smallest held-out loss behind a step.
        loss: f64,
        /// The loss before the first.
        before: f64,
        /// The run.
        place: Place,
    },
    /// A reward model that may have learned nothing but which answer is longer.
    #[error(
        "the rewards agree with {reward:.3} of the judgements held out, the length of the answers alone with {length:.3}: that the \
         model knows more is not shown"
    )]
    NoMoreThanLength {
        /// The share of judgements that the rewards agree with.
        reward: f64,
        /// The share that length agrees with.
        length: f64,
        /// The data.
        place: Place,
    },
    /// A sign that a policy's training goes wrong.
    #[error("{what}")]
    Sign {
        /// What was seen.
        what: String,
        /// How to mend it.
        help: String,
        /// The step's line.
        place: Place,
    },
    /// No answer is worth more than another, so that nothing is learned.
    #[error(
        "for {rounds} rounds no answer was worth more than those it is measured against (the reward is {reward:.3} in the mean): \
         nothing can be learned from that"
    )]
    Silent {
        /// Rounds in a row.
        rounds: usize,
        /// The mean reward of the last.
        reward: f64,
        /// Its line.
        place: Place,
    },
    /// No answer could be judged.
    #[error("none of {answers} answers can be learned from: no scorer could judge them, or they are longer than a row")]
    Unjudged {
        /// How many there were.
        answers: usize,
        /// The run that holds them, each with its reason.
        place: Place,
    },
    /// A reward model that cannot be read, or is no longer what it was.
    #[error("the reward model cannot judge: {reason}")]
    Judge {
        /// Why.
        reason: String,
        /// Its file.
        place: Place,
    },
    /// A checkpoint that belongs elsewhere.
    #[error("this checkpoint is of another {what}: {} there, {} here", short(found), short(expected))]
    Foreign {
        /// recipe, base model.
        what: &'static str,
        /// The hash that it has.
        found: String,
        /// The hash of this run.
        expected: String,
        /// The checkpoint.
        place: Place,
    },
    /// A checkpoint that cannot be read.
    #[error("this checkpoint cannot be read: {reason}")]
    BadCheckpoint {
        /// Why.
        reason: String,
        /// The checkpoint.
        place: Place,
    },
    /// A checkpoint, or the trained model, that cannot be written.
    #[error("cannot write {what}: {reason}")]
    Write {
        /// the checkpoint, the trained model.
        what: &'static str,
        /// The system's words.
        reason: String,
        /// The file.
        place: Place,
    },
    /// What is resumed is not what was begun.
    #[error("{what} changed since the training run began")]
    Changed {
        /// the recipe, the data, the base model.
        what: &'static str,
        /// The run.
        place: Place,
    },
    /// A flag given with --resume says otherwise than the run.
    #[error("--{flag} would change the training run that is resumed ({given}, the run has {recorded})")]
    OtherFlag {
        /// The flag.
        flag: String,
        /// What was given.
        given: String,
        /// What the run was begun with.
        recorded: String,
        /// The run.
        place: Place,
    },
}

impl Explain for TrainingFailure {
    fn level(&self) -> Level {
        if matches!(self, Self::NoBetter { .. } | Self::NoMoreThanLength { .. } | Self::Sign { .. }) {
            Level::Warning
        } else {
            Level::Error
        }
    }

    fn at(&self) -> Option<&Place> {
        let (Self::NotFinite { place, .. }
        | Self::Parity { place, .. }
        | Self::NothingToCompare { place }
        | Self::Memory { place, .. }
        | Self::NoBetter { place, .. }
        | Self::NoMoreThanLength { place, .. }
        | Self::Sign { place, .. }
        | Self::Silent { place, .. }
        | Self::Unjudged { place, .. }
        | Self::Judge { place, .. }
        | Self::Foreign { place, .. }
        | Self::BadCheckpoint { place, .. }
        | Self::Write { place, .. }
        | Self::Changed { place, .. }
        | Self::OtherFlag { place, .. }) = self;
        Some(place)
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NotFinite { recipe, good, peak, place, .. } => {
                let (recipe, lower) = (recipe.display(), flag_text(lower(*peak)));
                let run = place.file.parent().filter(|run| run.parent() != Some(Path::new("reports/train")));
                let run = run.map_or_else(String::new, |run| format!(" {}", run.display()));
                match good {
                    Some(step) => format!(
                        "the last good checkpoint is step {step}: tripos train {recipe} --resume{run} --lr {lower}"
                    ),
                    None => format!("there is no checkpoint yet, so begin anew: tripos train {recipe} --lr {lower}"),
                }
            }
            Self::Parity { .. } => {
                "the file may be damaged, or have something that the trainer does not compute: examine it with `tripos run`, \
                 and report it"
                    .into()
            }
            Self::NothingToCompare { .. } => "put the texts into a prompt (`prompt:`), which makes them longer".into(),
            Self::Memory { help, .. } | Self::Sign { help, .. } => help.clone(),
            Self::NoBetter { .. } => "another learning rate, or more data of the same kind, may help".into(),
            Self::NoMoreThanLength { .. } => {
                "give more judgements, among them many of answers that are equally long or whose better one is shorter".into()
            }
            Self::Silent { .. } => {
                "practise what goes right now and then (30 to 70 % of the answers), with more `answers` to each prompt, or a scorer \
                 that tells more apart"
                    .into()
            }
            Self::Unjudged { .. } => "`tripos show` says of each why; mend the scorers or the prompt of the suite, or raise `sequence`".into(),
            Self::Judge { .. } => "a reward model must stay what it is while it judges: put it back, or begin a run of its own".into(),
            Self::Foreign { what: "recipe", .. } => {
                "a changed recipe is another run: start it without --resume".into()
            }
            Self::Foreign { .. } => "give the base that the run was begun with, or start a run without --resume".into(),
            Self::BadCheckpoint { .. } => "delete it: --resume then goes on from the one before".into(),
            Self::Write { .. } => {
                "free some space; older checkpoints are kept: go on with --resume".into()
            }
            Self::Changed { .. } => "start a run of its own without --resume".into(),
            Self::OtherFlag { .. } => "leave it out, or start a run of its own without --resume".into(),
        })
    }
}

/// About a third, as a round number: 3e-4 becomes 1e-4, 1e-4 becomes 3e-5.
fn lower(rate: f64) -> f64 {
    let third = rate / 3.0;
    if !third.is_normal() {
        return third;
    }
    let power = 10_f64.powf(third.log10().floor());
    (third / power).round().max(1.0) * power
}

/// A learning rate as people write it: `3.0e-4`.
#[must_use]
pub fn rate_text(rate: f64) -> String {
    format!("{rate:.1e}")
}

/// The same as short as it goes, for a flag: `1e-4`.
fn flag_text(rate: f64) -> String {
    format!("{rate:.0e}")
}

/// A number that may be none: `0.71`, `inf`, `NaN`.
fn number_text(number: f64) -> String {
    if number.is_finite() { format!("{number:.2}") } else { number.to_string() }
}

/// Bytes for people: `3.1 GiB`, `640 MiB`.
#[must_use]
pub fn bytes_text(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib >= 1024.0 { format!("{:.1} GiB", mib / 1024.0) } else { format!("{mib:.0} MiB") }
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    fn not_finite(good: Option<u64>) -> TrainingFailure {
        TrainingFailure::NotFinite {
            what: "loss is NaN".into(),
            step: 412,
            lr: 3e-4,
            grad_norm: f64::INFINITY,
            batch: 8,
            sequence: 512,
            place: Place::new("reports/train/2026-08-22-a1f3/steps.jsonl", 412, 0),
            recipe: "recipes/chat.yaml".into(),
            good,
            peak: 3e-4,
        }
    }

    /// The message of design.md, section 4.
    #[test]
    fn says_what_went_out_of_bounds_where_and_how_to_mend_it() {
        insta::assert_snapshot!(render(&not_finite(Some(400)), false), @r"
        error: loss is NaN at step 412 (lr 3.0e-4, gradient norm inf, batch 8 x 512 tokens)
          --> reports/train/2026-08-22-a1f3/steps.jsonl:412
          help: the last good checkpoint is step 400: tripos train recipes/chat.yaml --resume --lr 1e-4
        ");
        let mut elsewhere = not_finite(Some(400));
        if let TrainingFailure::NotFinite { place, .. } = &mut elsewhere {
            *place = Place::new("out/run-a1f3/steps.jsonl", 412, 0);
        }
        insta::assert_snapshot!(elsewhere.help().unwrap(), @"the last good checkpoint is step 400: tripos train recipes/chat.yaml --resume out/run-a1f3 --lr 1e-4");
        insta::assert_snapshot!(not_finite(None).help().unwrap(), @"there is no checkpoint yet, so begin anew: tripos train recipes/chat.yaml --lr 1e-4");
    }

    #[test]
    fn says_that_there_is_nothing_to_compare() {
        let nothing = TrainingFailure::NothingToCompare { place: Place::file("r.yaml") };
        insta::assert_snapshot!(render(&nothing, false), @r"
        error: trainer and llama.cpp cannot be held together: no document has more than one token
          --> r.yaml
          help: put the texts into a prompt (`prompt:`), which makes them longer
        ");
    }

    #[test]
    fn a_lower_rate_is_a_round_number() {
        let lowered = [3e-4, 1e-4, 2e-5, 1e9, 0.5].map(|rate| flag_text(lower(rate)));
        assert_eq!(lowered, ["1e-4", "3e-5", "7e-6", "3e8", "2e-1"]);
        assert!(lower(0.0) == 0.0 && lower(f64::NAN).is_nan());
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        assert_eq!([bytes_text(640 << 20), bytes_text((3 << 30) + (100 << 20))], ["640 MiB", "3.1 GiB"]);
    }
}
