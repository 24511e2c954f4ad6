//! `tripos lm`: the three uses of a language model: to judge how natural texts are, to foretell, and to rank.

mod natural;
mod next;
mod rank;

use super::failure::Failure;
use clap::Subcommand;

/// Arguments of `lm`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// How natural a model finds texts: ranked, each token with its surprise
    Natural(natural::Args),
    /// What a model expects behind a text: the next tokens with their probabilities
    Next(next::Args),
    /// Which of several texts a model prefers behind a text
    Rank(rank::Args),
}

/// Asks.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    match &args.action {
        Action::Natural(args) => natural::run(args, quiet),
        Action::Next(args) => next::run(args, quiet),
        Action::Rank(args) => rank::run(args, quiet),
    }
}
