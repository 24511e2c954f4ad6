//! The engine's log-probabilities are those of an independent forward pass.
//!
//! NumPy computes it in 64 bits from the weights that tiny_models.rs writes. To make the numbers anew:
//! `sed -n 's,^//!   ,,p' tests/goldens.rs | python3 -` (with numpy).
//!
//! ```python
//!   import numpy as np
//!
//!   TOKENS = [0, 89, 258, 104, 35, 299, 9, 150, 258, 262, 88, 201]
//!   D, HEADS, KV, HEAD, FF, LAYERS, VOCAB, EPS, BASE = 32, 4, 2, 8, 64, 2, 300, 1e-5, 10000.0
//!
//!   def w(name, *shape, spread=1.0, centre=0.0):
//!       h = 0xCBF29CE484222325
//!       for byte in name.encode():
//!           h = (h ^ byte) * 0x100000001B3 % 2**64
//!       z = np.uint64(h) + np.arange(1, np.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
//!       z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
//!       z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
//!       z = (z ^ z >> np.uint64(31)) >> np.uint64(40)
//!       f = np.float32(centre) + np.float32(spread) * (z.astype(np.float32) / np.float32(2**24) - np.float32(0.5))
//!       assert f.dtype == np.float32
//!       return f.astype(np.float64).reshape(shape)
//!
//!   def norm(x, name):
//!       return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * w(name + ".weight", x.shape[-1], spread=0.5, centre=1.0)
//!
//!   def rotate(x, halves):  # (T, H, HEAD)
//!       angle = np.arange(len(x))[:, None, None] * BASE ** (-np.arange(0, HEAD, 2) / HEAD)
//!       c, s, y = np.cos(angle), np.sin(angle), np.empty_like(x)
//!       a, b = (slice(0, HEAD // 2), slice(HEAD // 2, HEAD)) if halves else (slice(0, HEAD, 2), slice(1, HEAD, 2))
//!       y[..., a], y[..., b] = x[..., a] * c - x[..., b] * s, x[..., a] * s + x[..., b] * c
//!       return y
//!
//!   def forward(qwen2):
//!       spread = 2.0 if qwen2 else 3.5
//!       embedding, t = w("token_embd.weight", VOCAB, D, spread=spread), len(TOKENS)
//!       x = embedding[TOKENS]
//!       for layer in range(LAYERS):
//!           p = f"blk.{layer}."
//!           def project(part, heads):
//!               y = norm(x, p + "attn_norm") @ w(f"{p}attn_{part}.weight", heads * HEAD, D).T
//!               y = y + w(f"{p}attn_{part}.bias", heads * HEAD) if qwen2 else y
//!               return y.reshape(t, heads, HEAD)
//!           q, k, v = rotate(project("q", HEADS), qwen2), rotate(project("k", KV), qwen2), project("v", KV)
//!           k, v = (np.repeat(m, HEADS // KV, axis=1) for m in (k, v))
//!           scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(HEAD) + np.triu(np.full((t, t), -np.inf), 1)
//!           e = np.exp(scores - scores.max(-1, keepdims=True))
//!           mixed = np.einsum("hij,jhd->ihd", e / e.sum(-1, keepdims=True), v).reshape(t, D)
//!           x = x + mixed @ w(p + "attn_output.weight", D, D, spread=1.5).T
//!           y = norm(x, p + "ffn_norm")
//!           gate, up = y @ w(p + "ffn_gate.weight", FF, D).T, y @ w(p + "ffn_up.weight", FF, D).T
//!           x = x + (gate / (1 + np.exp(-gate)) * up) @ w(p + "ffn_down.weight", D, FF).T
//!       logits = norm(x, "output_norm") @ (embedding if qwen2 else w("output.weight", VOCAB, D, spread=2.0)).T
//!       top = logits.max(-1, keepdims=True)
//!       return (logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True)))[range(t - 1), TOKENS[1:]]
//!
//!   print([hex(b) for b in w("token_embd.weight", VOCAB, D, spread=3.5)[0, :3].astype(np.float32).view(np.uint32)])
//!   for qwen2 in (False, True):
//!       print(", ".join(f"{x:.7f}" for x in forward(qwen2)))
//! ```

#![allow(clippy::unreadable_literal, reason = "the numbers are as the script prints them")]

use crate::tiny_models::{Kind, settings, write, write_bent};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tripos::engine::llama::{Llama, LlamaSettings};
use tripos::engine::{Answer, Ask, Engine, KvMode, Request};

/// The first token begins a text (BOS); the script has the same.
const TOKENS: [u32; 12] = [0, 89, 258, 104, 35, 299, 9, 150, 258, 262, 88, 201];

/// The log-probability of each token of [`TOKENS`] but the first, given those before it.
const LLAMA: [f64; 11] = [
    -10.9730730,
    -8.4965687,
    -12.5226583,
    -9.9381496,
    -8.9426505,
    -10.8395619,
    -13.0990727,
    -5.9869336,
    -9.7794649,
    -9.3581840,
    -13.7723160,
];
const QWEN2: [f64; 11] = [
    -12.3948124,
    -11.1259612,
    -11.5681784,
    -13.8987105,
    -10.3517592,
    -15.7212314,
    -10.6286910,
    -9.5033552,
    -12.2084333,
    -8.6608289,
    -11.8051070,
];

/// What the engine says, the text cut into prompt and continuation at each of these places.
fn likelihoods(model: &Path, kv: KvMode, cuts: &[usize]) -> Vec<Vec<f32>> {
    let engine = Llama::open(model, LlamaSettings { kv, ..settings() }, (None, "test"), None).unwrap();
    let request = |(id, cut): (usize, &usize)| {
        let (prompt, rest) = TOKENS.split_at(*cut);
        Request { id, tokens: prompt.to_vec(), ask: Ask::Likelihood { continuations: vec![rest.to_vec()] } }
    };
    let mut said = vec![Vec::new(); cuts.len()];
    let mut done = |id: usize, answer| {
        let Answer::Likelihood(mut likelihoods) = answer else { panic!("{answer:?}") };
        said[id] = likelihoods.logprobs.remove(0);
    };
    engine.answer(cuts.iter().enumerate().map(request).collect(), &mut done, &AtomicBool::new(false)).unwrap();
    said
}

/// The largest difference from the golden numbers.
fn worst(golden: &[f64; 11], said: &[f32], cut: usize) -> f64 {
    let golden = &golden[cut - 1..];
    assert_eq!(said.len(), golden.len());
    golden.iter().zip(said).map(|(golden, said)| (golden - f64::from(*said)).abs()).fold(0.0, f64::max)
}

#[test]
fn log_probabilities_are_those_of_the_numpy_forward_pass() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    for (kind, golden) in [(Kind::Llama, &LLAMA), (Kind::Qwen2, &QWEN2)] {
        write(kind, &path);
        for kv in [KvMode::Exact, KvMode::Tree] {
            for (cut, said) in [1, 6, 11].into_iter().zip(likelihoods(&path, kv, &[1, 6, 11])) {
                let worst = worst(golden, &said, cut);
                assert!(worst <= 1e-4, "{kind:?} {kv:?}, prompt of {cut}: {worst}");
            }
        }
    }
}

/// The twin of the test above: one row of one matrix is a hundredth larger, and that must show.
#[test]
fn a_row_of_weights_scaled_by_a_hundredth_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bent.gguf");
    for (kind, golden) in [(Kind::Llama, &LLAMA), (Kind::Qwen2, &QWEN2)] {
        for tensor in ["blk.0.attn_k.weight", "blk.0.ffn_down.weight", "blk.1.attn_v.weight"] {
            write_bent(kind, &path, (tensor, 3), 1.01);
            let worst = worst(golden, &likelihoods(&path, KvMode::Exact, &[1])[0], 1);
            assert!(worst > 1e-4, "{kind:?} {tensor}: {worst}");
        }
    }
}
