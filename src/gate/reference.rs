//! What a run is judged against: another run, or a file kept in git.

use super::baseline::Baseline;
use super::sheet::Sheet;
use crate::summary::RunSummary;
use std::collections::HashMap;

/// What a run is judged against.
#[derive(Debug, Clone, Copy)]
pub enum Reference<'a> {
    /// Another run.
    Run(&'a RunSummary),
    /// The small file that is kept in git.
    File(&'a Baseline),
}

impl<'a> Reference<'a> {
    /// The run's id, or the file.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Run(run) => run.header.run.clone(),
            Self::File(baseline) => baseline.path.display().to_string(),
        }
    }

    /// What it holds of a variant, as far as it can be compared with a candidate.
    #[must_use]
    pub fn sheet(&self, variant: &str, candidate: &'a RunSummary) -> Option<Sheet<'a>> {
        let rows = candidate.rows(variant);
        self.sheet_with(variant, &rows.iter().filter_map(|row| Some((row.case, row.truth?))).collect())
    }

    /// The same with the true label of each case.
    #[must_use]
    pub fn sheet_with(&self, variant: &str, truths: &HashMap<&str, &'a str>) -> Option<Sheet<'a>> {
        match self {
            Self::Run(run) => Sheet::of(run, variant),
            Self::File(baseline) => baseline.sheet(variant, truths),
        }
    }

    pub(super) fn variants(&self) -> Vec<String> {
        match self {
            Self::Run(run) => run.variants.iter().map(|variant| variant.name.clone()).collect(),
            Self::File(baseline) => baseline.variants().map(str::to_owned).collect(),
        }
    }
}
