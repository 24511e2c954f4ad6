//! One variant's scored cases, wherever they were kept.

use crate::stats::Row;
use crate::summary::RunSummary;
use std::collections::HashMap;

/// The scored cases of one variant, from a run or from a baseline file.
#[derive(Debug, Clone)]
pub struct Sheet<'a> {
    /// The run's id, or the file.
    pub run: String,
    /// The variant.
    pub variant: String,
    /// What its metrics rest on.
    pub rows: Vec<Row<'a>>,
    /// Each case that was asked, with a hash of its variables and target; `None` where the hash is not known.
    pub cases: HashMap<&'a str, Option<u64>>,
}

impl<'a> Sheet<'a> {
    /// That of a run's variant; `None` where the run has no such variant.
    #[must_use]
    pub fn of(run: &'a RunSummary, variant: &str) -> Option<Self> {
        let variant = run.variants.iter().find(|v| v.name == variant)?.name.clone();
        let rows = run.rows(&variant);
        let cases = run.cases(&variant).map(|(case, text)| (case, Some(text))).collect();
        Some(Self { run: run.header.run.clone(), variant, rows, cases })
    }

    /// The cases that ask something else in the two, sorted.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<String> {
        let differs = |case: &&str| match (self.cases.get(*case), other.cases.get(*case)) {
            (Some(Some(mine)), Some(Some(theirs))) => mine != theirs,
            _ => false,
        };
        sorted(self.cases.keys().copied().filter(differs))
    }

    /// The cases that only this one was asked, sorted.
    #[must_use]
    pub fn only(&self, other: &Self) -> Vec<String> {
        sorted(self.cases.keys().copied().filter(|case| !other.cases.contains_key(case)))
    }

    /// The same without some cases.
    #[must_use]
    pub fn without(&self, left_out: &[String]) -> Self {
        let kept = |case: &str| left_out.binary_search_by(|other| other.as_str().cmp(case)).is_err();
        let rows = self.rows.iter().filter(|row| kept(row.case)).copied().collect();
        Self { rows, ..self.clone() }
    }
}

fn sorted<'a>(cases: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut cases: Vec<String> = cases.map(str::to_owned).collect();
    cases.sort_unstable();
    cases
}
