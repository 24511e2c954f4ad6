//! The examples of the contract are read as it says.

use crate::workspace::{Workspace, model};

/// The suite of contract.md, section 1, as it stands there.
const CONTRACT: &str = r#"suite: arithmetic
description: Sums and differences, asked several ways.
model: ../models/tripos-tiny.gguf        # paths are relative to this file
context: 512
kv_type: f16                             # f16 (default), f32, q8_0
sampling: {max_tokens: 128, temperature: 0}

cases:
  generate:
    count: 200
    seed: 7
    let: {a: {int: [100, 999]}, b: {int: [100, 999]}, who: {pick: [Ann, Tom]}}
    split: held_out                      # all (default), held_out, train: see below
    case: {id: "a-{{ index }}", vars: {question: "What is {{ a }} + {{ b }}?"}, target: "{{ a + b }}", tags: [add]}
examples:                                # the few-shot pool, same shapes as cases
  generate: {count: 20, seed: 8, let: {a: {int: [10, 99]}, b: {int: [10, 99]}},
             case: {vars: {question: "What is {{ a }} + {{ b }}?"}, target: "{{ a + b }}"}}

answer: {take: number, which: last}      # number, letter, last_line, json (pointer:), pattern (regex:, group:), text
scorers:
  - number: {name: exact}                # name defaults to the kind
variants:
  - {name: zero_shot, prompt: ../prompts/qa.txt}
  - {name: few_shot, prompt: ../prompts/qa.txt, examples: {count: 4, select: random, seed: 1}}   # first, random, balanced, similar
  - {name: cot_zero, prompt: ../prompts/cot.txt, then: {prompt: ../prompts/extract.txt}}          # two stages
  - {name: vote, prompt: ../prompts/cot.txt, sampling: {temperature: 0.7}, repeats: 8, reduce: majority}
gate:
  - {variant: few_shot, metric: exact, no_worse_by: 0.02}
  - {variant: vote, metric: exact, at_least: 0.8, confidence: 0.95}
max_unscored: 0.05
"#;

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("models/tripos-tiny.gguf", std::fs::read(model()).unwrap());
    workspace.write(
        "prompts/qa.txt",
        "{% for e in examples %}Q: {{ e.question }}\nA: {{ e.target }}\n\n{% endfor %}Q: {{ question }}\nA:",
    );
    workspace.write("prompts/cot.txt", "Q: {{ question }}\nA: Let's think step by step.");
    workspace.write("prompts/extract.txt", "{{ completion }}\nTherefore, the answer is");
    workspace
}

/// The errors of a suite text, without their places.
fn errors(text: &str) -> Vec<String> {
    let workspace = workspace();
    workspace.write("suites/s.yaml", text);
    let said = workspace.tripos(&["check", "suites/s.yaml"]);
    said.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).map(str::to_owned).collect()
}

#[test]
fn the_suite_of_the_contract_is_whole() {
    assert_eq!(errors(CONTRACT), [""; 0]);
}

#[test]
fn the_other_shapes_of_cases_are_read() {
    let start = CONTRACT.find("cases:").unwrap();
    let end = CONTRACT.find("examples:").unwrap();
    let with = |cases: &str| {
        let workspace = workspace();
        workspace.write("suites/arithmetic.cases.jsonl", "{\"vars\":{\"question\":\"What is 1 + 1?\"},\"target\":2}\n");
        workspace.write("suites/gsm8k.jsonl", "{\"question\":\"What is 1 + 1?\",\"answer\":\"#### 2\"}\n");
        workspace.write("suites/book.txt", "It was the best of times.\n");
        workspace.write("suites/s.yaml", format!("{}{cases}\n{}", &CONTRACT[..start], &CONTRACT[end..]));
        workspace.tripos(&["check", "suites/s.yaml"]).stderr
    };
    assert_eq!(with("cases: arithmetic.cases.jsonl"), "");
    assert_eq!(with("cases: {file: gsm8k.jsonl, vars: {question: question}, target: answer, limit: 100}"), "");
    // Texts are read, but a suite that asks questions cannot be about them.
    let text = with("cases: {text: book.txt}            # perplexity of long text");
    assert!(text.contains("scorer `number` judges answers, and the cases are texts"), "{text}");
    assert!(text.contains("a variant has no `prompt` here"), "{text}");
}

#[test]
fn a_matrix_is_every_combination_named_by_its_parts() {
    let start = CONTRACT.find("variants:").unwrap();
    let end = CONTRACT.find("gate:").unwrap();
    let matrix = "matrix: {prompt: [../prompts/qa.txt, ../prompts/cot.txt], model: [../models/tripos-tiny.gguf], examples: [0, 4]}\n";
    let gate_free = format!("{}{matrix}", &CONTRACT[..start]);
    assert!(end > start);
    let workspace = workspace();
    workspace.write("suites/s.yaml", gate_free);
    let said = workspace.ok(&["run", "suites/s.yaml", "--limit", "1", "--format", "json"]);
    let run: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let names: Vec<&str> = run["variants"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["qa/tripos-tiny/0-shot", "qa/tripos-tiny/4-shot", "cot/tripos-tiny/0-shot", "cot/tripos-tiny/4-shot"]
    );
}

/// The documents of contract.md, section 4: what `compare` prints has each of these keys, and the baseline is read.
#[test]
fn comparisons_and_baselines_have_the_contracts_shape() {
    let workspace = crate::comparing::digits();
    let run = crate::comparing::ran(&workspace, &[]);
    let said = workspace.ok(&["compare", &format!("{run}:plain"), &format!("{run}:polite"), "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(document["schema"], 1);
    let keys = [
        "metric",
        "baseline",
        "candidate",
        "n",
        "discordant",
        "difference",
        "ci",
        "test",
        "p_value",
        "p_adjusted",
        "minimum_detectable",
        "verdict",
        "flipped",
        "only_baseline",
        "only_candidate",
        "unscored",
    ];
    let comparison = document["comparisons"][0].as_object().unwrap();
    assert!(keys.iter().all(|key| comparison.contains_key(*key)), "{comparison:?}");
    assert!(
        ["run", "variant", "value"].iter().all(|key| comparison["baseline"].as_object().unwrap().contains_key(*key))
    );
    let text = r#"{"schema":1,"suite":"digits","suite_sha256":"…","models":{"plain":"<sha256>"},"variants":{"plain":{"ok":{"c-17":[1]}}}}"#;
    workspace.write("base.json", text);
    workspace.write(
        "rules.yaml",
        format!("{}gate: [{{variant: plain, metric: ok, no_worse_by: 0.5}}]\n", crate::comparing::SUITE),
    );
    let gated = workspace.tripos(&["gate", "rules.yaml", "--baseline", "base.json", "--format", "json"]);
    let record: serde_json::Value = serde_json::from_str(&gated.stdout).unwrap();
    assert_eq!((&record["comparisons"][0]["n"], gated.code), (&1.into(), Some(0)), "{}", gated.stderr);
}
