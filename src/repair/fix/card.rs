//! The card of an adapter: what it is for, what it learned from, what it is worth, and how it goes on being judged.

use super::error::FixError;
use super::{Judged, Request};
use crate::error::Problems;
use crate::gate::{Comparison, Standing, figure, p_text, signed};
use std::fmt::Write;
use std::path::Path;

/// The command that judges later changes against what was reached now, as a shell takes it; nothing without a baseline, or without a rule
/// to judge by.
#[must_use]
pub fn gate_command(judged: &Judged, request: &Request) -> Option<String> {
    let baseline = judged.baseline.as_ref().filter(|_| !judged.unruled)?;
    let show = |path: &Path| quoted(&path.display().to_string());
    let model = request.model.as_ref().map_or_else(String::new, |model| format!(" --model {}", show(model)));
    let commands = if request.allow_commands { " --allow-commands" } else { "" };
    Some(format!(
        "tripos gate {}{model} --adapter {} --variant {}{commands} --baseline {}",
        show(&request.suite),
        show(&judged.adapter),
        quoted(&judged.attempt.variant),
        show(baseline)
    ))
}

/// What a suite lacks whose rules are about other variants.
#[must_use]
pub fn unruled(judged: &Judged) -> String {
    let (variant, metric) = (&judged.attempt.variant, &judged.metric);
    format!("no rule of the suite is about it; one such: {{variant: {variant}, metric: {metric}, no_worse_by: 0}}")
}

/// A word for a shell: as it is where it says nothing to one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
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
        "- judged by `{}` on cases that it did not learn from; attempt {} on this variant, tested at {}\n",
        judged.metric, attempt.number, attempt.level
    );
    for found in &judged.found {
        let _ = writeln!(text, "## {}\n\n{HEAD}", found.title());
        text.extend(found.comparisons.iter().map(row));
        text.extend(found.told_apart.iter().map(|what| format!("\n{what}, which it did not before.\n")));
        text.push('\n');
    }
    if let Some(command) = gate_command(judged, request) {
        let _ = writeln!(text, "## In CI\n\n```\n{command}\n```");
    } else if judged.unruled {
        let _ = writeln!(text, "## In CI\n\n{}", unruled(judged));
    }
    text
}

const HEAD: &str =
    "| variant | metric | before | after | difference, 95 % | p | n | |\n|:--|:--|--:|--:|:--|--:|--:|:--|";

fn row(one: &Comparison) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let interval = one.ci.map_or_else(String::new, |[low, high]| format!(" [{}, {}]", signed(low), signed(high)));
    let verdict = match one.verdict {
        Standing::Better => "better",
        Standing::Worse => "worse",
        Standing::NoWorse => "no worse",
        Standing::Undecided => "undecided",
    };
    format!(
        "| {} | {} | {} | {} | {}{interval} | {} | {} | {verdict} |\n",
        one.candidate.variant,
        one.metric,
        or_dash(one.baseline.value.map(figure)),
        or_dash(one.candidate.value.map(figure)),
        or_dash(one.difference.map(signed)),
        or_dash(one.p_value.map(p_text)),
        one.n
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_a_shell_would_part_is_quoted() {
        assert_eq!(quoted("suites/a_b-2.yaml"), "suites/a_b-2.yaml");
        assert_eq!(quoted("my suite.yaml"), "'my suite.yaml'");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
