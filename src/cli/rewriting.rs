//! What `merge` and `quantize` show while they write a file, and of it.

use super::failure::Failure;
use super::interrupt;
use super::output::{complain, print};
use crate::error::Problems;
use crate::model::{FileError, FormatShare, Watch, Written};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::Ordering;

/// What is printed at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Lines for people
    Text,
    /// A JSON document
    Json,
}

/// Lets a file be written under a bar (on a terminal), until Ctrl-C. Nothing is left of one that is stopped.
pub(super) fn watched(
    quiet: bool,
    write: impl FnOnce(Watch<'_>) -> Result<Written, Problems>,
) -> Result<Written, Failure> {
    let stop = interrupt::listen();
    let bar = (!quiet && std::io::stderr().is_terminal()).then(bar);
    let result = write(&mut |done, total| {
        if let Some(bar) = &bar {
            bar.set_length(total);
            bar.set_position(done);
        }
        !stop.load(Ordering::Relaxed)
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if result.is_err() && stop.load(Ordering::Relaxed) {
        complain(&format!("{}\n", FileError::Interrupted));
        return Err(Failure::Code(130));
    }
    Ok(result?)
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Prints what was written: notes to stderr, the rest to stdout.
pub(super) fn say(written: &Written, out: &Path, format: Format, quiet: bool) -> Result<(), Failure> {
    if !quiet {
        written.notes.iter().for_each(|note| complain(&format!("note: {note}\n")));
    }
    let Written { before, after, formats, notes } = written;
    print(&match format {
        Format::Json => {
            let document = json!({
                "schema": 1, "path": out, "bytes_before": before, "bytes": after, "formats": formats, "notes": notes,
            });
            format!("{document}\n")
        }
        Format::Text => {
            let percent = after.saturating_mul(100) / (*before).max(1);
            let sizes = format!("{} -> {} ({percent} %)", size(*before), size(*after));
            format!("wrote {}: {sizes}\n{}", out.display(), shares(formats, "  "))
        }
    })
}

/// A line for each format: how many tensors and parameters are in it.
pub(super) fn shares(formats: &[FormatShare], indent: &str) -> String {
    let all: u64 = formats.iter().map(|share| share.parameters).sum();
    let lines = formats.iter().map(|share| {
        let percent = share.parameters as f64 * 100.0 / (all.max(1)) as f64;
        format!(
            "{indent}{:<8}{:>5} tensors {percent:>6.2} % of parameters  {:>9}\n",
            share.format,
            share.tensors,
            size(share.bytes)
        )
    });
    lines.collect()
}

/// `3.2 MiB`
pub(super) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (bytes as f64 / 1024.0, 0);
    while number >= 1024.0 && unit + 1 < units.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.1} {}", units.get(unit).unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_the_unit_that_fits() {
        assert_eq!([512, 3_374_208, 5 << 30, 1 << 50].map(size), ["0.5 KiB", "3.2 MiB", "5.0 GiB", "1024.0 TiB"]);
    }
}
