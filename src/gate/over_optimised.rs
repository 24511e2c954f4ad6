//! Over-optimisation: a reward rises while what it stands for falls (Gao, Schulman and Hilton 2022, "Scaling laws for reward
//! model overoptimization", arXiv 2210.10760). What is learned then is the reward model, and not the task.

use super::record::{Comparison, Standing};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A reward that is proven to have risen, and a metric of another kind that is proven to have fallen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverOptimised {
    /// The variant.
    pub variant: String,
    /// The reward.
    pub reward: String,
    /// What fell.
    pub fell: String,
}

impl fmt::Display for OverOptimised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variant, reward, fell } = self;
        write!(
            f,
            "over-optimised: `{reward}` of {variant} rose while `{fell}` fell: the reward no longer stands for it"
        )
    }
}

/// Every such pair among comparisons; `rewards` are the names of the metrics that are rewards.
#[must_use]
pub fn over_optimised(all: &[Comparison], rewards: &[&str]) -> Vec<OverOptimised> {
    let is_reward = |one: &Comparison| rewards.contains(&one.metric.as_str());
    let risen = all.iter().filter(|one| is_reward(one) && one.verdict == Standing::Better);
    let pairs = risen.flat_map(|reward| {
        let variant = &reward.candidate.variant;
        let fallen =
            |one: &&Comparison| one.candidate.variant == *variant && one.verdict == Standing::Worse && !is_reward(one);
        all.iter().filter(fallen).map(move |one| OverOptimised {
            variant: variant.clone(),
            reward: reward.metric.clone(),
            fell: one.metric.clone(),
        })
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn comparison(metric: &str, variant: &str, verdict: &str) -> Comparison {
        let side = json!({"run": "r", "variant": variant, "value": 0.5});
        serde_json::from_value(json!({
            "metric": metric, "direction": "higher", "baseline": side, "candidate": side, "n": 100, "discordant": null,
            "difference": 0.1, "ci": null, "level": 0.95, "test": "sign_flip", "p_value": 0.01, "p_adjusted": 0.01,
            "minimum_detectable": null, "cases_for_three_points": null, "verdict": verdict, "flipped": [],
            "only_baseline": [], "only_candidate": [], "unscored": [],
        }))
        .unwrap()
    }

    #[test]
    fn a_reward_that_rises_while_another_metric_of_the_variant_falls_is_said() {
        let all = [
            comparison("reward", "a", "better"),
            comparison("exact", "a", "worse"),
            comparison("kindness", "a", "worse"),
            comparison("stopped", "a", "undecided"),
            comparison("exact", "b", "worse"),
        ];
        let found = over_optimised(&all, &["reward", "kindness"]);
        assert_eq!(found.len(), 1);
        insta::assert_snapshot!(found[0], @"over-optimised: `reward` of a rose while `exact` fell: the reward no longer stands for it");
        assert!(over_optimised(&all, &[]).is_empty());
        assert!(over_optimised(&all[1..], &["reward"]).is_empty());
    }
}
