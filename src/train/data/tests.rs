//! Rows of files, generators and labels as documents of the bundled model.

use super::*;
use crate::engine::llama::{KvStorage, Llama, LlamaSettings};
use crate::engine::{Answer, Effort, Engine, EngineError, KvMode, ModelFacts, Request, Token};
use crate::error::Problems;
use crate::prompt::{Controls, PromptTemplate, Renderer};
use crate::suite::{Case, PromptFile};
use crate::train::recipe::{Overrides, Recipe, load_text};
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/tripos-tiny.gguf")
}

fn tiny() -> Llama {
    let settings = LlamaSettings {
        context: None,
        threads: 1,
        gpu_layers: None,
        kv_type: KvStorage::F16,
        kv: KvMode::Exact,
        parallel: 1,
        adapter: None,
    };
    Llama::open(&model(), settings, (None, ""), None).unwrap()
}

/// The bundled model's tokenizer with another chat template.
struct Other {
    inner: Llama,
    facts: ModelFacts,
    /// Whether it takes what data spells for control tokens, as it must not.
    parses: bool,
}

impl Engine for Other {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }
    fn context(&self) -> usize {
        self.inner.context()
    }
    fn tokenize(&self, text: &str, quoted: &[Range<usize>]) -> Vec<Token> {
        self.inner.tokenize(text, if self.parses { &[] } else { quoted })
    }
    fn start(&self) -> Option<Token> {
        self.inner.start()
    }
    fn ends(&self) -> &[Token] {
        self.inner.ends()
    }
    fn bytes(&self, tokens: &[Token]) -> Vec<u8> {
        self.inner.bytes(tokens)
    }
    fn answer(&self, _: Vec<Request>, _: &mut dyn FnMut(usize, Answer), _: &AtomicBool) -> Result<Effort, EngineError> {
        Ok(Effort::default())
    }
}

fn templated(chat_template: Option<&str>) -> Other {
    let inner = tiny();
    let facts = ModelFacts { chat_template: chat_template.map(str::to_owned), ..inner.facts().clone() };
    Other { inner, facts, parses: false }
}

/// A folder with a file of rows and a recipe that reads it.
struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new(rows: &str) -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap() };
        folder.write("rows.jsonl", rows);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// The recipe with these lines; nothing is held out and nothing evaluated unless they say so.
    fn recipe(&self, lines: &str) -> Recipe {
        let usual = [
            ("held_out:", "held_out: {share: 0}"),
            ("evaluate:", "evaluate: {every: 0}"),
            ("kind:", "kind: sft"),
            ("data:", "data: {file: rows.jsonl}"),
        ];
        let mut text = format!("recipe: r\nmodel: {}\n{lines}\n", model().display());
        let written = |key: &str| lines.lines().any(|line| line.starts_with(key));
        text.extend(usual.iter().filter(|(key, _)| !written(key)).map(|(_, line)| format!("{line}\n")));
        let (recipe, problems) = load_text(&self.dir.path().join("r.yaml"), &text, &Overrides::default());
        assert!(!problems.any_error(), "{problems}");
        recipe.unwrap()
    }

    fn read(&self, lines: &str) -> Data {
        self.read_by(&tiny(), lines).unwrap()
    }

    fn read_by(&self, engine: &dyn Engine, lines: &str) -> Result<Data, String> {
        read(&self.recipe(lines), engine).map_err(|problems| self.plain(&problems))
    }

    fn refused(&self, lines: &str) -> String {
        self.read_by(&tiny(), lines).unwrap_err()
    }

    /// Problems with the folder left out of their places.
    fn plain(&self, problems: &Problems) -> String {
        problems.to_string().replace(&format!("{}/", self.dir.path().display()), "")
    }
}

/// The document's text, its learned tokens in ⟦brackets⟧, `#` for a token that ends an answer and `^` for other control
/// tokens.
fn shown(engine: &dyn Engine, document: &Document) -> String {
    let mut shown = String::new();
    let mut inside = false;
    let mut bytes: Vec<u8> = Vec::new();
    for (token, learn) in document.tokens.iter().zip(&document.learn) {
        if *learn != inside {
            bytes.extend(if *learn { "⟦" } else { "⟧" }.bytes());
            inside = *learn;
        }
        match &engine.bytes(&[*token])[..] {
            [] => bytes.push(if engine.is_end(*token) { b'#' } else { b'^' }),
            piece => bytes.extend(piece),
        }
    }
    shown += &String::from_utf8_lossy(&bytes);
    if inside { shown + "⟧" } else { shown }
}

fn all_shown(data: &Data) -> Vec<String> {
    let engine = tiny();
    data.train.documents.iter().map(|document| shown(&engine, document)).collect()
}

#[test]
fn rows_in_four_formats_are_learned_up_to_the_token_that_ends_them() {
    let folder = Folder::new(
        r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"},{"role":"user","content":"he"},{"role":"assistant","content":"hu"}]}
{"prompt":"Q: 1 + 1?\nA:","completion":" 2"}
{"instruction":"Add.","input":"1 and 2","output":"3"}
{"text":"a fine film"}
{"instruction":"Say ho.","output":"ho"}
"#,
    );
    assert_eq!(
        all_shown(&folder.read("")),
        [
            "#^user\nhi#\n^assistant\n⟦ho#⟧\n^user\nhe#\n^assistant\n⟦hu#⟧",
            "#Q: 1 + 1?\nA:⟦ 2#⟧",
            "#^user\nAdd.\n\n1 and 2#\n^assistant\n⟦3#⟧",
            "#⟦a fine film#⟧",
            "#^user\nSay ho.#\n^assistant\n⟦ho#⟧",
        ]
    );
    let bare = folder.read_by(&templated(None), "data: {file: rows.jsonl, limit: 5}").unwrap_err();
    insta::assert_snapshot!(bare, @r"
    error: this row is a conversation, and the model has no chat template
      --> rows.jsonl:1:1
      help: teach it texts (`prompt` and `completion`), or take a model with a chat template
    ");
}

#[test]
fn csv_and_yaml_rows_and_other_peoples_columns_are_read_too() {
    let folder = Folder::new("{\"question\":\"1 + 1?\",\"answer\":\"2\",\"id\":7}\n");
    folder.write("rows.csv", "prompt,completion\n1 + 1?,2\n");
    folder.write("rows.yaml", "- {prompt: 1 + 1?, completion: 2}\n");
    let data = folder.read(
        "data: [{file: rows.jsonl, columns: {prompt: question, completion: answer}}, {file: rows.csv}, {file: rows.yaml}]",
    );
    assert_eq!(all_shown(&data), ["#1 + 1?⟦2#⟧"; 3]);
    let facts: Vec<_> = data.train.sources.iter().map(|s| (s.rows, s.documents, s.tokens, s.targets)).collect();
    assert_eq!(facts, [(1, 1, data.train.documents[0].tokens.len(), 2); 3]);
}

#[test]
fn a_control_token_in_user_text_is_never_parsed() {
    let folder = Folder::new(
        r#"{"messages":[{"role":"user","content":"Say <|im_end|><|endoftext|>"},{"role":"assistant","content":"<|im_end|>"}]}
{"prompt":"<|endoftext|>","completion":"<|im_start|>"}
"#,
    );
    let right = ["#^user\nSay <|im_end|><|endoftext|>#\n^assistant\n⟦<|im_end|>#⟧", "#<|endoftext|>⟦<|im_start|>#⟧"];
    assert_eq!(all_shown(&folder.read("")), right);
    // A tokenizer that parses them is told apart.
    let chat_template = tiny().facts().chat_template.clone();
    let parsing = Other { parses: true, ..templated(chat_template.as_deref()) };
    let wrong = folder.read_by(&parsing, "").map(|data| all_shown(&data));
    assert_ne!(wrong, Ok(right.map(str::to_owned).to_vec()));
}

#[test]
fn a_prompt_is_learned_as_the_tokens_that_evaluation_asks_with() {
    let folder = Folder::new(r#"{"vars":{"q":"wha"},"target":"t is it"}"#);
    folder.write("p.txt", "Q: {{ q }}");
    folder.write("p.yaml", "- system: Be brief.\n- user: '{{ q }}'\n");
    let engine = tiny();
    let facts = engine.facts();
    let chat = crate::prompt::ChatTemplate::compile(
        facts.chat_template.as_ref().unwrap(),
        &crate::prompt::ChatSettings::default(),
    );
    let (controls, chat) = (Controls::new(&facts.controls).unwrap(), chat.unwrap());
    for name in ["p.txt", "p.yaml"] {
        let data = folder.read(&format!("data: {{file: rows.jsonl, prompt: {name}, completion: '{{{{ target }}}}'}}"));
        let path = folder.dir.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let prompt = PromptTemplate::compile(&PromptFile::new(path, &text)).unwrap();
        let renderer = Renderer::new(&prompt, &controls, Some(&chat)).unwrap();
        let asked = renderer.render(&Case::new("c", [("q", "wha")], None)).unwrap();
        let asked = engine.tokenize(&asked.text, &asked.quoted);
        let document = &data.train.documents[0];
        // `what` would be another token than `wha` and `t`: the seam stays where the prompt ends.
        assert_eq!(document.tokens[..asked.len()], asked, "{name}");
        assert!(document.learn[..asked.len()].iter().all(|learn| !learn));
        assert!(document.learn[asked.len()..].iter().all(|learn| *learn));
        let end = if name == "p.txt" { "<|endoftext|>" } else { "<|im_end|>" };
        assert_eq!(document.tokens.last(), engine.tokenize(end, &[]).last(), "{name}");
        assert_eq!(engine.bytes(&document.tokens[asked.len()..]), b"t is it");
    }
}

#[test]
fn generated_problems_are_rows_too() {
    let folder = Folder::new("");
    folder.write("p.txt", "{{ a }} + 1 =");
    let generate =
        "generate: {count: 3, seed: 1, let: {a: {int: [1, 3]}}, case: {vars: {a: '{{ a }}'}, target: '{{ a + 1 }}'}}";
    let data = folder.read(&format!("data: {{{generate}, prompt: p.txt, completion: ' {{{{ target }}}}'}}"));
    let mut shown = all_shown(&data);
    shown.sort();
    assert_eq!(shown, ["#1 + 1 =⟦ 2#⟧", "#2 + 1 =⟦ 3#⟧", "#3 + 1 =⟦ 4#⟧"]);
}

#[test]
fn rows_that_cannot_be_learned_from_are_named_by_line_and_counted() {
    let folder = Folder::new(
        r#"{"messages":[{"role":"user","content":"hi"}]}
{"messages":[{"role":"user","content":"hi"},{"role":"asistant","content":"ho"}]}
{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":" "}]}
{"messages":[{"role":"user","content":["hi"]},{"role":"assistant","content":"ho"}]}
{"prompt":"a","completion":"b","extra":1}
{"prompt":"a","completion":"b","extra":1}
{"prompt":"a","completion":"b","extra":1}
{"prompt":"a","completion":"b","extra":1}
{"prompt":"a","completion":"b","extra":1}
{"prompt":["a"],"completion":"b"}
{"question":"a","answer":3}
not json
"#,
    );
    insta::assert_snapshot!(folder.refused(""), @r"
    error: broken line: expected ident
      --> rows.jsonl:12:2
      help: each line is one JSON object, on one line

    error: no message of this row is the assistant's, so there is nothing to learn
      --> rows.jsonl:1:1
      help: a conversation holds at least one message of `role: assistant`, which is learned; leave the row out

    error: unknown role `asistant`
      --> rows.jsonl:2:1
      help: did you mean `assistant`? (assistant, system, user)

    error: the answer of this row is empty, so there is nothing to learn
      --> rows.jsonl:3:1
      help: give it an answer, or leave the row out

    error: `content` is a list, expected a text
      --> rows.jsonl:4:1
      help: mend the row, or leave it out

    error: unknown column `extra`
      --> rows.jsonl:5:1
      help: leave them out of the file, or name the columns that count: `columns: {NAME: COLUMN}`

    error: unknown column `extra`
      --> rows.jsonl:6:1
      help: leave them out of the file, or name the columns that count: `columns: {NAME: COLUMN}`

    error: unknown column `extra`
      --> rows.jsonl:7:1
      help: leave them out of the file, or name the columns that count: `columns: {NAME: COLUMN}`

    error: `prompt` is a list, expected a text
      --> rows.jsonl:10:1
      help: mend the row, or leave it out

    error: nothing tells what is to be learned from the columns `question`, `answer`
      --> rows.jsonl:11:1
      help: rows have `messages`, `prompt` and `completion`, `instruction` and `output` (with or without `input`), or `text`; other columns are renamed (`columns: {prompt: question, completion: answer}`) or fill in a `prompt:` and a `completion:`

    error: 2 more rows: unknown column `extra`
      --> rows.jsonl:7:1
    ");
}

#[test]
fn a_column_or_a_target_that_is_not_there_is_named() {
    let folder = Folder::new("{\"question\":\"a\"}\n");
    folder.write("p.txt", "Q: {{ question }}");
    insta::assert_snapshot!(folder.refused("data: {file: rows.jsonl, columns: {prompt: question, completion: anser}}"), @r"
    error: column `anser` does not exist
      --> rows.jsonl:1:1
      help: known here: question
    ");
    insta::assert_snapshot!(folder.refused("data: {file: rows.jsonl, prompt: p.txt, completion: '{{ target }}'}"), @r"
    error: this row has no `target`
      --> rows.jsonl:1:1
      help: give each row a `target`, or name the column: `columns: {target: COLUMN}`
    ");
    insta::assert_snapshot!(folder.refused("data: {file: rows.jsonl, prompt: p.txt, completion: '{{ qestion }}'}"), @r"
    error: undefined variable `qestion`
      --> r.yaml:3 (case `rows.jsonl:1`)
      help: did you mean `question`? (question)
    ");
}

/// Every digit is a token, whatever else a vocabulary holds.
const LONG: &str = r#"{"prompt":"1234567890","completion":"12345678"}
{"prompt":"12345678901234567890","completion":"1"}
{"prompt":"a","completion":"b"}
"#;

#[test]
fn long_rows_are_cut_left_out_or_refused_as_the_recipe_says() {
    let folder = Folder::new(LONG);
    let cut = folder.read("sequence: 16");
    assert_eq!(all_shown(&cut)[1], "#a⟦b#⟧");
    assert_eq!(all_shown(&cut)[0], "#1234567890⟦12345⟧");
    assert_eq!((cut.train.sources[0].cut, cut.train.sources[0].dropped), (1, 1));
    assert!(cut.train.documents.iter().all(|document| document.tokens.len() <= 16));
    insta::assert_snapshot!(folder.plain(&cut.warnings), @r"
    warning: cut 1 of 3 documents that are longer than `sequence: 16`; 1 of them lost its stop token
      --> r.yaml:7:1
      help: a larger `sequence` keeps them whole; `too_long: drop` leaves them out

    warning: left out 1 of 3 documents: nothing of an answer lies within the 16 tokens of `sequence`
      --> r.yaml:7:1
      help: a larger `sequence` keeps them
    ");
    let dropped = folder.read("sequence: 16\ntoo_long: drop");
    assert_eq!(all_shown(&dropped), ["#a⟦b#⟧"]);
    insta::assert_snapshot!(folder.plain(&dropped.warnings), @r"
    warning: left out 2 of 3 documents: longer than `sequence: 16`
      --> r.yaml:8:1
      help: a larger `sequence` keeps them
    ");
    insta::assert_snapshot!(folder.refused("sequence: 16\ntoo_long: refuse"), @r"
    error: this row has 20 tokens, and `sequence` is 16
      --> rows.jsonl:1:1
      help: set a larger `sequence`, or `too_long: cut` (keep the beginning) or `too_long: drop`

    error: this row has 23 tokens, and `sequence` is 16
      --> rows.jsonl:2:1
      help: set a larger `sequence`, or `too_long: cut` (keep the beginning) or `too_long: drop`
    ");
}

#[test]
fn a_recipe_that_would_never_teach_to_stop_is_refused() {
    let folder = Folder::new(&LONG.lines().take(1).collect::<String>());
    insta::assert_snapshot!(folder.refused("sequence: 16"), @r"
    error: no document ends in a token that ends an answer, so the model would learn never to stop
      --> r.yaml:7:1
      help: every document was cut before its end: set a larger `sequence`, or `too_long: drop`
    ");
    let folder = Folder::new(r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]}"#);
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
    insta::assert_snapshot!(folder.read_by(&templated(Some(template)), "").unwrap_err(), @r"
    error: no document ends in a token that ends an answer, so the model would learn never to stop
      --> r.yaml:7:1
      help: the model's chat template writes none behind an answer: teach texts (`prompt` and `completion`), whose end token Tripos writes itself, or take a GGUF with a better template
    ");
}

#[test]
fn what_is_held_out_never_moves_and_equal_rows_stay_together() {
    let row = |n: usize| format!("{{\"prompt\":\"{n} + 1 =\",\"completion\":\" {}\"}}\n", n + 1);
    let rows: String = (0..1000).map(row).collect();
    let lines = "held_out: {share: 0.1}\nevaluate: {every: 5}";
    let few = Folder::new(&rows).read(lines);
    let more = Folder::new(&format!("{}{rows}{rows}", (1000..1500).map(row).collect::<String>())).read(lines);
    let held = |data: &Data| data.held_out.documents.clone();
    assert!((60..140).contains(&held(&few).len()), "{}", held(&few).len());
    for document in &few.train.documents {
        assert!(!held(&more).contains(document));
    }
    assert!(held(&few).iter().all(|document| held(&more).iter().filter(|other| *other == document).count() == 2));
    assert!(held(&few).iter().all(|document| !few.train.documents.contains(document)));
    assert_eq!(few.train.documents.len() + held(&few).len(), 1000);
}

#[test]
fn examples_are_other_rows_from_the_same_side_of_what_is_held_out() {
    let row = |n: usize| format!("{{\"q\":\"{n} + 1?\",\"target\":\"{}\"}}\n", n + 1);
    let folder = Folder::new(&(0..400).map(row).collect::<String>());
    folder.write("p.txt", "{% for e in examples %}{{ e.q }} {{ e.target }}\n{% endfor %}{{ q }}");
    let source = "file: rows.jsonl, prompt: p.txt, completion: ' {{ target }}'";
    let lines =
        format!("held_out: {{share: 0.3}}\nevaluate: {{every: 5}}\ndata: {{{source}, examples: {{count: [0, 2]}}}}");
    let data = folder.read(&lines);
    let texts = |dataset: &Dataset| -> Vec<Vec<String>> {
        let engine = tiny();
        let plain = |document: &Document| shown(&engine, document).replace(['#', '⟦', '⟧'], "");
        let text = |document: &Document| plain(document).lines().map(str::to_owned).collect();
        dataset.documents.iter().map(text).collect()
    };
    let (learned, held) = (texts(&data.train), texts(&data.held_out));
    let asked = |lines: &Vec<String>| lines.last().unwrap().split('?').next().unwrap().to_owned();
    let own: HashSet<String> = learned.iter().map(asked).collect();
    for lines in learned.iter().chain(&held) {
        let mut questions: Vec<String> = lines.iter().map(|line| line.split('?').next().unwrap().to_owned()).collect();
        let is_learned = questions.iter().map(|question| own.contains(question)).collect::<HashSet<bool>>();
        assert_eq!(is_learned.len(), 1, "{lines:?} is on both sides");
        questions.sort();
        questions.dedup();
        assert_eq!(questions.len(), lines.len(), "{lines:?} shows a row twice");
    }
    // Each number of examples as often: of 400, about 133, give or take 4 standard deviations.
    for count in 1..=3 {
        let times = learned.iter().chain(&held).filter(|lines| lines.len() == count).count();
        assert!((95..172).contains(&times), "{times} documents have {} examples", count - 1);
    }
    assert_eq!(texts(&folder.read(&lines).train), learned);
}

#[test]
fn nothing_held_out_is_refused_where_evaluation_is_on() {
    let folder = Folder::new(&LONG.lines().last().map(|line| format!("{line}\n")).unwrap());
    insta::assert_snapshot!(folder.refused("held_out: {share: 0.001}\nevaluate: {every: 5}"), @r"
    error: no document is held out of 1, so there is nothing to evaluate on
      --> r.yaml:3:1
      help: hold out more (`held_out: {share: 0.1}`), give data of its own (`held_out: {data: …}`), or do not evaluate (`evaluate: {every: 0}`)
    ");
    let own = "data: {file: rows.jsonl}\nheld_out: {data: {file: rows.jsonl}}\nevaluate: {every: 5}";
    let data = folder.read(own);
    assert_eq!((data.train.documents.len(), data.held_out.documents.len()), (1, 1));
    insta::assert_snapshot!(folder.plain(&data.warnings), @r"
    warning: 1 of 1 held-out documents are learned as well, so their loss says little
      --> r.yaml:4:1
      help: leave these rows out of `data`, or hold out a share of it (`held_out: {share: 0.05}`)
    ");
}

#[test]
fn a_classifier_reads_the_prompt_that_the_suite_asks() {
    let folder = Folder::new(
        "{\"text\":\"a fine <|im_end|> film\",\"label\":\"positive\"}\n{\"text\":\"a dull film\",\"label\":\"negative\"}\n",
    );
    folder.write("p.txt", "Review: {{ text }}\nSentiment:");
    let bare = folder.read("kind: classify");
    assert_eq!(all_shown(&bare), ["#a fine <|im_end|> film", "#a dull film"]);
    assert_eq!(
        (&bare.labels[..], &bare.train.labels[..]),
        (&["negative".to_owned(), "positive".to_owned()][..], &[1, 0][..])
    );
    let asked = folder.read("kind: classify\nlabels: [positive, negative]\ndata: {file: rows.jsonl, prompt: p.txt}");
    assert_eq!(all_shown(&asked)[1], "#Review: a dull film\nSentiment:");
    assert_eq!(asked.train.labels, [0, 1]);
    assert!(asked.train.documents.iter().all(|document| document.targets() == 0));
    insta::assert_snapshot!(folder.refused("kind: classify\nlabels: [positive, negativ]"), @r"
    error: label `negative` does not exist
      --> rows.jsonl:2:1
      help: did you mean `negativ`? (positive, negativ)
    ");
    insta::assert_snapshot!(folder.refused("kind: classify\ndata: {file: rows.jsonl, limit: 1}"), @r"
    error: all rows have one label, and there is nothing to tell apart
      --> r.yaml:4:1
      help: give rows of other labels as well, or name the right column: `columns: {label: COLUMN}`
    ");
    insta::assert_snapshot!(folder.refused("kind: classify\ndata: {file: rows.jsonl, columns: {text: text}}"), @r"
    error: this row has no label
      --> rows.jsonl:1:1
      help: each row has a `label` (or a `target`); of other columns: `columns: {label: COLUMN}`

    error: this row has no label
      --> rows.jsonl:2:1
      help: each row has a `label` (or a `target`); of other columns: `columns: {label: COLUMN}`
    ");
}

#[test]
fn a_chat_template_that_begins_answers_otherwise_is_said_once() {
    let row = r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]}"#;
    let folder = Folder::new(&format!("{row}\n{row}\n"));
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}";
    let data = folder.read_by(&templated(Some(template)), "").unwrap();
    insta::assert_snapshot!(folder.plain(&data.warnings), @r#"
    warning: where an answer begins, the model's chat template writes "<think>"; before finished answers it writes "ho<|im_end|>"
      --> r.yaml:7:1
      help: answers are learned as the template writes them when they are finished; the model begins elsewhere when asked
    "#);
}
