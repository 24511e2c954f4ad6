//! `tripos completions`: the completion script of a shell.

use super::failure::Failure;
use super::output::print;
use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &Args, command: &mut clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "tripos", &mut script);
    print(&String::from_utf8_lossy(&script))
}
