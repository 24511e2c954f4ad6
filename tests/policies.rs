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

const GRPO: &str = "recipe: practised\nkind: grpo\nmodel: MODEL\npractice: {suite: practice.yaml, prompts: 4, answers: 4, passes: 2}\n\
                    held_out: {share: 0.25}\ntrain: {lora: {rank: 8, alpha: 16}}\nschedule: {lr: 1e-3}\nsequence: 64\nmicro_batch: 4\n\
                    steps: 6\nevaluate: {every: 2}\ncheckpoint: {every: 2}\noutput: practised.adapter.gguf\n";

/// Sums of three digits, which the bundled model gets right now and then when it is hot.
const PRACTICE: &str = "suite: practice\nmodel: MODEL\ncontext: 64\nsampling: {max_tokens: 8, temperature: 0, stop: [\"\\n\"]}\ncases:\n  \
                        generate: {count: 40, seed: 1, let: {a: {int: [100, 999]}, b: {int: [100, 999]}}, case: {vars: {question: \
                        \"What is {{ a }} + {{ b }}?\"}, target: \"{{ a + b }}\"}}\nanswer: {take: number, which: last}\nscorers:\n  \
                        - number: {name: exact}\nvariants:\n  - {name: at_once, prompt: qa.txt}\n";

fn practice(recipe: &str, suite: &str) -> Workspace {
    let (workspace, model) = (Workspace::new(), model().display().to_string());
    workspace.write("qa.txt", "Q: {{ question }}\nA:");
    workspace.write("practice.yaml", suite.replace("MODEL", &model));
    workspace.write("policy.yaml", recipe.replace("MODEL", &model));
    workspace
}

fn lines(workspace: &Workspace, name: &str) -> (std::path::PathBuf, Vec<Value>) {
    let folder = std::fs::read_dir(workspace.path().join("reports/train")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    (folder, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_policy_practises_and_what_it_drew_is_kept_as_runs() {
    let workspace = practice(GRPO, PRACTICE);
    let said = workspace.ok(&["train", "policy.yaml"]);
    let (folder, steps) = lines(&workspace, "steps.jsonl");
    assert_eq!(steps.iter().map(|step| step["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    for (step, told) in steps.iter().map(|step| &step["practice"]).enumerate() {
        assert_eq!((told["round"].as_u64(), told["answers"].as_u64()), (Some(step as u64 / 2), Some(16)), "{told}");
        let number = |name: &str| told[name].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&number("reward")) && number("kl") >= 0.0 && number("length") > 1.0, "{told}");
        assert!(number("parity") < 0.05, "trainer and engine are one policy: {told}");
        if step % 2 == 0 {
            assert!((number("ratio") - 1.0).abs() < 1e-6, "drawn by the policy as it is: {told}");
        }
    }
    let moved = steps.iter().any(|step| step["grad_norm"].as_f64().unwrap() > 0.0);
    assert!(moved && steps[5]["practice"]["kl"].as_f64().unwrap() > 0.0, "{steps:?}");
    // Each round is an ordinary run, and so is each look at the held-out cases.
    let rounds: Vec<_> = std::fs::read_dir(folder.join("rounds")).unwrap().map(|run| run.unwrap().path()).collect();
    assert_eq!(rounds.len(), 3);
    let samples = samples_of(&rounds[0]);
    let own = samples.iter().filter(|sample| sample["trial"]["repeat"] != "reduced").count();
    assert_eq!(own, 16, "{}", samples[0]);
    let (_, evaluations) = lines(&workspace, "evaluations.jsonl");
    assert_eq!(evaluations.len(), 4);
    for one in &evaluations {
        let run = folder.join(one["run"].as_str().unwrap());
        assert_eq!(one["scores"]["exact"].as_f64(), one["held_out_loss"].as_f64().map(|loss| 0.0 - loss));
        assert!(samples_of(&run).len() > 2);
    }
    assert!(said.stderr.contains("| reward 0.") && said.stderr.contains("held-out reward"), "{}", said.stderr);
    // Each line tells how far trainer and engine are apart.
    let told = regex::Regex::new(r"\| ratio 1\.000 \| clipped 0\.00 \| parity \d\.\de-\d, [01]\.\d{3} \|").unwrap();
    assert!(told.is_match(&said.stderr), "{}", said.stderr);
    assert!(said.stdout.contains("held-out reward"), "{}", said.stdout);
    // What comes out is an adapter like any other.
    let shown = workspace.ok(&["model", "show", "practised.adapter.gguf"]).stdout;
    assert!(shown.contains("lora, rank 8") && shown.contains("base.sha256"), "{shown}");
    workspace.ok(&["run", "practice.yaml", "--adapter", "practised.adapter.gguf", "--limit", "2", "-q"]);
    assert!(!folder.join(".tmp-policy.gguf").exists());
}

/// Leaves of a complete run what was there when it was killed: so many lines of either file, and checkpoints up to a step.
fn kill(folder: &std::path::Path, (steps, looks, newest): (usize, usize, u64)) {
    std::fs::remove_file(folder.join("practised.adapter.gguf")).unwrap();
    for step in (newest + 1)..=6 {
        let _ = std::fs::remove_file(folder.join(format!("checkpoints/step-{step:06}.gguf")));
    }
    for (name, kept) in [("steps.jsonl", steps), ("evaluations.jsonl", looks)] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let kept: Vec<&str> = text.split_inclusive('\n').take(kept).collect();
        std::fs::write(folder.join(name), kept.concat()).unwrap();
    }
    let text = std::fs::read_to_string(folder.join("header.json")).unwrap();
    let mut header: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    header.insert("status".into(), "started".into());
    for key in ["outcome", "ended", "best"] {
        header.remove(key);
    }
    std::fs::write(folder.join("header.json"), Value::Object(header).to_string()).unwrap();
}

#[test]
fn practice_that_was_killed_goes_on_as_if_it_had_not_been() {
    for kind in ["kind: grpo", "kind: ppo"] {
        goes_on(&GRPO.replace("checkpoint: {every: 2}", "checkpoint: {every: 2, keep: 9}").replace("kind: grpo", kind));
    }
}

/// Where a recipe does not say when, each round is kept: a run that is killed goes on behind the last one.
#[test]
fn every_round_is_a_checkpoint() {
    let workspace = practice(&GRPO.replace("checkpoint: {every: 2}\n", ""), PRACTICE);
    workspace.ok(&["train", "policy.yaml", "-q"]);
    let (folder, _) = lines(&workspace, "steps.jsonl");
    for step in [4, 6] {
        assert!(folder.join(format!("checkpoints/step-{step:06}.gguf")).exists(), "two passes are a round: {step}");
    }
}

fn goes_on(recipe: &str) {
    let workspace = practice(recipe, PRACTICE);
    workspace.ok(&["train", "policy.yaml", "-q"]);
    let (folder, _) = lines(&workspace, "steps.jsonl");
    let looks = |workspace: &Workspace| -> Vec<(Value, Value)> {
        let (_, all) = lines(workspace, "evaluations.jsonl");
        all.into_iter().map(|one| (one["step"].clone(), one["held_out_loss"].clone())).collect()
    };
    let (file, whole) = (std::fs::read(folder.join("practised.adapter.gguf")).unwrap(), looks(&workspace));
    // In the third round; before the last look at the held-out cases; before its first.
    for cut in [(5, 3, 4), (6, 3, 6), (0, 0, 0)] {
        kill(&folder, cut);
        workspace.ok(&["train", "policy.yaml", "--resume", "-q"]);
        let (_, steps) = lines(&workspace, "steps.jsonl");
        assert_eq!(
            steps.iter().filter_map(|step| step["step"].as_u64()).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6],
            "{cut:?}"
        );
        assert_eq!(looks(&workspace), whole, "{cut:?}");
        assert!(
            std::fs::read(folder.join("practised.adapter.gguf")).unwrap() == file,
            "{cut:?}: the same as in one piece"
        );
    }
}

/// What it learned from the beginning on is what it goes on with, or it says what is another.
#[test]
fn practice_does_not_go_on_with_another_scorer() {
    let workspace = practice(GRPO, PRACTICE);
    workspace.ok(&["train", "policy.yaml", "-q"]);
    let (folder, _) = lines(&workspace, "steps.jsonl");
    kill(&folder, (4, 3, 4));
    let model = model().display().to_string();
    workspace.write(
        "practice.yaml",
        PRACTICE.replace("MODEL", &model).replace("{name: exact}", "{name: exact, tolerance: 5}"),
    );
    let said = workspace.tripos(&["train", "policy.yaml", "--resume"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("what is practised"), "{}", said.stderr);
}

/// A reward model that moved a policy is no proof that it became better.
#[test]
fn a_gate_refuses_the_judge_that_trained_a_policy() {
    let judge = model().with_file_name("tripos-tiny-reward.gguf");
    let suite = PRACTICE.replace("  - number", &format!("  - reward: {{model: {}}}\n  - number", judge.display()));
    let recipe = GRPO.replace("passes: 2", "passes: 1, rewards: {reward: 1}").replace("steps: 6", "steps: 2");
    let workspace = practice(&recipe, &suite);
    workspace.ok(&["train", "policy.yaml", "-q"]);
    let shown = workspace.ok(&["model", "show", "practised.adapter.gguf"]).stdout;
    assert!(shown.contains("reward.sha256"), "{shown}");
    let model = model().display().to_string();
    let gate = |rules: &str| {
        workspace.write("gated.yaml", format!("{}gate:\n{rules}", suite.replace("MODEL", &model)));
        let asked = ["gate", "gated.yaml", "--limit", "4", "-q"];
        let policy = workspace.tripos(&[&asked[..], &["--adapter", "practised.adapter.gguf"]].concat());
        (policy, workspace.tripos(&asked))
    };
    let reward = "  - {variant: at_once, metric: reward, at_least: -90}\n";
    let (policy, base) = gate(reward);
    assert_eq!((policy.code, base.code), (Some(2), Some(0)), "{} {}", policy.stderr, base.stderr);
    let said = policy.stderr.replace(&workspace.path().display().to_string(), "");
    assert!(
        said.contains(
            "error: `reward` alone judges variant `at_once`, and is the reward model that its model was trained by\n"
        ) && said.contains("--> gated.yaml:")
            && said.contains("help: add a rule about a scorer that did not train it"),
        "{said}"
    );
    let (policy, _) = gate(&format!("{reward}  - {{variant: at_once, metric: exact, at_least: 0}}\n"));
    assert_eq!(policy.code, Some(0), "{}", policy.stderr);
}

/// What is said of a recipe and its suite.
fn checked(recipe: &str, suite: &str) -> String {
    let workspace = practice(recipe, suite);
    workspace.tripos(&["check", "policy.yaml"]).stderr
}

#[test]
fn says_what_no_policy_can_learn_from() {
    let silent = PRACTICE
        .replace("- number: {name: exact}", "- choice: {choices: c}")
        .replace("vars: {question", "vars: {c: [a, b], question")
        .replace("\"{{ a + b }}\"", "a");
    insta::assert_snapshot!(checked(GRPO, &silent), @r"
    error: no scorer of the suite judges what the policy says
      --> policy.yaml:4:12
      help: name scorers of the completion: exact, number, label by its text, reward …
    ");
    let dropped = GRPO.replace("alpha: 16}", "alpha: 16, dropout: 0.1}");
    insta::assert_snapshot!(checked(&dropped, PRACTICE), @r"
    error: a policy that practises has no dropout
      --> policy.yaml:6:36
      help: leave it out: what is learned from would not be the policy that drew
    ");
}

#[test]
fn says_what_is_wrong_with_practice() {
    let wrong = GRPO
        .replace("prompts: 4, answers: 4", "prompts: 0, answers: 1, clip: 2, rewards: {exact: 0}")
        .replace("steps: 6\n", "steps: 6\ndata: {file: pairs.jsonl}\n");
    insta::assert_snapshot!(checked(&wrong, PRACTICE), @r"
    error: a policy learns from its own answers, and not from data
      --> policy.yaml:11:1
      help: leave it out: what is practised is a suite's cases (`practice: {suite: FILE}`)
    error: `prompts` is 0
      --> policy.yaml:4:34
      help: it is 1 to 4096
    error: `answers` is 1
      --> policy.yaml:4:46
      help: it is 2 to 4096: an answer is measured against the others
    error: `clip` is 2
      --> policy.yaml:4:58
      help: it is a number above 0 and below 1
    error: every weight is 0, so that nothing is worth anything
      --> policy.yaml:4:67
      help: give one of them a weight: `rewards: {exact: 1}`
    ");
    let strange = GRPO.replace("passes: 2", "variant: other, rewards: {exakt: 1}");
    insta::assert_snapshot!(checked(&strange, PRACTICE), @r"
    error: variant `other` does not exist
      --> policy.yaml:4:58
      help: known here: at_once
    error: scorer `exakt` does not exist
      --> policy.yaml:4:84
      help: did you mean `exact`? (exact)
    ");
    let several = PRACTICE
        .replace("- {name: at_once, prompt: qa.txt}", "- {name: a, prompt: qa.txt}\n  - {name: b, prompt: qa.txt}");
    insta::assert_snapshot!(checked(GRPO, &several), @r"
    error: the suite has several variants
      --> policy.yaml:4:1
      help: say which asks: `variant: NAME` (a, b)
    ");
    let steered = PRACTICE.replace("temperature: 0,", "temperature: 0, presence_penalty: 1,");
    insta::assert_snapshot!(checked(GRPO, &steered), @r"
    error: the variant's sampling steers what is drawn, and the policy would learn from what it would not have said
      --> policy.yaml:4:1
      help: leave grammar, schema, penalties and biases out; temperature, top_k, top_p and min_p are set aside by themselves
    ");
    let without = GRPO.replace("practice: {suite: practice.yaml, prompts: 4, answers: 4, passes: 2}\n", "");
    insta::assert_snapshot!(checked(&without, PRACTICE), @r"
    error: the recipe has no `practice`
      --> policy.yaml:1:1
      help: name a suite whose cases it practises: `practice: {suite: FILE}`
    ");
}

/// Every answer passes.
#[test]
fn a_reward_that_tells_nothing_apart_teaches_nothing() {
    let level = PRACTICE.replace("- number: {name: exact}", "- regex: {name: any, pattern: '.*'}");
    let workspace = practice(&GRPO.replace("steps: 6", "steps: 20").replace("every: 2", "every: 100"), &level);
    let said = workspace.tripos(&["train", "policy.yaml", "-q"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(
        said.stderr.contains("for 5 rounds no answer was worth more than those it is measured against"),
        "{}",
        said.stderr
    );
}

/// The judge reads no more than 16 tokens, and each question has more.
#[test]
fn answers_that_no_scorer_can_judge_teach_nothing() {
    let judge = model().with_file_name("tripos-tiny-reward.gguf");
    let suite =
        PRACTICE.replace("- number: {name: exact}", &format!("- reward: {{model: {}, context: 16}}", judge.display()));
    let workspace = practice(GRPO, &suite);
    let said = workspace.tripos(&["train", "policy.yaml", "-q"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let expected = "none of 14 answers can be learned from: no scorer could judge them, or they are longer than a row";
    assert!(said.stderr.contains(expected), "{}", said.stderr);
    assert!(said.stderr.contains("--> reports/train/practised-"), "says which run shows why: {}", said.stderr);
}

#[test]
fn a_judge_that_is_another_file_by_now_ends_the_run() {
    let judge = model().with_file_name("tripos-tiny-reward.gguf");
    let workspace = practice(
        &GRPO.replace("steps: 6", "steps: 400").replace("every: 2}\nch", "every: 0}\nch"),
        &PRACTICE.replace("- number: {name: exact}", "- reward: {model: judge.gguf}"),
    );
    let file = workspace.path().join("judge.gguf");
    std::fs::copy(&judge, &file).unwrap();
    let mut run =
        workspace.command(&["train", "policy.yaml", "-q"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let steps = || {
        let folder = std::fs::read_dir(workspace.path().join("reports/train")).ok()?.next()?.ok()?.path();
        std::fs::read_to_string(folder.join("steps.jsonl")).ok().filter(|text| text.contains('\n'))
    };
    while steps().is_none() && run.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // The same judge, with a byte behind its end.
    let other = workspace.path().join("other.gguf");
    std::fs::write(&other, [std::fs::read(&file).unwrap(), vec![0]].concat()).unwrap();
    std::fs::rename(&other, &file).unwrap();
    let ended = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("it has changed since the run began") && said.contains("judge.gguf"), "{said}");
    let (folder, steps) = lines(&workspace, "steps.jsonl");
    assert!(steps.len() >= 2 && folder.join("header.json").exists(), "what was learned is kept");
}
