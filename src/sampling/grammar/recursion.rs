//! What llama.cpp does before it reads a character: it follows every leftmost reference, with a stack for each way
//! there. A rule that comes back to itself on such a way is left-recursive; ways that multiply take exponential time.

use super::Found;
use super::parse::{Element, Parsed, Rule};
use super::reach::satisfied;

/// Most ways into a grammar's rules, and so stacks, before the first character.
const MAX_WAYS: u64 = 100_000;
/// Longest way: llama.cpp takes a frame of its own stack for each step.
const MAX_STEPS: u64 = 4_000;

/// A reference that is reached before any character.
#[derive(Debug, Clone, Copy)]
struct Edge {
    to: usize,
    /// Whether coming back along it would go wrong.
    harmful: bool,
}

/// Left recursion, and ways beyond the limits.
pub(super) fn problems(parsed: &Parsed) -> Vec<Found> {
    let edges = edges(&parsed.rules);
    let mut found = Vec::new();
    let mut ways = vec![0_u64; edges.len()];
    let mut steps = vec![0_u64; edges.len()];
    let mut member = vec![usize::MAX; edges.len()];
    // Each component comes after those that it leads to.
    for (number, component) in components(&edges).iter().enumerate() {
        for rule in component {
            member[*rule] = number;
        }
        let all = || component.iter().flat_map(|rule| &edges[*rule]);
        if all().any(|edge| member[edge.to] == number && edge.harmful) {
            found.push(left_recursion(parsed, component));
        }
        let outside = || all().filter(|edge| member[edge.to] != number);
        let size = component.len() as u64;
        let sum = outside().fold(size, |sum, edge| sum.saturating_add(ways[edge.to]));
        let most = outside().map(|edge| steps[edge.to]).max().unwrap_or(0) + size;
        if found.is_empty() && (sum > MAX_WAYS || most > MAX_STEPS) {
            let symbol = &parsed.symbols[component[0]];
            let message = format!("rule `{}` begins in too many ways, or too deep, for llama.cpp", symbol.name);
            let help = "begin the alternatives with different characters, and name what they share once";
            found.push(Found::at(symbol.defined.unwrap_or(0), message, help));
        }
        for rule in component {
            (ways[*rule], steps[*rule]) = (sum, most);
        }
    }
    found
}

/// The references of each rule that are reached before any character.
///
/// llama.cpp takes a rule for one that may be empty only if an alternative of it is, not if all its references may be.
/// What it sees, it refuses. What it does not see is harmless where nothing follows the reference (`ws*` with
/// `ws ::= [ ]*`: it comes back with the same stack, and notices); else its stack grows until the memory is full.
fn edges(rules: &[Rule]) -> Vec<Vec<Edge>> {
    let may_be_empty = satisfied(rules, false);
    let seen_to_be_empty: Vec<bool> = rules.iter().map(|rule| rule.iter().any(Vec::is_empty)).collect();
    let mut edges = Vec::with_capacity(rules.len());
    for rule in rules {
        let mut found = Vec::new();
        for alternative in rule {
            let mut seen = true;
            for (index, to) in alternative.iter().map_while(Element::rule).enumerate() {
                found.push(Edge { to, harmful: seen || index + 1 < alternative.len() });
                if !may_be_empty[to] {
                    break;
                }
                seen = seen && seen_to_be_empty[to];
            }
        }
        edges.push(found);
    }
    edges
}

/// The strongly connected components (Tarjan 1972, without recursion), each after those that it leads to.
fn components(edges: &[Vec<Edge>]) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let (mut index, mut low) = (vec![NEW; edges.len()], vec![NEW; edges.len()]);
    let mut open = vec![false; edges.len()];
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0);
    for root in 0..edges.len() {
        if index[root] != NEW {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some((rule, edge)) = path.pop() {
            if edge == 0 {
                (index[rule], low[rule], open[rule]) = (next, next, true);
                next += 1;
                stack.push(rule);
            } else {
                // Back from the edge before.
                low[rule] = low[rule].min(low[edges[rule][edge - 1].to]);
            }
            let mut at = edge;
            while let Some(Edge { to, .. }) = edges[rule].get(at) {
                at += 1;
                if index[*to] == NEW {
                    path.extend([(rule, at), (*to, 0)]);
                    break;
                }
                if open[*to] {
                    low[rule] = low[rule].min(index[*to]);
                }
            }
            let descends = path.last().is_some_and(|(_, edge)| *edge == 0);
            if !descends && low[rule] == index[rule] {
                let start = stack.iter().rposition(|member| *member == rule).unwrap_or(0);
                let component = stack.split_off(start);
                for member in &component {
                    open[*member] = false;
                }
                found.push(component);
            }
        }
    }
    found
}

/// A component that comes back to itself, at its first rule, or else at the repetition that does.
fn left_recursion(parsed: &Parsed, component: &[usize]) -> Found {
    let symbols = || component.iter().map(|rule| &parsed.symbols[*rule]);
    let named = symbols().filter(|symbol| symbol.own).min_by_key(|symbol| symbol.defined);
    let at = |symbol: &super::parse::Symbol| symbol.defined.unwrap_or(0);
    match (named, symbols().min_by_key(|symbol| symbol.defined)) {
        (Some(rule), _) => {
            let message = format!("rule `{0}` is left-recursive: `{0}` comes back before any character", rule.name);
            Found::at(at(rule), message, "write it as a repetition: `sum ::= number (\"+\" number)*`")
        }
        (None, helper) => {
            let message = "what is repeated here may be empty, so the repetition is left-recursive";
            Found::at(helper.map_or(0, at), message, "let the repeated part take at least one character")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_come_after_those_they_lead_to() {
        let to = |ids: &[usize]| ids.iter().map(|to| Edge { to: *to, harmful: false }).collect::<Vec<_>>();
        let edges = [to(&[1, 4]), to(&[2]), to(&[1, 3]), to(&[]), to(&[4, 0]), to(&[0])];
        let mut found = components(&edges);
        for component in &mut found {
            component.sort_unstable();
        }
        assert_eq!(found, [vec![3], vec![1, 2], vec![0, 4], vec![5]]);
    }
}
