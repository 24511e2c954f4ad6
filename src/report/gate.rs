//! What a gate says: one line a rule with its evidence and its place; as Markdown for a pull request; as JUnit.

use super::markdown::escape;
use crate::error::Place;
use crate::gate::{Decision, GateRecord, RuleRecord};
use std::fmt::Write;

/// One line a rule, the verdict last. Rules that nobody wrote are counted where they pass.
#[must_use]
pub fn gate(record: &GateRecord, colour: bool) -> String {
    let baseline = record.baseline.as_ref().map_or_else(String::new, |name| format!(" against {name}"));
    let mut out = format!("gate of {}{baseline}\n", record.suite);
    let (quiet, said): (Vec<&RuleRecord>, Vec<&RuleRecord>) =
        record.rules.iter().partition(|rule| rule.line == 0 && rule.decision == Decision::Pass);
    for rule in said {
        let word = paint(word(rule.decision), rule.decision, colour);
        let _ =
            writeln!(out, "{word}  {}  {} {} {}: {}", place(rule), rule.variant, rule.metric, rule.rule, rule.evidence);
    }
    if !quiet.is_empty() {
        let _ = writeln!(out, "{}  {} metrics: no drop is proven", paint("pass", Decision::Pass, colour), quiet.len());
    }
    for found in &record.over_optimised {
        let _ = writeln!(out, "warning: {found}");
    }
    out + &format!("{}\n", paint(&verdict_line(record), record.verdict, colour))
}

/// `gate: FAIL, 1 of 3 rules`.
#[must_use]
pub fn verdict_line(record: &GateRecord) -> String {
    let count = |decision| record.rules.iter().filter(|rule| rule.decision == decision).count();
    let all = match record.rules.len() {
        1 => "1 rule".to_owned(),
        count => format!("{count} rules"),
    };
    match record.verdict {
        Decision::Fail => format!("gate: FAIL, {} of {all}", count(Decision::Fail)),
        Decision::Undecided => {
            format!("gate: UNDECIDED, the cases cannot tell for {} of {all}", count(Decision::Undecided))
        }
        Decision::Pass => format!("gate: pass, {all}"),
    }
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Pass => "pass",
        Decision::Fail => "FAIL",
        Decision::Undecided => "????",
    }
}

fn paint(text: &str, decision: Decision, colour: bool) -> String {
    let code = match decision {
        Decision::Pass => "32",
        Decision::Fail => "1;31",
        Decision::Undecided => "1;33",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

fn place(rule: &RuleRecord) -> String {
    Place::new(&rule.file, rule.line, 0).to_string()
}

/// A table of the rules, the verdict above it.
#[must_use]
pub fn gate_markdown(record: &GateRecord) -> String {
    let mut out = format!("**{}**\n\n", verdict_line(record));
    out += "| | variant | metric | rule | evidence |\n|:--|:--|:--|:--|:--|\n";
    for rule in &record.rules {
        let cells = [word(rule.decision), &rule.variant, &rule.metric, &rule.rule, &rule.evidence].map(escape);
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    for found in &record.over_optimised {
        let _ = writeln!(out, "\n**Warning:** {}", escape(&found.to_string()));
    }
    out
}

/// Workflow commands of GitHub for the rules that failed, and those that are undecided: annotations on the suite's lines
/// (percent signs and line ends escaped, as its toolkit does).
#[must_use]
pub fn annotations(record: &GateRecord) -> String {
    let told = record.rules.iter().filter(|rule| rule.decision != Decision::Pass);
    let line = |rule: &RuleRecord| {
        let level = if rule.decision == Decision::Fail { "error" } else { "warning" };
        let file = property(&rule.file.display().to_string());
        let at = if rule.line > 0 { format!(",line={},col={}", rule.line, rule.column) } else { String::new() };
        let text = format!("{} {} {}: {}", rule.variant, rule.metric, rule.rule, rule.evidence);
        format!("::{level} file={file}{at}::{}\n", message(&text))
    };
    told.map(line).collect()
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
