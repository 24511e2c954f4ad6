//! Whose training run it is, what it came to, and how it was made.

use super::TrainingRun;
use super::scale::{grouped, short};
use crate::store::Status;
use crate::store::training::{EvaluationRecord, Stop, TrainingHeader};
use maud::{Markup, html};
use std::path::Path;

/// Characters of a hash that are shown.
const HASH: usize = 12;

/// The top of the page.
pub(super) fn banner(run: &TrainingRun, says: bool) -> Markup {
    let header = &run.header;
    let state = match header.status {
        Status::Complete => None,
        Status::Started => Some("not finished"),
        Status::Interrupted => Some("interrupted"),
        Status::Failed => Some("failed"),
    };
    let kind = header.recipe.get("kind").and_then(serde_json::Value::as_str).unwrap_or("training");
    html! {
        header.top {
            div.bar {
                span.mark { "tripos" }
                nav aria-label="Parts of the page" {
                    a href="#curves" { "Curves" }
                    a href="#evaluations" { "Evaluations" }
                    @if says { a href="#says" { "Says" } }
                }
                div #tools {}
            }
            h1 { (header.recipe_name) }
            @if let Some(description) = header.recipe.get("description").and_then(serde_json::Value::as_str) {
                p.lead { (description) }
            }
            ul.facts {
                li { code { (header.run) } }
                @if let Some(state) = state { li.warn { "▲ " (state) ": " (run.made()) " of " (header.steps) " steps" } }
                li { (kind) }
                li title=(header.base.path.display()) { (name(&header.base.path)) }
                li { (trained(header)) }
                @if let Some(minute) = header.started.get(..16) { li { (minute.replace('T', " ")) " UTC" } }
            }
        }
    }
}

/// `1.2 M of 7.8 M weights trained`.
fn trained(header: &TrainingHeader) -> String {
    if header.trained == header.parameters {
        return format!("all {} weights trained", millions(header.trained));
    }
    format!("{} of {} weights trained", millions(header.trained), millions(header.parameters))
}

fn millions(count: u64) -> String {
    match count as f64 {
        count if count >= 1e9 => format!("{:.2} G", count / 1e9),
        count if count >= 1e6 => format!("{:.1} M", count / 1e6),
        count if count >= 1e4 => format!("{:.0} k", count / 1e3),
        count => grouped(count),
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What it came to, in a few large figures, and what went wrong.
pub(super) fn outcome(run: &TrainingRun) -> Markup {
    let broken = run.steps.iter().find(|step| step.loss.is_none() || step.grad_norm.is_none());
    let tile = |title: &str, value: &str, about: &str| {
        html! { div { dt { (title) } dd { b { (value) } @if !about.is_empty() { span.quiet { (about) } } } } }
    };
    html! {
        @if let Some(step) = broken {
            p.bad role="note" {
                b { "✗ The " @if step.loss.is_none() { "loss" } @else { "gradient" } " is not finite at step " (step.step) }
                ", at a rate of " (short(step.lr)) "."
            }
        }
        dl.tiles {
            @if let Some(best) = run.best() {
                @let before = run.evaluations.first().filter(|first| first.step < best.step);
                @let what = if run.practises() { "Held-out reward" } else { "Held-out loss" };
                @let value = |one: &EvaluationRecord| short(one.reward().unwrap_or(one.held_out_loss));
                @let about = before.map_or_else(String::new, |first| format!("from {}, ", value(first)));
                (tile(what, &value(best), &format!("{about}at step {}", best.step)))
                @if let Some(share) = best.accuracy {
                    @let before = before.and_then(|first| first.accuracy);
                    (tile("Held-out accuracy", &shares(share), &before.map_or_else(String::new, |share| format!("from {}", shares(share)))))
                }
            }
            @if let Some(last) = run.steps.last() {
                (tile("Steps", &grouped(last.step as f64), &format!("of {}{}", grouped(run.header.steps as f64), stopped(run))))
                (tile("Tokens", &millions(run.steps.iter().map(|step| step.tokens).sum()), "read"))
                (tile("Speed", &grouped(speed(run)), "tokens/s"))
                (tile("Time", &duration(run.steps.iter().map(|step| step.elapsed_s).sum()), "in steps"))
                @if let Some(peak) = last.peak_mib { (tile("Memory", &grouped(peak), "MiB at most")) }
            }
        }
    }
}

fn shares(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn stopped(run: &TrainingRun) -> &'static str {
    match run.header.outcome.as_ref().map(|outcome| outcome.stop) {
        Some(Stop::Patience) => ", no longer improving",
        Some(Stop::Level) => ", nothing left to tell apart",
        _ => "",
    }
}

/// Tokens a second over all steps.
fn speed(run: &TrainingRun) -> f64 {
    let seconds: f64 = run.steps.iter().map(|step| step.elapsed_s).sum();
    let tokens: u64 = run.steps.iter().map(|step| step.tokens).sum();
    if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 }
}

/// `41 s`, `4 min 12 s`, `2 h 5 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round();
    let (minutes, rest) = ((whole / 60.0).floor(), whole % 60.0);
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        _ if minutes < 1.0 => format!("{rest:.0} s"),
        _ if minutes < 60.0 => format!("{minutes:.0} min {rest:.0} s"),
        _ => format!("{:.0} h {:.0} min", (minutes / 60.0).floor(), minutes % 60.0),
    }
}

/// Every setting, folded away.
pub(super) fn made(run: &TrainingRun) -> Markup {
    let header = &run.header;
    html! {
        details.made {
            summary { "How it was made" }
            dl {
                dt { "recipe" } dd { code { (header.recipe_path.display()) } " " (hash(&header.recipe_sha256)) }
                dt { "base" } dd { code { (header.base.path.display()) } " " (hash(&header.base.sha256)) }
                dt { "program" } dd { (header.build()) }
                dt { "machine" } dd { (header.features.iter().filter_map(|f| f.strip_suffix("=1")).collect::<Vec<_>>().join(" ")) }
                @if !header.flags.is_empty() {
                    dt { "flags" }
                    dd { (header.flags.iter().map(|(name, value)| format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect::<Vec<_>>().join(", ")) }
                }
                @if let Some(parity) = &header.parity {
                    dt { "parity" }
                    dd {
                        "mean |Δ log p| of trainer and engine " (short(parity.f32)) @if parity.rounding.is_some() { ", rounding alike" } @else { " in f32" } " (at most " (short(parity.f32_limit)) ")"
                        @if let Some(bf16) = parity.bf16 { ", " (short(bf16)) " in bf16 (at most " (short(parity.bf16_limit)) ")" }
                        ", over " (grouped(parity.tokens as f64)) " tokens"
                    }
                }
                (material(header))
                (sittings(header))
                (results(header))
            }
            details { summary { "The recipe" } pre { (serde_yaml::to_string(&header.recipe).unwrap_or_default()) } }
        }
    }
}

fn material(header: &TrainingHeader) -> Markup {
    let material = &header.material;
    let number = |count: usize| grouped(count as f64);
    html! {
        dt { "learned from" }
        dd {
            (number(material.documents)) " documents, " (millions(material.tokens)) " tokens, "
            (millions(material.targets)) " of them targets, in " (number(material.rows)) " rows"
            @for source in &material.sources { br; code { (source.name) } ", " (number(source.documents)) " documents" }
        }
        dt { "held out" }
        dd { (number(material.held_out_documents)) " documents, " (millions(material.held_out_tokens)) " tokens" }
        @if !header.labels.is_empty() { dt { "labels" } dd { (header.labels.join(", ")) } }
    }
}

fn sittings(header: &TrainingHeader) -> Markup {
    let mib = |bytes: u64| grouped(bytes as f64 / f64::from(1 << 20));
    html! {
        dt { "memory" }
        dd {
            "expected " (mib(header.memory.estimated)) " MiB"
            @if let Some(held) = header.memory.held { ", held " (mib(held)) " MiB" }
            @if let Some(available) = header.memory.available { ", available " (mib(available)) " MiB" }
        }
        @for sitting in &header.segments {
            dt { @if sitting.from_step == 0 { "begun" } @else { "went on" } }
            dd {
                (sitting.started.get(..19).unwrap_or(&sitting.started).replace('T', " ")) " UTC"
                @if sitting.from_step > 0 { " from step " (sitting.from_step) }
                ", rate " (short(sitting.lr)) ", " (sitting.threads) " threads"
            }
        }
    }
}

/// The file that came out, and the runs that examined it.
fn results(header: &TrainingHeader) -> Markup {
    let Some(outcome) = &header.outcome else { return html! {} };
    html! {
        dt { "made" }
        dd {
            code { (outcome.output.path.display()) } " " (hash(&outcome.output.sha256)) " of step " (outcome.exported_step)
            @if let Some(copy) = &outcome.copied_to { ", copied to " code { (copy.display()) } }
        }
        @for (run, what) in outcome.suite_runs.iter().zip(["before", "after"]) {
            dt { "examined " (what) }
            dd { a href=(address(&run.join("report.html"))) { code { (run.display()) } } }
        }
    }
}

fn hash(sha256: &str) -> Markup {
    html! { @if !sha256.is_empty() { span.quiet { "sha256 " (sha256.get(..HASH).unwrap_or(sha256)) "…" } } }
}

/// A path as the address of a link: nothing in it is a scheme, a query or a mark-up.
fn address(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    let mut address = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address += &format!("%{byte:02X}");
        }
    }
    // Two slashes would name another machine.
    address.replace("//", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_file_and_nowhere_else() {
        let of = |path: &str| address(Path::new(path));
        assert_eq!(of("../../s-2026/report.html"), "../../s-2026/report.html");
        assert_eq!(of("javascript:alert(1)"), "javascript%3Aalert%281%29");
        assert_eq!(of("//evil.example/x?y#z"), "/evil.example/x%3Fy%23z");
    }

    #[test]
    fn durations_and_counts_are_short() {
        assert_eq!([0.25, 41.2, 252.0, 7500.0].map(duration), ["0.2 s", "41 s", "4 min 12 s", "2 h 5 min"]);
        assert_eq!([900, 24_000, 3_200_000, 7_600_000_000].map(millions), ["900", "24 k", "3.2 M", "7.60 G"]);
    }
}
