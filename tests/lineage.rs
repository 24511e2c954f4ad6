//! `tripos lineage`: the way back from what was made to what it was made from.

use crate::workspace::Workspace;
use serde_json::Value;

/// A run of the scripted model, and pairs made of it.
fn made() -> (Workspace, String) {
    let workspace = Workspace::scripted();
    let run = workspace.ok(&["run", "suite.yaml", "--format", "json"]).stdout;
    let run: Value = serde_json::from_str(&run).unwrap();
    (workspace, run["run"].as_str().unwrap().to_owned())
}

#[test]
fn a_run_leads_back_to_its_suite_and_its_model_and_says_what_has_changed() {
    let (workspace, run) = made();
    let said = workspace.ok(&["lineage", &run]).stdout;
    assert!(said.starts_with(&format!("run reports/{run} (")), "{said}");
    assert!(said.contains("─ suite ") && said.contains("suite.yaml: as it was\n"), "{said}");
    assert!(said.contains("─ model ") && said.ends_with("everything recorded is what it was\n"), "{said}");
    // A part of it, asked with another seed, is of the same suite.
    let part = workspace.ok(&["run", "suite.yaml", "--limit", "2", "--seed", "7", "--format", "json"]).stdout;
    let part: Value = serde_json::from_str(&part).unwrap();
    let said = workspace.ok(&["lineage", part["run"].as_str().unwrap()]).stdout;
    assert!(said.ends_with("everything recorded is what it was\n"), "{said}");
    // The negative twin: another suite under the same name, and a model that is gone.
    let text = std::fs::read_to_string(workspace.path().join("suite.yaml")).unwrap();
    workspace.write("suite.yaml", text.replacen("suite: ", "suite: other_", 1));
    let said = workspace.ok(&["lineage", &run]).stdout;
    assert!(said.contains("suite.yaml: CHANGED\n") && said.ends_with("1 changed, 0 gone\n"), "{said}");
    std::fs::remove_file(workspace.path().join("suite.yaml")).unwrap();
    let said = workspace.ok(&["lineage", &run]).stdout;
    assert!(said.contains("suite.yaml: GONE\n") && said.ends_with("0 changed, 1 gone\n"), "{said}");
}

#[test]
fn pairs_lead_back_to_the_run_that_they_were_made_of_as_long_as_they_are_those() {
    let workspace = Workspace::new();
    workspace.write("pairs.jsonl", "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n");
    workspace.ok(&["preferences", "pairs.jsonl", "-o", "mine.jsonl", "-q"]);
    let step = |file: &str| -> Value {
        let said = workspace.ok(&["lineage", file, "--format", "json"]).stdout;
        serde_json::from_str::<Value>(&said).unwrap()["lineage"].clone()
    };
    let found = step("mine.jsonl");
    assert_eq!((&found["state"], &found["from"][0]["state"]), (&"same".into(), &"same".into()), "{found}");
    let from = &found["from"][0];
    assert_eq!(from["role"], "preferences");
    assert!(std::path::Path::new(from["path"].as_str().unwrap()).is_absolute(), "wherever it is asked later: {from}");
    workspace.write("pairs.jsonl", "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"d\"}\n");
    assert_eq!(step("mine.jsonl")["from"][0]["state"], "changed");
    // The note is of what was written, and of nothing else.
    workspace.write("mine.jsonl", "{\"prompt\":\"x\",\"chosen\":\"y\",\"rejected\":\"z\"}\n");
    let said = workspace.tripos(&["lineage", "mine.jsonl"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("error: `mine.jsonl` does not say what it was made from\n"), "{}", said.stderr);
}

#[test]
fn the_bundled_model_says_of_which_base_and_recipe_it_is() {
    let workspace = Workspace::new();
    let model = crate::workspace::model();
    let said = workspace.ok(&["lineage", model.to_str().unwrap()]).stdout;
    assert!(said.contains("└─ base ") && said.contains("tripos-tiny-base.gguf"), "{said}");
    assert!(said.contains("whose training run is not here"), "{said}");
    let said = workspace.tripos(&["lineage", "nothing.gguf"]);
    insta::assert_snapshot!(said.stderr, @r"
    error: cannot read `nothing.gguf`: it does not exist
      --> nothing.gguf
      help: give a GGUF file, the folder of a run or of a training run, or a file that `tripos preferences` wrote
    ");
}
