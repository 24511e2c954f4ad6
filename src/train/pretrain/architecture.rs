//! The shape of a model from nothing, and how it is best trained: one dial, `depth`, sets all of it.

use crate::gguf::{Metadata, TensorInfo, TensorType, Value};
use serde::{Deserialize, Serialize};

/// Tokens that a model reads at once, where the recipe does not say.
const CONTEXT: usize = 512;
/// The rate that suits a width of [`TUNED_AT`]; a wider model wants less, in proportion (Yang et al. 2022, 2203.03466).
const RATE: f64 = 3e-3;
const TUNED_AT: f64 = 256.0;
/// Tokens to be read for each number of the layers (Hoffmann et al. 2022, 2203.15556).
const TOKENS_A_NUMBER: u64 = 20;

/// The shape of a decoder of the llama family, whose embedding is its output matrix too (Press & Wolf 2017, 1608.05859).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Architecture {
    /// Layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Width inside the feed-forward.
    pub feed_forward: usize,
    /// Tokens that it reads at once.
    pub context: usize,
}

/// What a recipe sets by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchitectureEntry {
    /// Instead of `depth`.
    pub layers: Option<usize>,
    /// Instead of 64 × `depth`.
    pub width: Option<usize>,
    /// Instead of heads of 32, 64 or 128 numbers.
    pub heads: Option<usize>,
    /// Instead of half as many.
    pub kv_heads: Option<usize>,
    /// Instead of 8/3 of the width.
    pub feed_forward: Option<usize>,
    /// Instead of 512.
    pub context: Option<usize>,
}

/// How a model of some depth is best trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The learning rate at its highest.
    pub rate: f64,
    /// Tokens of an optimiser step.
    pub batch_tokens: usize,
    /// Tokens of the whole training.
    pub tokens: u64,
}

impl Architecture {
    /// The shape of a depth, but for what is set by hand. Width grows with depth, so that their ratio stays
    /// (Kaplan et al. 2020, 2001.08361: loss hardly depends on it).
    ///
    /// ```
    /// use tripos::train::pretrain::{Architecture, ArchitectureEntry};
    /// let four = Architecture::of(4, &ArchitectureEntry::default());
    /// assert_eq!((four.width, four.heads, four.kv_heads, four.feed_forward), (256, 8, 4, 704));
    /// assert_eq!(four.parameters(768), 3_148_032);
    /// ```
    #[must_use]
    pub fn of(depth: usize, entry: &ArchitectureEntry) -> Self {
        let layers = entry.layers.unwrap_or(depth);
        let width = entry.width.unwrap_or(64 * depth);
        let head = match width {
            0..512 => 32,
            2048.. if width.is_multiple_of(128) => 128,
            _ => 64,
        };
        let heads = entry.heads.unwrap_or((width / head).max(1));
        Self {
            layers,
            width,
            heads,
            kv_heads: entry.kv_heads.unwrap_or(if heads.is_multiple_of(2) { heads / 2 } else { heads }),
            feed_forward: entry.feed_forward.unwrap_or((width * 8 / 3).next_multiple_of(64)),
            context: entry.context.unwrap_or(CONTEXT),
        }
    }

    /// How it is best trained.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace {
            rate: RATE * TUNED_AT / self.width.max(1) as f64,
            batch_tokens: 2048 * self.layers,
            tokens: TOKENS_A_NUMBER * self.in_layers(),
        }
    }

    /// What does not go together: its path in the recipe, what is wrong, how to mend it.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, String, String)> {
        let Self { layers, width, heads, kv_heads, feed_forward, context } = *self;
        let sizes = [
            ("layers", layers, 1_000),
            ("width", width, 65_536),
            ("heads", heads, 1_024),
            ("kv_heads", kv_heads, 1_024),
            ("feed_forward", feed_forward, 1_000_000),
            ("context", context, 1_000_000),
        ];
        if let Some((name, size, most)) = sizes.into_iter().find(|(_, size, most)| *size == 0 || size > most) {
            return Some((name, format!("`{name}` is {size}"), format!("it is 1 to {most}")));
        }
        if !width.is_multiple_of(heads) || !(width / heads).is_multiple_of(2) {
            let help = "each head has an even number of them, such as 64: `heads` is `width` / 64".to_owned();
            return Some(("heads", format!("{width} numbers of `width` cannot be divided among {heads} heads"), help));
        }
        if !heads.is_multiple_of(kv_heads) {
            let help = format!("`kv_heads` divides `heads`: {heads}, half of that, …");
            return Some(("kv_heads", format!("{heads} heads cannot share {kv_heads} of keys and values"), help));
        }
        None
    }

    /// Its tensors for a vocabulary, in F32, as a file lists them.
    #[must_use]
    pub fn tensors(&self, vocabulary: usize) -> Vec<TensorInfo> {
        let (width, shared) = (self.width, self.width / self.heads.max(1) * self.kv_heads);
        let mut all = vec![
            ("token_embd.weight".to_owned(), vec![width, vocabulary]),
            ("output_norm.weight".to_owned(), vec![width]),
        ];
        for layer in 0..self.layers {
            let parts: [(&str, Vec<usize>); 9] = [
                ("attn_norm", vec![width]),
                ("attn_q", vec![width, width]),
                ("attn_k", vec![width, shared]),
                ("attn_v", vec![width, shared]),
                ("attn_output", vec![width, width]),
                ("ffn_norm", vec![width]),
                ("ffn_gate", vec![width, self.feed_forward]),
                ("ffn_up", vec![width, self.feed_forward]),
                ("ffn_down", vec![self.feed_forward, width]),
            ];
            all.extend(parts.into_iter().map(|(part, dims)| (format!("blk.{layer}.{part}.weight"), dims)));
        }
        let info = |(name, dims): (String, Vec<usize>)| {
            let dims: Vec<u64> = dims.into_iter().map(|dim| dim as u64).collect();
            TensorInfo::new(name.as_str(), &dims, TensorType::F32)
        };
        all.into_iter().map(info).collect()
    }

    /// Numbers in the model.
    #[must_use]
    pub fn parameters(&self, vocabulary: usize) -> u64 {
        self.tensors(vocabulary).iter().filter_map(TensorInfo::elements).sum()
    }

    /// Numbers in the matrices of its layers.
    fn in_layers(&self) -> u64 {
        let matrices = |tensor: &&TensorInfo| tensor.dims.len() == 2 && tensor.name.starts_with("blk.");
        self.tensors(1).iter().filter(matrices).filter_map(TensorInfo::elements).sum()
    }

    /// Writes it into a file's metadata.
    pub fn put(&self, vocabulary: usize, metadata: &mut Metadata) {
        metadata.set("general.architecture", "llama".into());
        let numbers = [
            ("context_length", self.context),
            ("embedding_length", self.width),
            ("block_count", self.layers),
            ("feed_forward_length", self.feed_forward),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("rope.dimension_count", self.width / self.heads.max(1)),
            ("vocab_size", vocabulary),
        ];
        for (key, number) in numbers {
            metadata.set(format!("llama.{key}"), Value::U32(u32::try_from(number).unwrap_or(u32::MAX)));
        }
        metadata.set("llama.rope.freq_base", Value::F32(10_000.0));
        metadata.set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_depth_sets_everything_and_what_is_written_comes_first() {
        let shape = |depth| Architecture::of(depth, &ArchitectureEntry::default());
        let sizes = |a: Architecture| [a.layers, a.width, a.heads, a.kv_heads, a.feed_forward, a.context];
        assert_eq!(sizes(shape(1)), [1, 64, 2, 1, 192, 512]);
        assert_eq!(sizes(shape(12)), [12, 768, 12, 6, 2048, 512]);
        assert_eq!(sizes(shape(32)), [32, 2048, 16, 8, 5504, 512]);
        assert!((1..=64).all(|depth| shape(depth).fault().is_none()));
        let entry = ArchitectureEntry { heads: Some(4), kv_heads: Some(4), context: Some(64), ..Default::default() };
        assert_eq!(sizes(Architecture::of(4, &entry)), [4, 256, 4, 4, 704, 64]);
    }

    #[test]
    fn the_pace_is_that_of_the_width_and_the_size() {
        let pace = Architecture::of(4, &ArchitectureEntry::default()).pace();
        // 4 layers of 256² × 3 + 3 × 256 × 704 numbers.
        assert_eq!((pace.tokens, pace.batch_tokens), (20 * 4 * (256 * 256 * 3 + 3 * 256 * 704), 8192));
        assert!((pace.rate - 3e-3).abs() < 1e-12);
        assert!((Architecture::of(12, &ArchitectureEntry::default()).pace().rate - 1e-3).abs() < 1e-12);
    }

    #[test]
    fn sizes_that_do_not_go_together_are_named() {
        let fault = |entry: ArchitectureEntry| {
            let (path, what, help) = Architecture::of(4, &entry).fault().unwrap();
            format!("{path}: {what}; {help}")
        };
        let entry = ArchitectureEntry::default();
        insta::assert_snapshot!(fault(ArchitectureEntry { heads: Some(7), ..entry }), @"heads: 256 numbers of `width` cannot be divided among 7 heads; each head has an even number of them, such as 64: `heads` is `width` / 64");
        insta::assert_snapshot!(fault(ArchitectureEntry { kv_heads: Some(3), ..entry }), @"kv_heads: 8 heads cannot share 3 of keys and values; `kv_heads` divides `heads`: 8, half of that, …");
        insta::assert_snapshot!(fault(ArchitectureEntry { layers: Some(0), ..entry }), @"layers: `layers` is 0; it is 1 to 1000");
    }
}
