//! One case as every variant answered it: the prompt with the few-shot block and the case told apart, the answer, the
//! scores.

use crate::store::{Header, Sample, ScoreValue};
use std::fmt::Write;

/// A sample as text; `prefixes` of the header fill in what prompts share. `colour` allows ANSI codes.
#[must_use]
pub fn show_case(header: &Header, sample: &Sample, colour: bool) -> String {
    let mut out = format!("── variant {} · case {} ", sample.trial.variant, sample.trial.case);
    let width = out.chars().count();
    out += &"─".repeat(80_usize.saturating_sub(width));
    out.push('\n');
    let dim = |text: &str| dim(text, colour);
    match &sample.prompt {
        Some(prompt) => {
            let prefix = prompt.prefix.as_ref().and_then(|id| header.prefixes.get(id)).map_or("", String::as_str);
            let whole = format!("{prefix}{}", prompt.text);
            out += &told_apart(&whole, prompt.case_start, colour);
            out.push('\n');
        }
        None => out += "(the prompt could not be rendered)\n",
    }
    match &sample.completion {
        Some(completion) => {
            let cached = if sample.cached { ", from the cache" } else { "" };
            let _ = writeln!(
                out,
                "{}\n{}",
                dim(&format!("[answer: {} tokens{cached}]", completion.completion_tokens)),
                plain(&completion.text)
            );
        }
        None => out += "(not asked)\n",
    }
    let _ = writeln!(out, "{}", dim(&format!("[target: {}]", sample.case.target.as_deref().unwrap_or("none"))));
    for score in &sample.scores {
        let value = match &score.value {
            ScoreValue::Pass(true) => "pass".to_owned(),
            ScoreValue::Pass(false) if score.answer.is_none() => "fail, no answer".to_owned(),
            ScoreValue::Pass(false) => "fail".to_owned(),
            ScoreValue::Number(number) => format!("{number:.4}"),
            ScoreValue::Label(label) => label.clone(),
            ScoreValue::Unscored(reason) => format!("unscored: {reason}"),
        };
        let answer = score.answer.as_ref().map_or_else(String::new, |a| format!(" (answer `{}`)", plain(a)));
        let why = if score.explanation.is_empty() { String::new() } else { format!(": {}", score.explanation) };
        let _ = writeln!(out, "{}: {value}{answer}{}", score.scorer, plain(&why));
    }
    out
}

/// A prompt's few-shot block and its case, each under its name where there are both.
#[must_use]
pub fn told_apart(prompt: &str, case_start: usize, colour: bool) -> String {
    let (block, case) = prompt.split_at(prompt.floor_char_boundary(case_start));
    if block.is_empty() {
        return plain(case);
    }
    let block = dim(&plain(block.trim_end()), colour);
    format!("{}\n{block}\n{}\n{}", dim("[examples]", colour), dim("[case]", colour), plain(case))
}

/// A text in the background, where there is colour.
#[must_use]
pub fn dim(text: &str, colour: bool) -> String {
    if colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}

/// A text of a model or a case, unable to send escape codes to the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}
