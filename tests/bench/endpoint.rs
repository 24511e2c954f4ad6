//! Models behind a server: how near 64 requests in flight come to what a server of a fixed latency allows, and what memory many
//! cases take. The server is a stub in this process; what it costs is part of the figure.

use crate::memory::{MIB, peak};
use crate::spread::Spread;
use crate::stub_server::{Reply, Stub};
use crate::table::Row;
use crate::workspace::{Asks, Workspace};
use anyhow::ensure;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

/// What the stub takes for each answer.
const LATENCY: Duration = Duration::from_millis(50);
/// Requests in flight.
const FLYING: usize = 64;
/// Cases whose rate is measured: several windows of a run.
const CASES: usize = 6_000;
/// Runs of them.
const ROUNDS: usize = 3;
/// Of the ideal rate: `FLYING / LATENCY`.
const LEAST: f64 = 0.9;
/// Cases whose memory is measured, and what they may take.
const MANY: usize = 20_000;
const MOST_MIB: f64 = 300.0;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let workspace = Workspace::new()?;
    let late = Stub::listen(TcpListener::bind("127.0.0.1:0")?, false, |seen| {
        Reply::Late(LATENCY, Box::new(Reply::say(seen, " 42")))
    });
    let model = format!("{{endpoint: {}, concurrency: {FLYING}}}", late.url());
    let run = |cases: usize, model: &str| -> anyhow::Result<f64> {
        workspace.write_suite("suite.yaml", &Asks { cases, model, max_tokens: 8 })?;
        let began = Instant::now();
        let status = command(&workspace).status()?;
        ensure!(status.success(), "tripos ended with {status}");
        Ok(began.elapsed().as_secs_f64())
    };
    // What is done once, whatever is asked: reading the suite, meeting the server, writing the page.
    let once = run(FLYING, &model)? - LATENCY.as_secs_f64();
    let ideal = FLYING as f64 / LATENCY.as_secs_f64();
    let rates: Result<Vec<f64>, anyhow::Error> =
        (0..ROUNDS).map(|_| Ok(CASES as f64 / (run(CASES, &model)? - once))).collect();
    let rates = Spread::of(rates?);
    ensure!(late.most_busy() == FLYING, "{} requests were in flight", late.most_busy());
    let ratio = rates.median() / ideal;

    let quick = Stub::listen(TcpListener::bind("127.0.0.1:0")?, false, |seen| Reply::say(seen, " 42"));
    let model = format!("{{endpoint: {}, concurrency: {FLYING}}}", quick.url());
    workspace.write_suite("suite.yaml", &Asks { cases: MANY, model: &model, max_tokens: 8 })?;
    let began = Instant::now();
    let most = peak(&mut command(&workspace))? / MIB;
    let took = began.elapsed().as_secs_f64();
    Ok(vec![
        Row::ratio(
            "64 requests at a server of 50 ms, answers/s",
            rates.show(|rate| format!("{rate:.0}")),
            format!("{ideal:.0} ideal"),
            format!("{ratio:.2} ≥ {LEAST}"),
            ratio >= LEAST,
        ),
        Row::bound(
            "20,000 cases behind a server, peak MiB",
            format!("{most:.0} (in {took:.0} s)"),
            "< 300",
            most < MOST_MIB,
        ),
    ])
}

/// The program on its suite; no proxy stands between it and the loopback.
fn command(workspace: &Workspace) -> Command {
    let mut command = workspace.command(&["run", "suite.yaml", "--variant", "zero_shot"]);
    command.env("NO_PROXY", "127.0.0.1");
    command
}
