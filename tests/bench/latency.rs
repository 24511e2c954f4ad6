//! What a user waits for: the help text, and a run that is answered from the cache.

use crate::spread::Spread;
use crate::table::Row;
use crate::workspace::{Asks, Workspace, model};
use anyhow::ensure;
use std::time::Instant;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let workspace = Workspace::new()?;
    let time = |arguments: &[&str]| -> anyhow::Result<f64> {
        let began = Instant::now();
        let status = workspace.command(arguments).status()?;
        ensure!(status.success(), "tripos {} ended with {status}", arguments.join(" "));
        Ok(began.elapsed().as_secs_f64())
    };
    let help = Spread::of((0..20).map(|_| time(&["--help"])).collect::<Result<Vec<f64>, _>>()?);
    let gguf = model().display().to_string();
    workspace.write_suite("suite.yaml", &Asks { cases: 1_000, model: &gguf, max_tokens: 4 })?;
    let run = || time(&["run", "suite.yaml", "--variant", "zero_shot", "--threads", "1"]);
    let fresh = run()?;
    let cached = Spread::of((0..7).map(|_| run()).collect::<Result<Vec<f64>, _>>()?);
    Ok(vec![
        Row::bound("tripos --help, ms", help.show(|s| format!("{:.1}", s * 1e3)), "≤ 30", help.median() <= 0.030),
        Row::bound(
            "a cached run of 1,000 cases, s",
            format!("{} (first {fresh:.1})", cached.show(|s| format!("{s:.2}"))),
            "≤ 1",
            cached.median() <= 1.0,
        ),
    ])
}
