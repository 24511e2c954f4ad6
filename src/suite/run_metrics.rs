//! What gate rules may name of every suite, besides the metrics of its scorers.

use super::error::{SuiteError, SuiteProblem};
use super::{Bound, Rule, Suite};

/// What a run metric counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Seconds of decoding, which depend on the machine.
    Seconds,
    /// Tokens.
    Tokens,
    /// A share of the cases, 0 to 1.
    Share,
}

/// A figure that every run has, whatever its scorers. Less is better in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunMetric {
    /// The name that a rule writes.
    pub name: &'static str,
    /// What it counts in.
    pub quantity: Quantity,
}

/// Every run metric. Of a variant:
///
/// - `latency`: mean seconds a trial
/// - `prompt_tokens`: mean tokens of a trial's prompts, over all stages
/// - `completion_tokens`: mean tokens drawn for a trial, over all stages
/// - `unscored`: share of the cases that some scorer could not judge
/// - `no_answer`: share of the cases whose completion holds no answer that can be read
/// - `cut`: share of the cases whose completion `max_tokens` ended
///
/// No scorer and no group of scorers may be called so.
pub const RUN_METRICS: [RunMetric; 6] = [
    RunMetric { name: "latency", quantity: Quantity::Seconds },
    RunMetric { name: "prompt_tokens", quantity: Quantity::Tokens },
    RunMetric { name: "completion_tokens", quantity: Quantity::Tokens },
    RunMetric { name: "unscored", quantity: Quantity::Share },
    RunMetric { name: "no_answer", quantity: Quantity::Share },
    RunMetric { name: "cut", quantity: Quantity::Share },
];

impl RunMetric {
    /// The run metric of a name.
    ///
    /// ```
    /// use tripos::suite::{Quantity, RunMetric};
    /// assert_eq!(RunMetric::named("cut").map(|metric| metric.quantity), Some(Quantity::Share));
    /// assert_eq!(RunMetric::named("exact"), None);
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        RUN_METRICS.iter().find(|metric| metric.name == name)
    }

    /// What is wrong with a bound on it.
    fn fault(&self, bound: Bound) -> Option<(String, &'static str)> {
        let (field, value) = match bound {
            Bound::NoWorseBy(_) if self.quantity == Quantity::Seconds => {
                let what = format!("`no_worse_by` has no meaning for `{}`", self.name);
                return Some((what, "times of two machines cannot be compared: use `at_most`, in seconds"));
            }
            // A margin is checked as that of any metric.
            Bound::NoWorseBy(_) => return None,
            Bound::AtLeast(value) => ("at_least", value),
            Bound::AtMost(value) => ("at_most", value),
        };
        let (most, help) = match self.quantity {
            Quantity::Seconds => (f64::INFINITY, "it counts seconds: write a number of 0 or more"),
            Quantity::Tokens => (f64::INFINITY, "it counts tokens: write a number of 0 or more"),
            Quantity::Share => (1.0, "it is a share of the cases, from 0 to 1"),
        };
        let wrong = value.is_finite() && !(0.0..=most).contains(&value);
        wrong.then(|| (format!("`{field}` is {value} for `{}`", self.name), help))
    }
}

/// The problem of a rule on a run metric.
pub(super) fn fault(rule: &Rule) -> Option<SuiteProblem> {
    let (what, help) = RunMetric::named(&rule.metric)?.fault(rule.bound)?;
    Some(SuiteProblem::Contradiction { what, help: help.to_owned() })
}

/// Scorers and groups whose metric would be called as one of every run is.
pub(super) fn taken(suite: &Suite) -> impl Iterator<Item = SuiteError> {
    suite.scorers.iter().flat_map(|scorer| {
        let names = [("a scorer", Some(&scorer.name)), ("a group", scorer.group.as_ref())];
        let taken = names.into_iter().filter_map(|(whose, name)| Some((whose, RunMetric::named(name?)?)));
        taken.map(|(whose, metric)| {
            let what = format!("`{}` cannot name {whose}: the name is a gate's own", metric.name);
            let help = "rules know a figure of every run by that name: choose another".to_owned();
            SuiteError::new(scorer.place.clone(), SuiteProblem::Contradiction { what, help })
        })
    })
}
