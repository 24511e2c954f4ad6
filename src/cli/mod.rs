//! The command line: one file a subcommand. The only room that prints, reads the environment or ends the program.
//!
//! Arguments are inert data; each command's `run` turns them into a plan and acts on it. stdout is the product, all else
//! goes to stderr.

mod asking;
mod cache;
mod chat;
mod check;
mod compare;
mod completions;
mod direct;
mod elsewhere;
mod environment;
mod failure;
mod fix;
mod gate;
mod history;
mod import;
mod init;
mod interrupt;
mod judge;
mod lineage;
mod lm;
mod merge;
mod model;
mod number_format;
mod output;
mod plan;
mod preferences;
mod probe;
mod progress;
mod quantize;
mod rank;
mod report;
mod rewriting;
mod run;
mod show;
mod threads;
mod tokens;
mod train;

pub use output::complain;
pub use threads::spin_less;

use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;

/// Prompt, measure, teach and ship a local language model: one binary, offline.
#[derive(Debug, Parser)]
#[command(name = "tripos", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more: what the model runs on (-v), and what llama.cpp says (-vv)
    #[arg(short, long, global = true, display_order = 900, action = clap::ArgAction::Count)]
    verbose: u8,
    /// No progress, no warnings
    #[arg(short, long, global = true, display_order = 901)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run suites and print one table each
    Run(Box<run::Args>),
    /// Find every problem of suites (with their prompts and cases) without running them
    Check(check::Args),
    /// Write a small suite that runs as it is
    Init(init::Args),
    /// Print the table of a run again, or one of its cases in full
    Show(show::Args),
    /// Compare two runs, or two variants, case by case
    Compare(compare::Args),
    /// Run a suite and judge its rules: the exit code says whether a change may ship
    Gate(Box<gate::Args>),
    /// Write runs as a page, or for other programs
    Report(report::Args),
    /// Print a suite's runs over time, with what changed between them
    History(history::Args),
    /// Teach a model: a recipe becomes an adapter or a whole model
    Train(Box<train::Args>),
    /// Work an adapter into its model: one file that llama.cpp runs by itself
    Merge(merge::Args),
    /// Bring a model to another number format
    Quantize(quantize::Args),
    /// Look at a model, download one, see and remove those of the cache
    Model(model::Args),
    /// Let people put the answers of a run in order, on a page; or sum up what they said
    Rank(Box<rank::Args>),
    /// Make pairs to learn from, out of rankings, runs and files of others
    Preferences(preferences::Args),
    /// Ask a reward model how good answers are
    Judge(judge::Args),
    /// Have a failing suite teach its model, and judge the result on cases that were held out
    Fix(Box<fix::Args>),
    /// Go back from a trained file or a run to what it was made from, and see what of it has changed
    Lineage(lineage::Args),
    /// Talk with a model
    Chat(Box<chat::Args>),
    /// Ask a model how natural texts are, what comes next, or which of several texts it prefers
    Lm(lm::Args),
    /// See how a model cuts texts into tokens
    Tokens(tokens::Args),
    /// Bring in what other tools made
    Import(import::Args),
    /// Look at or empty the cache of answers
    Cache(cache::Args),
    /// Print the completion script of a shell
    Completions(completions::Args),
    /// Load a model and decode one token: what `run` does in a child process before it trusts a file
    #[command(hide = true)]
    ProbeModel(probe::Args),
}

/// Reads the arguments. Help and usage errors are printed here; the error is the exit code.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, u8> {
    Cli::try_parse_from(arguments).map_err(|error| {
        // Where it cannot be printed there is nobody to tell.
        let _ = error.print();
        match error.kind() {
            clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => 0,
            _ => 2,
        }
    })
}

/// Sends `tracing` to stderr: warnings, or what -v, -vv or TRIPOS_LOG ask for.
pub fn start_logging(arguments: &Cli) {
    use tracing_subscriber::{EnvFilter, fmt};
    // llama.cpp's own lines are for -vv; what matters of them reaches the user as an error of ours.
    let filter = match (arguments.quiet, arguments.verbose) {
        _ if matches!(arguments.command, Command::ProbeModel(_)) => "error,llama-cpp-2=error",
        (true, _) => "error,llama-cpp-2=off",
        (_, 0) => "warn,llama-cpp-2=off",
        (_, 1) => "info,llama-cpp-2=off",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("TRIPOS_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    let _ = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).without_time().try_init();
}

/// Runs the command and returns the exit code: 0 done, 1 a verdict failed, 2 error or usage, 130 interrupted.
#[must_use]
pub fn dispatch(cli: Cli) -> u8 {
    let quiet = cli.quiet;
    let done = match cli.command {
        Command::Run(args) => run::run(&args, cli.verbose > 0, quiet),
        Command::Check(args) => check::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Gate(args) => gate::run(&args, quiet),
        Command::Report(args) => report::run(&args),
        Command::History(args) => history::run(&args),
        Command::Train(args) => train::run(&args, quiet),
        Command::Merge(args) => merge::run(&args, quiet),
        Command::Quantize(args) => quantize::run(&args, quiet),
        Command::Model(args) => model::run(&args, quiet),
        Command::Rank(args) => rank::run(&args, quiet),
        Command::Preferences(args) => preferences::run(&args, quiet),
        Command::Judge(args) => judge::run(&args, quiet),
        Command::Fix(args) => fix::run(&args, quiet),
        Command::Lineage(args) => lineage::run(&args),
        Command::Chat(args) => chat::run(&args, quiet),
        Command::Lm(args) => lm::run(&args, quiet),
        Command::Tokens(args) => tokens::run(&args, quiet),
        Command::Import(args) => import::run(&args, quiet),
        Command::Cache(args) => cache::run(&args),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
        Command::ProbeModel(args) => probe::run(&args),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}
