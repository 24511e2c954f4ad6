//! How the cases of a run came out.

use crate::error::Problems;
use crate::store::{Repeat, Sample, ScoreValue, read_samples};
use std::collections::HashMap;
use std::path::Path;

/// A case, and the answers to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// Whether a scorer passes it, all its repeats together: what they come to as a number, a mean or pass@k, passes from ½ on. `None`
    /// where it cannot judge it.
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
    let mut together: Vec<Sample> = Vec::new();
    read_samples(run, |sample| {
        if sample.trial.repeat == Repeat::Reduced {
            together.push(sample);
            return;
        }
        let place = *places.entry(sample.trial.case.clone()).or_insert(all.len());
        if place == all.len() {
            all.push(Outcome { passes: passed(&sample, scorer), answers: Vec::new() });
        }
        all[place].answers.push(sample);
    })?;
    for reduced in together {
        if let Some(outcome) = places.get(&reduced.trial.case).and_then(|place| all.get_mut(*place)) {
            let single = outcome.answers.iter().any(|sample| passed(sample, scorer).is_some());
            outcome.passes = passed(&reduced, scorer).or(number(&reduced, scorer).filter(|_| single).map(|x| x >= 0.5));
        }
    }
    Ok(all)
}

/// What passes and fails come to together.
fn number(sample: &Sample, scorer: &str) -> Option<f64> {
    sample.scores.iter().find(|score| score.scorer == scorer).and_then(|score| match score.value {
        ScoreValue::Number(number) => Some(number),
        _ => None,
    })
}
