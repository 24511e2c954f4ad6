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
    insta::assert_snapshot!(serde_json::to_string(&recipe.json()).unwrap().replace(&format!("{}/", root().display()), ""), @r#"{"name":"r","kind":"sft","model":"models/tripos-tiny.gguf","data":[{"file":"suites/capitals.cases.jsonl"}],"held_out":{"share":0.05},"train":{"lora":{"rank":16,"alpha":32.0,"dropout":0.05,"on":"all"}},"sequence":512,"batch":16,"micro_batch":16,"epochs":1.0,"schedule":{"lr":0.0002,"warmup":0.02,"shape":"cosine","final":0.1,"warmdown":0.98},"optimiser":{"betas":[0.9,0.95],"eps":1e-8,"weight_decay":0.0,"clip":1.0},"precision":"bf16","recompute":false,"too_long":"cut","evaluate":{"every":50,"prompts":[],"max_tokens":48},"checkpoint":{"every":100,"keep":2},"seed":0}"#);
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
    let overrides = Overrides {
        model: Some(root().join("models/tripos-tiny.gguf")),
        steps: Some(3),
        lr: Some(0.5),
        seed: Some(9),
        ..Overrides::default()
    };
    let (recipe, problems) = read(
        &format!("{}epochs: 1\nseed: 2\n", SHORT.replace("model: ../../models/tripos-tiny.gguf\n", "")),
        &overrides,
    );
    let recipe = recipe.unwrap_or_else(|| panic!("{problems}"));
    assert_eq!((recipe.length, recipe.schedule.lr, recipe.seed), (Length::Steps(3), 0.5, 9));
    let (_, problems) = read(SHORT, &Overrides { lr: Some(f64::NAN), steps: Some(0), ..Overrides::default() });
    insta::assert_snapshot!(problems, @r"
    error: `--steps` is 0
      --> recipes/tiny/r.yaml
      help: it is 1 or more

    error: `--lr` is NaN
      --> recipes/tiny/r.yaml
      help: it is a number above 0 and at most 1
    ");
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
    ), @r"
    error: unknown field `colums` in `data[0]`
      --> recipes/tiny/r.yaml:5:22
      help: did you mean `columns`? (axis, chosen, columns, completion, examples, file, generate, limit, prompt, rejected, run, scorer, tags, text, variant)

    error: unknown field `droput` in `train.lora`
      --> recipes/tiny/r.yaml:9:25
      help: did you mean `dropout`? (alpha, dropout, on, rank)

    error: `schedule.shape`: unknown variant `cosin`, expected one of `constant`, `linear`, `cosine`
      --> recipes/tiny/r.yaml:15:19

    error: kind `sfft` does not exist
      --> recipes/tiny/r.yaml:2:1
      help: did you mean `sft`? (pretrain, sft, classify, reward, dpo, grpo, ppo)

    error: cannot read the data `recipes/tiny/nope.jsonl`: No such file or directory (os error 2)
      --> recipes/tiny/r.yaml:5:4
      help: check the path; paths are relative to the recipe's file

    error: `limit` does not belong beside `generate:`
      --> recipes/tiny/r.yaml:6:111
      help: beside `generate:` there may be: prompt, completion, text, examples

    error: unexpected end of input
      --> recipes/tiny/r.yaml:7

    error: a source of data is one thing
      --> recipes/tiny/r.yaml:8:3
      help: write one of `file: FILE`, `generate: {…}` and `run: FOLDER`

    error: `steps` and `epochs` both say how long is trained
      --> recipes/tiny/r.yaml:14:1
      help: leave one of them out

    error: `betas` are two numbers
      --> recipes/tiny/r.yaml:16:13
      help: write `betas: [0.9, 0.95]`

    error: label `a` is there twice
      --> recipes/tiny/r.yaml:21:13
      help: leave one of them out

    error: `bad recipe` cannot name a recipe: its runs are folders of that name
      --> recipes/tiny/r.yaml:1:1
      help: use letters, digits, `-`, `_` and `.`

    error: `sequence` is 4096, and the model was made for 512 tokens
      --> recipes/tiny/r.yaml:10:1
      help: set it to 512 or less

    error: `micro_batch` is 4, and `batch` is 10
      --> recipes/tiny/r.yaml:12:1
      help: a batch is made of whole parts: 1, 2, 5, 10

    error: `steps` is 0
      --> recipes/tiny/r.yaml:13:1
      help: it is 1 or more

    error: `every` is 0
      --> recipes/tiny/r.yaml:18:14
      help: it is 1 or more

    error: `lr` is 0
      --> recipes/tiny/r.yaml:15:12
      help: it is a number above 0 and at most 1

    error: `warmup` and `warmdown` together are more than the whole
      --> recipes/tiny/r.yaml:15:46
      help: they are shares of all steps: make one smaller

    error: `clip` is -1
      --> recipes/tiny/r.yaml:16:27
      help: it is a number above 0

    error: `rank` is 0
      --> recipes/tiny/r.yaml:9:16
      help: it is 1 to 4096

    error: `dropout` is 1
      --> recipes/tiny/r.yaml:9:38
      help: it is a share, 0 to below 1

    error: `patience` counts evaluations, and there are none
      --> recipes/tiny/r.yaml:17:22
      help: set `evaluate: {every: 50}`, or leave `patience` out

    error: cannot read the suite `recipes/tiny/none.yaml`: No such file or directory (os error 2)
      --> recipes/tiny/r.yaml:20:1
      help: check the path; paths are relative to the recipe's file

    error: the trained file is a GGUF
      --> recipes/tiny/r.yaml:19:1
      help: let `output` end in .gguf

    error: there is no folder `/nowhere` for the output
      --> recipes/tiny/r.yaml:19:1
      help: make it, or name another; paths are relative to the recipe's file
    ");
}

#[test]
fn examples_that_nothing_shows_or_that_count_backwards_are_refused() {
    let source = "{file: ../../suites/capitals.cases.jsonl, prompt: ../../prompts/capital_qa.txt, completion: x";
    let bare = SHORT.replace(
        "{file: ../../suites/capitals.cases.jsonl",
        "{file: ../../suites/capitals.cases.jsonl, examples: {count: 4}",
    );
    insta::assert_snapshot!(refused(&bare), @r"
    error: nothing shows these examples
      --> recipes/tiny/r.yaml:4:49
      help: `prompt` and `completion`, or `text`, print them: `{% for e in examples %}…{% endfor %}`
    ");
    for examples in ["{count: [3, 2]}", "{count: 0}", "4"] {
        let recipe =
            SHORT.replace("{file: ../../suites/capitals.cases.jsonl", &format!("{source}, examples: {examples}"));
        assert_ne!(recipe, SHORT);
        assert!(refused(&recipe).contains("examples"), "{examples}: {}", refused(&recipe));
    }
}

#[test]
fn fields_that_do_not_belong_together_are_refused() {
    let with = |line: &str| {
        refused(&format!("{}{line}\n", SHORT.replace("data: {file: ../../suites/capitals.cases.jsonl}\n", "")))
    };
    let file = "file: ../../suites/capitals.cases.jsonl";
    insta::assert_snapshot!(with(&format!("data: {{{file}, prompt: ../../prompts/qa.txt}}")), @r#"
    error: `prompt` without a `completion`
      --> recipes/tiny/r.yaml:4:49
      help: add what is to be said, a template over the same row: `completion: " {{ target }}"`
    "#);
    insta::assert_snapshot!(with(&format!("data: {{{file}, completion: x}}")), @r"
    error: `completion` without a `prompt`
      --> recipes/tiny/r.yaml:4:49
      help: add what is asked, a prompt file: `prompt: ../prompts/qa.txt`
    ");
    insta::assert_snapshot!(with(&format!("data: {{{file}, columns: {{prompt: a, answer: b}}}}")), @r"
    error: part of a row `answer` does not exist
      --> recipes/tiny/r.yaml:4:70
      help: known here: messages, prompt, completion, instruction, input, output, text
    ");
    insta::assert_snapshot!(with(&format!("data: {{{file}, columns: {{prompt: a}}}}")), @r"
    error: these columns do not make up something to learn
      --> recipes/tiny/r.yaml:4:49
      help: write `messages`, `prompt` and `completion`, `instruction` and `output` (with or without `input`), or `text`
    ");
    insta::assert_snapshot!(with("data: []"), @r"
    error: there is nothing to learn from here
      --> recipes/tiny/r.yaml:4:1
      help: write at least one source: `{file: rows.jsonl}`
    ");
    insta::assert_snapshot!(with(&format!("data: {{{file}}}\nheld_out: {{share: 0}}")), @r"
    error: nothing is held out, and there is nothing to evaluate on
      --> recipes/tiny/r.yaml:5:12
      help: hold out a share (`0.05`), or do not evaluate (`evaluate: {every: 0}`)
    ");
    insta::assert_snapshot!(with(&format!("data: {{{file}}}\nheld_out: {{share: 0.1, data: {{{file}}}}}")), @r"
    error: `held_out` is one of two things
      --> recipes/tiny/r.yaml:5:1
      help: write `{share: 0.05}`, or `{data: …}` with sources of its own
    ");
    insta::assert_snapshot!(refused(&SHORT.replace("../../models/tripos-tiny.gguf", "hf://a/b")), @r"
    error: `hf://a/b` is not on this machine
      --> recipes/tiny/r.yaml:3:1
      help: to have it now: tripos model pull hf://a/b
    ");
    insta::assert_snapshot!(refused(&format!("{SHORT}output: ../../models/tripos-tiny.gguf\n")), @r"
    error: the output would take the place of the base model
      --> recipes/tiny/r.yaml:5:1
      help: name another file
    ");
    insta::assert_snapshot!(
        refused(&format!("{}completion: x\nlabels: [a]\n", SHORT.replace("sft", "classify"))), @r"
    error: unknown field `completion` in the file
      --> recipes/tiny/r.yaml:5:1
      help: known here: architecture, batch, beta, centring, checkpoint, clean, data, date, depth, description, epochs, evaluate, held_out, kind, labels, language, leaks, licence, micro_batch, model, optimiser, output, practice, precision, recipe, recompute, render, schedule, seed, sequence, steps, suite, template_vars, tokenizer, tokens, too_long, train

    error: there is one label, and nothing to tell apart
      --> recipes/tiny/r.yaml:6:1
      help: write at least two
    ");
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
fn the_suite_of_a_practice_is_known_by_where_it_lies_from_the_recipe() {
    let practised = |suite: &str| {
        let model = "model: ../../models/tripos-tiny.gguf";
        good(&format!("recipe: r\nkind: grpo\n{model}\npractice: {{suite: {suite}}}\nsteps: 2\n")).sha256()
    };
    let hash = practised("practice.suite.yaml");
    assert_eq!(practised(&root().join("recipes/tiny/practice.suite.yaml").display().to_string()), hash);
    assert_ne!(practised("judged.suite.yaml"), hash);
}

#[test]
fn epochs_become_steps() {
    assert_eq!(Length::Epochs(2.0).steps(101, 10), 21);
    assert_eq!(Length::Epochs(0.001).steps(101, 10), 1);
    assert_eq!(Length::Steps(7).steps(101, 10), 7);
}

#[test]
fn what_is_practised_is_a_suites_and_what_belongs_to_the_other_kind_is_refused() {
    let practice = |kind: &str, own: &str, rest: &str| {
        refused(&format!(
            "recipe: r\nkind: {kind}\nmodel: ../../models/tripos-tiny.gguf\npractice: {{suite: practice.suite.yaml{own}}}\n{rest}"
        ))
    };
    insta::assert_snapshot!(practice("ppo", ", spread: true, value: {clip: 0, lambda: 2}", "leaks: [practice.suite.yaml]\n"), @r"
    error: `leaks` is of documents, and a policy practises a suite's cases
      --> recipes/tiny/r.yaml:5:1
      help: keep cases of suites apart by `split`

    error: `spread` belongs to `kind: grpo`
      --> recipes/tiny/r.yaml:4:40
      help: leave it out: with `kind: ppo` the advantages of a whole round are whitened

    error: `clip` is 0
      --> recipes/tiny/r.yaml:4:62
      help: it is a number above 0

    error: `lambda` is 2
      --> recipes/tiny/r.yaml:4:71
      help: it is 0 to 1
    ");
    insta::assert_snapshot!(practice("grpo", ", answers: 1, value: {clip: 0.1}", "batch: 8\nheld_out: {data: {file: x.jsonl}}\n"), @r"
    error: cannot read the data `recipes/tiny/x.jsonl`: No such file or directory (os error 2)
      --> recipes/tiny/r.yaml:6:19
      help: check the path; paths are relative to the recipe's file

    error: `batch` is of documents, and a policy practises a suite's cases
      --> recipes/tiny/r.yaml:5:1
      help: leave it out: a step reads all answers of a round, `micro_batch` rows at once

    error: `held_out.data` is of documents, and a policy practises a suite's cases
      --> recipes/tiny/r.yaml:6:12
      help: write `held_out: {share: 0.05}`: cases of the suite are held out

    error: `value` belongs to `kind: ppo`
      --> recipes/tiny/r.yaml:4:52
      help: leave it out, or write `kind: ppo`: a group needs no critic

    error: `answers` is 1
      --> recipes/tiny/r.yaml:4:40
      help: it is 2 to 4096: an answer is measured against the others
    ");
    insta::assert_snapshot!(practice("grpo", ", prompts: 10000000000", "clean: {}\ntoo_long: cut\n"), @r"
    error: `clean` is of documents, and a policy practises a suite's cases
      --> recipes/tiny/r.yaml:5:1
      help: leave it out: the cases are those of the suite

    error: `too_long` is of documents, and a policy practises a suite's cases
      --> recipes/tiny/r.yaml:6:1
      help: leave it out: answers that are longer than a row are left out, and counted

    error: `prompts` is 10000000000
      --> recipes/tiny/r.yaml:4:40
      help: it is 1 to 4096
    ");
}
