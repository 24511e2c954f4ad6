//! Groups of scorers: their weighted mean is one more metric.

use super::{Score, ScoreValue};
use crate::suite::ScorerSpec;

/// Scorers that share a `group:`, with their weights.
#[derive(Debug)]
pub(super) struct Group {
    /// The metric's name.
    pub(super) name: String,
    /// Where each member stands in the list of scorers, and its weight.
    members: Vec<(usize, f64)>,
}

/// The groups of a list of scorers, in the order in which they are first named.
pub(super) fn groups(specs: &[ScorerSpec]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, spec) in specs.iter().enumerate() {
        let Some(name) = &spec.group else { continue };
        match groups.iter_mut().find(|group| group.name == *name) {
            Some(group) => group.members.push((at, spec.weight)),
            None => groups.push(Group { name: name.clone(), members: vec![(at, spec.weight)] }),
        }
    }
    groups
}

impl Group {
    fn total(&self) -> f64 {
        self.members.iter().map(|(_, weight)| weight).sum()
    }

    /// `Σ wᵢ·vᵢ / Σ wᵢ` over the members, where a pass is 1 and a failure 0, and a label is 1 where it is the target and
    /// 0 where it is not. Unscored as soon as one member is (also one of weight 0), because the mean of the others would
    /// not compare with the mean of all; and where the weights have no finite sum above 0 (a suite's check refuses such
    /// weights, but a mean of them must not pass for a score).
    pub(super) fn score(&self, scores: &[Score], target: Option<&str>) -> Score {
        let total = self.total();
        if !(total.is_finite() && total > 0.0) {
            let reason = format!("the weights of the group add up to {total}");
            return self.named(ScoreValue::Unscored(reason), String::new());
        }
        let mut sum = 0.0;
        let mut terms = Vec::new();
        for (at, weight) in &self.members {
            let Some(score) = scores.get(*at) else { continue };
            match value_of(score, target) {
                Ok(value) => {
                    sum += weight * value;
                    terms.push(format!("{} {value} × {weight}", score.scorer));
                }
                Err(reason) => return self.named(ScoreValue::Unscored(reason), String::new()),
            }
        }
        self.named(ScoreValue::number(sum / total), format!("({}) / {total}", terms.join(" + ")))
    }

    fn named(&self, value: ScoreValue, explanation: String) -> Score {
        Score { scorer: self.name.clone(), value, answer: None, explanation, parts: serde_json::Map::new() }
    }
}

/// A member's number, or why it has none.
pub(super) fn value_of(score: &Score, target: Option<&str>) -> Result<f64, String> {
    match (&score.value, target) {
        (ScoreValue::Pass(pass), _) => Ok(f64::from(u8::from(*pass))),
        (ScoreValue::Number(number), _) => Ok(*number),
        (ScoreValue::Label(label), Some(target)) => Ok(f64::from(u8::from(label == target))),
        (ScoreValue::Label(_), None) => Err(format!("`{}` gave a label, and the case has no target", score.scorer)),
        (ScoreValue::Unscored(reason), _) => Err(format!("`{}`: {reason}", score.scorer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(scorer: &str, value: ScoreValue) -> Score {
        Score { scorer: scorer.into(), value, answer: None, explanation: String::new(), parts: serde_json::Map::new() }
    }

    fn group() -> Group {
        Group { name: "all".into(), members: vec![(0, 3.0), (2, 1.0)] }
    }

    #[test]
    fn is_the_weighted_mean_of_its_members() {
        let other = score("other", ScoreValue::Unscored("not a member".into()));
        let scores = [score("a", ScoreValue::Pass(true)), other, score("c", ScoreValue::Number(0.5))];
        let mean = group().score(&scores, None);
        assert_eq!(mean.value, ScoreValue::Number(0.875));
        insta::assert_snapshot!(mean.explanation, @"(a 1 × 3 + c 0.5 × 1) / 4");
    }

    #[test]
    fn a_label_counts_where_it_is_the_target() {
        let other = score("other", ScoreValue::Pass(false));
        let scores = [score("a", ScoreValue::Label("yes".into())), other, score("c", ScoreValue::Pass(false))];
        assert_eq!(group().score(&scores, Some("yes")).value, ScoreValue::Number(0.75));
        assert_eq!(group().score(&scores, Some("no")).value, ScoreValue::Number(0.0));
        assert!(matches!(group().score(&scores, None).value, ScoreValue::Unscored(_)));
    }

    #[test]
    fn weights_without_a_finite_sum_above_0_leave_the_group_unscored() {
        let scores = [score("a", ScoreValue::Pass(true)), score("b", ScoreValue::Pass(true))];
        for (one, other, sum) in
            [(0.0, 0.0, "0"), (1.0, -2.0, "-1"), (1.0, f64::NAN, "NaN"), (f64::MAX, f64::MAX, "inf")]
        {
            let group = Group { name: "all".into(), members: vec![(0, one), (1, other)] };
            let reason = format!("the weights of the group add up to {sum}");
            assert_eq!(group.score(&scores, None).value, ScoreValue::Unscored(reason));
        }
    }

    #[test]
    fn one_unscored_member_leaves_the_group_unscored() {
        let other = score("other", ScoreValue::Pass(false));
        let scores = [score("a", ScoreValue::Pass(true)), other, score("c", ScoreValue::Unscored("no target".into()))];
        assert_eq!(group().score(&scores, None).value, ScoreValue::Unscored("`c`: no target".into()));
    }
}
