//! What is left out of the pairs, and why.

use super::super::error::{RankError, RankProblem};
use super::Placed;
use crate::error::Place;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why a row or a pair is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A judgement by a simulated rater.
    Simulated,
    /// A judgement by another axis.
    OtherAxis,
    /// A judgement that says it cannot be told.
    CantTell,
    /// A judgement that puts all answers level.
    AllLevel,
    /// A pair that a ranking or a scorer puts level.
    Level,
    /// A pair of a run of which an answer has no score.
    Unscored,
    /// A case of a run with one answer only, or none.
    OneAnswer,
    /// Nothing is asked.
    EmptyPrompt,
    /// Chosen and rejected are the same.
    Identical,
    /// Two conversations that differ before their last answer, or do not end in one.
    Diverging,
    /// The margin is too small.
    SmallMargin,
    /// The same pair stands there already.
    Duplicate,
    /// The same two answers in both directions.
    Contradiction,
}

impl Reason {
    /// What is said of it.
    fn words(self) -> &'static str {
        match self {
            Self::Simulated => "judgements by simulated raters (--simulated takes them)",
            Self::OtherAxis => "judgements by other axes",
            Self::CantTell => "judgements that cannot tell",
            Self::AllLevel => "judgements with all answers level",
            Self::Level => "pairs of level answers",
            Self::Unscored => "pairs without a score",
            Self::OneAnswer => "cases with one answer",
            Self::EmptyPrompt => "empty prompts",
            Self::Identical => "pairs of identical answers",
            Self::Diverging => "conversations that differ before their last answer",
            Self::SmallMargin => "pairs below --min-margin",
            Self::Duplicate => "duplicates",
            Self::Contradiction => "contradictions",
        }
    }

    /// A warning for what is wrong with a file, as opposed to what was asked for or is to be expected.
    fn warning(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::AllLevel => Some(("all answers are level", "they give no pairs; nothing needs to be done")),
            Self::EmptyPrompt => Some(("the prompt is empty", "give what was asked as `prompt`")),
            Self::Identical => {
                Some(("chosen and rejected are the same", "nothing can be learned from them; remove the rows"))
            }
            Self::Diverging => Some((
                "the two conversations differ before their last answer",
                "both must be one conversation up to the last turn, which is the assistant's",
            )),
            _ => None,
        }
    }
}

/// How many were left out, by reason, and where the first of each stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dropped(BTreeMap<Reason, (usize, Place)>);

impl Dropped {
    /// Counts one.
    pub(super) fn add(&mut self, reason: Reason, place: &Place) {
        self.0.entry(reason).or_insert_with(|| (0, place.clone())).0 += 1;
    }

    /// How many for a reason.
    #[must_use]
    pub fn count(&self, reason: Reason) -> usize {
        self.0.get(&reason).map_or(0, |(count, _)| *count)
    }

    /// Whether nothing was left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Dropped {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(reason, (count, _))| (reason, count)))
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> =
            self.0.iter().map(|(reason, (count, _))| format!("{count} {}", reason.words())).collect();
        f.write_str(&parts.join(", "))
    }
}

/// A warning for each kind of row that a file should not hold.
pub(super) fn left_out(dropped: &Dropped) -> Vec<RankError> {
    let said = |(reason, (rows, place)): (&Reason, &(usize, Place))| {
        let (why, help) = reason.warning()?;
        Some(RankProblem::LeftOut { rows: *rows, why, help }.at(place.clone()))
    };
    dropped.0.iter().filter_map(said).collect()
}

/// The pairs that can be learned from: no empty prompt, no two equal answers, no small margin, nothing twice, and of what
/// is said in both directions neither. Texts are compared without the whitespace around them.
pub(super) fn cleaned(found: Vec<Placed>, min_margin: Option<f64>, dropped: &mut Dropped) -> Vec<Placed> {
    let mut sound = Vec::with_capacity(found.len());
    for pair in found {
        let one = &pair.preference;
        let small = min_margin.is_some_and(|least| one.margin.is_some_and(|margin| margin < least));
        let reason = match () {
            () if one.prompt.is_empty() => Some(Reason::EmptyPrompt),
            () if one.chosen.trim() == one.rejected.trim() => Some(Reason::Identical),
            () if small => Some(Reason::SmallMargin),
            () => None,
        };
        match reason {
            Some(reason) => dropped.add(reason, &pair.place),
            None => sound.push(pair),
        }
    }
    let key = |pair: &Placed| {
        let one = &pair.preference;
        (one.prompt.key(), one.axis.clone(), one.chosen.trim().to_owned(), one.rejected.trim().to_owned())
    };
    let said: BTreeSet<_> = sound.iter().map(key).collect();
    let mut seen = BTreeSet::new();
    sound.retain(|pair| {
        let (prompt, axis, chosen, rejected) = key(pair);
        let reason = if said.contains(&(prompt.clone(), axis.clone(), rejected.clone(), chosen.clone())) {
            Reason::Contradiction
        } else if !seen.insert((prompt, axis, chosen, rejected)) {
            Reason::Duplicate
        } else {
            return true;
        };
        dropped.add(reason, &pair.place);
        false
    });
    sound
}
