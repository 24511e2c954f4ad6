//! `kind: pretrain`: a model from nothing.

use crate::training::{folders, losses};
use crate::workspace::Workspace;
use serde_json::Value;
use std::path::Path;

/// Sums of two digits, of which the question is given; and a text.
const RECIPE: &str = "\
recipe: small
kind: pretrain
architecture: {layers: 2, width: 64, context: 128}
tokenizer: {vocabulary: 300}
licence: apache-2.0
data:
  - generate:
      count: 80
      seed: 3
      let: {a: {int: [10, 49]}, b: {int: [10, 49]}}
      case: {vars: {a: '{{ a }}', b: '{{ b }}'}, target: '{{ a + b }}'}
    text: '{% filter given %}Q: What is {{ a }} + {{ b }}?{% endfilter %} The sum of {{ a }} and {{ b }} is {{ target }}.'
  - {file: text.txt}
held_out: {share: 0.2}
sequence: 64
batch: 4
steps: 12
evaluate: {every: 6, max_tokens: 6, prompts: ['Q: What is 12 + 13?']}
checkpoint: {every: 3}
seed: 1
";

fn workspace() -> Workspace {
    let workspace = Workspace::llama();
    let paragraph = |n: usize| format!("The ship {n} went out to sea, and what it found there was number {}.\n", n * n);
    workspace.write("text.txt", (0..40).map(paragraph).collect::<Vec<_>>().join("\n"));
    workspace.write("small.yaml", RECIPE);
    workspace
}

fn change(workspace: &Workspace, from: &str, to: &str) {
    let recipe = workspace.read("small.yaml");
    assert!(recipe.contains(from), "{from}");
    workspace.write("small.yaml", recipe.replace(from, to));
}

fn refused(workspace: &Workspace, arguments: &[&str]) -> String {
    let said = workspace.tripos(arguments);
    assert_eq!(said.code, Some(2), "{}\n{}", said.stdout, said.stderr);
    said.stderr
}

fn header(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("header.json")).unwrap()).unwrap()
}

#[test]
fn a_model_from_nothing_learns_is_gone_on_with_and_runs() {
    let workspace = workspace();
    let checked = workspace.ok(&["check", "small.yaml"]).stdout;
    insta::assert_snapshot!(checked, @"small.yaml: ok (recipe: pretrain, 83 documents, 3,011 tokens, 2,172 learned, 50 rows of 64)");
    let said = workspace.ok(&["train", "small.yaml"]);
    assert!(said.stderr.contains("in f32 (at most 1e-4), "), "{}", said.stderr);
    let folder = folders(&workspace).remove(0);
    let learned = losses(&folder);
    // ln 300 = 5.7: at first it knows nothing.
    assert!((5.0..6.5).contains(&learned[0]) && learned[11] < learned[0] - 0.5, "{learned:?}");
    let model = std::fs::read(folder.join("small.gguf")).unwrap();
    // As if it had been killed behind step 6: the base is made again, and learns the same.
    for step in [9, 12] {
        std::fs::remove_file(folder.join(format!("checkpoints/step-{step:06}.gguf"))).unwrap();
    }
    let text = std::fs::read_to_string(folder.join("header.json")).unwrap();
    std::fs::write(folder.join("header.json"), text.replace("\"complete\"", "\"started\"")).unwrap();
    workspace.ok(&["train", "small.yaml", "--resume", "--quiet"]);
    assert!(std::fs::read(folder.join("small.gguf")).unwrap() == model);
    // What came out says what it is, and is run like any model.
    let shown = workspace.ok(&["model", "show", folder.join("small.gguf").to_str().unwrap()]).stdout;
    for line in [
        "architecture    llama",
        "context         128",
        "licence         apache-2.0",
        "tokenizer       gpt2 (qwen2), 300 tokens",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(!shown.contains("base.") && shown.contains("recipe.sha256"), "{shown}");
    assert_eq!(header(&folder)["base"]["path"], "from nothing");
    workspace.ok(&[
        "run",
        "suite.yaml",
        "--limit",
        "2",
        "--no-cache",
        "--model",
        folder.join("small.gguf").to_str().unwrap(),
    ]);
}

/// A depth says everything, and each part of it can be set by hand.
#[test]
fn a_dry_run_says_what_a_depth_means() {
    let workspace = workspace();
    change(&workspace, "architecture: {layers: 2, width: 64, context: 128}", "depth: 2\narchitecture: {context: 64}");
    change(&workspace, "steps: 12\n", "");
    change(&workspace, "batch: 4\n", "");
    let said = workspace.ok(&["train", "small.yaml", "--dry-run"]).stdout;
    let measured = regex::Regex::new(r"\d+ MiB|\d+\.\d+ GiB|\d+h\d+m|\d+m\d+s|\d+s\b|\d+\.\d\d s").unwrap();
    insta::assert_snapshot!(measured.replace_all(&said, "N"), @r"
    recipe    small (pretrain)
    model     from nothing: 2 layers of 128, 4 heads, context 64, 432,256 parameters
    trained   all weights, 432,256 parameters
    data      83 documents, 3,011 tokens, 2,172 learned, in 50 rows of 64
    held out  17 documents, 493 tokens
    steps     1,920 of 64 rows, 64 at once: 2457.6 times over the data
    memory    about N; N available
    time      about N: N a step, N an evaluation, as measured just now

    data[0], its first document; what stands in ⟦ ⟧ is learned:
    <|endoftext|>Q: What is 11 + 22?⟦ The sum of 11 and 22 is 33.<|endoftext|>⟧

    data[1], its first document; what stands in ⟦ ⟧ is learned:
    <|endoftext|>⟦The ship 0 went out to sea, and what it found there was number 0.

    The ship 1 went out to sea, and what it found there was number 1.

    The ship 2 went out to sea, and what it found there was number 4.

    The ship 3 went out to sea, and what it found there was number 9.

    The ship 4 went out to sea, and what it found there was number 16.

    The ship 5 went out to sea, and what it found there was number 25.

    … and 45 more lines
    ");
}

#[test]
fn what_is_dirty_repeated_or_asked_by_a_suite_is_dropped_and_said() {
    let workspace = workspace();
    let row = |text: &str| format!("{}\n", serde_json::json!({"text": text}));
    let asked = "What is the sum of twelve and thirteen, if I may ask you so plainly today?";
    let rows = ["one plain text", "One  plain text", "a bell \u{7} rings", &format!("So: {asked} Yes."), "x"];
    workspace.write("rows.jsonl", rows.map(row).concat());
    workspace.write("asked.yaml", format!("suite: asked\nmodel: m.gguf\ncases: [{{vars: {{q: '{asked}'}}, target: '25'}}]\nscorers: [exact]\nvariants: [{{name: v, prompt: qa.txt}}]\n"));
    change(&workspace, "  - {file: text.txt}", "  - {file: text.txt}\n  - {file: rows.jsonl}");
    change(&workspace, "seed: 1\n", "seed: 1\nclean: {shortest: 3}\nleaks: [asked.yaml]\n");
    let said = workspace.ok(&["check", "small.yaml"]);
    insta::assert_snapshot!(said.stderr, @r#"
    warning: dropped 1 of 87 documents: control characters (the first has U+0007 as character 8)
      --> rows.jsonl:3:1
      help: take these characters out to keep the documents
    warning: dropped 1 of 87 documents: too short (the first has 1 character)
      --> rows.jsonl:5:1
      help: a smaller `shortest` keeps them
    warning: dropped 1 of 87 documents: asked by a suite (the first has "what is the sum of twelve and thirteen if i may ask you", which suite `asked` asks in case `1`)
      --> rows.jsonl:4:1
      help: what a suite asks is not learned, or its score would say nothing
    warning: dropped 1 of 87 documents: duplicates (the first repeats rows.jsonl:1:1)
      --> rows.jsonl:2:1
      help: the first of each is kept
    "#);
}

#[test]
fn what_does_not_go_together_is_said_at_once() {
    let workspace = workspace();
    change(
        &workspace,
        "architecture: {layers: 2, width: 64, context: 128}",
        "model: m.gguf\narchitecture: {layers: 2, width: 64, heads: 5}\ntrain: lora",
    );
    change(&workspace, "{vocabulary: 300}", "{vocabulary: 100}");
    change(&workspace, "seed: 1\n", "seed: 1\nclean: {near: 0.2}\nleaks: [none.yaml]\ntokens: 1000\n");
    insta::assert_snapshot!(refused(&workspace, &["check", "small.yaml"]), @r"
    error: a model from nothing has no base
      --> small.yaml:3:1
      help: leave `model` out, or write `kind: sft`
    error: 64 numbers of `width` cannot be divided among 5 heads
      --> small.yaml:4:38
      help: each head has an even number of them, such as 64: `heads` is `width` / 64
    error: a vocabulary of 100 tokens does not hold 256 bytes and 3 control tokens
      --> small.yaml:6:13
      help: set it to 259 or more, at most 1000000
    error: `near` is 0.2
      --> small.yaml:23:9
      help: it is 0.5 to 1: the share of two documents that is the same
    error: cannot read the suite `none.yaml`: No such file or directory (os error 2)
      --> small.yaml:24:9
      help: check the path; paths are relative to the recipe's file
    error: `steps` and `tokens` both say how long is trained
      --> small.yaml:25:1
      help: leave one of them out
    error: a model from nothing is trained as a whole
      --> small.yaml:5:1
      help: leave `train` out
    ");
    workspace.write("small.yaml", RECIPE);
    change(&workspace, "{vocabulary: 300}", "{vocabulary: 5000}");
    insta::assert_snapshot!(refused(&workspace, &["check", "small.yaml"]), @r"
    error: the texts give 308 tokens, and 5000 are asked for
      --> small.yaml:4:13
      help: set `tokenizer: {vocabulary: 308}` or less, or give more text
    ");
}

#[test]
fn a_recipe_without_a_size_and_fields_of_another_kind_are_said() {
    let workspace = workspace();
    change(&workspace, "architecture: {layers: 2, width: 64, context: 128}\n", "");
    insta::assert_snapshot!(refused(&workspace, &["check", "small.yaml"]), @r"
    error: nothing says how large the model is
      --> small.yaml:2:1
      help: write `depth: 4`: it sets layers, width, heads, batch, rate and how long is trained
    ");
    workspace.write("small.yaml", RECIPE.replace("kind: pretrain", "kind: sft"));
    insta::assert_snapshot!(refused(&workspace, &["check", "small.yaml"]), @r"
    error: `architecture` belongs to `kind: pretrain`
      --> small.yaml:3:1
      help: leave it out, or write `kind: pretrain`
    error: `tokenizer` belongs to `kind: pretrain`
      --> small.yaml:4:1
      help: leave it out, or write `kind: pretrain`
    error: `licence` belongs to `kind: pretrain`
      --> small.yaml:5:1
      help: leave it out, or write `kind: pretrain`
    error: the recipe has no `model`
      --> small.yaml:1:1
      help: add `model: FILE.gguf`, or give --model FILE.gguf
    ");
}

#[test]
fn one_endless_line_and_a_mask_that_leaves_nothing_are_said() {
    let workspace = workspace();
    workspace.write("text.txt", "x".repeat(2 << 20));
    insta::assert_snapshot!(refused(&workspace, &["check", "small.yaml"]), @r"
    error: this line has 2097152 bytes, so the text cannot be cut into documents
      --> text.txt:1
      help: break it into lines, with a blank one between documents; or write JSONL rows of `text`
    ");
    workspace.write("text.txt", "A plain text, twice and twice again.\n".repeat(9));
    change(&workspace, "{% endfilter %} The sum of {{ a }} and {{ b }} is {{ target }}.", "{% endfilter %}");
    change(&workspace, "{vocabulary: 300}", "{vocabulary: 270}");
    let said = refused(&workspace, &["check", "small.yaml"]);
    assert!(said.starts_with("error: the answer of this row is empty, so there is nothing to learn"), "{said}");
}
