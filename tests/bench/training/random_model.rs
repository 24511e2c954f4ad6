//! Models of random weights: what they say is nonsense, what they cost is not.

use super::Size;
use std::path::Path;
use tripos::gguf::{self, Array, Gguf, Metadata, TensorData, TensorType, Value};

/// How the matrices are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    Bf16,
    Q8_0,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::Bf16 => "BF16",
            Self::Q8_0 => "Q8_0",
        }
    }
}

/// Steele, Lea and Flood's SplitMix64: enough for numbers that only have to differ.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A token of so many.
    pub(super) fn below(&mut self, tokens: usize) -> u32 {
        u32::try_from(self.next() % tokens as u64).unwrap_or(0)
    }
}

/// Writes a model of the architecture `llama`, its output matrix the embedding, as the peer has it.
pub(crate) fn write(path: &Path, size: &Size, format: Format) -> anyhow::Result<()> {
    written(path, size, format, &metadata(size)?)
}

/// The same, with the vocabulary of another model, so that texts can be put to it.
pub(crate) fn write_speaking(path: &Path, size: &Size, format: Format, speaker: &Path) -> anyhow::Result<()> {
    let speaker = Gguf::open(speaker)?;
    let mut metadata = metadata(size)?;
    let known = speaker.metadata().iter().filter(|(key, _)| key.starts_with("tokenizer."));
    for (key, value) in known {
        metadata.set(key, value.clone());
    }
    let size = Size { vocab: speaker.vocab_size(), ..size.clone() };
    written(path, &size, format, &metadata)
}

fn written(path: &Path, size: &Size, format: Format, metadata: &Metadata) -> anyhow::Result<()> {
    let head = size.d / size.heads;
    let (d, ff, keys) = (size.d as u64, size.ff as u64, (size.kv * head) as u64);
    let mut random = Random::new(size.d as u64);
    let mut matrix = |name: String, dims: [u64; 2]| matrix(name, dims, format, &mut random);
    let norm = |name: String| TensorData::f32(name, &[d], &vec![1.0; size.d]);
    let mut tensors =
        vec![matrix("token_embd.weight".into(), [d, size.vocab as u64]), norm("output_norm.weight".into())];
    for layer in 0..size.layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        tensors.push(norm(name("attn_norm")));
        tensors.push(norm(name("ffn_norm")));
        for (part, dims) in [
            ("attn_q", [d, d]),
            ("attn_k", [d, keys]),
            ("attn_v", [d, keys]),
            ("attn_output", [d, d]),
            ("ffn_gate", [d, ff]),
            ("ffn_up", [d, ff]),
            ("ffn_down", [ff, d]),
        ] {
            tensors.push(matrix(name(part), dims));
        }
    }
    gguf::write(path, metadata, &tensors)?;
    Ok(())
}

/// Weights spread evenly over about ±0.031, which is a standard deviation of 0.018; the peer's is 0.02.
fn matrix(name: String, dims: [u64; 2], format: Format, random: &mut Random) -> TensorData<'static> {
    /// 2⁻¹² in 16 bits: the scale of every block of 32.
    const SCALE: [u8; 2] = 0x0c00_u16.to_le_bytes();
    let count = dims[0] * dims[1];
    let mut bytes = Vec::new();
    // Eight numbers from -127 to 127 at a time.
    let mut eight = || random.next().to_le_bytes().map(|byte| byte.cast_signed().max(-127));
    for place in (0..count).step_by(8) {
        let numbers = eight();
        let floats = numbers.map(|n| f32::from(n) / 4096.0);
        match format {
            Format::F32 => bytes.extend(floats.iter().flat_map(|x| x.to_le_bytes())),
            Format::Bf16 => bytes.extend(floats.iter().flat_map(|x| [x.to_le_bytes()[2], x.to_le_bytes()[3]])),
            Format::Q8_0 => {
                if place % 32 == 0 {
                    bytes.extend(SCALE);
                }
                bytes.extend(numbers.iter().map(|n| n.cast_unsigned()));
            }
        }
    }
    let kind = match format {
        Format::F32 => TensorType::F32,
        Format::Bf16 => TensorType::BF16,
        Format::Q8_0 => TensorType::Q8_0,
    };
    TensorData { name, dims: dims.to_vec(), kind, bytes: bytes.into() }
}

fn metadata(size: &Size) -> anyhow::Result<Metadata> {
    let mut metadata = Metadata::default();
    metadata.set("general.architecture", "llama".into());
    for (name, n) in [
        ("context_length", size.seq),
        ("embedding_length", size.d),
        ("block_count", size.layers),
        ("feed_forward_length", size.ff),
        ("attention.head_count", size.heads),
        ("attention.head_count_kv", size.kv),
    ] {
        metadata.set(format!("llama.{name}"), Value::U32(u32::try_from(n)?));
    }
    metadata.set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5));
    metadata.set("llama.rope.freq_base", Value::F32(10_000.0));
    // Words that nobody reads.
    let tokens = (0..size.vocab).map(|n| format!("t{n}")).collect();
    metadata.set("tokenizer.ggml.model", "gpt2".into());
    metadata.set("tokenizer.ggml.pre", "gpt-2".into());
    metadata.set("tokenizer.ggml.tokens", Value::Array(Array::Text(tokens)));
    metadata.set("tokenizer.ggml.token_type", Value::Array(Array::I32(vec![1; size.vocab])));
    metadata.set("tokenizer.ggml.merges", Value::Array(Array::Text(vec!["t 1".into()])));
    metadata.set("tokenizer.ggml.bos_token_id", Value::U32(0));
    metadata.set("tokenizer.ggml.eos_token_id", Value::U32(1));
    Ok(metadata)
}
