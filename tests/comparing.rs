//! `tripos compare`, `report` and `history` on runs of a scripted model.

use crate::workspace::{Workspace, samples_of};
use serde_json::Value;
use std::path::Path;

/// 100 cases `c-0` … `c-99`, answered right where the number ends in one of the digits that a script knows.
pub(crate) const SUITE: &str = "\
suite: digits
model: {scripted: five.yaml}
cases: cases.jsonl
scorers:
  - contains: {name: ok}
  - rouge_l
variants:
  - {name: plain, prompt: a.txt}
  - {name: polite, prompt: b.txt}
";

pub(crate) fn script(digits: &str) -> String {
    format!("answers:\n  - {{when: 'No\\. \\d*[{digits}]$', say: The answer is right.}}\notherwise: I do not know.\n")
}

pub(crate) fn cases(count: usize) -> String {
    (0..count)
        .map(|i| format!("{{\"id\": \"c-{i}\", \"vars\": {{\"q\": \"No. {i}\"}}, \"target\": \"right\"}}\n"))
        .collect()
}

/// A folder with the suite and three scripts: `five`, `four` and `three` of ten cases are answered right.
pub(crate) fn digits() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("suite.yaml", SUITE);
    workspace.write("cases.jsonl", cases(100));
    workspace.write("a.txt", "{{ q }}\n");
    workspace.write("b.txt", "Please. {{ q }}\n");
    workspace.write("five.yaml", script("02468"));
    workspace.write("four.yaml", script("0246"));
    workspace.write("three.yaml", script("024"));
    workspace
}

/// Runs the suite on a script; the folder of the run, from the workspace's own.
pub(crate) fn ran(workspace: &Workspace, arguments: &[&str]) -> String {
    let before = workspace.run_folders();
    workspace.ok(&[&["run", "suite.yaml", "--quiet"], arguments].concat());
    let new = workspace.run_folders().into_iter().find(|folder| !before.contains(folder)).unwrap();
    new.strip_prefix(workspace.path()).unwrap().display().to_string()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_drop_is_told_with_its_test_its_interval_and_the_cases_that_flipped() {
    let workspace = digits();
    let (before, after) = (ran(&workspace, &[]), ran(&workspace, &["--model", "three.yaml"]));
    let said = workspace.ok(&["compare", &before, &after, "--variant", "plain", "--format", "json"]);
    let document = json(&said.stdout);
    let ok = &document["comparisons"][0];
    assert_eq!((&ok["metric"], &ok["n"], &ok["discordant"]), (&"ok".into(), &100.into(), &serde_json::json!([20, 0])));
    // scipy.stats.binomtest(0, 20, 0.5).pvalue; two metrics are adjusted together.
    assert!((ok["p_value"].as_f64().unwrap() - 1.907_348_632_812_5e-6).abs() < 1e-12);
    assert!((ok["p_adjusted"].as_f64().unwrap() - 2.0 * 1.907_348_632_812_5e-6).abs() < 1e-3);
    assert_eq!((&ok["verdict"], &ok["test"]), (&"worse".into(), &"mcnemar_exact".into()));
    assert_eq!(ok["flipped"].as_array().unwrap().len(), 20);
    assert_eq!(ok["flipped"][0], serde_json::json!({"case": "c-16", "from": true, "to": false}));
    assert_eq!(document["comparisons"][1]["test"], "sign_flip");
    let table = workspace.ok(&["compare", &before, &after, "--variant", "plain", "--flips", "2"]).stdout;
    assert!(table.contains("ok: 20 cases changed, the worst first, the first 2 of them"), "{table}");
    assert!(table.contains("The answer is right.") && table.contains("I do not know."), "both answers\n{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 130), "{table}");
}

#[test]
fn two_variants_of_one_run_are_compared_by_name() {
    let workspace = digits();
    let run = ran(&workspace, &[]);
    let said = workspace.ok(&["compare", &format!("{run}:plain"), &format!("{run}:polite"), "--format", "json"]);
    let ok = &json(&said.stdout)["comparisons"][0];
    assert_eq!((&ok["baseline"]["variant"], &ok["candidate"]["variant"]), (&"plain".into(), &"polite".into()));
    assert_eq!((&ok["difference"], &ok["verdict"]), (&0.0.into(), &"undecided".into()));
    let margin = workspace.ok(&[
        "compare",
        &format!("{run}:plain"),
        &format!("{run}:polite"),
        "--margin",
        "0.1",
        "--format",
        "json",
    ]);
    assert_eq!(json(&margin.stdout)["comparisons"][0]["verdict"], "no_worse");
    let id = Path::new(&run).file_name().unwrap().to_str().unwrap();
    workspace.ok(&["compare", &format!("{id}:plain"), &format!("{id}:polite")]);
}

#[test]
fn cases_of_one_run_only_are_listed_and_those_that_ask_something_else_are_left_out() {
    let workspace = digits();
    let before = ran(&workspace, &["--variant", "plain"]);
    let changed = cases(101).replace("\"No. 2\"", "\"Nr. No. 2\"").replacen("{\"id\": \"c-0\"", "{\"id\": \"new\"", 1);
    workspace.write("cases.jsonl", changed);
    let after = ran(&workspace, &["--variant", "plain"]);
    let said = workspace.ok(&["compare", &before, &after, "--format", "json"]);
    let ok = &json(&said.stdout)["comparisons"][0];
    assert_eq!(ok["only_baseline"], serde_json::json!(["c-0"]));
    assert_eq!(ok["only_candidate"], serde_json::json!(["c-100", "new"]));
    assert_eq!((&ok["changed"], &ok["n"]), (&serde_json::json!(["c-2"]), &98.into()));
    let table = workspace.ok(&["compare", &before, &after]).stdout;
    assert!(table.contains("ask something else now, left out: 1 (c-2)"), "{table}");
}

fn refused(workspace: &Workspace, arguments: &[&str]) -> String {
    let said = workspace.tripos(&[&["compare"], arguments].concat());
    assert_eq!(said.code, Some(2), "{}", said.stdout);
    said.stderr.replace(&workspace.path().display().to_string(), "")
}

#[test]
fn runs_that_cannot_be_compared_say_why() {
    let workspace = digits();
    let one = ran(&workspace, &["--limit", "10"]);
    workspace.write("other.yaml", SUITE.replace("suite: digits", "suite: other"));
    let before = workspace.run_folders();
    workspace.ok(&["run", "other.yaml", "--quiet"]);
    let other = workspace.run_folders().into_iter().find(|folder| !before.contains(folder)).unwrap();
    let said = refused(&workspace, &[&one, other.to_str().unwrap()]);
    assert!(said.contains("error: these are runs of different suites: `digits` and `other`"), "{said}");
    let said = refused(&workspace, &[&one, &format!("{one}:polit")]);
    assert!(said.contains("has no variant `polit`") && said.contains("did you mean `polite`?"), "{said}");
    let last = ran(&workspace, &["--case", "c-50"]);
    let said = refused(&workspace, &[&one, &last]);
    assert!(said.contains("error: the two runs have no case in common"), "{said}");
    let said = refused(&workspace, &["reports/none", &one]);
    assert!(said.contains("error: cannot read the run:") && said.contains("reports/none/header.json"), "{said}");
    let samples = workspace.read(&format!("{one}/samples.jsonl"));
    workspace.write(&format!("{one}/samples.jsonl"), samples.replacen("\"scores\"", "\"scores", 1));
    let said = refused(&workspace, &[&one, &last]);
    assert!(said.contains("error: damaged:") && said.contains("samples.jsonl:1:"), "{said}");
}

#[test]
fn another_version_and_other_scorers_are_warnings() {
    let workspace = digits();
    let (one, other) = (ran(&workspace, &[]), ran(&workspace, &[]));
    let header = workspace.read(&format!("{one}/header.json"));
    let older = header.replace("\"tripos\": \"0.1.0\"", "\"tripos\": \"0.0.9\"").replace("\"rouge_l\"", "\"rouge_x\"");
    assert_ne!(older, header);
    workspace.write(&format!("{one}/header.json"), header.replace("\"tripos\": \"0.1.0\"", "\"tripos\": \"0.0.9\""));
    let said = workspace.ok(&["compare", &one, &other]);
    assert!(said.stderr.contains("warning: the runs were made by different programs: tripos 0.0.9"), "{}", said.stderr);
}

#[test]
fn history_shows_the_prompts_diff_beside_the_change_of_score() {
    let workspace = digits();
    ran(&workspace, &["--variant", "plain"]);
    workspace.write("a.txt", "Only even ones.\n{{ q }} or No. 0\n");
    ran(&workspace, &["--variant", "plain"]);
    ran(&workspace, &["--variant", "plain", "--model", "three.yaml"]);
    let said = workspace.ok(&["history", "suite.yaml"]).stdout;
    let lines: Vec<&str> = said.lines().collect();
    assert!(said.contains("0.500 [") && said.contains("1.000 ["), "{said}");
    assert!(said.contains("the prompt") && said.contains("another model"), "{said}");
    assert!(lines.contains(&"  -{{ q }}") && lines.contains(&"  +Only even ones."), "{said}");
    let named = workspace.ok(&["history", "digits", "--format", "json"]);
    assert_eq!(json(&named.stdout)["runs"].as_array().unwrap().len(), 3);
    let said = workspace.tripos(&["history", "digits", "--variant", "plan"]);
    assert!(said.stderr.contains("has a variant `plan`; did you mean `plain`?"), "{}", said.stderr);
    let said = workspace.tripos(&["history", "digit"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("holds no run of suite `digit`; did you mean `digits`?"), "{}", said.stderr);
}

#[test]
fn a_run_is_reported_as_junit_csv_json_and_markdown() {
    let workspace = digits();
    let run = ran(&workspace, &["--limit", "4", "--variant", "plain"]);
    let junit = workspace.ok(&["report", &run, "--format", "junit"]).stdout;
    assert!(
        junit.contains("tests=\"4\"") && junit.contains("<testcase name=\"c-3\" classname=\"digits.plain\""),
        "{junit}"
    );
    let csv = workspace.ok(&["report", &run, "--format", "csv"]).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), &rows[0][2], &rows[0][10], &rows[1][10]), (4, "c-0", "1", "0"));
    workspace.ok(&["report", &run, "--format", "markdown", "-o", "out.md"]);
    assert!(workspace.read("out.md").contains("| plain | "));
    let document = json(&workspace.ok(&["report", &run, "--format", "json"]).stdout);
    assert_eq!(document["variants"][0]["metrics"][0]["n"], 4);
    assert_eq!(samples_of(&workspace.path().join(&run)).len(), 4);
}

#[test]
fn a_page_that_cannot_be_written_takes_nothing_from_the_run() {
    let workspace = digits();
    let run = ran(&workspace, &["--limit", "4"]);
    let page = workspace.path().join(&run).join("report.html");
    std::fs::remove_file(&page).unwrap();
    workspace.write(&format!("{run}/report.html/in-the-way"), "");
    let said = workspace.ok(&["run", "--resume", &run]);
    assert!(said.stdout.contains("plain"), "{}", said.stdout);
    assert!(said.stderr.contains("the run is whole, only its page is missing"), "{}", said.stderr);
}
