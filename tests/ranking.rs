//! `tripos rank`: the real program, its server over loopback, the terminal, simulated raters and the report.

use crate::moments::Moments;
use crate::ranking_server::{Served, ran, workspace};
use crate::workspace::Workspace;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tripos::rank::Rankings;

fn judgements(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn judgements_are_kept_at_once_and_a_rater_goes_on_where_he_stopped() {
    let workspace = workspace(8);
    let run = ran(&workspace);
    let file = format!("{run}/rankings.jsonl");
    let served = Served::start(&workspace, &run, &["--rater", "ann"]);
    let view = served.get("state").view();
    assert_eq!((&view["done"], &view["total"], &view["can_undo"]), (&json!(0), &json!(7), &json!(false)));
    let order =
        json!({"item": view["item"]["item"], "order": [[2], [0, 1]], "comment": " <b>hm</b> ", "seconds": 4.25});
    let next = served.post("judge", &order).unwrap();
    assert_eq!((next.status, &next.view()["done"]), (200, &json!(1)));
    let kept = judgements(&file);
    assert_eq!(kept.len(), 1, "on disk before it is answered for");
    let one = &kept[0];
    assert_eq!(
        (&one["rater"], &one["order"], &one["comment"]),
        (&json!("ann"), &json!([[2], [0, 1]]), &json!("<b>hm</b>"))
    );
    assert_eq!((&one["axis"], &one["seconds"], &one["tags"]), (&Value::Null, &json!(4.25), &json!(["t"])));
    assert!(one["prompt"].as_str().unwrap().starts_with("Q: What is "), "{one}");
    let shown: Vec<&Value> = one["answers"].as_array().unwrap().iter().map(|answer| &answer["text"]).collect();
    assert_eq!(json!(shown), view["item"]["answers"]);
    served.judge_next().unwrap();
    let said = served.stop();
    assert_eq!(said.code, Some(0));
    assert_eq!(said.stdout, format!("{file}: 2 judgements now, 2 of 7 by ann\nnext: the same command goes on\n"));
    let served = Served::start(&workspace, &run, &["--rater", "ann"]);
    assert_eq!(served.get("state").view()["done"], 2);
    assert_eq!(served.post("undo", &json!({})).unwrap().view()["done"], 1);
    assert_eq!(judgements(&file)[2]["withdraws"], judgements(&file)[1]["id"]);
    assert_eq!(served.post("undo", &json!({})).unwrap().view()["item"]["former"]["order"], json!([[2], [0, 1]]));
    assert_eq!(served.post("undo", &json!({})).unwrap().status, 409);
    while served.judge_next().is_some() {}
    let view = served.get("state").view();
    assert_eq!((&view["done"], &view["item"]), (&json!(7), &Value::Null));
    let of_again = judgements(&file).iter().filter(|one| one["again"] == true).count();
    assert_eq!(of_again, 1, "a share came back");
}

#[test]
fn the_page_names_neither_variants_nor_runs() {
    let workspace = workspace(4);
    let run = ran(&workspace);
    let served = Served::start(&workspace, &run, &[]);
    let all = ["", "page.js", "page.css", "state"].map(|path| served.get(path).body).concat();
    for secret in ["\"one\"", "\"two\"", "\"three\"", "\"variant\"", "taste-"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[test]
fn only_the_page_itself_is_served() {
    let workspace = workspace(4);
    let run = ran(&workspace);
    let served = Served::start(&workspace, &run, &[]);
    let (token, port) = (&served.token, served.port);
    let origin = format!("Origin: http://127.0.0.1:{port}");
    let json = "Content-Type: application/json";
    let of = |line: &str, headers: &[&str], body: &str| served.send(line, headers, body).unwrap();
    let state = format!("GET /{token}/state");
    let judge = format!("POST /{token}/judge");
    let verdict = r#"{"item":0,"cant_tell":true}"#;
    for (line, headers, body, status) in [
        ("GET /".to_owned(), vec![], "", 404),
        ("GET /0123456789abcdef0123456789abcdef/state".to_owned(), vec![], "", 404),
        (format!("GET /{token}"), vec![], "", 404),
        (format!("GET /{token}/../etc/passwd"), vec![], "", 404),
        (format!("GET /{token}/rankings.jsonl"), vec![], "", 404),
        (state.clone(), vec!["Host: evil.example"], "", 403),
        (state.clone(), vec!["Host: evil.example:80"], "", 403),
        (state.clone(), vec!["Origin: http://evil.example"], "", 403),
        (state.clone(), vec!["Origin: null"], "", 403),
        (state.clone(), vec!["Sec-Fetch-Site: cross-site"], "", 403),
        (judge.clone(), vec![json], verdict, 403),
        (judge.clone(), vec!["Origin: http://evil.example", json], verdict, 403),
        (judge.clone(), vec![&origin], verdict, 415),
        (judge.clone(), vec![&origin, "Content-Type: text/plain"], verdict, 415),
        (judge.clone(), vec![&origin, json], "{", 400),
        (judge.clone(), vec![&origin, json], r#"{"item":0,"cant_tell":true,"rater":"bob"}"#, 400),
        (judge.clone(), vec![&origin, json], r#"{"item":999,"cant_tell":true}"#, 422),
        (judge.clone(), vec![&origin, json], r#"{"item":0,"order":[[0],[1]]}"#, 422),
        (judge.clone(), vec![&origin, json], r#"{"item":0,"scores":[1,2,3]}"#, 422),
        (format!("GET /{token}/judge"), vec![], "", 405),
        (format!("POST /{token}/state"), vec![&origin, json], "{}", 405),
        (format!("PUT /{token}/judge"), vec![&origin, json], verdict, 405),
        (format!("DELETE /{token}/judge"), vec![&origin, json], "", 405),
        (format!("OPTIONS /{token}/judge"), vec![&origin, json], "", 405),
    ] {
        assert_eq!(of(&line, &headers, body).status, status, "{line} {headers:?} {body}");
    }
    let large = format!(r#"{{"item":0,"cant_tell":true,"comment":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(of(&judge, &[&origin, json], &large).status, 413);
    assert!(!PathBuf::from(format!("{run}/rankings.jsonl")).exists(), "nothing of that was kept");
    let page = served.get("");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(page.head.contains(header), "{header}: {}", page.head);
    }
    assert!(!page.head.contains("access-control"), "no CORS");
    assert_eq!(of(&judge, &[&origin, json], verdict).status, 200, "the negative twin: its own request passes");
}

#[test]
fn it_listens_on_loopback_only() {
    let workspace = workspace(4);
    let run = ran(&workspace);
    let served = Served::start(&workspace, &run, &[]);
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default()
        + &std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    let port = format!(":{:04X} ", served.port);
    let listening: Vec<&str> = table.lines().filter(|line| line.contains(" 0A ") && line.contains(&port)).collect();
    if table.is_empty() {
        println!("skipped: no /proc/net/tcp here");
        return;
    }
    assert!(listening.len() == 1 && listening[0].contains(&format!("0100007F{port}")), "{listening:?}");
}

/// What was answered for and is not in the file.
fn lost(answered: &[(String, u64)], file: &[Value], rater: &str) -> usize {
    let kept = file.iter().filter(|one| one["rater"] == rater).count();
    answered.iter().filter(|(by, _)| by == rater).count().saturating_sub(kept)
}

#[test]
fn a_server_killed_at_twenty_moments_has_kept_what_it_answered_for() {
    let workspace = workspace(60);
    let run = ran(&workspace);
    let file = format!("{run}/rankings.jsonl");
    let mut moments = Moments::draw();
    let mut answered: Vec<(String, u64)> = Vec::new();
    for moment in 0..20 {
        let rater = format!("r{moment}");
        let served = Served::start(&workspace, &run, &["--rater", &rater]);
        let pause = moments.pause(Duration::from_millis(250));
        let twin = std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let mut done = Vec::new();
                while let Some(item) = served.judge_next() {
                    done.push(item);
                }
                done
            });
            std::thread::sleep(pause);
            let killed = std::process::Command::new("kill").args(["-KILL", &served.id().to_string()]).status().unwrap();
            assert!(killed.success());
            work.join().unwrap()
        });
        answered.extend(twin.into_iter().map(|item| (rater.clone(), item)));
        served.kill();
        let read = Rankings::read(&PathBuf::from(&file));
        let Ok(read) = read else {
            assert!(answered.is_empty(), "{read:?}");
            continue;
        };
        let kept = read.judgements.iter().filter(|(_, one)| one.rater == rater).count();
        let told = answered.iter().filter(|(by, _)| *by == rater).count();
        assert!((told..=told + 1).contains(&kept), "moment {moment}: {told} answered for, {kept} kept");
        // As after a crash in the middle of a write; the next rater's first judgement mends it.
        let mut open = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
        open.write_all(b"{\"schema\":1,\"id\":\"12").unwrap();
    }
    assert!(answered.len() > 20, "{} judgements in all", answered.len());
    let report = workspace.ok(&["rank", "--report", &file, "--format", "json"]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert!(report["judgements"].as_u64().unwrap() >= answered.len() as u64, "{}", report["judgements"]);
    // The negative twin: a judgement that is taken out of the file is missed.
    let (rater, _) = answered.last().unwrap();
    let whole: String = std::fs::read_to_string(&file)
        .unwrap()
        .lines()
        .filter(|l| l.ends_with('}'))
        .fold(String::new(), |all, l| all + l + "\n");
    let mut kept: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lost(&answered, &kept, rater), 0);
    let told = answered.iter().filter(|(by, _)| by == rater).count();
    kept.retain(|one| one["rater"] != rater.as_str());
    assert_eq!(lost(&answered, &kept, rater), told);
}

#[test]
fn two_raters_write_to_one_file_at_once() {
    let workspace = workspace(40);
    let run = ran(&workspace);
    let file = workspace.path().join("shared.jsonl").to_str().unwrap().to_owned();
    let start = |rater: &str| Served::start(&workspace, &run, &["--rater", rater, "--out", &file]);
    let servers = [start("ann"), start("bob"), start("cid")];
    std::thread::scope(|scope| {
        for served in &servers {
            scope.spawn(|| while served.judge_next().is_some() {});
        }
    });
    let all = judgements(&file);
    assert_eq!(all.len(), 3 * 33, "30 cases and 3 of them again, three times");
    let report = workspace.ok(&["rank", "--report", &file, "--format", "json"]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!((&report["raters"][0]["judgements"], report["raters"].as_array().unwrap().len()), (&json!(33), 3));
    assert_eq!(report["axes"][0]["agreement"]["cases"], 30);
}

/// Types lines to `rank --terminal`.
fn typed(workspace: &Workspace, run: &str, flags: &[&str], lines: &str) -> crate::workspace::Said {
    let arguments = [&["rank", run, "--terminal"], flags].concat();
    let mut command = workspace.command(&arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    crate::workspace::said(&child.wait_with_output().unwrap())
}

#[test]
fn the_terminal_does_the_same() {
    let workspace = workspace(8);
    let run = ran(&workspace);
    let lines = "2 1\n2=1 3\nc both poor\n0\nu\n3 2 1\nq\n";
    let said = typed(&workspace, &run, &["--rater", "ann", "--limit", "3", "--again", "0"], lines);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("answer 3 has no place"), "{}", said.stderr);
    let all = judgements(&format!("{run}/rankings.jsonl"));
    assert_eq!(all.len(), 4);
    assert_eq!(
        (&all[0]["order"], &all[1]["cant_tell"], &all[1]["comment"]),
        (&json!([[1, 0], [2]]), &json!(true), &json!("both poor"))
    );
    assert_eq!(
        (&all[2]["withdraws"], &all[3]["comment"]),
        (&all[1]["id"], &json!("both poor")),
        "undo brings the comment back"
    );
    assert_eq!(said.stdout.lines().next().unwrap(), format!("{run}/rankings.jsonl: 2 judgements now, 2 of 3 by ann"));
    let axes = ["--rater", "bob", "--limit", "1", "--axes", "helpful,honest", "--scores", "--format", "json"];
    let said = typed(&workspace, &run, &axes, "7 4 1\n1 1 8\n1 4 4\n");
    let done: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&done["done"], &done["total"]), (&json!(2), &json!(2)));
    let all = judgements(&format!("{run}/rankings.jsonl"));
    assert_eq!(
        (&all[4]["axis"], &all[5]["axis"], &all[5]["scores"]),
        (&json!("helpful"), &json!("honest"), &json!([1, 4, 4]))
    );
}

#[test]
fn a_scorer_ranks_as_nobody() {
    let workspace = workspace(12);
    let run = ran(&workspace);
    let said = workspace.ok(&["rank", &run, "--simulate", "number"]);
    assert_eq!(said.stdout, format!("{run}/rankings.jsonl: 9 judgements by simulated:number\n"));
    let said = workspace.ok(&["rank", &run, "--simulate", "number"]);
    assert!(said.stdout.contains("0 judgements by simulated:number, 9 were there"), "{}", said.stdout);
    let report = workspace.ok(&["rank", "--report", &run]);
    insta::assert_snapshot!(report.stdout, @r"
    9 judgements of 9 cases by 0 people and 1 simulated rater.

    simulated         judged  can't tell  median s  alpha, again  same, again         first wins
    ────────────────────────────────────────────────────────────────────────────────────────────
    simulated:number       9           0       0.0             -            -  0.39 [0.18, 0.65]

    overall: no person has judged
    variant (simulated)  compared  wins against another
    ───────────────────────────────────────────────────
    one                        18     0.75 [0.50, 1.00]
    two                        18     0.50 [0.25, 0.75]
    three                      18     0.25 [0.25, 0.25]

    alpha (Krippendorff, ordinal): 1 perfect, 0 chance; same: pairs that both put in one order;
    first wins: how often the answer shown first does, 0.5 without bias; intervals 95 %
    ");
    let report = workspace.ok(&["rank", "--report", &run, "--format", "json"]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!((&report["raters"], &report["axes"][0]["standings"]), (&json!([]), &json!([])));
}

#[test]
fn a_suite_is_run_first() {
    let workspace = workspace(4);
    let said = typed(&workspace, "suite.yaml", &["--limit", "2", "--variant", "one", "--variant", "two"], "2 1\n");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("to go on later: tripos rank reports/taste-"), "{}", said.stderr);
    let run = workspace.run_folder();
    let all = judgements(run.join("rankings.jsonl").to_str().unwrap());
    assert_eq!((all.len(), all[0]["answers"].as_array().unwrap().len()), (1, 2));
}

#[test]
fn bad_input_is_said_before_anything_is_asked() {
    let workspace = workspace(4);
    let run = ran(&workspace);
    workspace.write("one.jsonl", "{\"schema\":1,\"id\":\"a\",\"run\":\"r\",\"case\":\"c\",\"rater\":\"x\",\"axis\":null,\"prompt\":\"Q\",\"answers\":[{\"variant\":\"v\",\"repeat\":0,\"text\":\"t\"}],\"order\":[[0]],\"seconds\":1,\"time\":\"\"}\n");
    workspace.write("empty.jsonl", "");
    let said = |arguments: &[&str]| {
        let said = workspace.tripos(&[&["rank"], arguments].concat());
        assert_eq!(said.code, Some(2), "{arguments:?}");
        said.stderr.replace(&run, "RUN")
    };
    let all = [
        said(&[&run, "--axes", "helpful,,honest"]),
        said(&[&run, "--axes", "helpful,honest,helpful"]),
        said(&[&run, "--rater", "simulated:x"]),
        said(&[&run, "--variant", "on"]),
        said(&[&run, "--simulate", "numbre"]),
        said(&[&run, "--variant", "one"]),
        said(&["--report", "one.jsonl", "empty.jsonl", "none.jsonl"]),
    ];
    insta::assert_snapshot!(all.concat(), @r"
    error: `helpful,,honest` is no list of axes: a name is empty
      help: write names with commas between them: --axes helpful,honest,harmless
    error: `helpful,honest,helpful` is no list of axes: a name stands there twice
      help: write names with commas between them: --axes helpful,honest,harmless
    error: a rater cannot be called `simulated:x`
      help: give a name without `simulated:` in front, of 1 to 60 characters and no control characters
    error: unknown variant `on`
      --> RUN
      help: did you mean `one`? (one, two, three)
    error: unknown scorer `numbre`
      --> RUN
      help: did you mean `number`? (number)
    note: 4 cases have one answer only and are passed over
    error: there is nothing to rank: 4 cases have one answer only, 0 have none
      help: answers are compared within a case: run several variants, or one with `repeats: 4` and a temperature
    error: a ranking of one answer says nothing
      --> one.jsonl:1:1
      help: remove the line; a judgement compares two answers or more
    error: there are no judgements in it
      --> empty.jsonl
      help: make some: tripos rank RUN
    error: cannot read it: No such file or directory (os error 2)
      --> none.jsonl
      help: give a file of rankings, of preferences, or the folder of a run
    ");
    assert!(said(&[&run, "--answers", "1"]).contains("1 is not in 2..=9"));
    assert!(said(&[&run, "--again", "2"]).contains("a share is a number from 0 to 1"));
}
