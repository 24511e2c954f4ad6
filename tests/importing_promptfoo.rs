//! What promptfoo's own reader does with lists, files and variables, and what of a configuration is listed rather than dropped.

use crate::stub_server::{Reply, Stub};
use crate::workspace::{Workspace, root};
use serde_json::Value;

const SCRIPT: &str = "otherwise: hi\n";

/// A folder with files, of which `c.yaml` is the configuration.
fn workspace(files: &[(&str, &str)]) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("m.yaml", SCRIPT);
    for (name, text) in files {
        workspace.write(name, text);
    }
    workspace
}

/// What an import of `c.yaml` printed as JSON.
fn brought(workspace: &Workspace, flags: &[&str]) -> Value {
    let arguments = [&["import", "promptfoo", "c.yaml", "--out", "out", "--format", "json"], flags].concat();
    serde_json::from_str(&workspace.ok(&arguments).stdout).unwrap()
}

const MODEL: [&str; 2] = ["--model", "m.yaml"];

/// The cases of the only suite.
fn cases(workspace: &Workspace) -> Vec<Value> {
    let text = workspace.read("out/cases/c.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is listed, a line each: fate, name, why and line.
fn listed(document: &Value) -> String {
    let one = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap();
        format!("{} {}: {} @{}\n", text("fate"), text("name"), text("why"), one["line"])
    };
    document["listed"].as_array().unwrap().iter().map(one).collect()
}

/// The error of an import of `c.yaml`.
fn refused(workspace: &Workspace, flags: &[&str]) -> String {
    let said = workspace.tripos(&[&["import", "promptfoo", "c.yaml", "--out", "out"], flags].concat());
    assert_eq!(said.code, Some(2), "{}\n{}", said.stdout, said.stderr);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    said.stderr.replace(root().to_str().unwrap(), "")
}

#[test]
fn only_a_list_that_begins_with_a_text_is_multiplied_out() {
    let config = "prompts: ['{{ word }}']\nproviders: [x]\ntests:\n\
                  - vars: {word: [a, b], numbers: [1, 2, 3], maps: [{k: 1}, {k: 2}], empty: []}\n";
    let workspace = workspace(&[("c.yaml", config)]);
    brought(&workspace, &MODEL);
    let cases = cases(&workspace);
    assert_eq!(cases.len(), 2, "{cases:?}");
    let words: Vec<&Value> = cases.iter().map(|case| &case["vars"]["word"]).collect();
    assert_eq!(words, ["a", "b"]);
    assert_eq!(cases[1]["vars"]["numbers"], serde_json::json!([1, 2, 3]));
    assert_eq!(cases[1]["vars"]["maps"], serde_json::json!([{"k": 1}, {"k": 2}]));
    assert_eq!(cases[1]["vars"]["empty"], serde_json::json!([]));
}

#[test]
fn a_file_of_a_variable_is_one_text_and_a_pattern_is_several() {
    let config = "prompts: ['{{ j }} {{ y }} {{ t }} {{ each }}']\nproviders: [x]\ntests:\n\
                  - vars: {j: 'file://list.json', y: 'file://list.yaml', t: 'file://t/*.txt', each: ['file://t/a.txt', plain]}\n";
    let files = [
        ("c.yaml", config),
        ("list.json", "[\"one\",\n \"two\"]\n"),
        ("list.yaml", "- b: 1\n  a: [x, true]\n- two\n"),
        ("t/a.txt", "alpha\n"),
        ("t/b.txt", "beta\n"),
    ];
    let workspace = workspace(&files);
    brought(&workspace, &MODEL);
    let cases = cases(&workspace);
    assert_eq!(cases.len(), 4, "two files of the pattern, two items of the list: {cases:?}");
    for case in &cases {
        assert_eq!(case["vars"]["j"], "[\"one\",\n \"two\"]");
        assert_eq!(case["vars"]["y"], "[{\"b\":1,\"a\":[\"x\",true]},\"two\"]");
    }
    let has = |t: &str, each: &str| cases.iter().any(|case| case["vars"]["t"] == t && case["vars"]["each"] == each);
    assert!(has("alpha", "alpha") && has("beta", "alpha") && has("alpha", "plain") && has("beta", "plain"));
}

#[test]
fn too_many_combinations_are_an_error_and_not_a_full_memory() {
    let list = format!("[{}]", vec!["x"; 1000].join(", "));
    let config = format!(
        "prompts: ['{{{{ a }}}}']\nproviders: [x]\ntests:\n- vars: {{a: {list}, b: {list}, c: {list}, d: {list}}}\n"
    );
    let said = refused(&workspace(&[("c.yaml", &config)]), &MODEL);
    let error = said.split("error: ").nth(1).unwrap_or_else(|| panic!("{said}"));
    insta::assert_snapshot!(error, @r"
    the combinations of all lists would be more than 100000 tests
      --> c.yaml:4:3
      help: shorten the lists; a list that is one value is kept whole by `options: {disableVarExpansion: true}`
    ");
}

#[test]
fn files_of_tests_that_name_themselves_are_an_error() {
    let config = "prompts: ['{{ q }}']\nproviders: [x]\ntests: file://tests.yaml\n";
    let said = refused(&workspace(&[("c.yaml", config), ("tests.yaml", "- file://tests.yaml\n")]), &MODEL);
    assert!(said.contains("error: files of tests name one another more than 8 deep"), "{said}");
    assert!(said.contains("--> tests.yaml:1:3"), "{said}");
}

#[test]
fn json_lines_are_tests_as_yaml_has_them() {
    let config = "prompts: ['{{ q }}{{ extra }}']\nproviders: [x]\ntests: file://tests.jsonl\n";
    let rows = r#"{"vars": "file://vars.yaml", "metadata": {"topic": ["a", "b"]}, "options": {"prefix": "Now: "}}
{"vars": {"q": ["x", "y"]}, "options": {"disableVarExpansion": true}, "threshold": 0.5, "provider": "other"}
{"vars": {"q": "file://q.txt"}, "assert": [{"type": "contains", "value": "hi"}]}
"#;
    let files = [("c.yaml", config), ("tests.jsonl", rows), ("vars.yaml", "q: of a file\n"), ("q.txt", "of a text\n")];
    let workspace = workspace(&files);
    let document = brought(&workspace, &MODEL);
    let all = listed(&document);
    assert!(all.contains("left_out `threshold` of a test: a test passes here by each of its scorers"), "{all}");
    assert!(all.contains("left_out `provider` of a test: every variant is asked every case @2"), "{all}");
    let mut found = Vec::new();
    for suite in document["suites"].as_array().unwrap() {
        let path = suite["path"].as_str().unwrap().replace("out/", "out/cases/").replace(".yaml", ".jsonl");
        found.extend(workspace.read(&path).lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    let case = |id: &str| found.iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!((&case("1")["vars"]["q"], &case("1")["vars"]["prompt_prefix"]), (&"of a file".into(), &"Now: ".into()));
    assert_eq!(case("1")["tags"], serde_json::json!(["topic:a", "topic:b"]));
    assert_eq!(case("2")["vars"]["q"], serde_json::json!(["x", "y"]));
    assert_eq!(case("3")["vars"]["q"], "of a text");
}

#[test]
fn a_spreadsheet_names_files_as_a_test_does() {
    let config = "prompts: ['{{ q }}']\nproviders: [x]\ntests: file://tests.csv\n";
    let workspace = workspace(&[("c.yaml", config), ("tests.csv", "q\nfile://q.txt\n"), ("q.txt", "of a text\n")]);
    brought(&workspace, &MODEL);
    assert_eq!(cases(&workspace)[0]["vars"]["q"], "of a text");
}

#[test]
fn every_value_of_metadata_is_a_tag_and_a_map_in_it_is_listed() {
    let config = "prompts: ['{{ q }}']\nproviders: [x]\ntests:\n- vars: {q: a}\n  metadata: {area: [x, y], level: 3, more: {k: v}}\n";
    let workspace = workspace(&[("c.yaml", config)]);
    let document = brought(&workspace, &MODEL);
    assert_eq!(cases(&workspace)[0]["tags"], serde_json::json!(["area:x", "area:y", "level:3"]));
    assert!(listed(&document).contains("harmless `metadata.more`: "), "{}", listed(&document));
}

#[test]
fn files_of_variables_that_are_absent_or_no_maps_are_errors() {
    let config = |vars: &str| format!("prompts: ['{{{{ q }}}}']\nproviders: [x]\ntests:\n- vars: {vars}\n");
    let said = |vars: &str| refused(&workspace(&[("c.yaml", &config(vars)), ("list.yaml", "- a\n")]), &MODEL);
    let gone = said("file://gone.yaml");
    assert!(gone.contains("error: there is no file `file://gone.yaml`\n  --> c.yaml:4:3\n"), "{gone}");
    let list = said("[list.yaml]");
    assert!(list.contains("error: this is no map of variables\n  --> list.yaml:1:1\n"), "{list}");
    let map = said("[{q: a}]");
    assert!(map.contains("error: `vars` is neither a map nor the name of a file\n  --> c.yaml:4:"), "{map}");
}

#[test]
fn rows_of_prompts_that_cannot_be_read_are_listed_each_with_its_line() {
    let config = "prompts: file://prompts.csv\nproviders: [x]\ntests: [{vars: {q: a}}]\n";
    let rows = "prompt,label\nOne {{ q }},one\nTwo\nThree {{ q }},three\nFour,4,4\n";
    let workspace = workspace(&[("c.yaml", config), ("prompts.csv", rows)]);
    let document = brought(&workspace, &MODEL);
    let all = listed(&document);
    let broken: Vec<&str> = all.lines().filter(|line| line.contains("a row of prompt `")).collect();
    assert_eq!(broken.len(), 2, "{all}");
    assert!(broken[0].ends_with("@3") && broken[1].ends_with("@5"), "{all}");
    assert_eq!(document["suites"][0]["variants"], serde_json::json!(["one", "three"]));
}

#[test]
fn keys_and_variables_are_listed_and_not_repeated() {
    let config = "prompts: ['{{ q }}']\nproviders:\n- id: vllm:m\n  env: {MINE: sk-2}\n  \
                  config: {apiKey: sk-1, organization: o, showThinking: false, apiBaseUrl: 'http://localhost:1/v1'}\n\
                  tests: [{vars: {q: a}}]\nenv: {OPENAI_API_KEY: sk-3}\n";
    let workspace = workspace(&[("c.yaml", config)]);
    let document = brought(&workspace, &[]);
    let all = listed(&document);
    for name in ["`apiKey` of a provider", "`organization` of a provider", "`showThinking` of a provider"] {
        assert!(all.contains(&format!("left_out {name}: ")), "{all}");
    }
    assert!(all.contains("left_out `MINE` of `env` of a provider: "), "{all}");
    assert!(
        all.contains("left_out `OPENAI_API_KEY` of `env`: a suite sets no variables of the environment @7"),
        "{all}"
    );
    let suite = workspace.read("out/c.yaml");
    assert!(!document.to_string().contains("sk-") && !suite.contains("sk-"), "{document}\n{suite}");
}

#[test]
fn the_address_of_env_is_where_openais_models_are_asked() {
    let config = "prompts: ['{{ q }}']\nproviders: PROVIDER\ntests: [{vars: {q: a}}]\n\
                  env: {OPENAI_BASE_URL: 'http://localhost:2/v1'}\n";
    let endpoint = |provider: &str| {
        let workspace = workspace(&[("c.yaml", &config.replace("PROVIDER", provider))]);
        brought(&workspace, &[]);
        let suite = workspace.read("out/c.yaml");
        suite
            .lines()
            .find_map(|line| line.trim().strip_prefix("endpoint: ").map(|url| url.trim_matches('\'').to_owned()))
            .unwrap()
    };
    assert_eq!(endpoint("[openai:chat:m]"), "http://localhost:2/v1");
    assert_eq!(endpoint("[{id: openai:m, config: {apiBaseUrl: 'http://localhost:3/v1'}}]"), "http://localhost:3/v1");
    assert_eq!(
        endpoint("[{id: openai:m, env: {OPENAI_API_BASE_URL: 'http://localhost:4/v1'}}]"),
        "http://localhost:4/v1"
    );
    assert_eq!(endpoint("[vllm:m]"), "http://localhost:8000/v1");
}

#[test]
fn newer_models_of_openai_are_noted() {
    let noted = |provider: &str| {
        let config = format!("prompts: ['{{{{ q }}}}']\nproviders: [{provider}]\ntests: [{{vars: {{q: a}}}}]\n");
        listed(&brought(&workspace(&[("c.yaml", &config)]), &[])).contains("refuse `max_tokens` and a temperature")
    };
    assert!(noted("openai:o4-mini") && noted("openai:chat:gpt-5.1"));
    assert!(!noted("openai:gpt-4.1") && !noted("openrouter:openai/o3"));
}

#[test]
fn a_model_may_lie_elsewhere_and_nothing_is_fetched() {
    let config = "prompts: ['{{ q }}']\nproviders: [x]\ntests: [{vars: {q: a}}]\n";
    let hash = format!("https://localhost:1/m.gguf#sha256={}", "0a".repeat(32));
    for model in ["hf://owner/repo/m.gguf@v1", &hash] {
        let workspace = workspace(&[("c.yaml", config)]);
        brought(&workspace, &["--model", model]);
        let suite: Value = serde_yaml::from_str(&workspace.read("out/c.yaml")).unwrap();
        assert_eq!(suite["model"], model);
    }
    let workspace = workspace(&[("c.yaml", config)]);
    let said = refused(&workspace, &["--model", "http://localhost:8080/v1"]);
    assert!(
        said.contains("error: the address does not say whether a server or a file is there\n  --> --model\n"),
        "{said}"
    );
    assert!(said.contains("--model '{endpoint: http://localhost:8080/v1, name: NAME}'"), "{said}");
    assert!(refused(&workspace, &["--model", "hf://owner"]).contains("error: "));
}

#[test]
fn a_server_is_named_as_suites_name_it_and_asked_in_chats() {
    let stub = Stub::start(|seen| Reply::say(seen, "A tweet."));
    let config = "prompts: ['Write of {{ q }}.']\nproviders: [x]\ntests: [{vars: {q: tea}, assert: [{type: icontains, value: tweet}]}]\n";
    let workspace = workspace(&[("c.yaml", config)]);
    brought(&workspace, &["--model", &format!("{{endpoint: '{}', name: stub}}", stub.url())]);
    let ran = crate::endpoints::tripos(&workspace, &["run", "--quiet", "out/c.yaml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let body = &stub.posts()[0].body;
    assert_eq!((&body["model"], &body["messages"][0]["content"]), (&"stub".into(), &"Write of tea.".into()), "{body}");
}

#[test]
fn a_server_that_no_suite_could_name_is_an_error() {
    let config = "prompts: ['{{ q }}']\nproviders: [x]\ntests: [{vars: {q: a}}]\n";
    let workspace = workspace(&[("c.yaml", config)]);
    let said = |model: &str| refused(&workspace, &["--model", model]);
    let key = said("{endpoint: http://localhost:1/v1, key: sk-0123}");
    assert!(key.contains("unknown field `key`") && key.contains("--> --model\n"), "{key}");
    assert!(!key.contains("sk-0123"), "{key}");
    assert!(said("{endpoint: localhost}").contains("error: `localhost` is no address of a server"));
    assert!(said("{endpoint: http://localhost:1/v1").contains("error: this is not YAML that can be read"));
    assert!(said("{scripted: m.yaml}").contains("error: a script is named by its path alone"));
    assert!(said("{nothing: of, ours: x}").contains("error: `model`: "));
}

#[test]
fn a_task_takes_a_server_too() {
    let workspace = Workspace::new();
    workspace.write(
        "t.yaml",
        "task: t\ndataset_path: json\ndataset_kwargs: {data_files: r.jsonl}\ndoc_to_text: q\ndoc_to_target: a\nmetric_list: [{metric: exact_match}]\n",
    );
    workspace.write("r.jsonl", "{\"q\": \"1?\", \"a\": \"1\"}\n");
    let model = "{endpoint: http://localhost:1/v1, name: tiny, key_env: MY_KEY}";
    workspace.ok(&["import", "lm-eval", "t.yaml", "--out", "out", "--model", model]);
    let suite: Value = serde_yaml::from_str(&workspace.read("out/t.yaml")).unwrap();
    let wanted = serde_json::json!({"endpoint": "http://localhost:1/v1", "name": "tiny", "key_env": "MY_KEY"});
    assert_eq!(suite["model"], wanted);
}
