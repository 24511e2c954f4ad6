//! The smaller commands, and that the README tells the truth about all of them.

use crate::workspace::{Workspace, root};
use std::path::Path;

#[test]
fn init_writes_a_suite_that_passes_check_and_runs() {
    let workspace = Workspace::new();
    let said = workspace.ok(&["init", "mine"]);
    assert!(said.stdout.contains("now: tripos run mine/suite.yaml"), "{}", said.stdout);
    workspace.ok(&["check", "mine/suite.yaml", "mine/ask.txt", "mine/steps.txt"]);
    let ran = workspace.ok(&["run", "mine/suite.yaml"]);
    assert!(ran.stdout.contains("step_by_step  0.667"), "{}", ran.stdout);
    let again = workspace.tripos(&["init", "mine"]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
}

#[test]
fn init_with_a_model_asks_that_model() {
    let workspace = Workspace::new();
    let model = crate::workspace::model();
    workspace.ok(&["init", "mine", "--model", model.to_str().unwrap()]);
    let ran = workspace.ok(&["run", "mine/suite.yaml"]);
    assert!(ran.stdout.contains("zero_shot") && ran.stdout.contains("few_shot"), "{}", ran.stdout);
}

#[test]
fn check_says_what_a_good_file_is_and_speaks_json() {
    let workspace = Workspace::scripted();
    workspace.write("chat.yaml", "- system: Be brief.\n- user: '{{ q }}'\n");
    let said = workspace.ok(&["check", "suite.yaml", "a.txt", "chat.yaml"]);
    assert_eq!(said.stdout, "suite.yaml: ok (2 variants, 3 cases)\na.txt: ok (prompt)\nchat.yaml: ok (chat prompt)\n");
    workspace.write("bad.txt", "{{ q }");
    let said = workspace.tripos(&["check", "bad.txt", "--format", "json"]);
    assert_eq!(said.code, Some(2));
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["files"][0]["ok"], false);
    assert_eq!(report["files"][0]["problems"][0]["line"], 1);
}

#[test]
fn completions_are_printed_for_each_shell() {
    let workspace = Workspace::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(workspace.ok(&["completions", shell]).stdout.contains("tripos"));
    }
}

#[test]
fn a_context_beyond_the_models_training_is_a_warning() {
    let workspace = Workspace::llama();
    let said = workspace.ok(&["check", "suite.yaml", "--context", "2048"]);
    assert!(said.stderr.contains("warning: a context of 2048 tokens is beyond the 512"), "{}", said.stderr);
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    let workspace = Workspace::new();
    assert_eq!(workspace.tripos(&["run"]).code, Some(2));
    assert_eq!(workspace.tripos(&["run", "x.yaml", "--limit", "many"]).code, Some(2));
    assert_eq!(workspace.tripos(&["--help"]).code, Some(0));
    assert_eq!(workspace.tripos(&["--version"]).code, Some(0));
}

/// The README's section between the two markers, made by `tripos help`.
#[test]
fn the_readme_shows_the_help_that_the_program_prints() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let workspace = Workspace::new();
    let commands = [
        "run",
        "check",
        "init",
        "show",
        "compare",
        "gate",
        "report",
        "history",
        "train",
        "merge",
        "quantize",
        "model show",
        "model pull",
        "model list",
        "model rm",
        "rank",
        "preferences",
        "fix",
        "lineage",
        "chat",
        "lm natural",
        "lm next",
        "lm rank",
        "tokens",
        "import peft",
        "import promptfoo",
        "import lm-eval",
        "cache",
    ];
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = workspace.ok(&arguments).stdout;
        let shown = format!("```text\n$ tripos {command} --help\n{}```", help.trim_start());
        assert!(readme.contains(&shown), "README.md does not hold this:\n{shown}");
    }
}

#[test]
fn every_file_that_the_readme_names_exists() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let links = regex::Regex::new(r"\]\(([^)#:]+)\)").unwrap();
    for link in links.captures_iter(&readme) {
        let target = root().join(&link[1]);
        assert!(Path::exists(&target), "README.md links to {}", &link[1]);
    }
}
