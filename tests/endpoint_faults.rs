//! What goes wrong with servers: each is said with what, where, and how to mend it; and no key is ever said.

use crate::endpoints::{BY_TEXT, ran, served, tripos, value};
use crate::stub_server::{Reply, Seen, Stub, event};
use crate::workspace::{Said, Workspace, samples_of};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// An address at which nobody listens.
fn nobody() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("127.0.0.1:{}", socket.local_addr().unwrap().port())
}

/// What is said of a suite that cannot be run on this server; no folder is made.
fn refused(model: &str, hidden: &str) -> String {
    let workspace = served(1, model, BY_TEXT);
    let said = tripos(&workspace, &["run", "suite.yaml"]);
    assert_eq!((said.code, workspace.run_folders().len()), (Some(2), 0), "{}", said.stderr);
    said.stderr.replace(hidden, "HOST")
}

/// Why the only case of a suite could not be scored by a server that answers so.
fn unscored(model: &str, answer: impl Fn() -> Reply + Send + Sync + 'static) -> String {
    let stub = Stub::start(move |_| answer());
    let workspace = served(1, &format!("endpoint: {}, retries: 0{model}", stub.url()), BY_TEXT);
    let said = tripos(&workspace, &["run", "suite.yaml"]);
    assert_eq!(said.code, Some(2), "every case is unscored: {}", said.stderr);
    let samples = samples_of(&workspace.run_folder());
    value(&samples[0])["unscored"].as_str().unwrap().replace(&stub.url(), "URL")
}

#[test]
fn a_server_that_is_not_there_is_said_before_the_run() {
    let host = nobody();
    insta::assert_snapshot!(refused(&format!("endpoint: http://{host}/v1"), &host), @r"
    error: http://HOST/v1/models cannot be reached: Connection refused (os error 111)
      --> suite.yaml:2:1
      help: is the server running? curl http://HOST/v1/models; a proxy is passed by with NO_PROXY
    ");
    let stub = Stub::start(|_| Reply::Nothing);
    let host = format!("127.0.0.1:{}", stub.port);
    insta::assert_snapshot!(refused(&format!("endpoint: https://{host}/v1"), &host), @r"
    error: no secure connection to https://HOST/v1/models: received corrupt message of type InvalidContentType
      --> suite.yaml:2:1
      help: an address without encryption begins with http://; the server's certificate must be one that this system trusts
    ");
}

#[test]
fn a_page_in_the_place_of_json_is_said_before_the_run() {
    let page = |status: u16| {
        let body = "<!doctype html><title>Log in</title>".to_owned();
        Stub::bare(move |_| Reply::Whole(status, "text/html; charset=utf-8", body.clone()))
    };
    let stub = page(200);
    let host = format!("127.0.0.1:{}", stub.port);
    insta::assert_snapshot!(refused(&format!("endpoint: http://{host}"), &host), @r"
    error: http://HOST/models answers with a web page, not with JSON
      --> suite.yaml:2:1
      help: the address of the API mostly ends in /v1; a login page or a proxy answers, too
    ");
    let stub = page(403);
    let stderr = refused(&format!("endpoint: {}", stub.url()), "nothing");
    assert!(stderr.contains("/models answers 403: a web page"), "{stderr}");
    let moved = Stub::bare(|_| {
        Reply::With("Location: https://example.org/v1".into(), Box::new(Reply::Whole(308, "text/plain", String::new())))
    });
    let stderr = refused(&format!("endpoint: {}", moved.url()), "nothing");
    assert!(stderr.contains("/models answers 308: moved to https://example.org/v1"), "{stderr}");
}

/// As seen of gateways: an empty reason in every piece, a space behind the last, nulls for lists, errors without a status.
#[test]
fn odd_streams_are_read_as_they_are_meant() {
    let chunk = |text: &str| json!({"choices": [{"index": 0, "text": text, "finish_reason": ""}]}).to_string();
    let end = json!({"choices": [{"index": 0, "text": "", "finish_reason": "length"}], "usage": null}).to_string();
    let usage = json!({"choices": null, "usage": {"prompt_tokens": 3, "completion_tokens": null}}).to_string();
    let events = [chunk(" It is"), chunk(" 2."), end, chunk(""), usage, "[DONE] ".to_owned()];
    let stub = Stub::start(move |_| Reply::Stream(events.to_vec(), Duration::ZERO));
    let workspace = served(1, &format!("endpoint: {}", stub.url()), BY_TEXT);
    ran(&workspace, &["--quiet"]);
    let sample = samples_of(&workspace.run_folder()).remove(0);
    assert_eq!(
        (&sample["completion"]["text"], &sample["completion"]["stop_reason"]),
        (&json!(" It is 2."), &json!("length"))
    );
    let broken = move || Reply::Cut(vec![chunk(" It is"), chunk(" 2.")]);
    let reason = unscored("", broken);
    assert!(reason.contains("broke off"), "an empty reason is no end: {reason}");
    let said = || Reply::json(200, &json!({"object": "error", "message": "too long", "code": 400}));
    let reason = unscored("", said);
    assert!(reason.starts_with("URL/completions answers 400: too long"), "{reason}");
    let kind = || Reply::json(200, &json!({"error": {"type": "invalid_request_error", "message": "no such field"}}));
    let reason = unscored("", kind);
    assert!(reason.starts_with("URL/completions answers 400: no such field;"), "{reason}");
}

/// The commonest mistake: an address without `/v1`.
#[test]
fn where_there_is_no_list_of_models_the_address_is_doubted_unless_the_model_is_named() {
    let stub = Stub::bare(|seen| match seen.line.as_str() {
        "GET /v1/models" | "GET /models" => Reply::json(404, &json!({"detail": "Not Found"})),
        _ => Reply::say(seen, &seen.sum()),
    });
    let host = format!("127.0.0.1:{}", stub.port);
    insta::assert_snapshot!(refused(&format!("endpoint: http://{host}"), &host), @r"
    error: http://HOST/models answers 404: Not Found
      --> suite.yaml:2:1
      help: look at the address, which mostly ends in /v1, and at the model's `name`
    ");
    ran(&served(1, &format!("endpoint: {}, name: m", stub.url()), BY_TEXT), &["--quiet"]);
}

#[test]
fn a_wrong_name_is_said_with_those_that_there_are() {
    let models = json!({"data": [{"id": "qwen2.5-7b"}, {"id": "llama3.2:latest"}]});
    let stub = Stub::bare(move |seen| match seen.line.as_str() {
        "GET /v1/models" => Reply::json(200, &models),
        _ => Reply::say(seen, &seen.sum()),
    });
    let host = format!("127.0.0.1:{}", stub.port);
    insta::assert_snapshot!(refused(&format!("endpoint: {}, name: qwen2.5-b7", stub.url()), &host), @r"
    error: http://HOST/v1 has no model `qwen2.5-b7`
      --> suite.yaml:2:1
      help: did you mean `qwen2.5-7b`? (qwen2.5-7b, llama3.2:latest)
    ");
    insta::assert_snapshot!(refused(&format!("endpoint: {}", stub.url()), &host), @r"
    error: http://HOST/v1 has 2 models, and the suite does not say which to ask
      --> suite.yaml:2:1
      help: add `name: …` beside `endpoint`: qwen2.5-7b, llama3.2:latest
    ");
    ran(&served(1, &format!("endpoint: {}, name: llama3.2", stub.url()), BY_TEXT), &["--quiet"]);
}

#[test]
fn what_goes_wrong_with_one_case_is_its_reason() {
    let cut = || Reply::Cut(vec![event(false, " It"), event(false, " is")]);
    insta::assert_snapshot!(unscored("", cut), @"the answer of URL/completions broke off: unexpected EOF during chunk size line; look at the server's own log; `stream: false` may let it say why; a proxy may cut long answers, and some servers drop one for the next (`concurrency: 1`)");
    let empty = || Reply::json(200, &json!({"choices": [{"text": null, "finish_reason": "content_filter"}]}));
    insta::assert_snapshot!(unscored("", empty), @"the answer of URL/completions has no content: content_filter; a model that thinks may have used up `max_tokens` before it said anything; or it was filtered");
    let silent = || Reply::json(200, &json!({"choices": [{"index": 0, "finish_reason": "stop"}]}));
    insta::assert_snapshot!(unscored("", silent), @"the answer of URL/completions has no content: stop; a model that thinks may have used up `max_tokens` before it said anything; or it was filtered");
    let page = || Reply::Whole(200, "text/html", "<html><body>504</body></html>".into());
    insta::assert_snapshot!(unscored("", page), @"URL/completions answers with a web page, not with JSON; the address of the API mostly ends in /v1; a login page or a proxy answers, too");
    let late = || Reply::Late(Duration::from_secs(3), Box::new(Reply::Nothing));
    insta::assert_snapshot!(unscored(", timeout_s: 1", late), @"no answer from URL/completions within 1 s; set `timeout_s` above 1, a smaller `concurrency`, or a smaller `max_tokens`");
    let text = || Reply::Whole(200, "application/json", "Ollama is running".into());
    insta::assert_snapshot!(unscored("", text), @"URL/completions answers with something else than the API says: `Ollama is running` (expected value at line 1 column 1); only the OpenAI API is spoken: look at the address, and at the server's own log");
    let failing = || Reply::Whole(503, "text/plain", "no slot".into());
    insta::assert_snapshot!(unscored("", failing), @"URL/completions answers 503: no slot; look at the server's own log");
    let half = || {
        Reply::Stream(
            vec![event(false, " It"), json!({"error": {"message": "slot lost", "code": 500}}).to_string()],
            Duration::ZERO,
        )
    };
    insta::assert_snapshot!(unscored("", half), @"URL/completions answers 500: slot lost; look at the server's own log");
}

/// As llama-cpp-python does when the next request comes: nothing said would otherwise be an answer, and a wrong one.
#[test]
fn a_stream_that_is_done_and_not_finished_is_asked_again() {
    let times = AtomicUsize::new(0);
    let stub = Stub::start(move |seen| match times.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Stream(vec![event(false, ""), "[DONE]".into()], Duration::ZERO),
        1 => Reply::Stream(vec![event(false, " It is"), "[DONE]".into()], Duration::ZERO),
        _ => Reply::say(seen, &seen.sum()),
    });
    let workspace = served(1, &format!("endpoint: {}", stub.url()), BY_TEXT);
    ran(&workspace, &["--quiet"]);
    assert_eq!((stub.posts().len(), value(&samples_of(&workspace.run_folder())[0])), (3, &json!(true)));
    let dropped = || Reply::Stream(vec![event(false, ""), "[DONE]".into()], Duration::ZERO);
    insta::assert_snapshot!(unscored("", dropped), @"the answer of URL/completions broke off: [DONE] without a finish_reason; look at the server's own log; `stream: false` may let it say why; a proxy may cut long answers, and some servers drop one for the next (`concurrency: 1`)");
}

#[test]
fn no_request_is_begun_once_the_time_or_the_budget_is_used_up() {
    let reasons = |model: &str, pause: u64| {
        let stub =
            Stub::start(move |seen| Reply::Late(Duration::from_millis(pause), Box::new(Reply::say(seen, &seen.sum()))));
        let workspace = served(20, &format!("endpoint: {}, concurrency: 1, {model}", stub.url()), BY_TEXT);
        ran(&workspace, &["--quiet"]);
        let samples = samples_of(&workspace.run_folder());
        let reasons: Vec<String> =
            samples.iter().filter_map(|s| value(s)["unscored"].as_str().map(str::to_owned)).collect();
        assert_eq!(reasons.len() + stub.posts().len(), 20);
        assert!(reasons.iter().all(|reason| *reason == reasons[0]));
        (reasons.len(), reasons[0].clone())
    };
    // Each case takes 7 tokens of the prompt and 3 that are drawn: five of them reach 50.
    let (left, reason) = reasons("budget_tokens: 50", 0);
    assert_eq!(left, 15);
    insta::assert_snapshot!(reason, @"not asked: the budget of 50 tokens is spent; set a larger `budget_tokens`; --resume asks what is left, with a budget of its own");
    // What the parts of a question took counts although another part failed.
    let echoes = std::sync::Arc::new(AtomicUsize::new(0));
    let asked = std::sync::Arc::clone(&echoes);
    let stub = Stub::start(move |seen| match asked.fetch_add(1, Ordering::SeqCst) {
        4.. if seen.asked().ends_with("seventeen") => Reply::Whole(500, "text/plain", "no".into()),
        _ => crate::endpoints::echoing(seen, 0),
    });
    let case =
        |i: usize| format!("  - {{id: c{i}, vars: {{q: Say {i}, choices: [one, two, seventeen]}}, target: one}}\n");
    let cases: String = (1..=20).map(case).collect();
    let model = format!("endpoint: {}, concurrency: 1, retries: 0, budget_tokens: 80", stub.url());
    let workspace = Workspace::new();
    workspace.write("text.txt", "Q: {{ q }}\nA:\n");
    let rest = "scorers: [choice]\nvariants: [{name: text, prompt: text.txt}]\n";
    workspace.write("suite.yaml", format!("suite: s\nmodel: {{{model}}}\ncases:\n{cases}{rest}"));
    tripos(&workspace, &["run", "suite.yaml", "--quiet"]);
    let spent =
        samples_of(&workspace.run_folder()).iter().filter(|sample| sample.to_string().contains("is spent")).count();
    assert!(spent > 10, "{spent} of 20 were not asked");
    let (left, reason) = reasons("total_s: 1", 200);
    assert!((13..=16).contains(&left), "{left}");
    insta::assert_snapshot!(reason, @"not asked: the 1 s for all requests are over; set a larger `total_s`; --resume asks what is left, with the same time again");
}

#[test]
fn a_run_whose_servers_are_gone_ends_and_can_be_resumed() {
    let answer = |seen: &Seen| Reply::Late(Duration::from_millis(30), Box::new(Reply::say(seen, &seen.sum())));
    let stub = Stub::start(answer);
    let workspace = served(40, &format!("endpoint: {}, concurrency: 1, timeout_s: 1", stub.url()), BY_TEXT);
    let (said, workspace) = std::thread::scope(|scope| {
        let run = scope.spawn(|| tripos(&workspace, &["run", "suite.yaml"]));
        while stub.posts().len() < 5 {
            std::thread::sleep(Duration::from_millis(5));
        }
        stub.close();
        (run.join().unwrap(), &workspace)
    });
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let folder = workspace.run_folder();
    let stderr = said.stderr.replace(&stub.url(), "URL").replace(folder.file_name().unwrap().to_str().unwrap(), "RUN");
    // It is said at once that it is tried again, and not only when that was in vain.
    let tried = "WARN URL/completions cannot be reached: Connection refused (os error 111); it is tried again for 1 s";
    assert_eq!(stderr.matches(tried).count(), 1, "{stderr}");
    let error = stderr.split_once("error: ").unwrap().1.replace("for 2 s", "for 1 s");
    insta::assert_snapshot!(error, @r"
    no server can be reached any more, for 1 s: URL/completions cannot be reached: Connection refused (os error 111)
      --> suite.yaml:2:1
      help: is the server running? curl URL/completions; a proxy is passed by with NO_PROXY
    what was answered is kept: tripos run --resume reports/RUN
    ");
    let answered = samples_of(&folder).len();
    assert!((4..40).contains(&answered), "{answered}");
    let back = Stub::listen(TcpListener::bind(("127.0.0.1", stub.port)).unwrap(), true, answer);
    let resumed = tripos(workspace, &["run", "--quiet", "--resume", folder.to_str().unwrap()]);
    assert_eq!((resumed.code, samples_of(&folder).len()), (Some(0), 40), "{}", resumed.stderr);
    assert_eq!(back.posts().len(), 40 - answered);
}

const KEY: &str = "sk-tripos-test-5f1d0c7ab93e";

/// Every file below a folder, as bytes.
fn written(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(written(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn with_key(workspace: &Workspace, arguments: &[&str]) -> Said {
    let mut command = workspace.command(arguments);
    crate::workspace::said(&command.env("NO_PROXY", "127.0.0.1").env("TRIPOS_TEST_KEY", KEY).output().unwrap())
}

#[test]
fn a_key_reaches_the_server_and_nothing_that_is_written() {
    // A server that quotes the key in an answer, in an error, and in a stream that breaks.
    let stub = Stub::start(|seen| match seen.sum().as_str() {
        // In pieces, as a model would say it.
        " It is 2." => {
            let (a, b) = KEY.split_at(9);
            let end = json!({"choices": [{"text": " It is 2.", "finish_reason": "stop"}]}).to_string();
            Reply::Stream(vec![event(false, a), event(false, b), end, "[DONE]".into()], Duration::ZERO)
        }
        " It is 4." => Reply::json(400, &json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}})),
        " It is 6." => Reply::Cut(vec![event(false, KEY)]),
        " It is 8." => Reply::Whole(500, "text/plain", format!("Authorization: Bearer {KEY}")),
        _ => Reply::say(seen, &seen.sum()),
    });
    let model = format!("endpoint: {}, key_env: TRIPOS_TEST_KEY, cache: true, retries: 0", stub.url());
    let workspace = served(5, &model, BY_TEXT);
    let mut said = vec![with_key(&workspace, &["run", "suite.yaml", "-vv"])];
    let run = workspace.run_folder();
    let run = run.to_str().unwrap();
    said.push(with_key(&workspace, &["run", "--resume", run, "-vv"]));
    said.push(with_key(&workspace, &["show", run, "--case", "c1"]));
    said.push(with_key(&workspace, &["report", run, "--format", "html", "-o", "page.html"]));
    assert!(said[0].code == Some(0) && said[1].code == Some(0), "{}\n{}", said[0].stderr, said[1].stderr);
    let posts = stub.posts();
    assert!(
        posts.iter().all(|seen| seen.head.contains(&format!("authorization: Bearer {KEY}"))),
        "the server needs it"
    );
    for output in &said {
        assert!(!output.stdout.contains(KEY) && !output.stderr.contains(KEY), "{}\n{}", output.stdout, output.stderr);
    }
    let files = written(workspace.path());
    assert!(files.iter().any(|(name, _)| name.ends_with("samples.jsonl")) && files.len() > 5);
    for (name, bytes) in &files {
        let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!found, "the key is in {name}");
    }
    let text = workspace.read(&format!("{run}/samples.jsonl"));
    assert!(text.contains("[key] It is 2.") && text.contains("Incorrect API key provided: [key]"), "{text}");
    assert!(workspace.read(&format!("{run}/header.json")).contains("TRIPOS_TEST_KEY"), "its name may be said");
}

#[test]
fn a_key_that_is_not_there_or_is_refused_ends_the_run_before_it_begins() {
    let stub =
        Stub::bare(|_| Reply::json(401, &json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}})));
    let model = format!("endpoint: {}, key_env: TRIPOS_TEST_KEY", stub.url());
    let workspace = served(1, &model, BY_TEXT);
    let unset = tripos(&workspace, &["run", "suite.yaml"]);
    assert_eq!((unset.code, stub.all().len()), (Some(2), 0));
    insta::assert_snapshot!(unset.stderr, @r"
    error: the key of the server is to be in the environment variable TRIPOS_TEST_KEY, which is not set or empty
      --> suite.yaml:2:1
      help: export TRIPOS_TEST_KEY=…, or leave `key_env` out where the server wants no key
    ");
    let refused = with_key(&workspace, &["run", "suite.yaml"]);
    assert_eq!(refused.code, Some(2));
    insta::assert_snapshot!(refused.stderr.replace(&stub.url(), "URL"), @r"
    error: URL/models answers 401: Incorrect API key provided: [key]
      --> suite.yaml:2:1
      help: the key in TRIPOS_TEST_KEY is refused: is it one of this server, and allowed to use this model?
    ");
}

#[test]
fn mistakes_in_the_suite_are_said_where_they_stand() {
    let checked = |model: &str, rest: &str| {
        let workspace = served(1, model, rest);
        let said = tripos(&workspace, &["check", "suite.yaml"]);
        assert_eq!(said.code, Some(2), "{}", said.stdout);
        said.stderr
    };
    insta::assert_snapshot!(checked("endpoint: localhost:8080, key_env: sk-0123, concurrency: 0", BY_TEXT), @r"
    error: `localhost:8080` is no address of a server
      --> suite.yaml:2:9
      help: it looks like `http://localhost:8080/v1`
    error: `key_env` is no name of an environment variable
      --> suite.yaml:2:35
      help: write the name of the variable that holds the key: `key_env: MY_KEY`; never the key itself
    error: `concurrency` is 0, and lies from 1 to 1024
      --> suite.yaml:2:53
      help: leave it out for the usual value
    ");
    let secret = checked("endpoint: 'https://ann:hunter2@h/v1'", BY_TEXT);
    assert!(!secret.contains("hunter2") && secret.contains("key_env: MY_KEY"), "{secret}");
    let stderr = checked("endpoint: http://h/v1, timeout_s: -1", BY_TEXT);
    assert!(stderr.contains("error: `model`: `timeout_s`: found integer `-1`, expected a whole number"), "{stderr}");
    let stderr = checked("endpoint: http://h/v1, key: sk-0123, takes: [top_q]", BY_TEXT);
    assert!(stderr.contains("unknown field `key`") && stderr.contains("unknown variant `top_q`"), "{stderr}");
    assert!(!stderr.contains("sk-0123"), "{stderr}");
    let rest = "scorers:\n  - label: {classifier: gone.gguf, model: {endpoint: http://h/v1}}\nvariants:\n  - {name: text, prompt: text.txt}\n";
    let stderr = checked("endpoint: http://h/v1", rest);
    assert!(stderr.contains("a head reads the states of its model, and a server keeps them to itself"), "{stderr}");
    let rest = "adapter: text.txt\nexamples: [{vars: {q: x}, target: 1}]\nscorers: [number]\nvariants:\n  - {name: text, prompt: text.txt, examples: {count: 1, select: similar}}\n  - {name: words, prompt: words.yaml}\n";
    let workspace = served(1, "endpoint: http://h/v1", rest);
    workspace.write("words.yaml", "- user: '{{ q }}'\n- assistant: The sum is\n");
    let said = tripos(&workspace, &["check", "suite.yaml"]);
    for what in [
        "the adapter `text.txt` cannot be put on the model of a server",
        "a server keeps the states of its model, by which texts are found similar, to itself",
        "a server answers a chat, and does not go on with first words of its own",
    ] {
        assert!(said.stderr.contains(what), "{}", said.stderr);
    }
    let workspace = Workspace::new();
    workspace.write("r.yaml", "recipe: r\nkind: sft\nmodel: {endpoint: http://h/v1}\ndata: [{file: x.jsonl}]\n");
    insta::assert_snapshot!(tripos(&workspace, &["check", "r.yaml"]).stderr, @r"
    error: a recipe teaches a model whose weights are here, and a server keeps those of its own
      --> r.yaml:3:1
      help: write `model: FILE.gguf`; suites may ask a server
    ");
}

#[test]
fn what_a_chat_template_is_told_is_missed_and_said_so() {
    let stub = Stub::start(|seen| Reply::say(seen, &seen.sum()));
    let rest =
        "template_vars: {enable_thinking: false}\nscorers: [number]\nvariants:\n  - {name: chat, prompt: chat.yaml}\n";
    let said = ran(&served(1, &format!("endpoint: {}", stub.url()), rest), &[]);
    assert!(
        said.stderr.contains(
            "warning: `template_vars` reach no chat template: the server is not known to take `chat_template_kwargs`"
        ),
        "{}",
        said.stderr
    );
    let takes = format!("endpoint: {}, takes: [chat_template_kwargs]", stub.url());
    let said = ran(&served(1, &takes, rest), &[]);
    assert!(!said.stderr.contains("warning"), "{}", said.stderr);
    assert_eq!(stub.posts()[1].body["chat_template_kwargs"], json!({"enable_thinking": false}));
    assert_eq!(stub.posts()[0].body.get("chat_template_kwargs"), None::<&Value>);
}
