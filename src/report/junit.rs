//! JUnit XML, which every CI reads: a test suite a variant with a case a test case; of a gate, a test case a rule.

use crate::gate::{Decision, GateRecord};
use crate::store::{Repeat, Sample, Score, ScoreValue, StoreError, read_samples};
use crate::summary::RunSummary;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::time::Duration;

/// The cases of some runs: failed where a scorer failed, skipped where one could not judge.
///
/// # Errors
/// The samples cannot be read.
pub fn junit(runs: &[RunSummary]) -> Result<String, StoreError> {
    let names: Vec<&str> = runs.iter().map(|run| run.header.run.as_str()).collect();
    let mut report = Report::new(names.join(" "));
    for run in runs {
        let mut suites: BTreeMap<String, TestSuite> = BTreeMap::new();
        read_samples(&run.dir, |sample| {
            let name = format!("{} · {}", run.header.run, sample.trial.variant);
            let suite = suites.entry(sample.trial.variant.clone()).or_insert_with(|| TestSuite::new(name));
            suite.add_test_case(of_sample(&run.header.suite_name, &sample));
        })?;
        report.add_test_suites(run.variants.iter().filter_map(|variant| suites.remove(&variant.name)));
    }
    Ok(text(&report))
}

/// The rules of a gate: failed, or skipped where the cases cannot tell. The suites in `broken` could not be judged.
#[must_use]
pub fn gate_junit(records: &[GateRecord], broken: &[&str]) -> String {
    let mut report = Report::new("tripos gate");
    for record in records {
        let mut suite = TestSuite::new(&record.suite);
        for rule in &record.rules {
            let status = match rule.decision {
                Decision::Pass => TestCaseStatus::success(),
                Decision::Fail => told(TestCaseStatus::non_success(NonSuccessKind::Failure), &rule.evidence),
                Decision::Undecided => told(TestCaseStatus::skipped(), &format!("undecided: {}", rule.evidence)),
            };
            let mut case = TestCase::new(format!("{} {} {}", rule.variant, rule.metric, rule.rule), status);
            case.set_classname(&record.suite);
            case.extra.insert("file".into(), rule.file.display().to_string().into());
            case.extra.insert("line".into(), rule.line.to_string().into());
            case.set_system_out(&rule.evidence);
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    for name in broken {
        let mut suite = TestSuite::new(*name);
        let status =
            told(TestCaseStatus::non_success(NonSuccessKind::Error), "the suite could not be judged; see the log");
        suite.add_test_case(TestCase::new("gate", status));
        report.add_test_suite(suite);
    }
    text(&report)
}

fn text(report: &Report) -> String {
    // Into memory: the only way to fail is to have no room.
    report.to_string().unwrap_or_default()
}

fn told(mut status: TestCaseStatus, message: &str) -> TestCaseStatus {
    status.set_message(message);
    status
}

fn of_sample(suite: &str, sample: &Sample) -> TestCase {
    let name = match sample.trial.repeat {
        Repeat::Number(0) => sample.trial.case.clone(),
        Repeat::Number(number) => format!("{} · repeat {number}", sample.trial.case),
        Repeat::Reduced => format!("{} · all repeats", sample.trial.case),
    };
    let unscored = sample.scores.iter().find_map(|score| match &score.value {
        ScoreValue::Unscored(reason) => Some(format!("{}: {reason}", score.scorer)),
        _ => None,
    });
    let status = match (unscored, sample.passed()) {
        (Some(reason), _) => told(TestCaseStatus::skipped(), &reason),
        (None, true) => TestCaseStatus::success(),
        (None, false) => told(
            TestCaseStatus::non_success(NonSuccessKind::Failure),
            &sample.scores.iter().map(shown).collect::<Vec<_>>().join("; "),
        ),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("{suite}.{}", sample.trial.variant));
    if let Some(completion) = &sample.completion {
        case.set_time(Duration::try_from_secs_f64(completion.elapsed_s).unwrap_or_default());
        case.set_system_out(&completion.text);
    }
    case
}

/// A score with what was read and what it was held against.
fn shown(score: &Score) -> String {
    let value = match &score.value {
        ScoreValue::Pass(true) => "pass".to_owned(),
        ScoreValue::Pass(false) => "fail".to_owned(),
        ScoreValue::Number(number) => number.to_string(),
        ScoreValue::Label(label) => label.clone(),
        ScoreValue::Unscored(reason) => reason.clone(),
    };
    match score.explanation.as_str() {
        "" => format!("{}: {value}", score.scorer),
        why => format!("{}: {value} ({why})", score.scorer),
    }
}
