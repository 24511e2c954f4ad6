//! The page of `tripos rank` in a real headless Chromium, served by the real program. Where there is none, these tests say
//! so and skip; `make test` installs one where it can.

use crate::chromium::Chromium;
use crate::html_report::browser;
use crate::ranking_server::{Served, ran, workspace};
use crate::workspace::Workspace;
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::path::Path;

const READY: &str = "document.documentElement?.dataset.turn >= '1'";

fn eval(browser: &mut Chromium, expression: &str) -> Value {
    browser.eval(expression).unwrap()
}

fn text(browser: &mut Chromium, selector: &str) -> String {
    let found = eval(browser, &format!("document.querySelector({selector:?})?.textContent ?? ''"));
    found.as_str().unwrap().to_owned()
}

/// Opens the page at a size and waits for the first case.
fn open(browser: &mut Chromium, served: &Served, size: [u32; 2]) {
    let size = json!({"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600});
    browser.call("Emulation.setDeviceMetricsOverride", &size).unwrap();
    browser.call("Page.navigate", &json!({"url": "about:blank"})).unwrap();
    browser.visit(&served.address(), READY).unwrap();
}

/// Does something and waits until the page shows what comes next.
fn turned(browser: &mut Chromium, act: impl FnOnce(&mut Chromium)) {
    let turn = eval(browser, "Number(document.documentElement.dataset.turn)");
    act(browser);
    browser.wait(&format!("Number(document.documentElement.dataset.turn) > {turn}")).unwrap();
}

fn keys(browser: &mut Chromium, keys: &[&str]) {
    for key in keys {
        browser.key(key).unwrap();
    }
}

fn kept(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A picture of the window, where TRIPOS_PICTURES names a folder for it.
fn picture(browser: &mut Chromium, name: &str) {
    let Some(folder) = std::env::var_os("TRIPOS_PICTURES") else { return };
    let shot = browser.call("Page.captureScreenshot", &json!({})).unwrap();
    let bytes = BASE64.decode(shot["data"].as_str().unwrap().as_bytes()).unwrap();
    std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
}

fn places(browser: &mut Chromium) -> Value {
    eval(browser, "[...document.querySelectorAll('.place')].map((one) => one.textContent)")
}

#[test]
fn a_rater_works_by_keys_and_undoes() {
    let Some(mut browser) = browser() else { return };
    let workspace = workspace(8);
    let run = ran(&workspace);
    let file = format!("{run}/rankings.jsonl");
    let served = Served::start(&workspace, &run, &["--rater", "ann"]);
    open(&mut browser, &served, [1280, 860]);
    assert_eq!(text(&mut browser, "#progress"), "1 of 7");
    assert_eq!(text(&mut browser, "h1"), "Put the answers in order, the best first");
    keys(&mut browser, &["2", "=", "3"]);
    assert_eq!(places(&mut browser), json!(["", "= 1st", "= 1st"]));
    // What is left goes last.
    turned(&mut browser, |browser| keys(browser, &["Enter"]));
    assert_eq!(kept(&file)[0]["order"], json!([[1, 2], [0]]));
    assert_eq!(text(&mut browser, "#progress"), "2 of 7");
    keys(&mut browser, &["1", "Enter"]);
    assert_eq!(text(&mut browser, "#say"), "Not placed yet: 2, 3.");
    assert_eq!(kept(&file).len(), 1);
    keys(&mut browser, &["1", "3", "1", "Backspace", "2", "1", "c"]);
    for letter in ["u", "0", "!"] {
        browser.key(letter).unwrap();
    }
    browser.key("Escape").unwrap();
    turned(&mut browser, |browser| keys(browser, &["Enter"]));
    let second = &kept(&file)[1];
    assert_eq!(
        (&second["order"], &second["comment"]),
        (&json!([[2], [1], [0]]), &json!("u0!")),
        "letters of a comment are no keys"
    );
    let third = text(&mut browser, "#case");
    turned(&mut browser, |browser| keys(browser, &["u"]));
    assert_eq!(kept(&file)[2]["withdraws"], kept(&file)[1]["id"]);
    assert_eq!(places(&mut browser), json!(["3rd", "2nd", "1st"]), "as it was");
    assert_eq!(eval(&mut browser, "document.getElementById('comment').value"), "u0!");
    turned(&mut browser, |browser| keys(browser, &["0"]));
    assert_eq!(kept(&file)[3]["cant_tell"], true);
    assert_eq!(text(&mut browser, "#case"), third);
}

#[test]
fn a_reload_or_a_killed_server_loses_only_what_is_not_pressed() {
    let Some(mut browser) = browser() else { return };
    let workspace = workspace(8);
    let run = ran(&workspace);
    let served = Served::start(&workspace, &run, &["--rater", "ann"]);
    open(&mut browser, &served, [1280, 860]);
    turned(&mut browser, |browser| keys(browser, &["0"]));
    turned(&mut browser, |browser| keys(browser, &["2", "3", "Enter"]));
    let third = text(&mut browser, "#case");
    keys(&mut browser, &["1"]);
    open(&mut browser, &served, [1280, 860]);
    assert_eq!((text(&mut browser, "#progress"), text(&mut browser, "#case")), ("3 of 7".to_owned(), third.clone()));
    assert_eq!(places(&mut browser), json!(["", "", ""]));
    // Another server goes on.
    served.kill();
    keys(&mut browser, &["1", "2", "3", "Enter"]);
    browser
        .wait("document.getElementById('say').textContent.startsWith('Not kept: the program does not answer')")
        .unwrap();
    assert_eq!(places(&mut browser), json!(["1st", "2nd", "3rd"]), "nothing is lost on the screen");
    let served = Served::start(&workspace, &run, &["--rater", "ann"]);
    open(&mut browser, &served, [1280, 860]);
    assert_eq!(text(&mut browser, "#case"), third);
    for _ in 0..5 {
        turned(&mut browser, |browser| keys(browser, &["3", "2", "Enter"]));
    }
    assert!(text(&mut browser, "main").contains("All done, thank you."));
    assert_eq!(eval(&mut browser, "document.getElementById('tray').hidden"), true);
    turned(&mut browser, |browser| keys(browser, &["u"]));
    assert_eq!(text(&mut browser, "#progress"), "7 of 7");
    let said = served.stop();
    assert!(said.stdout.contains("6 of 7 by ann"), "{}", said.stdout);
}

#[test]
fn help_scores_and_axes_work_by_keys() {
    let Some(mut browser) = browser() else { return };
    let workspace = workspace(4);
    let run = ran(&workspace);
    let served = Served::start(&workspace, &run, &["--scores", "--axes", "helpful,honest", "--again", "0"]);
    open(&mut browser, &served, [1280, 860]);
    assert_eq!(
        (text(&mut browser, "h1"), text(&mut browser, "#progress")),
        ("Score each answer: how helpful?".into(), "1 of 6".into())
    );
    keys(&mut browser, &["?"]);
    assert_eq!(eval(&mut browser, "document.getElementById('keys').open"), true);
    keys(&mut browser, &["Escape"]);
    browser.wait("!document.getElementById('keys').open && document.activeElement === document.body").unwrap();
    keys(&mut browser, &["7", "2", "Enter"]);
    assert_eq!(text(&mut browser, "#say"), "Not scored yet: 3.");
    turned(&mut browser, |browser| keys(browser, &["4", "Enter"]));
    assert_eq!(text(&mut browser, "h1"), "Score each answer: how honest?");
    let first = &kept(&format!("{run}/rankings.jsonl"))[0];
    assert_eq!((&first["axis"], &first["scores"]), (&json!("helpful"), &json!([7, 2, 4])));
}

/// A finger from the middle of one node to the middle of another, or `by` pixels beside it.
fn drag(browser: &mut Chromium, from: &str, to: &str, by: i32) {
    let middle = |selector: &str| {
        format!(
            "(() => {{ const box = document.querySelector({selector:?}).getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; }})()"
        )
    };
    let at = |value: Value| [value[0].as_f64().unwrap(), value[1].as_f64().unwrap()];
    let start = at(eval(browser, &middle(from)));
    let end = at(eval(browser, &middle(to)));
    let mut touch = |kind: &str, points: Value| {
        browser.call("Input.dispatchTouchEvent", &json!({"type": kind, "touchPoints": points})).unwrap();
    };
    touch("touchStart", json!([{"x": start[0], "y": start[1]}]));
    for step in 1..=6 {
        let part = f64::from(step) / 6.0;
        let (x, y) = (start[0] + (end[0] + f64::from(by) - start[0]) * part, start[1] + (end[1] - start[1]) * part);
        touch("touchMove", json!([{"x": x, "y": y}]));
    }
    touch("touchEnd", json!([]));
}

#[test]
fn a_finger_taps_and_drags_at_phone_width() {
    let Some(mut browser) = browser() else { return };
    let workspace = workspace(4);
    let run = ran(&workspace);
    let served = Served::start(&workspace, &run, &["--again", "0"]);
    browser.call("Emulation.setTouchEmulationEnabled", &json!({"enabled": true})).unwrap();
    open(&mut browser, &served, [390, 844]);
    assert!(text(&mut browser, "#say").starts_with("Tap the answers"));
    assert_eq!(eval(&mut browser, "document.documentElement.scrollWidth <= 390"), true);
    let small = "[...document.querySelectorAll('button')].filter((one) => one.offsetParent && one.getBoundingClientRect().height < 30).length";
    assert_eq!(eval(&mut browser, small), 0, "nothing is too small for a finger");
    for chip in ["chip-0", "chip-1", "chip-2"] {
        eval(&mut browser, &format!("document.querySelector('[data-key={chip}]').click()"));
    }
    let order = "JSON.stringify(order.groups)";
    assert_eq!(eval(&mut browser, order), "[[0],[1],[2]]");
    drag(&mut browser, "[data-key=chip-2]", "[data-key=chip-0]", -30);
    assert_eq!(eval(&mut browser, order), "[[2],[0],[1]]");
    eval(&mut browser, "document.querySelector('[data-key=gap-1]').click()");
    assert_eq!(eval(&mut browser, order), "[[2,0],[1]]");
    eval(&mut browser, "document.querySelector('[data-key=gap-1]').click()");
    assert_eq!(eval(&mut browser, order), "[[2],[0],[1]]");
    drag(&mut browser, "[data-key=chip-2]", "[data-key=chip-1]", 30);
    assert_eq!(eval(&mut browser, order), "[[0],[1],[2]]");
    eval(&mut browser, "document.querySelector('[data-key=chip-1]').focus()");
    keys(&mut browser, &["ArrowLeft"]);
    assert_eq!(eval(&mut browser, order), "[[1],[0],[2]]");
    turned(&mut browser, |browser| {
        eval(browser, "document.getElementById('commit').click()");
    });
    assert_eq!(kept(&format!("{run}/rankings.jsonl"))[0]["order"], json!([[1], [0], [2]]));
}

/// Answers and questions that attack the page, or stretch it.
fn hostile() -> (Workspace, String) {
    let workspace = workspace(3);
    let suite = workspace
        .read("suite.yaml")
        .replace("max_tokens: 64}", "max_tokens: 20000}\ncontext: 30000")
        .replace("What is 0?", "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2>");
    workspace.write("suite.yaml", suite.replace("What is 1?", "\u{202e}מה שלומך? ‏123"));
    let long = format!("{}{}", "x".repeat(4_000), "<b>word</b> \\n".repeat(600));
    for (name, say) in [
        (
            "one",
            "</script><script>window.pwned=3</script><img src=x onerror=window.pwned=4><svg onload=window.pwned=5>"
                .to_owned(),
        ),
        (
            "two",
            "\u{202e}שלום עולם\u{2066} 2 <style>*{display:none}</style> {{7*7}} ${7*7} javascript:alert(1)".to_owned(),
        ),
        ("three", long),
    ] {
        workspace.write(&format!("{name}.yaml"), format!("otherwise: {}\n", json!(say)));
    }
    let run = ran(&workspace);
    (workspace, run)
}

#[test]
fn hostile_answers_are_texts_and_nothing_else() {
    let Some(mut browser) = browser() else { return };
    let (workspace, run) = hostile();
    let served = Served::start(&workspace, &run, &["--again", "0"]);
    for size in [[1280, 860], [390, 844]] {
        open(&mut browser, &served, size);
        for _ in 0..3 {
            assert_eq!(eval(&mut browser, "window.pwned ?? null"), Value::Null);
            assert_eq!(
                eval(
                    &mut browser,
                    "document.querySelectorAll('main script, main img, main svg, main style, main b').length"
                ),
                0
            );
            assert_eq!(
                eval(&mut browser, &format!("document.documentElement.scrollWidth <= {}", size[0])),
                true,
                "{size:?}"
            );
            let texts =
                eval(&mut browser, "[...document.querySelectorAll('.card .said')].map((one) => one.textContent)");
            let shown = served.get("state").view()["item"]["answers"].clone();
            assert_eq!(texts, shown, "every character is there");
            assert_eq!(
                eval(&mut browser, "document.querySelectorAll('.card .more').length"),
                1,
                "the long one is folded"
            );
            assert_eq!(
                eval(
                    &mut browser,
                    "[...document.querySelectorAll('.card .said')].filter((one) => getComputedStyle(one).direction === 'rtl').length"
                ),
                1
            );
            turned(&mut browser, |browser| keys(browser, &["0"]));
        }
        for _ in 0..3 {
            turned(&mut browser, |browser| keys(browser, &["u"]));
        }
    }
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
    let own = format!("http://127.0.0.1:{}/{}/", served.port, served.token);
    let strange: Vec<&String> =
        browser.requests.iter().filter(|url| !url.starts_with(&own) && *url != "about:blank").collect();
    assert!(strange.is_empty(), "{strange:?}");
    // The negative twin: a script in the page would be seen here, and the policy stops it.
    eval(
        &mut browser,
        "{ const one = document.createElement('script'); one.textContent = 'window.pwned = 9'; document.body.append(one); }",
    );
    assert_eq!(eval(&mut browser, "window.pwned ?? null"), Value::Null);
    browser.wait("1 + 1 === 2").unwrap();
    assert!(browser.complaints.iter().any(|said| said.contains("Content Security Policy")), "{:?}", browser.complaints);
}

#[test]
fn two_raters_and_two_windows_do_not_mix() {
    let (Some(mut one), Some(mut other)) = (browser(), browser()) else { return };
    let workspace = workspace(8);
    let run = ran(&workspace);
    let (ann, bob) =
        (Served::start(&workspace, &run, &["--rater", "ann"]), Served::start(&workspace, &run, &["--rater", "bob"]));
    open(&mut one, &ann, [1280, 860]);
    open(&mut other, &bob, [1280, 860]);
    for _ in 0..3 {
        turned(&mut one, |browser| keys(browser, &["1", "2", "Enter"]));
        turned(&mut other, |browser| keys(browser, &["3", "1", "Enter"]));
    }
    let all = kept(&format!("{run}/rankings.jsonl"));
    let by = |rater: &str| all.iter().filter(|line| line["rater"] == rater).count();
    assert_eq!((by("ann"), by("bob"), all.len()), (3, 3, 6));
    // A second window of the same rater: what one has judged the other is told, and it goes on with the next.
    open(&mut other, &ann, [1280, 860]);
    turned(&mut one, |browser| keys(browser, &["1", "2", "Enter"]));
    turned(&mut other, |browser| keys(browser, &["1", "2", "Enter"]));
    assert_eq!(text(&mut other, "#say"), "Nothing was kept: this was judged already.");
    assert_eq!(text(&mut other, "#progress"), "5 of 7");
    assert_eq!(kept(&format!("{run}/rankings.jsonl")).len(), 7);
}

#[test]
fn pictures_of_the_page() {
    if std::env::var_os("TRIPOS_PICTURES").is_none() {
        println!("skipped: TRIPOS_PICTURES names no folder for pictures");
        return;
    }
    let Some(mut browser) = browser() else { return };
    let workspace = workspace(40);
    let questions = [
        "A baker sells 14 loaves in the morning and 9 in the afternoon, each for 3 coins. How many coins does she earn?",
        "Why does ice float on water?",
    ];
    let suite = workspace.read("suite.yaml").replace("max_tokens: 64}", "max_tokens: 400}");
    let suite =
        (0..40).fold(suite, |suite, i| suite.replace(&format!("'What is {i}?'"), &format!("{:?}", questions[0])));
    workspace.write("suite.yaml", suite);
    for (name, say) in [
        ("one", "She sells 14 + 9 = 23 loaves.\n23 loaves at 3 coins each make 23 × 3 = 69.\nThe answer is 69 coins."),
        (
            "two",
            "14 × 3 = 42 in the morning.\nIn the afternoon she sells 9 more, so 42 + 9 = 51.\nThe answer is 51 coins.",
        ),
        ("three", "69."),
    ] {
        workspace.write(
            &format!("{name}.yaml"),
            format!("answers: [{{when: Same, say: It is 7.}}]\notherwise: {}\n", json!(say)),
        );
    }
    let run = ran(&workspace);
    let served = Served::start(&workspace, &run, &["--axes", "helpful,honest"]);
    for (size, scheme, name) in [
        ([1280, 720], "light", "rank.png"),
        ([390, 844], "light", "rank-phone.png"),
        ([1280, 720], "dark", "rank-dark.png"),
    ] {
        let media = json!({"media": "", "features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.call("Emulation.setEmulatedMedia", &media).unwrap();
        browser.call("Emulation.setTouchEmulationEnabled", &json!({"enabled": size[0] < 600})).unwrap();
        open(&mut browser, &served, size);
        keys(&mut browser, &["1", "=", "3"]);
        picture(&mut browser, name);
    }
    let served = Served::start(&workspace, &run, &["--scores", "--rater", "bob"]);
    open(&mut browser, &served, [390, 844]);
    keys(&mut browser, &["6", "2"]);
    picture(&mut browser, "rank-scores.png");
    open(&mut browser, &served, [1280, 720]);
    keys(&mut browser, &["6", "2", "?"]);
    picture(&mut browser, "rank-help.png");
}
