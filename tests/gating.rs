//! `tripos gate`: verdicts, baselines, git refs, early stopping, what CI is told.

use crate::comparing::{SUITE, digits, ran};
use crate::workspace::{Said, Workspace, root};
use serde_json::Value;
use std::process::Command;

const NO_WORSE: &str = "gate:\n  - {variant: plain, metric: ok, no_worse_by: 0.05}\n";

/// A workspace whose suite has these rules.
fn gated(rules: &str) -> Workspace {
    let workspace = digits();
    workspace.write("suite.yaml", format!("{SUITE}{rules}"));
    workspace
}

fn gate(workspace: &Workspace, arguments: &[&str]) -> Said {
    workspace.tripos(&[&["gate", "suite.yaml", "--quiet"], arguments].concat())
}

fn line<'s>(said: &'s Said, start: &str) -> &'s str {
    said.stdout
        .lines()
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("{}\n{}", said.stdout, said.stderr))
}

#[test]
fn a_baseline_is_written_and_then_judged_against() {
    let workspace = gated(NO_WORSE);
    let said = gate(&workspace, &["--update-baseline", "base.json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let baseline: Value = serde_json::from_str(&workspace.read("base.json")).unwrap();
    assert_eq!(baseline["variants"]["plain"]["ok"]["c-17"], serde_json::json!([0]));
    assert_eq!((&baseline["schema"], &baseline["suite"]), (&1.into(), &"digits".into()));
    assert!(workspace.read("base.json").contains("\n        \"c-17\": [0],\n"), "a line a case");
    let same = gate(&workspace, &["--baseline", "base.json"]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(
        line(&same, "pass").contains("suite.yaml:11  plain ok no_worse_by 0.05: 0.500 → 0.500, the same in all 100")
    );
    let worse = gate(&workspace, &["--baseline", "base.json", "--model", "three.yaml"]);
    assert_eq!(worse.code, Some(1), "{}", worse.stderr);
    let told = line(&worse, "FAIL");
    assert!(
        told.contains("0.500 → 0.300: -0.200 [-0.") && told.contains("20 lost, 0 won, p < 0.0001 (exact McNemar)"),
        "{told}"
    );
    assert!(worse.stdout.ends_with("gate: FAIL, 1 of 1 rule\n"), "{}", worse.stdout);
}

#[test]
fn updating_shows_what_changes_and_is_left_where_the_gate_fails() {
    let workspace = gated(NO_WORSE);
    gate(&workspace, &["--update-baseline", "base.json"]);
    let before = workspace.read("base.json");
    let again = gate(&workspace, &["--update-baseline", "base.json"]);
    assert!(again.stderr.contains("base.json stays as it is"), "{}", again.stderr);
    assert_eq!(workspace.read("base.json"), before, "stable to the byte");
    let failed =
        gate(&workspace, &["--baseline", "base.json", "--update-baseline", "base.json", "--model", "three.yaml"]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("the baseline is left as it is"), "{}", failed.stderr);
    assert_eq!(workspace.read("base.json"), before);
    let forced = gate(&workspace, &["--update-baseline", "base.json", "--model", "three.yaml"]);
    assert_eq!(forced.code, Some(0));
    assert!(forced.stderr.contains("plain ok: 0.500 → 0.300, 20 changed of 100 cases"), "{}", forced.stderr);
    assert!(forced.stderr.contains("plain: another model"), "{}", forced.stderr);
}

#[test]
fn a_run_is_a_baseline_too_and_without_rules_nothing_may_be_proven_worse() {
    let workspace = digits();
    let baseline = ran(&workspace, &[]);
    let same = gate(&workspace, &["--baseline", &baseline]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(line(&same, "pass").contains("4 metrics: no drop is proven"));
    let worse = gate(&workspace, &["--baseline", &baseline, "--model", "three.yaml"]);
    assert_eq!(worse.code, Some(1));
    assert!(line(&worse, "FAIL").contains("plain ok no_worse_by 0: 0.500 → 0.300"), "{}", worse.stdout);
}

#[test]
fn rules_bound_values_costs_and_shares() {
    let rules = "gate:\n  - {variant: plain, metric: ok, at_least: 0.3}\n  - {variant: plain, metric: ok, at_least: 0.6}\n  - {variant: plain, metric: ok, at_least: 0.52}\n  - {variant: plain, metric: cut, at_most: 0.05}\n  - {variant: plain, metric: completion_tokens, at_most: 10}\n  - {variant: polite, metric: no_answer, at_most: 0.05, confidence: 0.9}\n  - {variant: polite, metric: unscored, at_most: 0.05}\n  - {variant: polite, metric: latency, at_most: 1}\n";
    let workspace = gated(rules);
    let said = gate(&workspace, &[]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let words: Vec<&str> =
        said.stdout.lines().filter(|line| line.contains("suite.yaml:")).map(|line| &line[..4]).collect();
    assert_eq!(words, ["pass", "FAIL", "????", "pass", "FAIL", "pass", "pass", "pass"], "{}", said.stdout);
    let document = gate(&workspace, &["--format", "json"]);
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!((&document["verdict"], &document["rules"][1]["line"]), (&"fail".into(), &12.into()));
    let folder = workspace.run_folders().remove(0);
    assert!(folder.join("gate.json").is_file() && folder.join("report.html").is_file());
}

#[test]
fn what_cannot_be_decided_passes_loudly_or_fails_as_asked() {
    let workspace = gated("gate:\n  - {variant: plain, metric: ok, at_least: 0.52}\n");
    let passed = gate(&workspace, &[]);
    assert_eq!(passed.code, Some(0));
    assert!(passed.stdout.ends_with("gate: UNDECIDED, the cases cannot tell for 1 of 1 rule\n"), "{}", passed.stdout);
    assert!(passed.stderr.contains("warning: UNDECIDED counts as passed"), "{}", passed.stderr);
    assert_eq!(gate(&workspace, &["--on-undecided", "fail"]).code, Some(1));
}

#[test]
fn bad_input_is_told_before_anything_is_asked() {
    let workspace = gated(NO_WORSE);
    let none = gate(&workspace, &[]);
    assert_eq!(none.code, Some(2));
    insta::assert_snapshot!(none.stderr, @r"
    error: this rule compares with a baseline, and none is given
      --> suite.yaml:11:5 (variant `plain`, metric `ok`)
      help: give --baseline FILE (make one with --update-baseline FILE), --base GIT-REF, or a rule with `at_least`
    ");
    workspace.write("newer.json", "{\"schema\": 2, \"what\": []}");
    insta::assert_snapshot!(gate(&workspace, &["--baseline", "newer.json"]).stderr, @r"
    error: this baseline has schema 2, and this version reads up to 1
      --> newer.json
      help: update Tripos
    ");
    workspace.write("broken.json", "{\"schema\": 1,\n \"suite\": }");
    let broken = gate(&workspace, &["--baseline", "broken.json"]).stderr;
    assert!(
        broken.contains("error: this is no baseline: expected value") && broken.contains("broken.json:2:11"),
        "{broken}"
    );
    let missing = gate(&workspace, &["--baseline", "none.json"]).stderr;
    assert!(missing.contains("error: cannot read the baseline: No such file"), "{missing}");
    workspace
        .write("other.json", "{\"schema\":1,\"suite\":\"sums\",\"suite_sha256\":\"\",\"models\":{},\"variants\":{}}");
    let other = gate(&workspace, &["--baseline", "other.json"]).stderr;
    assert!(other.contains("error: this is a baseline of suite `sums`, not of `digits`"), "{other}");
    workspace.write(
        "empty.json",
        "{\"schema\":1,\"suite\":\"digits\",\"suite_sha256\":\"\",\"models\":{},\"variants\":{\"plan\":{}}}",
    );
    let empty = gate(&workspace, &["--baseline", "empty.json"]).stderr;
    assert!(
        empty.contains("error: empty.json has no variant `plain`") && empty.contains("did you mean `plan`?"),
        "{empty}"
    );
    assert!(workspace.run_folders().is_empty(), "nothing was asked");
}

#[test]
fn rules_that_name_what_is_not_there_say_the_nearest() {
    let workspace = gated("gate:\n  - {variant: plane, metric: okay, no_worse_by: 0.1}\n");
    let said = gate(&workspace, &[]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("variant `plane`") && said.stderr.contains("did you mean `plain`?"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("metric `okay`"), "{}", said.stderr);
}

#[test]
fn more_unscored_cases_than_allowed_are_an_error() {
    let workspace = gated("gate:\n  - {variant: plain, metric: ok, at_least: 0.1}\nmax_unscored: 0.05\n");
    let cases = crate::comparing::cases(100).replace(", \"target\": \"right\"}\n{\"id\": \"c-9", "}\n{\"id\": \"c-9");
    workspace.write("cases.jsonl", cases);
    let said = gate(&workspace, &[]);
    assert_eq!(said.code, Some(2), "{}", said.stdout);
    assert!(said.stderr.contains("are unscored: more than `max_unscored: 0.05`"), "{}", said.stderr);
}

fn git(workspace: &Workspace, arguments: &[&str]) {
    let done = Command::new("git")
        .current_dir(workspace.path())
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A repository with the suite committed, its model (`five.yaml`) not among the files of git.
fn repository(rules: &str) -> Workspace {
    let workspace = gated(rules);
    workspace.write(".gitignore", "five.yaml\nreports\ncache\n");
    git(&workspace, &["init", "-q", "-b", "main"]);
    git(&workspace, &["add", "."]);
    git(&workspace, &["commit", "-q", "-m", "first"]);
    workspace
}

#[test]
fn a_prompt_is_judged_against_a_git_ref_and_only_what_differs_is_asked() {
    let workspace = repository(NO_WORSE);
    let same = gate(&workspace, &["--base", "main"]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(same.stderr.contains("nothing has changed since main: nothing is asked"), "{}", same.stderr);
    assert!(workspace.run_folders().is_empty());
    workspace.write("a.txt", "Not at all: {{ q }}!\n");
    let worse = gate(&workspace, &["--base", "HEAD"]);
    assert_eq!(worse.code, Some(1), "{}\n{}", worse.stdout, worse.stderr);
    assert!(worse.stderr.contains("unchanged since HEAD, not asked again: polite"), "{}", worse.stderr);
    assert!(line(&worse, "FAIL").contains("0.500 → 0.000"), "{}", worse.stdout);
    let trials: usize = workspace.run_folders().iter().map(|folder| crate::workspace::samples_of(folder).len()).sum();
    assert_eq!(trials, 200, "the changed variant, then and now");
}

/// Its file lies elsewhere in the tree of the ref, and holds the same.
#[test]
fn a_reward_model_has_not_changed_where_only_its_path_has() {
    let workspace = gated(NO_WORSE);
    std::fs::copy(root().join("models/tripos-tiny-reward.gguf"), workspace.path().join("judge.gguf")).unwrap();
    let judged = workspace.read("suite.yaml").replace("scorers:\n", "scorers:\n  - reward: {model: judge.gguf}\n");
    assert!(judged.contains("judge.gguf"));
    workspace.write("suite.yaml", judged);
    workspace.write(".gitignore", "five.yaml\nreports\ncache\n");
    git(&workspace, &["init", "-q", "-b", "main"]);
    git(&workspace, &["add", "."]);
    git(&workspace, &["commit", "-q", "-m", "first"]);
    workspace.write("a.txt", "Not at all: {{ q }}!\n");
    let worse = gate(&workspace, &["--base", "HEAD"]);
    assert!(worse.stderr.contains("unchanged since HEAD, not asked again: polite"), "{}", worse.stderr);
    assert!(!worse.stderr.contains("scorers of the suite have changed"), "{}", worse.stderr);
    // Another file is another judge, whatever its name.
    let mut bytes = std::fs::read(workspace.path().join("judge.gguf")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(workspace.path().join("judge.gguf"), bytes).unwrap();
    let said = gate(&workspace, &["--base", "HEAD"]);
    assert!(said.stderr.contains("scorers of the suite have changed"), "{}", said.stderr);
}

#[test]
fn a_git_ref_that_is_not_there_or_had_no_suite_is_told() {
    let workspace = repository(NO_WORSE);
    let unknown = gate(&workspace, &["--base", "origin/mian"]);
    assert_eq!(unknown.code, Some(2));
    insta::assert_snapshot!(unknown.stderr, @r"
    error: git does not know `origin/mian`
      --> suite.yaml
      help: fetch it first: git fetch origin mian (in CI, a checkout with its whole history: fetch-depth: 0)
    ");
    workspace.write("new.yaml", format!("{SUITE}{NO_WORSE}"));
    let absent = workspace.tripos(&["gate", "new.yaml", "--base", "main"]);
    assert!(absent.stderr.contains("error: the suite was not there at `main`"), "{}", absent.stderr);
    let outside = gated(NO_WORSE);
    let said = gate(&outside, &["--base", "main"]);
    assert!(said.stderr.contains("error: --base needs git:"), "{}", said.stderr);
    let option = gate(&workspace, &["--base", "--help-me"]);
    assert_eq!(option.code, Some(2), "{}", option.stdout);
}

#[test]
fn two_models_are_compared_in_one_command() {
    let workspace = gated("gate:\n  - {variant: plain, metric: ok, no_worse_by: 0.1}\n");
    let said = gate(&workspace, &["--baseline-model", "five.yaml", "--model", "four.yaml"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(line(&said, "????").contains("0.500 → 0.400: -0.100"), "{}", said.stdout);
    let flips = "case  was   is    answer before         answer after";
    assert!(
        said.stdout.contains("ok: 10 cases changed, the worst first, the first 5 of them")
            && said.stdout.contains(flips),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("c-18  pass  fail  The answer is right.  I do not know."), "{}", said.stdout);
    assert_eq!(gate(&workspace, &["--baseline-model", "five.yaml", "--model", "three.yaml"]).code, Some(1));
}

#[test]
fn early_stopping_saves_cases_and_says_so() {
    let workspace = gated("gate:\n  - {variant: plain, metric: ok, at_least: 0.9}\n");
    workspace.write("cases.jsonl", crate::comparing::cases(400));
    let said = gate(&workspace, &["--early-stop"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let asked = crate::workspace::samples_of(&workspace.run_folder()).len();
    assert!(asked < 200, "{asked}");
    assert!(
        said.stderr.contains(&format!("early stop: {asked} of 800 cases of all variants asked, {} saved", 800 - asked)),
        "{}",
        said.stderr
    );
    assert!(line(&said, "FAIL").contains("of 400 cases, "), "{}", said.stdout);
    let first = workspace.run_folder();
    let order = |folder: &std::path::Path| -> Vec<String> {
        let samples = crate::workspace::samples_of(folder);
        samples.iter().map(|sample| sample["trial"]["case"].as_str().unwrap().to_owned()).collect()
    };
    assert_ne!(order(&first)[..5], ["c-0", "c-1", "c-2", "c-3", "c-4"], "in a random order");
    // The twin: where the full run would pass, nothing fails early.
    let fine = gated("gate:\n  - {variant: plain, metric: ok, at_least: 0.3}\n");
    assert_eq!(gate(&fine, &["--early-stop"]).code, Some(0));
}

#[test]
fn continuous_integration_is_told_in_its_own_words() {
    let workspace = gated("gate:\n  - {variant: plain, metric: ok, at_least: 0.9}\n");
    let summary = workspace.path().join("summary.md");
    let mut command = workspace.command(&["gate", "suite.yaml", "--quiet", "--junit", "out.xml"]);
    let output = command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("::error file=suite.yaml,line=11,col=5::plain ok at_least 0.9: 0.500 ["), "{stderr}");
    let summary = workspace.read("summary.md");
    assert!(summary.contains("**gate: FAIL, 1 of 1 rule**") && summary.contains("| FAIL | plain | ok |"), "{summary}");
    let junit = workspace.read("out.xml");
    assert!(junit.contains("<testcase name=\"plain ok at_least 0.9\"") && junit.contains("<failure"), "{junit}");
}

#[test]
fn only_the_variants_picked_are_judged() {
    let rules =
        "gate:\n  - {variant: plain, metric: ok, at_least: 0.9}\n  - {variant: polite, metric: ok, at_least: 0.3}\n";
    let workspace = gated(rules);
    let said = gate(&workspace, &["--variant", "polite"]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert!(said.stdout.ends_with("gate: pass, 1 rule\n"), "{}", said.stdout);
}

#[test]
fn labels_are_judged_against_a_baseline_file() {
    let workspace = gated(
        "gate:\n  - {variant: plain, metric: label.accuracy, no_worse_by: 0.05}\n  - {variant: plain, metric: label.f1_macro, no_worse_by: 0.1}\n",
    );
    let suite =
        workspace.read("suite.yaml").replace("  - contains: {name: ok}\n  - rouge_l\n", "  - label: [right, wrong]\n");
    workspace.write("suite.yaml", suite);
    let cases = crate::comparing::cases(100).replace(
        "c-1\", \"vars\": {\"q\": \"No. 1\"}, \"target\": \"right\"",
        "c-1\", \"vars\": {\"q\": \"No. 1\"}, \"target\": \"wrong\"",
    );
    workspace.write("cases.jsonl", cases);
    assert_eq!(gate(&workspace, &["--update-baseline", "base.json"]).code, Some(0));
    let same = gate(&workspace, &["--baseline", "base.json"]);
    assert_eq!(same.code, Some(0), "{}\n{}", same.stdout, same.stderr);
    let worse = gate(&workspace, &["--baseline", "base.json", "--model", "three.yaml"]);
    assert_eq!(worse.code, Some(1), "{}\n{}", worse.stdout, worse.stderr);
    assert!(worse.stdout.contains("plain label.accuracy no_worse_by 0.05: 0.500 → 0.300"), "{}", worse.stdout);
}

#[test]
fn what_a_baseline_file_rounds_away_is_no_difference() {
    let workspace = digits();
    workspace.write("suite.yaml", SUITE.replace("  - rouge_l\n", "  - edit_distance\n  - chrf\n"));
    assert_eq!(gate(&workspace, &["--update-baseline", "base.json"]).code, Some(0));
    assert!(workspace.read("base.json").contains("[0.071429]"), "rounded to six decimals");
    let said = gate(&workspace, &["--baseline", "base.json", "--format", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    let record: Value = serde_json::from_str(&said.stdout).unwrap();
    let comparisons = record["comparisons"].as_array().unwrap();
    assert!(comparisons.len() == 6 && comparisons.iter().all(|one| one["flipped"].as_array().unwrap().is_empty()));
}

#[test]
fn a_suite_that_asks_a_program_is_never_unchanged() {
    let workspace = repository("");
    let suite = SUITE.replace("  - rouge_l\n", "  - command: {name: own, run: [./judge.sh]}\n");
    workspace.write("suite.yaml", format!("{suite}{NO_WORSE}"));
    workspace.write("judge.sh", "#!/bin/sh\necho '{\"value\": true}'\n");
    git(&workspace, &["add", "."]);
    git(&workspace, &["commit", "-q", "-m", "second"]);
    let said = gate(&workspace, &["--base", "HEAD", "--allow-commands", "--limit", "2"]);
    assert!(!said.stderr.contains("unchanged") && workspace.run_folders().len() == 2, "{}", said.stderr);
}

#[test]
fn a_users_own_variable_called_model_is_no_path() {
    let workspace = repository(&format!("{NO_WORSE}template_vars: {{model: aaa}}\n"));
    assert!(gate(&workspace, &["--base", "HEAD"]).stderr.contains("nothing has changed"));
    workspace.write("suite.yaml", format!("{SUITE}{NO_WORSE}template_vars: {{model: bbb}}\n"));
    let said = gate(&workspace, &["--base", "HEAD", "--limit", "2"]);
    assert!(!said.stderr.contains("nothing has changed"), "{}", said.stderr);
}

#[test]
fn early_stopping_asks_variants_without_rules_whole() {
    let workspace = gated("gate:\n  - {variant: plain, metric: ok, at_least: 0.1}\n");
    workspace.write("cases.jsonl", crate::comparing::cases(200));
    let said = gate(&workspace, &["--early-stop", "--format", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let samples = crate::workspace::samples_of(&workspace.run_folder());
    let of = |variant: &str| samples.iter().filter(|sample| sample["trial"]["variant"] == variant).count();
    assert!(of("plain") < 200 && of("polite") == 200, "{} {}", of("plain"), of("polite"));
    let ruleless = digits();
    assert_eq!(gate(&ruleless, &["--update-baseline", "base.json"]).code, Some(0));
    let whole = gate(&ruleless, &["--baseline", "base.json", "--early-stop"]);
    assert!(whole.code == Some(0) && whole.stderr.contains("200 of 200 cases"), "{}", whole.stderr);
}

#[test]
fn a_gate_that_fails_for_being_undecided_leaves_the_baseline() {
    let workspace = gated("gate:\n  - {variant: plain, metric: ok, at_least: 0.52}\n");
    workspace.write("base.json", "not yet");
    let said = gate(
        &workspace,
        &["--on-undecided", "fail", "--baseline-model", "five.yaml", "--update-baseline", "base.json"],
    );
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert_eq!(workspace.read("base.json"), "not yet");
    let truncated = gate(&workspace, &["--early-stop", "--update-baseline", "base.json"]);
    assert!(truncated.stderr.contains("cannot be used with"), "{}", truncated.stderr);
}

#[test]
fn a_suite_that_cannot_be_judged_does_not_take_the_others_with_it() {
    let workspace = gated("gate:\n  - {variant: plain, metric: ok, at_least: 0.3}\n");
    workspace.write("needy.yaml", format!("{}{NO_WORSE}", SUITE.replace("suite: digits", "suite: needy")));
    let said = workspace.tripos(&["gate", "suite.yaml", "needy.yaml", "--quiet", "--junit", "out.xml"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let junit = workspace.read("out.xml");
    assert!(junit.contains("plain ok at_least 0.3") && junit.contains("<testsuite name=\"needy\""), "{junit}");
}

#[test]
fn names_from_files_cannot_speak_to_the_terminal_or_the_page() {
    let workspace = digits();
    let evil = crate::comparing::cases(3).replace("\"c-1\"", "\"x\\u001b[31m<img src=x>|\"");
    workspace.write("cases.jsonl", &evil);
    let before = ran(&workspace, &[]);
    workspace.write("cases.jsonl", crate::comparing::cases(3));
    let after = ran(&workspace, &[]);
    for format in ["table", "markdown"] {
        let said = workspace.ok(&["compare", &before, &after, "--format", format]);
        assert!(!said.stdout.contains('\u{1b}'), "{}", said.stdout);
        assert!(format == "table" || !said.stdout.contains("<img"), "{}", said.stdout);
    }
}

#[test]
fn a_rule_on_the_shares_and_tokens_of_a_run_leaves_out_cases_that_ask_something_else() {
    let workspace = gated("gate:\n  - {variant: plain, metric: prompt_tokens, no_worse_by: 0}\n");
    let baseline = ran(&workspace, &[]);
    let long = crate::comparing::cases(100).replace("\"No. 1", "\"A much longer question than before, No. 1");
    workspace.write("cases.jsonl", long);
    let said = gate(&workspace, &["--baseline", &baseline]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert!(said.stderr.contains("warning: 11 cases asked something else in the baseline"), "{}", said.stderr);
    assert!(line(&said, "pass").contains("the same in all 89 cases"), "{}", said.stdout);
}

#[test]
fn so_few_cases_that_nothing_could_be_proven_decide_nothing() {
    let workspace = digits();
    workspace.write("cases.jsonl", crate::comparing::cases(5));
    assert_eq!(gate(&workspace, &["--update-baseline", "base.json"]).code, Some(0));
    workspace.write("a.txt", "Never. {{ q }}!\n");
    let said = gate(&workspace, &["--baseline", "base.json"]);
    assert!(
        line(&said, "????").contains("3 lost, 0 won, p 1.000 (exact McNemar); so few cannot prove a drop"),
        "{}",
        said.stdout
    );
    assert_eq!(gate(&workspace, &["--baseline", "base.json", "--on-undecided", "fail"]).code, Some(1));
    let part = gate(&workspace, &["--update-baseline", "base.json", "--limit", "2"]);
    assert!(part.code == Some(2) && part.stderr.contains("a baseline is of a whole suite"), "{}", part.stderr);
}
