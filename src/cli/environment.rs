//! What the command line learns from its surroundings (contract.md, section 5).

use anyhow::Context;
use etcetera::BaseStrategy;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Columns where stdout is no terminal.
const WIDTH: usize = 80;

/// The folder of the cache: TRIPOS_CACHE, else `tripos` in the system's cache folder.
pub(super) fn cache_folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("TRIPOS_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let strategy = etcetera::choose_base_strategy().context("there is no home folder; set TRIPOS_CACHE")?;
    Ok(strategy.cache_dir().join("tripos"))
}

/// What a variable holds that a suite names (`key_env`); nothing where it is empty.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether stdout shows colour: a terminal, and NO_COLOR not set.
pub(super) fn stdout_colour() -> bool {
    std::io::stdout().is_terminal() && !no_colour()
}

/// The same for stderr.
pub(super) fn stderr_colour() -> bool {
    std::io::stderr().is_terminal() && !no_colour()
}

fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The width to fit tables to.
pub(super) fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(WIDTH, |(width, _)| usize::from(width.0))
}

/// Cores that may be used.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether this is a step of GitHub Actions.
pub(super) fn is_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// The file that takes the summary of such a step.
pub(super) fn step_summary() -> Option<PathBuf> {
    std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()).map(PathBuf::from)
}
