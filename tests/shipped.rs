//! Every suite, prompt and recipe in the repository passes `tripos check`, and every suite runs.

use crate::workspace::{Workspace, root};
use std::path::PathBuf;

fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| endings.iter().any(|x| e == *x))).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn every_suite_prompt_and_recipe_passes_check() {
    let workspace = Workspace::new();
    let mut arguments = vec!["check".to_owned()];
    arguments.extend(files("suites", &["yaml"]).iter().map(|path| path.display().to_string()));
    arguments.extend(files("prompts", &["txt", "yaml"]).iter().map(|path| path.display().to_string()));
    // A recipe's own suite is checked with it: it may name what is yet to be trained.
    let recipes = files("recipes/tiny", &["yaml"]).into_iter().filter(|path| !path.ends_with("classify.suite.yaml"));
    arguments.extend(recipes.map(|path| path.display().to_string()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = workspace.ok(&arguments);
    assert_eq!(said.stdout.matches(": ok (").count(), arguments.len() - 1, "{}", said.stderr);
}

/// They name what earlier steps of the README's story make: pairs, and a judge.
#[test]
fn the_recipes_of_the_story_pass_check_once_the_steps_before_them_are_made() {
    let workspace = Workspace::new();
    let story = files("recipes/story", &["yaml"]);
    for file in &story {
        let name = file.file_name().unwrap().to_str().unwrap();
        workspace.write(&format!("recipes/story/{name}"), std::fs::read_to_string(file).unwrap());
    }
    for needed in ["prompts/chat_plain.yaml", "prompts/chat_cot.yaml", "suites/chinese_chat.yaml"] {
        workspace.write(needed, std::fs::read_to_string(root().join(needed)).unwrap());
    }
    let put = |from: &str, to: &str| {
        let to = workspace.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root().join(from), to).unwrap();
    };
    put("models/tripos-tiny.gguf", "models/tripos-tiny.gguf");
    put("models/tripos-tiny-reward.gguf", "reports/story/judge.gguf");
    workspace.write("reports/story/pairs.jsonl", crate::rewards::judgements(40));
    let names: Vec<String> =
        story.iter().map(|file| format!("recipes/story/{}", file.file_name().unwrap().display())).collect();
    let arguments: Vec<&str> = std::iter::once("check").chain(names.iter().map(String::as_str)).collect();
    let said = workspace.ok(&arguments);
    assert_eq!((said.stdout.matches(": ok (").count(), names.len()), (4, 4), "{}", said.stderr);
}

#[test]
fn every_suite_runs_on_the_bundled_model() {
    let workspace = Workspace::new();
    for suite in files("suites", &["yaml"]) {
        let said = workspace.ok(&["run", suite.to_str().unwrap(), "--limit", "2", "--format", "json", "--quiet"]);
        let run: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        for variant in run["variants"].as_array().unwrap() {
            let metrics = variant["metrics"].as_array().unwrap();
            assert!(metrics.iter().any(|metric| metric["n"] == 2), "{} {}", suite.display(), variant["name"]);
        }
    }
}

#[test]
fn each_suite_that_the_project_promises_is_there() {
    let sums = ["arithmetic", "word_problems", "chinese_arithmetic", "strategies"];
    let labels = ["sentiment", "symbolic", "unanswerable"];
    let choices = ["capitals", "next_word", "commonsense"];
    let bias = ["bias_names", "bias_sentiment"];
    let card = ["three_digits", "chinese_chat", "format", "sentiment_pairs", "base_vs_chat"];
    for name in [&sums[..], &labels, &choices, &bias, &card].concat() {
        assert!(root().join(format!("suites/{name}.yaml")).exists(), "{name}");
    }
}

#[test]
fn each_recipe_that_this_version_promises_is_there() {
    for name in
        ["pretrain", "sft", "reward", "dpo", "grpo", "ppo", "judged_ppo", "classify", "chinese", "longer", "longer_ppo"]
    {
        assert!(root().join(format!("recipes/tiny/{name}.yaml")).exists(), "{name}");
    }
}

/// The leak check that the recipes ask for, and its negative twin.
#[test]
fn no_shipped_recipe_teaches_what_a_suite_asks() {
    let workspace = Workspace::new();
    for name in ["pretrain", "sft", "dpo", "chinese"] {
        let path = root().join(format!("recipes/tiny/{name}.yaml"));
        let recipe = std::fs::read_to_string(&path).unwrap();
        assert!(recipe.contains("\nleaks:"), "{name}");
        let said = workspace.ok(&["check", path.to_str().unwrap()]);
        assert!(!said.stderr.contains("asked by a suite"), "{name}: {}", said.stderr);
    }
    // Among the answers that it is to dislike are questions drawn at random: what hits a suite's is dropped.
    let said = workspace.ok(&["check", root().join("recipes/tiny/reward.yaml").to_str().unwrap()]);
    assert!(said.stderr.contains("dropped 2 of 23434 documents: asked by a suite"), "{}", said.stderr);
    let path = root().join("recipes/tiny/chinese.yaml");
    let folder = format!("{}/", root().display());
    let leaky = std::fs::read_to_string(path)
        .unwrap()
        .replace("../../", &folder)
        .replace("split: {train: [a, b]}", "split: all");
    workspace.write("leaky.yaml", leaky);
    let said = workspace.ok(&["check", "leaky.yaml"]);
    assert!(said.stderr.contains("documents: asked by a suite (the first has \""), "{}", said.stderr);
}

#[test]
fn no_problem_of_the_shipped_recipe_is_one_that_its_suite_asks() {
    let generated = |path: &str, within: &str| -> std::collections::BTreeSet<String> {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let yaml: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        let spec: tripos::suite::Generate = serde_json::from_value(yaml[within]["generate"].clone()).unwrap();
        spec.cases().unwrap().iter().map(|case| case.vars["question"].to_string()).collect()
    };
    let learned = generated("recipes/tiny/chinese.yaml", "data");
    let asked = generated("suites/chinese_arithmetic.yaml", "cases");
    assert_eq!((learned.len(), asked.len()), (2000, 100));
    assert!(learned.is_disjoint(&asked));
}

/// The figures of one training run as `make rl-figures` keeps them: of each variant the share right before and after, and the difference
/// with its interval.
fn figures(name: &str) -> (serde_json::Value, [f64; 5]) {
    let text = std::fs::read_to_string(root().join(format!("recipes/tiny/figures/{name}.json"))).unwrap();
    let run: serde_json::Value = serde_json::from_str(&text).unwrap();
    let first = &run["comparisons"][0];
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let [low, high] = [number(&first["ci"][0]), number(&first["ci"][1])];
    let sides = [&first["baseline"]["value"], &first["candidate"]["value"], &first["difference"]].map(number);
    (run.clone(), [sides[0], sides[1], sides[2], low, high])
}

#[test]
fn practice_and_judgements_teach_on_each_seed_what_the_model_card_says() {
    let card = std::fs::read_to_string(root().join("models/README.md")).unwrap();
    let mut names: Vec<String> =
        ["dpo", "grpo", "ppo"].iter().flat_map(|kind| (1..=3).map(move |seed| format!("{kind}-{seed}"))).collect();
    names.extend(["judged_ppo-1".to_owned(), "longer_ppo-1".to_owned()]);
    for name in &names {
        let (run, [before, after, change, low, high]) = figures(name);
        let (recipe, seed) = name.rsplit_once('-').unwrap();
        assert_eq!(run["run"]["recipe"]["seed"].to_string(), seed, "{name}");
        let row =
            format!("| `{recipe}.yaml` | {seed} | {before:.3} | {after:.3} | {change:+.3} [{low:+.3}, {high:+.3}] |");
        assert!(card.contains(&row), "models/README.md lacks: {row}");
        match recipe {
            "longer_ppo" => assert!(high < 0.0, "{name}: the wrong judge does harm"),
            "judged_ppo" => assert!(low > 0.0, "{name}"),
            _ => assert!(change >= 0.1 && low > 0.0, "{name}"),
        }
    }
    // Of the reward model alone, reward and right answers both rise.
    let (run, _) = figures("judged_ppo-1");
    let looks = run["evaluations"].as_array().unwrap();
    let at = |look: &serde_json::Value, name: &str| look["scores"][name].as_f64().unwrap();
    let best = looks.iter().rev().find(|look| look["best"] == true).unwrap();
    for name in ["reward", "exact"] {
        assert!(at(best, name) > at(&looks[0], name), "{name}");
    }
}
