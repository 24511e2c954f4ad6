//! Cleaning: which documents are not learned, and why.
//!
//! A document is looked at in this order, and dropped for the first thing that is wrong with it: broken characters, its
//! length, what a suite asks ([`Leaks`]), an earlier document with the same words, an earlier one with nearly the same
//! words. Nothing is changed within a document.
//!
//! Near duplicates are those of Lee et al. 2022 ("Deduplicating Training Data Makes Language Models Better", 2107.06499):
//! documents whose sets of shingles of 5 words have a Jaccard similarity of 0.8 or more, found by MinHash. Deviations:
//!
//! - What MinHash finds is confirmed by the similarity itself, so nothing is dropped by mistake; they confirm by edit distance.
//! - A document is dropped if it is like an earlier one that is *kept*; they keep one of each connected component, so that a
//!   chain of small changes joins documents that have little in common.
//! - A signature has 128 values; they have 9,000, for a recall much closer to 1 at the threshold.
//! - In scripts without spaces each character is a word (see [`Leaks`]).
//! - A document is compared in full with at most 32 others, those that promise most. It matters only where hundreds
//!   have a similarity just below the threshold: letters after one model, of which some near duplicates may then stay.

mod characters;
mod dropped;
mod leak;
mod minhash;
mod near;
#[cfg(test)]
mod tests;
mod words;

pub use dropped::{Cleaning, Dropped, Evidence, Reason, Shown};
pub use leak::{Leak, Leaks, asked};

use crate::error::Place;
use minhash::MinHash;
use near::{Near, Print};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::RangeInclusive;

/// Documents looked at side by side: their signatures, 1 KiB each, are in memory together.
const AT_ONCE: usize = 4096;

/// A document on its way to be learned.
#[derive(Debug, Clone)]
pub struct Text<'a> {
    /// What it says.
    pub text: &'a str,
    /// Where it is.
    pub place: Place,
    /// Made by rule: repeats are meant.
    pub generated: bool,
}

/// Which documents are kept.
///
/// ```
/// use tripos::train::clean::Rules;
/// let rules: Rules = serde_yaml::from_str("{shortest: 20, near: null}").unwrap();
/// assert_eq!(rules, Rules { shortest: 20, longest: None, near: None });
/// assert_eq!(Rules::default().near, Some(0.8));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// The shortest document, in characters, white space at both ends apart.
    pub shortest: usize,
    /// The longest, likewise; `None` for any length.
    pub longest: Option<usize>,
    /// Jaccard similarity from which two documents are near duplicates, within [`Rules::NEAR`]; `None` for none.
    pub near: Option<f64>,
}

impl Rules {
    /// What `near` may be: documents that have less than half in common are not alike. Above 1, nothing would be.
    pub const NEAR: RangeInclusive<f64> = 0.5..=1.0;
}

impl Default for Rules {
    fn default() -> Self {
        Self { shortest: 1, longest: None, near: Some(0.8) }
    }
}

/// Says which documents are kept and why the others are not.
///
/// Generated documents may repeat each other and those of files; all else applies to them too. The result depends on
/// neither the number of threads nor their timing.
///
/// ```
/// use tripos::error::Place;
/// use tripos::train::clean::{Leaks, Reason, Rules, Text, clean};
/// let text = |text, line| Text { text, place: Place::new("a.txt", line, 0), generated: false };
/// let texts = [text("The cat sat.", 1), text("the  CAT sat.", 2), text("\u{0}", 3)];
/// let cleaning = clean(&texts, &Rules::default(), &Leaks::default());
/// assert_eq!(cleaning.kept, [0]);
/// assert_eq!(cleaning.dropped.iter().map(|d| d.reason).collect::<Vec<_>>(), [Reason::ControlCharacters, Reason::Duplicate]);
/// ```
#[must_use]
pub fn clean(texts: &[Text<'_>], rules: &Rules, leaks: &Leaks) -> Cleaning {
    let mut cleaning = Cleaning::default();
    let mut earlier = Earlier::new(texts, rules);
    for (i, some) in texts.chunks(AT_ONCE).enumerate() {
        let looked: Vec<_> = some.par_iter().map(|text| look(text, rules, leaks, earlier.minhash.as_ref())).collect();
        for (document, looked) in (i * AT_ONCE..).zip(looked) {
            let fault = match looked {
                Look::Fault(reason, evidence) => Some((reason, evidence)),
                Look::Once(prints) => earlier.meets(document, &prints),
                Look::Often => None,
            };
            let Some((reason, evidence)) = fault else {
                cleaning.kept.push(document);
                continue;
            };
            let text = &texts[document];
            let shown = Shown { document, place: text.place.clone(), evidence };
            cleaning.drop(reason, shown, text.text.chars().count(), texts.len());
        }
    }
    cleaning
}

/// What a look at one document alone says.
enum Look {
    /// It is dropped.
    Fault(Reason, Evidence),
    /// It is kept if it repeats no earlier one.
    Once(Prints),
    /// It is kept, and may be repeated.
    Often,
}

/// What tells whether a document repeats another.
struct Prints {
    /// The beginning of the SHA-256 of its words.
    exact: [u8; 16],
    near: Option<Box<Print>>,
}

fn look(text: &Text<'_>, rules: &Rules, leaks: &Leaks, minhash: Option<&MinHash>) -> Look {
    if let Some((at, character)) = characters::broken(text.text) {
        let lossy = character == char::REPLACEMENT_CHARACTER;
        let reason = if lossy { Reason::InvalidUtf8 } else { Reason::ControlCharacters };
        return Look::Fault(reason, Evidence::Character { character, at });
    }
    let characters = text.text.trim().chars().count();
    if characters < rules.shortest {
        return Look::Fault(Reason::TooShort, Evidence::Length { characters });
    }
    if rules.longest.is_some_and(|longest| characters > longest) {
        return Look::Fault(Reason::TooLong, Evidence::Length { characters });
    }
    let folded = words::fold(text.text);
    if let Some(leak) = leaks.find_folded(&folded) {
        return Look::Fault(Reason::Leak, Evidence::Asked(leak));
    }
    if text.generated {
        return Look::Often;
    }
    Look::Once(Prints { exact: exact(&folded), near: minhash.and_then(|minhash| Print::new(&folded, minhash)) })
}

/// The first half of the SHA-256 of a folded text's words, parted by single spaces.
fn exact(folded: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    for word in folded.split_whitespace() {
        hash.update(word);
        hash.update(" ");
    }
    let digest = hash.finalize();
    std::array::from_fn(|i| digest[i])
}

/// The documents that were kept so far and must not come again.
struct Earlier<'a> {
    texts: &'a [Text<'a>],
    exact: HashMap<[u8; 16], usize>,
    near: Option<Near>,
    minhash: Option<MinHash>,
}

impl<'a> Earlier<'a> {
    fn new(texts: &'a [Text<'a>], rules: &Rules) -> Self {
        let once = texts.iter().filter(|text| !text.generated).count();
        let near = rules.near.filter(|near| (0.0..=1.0).contains(near)).map(|near| Near::new(near, once));
        let minhash = near.as_ref().map(|_| MinHash::new());
        Self { texts, exact: HashMap::new(), near, minhash }
    }

    /// The earlier document that this one repeats; else it is kept in mind itself.
    fn meets(&mut self, document: usize, prints: &Prints) -> Option<(Reason, Evidence)> {
        let texts = self.texts;
        let repeats = |document: usize, similarity| {
            let place = texts[document].place.clone();
            Evidence::Repeats { document, place, similarity }
        };
        match self.exact.entry(prints.exact) {
            Entry::Occupied(first) => return Some((Reason::Duplicate, repeats(*first.get(), 1.0))),
            Entry::Vacant(free) => {
                if let (Some(near), Some(print)) = (&mut self.near, &prints.near) {
                    if let Some((first, similarity)) = near.find(document, print, |i| texts[i].text) {
                        return Some((Reason::NearDuplicate, repeats(first, similarity)));
                    }
                    near.keep(document, print);
                }
                free.insert(document);
            }
        }
        None
    }
}
