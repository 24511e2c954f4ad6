//! Cases made by rule: `let` draws values, Tera templates turn them into a case.
//!
//! Bindings are distinct, so that no item is counted twice in an interval. The draws of a seed never depend on `count`
//! or `split`: a longer list begins with the shorter one.

use super::case::{Case, Vars, text_of};
use super::error::SuiteProblem;
use super::file::{Generate, Split};
use crate::seed;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

mod templates;

pub(super) use templates::{Failed, Templates};

/// Draws per case wanted before a generator gives up (a `held_out` split keeps a tenth of them).
const DRAWS_PER_CASE: usize = 1_000;
/// Draws per binding after which all were seen, but for a chance of e^-100.
const DRAWS_PER_BINDING: usize = 100;
/// Draws after which even a large space is given up, unless more than a twentieth as many cases are wanted.
const MOST_DRAWS: usize = 10_000_000;
/// Most cases of one generator.
const MOST_CASES: usize = 10_000_000;

/// How one variable is drawn.
enum Draw {
    /// A whole number, both ends included.
    Int(i64, i64),
    /// One of a list.
    Pick(Vec<Value>),
}

impl Generate {
    /// Makes the cases, ids `0…` unless the template says otherwise.
    pub fn cases(&self) -> Result<Vec<Case>, SuiteProblem> {
        generate(self)
    }
}

/// Makes the cases of a generator, ids `0…` unless its template says otherwise.
pub(super) fn generate(spec: &Generate) -> Result<Vec<Case>, SuiteProblem> {
    let draws = draws(spec)?;
    let counted = counted(spec, &draws)?;
    let templates = Templates::compile(&spec.case).map_err(broken)?;
    let bindings = draws.iter().fold(1_usize, |all, (_, draw)| all.saturating_mul(draw.size()));
    if spec.count.min(bindings) > MOST_CASES {
        let what = format!("`count` is {}", spec.count);
        return Err(SuiteProblem::Contradiction {
            what,
            help: format!("a generator makes at most {MOST_CASES} cases"),
        });
    }
    let mut rng = seed::rng(seed::key(spec.seed, &["generate"]));
    let mut seen = HashSet::new();
    let mut cases = Vec::with_capacity(spec.count.min(1 << 20));
    for _ in 0..most_draws(spec.count, bindings) {
        if cases.len() == spec.count {
            break;
        }
        let bindings: Vec<(&str, Value)> =
            draws.iter().map(|(name, draw)| (name.as_str(), draw.value(&mut rng))).collect();
        let texts: Vec<String> = bindings.iter().map(|(_, value)| as_text(value)).collect();
        if !kept(&spec.split, &counted, &bindings) || !seen.insert(texts) {
            continue;
        }
        cases.push(templates.case(cases.len(), &bindings).map_err(broken)?);
    }
    if cases.len() < spec.count {
        return Err(SuiteProblem::FewBindings { found: cases.len(), count: spec.count });
    }
    Ok(cases)
}

/// The first template that failed.
fn broken(failed: Vec<Failed>) -> SuiteProblem {
    let help = "a generator's templates see its `let` variables and `index`; `//` divides whole numbers";
    let unnamed = || Failed { template: "case".to_owned(), reason: String::new(), help: None };
    failed.into_iter().next().unwrap_or_else(unnamed).of("generator", help)
}

/// Draws after which a generator gives up.
fn most_draws(count: usize, bindings: usize) -> usize {
    let wanted = count.min(bindings);
    (wanted * DRAWS_PER_CASE + 10_000)
        .min(bindings.saturating_mul(DRAWS_PER_BINDING))
        .min(MOST_DRAWS.max(wanted.saturating_mul(20)))
}

impl Draw {
    /// How many values it can give.
    fn size(&self) -> usize {
        match self {
            Self::Int(low, high) => usize::try_from(high.abs_diff(*low)).map_or(usize::MAX, |n| n.saturating_add(1)),
            Self::Pick(list) => list.len(),
        }
    }

    fn value(&self, rng: &mut ChaCha8Rng) -> Value {
        match self {
            Self::Int(low, high) => Value::from(rng.random_range(*low..=*high)),
            Self::Pick(list) => list.get(rng.random_range(0..list.len())).cloned().unwrap_or_default(),
        }
    }
}

/// The `let` block: `{int: [low, high]}` or `{pick: [values]}` for each variable.
fn draws(spec: &Generate) -> Result<Vec<(String, Draw)>, SuiteProblem> {
    spec.bindings
        .iter()
        .map(|(name, draw)| {
            let name = name.as_str().unwrap_or_default().to_owned();
            let wrong = |reason: &str| SuiteProblem::WrongValue { path: format!("let.{name}"), reason: reason.into() };
            let draw: Vars = serde_yaml::from_value(draw.clone()).map_err(|e| wrong(&e.to_string()))?;
            let draw = match (draw.len(), draw.get("int"), draw.get("pick")) {
                (1, Some(Value::Array(range)), None) => match range.iter().map(Value::as_i64).collect::<Vec<_>>()[..] {
                    [Some(low), Some(high)] if low <= high => Draw::Int(low, high),
                    _ => return Err(wrong("`int` takes [lowest, highest], both whole numbers")),
                },
                (1, None, Some(Value::Array(list))) if !list.is_empty() => Draw::Pick(list.clone()),
                _ => return Err(wrong("expected {int: [lowest, highest]} or {pick: [values]}")),
            };
            Ok((name, draw))
        })
        .collect()
}

/// The variables that a split looks at.
fn counted(spec: &Generate, draws: &[(String, Draw)]) -> Result<Vec<String>, SuiteProblem> {
    let all: Vec<String> = draws.iter().map(|(name, _)| name.clone()).collect();
    let (Split::HeldOut(names) | Split::Train(names)) = &spec.split else { return Ok(Vec::new()) };
    if let Some(name) = names.iter().find(|name| !all.contains(name)) {
        return Err(SuiteProblem::Unknown { what: "variable", name: name.clone(), known: all });
    }
    Ok(if names.is_empty() { all } else { names.clone() })
}

/// Held-out bindings are those whose SHA-256 (of the values as text, sorted, joined by spaces) starts with 8 bytes
/// that are, as a big-endian number, 0 mod 10.
fn kept(split: &Split, counted: &[String], bindings: &[(&str, Value)]) -> bool {
    let held_out = || {
        let mut texts: Vec<String> = bindings
            .iter()
            .filter(|(name, _)| counted.iter().any(|c| c == name))
            .map(|(_, value)| as_text(value))
            .collect();
        texts.sort();
        seed::first_u64(&Sha256::digest(texts.join(" ").as_bytes())).is_multiple_of(10)
    };
    match split {
        Split::All => true,
        Split::HeldOut(_) => held_out(),
        Split::Train(_) => !held_out(),
    }
}

fn as_text(value: &Value) -> String {
    text_of(value).unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(extra: &str) -> Result<Vec<Case>, SuiteProblem> {
        let yaml = format!(
            "{{count: 20, seed: 7, let: {{a: {{int: [10, 99]}}, b: {{int: [10, 99]}}, who: {{pick: [{{n: Ann}}, {{n: Tom}}]}}}}, \
             case: {{id: 'a-{{{{ index }}}}', vars: {{question: '{{{{ who.n }}}}: {{{{ a }}}} + {{{{ b }}}}?'}}, \
             target: '{{{{ a + b }}}}', tags: [add]}}{extra}}}"
        );
        generate(&serde_yaml::from_str(&yaml).unwrap())
    }

    fn sum_of(case: &Case) -> i64 {
        let question = case.vars["question"].as_str().unwrap();
        question.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<i64>().ok()).sum()
    }

    #[test]
    fn makes_distinct_cases_whose_targets_are_right() {
        let cases = sums("").unwrap();
        assert_eq!(cases.len(), 20);
        assert_eq!((cases[3].id.as_str(), &cases[3].tags[..]), ("a-3", &["add".to_owned()][..]));
        for case in &cases {
            assert_eq!(case.target.as_deref(), Some(sum_of(case).to_string().as_str()));
        }
        assert_eq!(cases, sums("").unwrap());
    }

    /// ```python
    /// int.from_bytes(hashlib.sha256(' '.join(sorted([str(a), str(b)])).encode()).digest()[:8], 'big') % 10 == 0
    /// ```
    #[test]
    fn held_out_and_train_share_no_binding() {
        let held_out = sums(", split: {held_out: [a, b]}").unwrap();
        let train = sums(", split: {train: [a, b]}").unwrap();
        let digest = |case: &Case| {
            let question = case.vars["question"].as_str().unwrap();
            let mut parts: Vec<&str> =
                question.split(|c: char| !c.is_ascii_digit()).filter(|p| !p.is_empty()).collect();
            parts.sort_unstable();
            seed::first_u64(&Sha256::digest(parts.join(" "))) % 10
        };
        assert!(held_out.iter().all(|case| digest(case) == 0));
        assert!(train.iter().all(|case| digest(case) != 0));
    }

    #[test]
    fn too_small_a_space_and_a_broken_template_are_explained() {
        let few = "{count: 5, let: {a: {pick: [1, 2]}}, case: {vars: {q: '{{ a }}'}}}";
        assert_eq!(
            generate(&serde_yaml::from_str(few).unwrap()),
            Err(SuiteProblem::FewBindings { found: 2, count: 5 })
        );
        let many = "{count: 3000000000, let: {a: {int: [1, 3]}, b: {pick: [1, 2, 3]}}, case: {vars: {q: '{{ a }}'}}}";
        assert_eq!(
            generate(&serde_yaml::from_str(many).unwrap()),
            Err(SuiteProblem::FewBindings { found: 9, count: 3_000_000_000 })
        );
        let huge =
            "{count: 3000000000, let: {a: {int: [-9223372036854775808, 9223372036854775807]}}, case: {vars: {q: x}}}";
        let error = generate(&serde_yaml::from_str(huge).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "`count` is 3000000000");
        for (template, expected) in [("{{ b }}", "b"), ("{{ a", "vars.q")] {
            let yaml = format!("{{count: 1, let: {{a: {{pick: [1]}}}}, case: {{vars: {{q: '{template}'}}}}}}");
            let error = generate(&serde_yaml::from_str(&yaml).unwrap()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
