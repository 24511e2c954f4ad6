//! Before each training run the trainer is held to llama.cpp; a trainer of another model must not pass.

use crate::tiny_models::{Kind, settings, write, write_bent};
use crate::workspace::model;
use tripos::engine::Engine;
use tripos::engine::llama::Llama;
use tripos::error::Problems;
use tripos::model::{Document, LoraSettings, Precision, Settings, Shape, Trained};
use tripos::store::training::ParityRecord;
use tripos::train::parity::{EXACT, ROUNDED, by_engine, hold, sample};

/// How the trainer of a model, and of the same with a row of a tensor scaled, lies from llama.cpp with the model.
fn held(kind: Kind, bent: Option<(&str, usize)>) -> Result<ParityRecord, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let (path, twin) = (folder.path().join("tiny.gguf"), folder.path().join("twin.gguf"));
    write(kind, &path);
    match bent {
        Some(row) => write_bent(kind, &twin, row, 1.01),
        None => write(kind, &twin),
    }
    let engine = Llama::open(&path, settings(), (None, "test"), None).unwrap();
    let texts = ["What is 12 + 34? That is 46.", "A sentence about the weather, and another one.", "0123456789 abcdef"];
    let document = |text: &&str| {
        let tokens = engine.tokenize(text, &[]);
        Document::new(tokens.clone(), vec![true; tokens.len()])
    };
    let documents = sample(texts.iter().map(document).collect::<Vec<_>>().iter());
    let said = by_engine(&engine, &documents).unwrap();
    // Random weights of such a spread are no measure of bf16.
    hold(&twin, &adapters(Precision::F32), &documents, &said)
}

#[test]
fn the_trainer_says_what_llama_cpp_says() {
    for kind in [Kind::Llama, Kind::Qwen2] {
        let found = held(kind, None).unwrap();
        assert!(found.tokens > 15 && found.f32_limit <= EXACT, "{found:?}");
        assert!(found.f32 < EXACT / 10.0 && found.bf16.is_none(), "{kind:?} {found:?}");
    }
}

/// On quantised weights too, since the trainer then rounds what llama.cpp rounds; without that it would be refused on this
/// model, whatever it computes.
#[test]
fn on_quantised_weights_only_what_llama_cpp_rounds_is_left() {
    let engine = Llama::open(&model(), settings(), (None, "test"), None).unwrap();
    let text = "Q: What is 12 + 34?\nA: Let's think step by step. The weather is fine.";
    let tokens = engine.tokenize(text, &[]);
    let documents = [Document::new(tokens.clone(), vec![true; tokens.len()])];
    let said = by_engine(&engine, &documents).unwrap();
    let found = hold(&model(), &adapters(Precision::Bf16), &documents, &said).unwrap();
    // 1e-4 or less where ggml has AVX-512; with AVX2 alone 6e-3 is left.
    assert!(found.f32 < 1e-2 && found.rounding.unwrap() > 3.0 * found.f32, "{found:?}");
    assert!(found.bf16.unwrap() < ROUNDED, "{found:?}");
}

fn adapters(precision: Precision) -> Settings {
    Settings {
        trained: Trained::Lora(LoraSettings::default()),
        precision,
        shape: Shape { rows: 1, len: 64, targets: 64, ends: 1 },
        outputs: 0,
        recompute: false,
        threads: 1,
        seed: 1,
    }
}

/// The negative twin: one row of one matrix, one percent off.
#[test]
fn a_row_scaled_by_one_percent_is_refused() {
    for kind in [Kind::Llama, Kind::Qwen2] {
        for row in [("blk.0.attn_v.weight", 3), ("blk.0.attn_output.weight", 5), ("blk.1.ffn_down.weight", 7)] {
            let refusal = held(kind, Some(row)).unwrap_err().to_string();
            assert!(
                refusal.contains("the trainer in f32 and llama.cpp disagree: mean |Δ log p| is "),
                "{kind:?} {row:?} {refusal}"
            );
        }
    }
}
