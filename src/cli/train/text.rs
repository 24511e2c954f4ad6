//! What a training run says of itself, as lines of text.

use crate::report::thousands;
use crate::store::training::{
    EvaluationRecord, JudgingRecord, MistakeRecord, ParityRecord, PracticeRecord, ShareRecord, StepRecord, Stop,
    SureRecord, TrainingHeader,
};
use crate::train::{Recipe, rate_text};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// Longest part of a question, and of an answer, that is shown in a line.
const SHOWN: [usize; 2] = [36, 72];

/// Facts one under the other, their names in a column.
pub(super) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, fact)| format!("{name:<width$}  {fact}\n")).collect()
}

/// What would be downloaded before a recipe could be looked at further.
pub(super) fn coming(recipe: &Recipe, coming: &[(&str, &str)], json: bool) -> String {
    if json {
        let downloads: Vec<_> = coming.iter().map(|(uri, what)| json!({"uri": uri, "what": what})).collect();
        return format!("{}\n", json!({"schema": 1, "recipe": recipe.json(), "downloads": downloads}));
    }
    let lines: String = coming.iter().map(|(uri, what)| format!("  {uri}: {what}\n")).collect();
    let Recipe { name, kind, .. } = recipe;
    format!("{name} ({kind}); models that are not here yet:\n{lines}what it takes can be said once they are\n")
}

/// `12s`, `4m12s`, `1h02m`.
pub(super) fn duration(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates")]
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

/// `step 0412/1000 | loss 1.2345 | lr 3.0e-5 | 5,832 tok/s | eta 4m12s`
pub(super) fn step(record: &StepRecord, steps: u64, left_s: f64) -> String {
    if let Some(practice) = &record.practice {
        return round(record, practice, steps, left_s);
    }
    let width = steps.to_string().len().max(4);
    let loss = record.loss.map_or_else(|| "none".to_owned(), |loss| format!("{loss:.4}"));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates")]
    let speed = thousands(record.tokens_per_s.round() as u64);
    format!(
        "step {:0width$}/{steps:0width$} | loss {loss} | lr {} | {speed} tok/s | eta {}\n",
        record.step,
        rate_text(record.lr),
        duration(left_s)
    )
}

/// `step 0012/0120 | reward 0.531 ± 0.499 | exact 0.531 | kl 0.0021 | ratio 1.000 | clipped 0.00 | parity 3.1e-4, 1.000 | entropy 0.310
/// | 4.2 tokens | level 0.31 | unstopped 0.00 | lr 3.0e-5 | eta 4m12s`, on one line.
fn round(record: &StepRecord, of: &PracticeRecord, steps: u64, left_s: f64) -> String {
    let width = steps.to_string().len().max(4);
    let mut line = format!("step {:0width$}/{steps:0width$} | reward {:.3} ± {:.3}", record.step, of.reward, of.spread);
    for (name, score) in &of.scores {
        let _ = write!(line, " | {name} {score:.3}");
    }
    let _ = write!(
        line,
        " | kl {:.4} | ratio {:.3} | clipped {:.2} | parity {:.1e}, {:.3} | entropy {:.3} | {:.1} tokens | level {:.2} | unstopped {:.2}",
        of.kl, of.ratio, of.clipped, of.parity, of.ratio_engine, of.entropy, of.length, of.silent, of.unstopped
    );
    if let Some(foreseen) = of.foreseen {
        let _ = write!(line, " | foreseen {foreseen:.2}");
    }
    if of.left_out > 0 {
        let _ = write!(line, " | {} left out", of.left_out);
    }
    let _ = writeln!(line, " | lr {} | eta {}", rate_text(record.lr), duration(left_s));
    line
}

/// `eval 0050/1000 | held-out loss 0.1234 | perplexity 1.13 | best so far`, and under it what the model says.
pub(super) fn evaluation(record: &EvaluationRecord, steps: u64) -> String {
    let width = steps.to_string().len().max(4);
    let mut line = format!("eval {:0width$}/{steps:0width$}", record.step);
    let _ = match record.reward() {
        Some(reward) => write!(line, " | held-out reward {reward:.4}"),
        None => write!(line, " | held-out loss {:.4}", record.held_out_loss),
    };
    for (name, score) in &record.scores {
        let _ = write!(line, " | {name} {score:.3}");
    }
    if record.left_out > 0 {
        let _ = write!(line, " | {} left out", record.left_out);
    }
    if let Some(perplexity) = record.perplexity {
        let digits = if perplexity < 1e6 { format!("{perplexity:.2}") } else { format!("{perplexity:.1e}") };
        let _ = write!(line, " | perplexity {digits}");
    }
    if let Some(accuracy) = record.accuracy {
        let _ = write!(line, " | accuracy {accuracy:.3}");
    }
    line += if record.best && record.step > 0 { " | best so far\n" } else { "\n" };
    for said in &record.says {
        let (end, beginning) = (shown(&said.prompt, SHOWN[0], true), shown(&said.completion, SHOWN[1], false));
        let _ = writeln!(line, "     {end} → {beginning}");
    }
    line
}

/// The end of a text, or its beginning, on one line.
fn shown(text: &str, most: usize, end: bool) -> String {
    let one_line: String = text.trim().chars().map(|c| if c.is_control() { '⏎' } else { c }).collect();
    let all: Vec<char> = one_line.chars().collect();
    if all.len() <= most {
        return format!("“{one_line}”");
    }
    let part: String = if end { &all[all.len() - most..] } else { &all[..most] }.iter().collect();
    if end { format!("“…{part}”") } else { format!("“{part}…”") }
}

/// `parity with llama.cpp over 320 tokens: mean |Δ log p| 3.1e-6 in f32 (at most 1e-4), 4.0e-3 in bf16 (at most 2e-2)`
pub(super) fn parity(found: &ParityRecord) -> String {
    let ParityRecord { tokens, f32, f32_limit, bf16, bf16_limit, rounding } = found;
    let bf16 = bf16.map_or_else(String::new, |bf16| format!(", {bf16:.1e} in bf16 (at most {bf16_limit:.0e})"));
    let (how, rounding) = match rounding {
        Some(rounding) => ("rounding as it does", format!("; its rounding of activations makes {rounding:.1e}")),
        None => ("in f32", String::new()),
    };
    format!(
        "parity with llama.cpp over {tokens} tokens: mean |Δ log p| {f32:.1e} {how} (at most {f32_limit:.0e}){bf16}{rounding}\n"
    )
}

/// How an interrupted run is gone on with.
pub(super) fn go_on(recipe: &Path, folder: &Path) -> String {
    format!("what was learned is kept: tripos train {} --resume {}", recipe.display(), folder.display())
}

/// What a complete run came to.
pub(super) fn outcome(header: &TrainingHeader, folder: &Path) -> String {
    let Some(outcome) = &header.outcome else { return String::new() };
    let file = outcome.copied_to.clone().unwrap_or_else(|| folder.join(&outcome.output.path));
    let mut rows =
        vec![("trained", format!("{} (step {} of {})", file.display(), outcome.exported_step, header.steps))];
    let why = match outcome.stop {
        Stop::Steps => None,
        Stop::Patience => Some("the held-out loss had not fallen for long"),
        Stop::Level => Some("no answer was worth more than another any more"),
    };
    rows.extend(why.map(|why| ("ended", format!("at step {}, where {why}", outcome.steps))));
    if let Some(best) = header.best {
        let practised = header.recipe.get("practice").is_some();
        let (what, sign) = if practised { ("held-out reward", -1.0) } else { ("held-out loss", 1.0) };
        rows.push((what, format!("{:.4} at step {}", sign * best.loss, best.step)));
    }
    let found = outcome.judging.as_ref().map(judging);
    rows.extend(found.iter().flat_map(|found| found.rows.iter().cloned()));
    facts(&rows) + &found.map_or_else(String::new, |found| found.mistakes)
}

/// What a reward model is worth: facts, and the mistakes to read.
struct Judged {
    rows: Vec<(&'static str, String)>,
    mistakes: String,
}

fn judging(found: &JudgingRecord) -> Judged {
    let mut rows = Vec::new();
    if found.accuracy.n > 0 {
        let length = share(&found.by_length);
        rows.push(("judgements", format!("{} agreed with; by length alone {length}", share(&found.accuracy))));
        for part in &found.parts {
            rows.push(("", format!("{}  {}", share(part), part.of)));
        }
    }
    if let Some(off) = found.calibration_error {
        rows.push(("calibration", format!("its probabilities are off by {off:.3}")));
    }
    for sure in &found.reliability {
        let SureRecord { low, high, n, confidence, accuracy } = sure;
        rows.push(("", format!("{low:.1} to {high:.1}  sure {confidence:.3}  right {accuracy:.3}  {n}")));
    }
    if let Some(r) = found.length_correlation {
        rows.push(("length", format!("r {r:+.2} between the reward of an answer and its tokens")));
    }
    let mistake = |one: &MistakeRecord| {
        let [prompt, chosen, rejected] = [(&one.prompt, 0, true), (&one.chosen, 1, false), (&one.rejected, 1, false)]
            .map(|(text, most, end)| shown(text, SHOWN[most], end));
        format!("     {prompt}\n       preferred {chosen}\n       found {:.3} likelier {rejected}\n", one.confidence)
    };
    let mistakes: String = found.mistakes.iter().map(mistake).collect();
    let heading = if mistakes.is_empty() { "" } else { "most sure, and wrong\n" };
    Judged { rows, mistakes: format!("{heading}{mistakes}") }
}

/// `0.913 [0.88, 0.94] of 412`
fn share(share: &ShareRecord) -> String {
    let value = share.value.map_or_else(|| "none".to_owned(), |value| format!("{value:.3}"));
    let ci = share.ci.map_or_else(String::new, |[low, high]| format!(" [{low:.2}, {high:.2}]"));
    format!("{value}{ci} of {}", thousands(share.n as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::training::Said;
    use std::collections::BTreeMap;

    #[test]
    fn a_step_is_one_line() {
        let record = StepRecord {
            step: 412,
            loss: Some(1.23446),
            lr: 3e-5,
            grad_norm: Some(0.7),
            tokens: 900,
            targets: 400,
            tokens_per_s: 5831.7,
            peak_mib: None,
            elapsed_s: 0.15,
            practice: None,
        };
        insta::assert_snapshot!(step(&record, 1000, 252.0), @"step 0412/1000 | loss 1.2345 | lr 3.0e-5 | 5,832 tok/s | eta 4m12s");
    }

    #[test]
    fn parity_is_one_line_with_what_is_allowed() {
        let found = ParityRecord {
            tokens: 320,
            f32: 3.14e-6,
            f32_limit: 1e-4,
            bf16: Some(4e-3),
            bf16_limit: 2e-2,
            rounding: None,
        };
        insta::assert_snapshot!(parity(&found), @"parity with llama.cpp over 320 tokens: mean |Δ log p| 3.1e-6 in f32 (at most 1e-4), 4.0e-3 in bf16 (at most 2e-2)");
        let quantised = ParityRecord { bf16: None, rounding: Some(0.038), ..found };
        insta::assert_snapshot!(parity(&quantised), @"parity with llama.cpp over 320 tokens: mean |Δ log p| 3.1e-6 rounding as it does (at most 1e-4); its rounding of activations makes 3.8e-2");
    }

    #[test]
    fn durations_and_numbers_are_read_at_a_glance() {
        assert_eq!([0.4, 59.6, 252.0, 3725.0].map(duration), ["0s", "1m00s", "4m12s", "1h02m"]);
        assert_eq!([7, 1_000, 1_234_567].map(thousands), ["7", "1,000", "1,234,567"]);
    }

    #[test]
    fn an_evaluation_shows_what_the_model_says() {
        let record = EvaluationRecord {
            step: 50,
            held_out_loss: 0.12344,
            perplexity: Some(1.1314),
            accuracy: None,
            scores: BTreeMap::new(),
            left_out: 0,
            run: None,
            best: true,
            says: vec![Said { prompt: "Question:\nWhat is 2 + 3?".into(), completion: format!("5{}", "!".repeat(80)) }],
            elapsed_s: 1.0,
        };
        insta::assert_snapshot!(evaluation(&record, 200), @r"
        eval 0050/0200 | held-out loss 0.1234 | perplexity 1.13 | best so far
             “Question:⏎What is 2 + 3?” → “5!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!…”
        ");
        let astray = EvaluationRecord { perplexity: Some(2.9769e43), best: false, says: vec![], ..record };
        insta::assert_snapshot!(evaluation(&astray, 200), @"eval 0050/0200 | held-out loss 0.1234 | perplexity 3.0e43");
    }
}
