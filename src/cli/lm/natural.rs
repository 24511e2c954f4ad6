//! `tripos lm natural`: how natural a model finds texts.

use super::super::direct::{DirectArgs, Given, given, shown, token_text};
use super::super::environment;
use super::super::failure::Failure;
use super::super::output::print;
use super::super::rewriting::Format;
use crate::report::lm::{NaturalRow, natural};
use crate::run::direct::Natural;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `lm natural`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Texts, and files of which each line is one; `-` is stdin
    #[arg(value_name = "FILE|TEXT", required = true)]
    texts: Vec<String>,
    /// The model
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Every argument is a text, even where it is the name of a file
    #[arg(long)]
    text: bool,
    #[command(flatten)]
    direct: DirectArgs,
    /// What is printed: for people the most natural text first, as JSON in the order given
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Judges.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let texts: Vec<String> = given(&args.texts, args.text)?.iter().flat_map(lines).collect();
    let (model, _) = args.direct.open(&args.model, quiet)?;
    let found = model.natural(&texts)?;
    let order = in_order(&found);
    print(&match args.format {
        Format::Json => format!("{}\n", document(&found, &order)),
        Format::Text => {
            let rows: Vec<NaturalRow> = order.iter().filter_map(|&at| Some(row(at, found.get(at)?))).collect();
            natural(&rows, environment::width(), environment::stdout_colour())
        }
    })
}

/// The texts of an argument.
fn lines(given: &Given) -> Vec<String> {
    match given {
        Given::Text(text) => vec![text.clone()],
        Given::File(_, text) => text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect(),
    }
}

/// The indices, those of the fewest bits per byte first; impossible texts last.
fn in_order(found: &[Natural]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    let bits = |at: &usize| match found.get(*at).map(|one| &one.surprisal) {
        Some(Ok(surprisal)) => surprisal.bits_per_byte(),
        _ => f64::INFINITY,
    };
    order.sort_by(|a, b| bits(a).total_cmp(&bits(b)));
    order
}

fn row(at: usize, of: &Natural) -> NaturalRow {
    let surprisal = of.surprisal.as_ref().ok();
    NaturalRow {
        number: at + 1,
        text: of.text.clone(),
        bits_per_byte: surprisal.map(crate::score::Surprisal::bits_per_byte),
        perplexity: surprisal.map(crate::score::Surprisal::perplexity),
        logprob: surprisal.map(|surprisal| surprisal.logprob),
        pieces: shown(&of.pieces),
    }
}

fn document(found: &[Natural], order: &[usize]) -> Value {
    let rank = |at: usize| order.iter().position(|&other| other == at).map(|place| place + 1);
    let one = |(at, of): (usize, &Natural)| {
        let pieces =
            of.pieces.iter().map(|piece| json!({"id": piece.id, "token": token_text(piece), "logprob": piece.logprob}));
        let pieces = pieces.collect::<Vec<Value>>();
        match &of.surprisal {
            Ok(surprisal) => json!({
                "text": of.text, "rank": rank(at), "logprob": surprisal.logprob, "tokens": surprisal.tokens,
                "bytes": surprisal.bytes, "bits_per_byte": surprisal.bits_per_byte(),
                "perplexity": surprisal.perplexity(), "pieces": pieces,
            }),
            Err(reason) => json!({
                "text": of.text, "rank": rank(at), "logprob": null, "bits_per_byte": null, "perplexity": null,
                "unscored": reason, "pieces": pieces,
            }),
        }
    };
    json!({"schema": 1, "texts": found.iter().enumerate().map(one).collect::<Vec<_>>()})
}
