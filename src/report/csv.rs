//! The samples as CSV, for spreadsheets and notebooks: a line a sample, a column a scorer.

use super::ReportError;
use crate::store::{Repeat, Sample, ScoreValue, StopReason, read_samples};
use crate::summary::RunSummary;
use std::io::Write;

/// The columns before those of the scorers.
const HEAD: [&str; 10] = [
    "run",
    "variant",
    "case",
    "repeat",
    "tags",
    "target",
    "completion",
    "stop_reason",
    "completion_tokens",
    "elapsed_s",
];

/// Writes the samples of some runs. Scorers that a run lacks stay empty, and so does what is unscored.
///
/// # Errors
/// The samples cannot be read, or the output not written.
pub fn csv(runs: &[RunSummary], out: &mut dyn Write) -> Result<(), ReportError> {
    let mut scorers: Vec<String> = Vec::new();
    for spec in runs.iter().flat_map(RunSummary::specs) {
        if !scorers.contains(&spec.name) {
            scorers.push(spec.name);
        }
    }
    let mut writer = ::csv::Writer::from_writer(out);
    let mut written = writer.write_record(HEAD.iter().copied().chain(scorers.iter().map(String::as_str)));
    for run in runs {
        read_samples(&run.dir, |sample| {
            if written.is_ok() {
                written = writer.write_record(line(&run.header.run, &sample, &scorers));
            }
        })?;
    }
    written.map_err(std::io::Error::from)?;
    Ok(writer.flush()?)
}

fn line(run: &str, sample: &Sample, scorers: &[String]) -> Vec<String> {
    let completion = sample.completion.as_ref();
    let of = |value: Option<String>| value.unwrap_or_default();
    let stopped = completion.map(|said| match said.stop_reason {
        StopReason::Stop => "stop",
        StopReason::Length => "length",
    });
    let mut cells = vec![
        run.to_owned(),
        sample.trial.variant.clone(),
        sample.trial.case.clone(),
        match sample.trial.repeat {
            Repeat::Number(number) => number.to_string(),
            Repeat::Reduced => "reduced".to_owned(),
        },
        sample.case.tags.join(" "),
        of(sample.case.target.clone()),
        of(completion.map(|said| said.text.clone())),
        of(stopped.map(str::to_owned)),
        of(completion.map(|said| said.completion_tokens.to_string())),
        of(completion.map(|said| said.elapsed_s.to_string())),
    ];
    cells.extend(scorers.iter().map(|name| {
        let score = sample.scores.iter().find(|score| score.scorer == *name);
        score.map_or_else(String::new, |score| match &score.value {
            ScoreValue::Pass(pass) => u8::from(*pass).to_string(),
            ScoreValue::Number(number) => number.to_string(),
            ScoreValue::Label(label) => label.clone(),
            ScoreValue::Unscored(_) => String::new(),
        })
    }));
    cells
}
