//! `tripos fix` through the program, on the bundled model: what fails is learned, and cases that were held out say whether it helped.

use crate::workspace::{Said, Workspace, model, samples_of};
use serde_json::Value;
use std::path::PathBuf;

/// A hot recipe for few steps.
const RECIPE: &str = "recipe: hot\nkind: sft\nmodel: MODEL\ndata: {file: rows.jsonl, prompt: qa.txt, completion: ' {{ target }}'}\n\
                      train: {lora: {rank: 8, alpha: 16}}\nschedule: {lr: 3e-3}\nsequence: 64\nbatch: 8\nsteps: 30\n\
                      output: hot.adapter.gguf\n";

/// Cases whose right answer no model can know, as many as are asked for.
fn secrets(count: usize) -> String {
    let case = |n: usize| format!("{{\"vars\": {{\"q\": \"Say the word of door {n}.\"}}, \"target\": \"yes\"}}\n");
    (1..=count).map(case).collect()
}

/// A suite on the bundled model.
fn suite(name: &str, rest: &str) -> String {
    format!(
        "suite: {name}\nmodel: {}\ncontext: 96\nsampling: {{max_tokens: 6, temperature: 0, stop: [\"\\n\"]}}\n{rest}\
         variants:\n  - {{name: asked, prompt: qa.txt}}\n",
        model().display()
    )
}

/// A folder with a suite of doors that the model fails, and one of gates that it passes.
fn doors() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("qa.txt", "Q: {{ q }}\nA:\n");
    workspace.write("doors.jsonl", secrets(60));
    workspace.write("doors.yaml", suite("doors", "cases: doors.jsonl\nscorers: [exact]\n"));
    // Whatever it is asked, it says a number.
    let gates = "cases: {generate: {count: 40, seed: 3, let: {n: {int: [100, 999]}}, case: {vars: {q: 'Say the word of gate {{ n }}.'}}}}\n\
                scorers: [{regex: {name: digits, pattern: '[0-9]'}}]\n";
    workspace.write("gates.yaml", suite("gates", gates));
    workspace.write("hot.yaml", RECIPE.replace("MODEL", &model().display().to_string()));
    workspace.write("rows.jsonl", secrets(1));
    workspace
}

fn fix(workspace: &Workspace, arguments: &[&str]) -> Said {
    workspace.tripos(&[&["fix", "doors.yaml", "--threads", "1", "-q"], arguments].concat())
}

fn attempts(workspace: &Workspace) -> Vec<Value> {
    workspace.read("reports/fix/doors/attempts.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The questions of the runs of an attempt, and whether an adapter was asked.
fn runs(workspace: &Workspace, attempt: usize) -> Vec<(Vec<String>, bool)> {
    let runs = workspace.path().join(format!("reports/fix/doors/attempt-{attempt}/runs"));
    let folders = std::fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path());
    let of = |folder: PathBuf| {
        let samples = samples_of(&folder);
        let mut asked: Vec<String> = samples.iter().map(|sample| sample["case"]["vars"]["q"].to_string()).collect();
        asked.sort();
        (asked, std::fs::read_to_string(folder.join("header.json")).unwrap().contains("adapter.gguf"))
    };
    folders.map(of).collect()
}

#[test]
fn what_fails_is_learned_and_the_other_half_says_so() {
    let workspace = doors();
    let said = fix(&workspace, &["--recipe", "hot.yaml", "--format", "json"]);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    let fixed: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&fixed["schema"], &fixed["verdict"]), (&1.into(), &"fixed".into()));
    let found = &fixed["fix"]["found"][0]["comparisons"][0];
    assert_eq!((&found["metric"], &found["baseline"]["value"]), (&"exact".into(), &0.0.into()));
    assert!(found["candidate"]["value"].as_f64().unwrap() > 0.9, "{found}");
    // What was learned from, and what was held out, share nothing and are all there is.
    let asked = runs(&workspace, 1);
    let half = |adapter: bool| asked.iter().filter(move |run| run.1 == adapter && run.0.len() < 60);
    let held_out = &half(true).next().unwrap().0;
    let learned = &half(false).find(|run| run.0 != *held_out).unwrap().0;
    assert_eq!(held_out.len() + learned.len(), 60);
    assert!(held_out.iter().all(|question| !learned.contains(question)));
    // The adapter leads back to the cases that failed.
    let adapter = fixed["fix"]["adapter"].as_str().unwrap();
    let way = workspace.ok(&["lineage", adapter]).stdout;
    assert!(
        way.contains("─ training ") && way.contains("/lessons/") && way.contains("everything recorded is what it was"),
        "{way}"
    );
    // Other cases are another suite, whatever its file says.
    workspace.write("doors.jsonl", secrets(60).replacen("yes", "no", 60));
    let way = workspace.ok(&["lineage", adapter]).stdout;
    assert!(way.contains("doors.yaml: CHANGED\n"), "{way}");
    workspace.write("doors.jsonl", secrets(60));
    let card = workspace.read("reports/fix/doors/attempt-1/card.md");
    assert!(
        card.starts_with("# An adapter for doors.yaml: fixed\n") && card.contains("| asked | exact | 0.000 | "),
        "{card}"
    );
    // The command for CI is one that passes, on the whole suite.
    let command = card.lines().find(|line| line.starts_with("tripos gate ")).unwrap();
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    assert!(workspace.ok(&arguments).stdout.contains("gate: pass"));
    // Another attempt on the same half is held to more.
    let said = fix(&workspace, &["--recipe", "hot.yaml"]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert!(said.stdout.contains("(attempt 2 on this variant, tested at 0.0125)"), "{}", said.stdout);
    let logged = attempts(&workspace);
    let levels: Vec<f64> = logged.iter().map(|attempt| attempt["level"].as_f64().unwrap()).collect();
    assert_eq!(levels, [0.025, 0.025, 0.0125, 0.0125], "opened, and ended");
    assert_eq!((&logged[0]["verdict"], &logged[1]["verdict"]), (&Value::Null, &"fixed".into()));
}

#[test]
fn what_helps_here_and_hurts_elsewhere_is_said_to_do_both() {
    let workspace = doors();
    let said = fix(&workspace, &["--recipe", "hot.yaml", "--also", "gates.yaml"]);
    assert_eq!(said.code, Some(1), "{}\n{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("verdict    fixed, but something else got worse\n"), "{}", said.stdout);
    assert_eq!(attempts(&workspace)[1]["verdict"], "fixed, but something else got worse");
}

#[test]
fn what_does_not_help_is_not_fixed() {
    let workspace = doors();
    workspace.write("cold.yaml", workspace.read("hot.yaml").replace("3e-3", "1e-9"));
    workspace.write("kept.json", "{}");
    let said = fix(&workspace, &["--recipe", "cold.yaml", "--baseline", "kept.json"]);
    assert_eq!(said.code, Some(1), "{}\n{}", said.stdout, said.stderr);
    assert_eq!(workspace.read("kept.json"), "{}", "no baseline of what is not fixed");
    assert!(!said.stdout.contains("tripos gate"), "{}", said.stdout);
    assert!(said.stdout.contains("verdict    not fixed\n"), "{}", said.stdout);
    assert_eq!(attempts(&workspace)[1]["verdict"], "not fixed");
}

#[test]
fn without_targets_the_model_learns_from_those_of_its_own_answers_that_pass() {
    let workspace = doors();
    // Digits that add up to nothing in particular: now and then the last one is even.
    let numbers = "cases: {generate: {count: 30, seed: 5, let: {a: {int: [500, 999]}, b: {int: [100, 499]}}, case: {vars: {q: 'What is {{ a \
                   }} - {{ b }}?'}}}}\nscorers: [{regex: {name: even, pattern: '[02468]$'}}]\n";
    workspace.write("doors.yaml", suite("doors", numbers));
    workspace.write(
        "pairs.yaml",
        workspace
            .read("hot.yaml")
            .replace("kind: sft", "kind: dpo")
            .replace(", prompt: qa.txt, completion: ' {{ target }}'", ""),
    );
    let said = fix(&workspace, &["--recipe", "pairs.yaml", "--format", "json"]);
    assert!(matches!(said.code, Some(0 | 1)), "{}\n{}", said.stdout, said.stderr);
    let pairs = workspace.read("reports/fix/doors/attempt-1/pairs.jsonl");
    let pairs: Vec<Value> = pairs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!pairs.is_empty());
    let even = |text: &Value| "02468".contains(text.as_str().unwrap().trim().chars().last().unwrap_or('x'));
    for pair in &pairs {
        assert!(even(&pair["chosen"]) && !even(&pair["rejected"]), "{pair}");
        assert!(pair["prompt"].as_str().unwrap().starts_with("Q: What is "), "{pair}");
    }
}

#[test]
fn where_nothing_fails_there_is_nothing_to_fix() {
    let workspace = doors();
    workspace
        .write("doors.yaml", suite("doors", "cases: doors.jsonl\nscorers: [{regex: {name: any, pattern: '.*'}}]\n"));
    let said = fix(&workspace, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        said.stdout.starts_with("all ") && said.stdout.contains(" pass: there is nothing to fix\n"),
        "{}",
        said.stdout
    );
    let said = fix(&workspace, &["--format", "json"]);
    let said: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(said["verdict"], "nothing_fails");
}

#[test]
fn a_target_that_the_scorer_does_not_pass_is_not_taught() {
    let workspace = doors();
    let strict = "cases: doors.jsonl\nscorers: [{regex: {name: sentence, pattern: '^ *The answer is'}}]\n";
    workspace.write("doors.yaml", suite("doors", strict));
    let said = refused(&workspace, &["--recipe", "hot.yaml"]);
    assert!(said.contains("error: nothing can be taught of 30 failing cases: none of 8 answers passed, and `sentence` does not pass 30 of their targets\n"), "{said}");
    // Of some it passes, and the others are left out.
    let mixed = "cases: doors.jsonl\nscorers: [{regex: {name: sentence, pattern: 'ye'}}]\n";
    let row = |n: usize| {
        let target = if n.is_multiple_of(3) { "no" } else { "yes" };
        format!("{{\"vars\": {{\"q\": \"Say the word of door {n}.\"}}, \"target\": \"{target}\"}}\n")
    };
    workspace.write("doors.jsonl", (1..=60).map(row).collect::<String>());
    workspace.write("doors.yaml", suite("doors", mixed));
    let said = fix(&workspace, &["--recipe", "hot.yaml"]);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    let data = said.stdout.lines().find(|line| line.starts_with("data ")).unwrap();
    assert!(data.contains(" references (") && data.ends_with(" left out)"), "{data}");
}

#[test]
fn what_other_suites_ask_is_not_taught() {
    let workspace = doors();
    let asked: String = secrets(60).lines().take(40).map(|line| line.replace("yes", "no") + "\n").collect();
    workspace.write("asked.jsonl", asked);
    workspace.write("asked.yaml", suite("asked", "cases: asked.jsonl\nscorers: [exact]\n"));
    let said = fix(&workspace, &["--recipe", "hot.yaml", "--also", "asked.yaml", "--format", "json"]);
    let fixed: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.stderr));
    let taught = std::fs::read_dir(workspace.path().join("reports/fix/doors/attempt-1/lessons")).unwrap();
    let taught = samples_of(&taught.map(|run| run.unwrap().path()).next().unwrap());
    let door = |sample: &Value| {
        let question = sample["case"]["vars"]["q"].as_str().unwrap().to_owned();
        question.trim_end_matches('.').rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    assert!(!taught.is_empty() && taught.iter().all(|sample| door(sample) > 40), "{}", fixed["fix"]["lessons"]);
}

#[test]
fn where_all_that_fails_must_not_be_taught_it_says_so() {
    let workspace = doors();
    workspace.write("asked.yaml", suite("asked", "cases: doors.jsonl\nscorers: [exact]\n"));
    let said = refused(&workspace, &["--also", "asked.yaml"]);
    let expected = "failing cases: each asks what is held out, or what another suite asks\n";
    assert!(said.contains(expected), "{said}");
}

/// Half of the answers to a case pass in the mean: it is one that passes; fewer, and it is one that fails.
#[test]
fn cases_that_are_asked_several_times_pass_and_fail_together() {
    let workspace = doors();
    let asked = workspace.read("doors.yaml").replace("prompt: qa.txt}", "prompt: qa.txt, repeats: 4}");
    workspace.write("doors.yaml", asked.replace("temperature: 0", "temperature: 0.5"));
    let said = fix(&workspace, &["--recipe", "hot.yaml", "--format", "json"]);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    let fixed: Value = serde_json::from_str(&said.stdout).unwrap();
    let found = &fixed["fix"]["found"][0]["comparisons"][0];
    assert_eq!((&fixed["verdict"], &found["metric"]), (&"fixed".into(), &"exact".into()), "{found}");
    assert!(found["baseline"]["value"].as_f64().unwrap() < 0.1, "{found}");
}

/// Each door that it can draw is among the suite's cases already.
#[test]
fn a_generator_that_has_no_fresh_cases_is_divided() {
    let workspace = doors();
    let all = "cases: {generate: {count: 60, seed: 3, let: {n: {int: [1, 60]}}, case: {vars: {q: 'Say the word of door {{ n }}.'}, target: 'yes'}}}\n\
               scorers: [exact]\n";
    workspace.write("doors.yaml", suite("doors", all));
    let said = fix(&workspace, &["--recipe", "hot.yaml", "--format", "json"]);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    let asked = runs(&workspace, 1);
    let held_out = asked.iter().filter(|run| run.1).map(|run| run.0.len()).min().unwrap();
    assert!((8..52).contains(&held_out), "{held_out}");
}

/// A tenth of the cases has no target: what is left would be fixed, and a gate of the suite would not judge it.
#[test]
fn more_unscored_cases_than_the_suite_allows_are_no_success() {
    let workspace = doors();
    let some: String = secrets(60)
        .lines()
        .enumerate()
        .map(|(at, line)| if at % 10 == 0 { line.replace(", \"target\": \"yes\"", "") } else { line.to_owned() } + "\n")
        .collect();
    workspace.write("doors.jsonl", some);
    let said = fix(&workspace, &["--recipe", "hot.yaml"]);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    workspace.write("doors.yaml", workspace.read("doors.yaml").replace("scorers:", "max_unscored: 0\nscorers:"));
    let said = refused(&workspace, &["--recipe", "hot.yaml"]);
    assert!(said.contains("unscored") && said.contains("doors.yaml"), "{said}");
}

/// Wherever the run was put: nobody has to say where.
#[test]
fn the_training_run_is_found_beside_the_file_that_it_made() {
    let workspace = doors();
    workspace.write("rows.jsonl", secrets(60));
    workspace.ok(&["train", "hot.yaml", "--out", "elsewhere", "-q"]);
    let run = std::fs::read_dir(workspace.path().join("elsewhere")).unwrap().next().unwrap().unwrap().path();
    let made = run.join("hot.adapter.gguf");
    let said = workspace.ok(&["lineage", made.to_str().unwrap()]).stdout;
    assert!(said.contains("─ training ") && said.contains("rows.jsonl"), "{said}");
    assert!(said.ends_with("everything recorded is what it was\n"), "{said}");
}

#[test]
fn what_cannot_be_scored_is_no_success() {
    let workspace = doors();
    workspace.write("doors.yaml", suite("doors", "cases: doors.jsonl\nscorers: [number]\n"));
    let said = refused(&workspace, &[]);
    assert!(said.contains("error: `number` could not judge a single answer: "), "{said}");
}

/// What the program says against a fix.
fn refused(workspace: &Workspace, arguments: &[&str]) -> String {
    let said = fix(workspace, arguments);
    assert_eq!(said.code, Some(2), "{}", said.stdout);
    said.stderr
}

#[test]
fn says_what_does_not_go_with_a_suite() {
    let workspace = doors();
    let mut all = refused(&workspace, &["--variant", "askd"]);
    all += &refused(&workspace, &["--scorer", "exat"]);
    all += &refused(&workspace, &["--holdout", "0.01"]);
    workspace
        .write("full.yaml", workspace.read("hot.yaml").replace("train: {lora: {rank: 8, alpha: 16}}", "train: full"));
    all += &refused(&workspace, &["--recipe", "full.yaml"]);
    workspace.write(
        "other.yaml",
        workspace
            .read("hot.yaml")
            .replace("kind: sft", "kind: classify")
            .replace(", completion: ' {{ target }}'", "")
            .replace("output:", "labels: [a, b]\noutput:"),
    );
    all += &refused(&workspace, &["--recipe", "other.yaml"]);
    workspace.write("broken.yaml", workspace.read("hot.yaml").replace("schedule", "shedule"));
    all += &refused(&workspace, &["--recipe", "broken.yaml"]);
    all += &refused(&workspace, &["--baseline", "nowhere/b.json"]);
    all += &refused(&workspace, &["--also", "./doors.yaml"]);
    insta::assert_snapshot!(all, @r"
    error: the suite has no variant `askd`
      --> doors.yaml
      help: did you mean `asked`? (asked)
    error: `exat` is no scorer of the suite that passes or fails what is said
      --> doors.yaml
      help: did you mean `exact`? (exact)
    error: 60 cases leave 2 to hold out and 58 to learn from: too few to prove anything
      --> doors.yaml
      help: give the suite more cases: at least 8 on either side (or another `--holdout`)
    error: a fix makes an adapter, and this recipe trains the whole model
      --> full.yaml
      help: write `train: {lora: {rank: 16}}`: what is fixed stays apart from its base
    error: a fix cannot teach by `kind: classify`
      --> other.yaml
      help: give one of `kind: sft` (from answers) or `kind: dpo` (from pairs)
    error: unknown field `shedule` in the file
      --> broken.yaml:6:1
      help: did you mean `schedule`? (architecture, batch, beta, centring, checkpoint, clean, data, date, depth, description, epochs, evaluate, held_out, kind, labels, language, leaks, licence, micro_batch, model, optimiser, output, practice, precision, recipe, recompute, render, schedule, seed, sequence, steps, suite, template_vars, tokenizer, tokens, too_long, train)
    error: the baseline cannot be written to `nowhere/b.json`: its folder is not there, or it is one
      --> nowhere/b.json
      help: make the folder first, or name a file
    error: the suite that is to be fixed is named as another one
      --> ./doors.yaml
      help: leave it out of --also: its held-out half is asked anyway
    ");
}

#[test]
fn says_what_keeps_a_suite_from_being_fixed() {
    let workspace = doors();
    let doors = workspace.read("doors.yaml");
    workspace.write("doors.yaml", doors.replace("scorers: [exact]", "scorers: [chrf]"));
    let mut all = refused(&workspace, &[]);
    workspace.write("doors.yaml", doors.replace("prompt: qa.txt}", "prompt: qa.txt, adapter: hot.yaml}"));
    all += &refused(&workspace, &[]);
    workspace.write("doors.yaml", doors.replace("variants:", "variants:\n  - {name: again, prompt: qa.txt}"));
    all += &refused(&workspace, &[]);
    workspace.write("m.yaml", "otherwise: x\n");
    let scripted =
        doors.lines().map(|line| if line.starts_with("model:") { "model: {scripted: m.yaml}" } else { line });
    workspace.write("doors.yaml", scripted.collect::<Vec<_>>().join("\n"));
    all += &refused(&workspace, &[]);
    insta::assert_snapshot!(all, @r"
    error: no scorer of the suite passes or fails what is said
      --> doors.yaml
      help: add one that does: exact, number, label, contains, regex …
    error: variant `asked` has an adapter already
      --> doors.yaml:8:5
      help: merge it first (`tripos merge`), and fix the merged model (--model)
    error: the suite has 2 variants: say which is to be fixed (--variant)
      --> doors.yaml
      help: known here: again, asked
    error: the suite asks no GGUF model, and nothing else can be taught
      --> doors.yaml
      help: give one: --model FILE
    ");
}
