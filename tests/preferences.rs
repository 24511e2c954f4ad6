//! `tripos preferences`: the real program on rankings, runs and files of others.

use crate::ranking_server::{ran, workspace};
use crate::workspace::{Workspace, root};
use serde_json::{Value, json};

fn rows(workspace: &Workspace, name: &str) -> Vec<Value> {
    workspace.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_gives_what_passes_against_what_fails() {
    let workspace = workspace(8);
    let run = ran(&workspace);
    let said = workspace.tripos(&["preferences", &run, "-o", "p.jsonl"]);
    assert!(said.code == Some(2) && said.stderr.contains("name one of the run's: --scorer NAME"), "{}", said.stderr);
    let said = workspace.ok(&["preferences", &run, "-o", "p.jsonl", "--scorer", "number"]);
    assert_eq!(said.stdout, "wrote p.jsonl: 12 pairs\n6 prompts in all\n");
    insta::assert_snapshot!(said.stderr.replace(&run, "RUN"), @r"
    RUN: a run, 8 rows, 12 pairs
    left out: 6 pairs of level answers, 2 cases with one answer
    ");
    for pair in rows(&workspace, "p.jsonl") {
        let target =
            if pair["prompt"].as_str().unwrap().contains(['0', '2', '4', '6']) { "It is 2." } else { "I think 3." };
        assert_eq!(pair["chosen"], target, "{pair}");
        assert!(pair["group"].as_str().unwrap().contains("/c") && pair.get("margin").is_none(), "{pair}");
    }
    let said = workspace.ok(&[
        "preferences",
        &run,
        "-o",
        "q.jsonl",
        "--scorer",
        "number",
        "--variant",
        "one",
        "--variant",
        "two",
    ]);
    assert!(said.stdout.starts_with("wrote q.jsonl: 6 pairs"), "{}", said.stdout);
}

#[test]
fn rankings_become_pairs_and_simulated_raters_only_where_they_are_asked_for() {
    let workspace = workspace(8);
    let run = ran(&workspace);
    workspace.ok(&["rank", &run, "--simulate", "number", "--out", "r.jsonl"]);
    let said = workspace.tripos(&["preferences", "r.jsonl", "-o", "p.jsonl"]);
    assert!(said.code == Some(2) && !workspace.path().join("p.jsonl").exists());
    insta::assert_snapshot!(said.stderr, @r"
    error: no pair is left
      --> r.jsonl
      help: left out: 6 judgements by simulated raters (--simulated takes them)
    ");
    let said = workspace.ok(&["preferences", "r.jsonl", "-o", "p.jsonl", "--simulated", "--format", "json"]);
    let counts: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&counts["pairs"], &counts["dropped"], &counts["prompts"]),
        (&json!(12), &json!({"level": 6}), &json!(6))
    );
    assert_eq!(counts["files"][0]["kind"], "rankings");
    // What it wrote, it reads: the same pairs again, none of them new.
    let said = workspace.ok(&["preferences", "p.jsonl", "p.jsonl", "-o", "again.jsonl", "--format", "json"]);
    let counts: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(counts["dropped"], json!({"duplicate": 12}));
    assert_eq!(rows(&workspace, "again.jsonl"), rows(&workspace, "p.jsonl"));
}

#[test]
fn a_split_keeps_prompts_apart_and_says_so_when_others_did_not() {
    let workspace = Workspace::new();
    let row = |i: usize| format!("{{\"prompt\":\"Q{}\",\"chosen\":\"a{i}\",\"rejected\":\"b\"}}\n", i / 3);
    workspace.write("all.jsonl", (0..300).map(row).collect::<String>());
    let split = ["preferences", "all.jsonl", "-o", "train.jsonl", "--test", "0.2", "--test-out", "test.jsonl"];
    let said = workspace.ok(&split);
    assert!(said.stdout.contains("no prompt of which is in the other"), "{}", said.stdout);
    let (train, test) = (rows(&workspace, "train.jsonl"), rows(&workspace, "test.jsonl"));
    assert_eq!(train.len() + test.len(), 300);
    assert!(!test.is_empty() && test.iter().all(|one| train.iter().all(|other| one["prompt"] != other["prompt"])));
    workspace.ok(&["preferences", "train.jsonl", "-o", "x.jsonl", "--apart-from", "test.jsonl"]);
    let said = workspace.tripos(&["preferences", "all.jsonl", "-o", "y.jsonl", "--apart-from", "test.jsonl"]);
    assert!(said.code == Some(2) && said.stderr.contains("of the prompts are also in test.jsonl:"), "{}", said.stderr);
    let said = workspace.tripos(&["preferences", "all.jsonl", "-o", "./all.jsonl"]);
    assert!(
        said.code == Some(2) && said.stderr.contains("the result would overwrite what it is made of"),
        "{}",
        said.stderr
    );
    assert_eq!(rows(&workspace, "all.jsonl").len(), 300);
}

/// A chat is a prompt of messages, not the text that the template makes of it; a prefill belongs to the answer.
#[test]
fn a_chat_run_gives_messages() {
    let workspace = workspace(4);
    let template = "chat_template: \"{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}\"\n";
    for (name, say) in [("one", " It is 2."), ("two", " I think 3.")] {
        workspace.write(&format!("{name}.yaml"), format!("{template}otherwise: '{say}'\n"));
    }
    workspace.write("chat.yaml", "- system: Be brief.\n- user: '{{ q }}'\n- assistant: 'Well:'\n");
    let suite = workspace.read("suite.yaml").replace("q.txt", "chat.yaml");
    workspace.write("suite.yaml", suite.split("  - {name: three").next().unwrap());
    let run = ran(&workspace);
    workspace.ok(&["preferences", &run, "-o", "p.jsonl", "--scorer", "number"]);
    let pair = &rows(&workspace, "p.jsonl")[0];
    assert_eq!(
        pair["prompt"],
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 0?"}])
    );
    assert_eq!((&pair["chosen"], &pair["rejected"]), (&json!("Well: It is 2."), &json!("Well: I think 3.")));
}

#[test]
fn public_preferences_are_read_as_they_are() {
    let data = root().join("../shared/data/gsm8k");
    if !data.exists() {
        println!("skipped: ../shared/data is not here");
        return;
    }
    let (train, test) = (data.join("preferences_train.jsonl"), data.join("preferences_test.jsonl"));
    let (train, test) = (train.to_str().unwrap(), test.to_str().unwrap());
    let workspace = Workspace::new();
    let said = workspace.ok(&["preferences", train, "-o", "p.jsonl", "--apart-from", test, "--format", "json"]);
    let counts: Value = serde_json::from_str(&said.stdout).unwrap();
    let (pairs, rows) = (counts["pairs"].as_u64().unwrap(), counts["files"][0]["rows"].as_u64().unwrap());
    let dropped: u64 = counts["dropped"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(rows == 4_186 && pairs > 4_000 && pairs + dropped == rows, "{counts}");
}
