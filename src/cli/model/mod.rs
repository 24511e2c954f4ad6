//! `tripos model`: what a model or an adapter is, and the models of the cache.

mod kept;
mod pull;
mod show;

use super::failure::Failure;
use super::rewriting::Format;
use clap::Subcommand;
use std::path::PathBuf;

/// Arguments of `model`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What a model or an adapter is, and what can be done with it
    Show {
        /// The file, or hf://owner/repo/file.gguf
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What is printed
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Download a model into the cache, or list the models of a repository
    Pull(pull::Args),
    /// List the models of the cache, whoever put them there
    List {
        /// What is printed
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Remove a model from the cache
    Rm {
        /// As `model list` shows it; a repository stands for all of its models
        #[arg(value_name = "URI")]
        uri: String,
        /// What is printed
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

/// Does it.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    match &args.action {
        Action::Show { file, format } => show::run(&super::elsewhere::local(file, quiet)?, *format),
        Action::Pull(args) => pull::run(args, quiet),
        Action::List { format } => kept::list(*format),
        Action::Rm { uri, format } => kept::remove(uri, *format),
    }
}
