//! Policies: models that learn from judgements, or from their own answers, what to say.

use crate::rewards::judgements;
use crate::workspace::{Workspace, model, samples_of};
use serde_json::Value;

const DPO: &str = "recipe: policy\nkind: dpo\nmodel: MODEL\ndata: {file: pairs.jsonl}\nheld_out: {share: 0.2}\n\
                   train: {lora: {rank: 8, alpha: 16}}\nsequence: 64\nbatch: 8\nsteps: 60\nlanguage: 1\nevaluate: {every: 30}\n\
                   schedule: {lr: 3e-3}\noutput: policy.adapter.gguf\n";

#[test]
fn a_policy_learns_to_say_what_was_preferred() {
    let workspace = Workspace::new();
    workspace.write("pairs.jsonl", judgements(150));
    workspace.write("policy.yaml", DPO.replace("MODEL", &model().display().to_string()));
    workspace.ok(&["train", "policy.yaml", "-q"]);
    let folder = std::fs::read_dir(workspace.path().join("reports/train")).unwrap().next().unwrap().unwrap().path();
    let lines = std::fs::read_to_string(folder.join("evaluations.jsonl")).unwrap();
    let evaluations: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (first, last) = (&evaluations[0], evaluations.last().unwrap());
    assert!((first["held_out_loss"].as_f64().unwrap() - 2_f64.ln()).abs() < 1e-6, "it is its own reference: {first}");
    assert!(last["held_out_loss"].as_f64().unwrap() < 0.4, "{last}");
    assert_eq!(last["accuracy"], 1.0);
    // The very words, asked as it learned them.
    workspace.write("ask.yaml", "- user: \"{{ question }}\"\n");
    let suite = format!(
        "suite: asked\nmodel: {}\ncontext: 256\nsampling: {{max_tokens: 8, temperature: 0}}\ncases:\n  - {{vars: {{question: 'What is 901 + 1?'}}, \
         target: 'yes'}}\nscorers: [exact]\nvariants: [{{name: chat, prompt: ask.yaml}}]\n",
        model().display()
    );
    workspace.write("suite.yaml", suite);
    workspace.ok(&["run", "suite.yaml", "--adapter", "policy.adapter.gguf", "-q"]);
    let run = workspace.run_folders().into_iter().find(|run| !run.ends_with("train")).unwrap();
    let said = samples_of(&run)[0]["completion"]["text"].as_str().unwrap().to_owned();
    assert!(said.starts_with("yes"), "{said}");
}

#[test]
fn says_what_does_not_belong_to_a_policy() {
    let workspace = Workspace::new();
    workspace.write("pairs.jsonl", judgements(20));
    let recipe = DPO.replace("MODEL", &model().display().to_string());
    workspace.write("policy.yaml", recipe.replace("language: 1", "beta: 0\ncentring: 1\nlabels: [a, b]"));
    insta::assert_snapshot!(workspace.tripos(&["check", "policy.yaml"]).stderr, @r"
    error: `centring` belongs to `kind: reward`
      --> policy.yaml:11:1
      help: leave it out
    error: `labels` belong to `kind: classify`
      --> policy.yaml:12:1
      help: leave them out, or write `kind: classify`
    error: `beta` is 0
      --> policy.yaml:10:1
      help: it is more than 0
    ");
    workspace
        .write("sft.yaml", recipe.replace("kind: dpo", "kind: sft").replace("language: 1", "beta: 1\nrender: text"));
    let said = workspace.tripos(&["check", "sft.yaml"]).stderr;
    assert!(said.contains("error: `render` belongs to `kind: reward` and `kind: dpo`\n"), "{said}");
    assert!(said.contains("error: `beta` belongs to `kind: dpo`\n"), "{said}");
}
