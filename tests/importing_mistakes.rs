//! Sources that cannot be brought in, or not as they are: what, where, and how to mend it.

use crate::endpoints::tripos;
use crate::stub_server::{Reply, Stub};
use crate::workspace::{Workspace, root};
use serde_json::Value;

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("m.yaml", "otherwise: hi\n");
    workspace
}

/// The error of an import of a file with this text.
fn refused(format: &str, file: &str, text: &str, flags: &[&str]) -> String {
    let workspace = workspace();
    workspace.write(file, text);
    refused_in(&workspace, &[&["import", format, file, "--out", "out"], flags].concat())
}

fn refused_in(workspace: &Workspace, arguments: &[&str]) -> String {
    let said = workspace.tripos(arguments);
    assert_eq!(said.code, Some(2), "{}\n{}", said.stdout, said.stderr);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    said.stderr.replace(root().to_str().unwrap(), "")
}

/// The error of an import of a task of the fixtures.
fn task(name: &str, flags: &[&str]) -> String {
    let file = root().join("tests/fixtures/import/lm_eval").join(name);
    let arguments = ["import", "lm-eval", file.to_str().unwrap(), "--out", "out", "--model", "m.yaml"];
    refused_in(&workspace(), &[&arguments, flags].concat())
}

const MODEL: [&str; 2] = ["--model", "m.yaml"];

#[test]
fn a_configuration_without_an_equivalent_of_anything_is_an_error() {
    let config = "prompts: ['{{ q }}']\nproviders: [x:y]\ntests:\n- vars: {q: a}\n  assert:\n  - {type: similar, value: b}\n  - {type: latency, threshold: 9}\n";
    insta::assert_snapshot!(refused("promptfoo", "c.yaml", config, &MODEL), @r"
    warning: provider `x:y` is left out: Tripos knows no server of that kind; asked instead is model: m.yaml
      --> c.yaml:2:13
      help: a GGUF of that model runs here: --model FILE.gguf
    warning: assertion `similar` is left out: it compares embeddings; `rouge_l`, `chrf` and `judge_model` compare texts
      --> c.yaml:6:6
    warning: assertion `latency` is left out: times are kept with every sample, and judged by no scorer
      --> c.yaml:7:6
    error: none of the assertions has an equivalent in Tripos, so there would be nothing to measure
      --> c.yaml
      help: add one that has: contains, icontains, equals, regex, starts-with, is-json, llm-rubric, levenshtein
    ");
}

#[test]
fn a_provider_that_cannot_be_asked_needs_a_model() {
    let config = "prompts: ['{{ q }}']\nproviders:\n- anthropic:messages:claude\ntests: [{vars: {q: a}}]\n";
    insta::assert_snapshot!(refused("promptfoo", "c.yaml", config, &[]), @r"
    error: provider `anthropic:messages:claude` cannot be asked: Tripos knows no server of that kind
      --> c.yaml:3:3
      help: name the model to ask instead: --model FILE.gguf
    ");
    insta::assert_snapshot!(refused("promptfoo", "c.yaml", "prompts: [a]\ntests: [{vars: {q: a}}]\n", &[]), @r"
    error: the file names no model to ask
      --> c.yaml:1:1
      help: name one: --model FILE.gguf
    ");
    insta::assert_snapshot!(refused("promptfoo", "c.yaml", config, &["--model", "nowhere.gguf"]), @r"
    error: there is no such model
      --> nowhere.gguf
      help: --model names a GGUF file, hf://owner/repo/file.gguf, https://…#sha256=…, or a server in a suite's words: '{endpoint: http://localhost:8080/v1, name: NAME}'
    ");
}

#[test]
fn prompts_that_are_all_programs_are_an_error() {
    let config =
        "prompts: [file://p.py, 'exec:./p.sh', '{{ q | nosuchfilter }}']\nproviders: [x]\ntests: [{vars: {q: a}}]\n";
    insta::assert_snapshot!(refused("promptfoo", "c.yaml", config, &MODEL), @r#"
    warning: prompt `file://p.py` is left out: a program makes it, and suites run none
      --> c.yaml:1:11
      help: write the prompt as a template, and what it computes into `vars`
    warning: prompt `exec:./p.sh` is left out: a program makes it, and suites run none
      --> c.yaml:1:24
      help: write the prompt as a template, and what it computes into `vars`
    warning: provider `x` is left out: Tripos knows no server of that kind; asked instead is model: m.yaml
      --> c.yaml:2:13
      help: a GGUF of that model runs here: --model FILE.gguf
    warning: prompt `{{ q | nosuchfilter }}` is left out: its template cannot be rendered: unknown filter: filter nosuchfilter is unknown
      --> c.yaml:1:39
    error: there is no prompt here that Tripos can ask
      --> c.yaml:1:1
      help: write one as a text: `prompts: ["Translate: {{ input }}"]`
    "#);
}

#[test]
fn the_other_tools_file_is_recognised() {
    insta::assert_snapshot!(refused("promptfoo", "t.yaml", "task: t\ndoc_to_text: x\n", &MODEL), @r"
    error: this is no configuration of promptfoo: it has no `prompts` with `providers` or `tests`
      --> t.yaml
      help: it looks like a task of lm-evaluation-harness: tripos import lm-eval t.yaml
    ");
    insta::assert_snapshot!(refused("lm-eval", "c.yaml", "prompts: [a]\nproviders: [b]\n", &MODEL), @r"
    error: this is no task of lm-evaluation-harness
      --> c.yaml
      help: it looks like a configuration of promptfoo: tripos import promptfoo c.yaml
    ");
    insta::assert_snapshot!(refused("promptfoo", "c.js", "module.exports = {}", &MODEL), @r"
    error: this configuration is a program, and none is run
      --> c.js
      help: have promptfoo write it as YAML, and import that
    ");
    insta::assert_snapshot!(refused("lm-eval", "t.yaml", "- a\n", &MODEL), @r"
    error: this is no task of lm-evaluation-harness
      --> t.yaml:1:1
      help: a task is a YAML map with `task`, `dataset_path`, `doc_to_text` and so on
    ");
}

#[test]
fn a_broken_file_and_an_absent_one_are_said_with_their_place() {
    insta::assert_snapshot!(refused("promptfoo", "c.yaml", "prompts: [a\ntests: }", &MODEL), @r#"
    error: this is not YAML that can be read: illegal placement of ':' indicator
      --> c.yaml:2:6
      help: quote texts that hold `: `, ` #`, `{` or `"`, and indent with spaces
    "#);
    let absent = refused("promptfoo", "c.yaml", "prompts: [a]\nproviders: [x]\ntests: file://tests.csv\n", &MODEL);
    insta::assert_snapshot!(absent, @r"
    warning: provider `x` is left out: Tripos knows no server of that kind; asked instead is model: m.yaml
      --> c.yaml:2:13
      help: a GGUF of that model runs here: --model FILE.gguf
    error: there is no file `file://tests.csv`
      --> c.yaml:3:1
      help: paths are seen from the file that names them
    ");
    insta::assert_snapshot!(refused_in(&workspace(), &["import", "lm-eval", "no.yaml", "--out", "o", "--model", "m.yaml"]), @r"
    error: cannot read the file: No such file or directory (os error 2)
      --> no.yaml
      help: check the path; what a file names is relative to that file
    ");
}

#[test]
fn nothing_is_written_over() {
    let workspace = workspace();
    workspace.write(
        "c.yaml",
        "prompts: ['{{ q }}']\nproviders: [x]\ntests: [{vars: {q: a}, assert: [{type: equals, value: b}]}]\n",
    );
    let arguments = ["import", "promptfoo", "c.yaml", "--model", "m.yaml", "--out", "out"];
    workspace.ok(&arguments);
    let before = workspace.read("out/c.yaml");
    insta::assert_snapshot!(refused_in(&workspace, &arguments), @r"
    warning: provider `x` is left out: Tripos knows no server of that kind; asked instead is model: m.yaml
      --> c.yaml:2:13
      help: a GGUF of that model runs here: --model FILE.gguf
    error: this file is there already, and an import writes over nothing
      --> out/c.yaml
      help: name another folder: --out DIR
    ");
    assert_eq!(workspace.read("out/c.yaml"), before);
}

#[test]
fn functions_of_python_are_refused_by_name_and_place() {
    insta::assert_snapshot!(task("winogrande.yaml", &["--data", &data("winogrande.jsonl")]), @r"
    note: `should_decontaminate`, `doc_to_decontamination_query`, `metadata` are left out: no score depends on them
      --> /tests/fixtures/import/lm_eval/winogrande.yaml:10:1
    error: `doc_to_text: !function preprocess_winogrande.doc_to_text` is a program, and none is run
      --> /tests/fixtures/import/lm_eval/winogrande.yaml:7:1
      help: write it as a template, or put what it makes into a column and name that: `doc_to_text: COLUMN`
    ");
    insta::assert_snapshot!(task("hellaswag.yaml", &["--data", &data("hellaswag.raw.jsonl")]), @r"
    note: `tag`, `metadata` are left out: no score depends on them
      --> /tests/fixtures/import/lm_eval/hellaswag.yaml:1:1
    warning: `process_docs: !function utils.process_docs` is left out: it is a program, and none is run; the rows are taken as if it had been
      --> /tests/fixtures/import/lm_eval/hellaswag.yaml:10:1
    error: `doc_to_text` cannot be made of the row at /tests/fixtures/import/lm_eval/hellaswag.raw.jsonl:1:1: undefined value
      --> /tests/fixtures/import/lm_eval/hellaswag.yaml:11:1
      help: `process_docs: !function utils.process_docs` is a program and is not run: run it over the rows yourself, and give what it makes: --data FILE (columns there: `ind`, `activity_label`, `ctx_a`, `ctx_b`, `endings`, `label`)
    ");
}

fn data(name: &str) -> String {
    root().join("tests/fixtures/import/lm_eval").join(name).display().to_string()
}

#[test]
fn rows_on_the_hub_are_said_with_where_to_fetch_them() {
    insta::assert_snapshot!(task("arc_easy.yaml", &[]), @r"
    note: `tag`, `should_decontaminate`, `doc_to_decontamination_query`, `metadata` are left out: no score depends on them
      --> /tests/fixtures/import/lm_eval/arc_easy.yaml:1:1
    error: the rows are on the hub: data set `allenai/ai2_arc`, configuration `ARC-Easy`, split `test`
      --> /tests/fixtures/import/lm_eval/arc_easy.yaml:4:1
      help: fetch hf://datasets/allenai/ai2_arc@~parquet/ARC-Easy/test as JSON lines or CSV, or 100 rows at a time as they are:
        curl -o rows.json 'https://datasets-server.huggingface.co/rows?dataset=allenai%2Fai2_arc&config=ARC-Easy&split=test&offset=0&length=100'
        and give the file: --data rows.json
    ");
}

#[test]
fn rows_that_do_not_fit_their_task_are_said_with_their_place() {
    insta::assert_snapshot!(task("arc_easy.yaml", &["--data", &data("boolq.csv")]), @r"
    note: `tag`, `should_decontaminate`, `doc_to_decontamination_query`, `metadata` are left out: no score depends on them
      --> /tests/fixtures/import/lm_eval/arc_easy.yaml:1:1
    error: `doc_to_choice` cannot be made of the row at /tests/fixtures/import/lm_eval/boolq.csv:2:1: undefined value
      --> /tests/fixtures/import/lm_eval/arc_easy.yaml:12:1
      help: the row has the columns `question`, `passage`, `idx`, `label`
    ");
    insta::assert_snapshot!(task("arc_easy.yaml", &["--data", "m.yaml"]), @r"
    note: `tag`, `should_decontaminate`, `doc_to_decontamination_query`, `metadata` are left out: no score depends on them
      --> /tests/fixtures/import/lm_eval/arc_easy.yaml:1:1
    error: the ending says how rows are read, and this one is unknown
      --> m.yaml
      help: use .jsonl, .csv or .json
    ");
    insta::assert_snapshot!(task("mmlu/_mmlu.yaml", &["--data", &data("mmlu/dev")]), @r"
    warning: `aggregate_metric_list` of the group is left out: each task has a table of its own, and none is made of several
      --> /tests/fixtures/import/lm_eval/mmlu/_mmlu.yaml:5:1
    note: `metadata`, `tag` are left out: no score depends on them (2 times; the first is here)
      --> /tests/fixtures/import/lm_eval/mmlu/_default_template_yaml:14:1
    warning: `num_fewshot: 1` is left out: the rows are on the hub: data set `cais/mmlu`, configuration `virology`, split `dev`; the prompts are written without
      --> /tests/fixtures/import/lm_eval/mmlu/_default_template_yaml:1:1
      help: fetch hf://datasets/cais/mmlu@~parquet/virology/dev as JSON lines or CSV, or 100 rows at a time as they are:
        curl -o rows.json 'https://datasets-server.huggingface.co/rows?dataset=cais%2Fmmlu&config=virology&split=dev&offset=0&length=100'
        and give the file: --examples rows.json
    error: this folder holds no rows of the task `mmlu_anatomy`: mmlu_anatomy.jsonl, mmlu_anatomy.json or mmlu_anatomy.csv
      --> /tests/fixtures/import/lm_eval/mmlu/dev
      help: rows of several tasks lie in one folder, each file named after its task
    ");
}

#[test]
fn a_task_without_a_model_a_metric_or_a_known_output_is_an_error() {
    insta::assert_snapshot!(refused("lm-eval", "t.yaml", "task: t\ndoc_to_text: x\n", &[]), @r"
    error: a task names no model to ask
      --> t.yaml
      help: name it: --model FILE.gguf
    ");
    let task = |more: &str| {
        format!(
            "task: t\ndataset_path: json\ndataset_kwargs: {{data_files: r.jsonl}}\ndoc_to_text: q\ndoc_to_target: a\n{more}"
        )
    };
    let with_rows = |more: &str| {
        let workspace = workspace();
        workspace.write("t.yaml", task(more));
        workspace.write("r.jsonl", "{\"q\": \"1?\", \"a\": \"1\"}\n");
        refused_in(&workspace, &["import", "lm-eval", "t.yaml", "--out", "out", "--model", "m.yaml"])
    };
    insta::assert_snapshot!(with_rows("metric_list: [{metric: bleu}, {metric: !function u.f}]\n"), @r"
    warning: metric `!function u.f` is left out: it is a program, and none is run
      --> t.yaml:6:32
    warning: metric `bleu` is left out: Tripos has `rouge_l` and `chrf`, of its own
      --> t.yaml:6:15
    error: none of the metrics has an equivalent in Tripos, so there would be nothing to measure
      --> t.yaml:6:1
      help: metrics that have one: exact_match, acc, acc_norm, perplexity, bits_per_byte, chrf
    ");
    insta::assert_snapshot!(with_rows("output_type: generate_until_multiturn\n"), @r"
    error: there is no output type `generate_until_multiturn`
      --> t.yaml:6:1
      help: generate_until, multiple_choice, loglikelihood and loglikelihood_rolling are brought in
    ");
    insta::assert_snapshot!(with_rows("output_type: multiple_choice\n"), @r"
    error: multiple choice without `doc_to_choice`
      --> t.yaml
      help: write the choices: `doc_to_choice: [yes, no]`, a column, or a template
    ");
    insta::assert_snapshot!(with_rows("description: '{{ gone }}'\n"), @r"
    error: `description` cannot be rendered: undefined value
      --> t.yaml:6:1
      help: it is Jinja2
    ");
    insta::assert_snapshot!(with_rows("include: none.yaml\n"), @r"
    error: there is no file `none.yaml` to include
      --> t.yaml:6:1
      help: the path is seen from the file that includes it
    ");
}

#[test]
fn the_files_own_servers_are_asked_where_no_model_is_named() {
    let stub = Stub::start(|seen| Reply::say(seen, "A tweet about it."));
    let workspace = workspace();
    let file = "prompts: ['Write of {{ topic }}.']\nproviders:\n  - id: vllm:chat:stub\n    config: {apiBaseUrl: 'URL', temperature: 0.5}\n\
                tests: [{vars: {topic: tea}, assert: [{type: icontains, value: tweet}]}]\n";
    workspace.write("promptfooconfig.yaml", file.replace("URL", &stub.url()));
    let import = ["import", "promptfoo", "promptfooconfig.yaml", "--out", "out", "--format", "json"];
    let document: Value = serde_json::from_str(&workspace.ok(&import).stdout).unwrap();
    let suite = document["suites"][0]["path"].as_str().unwrap().to_owned();
    workspace.ok(&["check", &suite]);
    let ran = tripos(&workspace, &["run", "--quiet", &suite]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let body = &stub.posts()[0].body;
    assert_eq!((&body["model"], &body["temperature"]), (&"stub".into(), &0.5.into()), "{body}");
    assert_eq!(body["messages"][0]["content"], "Write of tea.");
    // Where there is nothing to ask, the message says what the address lacks.
    workspace.write("promptfooconfig.yaml", file.replace("URL", "{{env.URL}}"));
    let refused = workspace.tripos(&import);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    insta::assert_snapshot!(refused.stderr, @r"
    error: provider `vllm:chat:stub` cannot be asked: `{{env.URL}}` is no address of a server
      --> promptfooconfig.yaml:3:5
      help: name the model to ask instead: --model FILE.gguf
    ");
}
