//! What scorers by likelihood, and judges, need of a suite and its cases.

use super::Suite;
use super::choice::{Choice, ChoiceFault, beginning};
use super::error::{SuiteError, SuiteProblem};
use super::scorer::{LabelBy, ScorerKind, ScorerSpec};
use crate::error::Place;
use std::mem::discriminant;

/// Checks every scorer against the suite. `places` are those of the cases; `strict` makes a case that cannot be judged
/// an error, also where others can.
pub(super) fn scorers(suite: &Suite, places: &[Place], strict: bool, problems: &mut Vec<SuiteError>) {
    for scorer in &suite.scorers {
        problems.extend(settings(scorer).map(|problem| SuiteError::new(scorer.place.clone(), problem)));
        match &scorer.kind {
            ScorerKind::Choice(choice) => choices(suite, (scorer, choice), places, strict, problems),
            ScorerKind::Label(label) if label.by == LabelBy::Likelihood => {
                let labels = if label.labels.is_empty() { &suite.targets() } else { &label.labels };
                problems.extend(begins(scorer, labels));
            }
            ScorerKind::JudgeModel(judge) => {
                let verdicts: Vec<String> = judge.choices.iter().map(|(text, _)| text.clone()).collect();
                problems.extend(begins(scorer, &verdicts));
                let taken = if judge.against_target { ["a", "b"].as_slice() } else { &[] };
                problems.extend(taken.iter().filter_map(|name| taken_by_judge(suite, scorer, name, places)));
            }
            _ => {}
        }
    }
}

/// A setting that means nothing to a scorer by likelihood.
fn settings(scorer: &ScorerSpec) -> Option<SuiteProblem> {
    let contradiction = |what, help: &str| Some(SuiteProblem::Contradiction { what, help: help.to_owned() });
    let name = &scorer.name;
    if !scorer.kind.by_likelihood() {
        return None;
    }
    let by = match &scorer.kind {
        ScorerKind::Label(label) if label.classifier.is_some() => "a classifier",
        _ => "likelihood",
    };
    if scorer.answer.is_some() {
        let what = format!("scorer `{name}` judges by {by}: nothing is said that an `answer` could be read from");
        return contradiction(what, "drop its `answer`");
    }
    if scorer.not && !matches!(scorer.kind, ScorerKind::Label(_)) {
        let what = format!("`not` has no meaning for scorer `{name}`, which judges by likelihood");
        return contradiction(what, "drop its `not`");
    }
    None
}

/// Each kind of fault once: at the first case that has it, with the number of the others.
fn choices(
    suite: &Suite,
    (scorer, choice): (&ScorerSpec, &Choice),
    places: &[Place],
    strict: bool,
    problems: &mut Vec<SuiteError>,
) {
    let mut found: Vec<(usize, ChoiceFault, usize)> = Vec::new();
    let mut unfit = 0;
    for (at, case) in suite.cases.iter().enumerate() {
        let fault = match choice.of(case) {
            Ok(choices) => beginning(&choices.texts).map(|(short, long)| ChoiceFault::Begins { short, long }),
            Err(fault) => {
                unfit += 1;
                // A missing target is reported for all scorers together.
                Some(fault).filter(|fault| *fault != ChoiceFault::NoTarget)
            }
        };
        let Some(fault) = fault else { continue };
        match found.iter_mut().find(|(_, earlier, _)| discriminant(earlier) == discriminant(&fault)) {
            Some((.., others)) => *others += 1,
            None => found.push((at, fault, 0)),
        }
    }
    let error = strict || unfit == suite.cases.len();
    problems.extend(found.into_iter().filter_map(|(at, fault, others)| {
        let (scorer, case) = (scorer.name.clone(), suite.cases.get(at)?.id.clone());
        let error = error && !matches!(fault, ChoiceFault::Begins { .. });
        let problem = SuiteProblem::Unfit { fault: Box::new(fault), scorer, case, others, error };
        Some(SuiteError::new(places.get(at)?.clone(), problem))
    }));
}

/// A warning where one text of a scorer's own begins another.
fn begins(scorer: &ScorerSpec, texts: &[String]) -> Option<SuiteError> {
    let (short, long) = beginning(texts)?;
    let problem = SuiteProblem::Begins { short, long, scorer: scorer.name.clone() };
    Some(SuiteError::new(scorer.place.clone(), problem))
}

/// A variable of a case that a judge's prompt could not see, because it knows something else by that name.
fn taken_by_judge(suite: &Suite, scorer: &ScorerSpec, name: &str, places: &[Place]) -> Option<SuiteError> {
    let at = suite.cases.iter().position(|case| case.vars.contains_key(name))?;
    let what = format!(
        "a variable cannot be called `{name}`: the prompt of scorer `{}` knows an answer by that name",
        scorer.name
    );
    let help = "rename the variable; `a` and `b` are the completion and the target".to_owned();
    Some(SuiteError::new(places.get(at)?.clone(), SuiteProblem::Contradiction { what, help }))
}
