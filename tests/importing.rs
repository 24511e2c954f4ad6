//! Suites of promptfoo and lm-evaluation-harness, brought in, checked, run, and asked word for word what they asked there.
//!
//! The fixtures have the shapes of the tools' own examples and tasks. Prompts of lm-evaluation-harness are held against
//! Python's own Jinja2 (tests/fixtures/import/lm_eval/make.py), those of promptfoo against what is written here by hand.

use crate::workspace::{Workspace, root, samples_of};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A scripted model that takes chats and says the same of everything.
const MODEL: &str = "\
answers:
  - {when: 'French', say: Bonjour le monde}
  - {when: 'Verdict:', say: 'Yes'}
otherwise: 'The answer is 36. Dónde está la estación'
context: 16384
chat_template: \"{% for m in messages %}[{{ m.role }}] {{ m.content }}\\n{% endfor %}\"
";

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/import").join(name)
}

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("model.yaml", MODEL);
    workspace
}

/// What an import printed, as JSON, and every suite it wrote, checked and run.
struct Brought {
    document: Value,
    stderr: String,
    workspace: Workspace,
}

impl Brought {
    fn new(arguments: &[&str]) -> Self {
        let workspace = workspace();
        let all = [&["import"], arguments, &["--model", "model.yaml", "--out", "out", "--format", "json"]].concat();
        let said = workspace.ok(&all);
        let document: Value = serde_json::from_str(&said.stdout).unwrap();
        let suites: Vec<&str> =
            document["suites"].as_array().unwrap().iter().map(|suite| suite["path"].as_str().unwrap()).collect();
        assert!(!suites.is_empty(), "{arguments:?}");
        workspace.ok(&[&["check"], suites.as_slice()].concat());
        let stderr = said.stderr;
        workspace.ok(&[&["run", "--quiet"], suites.as_slice()].concat());
        Self { document, stderr, workspace }
    }

    fn promptfoo(name: &str) -> Self {
        Self::new(&["promptfoo", fixture(&format!("promptfoo/{name}/promptfooconfig.yaml")).to_str().unwrap()])
    }

    fn lm_eval(task: &str, flags: &[&str]) -> Self {
        let task = fixture(&format!("lm_eval/{task}"));
        Self::new(&[&["lm-eval", task.to_str().unwrap()], flags].concat())
    }

    /// What is listed: fate, name, line and column.
    fn listed(&self) -> Vec<String> {
        let one = |one: &Value| {
            let text = |key: &str| one[key].as_str().unwrap();
            format!("{} {} {}:{}", text("fate"), text("name"), one["line"], one["column"])
        };
        self.document["listed"].as_array().unwrap().iter().map(one).collect()
    }

    /// The samples of all runs.
    fn samples(&self) -> Vec<Value> {
        let asked = |folder: PathBuf| {
            let header: Value = serde_json::from_slice(&std::fs::read(folder.join("header.json")).unwrap()).unwrap();
            let whole = move |mut sample: Value| {
                let text = sample["prompt"]["text"].as_str().unwrap_or_default().to_owned();
                let before = sample["prompt"]["prefix"].as_str().map(|id| header["prefixes"][id].as_str().unwrap());
                sample["prompt"]["text"] = format!("{}{text}", before.unwrap_or_default()).into();
                sample
            };
            samples_of(&folder).into_iter().map(whole).collect::<Vec<_>>()
        };
        let asked: Vec<Value> = self.workspace.run_folders().into_iter().flat_map(asked).collect();
        asked.into_iter().filter(|sample| sample["trial"]["repeat"] == 0).collect()
    }

    /// Every prompt, by variant and case.
    fn prompts(&self) -> BTreeMap<(String, String), String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let of = |sample: &Value| {
            let trial = &sample["trial"];
            ((text(&trial["variant"]), text(&trial["case"])), text(&sample["prompt"]["text"]))
        };
        self.samples().iter().map(of).collect()
    }

    fn asks(&self, variant: &str, case: &str) -> String {
        self.prompts().remove(&(variant.to_owned(), case.to_owned())).unwrap_or_else(|| panic!("{:?}", self.prompts()))
    }

    /// A score of a case, as the samples have it.
    fn score(&self, case: &str, scorer: &str) -> Value {
        let samples = self.samples();
        let sample = samples.iter().find(|sample| sample["trial"]["case"] == case).unwrap();
        let scores = sample["scores"].as_array().unwrap();
        scores.iter().find(|score| score["scorer"] == scorer).unwrap_or_else(|| panic!("{scores:?}"))["value"].clone()
    }

    /// The suite of a file, as YAML.
    fn suite(&self, name: &str) -> String {
        self.workspace.read(&format!("out/{name}.yaml")).replace(root().to_str().unwrap(), "")
    }
}

#[test]
fn tests_that_assert_otherwise_become_suites_of_their_own() {
    let brought = Brought::promptfoo("getting-started");
    insta::assert_snapshot!(brought.suite("getting-started_icontains"), @r"
    # Imported from /tests/fixtures/import/promptfoo/getting-started/promptfooconfig.yaml by Tripos.
    suite: getting-started_icontains
    description: Translate a few sentences
    model:
      scripted: ../model.yaml
    cases: cases/getting-started_icontains.jsonl
    scorers:
    - contains:
        name: icontains
        value: Dónde está la estación
    variants:
    - name: say_this_in_language_input
      prompt: prompts/say_this_in_language_input.txt
    - name: translate_to_language_input
      prompt: prompts/translate_to_language_input.txt
    ");
    let asks = brought.asks("say_this_in_language_input", "1");
    assert_eq!(asks, "Say this in French: Good day, world");
    assert_eq!(brought.asks("translate_to_language_input", "2"), "Translate to Spanish: Where is the station?");
    assert_eq!((brought.score("1", "contains"), brought.score("2", "icontains")), (true.into(), true.into()));
    insta::assert_snapshot!(brought.listed().join("\n"), @r"
    left_out provider `openai:gpt-4.1` 7:5
    left_out provider `openai:o4-mini` 8:5
    ");
}

#[test]
fn prompts_are_split_and_what_every_test_inherits_is_asked_of_every_test() {
    let brought = Brought::promptfoo("self-hosted");
    assert_eq!(brought.asks("prompts-model", "1"), "Write a short tweet about bananas.");
    assert_eq!(brought.asks("prompts_2-model_2", "3"), "Write a tweet about NEW YORK CITY,\nin one sentence.");
    assert_eq!(brought.score("2", "not_icontains"), true);
    assert_eq!(brought.score("2", "icontains"), false);
    assert!(brought.score("3", "llm_rubric").as_f64().unwrap() > 0.9, "the judge says Yes");
    assert!(brought.suite("self-hosted_llm_rubric").contains("prompt: prompts/judge_rubric.txt"));
    insta::assert_snapshot!(brought.stderr.replace(root().to_str().unwrap(), ""), @r"
    note: `outputPath` is left out: no score depends on it
      --> /tests/fixtures/import/promptfoo/self-hosted/promptfooconfig.yaml:32:1
    note: `maxConcurrency` is left out: no score depends on it
      --> /tests/fixtures/import/promptfoo/self-hosted/promptfooconfig.yaml:19:1
    warning: provider `ollama:chat:llama3.2` is left out: --model was given; asked instead is model: model.yaml
      --> /tests/fixtures/import/promptfoo/self-hosted/promptfooconfig.yaml:5:5
      help: without --model it is `model: {endpoint: http://localhost:11434/v1, name: llama3.2}`
    warning: `num_ctx` of a provider is left out: Tripos has no such setting
      --> /tests/fixtures/import/promptfoo/self-hosted/promptfooconfig.yaml:9:7
    warning: provider `localai:chat:phi-4` is left out: --model was given; asked instead is model: model.yaml
      --> /tests/fixtures/import/promptfoo/self-hosted/promptfooconfig.yaml:10:5
      help: without --model it is `model: {endpoint: http://localhost:8080/v1, name: phi-4}`
    note: assertion `not-icontains` is not quite the same: an empty answer passes nothing here, and this there (3 times; the first is here)
      --> /tests/fixtures/import/promptfoo/self-hosted/promptfooconfig.yaml:13:7
    warning: assertion `latency` is left out: times are kept with every sample, and judged by no scorer (3 times; the first is here)
      --> /tests/fixtures/import/promptfoo/self-hosted/promptfooconfig.yaml:15:7
    warning: assertion `javascript` is left out: it is a program, and suites run none; a `command` scorer can run yours (3 times; the first is here)
      --> /tests/fixtures/import/promptfoo/self-hosted/promptfooconfig.yaml:17:7
    note: assertion `llm-rubric` is not quite the same: the suite's own model judges, by how likely it finds Yes behind the judge's prompt, from 0 to 1
      --> /tests/fixtures/import/promptfoo/self-hosted/promptfooconfig.yaml:30:9
    ");
}

#[test]
fn a_spreadsheets_own_columns_are_assertions_names_and_tags() {
    let brought = Brought::promptfoo("csv");
    assert_eq!(
        brought.asks("answer_in_one_word._question", "Peru"),
        "Think first. Answer in one word. What is the capital of Peru?"
    );
    assert_eq!(
        brought.asks("answer_in_one_word._question", "France"),
        "Answer in one word. What is the capital of France?"
    );
    let samples = brought.samples();
    let tags =
        |case: &str| samples.iter().find(|sample| sample["trial"]["case"] == case).unwrap()["case"]["tags"].clone();
    assert_eq!(tags("France"), serde_json::json!(["topic:cities", "tags:easy", "tags:europe"]));
    assert_eq!((brought.score("4", "contains_any"), brought.score("3", "equals")), (false.into(), false.into()));
    insta::assert_snapshot!(brought.listed().join("\n"), @r"
    left_out provider `openai:chat:gpt-4.1-mini` 3:13
    changed assertion `not-contains` 2:1
    changed assertion `llm-rubric` 6:1
    left_out assertion `similar` 6:1
    ");
}

#[test]
fn chats_of_json_and_yaml_are_chats_and_a_last_assistant_is_continued() {
    let brought = Brought::promptfoo("chat");
    assert_eq!(brought.asks("chat", "1"), "[system] You answer Ada's questions.\n[user] Who wrote \"Notes\"?\n");
    assert_eq!(brought.asks("terse", "2"), "[system] Be terse.\n[user] Q: Who found\nthe first bug?\n[assistant] A:");
}

#[test]
fn json_schemas_weights_and_equal_objects_are_scorers() {
    let brought = Brought::promptfoo("json");
    insta::assert_snapshot!(brought.suite("json_contains_is_json"), @r"
    # Imported from /tests/fixtures/import/promptfoo/json/promptfooconfig.yaml by Tripos.
    suite: json_contains_is_json
    description: Structured answers
    model:
      scripted: ../model.yaml
    sampling:
      temperature: 0
    cases: cases/json_contains_is_json.jsonl
    scorers:
    - contains:
        name: contains
        case_sensitive: true
        group: score
    - json:
        name: is_json
        weight: 3.0
        schema:
          type: object
          required:
          - color
          - name
          properties:
            color:
              type: string
        group: score
    variants:
    - name: prompt
      prompt: prompts/prompt.txt
    ");
    insta::assert_snapshot!(brought.suite("json_contains_json_equals"), @r"
    # Imported from /tests/fixtures/import/promptfoo/json/promptfooconfig.yaml by Tripos.
    suite: json_contains_json_equals
    description: Structured answers
    model:
      scripted: ../model.yaml
    sampling:
      temperature: 0
    cases: cases/json_contains_json_equals.jsonl
    scorers:
    - json:
        name: contains_json
        answer:
          take: json
        group: score
    - json:
        name: equals
        schema:
          const:
            name: null
        group: score
    variants:
    - name: prompt
      prompt: prompts/prompt.txt
    ");
    assert_eq!(brought.asks("prompt", "2"), "Describe a green pear as JSON with the keys name and color.");
}

#[test]
fn a_document_is_read_and_template_logic_stays_logic() {
    let brought = Brought::promptfoo("rag");
    let prompt = |strict: &str, question: &str| {
        format!(
            "Use only this document:\nEmployees may be away for 25 days a year.\nThey may work from home for two days a week \
             {{as agreed}}.\n\n{strict}Question: {question}\nAnswer:\n"
        )
    };
    let variant = "use_only_this_document_document_i_072a0a";
    let strict = "Answer \"unknown\" where it does not say.\n";
    assert_eq!(brought.asks(variant, "2"), prompt(strict, "Who is the mayor?"));
    assert_eq!(brought.asks(variant, "3"), prompt("", "May I work from home?"));
    assert!(brought.workspace.read(&format!("out/prompts/{variant}.txt")).contains("{% if strict %}"), "translated");
    assert!(brought.score("1", "factuality").as_f64().unwrap() > 0.9);
}

#[test]
fn lists_are_multiplied_out_and_what_a_test_lacks_prints_nothing() {
    let brought = Brought::promptfoo("matrix");
    let prompts = brought.prompts();
    assert_eq!(prompts.len(), 12, "2 prompts, 2 words, 3 languages");
    assert_eq!(brought.asks("plain", "6"), "Say \"goodbye\" in Dutch, politely.");
    assert_eq!(brought.asks("table", "2"), "a=1;b=two; hello ");
    let listed = brought.listed().join("\n");
    assert!(listed.contains("changed variable `missing`"), "{listed}");
    assert!(listed.contains("left_out assertion `regex`"), "looking ahead: {listed}");
}

#[test]
fn a_scenario_is_asked_with_each_of_its_settings_and_of_its_own_model() {
    let brought = Brought::promptfoo("scenarios");
    let suite = brought.suite("scenarios");
    let model = suite.lines().find(|line| line.starts_with("model: ")).unwrap();
    assert!(model.ends_with("/models/tripos-tiny.gguf"), "the file's own model is asked: {model}");
    assert_eq!(brought.asks("translate_to_language_input", "2"), "Translate to French: Hello world");
    let first = brought.samples().into_iter().find(|sample| sample["trial"]["case"] == "1").unwrap();
    assert_eq!(first["case"]["target"], "Hola mundo");
    assert!(brought.score("1", "levenshtein").is_number());
}

#[test]
fn sets_weights_metrics_and_templates_in_variables_come_along() {
    let brought = Brought::promptfoo("sets");
    assert_eq!(brought.asks("explain", "the sky"), "Explain to a child: Why is the sky blue?\n");
    assert_eq!(brought.asks("short", "grass"), "Why is grass green? (for one botanist)\n");
    insta::assert_snapshot!(brought.suite("sets"), @r"
    # Imported from /tests/fixtures/import/promptfoo/sets/promptfooconfig.yaml by Tripos.
    suite: sets
    description: Sets, weights, metrics and templates in variables
    model:
      scripted: ../model.yaml
    cases: cases/sets.jsonl
    scorers:
    - contains:
        name: content
        weight: 0.5
        value: light
        group: score
    - contains:
        name: content_2
        weight: 0.5
        group: score
    - regex:
        name: not_icontains_any
        not: true
        weight: 2.0
        pattern: (?i)god|magic
        group: score
    variants:
    - name: explain
      prompt: prompts/explain.txt
    - name: short
      prompt: prompts/short.txt
    ");
    insta::assert_snapshot!(brought.listed().join("\n"), @r"
    left_out provider `anthropic:messages:claude-sonnet-4` 3:13
    left_out `threshold` of an `assert-set` 13:9
    left_out `weight` of an `assert-set` 14:9
    left_out `provider` of an assertion 19:44
    left_out `threshold` of a test 20:5
    changed assertion `icontains-all` 16:14
    changed assertion `not-icontains-any` 17:14
    left_out assertion `bleu` 18:10
    left_out assertion `similar` 19:10
    ");
}

#[test]
fn programs_are_listed_one_by_one_and_the_rest_comes_in() {
    let brought = Brought::promptfoo("programs");
    assert_eq!(brought.asks("classify_text", "2"), "Classify: I love it");
    insta::assert_snapshot!(brought.listed().join("\n"), @r"
    left_out `extensions` 19:1
    left_out prompt `file://prompt.py:make` 3:5
    left_out provider `file://provider.js` 6:5
    left_out provider `python:ask.py` 7:5
    left_out variable `text` of `make.py` 9:12
    left_out tests of `file://more.js` 16:5
    changed variable `text` 9:5
    left_out assertion `python` 10:15
    left_out assertion `cost` 14:10
    left_out assertion `javascript` 15:10
    changed a test without an assertion 9:5
    ");
}

#[test]
fn tests_and_prompts_in_files_of_their_own_are_read() {
    let brought = Brought::promptfoo("jsonl");
    assert_eq!(brought.asks("long", "large"), "What is 40 plus 2? Give the number.");
    assert_eq!(brought.asks("short", "3"), "Sum: 1 + 1.5 =");
}

/// What the harness would ask, and what is right, for every row of a task.
fn golden(task: &str) -> Vec<Value> {
    let all: Value = serde_json::from_slice(&std::fs::read(fixture("lm_eval/goldens.json")).unwrap()).unwrap();
    all[task].as_array().unwrap_or_else(|| panic!("no golden of {task}")).clone()
}

/// Holds every prompt, and the choices and targets of tasks that have them, against Jinja2's.
fn holds(brought: &Brought, task: &str) {
    let golden = golden(task);
    let samples = brought.samples();
    let of_task = |sample: &&Value| {
        let text = sample["prompt"]["text"].as_str().unwrap_or_default();
        golden.iter().any(|row| row["prompt"] == text)
    };
    let asked: Vec<&Value> = samples.iter().filter(of_task).collect();
    for (at, row) in golden.iter().enumerate() {
        let sample = asked.iter().find(|sample| sample["prompt"]["text"] == row["prompt"]);
        let sample = sample.unwrap_or_else(|| panic!("{task}: nobody asked {row:#}\n{samples:#?}"));
        assert_eq!(sample["trial"]["case"], (at + 1).to_string(), "{task}");
        if !row["choices"].is_null() {
            let vars = &sample["case"]["vars"];
            let choices = vars.get("choice_texts").or_else(|| vars.get("choices")).unwrap();
            assert_eq!((choices, &sample["case"]["target"]), (&row["choices"], &row["target"]), "{task}");
        }
    }
}

fn data(name: &str) -> String {
    fixture(&format!("lm_eval/{name}")).display().to_string()
}

#[test]
fn gsm8k_compares_numbers_read_in_both_of_its_ways() {
    let brought = Brought::lm_eval("gsm8k.yaml", &["--data", &data("gsm8k.test.jsonl"), "--num-fewshot", "0"]);
    holds(&brought, "gsm8k");
    insta::assert_snapshot!(brought.suite("gsm8k"), @r"
    # Imported from /tests/fixtures/import/lm_eval/gsm8k.yaml by Tripos.
    suite: gsm8k
    model:
      scripted: ../model.yaml
    sampling:
      stop:
      - 'Question:'
      - </s>
      - <|im_end|>
    cases: cases/gsm8k.jsonl
    scorers:
    - number:
        name: strict_match
        answer:
          take: pattern
          regex: '#### (\-?[0-9\.\,]+)'
          which: first
    - number:
        name: flexible_extract
        answer:
          take: pattern
          regex: (-?[$0-9.,]{2,})|(-?[0-9]+)
          which: last
          group: 0
    variants:
    - name: zero_shot
      prompt: prompts/gsm8k.txt
    ");
    let cases = brought.workspace.read("out/cases/gsm8k.jsonl");
    assert!(cases.lines().nth(1).unwrap().contains("\"target\":\"1250\""), "what is ignored is taken off: {cases}");
    assert_eq!(
        (brought.score("1", "strict_match"), brought.score("1", "flexible_extract")),
        (false.into(), true.into())
    );
    assert_eq!(brought.document["metrics"][1]["source"], "exact_match,flexible-extract");
    assert_eq!(brought.document["metrics"][1]["metric"], "flexible_extract");
}

#[test]
fn gsm8k_with_examples_shows_whole_solutions() {
    let examples = data("gsm8k.train.jsonl");
    let brought = Brought::lm_eval("gsm8k.yaml", &["--data", &data("gsm8k.test.jsonl"), "--examples", &examples]);
    let prompt = brought.asks("2_shot", "1");
    let solved = ["#### 14\n\nQuestion: ", "#### 6\n\nQuestion: "];
    assert!(solved.iter().all(|end| prompt.contains(end)) && prompt.ends_with("pens has she?\nAnswer:"), "{prompt}");
    let without = Brought::lm_eval("gsm8k.yaml", &["--data", &data("gsm8k.test.jsonl")]);
    assert!(without.stderr.contains("hf://datasets/openai/gsm8k@~parquet/main/train"), "{}", without.stderr);
    assert!(without.prompts().contains_key(&("zero_shot".to_owned(), "1".to_owned())));
}

#[test]
fn chains_of_thought_are_shown_from_the_tasks_own_samples() {
    let brought = Brought::lm_eval("gsm8k_cot.yaml", &["--data", &data("gsm8k.test.jsonl")]);
    holds(&brought, "gsm8k_cot");
    assert_eq!(brought.score("1", "exact_match"), true);
}

#[test]
fn votes_are_repeats_and_each_pipeline_is_a_variant() {
    let brought = Brought::lm_eval("gsm8k_cot_self_consistency.yaml", &["--data", &data("gsm8k.test.jsonl")]);
    holds(&brought, "gsm8k_cot_self_consistency");
    let suite = brought.suite("gsm8k_cot_self_consistency");
    insta::assert_snapshot!(suite.split("variants:").nth(1).unwrap(), @r"
    - name: once
      prompt: prompts/gsm8k_cot_self_consistency.txt
    - name: majority_4
      prompt: prompts/gsm8k_cot_self_consistency.txt
      repeats: 4
      reduce: majority
    - name: majority_8
      prompt: prompts/gsm8k_cot_self_consistency.txt
      repeats: 8
      reduce: majority
    ");
}

#[test]
fn multiple_choice_asks_what_the_harness_asks_of_every_choice() {
    for (task, file) in [
        ("arc_easy", "arc_easy.json"),
        ("hellaswag", "hellaswag.processed.jsonl"),
        ("truthfulqa_mc1", "truthfulqa_mc1.jsonl"),
        ("boolq", "boolq.csv"),
    ] {
        let brought = Brought::lm_eval(&format!("{task}.yaml"), &["--data", &data(file)]);
        holds(&brought, task);
        assert!(brought.score("1", "choice").is_boolean(), "{task}");
        let samples = brought.samples();
        let sample = samples.iter().find(|sample| sample["trial"]["case"] == "1").unwrap();
        let measured = &sample["likelihood"][0]["text"];
        let first = &golden(task)[0]["choices"][0];
        assert_eq!(
            measured.as_str().unwrap(),
            format!(" {}", first.as_str().unwrap()),
            "the delimiter is the harness's"
        );
    }
}

#[test]
fn the_likelihood_of_a_last_word_is_measured_behind_its_text() {
    let brought = Brought::lm_eval("lambada_openai.yaml", &["--data", &data("lambada_openai.jsonl")]);
    holds(&brought, "lambada_openai");
    let samples = brought.samples();
    let sample = samples.iter().find(|sample| sample["trial"]["case"] == "1").unwrap();
    assert_eq!(sample["likelihood"][0]["text"], " door");
    insta::assert_snapshot!(brought.listed().join("\n"), @r"
    harmless `tag`, `should_decontaminate`, `doc_to_decontamination_query`, `metadata` 1:1
    changed metric `perplexity` 14:5
    left_out metric `acc` 17:5
    ");
}

#[test]
fn long_texts_are_read_whole() {
    let brought = Brought::lm_eval("pages.yaml", &[]);
    for (at, row) in golden("pages").iter().enumerate() {
        assert_eq!(brought.workspace.read(&format!("out/texts/pages_{}.txt", at + 1)), row["target"].as_str().unwrap());
    }
}

#[test]
fn several_right_answers_are_said_to_count_as_one() {
    let brought = Brought::lm_eval("triviaqa.yaml", &["--data", &data("triviaqa.jsonl")]);
    holds(&brought, "triviaqa");
    assert!(brought.listed().iter().any(|one| one.starts_with("changed a row with several targets")));
    assert!(brought.workspace.read("out/cases/triviaqa.jsonl").lines().next().unwrap().contains("\"target\":\"Mars\""));
}

#[test]
fn a_group_becomes_a_suite_for_each_task_with_what_they_include() {
    let flags = ["--data", &data("mmlu/test"), "--examples", &data("mmlu/dev")];
    let brought = Brought::lm_eval("mmlu/_mmlu.yaml", &flags);
    holds(&brought, "mmlu_anatomy");
    holds(&brought, "mmlu_virology");
    assert_eq!(brought.document["suites"].as_array().unwrap().len(), 2);
}

#[test]
fn a_filter_that_looks_ahead_is_left_out_and_the_other_reads() {
    let brought = Brought::lm_eval("bbh/boolean_expressions.yaml", &["--data", &data("bbh/boolean_expressions.jsonl")]);
    holds(&brought, "bbh_cot_fewshot_boolean_expressions");
    insta::assert_snapshot!(brought.listed().join("\n"), @r"
    harmless `metadata` 25:1
    left_out filter `get-answer` 16:9
    ");
}

#[test]
fn local_files_prefixes_and_braces_in_data_come_through() {
    let brought = Brought::lm_eval("sst2.yaml", &[]);
    holds(&brought, "sst2_local");
    insta::assert_snapshot!(brought.listed().join("\n"), @r"
    left_out `process_results: !function metrics.process` 18:1
    left_out `doc_to_text` of `fewshot_config` 8:36
    left_out metric `!function metrics.calibration` 17:5
    ");
}

/// The twin of the comparisons: a golden with one word changed is not found.
#[test]
#[should_panic(expected = "nobody asked")]
fn a_prompt_that_differs_by_a_letter_is_caught() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.csv");
    let text = std::fs::read_to_string(fixture("lm_eval/boolq.csv")).unwrap();
    std::fs::write(&rows, text.replace("frozen", "frosen")).unwrap();
    let brought = Brought::lm_eval("boolq.yaml", &["--data", rows.to_str().unwrap()]);
    holds(&brought, "boolq");
}

#[test]
fn an_imported_task_runs_on_the_bundled_model() {
    let workspace = Workspace::new();
    let (task, rows) = (fixture("lm_eval/arc_easy.yaml"), data("arc_easy.json"));
    let model = crate::workspace::model();
    let arguments = ["--data", &rows, "--model", model.to_str().unwrap(), "-o", "arc"];
    workspace.ok(&[&["import", "lm-eval", task.to_str().unwrap()], arguments.as_slice()].concat());
    let ran = workspace.ok(&["run", "arc/arc_easy.yaml"]);
    assert!(ran.stdout.contains("choice.acc_norm"), "{}", ran.stdout);
}
