//! A line on stderr for each step, and the page of the run behind each evaluation.

use super::super::environment::stderr_colour;
use super::super::output::complain;
use super::super::report::{PAGE, training_page};
use super::text;
use crate::error::{Explain, render};
use crate::report::thousands;
use crate::store::training::{EvaluationRecord, ParityRecord, StepRecord, TrainingHeader};
use crate::train::TrainObserver;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The time that is left is told from so many steps: a pause is soon forgotten.
const LATE: usize = 100;

/// Shows a training run.
pub(in crate::cli) struct Lines {
    /// The run's folder, or before it is known the one that gets it.
    folder: RefCell<PathBuf>,
    quiet: bool,
    steps: Cell<u64>,
    /// When the latest steps of this sitting ended, and before them when the first of them began.
    ended: RefCell<VecDeque<Instant>>,
}

impl Lines {
    pub(in crate::cli) fn new(folder: PathBuf, quiet: bool) -> Self {
        Self { folder: RefCell::new(folder), quiet, steps: Cell::new(0), ended: RefCell::default() }
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

impl Lines {
    /// Seconds that a step takes of late, evaluations and checkpoints between steps included; one has just ended.
    fn pace(&self, seconds: f64) -> f64 {
        let (now, mut ended) = (Instant::now(), self.ended.borrow_mut());
        if ended.is_empty() {
            ended.push_back(now.checked_sub(Duration::from_secs_f64(seconds)).unwrap_or(now));
        }
        ended.push_back(now);
        if ended.len() > LATE {
            ended.pop_front();
        }
        ended.front().map_or(0.0, |first| (now - *first).as_secs_f64() / (ended.len() - 1) as f64)
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
        self.ended.borrow_mut().clear();
        let (trained, all) = (thousands(header.trained), thousands(header.parameters));
        let (documents, tokens) = (header.material.documents as u64, header.material.tokens);
        self.say(&format!(
            "{} {}: {trained} of {all} parameters, {} documents, {} tokens\n",
            if from_step == 0 { "training" } else { "going on with" },
            folder.display(),
            thousands(documents),
            thousands(tokens)
        ));
    }

    fn step(&self, record: &StepRecord) {
        let pace = self.pace(record.elapsed_s);
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
