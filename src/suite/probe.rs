//! `probe:` counterfactual pairs, the same case with a name or a group swapped, for measuring bias.
//!
//! Each group gives as many values; the i-th of each stand for one another. Every combination of `over` is asked with
//! each of them: that is a pair (a tuple where there are more than two groups), and each group's side of it one case.
//! What makes the comparison worthless is refused: sides that are the same text, a pair that is there twice.
//!
//! Several pairs that share a value are no independent evidence about its group, since the model may like or dislike
//! the one name: by default such pairs count together, as one unit ([`Unit::Value`]).

mod pairs;

use super::case::{Case, Vars};
use super::error::SuiteProblem;
use super::file::CaseTemplate;
use super::generate::{Failed, Templates};
use super::load::Loader;
use super::rows::Placed;
use pairs::Pairs;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// The fewest units with which a sign-flip test can reject at the 5 % level: 2/2⁶ = 0.03.
const FEWEST_UNITS: usize = 6;

/// What counts as one observation when two groups are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A swapped value, with its pairs over all combinations together.
    Value,
    /// Each pair.
    Pair,
}

impl Unit {
    /// What people call one of them.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Pair => "pair",
        }
    }
}

/// A probe: which variable is swapped, and between which groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The swapped variable.
    pub swap: String,
    /// The groups, as written.
    pub groups: Vec<String>,
    /// What counts as one observation.
    pub unit: Unit,
}

/// Where a case belongs in a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterpart {
    /// The pair; its other sides have the same.
    pub pair: String,
    /// The group whose value it holds.
    pub group: String,
    /// The unit that the pair counts to.
    pub unit: String,
    /// The number of the combination of `over` that it is asked with.
    #[serde(default)]
    pub over: usize,
}

/// `probe:` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeEntry {
    pub swap: Vars,
    #[serde(default)]
    pub over: Vars,
    pub unit: Option<Unit>,
    pub case: CaseTemplate,
}

/// A mistake, and where it stands below `cases.probe`.
type Fault = (String, SuiteProblem);

/// The swapped variable and each group's values.
struct Swap<'a> {
    name: &'a str,
    groups: Vec<(&'a str, &'a [Value])>,
}

impl Swap<'_> {
    /// How many values each group has.
    fn values(&self) -> usize {
        self.groups.first().map_or(0, |(_, values)| values.len())
    }
}

/// Each variable of `over` with its values.
type Over<'a> = Vec<(&'a str, &'a [Value])>;

impl Loader<'_> {
    /// The cases of a probe, the sides of a pair behind one another; none where it has mistakes, which are then reported.
    pub(super) fn probe_cases(&mut self, field: &str, entry: &ProbeEntry) -> Vec<Placed> {
        if field != "cases" {
            let help = "a probe is `cases:`; an example is a case with vars and a target".into();
            let what = format!("`{field}` cannot be a probe");
            self.fail(field, SuiteProblem::Contradiction { what, help });
            return Vec::new();
        }
        match entry.cases() {
            Ok(cases) => {
                let units: HashSet<&str> =
                    cases.iter().filter_map(|case| Some(case.probe.as_ref()?.unit.as_str())).collect();
                if units.len() < FEWEST_UNITS {
                    let unit = entry.unit().name();
                    self.fail("cases.probe.swap", SuiteProblem::FewUnits { count: units.len(), unit });
                }
                let place = self.place("cases.probe");
                cases.into_iter().map(|case| (case, place.clone())).collect()
            }
            Err(faults) => {
                // A template may miss what could not be read, which was reported.
                let unread = self.refused("cases.probe");
                let follows = |problem: &SuiteProblem| unread && matches!(problem, SuiteProblem::Template { .. });
                for (at, problem) in faults.into_iter().filter(|(_, problem)| !follows(problem)) {
                    self.fail(&format!("cases.probe.{at}"), problem);
                }
                Vec::new()
            }
        }
    }
}

impl ProbeEntry {
    /// What it is; `None` where it swaps nothing.
    pub(super) fn probe(&self) -> Option<Probe> {
        let (swap, groups) = self.swap.iter().next()?;
        let groups = groups.as_object()?.keys().cloned().collect();
        Some(Probe { swap: swap.clone(), groups, unit: self.unit() })
    }

    /// What counts as one observation: where a group has but one value, that is the pair.
    fn unit(&self) -> Unit {
        let lists = self.swap.values().filter_map(Value::as_object).flatten();
        let several = lists.filter_map(|(_, values)| values.as_array()).any(|values| values.len() > 1);
        self.unit.unwrap_or(if several { Unit::Value } else { Unit::Pair })
    }

    fn cases(&self) -> Result<Vec<Case>, Vec<Fault>> {
        let mut faults = Vec::new();
        let swap = self.swap(&mut faults);
        let over = self.over(&mut faults);
        let names = CaseTemplate { id: self.case.id.clone(), vars: Vars::new(), target: None, tags: Vec::new() };
        let sides = CaseTemplate { id: None, ..self.case.clone() };
        let mut compiled = |case| Templates::compile(case).map_err(|failed| faults.extend(explained(failed))).ok();
        let (names, sides) = (compiled(&names), compiled(&sides));
        let (Some(swap), Some(names), Some(sides), []) = (swap, names, sides, &faults[..]) else { return Err(faults) };
        Pairs { swap: &swap, over: &over, unit: self.unit(), names, sides }.cases()
    }

    fn swap(&self, faults: &mut Vec<Fault>) -> Option<Swap<'_>> {
        let (name, groups) = match self.swap.iter().collect::<Vec<_>>()[..] {
            [one] => one,
            ref all => {
                let what = format!("`swap` has {} variables", all.len());
                faults.push(("swap".into(), contradiction(what, SHAPE)));
                return None;
            }
        };
        let at = format!("swap.{name}");
        let Value::Object(groups) = groups else {
            faults.push(wrong(at, "expected {GROUP: [values], GROUP: [values]}"));
            return None;
        };
        let read: Vec<(&str, &[Value])> = groups
            .iter()
            .filter_map(|(group, values)| Some((group.as_str(), list(format!("{at}.{group}"), values, faults)?)))
            .collect();
        let sizes: Vec<String> = read.iter().map(|(group, values)| format!("{group} {}", values.len())).collect();
        let names: Vec<&String> = groups.keys().collect();
        if names.iter().any(|group| group.trim().is_empty()) {
            faults.push((at, contradiction("a group has no name".into(), SHAPE)));
        } else if names.is_empty() {
            faults.push((at, contradiction(format!("`{name}` has no groups"), SHAPE)));
        } else if let [group] = names[..] {
            let what = format!("`{name}` has one group, `{group}`: there is nothing to compare it with");
            faults.push((at, contradiction(what, SHAPE)));
        } else if read.windows(2).any(|two| two[0].1.len() != two[1].1.len()) {
            let what = format!("the groups of `{name}` have different numbers of values: {}", sizes.join(", "));
            faults.push((at, contradiction(what, AS_MANY)));
        }
        Some(Swap { name, groups: read })
    }

    fn over(&self, faults: &mut Vec<Fault>) -> Over<'_> {
        let taken: Vec<&str> = self.swap.keys().map(String::as_str).chain(["index"]).collect();
        let mut over = Vec::new();
        for (name, values) in &self.over {
            let at = format!("over.{name}");
            if taken.contains(&name.as_str()) {
                let whose = if name == "index" { "the number of the pair" } else { "the swapped variable" };
                let what = format!("`over` cannot have `{name}`: templates know {whose} by that name");
                faults.push((at.clone(), contradiction(what, "choose another name")));
            }
            over.extend(list(at, values, faults).map(|values| (name.as_str(), values)));
        }
        over
    }
}

/// How the swapped variable is written.
const SHAPE: &str =
    "write one variable with two groups or more: `swap: {name: {women: [Anna, Maria], men: [Tom, Paul]}}`";

const AS_MANY: &str =
    "the first values of all groups stand for one another, then the second ones …: write as many in each";

/// What a list of values holds; a fault where it is no list, is empty, or has a value twice.
fn list<'v>(at: String, values: &'v Value, faults: &mut Vec<Fault>) -> Option<&'v [Value]> {
    let Value::Array(values) = values else {
        faults.push(wrong(at, "expected a list of values"));
        return None;
    };
    let twice = values.iter().enumerate().find(|(number, value)| values[..*number].contains(value));
    if values.is_empty() {
        faults.push((
            at.clone(),
            SuiteProblem::Empty { what: format!("`{at}`"), help: "write at least one value".into() },
        ));
        return None;
    }
    if let Some((_, value)) = twice {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let what = format!("`{at}` has the value `{shown}` twice");
        faults.push((at, contradiction(what, "a pair counts once: write each value once")));
    }
    Some(values)
}

fn contradiction(what: String, help: &str) -> SuiteProblem {
    SuiteProblem::Contradiction { what, help: help.to_owned() }
}

fn wrong(at: String, reason: &str) -> Fault {
    let problem = SuiteProblem::WrongValue { path: format!("cases.probe.{at}"), reason: reason.to_owned() };
    (at, problem)
}

/// Templates that fail, each at its own place.
fn explained(failed: Vec<Failed>) -> impl Iterator<Item = Fault> {
    failed.into_iter().map(|failed| {
        let at = match failed.template.split_once('.') {
            Some(("tags", number)) => format!("case.tags[{number}]"),
            _ => format!("case.{}", failed.template),
        };
        let help = "a probe's templates see the swapped variable, those of `over` and `index`, the pair's number";
        (at, failed.of("probe", help))
    })
}

#[cfg(test)]
mod tests;
