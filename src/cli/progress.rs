//! How a run shows that it is under way: a bar on a terminal, a line every 10 % elsewhere, or nothing.

use super::output::complain;
use crate::error::{Explain, render};
use crate::run::Observer;
use crate::store::{KvCheck, Repeat, Sample, Trial};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Shows a run on stderr.
pub(super) struct Progress {
    quiet: bool,
    state: Mutex<State>,
}

struct State {
    bar: Option<ProgressBar>,
    began: Instant,
    total: usize,
    before: usize,
    done: usize,
    tokens: usize,
    said: usize,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let state = State { bar: None, began: Instant::now(), total: 0, before: 0, done: 0, tokens: 0, said: 0 };
        Self { quiet, state: Mutex::new(state) }
    }

    fn with(&self, act: impl FnOnce(&mut State)) {
        // A poisoned lock holds counters of which each is whole.
        act(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Observer for Progress {
    fn started(&self, trials: usize, recorded: usize) {
        self.with(|state| {
            (state.began, state.total, state.before, state.done) = (Instant::now(), trials, recorded, recorded);
            state.said = recorded * 10 / trials.max(1);
            if !self.quiet && std::io::stderr().is_terminal() {
                state.bar = Some(bar(trials, recorded));
            }
        });
    }

    fn sample(&self, sample: &Sample) {
        if sample.trial.repeat == Repeat::Reduced {
            return;
        }
        self.with(|state| {
            state.done += 1;
            if let Some(completion) = sample.completion.as_ref().filter(|_| !sample.cached) {
                state.tokens += completion.completion_tokens;
            }
            if let Some(bar) = &state.bar {
                bar.set_position(state.done as u64);
                let (rate, tokens) = (bar.per_sec(), state.tokens as f64 / seconds(state.began));
                bar.set_message(format!(", {rate:.1}/s, {tokens:.0} tok/s, {:#} left", HumanDuration(bar.eta())));
            } else if !self.quiet && state.done * 10 / state.total.max(1) > state.said {
                state.said = state.done * 10 / state.total.max(1);
                complain(&state.line());
            }
        });
    }

    fn warning(&self, problem: &dyn Explain) {
        if self.quiet {
            return;
        }
        self.with(|state| {
            let text = render(problem, super::environment::stderr_colour());
            match &state.bar {
                Some(bar) => bar.suspend(|| complain(&text)),
                None => complain(&text),
            }
        });
    }

    fn kv_checked(&self, found: &KvCheck) {
        self.with(|state| {
            let text = kv_check(found);
            match &state.bar {
                Some(bar) => bar.suspend(|| complain(&text)),
                None => complain(&text),
            }
        });
    }

    fn finished(&self) {
        self.with(|state| {
            if let Some(bar) = state.bar.take() {
                bar.finish_and_clear();
            }
        });
    }
}

impl State {
    /// `120/400 trials (30 %), 45.1 trials/s, 803 tok/s, 6 s left`
    fn line(&self) -> String {
        let rate = (self.done - self.before) as f64 / seconds(self.began);
        let left = (self.total - self.done) as f64 / rate;
        let tokens = self.tokens as f64 / seconds(self.began);
        let percent = self.done * 100 / self.total.max(1);
        format!(
            "{}/{} trials ({percent} %), {rate:.1} trials/s, {tokens:.0} tok/s, {left:.0} s left\n",
            self.done, self.total
        )
    }
}

/// `kv check: 20 trials asked together and alone: log-probabilities differ by at most 0.0002 (few_shot, a-17); 1 answer flips: cot/a-3`
fn kv_check(found: &KvCheck) -> String {
    let KvCheck { trials, largest, at, flipped } = found;
    let name = |trial: &Trial| format!("{}/{}", trial.variant, trial.case);
    let at = at.as_ref().map_or_else(String::new, |trial| format!(" ({})", name(trial)));
    let flips = match flipped.as_slice() {
        [] => "no answer flips".to_owned(),
        [one] => format!("1 answer flips: {}", name(one)),
        several => {
            let names: Vec<String> = several.iter().take(5).map(name).collect();
            format!("{} answers flip: {}", several.len(), names.join(", "))
        }
    };
    format!(
        "kv check: {trials} trials asked together and alone: log-probabilities differ by at most {largest:.1e}{at}; {flips}\n"
    )
}

/// Seconds since then, never 0.
fn seconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64().max(1e-9)
}

fn bar(total: usize, done: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr_with_hz(5));
    // How fast, and how long still, is in the message: nothing is known of it before the first answer.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} trials{msg}") {
        bar.set_style(style);
    }
    bar.set_position(done as u64);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
