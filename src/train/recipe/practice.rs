//! `practice:`: what a policy practises, and how it is moved by what its answers are worth.

use super::Kind;
use super::load::Loader;
use crate::train::loss::Reins;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Answers to each prompt where the recipe does not say (field-notes.md, section 5: 8 or more).
const ANSWERS: usize = 8;
/// Prompts a round.
const PROMPTS: usize = 16;
/// ε of the clipped ratio.
const CLIP: f64 = 0.2;
/// β, the pull towards the model before it learned.
const KL: f64 = 0.02;

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
    /// Whether the advantages of a prompt's answers are divided by their spread.
    pub spread: bool,
    /// What an answer loses that was cut at `max_tokens`.
    pub unstopped: f64,
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
    pub unstopped: Option<f64>,
}

impl Loader<'_> {
    /// What is practised; `None` for a recipe that learns from data.
    pub(super) fn practice(&mut self, entry: Option<&PracticeEntry>, kind: Option<Kind>) -> Option<Practice> {
        let practises = kind.is_some_and(Kind::practises);
        let entry = match (entry, practises) {
            (Some(entry), true) => entry,
            (None, true) => {
                if !self.refused("practice") {
                    let help = "name a suite whose cases it practises: `practice: {suite: FILE}`";
                    self.fail("", "the recipe has no `practice`", help);
                }
                return None;
            }
            (Some(_), false) if kind.is_some() => {
                self.fail("practice", "`practice` belongs to `kind: grpo`", "leave it out, or write `kind: grpo`");
                return None;
            }
            _ => return None,
        };
        let suite = self.join(&entry.suite);
        self.must_be_file("practice.suite", "the suite", &suite);
        let practice = Practice {
            suite,
            variant: entry.variant.clone(),
            rewards: entry.rewards.clone(),
            prompts: entry.prompts.unwrap_or(PROMPTS),
            answers: entry.answers.unwrap_or(ANSWERS),
            passes: entry.passes.unwrap_or(1),
            reins: Reins { clip: entry.clip.unwrap_or(CLIP), kl: entry.kl.unwrap_or(KL) },
            spread: entry.spread.unwrap_or(true),
            unstopped: entry.unstopped.unwrap_or(0.0),
        };
        self.practised(&practice);
        Some(practice)
    }

    fn practised(&mut self, practice: &Practice) {
        let Practice { prompts, answers, passes, reins: Reins { clip, kl }, unstopped, .. } = *practice;
        self.within("practice.prompts", prompts, prompts >= 1, "1 or more");
        self.within("practice.answers", answers, answers >= 2, "2 or more: an answer is measured against the others");
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
}
