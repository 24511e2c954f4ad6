//! `tripos lm next`: what a model expects behind a text.

use super::super::direct::DirectArgs;
use super::super::environment;
use super::super::failure::Failure;
use super::super::output::print;
use super::super::rewriting::Format;
use crate::report::lm::{NextRow, next};
use crate::run::direct::{MOST_NEXT, Next};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `lm next`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The text; control tokens that it spells are control tokens
    #[arg(value_name = "TEXT")]
    text: String,
    /// The model
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// How many tokens are told
    #[arg(short, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_NEXT)))]
    k: u32,
    #[command(flatten)]
    direct: DirectArgs,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Foretells.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let (model, _) = args.direct.open(&args.model, quiet)?;
    let found = model.next(&args.text, args.k)?;
    print(&match args.format {
        Format::Json => format!("{}\n", document(&found)),
        Format::Text => {
            let row = |of: Next| NextRow { id: of.id, token: of.token, text: of.text, probability: of.probability };
            next(&found.into_iter().map(row).collect::<Vec<_>>(), environment::width())
        }
    })
}

fn document(found: &[Next]) -> Value {
    let one = |of: &Next| json!({"id": of.id, "token": of.token, "text": of.text, "probability": of.probability});
    json!({"schema": 1, "next": found.iter().map(one).collect::<Vec<_>>()})
}
