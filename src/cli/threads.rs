//! How long ggml's threads spin at a barrier before they sleep.
//!
//! libgomp lets them spin 300,000 times. On a machine with other work, a thread that spins keeps the core on which the
//! thread that it waits for could run. Measured with the bundled model on 2 cores, in tokens per second:
//!
//! | spins | idle machine | two busy processes beside |
//! |---|---|---|
//! | 300,000 (libgomp's own) | 3,100 | 40 to 130 |
//! | 1,000 | 2,600 | 730 |
//! | 100 | 1,300 | 1,100 |
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
