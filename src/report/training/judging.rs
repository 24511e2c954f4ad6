//! What a reward model is worth: shares of the judgements that were held out, how far its certainty can be trusted, and
//! where it was most sure and wrong.

use crate::store::training::{JudgingRecord, MistakeRecord, ShareRecord, SureRecord};
use maud::{Markup, html};

/// The section; nothing where no reward model was trained.
pub(super) fn judging(found: &JudgingRecord) -> Markup {
    html! {
        section #judging aria-labelledby="judging-title" {
            h2 #judging-title { "Judgements" }
            @if !found.beats_length && found.accuracy.n > 0 {
                p.bad role="note" {
                    b { "▲ Length alone may do as well" }
                    ": it agrees with " (share(found.by_length.value)) " of the judgements that were held out, the rewards with "
                    (share(found.accuracy.value)) "."
                }
            }
            (shares(found))
            @if !found.reliability.is_empty() { (certainty(found)) }
            @if let Some(r) = found.length_correlation {
                p.note { "The reward of an answer and its length in tokens: r " (format!("{r:+.2}")) "." }
            }
            @for one in &found.mistakes { (mistake(one)) }
        }
    }
}

/// Judgements that the rewards agree with, all and by what was judged; then those that length agrees with.
fn shares(found: &JudgingRecord) -> Markup {
    let row = |name: &str, one: &ShareRecord| {
        html! {
            tr {
                th scope="row" { (name) }
                td.number { (share(one.value)) }
                td.number { @if let Some([low, high]) = one.ci { (share(Some(low))) " to " (share(Some(high))) } }
                td.number { (one.n) }
            }
        }
    };
    html! {
        div.wide tabindex="0" role="region" aria-labelledby="judging-title" {
            table {
                caption.hidden { "Held-out judgements that the rewards agree with" }
                thead {
                    tr {
                        th scope="col" { "judgements" }
                        th.number scope="col" { "agreed with" }
                        th.number scope="col" { "95 %" }
                        th.number scope="col" { "of" }
                    }
                }
                tbody {
                    (row("all", &found.accuracy))
                    @for part in &found.parts { (row(&part.of, part)) }
                    (row("all, by length alone", &found.by_length))
                }
            }
        }
    }
}

/// How sure, how often right.
fn certainty(found: &JudgingRecord) -> Markup {
    let row = |one: &SureRecord| {
        html! {
            tr {
                th scope="row" { (format!("{:.1} to {:.1}", one.low, one.high)) }
                td.number { (share(Some(one.confidence))) }
                td.number { (share(Some(one.accuracy))) }
                td.number { (one.n) }
            }
        }
    };
    html! {
        div.wide tabindex="0" role="region" aria-label="Certainty" {
            table {
                caption.hidden { "How sure the rewards are, and how often right" }
                thead {
                    tr {
                        th scope="col" { "certainty" }
                        th.number scope="col" { "mean" }
                        th.number scope="col" { "right" }
                        th.number scope="col" { "of" }
                    }
                }
                tbody { @for one in &found.reliability { (row(one)) } }
            }
        }
        @if let Some(off) = found.calibration_error {
            p.note { "Its probabilities are off by " (share(Some(off))) " (expected calibration error)." }
        }
    }
}

fn mistake(one: &MistakeRecord) -> Markup {
    html! {
        details {
            summary { "Sure and wrong, " (share(Some(one.confidence))) ": " (beginning(&one.prompt)) }
            p { b { "Asked " } }
            pre { (one.prompt) }
            p { b { "Preferred " } }
            pre { (one.chosen) }
            p { b { "Found better " } }
            pre { (one.rejected) }
        }
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.1} %", 100.0 * value))
}

/// The beginning of a text, on one line.
fn beginning(text: &str) -> String {
    const MOST: usize = 60;
    let line: String = text.trim().chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().chars().count() > MOST { line + "…" } else { line }
}
