//! Ctrl-C: the first asks the run to end after what is in flight, the second ends the program at once.

use super::output::complain;
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);
static QUIET: AtomicBool = AtomicBool::new(false);

/// Starts listening; the flag turns true at the first Ctrl-C (or SIGTERM).
pub(super) fn listen() -> &'static AtomicBool {
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            end();
        }
        if QUIET.load(Ordering::Relaxed) {
            return complain("\n");
        }
        complain("\ninterrupted: finishing what is in flight; Ctrl-C again stops at once\n");
    });
    &STOP
}

/// The same for what ends at once and loses nothing: the first Ctrl-C says nothing.
pub(super) fn stop_quietly() -> &'static AtomicBool {
    QUIET.store(true, Ordering::Relaxed);
    listen()
}

#[expect(clippy::exit, reason = "a second Ctrl-C means now: samples are flushed one by one, so nothing is lost")]
fn end() {
    std::process::exit(130);
}
