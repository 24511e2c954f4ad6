//! What must not be taught: what is held out, and what other suites ask.

use crate::store::Sample;
use crate::suite::{Case, Suite, Vars};
use crate::train::clean::Leaks;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// The texts that the prompts of a run share, by their ids.
pub(super) type Prefixes = BTreeMap<String, String>;

/// Keeps samples apart from cases. What is asked the same is the same. Of cases that nobody generated a sample also leaks one that it shares
/// a run of 13 words with, or holds as a whole; what a rule makes shares its words with all that it makes.
#[derive(Debug, Default)]
pub(super) struct Apart {
    known: HashSet<String>,
    leaks: Leaks,
}

impl Apart {
    /// Adds cases of a suite.
    pub(super) fn add(&mut self, suite: &Suite, cases: &[Case]) {
        for case in cases {
            self.known.insert(text(&case.vars));
            if !suite.generated {
                self.leaks.case(&suite.name, case);
            }
        }
    }

    /// Whether a sample of a run, its examples included, asks none of them.
    pub(super) fn is(&self, sample: &Sample, prefixes: &Prefixes) -> bool {
        !self.known.contains(&text(&sample.case.vars)) && self.leaks.find(&whole(sample, prefixes)).is_none()
    }
}

fn text(vars: &Vars) -> String {
    Value::Object(vars.clone()).to_string()
}

/// What a sample was asked, from its first word.
pub(super) fn whole(sample: &Sample, prefixes: &Prefixes) -> String {
    let Some(prompt) = &sample.prompt else { return String::new() };
    let prefix = prompt.prefix.as_ref().and_then(|id| prefixes.get(id)).map_or("", String::as_str);
    format!("{prefix}{}", prompt.text)
}
