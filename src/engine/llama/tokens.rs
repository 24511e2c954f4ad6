//! Text to tokens, and a token to bytes.

use crate::engine::EngineError;
use aho_corasick::{AhoCorasick, MatchKind};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use llama_cpp_2::vocab::LlamaVocab;
use std::ops::Range;

/// The vocabulary of a model, with its control tokens found by spelling.
///
/// llama.cpp can parse control tokens in a text or not; a prompt has both kinds of text. So the text is cut at the
/// control tokens that the template wrote, and the runs between them are tokenised as plain text, each as long as it
/// can be (a cut anywhere else would change the merges around it).
pub(super) struct Tokenizer {
    model: LlamaModel,
    finder: Option<AhoCorasick>,
    controls: Vec<Control>,
    /// Those that end an answer, in order.
    ends: Vec<u32>,
    bos: Option<LlamaToken>,
}

/// A control token; some swallow the white space beside them.
struct Control {
    token: LlamaToken,
    strips_left: bool,
    strips_right: bool,
}

impl Tokenizer {
    pub(super) fn new(model: LlamaModel) -> Self {
        let vocab = model.vocab();
        let mut spellings = Vec::new();
        let mut controls = Vec::new();
        let mut ends = Vec::new();
        for token in vocab.tokens() {
            // Whatever the file calls its type: llama.cpp knows some by their spelling.
            if vocab.is_eog(token) {
                ends.push(token.0.cast_unsigned());
            }
            let attr = vocab.attr(token);
            if !attr.contains(LlamaTokenAttr::Control) && !attr.contains(LlamaTokenAttr::Unknown) {
                continue;
            }
            let spelling = vocab.text(token).map(|text| text.to_bytes().to_vec()).unwrap_or_default();
            if !spelling.is_empty() {
                spellings.push(spelling);
                controls.push(Control {
                    token,
                    strips_left: attr.contains(LlamaTokenAttr::LStrip),
                    strips_right: attr.contains(LlamaTokenAttr::RStrip),
                });
            }
        }
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&spellings).ok();
        let bos = Some(vocab.bos()).filter(|token| vocab.should_add_bos() && token.0 >= 0);
        Self { model, finder, controls, ends, bos }
    }

    /// How control tokens are spelt: those that the file calls so (or unknown), and those that llama.cpp knows by their spelling.
    pub(super) fn spellings(&self) -> Vec<String> {
        let vocab = self.model.vocab();
        let texts = self.controls.iter().filter_map(|control| vocab.text(control.token));
        texts.filter_map(|text| text.to_str().ok().map(str::to_owned)).collect()
    }

    /// The vocabulary.
    pub(super) fn vocab(&self) -> LlamaVocab<'_> {
        self.model.vocab()
    }

    /// The model, without weights.
    pub(super) fn model(&self) -> &LlamaModel {
        &self.model
    }

    /// How many tokens there are.
    pub(super) fn count(&self) -> i32 {
        self.model.vocab().n_tokens()
    }

    /// The token that a text is.
    pub(super) fn single(&self, text: &str) -> Result<u32, EngineError> {
        let mut tokens = Vec::new();
        self.model.vocab().tokenize_into(text.as_bytes(), &mut tokens, false, true);
        match tokens.as_slice() {
            [token] => Ok(token.0.cast_unsigned()),
            several => Err(EngineError::Bias { text: text.to_owned(), count: several.len() }),
        }
    }

    /// BOS, or EOS where there is none.
    pub(super) fn start(&self) -> Option<u32> {
        let vocab = self.model.vocab();
        [vocab.bos(), vocab.eos()].into_iter().find(|token| token.0 >= 0).map(|token| token.0.cast_unsigned())
    }

    /// The tokens that end an answer, in order.
    pub(super) fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The bytes of tokens, control tokens left out.
    pub(super) fn bytes(&self, tokens: &[u32]) -> Vec<u8> {
        let vocab = self.model.vocab();
        let mut bytes = Vec::with_capacity(tokens.len() * 4);
        for token in tokens {
            vocab.token_to_piece_into(LlamaToken(token.cast_signed()), &mut bytes, false, None);
        }
        bytes
    }

    /// See [`super::Engine::tokenize`].
    pub(super) fn tokenize(&self, text: &str, quoted: &[Range<usize>]) -> Vec<u32> {
        let vocab = self.model.vocab();
        let mut tokens: Vec<LlamaToken> = Vec::with_capacity(text.len() / 3 + 4);
        let mut from = 0;
        let mut strip_right = false;
        for found in self.finder.iter().flat_map(|finder| finder.find_iter(text)) {
            if quoted.iter().any(|q| q.start < found.end() && found.start() < q.end) {
                continue;
            }
            let Some(control) = self.controls.get(found.pattern().as_usize()) else { continue };
            let run = trim(&text[from..found.start()], strip_right, control.strips_left);
            vocab.tokenize_into(run.as_bytes(), &mut tokens, false, false);
            tokens.push(control.token);
            (from, strip_right) = (found.end(), control.strips_right);
        }
        vocab.tokenize_into(trim(&text[from..], strip_right, false).as_bytes(), &mut tokens, false, false);
        if let Some(bos) = self.bos
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        tokens.iter().map(|token| token.0.cast_unsigned()).collect()
    }
}

fn trim(text: &str, left: bool, right: bool) -> &str {
    let text = if left { text.trim_start() } else { text };
    if right { text.trim_end() } else { text }
}
