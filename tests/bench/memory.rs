//! The most memory that the program holds at once, as Linux counts it (VmHWM); a copy of the file pages it maps included.

use crate::table::Row;
use crate::workspace::{Asks, Workspace, model};
use anyhow::{Context, ensure};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const MIB: f64 = 1_048_576.0;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    ensure!(std::path::Path::new("/proc/self/status").exists(), "not measured: there is no /proc here");
    let workspace = Workspace::new()?;
    let run = |cases: usize, model: &str, variants: &[&str]| -> anyhow::Result<(f64, f64)> {
        workspace.write_suite("suite.yaml", &Asks { cases, model, max_tokens: 2 })?;
        // One thread: the peak is the same, and the time does not depend on who else is at work.
        let mut arguments = vec!["run", "suite.yaml", "--threads", "1"];
        arguments.extend(variants.iter().flat_map(|name| ["--variant", *name]));
        let began = Instant::now();
        Ok((peak(&mut workspace.command(&arguments))? / MIB, began.elapsed().as_secs_f64()))
    };
    let (scripted, scripted_s) = run(25_000, "{scripted: script.yaml}", &[])?;
    let gguf = model().display().to_string();
    let (few, _) = run(20, &gguf, &["zero_shot"])?;
    let (many, many_s) = run(20_000, &gguf, &["zero_shot"])?;
    Ok(vec![
        Row::bound(
            "peak of 100,000 scripted trials, MiB",
            format!("{scripted:.0} (in {scripted_s:.0} s)"),
            "< 300",
            scripted < 300.0,
        ),
        Row::bound(
            "20,000 llama trials over 20, MiB",
            format!("{:.0} = {many:.0} - {few:.0} (in {many_s:.0} s)", many - few),
            "≤ 200",
            many - few <= 200.0,
        ),
    ])
}

/// The peak of a program's resident memory in bytes, looked up until it ends.
pub(crate) fn peak(command: &mut Command) -> anyhow::Result<f64> {
    let mut child = command.spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut most = None;
    let code = loop {
        // A program that has ended keeps its number until it is waited for, but no longer has a size.
        most = std::fs::read_to_string(&status).ok().and_then(|text| high_water(&text)).or(most);
        if let Some(code) = child.try_wait()? {
            break code;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    ensure!(code.success(), "tripos ended with {code}");
    most.context("the program ended before it could be looked at")
}

/// The peak of this process so far, in bytes.
pub(crate) fn own_peak() -> anyhow::Result<f64> {
    high_water(&std::fs::read_to_string("/proc/self/status")?).context("/proc/self/status tells no VmHWM")
}

/// `VmHWM:   12345 kB`, in bytes.
fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kib| kib * 1024.0)
}
