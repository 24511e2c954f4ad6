//! A look at every prompt of a plan before anything is asked.

use super::prepare::Prepared;
use crate::error::{Explain, Problems};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::collections::HashSet;

/// Prompts of a variant that are reported; a mistake in a template is one of every case.
const MOST: usize = 20;

impl Prepared<'_> {
    /// Renders and tokenises every prompt; gives the tokens of the longest.
    ///
    /// # Errors
    /// What cannot be rendered or does not fit.
    pub fn prompts(&self) -> Result<usize, Problems> {
        let mut problems = Problems::new();
        let mut said = HashSet::new();
        let mut longest = 0;
        for &variant in &self.plan.variants {
            let Some(stages) = self.stages(variant)? else { continue };
            let cells: Vec<_> = self.plan.cells_of(variant).filter(|cell| cell.repeat == 0).collect();
            let asked: Vec<_> = cells
                .into_par_iter()
                .map(|cell| self.ask(&stages, cell, true))
                .map(|asked| (asked.prompt.map_or(0, |(_, tokens)| tokens.len()), asked.refusal))
                .collect();
            longest = asked.iter().map(|(tokens, _)| *tokens).fold(longest, usize::max);
            // One mistake in a prompt is a problem of every case: it is said of the first.
            let refusals = asked.into_iter().filter_map(|(_, refusal)| refusal);
            let new = refusals.filter(|r| said.insert((r.to_string(), r.at().map(ToString::to_string))));
            problems.extend(new.take(MOST));
        }
        problems.or_ok(longest)
    }
}
