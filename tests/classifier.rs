//! A head on a model as a scorer: `label: {classifier: FILE}`. The classifiers are put together by hand: an adapter that
//! changes nothing, and a head of numbers that look random.

use crate::chromium::{Chromium, find};
use crate::workspace::{Workspace, model, samples_of};
use serde_json::Value as Json;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use tripos::engine::llama::{KvStorage, Llama, LlamaSettings};
use tripos::engine::{Answer, Ask, Engine, KvMode, Request};
use tripos::gguf::{self, Array, Metadata, TensorData, Value, sha256_file};

const LABELS: [&str; 3] = ["sport", "news", "art"];
const WIDTH: usize = 256;

/// Texts, and what stands in the file of cases as their target.
const TEXTS: [&str; 8] = [
    "they won by three to one",
    "the council met on monday",
    "a quiet painting of the sea",
    "rain is expected in the north",
    "she ran the mile in under five minutes",
    "the choir sang of winter",
    "prices rose again last month",
    "the match was drawn",
];

/// A head that looks random, the same every time.
fn head(outputs: usize) -> Vec<f32> {
    (0..outputs * WIDTH).map(|at| ((at * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5).collect()
}

/// What a classifier file says of itself.
struct Parts<'p> {
    labels: &'p [&'p str],
    head: Vec<f32>,
    bias: Vec<f32>,
    base: (String, &'p str),
    render: &'p str,
}

impl Parts<'_> {
    fn new(base: &Path) -> Self {
        let base = (sha256_file(base).unwrap(), "tripos-tiny.gguf");
        Self { labels: &LABELS, head: head(3), bias: bias().to_vec(), base, render: "text" }
    }

    fn write(&self, path: &Path) {
        let mut metadata = Metadata::default();
        let numbers = |all: &[f32]| Value::Array(Array::F32(all.to_vec()));
        let texts = self.labels.iter().map(|&label| label.to_owned()).collect();
        for (key, value) in [
            ("general.type", "adapter".into()),
            ("general.architecture", "llama".into()),
            ("adapter.type", "lora".into()),
            ("adapter.lora.alpha", Value::F32(2.0)),
            ("tripos.base.sha256", self.base.0.as_str().into()),
            ("tripos.base.file", self.base.1.into()),
            ("tripos.classifier.head", numbers(&self.head)),
            ("tripos.classifier.bias", numbers(&self.bias)),
            ("tripos.classifier.labels", Value::Array(Array::Text(texts))),
            ("tripos.classifier.render", self.render.into()),
        ] {
            metadata.set(key, value);
        }
        let half = |name: &str| format!("blk.0.attn_q.weight.{name}");
        let tensors = [
            TensorData::f32(half("lora_a"), &[256, 1], &[0.0; 256]),
            TensorData::f32(half("lora_b"), &[1, 256], &[0.0; 256]),
        ];
        gguf::write(path, &metadata, &tensors).unwrap();
    }
}

/// The suite: a case for each text, whose target is the label of that number.
fn suite(targets: &[&str], scorer: &str) -> String {
    let cases: String = TEXTS
        .iter()
        .zip(targets)
        .enumerate()
        .map(|(at, (text, target))| format!("  - {{id: c{at}, vars: {{text: {text}}}, target: {target}}}\n"))
        .collect();
    let model = model();
    format!(
        "suite: kinds\nmodel: {}\ncontext: 128\nsampling: {{max_tokens: 4}}\ncases:\n{cases}scorers:\n  - {scorer}\nvariants:\n  - {{name: plain, prompt: p.txt}}\n",
        model.display()
    )
}

/// A folder with the classifier, and a suite that asks it.
fn workspace(targets: &[&str], scorer: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("p.txt", "Text: {{ text }}\nKind:");
    workspace.write("suite.yaml", suite(targets, scorer));
    Parts::new(&model()).write(&workspace.path().join("kinds.gguf"));
    workspace
}

const SCORER: &str = "label: {classifier: kinds.gguf}";

/// What each label's row of the head makes of the state behind each text, in plain Rust from the engine's own states.
fn products() -> &'static [[f32; 3]] {
    static PRODUCTS: OnceLock<Vec<[f32; 3]>> = OnceLock::new();
    PRODUCTS.get_or_init(|| {
        let settings = LlamaSettings {
            context: Some(128),
            threads: 1,
            gpu_layers: None,
            kv_type: KvStorage::F16,
            kv: KvMode::Tree,
            parallel: 8,
            adapter: None,
        };
        let engine = Llama::open(&model(), settings, (None, "test"), None).unwrap();
        let tokens = |text: &str| engine.tokenize(&format!("Text: {text}\nKind:"), &[]);
        let requests = TEXTS.iter().enumerate();
        let requests = requests.map(|(id, text)| Request { id, tokens: tokens(text), ask: Ask::State }).collect();
        let mut all = vec![[0.0; 3]; TEXTS.len()];
        let head = head(3);
        let mut done = |id: usize, answer| {
            let Answer::State(state) = answer else { panic!("{answer:?}") };
            let product = |row: &[f32]| row.iter().zip(&state).map(|(w, s)| w * s).sum();
            all[id] = [0, 1, 2].map(|at| product(&head[at * WIDTH..(at + 1) * WIDTH]));
        };
        engine.answer(requests, &mut done, &AtomicBool::new(false)).unwrap();
        all
    })
}

/// So that each label is somewhere the likeliest, and the likeliest of each text by as much as can be: whatever this machine's products
/// round to.
fn bias() -> [f32; 3] {
    static BIAS: OnceLock<[f32; 3]> = OnceLock::new();
    *BIAS.get_or_init(|| {
        let steps = || (-40..=40_i16).map(|step| f32::from(step) / 4.0);
        let all = steps().flat_map(|one| steps().map(move |other| [0.0, one, other]));
        let least_margin = |bias: &[f32; 3]| {
            let mut somewhere = [false; 3];
            let margins = products().iter().map(|row| {
                let mut sums: Vec<(usize, f32)> = row.iter().zip(bias).map(|(a, b)| a + b).enumerate().collect();
                sums.sort_by(|a, b| b.1.total_cmp(&a.1));
                somewhere[sums[0].0] = true;
                sums[0].1 - sums[1].1
            });
            let least = margins.fold(f32::INFINITY, f32::min);
            if somewhere == [true; 3] { least } else { -1.0 }
        };
        all.max_by(|a, b| least_margin(a).total_cmp(&least_margin(b))).unwrap()
    })
}

/// The probabilities of the labels for each text.
fn by_hand() -> Vec<Vec<f64>> {
    let shares = |row: &[f32; 3]| {
        let odds = [0, 1, 2].map(|at| f64::from(row[at] + bias()[at]).exp());
        odds.iter().map(|one: &f64| one / odds.iter().sum::<f64>()).collect()
    };
    products().iter().map(shares).collect()
}

/// The likeliest label of each text.
fn likeliest(all: &[Vec<f64>]) -> Vec<&'static str> {
    let best = |p: &Vec<f64>| (0..3).max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap();
    all.iter().map(|p| LABELS[best(p)]).collect()
}

fn metric(run: &str, name: &str) -> f64 {
    let run: Json = serde_json::from_str(run).unwrap();
    let metrics = run["variants"][0]["metrics"].as_array().unwrap().clone();
    let found = metrics.iter().find(|metric| metric["name"] == name);
    found.unwrap_or_else(|| panic!("{name} {metrics:?}"))["value"].as_f64().unwrap()
}

#[test]
fn the_head_picks_what_plain_arithmetic_picks_and_nothing_is_said() {
    let expected = by_hand();
    let labels = likeliest(&expected);
    assert!(LABELS.iter().all(|label| labels.contains(label)), "each label is somewhere the likeliest: {labels:?}");
    let workspace = workspace(&labels, SCORER);
    let run = workspace.ok(&["run", "suite.yaml", "--format", "json"]).stdout;
    let close = |name: &str, wanted: f64| assert!((metric(&run, name) - wanted).abs() < 1e-3, "{name} {run}");
    close("label.accuracy", 1.0);
    close("label.f1_macro", 1.0);
    close("label.precision.art", 1.0);
    let sure = |p: &Vec<f64>| p.iter().copied().fold(0.0, f64::max);
    close("label.confidence", expected.iter().map(sure).sum::<f64>() / 8.0);
    assert!(metric(&run, "label.ece") > 0.0 && metric(&run, "label.brier") > 0.0);
    let samples = samples_of(&workspace.run_folder());
    assert_eq!(samples.len(), 8);
    for sample in &samples {
        let at: usize = sample["trial"]["case"].as_str().unwrap()[1..].parse().unwrap();
        let score = &sample["scores"][0];
        assert_eq!((&sample["completion"], &score["value"]), (&Json::Null, &labels[at].into()));
        for (label, p) in LABELS.iter().zip(&expected[at]) {
            let found = score["parts"]["probabilities"][label].as_f64().unwrap();
            assert!((found - p).abs() < 1e-3, "{label} {found} {p}");
        }
        assert!(sample["judge_tokens_decoded"].as_u64().unwrap() > 8, "{sample}");
    }
    let run: Json = serde_json::from_str(&run).unwrap();
    assert_eq!(run["variants"][0]["usage"]["prompt_tokens_decoded"], 0, "the variant's own model was not asked");
}

/// The twin: with the labels in another order the same head is wrong wherever it was right.
#[test]
fn a_head_with_shuffled_labels_is_wrong() {
    let labels = likeliest(&by_hand());
    let workspace = workspace(&labels, SCORER);
    let shuffled = Parts { labels: &["news", "art", "sport"], ..Parts::new(&model()) };
    shuffled.write(&workspace.path().join("kinds.gguf"));
    let run = workspace.ok(&["run", "suite.yaml", "--format", "json"]).stdout;
    assert!(metric(&run, "label.accuracy").abs() < 1e-12, "{run}");
}

#[test]
fn a_second_run_is_answered_from_the_cache_and_another_head_is_not() {
    let workspace = workspace(&likeliest(&by_hand()), SCORER);
    let fresh = workspace.ok(&["run", "suite.yaml"]).stdout;
    assert!(!fresh.contains("came from the cache"), "{fresh}");
    let again = workspace.ok(&["run", "suite.yaml"]).stdout;
    assert!(again.contains("8 of 8 answers came from the cache"), "{again}");
    Parts { bias: vec![0.0; 3], ..Parts::new(&model()) }.write(&workspace.path().join("kinds.gguf"));
    let other = workspace.ok(&["run", "suite.yaml"]).stdout;
    assert!(!other.contains("came from the cache"), "{other}");
}

#[test]
fn a_run_goes_on_only_with_the_same_classifier() {
    let workspace = workspace(&likeliest(&by_hand()), SCORER);
    workspace.ok(&["run", "suite.yaml", "--limit", "3"]);
    let folder = workspace.run_folder().display().to_string();
    let header = workspace.run_folder().join("header.json");
    let text = std::fs::read_to_string(&header).unwrap();
    assert!(text.contains("\"classifier label\""), "the header names the classifier's model");
    std::fs::write(&header, text.replace("\"status\": \"complete\"", "\"status\": \"interrupted\"")).unwrap();
    workspace.ok(&["run", "suite.yaml", "--resume", &folder]);
    std::fs::write(&header, text.replace("\"status\": \"complete\"", "\"status\": \"interrupted\"")).unwrap();
    Parts { bias: vec![0.0; 3], ..Parts::new(&model()) }.write(&workspace.path().join("kinds.gguf"));
    let said = workspace.tripos(&["run", "suite.yaml", "--resume", &folder]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("`classifier label`"), "{}", said.stderr);
}

#[test]
fn beside_scorers_that_read_a_completion_the_model_still_speaks() {
    let labels = likeliest(&by_hand());
    let both = "label: {name: taught, classifier: kinds.gguf}\n  - label: {name: said}";
    let workspace = workspace(&labels, both);
    let run = workspace.ok(&["run", "suite.yaml", "--format", "json"]).stdout;
    assert!((metric(&run, "taught.accuracy") - 1.0).abs() < 1e-12);
    assert!(metric(&run, "said.accuracy") < 1.0);
    assert!(samples_of(&workspace.run_folder()).iter().all(|sample| sample["completion"]["tokens"].is_array()));
}

/// The scripted model reads how often each letter comes up.
#[test]
fn a_scripted_model_can_have_a_head_too() {
    let workspace = Workspace::new();
    workspace.write("p.txt", "{{ text }}");
    workspace.write("m.yaml", "otherwise: nothing");
    workspace.write(
        "suite.yaml",
        "suite: s\nmodel: {scripted: m.yaml}\ncases:\n  - {id: a, vars: {text: zoo zoo}, target: z}\n  - {id: b, vars: {text: a q}, target: q}\n  - {id: c, vars: {text: none}, target: q}\nscorers:\n  - label: {classifier: letters.gguf}\nvariants:\n  - {name: v, prompt: p.txt}\n",
    );
    let mut head = vec![0.0; 52];
    (head[25], head[26 + 16]) = (1.0, 1.0);
    let base = (sha256_file(&workspace.path().join("m.yaml")).unwrap(), "m.yaml");
    let parts = Parts { labels: &["z", "q"], head, bias: vec![0.0, -0.5], base, render: "text" };
    parts.write(&workspace.path().join("letters.gguf"));
    workspace.ok(&["run", "suite.yaml"]);
    let samples = samples_of(&workspace.run_folder());
    let said = |at: usize| samples[at]["scores"][0]["explanation"].as_str().unwrap().to_owned();
    // By hand: 1/(1 + exp(−0.5 − 2)), 1/(1 + exp(−0.5)), 1/(1 + exp(−0.5)).
    assert_eq!(
        [said(0), said(1), said(2)],
        ["`z` 0.92, `q` 0.08", "`q` 0.62, `z` 0.38", "`z` 0.62, `q` 0.38; expected `q`"]
    );
}

#[test]
fn the_base_is_found_beside_the_classifier_in_models_or_where_the_suite_says() {
    let labels = likeliest(&by_hand());
    let elsewhere = |scorer: &str, to: &str| {
        let workspace = workspace(&labels, scorer);
        std::fs::create_dir_all(workspace.path().join("models")).unwrap();
        workspace.write("m.yaml", "otherwise: x");
        let suite = workspace.read("suite.yaml");
        workspace.write("suite.yaml", suite.replace(&model().display().to_string(), "{scripted: m.yaml}"));
        std::fs::copy(model(), workspace.path().join(to)).unwrap();
        let run = workspace.ok(&["run", "suite.yaml", "--format", "json"]).stdout;
        assert!((metric(&run, "label.accuracy") - 1.0).abs() < 1e-12, "{to}");
    };
    elsewhere("label: {classifier: kinds.gguf, context: 128}", "tripos-tiny.gguf");
    elsewhere("label: {classifier: kinds.gguf, context: 128}", "models/tripos-tiny.gguf");
    elsewhere("label: {classifier: kinds.gguf, context: 128, model: other.gguf}", "other.gguf");
}

#[test]
fn a_prompt_that_does_not_fit_is_an_error_when_checked_and_unscored_when_run() {
    let workspace = workspace(&likeliest(&by_hand()), "label: {classifier: kinds.gguf, context: 16}");
    let checked = workspace.tripos(&["check", "suite.yaml"]);
    assert_eq!(checked.code, Some(2));
    let first: Vec<&str> = checked.stderr.lines().take(3).collect();
    insta::assert_snapshot!(first.join("\n"), @r"
    error: prompt does not fit the classifier of scorer `label`: 19 tokens for a context of 16
      --> suite.yaml:17:5 (variant `plain`, case `c0`)
      help: set `context: 19` or more: `label: {classifier: …, context: 19}`
    ");
    let run = workspace.tripos(&["run", "suite.yaml"]);
    let samples = samples_of(&workspace.run_folder());
    let reasons = samples.iter().filter_map(|sample| sample["scores"][0]["value"]["unscored"].as_str());
    assert!(
        reasons.clone().count() > 0 && reasons.clone().all(|reason| reason.contains("> 16 context tokens")),
        "{run:?}"
    );
}

/// What `check` says of the suite, after a change to the classifier's file.
fn checked(scorer: &str, targets: &[&str], change: impl FnOnce(&Path)) -> String {
    let workspace = workspace(targets, scorer);
    change(&workspace.path().join("kinds.gguf"));
    let said = workspace.tripos(&["check", "suite.yaml"]);
    assert_eq!(said.code, Some(2), "{}\n{}", said.stdout, said.stderr);
    said.stderr.replace(&model().display().to_string(), "MODEL").replace(&sha256_file(&model()).unwrap(), "HASH")
}

#[test]
fn what_is_wrong_with_a_classifier_is_said_with_its_place_and_a_way_to_mend_it() {
    let targets = ["sport"; 8];
    let wrong = |change: &dyn Fn(&Path)| checked(SCORER, &targets, change);
    let tiny = model();
    insta::assert_snapshot!(wrong(&|path| assert!(std::fs::copy(&tiny, path).is_ok())), @r"
    error: `kinds.gguf` is no classifier that can be used: it has no `tripos.classifier.head`
      --> suite.yaml:15:5 (scorer `label`)
      help: a recipe of `kind: classify` trains one, and keeps its head in the file
    ");
    insta::assert_snapshot!(wrong(&|path| std::fs::remove_file(path).unwrap()), @r"
    error: cannot read the classifier `kinds.gguf`: No such file or directory (os error 2)
      --> suite.yaml:15:13
      help: check the path; what a file names is relative to that file
    ");
    insta::assert_snapshot!(wrong(&|path| std::fs::write(path, "no GGUF").unwrap()), @r"
    error: this is not a GGUF file: it looks like plain text
      --> kinds.gguf
      help: name the `.gguf` file itself; a server may also have sent an error message instead
    ");
    let other = ("0".repeat(64), "tripos-tiny.gguf");
    insta::assert_snapshot!(wrong(&|path| Parts { base: other.clone(), ..Parts::new(&tiny) }.write(path)), @r"
    error: `kinds.gguf` was trained on another model than `MODEL`: on one with SHA-256 0000000000000000000000000000000000000000000000000000000000000000, and this has HASH
      --> suite.yaml:15:5
      help: name its own model (`tripos-tiny.gguf`): `label: {classifier: …, model: FILE}`; or train another on this one
    ");
    insta::assert_snapshot!(wrong(&|path| Parts { head: vec![0.0; 300], ..Parts::new(&tiny) }.write(path)), @r"
    error: the head of `kinds.gguf` reads states of 100 numbers, and those of `MODEL` have 256
      --> suite.yaml:15:5
      help: the file was put together wrongly: train it again
    ");
    insta::assert_snapshot!(wrong(&|path| Parts { bias: vec![0.0; 2], ..Parts::new(&tiny) }.write(path)), @r"
    error: `kinds.gguf` is no classifier that can be used: 3 labels have 2 biases and a head of 768 numbers
      --> suite.yaml:15:5 (scorer `label`)
      help: the file may be damaged: train it again, or take another copy of it
    ");
}

#[test]
fn labels_that_do_not_go_with_the_classifier_are_refused() {
    let nothing = |_: &Path| ();
    let scorer = "label: {classifier: kinds.gguf, labels: [sport, nws, art]}";
    insta::assert_snapshot!(checked(scorer, &["sport"; 8], nothing), @r"
    error: the scorer's labels are art, nws, sport; those of the classifier are art, news, sport
      --> suite.yaml:15:5 (scorer `label`)
      help: leave `labels` out: a classifier brings its own
    ");
    insta::assert_snapshot!(checked(SCORER, &["weather"; 8], nothing), @r"
    error: no case has a target that the classifier knows; its labels are art, news, sport
      --> suite.yaml:15:5 (scorer `label`)
      help: a target is a label letter by letter; one of them is `weather`
    ");
    insta::assert_snapshot!(checked("label: {classifier: kinds.gguf, by: likelihood}", &["sport"; 8], nothing), @r"
    error: `scorers[0].label`: a `classifier` finds the label by itself: drop `by` and `delimiter`
      --> suite.yaml:15:5
    ");
    insta::assert_snapshot!(checked("label: {classifer: kinds.gguf}", &["sport"; 8], nothing), @r"
    error: unknown field `classifer` in scorer `label`
      --> suite.yaml:15:13
      help: did you mean `classifier`? (by, classifier, context, delimiter, labels, model)
    ");
    insta::assert_snapshot!(checked("label: {classifier: kinds.gguf, answer: {take: text}}", &["sport"; 8], nothing), @r"
    error: scorer `label` judges by a classifier: nothing is said that an `answer` could be read from
      --> suite.yaml:15:5
      help: drop its `answer`
    ");
    // A target that only some cases have leaves those unscored.
    let workspace = workspace(&["weather", "art", "art", "art", "art", "art", "art", "art"], SCORER);
    workspace.tripos(&["run", "suite.yaml"]);
    let first = &samples_of(&workspace.run_folder())[0];
    assert_eq!(
        first["scores"][0]["value"]["unscored"],
        "the target `weather` is not among the labels art, news, sport"
    );
}

#[test]
fn without_its_base_a_classifier_cannot_be_asked() {
    let workspace = workspace(&["sport"; 8], SCORER);
    workspace.write("m.yaml", "otherwise: x");
    let suite = workspace.read("suite.yaml");
    workspace.write("suite.yaml", suite.replace(&model().display().to_string(), "{scripted: m.yaml}"));
    let said = workspace.tripos(&["check", "suite.yaml"]);
    assert!(said.stderr.contains("was trained on another model than `m.yaml`"), "{}", said.stderr);
    workspace.write("suite.yaml", suite.replace("kinds.gguf}", "kinds.gguf, model: gone.gguf}"));
    let said = workspace.tripos(&["check", "suite.yaml"]);
    assert!(said.stderr.contains("cannot read the model `gone.gguf`"), "{}", said.stderr);
}

#[test]
fn a_classifier_that_learned_from_chats_is_warned_of_a_text() {
    let workspace = workspace(&["sport"; 8], SCORER);
    Parts { render: "chat", ..Parts::new(&model()) }.write(&workspace.path().join("kinds.gguf"));
    insta::assert_snapshot!(workspace.ok(&["check", "suite.yaml"]).stderr, @r"
    warning: the classifier of scorer `label` learned from chats, and this prompt is a text
      --> suite.yaml:17:5 (variant `plain`)
      help: ask in a chat (a prompt file `.yaml`), or train the classifier on texts
    ");
}

#[test]
fn table_case_and_page_show_labels_without_a_completion() {
    let workspace = workspace(&likeliest(&by_hand()), SCORER);
    let table = workspace.ok(&["run", "suite.yaml"]).stdout;
    assert!(table.contains("label.accuracy"), "{table}");
    let folder = workspace.run_folder();
    let shown = workspace.ok(&["show", &folder.display().to_string(), "--case", "c0"]).stdout;
    assert!(!shown.contains("not asked") && shown.contains("label: "), "{shown}");
    let Some(program) = find() else {
        println!("skipped: no Chromium on the path");
        return;
    };
    let mut browser = Chromium::start(&program).unwrap();
    browser.open(&folder.join("report.html"), "#case=c0").unwrap();
    browser.wait("document.querySelector('#case[open] .scores meter') !== null").unwrap();
    let rows = browser
        .eval("[...document.querySelectorAll('#case .scores .likelihood tr')].map((row) => row.textContent).join('|')");
    let rows = rows.unwrap();
    let rows = rows.as_str().unwrap();
    assert!(LABELS.iter().all(|label| rows.contains(label)) && rows.contains('▸') && rows.contains("target"), "{rows}");
    assert_eq!(browser.eval("document.querySelector('#case').textContent.includes('not asked')").unwrap(), false);
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}
