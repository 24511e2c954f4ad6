//! Models of a few thousand random weights, written when a test needs them: one with attention (in two layouts), one
//! recurrent, one hybrid.
//!
//! Each weight is a hash of its tensor's name and its place, in steps that `f32` does without rounding anew, so the
//! NumPy script in goldens.rs has the same weights to the last bit. The spreads are chosen so that logits differ by
//! several units: greedy choices are clear, and generation does not say one token for ever.

mod vocabulary;
mod weights;

use crate::workspace::{Workspace, samples_of};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use tripos::engine::llama::{KvStorage, Llama, LlamaSettings};
use tripos::engine::{Engine, KvMode};
use tripos::gguf::{self, Array, Gguf, Metadata, TensorData};
use weights::Weight;

/// Width of the residual stream.
const WIDTH: u64 = 32;
/// Width of a head; 4 heads ask, 2 hold keys and values.
const HEAD: u64 = 8;
const FEED_FORWARD: u64 = 64;
/// Of the recurrent layers.
const INNER: u64 = 64;
const STATE: u64 = 16;
const STEP_RANK: u64 = 4;
const CONVOLUTION: u64 = 4;
const LAYERS: u64 = 2;

/// A way of building a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Attention; adjacent pairs are rotated; the output matrix is its own.
    Llama,
    /// Attention; halves are rotated; queries, keys and values have biases; the output matrix is the embedding.
    Qwen2,
    /// No attention: Mamba.
    Mamba,
    /// A Mamba layer and then an attention layer: Jamba.
    Hybrid,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Llama, Self::Qwen2, Self::Mamba, Self::Hybrid];

    /// `general.architecture`.
    fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Mamba => "mamba",
            Self::Hybrid => "jamba",
        }
    }

    /// Whether a layer is recurrent.
    fn recurs_in(self, layer: u64) -> bool {
        self == Self::Mamba || (self == Self::Hybrid && layer == 0)
    }
}

/// Writes the model of a kind: F32, 300 tokens (0 begins a text, 1 ends it, each byte has one), 1024 tokens of context.
pub(crate) fn write(kind: Kind, path: &Path) {
    tripos::gguf::write(path, &metadata(kind), &tensors(kind)).unwrap();
}

/// The same, a llama with a chat template, which never ends an answer by itself: the row of the end token tells nothing.
pub(crate) fn write_talking(path: &Path) {
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:";
    let mut metadata = metadata(Kind::Llama);
    metadata.set("tokenizer.chat_template", template.into());
    let mut tensors = tensors(Kind::Llama);
    let output = tensors.iter_mut().find(|tensor| tensor.name == "output.weight").unwrap();
    let row = usize::try_from(WIDTH).unwrap() * size_of::<f32>();
    output.bytes.to_mut()[row..2 * row].fill(0);
    tripos::gguf::write(path, &metadata, &tensors).unwrap();
}

/// The same with one row of one tensor scaled: for tests that must notice.
pub(crate) fn write_bent(kind: Kind, path: &Path, (name, row): (&str, usize), factor: f32) {
    write_changed(kind, path, name, |numbers, len| {
        numbers[row * len..(row + 1) * len].iter_mut().for_each(|x| *x *= factor);
    });
}

/// The same with one tensor changed: its numbers row by row, and how long a row is.
pub(crate) fn write_changed(kind: Kind, path: &Path, name: &str, change: impl FnOnce(&mut [f32], usize)) {
    let mut tensors = tensors(kind);
    let tensor = tensors.iter_mut().find(|tensor| tensor.name == name).unwrap();
    let len = usize::try_from(tensor.dims[0]).unwrap();
    let mut numbers: Vec<f32> =
        tensor.bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    change(&mut numbers, len);
    *tensor = TensorData::f32(name, &tensor.dims, &numbers);
    tripos::gguf::write(path, &metadata(kind), &tensors).unwrap();
}

/// To run them in the test's own process: one thread, nothing rounded to 16 bits.
pub(crate) fn settings() -> LlamaSettings {
    LlamaSettings {
        context: Some(64),
        threads: 1,
        gpu_layers: Some(0),
        kv_type: KvStorage::F32,
        kv: KvMode::Tree,
        parallel: 2,
        adapter: None,
    }
}

fn metadata(kind: Kind) -> Metadata {
    let arch = kind.architecture();
    let mut metadata = Metadata::default();
    metadata.set("general.architecture", arch.into());
    metadata.set("general.name", format!("tiny {arch}").as_str().into());
    let mut number = |name: &str, n: u64| {
        metadata.set(format!("{arch}.{name}"), gguf::Value::U32(u32::try_from(n).unwrap()));
    };
    number("context_length", 1024);
    number("embedding_length", WIDTH);
    number("block_count", LAYERS);
    if kind != Kind::Mamba {
        number("feed_forward_length", FEED_FORWARD);
        number("attention.head_count", WIDTH / HEAD);
        number("attention.head_count_kv", 2);
    }
    if matches!(kind, Kind::Mamba | Kind::Hybrid) {
        number("ssm.conv_kernel", CONVOLUTION);
        number("ssm.inner_size", INNER);
        number("ssm.state_size", STATE);
        number("ssm.time_step_rank", STEP_RANK);
    }
    if kind == Kind::Hybrid {
        // A layer without keys is a recurrent one.
        metadata.set(format!("{arch}.attention.head_count_kv"), gguf::Value::Array(Array::U32(vec![0, 2])));
    }
    metadata.set(format!("{arch}.attention.layer_norm_rms_epsilon"), gguf::Value::F32(1e-5));
    if matches!(kind, Kind::Llama | Kind::Qwen2) {
        metadata.set(format!("{arch}.rope.freq_base"), gguf::Value::F32(10_000.0));
    }
    vocabulary::set(&mut metadata);
    metadata
}

fn tensors(kind: Kind) -> Vec<TensorData<'static>> {
    let tokens = vocabulary::TOKENS;
    // The embedding that is also the output matrix spreads less, or each token would foretell itself.
    let embedding = if kind == Kind::Qwen2 { 2.0 } else { 3.5 };
    let mut all =
        vec![Weight::new("token_embd.weight", &[WIDTH, tokens], embedding), Weight::norm("output_norm", WIDTH)];
    if kind != Kind::Qwen2 {
        all.push(Weight::new("output.weight", &[WIDTH, tokens], 2.0));
    }
    for layer in 0..LAYERS {
        let name = |name: &str| format!("blk.{layer}.{name}");
        all.push(Weight::norm(name("attn_norm"), WIDTH));
        if kind.recurs_in(layer) {
            all.extend(weights::recurrence(&name, kind == Kind::Hybrid));
        } else {
            all.extend(weights::attention(&name, kind == Kind::Qwen2));
        }
        if kind != Kind::Mamba {
            all.extend(weights::feed_forward(&name));
        }
    }
    all.iter().map(Weight::tensor).collect()
}

/// Checked by us, tried in a child process, loaded and run by llama.cpp.
#[test]
fn each_kind_answers_a_run_in_words_of_its_own() {
    for kind in Kind::ALL {
        let workspace = Workspace::llama();
        let path = workspace.path().join("tiny.gguf");
        write(kind, &path);
        let gguf = Gguf::open_checked(&path).unwrap();
        assert_eq!(gguf.architecture(), Some(kind.architecture()));
        workspace.ok(&["run", "suite.yaml", "--model", "tiny.gguf", "--no-cache"]);
        let samples = samples_of(&workspace.run_folder());
        assert_eq!(samples.len(), 24);
        let texts: BTreeSet<String> = samples.iter().map(|s| s["completion"]["text"].to_string()).collect();
        // 12 greedy answers and 12 sampled ones: nearly all differ, and none is a token or two over and over.
        assert!(texts.len() >= 20, "{kind:?} {texts:?}");
        let spoken = samples.iter().map(|s| s["completion"]["tokens"].as_array().unwrap());
        let long: Vec<&Vec<Value>> = spoken.filter(|tokens| tokens.len() >= 24).collect();
        assert!(long.len() >= 12, "{kind:?} {texts:?}");
        for tokens in long {
            let different: BTreeSet<Option<u64>> = tokens.iter().map(Value::as_u64).collect();
            assert!(different.len() >= 4, "{kind:?} {tokens:?}");
        }
    }
}

#[test]
fn any_text_becomes_tokens_and_words_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    write(Kind::Llama, &path);
    let model = Llama::open(&path, settings(), (None, "test"), None).unwrap();
    let tokenize = |text: &str| model.tokenize(text, &[]);
    // BOS, `What`, ` is`, ` a`, ` +`, ` `, `é` in two bytes.
    assert_eq!(tokenize("What is a + é").len(), 8);
    let every_byte: String = (1..0x800).filter_map(char::from_u32).collect();
    assert!(tokenize(&every_byte).iter().all(|token| u64::from(*token) < vocabulary::TOKENS));
}
