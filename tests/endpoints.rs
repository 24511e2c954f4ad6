//! Models behind a server: the real program against a stub on loopback that speaks the API.

use crate::stub_server::{Reply, Seen, Stub};
use crate::workspace::{Said, Workspace, said, samples_of};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A suite of so many sums on a server: `model` is the inside of its `model: {…}`, `rest` what comes behind the cases.
pub(crate) fn served(cases: usize, model: &str, rest: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("text.txt", "Q: {{ q }}\nA:\n");
    workspace.write("chat.yaml", "- system: Say the sum.\n- user: '{{ q }}'\n");
    let case = |i: usize| format!("  - {{id: c{i}, vars: {{q: 'What is {i} + {i}?'}}, target: {}}}\n", 2 * i);
    let cases: String = (1..=cases).map(case).collect();
    workspace.write(
        "suite.yaml",
        format!("suite: served\nmodel: {{{model}}}\nsampling: {{max_tokens: 16}}\ncases:\n{cases}{rest}"),
    );
    workspace
}

/// Scored by the sum, asked by a text.
pub(crate) const BY_TEXT: &str = "scorers: [number]\nvariants:\n  - {name: text, prompt: text.txt}\n";

/// The program; no proxy stands between it and the loopback.
pub(crate) fn tripos(workspace: &Workspace, arguments: &[&str]) -> Said {
    said(&workspace.command(arguments).env("NO_PROXY", "127.0.0.1").output().unwrap())
}

/// Runs the suite and expects exit code 0.
pub(crate) fn ran(workspace: &Workspace, arguments: &[&str]) -> Said {
    let said = tripos(workspace, &[&["run", "suite.yaml"], arguments].concat());
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    said
}

/// The value of a sample's first score.
pub(crate) fn value(sample: &Value) -> &Value {
    &sample["scores"][0]["value"]
}

fn right(samples: &[Value]) -> usize {
    let asked = samples.iter().filter(|sample| sample["trial"]["repeat"].is_number());
    asked.filter(|sample| *value(sample) == true).count()
}

/// A server that knows every sum.
fn sums() -> Stub {
    Stub::start(|seen| Reply::say(seen, &seen.sum()))
}

#[test]
fn a_text_goes_as_it_is_and_a_chat_as_messages() {
    let stub = sums();
    let rest = "scorers: [number]\nvariants:\n  - {name: text, prompt: text.txt, sampling: {stop: [\"\\n\"], temperature: 0.7}}\n  \
                - {name: chat, prompt: chat.yaml}\n";
    let workspace = served(40, &format!("endpoint: {}, name: stub", stub.url()), rest);
    let json = ran(&workspace, &["--format", "json", "--quiet"]).stdout;
    let posts = stub.posts();
    let of = |path: &str, asked: &str| {
        let line = format!("POST /v1/{path}");
        posts.iter().find(|seen| seen.line == line && seen.asked().contains(asked)).unwrap().clone()
    };
    let text = of("completions", "What is 7 + 7?").body;
    assert_eq!((&text["prompt"], &text["model"]), (&json!("Q: What is 7 + 7?\nA:"), &json!("stub")));
    assert_eq!((&text["max_tokens"], &text["temperature"], &text["stop"]), (&json!(16), &json!(0.7), &json!(["\n"])));
    assert!(text["seed"].as_u64().unwrap() < 1 << 31 && text["stream"] == true);
    let chat = of("chat/completions", "What is 7 + 7?");
    let messages =
        json!([{"role": "system", "content": "Say the sum."}, {"role": "user", "content": "What is 7 + 7?"}]);
    assert_eq!(chat.body["messages"], messages);
    assert!(!chat.head.contains("authorization:"), "{}", chat.head);
    assert_eq!(posts.len(), 80);
    assert!(stub.connections() <= 24, "connections are kept: {}", stub.connections());
    assert!(stub.most_busy() <= 8, "{} were in flight", stub.most_busy());
    let samples = samples_of(&workspace.run_folder());
    assert_eq!(right(&samples), 80);
    let sample = samples.iter().find(|s| s["trial"] == json!({"variant": "chat", "case": "c7", "repeat": 0})).unwrap();
    assert_eq!((&sample["prompt"]["messages"], &sample["prompt"]["tokens"]), (&messages, &json!([])));
    let completion = &sample["completion"];
    assert_eq!((&completion["text"], &completion["stop_reason"]), (&json!(" It is 14."), &json!("stop")));
    assert_eq!((&completion["prompt_tokens"], &completion["completion_tokens"]), (&json!(5), &json!(3)));
    let run: Value = serde_json::from_str(&json).unwrap();
    let model = &run["variants"][0]["model"];
    assert!(model["path"].as_str().unwrap().ends_with("/v1/stub") && model["sha256"].as_str().unwrap().len() == 64);
    assert_eq!(run["variants"][1]["usage"]["completion_tokens"], 120);
}

#[test]
fn an_answer_is_the_same_whole_or_in_a_stream() {
    let stub = sums();
    let texts = |stream: &str| {
        let rest = "scorers: [number]\nvariants:\n  - {name: chat, prompt: chat.yaml}\n";
        let workspace = served(3, &format!("endpoint: {}, {stream}", stub.url()), rest);
        ran(&workspace, &["--quiet"]);
        let samples = samples_of(&workspace.run_folder());
        let mut told: Vec<(String, Value, Value)> = samples
            .iter()
            .map(|s| {
                (
                    s["trial"]["case"].to_string(),
                    s["completion"]["text"].clone(),
                    s["completion"]["prompt_tokens"].clone(),
                )
            })
            .collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        told
    };
    assert_eq!(texts("stream: true"), texts("stream: false"));
    let streamed: Vec<bool> = stub.posts().iter().map(|seen| seen.body["stream"] == true).collect();
    assert_eq!(streamed, [true, true, true, false, false, false]);
}

#[test]
fn log_probabilities_are_kept_with_their_pieces() {
    let stub = Stub::start(|_| {
        let token = |text: &str, logprob: f64| {
            json!({"token": text, "logprob": logprob, "bytes": text.as_bytes(),
            "top_logprobs": [{"token": text, "logprob": logprob}, {"token": " no", "logprob": -4.0}]})
        };
        let content = json!([token(" It", -0.25), token(" é", -0.5)]);
        let choice =
            json!({"message": {"content": " It é"}, "finish_reason": "length", "logprobs": {"content": content}});
        Reply::json(200, &json!({"choices": [choice], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}))
    });
    let rest = "scorers: [number]\nvariants:\n  - {name: chat, prompt: chat.yaml, sampling: {logprobs: 2}}\n";
    let workspace = served(1, &format!("endpoint: {}", stub.url()), rest);
    ran(&workspace, &["--quiet"]);
    let sample = &samples_of(&workspace.run_folder())[0];
    let body = &stub.posts()[0].body;
    assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &json!(2)));
    let told = sample["completion"]["logprobs"].as_array().unwrap();
    let pieces: Vec<&str> =
        told.iter().map(|token| sample["pieces"][token["id"].to_string()].as_str().unwrap()).collect();
    assert_eq!((pieces, &told[1]["logprob"]), (vec![" It", " é"], &json!(-0.5)));
    assert_eq!(told[0]["top"][1][1], json!(-4.0));
    assert_eq!(sample["completion"]["stop_reason"], "length");
}

/// How likely the echoing server finds a word: by its length, so that a test can compute it.
fn logprob(word: &str) -> f64 {
    -0.1 * word.len() as f64
}

/// A server that echoes: its tokens are words with the space before them. `shift` moves the log-probabilities along.
pub(crate) fn echoing(seen: &Seen, shift: usize) -> Reply {
    let prompt = seen.asked();
    let (mut tokens, mut begin) = (Vec::new(), 0);
    for (at, _) in prompt.match_indices(' ').filter(|(at, _)| *at > 0) {
        tokens.push(&prompt[begin..at]);
        begin = at;
    }
    tokens.push(&prompt[begin..]);
    let drawn = " Wednesday";
    let echo = seen.body["echo"] == true;
    let all: Vec<&str> = if echo { tokens.iter().copied().chain([drawn]).collect() } else { vec![drawn] };
    let told = |at: usize| all.get(at + shift * usize::from(echo)).map_or(-9.0, |word| logprob(word));
    let logprobs: Vec<Value> =
        (0..all.len()).map(|at| if echo && at == 0 { Value::Null } else { json!(told(at)) }).collect();
    let choice = json!({"text": if echo { format!("{prompt}{drawn}") } else { drawn.to_owned() }, "finish_reason": "length",
        "logprobs": {"tokens": all, "token_logprobs": logprobs, "top_logprobs": null}});
    let usage = json!({"prompt_tokens": tokens.len(), "completion_tokens": 1});
    Reply::json(200, &json!({"choices": [choice], "usage": usage}))
}

/// Two cases of multiple choice: the shorter word is the likelier, and right in the first only.
const CHOICES: &str = "\
suite: choices
model: {MODEL}
cases:
  - {id: a, vars: {q: Say, choices: [ab, uvwxyz]}, target: ab}
  - {id: b, vars: {q: Say it, choices: [abc def, x]}, target: abc def}
scorers:
  - choice: {name: pick}
  - perplexity: {name: odds}
variants:
  - {name: text, prompt: text.txt}
";

fn choices(model: &str, file: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("text.txt", "Q: {{ q }}\nA:\n");
    workspace.write("chat.yaml", "- user: '{{ q }}'\n");
    let text = CHOICES.replace("MODEL", model).replace("text.txt", file);
    workspace.write("suite.yaml", text);
    workspace
}

#[test]
fn scorers_by_likelihood_read_echoes() {
    let stub = Stub::start(|seen| echoing(seen, 0));
    let workspace = choices(&format!("endpoint: {}", stub.url()), "text.txt");
    let said = ran(&workspace, &["--quiet", "--format", "json"]);
    let mut samples = samples_of(&workspace.run_folder());
    samples.sort_by_key(|sample| sample["trial"]["case"].to_string());
    let told = |sample: &Value| -> Vec<(String, f64, u64)> {
        let one = |l: &Value| {
            (l["text"].as_str().unwrap().into(), l["logprob"].as_f64().unwrap(), l["tokens"].as_u64().unwrap())
        };
        sample["likelihood"].as_array().unwrap().iter().map(one).collect()
    };
    let expected = [
        vec![(" ab", logprob(" ab"), 1), (" uvwxyz", logprob(" uvwxyz"), 1)],
        vec![(" abc def", logprob(" abc") + logprob(" def"), 2), (" x", logprob(" x"), 1)],
    ];
    for (sample, expected) in samples.iter().zip(expected) {
        for ((text, logprob, tokens), (want, sum, count)) in told(sample).into_iter().zip(expected) {
            assert_eq!((text.as_str(), tokens), (want, count), "{sample}");
            assert!((logprob - sum).abs() < 1e-5, "{sample}");
        }
        assert_eq!(sample["completion"], Value::Null);
    }
    assert_eq!((value(&samples[0]), value(&samples[1])), (&json!(true), &json!(false)));
    let cost = &samples[0]["likelihood_cost"];
    assert_eq!(
        (&cost["prompt_tokens"], &cost["prompt_tokens_decoded"]),
        (&json!(2), &json!(6)),
        "as the server counts"
    );
    let run: Value = serde_json::from_str(&said.stdout).unwrap();
    let odds = run["variants"][0]["metrics"].as_array().unwrap().iter().find(|m| m["name"] == "odds").unwrap();
    let mean = (logprob(" ab") + logprob(" abc") + logprob(" def")) / 3.0;
    assert!((odds["value"].as_f64().unwrap() - (-mean).exp()).abs() < 1e-4, "{odds}");
}

#[test]
fn what_a_server_cannot_do_is_said_by_scorer_before_anything_is_asked() {
    let refusing = Stub::start(|seen| match seen.body["echo"].as_bool() {
        Some(true) => Reply::json(400, &json!({"error": {"message": "Only no echo is supported"}})),
        _ => Reply::say(seen, "x"),
    });
    let refused = |stub: &Stub, file: &str| {
        let workspace = choices(&format!("endpoint: {}", stub.url()), file);
        let said = tripos(&workspace, &["run", "suite.yaml"]);
        assert_eq!((said.code, workspace.run_folders().len()), (Some(2), 0), "{}", said.stderr);
        said.stderr.replace(&stub.url(), "URL")
    };
    insta::assert_snapshot!(refused(&refusing, "text.txt"), @r"
    error: scorer `pick` judges by likelihood: URL does not say how likely a given text is: URL/completions answers 400: Only no echo is supported
      --> suite.yaml:7:5 (variant `text`)
      help: take a server whose /completions knows `echo` with `logprobs` (vLLM), a GGUF, or a scorer that reads what is said
    error: scorer `odds` judges by likelihood: URL does not say how likely a given text is: URL/completions answers 400: Only no echo is supported
      --> suite.yaml:8:5 (variant `text`)
      help: take a server whose /completions knows `echo` with `logprobs` (vLLM), a GGUF, or a scorer that reads what is said
    ");
    let ignoring = Stub::start(|seen| Reply::say(seen, "x"));
    let stderr = refused(&ignoring, "text.txt");
    assert!(stderr.contains("scorer `pick` judges by likelihood: URL does not say how likely"), "{stderr}");
    // Log-probabilities that stand by the wrong token would judge all cases, and all of them wrongly.
    let shifting = Stub::start(|seen| echoing(seen, 2));
    let stderr = refused(&shifting, "text.txt");
    assert!(stderr.contains("of the token `Wednesday` it says -1.00 when it is drawn, and -9.00 when it"), "{stderr}");
    insta::assert_snapshot!(refused(&refusing, "chat.yaml"), @r"
    error: scorer `pick` judges by likelihood: how likely a given answer is in a chat no server says: only what it answers itself
      --> suite.yaml:7:5 (variant `text`)
      help: ask by a completion prompt (`.txt`), or take a GGUF
    error: scorer `odds` judges by likelihood: how likely a given answer is in a chat no server says: only what it answers itself
      --> suite.yaml:8:5 (variant `text`)
      help: ask by a completion prompt (`.txt`), or take a GGUF
    ");
}

#[test]
fn settings_beyond_the_api_are_sent_only_where_they_are_taken() {
    let stub = sums();
    let rest = "scorers: [number]\nvariants:\n  - {name: text, prompt: text.txt, sampling: {temperature: 1, top_k: 40, repeat_penalty: 1.1}}\n";
    let workspace = served(1, &format!("endpoint: {}", stub.url()), rest);
    let refused = tripos(&workspace, &["run", "suite.yaml"]);
    assert_eq!((refused.code, stub.posts().len()), (Some(2), 0));
    insta::assert_snapshot!(refused.stderr, @r"
    error: the server is not known to take `top_k`
      --> suite.yaml:8:5 (variant `text`)
      help: leave it out; or, where the server's documentation has it, add `takes: [top_k]` beside `endpoint`
    ");
    let takes = format!("endpoint: {}, takes: [top_k, repetition_penalty]", stub.url());
    ran(&served(1, &takes, rest), &["--quiet"]);
    let body = &stub.posts()[0].body;
    assert_eq!((&body["top_k"], &body["repetition_penalty"]), (&json!(40), &json!(1.1)));
    // What llama.cpp's server takes is known.
    let llama = Stub::bare(|seen| match seen.line.as_str() {
        "GET /v1/models" => Reply::json(200, &json!({"data": [{"id": "m.gguf", "owned_by": "llamacpp"}]})),
        _ => Reply::say(seen, &seen.sum()),
    });
    ran(&served(1, &format!("endpoint: {}", llama.url()), rest), &["--quiet"]);
    let body = &llama.posts()[0].body;
    assert_eq!((&body["top_k"], &body["repeat_penalty"], &body["model"]), (&json!(40), &json!(1.1), &json!("m.gguf")));
}

#[test]
fn a_judge_may_be_behind_a_server() {
    let stub = Stub::start(|seen| echoing(seen, 0));
    let rest = "scorers:\n  - judge_model: {name: judge, model: {endpoint: URL}, prompt: judge.txt, choices: [ok, wrong]}\n\
                variants:\n  - {name: text, prompt: text.txt}\n";
    let workspace = served(2, "scripted: model.yaml", &rest.replace("URL", &stub.url()));
    workspace.write("model.yaml", "otherwise: ' Fine.'\n");
    workspace.write("judge.txt", "Is this right: {{ completion }}? Say\n");
    ran(&workspace, &["--quiet"]);
    let samples = samples_of(&workspace.run_folder());
    // The softmax of the two: exp(-0.3) / (exp(-0.3) + exp(-0.6)).
    let expected = 1.0 / (1.0 + (-0.3_f64).exp());
    for sample in &samples {
        assert!((value(sample).as_f64().unwrap() - expected).abs() < 1e-5, "{sample}");
        assert!(sample["judge_tokens_decoded"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_fleet_gives_work_to_whichever_is_free() {
    let quick = Stub::start(|seen| Reply::Late(Duration::from_millis(5), Box::new(Reply::say(seen, &seen.sum()))));
    let slow = Stub::start(|seen| Reply::Late(Duration::from_millis(100), Box::new(Reply::say(seen, &seen.sum()))));
    let model = format!("endpoint: [{}, {}], concurrency: 2", slow.url(), quick.url());
    let workspace = served(60, &model, BY_TEXT);
    ran(&workspace, &["--quiet"]);
    assert_eq!(right(&samples_of(&workspace.run_folder())), 60);
    let (slow, quick) = (slow.posts().len(), quick.posts().len());
    assert_eq!(slow + quick, 60, "nothing is asked twice");
    assert!(slow >= 2 && quick > 2 * slow, "slow {slow}, quick {quick}");
}

#[test]
fn a_dead_server_is_left_out_and_tried_again() {
    let steady = Stub::start(|seen| Reply::Late(Duration::from_millis(50), Box::new(Reply::say(seen, &seen.sum()))));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    let model = format!("endpoint: ['http://127.0.0.1:{port}/v1', {}], concurrency: 1", steady.url());
    let workspace = served(60, &model, BY_TEXT);
    let run = std::thread::spawn(move || (ran(&workspace, &[]), workspace));
    // It comes up once the other has answered for a while.
    while steady.posts().len() < 10 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let late =
        Stub::listen(TcpListener::bind(("127.0.0.1", port)).unwrap(), true, |seen| Reply::say(seen, &seen.sum()));
    let (said, workspace) = run.join().unwrap();
    assert_eq!(right(&samples_of(&workspace.run_folder())), 60);
    assert!(!late.posts().is_empty() && steady.posts().len() < 60, "it was asked again");
    let warning =
        format!("http://127.0.0.1:{port}/v1/models cannot be reached: Connection refused (os error 111); the other");
    assert!(said.stderr.contains(&warning), "{}", said.stderr);
}

#[test]
fn a_busy_server_is_asked_again_after_the_time_that_it_wants() {
    let began = std::sync::Mutex::new(None);
    let stub = Stub::start(move |seen| {
        let mut began = began.lock().unwrap();
        let first = *began.get_or_insert(seen.at);
        if seen.at < first + Duration::from_millis(900) {
            let busy = Reply::json(429, &json!({"error": {"message": "slow down"}}));
            return Reply::With("Retry-After: 1".into(), Box::new(busy));
        }
        Reply::say(seen, &seen.sum())
    });
    let workspace = served(6, &format!("endpoint: {}, concurrency: 3", stub.url()), BY_TEXT);
    let said = ran(&workspace, &[]);
    assert_eq!(right(&samples_of(&workspace.run_folder())), 6);
    assert!(!said.stderr.contains("no answer"), "{}", said.stderr);
    let posts = stub.posts();
    let first = posts[0].at;
    let (refused, waited): (Vec<Instant>, Vec<Instant>) =
        posts.iter().map(|seen| seen.at).partition(|at| *at < first + Duration::from_millis(900));
    assert_eq!((refused.len(), waited.len()), (3, 6), "those in flight, and then all");
    assert!(waited.iter().all(|at| *at >= first + Duration::from_secs(1)), "none before its time");
}

#[test]
fn errors_that_may_pass_are_asked_again_and_others_are_not() {
    let tries = std::sync::Mutex::new(std::collections::HashMap::<String, usize>::new());
    let stub = Stub::start(move |seen| {
        let mut tries = tries.lock().unwrap();
        let tries = tries.entry(seen.asked().to_owned()).or_default();
        *tries += 1;
        match (seen.sum().as_str(), *tries) {
            (" It is 2.", 1) => Reply::json(500, &json!({"error": "oops"})),
            (" It is 4.", 1) => Reply::Nothing,
            (" It is 6.", 1) => Reply::Cut(vec![crate::stub_server::event(false, " It")]),
            (" It is 8.", _) => Reply::json(400, &json!({"error": {"message": "maximum context length is 3 tokens"}})),
            _ => Reply::say(seen, &seen.sum()),
        }
    });
    let workspace = served(5, &format!("endpoint: {}", stub.url()), BY_TEXT);
    let said = ran(&workspace, &[]);
    let samples = samples_of(&workspace.run_folder());
    assert_eq!(right(&samples), 4, "{}", said.stderr);
    let failed = samples.iter().find(|sample| sample["trial"]["case"] == "c4").unwrap();
    let reason = value(failed)["unscored"].as_str().unwrap().replace(&stub.url(), "URL");
    insta::assert_snapshot!(reason, @"URL/completions answers 400: maximum context length is 3 tokens; the server's words say what it does not take: a prompt too long for it, or a setting");
    let asked = stub.posts().iter().filter(|seen| seen.sum() == " It is 8.").count();
    assert_eq!(asked, 1, "what cannot pass is not asked again");
}

#[test]
fn a_failed_case_is_unscored_and_asked_again_by_resume() {
    let healed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let of_stub = std::sync::Arc::clone(&healed);
    let stub = Stub::start(move |seen| {
        let ill = seen.sum() == " It is 6." && !of_stub.load(std::sync::atomic::Ordering::SeqCst);
        if ill { Reply::Whole(500, "text/plain", "out of memory".into()) } else { Reply::say(seen, &seen.sum()) }
    });
    let rest =
        "scorers: [number]\nvariants:\n  - {name: text, prompt: text.txt, repeats: 2, sampling: {temperature: 0.5}}\n";
    let workspace = served(4, &format!("endpoint: {}, retries: 1", stub.url()), rest);
    let said = ran(&workspace, &[]);
    let folder = workspace.run_folder();
    let run = folder.to_str().unwrap().to_owned();
    let before = samples_of(&folder);
    let open: Vec<&Value> = before.iter().filter(|sample| sample["unanswered"] == true).collect();
    assert_eq!((open.len(), right(&before)), (2, 6));
    assert!(said.stdout.contains("unscored"), "{}", said.stdout);
    let warned = said.stderr.replace(&stub.url(), "URL");
    let warning = warned.split_once("warning: URL").unwrap().1.lines().take(3).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(warning, @r"
    /completions answers 500: out of memory (asked 2 times)
      --> suite.yaml:11:5 (variant `text`, case `c3`)
      help: look at the server's own log
    ");
    assert!(
        said.stderr.contains("warning: 2 trials have no answer\n  help: tripos run --resume reports/served-"),
        "{}",
        said.stderr
    );
    assert_eq!(stub.posts().len(), 6 + 2 * 2, "each of the two was asked twice");
    healed.store(true, std::sync::atomic::Ordering::SeqCst);
    let resumed = tripos(&workspace, &["run", "--resume", &run]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    let after = samples_of(&folder);
    assert_eq!((after.len(), right(&after)), (before.len(), 8));
    assert_eq!(after.iter().filter(|sample| sample["unanswered"] == true).count(), 0);
    assert_eq!(stub.posts().len(), 10 + 2, "only what had failed is asked again");
    let again = tripos(&workspace, &["run", "--resume", &run]);
    assert_eq!((again.code, stub.posts().len()), (Some(0), 12));
}

#[test]
fn answers_are_not_kept_for_other_runs_unless_the_suite_vouches_for_them() {
    let stub = sums();
    let run = |extra: &str, workspace: &Workspace| {
        let text = workspace.read("suite.yaml");
        let line = text.lines().find(|line| line.starts_with("model:")).unwrap().to_owned();
        workspace.write("suite.yaml", text.replace(&line, &format!("model: {{endpoint: {}{extra}}}", stub.url())));
        let before = stub.posts().len();
        ran(workspace, &["--quiet"]);
        stub.posts().len() - before
    };
    let workspace = served(3, "endpoint: x", BY_TEXT);
    assert_eq!([run("", &workspace), run("", &workspace)], [3, 3]);
    assert_eq!([run(", cache: true", &workspace), run(", cache: true", &workspace)], [3, 0]);
    let other = sums();
    let elsewhere = workspace.read("suite.yaml").replace(&stub.url(), &other.url());
    workspace.write("suite.yaml", elsewhere);
    ran(&workspace, &["--quiet"]);
    assert_eq!(other.posts().len(), 3, "another address is another model");
}

#[test]
fn checking_and_a_dry_run_ask_nobody_anything() {
    let stub = sums();
    let workspace = served(2, &format!("endpoint: {}, key_env: TRIPOS_TEST_NO_SUCH_KEY", stub.url()), BY_TEXT);
    let checked = tripos(&workspace, &["check", "suite.yaml"]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));
    let dry = tripos(&workspace, &["run", "suite.yaml", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    assert!(dry.stdout.contains("behind a server") && dry.stdout.contains("What is 1 + 1?"), "{}", dry.stdout);
    assert_eq!(stub.all().len(), 0);
}

#[test]
fn a_matrix_calls_a_served_model_by_its_name() {
    let stub = sums();
    let rest = format!(
        "scorers: [number]\nmatrix:\n  prompt: [text.txt, chat.yaml]\n  model: [{{endpoint: {}, name: stub}}, {{scripted: model.yaml}}]\n",
        stub.url()
    );
    let workspace = served(1, "scripted: model.yaml", &rest);
    workspace
        .write("model.yaml", "otherwise: ' 2'\nchat_template: '{% for m in messages %}{{ m.content }}{% endfor %}'\n");
    ran(&workspace, &["--quiet"]);
    let names: Vec<String> =
        samples_of(&workspace.run_folder()).iter().map(|s| s["trial"]["variant"].as_str().unwrap().into()).collect();
    for name in ["text/stub", "text/model", "chat/stub", "chat/model"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
}

#[test]
fn an_interrupt_finishes_what_is_in_flight_and_resume_asks_the_rest() {
    let stub = Stub::start(|seen| Reply::Late(Duration::from_millis(100), Box::new(Reply::say(seen, &seen.sum()))));
    let workspace = served(40, &format!("endpoint: {}, concurrency: 2", stub.url()), BY_TEXT);
    let mut command = workspace.command(&["run", "suite.yaml", "--quiet"]);
    let child = command.env("NO_PROXY", "127.0.0.1").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while stub.posts().len() < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let folder = workspace.run_folder();
    let answered = samples_of(&folder).len();
    assert_eq!(answered, stub.posts().len(), "what was asked is recorded");
    assert!(answered < 40);
    let resumed = tripos(&workspace, &["run", "--quiet", "--resume", folder.to_str().unwrap()]);
    assert_eq!(
        (resumed.code, right(&samples_of(&folder)), stub.posts().len()),
        (Some(0), 40, 40),
        "{}",
        resumed.stderr
    );
}
