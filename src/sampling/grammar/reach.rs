//! Which rules end, which may be empty, and whether a grammar says anything.

use super::parse::{Element, Rule};

/// Which rules have an alternative made of nothing but rules that have one themselves, and of terminals if `terminals`
/// count: with them, the rules that can end; without, those that may be the empty text.
///
/// Each reference is looked at once: when a rule is satisfied, the alternatives that wait for it wait for one less.
pub(super) fn satisfied(rules: &[Rule], terminals: bool) -> Vec<bool> {
    let mut done = vec![false; rules.len()];
    let mut ready = Vec::new();
    // For each alternative: its rule, and how many references are not satisfied yet.
    let mut waiting: Vec<(usize, usize)> = Vec::new();
    let mut waited_for: Vec<Vec<usize>> = vec![Vec::new(); rules.len()];
    for (rule, alternative) in rules.iter().enumerate().flat_map(|(id, rule)| rule.iter().map(move |a| (id, a))) {
        if !terminals && alternative.iter().any(|element| matches!(element, Element::Terminal(_))) {
            continue;
        }
        let references = alternative.iter().filter_map(Element::rule);
        let mut count = 0;
        for reference in references {
            waited_for[reference].push(waiting.len());
            count += 1;
        }
        if count == 0 && !std::mem::replace(&mut done[rule], true) {
            ready.push(rule);
        }
        waiting.push((rule, count));
    }
    while let Some(rule) = ready.pop() {
        for alternative in std::mem::take(&mut waited_for[rule]) {
            let (of, left) = &mut waiting[alternative];
            *left -= 1;
            if *left == 0 && !std::mem::replace(&mut done[*of], true) {
                ready.push(*of);
            }
        }
    }
    done
}

/// Whether any character or token can be reached from a rule, every rule being one that can end.
pub(super) fn admits_more_than_nothing(rules: &[Rule], root: usize) -> bool {
    let mut seen = vec![false; rules.len()];
    let mut todo = vec![root];
    while let Some(rule) = todo.pop() {
        if std::mem::replace(&mut seen[rule], true) {
            continue;
        }
        for element in rules[rule].iter().flatten() {
            match element {
                Element::Terminal(_) => return true,
                Element::Rule(id) => todo.push(*id),
            }
        }
    }
    false
}
