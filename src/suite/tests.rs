//! What a suite says about ways of asking and of drawing, read and refused with places.

use super::*;
use crate::error::render;

/// A folder with a suite in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in [("p.txt", "{{ q }}"), ("x.txt", "{{ completion }}"), ("m.yaml", "otherwise: no")] {
            std::fs::write(folder.0.path().join(name), text).unwrap();
        }
        for (name, text) in files {
            std::fs::write(folder.0.path().join(name), text).unwrap();
        }
        folder
    }

    /// The suite, and its problems with the folder's name left out.
    fn load(&self, text: &str) -> (Option<Suite>, String) {
        let (suite, problems) = load_text(&self.0.path().join("s.yaml"), text, &Overrides::default());
        let folder = format!("{}/", self.0.path().display());
        let said: String = problems.iter().map(|problem| render(problem, false)).collect();
        (suite, said.replace(&folder, ""))
    }
}

/// A suite of one case with these lines as its sampling, scorer and variant.
fn suite(sampling: &str, scorer: &str, variant: &str) -> String {
    format!(
        "suite: s\nmodel: {{scripted: m.yaml}}\nsampling: {{{sampling}}}\ncases:\n  - {{vars: {{q: hi}}, target: a}}\n\
         examples:\n  - {{vars: {{q: ho}}, target: b}}\nscorers: [{scorer}]\nvariants:\n  - {{name: v, {variant}}}\n"
    )
}

/// The problems of a variant.
fn variant(variant: &str) -> String {
    Folder::new(&[]).load(&suite("", "exact", variant)).1
}

/// The problems of a sampling.
fn sampling(sampling: &str) -> String {
    Folder::new(&[]).load(&suite(sampling, "exact", "prompt: p.txt")).1
}

#[test]
fn a_second_stage_lies_over_the_variant_and_repeats_are_reduced() {
    let text = suite(
        "max_tokens: 9, temperature: 0.5",
        "exact",
        "prompt: p.txt, sampling: {top_k: 4}, then: {prompt: x.txt, sampling: {max_tokens: 3}}, repeats: 8, reduce: {pass_at: 4}",
    );
    let (suite, said) = Folder::new(&[]).load(&text);
    assert_eq!(said, "");
    let variant = &suite.unwrap().variants[0];
    let stage = variant.then.as_ref().unwrap();
    assert_eq!(stage.prompt.text, "{{ completion }}");
    assert_eq!((stage.sampling.max_tokens, stage.sampling.top_k, variant.sampling.max_tokens), (3, Some(4), 9));
    assert_eq!((variant.repeats, &variant.reduce), (8, &Reduce::PassAt(4)));
}

#[test]
fn a_variant_that_uses_none_of_them_is_recorded_as_before() {
    let (suite, said) = Folder::new(&[]).load(&suite("", "exact", "prompt: p.txt"));
    assert_eq!(said, "");
    let recorded = serde_json::to_value(suite.unwrap()).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let variant = &recorded["variants"][0];
    assert_eq!(keys(variant), "name prompt examples model adapter sampling answer context");
    assert_eq!(keys(&variant["sampling"]), "max_tokens temperature top_k top_p min_p stop seed");
    assert!(recorded.get("text").is_none());
}

#[test]
fn repeats_and_reduce_must_fit_together() {
    insta::assert_snapshot!(variant("prompt: p.txt, repeats: 0"), @r"
    error: `repeats` is 0
      --> s.yaml:10:30
      help: it is a number from 1 to 10000
    ");
    insta::assert_snapshot!(variant("prompt: p.txt, reduce: majority"), @r"
    error: `reduce` makes one score of several, and the variant asks each case once
      --> s.yaml:10:30
      help: add `repeats: 8`, or leave `reduce` out
    ");
    insta::assert_snapshot!(variant("prompt: p.txt, sampling: {temperature: 1}, repeats: 3, reduce: {pass_at: 4}"), @r"
    error: `pass_at` is 4, and `repeats` is 3
      --> s.yaml:10:70
      help: `pass_at` is a number from 1 to `repeats`
    ");
    insta::assert_snapshot!(variant("prompt: p.txt, sampling: {temperature: 1}, repeats: 3, reduce: {pass_at: 0}"), @r"
    error: `pass_at` is 0, and `repeats` is 3
      --> s.yaml:10:70
      help: `pass_at` is a number from 1 to `repeats`
    ");
    insta::assert_snapshot!(variant("prompt: p.txt, repeats: many, reduce: most"), @r#"
    error: `variants[0].repeats`: found the text "many", expected a whole number
      --> s.yaml:10:30
    error: `variants[0].reduce`: found the text "most", expected mean, majority, max, best_of, weighted or {pass_at: k}
      --> s.yaml:10:45
    "#);
    insta::assert_snapshot!(variant("prompt: p.txt, repeats: 3"), @r"
    warning: variant `v` asks each case 3 times at temperature 0, and gets the same answer each time
      --> s.yaml:10:5
      help: set a `temperature` above 0, or leave `repeats` out
    ");
    let warm = "prompt: p.txt, repeats: 3, then: {prompt: x.txt, sampling: {temperature: 1}}";
    assert_eq!(variant(warm), "");
    let labels =
        suite("temperature: 1", "label: {name: mood, labels: [a, b]}", "prompt: p.txt, repeats: 3, reduce: max");
    insta::assert_snapshot!(Folder::new(&[]).load(&labels).1, @r"
    error: `max` has no meaning for the labels of scorer `mood`
      --> s.yaml:10:42
      help: no label is more than another: use `majority` or `mean`
    ");
}

#[test]
fn a_stage_without_its_prompt_is_refused_at_its_line() {
    insta::assert_snapshot!(variant("prompt: p.txt, then: {prompt: gone.txt}"), @r"
    error: cannot read the prompt `gone.txt`: No such file or directory (os error 2)
      --> s.yaml:10:37
      help: check the path; what a file names is relative to that file
    ");
    insta::assert_snapshot!(variant("prompt: p.txt, then: {sampling: {top_k: 0}}"), @r"
    error: variant `v`, `then` has no `prompt`
      --> s.yaml:10:30
      help: add `prompt: …`
    ");
    insta::assert_snapshot!(variant("repeats: 1"), @r"
    error: variant `v` has no `prompt`
      --> s.yaml:10:5
      help: add `prompt: …`
    ");
    assert_eq!(variant("prompt: p.txt, examples: {count: 1, select: similar}"), "");
}

#[test]
fn sampling_settings_are_read_and_ranged() {
    let all = "repeat_penalty: 1.1, presence_penalty: -1, frequency_penalty: 0.5, logprobs: 5, logit_bias: {\" a\": -100, 4: 2}";
    let (read, said) = Folder::new(&[]).load(&suite(all, "exact", "prompt: p.txt"));
    assert_eq!(said, "");
    let drawn = &read.unwrap().variants[0].sampling;
    assert_eq!((drawn.repeat_penalty, drawn.presence_penalty, drawn.logprobs), (Some(1.1), Some(-1.0), Some(5)));
    assert_eq!(drawn.logit_bias.len(), 2);
    insta::assert_snapshot!(sampling("repeat_penalty: 0, logit_bias: {\" a\": 200}"), @r#"
    error: `repeat_penalty` is 0, which is outside above 0, at most 10 (1 is off)
      --> s.yaml:3:12
    error: `logit_bias` is 200 for the token " a", which is outside -100 to 100
      --> s.yaml:3:31
    "#);
    insta::assert_snapshot!(sampling("logit_bias: {-1: 2}"), @r"
    error: `sampling.logit_bias.-1`: found integer `-1`, expected a token's id (a whole number) or its spelling (a text)
      --> s.yaml:3:25
    ");
    insta::assert_snapshot!(sampling("logit_bias: {a: b}, logprobs: true"), @r#"
    error: `sampling.logit_bias.a`: found the text "b", expected a number
      --> s.yaml:3:25
    error: `sampling.logprobs`: found boolean `true`, expected a whole number
      --> s.yaml:3:32
    "#);
}

#[test]
fn a_grammar_comes_from_its_file_or_the_suite() {
    let folder = Folder::new(&[("g.gbnf", "\u{feff}root ::= \"a\"\n"), ("bad.gbnf", "root ::= \"a\"\n\nx ::= y\n")]);
    let drawn = |text: &str| folder.load(&suite(text, "exact", "prompt: p.txt"));
    let (read, said) = drawn("grammar: g.gbnf");
    assert_eq!(said, "");
    assert_eq!(read.unwrap().variants[0].sampling.grammar.as_deref(), Some("root ::= \"a\"\n"));
    assert_eq!(drawn("grammar: 'root ::= \"a\"'").1, "");
    insta::assert_snapshot!(drawn("grammar: bad.gbnf").1, @r"
    error: rule `y` does not exist
      --> bad.gbnf:3:7
      help: did you mean `x`? (root, x)
    ");
    insta::assert_snapshot!(drawn("grammar: gone.gbnf").1, @r"
    error: cannot read the grammar `gone.gbnf`: No such file or directory (os error 2)
      --> s.yaml:3:12
      help: check the path; what a file names is relative to that file
    ");
    insta::assert_snapshot!(drawn("grammar: 'root ::= \"a\" root'").1, @r"
    error: the grammar admits no text: `root` can never end
      --> s.yaml:3:22
      help: every alternative leads back to it: add one that does not
    ");
    insta::assert_snapshot!(drawn("grammar: 'root ::= \"a\" rot'").1, @r"
    error: rule `rot` does not exist
      --> s.yaml:3:35
      help: did you mean `root`? (root)
    ");
    insta::assert_snapshot!(drawn("grammar: 'root ::= \"a\"', json_schema: {}").1, @r"
    error: `grammar` and `json_schema` are both given: a completion is held to one of them
      --> s.yaml:3:37
      help: leave one out; a variant's replaces the suite's, whichever it is
    ");
}

#[test]
fn a_schema_comes_from_its_file_or_the_suite() {
    let folder = Folder::new(&[
        ("s.json", "{\"type\": \"object\", \"properties\": {\"b\": {}, \"a\": {}}}"),
        ("bad.json", "{\n  \"type\": \"array\",\n  \"allOf\": [\n    true, false]\n}"),
        ("broken.json", "{\n \"type\": }"),
    ]);
    let drawn = |text: &str| folder.load(&suite(text, "exact", "prompt: p.txt"));
    let (read, said) = drawn("json_schema: s.json");
    assert_eq!(said, "");
    let schema = read.unwrap().variants[0].sampling.json_schema.clone().unwrap();
    // A completion writes its properties in the order of the schema.
    assert_eq!(schema["properties"].as_object().unwrap().keys().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(drawn("json_schema: true").1, "");
    insta::assert_snapshot!(drawn("json_schema: bad.json").1, @r"
    error: the JSON schema cannot be used: at /allOf/1: `false` is satisfied by nothing
      --> bad.json:4:11
      help: no completion could end: let it admit something
    ");
    insta::assert_snapshot!(drawn("json_schema: broken.json").1, @r"
    error: the JSON schema cannot be used: it is not JSON: expected value
      --> broken.json:2:10
      help: the file holds one JSON Schema
    ");
    insta::assert_snapshot!(drawn("json_schema: {properties: {a: {type: strin}}}").1, @r#"
    error: the JSON schema cannot be used: at /properties/a/type: "strin" is not valid under any of the schemas listed in the 'anyOf' keyword
      --> s.yaml:3:43
      help: see https://json-schema.org; a reference leads inside the schema, as `#/$defs/name`
    "#);
    insta::assert_snapshot!(drawn("json_schema: {enum: []}").1, @r"
    error: the JSON schema cannot be used: at /enum: `enum` is empty, so nothing satisfies it
      --> s.yaml:3:26
      help: no completion could end: let it admit something
    ");
    insta::assert_snapshot!(drawn("json_schema: [1]").1, @r"
    error: `sampling.json_schema`: expected a JSON Schema (a map) or the path of a .json file
      --> s.yaml:3:12
    ");
}

#[test]
fn a_variants_schema_replaces_the_suites_grammar() {
    let text = suite("grammar: 'root ::= \"a\"'", "exact", "prompt: p.txt, sampling: {json_schema: {type: string}}");
    let (read, said) = Folder::new(&[]).load(&text);
    assert_eq!(said, "");
    let drawn = &read.unwrap().variants[0].sampling;
    assert_eq!((&drawn.grammar, drawn.json_schema.is_some()), (&None, true));
}

#[test]
fn a_broken_grammar_of_the_suite_is_said_once_for_all_variants() {
    let text = suite("grammar: x", "exact", "prompt: p.txt") + "  - {name: w, prompt: p.txt}\n";
    assert_eq!(Folder::new(&[]).load(&text).1.matches("error:").count(), 1);
}

/// A suite about texts.
fn texts(cases: &str, variant: &str) -> String {
    format!(
        "suite: s\nmodel: {{scripted: m.yaml}}\ncases: {cases}\nscorers: [exact]\nvariants:\n  - {{name: v{variant}}}\n"
    )
}

#[test]
fn texts_are_cases_by_their_files_names() {
    let folder = Folder::new(&[("a.txt", "One two.\n"), ("b.txt", "Three."), ("a.md", "Four.")]);
    let (read, said) = folder.load(&texts("{text: [a.txt, b.txt, a.md], stride: 64}", ""));
    // Until the scorer `perplexity` is there, nothing else is wrong.
    insta::assert_snapshot!(said, @r"
    error: scorer `exact` judges answers, and the cases are texts
      --> s.yaml:4:11
      help: texts take the scorer `perplexity` only
    ");
    let suite = read.unwrap();
    assert_eq!(suite.text, Some(TextCases { stride: Some(64) }));
    let cases: Vec<_> =
        suite.cases.iter().map(|case| (case.id.as_str(), case.vars["text"].as_str().unwrap())).collect();
    assert_eq!(cases, [("a.txt", "One two.\n"), ("b", "Three."), ("a.md", "Four.")]);
    assert_eq!(suite.variants[0].prompt, PromptFile { path: PathBuf::new(), text: String::new() });
}

#[test]
fn texts_that_cannot_be_read_or_asked_are_refused() {
    let folder = Folder::new(&[("empty.txt", ""), ("a.txt", "One two.")]);
    std::fs::write(folder.0.path().join("latin.txt"), b"caf\xe9").unwrap();
    insta::assert_snapshot!(folder.load(&texts("{text: [empty.txt, gone.txt, latin.txt], stride: 0}", "")).1, @r"
    error: `stride` is 0
      --> s.yaml:3:49
      help: write the tokens from one window to the next, or leave it out
    error: the text `empty.txt` is shorter than two characters
      --> s.yaml:3:16
      help: perplexity is of each token given those before it: name a longer file
    error: cannot read the text `gone.txt`: No such file or directory (os error 2)
      --> s.yaml:3:27
      help: check the path; what a file names is relative to that file
    error: the file is not UTF-8: byte 3 starts no character
      --> latin.txt
      help: save the file as UTF-8 (iconv -f latin1 -t utf-8)
    error: scorer `exact` judges answers, and the cases are texts
      --> s.yaml:4:11
      help: texts take the scorer `perplexity` only
    ");
    let asking = ", prompt: p.txt, then: {prompt: x.txt}, repeats: 2, sampling: {temperature: 1}";
    insta::assert_snapshot!(folder.load(&texts("{text: a.txt}", asking)).1, @r"
    error: a variant has no `prompt` here: the cases are texts, which are read and not asked
      --> s.yaml:6:15
      help: leave `prompt` out, or give `cases` with vars
    error: a variant has no `then` here: the cases are texts, which are read and not asked
      --> s.yaml:6:30
      help: leave `then` out, or give `cases` with vars
    error: a variant has no `repeats` here: the cases are texts, which are read and not asked
      --> s.yaml:6:53
      help: leave `repeats` out, or give `cases` with vars
    error: scorer `exact` judges answers, and the cases are texts
      --> s.yaml:4:11
      help: texts take the scorer `perplexity` only
    ");
    let pool = texts("{text: a.txt}", "").replace("scorers:", "examples: {text: a.txt}\nscorers:");
    assert!(folder.load(&pool).1.contains("`examples` cannot be texts"));
}
