//! More ways of asking, through the program: stages, votes, similar examples, constrained answers, and `--kv check`.

use crate::workspace::{Workspace, samples_of};
use serde_json::Value;

/// A scripted suite with these variants and answers; the prompt is the question alone.
fn scripted(variants: &str, answers: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("q.txt", "Q: {{ q }}\nA:");
    workspace.write("then.txt", "Q: {{ q }}\nA:{{ completion }}\nSo the answer is");
    workspace.write("shots.txt", "{% for e in examples %}{{ e.q }} {{ e.target }}\n{% endfor %}{{ q }}");
    workspace.write("model.yaml", answers);
    workspace.write(
        "suite.yaml",
        format!(
            "suite: s\nmodel: {{scripted: model.yaml}}\ncases:\n  - {{id: sum, vars: {{q: What is 1 + 1?}}, target: 2}}\n\
             scorers: [number]\nvariants:\n{variants}\n"
        ),
    );
    workspace
}

fn run(workspace: &Workspace) -> Vec<Value> {
    workspace.ok(&["run", "suite.yaml"]);
    samples_of(&workspace.run_folder())
}

#[test]
fn a_second_stage_quotes_the_first_and_its_answer_is_judged() {
    let variants = "  - {name: two, prompt: q.txt, then: {prompt: then.txt, sampling: {max_tokens: 3}}}";
    let answers = "answers:\n  - {when: 'So the answer is$', say: ' 2.'}\notherwise: ' One and one make 2, not 3.'\n";
    let samples = run(&scripted(variants, answers));
    let [sample] = samples.as_slice() else { panic!("{samples:?}") };
    assert_eq!(sample["before"][0]["prompt"]["text"], "Q: What is 1 + 1?\nA:");
    assert_eq!(sample["before"][0]["completion"]["text"], " One and one make 2, not 3.");
    assert_eq!(sample["prompt"]["text"], "Q: What is 1 + 1?\nA: One and one make 2, not 3.\nSo the answer is");
    assert_eq!((&sample["completion"]["text"], &sample["scores"][0]["value"]), (&" 2.".into(), &true.into()));
}

#[test]
fn a_first_stage_that_says_nothing_is_a_wrong_answer_and_said_once() {
    let variants = "  - {name: two, prompt: q.txt, then: {prompt: then.txt}}";
    let workspace = scripted(variants, "otherwise: ' '\n");
    let said = workspace.ok(&["run", "suite.yaml"]);
    assert!(
        said.stderr.contains("warning: the first stage said nothing, so the second is not asked"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("(variant `two`, case `sum`)"), "{}", said.stderr);
    let samples = samples_of(&workspace.run_folder());
    assert_eq!((&samples[0]["scores"][0]["value"], &samples[0]["scores"][0]["answer"]), (&false.into(), &Value::Null));
}

#[test]
fn repeats_are_recorded_one_by_one_and_reduced_in_a_row_of_their_own() {
    let variants = "  - {name: vote, prompt: q.txt, repeats: 3, reduce: majority, sampling: {temperature: 1}}";
    let workspace = scripted(variants, "otherwise: ' It is 2.'\n");
    let samples = run(&workspace);
    let repeats: Vec<&Value> = samples.iter().map(|sample| &sample["trial"]["repeat"]).collect();
    assert_eq!(repeats, [&Value::from(0), &1.into(), &2.into(), &"reduced".into()]);
    let reduced = &samples[3]["scores"][0];
    assert_eq!((&reduced["value"], &reduced["answer"]), (&true.into(), &"2".into()));
    assert!(reduced["explanation"].as_str().unwrap().contains("3 of 3 said `2`"), "{reduced}");
    assert_eq!((&samples[3]["completion"], &samples[3]["prompt"]), (&Value::Null, &Value::Null));
    // The reduced row is not a trial: the run is complete, and its metric counts one case.
    let again = workspace.ok(&["run", "--resume", workspace.run_folder().to_str().unwrap(), "--format", "json"]);
    let run: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&run["status"], &run["variants"][0]["metrics"][0]["n"]), (&"complete".into(), &1.into()));
    assert_eq!(samples_of(&workspace.run_folder()).len(), 4);
}

#[test]
fn show_prints_every_stage_and_repeat_of_a_case_and_what_they_come_to() {
    let variants = "  - {name: vote, prompt: q.txt, then: {prompt: then.txt}, repeats: 2, reduce: majority, sampling: {temperature: 1}}";
    let answers = "answers:\n  - {when: 'So the answer is$', say: ' 2.'}\notherwise: ' One and one.'\n";
    let workspace = scripted(variants, answers);
    run(&workspace);
    let said = workspace.ok(&["show", workspace.run_folder().to_str().unwrap(), "--case", "sum"]).stdout;
    insta::assert_snapshot!(said, @r"
    ── variant vote · case sum · repeat 0 ──────────────────────────────────────────
    [stage 1]
    Q: What is 1 + 1?
    A:
    [answer: 13 tokens]
     One and one.
    [stage 2]
    Q: What is 1 + 1?
    A: One and one.
    So the answer is
    [answer: 3 tokens]
     2.
    [target: 2]
    number: pass (answer `2`)

    ── variant vote · case sum · repeat 1 ──────────────────────────────────────────
    [stage 1]
    Q: What is 1 + 1?
    A:
    [answer: 13 tokens]
     One and one.
    [stage 2]
    Q: What is 1 + 1?
    A: One and one.
    So the answer is
    [answer: 3 tokens]
     2.
    [target: 2]
    number: pass (answer `2`)

    ── variant vote · case sum · all repeats together ──────────────────────────────
    [target: 2]
    number: pass (answer `2`): 2 of 2 said `2`
    ");
}

#[test]
fn a_run_that_lost_its_last_repeats_reduces_when_it_goes_on() {
    let variants = "  - {name: vote, prompt: q.txt, repeats: 4, reduce: majority, sampling: {temperature: 1}}";
    let workspace = scripted(variants, "otherwise: ' It is 2.'\n");
    let whole = run(&workspace);
    let file = workspace.run_folder().join("samples.jsonl");
    for kept in [1, 3, 4] {
        let lines: String = whole.iter().take(kept).map(|sample| format!("{sample}\n")).collect();
        std::fs::write(&file, lines).unwrap();
        workspace.ok(&["run", "--resume", workspace.run_folder().to_str().unwrap()]);
        let again = samples_of(&workspace.run_folder());
        assert_eq!(again.len(), 5, "{kept} lines were left");
        assert_eq!(again.last().unwrap()["scores"], whole.last().unwrap()["scores"]);
    }
}

#[test]
fn a_vote_without_any_readable_answer_is_wrong() {
    let variants = "  - {name: vote, prompt: q.txt, repeats: 3, reduce: majority, sampling: {temperature: 1}}";
    let samples = run(&scripted(variants, "otherwise: ' Who knows?'\n"));
    let reduced = &samples[3]["scores"][0];
    assert_eq!((&reduced["value"], &reduced["answer"]), (&false.into(), &Value::Null));
    assert!(reduced["explanation"].as_str().unwrap().contains("none of 3"), "{reduced}");
}

#[test]
fn similar_examples_are_those_with_the_nearest_embedding_the_nearest_last() {
    let variants = "  - {name: near, prompt: shots.txt, examples: {count: 2, select: similar}}";
    let workspace = scripted(variants, "otherwise: ' 2'\n");
    let pool = "examples:\n  - {vars: {q: zzzz xx}, target: far}\n  - {vars: {q: What is 5 + 5?}, target: near}\n  \
                - {vars: {q: What was it}, target: nearer than far}\n  - {vars: {q: What is 1 + 1?}, target: itself}\n";
    workspace.write("suite.yaml", workspace.read("suite.yaml").replace("scorers:", &format!("{pool}scorers:")));
    let samples = run(&workspace);
    assert_eq!(samples[0]["prompt"]["text"], "What was it nearer than far\nWhat is 5 + 5? near\nWhat is 1 + 1?");
}

/// The suite of [`Workspace::llama`] with other variants.
fn llama(variants: &str) -> Workspace {
    let workspace = Workspace::llama();
    let suite = workspace.read("suite.yaml");
    let (head, _) = suite.split_once("variants:").unwrap();
    workspace.write("suite.yaml", format!("{head}variants:\n{variants}\n"));
    workspace
}

fn texts(samples: &[Value]) -> Vec<&str> {
    samples.iter().map(|sample| sample["completion"]["text"].as_str().unwrap()).collect()
}

#[test]
fn a_grammar_holds_the_answer_and_a_schema_makes_it_json() {
    let workspace = llama(
        "  - {name: digits, prompt: qa.txt, sampling: {grammar: 'root ::= \" \" [0-9]+ \".\"', stop: []}}\n  \
           - {name: json, prompt: qa.txt, sampling: {json_schema: {type: object, properties: {sum: {type: integer}}, \
              required: [sum], additionalProperties: false}, max_tokens: 64, stop: []}}",
    );
    let samples = run(&workspace);
    let (digits, json): (Vec<Value>, Vec<Value>) =
        samples.into_iter().partition(|sample| sample["trial"]["variant"] == "digits");
    let shape = regex::Regex::new(r"^ [0-9]+\.?$").unwrap();
    assert!(texts(&digits).iter().all(|text| shape.is_match(text)), "{:?}", texts(&digits));
    let cut = |sample: &&Value| sample["completion"]["stop_reason"] == "length";
    for sample in json.iter().filter(|sample| !cut(sample)) {
        let said: Value = serde_json::from_str(sample["completion"]["text"].as_str().unwrap()).unwrap();
        assert!(said["sum"].is_i64(), "{said}");
    }
    assert!(json.iter().filter(cut).count() < json.len());
}

#[test]
fn log_probabilities_are_kept_and_a_bias_forbids_a_token() {
    let variant = |sampling: &str| llama(&format!("  - {{name: free, prompt: qa.txt, sampling: {{{sampling}}}}}"));
    let samples = run(&variant("logprobs: 3"));
    for sample in &samples {
        let completion = &sample["completion"];
        let (told, drawn) = (completion["logprobs"].as_array().unwrap(), completion["tokens"].as_array().unwrap());
        assert_eq!(told.len(), drawn.len());
        for (token, id) in told.iter().zip(drawn) {
            assert_eq!((&token["id"], token["top"].as_array().unwrap().len()), (id, 3));
            // Greedy: the token drawn is the likeliest.
            assert_eq!((&token["top"][0][0], &token["top"][0][1]), (id, &token["logprob"]));
        }
    }
    let first = samples[0]["completion"]["tokens"][0].clone();
    let bound = run(&variant(&format!("logit_bias: {{{first}: -100}}, repeat_penalty: 1.1")));
    assert!(bound.iter().all(|s| !s["completion"]["tokens"].as_array().unwrap().contains(&first)), "{first}");
}

#[test]
fn kv_check_says_how_far_the_two_ways_lie_apart_and_records_it() {
    let workspace = llama("  - {name: greedy, prompt: qa.txt}\n  - {name: steps, prompt: steps.txt}");
    let said = workspace.ok(&["run", "suite.yaml", "--kv", "check"]);
    let line =
        said.stderr.lines().find(|line| line.starts_with("kv check: ")).unwrap_or_else(|| panic!("{}", said.stderr));
    assert!(
        line.starts_with("kv check: 20 trials asked together and alone: log-probabilities differ by at most "),
        "{line}"
    );
    let header: Value =
        serde_json::from_str(&std::fs::read_to_string(workspace.run_folder().join("header.json")).unwrap()).unwrap();
    let check = &header["segments"][0]["kv_checks"][0];
    assert_eq!(check["trials"], 20);
    assert!(check["largest"].as_f64().unwrap() < 0.5, "{check}");
}

#[test]
fn the_texts_of_tokens_are_kept_where_their_log_probabilities_are() {
    let workspace = Workspace::llama();
    let suite = workspace.read("suite.yaml").replace("max_tokens: 48", "max_tokens: 48, logprobs: 3");
    workspace.write("suite.yaml", suite);
    workspace.ok(&["run", "suite.yaml", "--limit", "3", "--variant", "greedy"]);
    let samples = samples_of(&workspace.run_folder());
    assert_eq!(samples.len(), 3);
    for sample in &samples {
        let pieces = sample["pieces"].as_object().unwrap();
        let text = |id: &Value| pieces[&id.to_string()].as_str().unwrap().to_owned();
        let drawn = sample["completion"]["logprobs"].as_array().unwrap();
        let said: String = drawn.iter().map(|token| text(&token["id"])).collect();
        assert!(said.starts_with(sample["completion"]["text"].as_str().unwrap()), "{said:?}");
        let named = drawn.iter().flat_map(|token| token["top"].as_array().unwrap());
        assert!(named.map(|pair| text(&pair[0])).any(|text| !text.is_empty()));
    }
}

#[test]
fn no_texts_of_tokens_are_kept_without_log_probabilities() {
    let samples = run(&scripted("  - {name: plain, prompt: q.txt}", "otherwise: ' 2'\n"));
    assert_eq!(samples[0].get("pieces"), None);
}
