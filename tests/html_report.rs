//! The HTML report, opened by a real headless Chromium from disk. Where there is none, these tests say so and skip;
//! `make test` installs one where it can.

use crate::chromium::{Chromium, find};
use crate::workspace::{Workspace, model};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tripos::gate::GateRecord;
use tripos::report::{ReportError, html};
use tripos::summary::RunSummary;

/// Two variants over six cases: both right, one wrong, both wrong, without a target, cut, and one that attacks the page.
const SUITE: &str = r#"
suite: page
description: A <b>bold</b> suite.
model: {scripted: model.yaml}
sampling: {max_tokens: 90}
cases:
  - {id: both, vars: {q: What is 1 + 1?, note: zebra}, target: 2, tags: [small]}
  - {id: split, vars: {q: What is 2 + 2?}, target: 4, tags: [small]}
  - {id: neither, vars: {q: What is 14 + 9?}, target: 23, tags: [large]}
  - {id: open, vars: {q: What is 5 + 5?}}
  - {id: long, vars: {q: Count to ten.}, target: 10, tags: [large]}
  - {id: evil, vars: {q: "</script><script>window.pwned=1</script>", more: "<img src=x onerror=window.pwned=2>"}, target: 9}
examples:
  - {vars: {q: What is 40 + 2?}, target: 42}
answer: {take: number, which: last}
scorers: [number]
variants:
  - {name: plain, prompt: a.txt}
  - {name: shown, prompt: a.txt, examples: {count: 1}}
"#;

const PROMPT: &str = "{% for e in examples %}Q: {{ e.q }}\nA: {{ e.target }}\n\n{% endfor %}Q: {{ q }}{% if more is defined %}{{ more }}{% endif %}\nA:";

const MODEL: &str = r#"
answers:
  - {when: '1 \+ 1', say: " It is 2."}
  - {when: '42[\s\S]*2 \+ 2', say: " It is 5."}
  - {when: '2 \+ 2', say: " It is 4."}
  - {when: '14 \+ 9', say: " 4 + 9 = 12, write 2 carry 1. 1 + 1 = 2. So 22."}
  - {when: 'Count', say: " 1, 2, 3, 4, 5, 6, 7, 8, 9, and then what comes behind it, as everybody knows and nobody doubts, is 10."}
  - {when: 'pwned', say: " </script><script>window.pwned=3</script><img src=x onerror=window.pwned=4> 9"}
otherwise: " 10"
"#;

/// A run of that suite, and its report.
fn reported() -> (Workspace, PathBuf) {
    let workspace = Workspace::new();
    workspace.write("suite.yaml", SUITE);
    workspace.write("a.txt", PROMPT);
    workspace.write("model.yaml", MODEL);
    workspace.ok(&["run", "suite.yaml"]);
    let page = report(&workspace, None);
    (workspace, page)
}

/// Writes the report of all runs of a workspace.
fn report(workspace: &Workspace, gate: Option<&GateRecord>) -> PathBuf {
    let runs: Vec<RunSummary> = workspace.run_folders().iter().map(|dir| RunSummary::read(dir).unwrap()).collect();
    let mut page = Vec::new();
    html(&runs, gate, &mut page).unwrap();
    workspace.write("report.html", page);
    workspace.path().join("report.html")
}

/// A browser, or the reason why there is none.
pub(crate) fn browser() -> Option<Chromium> {
    let Some(program) = find() else {
        println!(
            "skipped: no chromium, chromium-browser or google-chrome on the path; `make test` installs one where it can"
        );
        return None;
    };
    // A package may be no more than a note where to get the real one.
    let version = std::process::Command::new(&program).arg("--version").output();
    if !version.is_ok_and(|said| said.status.success()) {
        println!("skipped: {} does not run", program.display());
        return None;
    }
    Some(Chromium::start(&program).unwrap())
}

fn open(browser: &mut Chromium, page: &Path) {
    browser.open(page, "").unwrap();
}

fn eval(browser: &mut Chromium, expression: &str) -> Value {
    browser.eval(expression).unwrap()
}

fn text(browser: &mut Chromium, selector: &str) -> String {
    let found = eval(browser, &format!("document.querySelector({selector:?})?.textContent ?? ''"));
    found.as_str().unwrap().to_owned()
}

/// The ids of the listed rows, joined.
fn listed(browser: &mut Chromium) -> String {
    let ids = eval(browser, "[...document.querySelectorAll('.row .id')].map((id) => id.textContent).join(' ')");
    ids.as_str().unwrap().to_owned()
}

fn click(browser: &mut Chromium, selector: &str) {
    eval(browser, &format!("document.querySelector({selector:?}).click()"));
}

fn search(browser: &mut Chromium, query: &str) -> String {
    eval(
        browser,
        &format!(
            "{{ const box = document.getElementById('query'); box.value = {query:?}; box.dispatchEvent(new Event('input')); }}"
        ),
    );
    browser.wait("state.query === '' || state.found !== null").unwrap();
    browser.wait("!document.getElementById('count').textContent.includes('searching')").unwrap();
    // What is found is drawn when the search is at its end, at the latest.
    eval(browser, "new Promise((done) => setTimeout(done, 60))");
    listed(browser)
}

const OPENED: &str = "document.querySelector('#case[open] .column') !== null";

#[test]
fn the_overview_shows_every_variant_and_metric_with_its_interval() {
    let Some(mut browser) = browser() else { return };
    let (workspace, page) = reported();
    open(&mut browser, &page);
    let run = RunSummary::read(&workspace.run_folder()).unwrap();
    let mut cells = 0;
    for variant in &run.variants {
        for metric in &variant.metrics {
            let row = eval(&mut browser, &format!(
                "(() => {{ const panel = [...document.querySelectorAll('#overview .panel')].find((one) => one.querySelector('h3').firstChild.textContent.trim() === {:?});
                   const row = [...panel.querySelectorAll('tbody tr')].find((one) => one.querySelector('th').textContent === {:?});
                   return [row.querySelectorAll('.dot').length, row.querySelectorAll('.interval').length, row.textContent]; }})()",
                metric.name, variant.name
            ));
            assert_eq!((&row[0], &row[1]), (&json!(1), &json!(1)), "{row}");
            assert!(row[2].as_str().unwrap().contains(&format!("{:.3}", metric.value.unwrap())), "{row}");
            cells += 1;
        }
    }
    assert_eq!(eval(&mut browser, "document.querySelectorAll('#overview .panel .dot').length"), cells);
    assert_eq!(text(&mut browser, ".lead"), "A <b>bold</b> suite.");
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn each_filter_lists_its_cases() {
    let Some(mut browser) = browser() else { return };
    let (_workspace, page) = reported();
    open(&mut browser, &page);
    assert_eq!(listed(&mut browser), "both split neither open long evil");
    for (filter, wanted) in
        [("failed", "split neither long"), ("flipped", "split"), ("unscored", "open"), ("cut", "long")]
    {
        click(&mut browser, &format!("#filter-{filter}"));
        assert_eq!(listed(&mut browser), wanted, "{filter}");
        let count = format!("{} of 6 cases", wanted.split(' ').count());
        assert!(text(&mut browser, "#count").starts_with(&count), "{}", text(&mut browser, "#count"));
        click(&mut browser, &format!("#filter-{filter}"));
    }
    eval(
        &mut browser,
        "{ const tag = document.getElementById('filter-tag'); tag.value = [...tag.options].find((one) => one.text === 'large').value; tag.dispatchEvent(new Event('change')); }",
    );
    assert_eq!(listed(&mut browser), "neither long");
    click(&mut browser, "#filter-cut");
    assert_eq!(listed(&mut browser), "long", "filters are joined by `and`");
}

#[test]
fn a_search_covers_variables_answers_and_prompts_even_what_they_share() {
    let Some(mut browser) = browser() else { return };
    let (_workspace, page) = reported();
    open(&mut browser, &page);
    assert_eq!(search(&mut browser, "ZEBRA"), "both", "a variable that no prompt shows");
    assert_eq!(search(&mut browser, "write 2 carry"), "neither", "an answer");
    assert_eq!(search(&mut browser, "q: count to"), "long", "a prompt");
    assert_eq!(search(&mut browser, "what is 40 + 2?"), "both split neither open long evil", "the few-shot block");
    click(&mut browser, ".chip:nth-child(2)");
    assert_eq!(search(&mut browser, "what is 40 + 2?"), "", "that only the hidden variant shows");
    assert_eq!(search(&mut browser, "no such text"), "");
    assert_eq!(search(&mut browser, ""), "both split neither open long evil");
}

#[test]
fn a_case_shows_the_variants_side_by_side_and_its_prompt_told_apart() {
    let Some(mut browser) = browser() else { return };
    let (_workspace, page) = reported();
    browser.open(&page, "#case=split&variant=shown").unwrap();
    browser.wait(OPENED).unwrap();
    let columns = eval(
        &mut browser,
        "[...document.querySelectorAll('#case .column')].map((one) => [one.querySelector('h3').textContent, one.querySelector('.answer').textContent, one.querySelector('.shots')?.textContent ?? null, one.querySelector('.own').lastChild.textContent, one.getBoundingClientRect().top])",
    );
    assert_eq!(columns[0][0], "plain✓ pass");
    assert_eq!(columns[1][0], "shown✗ fail");
    assert!(columns[0][1].as_str().unwrap().contains("It is 4."), "{columns}");
    assert!(columns[1][1].as_str().unwrap().contains("It is 5."), "{columns}");
    assert_eq!((&columns[0][2], &columns[1][2]), (&Value::Null, &json!("Q: What is 40 + 2?\nA: 42\n\n")));
    assert_eq!((&columns[0][3], &columns[1][3]), (&json!("Q: What is 2 + 2?\nA:"), &json!("Q: What is 2 + 2?\nA:")));
    assert_eq!(columns[0][4], columns[1][4], "in one line");
}

#[test]
fn the_first_wrong_step_is_marked_with_what_is_right() {
    let Some(mut browser) = browser() else { return };
    let (_workspace, page) = reported();
    browser.open(&page, "#case=neither").unwrap();
    browser.wait(OPENED).unwrap();
    let steps = eval(
        &mut browser,
        "[...document.querySelectorAll('.column:first-child .steps li')].map((one) => one.querySelector('.text').textContent)",
    );
    assert_eq!(steps, json!(["4 + 9 = 12✗ 13, write 2 carry 1.", "1 + 1 = 2✓.", "So 22."]));
    assert_eq!(eval(&mut browser, "document.querySelectorAll('.column:first-child .steps li.wrong').length"), 1);
    assert!(text(&mut browser, ".steps li.wrong").starts_with("first wrong step"));
    browser.key("s").unwrap();
    browser.wait("document.querySelector('#case .steps') === null").unwrap();
    assert!(text(&mut browser, ".answer pre").starts_with(" 4 + 9 = 12"), "the plain text is a key away");
}

#[test]
fn the_whole_report_works_by_keyboard() {
    let Some(mut browser) = browser() else { return };
    let (_workspace, page) = reported();
    open(&mut browser, &page);
    for key in ["j", "j", "ArrowDown", "Enter"] {
        browser.key(key).unwrap();
    }
    browser.wait(OPENED).unwrap();
    assert_eq!(text(&mut browser, "#case-title"), "neither", "the first key takes the list into view");
    assert_eq!(eval(&mut browser, "location.hash"), "#case=neither");
    browser.key("k").unwrap();
    browser.wait("document.getElementById('case-title').textContent === 'split'").unwrap();
    browser.key("Escape").unwrap();
    browser.wait("!document.getElementById('case').open && document.activeElement.matches('.rows')").unwrap();
    assert_eq!(text(&mut browser, ".row[aria-selected=true] .id"), "split");
    browser.key("/").unwrap();
    assert_eq!(eval(&mut browser, "document.activeElement.id"), "query");
    browser.key("z").unwrap();
    browser.key("e").unwrap();
    browser.wait("document.querySelectorAll('.row').length === 1").unwrap();
    browser.key("Escape").unwrap();
    browser.key("?").unwrap();
    assert_eq!(eval(&mut browser, "document.getElementById('keys').open"), true);
    browser.key("Escape").unwrap();
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn texts_that_attack_the_page_are_shown_as_texts() {
    let Some(mut browser) = browser() else { return };
    let (_workspace, page) = reported();
    browser.open(&page, "#case=evil").unwrap();
    browser.wait(OPENED).unwrap();
    let shown = text(&mut browser, "#case");
    for part in [
        "</script><script>window.pwned=1</script>",
        "<img src=x onerror=window.pwned=2>",
        "<script>window.pwned=3</script>",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(text(&mut browser, "#list").contains("</script><script>window.pwned=1"));
    assert_eq!(eval(&mut browser, "[typeof window.pwned, document.images.length]"), json!(["undefined", 0]));
    let bytes = std::fs::read_to_string(&page).unwrap();
    assert!(!bytes.contains("pwned"), "the file holds them compressed only");
}

#[test]
fn no_request_leaves_the_page_and_no_other_script_runs_in_it() {
    let Some(mut browser) = browser() else { return };
    let (workspace, page) = reported();
    open(&mut browser, &page);
    search(&mut browser, "zebra");
    assert_eq!(eval(&mut browser, "performance.getEntriesByType('resource').length"), 0);
    assert!(
        !browser.requests.is_empty()
            && browser.requests.iter().all(|url| ["file:", "about:", "data:"].iter().any(|own| url.starts_with(own))),
        "{:?}",
        browser.requests
    );
    assert_eq!(browser.complaints, [""; 0]);
    // The twin: were a text to get into the page as HTML after all, its policy would stop it.
    let torn = std::fs::read_to_string(&page)
        .unwrap()
        .replace("</body>", "<script>window.pwned=1</script><img src=http://127.0.0.1:9/x></body>");
    workspace.write("torn.html", torn);
    open(&mut browser, &workspace.path().join("torn.html"));
    assert_eq!(eval(&mut browser, "typeof window.pwned"), "undefined");
    assert!(browser.complaints.len() >= 2, "{:?}", browser.complaints);
    assert_eq!(
        eval(&mut browser, "performance.getEntriesByType('resource').filter((one) => one.transferSize > 0).length"),
        0
    );
}

#[test]
fn it_is_dark_where_the_system_is_narrow_where_the_window_is_and_prints() {
    let Some(mut browser) = browser() else { return };
    let (_workspace, page) = reported();
    open(&mut browser, &page);
    let back = "getComputedStyle(document.documentElement).backgroundColor.match(/[0-9.]+/g).slice(0, 3).reduce((sum, one) => sum + Number(one), 0)";
    let emulate = |browser: &mut Chromium, media: &str, scheme: &str| {
        let params = json!({"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.call("Emulation.setEmulatedMedia", &params).unwrap();
    };
    emulate(&mut browser, "", "light");
    let light = eval(&mut browser, back).as_f64().unwrap();
    emulate(&mut browser, "", "dark");
    let dark = eval(&mut browser, back).as_f64().unwrap();
    assert!(light > 700.0 && dark < 150.0, "{light} {dark}");
    click(&mut browser, "#theme");
    assert!((eval(&mut browser, back).as_f64().unwrap() - light).abs() < 1.0, "the first press of the button is light");
    for width in [400, 1600] {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == 400});
        browser.call("Emulation.setDeviceMetricsOverride", &size).unwrap();
        assert_eq!(eval(&mut browser, "document.documentElement.scrollWidth <= innerWidth"), true, "{width}");
    }
    emulate(&mut browser, "print", "dark");
    assert_eq!(
        eval(
            &mut browser,
            "['#samples', '#tools'].map((one) => getComputedStyle(document.querySelector(one)).display)"
        ),
        json!(["none", "none"])
    );
    assert!(
        eval(&mut browser, "document.querySelector('.panel .dot').getBoundingClientRect().y > 0").as_bool().unwrap()
    );
}

#[test]
fn a_verdict_of_the_gate_and_what_it_saw_change_are_shown() {
    let Some(mut browser) = browser() else { return };
    let (workspace, _) = reported();
    let run = workspace.run_folder().file_name().unwrap().display().to_string();
    let gate: GateRecord = serde_json::from_value(json!({
        "schema": 1, "run": run, "suite": "page", "baseline": "base.json", "verdict": "fail",
        "rules": [{"variant": "shown", "metric": "number", "rule": "no_worse_by 0.02", "decision": "fail",
            "evidence": "0.2 < 0.5 <at least>", "file": "suite.yaml", "line": 1, "column": 1}],
        "comparisons": [{"metric": "number", "direction": "higher", "baseline": {"run": "base.json", "variant": "shown", "value": 0.6},
            "candidate": {"run": run, "variant": "shown", "value": 0.4}, "n": 5, "discordant": [1, 0], "difference": -0.2,
            "ci": [-0.5, 0.1], "level": 0.95, "test": "mcnemar_exact", "p_value": 1.0, "p_adjusted": 1.0,
            "minimum_detectable": null, "cases_for_three_points": null, "verdict": "worse",
            "flipped": [{"case": "neither", "from": true, "to": false}], "only_baseline": [], "only_candidate": [], "unscored": []}]
    }))
    .unwrap();
    let page = report(&workspace, Some(&gate));
    open(&mut browser, &page);
    let shown = text(&mut browser, ".gate");
    for part in ["✗ fail", "no_worse_by 0.02", "0.2 < 0.5 <at least>", "-0.200", "▼ worse"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    click(&mut browser, "#filter-flipped");
    assert_eq!(listed(&mut browser), "split neither");
    browser.open(&page, "#case=neither").unwrap();
    browser.wait(OPENED).unwrap();
    assert!(text(&mut browser, ".vars").contains("number of shown: true → false"), "{}", text(&mut browser, ".vars"));
}

#[test]
fn runs_of_one_suite_stand_side_by_side_and_other_suites_apart() {
    let Some(mut browser) = browser() else { return };
    let (workspace, _) = reported();
    workspace.ok(&["run", "suite.yaml", "--limit", "2", "--no-cache"]);
    workspace.write("other.yaml", SUITE.replace("suite: page", "suite: zother"));
    workspace.ok(&["run", "other.yaml", "--limit", "3"]);
    let page = report(&workspace, None);
    open(&mut browser, &page);
    assert_eq!(listed(&mut browser), "both split neither open long evil");
    click(&mut browser, ".row:nth-child(2)");
    browser.wait(OPENED).unwrap();
    let columns = "[...document.querySelectorAll('#case .column h3')].map((one) => one.firstChild.textContent)";
    assert_eq!(eval(&mut browser, columns), json!(["A plain", "A shown", "B plain", "B shown"]));
    browser.key("Escape").unwrap();
    eval(
        &mut browser,
        "{ const suite = document.getElementById('filter-suite'); suite.value = 1; suite.dispatchEvent(new Event('change')); }",
    );
    assert_eq!(listed(&mut browser), "both split neither");
}

#[test]
fn tokens_are_tinted_and_show_what_else_the_model_might_have_said() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::llama();
    let suite = workspace.read("suite.yaml").replace("max_tokens: 48", "max_tokens: 48, logprobs: 3");
    workspace.write("suite.yaml", suite);
    workspace.ok(&["run", "suite.yaml"]);
    assert!(model().exists());
    let page = report(&workspace, None);
    open(&mut browser, &page);
    browser.key("j").unwrap();
    browser.key("Enter").unwrap();
    browser.wait(OPENED).unwrap();
    let spelt = eval(
        &mut browser,
        "[...document.querySelectorAll('.column:last-child .answer')].map((one) => [...one.querySelectorAll('.text .token, pre .token')].map((token) => token.textContent).join(''))",
    );
    let said = eval(
        &mut browser,
        "[...document.querySelectorAll('.column:last-child .answer')].map((one) => [...one.querySelectorAll('.text, pre')].map((part) => [...part.childNodes].map((node) => node.textContent).join('')).join('').replace(/✓|✗ [0-9.-]+/g, ''))",
    );
    assert_eq!(spelt, said, "every letter of an answer belongs to a token");
    eval(&mut browser, "document.querySelector('.answer[tabindex]').focus()");
    browser.key("ArrowRight").unwrap();
    assert_eq!(eval(&mut browser, "document.querySelectorAll('.token.current').length"), 1);
    let rows = eval(
        &mut browser,
        "[...document.querySelectorAll('#tip tr')].map((row) => [row.className, row.lastChild.textContent])",
    );
    assert!(
        rows.as_array().unwrap().len() >= 3 && rows.to_string().contains("drawn") && rows.to_string().contains('%'),
        "{rows}"
    );
}

#[test]
fn ten_thousand_samples_open_fast_and_scroll_to_the_last() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::new();
    let cases = "cases:\n  generate:\n    count: 5000\n    seed: 1\n    let: {a: {int: [100, 999]}, b: {int: [100, 999]}}\n    case: {id: 'n-{{ index }}', vars: {q: 'What is {{ a }} + {{ b }}?'}, target: '{{ a + b }}'}\n";
    let (head, rest) = (SUITE.split("cases:").next().unwrap(), SUITE.split("examples:\n").nth(1).unwrap());
    workspace.write("suite.yaml", format!("{head}{cases}examples:\n{rest}"));
    workspace.write("a.txt", PROMPT);
    workspace.write("model.yaml", MODEL);
    workspace.ok(&["run", "suite.yaml", "--no-cache"]);
    let page = report(&workspace, None);
    let size = std::fs::metadata(&page).unwrap().len();
    assert!(size < 30_000_000, "{size} bytes");
    open(&mut browser, &page);
    browser.wait("performance.getEntriesByName('first-contentful-paint').length > 0").unwrap();
    let paint = eval(&mut browser, "Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime)");
    println!("10,000 samples: {:.1} MB, first contentful paint after {paint} ms", size as f64 / 1e6);
    assert!(text(&mut browser, "#count").starts_with("5,000 of 5,000 cases, 10,000 samples"));
    browser.key("j").unwrap();
    browser.key("End").unwrap();
    browser
        .wait("[...document.querySelectorAll('.row .id')].some((one) => one.textContent === state.index.rows[4999].id)")
        .unwrap();
    assert!(
        eval(&mut browser, "document.querySelectorAll('.row').length").as_u64().unwrap() < 200,
        "only rows in view exist"
    );
    let last = eval(
        &mut browser,
        "(() => { const box = document.querySelector('.rows').getBoundingClientRect(); const row = document.querySelector('.row[aria-selected=true]').getBoundingClientRect(); return row.bottom <= box.bottom + 1 && row.top >= box.top; })()",
    );
    assert_eq!(last, true, "the last row is in view");
}

#[test]
fn what_cannot_be_read_or_written_is_explained() {
    use tripos::error::Explain;
    /// A disk that is full.
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let workspace = Workspace::scripted();
    workspace.ok(&["run", "suite.yaml"]);
    let folder = workspace.run_folder();
    let run = RunSummary::read(&folder).unwrap();
    let error = html(std::slice::from_ref(&run), None, &mut Full).unwrap_err();
    assert!(matches!(error, ReportError::Write { .. }) && error.help().is_some(), "{error}");
    std::fs::remove_file(folder.join("samples.jsonl")).unwrap();
    let error = html(&[run], None, &mut Vec::new()).unwrap_err();
    assert_eq!(error.at().unwrap().file, folder.join("samples.jsonl"));
}
