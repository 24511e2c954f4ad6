//! `practice:`: what a policy practises, and how it is moved by what its answers are worth.

use super::Kind;
use super::file::RecipeFile;
use super::load::Loader;
use crate::train::loss::Reins;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Answers to each prompt where the recipe does not say (field-notes.md, section 5: 8 or more).
const ANSWERS: usize = 8;
/// Prompts a round.
const PROMPTS: usize = 16;
/// Prompts a round and answers to each, at most: more do not fit any memory.
const MOST: usize = 4096;
/// ε of the clipped ratio.
const CLIP: f64 = 0.2;
/// β, the pull towards the model before it learned: of groups, and with a critic.
const KL: (f64, f64) = (0.02, 0.05);
/// Optimiser steps made of a round's answers.
const PASSES: (u64, u64) = (1, 4);
/// What an answer loses that did not stop.
const UNSTOPPED: (f64, f64) = (0.0, 1.0);

/// What a policy practises: a suite's cases, asked by one of its variants and judged by its scorers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Practice {
    /// The suite. Its model is the recipe's.
    pub suite: PathBuf,
    /// Which of its variants asks; `None` where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What the reward is the weighted sum of: names of its scorers. Empty: all of them, each once.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rewards: BTreeMap<String, f64>,
    /// Prompts a round.
    pub prompts: usize,
    /// Answers to each of them.
    pub answers: usize,
    /// Optimiser steps made of a round's answers.
    pub passes: u64,
    /// How far a step may go.
    #[serde(flatten)]
    pub reins: Reins,
    /// What an answer is measured against.
    pub against: Against,
    /// What an answer loses that was cut at `max_tokens`.
    pub unstopped: f64,
}

/// What an answer is measured against, to say how much better it is than was to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// `kind: grpo`: the other answers to its prompt.
    Group {
        /// Whether the difference is divided by their spread.
        spread: bool,
    },
    /// `kind: ppo`: what a critic expected, a head of the policy's that learns with it.
    Critic(Critic),
}

impl Against {
    /// The critic, where there is one.
    #[must_use]
    pub fn critic(&self) -> Option<Critic> {
        match self {
            Self::Critic(critic) => Some(*critic),
            Self::Group { .. } => None,
        }
    }
}

/// A critic's numbers: `practice.value`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Critic {
    /// How far what it expects may move in a round.
    pub clip: f64,
    /// How much its loss counts beside the policy's.
    pub weight: f64,
    /// γ: how much a reward counts one token earlier.
    pub gamma: f64,
    /// λ: how far what came is believed, rather than the critic.
    pub lambda: f64,
}

impl Default for Critic {
    fn default() -> Self {
        Self { clip: 0.2, weight: 0.1, gamma: 1.0, lambda: 0.95 }
    }
}

/// `practice:` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PracticeEntry {
    pub suite: String,
    pub variant: Option<String>,
    #[serde(default)]
    pub rewards: BTreeMap<String, f64>,
    pub prompts: Option<usize>,
    pub answers: Option<usize>,
    pub passes: Option<u64>,
    pub clip: Option<f64>,
    pub kl: Option<f64>,
    pub spread: Option<bool>,
    pub value: Option<Critic>,
    pub unstopped: Option<f64>,
}

impl Loader<'_> {
    /// What is practised; `None` for a recipe that learns from data.
    pub(super) fn practice(&mut self, file: &RecipeFile, kind: Option<Kind>) -> Option<Practice> {
        let practises = kind.is_some_and(Kind::practises);
        let entry = match (file.practice.as_ref(), practises) {
            (Some(entry), true) => entry,
            (None, true) => {
                if !self.refused("practice") {
                    let help = "name a suite whose cases it practises: `practice: {suite: FILE}`";
                    self.fail("", "the recipe has no `practice`", help);
                }
                return None;
            }
            (Some(_), false) if kind.is_some() => {
                let what = "`practice` belongs to `kind: grpo` and `kind: ppo`";
                self.fail("practice", what, "leave it out, or write one of them");
                return None;
            }
            _ => return None,
        };
        self.without_documents(file);
        let suite = self.join(&entry.suite);
        self.must_be_file("practice.suite", "the suite", &suite);
        let against = self.against(entry, kind);
        let has_critic = against.critic().is_some();
        let usual = |(of_group, with_critic)| if has_critic { with_critic } else { of_group };
        let practice = Practice {
            suite,
            variant: entry.variant.clone(),
            rewards: entry.rewards.clone(),
            prompts: entry.prompts.unwrap_or(PROMPTS),
            answers: entry.answers.unwrap_or(ANSWERS),
            passes: entry.passes.unwrap_or(if has_critic { PASSES.1 } else { PASSES.0 }),
            reins: Reins { clip: entry.clip.unwrap_or(CLIP), kl: entry.kl.unwrap_or(usual(KL)) },
            unstopped: entry.unstopped.unwrap_or(usual(UNSTOPPED)),
            against,
        };
        self.practised(&practice);
        Some(practice)
    }

    /// What answers are measured against; what belongs to the other kind is refused.
    fn against(&mut self, entry: &PracticeEntry, kind: Option<Kind>) -> Against {
        if kind == Some(Kind::Ppo) {
            if entry.spread.is_some() {
                let help = "leave it out: with `kind: ppo` the advantages of a whole round are whitened";
                self.fail("practice.spread", "`spread` belongs to `kind: grpo`", help);
            }
            return Against::Critic(entry.value.unwrap_or_default());
        }
        if entry.value.is_some() {
            let help = "leave it out, or write `kind: ppo`: a group needs no critic";
            self.fail("practice.value", "`value` belongs to `kind: ppo`", help);
        }
        Against::Group { spread: entry.spread.unwrap_or(true) }
    }

    /// Refuses what only documents have: a policy that practises reads none.
    fn without_documents(&mut self, file: &RecipeFile) {
        let held = file.held_out.as_ref().is_some_and(|held| held.data.is_some());
        let evaluate = &file.evaluate;
        for (field, written, help) in [
            ("leaks", !file.leaks.is_empty(), "keep cases of suites apart by `split`"),
            ("clean", file.clean.is_some(), "leave it out: the cases are those of the suite"),
            (
                "too_long",
                file.too_long.is_some(),
                "leave it out: answers that are longer than a row are left out, and counted",
            ),
            (
                "batch",
                file.batch.is_some(),
                "leave it out: a step reads all answers of a round, `micro_batch` rows at once",
            ),
            ("held_out.data", held, "write `held_out: {share: 0.05}`: cases of the suite are held out"),
            (
                "evaluate.prompts",
                !evaluate.prompts.is_empty(),
                "leave it out: what it says to held-out cases is kept as a run",
            ),
            (
                "evaluate.max_tokens",
                evaluate.max_tokens.is_some(),
                "leave it out: the suite says how long an answer may be",
            ),
        ] {
            if written {
                self.fail(field, &format!("`{field}` is of documents, and a policy practises a suite's cases"), help);
            }
        }
    }

    fn practised(&mut self, practice: &Practice) {
        let Practice { prompts, answers, passes, reins: Reins { clip, kl }, unstopped, .. } = *practice;
        self.within("practice.prompts", prompts, (1..=MOST).contains(&prompts), "1 to 4096");
        match practice.against {
            Against::Critic(critic) => {
                self.within("practice.answers", answers, (1..=MOST).contains(&answers), "1 to 4096");
                self.critic(&critic);
            }
            Against::Group { .. } => {
                let wanted = "2 to 4096: an answer is measured against the others";
                self.within("practice.answers", answers, (2..=MOST).contains(&answers), wanted);
            }
        }
        self.within("practice.passes", passes, (1..=100).contains(&passes), "1 to 100");
        self.within("practice.clip", clip, clip > 0.0 && clip < 1.0, "a number above 0 and below 1");
        self.within("practice.kl", kl, kl.is_finite() && kl >= 0.0, "0 or more");
        self.within("practice.unstopped", unstopped, unstopped.is_finite() && unstopped >= 0.0, "0 or more");
        for (name, weight) in &practice.rewards {
            self.within(&format!("practice.rewards.{name}"), weight, weight.is_finite(), "a number");
        }
        if !practice.rewards.is_empty() && practice.rewards.values().all(|weight| *weight == 0.0) {
            let help = "give one of them a weight: `rewards: {exact: 1}`";
            self.fail("practice.rewards", "every weight is 0, so that nothing is worth anything", help);
        }
    }

    fn critic(&mut self, &Critic { clip, weight, gamma, lambda }: &Critic) {
        self.within("practice.value.clip", clip, clip.is_finite() && clip > 0.0, "a number above 0");
        self.within("practice.value.weight", weight, weight.is_finite() && weight > 0.0, "a number above 0");
        self.within("practice.value.gamma", gamma, gamma > 0.0 && gamma <= 1.0, "above 0 and up to 1");
        self.within("practice.value.lambda", lambda, (0.0..=1.0).contains(&lambda), "0 to 1");
    }
}

/// Of a policy that practises the rows computed at once: a step reads all answers of a round, and has no other.
pub(super) fn practised_rows(file: &RecipeFile, kind: Option<Kind>) -> Option<usize> {
    file.micro_batch.filter(|_| kind.is_some_and(Kind::practises))
}
