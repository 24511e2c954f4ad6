//! A line on stderr for each step, and the page of the run behind each evaluation.

use super::super::environment::stderr_colour;
use super::super::output::complain;
use super::super::report::{PAGE, training_page};
use super::text;
use crate::error::{Explain, render};
use crate::store::training::{EvaluationRecord, ParityRecord, StepRecord, TrainingHeader};
use crate::train::TrainObserver;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Shows a training run.
pub(super) struct Lines {
    /// The run's folder, or before it is known the one that gets it.
    folder: RefCell<PathBuf>,
    quiet: bool,
    steps: Cell<u64>,
    /// When the first step of this sitting began, and the step before it.
    began: Cell<(Option<Instant>, u64)>,
}

impl Lines {
    pub(super) fn new(folder: PathBuf, quiet: bool) -> Self {
        Self { folder: RefCell::new(folder), quiet, steps: Cell::new(0), began: Cell::new((None, 0)) }
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            complain(line);
        }
    }

    /// Writes the page of the run, where there is a run by now. That it cannot be written takes nothing from the run.
    pub(super) fn page(&self) {
        page(&self.folder.borrow());
    }
}

/// Writes the page of a training run into its folder; nothing where there is no run.
pub(super) fn page(folder: &Path) {
    if !folder.join("header.json").is_file() {
        return;
    }
    if let Err(failure) = training_page(folder, &folder.join(PAGE)) {
        failure.report();
        complain("the training run is whole, only its page is missing\n");
    }
}

impl TrainObserver for Lines {
    fn parity(&self, found: &ParityRecord) {
        self.say(&text::parity(found));
    }

    fn began(&self, header: &TrainingHeader, from_step: u64) {
        let mut folder = self.folder.borrow_mut();
        if !folder.join("header.json").is_file() {
            folder.push(&header.run);
        }
        self.steps.set(header.steps);
        self.began.set((None, from_step));
        let (trained, all) = (text::thousands(header.trained), text::thousands(header.parameters));
        let (documents, tokens) = (header.material.documents as u64, header.material.tokens);
        self.say(&format!(
            "{} {}: {trained} of {all} parameters, {} documents, {} tokens\n",
            if from_step == 0 { "training" } else { "going on with" },
            folder.display(),
            text::thousands(documents),
            text::thousands(tokens)
        ));
    }

    fn step(&self, record: &StepRecord) {
        let (began, before) = self.began.get();
        let began = began.unwrap_or_else(|| {
            // The first step had begun by then.
            Instant::now()
                .checked_sub(std::time::Duration::from_secs_f64(record.elapsed_s))
                .unwrap_or_else(Instant::now)
        });
        self.began.set((Some(began), before));
        let pace = began.elapsed().as_secs_f64() / record.step.saturating_sub(before).max(1) as f64;
        let left = self.steps.get().saturating_sub(record.step) as f64 * pace;
        self.say(&text::step(record, self.steps.get(), left));
    }

    fn evaluated(&self, record: &EvaluationRecord) {
        self.say(&text::evaluation(record, self.steps.get()));
        self.page();
    }

    fn warning(&self, problem: &dyn Explain) {
        self.say(&render(problem, stderr_colour()));
    }
}
