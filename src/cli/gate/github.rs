//! What GitHub Actions is told: annotations on the suite's lines, and a summary of the step.

use crate::cli::environment;
use crate::cli::output::complain;
use crate::gate::GateRecord;
use crate::report;
use crate::summary::RunSummary;
use std::io::Write;

/// Most bytes of a step's summary.
const MOST: u64 = 1 << 20;

/// Annotates and appends to the summary, where this is a workflow. That it cannot be written is a warning: the verdict stands.
pub(super) fn tell(candidate: Option<&RunSummary>, record: &GateRecord) {
    if !environment::is_github() {
        return;
    }
    complain(&report::annotations(record));
    let Some(file) = environment::step_summary() else { return };
    let run = candidate.map_or_else(String::new, |run| report::markdown(run, false));
    let text = format!("{run}\n{}\n", report::gate_markdown(record));
    let append = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&file)?;
        let room = usize::try_from(MOST.saturating_sub(file.metadata()?.len())).unwrap_or(usize::MAX);
        let shown = if text.len() <= room { &text } else { &report::verdict_line(record) };
        file.write_all(shown.as_bytes())
    };
    if let Err(error) = append() {
        complain(&format!("warning: cannot write the step's summary to {}: {error}\n", file.display()));
    }
}
