//! How much memory there is, and how much this program has held.

use std::path::Path;

/// Bytes that can be had without pushing other programs out: what Linux says (`MemAvailable`), or what the control group of
/// this process still allows, whichever is less. `None` where the system does not say.
#[must_use]
pub fn available() -> Option<u64> {
    let of_machine = kib("/proc/meminfo", "MemAvailable:");
    [of_machine, of_group(Path::new("/sys/fs/cgroup"))].into_iter().flatten().min()
}

/// The most bytes that this program has held at once; `None` where the system does not say.
#[must_use]
pub fn peak() -> Option<u64> {
    kib("/proc/self/status", "VmHWM:")
}

/// What a control group (version 2) still allows: its limit less what it holds, file pages that can be dropped apart.
fn of_group(folder: &Path) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let held: u64 = read("memory.current")?.trim().parse().ok()?;
    let files = read("memory.stat").and_then(|text| number(&text, "inactive_file "));
    Some(limit.saturating_sub(held.saturating_sub(files.unwrap_or(0))))
}

/// A number of KiB under a name in one of Linux's files, in bytes.
fn kib(file: &str, name: &str) -> Option<u64> {
    number(&std::fs::read_to_string(file).ok()?, name).map(|kib| kib.saturating_mul(1024))
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_says_both() {
        let (available, peak) = (available().unwrap(), peak().unwrap());
        assert!(available > 1 << 20 && peak > 1 << 20, "{available} {peak}");
    }

    #[test]
    fn a_control_group_allows_its_limit_less_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        assert_eq!(of_group(dir.path()), None);
        write("memory.max", "1000\n");
        write("memory.current", "700\n");
        assert_eq!(of_group(dir.path()), Some(300));
        write("memory.stat", "anon 500\ninactive_file 200\n");
        assert_eq!(of_group(dir.path()), Some(500));
        write("memory.max", "max\n");
        assert_eq!(of_group(dir.path()), None);
    }
}
