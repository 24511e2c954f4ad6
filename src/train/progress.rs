//! What the evaluations so far say: which was the best, and whether to wait for a better one.

use crate::store::training::{BestRecord, EvaluationRecord};

/// The held-out losses of a run, in the order of its steps. Everything follows from the record, so that a run that goes on
/// decides as one that was never interrupted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    losses: Vec<BestRecord>,
}

impl Progress {
    /// What was recorded.
    #[must_use]
    pub fn of(records: &[EvaluationRecord]) -> Self {
        let loss = |record: &EvaluationRecord| BestRecord { step: record.step, loss: record.held_out_loss };
        Self { losses: records.iter().map(loss).collect() }
    }

    /// Adds an evaluation and says whether none before had so small a loss.
    pub fn add(&mut self, step: u64, loss: f64) -> bool {
        let best = self.losses.iter().all(|earlier| loss < earlier.loss);
        self.losses.push(BestRecord { step, loss });
        best
    }

    /// Whether a step was evaluated.
    #[must_use]
    pub fn has(&self, step: u64) -> bool {
        self.losses.iter().any(|earlier| earlier.step == step)
    }

    /// The evaluation with the smallest loss among those behind a step, the earliest of equal ones: the model as it was
    /// before it learned is no result.
    #[must_use]
    pub fn best(&self) -> Option<BestRecord> {
        self.losses.iter().copied().filter(|one| one.step > 0).reduce(
            |best, next| {
                if next.loss < best.loss { next } else { best }
            },
        )
    }

    /// The loss before the first step.
    #[must_use]
    pub fn first(&self) -> Option<f64> {
        self.losses.iter().find(|one| one.step == 0).map(|one| one.loss)
    }

    /// Whether the last `patience` evaluations brought no smaller loss than all before them.
    #[must_use]
    pub fn is_over(&self, patience: Option<u64>) -> bool {
        let mut smallest = f64::INFINITY;
        let mut waited = 0;
        for one in &self.losses {
            if one.loss < smallest {
                (smallest, waited) = (one.loss, 0);
            } else {
                waited += 1;
            }
        }
        patience.is_some_and(|patience| patience > 0 && waited >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(losses: &[f64]) -> Progress {
        let mut progress = Progress::default();
        for (step, loss) in losses.iter().enumerate() {
            progress.add(step as u64 * 10, *loss);
        }
        progress
    }

    #[test]
    fn the_best_is_the_earliest_of_the_smallest_and_never_the_beginning() {
        assert_eq!(progress(&[3.0, 2.0, 1.0, 1.0, 2.0]).best(), Some(BestRecord { step: 20, loss: 1.0 }));
        assert_eq!(progress(&[1.0, 2.0, 1.5]).best(), Some(BestRecord { step: 20, loss: 1.5 }));
        assert_eq!((progress(&[1.0]).best(), progress(&[1.0]).first()), (None, Some(1.0)));
    }

    #[test]
    fn patience_ends_after_so_many_evaluations_without_a_better_one() {
        assert!(!progress(&[3.0, 2.0, 2.0]).is_over(Some(2)));
        assert!(progress(&[3.0, 2.0, 2.0, 2.5]).is_over(Some(2)));
        assert!(!progress(&[3.0, 2.0, 2.0, 1.9]).is_over(Some(2)));
        assert!(progress(&[1.0, 1.1, 1.2]).is_over(Some(2)), "it never got better than it began");
        assert!(!progress(&[1.0, 1.1, 1.2]).is_over(None));
    }

    #[test]
    fn adding_says_whether_it_is_the_best_by_now() {
        let mut progress = progress(&[3.0, 2.0]);
        assert!(!progress.add(20, 2.0) && progress.add(30, 1.0) && progress.has(30) && !progress.has(40));
    }
}
