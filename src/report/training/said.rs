//! What the model says to the recipe's prompts, as it learns. Equal answers one after the other share a row.

use super::TrainingRun;
use maud::{Markup, html};

/// An answer, and the evaluations (one after the other) at which it was given.
#[derive(Debug, PartialEq)]
struct Answer<'r> {
    first: u64,
    last: u64,
    text: &'r str,
    best: bool,
}

/// A table for each prompt.
pub(super) fn said(run: &TrainingRun) -> Markup {
    let mut prompts: Vec<&str> = Vec::new();
    for said in run.evaluations.iter().flat_map(|evaluation| &evaluation.says) {
        if !prompts.contains(&said.prompt.as_str()) {
            prompts.push(&said.prompt);
        }
    }
    html! {
        @for (number, prompt) in prompts.iter().enumerate() {
            @let title = format!("prompt-{number}");
            section.said aria-labelledby=(title) {
                h3 #(title) { "Prompt " (number + 1) }
                pre.prompt { (prompt) }
                table {
                    thead { tr { th.number scope="col" { "step" } th scope="col" { "it says" } } }
                    tbody {
                        @for answer in answers(run, prompt) {
                            tr.best[answer.best] {
                                th.number scope="row" {
                                    (answer.first) @if answer.last != answer.first { "–" (answer.last) }
                                    @if answer.best { " " span title="best" aria-label="best" { "★" } }
                                }
                                td { @if answer.text.trim().is_empty() { span.quiet { "(nothing)" } } @else { pre { (answer.text) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn answers<'r>(run: &'r TrainingRun, prompt: &str) -> Vec<Answer<'r>> {
    let best = run.best().map(|best| best.step);
    let mut answers: Vec<Answer> = Vec::new();
    for evaluation in &run.evaluations {
        let Some(said) = evaluation.says.iter().find(|said| said.prompt == prompt) else { continue };
        let (step, text) = (evaluation.step, said.completion.as_str());
        let is_best = best == Some(step);
        match answers.last_mut().filter(|answer| answer.text == text) {
            Some(answer) => {
                answer.last = step;
                answer.best |= is_best;
            }
            None => answers.push(Answer { first: step, last: step, text, best: is_best }),
        }
    }
    answers
}
