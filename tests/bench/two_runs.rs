//! Two runs of 100,000 samples, compared by the program: time and memory, reading included.

use crate::memory::{MIB, peak};
use crate::spread::Spread;
use crate::table::Row;
use crate::workspace::{Asks, Workspace};
use anyhow::{Context, ensure};
use std::path::PathBuf;
use std::time::Instant;

/// The bounds of issue 4: seconds, and MiB.
const MOST_SECONDS: f64 = 5.0;
const MOST_MIB: f64 = 500.0;

const ROUNDS: usize = 3;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let workspace = Workspace::new()?;
    // The second run answers some of the cases otherwise, so that there is something to tell.
    std::fs::write(
        workspace.path().join("other.yaml"),
        "answers: [{when: '[0-4]\\?', say: \" The answer is 41.\"}]\notherwise: \" 42\"\n",
    )?;
    let mut runs = Vec::new();
    for model in ["script.yaml", "other.yaml"] {
        let asks = Asks { cases: 25_000, model: &format!("{{scripted: {model}}}"), max_tokens: 2 };
        workspace.write_suite("suite.yaml", &asks)?;
        let out = format!("reports-{model}");
        ensure!(workspace.command(&["run", "suite.yaml", "--no-cache", "--out", &out]).status()?.success());
        runs.push(only_folder(&workspace.path().join(out))?.display().to_string());
    }
    let [before, after] = &runs[..] else { anyhow::bail!("two runs were made") };
    let arguments = ["compare", before, after, "--format", "json"];
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        ensure!(workspace.command(&arguments).status()?.success(), "tripos compare failed");
        seconds.push(began.elapsed().as_secs_f64());
    }
    let most = peak(&mut workspace.command(&arguments))? / MIB;
    let spread = Spread::of(seconds);
    let kept = spread.median() <= MOST_SECONDS;
    Ok(vec![
        Row::bound("two runs of 100,000 samples compared, s", spread.show(|s| format!("{s:.2}")), "≤ 5", kept),
        Row::bound("  peak, MiB", format!("{most:.0}"), "≤ 500", most <= MOST_MIB),
    ])
}

fn only_folder(parent: &std::path::Path) -> anyhow::Result<PathBuf> {
    let mut folders = std::fs::read_dir(parent)?;
    Ok(folders.next().context("no run was made")??.path())
}
