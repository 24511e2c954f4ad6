//! Whether two runs may be compared at all, and what a reader of the comparison should know.

use super::error::GateError;
use crate::error::{Place, Problems};
use crate::summary::RunSummary;
use std::collections::HashSet;

/// Errors for two runs that have nothing to do with each other; warnings where they were made otherwise, by something that
/// is not what they are to compare: versions, scorers, cases.
#[must_use]
pub fn alike(baseline: &RunSummary, candidate: &RunSummary) -> Problems {
    let mut problems = Problems::new();
    let (before, after) = (&baseline.header, &candidate.header);
    let place = Place::file(&candidate.dir);
    if before.suite_name != after.suite_name {
        problems.push(GateError::OtherSuite {
            baseline: before.suite_name.clone(),
            candidate: after.suite_name.clone(),
            place,
        });
        return problems;
    }
    let mut unlike = |differs: bool, what: String, help: &str| {
        if differs {
            problems.push(GateError::Unlike { what, help: help.to_owned(), place: place.clone() });
        }
    };
    unlike(
        before.build() != after.build(),
        format!("the runs were made by different programs: {} and {}", before.build(), after.build()),
        "log-probabilities may differ in their last digits; run the baseline again to be sure",
    );
    unlike(
        before.scorers_written() != after.scorers_written() || before.heads() != after.heads(),
        "the scorers of the suite have changed between the runs".to_owned(),
        "metrics of one name may mean different things; run the baseline again with the scorers of today",
    );
    let unfinished = [(baseline, "the baseline"), (candidate, "the candidate")];
    for (run, what) in unfinished.into_iter().filter(|(run, _)| run.variants.iter().all(|v| v.trials == 0)) {
        unlike(true, format!("{what} holds no samples"), &format!("go on with --resume {}", run.dir.display()));
    }
    let ids = |run: &RunSummary| -> HashSet<String> {
        let cases = run.variants.iter().flat_map(|variant| run.cases(&variant.name));
        cases.map(|(case, _)| case.to_owned()).collect()
    };
    let (mine, theirs) = (ids(baseline), ids(candidate));
    let common = mine.intersection(&theirs).count();
    if common == 0 && !mine.is_empty() && !theirs.is_empty() {
        problems.push(GateError::NothingInCommon {
            what: "the two runs have no case in common".into(),
            help: "compare runs over the same cases: look at --case, --tag, --limit, and at the ids of the suite"
                .into(),
            place,
        });
    }
    problems
}
