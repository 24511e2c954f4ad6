//! The pairs of a probe, made and held against each other.

use super::{Counterpart, Fault, Over, Swap, Unit, contradiction, explained};
use crate::suite::case::Case;
use crate::suite::generate::{Failed, Templates};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Most cases of one probe.
const MOST_CASES: usize = 1_000_000;

/// Everything that the cases are made of.
pub(super) struct Pairs<'a> {
    pub swap: &'a Swap<'a>,
    pub over: &'a Over<'a>,
    pub unit: Unit,
    /// Gives the id of a pair.
    pub names: Templates<'a>,
    /// Gives one side of it.
    pub sides: Templates<'a>,
}

impl Pairs<'_> {
    /// The cases, unless something makes their comparison worthless.
    pub(super) fn cases(&self) -> Result<Vec<Case>, Vec<Fault>> {
        self.few_enough()?;
        let cases = self.all()?;
        let swap = self.swap;
        let same = same_sides(swap, &cases).or_else(|| same_pairs(swap, &cases));
        let faults = [same, tags_of_groups(swap, &cases)];
        let faults: Vec<Fault> = faults.into_iter().flatten().collect();
        if faults.is_empty() { Ok(cases) } else { Err(faults) }
    }

    fn few_enough(&self) -> Result<(), Vec<Fault>> {
        let sides = self.swap.values().saturating_mul(self.swap.groups.len());
        let cases = self.over.iter().fold(sides, |all, (_, values)| all.saturating_mul(values.len()));
        if cases <= MOST_CASES {
            return Ok(());
        }
        let what = format!("the probe has more than {MOST_CASES} cases");
        Err(vec![("over".into(), contradiction(what, "leave some values out: every combination is asked"))])
    }

    /// Every pair in the order of the combinations, the last variable of `over` and then the swapped one the fastest. The
    /// first pair that cannot be made ends it.
    fn all(&self) -> Result<Vec<Case>, Vec<Fault>> {
        let combinations: usize = self.over.iter().map(|(_, values)| values.len()).product();
        let values = self.swap.values();
        let mut ids: HashSet<String> = HashSet::new();
        let mut cases = Vec::with_capacity(combinations * values * self.swap.groups.len());
        for number in 0..combinations * values {
            let bound = self.combination(number / values);
            let id = self.names.case(number, &bound).map_err(unnamed)?.id;
            let position = number % values;
            cases.extend(self.pair((number, position), &id, &bound)?);
            if let Some(id) = ids.replace(id) {
                let help = "put `{{ index }}`, the number of the pair, into it, or leave `id` out";
                return Err(vec![("case.id".into(), contradiction(format!("two pairs have the id `{id}`"), help))]);
            }
        }
        Ok(cases)
    }

    /// The values of `over` in one of its combinations.
    fn combination(&self, mut number: usize) -> Vec<(&str, Value)> {
        let mut bound: Vec<(&str, Value)> = Vec::with_capacity(self.over.len() + 1);
        for (name, values) in self.over.iter().rev() {
            bound.push((name, values[number % values.len()].clone()));
            number /= values.len();
        }
        bound
    }

    /// The sides of one pair.
    fn pair(
        &self,
        (number, position): (usize, usize),
        id: &str,
        bound: &[(&str, Value)],
    ) -> Result<Vec<Case>, Vec<Fault>> {
        let unit = if self.unit == Unit::Pair { id.to_owned() } else { position.to_string() };
        let side = |(group, values): &(&str, &[Value])| {
            let mut bound = bound.to_vec();
            bound.push((self.swap.name, values.get(position).cloned().unwrap_or_default()));
            let mut case = self.sides.case(number, &bound).map_err(|failed| explained(failed).collect::<Vec<_>>())?;
            case.id = format!("{id}/{group}");
            case.tags.push((*group).to_owned());
            let over = number / self.swap.values().max(1);
            case.probe =
                Some(Counterpart { pair: id.to_owned(), group: (*group).to_owned(), unit: unit.clone(), over });
            Ok(case)
        };
        self.swap.groups.iter().map(side).collect()
    }
}

/// The id of a pair cannot be that of one of its sides.
fn unnamed(failed: Vec<Failed>) -> Vec<Fault> {
    let help = "`id` names the pair: it sees `index` and the variables of `over`, not the swapped one".to_owned();
    explained(failed.into_iter().map(|failed| Failed { help: Some(help.clone()), ..failed }).collect()).collect()
}

/// Pairs whose sides do not differ: a model cannot tell them apart.
fn same_sides(swap: &Swap, cases: &[Case]) -> Option<Fault> {
    let pairs = cases.chunks(swap.groups.len());
    let same = |pair: &[Case]| {
        let twin = |(number, case): (usize, &Case)| {
            pair[..number].iter().position(|earlier| text(earlier) == text(case)).map(|earlier| (earlier, number))
        };
        pair.iter().enumerate().find_map(twin)
    };
    let found: Vec<(&[Case], (usize, usize))> = pairs.clone().filter_map(|pair| Some((pair, same(pair)?))).collect();
    let (pair, (one, other)) = *found.first()?;
    let at = "case".to_owned();
    if pairs.clone().all(|pair| pair.windows(2).all(|two| text(&two[0]) == text(&two[1]))) {
        let what = format!("no template uses `{}`: the sides of every pair are the same", swap.name);
        return Some((at, contradiction(what, &format!("write `{{{{ {} }}}}` where it belongs", swap.name))));
    }
    let others = match found.len() - 1 {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    let [one, other] = [one, other].map(|side| swap.groups[side].0);
    let pair = pair.first()?.probe.as_ref()?.pair.clone();
    let what = format!("pair `{pair}` is the same for `{one}` and `{other}`{others}");
    let help = "a difference of such a pair is 0 whatever the model does: swap what the templates show";
    Some((at, contradiction(what, help)))
}

/// Pairs that are there twice: each must count once.
fn same_pairs(swap: &Swap, cases: &[Case]) -> Option<Fault> {
    let mut seen: HashMap<(&str, String), &str> = HashMap::new();
    for case in cases {
        let probe = case.probe.as_ref()?;
        if let Some(earlier) = seen.insert((&probe.group, text(case)), &probe.pair) {
            let what = format!("pairs `{earlier}` and `{}` ask `{}` the same", probe.pair, probe.group);
            let help = format!(
                "a pair counts once: use every variable of `over` in a template{}",
                if swap.values() > 1 { ", and let each value show" } else { "" }
            );
            return Some(("case".to_owned(), contradiction(what, &help)));
        }
    }
    None
}

/// What a model sees of a case, or is held against.
fn text(case: &Case) -> String {
    serde_json::to_string(&(&case.vars, &case.target)).unwrap_or_default()
}

/// Tags that are a group's name, which every case of the group has already.
fn tags_of_groups(swap: &Swap, cases: &[Case]) -> Option<Fault> {
    let is_group = |tag: &&String| swap.groups.iter().any(|(group, _)| group == tag);
    // The last one is its group.
    let tag = cases.iter().find_map(|case| case.tags.iter().rev().skip(1).find(is_group))?;
    let what = format!("the tag `{tag}` is the name of a group");
    Some(("case.tags".into(), contradiction(what, "each case has its group as a tag already: leave it out")))
}
