//! Waits until other programs leave the machine alone, before each look at generation: with two threads on two cores, a third program does not cost a
//! third of the speed but most of it, because the threads wait for each other many times a token.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long one look at the machine takes, in ms.
const LOOK: u64 = 100;

/// The share of all cores that others may use.
const BUSY: f64 = 0.08;

/// What is left of the time that the bench may spend waiting, in ms.
static PATIENCE: AtomicU64 = AtomicU64::new(PATIENCE_MS);
const PATIENCE_MS: u64 = 90_000;

/// Returns when the cores are idle, or when patience is at its end. Where there is no /proc/stat it returns at once.
pub(crate) fn wait() {
    while PATIENCE.load(Ordering::Relaxed) >= LOOK {
        let before = ticks();
        std::thread::sleep(Duration::from_millis(LOOK));
        let (Some((busy, all)), Some((busy_now, all_now))) = (before, ticks()) else { return };
        if (busy_now - busy) <= BUSY * (all_now - all) {
            return;
        }
        PATIENCE.fetch_sub(LOOK, Ordering::Relaxed);
    }
}

/// Seconds spent waiting for other programs so far.
pub(crate) fn waited() -> f64 {
    (PATIENCE_MS - PATIENCE.load(Ordering::Relaxed)) as f64 / 1e3
}

/// Clock ticks of all cores since the start of the machine: those spent working, and all of them.
fn ticks() -> Option<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> = text.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    let all: f64 = ticks.iter().sum();
    // user nice system idle iowait …
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((all - idle, all))
}
