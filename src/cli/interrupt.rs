//! Ctrl-C: the first asks the run to end after what is in flight, the second ends the program at once.

use super::output::complain;
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);
static QUIET: AtomicBool = AtomicBool::new(false);
/// Work is done in turns, and none is under way.
static BETWEEN: AtomicBool = AtomicBool::new(false);
/// Somebody looks at the flag.
static LISTENED: AtomicBool = AtomicBool::new(false);

/// Starts listening; the flag turns true at the first Ctrl-C (or SIGTERM).
pub(super) fn listen() -> &'static AtomicBool {
    let _ = ctrlc::set_handler(|| {
        // In this order: a turn that sees the flag may be over before the next line here.
        if BETWEEN.load(Ordering::Relaxed) || STOP.swap(true, Ordering::Relaxed) {
            end();
        }
        if QUIET.load(Ordering::Relaxed) {
            return complain("\n");
        }
        complain("\ninterrupted: finishing what is in flight; Ctrl-C again stops at once\n");
    });
    LISTENED.store(true, Ordering::Relaxed);
    BETWEEN.store(false, Ordering::Relaxed);
    &STOP
}

/// Listens while something is fetched that the work needs. Where nobody listened before, Ctrl-C ends the program again behind it.
pub(super) fn listen_while<T>(act: impl FnOnce(&'static AtomicBool) -> T) -> T {
    let alone = !LISTENED.load(Ordering::Relaxed);
    let done = act(listen());
    if alone {
        LISTENED.store(false, Ordering::Relaxed);
        BETWEEN.store(true, Ordering::Relaxed);
    }
    done
}

/// The same for what ends at once and loses nothing: the first Ctrl-C says nothing.
pub(super) fn stop_quietly() -> &'static AtomicBool {
    QUIET.store(true, Ordering::Relaxed);
    listen()
}

/// One of several pieces of work: Ctrl-C stops it and not the program. Between two it ends the program.
#[derive(Debug)]
pub(super) struct Turn(&'static AtomicBool);

impl Turn {
    /// Begins one.
    pub(super) fn begin() -> Self {
        let stop = stop_quietly();
        stop.store(false, Ordering::Relaxed);
        Self(stop)
    }

    /// Turns true at the first Ctrl-C.
    pub(super) fn stop(&self) -> &'static AtomicBool {
        self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        BETWEEN.store(true, Ordering::Relaxed);
        self.0.store(false, Ordering::Relaxed);
    }
}

#[expect(clippy::exit, reason = "a second Ctrl-C means now: samples are flushed one by one, so nothing is lost")]
fn end() {
    std::process::exit(130);
}
