//! Recipes: defaults, ranges, and every problem at once.

use super::*;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a recipe that would stand in recipes/tiny.
fn read(text: &str, overrides: &Overrides) -> (Option<Recipe>, String) {
    let (recipe, problems) = load_text(&root().join("recipes/tiny/r.yaml"), text, overrides);
    (recipe, problems.to_string().replace(&format!("{}/", root().display()), ""))
}

fn good(text: &str) -> Recipe {
    let (recipe, problems) = read(text, &Overrides::default());
    assert_eq!(problems, "");
    recipe.unwrap()
}

fn refused(text: &str) -> String {
    read(text, &Overrides::default()).1
}

const SHORT: &str =
    "recipe: r\nkind: sft\nmodel: ../../models/tripos-tiny.gguf\ndata: {file: ../../suites/capitals.cases.jsonl}\n";

#[test]
fn what_is_not_written_has_the_usual_values() {
    let recipe = good(SHORT);
    insta::assert_snapshot!(serde_json::to_string(&recipe.json()).unwrap().replace(&format!("{}/", root().display()), ""), @"");
    let full = good(&format!("{SHORT}train: full\n"));
    assert!((full.schedule.lr - 2e-5).abs() < 1e-9);
    let classify = good(&SHORT.replace("sft", "classify"));
    assert!((classify.schedule.lr - 1e-3).abs() < 1e-9);
}

#[test]
fn what_is_written_is_taken() {
    let recipe = good(&format!(
        "{SHORT}train: {{lora: {{rank: 4, alpha: 8, dropout: 0, on: attention}}}}\nsequence: 64\nbatch: 12\nmicro_batch: 4\n\
         epochs: 2.5\nschedule: {{lr: 1e-3, warmup: 0.1, shape: linear, final: 0, warmdown: 0.5}}\n\
         optimiser: {{betas: [0.8, 0.9], eps: 1e-6, weight_decay: 0.1, clip: 2}}\nprecision: f32\nrecompute: true\n\
         too_long: refuse\nevaluate: {{every: 7, patience: 3, prompts: [Hello], max_tokens: 5}}\n\
         checkpoint: {{every: 9, keep: 1}}\nseed: 5\nheld_out: {{share: 0.2}}\n"
    ));
    assert_eq!((recipe.sequence, recipe.batch, recipe.micro_batch, recipe.seed), (64, 12, 4, 5));
    assert_eq!(recipe.length, Length::Epochs(2.5));
    assert_eq!(recipe.schedule, Schedule { lr: 1e-3, warmup: 0.1, shape: Shape::Linear, r#final: 0.0, warmdown: 0.5 });
    assert_eq!(recipe.optimiser, Optimiser { betas: (0.8, 0.9), eps: 1e-6, weight_decay: 0.1, clip: 2.0 });
    assert_eq!((recipe.precision, recipe.recompute, recipe.too_long), (Precision::F32, true, TooLong::Refuse));
    assert_eq!(recipe.evaluate.prompts, [Ask::Text("Hello".into())]);
    assert_eq!((recipe.evaluate.every, recipe.evaluate.patience, recipe.evaluate.max_tokens), (7, Some(3), 5));
    assert_eq!(recipe.checkpoint, Checkpoint { every: 9, keep: 1 });
    assert!(matches!(&recipe.train, Trained::Lora(lora) if lora.rank == 4 && lora.dropout == 0.0));
    assert!(matches!(recipe.held_out, HeldOut::Share(share) if (share - 0.2).abs() < 1e-9));
    assert_eq!(recipe.place("schedule.lr").line, 10);
}

#[test]
fn the_command_line_comes_first() {
    let overrides =
        Overrides { model: Some(root().join("models/tripos-tiny.gguf")), steps: Some(3), lr: Some(0.5), seed: Some(9) };
    let (recipe, problems) = read(
        &format!("{}epochs: 1\nseed: 2\n", SHORT.replace("model: ../../models/tripos-tiny.gguf\n", "")),
        &overrides,
    );
    let recipe = recipe.unwrap_or_else(|| panic!("{problems}"));
    assert_eq!((recipe.length, recipe.schedule.lr, recipe.seed), (Length::Steps(3), 0.5, 9));
    let (_, problems) = read(SHORT, &Overrides { lr: Some(f64::NAN), steps: Some(0), ..Overrides::default() });
    insta::assert_snapshot!(problems, @"");
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    insta::assert_snapshot!(refused(
        "recipe: bad recipe\nkind: sfft\nmodel: ../../models/tripos-tiny.gguf\ndata:\n- {file: nope.jsonl, colums: {a: b}}\n\
         - {generate: {count: 3, let: {a: {int: [1, 5]}}, case: {vars: {q: '{{ a }}'}}}, prompt: ../../prompts/qa.txt, limit: 3}\n\
         - {file: ../../suites/capitals.cases.jsonl, prompt: ../../prompts/qa.txt, completion: '{{ target'}\n\
         - {file: a.jsonl, run: b}\n\
         train: {lora: {rank: 0, droput: 0.1, dropout: 1}}\nsequence: 4096\nbatch: 10\nmicro_batch: 4\nsteps: 0\nepochs: 2\n\
         schedule: {lr: 0, shape: cosin, warmup: 0.6, warmdown: 0.6}\noptimiser: {betas: [0.9], clip: -1}\n\
         evaluate: {every: 0, patience: 2}\ncheckpoint: {every: 0}\noutput: /nowhere/x.bin\nsuite: none.yaml\nlabels: [a, a]\n"
    ), @"");
}

#[test]
fn fields_that_do_not_belong_together_are_refused() {
    let with = |line: &str| {
        refused(&format!("{}{line}\n", SHORT.replace("data: {file: ../../suites/capitals.cases.jsonl}\n", "")))
    };
    let file = "file: ../../suites/capitals.cases.jsonl";
    insta::assert_snapshot!(with(&format!("data: {{{file}, prompt: ../../prompts/qa.txt}}")), @"");
    insta::assert_snapshot!(with(&format!("data: {{{file}, completion: x}}")), @"");
    insta::assert_snapshot!(with(&format!("data: {{{file}, columns: {{prompt: a, answer: b}}}}")), @"");
    insta::assert_snapshot!(with(&format!("data: {{{file}, columns: {{prompt: a}}}}")), @"");
    insta::assert_snapshot!(with("data: []"), @"");
    insta::assert_snapshot!(with(&format!("data: {{{file}}}\nheld_out: {{share: 0}}")), @"");
    insta::assert_snapshot!(with(&format!("data: {{{file}}}\nheld_out: {{share: 0.1, data: {{{file}}}}}")), @"");
    insta::assert_snapshot!(refused(&SHORT.replace("sft", "dpo")), @"");
    insta::assert_snapshot!(refused(&SHORT.replace("../../models/tripos-tiny.gguf", "hf://a/b")), @"");
    insta::assert_snapshot!(refused(&format!("{SHORT}output: ../../models/tripos-tiny.gguf\n")), @"");
    insta::assert_snapshot!(
        refused(&format!("{}completion: x\nlabels: [a]\n", SHORT.replace("sft", "classify"))), @"");
}

#[test]
fn the_hash_is_that_of_the_recipe_wherever_it_lies() {
    let recipe = good(SHORT);
    let hash = recipe.sha256();
    assert_eq!(hash.len(), 64);
    assert_eq!(good(&format!("{SHORT}description: x\noutput: ../../models/new.gguf\n")).sha256(), hash);
    assert_ne!(good(&format!("{SHORT}seed: 1\n")).sha256(), hash);
    // The same files by other names: from the folder of the recipe, and by a whole path.
    let whole = SHORT.replace("../..", &root().display().to_string());
    assert_eq!(good(&whole).sha256(), hash);
    let (moved, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let of = |folder: &Path| {
        for name in ["recipes/tiny", "models", "suites"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        for name in ["models/tripos-tiny.gguf", "suites/capitals.cases.jsonl"] {
            std::fs::copy(root().join(name), folder.join(name)).unwrap();
        }
        load_text(&folder.join("recipes/tiny/r.yaml"), SHORT, &Overrides::default()).0.unwrap().sha256()
    };
    assert_eq!((of(moved.path()), of(copied.path())), (hash.clone(), hash));
}

#[test]
fn epochs_become_steps() {
    assert_eq!(Length::Epochs(2.0).steps(101, 10), 21);
    assert_eq!(Length::Epochs(0.001).steps(101, 10), 1);
    assert_eq!(Length::Steps(7).steps(101, 10), 7);
}
