//! The HTML report of 10,000 samples: how long it takes to write, how large it is, how soon a browser shows it.

use crate::chromium::{Chromium, find};
use crate::spread::Spread;
use crate::table::Row;
use crate::workspace::{Asks, Workspace, model};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tripos::summary::RunSummary;

/// Bounds: seconds to write, bytes, milliseconds to the first paint.
const MOST: (f64, f64, f64) = (2.0, 30e6, 1_000.0);

const ROUNDS: usize = 5;

/// A run of the bundled model is written this often, under other names of cases, to make 10,000 samples of 1,000.
const COPIES: usize = 10;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let workspace = Workspace::new()?;
    let gguf = model().display().to_string();
    let mut rows = Vec::new();
    for (what, logprobs) in [("10,000 samples", false), ("10,000 samples with log-probabilities", true)] {
        let path = workspace.write_suite("suite.yaml", &Asks { cases: 250, model: &gguf, max_tokens: 96 })?;
        if logprobs {
            let text = std::fs::read_to_string(&path)?.replace("temperature: 0,", "temperature: 0, logprobs: 4,");
            std::fs::write(&path, text)?;
        }
        let out = if logprobs { "with" } else { "without" };
        let status = workspace.command(&["run", "suite.yaml", "--out", out]).status()?;
        ensure!(status.success(), "tripos run ended with {status}");
        let folder = std::fs::read_dir(workspace.path().join(out))?.next().context("no run")??.path();
        multiply(&folder)?;
        rows.extend(report(what, &folder, workspace.path())?);
    }
    Ok(rows)
}

/// Writes every sample of a run several times, each time of another case.
fn multiply(folder: &Path) -> anyhow::Result<()> {
    let file = folder.join("samples.jsonl");
    let text = std::fs::read_to_string(&file)?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file)?);
    for copy in 0..COPIES {
        for line in text.lines() {
            let mut sample: Value = serde_json::from_str(line)?;
            let case = sample["trial"]["case"].as_str().context("a sample without a case")?.to_owned();
            sample["trial"]["case"] = json!(format!("{case}-{copy}"));
            serde_json::to_writer(&mut out, &sample)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
}

fn report(what: &str, folder: &Path, into: &Path) -> anyhow::Result<Vec<Row>> {
    let (mut reading, mut writing) = (Vec::new(), Vec::new());
    let page: PathBuf = into.join("report.html");
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let runs = [RunSummary::read(folder)?];
        reading.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let mut out = std::io::BufWriter::new(std::fs::File::create(&page)?);
        tripos::report::html(&runs, None, &mut out)?;
        out.flush()?;
        writing.push(began.elapsed().as_secs_f64());
    }
    let seconds = |s: f64| format!("{s:.2}");
    let size = std::fs::metadata(&page)?.len() as f64;
    let writing = Spread::of(writing);
    let mut rows = vec![
        Row::bound(&format!("the HTML of {what}, s"), writing.show(seconds), "≤ 2", writing.median() <= MOST.0),
        Row::beside(&format!("the summary of {what}, s"), Spread::of(reading).show(seconds)),
        Row::bound(&format!("the HTML of {what}, MB"), format!("{:.1}", size / 1e6), "< 30", size < MOST.1),
    ];
    if let Some(program) = find() {
        let found = (0..ROUNDS).map(|_| look(&program, &page)).collect::<anyhow::Result<Vec<[f64; 4]>>>()?;
        let of = |at: usize| Spread::of(found.iter().map(|one| one[at]).collect::<Vec<f64>>());
        let milliseconds = |ms: f64| format!("{ms:.0}");
        let paint = of(0);
        rows.push(Row::bound(
            &format!("first paint of {what}, ms"),
            paint.show(milliseconds),
            "< 1000",
            paint.median() < MOST.2,
        ));
        rows.push(Row::beside("  … until its samples are listed, ms", of(1).show(milliseconds)));
        rows.push(Row::beside("  … first search of all texts, ms", of(2).show(milliseconds)));
        rows.push(Row::beside("  … a frame while 30 rows a frame are scrolled, ms", of(3).show(milliseconds)));
    }
    Ok(rows)
}

/// Scrolls the list for two seconds or so: the median time between two frames.
const SCROLL: &str = "new Promise((done) => {
    const box = document.querySelector('.rows'), frames = [];
    let last = performance.now();
    const frame = (now) => {
        frames.push(now - last);
        last = now;
        box.scrollTop += 900;
        if (frames.length < 120) requestAnimationFrame(frame);
        else done(frames.sort((a, b) => a - b)[60]);
    };
    state.found = null;
    list();
    requestAnimationFrame(frame);
})";

/// Milliseconds to the first contentful paint, to the list, for a search through every text, and for a frame.
fn look(program: &Path, page: &Path) -> anyhow::Result<[f64; 4]> {
    let mut browser = Chromium::start(program)?;
    browser.open(page, "")?;
    let number = |value: Value| value.as_f64().context("no figure");
    let listed = number(browser.eval("performance.getEntriesByName('listed')[0].startTime")?)?;
    browser.wait("performance.getEntriesByName('first-contentful-paint').length > 0")?;
    let paint = number(browser.eval("performance.getEntriesByName('first-contentful-paint')[0].startTime")?)?;
    let search = "(async () => { const began = performance.now(); await search('no such text', () => {}); return performance.now() - began; })()";
    let searched = number(browser.eval(search)?)?;
    let scrolled = number(browser.eval(SCROLL)?)?;
    Ok([paint, listed, searched, scrolled])
}
