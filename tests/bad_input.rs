//! Each mistake gets an error with its place and a way to mend it; nothing is lost and nothing panics.

use crate::workspace::{Workspace, samples_of};

/// The scripted suite with one text replaced, checked: exit code 2 and what is said.
fn checked(from: &str, to: &str) -> String {
    let workspace = Workspace::scripted();
    let suite = workspace.read("suite.yaml");
    assert!(suite.contains(from), "{from}");
    workspace.write("suite.yaml", suite.replacen(from, to, 1));
    let said = workspace.tripos(&["check", "suite.yaml"]);
    assert_eq!(said.code, Some(2), "{}\n{}", said.stdout, said.stderr);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    said.stderr
}

#[test]
fn a_misspelt_field_is_named_with_the_nearest() {
    insta::assert_snapshot!(checked("{name: b, prompt", "{name: b, promt: x, prompt"), @r"
    error: unknown field `promt` in variant `b`
      --> suite.yaml:15:15
      help: did you mean `prompt`? (adapter, answer, context, examples, model, name, prompt, reduce, repeats, sampling, then)
    ");
}

#[test]
fn several_mistakes_are_reported_at_once() {
    let stderr = checked("sampling: {max_tokens: 64}", "sampling: {temprature: 1, max_tokens: many}\nmax_unscored: 7");
    insta::assert_snapshot!(stderr, @r#"
    error: unknown field `temprature` in `sampling`
      --> suite.yaml:3:12
      help: did you mean `temperature`? (frequency_penalty, grammar, json_schema, logit_bias, logprobs, max_tokens, min_p, presence_penalty, repeat_penalty, seed, stop, temperature, top_k, top_p)
    error: `sampling.max_tokens`: found the text "many", expected a whole number
      --> suite.yaml:3:27
    error: `max_unscored` is 7
      --> suite.yaml:4:1
      help: it is a share from 0 to 1
    "#);
}

#[test]
fn duplicate_names_and_ids_are_named_with_the_first() {
    insta::assert_snapshot!(checked("{name: b,", "{name: a,"), @r"
    error: variant `a` is there twice; the first is at line 14
      --> suite.yaml:15:5
      help: give each variant a name of its own
    ");
    assert!(checked("{id: two,", "{id: one,").contains("case `one` is there twice; the first is at line 5"));
}

#[test]
fn fewer_examples_than_asked_for_is_a_note_and_those_there_are_used() {
    let workspace = Workspace::scripted();
    workspace.write("suite.yaml", workspace.read("suite.yaml").replace("{count: 1}", "{count: 3}"));
    let said = workspace.ok(&["check", "suite.yaml"]);
    insta::assert_snapshot!(said.stderr, @r"
    note: variant `a` asks for 3 examples; the pool has only 1
      --> suite.yaml:14:5
      help: those that remain are used
    ");
    assert!(workspace.ok(&["run", "suite.yaml", "--dry-run"]).stdout.contains("Q: What is 5 + 5?"));
}

#[test]
fn no_suite_runs_while_another_has_errors() {
    let workspace = Workspace::scripted();
    workspace.write("broken.yaml", "suite: [");
    assert_eq!(workspace.tripos(&["run", "suite.yaml", "broken.yaml"]).code, Some(2));
    assert!(workspace.run_folders().is_empty());
}

#[test]
fn a_grammar_is_checked_where_it_stands() {
    let grammar = "sampling:\n  max_tokens: 64\n  grammar: |\n    root ::= digit+\n    # a digit\n    digt ::= [0-9]";
    insta::assert_snapshot!(checked("sampling: {max_tokens: 64}", grammar), @r"
    error: rule `digit` does not exist
      --> suite.yaml:6:14
      help: did you mean `digt`? (root, digt)
    ");
    insta::assert_snapshot!(checked("max_tokens: 64", "max_tokens: 64, grammar: digits.gbnf"), @r"
    error: cannot read the grammar `digits.gbnf`: No such file or directory (os error 2)
      --> suite.yaml:3:28
      help: check the path; what a file names is relative to that file
    ");
}

#[test]
fn missing_files_are_errors_at_the_line_that_names_them() {
    insta::assert_snapshot!(checked("prompt: b.txt", "prompt: c.txt"), @r"
    error: cannot read the prompt `c.txt`: No such file or directory (os error 2)
      --> suite.yaml:15:15
      help: check the path; what a file names is relative to that file
    ");
    let stderr = checked("{scripted: model.yaml}", "nowhere.gguf");
    assert!(stderr.contains("cannot read the model `nowhere.gguf`: No such file or directory"), "{stderr}");
    assert_eq!(stderr.matches("error:").count(), 1, "{stderr}");
    let workspace = Workspace::new();
    let said = workspace.tripos(&["run", "nowhere.yaml"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("cannot read the suite: No such file or directory"), "{}", said.stderr);
}

#[test]
fn templates_that_do_not_parse_or_use_an_undefined_variable_have_a_place() {
    let workspace = Workspace::scripted();
    workspace.write("b.txt", "Say it.\n{{ quetsion }}\n");
    workspace.write("a.txt", "{% for e in examples %}{{ q }\n");
    let said = workspace.tripos(&["check", "suite.yaml"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("a.txt:1:"), "{}", said.stderr);
    workspace.write("a.txt", "{{ q }}");
    let said = workspace.tripos(&["check", "suite.yaml"]);
    assert!(said.stderr.contains("undefined variable `quetsion`"), "{}", said.stderr);
    assert!(said.stderr.contains("--> b.txt:2:4 (variant `b`, case `one`)"), "{}", said.stderr);
}

#[test]
fn broken_case_files_are_named_by_line() {
    let with_file = |name: &str, text: &str| {
        let workspace = Workspace::scripted();
        workspace.write(name, text);
        let suite = workspace.read("suite.yaml");
        let (head, tail) = suite.split_once("cases:\n").unwrap();
        let (_, tail) = tail.split_once("examples:\n").unwrap();
        workspace.write("suite.yaml", format!("{head}cases: {name}\nexamples:\n{tail}"));
        let said = workspace.tripos(&["check", "suite.yaml"]);
        assert_eq!(said.code, Some(2), "{}", said.stdout);
        said.stderr
    };
    assert!(with_file("c.jsonl", "{\"vars\":{\"q\":\"1\"},\"target\":1}\n{\"vars\":\n").contains("c.jsonl:2:"));
    assert!(with_file("c.jsonl", "").contains("`cases` is empty"));
    assert!(with_file("c.jsonl", "{\"question\":\"x\"}\n").contains("columns here: question"));
    assert!(with_file("c.jsonl", "{\"vars\":{\"q\":\"1\"}}\n").contains("needs a target, and no case has one"));
    let mixed = with_file("c.jsonl", "{\"vars\":{\"q\":\"1\"}}\n{\"vars\":{\"q\":\"2\"},\"target\":2}\n");
    assert!(mixed.contains("a case has no target, which scorer `exact` needs: `1`"), "{mixed}");
    assert!(with_file("c.csv", "q,target\n1\n").contains("c.csv:2:1"));
    assert!(with_file("c.txt", "x").contains("use .jsonl, .csv or .yaml"));
}

#[test]
fn expressions_that_do_not_compile_are_shown() {
    let stderr = checked("answer: {take: number, which: last}", "answer: {take: pattern, regex: 'a(b'}");
    assert!(stderr.contains("the expression `a(b` does not compile: unclosed group"), "{stderr}");
    assert!(stderr.contains("suite.yaml:10:1"), "{stderr}");
    assert!(checked("number: {name: exact}", "regex: {pattern: '['}").contains("suite.yaml:12:5"));
}

#[test]
fn files_that_are_no_suites_are_refused_quickly() {
    let workspace = Workspace::new();
    let refused = |name: &str, content: &[u8], expected: &str| {
        workspace.write(name, content);
        let said = workspace.tripos(&["check", name]);
        assert_eq!(said.code, Some(2));
        assert!(said.stderr.contains(expected) && said.stderr.contains(name), "{}", said.stderr);
    };
    refused("latin.yaml", b"suite: caf\xe9\n", "not UTF-8: byte 10");
    refused("large.yaml", &vec![b'#'; (16 << 20) + 1], "may have at most 16777216");
    refused("deep.yaml", format!("suite: {}{}", "[".repeat(10_000), "]".repeat(10_000)).as_bytes(), "deep.yaml:1:");
    refused("broken.yaml", b"suite: [a\nvariants: }", "broken.yaml:2");
    refused("empty.yaml", b"", "error:");
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "));
    }
    refused("bomb.yaml", bomb.as_bytes(), "repetition limit");
}

#[test]
fn gate_rules_that_name_nothing_known_get_the_nearest_name() {
    let rule = "  - {name: b, prompt: b.txt}\ngate:\n  - {variant: c, metric: exakt, at_least: 0.5}\n  - {variant: a, metric: exact, at_least: 0.5, at_most: 1}\n";
    let stderr = checked("  - {name: b, prompt: b.txt}\n", rule);
    assert!(stderr.contains("metric `exakt` does not exist") && stderr.contains("did you mean `exact`?"), "{stderr}");
    assert!(stderr.contains("a rule has exactly one bound"), "{stderr}");
}

#[test]
fn figures_of_every_run_take_rules_that_mean_something_and_no_scorer_has_their_names() {
    let rules = "  - {name: b, prompt: b.txt}\ngate:\n  - {variant: a, metric: latency, no_worse_by: 0.1}\n  - {variant: a, metric: cut, at_most: 1.5}\n  - {variant: b, metric: prompt_tokens, at_least: -1}\n  - {variant: b, metric: completion_token, at_most: 64}\n  - {variant: a, metric: latency, at_most: 2}\n  - {variant: a, metric: no_answer, no_worse_by: 0.02}\n";
    insta::assert_snapshot!(checked("  - {name: b, prompt: b.txt}\n", rules), @r"
    error: `no_worse_by` has no meaning for `latency`
      --> suite.yaml:17:5
      help: times of two machines cannot be compared: use `at_most`, in seconds
    error: `at_most` is 1.5 for `cut`
      --> suite.yaml:18:5
      help: it is a share of the cases, from 0 to 1
    error: `at_least` is -1 for `prompt_tokens`
      --> suite.yaml:19:5
      help: it counts tokens: write a number of 0 or more
    error: metric `completion_token` does not exist
      --> suite.yaml:20:5
      help: did you mean `completion_tokens`? (exact, latency, prompt_tokens, completion_tokens, unscored, no_answer, cut)
    ");
    insta::assert_snapshot!(checked("number: {name: exact}", "number: {name: cut, group: latency}"), @r"
    error: `cut` cannot name a scorer: the name is a gate's own
      --> suite.yaml:12:5
      help: rules know a figure of every run by that name: choose another
    error: `latency` cannot name a group: the name is a gate's own
      --> suite.yaml:12:5
      help: rules know a figure of every run by that name: choose another
    ");
}

#[test]
#[cfg(unix)]
fn an_output_folder_that_cannot_be_written_is_found_before_anything_is_asked() {
    let workspace = Workspace::scripted();
    workspace.write("reports", "a file where the folder should be");
    let said = workspace.tripos(&["run", "suite.yaml"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("cannot write the run") && said.stderr.contains("--out"), "{}", said.stderr);
    assert!(!said.stderr.contains("trials"), "{}", said.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_keeps_what_was_answered() {
    let workspace = Workspace::scripted();
    let cases: String = (0..3_000).map(|i| format!("{{\"vars\":{{\"q\":\"case {i}\"}},\"target\":{i}}}\n")).collect();
    workspace.write("c.jsonl", cases);
    let suite = workspace.read("suite.yaml");
    let (head, tail) = suite.split_once("cases:\n").unwrap();
    let (_, tail) = tail.split_once("examples:\n").unwrap();
    workspace.write("suite.yaml", format!("{head}cases: c.jsonl\nexamples:\n{tail}"));
    // The shell's file size limit stands in for the disk: both end a write in the middle.
    let script = format!(
        "ulimit -f 600; trap '' XFSZ; exec {} run suite.yaml --no-cache --quiet --threads 1",
        env!("CARGO_BIN_EXE_tripos")
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(workspace.path())
        .env("TRIPOS_CACHE", workspace.path().join("cache"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("cannot write the run: File too large"), "{stderr}");
    assert!(stderr.contains("what was answered is kept: tripos run --resume"), "{stderr}");
    let folder = workspace.run_folder();
    workspace.ok(&["run", "--resume", folder.to_str().unwrap(), "--no-cache", "--quiet"]);
    assert_eq!(samples_of(&folder).len(), 6_000);
}

#[test]
fn a_second_process_on_the_same_run_is_refused() {
    let workspace = Workspace::scripted();
    workspace.ok(&["run", "suite.yaml"]);
    let folder = workspace.run_folder();
    let header = std::fs::read_to_string(folder.join("header.json")).unwrap();
    std::fs::write(folder.join("header.json"), header.replace("\"complete\"", "\"started\"")).unwrap();
    let lock = std::fs::File::open(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let said = workspace.tripos(&["run", "--resume", folder.to_str().unwrap()]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("another process is writing this run"), "{}", said.stderr);
}

/// A suite of its own text beside the scripted one's files, checked.
fn checked_text(suite: &str) -> String {
    let workspace = Workspace::scripted();
    workspace.write("suite.yaml", suite);
    let said = workspace.tripos(&["check", "suite.yaml"]);
    assert_eq!(said.code, Some(2), "{}\n{}", said.stdout, said.stderr);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    said.stderr
}

const HEAD: &str = "suite: s\nmodel: {scripted: model.yaml}\ncases: [{vars: {q: x}, target: 1}]\n";

#[test]
fn places_stay_right_after_an_item_that_cannot_be_read() {
    let stderr = checked_text(&format!(
        "{HEAD}scorers: [exact]\nvariants:\n  - {{name: a}}\n  - {{name: b, prompt: gone.txt}}\n  - {{name: c, prompt: b.txt, sampling: {{temperature: -1}}}}\n"
    ));
    insta::assert_snapshot!(stderr, @r"
    error: variant `a` has no `prompt`
      --> suite.yaml:6:5
      help: add `prompt: …`
    error: cannot read the prompt `gone.txt`: No such file or directory (os error 2)
      --> suite.yaml:7:15
      help: check the path; what a file names is relative to that file
    error: `temperature` is -1, which is outside 0 to 100
      --> suite.yaml:8:41
    ");
}

#[test]
fn misspellings_on_every_level_are_reported_at_once() {
    let stderr = checked_text(&format!(
        "{HEAD}scorers:\n  - number: {{tolerence: 1}}\n  - exakt\n  - number: {{weight: heavy}}\n  - regex: {{name: r}}\nvariants:\n  - {{name: a, promt: a.txt}}\nextra: 1\n"
    ));
    insta::assert_snapshot!(stderr, @r#"
    error: unknown field `tolerence` in scorer `number`
      --> suite.yaml:5:14
      help: did you mean `tolerance`? (tolerance)
    error: scorer `exakt` does not exist
      --> suite.yaml:6:5
      help: did you mean `exact`? (exact, contains, regex, number, json, label, edit_distance, rouge_l, chrf, stopped, command, choice, perplexity, judge_model, reward)
    error: `scorers[2].number`: `weight`: found the text "heavy", expected a number
      --> suite.yaml:7:5
    error: scorer `regex` has no `pattern`
      --> suite.yaml:8:5
      help: add `pattern: …`
    error: unknown field `promt` in variant `a`
      --> suite.yaml:10:15
      help: did you mean `prompt`? (adapter, answer, context, examples, model, name, prompt, reduce, repeats, sampling, then)
    error: unknown field `extra` in the file
      --> suite.yaml:11:1
      help: known here: adapter, answer, cases, context, date, description, examples, gate, kv_type, matrix, max_unscored, model, sampling, scorers, suite, template_vars, variants
    "#);
}

#[test]
fn what_the_suite_says_wrong_is_reported_once_and_at_its_own_place() {
    let stderr = checked_text(&format!(
        "{HEAD}scorers: [exact]\nsampling: {{temperature: -1}}\ncontext: 3\nadapter: gone.gguf\nvariants:\n  - {{name: a, prompt: a.txt, examples: 1}}\n  - {{name: b, prompt: b.txt, examples: 1, context: 4}}\nmatrix: {{prompt: [gone.txt], temperature: [0, 1]}}\n"
    ));
    insta::assert_snapshot!(stderr, @r"
    error: `temperature` is -1, which is outside 0 to 100
      --> suite.yaml:5:12
    error: `context` is 3 tokens
      --> suite.yaml:6:1
      help: it is a number from 16 to 16777216
    error: cannot read the adapter `gone.gguf`: there is no such file
      --> suite.yaml:7:1
      help: check the path; what a file names is relative to that file
    error: the variant asks for examples, and the suite has no `examples`
      --> suite.yaml:9:30
      help: add `examples:` with solved cases, in the same shapes as `cases:`
    error: `context` is 4 tokens
      --> suite.yaml:10:43
      help: it is a number from 16 to 16777216
    error: cannot read the prompt `gone.txt`: No such file or directory (os error 2)
      --> suite.yaml:11:10
      help: check the path; what a file names is relative to that file
    ");
    let without = HEAD.replace("model: {scripted: model.yaml}\n", "");
    let stderr = checked_text(&format!(
        "{without}scorers: [exact]\nvariants:\n  - {{name: a, prompt: a.txt}}\n  - {{name: b, prompt: b.txt}}\n"
    ));
    insta::assert_snapshot!(stderr, @r"
    error: the variant has no model
      --> suite.yaml:5:5
      help: add `model: FILE.gguf` to the suite or the variant, or give --model FILE.gguf
    ");
}

#[test]
fn an_empty_list_in_a_matrix_is_an_error() {
    let stderr = checked_text(&format!("{HEAD}scorers: [exact]\nmatrix: {{prompt: [], temperature: []}}\n"));
    insta::assert_snapshot!(stderr, @r"
    error: `matrix.prompt` is empty
      --> suite.yaml:5:10
      help: write at least one value, or leave the list out
    error: `matrix.temperature` is empty
      --> suite.yaml:5:22
      help: write at least one value, or leave the list out
    ");
}

#[test]
fn an_unknown_variant_in_a_rule_is_reported_beside_other_problems() {
    let stderr = checked_text(&format!(
        "{HEAD}scorers: [exact]\nvariants:\n  - {{name: a}}\n  - {{name: b, prompt: gone.txt}}\ngate:\n  - {{variant: a, metric: exact, at_least: 0}}\n  - {{variant: b, metric: exact, at_least: 0}}\n  - {{variant: bb, metric: exact, at_least: 0}}\n"
    ));
    insta::assert_snapshot!(stderr, @r"
    error: variant `a` has no `prompt`
      --> suite.yaml:6:5
      help: add `prompt: …`
    error: cannot read the prompt `gone.txt`: No such file or directory (os error 2)
      --> suite.yaml:7:15
      help: check the path; what a file names is relative to that file
    error: variant `bb` does not exist
      --> suite.yaml:11:5
      help: did you mean `b`? (a, b)
    ");
}

#[test]
fn a_variable_with_a_reserved_name_is_refused_once_for_a_file() {
    let rest = "scorers: [exact]\nvariants: [{name: b, prompt: a.txt}]\n";
    let said = |cases: &str| {
        let workspace = Workspace::scripted();
        workspace.write("c.jsonl", "{\"q\":\"1\",\"target\":\"1\",\"a\":1}\n".repeat(3));
        workspace.write("suite.yaml", format!("suite: s\nmodel: {{scripted: model.yaml}}\ncases: {cases}\n{rest}"));
        let said = workspace.tripos(&["check", "suite.yaml"]);
        assert_eq!(said.stderr.matches("a variable cannot be called `target`").count(), 1, "{}", said.stderr);
        said.stderr
    };
    assert!(said("[{vars: {q: x}, target: 1}, {vars: {q: y, target: 2}, target: 2}]").contains("suite.yaml:3:"));
    assert!(said("{file: c.jsonl, target: a}").contains("c.jsonl:1:1"));
    assert!(said("{file: c.jsonl, vars: {q: q, target: target}, target: a}").contains("suite.yaml:3:"));
    let generated = "{generate: {count: 2, let: {n: {int: [1, 2]}}, case: {vars: {q: x, target: y}, target: z}}}";
    assert!(said(generated).contains("suite.yaml:3:"));
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_no_regular_file_is_refused_before_it_is_read() {
    let workspace = Workspace::scripted();
    let prompt = workspace.read("suite.yaml").replacen("prompt: b.txt", "prompt: /dev/zero", 1);
    workspace.write("zero.yaml", prompt);
    let said = workspace.tripos(&["check", "zero.yaml"]);
    assert!(said.stderr.contains("cannot read the prompt `/dev/zero`: it is not a regular file"), "{}", said.stderr);
    let pipe = workspace.path().join("pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let said = workspace.tripos(&["check", "pipe.yaml"]);
    assert!(said.stderr.contains("it is not a regular file"), "{}", said.stderr);
}

/// What is said of a suite of choices, checked; `cases` is a YAML list.
fn checked_choices(cases: &str, scorer: &str) -> String {
    let head = "suite: s\nmodel: {scripted: model.yaml}\n";
    let workspace = Workspace::scripted();
    workspace.write(
        "suite.yaml",
        format!("{head}cases:\n{cases}scorers:\n  - {scorer}\nvariants: [{{name: b, prompt: b.txt}}]\n"),
    );
    let said = workspace.tripos(&["check", "suite.yaml"]);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    said.stderr
}

#[test]
fn choices_that_cannot_be_compared_are_named_by_their_first_case() {
    let cases = "  - {id: gone, vars: {q: x}, target: a}
  - {id: text, vars: {q: x, choices: 'a, b'}, target: a}
  - {id: one, vars: {q: x, choices: [a]}, target: a}
  - {id: empty, vars: {q: x, choices: [a, '']}, target: a}
  - {id: alike, vars: {q: x, choices: [a, b, a]}, target: a}
  - {id: other, vars: {q: x, choices: [x, y]}, target: z}
  - {id: other2, vars: {q: x, choices: [x, y]}, target: z}
  - {id: begins, vars: {q: x, choices: [4, 42]}, target: 42}
";
    insta::assert_snapshot!(checked_choices(cases, "choice"), @r"
    error: the case has no variable `choices` with its choices
      --> suite.yaml:4:5 (scorer `choice`, case `gone`)
      help: write `vars: {choices: [yes, no]}` in each case, or name the variable: `choice: {choices: NAME}`
    error: the variable `choices` is not a list of texts or numbers
      --> suite.yaml:5:5 (scorer `choice`, case `text`)
      help: write a list: `choices: [yes, no]`; a CSV file cannot hold one, JSON lines can
    error: there is only one choice
      --> suite.yaml:6:5 (scorer `choice`, case `one`)
      help: write two choices or more
    error: choice 2 is empty
      --> suite.yaml:7:5 (scorer `choice`, case `empty`)
      help: write a text for each choice
    error: the choice `a` is there twice
      --> suite.yaml:8:5 (scorer `choice`, case `alike`)
      help: choices are told apart by their text: write each once
    error: the target `z` names none of the choices `x`, `y`
      --> suite.yaml:9:5 (scorer `choice`, case `other` and 1 other case)
      help: a target is the text of a choice or its letter from A; with `target: index` its position from 0
    warning: the choice `4` begins the choice `42`, so its log-probability can only be the higher one
      --> suite.yaml:11:5 (scorer `choice`, case `begins`)
      help: look at `acc_norm`, which sets the length aside, or write the choices otherwise
    ");
}

#[test]
fn a_choice_that_begins_another_is_a_warning() {
    let stderr = checked_choices("  - {vars: {q: x, choices: [no, none]}, target: no}\n", "choice");
    assert!(stderr.starts_with("warning: the choice `no` begins the choice `none`"), "{stderr}");
    assert!(!stderr.contains("error:"), "{stderr}");
    let label = "label: {labels: ['yes', 'yes, sir'], by: likelihood}";
    let stderr = checked_choices("  - {vars: {q: x}, target: 'yes'}\n", label);
    insta::assert_snapshot!(stderr, @r"
    warning: `yes` begins `yes, sir`, so scorer `label` can only find it likelier
      --> suite.yaml:6:5
      help: write them so that none is the beginning of another
    ");
}

#[test]
fn settings_that_mean_nothing_to_a_scorer_by_likelihood_are_refused() {
    let case = "  - {vars: {q: x, choices: [a, b]}, target: a}\n";
    insta::assert_snapshot!(checked_choices(case, "choice: {answer: {take: letter}}"), @r"
    error: scorer `choice` judges by likelihood: nothing is said that an `answer` could be read from
      --> suite.yaml:6:5
      help: drop its `answer`
    ");
    insta::assert_snapshot!(checked_choices(case, "choice: {not: true}"), @r"
    error: `not` has no meaning for scorer `choice`, which judges by likelihood
      --> suite.yaml:6:5
      help: drop its `not`
    ");
    assert!(checked_choices(case, "perplexity: {not: true}").contains("`not` has no meaning for scorer `perplexity`"));
    let label = "label: {labels: [a, b], by: likelihood, answer: {take: text}}";
    assert!(checked_choices(case, label).contains("scorer `label` judges by likelihood"));
}

#[test]
fn a_judge_that_cannot_be_asked_is_an_error_at_the_line_that_names_what_is_missing() {
    let case = "  - {vars: {q: x, a: y}, target: z}\n";
    let judge = "judge_model: {model: gone.gguf, prompt: gone.txt, choices: [yes]}";
    insta::assert_snapshot!(checked_choices(case, judge), @r"
    error: the judge has nothing to choose between
      --> suite.yaml:6:55
      help: write `choices: [yes, no]`
    error: cannot read the model `gone.gguf`: No such file or directory (os error 2)
      --> suite.yaml:6:19
      help: check the path; what a file names is relative to that file
    error: cannot read the prompt `gone.txt`: No such file or directory (os error 2)
      --> suite.yaml:6:37
      help: check the path; what a file names is relative to that file
    ");
    let judge = "judge_model: {model: {scripted: model.yaml}, prompt: b.txt, choices: [A, B], against: target}";
    insta::assert_snapshot!(checked_choices(case, judge), @r"
    error: a variable cannot be called `a`: the prompt of scorer `judge_model` knows an answer by that name
      --> suite.yaml:4:5
      help: rename the variable; `a` and `b` are the completion and the target
    ");
    let judge = "judge_model: {model: {endpoint: x}, prompt: b.txt, choices: {good: much}}";
    insta::assert_snapshot!(checked_choices(case, judge), @r"
    error: `scorers[0].judge_model`: `choices`: what a choice is worth is a number
      --> suite.yaml:6:5
    ");
}
