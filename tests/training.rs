//! `tripos train` on the bundled model: what it teaches, what it records, and what it refuses.

use crate::workspace::{Said, Workspace, model, samples_of};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A recipe of 12 short steps on sums, in a folder of its own with the prompt that it fills in.
pub(crate) fn workspace() -> Workspace {
    let workspace = Workspace::llama();
    workspace.write("sums.yaml", RECIPE.replace("MODEL", &model().display().to_string()));
    workspace
}

const RECIPE: &str = "\
recipe: sums
kind: sft
model: MODEL
data:
  generate:
    count: 60
    seed: 3
    let: {a: {int: [10, 49]}, b: {int: [10, 49]}}
    case: {vars: {q: 'What is {{ a }} + {{ b }}?'}, target: '{{ a + b }}'}
  prompt: qa.txt
  completion: ' {{ target }}'
held_out: {share: 0.2}
train: {lora: {rank: 4, alpha: 8, dropout: 0.1}}
sequence: 64
batch: 4
micro_batch: 2
steps: 12
schedule: {lr: 2e-3}
evaluate: {every: 4, max_tokens: 6}
checkpoint: {every: 2, keep: 2}
seed: 1
";

/// Changes the recipe.
fn change(workspace: &Workspace, from: &str, to: &str) {
    let recipe = workspace.read("sums.yaml");
    assert!(recipe.contains(from), "{from}");
    workspace.write("sums.yaml", recipe.replace(from, to));
}

/// The folders of training runs, in the order of their names.
pub(crate) fn folders(workspace: &Workspace) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(workspace.path().join("reports/train")).into_iter().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn folder(workspace: &Workspace) -> PathBuf {
    let mut folders = folders(workspace);
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders.remove(0)
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn losses(folder: &Path) -> Vec<f64> {
    lines(&folder.join("steps.jsonl")).iter().map(|step| step["loss"].as_f64().unwrap()).collect()
}

fn header(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("header.json")).unwrap()).unwrap()
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What was refused, with the folders of this test and of its run left out.
fn refused(workspace: &Workspace, arguments: &[&str]) -> String {
    let said = workspace.tripos(arguments);
    assert_eq!(said.code, Some(2), "{}\n{}", said.stdout, said.stderr);
    without_folders(workspace, &said.stderr)
}

fn without_folders(workspace: &Workspace, text: &str) -> String {
    let mut text = text.to_owned();
    for folder in folders(workspace) {
        text = text.replace(folder.file_name().unwrap().to_str().unwrap(), "RUN");
    }
    text.replace(workspace.path().to_str().unwrap(), "HERE")
}

#[test]
fn a_short_run_teaches_and_records_everything() {
    let workspace = workspace();
    change(&workspace, "seed: 1\n", "seed: 1\noutput: sums.adapter.gguf\n");
    let said = workspace.ok(&["train", "sums.yaml"]);
    let folder = folder(&workspace);
    assert_eq!(
        names(&folder),
        ["checkpoints", "evaluations.jsonl", "header.json", "lock", "report.html", "steps.jsonl", "sums.adapter.gguf"]
    );
    assert_eq!(names(&folder.join("checkpoints")), ["step-000010.gguf", "step-000012.gguf"]);

    let shape = regex::Regex::new(
        r"(?m)^step 00\d\d/0012 \| loss \d\.\d{4} \| lr \d\.\de-\d \| [\d,]+ tok/s \| eta (\d+m)?\d+s$",
    );
    assert_eq!(shape.unwrap().find_iter(&said.stderr).count(), 12, "{}", said.stderr);
    assert!(said.stderr.starts_with("parity with llama.cpp over "), "{}", said.stderr);
    for part in [" rounding as it does (at most 2e-2), ", " in bf16 (at most 2e-2); its rounding of activations makes "]
    {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    assert!(said.stdout.starts_with("trained        sums.adapter.gguf (step 12 of 12)\n"), "{}", said.stdout);

    let (steps, evaluations) = (lines(&folder.join("steps.jsonl")), lines(&folder.join("evaluations.jsonl")));
    let numbers: Vec<u64> = steps.iter().map(|step| step["step"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    for key in ["loss", "lr", "grad_norm", "tokens_per_s", "peak_mib"] {
        assert!(steps.iter().all(|step| step[key].as_f64().unwrap() > 0.0), "{key}");
    }
    let losses = losses(&folder);
    assert!(losses[11] < 0.9 * losses[0], "{losses:?}");
    let numbers: Vec<u64> = evaluations.iter().map(|one| one["step"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 4, 8, 12]);
    assert!(evaluations.iter().all(|one| one["says"].as_array().unwrap().len() == 3));
    assert!(evaluations[0]["says"][0]["prompt"].as_str().unwrap().starts_with("Q: What is "), "{}", evaluations[0]);

    let header = header(&folder);
    assert_eq!(header["status"], "complete");
    assert_eq!(header["recipe"]["train"]["lora"]["rank"], 4);
    assert_eq!(header["recipe"]["data"][0]["generate"]["count"], 60);
    assert_eq!(header["best"]["step"], 12);
    let adapter = workspace.path().join("sums.adapter.gguf");
    assert_eq!(std::fs::read(&adapter).unwrap(), std::fs::read(folder.join("sums.adapter.gguf")).unwrap());
    assert_eq!(header["outcome"]["output"]["sha256"], tripos::gguf::sha256_file(&adapter).unwrap());
}

#[test]
fn what_was_learned_is_what_the_engine_then_says() {
    let workspace = workspace();
    change(&workspace, "steps: 12", "steps: 40");
    workspace.ok(&["train", "sums.yaml", "--quiet"]);
    let adapter = folder(&workspace).join("sums.adapter.gguf");
    let flags = ["run", "suite.yaml", "--no-cache", "--limit", "6", "--adapter", adapter.to_str().unwrap()];
    workspace.ok(&flags);
    let runs: Vec<PathBuf> = workspace.run_folders().into_iter().filter(|path| !path.ends_with("train")).collect();
    let answers: Vec<Value> = samples_of(&runs[0]).into_iter().filter(|s| s["trial"]["variant"] == "greedy").collect();
    // It learned to answer with a number and to stop there; the base explains.
    for sample in &answers {
        let text = sample["completion"]["text"].as_str().unwrap();
        assert!(text.trim().parse::<u32>().is_ok(), "{text:?}");
        assert_eq!(sample["completion"]["stop_reason"], "stop", "{text:?}");
    }
}

/// Without an adapter: the file is a model, which is run by itself.
#[test]
fn a_whole_model_is_trained_and_runs() {
    let workspace = workspace();
    change(&workspace, "train: {lora: {rank: 4, alpha: 8, dropout: 0.1}}", "train: full");
    change(&workspace, "lr: 2e-3", "lr: 3e-4");
    let said = workspace.ok(&["train", "sums.yaml"]);
    assert!(said.stderr.contains(": 3,148,032 of 3,148,032 parameters, "), "{}", said.stderr);
    let losses = losses(&folder(&workspace));
    assert!(losses[11] < 0.9 * losses[0], "{losses:?}");
    let trained = folder(&workspace).join("sums.gguf");
    workspace.ok(&["run", "suite.yaml", "--no-cache", "--limit", "2", "--model", trained.to_str().unwrap()]);
}

#[test]
fn a_head_learns_to_tell_labels_apart() {
    let workspace = workspace();
    let recipe = workspace.read("sums.yaml");
    let (before, rest) = (recipe.split("data:\n").next().unwrap(), recipe.split("held_out").nth(1).unwrap());
    let data = "labels: [sum, word]\n\
        data:\n  generate:\n    count: 60\n    seed: 3\n    let: {a: {int: [10, 49]}, of: {pick: [sum, word]}}\n    \
        case: {vars: {q: \"{% if of == 'sum' %}{{ a }} + 1{% else %}Paris {{ a }}{% endif %}\"}, target: '{{ of }}'}\n  \
        prompt: qa.txt\n";
    let recipe = format!("{}{data}held_out{rest}", before.replace("kind: sft", "kind: classify"));
    workspace.write("sums.yaml", recipe);
    workspace.ok(&["train", "sums.yaml", "--quiet"]);
    let evaluations = lines(&folder(&workspace).join("evaluations.jsonl"));
    assert_eq!(evaluations.last().unwrap()["accuracy"], 1.0, "{evaluations:?}");
    assert!(evaluations.iter().all(|one| one["says"].is_null() && one["perplexity"].is_null()));
    assert_eq!(header(&folder(&workspace))["labels"], serde_json::json!(["sum", "word"]));
}

/// A suite may ask the classifier that its recipe trains before there is one; any other missing file is an error.
#[test]
fn the_suite_of_a_recipe_asks_the_classifier_that_was_trained() {
    let workspace = workspace();
    let recipe = workspace
        .read("sums.yaml")
        .replace("kind: sft", "kind: classify")
        .replace("  completion: ' {{ target }}'\n", "");
    let recipe = recipe.replace("target: '{{ a + b }}'", "target: '{% if a > b %}more{% else %}less{% endif %}'");
    workspace.write("sums.yaml", format!("{recipe}output: taught.gguf\nsuite: asked.yaml\n"));
    let suite = "suite: asked\nmodel: MODEL\ncases:\n  - {vars: {q: 'What is 40 + 10?'}, target: more}\n\
        scorers: [{label: {classifier: ./taught.gguf}}]\nvariants: [{name: plain, prompt: qa.txt}]\n";
    workspace.write("asked.yaml", suite.replace("MODEL", &model().display().to_string()));
    workspace.ok(&["check", "sums.yaml"]);
    insta::assert_snapshot!(refused(&workspace, &["check", "asked.yaml"]), @r"
    error: cannot read the classifier `taught.gguf`: No such file or directory (os error 2)
      --> asked.yaml:5:20
      help: check the path; what a file names is relative to that file
    ");
    // Nothing lies at the recipe's output: the suite reads what lies in the run's own folder.
    workspace.ok(&["train", "sums.yaml", "--steps", "2", "--quiet"]);
    assert!(!workspace.path().join("taught.gguf").exists());
    let folder = folder(&workspace);
    let run = folder.join(header(&folder)["outcome"]["suite_runs"][0].as_str().unwrap());
    let asked: Value = serde_json::from_str(&std::fs::read_to_string(run.join("header.json")).unwrap()).unwrap();
    let classifier = &asked["suite"]["scorers"][0]["label"]["classifier"]["file"];
    assert!(classifier.as_str().unwrap().ends_with("/sums.adapter.gguf"), "{classifier}");
    assert_eq!(samples_of(&run).len(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
    // Trained in earnest it lies there, and anyone can ask it.
    workspace.ok(&["train", "sums.yaml", "--quiet"]);
    workspace.ok(&["run", "asked.yaml"]);
    workspace.write("asked.yaml", workspace.read("asked.yaml").replace("taught", "tought"));
    let misspelt = refused(&workspace, &["train", "sums.yaml"]);
    assert!(misspelt.starts_with("error: cannot read the classifier `tought.gguf`"), "{misspelt}");
}

#[test]
fn eight_documents_are_known_by_heart_within_fifty_steps() {
    let workspace = workspace();
    change(&workspace, "count: 60", "count: 8");
    change(&workspace, "held_out: {share: 0.2}", "held_out: {share: 0}");
    change(&workspace, "evaluate: {every: 4, max_tokens: 6}", "evaluate: {every: 0}");
    change(&workspace, "dropout: 0.1", "dropout: 0");
    let folder = {
        workspace.ok(&["train", "sums.yaml", "--steps", "50", "--lr", "1e-2", "--quiet"]);
        folder(&workspace)
    };
    let losses = losses(&folder);
    assert!(losses[49] < 0.05 * losses[0], "{} {}", losses[0], losses[49]);
}

/// Decay pulls by the rate times 1e30: at a rate of 1e-33 that is little, at 1 it throws weights beyond what f32 holds.
#[test]
fn numbers_out_of_bounds_end_the_run_with_the_last_good_checkpoint() {
    let workspace = workspace();
    change(&workspace, "lr: 2e-3}", "lr: 1e-33}\noptimiser: {weight_decay: 1e30}");
    change(&workspace, "evaluate: {every: 4", "evaluate: {every: 6");
    change(&workspace, "checkpoint: {every: 2, keep: 2}", "checkpoint: {every: 1, keep: 20}");
    workspace.ok(&["train", "sums.yaml", "--quiet"]);
    let folder = folder(&workspace);
    // As if it had been killed behind step 3.
    begun(&folder);
    for step in 4..=12 {
        std::fs::remove_file(folder.join(format!("checkpoints/step-{step:06}.gguf"))).unwrap();
    }
    let text = refused(&workspace, &["train", "sums.yaml", "--resume", "--lr", "1", "--quiet"]);
    insta::assert_snapshot!(text, @r"
    error: loss is NaN at step 5 (lr 6.7e-1, gradient norm NaN, batch 4 x 64 tokens)
      --> reports/train/RUN/steps.jsonl:5
      help: the last good checkpoint is step 3: tripos train sums.yaml --resume --lr 3e-1
    ");
    assert_eq!(header(&folder)["status"], "failed");
    let good = ["step-000001.gguf", "step-000002.gguf", "step-000003.gguf", "step-000004.gguf.bad"];
    assert_eq!(names(&folder.join("checkpoints")), good);
    assert!(lines(&folder.join("steps.jsonl"))[4]["loss"].is_null());
    // With a lower rate it goes on from there.
    workspace.ok(&["train", "sums.yaml", "--resume", "--lr", "1e-33", "--quiet"]);
    assert_eq!((header(&folder)["status"].as_str(), losses(&folder).len()), (Some("complete"), 12));
}

/// A complete run as one that is under way.
fn begun(folder: &Path) {
    let header = folder.join("header.json");
    let text = std::fs::read_to_string(&header).unwrap();
    std::fs::write(&header, text.replace("\"complete\"", "\"started\"")).unwrap();
}

#[test]
fn a_changed_recipe_or_flag_is_not_gone_on_with() {
    let workspace = workspace();
    workspace.ok(&["train", "sums.yaml", "--steps", "3", "--quiet"]);
    let refused = |arguments: &[&str]| refused(&workspace, arguments);
    insta::assert_snapshot!(refused(&["train", "sums.yaml", "--resume", "--steps", "4", "--seed", "2"]), @r"
    error: --seed would change the training run that is resumed (2, the run has none)
      --> reports/train/RUN
      help: leave it out, or start a run of its own without --resume
    error: --steps would change the training run that is resumed (4, the run has 3)
      --> reports/train/RUN
      help: leave it out, or start a run of its own without --resume
    ");
    change(&workspace, "rank: 4", "rank: 8");
    insta::assert_snapshot!(refused(&["train", "sums.yaml", "--resume"]), @r"
    error: the recipe changed since the training run began
      --> reports/train/RUN
      help: start a run of its own without --resume
    ");
    workspace.write("other.yaml", workspace.read("sums.yaml").replace("recipe: sums", "recipe: other"));
    insta::assert_snapshot!(refused(&["train", "other.yaml", "--resume"]), @r"
    error: there is no training run of this recipe to go on with
      --> other.yaml
      help: none lies in reports/train: start one without --resume, or name its folder
    ");
    let nowhere = refused(&["train", "other.yaml", "--resume", "nowhere"]);
    assert!(nowhere.starts_with("error: cannot read the training run: "), "{nowhere}");
}

#[test]
fn a_checkpoint_of_another_recipe_is_refused() {
    let workspace = workspace();
    workspace.ok(&["train", "sums.yaml", "--steps", "3", "--quiet"]);
    let foreign = folder(&workspace).join("checkpoints/step-000003.gguf");
    let bytes = std::fs::read(&foreign).unwrap();
    std::fs::remove_dir_all(folder(&workspace)).unwrap();
    change(&workspace, "rank: 4", "rank: 8");
    workspace.ok(&["train", "sums.yaml", "--steps", "2", "--quiet"]);
    begun(&folder(&workspace));
    std::fs::write(folder(&workspace).join("checkpoints/step-000003.gguf"), bytes).unwrap();
    insta::assert_snapshot!(hashes_out(&refused(&workspace, &["train", "sums.yaml", "--resume"])), @r"
    error: this checkpoint is of another recipe: HASH there, HASH here
      --> reports/train/RUN/checkpoints/step-000003.gguf
      help: a changed recipe is another run: start it without --resume
    ");
}

/// Twelve hexadecimal digits become `HASH`.
fn hashes_out(text: &str) -> String {
    regex::Regex::new("[0-9a-f]{12}").unwrap().replace_all(text, "HASH").into_owned()
}

#[test]
fn a_dry_run_learns_nothing_and_says_what_it_would_take() {
    let workspace = workspace();
    let said = workspace.ok(&["train", "sums.yaml", "--dry-run"]);
    let measured = regex::Regex::new(r"\d+ MiB|\d+\.\d+ GiB|\d+(m\d+)?s\b|\d+\.\d\d s").unwrap();
    let text = measured.replace_all(&said.stdout, "N").replace(model().to_str().unwrap(), "MODEL");
    insta::assert_snapshot!(text, @r"
    recipe    sums (sft)
    model     MODEL, 3,148,032 parameters
    trained   an adapter of rank 4, 74,752 parameters
    data      47 documents, 893 tokens, 188 learned, in 16 rows of 64
    held out  13 documents, 247 tokens
    steps     12 of 4 rows, 2 at once: 3.0 times over the data
    memory    about N; N available
    time      about N: N a step, N an evaluation, as measured just now

    data, its first document; what stands in ⟦ ⟧ is learned:
    <|endoftext|>Q: What is 10 + 48?
    A:⟦ 58<|endoftext|>⟧
    ");
    assert!(folders(&workspace).is_empty());
    let json: Value =
        serde_json::from_str(&workspace.ok(&["train", "sums.yaml", "--dry-run", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["steps"], 12);
    assert!(json["memory"]["estimated"].as_u64().unwrap() > 1 << 20 && json["total_s"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_sweep_trains_with_each_value_and_ends_in_one_table() {
    let workspace = workspace();
    change(&workspace, "seed: 1\n", "seed: 1\noutput: sums.adapter.gguf\n");
    let Said { stdout, stderr, .. } =
        workspace.ok(&["train", "sums.yaml", "--sweep", "lr=1e-5,2e-3", "--steps", "6", "--format", "json"]);
    let table: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(table["key"], "lr", "{stderr}");
    let runs = table["runs"].as_array().unwrap();
    let losses: Vec<f64> = runs.iter().map(|run| run["held_out_loss"].as_f64().unwrap()).collect();
    assert!(losses[1] < losses[0], "{losses:?}");
    assert_eq!(folders(&workspace).len(), 2);
    assert!(!workspace.path().join("sums.adapter.gguf").exists(), "no run of a sweep is the recipe's output");
    let said = workspace.ok(&["train", "sums.yaml", "--sweep", "seed=1,2", "--steps", "2", "--quiet"]);
    let wanted = ["seed", "held-out loss", "at step", "last loss", "tok/s", "time", "run"];
    assert!(wanted.iter().all(|title| said.stdout.contains(title)), "{}", said.stdout);
}

#[test]
fn a_file_of_another_kind_is_named_for_what_it_is() {
    let workspace = workspace();
    workspace.ok(&["train", "sums.yaml", "--steps", "2", "--quiet"]);
    let run = folder(&workspace);
    let (run, adapter) = (run.display().to_string(), run.join("sums.adapter.gguf").display().to_string());
    let refused = |arguments: &[&str]| refused(&workspace, arguments);
    let shown = |text: String| text.replace(&model().display().to_string(), "MODEL");
    insta::assert_snapshot!(refused(&["show", &run]), @r"
    error: this is a training run, not a run of a suite
      --> HERE/reports/train/RUN/header.json
      help: `tripos report` shows it, and `tripos train RECIPE --resume` goes on with it
    ");
    insta::assert_snapshot!(shown(refused(&["run", "suite.yaml", "--adapter", model().to_str().unwrap()])), @r"
    error: this is a model, not an adapter
      --> MODEL
      help: name an adapter, which a recipe or PEFT makes; a model is asked by itself
    ");
    insta::assert_snapshot!(shown(refused(&["run", "suite.yaml", "--model", &adapter])), @r"
    error: this is an adapter, not a model
      --> HERE/reports/train/RUN/sums.adapter.gguf
      help: name the model that it was trained on, and this file as its adapter
    ");
    insta::assert_snapshot!(refused(&["train", "suite.yaml"]), @r"
    error: this is a suite, not a recipe
      --> suite.yaml:1:1
      help: a suite is run: tripos run suite.yaml
    ");
    insta::assert_snapshot!(refused(&["run", "sums.yaml"]), @r"
    error: this is a recipe, not a suite
      --> sums.yaml:1:1
      help: a recipe is trained: tripos train sums.yaml
    ");
    let scaled = |scale: &str| workspace.tripos(&["run", "suite.yaml", "--adapter", &format!("{adapter}={scale}")]);
    for scale in ["nan", "inf", "x"] {
        let said = scaled(scale);
        assert!(
            said.code == Some(2) && said.stderr.contains(&format!("`{scale}` is no number to scale it by")),
            "{}",
            said.stderr
        );
    }
    // What a run consists of is not written over.
    let steps = workspace.read(Path::new(&run).join("steps.jsonl").to_str().unwrap());
    let said = workspace.tripos(&["report", &run, "-o", &format!("{run}/steps.jsonl")]);
    assert!(said.code != Some(0) && said.stderr.contains("is part of the run that is shown"), "{}", said.stderr);
    assert_eq!(workspace.read(Path::new(&run).join("steps.jsonl").to_str().unwrap()), steps);
}

/// Evaluation scorers that look at something else would tell nothing of what was trained.
#[test]
fn the_suite_of_a_classifier_has_to_ask_it() {
    let workspace = workspace();
    let recipe = workspace.read("sums.yaml").replace("kind: sft", "kind: classify");
    let recipe = recipe.replace("  completion: ' {{ target }}'\n", "");
    workspace.write("sums.yaml", format!("{recipe}output: taught.gguf\nsuite: suite.yaml\n"));
    insta::assert_snapshot!(refused(&workspace, &["train", "sums.yaml"]), @r"
    error: the suite asks no classifier, so it would tell nothing of what is trained
      --> sums.yaml:22:1
      help: give it the scorer `label: {classifier: taught.gguf}`
    ");
}

#[test]
fn a_trained_file_that_was_deleted_is_copied_again() {
    let workspace = workspace();
    workspace.write(
        "sums.yaml",
        format!("{}output: sums.gguf\n", workspace.read("sums.yaml").replace("steps: 12", "steps: 2")),
    );
    workspace.ok(&["train", "sums.yaml", "--quiet"]);
    let trained = std::fs::read(workspace.path().join("sums.gguf")).unwrap();
    std::fs::remove_file(workspace.path().join("sums.gguf")).unwrap();
    workspace.ok(&["train", "sums.yaml", "--resume", "--quiet"]);
    assert!(std::fs::read(workspace.path().join("sums.gguf")).unwrap() == trained);
    // A dry run does not promise a file that would be left alone.
    assert!(workspace.ok(&["train", "sums.yaml", "--dry-run"]).stdout.contains("\noutput "));
    assert!(!workspace.ok(&["train", "sums.yaml", "--dry-run", "--steps", "3"]).stdout.contains("\noutput "));
}

#[test]
fn too_little_memory_is_said_before_anything_is_made() {
    let workspace = workspace();
    change(&workspace, "batch: 4\nmicro_batch: 2", "batch: 65536");
    let text = refused(&workspace, &["train", "sums.yaml"]);
    let text = regex::Regex::new(r"\d+\.\d GiB").unwrap().replace_all(&text, "N").into_owned();
    insta::assert_snapshot!(text, @r"
    error: training needs about N of memory, and N are available
      --> sums.yaml:15:1
      help: set `micro_batch: 32768` (now 65536), or `recompute: true`, or a shorter `sequence` (now 64); or free some memory
    ");
    assert!(folders(&workspace).is_empty());
}

/// A limit on the size of files stands for a full disk: the system refuses the bytes in the middle of a file.
#[test]
#[cfg(unix)]
fn a_full_disk_keeps_the_checkpoints_that_are_there() {
    let workspace = workspace();
    workspace.ok(&["train", "sums.yaml", "--quiet"]);
    let whole = folder(&workspace);
    let size = |file: &Path| std::fs::metadata(file).unwrap().len();
    let checkpoint = size(&whole.join("checkpoints/step-000012.gguf"));
    std::fs::remove_dir_all(&whole).unwrap();
    let limited = |blocks: u64| {
        let program = env!("CARGO_BIN_EXE_tripos");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {program} train sums.yaml --quiet --threads 1");
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &script]).current_dir(workspace.path()).env("TRIPOS_CACHE", workspace.path().join("cache"));
        crate::workspace::said(&command.output().unwrap())
    };
    let said = limited(checkpoint / 1024 / 2);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    insta::assert_snapshot!(without_folders(&workspace, &said.stderr), @r"
    error: cannot write the checkpoint: File too large (os error 27)
      --> reports/train/RUN/checkpoints/step-000002.gguf
      help: free some space; older checkpoints are kept: go on with --resume
    ");
    let folder = folder(&workspace);
    assert_eq!((header(&folder)["status"].as_str(), names(&folder.join("checkpoints")).len()), (Some("failed"), 0));
    // With space again it goes on where it was.
    workspace.ok(&["train", "sums.yaml", "--resume", "--quiet"]);
    assert_eq!(header(&folder)["status"], "complete");
}
