//! A model from nothing: what a recipe of `kind: pretrain` says of it.

use super::file::RecipeFile;
use super::load::Loader;
use crate::gguf::Gguf;
use crate::train::pretrain::{Architecture, BYTES};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Tokens, where the recipe does not say.
const VOCABULARY: usize = 4_096;
/// Control tokens, where the recipe does not say: what begins and ends texts, and the turns of ChatML.
const CONTROL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// A model that is made before it is trained.
#[derive(Debug, Clone, Serialize)]
pub struct FromNothing {
    /// Its shape.
    pub architecture: Architecture,
    /// Its tokens.
    pub tokenizer: Tokenizer,
    /// Its licence, as an SPDX name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// Where the tokens of a new model come from.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Tokenizer {
    /// They are learned from what the model learns from.
    Learned {
        /// How many.
        vocabulary: usize,
        /// Those that no text spells; the first begins and ends texts.
        control: Vec<String>,
    },
    /// They are another model's, with its chat template.
    From {
        /// Its GGUF.
        from: PathBuf,
    },
}

impl FromNothing {
    /// The files that it names.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        match &mut self.tokenizer {
            Tokenizer::From { from } => Some(from),
            Tokenizer::Learned { .. } => None,
        }
        .into_iter()
    }
}

/// `tokenizer:` as written: `from`, or any of the others.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenizerEntry {
    pub from: Option<String>,
    pub vocabulary: Option<usize>,
    pub control: Option<Vec<String>>,
}

impl Loader<'_> {
    /// What is made from nothing, where that is the kind; fields that belong to it alone are refused elsewhere.
    pub(super) fn made_from_nothing(&mut self, file: &RecipeFile, pretrain: bool) -> Option<FromNothing> {
        let given = [
            ("depth", file.depth.is_some()),
            ("architecture", file.architecture.is_some()),
            ("tokenizer", file.tokenizer.is_some()),
            ("licence", file.licence.is_some()),
            ("tokens", file.tokens.is_some()),
        ];
        if !pretrain {
            for (field, _) in given.iter().filter(|(_, given)| *given) {
                let what = format!("`{field}` belongs to `kind: pretrain`");
                self.fail(field, &what, "leave it out, or write `kind: pretrain`");
            }
            return None;
        }
        if file.model.is_some() || self.overrides.model.is_some() {
            let path = if file.model.is_some() { "model" } else { "--model" };
            self.fail(path, "a model from nothing has no base", "leave `model` out, or write `kind: sft`");
        }
        let entry = file.architecture.unwrap_or_default();
        if file.depth.is_none() && entry.layers.is_none() && !self.refused("depth") && !self.refused("architecture") {
            let help = "write `depth: 4`: it sets layers, width, heads, batch, rate and how long is trained";
            self.fail("kind", "nothing says how large the model is", help);
        }
        let architecture = Architecture::of(file.depth.or(entry.layers).unwrap_or(1), &entry);
        if let Some((name, what, help)) = architecture.fault() {
            let at = if file.depth.is_some() { "depth".to_owned() } else { format!("architecture.{name}") };
            self.fail(&at, &what, &help);
        }
        let tokenizer = self.tokenizer(file.tokenizer.as_ref())?;
        Some(FromNothing { architecture, tokenizer, licence: file.licence.clone() })
    }

    fn tokenizer(&mut self, entry: Option<&TokenizerEntry>) -> Option<Tokenizer> {
        let entry = entry.cloned().unwrap_or_default();
        if let Some(from) = &entry.from {
            if entry.vocabulary.is_some() || entry.control.is_some() {
                let help = "leave `vocabulary` and `control` out, or `from`";
                self.fail("tokenizer.from", "another model's tokens are taken as they are", help);
            }
            return self.lender(from);
        }
        let control = entry.control.unwrap_or_else(|| CONTROL.map(str::to_owned).to_vec());
        let vocabulary = entry.vocabulary.unwrap_or(VOCABULARY);
        let least = BYTES + control.len();
        if vocabulary < least || vocabulary > 1_000_000 {
            let what = format!(
                "a vocabulary of {vocabulary} tokens does not hold {BYTES} bytes and {} control tokens",
                control.len()
            );
            self.fail("tokenizer.vocabulary", &what, &format!("set it to {least} or more, at most 1000000"));
        }
        let twice = control.iter().enumerate().any(|(at, token)| token.is_empty() || control[..at].contains(token));
        if control.is_empty() || twice {
            let what = "control tokens are texts that differ, at least one: it begins and ends texts";
            self.fail(
                "tokenizer.control",
                what,
                "write `control: [\"<|endoftext|>\", \"<|im_start|>\", \"<|im_end|>\"]`",
            );
        }
        Some(Tokenizer::Learned { vocabulary, control })
    }

    /// Another model's tokens.
    fn lender(&mut self, written: &str) -> Option<Tokenizer> {
        let from = self.join(written);
        if !self.must_be_file("tokenizer.from", "the model", &from) {
            return None;
        }
        match Gguf::open_checked(&from) {
            Ok(gguf) if gguf.metadata().texts("tokenizer.ggml.tokens").is_some() => Some(Tokenizer::From { from }),
            Ok(_) => {
                let what = format!("`{}` holds no tokens", from.display());
                self.fail("tokenizer.from", &what, "name a model, not an adapter");
                None
            }
            Err(found) => {
                self.problems.append(found);
                None
            }
        }
    }
}
