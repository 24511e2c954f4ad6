//! A training run as one HTML file that needs nothing else: curves, evaluations, what a reward model is worth, what the
//! model says.
//!
//! Everything comes from the run's folder ([`store::training`](crate::store::training)); no model is needed. The page is
//! whole without its script, which adds one thing: the figures of any step, under a slider or the pointer. Its policy and
//! its style are those of a report of runs ([`html`](fn@super::html)).

mod curve;
mod evaluations;
mod facts;
mod figures;
mod judging;
mod said;
mod scale;
mod script;
mod thin;

use super::document::head;
use crate::store::Status;
use crate::store::training::{
    EvaluationRecord, StepRecord, TrainingError, TrainingHeader, read_evaluations, read_steps, read_training,
};
use maud::{Markup, PreEscaped, html};
use std::path::Path;

const STYLE: &str = concat!(include_str!("../html/page/page.css"), include_str!("page/training.css"));
const SCRIPT: &str =
    concat!("\"use strict\";\n", include_str!("../html/page/nodes.js"), include_str!("page/training.js"));

/// A training run as its folder tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingRun {
    /// What it was made with and what became of it.
    pub header: TrainingHeader,
    /// Its steps, in order.
    pub steps: Vec<StepRecord>,
    /// Its evaluations, in order.
    pub evaluations: Vec<EvaluationRecord>,
}

impl TrainingRun {
    /// Reads the folder of a training run, which may be under way.
    ///
    /// # Errors
    /// It is not one, or a line of it is damaged.
    pub fn read(folder: &Path) -> Result<Self, TrainingError> {
        Ok(Self { header: read_training(folder)?, steps: read_steps(folder)?, evaluations: read_evaluations(folder)? })
    }

    /// Whether a folder is that of a training run, from what lies in it.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join("steps.jsonl").is_file()
    }

    /// The evaluation with the smallest held-out loss; the first of equals.
    fn best(&self) -> Option<&EvaluationRecord> {
        self.evaluations.iter().min_by(|a, b| a.held_out_loss.total_cmp(&b.held_out_loss))
    }

    /// Whether a policy learns from its own answers.
    fn practises(&self) -> bool {
        self.header.recipe.get("practice").is_some_and(|practice| !practice.is_null())
    }

    /// Steps made.
    fn made(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.step)
    }

    /// The step at the right end of the curves: the last planned, or the last made of a run that is complete.
    fn last(&self) -> u64 {
        let planned = if self.header.status == Status::Complete { 0 } else { self.header.steps };
        let evaluated = self.evaluations.last().map_or(0, |evaluation| evaluation.step);
        planned.max(self.made()).max(evaluated).max(1)
    }

    /// Whether a head learns to tell labels apart.
    fn classifies(&self) -> bool {
        !self.header.labels.is_empty()
    }
}

/// The page of a training run: `report.html` in its folder.
///
/// ```
/// use tripos::report::training::{TrainingRun, page};
/// # fn of(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
/// let run = TrainingRun::read(folder)?;
/// std::fs::write(folder.join("report.html"), page(&run))?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn page(run: &TrainingRun) -> String {
    let mut page = head(&run.header.recipe_name, STYLE, SCRIPT);
    page += &body(run).into_string();
    page += &script::data(run);
    page += "<script>";
    page += SCRIPT;
    page += "</script></body></html>\n";
    page
}

fn body(run: &TrainingRun) -> Markup {
    let says = run.evaluations.iter().any(|evaluation| !evaluation.says.is_empty());
    html! {
        (facts::banner(run, says))
        main {
            (facts::outcome(run))
            section #curves aria-labelledby="curves-title" {
                h2 #curves-title { "Curves" }
                div #reader {}
                (figures::figures(run))
            }
            section #evaluations aria-labelledby="evaluations-title" {
                h2 #evaluations-title { "Evaluations" }
                (evaluations::table(run))
            }
            @if let Some(found) = run.header.outcome.as_ref().and_then(|outcome| outcome.judging.as_ref()) {
                (judging::judging(found))
            }
            @if says {
                section #says aria-labelledby="says-title" {
                    h2 #says-title { "What the model says" }
                    (said::said(run))
                }
            }
            (facts::made(run))
        }
    }
}

/// A text of ours as it stands, for a block that is no HTML.
fn inert(text: &str) -> PreEscaped<String> {
    PreEscaped(text.replace('<', "\\u003c"))
}

#[cfg(test)]
mod tests;
