//! Which examples a case is shown.

use crate::seed;
use crate::suite::{Case, ExampleChoice, Select};
use rand::seq::SliceRandom;
use std::collections::{BTreeMap, VecDeque};

/// Knows which examples are most like a case. Room 2 knows no model: whoever does brings one.
pub trait Nearest: std::fmt::Debug + Sync {
    /// Indices into the pool, the most similar first, without those whose variables equal the case's.
    fn nearest(&self, case: &Case) -> &[usize];
}

/// A variant's few-shot order: the whole pool in the order in which examples are taken. It depends on the pool and the
/// seeds, never on the cases, so the prompts of a variant share one few-shot block as far as possible.
///
/// [`Nearest`] takes those most like the case instead, the most similar last, next to the question (KATE, Liu et al. 2021,
/// arXiv 2101.06804).
///
/// `first` takes the pool's order. `random` shuffles it (Fisher-Yates on ChaCha8). `balanced` shuffles it, then takes one
/// of each target in turn, targets in sorted order, until none is left; examples without a target count as one more.
/// `similar` depends on the case, so it only keeps the pool's order.
///
/// ```
/// use tripos::prompt::ExampleOrder;
/// use tripos::suite::{Case, ExampleChoice, Select};
/// let pool = [Case::new("0", [("q", "1+1")], Some("2")), Case::new("1", [("q", "2+2")], Some("4"))];
/// let order = ExampleOrder::new(&ExampleChoice { count: 1, select: Select::First, seed: 0 }, &pool, 0);
/// assert_eq!(order.pick(&Case::new("c", [("q", "5+5")], None)), [0]);
/// // A case is never among its own examples: the next takes its place.
/// assert_eq!(order.pick(&Case::new("c", [("q", "1+1")], None)), [1]);
/// ```
#[derive(Debug, Clone)]
pub struct ExampleOrder<'a> {
    pool: &'a [Case],
    order: Vec<usize>,
    count: usize,
    nearest: Option<&'a dyn Nearest>,
}

impl<'a> ExampleOrder<'a> {
    /// Orders the pool. `seed` is the run's `--seed`; the suite's own seed is in `choice`.
    #[must_use]
    pub fn new(choice: &ExampleChoice, pool: &'a [Case], seed: u64) -> Self {
        let mut order: Vec<usize> = (0..pool.len()).collect();
        if matches!(choice.select, Select::Random | Select::Balanced) {
            let key = seed::key(seed, &["examples", &choice.seed.to_string()]);
            order.shuffle(&mut seed::rng(key));
        }
        if choice.select == Select::Balanced {
            order = in_turn(pool, &order);
        }
        Self { pool, order, count: choice.count, nearest: None }
    }

    /// The same pool, with the examples most like each case.
    #[must_use]
    pub fn by_nearness(choice: &ExampleChoice, pool: &'a [Case], nearest: &'a dyn Nearest) -> Self {
        Self { pool, order: Vec::new(), count: choice.count, nearest: Some(nearest) }
    }

    /// The indices into the pool of the examples that a case is shown: the first `count` of the order, without those
    /// whose variables equal the case's. Fewer where the pool has no more.
    #[must_use]
    pub fn pick(&self, case: &Case) -> Vec<usize> {
        if let Some(nearest) = self.nearest {
            return nearest.nearest(case).iter().copied().take(self.count).rev().collect();
        }
        let differs = |index: &usize| self.pool.get(*index).is_some_and(|example| example.vars != case.vars);
        self.order.iter().copied().filter(differs).take(self.count).collect()
    }

    /// What a case that is not in the pool is shown; nothing where that depends on the case.
    #[must_use]
    pub fn usual(&self) -> &[usize] {
        self.order.get(..self.count).unwrap_or(&self.order)
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &'a [Case] {
        self.pool
    }
}

/// One of each target in turn, keeping the given order within a target.
fn in_turn(pool: &[Case], order: &[usize]) -> Vec<usize> {
    let mut by_target: BTreeMap<Option<&str>, VecDeque<usize>> = BTreeMap::new();
    for index in order {
        let target = pool.get(*index).and_then(|example| example.target.as_deref());
        by_target.entry(target).or_default().push_back(*index);
    }
    let mut turns = Vec::with_capacity(order.len());
    while turns.len() < order.len() {
        turns.extend(by_target.values_mut().filter_map(VecDeque::pop_front));
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(targets: &[&str]) -> Vec<Case> {
        targets.iter().enumerate().map(|(i, t)| Case::new(&i.to_string(), [("n", i)], Some(t))).collect()
    }

    fn order(select: Select, count: usize, pool: &[Case], seeds: (u64, u64)) -> ExampleOrder<'_> {
        ExampleOrder::new(&ExampleChoice { count, select, seed: seeds.0 }, pool, seeds.1)
    }

    fn stranger() -> Case {
        Case::new("x", [("n", 99)], None)
    }

    #[test]
    fn balanced_takes_one_of_each_target_in_turn() {
        let pool = pool(&["no", "no", "no", "no", "no", "yes", "yes", "maybe"]);
        let picked = order(Select::Balanced, 8, &pool, (1, 0)).pick(&stranger());
        let targets: Vec<_> = picked.iter().filter_map(|i| pool[*i].target.as_deref()).collect();
        assert_eq!(targets, ["maybe", "no", "yes", "no", "yes", "no", "no", "no"]);
    }

    #[test]
    fn a_case_is_never_among_its_own_examples() {
        let mut pool = pool(&["a", "b", "c", "d"]);
        pool.push(Case::new("twin of 2", [("n", 2)], Some("c")));
        for select in [Select::First, Select::Random, Select::Balanced] {
            let order = order(select, 3, &pool, (7, 7));
            for case in &pool {
                let picked = order.pick(case);
                assert_eq!(picked.len(), 3);
                assert!(picked.iter().all(|i| pool[*i].vars != case.vars));
            }
        }
    }

    #[test]
    fn a_case_of_the_pool_makes_do_with_fewer() {
        let pool = pool(&["a", "b"]);
        let order = order(Select::First, 2, &pool, (0, 0));
        assert_eq!(order.pick(&pool[0]), [1]);
        assert_eq!(order.usual(), order.pick(&stranger()));
    }

    #[test]
    fn the_most_similar_example_stands_next_to_the_question() {
        #[derive(Debug)]
        struct Known(Vec<usize>);
        impl Nearest for Known {
            fn nearest(&self, _case: &Case) -> &[usize] {
                &self.0
            }
        }
        let (pool, known) = (pool(&["a", "b", "c"]), Known(vec![2, 0, 1]));
        let choice = ExampleChoice { count: 2, select: Select::First, seed: 0 };
        let order = ExampleOrder::by_nearness(&choice, &pool, &known);
        assert_eq!((order.pick(&stranger()), order.usual()), (vec![0, 2], &[][..]));
    }

    /// Pinned by hand: a new version of `rand` that shuffles otherwise would change every few-shot prompt.
    #[test]
    fn the_random_order_is_the_same_everywhere_and_moves_with_both_seeds() {
        let pool = pool(&["t"; 8]);
        let pick = |seeds| order(Select::Random, 8, &pool, seeds).pick(&stranger());
        assert_eq!(pick((1, 0)), [0, 7, 6, 3, 4, 1, 5, 2]);
        assert_ne!(pick((1, 0)), pick((2, 0)));
        assert_ne!(pick((1, 0)), pick((1, 1)));
    }
}
