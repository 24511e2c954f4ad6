//! Rankings by a scorer instead of a person, to try what comes after them.

use super::error::RankError;
use super::plan::{Item, Plan};
use super::record::{Entry, Judgement, SCHEMA, SIMULATED, Verdict};
use super::{Answer, RankingFile, ScoredAnswer};
use crate::error::Problems;
use crate::seed;

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Simulated {
    /// Judgements written.
    pub written: usize,
    /// Judgements that the file held already.
    pub there: usize,
    /// Items of which an answer has no score.
    pub unscored: usize,
}

/// Orders the answers of each item by the score that the run holds; equal scores are level. The rater is
/// `simulated:SCORER`, which no report counts as a person. What the file already has of that rater is not written again.
pub fn simulate(plan: &Plan, scorer: &str, file: &RankingFile) -> Result<Simulated, Problems> {
    let rater = format!("{SIMULATED}{scorer}");
    let known = file.read()?;
    let is_known = |item: &Item| {
        let same = |one: &Judgement| one.rater == rater && one.run == plan.run && item.is_judged_in(one);
        known.judgements.iter().any(|(_, one)| same(one))
    };
    let (mut done, mut entries) = (Simulated::default(), Vec::new());
    for item in plan.items.iter().filter(|item| !item.again) {
        if is_known(item) {
            done.there += 1;
            continue;
        }
        match judgement(plan, item, &rater) {
            Some(judgement) => entries.push(Entry::Judgement(Box::new(judgement))),
            None => done.unscored += 1,
        }
    }
    done.written = entries.len();
    file.append(&entries).map_err(|error: RankError| Problems::from(error))?;
    Ok(done)
}

fn judgement(plan: &Plan, item: &Item, rater: &str) -> Option<Judgement> {
    let shown: Vec<&ScoredAnswer> = item.shown.iter().filter_map(|i| item.case.answers.get(*i)).collect();
    let scores: Vec<f64> = shown.iter().map(|one| one.score).collect::<Option<_>>()?;
    let mut levels = scores.clone();
    levels.sort_by(|a, b| b.total_cmp(a));
    levels.dedup_by(|a, b| a.total_cmp(b).is_eq());
    let group = |level: &f64| (0..scores.len()).filter(|i| scores[*i].total_cmp(level).is_eq()).collect();
    let order: Vec<Vec<usize>> = levels.iter().map(group).collect();
    debug_assert!(Verdict::Order(order.clone()).problem(shown.len()).is_none());
    let axis = item.axis.as_deref().unwrap_or("");
    Some(Judgement {
        schema: SCHEMA,
        id: format!("{:016x}", seed::key(0, &["simulated", rater, &plan.run, &item.case.case, axis])),
        run: plan.run.clone(),
        case: item.case.case.clone(),
        tags: item.case.tags.clone(),
        rater: rater.to_owned(),
        axis: item.axis.clone(),
        prompt: item.case.prompt.clone(),
        answers: shown.into_iter().map(|one| one.answer.clone()).collect::<Vec<Answer>>(),
        order: Some(order),
        scores: None,
        cant_tell: false,
        comment: String::new(),
        seconds: 0.0,
        time: jiff::Timestamp::now().to_string(),
        again: false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::{gathered, settings};
    use super::*;

    #[test]
    fn orders_by_the_score_with_equal_ones_level_and_writes_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = RankingFile::new(dir.path().join("r.jsonl"));
        let mut answers = gathered(3, 3);
        answers.cases[1].answers[0].score = Some(2.0);
        answers.cases[2].answers[0].score = None;
        let plan = Plan::new(answers, &settings("simulated:exact")).unwrap();
        assert_eq!(simulate(&plan, "exact", &file).unwrap(), Simulated { written: 2, there: 0, unscored: 1 });
        assert_eq!(simulate(&plan, "exact", &file).unwrap(), Simulated { written: 0, there: 2, unscored: 1 });
        for (_, judgement) in file.read().unwrap().judgements {
            let places = judgement.places().unwrap();
            let place = |text: &str| places[judgement.answers.iter().position(|a| a.text == text).unwrap()];
            let wanted = if judgement.case == "c0" { [3.0, 2.0, 1.0] } else { [1.5, 3.0, 1.5] };
            let c = &judgement.case[1..];
            let found = [0, 1, 2].map(|i| place(&format!("{c}/{i}")));
            assert!(found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-12), "{found:?}");
            assert!(judgement.is_simulated());
        }
    }
}
