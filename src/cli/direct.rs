//! What the commands that ask a model directly have in common: how it is opened, and texts that may be files.

use super::elsewhere::{local, local_adapter};
use super::failure::{Failure, print_problems};
use super::plan::{PlanArgs, adapter};
use super::run::MachineArgs;
use crate::error::{Explain, Place, Problems};
use crate::report::lm::Shown;
use crate::run::direct::{DirectError, LanguageModel, Piece};
use crate::run::{Appraiser, RunSettings};
use crate::suite::{ModelRef, without_mark};
use std::f64::consts::LN_2;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Flags that say how a model is opened.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct DirectArgs {
    /// Apply this LoRA adapter, scaled (1 unless said otherwise)
    #[arg(long, value_name = "FILE[=SCALE]", value_parser = adapter)]
    adapter: Option<String>,
    /// Context length, in tokens [default: the model's own, at most 4096]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=16_777_216))]
    context: Option<u32>,
    /// Threads that decode [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Layers kept on the GPU [default: all that fit]
    #[arg(long, value_name = "N")]
    gpu_layers: Option<u32>,
    /// Neither read nor keep answers
    #[arg(long)]
    no_cache: bool,
}

impl DirectArgs {
    /// The model, without its weights, and how the machine is used. What is unwise is a warning.
    pub(super) fn open(&self, model: &Path, quiet: bool) -> Result<(LanguageModel, RunSettings), Failure> {
        let model = local(model, quiet)?;
        let adapter = self.adapter.as_deref().map(|adapter| local_adapter(adapter, quiet)).transpose()?;
        let plan = PlanArgs {
            model: Some(model.clone()),
            context: self.context,
            threads: self.threads,
            gpu_layers: self.gpu_layers,
            ..PlanArgs::default()
        };
        let machine = MachineArgs { no_cache: self.no_cache, allow_commands: false };
        let settings = machine.settings(&plan, false)?;
        let named = plan.overrides(false);
        let model = named.model.unwrap_or(ModelRef::Gguf(model));
        let opened = LanguageModel::open(&model, adapter.as_ref(), self.context, &settings)?;
        if let Some(warning) = opened.beyond_training().filter(|_| !quiet) {
            print_problems(&warning.into());
        }
        Ok((opened, settings))
    }
}

/// A reward model that judges, and the model that it sits on.
pub(super) fn appraiser(
    file: &Path,
    base: Option<&Path>,
    settings: &RunSettings,
    quiet: bool,
) -> Result<Appraiser, Failure> {
    let base = base.map(|base| local(base, quiet)).transpose()?;
    Ok(Appraiser::open(&local(file, quiet)?, base.as_deref(), settings)?)
}

/// A text that an argument stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// The argument itself.
    Text(String),
    /// What is in the file that it names, or what came from stdin (`-`).
    File(PathBuf, String),
}

/// Why a file is no text.
#[derive(Debug, thiserror::Error)]
pub(super) enum GivenError {
    /// It is not there.
    #[error("there is no such file")]
    Missing {
        /// Its name.
        place: Place,
    },
    /// It cannot be read.
    #[error("the file cannot be read: {reason}")]
    Unreadable {
        /// Its name.
        place: Place,
        /// What the system says.
        reason: String,
    },
    /// It is no text.
    #[error("the file is no UTF-8 text: byte {at} cannot be read")]
    NoText {
        /// Its name and the line of the byte.
        place: Place,
        /// The byte, from 0.
        at: usize,
    },
    /// It has no text in it.
    #[error("the file is empty")]
    Empty {
        /// Its name.
        place: Place,
    },
}

impl Explain for GivenError {
    fn at(&self) -> Option<&Place> {
        match self {
            Self::Missing { place }
            | Self::Unreadable { place, .. }
            | Self::NoText { place, .. }
            | Self::Empty { place } => Some(place),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => "check the name; if it is meant as a text and no file, give --text".into(),
            Self::Unreadable { .. } => "name a text file".into(),
            Self::NoText { .. } => "convert it to UTF-8 (iconv -f latin1 -t utf-8)".into(),
            Self::Empty { .. } => "put a text into it".into(),
        })
    }
}

/// What arguments stand for, or all that is wrong with any of them. One that is the name of a file is its text, and so is
/// `-`, stdin; with `as_texts` none is. One without white space that looks like the name of a file has to be one.
pub(super) fn given(arguments: &[String], as_texts: bool) -> Result<Vec<Given>, Problems> {
    let mut problems = Problems::new();
    let mut all = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let path = Path::new(argument);
        let names_a_file = argument == "-" || path.is_file() || looks_like_a_file(argument);
        if as_texts || !names_a_file {
            all.push(Given::Text(argument.clone()));
            continue;
        }
        match read(path) {
            Ok(text) => all.push(Given::File(path.to_path_buf(), text)),
            Err(error) => problems.push(error),
        }
    }
    problems.or_ok(all)
}

/// `notes.txt`, `data/notes`: no white space, and an ending of letters and digits or a folder.
fn looks_like_a_file(argument: &str) -> bool {
    let path = Path::new(argument);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let has_ending = (1..=5).contains(&ending.len()) && ending.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_plain = ending.chars().all(|c| c.is_ascii_alphanumeric());
    !argument.contains(char::is_whitespace) && (argument.contains('/') || (has_ending && is_plain))
}

fn read(path: &Path) -> Result<String, GivenError> {
    let place = Place::file(if path == Path::new("-") { Path::new("stdin") } else { path });
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    match result {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(GivenError::Missing { place }),
        Err(e) => return Err(GivenError::Unreadable { place, reason: e.to_string() }),
        Ok(()) => {}
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
        GivenError::NoText { place: Place { line, ..place.clone() }, at }
    })?;
    let text = without_mark(text);
    if text.trim().is_empty() { Err(GivenError::Empty { place }) } else { Ok(text) }
}

/// Tokens as the report shows them.
pub(super) fn shown(pieces: &[Piece]) -> Vec<Shown> {
    let one = |piece: &Piece| Shown {
        id: piece.id,
        bytes: piece.bytes.clone(),
        control: piece.control.clone(),
        bits: piece.logprob.map(|logprob| (-f64::from(logprob) / LN_2).max(0.0)),
    };
    pieces.iter().map(one).collect()
}

/// What a token stands for, as text: half a character is replaced.
pub(super) fn token_text(piece: &Piece) -> String {
    match (&piece.control, piece.bytes.as_slice()) {
        (Some(control), []) => control.clone(),
        (_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// One problem as a failure.
pub(super) fn refused(error: DirectError) -> Failure {
    Failure::Problems(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_no_file_and_a_name_is_one() {
        assert!(["notes.txt", "data/notes", "./x", "a.jsonl"].iter().all(|name| looks_like_a_file(name)));
        let texts = ["It is 85.", "Hello", "3.14", "Really?", "etc.", "你好。", "What/why do you ask?"];
        assert!(texts.iter().all(|text| !looks_like_a_file(text)), "{texts:?}");
    }

    #[test]
    fn says_of_each_argument_what_is_wrong_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("latin.txt"), b"one\ncaf\xe9\n").unwrap();
        std::fs::write(path("empty.txt"), b"\n").unwrap();
        let names = ["latin.txt", "empty.txt", "nowhere.txt"].map(|name| path(name).display().to_string());
        let said = given(&names, false).unwrap_err().to_string().replace(&folder.path().display().to_string(), "");
        insta::assert_snapshot!(said, @r"
        error: the file is no UTF-8 text: byte 7 cannot be read
          --> /latin.txt:2
          help: convert it to UTF-8 (iconv -f latin1 -t utf-8)

        error: the file is empty
          --> /empty.txt
          help: put a text into it

        error: there is no such file
          --> /nowhere.txt
          help: check the name; if it is meant as a text and no file, give --text
        ");
        assert_eq!(given(&names, true).unwrap().len(), 3, "as texts they are fine");
    }
}
