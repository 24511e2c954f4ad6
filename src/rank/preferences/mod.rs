//! Pairs to learn from: of two answers to one prompt, which was chosen.
//!
//! They come from rankings (K answers in order give up to K(K − 1)/2 pairs, which share a group; Ouyang 2022, arXiv 2203.02155,
//! section 3.5), from runs by a scorer, and from files in the field's shapes. Then what cannot be learned from is left out,
//! each kind counted, and the rest is divided by prompt: a prompt is never on both sides.

mod clean;
mod read;
mod transcript;

pub use clean::{Dropped, Reason};
pub use read::{Kind, Source};

use super::error::{RankError, RankProblem};
use super::record::PromptText;
use crate::error::{Place, Problems};
use crate::seed;
use clean::{cleaned, left_out};
use read::Reader;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Two answers to one prompt, of which one was chosen: a line of a file of preferences.
///
/// ```
/// use tripos::rank::preferences::Preference;
/// let line = r#"{"prompt":"1 + 1 =","chosen":" 2","rejected":" 3"}"#;
/// let preference: Preference = serde_json::from_str(line).unwrap();
/// assert_eq!(serde_json::to_string(&preference).unwrap(), line);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preference {
    /// What was asked: a whole text that the answers go on from, or messages that they reply to.
    pub prompt: PromptText,
    /// The better answer.
    pub chosen: String,
    /// The other.
    pub rejected: String,
    /// By how much it is better, in the unit of the scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// What it shares with other pairs of the same ranking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<String>,
    /// Groups of cases that it belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What pairs are made of, and which.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Files and folders of runs.
    pub files: Vec<PathBuf>,
    /// The scorer that chooses among the answers of a run.
    pub scorer: Option<String>,
    /// Only answers of these variants of a run.
    pub variants: Vec<String>,
    /// Only judgements by these axes (`overall`: by none).
    pub axes: Vec<String>,
    /// Only pairs that differ by so much; those without a margin are kept.
    pub min_margin: Option<f64>,
    /// Rankings of simulated raters count, too.
    pub simulated: bool,
    /// The share of the prompts that is kept for a test.
    pub test: Option<f64>,
    /// Files whose prompts must not occur.
    pub apart_from: Vec<PathBuf>,
}

/// The pairs, and what became of the others.
#[derive(Debug, Default)]
pub struct Made {
    /// What each file was taken for.
    pub sources: Vec<Source>,
    /// The pairs to learn from, in the order of the files.
    pub train: Vec<Preference>,
    /// The pairs kept for a test.
    pub test: Vec<Preference>,
    /// Different prompts among both.
    pub prompts: usize,
    /// What was left out.
    pub dropped: Dropped,
    /// Warnings: the first place of each kind of row that cannot be used.
    pub warnings: Problems,
}

/// A pair and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    preference: Preference,
    place: Place,
}

/// Makes pairs.
///
/// # Errors
/// Files that cannot be read, names that they do not know, no pair left, a side of the split without a prompt, or a prompt
/// that a file of [`Request::apart_from`] has, too.
pub fn make(request: &Request) -> Result<Made, Problems> {
    let mut reader = Reader::new(request);
    let mut problems = Problems::new();
    let mut found = Vec::new();
    for path in &request.files {
        match reader.read(path) {
            Ok(pairs) => found.extend(pairs),
            Err(wrong) => problems.append(wrong),
        }
    }
    if let Err(wrong) = reader.axes_known() {
        problems.push(wrong);
    }
    problems.or_ok(())?;
    let Reader { mut dropped, mut warnings, sources, .. } = reader;
    let kept = cleaned(found, request.min_margin, &mut dropped);
    warnings.extend(left_out(&dropped));
    if kept.is_empty() {
        let dropped = dropped.to_string();
        let place = request.files.first().map(Place::file);
        let mut problems = warnings;
        problems.push(RankError { problem: RankProblem::NoPairs { dropped }, place });
        return Err(problems);
    }
    apart(request, &kept)?;
    let prompts: BTreeSet<String> = kept.iter().map(|pair| pair.preference.prompt.key()).collect();
    let share = request.test.unwrap_or(0.0);
    let (test, train): (Vec<Placed>, Vec<Placed>) =
        kept.into_iter().partition(|pair| is_test(&pair.preference.prompt, share));
    if request.test.is_some() && (test.is_empty() || train.is_empty()) {
        let side = if test.is_empty() { "test" } else { "train" };
        return Err(RankError::from(RankProblem::EmptySide { side, prompts: prompts.len() }).into());
    }
    let plain = |pairs: Vec<Placed>| pairs.into_iter().map(|pair| pair.preference).collect();
    Ok(Made { sources, train: plain(train), test: plain(test), prompts: prompts.len(), dropped, warnings })
}

/// Whether a prompt is kept for a test: by its own hash alone, so that it stays on its side when other data come in.
///
/// ```
/// use tripos::rank::PromptText;
/// use tripos::rank::preferences::is_test;
/// let prompt = |i: usize| PromptText::Text(format!("What is {i} + {i}?"));
/// let tests = (0..1_000).filter(|i| is_test(&prompt(*i), 0.1)).count();
/// assert!((60..140).contains(&tests));
/// assert!(!is_test(&prompt(1), 0.0) && is_test(&prompt(1), 1.0));
/// ```
#[must_use]
pub fn is_test(prompt: &PromptText, share: f64) -> bool {
    let place = seed::key(0, &["preference", &prompt.key()]) as f64 / 2.0_f64.powi(64);
    share >= 1.0 || place < share
}

/// No prompt of the pairs may be in the files that they are to be apart from.
fn apart(request: &Request, kept: &[Placed]) -> Result<(), Problems> {
    if request.apart_from.is_empty() {
        return Ok(());
    }
    let everything = Request { axes: Vec::new(), simulated: true, ..request.clone() };
    let mut reader = Reader::new(&everything);
    let (mut there, mut problems) = (BTreeMap::new(), Problems::new());
    for path in &request.apart_from {
        match reader.read(path) {
            Ok(pairs) => {
                for Placed { preference, place } in pairs {
                    there.entry(preference.prompt.key()).or_insert(place);
                }
            }
            Err(wrong) => problems.append(wrong),
        }
    }
    problems.or_ok(())?;
    let mut shared: BTreeMap<String, &Place> = BTreeMap::new();
    for pair in kept {
        let key = pair.preference.prompt.key();
        if there.contains_key(&key) {
            shared.entry(key).or_insert(&pair.place);
        }
    }
    let first = kept.iter().find_map(|pair| Some((&pair.place, there.get(&pair.preference.prompt.key())?)));
    match first {
        None => Ok(()),
        Some((place, other)) => {
            let both = RankProblem::BothSides { prompts: shared.len(), other: other.clone() };
            Err(both.at(place.clone()).into())
        }
    }
}

#[cfg(test)]
mod tests;
