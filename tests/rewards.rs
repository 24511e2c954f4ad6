//! A reward model from judgements to scores: trained, asked directly, in a suite, and choosing the best of several answers.

use crate::workspace::{Workspace, model, root, samples_of};
use serde_json::{Value, json};

/// What is preferred is a word, whatever was asked: learned in a few steps.
pub(crate) fn judgements(count: usize) -> String {
    let row = |n: usize| {
        let (good, bad) = (["yes", "yes."][n % 2], ["no", "no, never", "maybe"][n % 3]);
        json!({"prompt": format!("What is {n} + 1?"), "chosen": good, "rejected": bad, "axis": "brief", "tags": ["word"]})
    };
    (0..count).map(|n| format!("{}\n", row(n))).collect()
}

const RECIPE: &str = "recipe: judge\nkind: reward\nmodel: MODEL\ndata: {file: pairs.jsonl}\nheld_out: {share: 0.2}\n\
                      train: {lora: {rank: 4, alpha: 8}}\nsequence: 64\nbatch: 8\nsteps: 40\nevaluate: {every: 20}\n\
                      schedule: {lr: 3e-3}\noutput: judge.gguf\n";

fn trained(recipe: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("pairs.jsonl", judgements(150));
    workspace.write("judge.yaml", recipe.replace("MODEL", &model().display().to_string()));
    workspace.ok(&["train", "judge.yaml", "-q"]);
    workspace
}

fn rewards(workspace: &Workspace, arguments: &[&str]) -> Vec<f64> {
    let base = model().display().to_string();
    let said =
        workspace.ok(&[&["judge", "--reward", "judge.gguf", "--model", &base, "--format", "json"], arguments].concat());
    let document: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(document["schema"], 1);
    document["items"].as_array().unwrap().iter().map(|item| item["reward"].as_f64().unwrap()).collect()
}

#[test]
fn what_was_preferred_has_the_higher_reward_and_the_file_says_what_it_is() {
    let workspace = trained(RECIPE);
    let said = rewards(&workspace, &["--prompt", "What is 7 + 7?", "--completion", "yes", "--completion", "no"]);
    assert!(said[0] > said[1] + 1.0, "{said:?}");
    let shown = workspace.ok(&["model", "show", "judge.gguf"]).stdout;
    assert!(shown.contains("judge") && shown.contains("scorer `reward`"), "{shown}");
    let header: Value =
        serde_json::from_str(&std::fs::read_to_string(folder(&workspace).join("header.json")).unwrap()).unwrap();
    let judging = &header["outcome"]["judging"];
    assert_eq!(judging["accuracy"]["value"], 1.0, "{judging}");
    assert!(judging["accuracy"]["n"].as_u64().unwrap() > 10);
    let parts: Vec<&str> =
        judging["parts"].as_array().unwrap().iter().map(|part| part["of"].as_str().unwrap()).collect();
    assert_eq!(parts, ["axis brief", "tag word"]);
    // Of the answers that were learned from the rewards have mean 0 and spread 1.
    let rows: String = std::iter::repeat_n(judgements(150), 1)
        .flat_map(|all| all.lines().map(str::to_owned).collect::<Vec<_>>())
        .flat_map(|line| {
            let row: Value = serde_json::from_str(&line).unwrap();
            ["chosen", "rejected"]
                .map(|side| format!("{}\n", json!({"prompt": row["prompt"], "completion": row[side]})))
        })
        .collect();
    workspace.write("answers.jsonl", rows);
    let all = rewards(&workspace, &["answers.jsonl"]);
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let std = (all.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
    assert!(mean.abs() < 0.05 && (std - 1.0).abs() < 0.05, "{mean} {std}");
}

fn folder(workspace: &Workspace) -> std::path::PathBuf {
    let runs = std::fs::read_dir(workspace.path().join("reports/train")).unwrap();
    runs.map(|entry| entry.unwrap().path()).next().unwrap()
}

/// The only run of the suite, beside the training run.
fn run_of(workspace: &Workspace) -> std::path::PathBuf {
    let mut runs = workspace.run_folders();
    runs.retain(|run| !run.ends_with("train"));
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

const SUITE: &str = "suite: rewarded\nmodel: SCRIPT\ncases:\n  - {id: one, vars: {question: 'What is 1 + 1?'}, target: 'yes'}\n  \
                     - {id: two, vars: {question: 'What is 2 + 1?'}, target: 'no'}\nscorers:\n  - exact\n  \
                     - reward: {model: judge.gguf, base: MODEL, prompt: ask.yaml}\nvariants:\n  - {name: plain, prompt: p.txt}\n";

fn suite(workspace: &Workspace, text: &str) {
    workspace.write("p.txt", "Q: {{ question }}\nA:");
    workspace.write("ask.yaml", "- user: \"{{ question }}\"\n");
    workspace.write("script.yaml", "{answers: [{when: '1 \\+ 1', say: ' yes'}], otherwise: ' no'}\n");
    let text = text.replace("SCRIPT", "{scripted: script.yaml}").replace("MODEL", &model().display().to_string());
    workspace.write("suite.yaml", text);
}

#[test]
fn a_suite_scores_by_rewards_and_they_are_those_of_judge() {
    let workspace = trained(RECIPE);
    suite(&workspace, SUITE);
    let table = workspace.ok(&["run", "suite.yaml"]).stdout;
    assert!(table.contains("reward"), "{table}");
    let samples = samples_of(&run_of(&workspace));
    let reward = |sample: &Value| sample["scores"][1]["value"].as_f64().unwrap();
    let [one, two] = &samples[..] else { panic!("{samples:?}") };
    let direct = [
        rewards(&workspace, &["--prompt", "What is 1 + 1?", "--completion", "yes"]),
        rewards(&workspace, &["--prompt", "What is 2 + 1?", "--completion", "no"]),
    ];
    assert!((reward(one) - direct[0][0]).abs() < 1e-3 && (reward(two) - direct[1][0]).abs() < 1e-3, "{table}");
    assert!(reward(one) > reward(two));
    // A gate on it.
    workspace.write(
        "gated.yaml",
        workspace.read("suite.yaml") + "gate:\n  - {variant: plain, metric: reward, at_least: 100}\n",
    );
    assert_eq!(workspace.tripos(&["gate", "gated.yaml"]).code, Some(1));
}

#[test]
fn the_best_of_several_answers_is_chosen_by_reward() {
    let workspace = trained(RECIPE);
    let variants = "variants:\n  - {name: best, prompt: p.txt, repeats: 4, sampling: {temperature: 1.5, max_tokens: 4}, reduce: best_of}\n";
    let base = model().display().to_string();
    suite(
        &workspace,
        &SUITE.replace("variants:\n  - {name: plain, prompt: p.txt}\n", variants).replace("SCRIPT", &base),
    );
    let text = workspace.read("suite.yaml").replace("{scripted: script.yaml}", &base);
    workspace.write("suite.yaml", text);
    let said = workspace.ok(&["run", "suite.yaml"]).stdout;
    let samples = samples_of(&run_of(&workspace));
    let all = |reduced: bool| {
        let of = samples.iter().filter(move |sample| (sample["trial"]["repeat"] == "reduced") == reduced);
        let rewards: Vec<f64> = of.map(|sample| sample["scores"][1]["value"].as_f64().unwrap()).collect();
        rewards.iter().sum::<f64>() / rewards.len() as f64
    };
    let row = said.lines().find(|line| line.starts_with("best ") && line.contains(" reward ")).expect(&said);
    let told = format!("{:.3}   {:.3}", all(false), all(true));
    assert!(said.contains("repeats of  metric"), "{said}");
    assert_eq!(row.split_whitespace().skip(2).take(2).collect::<Vec<_>>(), told.split_whitespace().collect::<Vec<_>>());
    for case in ["one", "two"] {
        let of = |reduced: bool| {
            samples.iter().filter(move |s| s["trial"]["case"] == case && (s["trial"]["repeat"] == "reduced") == reduced)
        };
        let reward = |sample: &Value| sample["scores"][1]["value"].as_f64().unwrap();
        let best = of(false).map(reward).fold(f64::NEG_INFINITY, f64::max);
        assert_eq!(of(false).count(), 4);
        assert_eq!(of(true).map(reward).collect::<Vec<_>>(), [best]);
    }
}

#[test]
fn says_what_is_wrong_with_judgements_and_reward_models() {
    let workspace = Workspace::new();
    let rows = [
        json!({"prompt": "a", "chosen": "x", "rejected": "x "}),
        json!({"prompt": " ", "chosen": "x", "rejected": "y"}),
        json!({"prompt": "a", "chosen": "x", "rejected": "y", "margin": -1}),
        json!({"prompt": "a", "chosen": "x", "rejected": "y", "score": 1}),
        json!({"prompt": "a", "chosen": "x"}),
    ];
    workspace.write("pairs.jsonl", rows.map(|row| format!("{row}\n")).concat());
    let recipe = |text: &str| workspace.write("judge.yaml", text.replace("MODEL", &model().display().to_string()));
    recipe(RECIPE);
    insta::assert_snapshot!(workspace.tripos(&["check", "judge.yaml"]).stderr, @r"
    error: `margin` is -1, expected a number, 0 or more
      --> pairs.jsonl:3:1
      help: mend the row, or leave it out
    error: unknown column `score`
      --> pairs.jsonl:4:1
      help: a row is `prompt`, `chosen` and `rejected`, with `margin`, `group`, `axis` and `tags` where they are known; other columns are renamed (`columns: {chosen: COLUMN}`)
    error: `rejected` is nothing, expected a text
      --> pairs.jsonl:5:1
      help: mend the row, or leave it out
    error: `chosen` and `rejected` are the same, so nothing is preferred
      --> pairs.jsonl:1:1
      help: leave the row out: `tripos preferences` does so
    error: the prompt of this row is empty
      --> pairs.jsonl:2:1
      help: say what was asked, or leave the row out
    ");
    workspace.write("pairs.jsonl", format!("{}\n", json!({"prompt": "a ".repeat(80), "chosen": "x", "rejected": "y"})));
    recipe(&RECIPE.replace("evaluate: {every: 20}", "too_long: refuse"));
    insta::assert_snapshot!(workspace.tripos(&["check", "judge.yaml"]).stderr, @r"
    error: prompt and answers of this row have 100 tokens, and `sequence` is 64
      --> pairs.jsonl:1:1
      help: set a larger `sequence`, or leave such rows out: `too_long: drop`
    ");
    recipe(&RECIPE.replace("evaluate: {every: 20}", "too_long: cut\ncentring: -1\nlanguage: -2"));
    insta::assert_snapshot!(workspace.tripos(&["check", "judge.yaml"]).stderr, @r"
    error: `centring` is -1
      --> judge.yaml:11:1
      help: it is 0 or more
    error: `language` is -2
      --> judge.yaml:12:1
      help: it is 0 or more
    error: part of an answer cannot be judged for all of it
      --> judge.yaml:10:1
      help: write `too_long: drop` or `too_long: refuse`, and a larger `sequence`
    error: there is nothing to learn from here
      --> judge.yaml:4:1
      help: every document was left out: set a larger `sequence`
    ");
}

#[test]
fn says_what_is_no_reward_model_and_what_needs_no_base() {
    let workspace = Workspace::new();
    let whole = root().join("models/tripos-tiny-reward.gguf").display().to_string();
    let base = root().join("models/tripos-tiny.gguf").display().to_string();
    let said = workspace.tripos(&["judge", "--reward", &whole, "--model", &base, "--prompt", "a", "--completion", "b"]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!(said.stderr.replace(&root().display().to_string(), ""), @r"
    error: `/models/tripos-tiny-reward.gguf` is a whole model with its head, and sits on no other: `/models/tripos-tiny.gguf` would not be read
      --> /models/tripos-tiny-reward.gguf
      help: leave the base out; only an adapter needs one: `reward: {model: …, base: FILE}`, or `tripos judge --model FILE`
    ");
    let plain = root().join("models/tripos-tiny.gguf").display().to_string();
    let said = workspace.tripos(&["judge", "--reward", &plain, "--prompt", "a", "--completion", "b"]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!(said.stderr.replace(&root().display().to_string(), ""), @r"
    error: `/models/tripos-tiny.gguf` is no reward model that can be used: it has no `tripos.reward.head`
      --> /models/tripos-tiny.gguf (--reward)
      help: a recipe of `kind: reward` trains one, and keeps its head in the file
    ");
}
