//! `tripos import`: what other tools made.

use super::failure::Failure;
use super::output::{complain, print};
use super::rewriting::Format;
use crate::import::peft;
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// A LoRA adapter of Hugging Face's PEFT becomes an adapter GGUF
    Peft(Peft),
}

/// Arguments of `import peft`.
#[derive(Debug, clap::Args)]
struct Peft {
    /// The folder that PEFT wrote: adapter_config.json and adapter_model.safetensors
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The GGUF of the model that the adapter was trained on
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Brings it in.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let From::Peft(args) = &args.from;
    let model = super::elsewhere::local(&args.model, quiet)?;
    let imported = peft::import(&args.folder, &model, &args.out)?;
    if !quiet {
        imported.notes.iter().for_each(|note| complain(&format!("note: {note}\n")));
    }
    let peft::Imported { matrices, rank, alpha, interleaved, base, notes } = imported;
    print(&match args.format {
        Format::Json => {
            let document = json!({
                "schema": 1, "path": args.out, "matrices": matrices, "rank": rank, "alpha": alpha,
                "interleaved": interleaved, "base": base, "notes": notes,
            });
            format!("{document}\n")
        }
        Format::Text => {
            let of = base.map_or_else(String::new, |base| format!(", trained on {base}"));
            let rows = if interleaved > 0 { ", rows of queries and keys interleaved as in the model" } else { "" };
            let (out, model) = (args.out.display(), args.model.display());
            format!(
                "wrote {out}: {matrices} matrices, rank {rank}, alpha {alpha}{of}{rows}\n\
                 now: tripos run SUITE --model {model} --adapter {out}\n"
            )
        }
    })
}
