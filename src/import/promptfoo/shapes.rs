//! Which tests share a suite: in Tripos every scorer judges every case, so a suite is made of tests that assert the same
//! kinds of thing, and what differs from case to case has to be the target or a variable.

use super::cases::Test;
use super::check::{Check, Given, Otherwise};
use crate::import::draft::unique;
use crate::import::listed::List;
use crate::suite::Case;
use serde_yaml::{Mapping, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Suites that one shape may become because a setting differs; beyond, the setting is listed instead.
const MOST_SUITES: usize = 12;

/// A test with its scorers.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub case: Case,
    pub checks: Vec<Check>,
    pub test: Test,
}

/// Tests that make one suite.
#[derive(Debug)]
pub(super) struct Shape {
    pub cases: Vec<Case>,
    pub scorers: Vec<Scorer>,
}

/// A scorer of such a suite.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scorer {
    pub kind: &'static str,
    pub settings: Mapping,
    /// The prompt of a judge: its file's stem and its text.
    pub prompt: Option<(String, String)>,
}

impl Scorer {
    /// What the table calls it.
    pub(super) fn name(&self) -> &str {
        self.settings.get("name").and_then(Value::as_str).unwrap_or(self.kind)
    }
}

/// The tests sorted into suites, in the order in which their shapes are met first.
pub(super) fn shapes(judged: Vec<Judged>, list: &mut List) -> Vec<Shape> {
    let mut order: Vec<String> = Vec::new();
    let mut groups: BTreeMap<String, Vec<Judged>> = BTreeMap::new();
    for mut one in judged {
        one.checks.sort_by_key(key);
        let shape: String = one.checks.iter().map(|check| key(check) + "\n").collect();
        if !order.contains(&shape) {
            order.push(shape.clone());
        }
        groups.entry(shape).or_default().push(one);
    }
    let groups = order.into_iter().filter_map(|shape| groups.remove(&shape));
    groups.flat_map(|group| divided(group, list)).collect()
}

/// What scorers of one suite share.
fn key(check: &Check) -> String {
    let given = match &check.given {
        Given::Nothing => "nothing".to_owned(),
        Given::Target(_, otherwise) => format!("{otherwise:?}"),
        Given::Setting(name, _) => (*name).to_owned(),
        Given::Shown(judging, _) => judging.name().to_owned(),
    };
    let settings = serde_yaml::to_string(&check.settings).unwrap_or_default();
    format!("{} {} {given} {settings}", check.kind, check.name)
}

/// The value of a check that would be a setting.
fn setting(given: &Given) -> Option<(&'static str, Value)> {
    match given {
        Given::Setting(name, value) => Some((name, value.clone())),
        Given::Target(text, Otherwise::Value) => Some(("value", text.as_str().into())),
        Given::Target(text, Otherwise::Regex) => {
            Some(("pattern", format!(r"\A{}\z", regex::escape(text.trim())).into()))
        }
        Given::Target(_, Otherwise::Never) | Given::Nothing | Given::Shown(..) => None,
    }
}

/// A group of one shape as suites: first the values that can be targets, then the settings, which tell suites apart.
fn divided(mut group: Vec<Judged>, list: &mut List) -> Vec<Shape> {
    let count = group.first().map_or(0, |one| one.checks.len());
    let target = target_of(&group, count);
    let is_target = |group: &[Judged], at: usize| {
        let same = |one: &Judged, other: usize| text(one, at).is_some() && text(one, at) == text(one, other);
        target.is_some_and(|target| target == at || group.iter().all(|one| same(one, target)))
    };
    let targets: BTreeSet<usize> = (0..count).filter(|at| is_target(&group, *at)).collect();
    // Values that can be neither: a similarity to a second text.
    for at in (0..count).rev().filter(|at| !targets.contains(at)) {
        let never = group.iter().any(|one| matches!(one.checks[at].given, Given::Target(_, Otherwise::Never)));
        if never || (distinct(&group, &targets, Some(at)) > MOST_SUITES) {
            let why = if never {
                "a case has one target, and another assertion of the test has it"
            } else {
                "its value differs from case to case, and a scorer has one for the whole suite"
            };
            for one in &mut group {
                let check = one.checks.remove(at);
                list.left_out(format!("assertion `{}`", check.name.replace('_', "-")), why, &one.test.place);
            }
            // What is left may have another target.
            return divided(group, list);
        }
    }
    let mut order: Vec<String> = Vec::new();
    let mut suites: BTreeMap<String, Vec<Judged>> = BTreeMap::new();
    for one in group {
        let settings = signature(&one, &targets, None);
        if !order.contains(&settings) {
            order.push(settings.clone());
        }
        suites.entry(settings).or_default().push(one);
    }
    order.into_iter().filter_map(|settings| suites.remove(&settings)).map(|group| shape(group, &targets)).collect()
}

/// The position whose value is the target: one that can be nothing else, else the one that differs most.
fn target_of(group: &[Judged], count: usize) -> Option<usize> {
    let worth = |at: usize| {
        let Some(Given::Target(_, otherwise)) = group.first().map(|one| &one.checks[at].given) else { return None };
        let values: BTreeSet<&str> = group.iter().filter_map(|one| text(one, at)).collect();
        let rank = match otherwise {
            Otherwise::Never => 2,
            Otherwise::Regex => 1,
            Otherwise::Value => 0,
        };
        // A text that every case shares is better said once, in the scorer.
        (rank > 0 || values.len() > 1).then_some((rank == 2, values.len(), rank, usize::MAX - at))
    };
    (0..count).filter_map(|at| Some((worth(at)?, at))).max().map(|(_, at)| at)
}

fn text(one: &Judged, at: usize) -> Option<&str> {
    match &one.checks.get(at)?.given {
        Given::Target(text, _) => Some(text),
        _ => None,
    }
}

/// The settings of a test, as text; of one position where it is given.
fn signature(one: &Judged, targets: &BTreeSet<usize>, only: Option<usize>) -> String {
    let checks = one.checks.iter().enumerate().filter(|(at, _)| only.is_none_or(|only| only == *at));
    let settings = checks.filter(|(at, _)| !targets.contains(at)).filter_map(|(_, check)| setting(&check.given));
    settings.map(|(_, value)| serde_yaml::to_string(&value).unwrap_or_default() + "\n").collect()
}

fn distinct(group: &[Judged], targets: &BTreeSet<usize>, only: Option<usize>) -> usize {
    group.iter().map(|one| signature(one, targets, only)).collect::<BTreeSet<_>>().len()
}

/// One suite: its scorers from the first test, its targets and variables from each.
fn shape(group: Vec<Judged>, targets: &BTreeSet<usize>) -> Shape {
    let mut scorers = Vec::new();
    let mut taken = vec!["score".to_owned()];
    let checks = group.first().map(|one| one.checks.clone()).unwrap_or_default();
    let several = checks.len() > 1;
    let mut shown: Vec<(usize, String)> = Vec::new();
    for (at, check) in checks.into_iter().enumerate() {
        let (mut kind, mut settings) = (check.kind, Mapping::new());
        let name = unique(&check.name, &mut taken);
        settings.insert("name".into(), name.into());
        settings.extend(check.settings.clone());
        if let Some((name, value)) = setting(&check.given).filter(|_| !targets.contains(&at)) {
            if kind == "exact" {
                // An equality that is not to the target.
                kind = "regex";
                settings.retain(|key, _| key != "case_sensitive" && key != "keep_punctuation");
            }
            settings.insert(name.into(), value);
        }
        if several {
            settings.insert("group".into(), "score".into());
        } else {
            // A weight counts among several.
            settings.remove("weight");
        }
        let prompt = match &check.given {
            Given::Shown(judging, _) => {
                let number = shown.iter().filter(|(_, name)| name.starts_with(judging.name())).count();
                let variable =
                    if number == 0 { judging.name().to_owned() } else { format!("{}_{}", judging.name(), number + 1) };
                shown.push((at, variable.clone()));
                Some((variable.clone(), judging.prompt(&variable)))
            }
            _ => None,
        };
        scorers.push(Scorer { kind, settings, prompt });
    }
    if scorers.is_empty() {
        scorers.push(Scorer { kind: "stopped", settings: Mapping::new(), prompt: None });
    }
    let case = |one: Judged| {
        let mut case = one.case;
        case.target = targets.iter().next().and_then(|at| match &one.checks.get(*at)?.given {
            Given::Target(text, _) => Some(text.clone()),
            _ => None,
        });
        for (at, variable) in &shown {
            if let Some(Given::Shown(_, text)) = one.checks.get(*at).map(|check| &check.given) {
                case.vars.insert(variable.clone(), text.as_str().into());
            }
        }
        case
    };
    Shape { scorers, cases: group.into_iter().map(case).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;
    use crate::import::promptfoo::assertion::Assertion;
    use crate::import::promptfoo::check::checks;

    /// The suites of tests that are written as CSV cells, one line each; and what is listed.
    fn of(tests: &[&[&str]]) -> String {
        let mut list = List::default();
        let place = Place::new("t.csv", 2, 1);
        let judged = tests.iter().enumerate().map(|(at, cells)| {
            let case = Case::new(&(at + 1).to_string(), [("q", "?")], None);
            let of_cell = |cell: &&str| checks(&Assertion::from_cell(cell, &place), &case.vars, &mut List::default());
            let checks = cells.iter().flat_map(of_cell).collect();
            Judged { case: case.clone(), checks, test: Test { place: place.clone(), ..Test::default() } }
        });
        let shapes = shapes(judged.collect(), &mut list);
        let mut said = String::new();
        for shape in shapes {
            let cases: Vec<String> = shape
                .cases
                .iter()
                .map(|case| format!("{}={}", case.id, case.target.as_deref().unwrap_or("-")))
                .collect();
            said += &format!("{}\n", cases.join(" "));
            for scorer in &shape.scorers {
                said += &format!("    {} {}\n", scorer.kind, serde_json::to_string(&scorer.settings).unwrap());
            }
        }
        list.into_vec().iter().for_each(|one| said += &format!("{one}\n"));
        said
    }

    #[test]
    fn tests_that_assert_the_same_kinds_share_a_suite_and_what_differs_is_the_target() {
        insta::assert_snapshot!(of(&[&["contains:Bonjour", "is-json"], &["is-json", "contains:Hola"], &["icontains:x"], &[]]), @r#"
        1=Bonjour 2=Hola
            contains {"name":"contains","case_sensitive":true,"group":"score"}
            json {"name":"is_json","group":"score"}
        3=-
            contains {"name":"icontains","value":"x"}
        4=-
            stopped {}
        "#);
    }

    #[test]
    fn a_second_text_that_differs_makes_suites_of_its_own() {
        insta::assert_snapshot!(of(&[&["contains:a", "icontains:x"], &["contains:b", "icontains:x"], &["contains:c", "icontains:y"]]), @r#"
        1=a 2=b
            contains {"name":"contains","case_sensitive":true,"group":"score"}
            contains {"name":"icontains","value":"x","group":"score"}
        3=c
            contains {"name":"contains","case_sensitive":true,"group":"score"}
            contains {"name":"icontains","value":"y","group":"score"}
        "#);
        insta::assert_snapshot!(of(&[&["levenshtein:a", "equals:b"], &["levenshtein:b", "equals:b"]]), @r#"
        1=a 2=b
            edit_distance {"name":"levenshtein","group":"score"}
            regex {"name":"equals","pattern":"\\Ab\\z","group":"score"}
        "#);
    }

    #[test]
    fn what_would_make_a_suite_of_each_case_is_listed() {
        let patterns: Vec<String> = (0..20).map(|at| format!("regex:x{at}")).collect();
        let tests: Vec<[&str; 2]> = patterns.iter().map(|pattern| [pattern.as_str(), "contains:x"]).collect();
        let tests: Vec<&[&str]> = tests.iter().map(<[&str; 2]>::as_slice).collect();
        let said = of(&tests);
        assert!(said.ends_with("assertion `regex` is left out: its value differs from case to case, and a scorer has one for the whole suite (20 times; the first is here)\n"), "{said}");
        assert_eq!(said.matches("contains").count(), 2, "{said}");
    }
}
