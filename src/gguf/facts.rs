//! What a file says about its model, for people and for the engine.

use super::Gguf;
use super::architecture;
use super::tensor::TensorType;
use std::collections::BTreeMap;

impl Gguf {
    /// `general.architecture`, such as `llama`.
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        self.metadata.text("general.architecture")
    }

    /// `general.name`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.metadata.text("general.name")
    }

    /// Whether it is an adapter (`general.type` is `adapter`) rather than a model.
    #[must_use]
    pub fn is_adapter(&self) -> bool {
        self.metadata.text("general.type") == Some("adapter")
    }

    /// A whole number under the architecture's own prefix: `hyperparameter("block_count")` reads `llama.block_count`.
    #[must_use]
    pub fn hyperparameter(&self, key: &str) -> Option<u64> {
        self.metadata.u64(&format!("{}.{key}", self.architecture()?))
    }

    /// The longest context it was trained on, in tokens.
    #[must_use]
    pub fn context_length(&self) -> Option<u64> {
        self.hyperparameter("context_length")
    }

    /// Width of the residual stream.
    #[must_use]
    pub fn embedding_length(&self) -> Option<u64> {
        self.hyperparameter("embedding_length")
    }

    /// How many layers it has.
    #[must_use]
    pub fn block_count(&self) -> Option<u64> {
        self.hyperparameter("block_count")
    }

    /// Whether some of its layers keep a state for each sequence: recurrent models, and hybrids of those with attention.
    #[must_use]
    pub fn keeps_states(&self) -> bool {
        self.architecture().is_some_and(architecture::keeps_states)
    }

    /// The spellings of its tokens, by id; empty when it has no vocabulary.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        self.metadata.texts("tokenizer.ggml.tokens").unwrap_or_default()
    }

    /// How many tokens it knows.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.tokens().len()
    }

    /// How many numbers its tensors hold, tied weights once.
    #[must_use]
    pub fn parameter_count(&self) -> u64 {
        self.tensors.iter().filter_map(super::TensorInfo::elements).fold(0, u64::saturating_add)
    }

    /// How its weights are stored: the label of `general.file_type` (`Q4_K_M`), else the type that holds most of the
    /// parameters (`Q4_K`), else `unknown`.
    #[must_use]
    pub fn quantisation(&self) -> &'static str {
        self.metadata.u64("general.file_type").and_then(file_type).unwrap_or_else(|| self.most_common_type())
    }

    fn most_common_type(&self) -> &'static str {
        let mut counts: BTreeMap<TensorType, u64> = BTreeMap::new();
        for tensor in &self.tensors {
            let count = counts.entry(tensor.kind).or_default();
            *count = count.saturating_add(tensor.elements().unwrap_or(0));
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map_or("unknown", |(kind, _)| kind.name())
    }

    /// The model's own chat template (Jinja).
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        self.metadata.text("tokenizer.chat_template")
    }

    /// Spelling of the token that begins a text (`tokenizer.ggml.bos_token_id`).
    #[must_use]
    pub fn bos_token(&self) -> Option<&str> {
        self.token_under("tokenizer.ggml.bos_token_id")
    }

    /// Spelling of the token that ends a text (`tokenizer.ggml.eos_token_id`).
    #[must_use]
    pub fn eos_token(&self) -> Option<&str> {
        self.token_under("tokenizer.ggml.eos_token_id")
    }

    fn token_under(&self, key: &str) -> Option<&str> {
        let id = usize::try_from(self.metadata.u64(key)?).ok()?;
        self.tokens().get(id).map(String::as_str)
    }
}

/// The label of a `general.file_type` (`llama_ftype` in llama.h; 1024 marks a guess).
fn file_type(code: u64) -> Option<&'static str> {
    Some(match code & !1024 {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4",
        39 => "NVFP4",
        40 => "Q1_0",
        41 => "Q2_0",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Value;
    use std::path::Path;

    fn tiny() -> Gguf {
        Gguf::open(Path::new("models/tripos-tiny.gguf")).unwrap()
    }

    /// What `make model` makes, whatever it has learned: sizes by its architecture, see models/README.md.
    #[test]
    fn the_bundled_model_is_what_it_is() {
        let model = tiny();
        assert!(model.check().is_ok());
        assert_eq!((model.version(), model.alignment()), (3, 32));
        assert_eq!((model.architecture(), model.name()), (Some("llama"), Some("tripos-tiny")));
        assert_eq!((model.embedding_length(), model.block_count(), model.vocab_size()), (Some(256), Some(4), 768));
        assert_eq!((model.context_length(), model.quantisation()), (Some(512), "Q8_0"));
        // d·V + d + L·(2d + 2·d·d + 2·d·d/2 + 3·d·704)
        let layer = 2 * 256 + 2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 704;
        assert_eq!(model.parameter_count(), 256 * 768 + 256 + 4 * layer);
        // Norms in F32, all else in blocks of 32 numbers in 34 bytes.
        let norms = 9 * 256;
        assert_eq!(model.file_len() - model.data_offset(), (model.parameter_count() - norms) / 32 * 34 + norms * 4);
        assert_eq!((model.bos_token(), model.eos_token()), (Some("<|endoftext|>"), Some("<|endoftext|>")));
        assert!(model.chat_template().unwrap().contains("<|im_start|>assistant"));
        assert_eq!((model.metadata().len(), model.tensors().len()), (30, 38));
        assert_eq!(model.tensor("blk.3.ffn_down.weight").unwrap().dims, [704, 256]);
    }

    #[test]
    fn without_a_file_type_the_commonest_format_is_named() {
        let mut model = tiny();
        model.metadata.remove("general.file_type");
        assert_eq!(model.quantisation(), "Q8_0");
        model.metadata.set("general.file_type", Value::U32(1024 + 15));
        assert_eq!(model.quantisation(), "Q4_K_M");
        model.metadata.remove("general.file_type");
        model.tensors.clear();
        assert_eq!(model.quantisation(), "unknown");
    }

    #[test]
    fn a_token_that_is_not_there_has_no_spelling() {
        let mut model = tiny();
        model.metadata.set("tokenizer.ggml.eos_token_id", Value::U32(99_999));
        assert_eq!(model.eos_token(), None);
    }
}
