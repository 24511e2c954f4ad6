//! A vocabulary of our own: byte-level BPE (Sennrich et al. 2016, 1508.07909; Radford et al. 2019), learned from texts.
//!
//! Texts are first cut into words, marks and digits one by one by the expression that llama.cpp knows as `qwen2`; what is
//! often beside each other within such a piece is merged. Any text has tokens, since every byte is one.

use crate::gguf::{Array, Gguf, Metadata, Value};
use serde::Deserialize;
use std::collections::BTreeMap;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior, Trainer,
};

/// The name under which llama.cpp knows [`PIECES`].
const PRE: &str = "qwen2";
/// How texts are cut: letters with what stands before them, digits one by one, marks, line ends, spaces.
const PIECES: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Tokens that every vocabulary holds: one for each byte.
pub const BYTES: usize = 256;
/// A pair is merged where it comes at least so often.
const SEEN: u64 = 2;
/// GGUF's types of tokens.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// A vocabulary as GGUF files hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    /// The control tokens, then the bytes, then what was merged, in that order.
    tokens: Vec<String>,
    /// How many of them are control tokens.
    control: usize,
    /// What is merged into one, each pair separated by a space, the most frequent first.
    merges: Vec<String>,
}

/// Why there is no vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyFault {
    /// No room for the bytes.
    #[error("a vocabulary of {size} tokens has no room for {BYTES} bytes and {control} control tokens")]
    TooSmall {
        /// What was asked for.
        size: usize,
        /// Control tokens.
        control: usize,
    },
    /// The texts do not hold so many different pieces.
    #[error("the texts give {found} tokens, and {size} are asked for")]
    TooLittleText {
        /// What was asked for.
        size: usize,
        /// What there is.
        found: usize,
    },
    /// The library refuses.
    #[error("the vocabulary cannot be learned: {reason}")]
    Library {
        /// Its words.
        reason: String,
    },
}

impl Vocabulary {
    /// Learns `size` tokens, the control tokens among them; these are never looked for in the texts. The first of them
    /// begins and ends documents. The same texts give the same vocabulary, on any number of threads.
    pub fn learn<'a>(
        texts: impl Iterator<Item = &'a str> + Send,
        size: usize,
        control: &[String],
    ) -> Result<Self, VocabularyFault> {
        if size < BYTES + control.len() || control.is_empty() {
            return Err(VocabularyFault::TooSmall { size, control: control.len() });
        }
        let library = |error: tokenizers::Error| VocabularyFault::Library { reason: error.to_string() };
        let mut trainer = BpeTrainer::builder()
            .vocab_size(size)
            .min_frequency(SEEN)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(control.iter().map(|token| AddedToken::from(token.as_str(), true)).collect())
            .build();
        let pieces = Pieces::new().map_err(library)?;
        trainer.feed(texts, |text| pieces.of(text)).map_err(library)?;
        let mut model = BPE::default();
        trainer.train(&mut model).map_err(library)?;
        let learned = Learned::of(&model)?;
        if learned.tokens.len() < size {
            return Err(VocabularyFault::TooLittleText { size, found: learned.tokens.len() });
        }
        Ok(Self { tokens: learned.tokens, control: control.len(), merges: learned.merges })
    }

    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Never: every byte is a token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Writes it into a file's metadata; a text then begins with the first control token, which also ends it.
    pub fn put(&self, metadata: &mut Metadata) {
        let types = (0..self.tokens.len()).map(|id| if id < self.control { CONTROL } else { NORMAL });
        let mut set = |key: &str, value: Value| drop(metadata.set(format!("tokenizer.ggml.{key}"), value));
        set("model", "gpt2".into());
        set("pre", PRE.into());
        set("tokens", Value::Array(Array::Text(self.tokens.clone())));
        set("token_type", Value::Array(Array::I32(types.collect())));
        set("merges", Value::Array(Array::Text(self.merges.clone())));
        set("bos_token_id", Value::U32(0));
        set("eos_token_id", Value::U32(0));
        set("add_bos_token", Value::Bool(true));
        let end = self.tokens[..self.control].iter().position(|token| token == "<|im_end|>");
        if let Some(end) = end.and_then(|end| u32::try_from(end).ok()) {
            set("eot_token_id", Value::U32(end));
        }
    }
}

/// The tokenizer of another model, with its chat template: everything under `tokenizer.`.
pub(super) fn taken_from(gguf: &Gguf, metadata: &mut Metadata) {
    for (key, value) in gguf.metadata().iter().filter(|(key, _)| key.starts_with("tokenizer.")) {
        metadata.set(key, value.clone());
    }
}

/// What texts are cut into before anything is merged.
struct Pieces {
    split: Split,
    bytes: ByteLevel,
}

impl Pieces {
    fn new() -> tokenizers::Result<Self> {
        let split = Split::new(SplitPattern::Regex(PIECES.into()), SplitDelimiterBehavior::Isolated, false)?;
        Ok(Self { split, bytes: ByteLevel::new(false, false, false) })
    }

    fn of(&self, text: &str) -> tokenizers::Result<Vec<String>> {
        let mut cut = PreTokenizedString::from(text);
        self.split.pre_tokenize(&mut cut)?;
        self.bytes.pre_tokenize(&mut cut)?;
        let pieces = cut.get_splits(OffsetReferential::Original, OffsetType::Byte).into_iter();
        Ok(pieces.map(|(piece, ..)| piece.to_owned()).collect())
    }
}

/// What the library has learned, in the form in which it saves it.
struct Learned {
    tokens: Vec<String>,
    merges: Vec<String>,
}

impl Learned {
    fn of(model: &BPE) -> Result<Self, VocabularyFault> {
        #[derive(Deserialize)]
        struct Saved {
            vocab: BTreeMap<String, usize>,
            merges: Vec<(String, String)>,
        }
        let saved = serde_json::to_value(model).and_then(serde_json::from_value::<Saved>);
        let saved = saved.map_err(|error| VocabularyFault::Library { reason: error.to_string() })?;
        let mut tokens: Vec<(usize, String)> = saved.vocab.into_iter().map(|(token, id)| (id, token)).collect();
        tokens.sort_unstable();
        Ok(Self {
            tokens: tokens.into_iter().map(|(_, token)| token).collect(),
            merges: saved.merges.into_iter().map(|(left, right)| format!("{left} {right}")).collect(),
        })
    }
}
