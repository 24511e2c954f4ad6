//! Recipes and what they teach, as `tripos check` sees them.

use crate::workspace::{Said, Workspace, model, root, samples_of};
use serde_json::Value as Json;

/// A folder with a recipe on the bundled model and its data.
fn folder(rows: &str, lines: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("rows.jsonl", rows);
    workspace.write("r.yaml", format!("recipe: r\nmodel: {}\nheld_out: {{share: 0}}\n{lines}\n", model().display()));
    workspace
}

const QUIET: &str = "kind: sft\ndata: {file: rows.jsonl}\nevaluate: {every: 0}\n";

fn refused(workspace: &Workspace) -> Said {
    let said = workspace.tripos(&["check", "r.yaml"]);
    assert_eq!(said.code, Some(2), "{}\n{}", said.stdout, said.stderr);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    said
}

#[test]
fn check_says_what_a_recipe_will_learn() {
    let rows = "{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},\
                {\"role\":\"assistant\",\"content\":\"ho\"}]}\n";
    let workspace = folder(rows, QUIET);
    insta::assert_snapshot!(workspace.ok(&["check", "r.yaml"]).stdout, @"r.yaml: ok (recipe: sft, 2 documents, 24 tokens, 5 learned, 1 rows of 512)");
    let json: Json = serde_json::from_str(&workspace.ok(&["check", "r.yaml", "--format", "json"]).stdout).unwrap();
    assert_eq!(
        (json["schema"].as_u64(), json["files"][0]["problems"].as_array().unwrap().len()),
        (Some(1), 0),
        "{json}"
    );
}

#[test]
fn mistakes_of_a_recipe_its_data_and_its_suite_are_reported_at_once() {
    let rows =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n{\"prompt\":\"a\",\"completion\":\"b\",\"id\":1}\n";
    let workspace = folder(rows, &format!("{QUIET}btach: 3\nmicro_batch: 5\nsuite: s.yaml\n"));
    workspace.write("s.yaml", format!("suite: s\nmodel: {}\ncases: []\nscorers: [number]\n", model().display()));
    insta::assert_snapshot!(refused(&workspace).stderr, @r#"
    error: unknown field `btach` in the file
      --> r.yaml:7:1
      help: did you mean `batch`? (architecture, batch, beta, centring, checkpoint, clean, data, date, depth, description, epochs, evaluate, held_out, kind, labels, language, leaks, licence, micro_batch, model, optimiser, output, practice, precision, recipe, recompute, render, schedule, seed, sequence, steps, suite, template_vars, tokenizer, tokens, too_long, train)
    error: `micro_batch` is 5, and `batch` is 16
      --> r.yaml:8:1
      help: a batch is made of whole parts: 1, 2, 4, 8, 16
    error: `cases` is empty
      --> s.yaml:3:1
      help: write at least one: `- {vars: {question: "…"}, target: "…"}`
    error: the suite has no `variants`
      --> s.yaml:1:1
      help: add `variants: …`
    error: no message of this row is the assistant's, so there is nothing to learn
      --> rows.jsonl:1:1
      help: a conversation holds at least one message of `role: assistant`, which is learned; leave the row out
    error: unknown column `id`
      --> rows.jsonl:2:1
      help: leave them out of the file, or name the columns that count: `columns: {NAME: COLUMN}`
    "#);
    let said = workspace.tripos(&["check", "r.yaml", "--format", "json"]);
    let json: Json = serde_json::from_str(&said.stdout).unwrap();
    let places = json["files"][0]["problems"].as_array().unwrap();
    assert!(places.iter().any(|problem| problem["file"] == "rows.jsonl" && problem["line"] == 2), "{json}");
}

#[test]
fn a_recipe_that_names_none_is_still_known_for_one() {
    let workspace = folder("", "kind: sft");
    workspace.write("r.yaml", "kind: sft\ndata: {file: rows.jsonl}\n");
    insta::assert_snapshot!(refused(&workspace).stderr, @r"
    error: the file has no `recipe`
      --> r.yaml:1:1
      help: add `recipe: …`
    ");
}

#[test]
fn another_model_can_be_named_and_is_checked_instead() {
    let workspace = folder("{\"text\":\"a film\"}\n", QUIET);
    workspace.write("x.gguf", "not a model");
    let said = workspace.tripos(&["check", "r.yaml", "--model", "x.gguf"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("x.gguf"), "{}", said.stderr);
}

#[test]
fn what_passed_in_a_run_is_learned_and_nothing_else() {
    let workspace = Workspace::llama();
    workspace.ok(&["run", "suite.yaml", "--variant", "greedy", "--quiet"]);
    let run = workspace.run_folder();
    let samples = samples_of(&run);
    let passed = |sample: &&Json| sample["scores"][0]["value"] == true;
    let passing: Vec<&Json> = samples.iter().filter(passed).collect();
    assert!(!passing.is_empty() && passing.len() < samples.len(), "{} of {}", passing.len(), samples.len());
    let name = run.strip_prefix(workspace.path()).unwrap().display().to_string();
    let recipe = |model: &str| {
        format!(
            "recipe: r\nkind: sft\nmodel: {model}\ndata: {{run: {name}}}\nheld_out: {{share: 0}}\nevaluate: {{every: 0}}\n"
        )
    };
    workspace.write("r.yaml", recipe(&model().display().to_string()));
    let said = workspace.ok(&["check", "r.yaml"]);
    assert!(said.stdout.contains(&format!("{} documents", passing.len())), "{} {}", said.stdout, said.stderr);
    // As many tokens as were said and one that ends each answer.
    let said_tokens = |sample: &&Json| sample["completion"]["tokens"].as_array().unwrap().len();
    let learned: usize = passing.iter().map(said_tokens).sum::<usize>() + passing.len();
    assert!(said.stdout.contains(&format!("{learned} learned")), "{} {learned}", said.stdout);
    // What another suite asks is found in it.
    let asked = passing[0]["case"]["vars"]["q"].as_str().unwrap();
    let (generated, rest) =
        workspace.read("suite.yaml").split_once("cases:").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let rest = rest.split_once("scorers:").unwrap().1;
    workspace.write("other.yaml", format!("{generated}cases: [{{vars: {{q: '{asked}'}}, target: 1}}]\nscorers:{rest}"));
    workspace.write("r.yaml", recipe(&model().display().to_string()) + "leaks: [other.yaml]\n");
    let said = workspace.ok(&["check", "r.yaml"]);
    let dropped = format!("dropped 1 of {} documents: asked by a suite", passing.len());
    assert!(said.stderr.contains(&dropped), "{}", said.stderr);
}

#[test]
fn a_run_in_which_nothing_passed_teaches_nothing() {
    let workspace = Workspace::llama();
    workspace.write("suite.yaml", workspace.read("suite.yaml").replace("'{{ a + b }}'", "'{{ a + b + 1000 }}'"));
    workspace.ok(&["run", "suite.yaml", "--variant", "greedy", "--limit", "2", "--quiet"]);
    let name = workspace.run_folder().strip_prefix(workspace.path()).unwrap().display().to_string();
    workspace.write("r.yaml", format!("recipe: r\nkind: sft\nmodel: {}\ndata: {{run: {name}}}\n", model().display()));
    let stderr = refused(&workspace).stderr.replace(&name, "RUN");
    insta::assert_snapshot!(stderr, @r"
    error: there is nothing to learn from here
      --> r.yaml:4:1
      help: no sample of the run passes: choose another variant, scorer or run
    ");
}

#[test]
fn public_data_in_its_own_columns_can_be_learned_from() {
    let Ok(data) = root().join("../shared/data").canonicalize() else {
        println!("skipped: ../shared/data is not here");
        return;
    };
    for (data, documents) in [
        ("kind: sft\ndata: {file: DATA/gsm8k/train.jsonl, columns: {prompt: question, completion: answer}}", "7,"),
        ("kind: classify\ndata: {file: DATA/sentiment/train.jsonl, limit: 2000}", "1,"),
    ]
    .map(|(lines, documents)| (lines.replace("DATA", &data.display().to_string()), documents))
    {
        let workspace = folder("", "");
        workspace.write("r.yaml", format!("recipe: r\nmodel: {}\nsequence: 512\n{data}\n", model().display()));
        let said = workspace.ok(&["check", "r.yaml"]);
        assert!(said.stdout.contains(&format!(", {documents}")), "{} {}", said.stdout, said.stderr);
    }
}
