//! `tripos cache`: how large it is, and making it smaller.

use super::environment;
use super::failure::Failure;
use super::output::print;
use crate::engine::cache::Cache;
use clap::Subcommand;
use serde_json::json;

/// Arguments of `cache`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// How many answers it holds, and where
    Size,
    /// Remove answers that were not used for a while
    Prune {
        /// Keep what was used in the last N days; 0 keeps nothing
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line for people
    Text,
    /// A JSON document
    Json,
}

/// Looks at the cache or prunes it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let cache = Cache::open(&environment::cache_folder()?)?;
    let removed = match args.action {
        Action::Size => None,
        Action::Prune { days } => Some(cache.prune(days)?),
    };
    let (answers, bytes) = cache.size()?;
    let path = cache.path();
    print(&match args.format {
        Format::Json => {
            format!("{}\n", json!({"schema": 1, "path": path, "answers": answers, "bytes": bytes, "removed": removed}))
        }
        Format::Text => {
            let gone = removed.map_or_else(String::new, |count| format!("removed {count} answers; left: "));
            format!("{gone}{answers} answers, {:.1} MiB in {}\n", bytes as f64 / 1_048_576.0, path.display())
        }
    })
}
