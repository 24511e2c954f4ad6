//! What the command line learns from its surroundings (contract.md, section 5).

use crate::hub::Settings;
use anyhow::Context;
use etcetera::BaseStrategy;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Columns where stdout is no terminal.
const WIDTH: usize = 80;
/// The hub, where HF_ENDPOINT names no other.
const HUB: &str = "https://huggingface.co";

/// The folder of the cache: TRIPOS_CACHE, else `tripos` in the system's cache folder.
pub(super) fn cache_folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("TRIPOS_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let strategy = etcetera::choose_base_strategy().context("there is no home folder; set TRIPOS_CACHE")?;
    Ok(strategy.cache_dir().join("tripos"))
}

/// The hub: HF_ENDPOINT, HF_TOKEN (else the file HF_TOKEN_PATH or `token` in HF_HOME, where `hf auth login` puts it), HF_HUB_CACHE
/// (else `hub` in HF_HOME), HF_HUB_OFFLINE, the proxies, and the folder of what the Hugging Face cache has no place for.
pub(super) fn hub() -> anyhow::Result<Settings> {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let home = match given("HF_HOME") {
        Some(home) => at_home(&home),
        None => cache_root().context("there is no home folder; set HF_HOME")?.join("huggingface"),
    };
    let token = given("HF_TOKEN_PATH").map_or_else(|| home.join("token"), |path| at_home(&path));
    let kept = || std::fs::read_to_string(token).ok().filter(|token| !token.trim().is_empty());
    let proxy = |name: &str| given(&name.to_lowercase()).or_else(|| given(name));
    Ok(Settings {
        endpoint: given("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned()),
        token: given("HF_TOKEN").or_else(kept),
        hub: given("HF_HUB_CACHE").map_or_else(|| home.join("hub"), |folder| at_home(&folder)),
        own: cache_folder()?.join("models"),
        http_proxy: proxy("HTTP_PROXY"),
        https_proxy: proxy("HTTPS_PROXY"),
        no_proxy: proxy("NO_PROXY"),
        // What huggingface_hub takes for a yes.
        offline: given("HF_HUB_OFFLINE")
            .is_some_and(|value| matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")),
    })
}

/// A folder as a variable names it: `~/` is the home folder, for huggingface_hub as for the shell.
fn at_home(named: &str) -> PathBuf {
    let home = named.strip_prefix("~/").and_then(|rest| Some(etcetera::home_dir().ok()?.join(rest)));
    home.unwrap_or_else(|| PathBuf::from(named))
}

/// `~/.cache` as XDG_CACHE_HOME may name it, on every system: that is where huggingface_hub looks.
fn cache_root() -> Option<PathBuf> {
    let root = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    root.or_else(|| Some(etcetera::home_dir().ok()?.join(".cache")))
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
