//! `tripos merge`: an adapter worked into its model.

use super::elsewhere::local;
use super::failure::Failure;
use super::number_format::NumberFormat;
use super::rewriting::{Format, say, watched};
use crate::gguf::TensorType;
use crate::model::{Merge, merge};
use std::path::PathBuf;

/// Arguments of `merge`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model that the adapter was trained on
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The adapter
    #[arg(value_name = "ADAPTER")]
    adapter: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Bring the whole model to this number format [default: each tensor stays in its own]
    #[arg(long = "type", value_name = "TYPE", value_parser = NumberFormat, hide_possible_values = true)]
    kind: Option<TensorType>,
    /// How much of the adapter: 1 is as it was trained
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = scale, allow_negative_numbers = true)]
    scale: f32,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

fn scale(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|scale: &f32| scale.is_finite())
        .ok_or_else(|| "a scale is a number, such as 0.5".to_owned())
}

/// Merges.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let Args { base, adapter, out, kind, scale, format } = args;
    let (base, adapter) = (&local(base, quiet)?, &local(adapter, quiet)?);
    let request = Merge { base, adapter, out, kind: *kind, scale: *scale };
    let written = watched(quiet, |watch| merge(&request, watch))?;
    say(&written, out, *format, quiet)
}
