//! The card of an adapter: what it is for, what it learned from, what it is worth, and how it goes on being judged.

use super::error::FixError;
use super::{Judged, Request};
use crate::error::Problems;
use crate::report::comparison_markdown;
use std::fmt::Write;
use std::path::Path;

/// The command that judges later changes against what was reached now.
#[must_use]
pub fn gate_command(judged: &Judged, request: &Request) -> String {
    let show = |path: &Path| path.display().to_string();
    let model = request.model.as_ref().map_or_else(String::new, |model| format!(" --model {}", show(model)));
    format!(
        "tripos gate {}{model} --adapter {} --variant {} --baseline {}",
        show(&request.suite),
        show(&judged.adapter),
        judged.found.first().and_then(|found| found.comparisons.first()).map_or("", |one| &one.candidate.variant),
        show(&judged.baseline)
    )
}

/// Writes it into the attempt's folder.
pub(super) fn write(judged: &Judged, request: &Request) -> Result<(), Problems> {
    let file = judged.attempt.folder.join("card.md");
    std::fs::write(&file, text(judged, request)).map_err(|e| FixError::write("the card", &e, &file))?;
    Ok(())
}

fn text(judged: &Judged, request: &Request) -> String {
    let mut text = String::new();
    let attempt = &judged.attempt;
    let _ = writeln!(text, "# An adapter for {}: {}\n", request.suite.display(), judged.came.text());
    let _ = writeln!(text, "- base: {}", judged.model.display());
    let _ = writeln!(text, "- adapter: {}", judged.adapter.display());
    let _ = writeln!(text, "- data: {}", judged.lessons);
    let _ = writeln!(text, "- recipe: {}", attempt.folder.join("recipe.yaml").display());
    let _ = writeln!(text, "- training: {}", judged.training.display());
    let _ = writeln!(text, "- lineage: `tripos lineage {}`", judged.adapter.display());
    let _ = writeln!(
        text,
        "- judged by `{}` on cases that it did not learn from; attempt {} on these, tested at {}\n",
        judged.metric, attempt.number, attempt.level
    );
    for found in &judged.found {
        let _ = writeln!(text, "## {}\n", found.title());
        text.extend(found.tables().map(|table| comparison_markdown(table) + "\n"));
    }
    let _ = writeln!(text, "## In CI\n\n```\n{}\n```", gate_command(judged, request));
    text
}
