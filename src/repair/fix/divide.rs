//! Two halves of a suite: one may be learned from, the other is not looked at before the end.

use super::Request;
use super::error::FixError;
use crate::error::{Place, Problems};
use crate::seed;
use crate::suite::{self, Case, ModelRef, Overrides, Suite};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

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
    /// SHA-256 of what is held out, by which attempts are counted.
    pub sha256: String,
}

impl Halves {
    /// Divides the cases by a hash of what they ask and the seed, the sides of a counterfactual pair together. A generator's suite is
    /// learned from as a whole, and fresh cases are drawn to be held out.
    pub(super) fn of(suite: &Suite, request: &Request) -> Result<Self, Problems> {
        let (learned, held_out) = if suite.generated { fresh(suite, request)? } else { divided(&suite.cases, request) };
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
    let held = |case: &Case| {
        let unit = case.probe.as_ref().map_or_else(|| asks(case), |probe| probe.unit.clone());
        share(&unit, request.seed) < request.holdout
    };
    cases.iter().cloned().partition(|case| !held(case))
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
    let held_out = again.cases.into_iter().filter(|case| !known.contains(&asks(case))).take(wanted).collect();
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

    #[test]
    fn the_sides_of_a_pair_stay_together() {
        let mut all = cases(100);
        for (at, case) in all.iter_mut().enumerate() {
            let (pair, group) = ((at / 2).to_string(), ["a", "b"][at % 2].to_owned());
            case.probe = Some(suite::Counterpart { unit: pair.clone(), pair, group });
        }
        let (_, held_out) = divided(&all, &request(0.5, 1));
        let units: HashSet<&str> = held_out.iter().map(|case| case.probe.as_ref().unwrap().unit.as_str()).collect();
        assert_eq!(units.len() * 2, held_out.len());
    }
}
