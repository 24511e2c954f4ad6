//! Two halves of a suite: one may be learned from, the other is not looked at before the end.

use super::Request;
use super::error::FixError;
use crate::error::{Place, Problems};
use crate::repair::FRESH;
use crate::seed;
use crate::suite::{self, Case, ModelRef, Overrides, Suite};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The fewest cases on either side: McNemar's test over 7, all of them won, gives 0.016, and at a second attempt's level nothing.
const FEWEST: usize = 8;
/// The most cases that a generator draws to be held out.
const MOST_FRESH: usize = 100_000;

/// The two halves.
#[derive(Debug, Clone, Default)]
pub(super) struct Halves {
    /// May be learned from.
    pub learned: Vec<Case>,
    /// Are not looked at before the end.
    pub held_out: Vec<Case>,
    /// SHA-256 of what is held out.
    pub sha256: String,
}

impl Halves {
    /// Divides the cases by a hash of what they ask and the seed. Of a probe the swapped values are divided, and so are the combinations
    /// that they are asked with: a pair of which one is learned from and the other held out is left aside. A generator's suite is
    /// learned from as a whole, and fresh cases are drawn to be held out, as long as it has any.
    pub(super) fn of(suite: &Suite, request: &Request) -> Result<Self, Problems> {
        let drawn = if suite.generated { Some(fresh(suite, request)?) } else { None };
        let drawn = drawn.filter(|(_, held_out)| held_out.len() >= FEWEST);
        let (learned, held_out) = drawn.unwrap_or_else(|| divided(&suite.cases, request));
        if learned.len() < FEWEST || held_out.len() < FEWEST {
            return Err(FixError::TooFew {
                cases: learned.len() + held_out.len(),
                held_out: held_out.len(),
                learned: learned.len(),
                fewest: FEWEST,
                place: Place::file(&suite.path),
            }
            .into());
        }
        let mut asked: Vec<String> = held_out.iter().map(asks).collect();
        asked.sort_unstable();
        let variant = suite.variants.first().map_or("", |variant| &variant.name);
        let hash = Sha256::digest(format!("{}\n{variant}\n{}", suite.name, asked.join("\n")));
        let sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { learned, held_out, sha256 })
    }
}

/// The suite with some cases.
pub(super) fn with(suite: &Suite, cases: &[Case]) -> Suite {
    Suite { cases: cases.to_vec(), ..suite.clone() }
}

/// What a case asks, as a text that tells it from others.
pub(super) fn asks(case: &Case) -> String {
    let vars = serde_json::Value::Object(case.vars.clone());
    format!("{vars} {}", case.target.as_deref().unwrap_or_default())
}

fn divided(cases: &[Case], request: &Request) -> (Vec<Case>, Vec<Case>) {
    let combinations = combinations(cases, request);
    let held = |case: &Case| match &case.probe {
        None => Some(share(&asks(case), request.seed) < request.holdout),
        Some(probe) => {
            let unit = share(&probe.unit, request.seed) < request.holdout;
            combinations.get(&probe.over).is_none_or(|held| *held == unit).then_some(unit)
        }
    };
    let of = |side: bool| cases.iter().filter(|case| held(case) == Some(side)).cloned().collect();
    (of(false), of(true))
}

/// Whether each combination that a probe's values are asked with is held out, some of them on either side; none where there is but one.
fn combinations(cases: &[Case], request: &Request) -> BTreeMap<usize, bool> {
    let known: BTreeSet<usize> = cases.iter().filter_map(|case| case.probe.as_ref()).map(|probe| probe.over).collect();
    if known.len() < 2 {
        return BTreeMap::new();
    }
    let mut drawn: Vec<usize> = known.into_iter().collect();
    drawn.sort_by_key(|over| seed::key(request.seed, &["fix", "over", &over.to_string()]));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a length
    let held = ((drawn.len() as f64 * request.holdout).round() as usize).clamp(1, drawn.len() - 1);
    drawn.into_iter().enumerate().map(|(at, over)| (over, at < held)).collect()
}

/// Where a text falls between 0 and 1, by a hash.
fn share(text: &str, key: u64) -> f64 {
    seed::key(key, &["fix", text]) as f64 / u64::MAX as f64
}

/// All of the suite's cases, and fresh ones that are none of them, as many as the generator still has.
fn fresh(suite: &Suite, request: &Request) -> Result<(Vec<Case>, Vec<Case>), Problems> {
    let wanted = (suite.cases.len() as f64 * request.holdout / (1.0 - request.holdout)).ceil();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive, and a float saturates
    let wanted = (wanted as usize).min(MOST_FRESH);
    // As many more as could be among the suite's own.
    let drawn = (seed::key(request.seed, &["fix", &suite.name]), wanted + suite.cases.len());
    let model = request.model.clone().map(ModelRef::Gguf);
    let located = request.located.clone();
    let overrides = Overrides { model, located, drawn: Some(drawn), ..Overrides::default() };
    let (again, problems) = suite::load(&suite.path, &overrides);
    let Some(again) = again.filter(|_| !problems.any_error()) else { return Err(problems) };
    let known: HashSet<String> = suite.cases.iter().map(asks).collect();
    let new = again.cases.into_iter().filter(|case| !known.contains(&asks(case))).take(wanted);
    let held_out = new.map(|case| Case { id: format!("{FRESH}{}", case.id), ..case }).collect();
    Ok((suite.cases.clone(), held_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(holdout: f64, seed: u64) -> Request {
        Request {
            suite: "s.yaml".into(),
            model: None,
            located: suite::Located::default(),
            variant: None,
            scorer: None,
            recipe: None,
            holdout,
            also: vec![],
            baseline: None,
            out: "out".into(),
            seed,
            allow_commands: false,
        }
    }

    fn cases(count: u32) -> Vec<Case> {
        (0..count).map(|at| Case::new(&at.to_string(), [("q", at)], Some("x"))).collect()
    }

    #[test]
    fn the_halves_share_nothing_and_the_seed_moves_them() {
        let all = cases(400);
        let (learned, held_out) = divided(&all, &request(0.5, 1));
        assert_eq!(learned.len() + held_out.len(), 400);
        assert!((160..240).contains(&held_out.len()), "{}", held_out.len());
        let known: HashSet<String> = learned.iter().map(asks).collect();
        assert!(held_out.iter().all(|case| !known.contains(&asks(case))));
        assert_eq!(divided(&all, &request(0.5, 1)).1, held_out, "once and for all");
        assert_ne!(divided(&all, &request(0.5, 2)).1, held_out);
        assert!(divided(&all, &request(0.2, 1)).1.len() < 120);
    }

    /// Else the eight sums that two dozen names are asked with would be learned by heart, and held out with other names.
    #[test]
    fn of_a_probe_values_and_what_they_are_asked_with_are_held_out() {
        let mut all = cases(6 * 8 * 2);
        for (at, case) in all.iter_mut().enumerate() {
            let (over, value, group) = (at / 12, at / 2 % 6, ["a", "b"][at % 2].to_owned());
            let pair = format!("{over}.{value}");
            case.probe = Some(suite::Counterpart { unit: value.to_string(), pair, group, over });
        }
        let (learned, held_out) = divided(&all, &request(0.5, 1));
        let of = |cases: &[Case], what: fn(&suite::Counterpart) -> String| -> HashSet<String> {
            cases.iter().map(|case| what(case.probe.as_ref().unwrap())).collect()
        };
        for what in
            [|probe: &suite::Counterpart| probe.unit.clone(), |probe: &suite::Counterpart| probe.over.to_string()]
        {
            assert!(of(&learned, what).is_disjoint(&of(&held_out, what)));
        }
        assert_eq!(of(&held_out, |probe| probe.over.to_string()).len(), 4);
        assert!(learned.len() >= 8 && held_out.len() >= 8, "{} {}", learned.len(), held_out.len());
    }

    #[test]
    fn the_sides_of_a_pair_stay_together() {
        let mut all = cases(100);
        for (at, case) in all.iter_mut().enumerate() {
            let (pair, group) = ((at / 2).to_string(), ["a", "b"][at % 2].to_owned());
            case.probe = Some(suite::Counterpart { unit: pair.clone(), pair, group, over: 0 });
        }
        let (_, held_out) = divided(&all, &request(0.5, 1));
        let units: HashSet<&str> = held_out.iter().map(|case| case.probe.as_ref().unwrap().unit.as_str()).collect();
        assert_eq!(units.len() * 2, held_out.len());
    }
}
