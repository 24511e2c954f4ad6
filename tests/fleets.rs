//! Several servers of one model, some of them ill: what one cannot do another does, and nothing is asked in vain for long.

use crate::endpoints::{BY_TEXT, ran, served, tripos, value};
use crate::stub_server::{Reply, Seen, Stub};
use crate::workspace::samples_of;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn soon(seen: &Seen) -> Reply {
    Reply::Late(Duration::from_millis(20), Box::new(Reply::say(seen, &seen.sum())))
}

fn right(workspace: &crate::workspace::Workspace) -> usize {
    samples_of(&workspace.run_folder()).iter().filter(|sample| *value(sample) == true).count()
}

/// Errors come back at once, so that one that makes nothing else is always the least busy.
#[test]
fn one_that_answers_with_errors_is_left_out() {
    let well = Stub::start(soon);
    let ill = Stub::start(|_| Reply::Whole(500, "text/plain", "engine is dead".into()));
    let workspace = served(200, &format!("endpoint: [{}, {}], concurrency: 2", ill.url(), well.url()), BY_TEXT);
    ran(&workspace, &["--quiet"]);
    assert_eq!(right(&workspace), 200);
    assert!(ill.posts().len() < 30, "{} were asked in vain", ill.posts().len());
}

#[test]
fn one_that_never_answers_is_left_out() {
    let well = Stub::start(soon);
    let hung = Stub::start(|_| Reply::Late(Duration::from_mins(1), Box::new(Reply::Nothing)));
    let model = format!("endpoint: [{}, {}], concurrency: 3, timeout_s: 1", hung.url(), well.url());
    let workspace = served(100, &model, BY_TEXT);
    ran(&workspace, &["--quiet"]);
    assert_eq!(right(&workspace), 100);
    assert!(hung.posts().len() <= 6, "{} were asked in vain", hung.posts().len());
}

/// Alone, it is asked again: there is nobody else.
#[test]
fn one_alone_is_asked_again_however_often_it_fails() {
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let stub = Stub::start(move |asked| match seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0..6 => Reply::Whole(500, "text/plain", "loading".into()),
        _ => Reply::say(asked, &asked.sum()),
    });
    let workspace = served(6, &format!("endpoint: {}, concurrency: 6", stub.url()), BY_TEXT);
    ran(&workspace, &["--quiet"]);
    assert_eq!((right(&workspace), stub.posts().len()), (6, 12));
}

#[test]
fn an_hour_is_not_waited_for() {
    let busy = || {
        let no = Reply::json(429, &json!({"error": {"message": "quota"}}));
        Reply::With("Retry-After: 3600".into(), Box::new(no))
    };
    let stub = Stub::start(move |_| busy());
    let workspace = served(5, &format!("endpoint: {}", stub.url()), BY_TEXT);
    let began = Instant::now();
    let said = tripos(&workspace, &["run", "suite.yaml"]);
    assert!(began.elapsed() < Duration::from_mins(1));
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let stderr = said.stderr.replace(&stub.url(), "URL");
    assert!(stderr.contains("URL/completions answers 429: quota; it asks to wait 3600 s"), "{stderr}");
    assert!(stderr.contains("ask again in 3600 s"), "{stderr}");
    // Where another answers, nobody waits.
    let well = Stub::start(soon);
    let workspace = served(20, &format!("endpoint: [{}, {}]", stub.url(), well.url()), BY_TEXT);
    ran(&workspace, &["--quiet"]);
    assert_eq!(right(&workspace), 20);
}

/// Wrongly set up, it answers all alike; the others do its work, and what they have in flight is not thrown away.
#[test]
fn one_that_is_of_no_use_is_left_out_and_the_run_goes_on() {
    for status in [401, 402, 404] {
        let well = Stub::start(soon);
        let ill = Stub::start(move |_| Reply::json(status, &json!({"error": {"message": "not here"}})));
        let model = format!("endpoint: [{}, {}], concurrency: 2", ill.url(), well.url());
        let workspace = served(30, &model, BY_TEXT);
        let said = ran(&workspace, &[]);
        assert_eq!(right(&workspace), 30);
        assert!(ill.posts().len() <= 2, "{} were asked in vain", ill.posts().len());
        assert!(said.stderr.contains("not here; the other servers are asked"), "{}", said.stderr);
    }
    // Alone, it ends the run once, whatever is in flight.
    let times = std::sync::atomic::AtomicUsize::new(0);
    let stub = Stub::start(move |seen| match times.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::Late(Duration::from_millis(500), Box::new(Reply::say(seen, &seen.sum()))),
        _ => Reply::json(402, &json!({"error": {"message": "Insufficient Balance"}})),
    });
    let workspace = served(40, &format!("endpoint: {}, concurrency: 2", stub.url()), BY_TEXT);
    let said = tripos(&workspace, &["run", "suite.yaml", "--quiet"]);
    assert_eq!((said.code, right(&workspace)), (Some(2), 1), "{}", said.stderr);
    assert!(stub.posts().len() <= 3, "{}", stub.posts().len());
    assert!(said.stderr.contains("help: the account of the key has nothing left to spend"), "{}", said.stderr);
}

/// A dead machine behind a gateway that is alive.
#[test]
fn one_that_only_says_that_it_cannot_ends_the_run_after_a_while() {
    let stub = Stub::start(|_| Reply::Whole(502, "text/plain", "Bad Gateway".into()));
    let workspace = served(500, &format!("endpoint: {}, concurrency: 8, timeout_s: 2", stub.url()), BY_TEXT);
    let said = tripos(&workspace, &["run", "suite.yaml", "--quiet"]);
    assert_eq!(said.code, Some(2));
    let stderr = said.stderr.replace(&stub.url(), "URL");
    assert!(
        stderr.contains("error: no server has answered for ") && stderr.contains("answers 502: Bad Gateway"),
        "{stderr}"
    );
    assert!(samples_of(&workspace.run_folder()).len() < 20, "the rest is left to --resume");
}

#[test]
fn what_is_not_counted_ends_a_run_with_a_budget() {
    let said = json!({"choices": [{"index": 0, "text": " It is 2.", "finish_reason": "stop"}]});
    let stub = Stub::start(move |_| Reply::json(200, &said));
    let workspace = served(200, &format!("endpoint: {}, budget_tokens: 100, concurrency: 2", stub.url()), BY_TEXT);
    let said = tripos(&workspace, &["run", "suite.yaml"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("does not say how many tokens an answer took, and there is a budget"),
        "{}",
        said.stderr
    );
    assert!(stub.posts().len() <= 4, "{} answers were paid for", stub.posts().len());
}

#[test]
fn two_models_are_no_fleet() {
    let of = |name: &'static str| {
        Stub::bare(move |seen| match seen.line.as_str() {
            "GET /v1/models" => Reply::json(200, &json!({"data": [{"id": name}]})),
            _ => Reply::say(seen, &seen.sum()),
        })
    };
    let (one, other) = (of("a.gguf"), of("b.gguf"));
    let workspace = served(2, &format!("endpoint: [{}, {}]", one.url(), other.url()), BY_TEXT);
    let said = tripos(&workspace, &["run", "suite.yaml"]);
    assert_eq!((said.code, one.posts().len()), (Some(2), 0));
    let stderr = said.stderr.replace(&other.url(), "URL");
    insta::assert_snapshot!(stderr, @r"
    error: the servers have different models: URL has `b.gguf`, and one before it `a.gguf`
      --> suite.yaml:2:1
      help: add a `name: …` that all of them know, or ask them as models of their own
    ");
}

/// A prompt that is refused is one case; an address at which there is nothing is all of them.
#[test]
fn a_refused_prompt_is_one_case_and_a_wrong_address_ends_the_run() {
    let stub = Stub::start(|seen| match seen.sum().as_str() {
        " It is 4." => Reply::json(403, &json!({"error": {"message": "flagged"}})),
        _ => Reply::say(seen, &seen.sum()),
    });
    let workspace = served(4, &format!("endpoint: {}", stub.url()), BY_TEXT);
    ran(&workspace, &["--quiet"]);
    assert_eq!((right(&workspace), stub.posts().len()), (3, 4));
    let nothing = Stub::bare(|_| Reply::Whole(404, "text/plain", "no".into()));
    let workspace = served(50, &format!("endpoint: {}, name: m, concurrency: 2", nothing.url()), BY_TEXT);
    let said = tripos(&workspace, &["run", "suite.yaml", "--quiet"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("/completions answers 404: no"), "{}", said.stderr);
    assert!(said.stderr.contains("look at the address, which mostly ends in /v1"), "{}", said.stderr);
    assert!(nothing.posts().len() <= 4);
}

/// `null` in the place of a number, as some servers say of a token that was forced.
#[test]
fn a_token_without_a_probability_leaves_the_record_readable() {
    let stub = Stub::start(|_| {
        let content = json!([{"token": " 2", "logprob": null, "top_logprobs": []}]);
        let choice = json!({"message": {"content": " 2"}, "finish_reason": "stop", "logprobs": {"content": content}});
        Reply::json(200, &json!({"choices": [choice]}))
    });
    let rest = "scorers: [number]\nvariants:\n  - {name: chat, prompt: chat.yaml, sampling: {logprobs: 2}}\n";
    let workspace = served(1, &format!("endpoint: {}", stub.url()), rest);
    ran(&workspace, &["--quiet"]);
    assert_eq!(samples_of(&workspace.run_folder())[0]["completion"].get("logprobs"), None::<&Value>);
    let shown = tripos(&workspace, &["show", workspace.run_folder().to_str().unwrap()]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
}
