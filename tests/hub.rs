//! Models from the hub, through the real program: pulled, found, listed, removed, and asked in suites and recipes.

use crate::hub_server::{COMMIT, FakeHub, Reply, Server, command, noise, part, sha256};
use crate::models::random_adapter;
use crate::workspace::{Workspace, model, root, said};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const URI: &str = "hf://o/r/tiny-q8_0.gguf";
/// Nobody listens there.
const DEAD: &str = "http://127.0.0.1:9";

fn tiny() -> Vec<u8> {
    std::fs::read(model()).unwrap()
}

fn with_tiny() -> FakeHub {
    FakeHub::right(&[("README.md", b"# r".to_vec()), ("tiny-q8_0.gguf", tiny())])
}

fn snapshot(workspace: &Workspace, file: &str) -> PathBuf {
    workspace.path().join("hf/hub/models--o--r/snapshots").join(COMMIT).join(file)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A suite on a model from the hub, and its prompt.
fn suite(model: &str) -> Workspace {
    let workspace = Workspace::llama();
    let text = workspace.read("suite.yaml").replace(&crate::workspace::model().display().to_string(), model);
    workspace.write("suite.yaml", text);
    workspace
}

#[test]
fn a_model_is_pulled_into_the_layout_that_other_tools_use() {
    let (hub, workspace) = (with_tiny(), Workspace::new());
    let said = hub.ok(&workspace, &["model", "pull", URI, "--format", "json"]);
    let pulled = json(&said.stdout);
    let (path, sha) = (snapshot(&workspace, "tiny-q8_0.gguf"), sha256(&tiny()));
    assert_eq!(pulled["path"], path.to_str().unwrap());
    assert_eq!((&pulled["downloaded"], &pulled["bytes"]), (&tiny().len().into(), &tiny().len().into()));
    assert_eq!(pulled["sha256"], sha);
    let repo = workspace.path().join("hf/hub/models--o--r");
    assert_eq!(std::fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(std::fs::read(&path).unwrap(), tiny());
    #[cfg(unix)]
    assert_eq!(std::fs::read_link(&path).unwrap(), PathBuf::from("../../blobs").join(&sha));
    let blobs: Vec<_> =
        std::fs::read_dir(repo.join("blobs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(blobs, [sha.as_str()], "nothing half is left, and no note");
    // Again: the hub is asked what is there, and no byte comes.
    let again = json(&hub.ok(&workspace, &["model", "pull", URI, "--format", "json"]).stdout);
    assert_eq!((&again["downloaded"], &again["path"]), (&0.into(), &pulled["path"]));
    assert_eq!(hub.bytes.asked("/bytes/").len(), 1);
}

#[test]
fn files_that_other_tools_put_there_are_found_without_a_network() {
    let workspace = Workspace::new();
    let repo = workspace.path().join("hf/hub/models--o--r");
    let (blob, commit) = (repo.join("blobs").join(sha256(&tiny())), "f".repeat(40));
    for folder in ["blobs".to_owned(), "refs".to_owned(), format!("snapshots/{commit}/sub")] {
        std::fs::create_dir_all(repo.join(folder)).unwrap();
    }
    std::fs::write(&blob, tiny()).unwrap();
    // As huggingface_hub writes it: with no line break.
    std::fs::write(repo.join("refs/main"), &commit).unwrap();
    std::fs::hard_link(&blob, repo.join(format!("snapshots/{commit}/sub/t.gguf"))).unwrap();
    let ask = |arguments: &[&str]| said(&command(&workspace, DEAD, arguments).output().unwrap());
    let shown = ask(&["model", "show", "hf://o/r/sub/t.gguf", "--format", "json"]);
    assert_eq!(json(&shown.stdout)["architecture"], "llama", "{}", shown.stderr);
    let listed = json(&ask(&["model", "list", "--format", "json"]).stdout);
    let entry = &listed["models"][0];
    assert_eq!((&entry["uri"], &entry["quantisation"]), (&"hf://o/r/sub/t.gguf".into(), &"Q8_0".into()));
    assert_eq!((&entry["complete"], &entry["bytes"]), (&true.into(), &tiny().len().into()));
    assert!(entry["used"].as_str().unwrap().starts_with("20"), "{entry}");
}

#[test]
fn the_cache_may_lie_elsewhere_and_nobody_is_asked_where_that_is_forbidden() {
    let (hub, workspace) = (with_tiny(), suite(URI));
    let elsewhere = workspace.path().join("models of all");
    let ask = |offline: &str, arguments: &[&str]| {
        let mut command = hub.command(&workspace, arguments);
        said(&command.env("HF_HUB_CACHE", &elsewhere).env("HF_HUB_OFFLINE", offline).output().unwrap())
    };
    let run = ["run", "suite.yaml", "--limit", "1"];
    let refused = ask("1", &run);
    assert_eq!((refused.code, hub.hub.asked("").len()), (Some(2), 0));
    insta::assert_snapshot!(refused.stderr, @r"
    error: HF_HUB_OFFLINE is set, so nobody is asked
      --> suite.yaml:2:1 (hf://o/r/tiny-q8_0.gguf)
      help: unset it, or name a model that is here: tripos model list
    ");
    let checked = ask("yes", &["check", "suite.yaml"]);
    assert!(checked.code == Some(0) && checked.stderr.contains("cannot be now (HF_HUB_OFFLINE is set"), "{checked:?}");
    let pulled = ask("0", &["model", "pull", URI, "--format", "json"]);
    let path = elsewhere.join("models--o--r/snapshots").join(COMMIT).join("tiny-q8_0.gguf");
    assert_eq!(json(&pulled.stdout)["path"], path.to_str().unwrap(), "{}", pulled.stderr);
    let asked = hub.hub.asked("").len();
    let ran = ask("TRUE", &run);
    assert_eq!((ran.code, hub.hub.asked("").len()), (Some(0), asked), "{}", ran.stderr);
}

#[test]
fn a_suite_asks_a_model_from_the_hub_and_the_run_keeps_its_name_beside_its_file() {
    let (hub, workspace) = (with_tiny(), suite(URI));
    let plain = Workspace::llama();
    let reference = json(&plain.ok(&["run", "suite.yaml", "--format", "json"]).stdout);
    let ran = hub.ok(&workspace, &["run", "suite.yaml"]);
    assert!(ran.stdout.contains(&format!("model {URI} (sha256 {}…)", &sha256(&tiny())[..12])), "{}", ran.stdout);
    assert!(ran.stderr.contains("downloading tiny-q8_0.gguf (3.2 MiB)"), "{}", ran.stderr);
    let header = json(&std::fs::read_to_string(workspace.run_folder().join("header.json")).unwrap());
    let record = &header["models"]["greedy"];
    let path = snapshot(&workspace, "tiny-q8_0.gguf");
    assert_eq!((&record["uri"], &record["path"]), (&URI.into(), &path.to_str().unwrap().into()));
    // With the model here nobody is asked, and the answers are those of the same file under its path.
    let asked = hub.hub.asked("").len();
    let again = said(&command(&workspace, DEAD, &["run", "suite.yaml", "--format", "json"]).output().unwrap());
    let again = json(&again.stdout);
    assert_eq!(hub.hub.asked("").len(), asked);
    assert_eq!(again["variants"][0]["model"]["uri"], URI);
    for variant in [0, 1] {
        assert_eq!(again["variants"][variant]["metrics"], reference["variants"][variant]["metrics"]);
    }
    // And the run goes on under the name.
    let folder = workspace.run_folders().remove(0);
    let resumed = command(&workspace, DEAD, &["run", "--resume", folder.to_str().unwrap()]).output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{}", String::from_utf8_lossy(&resumed.stderr));
}

#[test]
fn the_model_flag_takes_a_name_and_leaves_the_suites_own_alone() {
    let (hub, workspace) = (with_tiny(), suite("hf://o/r/never.gguf"));
    let ran = hub.ok(&workspace, &["run", "suite.yaml", "--model", URI, "--limit", "1", "--format", "json"]);
    assert_eq!(json(&ran.stdout)["variants"][0]["model"]["uri"], URI);
    let folder = workspace.run_folder();
    let resumed =
        command(&workspace, DEAD, &["run", "--resume", folder.to_str().unwrap(), "--model", URI]).output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{}", String::from_utf8_lossy(&resumed.stderr));
}

#[test]
fn every_place_of_a_suite_that_names_a_model_may_name_one_of_the_hub() {
    let (hub, workspace) = (with_tiny(), Workspace::new());
    workspace.write("p.txt", "Q: {{ q }}\nA:");
    workspace.write("j.txt", "{{ completion }}\nGood:");
    workspace.write(
        "s.yaml",
        format!(
            "suite: s\nsampling: {{max_tokens: 4}}\ncases: [{{vars: {{q: Hi}}}}]\nscorers:\n  - judge_model: {{model: {URI}, prompt: j.txt, choices: [yes, no]}}\n\
             variants:\n  - {{name: own, prompt: p.txt, model: {URI}@v1}}\nmatrix: {{prompt: [p.txt], model: [{}, '{URI}']}}\n",
            model().display()
        ),
    );
    let run = json(&hub.ok(&workspace, &["run", "s.yaml", "--format", "json"]).stdout);
    let names: Vec<_> = run["variants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["name"].as_str().unwrap(), v["model"]["uri"].as_str()))
        .collect();
    assert_eq!(names, [("own", Some(URI)), ("p/tripos-tiny", None), ("p/tiny-q8_0", Some(URI))]);
    // Two names, one set of bytes; the run calls them by the first.
    assert_eq!(hub.bytes.asked("/bytes/").len(), 1);
}

#[test]
fn flags_that_name_a_file_take_a_name_of_the_hub() {
    let workspace = Workspace::new();
    let adapter = workspace.path().join("adapter.gguf");
    random_adapter(&model(), &adapter);
    let reward = root().join("models/tripos-tiny-reward.gguf");
    let read = |path: &Path| std::fs::read(path).unwrap();
    let hub =
        FakeHub::right(&[("tiny.gguf", tiny()), ("adapter.gguf", read(&adapter)), ("reward.gguf", read(&reward))]);
    let (here, there) = (adapter.display().to_string(), "hf://o/r/adapter.gguf@v1=0.5");
    let natural = |model: &str, adapter: &str| -> Value {
        let told = ["lm", "natural", "What is this?", "--format", "json", "--model", model, "--adapter", adapter];
        json(&hub.ok(&workspace, &told).stdout)["texts"][0]["logprob"].clone()
    };
    let local = model().display().to_string();
    assert_eq!(natural("hf://o/r/tiny.gguf", there), natural(&local, &format!("{here}=0.5")));
    assert_ne!(natural(&local, &here), natural(&local, &format!("{here}=0.5")), "the scale counts");
    let judged = |reward: &str| -> Value {
        let asked = ["judge", "--prompt", "Hi", "--completion", "Hello.", "--format", "json", "--reward", reward];
        json(&hub.ok(&workspace, &asked).stdout)["items"][0]["reward"].clone()
    };
    assert_eq!(judged("hf://o/r/reward.gguf"), judged(reward.to_str().unwrap()));
    // What is here is not asked for again.
    let asked = hub.hub.asked("").len();
    let mut chat = hub.command(&workspace, &["chat", "hf://o/r/tiny.gguf", "--reward", "hf://o/r/reward.gguf"]);
    let answer = said(&chat.stdin(Stdio::from(std::fs::File::open(question(&workspace)).unwrap())).output().unwrap());
    assert!(answer.code == Some(0) && answer.stderr.contains("(reward "), "{answer:?}");
    assert_eq!(hub.hub.asked("").len(), asked);
}

/// A file to be read as stdin.
fn question(workspace: &Workspace) -> PathBuf {
    workspace.write("question.txt", "What is 47 + 38?\n");
    workspace.path().join("question.txt")
}

#[test]
fn check_and_dry_run_download_nothing_and_say_what_would_be() {
    let (hub, workspace) = (with_tiny(), suite(URI));
    let checked = hub.ok(&workspace, &["check", "suite.yaml"]);
    insta::assert_snapshot!(checked.stderr + &checked.stdout, @r"
    note: `hf://o/r/tiny-q8_0.gguf` is not on this machine: 3.2 MiB would be downloaded
      --> suite.yaml:2:1
      help: to have it now: tripos model pull hf://o/r/tiny-q8_0.gguf
    suite.yaml: ok (2 variants, 12 cases)
    ");
    insta::assert_snapshot!(hub.ok(&workspace, &["run", "suite.yaml", "--dry-run", "-q"]).stdout, @r"
    sums: 24 trials; models that are not here yet:
      hf://o/r/tiny-q8_0.gguf: 3.2 MiB would be downloaded
    the prompts can be shown once they are
    ");
    let dry = json(&hub.ok(&workspace, &["run", "suite.yaml", "--dry-run", "-q", "--format", "json"]).stdout);
    assert_eq!((&dry["trials"], &dry["downloads"][0]["uri"]), (&24.into(), &URI.into()));
    assert_eq!(hub.bytes.asked("").len(), 0);
    assert!(!workspace.path().join("hf").exists(), "not even a folder was made");
    // A name that the hub does not know is an error already there, at its line; a hub that cannot be asked is none.
    let wrong = suite("hf://o/r/tiny-q4_0.gguf");
    insta::assert_snapshot!(hub.tripos(&wrong, &["check", "suite.yaml"]).stderr, @r"
    error: o/r has no file `tiny-q4_0.gguf`
      --> suite.yaml:2:1 (hf://o/r/tiny-q4_0.gguf)
      help: did you mean `tiny-q8_0.gguf`? (tiny-q8_0.gguf)
    ");
    let offline = command(&workspace, DEAD, &["check", "suite.yaml"]).output().unwrap();
    assert_eq!(offline.status.code(), Some(0));
    insta::assert_snapshot!(String::from_utf8_lossy(&offline.stderr).replace(" (os error 111)", ""), @r"
    note: `hf://o/r/tiny-q8_0.gguf` is not on this machine: it would be downloaded, and cannot be now (cannot reach 127.0.0.1:9: Connection refused)
      --> suite.yaml:2:1
      help: to have it now: tripos model pull hf://o/r/tiny-q8_0.gguf
    ");
}

#[test]
fn a_suite_with_errors_fetches_nothing() {
    let (hub, workspace) = (with_tiny(), suite(URI));
    workspace.write("suite.yaml", workspace.read("suite.yaml").replace("prompt: qa.txt", "prompt: gone.txt"));
    let said = hub.tripos(&workspace, &["run", "suite.yaml"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("gone.txt"), "{}", said.stderr);
    assert!(hub.hub.asked("").is_empty() && hub.bytes.asked("").is_empty());
}

#[test]
fn names_that_are_none_are_refused_at_their_line() {
    let checked = |model: &str| {
        let workspace = suite(model);
        let checked = command(&workspace, DEAD, &["check", "suite.yaml"]).output().unwrap();
        assert_eq!(checked.status.code(), Some(2));
        String::from_utf8_lossy(&checked.stderr).into_owned()
    };
    insta::assert_snapshot!(checked("hf://o/r"), @r"
    error: a repository is no model: it holds several files
      --> suite.yaml:2:1 (hf://o/r)
      help: see what it holds, with sizes: tripos model pull hf://o/r
    ");
    insta::assert_snapshot!(checked("hf://o/../r/a.gguf"), @r"
    error: `hf://o/../r/a.gguf` names no model: the owner, the repository or the revision cannot be called that
      --> suite.yaml:2:1 (hf://o/../r/a.gguf)
      help: write hf://owner/repo/file.gguf, and @revision behind it where one is meant
    ");
    insta::assert_snapshot!(checked("https://example.com/a.gguf"), @r"
    error: an address does not say which bytes are meant: what is there may change any day
      --> suite.yaml:2:1 (https://example.com/a.gguf)
      help: write `{url: https://example.com/a.gguf, sha256: …}`, or https://example.com/a.gguf#sha256=…
        tripos model pull https://example.com/a.gguf fetches it and says its SHA-256
    ");
    insta::assert_snapshot!(checked("https://huggingface.co/o/r/resolve/main/a.gguf"), @r"
    error: an address does not say which bytes are meant: what is there may change any day
      --> suite.yaml:2:1 (https://huggingface.co/o/r/resolve/main/a.gguf)
      help: write hf://o/r/a.gguf: the hub says itself which bytes they are
    ");
    insta::assert_snapshot!(checked("{url: 'https://example.com/a.gguf'}"), @r"
    error: `model` has no `sha256`
      --> suite.yaml:2:1
      help: add `sha256: …`
    ");
}

#[test]
fn an_address_is_asked_by_its_hash_wherever_it_lies() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/tiny.gguf" => part(asked, &std::fs::read(model()).unwrap()),
        _ => Reply::new("404 Not Found", "none"),
    });
    let url = format!("http://{}/tiny.gguf", server.address);
    let sha = sha256(&tiny());
    let workspace = suite(&format!("{{url: '{url}', sha256: {sha}}}"));
    let ask = |arguments: &[&str]| said(&command(&workspace, DEAD, arguments).output().unwrap());
    let ran = ask(&["run", "suite.yaml", "--limit", "1", "--format", "json"]);
    let found = json(&ran.stdout);
    assert_eq!(found["variants"][0]["model"]["uri"], format!("{url}#sha256={sha}"), "{}", ran.stderr);
    let listed = ask(&["model", "list", "--format", "json"]).stdout;
    assert_eq!(json(&listed)["models"][0]["uri"], format!("{url}#sha256={sha}"));
    // What is meant is the bytes: another address of the same ones needs no download.
    let mirror = format!("https://mirror.invalid/x.gguf#sha256={sha}");
    assert_eq!(ask(&["model", "show", &mirror]).code, Some(0));
    assert_eq!(server.asked("").len(), 1);
    // Other bytes than those that are meant are not kept.
    let wrong = format!("{url}#sha256={}", "0".repeat(64));
    let refused = ask(&["model", "pull", &wrong]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains(&format!("SHA-256 {sha}, expected 000")), "{}", refused.stderr);
    assert_eq!(json(&ask(&["model", "list", "--format", "json"]).stdout)["models"].as_array().unwrap().len(), 1);
    // Pulled without a hash it says how it is named with one.
    ask(&["model", "rm", &format!("{url}#sha256={sha}")]);
    let pulled = ask(&["model", "pull", &url]);
    assert!(pulled.stdout.contains(&format!("model: {{url: \"{url}\", sha256: {sha}}}")), "{}", pulled.stdout);
    assert_eq!(ask(&["model", "pull", &format!("{url}.gone")]).code, Some(2));
}

#[test]
fn a_repository_is_listed_with_sizes_and_what_fits() {
    let files = [
        ("README.md", vec![]),
        ("b-q8.gguf", noise(3 << 20)),
        ("sub/a-q4.gguf", noise(1 << 20)),
        ("big-00001-of-00002.gguf", noise(5 << 20)),
        ("big-00002-of-00002.gguf", noise(2 << 20)),
    ];
    let (hub, workspace) = (FakeHub::right(&files), Workspace::new());
    let text = hub.ok(&workspace, &["model", "pull", "hf://o/r"]).stdout;
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.is_empty() && !line.contains("of memory are free")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    sub/a-q4.gguf               1.0 MiB
    b-q8.gguf                   3.0 MiB
    big-00001-of-00002.gguf     7.0 MiB  2 parts
    for one of them: tripos model pull hf://o/r/big-00001-of-00002.gguf
    ");
    let listed = json(&hub.ok(&workspace, &["model", "pull", "hf://o/r", "--format", "json"]).stdout);
    let big = &listed["files"][2];
    assert_eq!((&big["uri"], &big["parts"]), (&"hf://o/r/big-00001-of-00002.gguf".into(), &2.into()));
    assert_eq!(big["bytes"], 7 << 20);
    assert_eq!(hub.bytes.asked("").len(), 0);
}

#[test]
fn a_split_model_is_one_model() {
    let (first, second) = halves();
    let (a, b) = ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf");
    let (hub, workspace) =
        (FakeHub::right(&[(a, first.clone()), (b, second.clone())]), suite(&format!("hf://o/r/{b}")));
    let run = json(&hub.ok(&workspace, &["run", "suite.yaml", "--format", "json"]).stdout);
    let plain = Workspace::llama();
    let reference = json(&plain.ok(&["run", "suite.yaml", "--format", "json"]).stdout);
    for variant in [0, 1] {
        assert_eq!(run["variants"][variant]["metrics"], reference["variants"][variant]["metrics"]);
    }
    assert!(snapshot(&workspace, a).is_file() && snapshot(&workspace, b).is_file(), "other tools find its parts");
    let listed = json(&hub.ok(&workspace, &["model", "list", "--format", "json"]).stdout);
    let models = listed["models"].as_array().unwrap();
    assert_eq!((models.len(), &models[0]["uri"]), (1, &format!("hf://o/r/{a}").into()));
    let joined = std::fs::metadata(models[0]["path"].as_str().unwrap()).unwrap().len();
    assert_eq!(models[0]["bytes"], first.len() as u64 + second.len() as u64 + joined);
    let removed = json(&hub.ok(&workspace, &["model", "rm", &format!("hf://o/r/{a}"), "--format", "json"]).stdout);
    assert_eq!((&removed["bytes"], &removed["removed"][0]), (&models[0]["bytes"], &models[0]["uri"]));
    assert_eq!(files_left(&workspace), 0);
}

/// The bundled model cut into two, as `gguf-split` cuts.
pub(crate) fn halves() -> (Vec<u8>, Vec<u8>) {
    use tripos::gguf::{Gguf, Metadata, TensorData, TensorReader, Value, write};
    let whole = Gguf::open(&model()).unwrap();
    let mut data = TensorReader::open(&whole).unwrap();
    let tensors: Vec<TensorData> = whole
        .tensors()
        .iter()
        .map(|info| TensorData {
            name: info.name.clone(),
            dims: info.dims.clone(),
            kind: info.kind,
            bytes: data.read(info).unwrap().into(),
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let half = |number: u16, metadata: &Metadata, tensors: &[TensorData]| {
        let mut metadata = metadata.clone();
        metadata.set("split.no", Value::U16(number));
        metadata.set("split.count", Value::U16(2));
        metadata.set("split.tensors.count", Value::I32(i32::try_from(whole.tensors().len()).unwrap()));
        let path = folder.path().join(number.to_string());
        write(&path, &metadata, tensors).unwrap();
        std::fs::read(path).unwrap()
    };
    let (front, back) = tensors.split_at(20);
    (half(0, whole.metadata(), front), half(1, &Metadata::default(), back))
}

/// Files under the caches that hold bytes of models.
pub(crate) fn files_left(workspace: &Workspace) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        entries
            .map(|path| {
                if path.is_dir() {
                    count(&path)
                } else {
                    usize::from(!path.ends_with("refs/main") && path.extension().is_none_or(|e| e != "lock"))
                }
            })
            .sum()
    }
    count(&workspace.path().join("hf")) + count(&workspace.path().join("cache/models"))
}

#[test]
fn what_is_listed_can_be_removed_and_nothing_else_goes() {
    let files = [("a.gguf", noise(1000)), ("same.gguf", noise(1000)), ("b.gguf", noise(2000))];
    let (hub, workspace) = (FakeHub::right(&files), Workspace::new());
    for name in ["a.gguf", "same.gguf", "b.gguf"] {
        hub.ok(&workspace, &["model", "pull", &format!("hf://o/r/{name}")]);
    }
    let listed = hub.ok(&workspace, &["model", "list"]).stdout;
    insta::assert_snapshot!(listed, @r"
    hf://o/r/a.gguf
      1.0 KiB, no GGUF that can be read, used just now
    hf://o/r/b.gguf
      2.0 KiB, no GGUF that can be read, used just now
    hf://o/r/same.gguf
      1.0 KiB, no GGUF that can be read, used just now
    ");
    // Two names of the same bytes: those stay until the last is gone.
    let removed = hub.ok(&workspace, &["model", "rm", "hf://o/r/a.gguf", "--format", "json"]).stdout;
    assert_eq!(json(&removed)["bytes"], 0);
    assert!(snapshot(&workspace, "same.gguf").is_file());
    let removed = hub.ok(&workspace, &["model", "rm", "hf://o/r/same.gguf", "--format", "json"]).stdout;
    assert_eq!(json(&removed)["bytes"], 1000);
    insta::assert_snapshot!(hub.tripos(&workspace, &["model", "rm", "hf://o/r/a.gguf"]).stderr, @r"
    error: it is not in the cache
      --> hf://o/r/a.gguf
      help: see what is: tripos model list
    ");
    let all = hub.ok(&workspace, &["model", "rm", "hf://o/r", "--format", "json"]).stdout;
    assert_eq!(json(&all)["removed"], serde_json::json!(["hf://o/r/b.gguf"]));
    assert_eq!(files_left(&workspace), 0);
    let repository = snapshot(&workspace, "b.gguf").ancestors().nth(3).unwrap().to_owned();
    assert!(repository.ends_with("models--o--r") && !repository.exists(), "no branch is left at what is gone");
    insta::assert_snapshot!(hub.ok(&workspace, &["model", "list"]).stdout, @r"
    the cache holds no model
    to have one: tripos model pull hf://owner/repo
    ");
}

#[test]
fn a_recipe_teaches_a_model_from_the_hub_and_its_way_back_is_known() {
    let (hub, workspace) = (with_tiny(), Workspace::new());
    workspace.write("rows.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}\n".repeat(4));
    workspace.write(
        "r.yaml",
        format!("recipe: r\nkind: sft\nmodel: {URI}\ndata: {{file: rows.jsonl}}\nheld_out: {{share: 0}}\nevaluate: {{every: 0}}\nsequence: 32\nbatch: 1\n"),
    );
    let checked = hub.ok(&workspace, &["check", "r.yaml"]);
    insta::assert_snapshot!(checked.stderr + &checked.stdout, @r"
    note: `hf://o/r/tiny-q8_0.gguf` is not on this machine: 3.2 MiB would be downloaded
      --> r.yaml:3:1
      help: to have it now: tripos model pull hf://o/r/tiny-q8_0.gguf
    r.yaml: ok (recipe: sft; its data is read once its models are here)
    ");
    insta::assert_snapshot!(hub.ok(&workspace, &["train", "r.yaml", "--dry-run"]).stdout, @r"
    r (sft); models that are not here yet:
      hf://o/r/tiny-q8_0.gguf: 3.2 MiB would be downloaded
    what it takes can be said once they are
    ");
    assert_eq!(hub.bytes.asked("").len(), 0);
    let trained = hub.ok(&workspace, &["train", "r.yaml", "--steps", "1", "--format", "json"]);
    let run = json(&trained.stdout)["run"].clone();
    assert_eq!(run["recipe"]["uri"], URI, "{run}");
    assert_eq!(run["base"]["sha256"], sha256(&tiny()));
    // The recipe counts by the name, not by where the cache lies.
    let folders: Vec<_> =
        std::fs::read_dir(workspace.path().join("reports/train")).unwrap().map(|e| e.unwrap().path()).collect();
    let back = said(&command(&workspace, DEAD, &["lineage", folders[0].to_str().unwrap()]).output().unwrap());
    assert!(back.stdout.contains("r.yaml") && !back.stdout.contains("CHANGED"), "{}{}", back.stdout, back.stderr);
    let checked = hub.ok(&workspace, &["check", "r.yaml"]);
    assert!(checked.stdout.starts_with("r.yaml: ok (recipe: sft, 4 documents"), "{}", checked.stdout);
}

#[test]
fn init_writes_the_name_of_a_model_into_its_suite() {
    let (hub, workspace) = (with_tiny(), Workspace::new());
    hub.ok(&workspace, &["init", "mine", "--model", URI]);
    assert!(workspace.read("mine/suite.yaml").contains(&format!("model: \"{URI}\"\n")));
    hub.ok(&workspace, &["run", "mine/suite.yaml"]);
}
