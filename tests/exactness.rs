//! The llama engine says the same thing every time, and under `--kv exact` whatever else is in the run.

use crate::workspace::{Workspace, samples_of, without_times};
use serde_json::Value;
use std::collections::BTreeMap;

/// The samples of one run with these flags, the cache off.
fn run(workspace: &Workspace, flags: &[&str]) -> Vec<Value> {
    let out = tempfile::tempdir_in(workspace.path()).unwrap();
    let mut arguments = vec!["run", "suite.yaml", "--no-cache", "--out", out.path().to_str().unwrap()];
    arguments.extend(flags);
    workspace.ok(&arguments);
    let folder = std::fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
    samples_of(&folder)
}

fn texts(samples: &[Value]) -> BTreeMap<String, String> {
    samples.iter().map(|s| (s["trial"].to_string(), s["completion"]["text"].to_string())).collect()
}

#[test]
fn the_same_run_gives_the_same_samples_byte_for_byte_with_eight_in_flight() {
    let workspace = Workspace::llama();
    let once: Vec<String> = run(&workspace, &["--parallel", "8"]).iter().map(without_times).collect();
    let again: Vec<String> = run(&workspace, &["--parallel", "8"]).iter().map(without_times).collect();
    assert_eq!(once.len(), 24);
    assert_eq!(once, again);
}

#[test]
fn another_seed_moves_what_is_sampled_and_nothing_else() {
    let workspace = Workspace::llama();
    // The bundled model is sure of itself: it takes heat to move it.
    workspace.write("suite.yaml", workspace.read("suite.yaml").replace("temperature: 0.8", "temperature: 2.5"));
    let (one, two) = (texts(&run(&workspace, &["--seed", "1"])), texts(&run(&workspace, &["--seed", "2"])));
    let moved: Vec<&String> =
        one.iter().filter(|(trial, text)| two[*trial] != **text).map(|(trial, _)| trial).collect();
    assert!(!moved.is_empty());
    assert!(moved.iter().all(|trial| trial.contains("warm")), "{moved:?}");
}

#[test]
fn under_kv_exact_a_text_does_not_depend_on_what_else_is_run() {
    let workspace = Workspace::llama();
    let whole = texts(&run(&workspace, &["--kv", "exact"]));
    assert_eq!(whole.len(), 24);
    let part = |flags: &[&str]| {
        let mut all = vec!["--kv", "exact"];
        all.extend(flags);
        let part = texts(&run(&workspace, &all));
        assert!(!part.is_empty() && part.len() < whole.len());
        for (trial, text) in &part {
            assert_eq!(text, &whole[trial], "{trial} with {flags:?}");
        }
    };
    part(&["--limit", "3"]);
    part(&["--case", "s-7", "--case", "s-2"]);
    part(&["--variant", "warm"]);
    // Another order: the cases turned round.
    let suite = workspace.read("suite.yaml");
    let cases: Vec<String> = run(&workspace, &["--variant", "greedy"])
        .iter()
        .rev()
        .map(|s| {
            format!("  - {{id: {}, vars: {}, target: {}}}", s["trial"]["case"], s["case"]["vars"], s["case"]["target"])
        })
        .collect();
    let (head, tail) = suite.split_once("cases:").unwrap();
    let (_, tail) = tail.split_once("scorers:").unwrap();
    workspace.write("suite.yaml", format!("{head}cases:\n{}\nscorers:{tail}", cases.join("\n")));
    assert_eq!(texts(&run(&workspace, &["--kv", "exact"])), whole);
}

#[test]
fn one_batch_of_many_gives_the_greedy_answers_of_one_at_a_time() {
    let workspace = Workspace::llama();
    let flags = ["--variant", "greedy", "--parallel", "8"];
    let together = texts(&run(&workspace, &flags));
    let alone = texts(&run(&workspace, &["--variant", "greedy", "--kv", "exact"]));
    // Batches round differently in the last digit; on this model and these cases no greedy choice is that close.
    assert_eq!(together, alone);
}

#[test]
fn bos_is_there_once_and_control_spellings_in_a_case_are_plain_text() {
    let workspace = Workspace::llama();
    workspace.write("chat.yaml", "- user: \"{{ q }}\"\n");
    let suite = workspace.read("suite.yaml");
    let (head, _) = suite.split_once("cases:").unwrap();
    workspace.write(
        "suite.yaml",
        format!(
            "{head}cases:\n  - {{id: plain, vars: {{q: What is 1 + 2?}}, target: 3}}\n  - {{id: odd, vars: {{q: 'a <|im_end|> b <|endoftext|>'}}, target: 3}}\nscorers: [number]\nvariants: [{{name: text, prompt: qa.txt}}, {{name: chat, prompt: chat.yaml}}]\n"
        ),
    );
    let samples = run(&workspace, &[]);
    let tokens = |variant: &str, case: &str| -> Vec<u64> {
        let trial = serde_json::json!({"variant": variant, "case": case, "repeat": 0});
        let sample = samples.iter().find(|s| s["trial"] == trial).unwrap();
        sample["prompt"]["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect()
    };
    // tokenizer.ggml.tokens of the bundled model: 0 is <|endoftext|> (BOS), 1 <|im_start|>, 2 <|im_end|>.
    for variant in ["text", "chat"] {
        for case in ["plain", "odd"] {
            let tokens = tokens(variant, case);
            assert_eq!(tokens.iter().filter(|t| **t == 0).count(), 1, "{variant} {case} {tokens:?}");
            assert_eq!(tokens[0], 0);
        }
    }
    assert_eq!(tokens("text", "odd").iter().filter(|t| **t == 2).count(), 0);
    // The template's own are control tokens, and there are as many of them as without the spellings.
    let ends = |case: &str| tokens("chat", case).iter().filter(|t| **t == 2).count();
    assert!(ends("plain") > 0);
    assert_eq!(ends("plain"), ends("odd"));
}
