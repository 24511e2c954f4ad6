//! `tripos quantize`: a model in another number format.

use super::elsewhere::local;
use super::failure::Failure;
use super::number_format::NumberFormat;
use super::rewriting::{Format, say, watched};
use crate::gguf::TensorType;
use crate::model::quantize;
use std::path::PathBuf;

/// Arguments of `quantize`.
///
/// Norms, biases and other small parts stay as they are; the output matrix keeps 6 bits or more; rows that are not whole
/// blocks of a format get the next one that fits, and a note says so.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model
    #[arg(value_name = "IN")]
    source: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// The number format
    #[arg(long = "type", value_name = "TYPE", value_parser = NumberFormat)]
    kind: TensorType,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Quantises.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let source = local(&args.source, quiet)?;
    let written = watched(quiet, |watch| quantize(&source, &args.out, args.kind, watch))?;
    say(&written, &args.out, args.format, quiet)
}
