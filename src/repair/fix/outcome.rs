//! How the cases of a run came out.

use crate::error::Problems;
use crate::store::{Repeat, Sample, ScoreValue, read_samples};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A case, and the answers to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// Whether a scorer passes it, all its repeats together; `None` where it cannot judge it.
    pub passes: Option<bool>,
    /// The answers, in the order in which they were recorded; never none.
    pub answers: Vec<Sample>,
}

impl Outcome {
    /// The first answer.
    pub(super) fn first(&self) -> Option<&Sample> {
        self.answers.first()
    }
}

/// Whether a scorer passes a sample; `None` where it could not judge it.
pub(super) fn passed(sample: &Sample, scorer: &str) -> Option<bool> {
    let target = sample.case.target.as_deref().map(str::trim);
    sample.scores.iter().find(|score| score.scorer == scorer).and_then(|score| match &score.value {
        ScoreValue::Pass(pass) => Some(*pass),
        ScoreValue::Label(label) => target.map(|target| target == label),
        ScoreValue::Number(_) | ScoreValue::Unscored(_) => None,
    })
}

/// The cases of a run of one variant, in the order in which they were recorded first.
pub(super) fn outcomes(run: &Path, scorer: &str) -> Result<Vec<Outcome>, Problems> {
    let (mut places, mut all): (HashMap<String, usize>, Vec<Outcome>) = (HashMap::new(), Vec::new());
    let mut together: BTreeMap<String, Option<bool>> = BTreeMap::new();
    read_samples(run, |sample| {
        if sample.trial.repeat == Repeat::Reduced {
            together.insert(sample.trial.case.clone(), passed(&sample, scorer));
            return;
        }
        let place = *places.entry(sample.trial.case.clone()).or_insert(all.len());
        if place == all.len() {
            all.push(Outcome { passes: passed(&sample, scorer), answers: Vec::new() });
        }
        all[place].answers.push(sample);
    })?;
    for (case, passes) in together {
        if let Some(outcome) = places.get(&case).and_then(|place| all.get_mut(*place)) {
            outcome.passes = passes;
        }
    }
    Ok(all)
}
