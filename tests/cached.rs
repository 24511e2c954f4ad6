//! The cache answers what was asked before, and nothing else.

use crate::workspace::{Workspace, model};

fn cached(stdout: &str) -> Option<&str> {
    stdout.lines().find(|line| line.contains("came from the cache"))
}

#[test]
fn a_second_run_is_answered_from_the_cache_with_the_same_scores() {
    let workspace = Workspace::llama();
    let first = workspace.ok(&["run", "suite.yaml", "--format", "json"]).stdout;
    let second = workspace.ok(&["run", "suite.yaml", "--format", "json"]).stdout;
    let metrics = |text: &str| {
        let run: serde_json::Value = serde_json::from_str(text).unwrap();
        (run["variants"][0]["metrics"].to_string(), run["variants"][1]["metrics"].to_string())
    };
    assert_eq!(metrics(&first), metrics(&second));
    let run: serde_json::Value = serde_json::from_str(&second).unwrap();
    assert_eq!(run["variants"][0]["cached"], 12);
    assert_eq!(run["variants"][0]["usage"]["prompt_tokens_decoded"], 0);
    assert!(run["variants"][0]["usage"]["prompt_tokens"].as_u64().unwrap() > 0);
    let table = workspace.ok(&["run", "suite.yaml"]).stdout;
    assert_eq!(cached(&table), Some("24 of 24 answers came from the cache"));
    let fresh = workspace.ok(&["run", "suite.yaml", "--no-cache"]).stdout;
    assert_eq!(cached(&fresh), None);
}

#[test]
fn a_swapped_model_does_not_answer_from_the_cache() {
    let workspace = Workspace::llama();
    std::fs::copy(model(), workspace.path().join("m.gguf")).unwrap();
    let arguments = ["run", "suite.yaml", "--model", "m.gguf", "--variant", "greedy"];
    workspace.ok(&arguments);
    assert!(cached(&workspace.ok(&arguments).stdout).is_some());
    // One weight's byte near the end of the file, at the same path.
    let mut bytes = std::fs::read(model()).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    std::fs::write(workspace.path().join("m.gguf"), bytes).unwrap();
    assert_eq!(cached(&workspace.ok(&arguments).stdout), None);
}

#[test]
fn another_mode_of_decoding_does_not_answer_from_the_cache() {
    let workspace = Workspace::llama();
    workspace.ok(&["run", "suite.yaml", "--variant", "greedy"]);
    assert_eq!(cached(&workspace.ok(&["run", "suite.yaml", "--variant", "greedy", "--kv", "exact"]).stdout), None);
}

#[test]
fn size_counts_and_prune_empties() {
    let workspace = Workspace::scripted();
    workspace.ok(&["run", "suite.yaml"]);
    assert!(workspace.ok(&["cache", "size"]).stdout.starts_with("6 answers"));
    assert!(workspace.ok(&["cache", "prune", "--days", "0"]).stdout.starts_with("removed 6 answers; left: 0 answers"));
    let size: serde_json::Value =
        serde_json::from_str(&workspace.ok(&["cache", "size", "--format", "json"]).stdout).unwrap();
    assert_eq!(size["answers"], 0);
}

#[test]
fn a_cache_folder_that_cannot_be_made_is_an_error_unless_no_cache_is_given() {
    let workspace = Workspace::scripted();
    workspace.write("file", "");
    let broken = workspace.path().join("file/cache");
    let run = |flags: &[&str]| {
        let mut all = vec!["run", "suite.yaml"];
        all.extend(flags);
        let output = workspace.command(&all).env("TRIPOS_CACHE", &broken).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, stderr) = run(&[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("the cache cannot be used") && stderr.contains("--no-cache"), "{stderr}");
    assert_eq!(run(&["--no-cache"]).0, Some(0));
}
