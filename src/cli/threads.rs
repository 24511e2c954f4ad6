//! How long ggml's threads spin at a barrier before they sleep.
//!
//! libgomp lets them spin 300,000 times. On a machine with other work, a thread that spins keeps the core on which the
//! thread that it waits for could run. Measured on 2 cores with this program, the bundled model and 200 sums step by step,
//! in seconds (idle: median of six interleaved runs; beside one busy process: single runs, which vary widely):
//!
//! | spins | idle machine | one busy process beside |
//! |---|---|---|
//! | 300,000 (libgomp's own) | 1.45 | 7 to 52 |
//! | 10,000 | 1.44 | 9.8 |
//! | 3,000 | 1.48 | – |
//! | 1,000 | 1.48 | 5.3 |
//!
//! A larger model works longer between barriers and hardly notices. libgomp reads the number from the environment when
//! the program is loaded, and nowhere else; so the program starts itself again, once, with the number set.

/// Spins before a thread sleeps, in libgomp's own unit.
#[cfg(target_os = "linux")]
const SPINS: &str = "1000";

/// Starts the program again with `GOMP_SPINCOUNT` set, unless it or `OMP_WAIT_POLICY` is set already. Does nothing where
/// that fails: the program is only slower then, and only on a busy machine.
#[cfg(target_os = "linux")]
pub fn spin_less() {
    use std::os::unix::process::CommandExt;
    let set = |name| std::env::var_os(name).is_some();
    if set("GOMP_SPINCOUNT") || set("OMP_WAIT_POLICY") {
        return;
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    if let Ok(program) = std::env::current_exe() {
        let mut again = std::process::Command::new(program);
        if let Some(name) = name {
            again.arg0(name);
        }
        let _ = again.args(arguments).env("GOMP_SPINCOUNT", SPINS).exec();
    }
}

/// Elsewhere the threads are not libgomp's.
#[cfg(not(target_os = "linux"))]
pub fn spin_less() {}
