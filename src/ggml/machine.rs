//! The machine: which instructions ggml was built for, which this CPU has, and what ggml says before it aborts.

use std::ffi::{CStr, c_char};

/// Why this program cannot run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this program was built for a CPU with {}, which this one lacks", missing.join(", "))]
pub struct WrongCpu {
    /// The instruction sets that are missing.
    pub missing: Vec<&'static str>,
}

impl crate::error::Explain for WrongCpu {
    fn help(&self) -> Option<String> {
        Some("build it on this machine (`make build`), or for most x86-64 machines since 2013 (`make portable`)".into())
    }
}

/// The instruction sets that this program uses unconditionally and that x86-64 does not promise.
#[cfg(target_arch = "x86_64")]
const BUILT_FOR: [(&str, bool, Leaf); 6] = [
    ("AVX", cfg!(target_feature = "avx"), Leaf::One(28)),
    ("FMA", cfg!(target_feature = "fma"), Leaf::One(12)),
    ("F16C", cfg!(target_feature = "f16c"), Leaf::One(29)),
    ("AVX2", cfg!(target_feature = "avx2"), Leaf::Seven(5)),
    ("BMI2", cfg!(target_feature = "bmi2"), Leaf::Seven(8)),
    ("AVX-512", cfg!(target_feature = "avx512f"), Leaf::Seven(16)),
];

/// Where CPUID tells of a feature: ECX of leaf 1, or EBX of leaf 7.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
enum Leaf {
    One(u32),
    Seven(u32),
}

/// Refuses a CPU that lacks what the program was compiled for, rather than dying of an illegal instruction later.
///
/// `is_x86_feature_detected!` cannot tell: it answers at compile time for features that are compiled in.
#[cfg(target_arch = "x86_64")]
pub fn check_cpu() -> Result<(), WrongCpu> {
    use std::arch::x86_64::__cpuid_count;
    let (one, seven) = (__cpuid_count(1, 0).ecx, __cpuid_count(7, 0).ebx);
    let has = |leaf: Leaf| match leaf {
        Leaf::One(bit) => one >> bit & 1 == 1,
        Leaf::Seven(bit) => seven >> bit & 1 == 1,
    };
    let missing: Vec<_> =
        BUILT_FOR.iter().filter(|(_, built, leaf)| *built && !has(*leaf)).map(|(name, ..)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(WrongCpu { missing }) }
}

/// On other machines the compiler's baseline is all that is assumed.
#[cfg(not(target_arch = "x86_64"))]
pub fn check_cpu() -> Result<(), WrongCpu> {
    Ok(())
}

/// The instruction sets and back ends that ggml uses, as it reports them: `("AVX2", "1")`, `("CUDA", "…")`.
#[must_use]
pub fn features() -> Vec<(String, String)> {
    // SAFETY: takes no arguments and returns a NUL-terminated static string that is never null; it is copied at once.
    let text = unsafe { CStr::from_ptr(llama_cpp_sys_2::llama_print_system_info()) }.to_string_lossy().into_owned();
    text.split(['|', ':'])
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// The release of the crate that carries llama.cpp's source: it names no commit of its own.
const LLAMA_CPP_SYS: &str = "0.1.161";

/// The build of llama.cpp: ggml's version and the crate's release, for the run's header and the cache key.
#[must_use]
pub fn version() -> String {
    // SAFETY: takes no arguments and returns a NUL-terminated static string that is never null.
    let version = unsafe { CStr::from_ptr(llama_cpp_sys_2::ggml_version()) };
    format!("ggml {}, llama-cpp-sys-2 {LLAMA_CPP_SYS}", version.to_string_lossy())
}

/// Makes a failed assertion of ggml print one line of ours before the process dies, rather than a stack trace.
pub fn explain_aborts() {
    // SAFETY: the callback is a plain function that lives as long as the program and only writes to stderr.
    unsafe {
        llama_cpp_sys_2::ggml_set_abort_callback(Some(on_abort));
    }
}

/// Called by ggml right before `abort()`.
unsafe extern "C" fn on_abort(message: *const c_char) {
    use std::io::Write;
    // SAFETY: ggml passes a NUL-terminated string that outlives the call.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    let line = message.rsplit('/').next().unwrap_or(&message);
    let _ = writeln!(std::io::stderr(), "error: ggml stopped at a check of its own: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_named_is_the_one_locked() {
        let lock = include_str!("../../Cargo.lock");
        let locked = format!("name = \"llama-cpp-sys-2\"\nversion = \"{LLAMA_CPP_SYS}\"");
        assert!(lock.contains(&locked), "Cargo.lock has another llama-cpp-sys-2: change LLAMA_CPP_SYS");
    }

    #[test]
    fn this_cpu_can_run_what_was_built_on_it() {
        assert_eq!(check_cpu(), Ok(()));
    }

    /// The negative twin of a build for baseline x86-64: whatever vector instructions the CPU has must be in use.
    #[test]
    fn ggml_uses_the_vector_instructions_that_this_cpu_has() {
        let Ok(cpuinfo) = std::fs::read_to_string("/proc/cpuinfo") else {
            println!("skipped: no /proc/cpuinfo to compare with");
            return;
        };
        let flags: Vec<&str> = cpuinfo
            .lines()
            .filter(|l| l.starts_with("flags") || l.starts_with("Features"))
            .flat_map(str::split_whitespace)
            .collect();
        let used = features();
        for (flag, feature) in [("avx2", "AVX2"), ("avx512f", "AVX512"), ("asimd", "NEON")] {
            if flags.contains(&flag) {
                assert!(
                    used.iter().any(|(name, value)| name == feature && value == "1"),
                    "this CPU has {flag}, and ggml does not use {feature}: {used:?}. Is RUSTFLAGS set?"
                );
            }
        }
    }
}
