//! Which trials a run asks: a pure function of the suite and the flags.

use super::error::RunError;
use crate::error::{Place, Problems};
use crate::seed;
use crate::suite::{Case, Suite};
use rand::seq::SliceRandom;
use std::collections::{BTreeSet, HashSet};

/// What the flags pick. Everything is picked where nothing is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Names of variants.
    pub variants: Vec<String>,
    /// Ids of cases.
    pub cases: Vec<String>,
    /// A case with any of these tags.
    pub tags: Vec<String>,
    /// Only these ids: the cases that failed in an earlier run.
    pub failing: Option<HashSet<String>>,
    /// The first N of what is left.
    pub limit: Option<usize>,
    /// N of what is left, drawn by the seed, in their order.
    pub sample: Option<usize>,
}

/// One planned trial, by index into the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Index of the variant.
    pub variant: usize,
    /// Index of the case.
    pub case: usize,
    /// Which repeat, from 0.
    pub repeat: u32,
}

/// The trials of a run in order: variant by variant, each with its cases in the suite's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Indices of the variants picked.
    pub variants: Vec<usize>,
    /// Indices of the cases picked.
    pub cases: Vec<usize>,
    /// How often each of those variants asks a case.
    pub repeats: Vec<u32>,
}

impl Plan {
    /// The trials of one variant: each case with its repeats, in order.
    pub fn cells_of(&self, variant: usize) -> impl Iterator<Item = Cell> {
        let repeats = self.repeats_of(variant);
        let cells = move |case| (0..repeats).map(move |repeat| Cell { variant, case, repeat });
        self.cases.iter().flat_map(move |&case| cells(case))
    }

    /// How often a variant asks a case; 0 for one that was not picked.
    #[must_use]
    pub fn repeats_of(&self, variant: usize) -> u32 {
        let place = self.variants.iter().position(|&picked| picked == variant);
        place.and_then(|place| self.repeats.get(place)).copied().unwrap_or(0)
    }

    /// Whether a variant asks a case more than once.
    #[must_use]
    pub fn has_repeats(&self) -> bool {
        self.repeats.iter().any(|&repeats| repeats > 1)
    }

    /// The same with its cases in an order drawn by the seed.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        self.cases.shuffle(&mut seed::rng(seed::key(seed, &["order of the cases"])));
        self
    }

    /// How many trials there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let each: usize = self.repeats.iter().map(|&repeats| repeats as usize).sum();
        each * self.cases.len()
    }

    /// Whether there is nothing to ask; [`Selection::plan`] never makes such a plan.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Selection {
    /// The plan, or every name that the suite does not have.
    pub fn plan(&self, suite: &Suite, seed: u64) -> Result<Plan, Problems> {
        let mut problems = Problems::new();
        let place = Place::file(&suite.path);
        let variants: Vec<String> = suite.variants.iter().map(|v| v.name.clone()).collect();
        let ids: Vec<String> = suite.cases.iter().map(|c| c.id.clone()).collect();
        let tags: Vec<String> =
            suite.cases.iter().flat_map(|c| c.tags.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect();
        for (flag, wanted, known) in
            [("variant", &self.variants, &variants), ("case", &self.cases, &ids), ("tag", &self.tags, &tags)]
        {
            let all: HashSet<&String> = known.iter().collect();
            problems.extend(wanted.iter().filter(|name| !all.contains(name)).map(|name| RunError::NoSuch {
                flag,
                what: flag,
                name: name.clone(),
                known: known.clone(),
                place: place.clone(),
            }));
        }
        let picked: Vec<usize> =
            (0..variants.len()).filter(|&i| self.variants.is_empty() || self.variants.contains(&variants[i])).collect();
        let repeats = picked.iter().filter_map(|&i| suite.variants.get(i)).map(|variant| variant.repeats).collect();
        let plan = Plan { variants: picked, cases: self.pick_cases(suite, seed), repeats };
        if plan.is_empty() && !problems.any_error() {
            let help = match &self.failing {
                Some(failing) if failing.is_empty() => "nothing failed in that run: leave --filter-failing out".into(),
                Some(_) => "the cases that failed there are not among those picked here".into(),
                None => "look at --case, --tag, --limit and --sample".into(),
            };
            problems.push(RunError::NothingLeft { place, help });
        }
        problems.or_ok(plan)
    }

    fn pick_cases(&self, suite: &Suite, seed: u64) -> Vec<usize> {
        let ids: HashSet<&String> = self.cases.iter().collect();
        let wanted = |case: &Case| {
            (ids.is_empty() || ids.contains(&case.id))
                && (self.tags.is_empty() || case.tags.iter().any(|tag| self.tags.contains(tag)))
                && self.failing.as_ref().is_none_or(|failing| failing.contains(&case.id))
        };
        let mut picked: Vec<usize> =
            suite.cases.iter().enumerate().filter(|(_, case)| wanted(case)).map(|(i, _)| i).collect();
        picked.truncate(self.limit.unwrap_or(usize::MAX));
        if let Some(count) = self.sample {
            picked.shuffle(&mut seed::rng(seed::key(seed, &["sample"])));
            picked.truncate(count);
            picked.sort_unstable();
        }
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{Overrides, load_text};

    fn suite() -> (tempfile::TempDir, Suite) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("p.txt"), "{{ q }}").unwrap();
        std::fs::write(dir.path().join("m.yaml"), "otherwise: x").unwrap();
        let cases: String =
            (0..10).map(|i| format!("  - {{vars: {{q: '{i}'}}, target: x, tags: [t{}]}}\n", i % 2)).collect();
        let text = format!(
            "suite: s\nmodel: {{scripted: m.yaml}}\ncases:\n{cases}scorers: [exact]\nvariants:\n  - {{name: a, prompt: p.txt}}\n  - {{name: b, prompt: p.txt}}\n"
        );
        let (suite, problems) = load_text(&dir.path().join("s.yaml"), &text, &Overrides::default());
        assert!(problems.is_empty(), "{problems}");
        (dir, suite.unwrap())
    }

    fn ids(selection: &Selection) -> Vec<usize> {
        selection.plan(&suite().1, 3).unwrap().cases
    }

    #[test]
    fn everything_is_picked_where_nothing_is_named_variant_by_variant() {
        let plan = Selection::default().plan(&suite().1, 0).unwrap();
        assert_eq!(plan.len(), 20);
        let cells: Vec<_> = plan.cells_of(1).map(|c| (c.variant, c.case, c.repeat)).collect();
        assert_eq!((cells[0], cells[9]), ((1, 0, 0), (1, 9, 0)));
    }

    #[test]
    fn flags_narrow_each_other() {
        let tagged = Selection { tags: vec!["t1".into()], limit: Some(2), ..Selection::default() };
        assert_eq!(ids(&tagged), [1, 3]);
        let failing = Selection { failing: Some(["2".to_owned(), "3".to_owned()].into()), ..Selection::default() };
        assert_eq!(ids(&failing), [1, 2]);
        let sample = Selection { sample: Some(4), ..Selection::default() };
        assert_eq!(ids(&sample).len(), 4);
        assert_eq!(ids(&sample), ids(&sample));
        assert!(ids(&sample).is_sorted());
    }

    #[test]
    fn unknown_names_are_reported_together_with_the_nearest() {
        let wrong = Selection { variants: vec!["aa".into()], cases: vec!["99".into()], ..Selection::default() };
        let problems = wrong.plan(&suite().1, 0).unwrap_err().to_string();
        assert!(problems.contains("--variant aa") && problems.contains("did you mean `a`?"), "{problems}");
        assert!(problems.contains("--case 99"), "{problems}");
        let none = Selection { failing: Some(HashSet::new()), ..Selection::default() };
        assert!(none.plan(&suite().1, 0).unwrap_err().to_string().contains("nothing failed in that run"));
    }
}
