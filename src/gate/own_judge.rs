//! A policy learns to please the reward model that trains it, whatever that stands for (Gao 2022, 2210.10760): no proof that it has
//! become better.

use super::error::GateError;
use crate::error::Place;
use crate::store::Header;
use crate::suite::{Rule, RunMetric};
use std::collections::BTreeSet;

/// The variants whose every rule is about a reward of the model that trained the variant's own. Rules about the run itself (its speed,
/// what is unscored) judge nothing that is said. `place` stands for rules that nobody wrote.
pub(super) fn own_judges(header: &Header, rules: &[&Rule], place: &Place) -> Vec<GateError> {
    let variants: BTreeSet<&str> = rules.iter().map(|rule| rule.variant.as_str()).collect();
    let refusals = variants.into_iter().filter_map(|variant| {
        let judging = rules.iter().filter(|rule| rule.variant == variant && RunMetric::named(&rule.metric).is_none());
        let mut of_another = judging.clone().filter(|rule| !trained_by(header, variant, &rule.metric));
        let first = judging.clone().next()?;
        of_another.next().is_none().then(|| GateError::OwnJudge {
            variant: variant.to_owned(),
            metric: first.metric.clone(),
            place: if first.place.line > 0 { first.place.clone() } else { place.clone() },
        })
    });
    refusals.collect()
}

/// Whether a metric is the reward of a model that a variant's model was trained by.
fn trained_by(header: &Header, variant: &str, metric: &str) -> bool {
    let (Some(asked), Some(judge)) = (header.models.get(variant), header.models.get(&format!("reward {metric}")))
    else {
        return false;
    };
    let file = judge.adapter.as_ref().map_or(&judge.facts.sha256, |(_, sha256, _)| sha256);
    asked.facts.rewards.contains(file)
}
