//! One case as every variant answered it: the prompt with the few-shot block and the case told apart, the answer, the
//! texts whose likelihood was asked, the scores.

use crate::store::{Completion, Header, Likelihood, PromptRecord, Repeat, Sample, Score, ScoreValue};
use std::fmt::Write;

/// Most characters of a candidate or a window that are shown.
const MOST: usize = 60;

/// A sample as text; `prefixes` of the header fill in what prompts share. `colour` allows ANSI codes.
#[must_use]
pub fn show_case(header: &Header, sample: &Sample, colour: bool) -> String {
    let mut out = heading(header, sample);
    for (number, stage) in sample.before.iter().enumerate() {
        let _ = writeln!(out, "{}", dim(&format!("[stage {}]", number + 1), colour));
        out += &prompt_text(header, Some(&stage.prompt), colour);
        out += &answer_text(&stage.completion, false, colour);
    }
    if !sample.before.is_empty() {
        let _ = writeln!(out, "{}", dim(&format!("[stage {}]", sample.before.len() + 1), colour));
    }
    if sample.trial.repeat != Repeat::Reduced {
        // A long text has no prompt, only windows.
        if sample.prompt.is_some() || sample.likelihood.is_empty() {
            out += &prompt_text(header, sample.prompt.as_ref(), colour);
        }
        match &sample.completion {
            Some(completion) => out += &answer_text(completion, sample.cached, colour),
            None if sample.was_judged() => {}
            None => out += "(not asked)\n",
        }
    }
    out += &likelihoods(sample, colour);
    let target = sample.case.target.as_deref().unwrap_or("none");
    let _ = writeln!(out, "{}", dim(&format!("[target: {}]", plain(target)), colour));
    for score in &sample.scores {
        out += &score_line(score, sample.completion.as_ref());
    }
    out
}

/// Whose sample it is; which repeat, where there are several.
fn heading(header: &Header, sample: &Sample) -> String {
    let trial = &sample.trial;
    let variants = header.suite.get("variants").and_then(|variants| variants.as_array()).into_iter().flatten();
    let mut own = variants.filter(|variant| variant.get("name").is_some_and(|name| *name == *trial.variant));
    let repeats = own.find_map(|variant| variant.get("repeats")?.as_u64()).unwrap_or(1);
    let mut out = format!("── variant {} · case {} ", trial.variant, trial.case);
    match trial.repeat {
        Repeat::Reduced => out += "· all repeats together ",
        Repeat::Number(number) if repeats > 1 => out += &format!("· repeat {number} "),
        Repeat::Number(_) => {}
    }
    let width = out.chars().count();
    out + &"─".repeat(80_usize.saturating_sub(width)) + "\n"
}

fn prompt_text(header: &Header, prompt: Option<&PromptRecord>, colour: bool) -> String {
    let Some(prompt) = prompt else { return "(the prompt could not be rendered)\n".to_owned() };
    let prefix = prompt.prefix.as_ref().and_then(|id| header.prefixes.get(id)).map_or("", String::as_str);
    told_apart(&format!("{prefix}{}", prompt.text), prompt.case_start, colour) + "\n"
}

fn answer_text(completion: &Completion, cached: bool, colour: bool) -> String {
    let cached = if cached { ", from the cache" } else { "" };
    let heading = format!("[answer: {} tokens{cached}]", completion.completion_tokens);
    format!("{}\n{}\n", dim(&heading, colour), plain(&completion.text))
}

/// The texts whose likelihood was asked, as they were put behind the prompt.
fn likelihoods(sample: &Sample, colour: bool) -> String {
    if sample.likelihood.is_empty() {
        return String::new();
    }
    let what = if sample.prompt.is_some() { "candidates" } else { "windows" };
    let cached = if sample.cached && sample.completion.is_none() { ", from the cache" } else { "" };
    let mut out = dim(&format!("[{what}: log-probability, tokens, text{cached}]"), colour) + "\n";
    for Likelihood { text, logprob, tokens, unconditional, .. } in &sample.likelihood {
        let shown: String = text.chars().take(MOST).collect();
        let more = if text.chars().nth(MOST).is_some() { "…" } else { "" };
        let bare = unconditional.map_or_else(String::new, |bare| format!("  ({bare:.3} without the prompt)"));
        let _ = writeln!(out, "{logprob:>10.3} {tokens:>4}  {shown:?}{more}{bare}");
    }
    out
}

/// What a scorer said. An answer that is the whole completion need not be said again.
fn score_line(score: &Score, completion: Option<&Completion>) -> String {
    let value = match &score.value {
        ScoreValue::Pass(true) => "pass".to_owned(),
        ScoreValue::Pass(false) if score.answer.is_none() => "fail, no answer".to_owned(),
        ScoreValue::Pass(false) => "fail".to_owned(),
        ScoreValue::Number(number) => format!("{number:.4}"),
        ScoreValue::Label(label) => label.clone(),
        ScoreValue::Unscored(reason) => format!("unscored: {reason}"),
    };
    let whole = |answer: &&String| completion.is_some_and(|said| said.text.trim() == answer.as_str());
    let answer = score.answer.as_ref().filter(|answer| !whole(answer));
    let answer = answer.map_or_else(String::new, |answer| format!(" (answer `{answer}`)"));
    let why = if score.explanation.is_empty() { String::new() } else { format!(": {}", score.explanation) };
    let numbers = score.parts.iter().filter_map(|(part, value)| Some(format!("{part} {:.4}", value.as_f64()?)));
    let parts = numbers.collect::<Vec<_>>().join(", ");
    let parts = if parts.is_empty() { parts } else { format!(" [{parts}]") };
    plain(&format!("{}: {value}{answer}{why}{parts}\n", score.scorer))
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
