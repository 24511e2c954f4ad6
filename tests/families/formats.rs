//! Bases in other formats than f32: read as llama.cpp reads them, and kept as they are in memory.

use super::decoder::{batch, shape_of};
use super::golden::Text;
use super::{engine_said, row_scaled};
use crate::tiny_models::settings;
use std::path::Path;
use tripos::engine::Engine;
use tripos::engine::llama::Llama;
use tripos::ggml::quants;
use tripos::gguf::{self, Gguf, TensorData, TensorReader, TensorType};
use tripos::model::{Decoder, LoraOn, LoraSettings, Precision, Settings, Shape, Trained, estimate};

const FORMATS: [TensorType; 5] =
    [TensorType::F16, TensorType::BF16, TensorType::Q8_0, TensorType::Q6_K, TensorType::Q4_K];

/// Mean differences of log-probabilities: between the same numbers, and where llama.cpp rounds what it multiplies too.
const SAME: f64 = 1e-5;
/// More than training allows (2e-2): at 4 bits and fewer this small model is less sure of what it says.
const NEAR: f64 = 4e-2;

/// What the bundled model is asked, and what it then says. Only that is looked at, as in training: tokens that the model
/// does not expect have low log-probabilities, which move more when llama.cpp rounds what it multiplies by Q8_0 to 8 bits
/// (2e-2 over these texts, more on what it does not expect).
const SAID: [[&str; 2]; 4] = [
    ["<|endoftext|>Q: What is 47 + 38?\nA: Let's think step by step.", " 7 + 8 = 15, write 5 carry 1. 4 + 3 + 1 = 8."],
    ["<|endoftext|>Q: What is 12 + 30?\nA: Let's think step by step.", " 2 + 0 = 2. 1 + 3 = 4. The answer is 42."],
    ["<|endoftext|>Review: the story is warm and funny.\nSentiment:", " positive"],
    ["<|endoftext|>Q: What is 68 - 25?\nA: Let's think step by step.", " 8 - 5 = 3. 6 - 2 = 4. The answer is 43."],
];

fn tiny() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models/tripos-tiny.gguf"))
}

/// The bundled model with its matrices in a format (in Q8_0 where rows are no whole blocks, as llama.cpp has it), and the
/// same numbers in f32.
fn write_as(kind: TensorType, path: &Path, plain: &Path) {
    let gguf = Gguf::open_checked(tiny()).unwrap();
    let mut reader = TensorReader::open(&gguf).unwrap();
    let (mut packed, mut unpacked) = (Vec::new(), Vec::new());
    for info in gguf.tensors() {
        let row = usize::try_from(info.dims[0]).unwrap();
        let numbers = quants::to_f32(info.kind, row, &reader.read(info).unwrap()).unwrap();
        let kind = match kind {
            _ if info.dims.len() == 1 => TensorType::F32,
            kind if quants::row_size(kind, row).is_ok() => kind,
            _ => TensorType::Q8_0,
        };
        let bytes = quants::from_f32(kind, row, &numbers).unwrap();
        let numbers = quants::to_f32(kind, row, &bytes).unwrap();
        unpacked.push(TensorData::f32(info.name.as_str(), &info.dims, &numbers));
        packed.push(TensorData { name: info.name.clone(), dims: info.dims.clone(), kind, bytes: bytes.into() });
    }
    gguf::write(path, gguf.metadata(), &packed).unwrap();
    gguf::write(plain, gguf.metadata(), &unpacked).unwrap();
}

/// What it knows, in the model's tokens.
fn rows() -> Vec<Vec<Text>> {
    let engine = Llama::open(tiny(), settings(), (None, "test"), None).unwrap();
    let text = |[asked, said]: &[&str; 2]| {
        let (mut tokens, said) = (engine.tokenize(asked, &[]), engine.tokenize(said, &[]));
        let learn = (0..tokens.len() + said.len()).map(|place| place >= tokens.len()).collect();
        tokens.extend(said);
        vec![Text { tokens, learn }]
    };
    SAID.iter().map(text).collect()
}

fn adapted(shape: &Shape, precision: Precision) -> Settings {
    let lora = LoraSettings { rank: 4, alpha: 8.0, dropout: 0.0, on: LoraOn::All };
    Settings {
        trained: Trained::Lora(lora),
        precision,
        shape: shape.clone(),
        outputs: 0,
        recompute: false,
        threads: 2,
        seed: 1,
    }
}

/// What the decoder says, its adapter still nothing.
fn decoder_said(model: &Path, rows: &[Vec<Text>], precision: Precision) -> Vec<f32> {
    let shape = shape_of(rows);
    let mut decoder = Decoder::open(model, &adapted(&shape, precision)).unwrap();
    decoder.read(&batch(rows.iter().map(Vec::as_slice), &shape)).unwrap().logprobs
}

fn engine_says(model: &Path, rows: &[Vec<Text>]) -> Vec<f32> {
    engine_said(model, &rows.iter().flatten().collect::<Vec<_>>())
}

fn mean_apart(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).abs()).sum::<f64>() / a.len() as f64
}

#[test]
fn each_format_is_read_as_llama_cpp_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = (folder.path().join("packed.gguf"), folder.path().join("plain.gguf"));
    let rows = rows();
    for kind in FORMATS {
        write_as(kind, &path, &plain);
        let said = decoder_said(&path, &rows, Precision::F32);
        // llama.cpp on the same numbers in f32, and with its product for the format.
        let exact = mean_apart(&engine_says(&plain, &rows), &said);
        let engine = engine_says(&path, &rows);
        let own = mean_apart(&engine, &engine_says(&plain, &rows));
        let rounded = mean_apart(&engine, &said);
        let bf16 = mean_apart(&engine, &decoder_said(&path, &rows, Precision::Bf16));
        assert!(exact <= SAME, "{kind}: {exact:e}");
        assert!(rounded <= NEAR && bf16 <= NEAR, "{kind}: {rounded:e} {bf16:e}");
        assert!(rounded <= own + SAME, "{kind}: {rounded:e}, where rounding alone makes {own:e}");
        // The twins: one row a hundredth larger is no longer the same, one matrix larger by half not near.
        let (gguf, mut tensors) = super::read(&plain);
        row_scaled(&mut tensors, "blk.1.attn_output.weight", 7..8, 1.01);
        gguf::write(&plain, gguf.metadata(), &tensors).unwrap();
        let bent = mean_apart(&engine_says(&plain, &rows), &said);
        assert!(bent > SAME, "{kind}: {bent:e}");
        row_scaled(&mut tensors, "blk.1.attn_output.weight", 0..256, 1.5);
        gguf::write(&plain, gguf.metadata(), &tensors).unwrap();
        let bent = mean_apart(&engine_says(&plain, &rows), &said);
        assert!(bent > NEAR, "{kind}: {bent:e}");
    }
}

/// Under adapters, a base takes no more memory than its file has.
#[test]
fn a_quantised_base_stays_quantised_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = (folder.path().join("packed.gguf"), folder.path().join("plain.gguf"));
    write_as(TensorType::Q4_K, &path, &plain);
    let settings = adapted(&shape_of(&rows()), Precision::Bf16);
    let bytes = |path: &Path| std::fs::metadata(path).unwrap().len() as f64;
    let saved = bytes(&plain) - bytes(&path);
    let estimated = |path: &Path| estimate(path, &settings).unwrap().bytes as f64;
    let held = |path: &Path| Decoder::open(path, &settings).unwrap().memory() as f64;
    for less in [estimated(&plain) - estimated(&path), held(&plain) - held(&path)] {
        assert!((less / saved - 1.0).abs() < 0.01, "{less} of {saved}");
    }
}
