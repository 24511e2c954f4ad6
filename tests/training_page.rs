//! The page of a training run, written by `tripos report` and opened by a real headless Chromium from disk.

use crate::chromium::Chromium;
use crate::html_report::browser;
use crate::workspace::Workspace;
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const EVIL: &str = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2>";

/// A number that looks random, from 0 to 1, the same every time.
fn noise(at: u64) -> f64 {
    let mixed = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678;
    (mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / f64::from(1 << 24)
}

fn header(steps: u64) -> Value {
    let segment = |from_step: u64, started: &str| json!({"started": started, "from_step": from_step, "lr": 3e-4, "build": "tripos 0.1.0, b9000", "threads": 2});
    json!({
        "schema": 1, "run": "arithmetic-sft-2026-01-31-1a2b", "status": "complete", "tripos": "0.1.0",
        "llama_cpp": "b9000", "features": ["AVX2=1", "FMA=1", "SVE=0"], "recipe_name": "arithmetic-sft",
        "recipe_path": "recipes/tiny/sft.yaml",
        "recipe": {"recipe": "arithmetic-sft", "kind": "sft", "optimiser": {"clip": 1.0},
                   "description": "Sums and differences of three digits, step by step."},
        "recipe_sha256": "ab".repeat(32), "flags": {"seed": 7},
        "base": {"path": "models/tripos-tiny.gguf", "sha256": "cd".repeat(32)},
        "material": {"sources": [], "documents": 1900, "tokens": 160_000, "targets": 60_000, "rows": 640,
                     "held_out_documents": 100, "held_out_tokens": 8400, "held_out_rows": 34, "sha256": "",
                     "held_out_sha256": ""},
        "parameters": 3_215_104, "trained": 262_144, "steps": steps,
        "parity": {"tokens": 512, "f32": 3.1e-6, "f32_limit": 1e-4, "bf16": 4e-3, "bf16_limit": 2e-2},
        "memory": {"estimated": 118_u64 << 20, "held": 96_u64 << 20, "available": 8_u64 << 30},
        "segments": [segment(0, "2026-01-31T10:00:00Z"), segment(140, "2026-01-31T11:00:00Z")],
        "started": "2026-01-31T10:00:00Z", "best": {"step": 250, "loss": 0.436},
        "outcome": {"stop": "steps", "steps": steps, "exported_step": 250,
                    "output": {"path": "arithmetic-sft.adapter.gguf", "sha256": "ef".repeat(32)},
                    "suite_runs": ["../../arithmetic-1", "../../arithmetic-2"]}
    })
}

/// The folder of a training run of 300 steps with a spike.
fn folder(workspace: &Workspace) -> PathBuf {
    let (steps, folder) = (300_u64, workspace.path().join("reports/train/arithmetic-sft-2026-01-31-1a2b"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("header.json"), header(steps).to_string()).unwrap();
    let (mut lines, mut evaluations) = (String::new(), String::new());
    for step in 1..=steps {
        let at = step as f64;
        let spike = if step == 171 { 1.2 } else { 0.0 };
        let record = json!({
            "step": step, "loss": 0.38 + 2.4 * (-at / 45.0).exp() + 0.12 * noise(step) + spike,
            "lr": 3e-4 * (at / 20.0).min(0.55 + 0.45 * (std::f64::consts::PI * at / 300.0).cos()),
            "grad_norm": 0.5 + 2.0 * (-at / 60.0).exp() + 0.3 * noise(step + 999) + 4.0 * spike, "tokens": 4096,
            "targets": 1600, "tokens_per_s": 5600.0 + 500.0 * noise(step + 5000), "peak_mib": 96.0 + 22.0 * (at / 30.0).min(1.0),
            "elapsed_s": 0.72
        });
        writeln!(lines, "{record}").unwrap();
    }
    for step in (0..=steps).step_by(50) {
        let loss = if step == 300 { 0.45 } else { 0.41 + 2.45 * (-(step as f64) / 55.0).exp() };
        let says = [
            (
                "What is 481 + 274?",
                format!("481 + 274 = {}", [0, 44, 700, 755, 755, 755, 755][usize::try_from(step / 50).unwrap()]),
            ),
            (EVIL, if step == 100 { EVIL.to_owned() } else { String::new() }),
        ];
        let says: Vec<Value> =
            says.iter().map(|(prompt, said)| json!({"prompt": prompt, "completion": said})).collect();
        let record = json!({"step": step, "held_out_loss": loss, "perplexity": loss.exp(), "best": step < 300, "says": says, "elapsed_s": 1.0});
        writeln!(evaluations, "{record}").unwrap();
    }
    std::fs::write(folder.join("steps.jsonl"), lines).unwrap();
    std::fs::write(folder.join("evaluations.jsonl"), evaluations).unwrap();
    folder
}

/// The page, as `tripos report` writes it.
fn reported(workspace: &Workspace) -> PathBuf {
    let folder = folder(workspace);
    let said = workspace.ok(&["report", &folder.display().to_string()]);
    assert!(said.stderr.contains("report.html"), "{}", said.stderr);
    folder.join("report.html")
}

fn eval(browser: &mut Chromium, expression: &str) -> Value {
    browser.eval(expression).unwrap()
}

fn emulate(browser: &mut Chromium, width: u32, scheme: &str) {
    let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
    browser.call("Emulation.setDeviceMetricsOverride", &size).unwrap();
    let media = json!({"media": "", "features": [{"name": "prefers-color-scheme", "value": scheme}]});
    browser.call("Emulation.setEmulatedMedia", &media).unwrap();
}

/// A picture of the whole page, where TRIPOS_PICTURES names a folder for it.
fn picture(browser: &mut Chromium, name: &str) {
    let Some(folder) = std::env::var_os("TRIPOS_PICTURES") else { return };
    let shot = browser.call("Page.captureScreenshot", &json!({"captureBeyondViewport": true})).unwrap();
    let bytes = BASE64.decode(shot["data"].as_str().unwrap().as_bytes()).unwrap();
    std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
}

#[test]
fn curves_evaluations_and_answers_are_shown_wide_and_narrow_light_and_dark() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::new();
    let page = reported(&workspace);
    browser.open(&page, "").unwrap();
    for (width, scheme) in [(1440, "light"), (1440, "dark"), (390, "light")] {
        emulate(&mut browser, width, scheme);
        assert_eq!(eval(&mut browser, &format!("document.documentElement.scrollWidth <= {width}")), true, "{width}");
        picture(&mut browser, &format!("training-{width}-{scheme}.png"));
    }
    assert_eq!(eval(&mut browser, "document.querySelectorAll('figure .plot').length"), 5);
    // The mark lies on the curve: 250 of 300 steps across, as high as its loss.
    let mark = "(() => { const plot = document.querySelector('.plot').getBoundingClientRect(), dot = document.querySelector('circle.best').getBoundingClientRect(); return (dot.x + dot.width / 2 - plot.x) / plot.width; })()";
    assert!((eval(&mut browser, mark).as_f64().unwrap() - 250.0 / 300.0).abs() < 0.01);
    let best =
        eval(&mut browser, "[...document.querySelectorAll('#evaluations tr.best')].map((row) => row.textContent)");
    assert!(best.as_array().unwrap().len() == 1 && best[0].as_str().unwrap().starts_with("250"), "{best}");
    let said = eval(&mut browser, "document.querySelector('.said tbody').innerText.replace(/\\s+/g, ' ')");
    assert!(said.as_str().unwrap().contains("150–300 ★ 481 + 274 = 755"), "{said}");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[test]
fn a_reader_of_screens_finds_names_for_everything() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::new();
    let page = reported(&workspace);
    browser.open(&page, "").unwrap();
    browser.call("Accessibility.enable", &json!({})).unwrap();
    let tree = browser.call("Accessibility.getFullAXTree", &json!({})).unwrap();
    let nodes = tree["nodes"].as_array().unwrap();
    let of = |roles: &[&str]| -> Vec<&str> {
        let shown = nodes.iter().filter(|node| node["ignored"] != true);
        let fits = shown.filter(|node| roles.contains(&node["role"]["value"].as_str().unwrap_or_default()));
        fits.map(|node| node["name"]["value"].as_str().unwrap_or_default()).collect()
    };
    let images = of(&["img", "image"]);
    assert!(
        images.len() == 5 && images[0].contains("held out: 2.860 at step 0") && images[0].contains("best: "),
        "{images:?}"
    );
    for roles in [&["img", "image", "slider", "button", "link", "heading", "navigation"][..], &["columnheader"]] {
        assert!(of(roles).iter().all(|name| !name.is_empty()), "{roles:?} {:?}", of(roles));
    }
    assert!(of(&["main"]).len() == 1 && of(&["slider"]) == ["step"]);
    let levels = eval(&mut browser, "[...document.querySelectorAll('h1, h2, h3')].map((one) => one.tagName).join(' ')");
    assert!(levels.as_str().unwrap().starts_with("H1 H2 "), "{levels}");
}

#[test]
fn the_slider_and_the_pointer_tell_the_figures_of_a_step() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::new();
    let page = reported(&workspace);
    browser.open(&page, "").unwrap();
    emulate(&mut browser, 1440, "light");
    eval(&mut browser, "(() => { slider.value = 171; slider.dispatchEvent(new Event('input')); })()");
    let told = eval(&mut browser, "document.querySelector('output').textContent");
    assert!(
        told.as_str().unwrap().starts_with("step 171 · loss 1.") && told.as_str().unwrap().contains("held out 0."),
        "{told}"
    );
    assert_eq!(eval(&mut browser, "slider.getAttribute('aria-valuetext')"), told);
    assert_eq!(
        eval(&mut browser, "document.querySelectorAll('.plot')[3].querySelector('.cross').getAttribute('x1')"),
        "57%"
    );
    let place = eval(
        &mut browser,
        "(() => { const box = document.querySelector('.plot').getBoundingClientRect(); return [box.x + box.width / 2, box.y + 40]; })()",
    );
    browser.call("Input.dispatchMouseEvent", &json!({"type": "mouseMoved", "x": place[0], "y": place[1]})).unwrap();
    browser.wait("document.querySelector('output').textContent.startsWith('step 150 ')").unwrap();
    picture(&mut browser, "training-reading.png");
    eval(&mut browser, "slider.focus()");
    browser.key("ArrowRight").unwrap();
    browser.wait("document.querySelector('output').textContent.startsWith('step 151 ')").unwrap();
}

#[test]
fn texts_stay_texts_and_no_request_leaves_the_page() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::new();
    let page = reported(&workspace);
    browser.open(&page, "").unwrap();
    assert_eq!(eval(&mut browser, "typeof window.pwned"), "undefined");
    let shown = eval(&mut browser, "[...document.querySelectorAll('.said pre')].map((one) => one.textContent)");
    assert_eq!(shown.as_array().unwrap().iter().filter(|text| *text == EVIL).count(), 2, "{shown}");
    assert!(
        browser
            .requests
            .iter()
            .all(|url| url.starts_with("file:") || url.starts_with("about:") || url.starts_with("data:"))
    );
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
    // The twin: a text that is HTML after all runs nothing, by the page's policy.
    let torn =
        std::fs::read_to_string(&page).unwrap().replace("<main>", &format!("<main>{}", EVIL.replace("</script>", "")));
    let torn = torn.replace("window.pwned=1", "window.pwned=1</script>");
    let file = page.with_file_name("torn.html");
    std::fs::write(&file, torn).unwrap();
    browser.open(&file, "").unwrap();
    assert_eq!(eval(&mut browser, "typeof window.pwned"), "undefined");
    assert!(!browser.complaints.is_empty());
}

#[test]
fn a_training_run_is_written_alone_and_as_a_page() {
    let workspace = Workspace::new();
    let folder = folder(&workspace).display().to_string();
    let json = workspace.tripos(&["report", &folder, "--format", "json"]);
    assert_eq!(json.code, Some(2));
    assert!(
        json.stderr.contains("a training run is written as HTML") && json.stderr.contains("steps.jsonl"),
        "{}",
        json.stderr
    );
    let two = workspace.tripos(&["report", &folder, &folder]);
    assert!(two.code == Some(2) && two.stderr.contains("its page is written alone"), "{}", two.stderr);
    workspace.ok(&["report", &folder, "-o", "elsewhere.html"]);
    assert!(workspace.read("elsewhere.html").contains("arithmetic-sft"));
    std::fs::write(workspace.path().join("reports/train/arithmetic-sft-2026-01-31-1a2b/steps.jsonl"), "{}\n").unwrap();
    let damaged = workspace.tripos(&["report", &folder]);
    assert!(damaged.code == Some(2) && damaged.stderr.contains("steps.jsonl:1"), "{}", damaged.stderr);
}
