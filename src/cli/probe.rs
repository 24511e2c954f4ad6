//! The hidden `probe-model`: the child process in which a model is tried.

use super::failure::Failure;
use crate::engine::llama::probe::run_child;
use std::path::PathBuf;

/// Arguments of `probe-model`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model
    model: PathBuf,
    /// An adapter to apply
    adapter: Option<PathBuf>,
}

/// Loads the model and decodes one token.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    run_child(&args.model, args.adapter.as_deref()).map_err(|reason| anyhow::anyhow!(reason).into())
}
