//! `tripos tokens`: how a model cuts texts into tokens.

use super::direct::{DirectArgs, Given, given, refused, shown, token_text};
use super::environment;
use super::failure::Failure;
use super::output::print;
use super::rewriting::Format;
use crate::report::lm::{CutRow, cut, side_by_side};
use crate::run::direct::{LanguageModel, Piece};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Arguments of `tokens`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Texts, and files with one in each; `-` is stdin. Several stand side by side
    #[arg(value_name = "TEXT|FILE", required = true)]
    texts: Vec<String>,
    /// Another model, side by side with the first
    #[arg(long, value_name = "MODEL")]
    against: Option<PathBuf>,
    /// Every argument is a text, even where it is the name of a file
    #[arg(long)]
    text: bool,
    /// Control tokens that a text spells are control tokens
    #[arg(long)]
    control: bool,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A text as a model cuts it.
struct Cut {
    row: CutRow,
    whole: String,
    pieces: Vec<Piece>,
}

/// Cuts.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let texts = given(&args.texts, args.text)?;
    let mut all = Vec::new();
    for path in std::iter::once(&args.model).chain(&args.against) {
        let (model, _) = DirectArgs::default().open(path, quiet)?;
        for (at, text) in texts.iter().enumerate() {
            all.push(cut_by(&model, path, (at, text), args.control)?);
        }
    }
    print(&match args.format {
        Format::Json => format!("{}\n", document(&all)),
        Format::Text => {
            let (width, colour) = (environment::width(), environment::stdout_colour());
            let rows: Vec<CutRow> = all.into_iter().map(|cut| cut.row).collect();
            match rows.as_slice() {
                [one] => cut(one, width, colour),
                several => side_by_side(several, width, colour),
            }
        }
    })
}

fn cut_by(model: &LanguageModel, path: &Path, (at, given): (usize, &Given), control: bool) -> Result<Cut, Failure> {
    let (name, text) = match given {
        Given::Text(text) => (format!("text {}", at + 1), text),
        Given::File(file, text) => (file.display().to_string(), text),
    };
    let pieces = model.cut(text, control).map_err(refused)?;
    let row = CutRow {
        model: path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        begins: model.begins(),
        text: name,
        characters: text.chars().count(),
        bytes: text.len(),
        pieces: shown(&pieces),
    };
    Ok(Cut { row, whole: text.clone(), pieces })
}

fn document(all: &[Cut]) -> Value {
    let piece = |piece: &Piece| json!({"id": piece.id, "token": token_text(piece), "bytes": piece.bytes});
    let one = |cut: &Cut| {
        json!({
            "model": cut.row.model, "text": cut.whole, "tokens": cut.row.tokens(), "begins": cut.row.begins,
            "characters": cut.row.characters, "bytes": cut.row.bytes,
            "characters_per_token": cut.row.characters_per_token(),
            "pieces": cut.pieces.iter().map(piece).collect::<Vec<_>>(),
        })
    };
    json!({"schema": 1, "texts": all.iter().map(one).collect::<Vec<_>>()})
}
