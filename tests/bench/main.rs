//! `make bench`: how fast Tripos is and what memory it takes, against a bare llama.cpp loop or a fixed bound.
//!
//! It measures and reports; a miss is printed, never an exit code. Names on the command line pick measurements:
//! `make bench` runs all of them, `cargo bench --profile release -- planning memory` two. On a machine that does
//! something else beside, look at the ranges before the medians.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod bare_loop;
#[allow(dead_code, reason = "the tests do more with it")]
#[path = "../chromium.rs"]
mod chromium;
mod comparing;
mod endpoint;
mod generation;
mod html;
mod judging;
mod latency;
mod memory;
mod planning;
mod practice;
mod quiet;
mod sharing;
mod spread;
#[allow(dead_code, clippy::unwrap_used, reason = "the tests do more with it, and it is one of theirs")]
#[path = "../stub_server.rs"]
mod stub_server;
mod table;
mod torch;
mod training;
mod two_runs;
mod workspace;

use std::time::Instant;
use table::Row;

/// A measurement: its name on the command line, and what does it.
type Measurement = (&'static str, fn() -> anyhow::Result<Vec<Row>>);

const MEASUREMENTS: [Measurement; 12] = [
    ("generation", generation::measure),
    ("sharing", sharing::measure),
    ("planning", planning::measure),
    ("memory", memory::measure),
    ("latency", latency::measure),
    ("two_runs", two_runs::measure),
    ("comparing", comparing::measure),
    ("endpoint", endpoint::measure),
    ("html", html::measure),
    ("judging", judging::measure),
    ("practice", practice::measure),
    ("training", training::measure),
];

fn main() {
    // As the program does: what is measured, the peer too, runs with the threads' settings that users get.
    tripos::cli::spin_less();
    // One measurement wants a process of its own.
    if std::env::args().nth(1).is_some_and(|word| word == training::CHILD) {
        return training::child();
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let began = Instant::now();
    println!("{}; {} cores; load {}", tripos::ggml::version(), workspace::cores(), load());
    let mut rows = Vec::new();
    for (name, measure) in MEASUREMENTS {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        println!("measuring {name} …");
        match measure() {
            Ok(found) => rows.extend(found),
            Err(error) => rows.push(Row::failed(name, &error)),
        }
    }
    println!("\n{}", table::lay_out(&rows));
    println!(
        "{:.0} s, of which {:.0} s waiting for other programs; load {}",
        began.elapsed().as_secs_f64(),
        quiet::waited(),
        load()
    );
}

/// Processes that wanted a core during the last minute; another's work beside this one shows here.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}
