//! `tripos run` on a scripted model: table, record, selection, exit codes.

use crate::workspace::{Workspace, samples_of};
use serde_json::Value;

#[test]
fn prints_one_row_a_variant_and_where_the_run_is() {
    let workspace = Workspace::scripted();
    let said = workspace.ok(&["run", "suite.yaml"]);
    insta::assert_snapshot!(said.stdout, @r"
    variant  exact                 n  unscored  no answer  cut
    ──────────────────────────────────────────────────────────
    a        0.667 [0.21, 0.94] =  3         0          1    0
    b        1.000 [0.44, 1.00] *  3         0          0    0

    variant  tokens in  out  tok/s  s/case
    ──────────────────────────────────────
    a              136   46      –       –
    b              106   49      –       –

    95 % intervals in brackets; * best, = not told apart from the best (intervals overlap)
    ");
    let folder = workspace.run_folder();
    assert!(
        said.stderr.contains(&format!("run: reports/{}", folder.file_name().unwrap().display())),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("6/6 trials (100 %)"), "{}", said.stderr);
}

#[test]
fn records_every_trial_in_the_shape_of_the_contract() {
    let workspace = Workspace::scripted();
    workspace.ok(&["run", "suite.yaml"]);
    let folder = workspace.run_folder();
    let samples = samples_of(&folder);
    assert_eq!(samples.len(), 6);
    let first = &samples[0];
    assert_eq!(first["trial"], serde_json::json!({"variant": "a", "case": "one", "repeat": 0}));
    assert_eq!(first["case"]["vars"]["q"], "What is 1 + 1?");
    assert_eq!(first["case"]["target"], "2");
    let prompt = first["prompt"]["text"].as_str().unwrap();
    assert_eq!(
        &prompt[usize::try_from(first["prompt"]["case_start"].as_u64().unwrap()).unwrap()..],
        "Q: What is 1 + 1?\nA:"
    );
    assert_eq!(first["completion"]["text"], "The answer is 2.");
    assert_eq!(first["completion"]["stop_reason"], "stop");
    assert_eq!(first["scores"][0]["scorer"], "exact");
    assert_eq!(first["scores"][0]["value"], true);
    assert_eq!(first["scores"][0]["answer"], "2");
    // No readable answer is wrong, not unscored.
    assert_eq!(samples[2]["scores"][0]["value"], false);
    assert_eq!(samples[2]["scores"][0]["answer"], Value::Null);
    let header: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("header.json")).unwrap()).unwrap();
    assert_eq!(header["schema"], 1);
    assert_eq!(header["status"], "complete");
    assert_eq!(header["run"].as_str(), folder.file_name().unwrap().to_str());
    assert_eq!(header["suite"]["variants"][0]["prompt"]["text"].as_str().unwrap().lines().last(), Some("A:"));
    assert_eq!(header["models"]["a"]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn json_is_one_document_a_suite_on_one_line() {
    let workspace = Workspace::scripted();
    let said = workspace.ok(&["run", "suite.yaml", "suite.yaml", "--format", "json"]);
    let documents: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents.len(), 2);
    let variant = &documents[0]["variants"][0];
    assert_eq!((documents[0]["schema"].as_u64(), documents[0]["suite"].as_str()), (Some(1), Some("sums")));
    let metric = &variant["metrics"][0];
    assert_eq!(metric["name"], "exact");
    assert_eq!(metric["n"], 3);
    assert_eq!(metric["no_answer"], 1);
    assert_eq!(metric["direction"], "higher");
    assert!((metric["value"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-12);
    // statsmodels.stats.proportion.proportion_confint(2, 3, method='wilson') -> (0.2076596, 0.9385081)
    assert!((metric["ci"][0].as_f64().unwrap() - 0.207_659_6).abs() < 1e-6);
    assert_eq!(variant["usage"]["prompt_tokens"], 136);
}

#[test]
fn markdown_is_a_table_for_pull_requests() {
    let said = Workspace::scripted().ok(&["run", "suite.yaml", "--format", "markdown"]);
    assert!(said.stdout.contains("| b | **1.000 [0.44, 1.00]** \\* | 3 | 0 | 0 | 0 |"), "{}", said.stdout);
}

#[test]
fn flags_pick_variants_cases_and_tags_and_narrow_each_other() {
    let workspace = Workspace::scripted();
    let cases = |arguments: &[&str]| {
        let out = tempfile::tempdir_in(workspace.path()).unwrap();
        let mut all = vec!["run", "suite.yaml", "--out", out.path().to_str().unwrap()];
        all.extend(arguments);
        workspace.ok(&all);
        let folder = std::fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
        let samples = samples_of(&folder);
        let _kept = out.keep();
        let ids = samples.iter().map(|s| format!("{}:{}", s["trial"]["variant"], s["trial"]["case"]).replace('"', ""));
        (ids.collect::<Vec<_>>(), folder)
    };
    assert_eq!(cases(&["--variant", "b", "--case", "two"]).0, ["b:two"]);
    assert_eq!(cases(&["--tag", "small", "--limit", "1"]).0, ["a:one", "b:one"]);
    assert_eq!(cases(&["--sample", "2", "--variant", "a"]).0.len(), 2);
    let (_, whole) = cases(&[]);
    assert_eq!(cases(&["--filter-failing", whole.to_str().unwrap()]).0, ["a:three", "b:three"]);
}

#[test]
fn by_tag_adds_a_table_for_each_tag() {
    let said = Workspace::scripted().ok(&["run", "suite.yaml", "--by", "tag"]);
    let (_, large) = said.stdout.split_once("tag large").unwrap();
    let (large, small) = large.split_once("tag small").unwrap();
    assert!(large.contains("a        0.000") && large.contains("b        1.000"), "{large}");
    assert!(small.contains("a        1.000") && small.contains("b        1.000"), "{small}");
}

#[test]
fn a_prompt_that_does_not_fit_is_unscored_said_once_and_an_error_for_check() {
    let workspace = Workspace::scripted();
    let long = "x".repeat(5_000);
    let suite = workspace.read("suite.yaml").replace("What is 30 + 3?", &long);
    workspace.write("suite.yaml", suite);
    let said = workspace.ok(&["run", "suite.yaml"]);
    assert_eq!(said.stderr.matches("warning: prompt does not fit: 50").count(), 1, "{}", said.stderr);
    let samples = samples_of(&workspace.run_folder());
    let long = samples.iter().find(|s| s["trial"]["variant"] == "b" && s["trial"]["case"] == "three").unwrap();
    let unscored = long["scores"][0]["value"]["unscored"].as_str().unwrap();
    assert!(
        unscored.starts_with("prompt does not fit: 5021 prompt + 64 max_tokens > 4096 context tokens"),
        "{unscored}"
    );
    assert_eq!(long["completion"], Value::Null);
    let checked = workspace.tripos(&["check", "suite.yaml"]);
    assert_eq!(checked.code, Some(2));
    assert!(checked.stderr.contains("(variant `b`, case `three`)"), "{}", checked.stderr);
    assert!(checked.stderr.contains("help: set `context: 5085` or more"), "{}", checked.stderr);
    assert_eq!(workspace.tripos(&["run", "suite.yaml", "--dry-run"]).code, Some(2));
    // Every case unscored is a failure.
    let all = workspace.tripos(&["run", "suite.yaml", "--case", "three"]);
    assert_eq!(all.code, Some(2), "{}", all.stderr);
}

#[test]
fn dry_run_shows_the_plan_and_tells_the_examples_and_the_case_apart() {
    let workspace = Workspace::scripted();
    let said = workspace.ok(&["run", "suite.yaml", "--dry-run"]);
    insta::assert_snapshot!(said.stdout, @r"
    sums: 2 variants × 3 cases = 6 trials

    ── variant a · case one
    model.yaml · none · context 4096 · max_tokens 64 · temperature 0
    [examples]
    Q: What is 5 + 5?
    A: 10
    [case]
    Q: What is 1 + 1?
    A: ⟵ 45 tokens

    ── variant b · case one
    model.yaml · none · context 4096 · max_tokens 64 · temperature 0
    Say only the number. What is 1 + 1? ⟵ 35 tokens
    ");
    assert!(workspace.run_folders().is_empty());
}

#[test]
fn show_prints_the_table_again_and_a_case_in_full() {
    let workspace = Workspace::scripted();
    let ran = workspace.ok(&["run", "suite.yaml"]);
    let folder = workspace.run_folder();
    let folder = folder.to_str().unwrap();
    assert_eq!(workspace.ok(&["show", folder]).stdout, ran.stdout);
    let case = workspace.ok(&["show", folder, "--case", "three", "--variant", "a"]).stdout;
    assert!(case.contains("[examples]\nQ: What is 5 + 5?\nA: 10\n[case]\nQ: What is 30 + 3?\nA:\n"), "{case}");
    assert!(case.contains("exact: fail, no answer"), "{case}");
    let none = workspace.tripos(&["show", folder, "--case", "thre"]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("did you mean `three`?"), "{}", none.stderr);
}

#[test]
fn a_closed_stdout_is_success() {
    let workspace = Workspace::scripted();
    let mut child = workspace
        .command(&["run", "suite.yaml", "--quiet"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn exit_codes_are_the_same_where_nobody_reads_stdout() {
    let workspace = Workspace::scripted();
    workspace.write("bad.txt", "{{ q }");
    let closed = |arguments: &[&str]| {
        let mut command = workspace.command(arguments);
        let mut child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    assert_eq!(closed(&["check", "a.txt", "bad.txt"]), Some(2));
    assert_eq!(closed(&["run", "suite.yaml", "suite.yaml"]), Some(0));
    assert_eq!(workspace.run_folders().len(), 2, "the second suite is run, too");
}

#[test]
fn a_metric_that_rests_on_fewer_cases_says_so() {
    let workspace = Workspace::scripted();
    let suite = workspace.read("suite.yaml").replace("target: 33", "target: many");
    workspace.write(
        "suite.yaml",
        suite.replace("  - number: {name: exact}", "  - number: {name: exact}\n  - contains: answer"),
    );
    let said = workspace.ok(&["run", "suite.yaml", "--variant", "b"]);
    assert!(
        said.stdout.contains("1.000 [0.34, 1.00] n 2") && said.stdout.contains("1.000 [0.44, 1.00] n 3"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_command_scorer_runs_only_when_allowed() {
    let workspace = Workspace::scripted();
    workspace.write("judge.sh", "#!/bin/sh\ncat > seen.json\necho '{\"value\": true, \"explanation\": \"fine\"}'\n");
    let suite = workspace.read("suite.yaml").replace("  - number: {name: exact}", "  - command: [sh, judge.sh]");
    workspace.write("suite.yaml", suite);
    let refused = workspace.tripos(&["run", "suite.yaml"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--allow-commands"), "{}", refused.stderr);
    assert!(workspace.run_folders().is_empty());
    let said = workspace.ok(&["run", "suite.yaml", "--allow-commands"]);
    assert!(said.stdout.contains("1.000"), "{}", said.stdout);
    assert!(workspace.read("seen.json").contains("\"vars\""));
}

#[test]
fn labels_get_their_figures_and_a_confusion_matrix() {
    let workspace = Workspace::new();
    workspace.write("p.txt", "Review: {{ text }}\nSentiment:");
    workspace.write(
        "m.yaml",
        "answers: [{when: good, say: positive}, {when: bad, say: negative}, {when: odd, say: positive}]\notherwise: hm\n",
    );
    workspace.write(
        "s.yaml",
        "suite: reviews\nmodel: {scripted: m.yaml}\ncases: {file: c.csv}\nscorers: [label]\nvariants: [{name: plain, prompt: p.txt}]\n",
    );
    workspace
        .write("c.csv", "text,target\ngood,positive\ngood one,positive\nbad,negative\nodd,negative\nmute,negative\n");
    let said = workspace.ok(&["run", "s.yaml"]);
    assert!(said.stdout.contains("label.accuracy"), "{}", said.stdout);
    insta::assert_snapshot!(said.stdout.split_once("truth down").unwrap().1, @r"
    , answer across
    truth     negative  positive  not understood
    ────────────────────────────────────────────
    negative         1         1               1
    positive         0         2               0
    ");
}

/// A suite of choices: the scripted model says how likely a text is by what it would answer.
fn choices(cases: &str, scorer: &str) -> Workspace {
    let workspace = Workspace::scripted();
    workspace.write("c.jsonl", cases);
    let (head, variants) =
        ("suite: s\nmodel: {scripted: model.yaml}\ncases: c.jsonl\n", "variants: [{name: plain, prompt: p.txt}]\n");
    workspace.write("p.txt", "{{ q }} The answer is");
    workspace.write("s.yaml", format!("{head}scorers: [{scorer}]\n{variants}"));
    workspace
}

const TWO: &str = "{\"id\":\"one\",\"vars\":{\"q\":\"1 + 1?\",\"choices\":[2,3]},\"target\":2}\n\
    {\"id\":\"two\",\"vars\":{\"q\":\"2 + 2?\",\"choices\":[\"three\",\"four\"]},\"target\":\"B\"}\n";

#[test]
fn choices_are_asked_without_a_completion_and_shown_with_their_calibration() {
    let workspace = choices(TWO, "choice");
    let said = workspace.ok(&["run", "s.yaml"]);
    insta::assert_snapshot!(said.stdout, @r"
    variant  choice.acc          choice.acc_norm     choice.brier
    ───────────────────────────────────────────────────────────────────
    plain    1.000 [0.34, 1.00]  0.500 [0.09, 0.91]  0.250 [0.00, 2.00]

    variant  choice.ece
    ───────────────────────────
    plain    0.255 [0.01, 0.50]

    variant  n  unscored  no answer  cut  tokens in  out  tok/s  s/case
    ───────────────────────────────────────────────────────────────────
    plain    2         0          0    0         40    –      –       –

    95 % intervals in brackets
    prefix tree: 42 of 114 prompt and candidate tokens decoded (63 % saved)

    variant  choice.acc_bytes    choice.acc_mi
    ───────────────────────────────────────────────
    plain    0.500 [0.09, 0.91]  0.500 [0.09, 0.91]

    plain · choice: how sure, how often right (a gap below 0 is overconfidence)
    confidence  n   mean  right     gap
    ───────────────────────────────────
    0.4 to 0.5  1  0.500  1.000  +0.500
    0.9 to 1.0  1  0.990  1.000  +0.010
    (all)       2  0.745  1.000  +0.255
    ");
    let folder = workspace.run_folder();
    let samples = samples_of(&folder);
    assert_eq!(samples[1]["completion"], Value::Null);
    assert_eq!(samples[1]["likelihood"][1]["text"], " four");
    let case = workspace.ok(&["show", folder.to_str().unwrap(), "--case", "two"]).stdout;
    insta::assert_snapshot!(case, @r#"
    ── variant plain · case two ────────────────────────────────────────────────────
    2 + 2? The answer is
    [candidates: log-probability, tokens, text]
       -23.131    6  " three"  (-23.131 without the prompt)
       -18.526    5  " four"  (-18.526 without the prompt)
    [target: B]
    choice: pass (answer `four`): `four` 0.99, `three` 0.01 [acc_norm 0.0000, acc_bytes 0.0000, acc_mi 0.0000, brier 0.0002, confidence 0.9901]
    "#);
    let json: Value =
        serde_json::from_str(&workspace.ok(&["show", folder.to_str().unwrap(), "--format", "json"]).stdout).unwrap();
    let bins = json["variants"][0]["reliability"]["choice"].as_array().unwrap();
    assert_eq!(bins.len(), 10);
    assert_eq!(json["variants"][0]["usage"]["judge_tokens_decoded"], 0);
    let brier = json["variants"][0]["metrics"].as_array().unwrap().iter().find(|m| m["name"] == "choice.brier");
    assert_eq!(brier.unwrap()["direction"], "lower");
}

#[test]
fn a_case_without_its_choices_is_unscored_beside_others_and_an_error_for_check() {
    let workspace =
        choices(&format!("{TWO}{{\"id\":\"three\",\"vars\":{{\"q\":\"?\"}},\"target\":\"x\"}}\n"), "choice");
    let said = workspace.ok(&["run", "s.yaml"]);
    assert!(said.stderr.contains("warning: the case has no variable `choices`"), "{}", said.stderr);
    let samples = samples_of(&workspace.run_folder());
    let three = samples.iter().find(|sample| sample["trial"]["case"] == "three").unwrap();
    assert_eq!(three["scores"][0]["value"]["unscored"], "the case has no variable `choices` with its choices");
    assert_eq!(three["likelihood"], Value::Null);
    assert_eq!(workspace.tripos(&["check", "s.yaml"]).code, Some(2));
}

#[test]
fn targets_have_a_perplexity_and_labels_a_likelihood() {
    let workspace = choices(TWO, "perplexity, {label: {labels: ['2', B], by: likelihood}}");
    let said = workspace.ok(&["run", "s.yaml", "--format", "json"]);
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    let metrics = json["variants"][0]["metrics"].as_array().unwrap();
    let named = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap_or(&Value::Null);
    assert!(named("perplexity")["value"].as_f64().unwrap() >= 1.0);
    assert_eq!(named("perplexity.bits_per_byte")["direction"], "lower");
    assert_eq!((&named("label.accuracy")["n"], &named("label.ece")["n"]), (&Value::from(2), &Value::from(2)));
}

#[test]
fn another_model_judges_by_the_likelihood_of_its_verdict() {
    let judge = "{judge_model: {model: {scripted: judge.yaml}, prompt: judge.txt, choices: [yes, no]}}, \
        {judge_model: {name: duel, model: {scripted: judge.yaml}, prompt: duel.txt, choices: [A, B], against: target}}";
    let workspace = choices(TWO, judge);
    workspace
        .write("judge.yaml", "answers: [{when: 'Good', say: ' yes'}, {when: 'A: two', say: ' A'}]\notherwise: ' B'\n");
    workspace.write("judge.txt", "{{ q }} {{ completion }} Good?");
    workspace.write("duel.txt", "A: {{ a }} B: {{ b }} Better:");
    let said = workspace.ok(&["run", "s.yaml", "--format", "json"]);
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    let metrics = json["variants"][0]["metrics"].as_array().unwrap();
    let names: Vec<&str> = metrics.iter().map(|metric| metric["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["judge_model", "duel", "duel.position_bias"]);
    assert!(metrics[0]["value"].as_f64().unwrap() > 0.5, "{json}");
    assert!(json["variants"][0]["usage"]["judge_tokens_decoded"].as_u64().unwrap() > 0);
    let samples = samples_of(&workspace.run_folder());
    assert_eq!(samples[0]["scores"][1]["parts"]["verdicts"].as_array().unwrap().len(), 2);
}
