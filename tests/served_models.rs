//! What a model behind servers is: which suites' words make one of two or two of one, what a fleet has in common, and the way
//! to them.

use crate::endpoints::{BY_TEXT, echoing, ran, served, tripos};
use crate::stub_server::{Reply, Seen, Stub};
use crate::workspace::{Workspace, said, samples_of};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn sums() -> Stub {
    Stub::start(|seen| Reply::say(seen, &seen.sum()))
}

/// A server whose software says who it is, and who answers in this way.
fn owned(by: &'static str, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Stub {
    Stub::bare(move |seen| match seen.line.as_str() {
        "GET /v1/models" => Reply::json(200, &json!({"data": [{"id": "m", "owned_by": by}]})),
        _ => answer(seen),
    })
}

/// Answers that were given to other questions must not stand in for these.
#[test]
fn other_variables_of_a_template_and_other_settings_taken_are_other_models_in_the_cache() {
    let stub = sums();
    let workspace = Workspace::new();
    let asked = |takes: &str, vars: &str| {
        let rest = format!(
            "template_vars: {{thinking: {vars}}}\nscorers: [number]\nvariants:\n  - {{name: chat, prompt: chat.yaml}}\n"
        );
        let model = format!("endpoint: {}, cache: true, takes: [{takes}]", stub.url());
        let suite = served(2, &model, &rest);
        for file in ["suite.yaml", "chat.yaml"] {
            workspace.write(file, suite.read(file));
        }
        let before = stub.posts().len();
        ran(&workspace, &["--quiet"]);
        stub.posts().len() - before
    };
    let kwargs = "chat_template_kwargs";
    assert_eq!([asked(kwargs, "true"), asked(kwargs, "true")], [2, 0]);
    assert_eq!([asked(kwargs, "false"), asked(kwargs, "false")], [2, 0]);
    // A setting that is taken is sent as off, which the server's own default may not be.
    assert_eq!([asked("chat_template_kwargs, top_k", "true"), asked(kwargs, "true")], [2, 0]);
    assert_eq!(stub.posts()[4].body["top_k"], json!(0));
}

#[test]
fn a_server_that_is_named_twice_is_one_model_with_one_limit() {
    let stub = Stub::start(|seen| Reply::Late(Duration::from_millis(20), Box::new(Reply::say(seen, &seen.sum()))));
    let model = format!("{{endpoint: {}, concurrency: 2}}", stub.url());
    let rest = format!(
        "scorers: [number]\nvariants:\n  - {{name: one, prompt: text.txt, model: {model}}}\n  - {{name: two, prompt: text.txt, model: {model}}}\n"
    );
    let workspace = served(10, "scripted: model.yaml", &rest);
    workspace.write("model.yaml", "otherwise: x\n");
    ran(&workspace, &["--quiet"]);
    assert_eq!(stub.all().len() - stub.posts().len(), 1, "it is met once");
    assert!(stub.most_busy() <= 2, "{} in flight", stub.most_busy());
    assert_eq!(samples_of(&workspace.run_folder()).len(), 20);
}

#[test]
fn a_fleet_takes_what_all_of_its_servers_take() {
    let (llama, vllm) = (owned("llamacpp", |seen| Reply::say(seen, &seen.sum())), owned("vllm", |_| Reply::Nothing));
    let rest = |setting: &str| {
        format!("scorers: [number]\nvariants:\n  - {{name: text, prompt: text.txt, sampling: {{{setting}}}}}\n")
    };
    let model = format!("endpoint: [{}, {}], retries: 0", llama.url(), vllm.url());
    let refused = tripos(&served(1, &model, &rest("grammar: 'root ::= [0-9]+'")), &["run", "suite.yaml"]);
    assert_eq!((refused.code, llama.posts().len() + vllm.posts().len()), (Some(2), 0));
    assert!(refused.stderr.contains("error: the server is not known to take `grammar`"), "{}", refused.stderr);
    // Both know top-k, each a repeat penalty of its own name.
    let well = owned("vllm", |seen| Reply::say(seen, &seen.sum()));
    let model = format!("endpoint: [{}, {}]", llama.url(), well.url());
    ran(&served(4, &model, &rest("temperature: 1, top_k: 40")), &["--quiet"]);
    let posts = [llama.posts(), well.posts()].concat();
    assert_eq!(posts.len(), 4);
    for seen in posts {
        let penalties = ["repeat_penalty", "repetition_penalty"].map(|name| seen.body.get(name).cloned());
        assert_eq!((&seen.body["top_k"], penalties), (&json!(40), [None, None]), "{}", seen.body);
    }
}

#[test]
fn each_server_of_a_fleet_must_echo() {
    let (echoes, mute) = (Stub::start(|seen| echoing(seen, 0)), Stub::start(|seen| Reply::say(seen, "x")));
    let rest = "scorers:\n  - perplexity\nvariants:\n  - {name: text, prompt: text.txt}\n";
    let workspace = served(2, &format!("endpoint: [{}, {}]", echoes.url(), mute.url()), rest);
    let refused = tripos(&workspace, &["run", "suite.yaml"]);
    assert_eq!((refused.code, workspace.run_folders().len()), (Some(2), 0));
    let stderr = refused.stderr.replace(&mute.url(), "SECOND");
    assert!(stderr.contains("SECOND does not say how likely a given text is"), "{stderr}");
}

#[test]
fn a_server_that_loads_for_an_hour_is_not_waited_for() {
    let stub = Stub::bare(|_| {
        let loading = Reply::json(503, &json!({"error": {"message": "Loading model"}}));
        Reply::With("Retry-After: 3600".into(), Box::new(loading))
    });
    let workspace = served(1, &format!("endpoint: {}, timeout_s: 5", stub.url()), BY_TEXT);
    let began = Instant::now();
    let refused = tripos(&workspace, &["run", "suite.yaml"]);
    assert!(began.elapsed() < Duration::from_mins(1));
    assert_eq!((refused.code, stub.all().len()), (Some(2), 1));
    insta::assert_snapshot!(refused.stderr.replace(&stub.url(), "URL"), @r"
    error: URL/models answers 503: Loading model; it asks to wait 3600 s
      --> suite.yaml:2:1
      help: ask again in 3600 s, or set a longer `timeout_s`
    ");
}

#[test]
fn a_stream_without_end_is_cut_and_is_no_answer() {
    let stub = Stub::start(|_| {
        let piece = crate::stub_server::event(false, &"x".repeat(1 << 20));
        Reply::Stream(vec![piece; 80], Duration::ZERO)
    });
    let workspace = served(1, &format!("endpoint: {}, retries: 0", stub.url()), BY_TEXT);
    assert_eq!(tripos(&workspace, &["run", "suite.yaml", "--quiet"]).code, Some(2), "every case is unscored");
    let sample = samples_of(&workspace.run_folder()).remove(0);
    let reason = crate::endpoints::value(&sample)["unscored"].as_str().unwrap().replace(&stub.url(), "URL");
    assert!(reason.contains("it is larger than 64 MiB"), "{reason}");
}

#[test]
fn a_proxy_is_asked_for_what_no_proxy_does_not_except() {
    let proxy = Stub::bare(|seen| match seen.line.as_str() {
        "GET http://model.invalid/v1/models" => Reply::json(200, &json!({"data": [{"id": "m"}]})),
        _ => Reply::say(seen, &seen.sum()),
    });
    let workspace = served(2, "endpoint: 'http://model.invalid/v1', retries: 0", BY_TEXT);
    let address = format!("http://127.0.0.1:{}", proxy.port);
    let ask = |except: &str| {
        let mut command = workspace.command(&["run", "suite.yaml"]);
        for name in ["http_proxy", "no_proxy", "HTTPS_PROXY", "https_proxy"] {
            command.env_remove(name);
        }
        said(&command.env("HTTP_PROXY", &address).env("NO_PROXY", except).output().unwrap())
    };
    let through = ask("localhost");
    assert_eq!(through.code, Some(0), "{}", through.stderr);
    let lines: Vec<String> = proxy.posts().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["POST http://model.invalid/v1/completions"; 2]);
    let around = ask(".invalid");
    assert_eq!((around.code, proxy.posts().len()), (Some(2), 2));
    assert!(around.stderr.contains("http://model.invalid/v1/models cannot be reached"), "{}", around.stderr);
}

/// The identity that a record keeps.
#[test]
fn a_record_says_which_servers_and_not_how_they_are_asked() {
    let stub = sums();
    let of = |extra: &str| -> Value {
        let workspace = served(1, &format!("endpoint: {}{extra}", stub.url()), BY_TEXT);
        let json = ran(&workspace, &["--quiet", "--format", "json"]).stdout;
        serde_json::from_str::<Value>(&json).unwrap()["variants"][0]["model"]["sha256"].clone()
    };
    assert_eq!(of(""), of(", concurrency: 3, retries: 1, timeout_s: 9, stream: false"));
    assert_ne!(of(""), of(", takes: [top_k]"));
}
