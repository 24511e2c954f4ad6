//! Models that have no graph here.

use super::golden::Golden;
use super::{read, write_renamed};
use std::path::Path;
use tripos::error::render;
use tripos::gguf::{self, Value};
use tripos::model::{Decoder, Precision, Settings, Shape, Trained};

/// What is said of a model that is refused; nothing of one that is not.
fn refusal(path: &Path) -> Option<String> {
    let settings = Settings {
        trained: Trained::Full,
        precision: Precision::F32,
        shape: Shape { rows: 1, len: 8, targets: 8, ends: 1 },
        outputs: 0,
        recompute: false,
        threads: 1,
        seed: 1,
    };
    let error = Decoder::open(path, &settings).err()?;
    Some(render(&error, false).replace(&path.display().to_string(), "model.gguf"))
}

#[test]
fn an_unknown_architecture_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let model = Golden::of("llama").model();
    write_renamed(&model, &path, "gemma2");
    insta::assert_snapshot!(refusal(&path).unwrap(), @r"
    error: the architecture `gemma2` cannot be trained
      --> model.gguf
      help: these can be trained: llama, mistral3, qwen2, qwen3, smollm3
    ");
    // The twin: the same file under its own name.
    write_renamed(&model, &path, "llama");
    assert_eq!(refusal(&path), None);
}

/// What llama.cpp computes and the graph here does not must not be left out in silence.
#[test]
fn what_the_graph_lacks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let (gguf, tensors) = read(&Golden::of("llama").model());
    for (key, value, word) in [
        ("llama.expert_count", Value::U32(4), "experts"),
        ("llama.attention.scale", Value::F32(0.5), "scale"),
        ("llama.rope.scaling.type", Value::Text("longrope".to_owned()), "longrope"),
    ] {
        let mut metadata = gguf.metadata().clone();
        metadata.set(key, value);
        gguf::write(&path, &metadata, &tensors).unwrap();
        let refusal = refusal(&path).unwrap_or_default();
        assert!(refusal.contains(word) && refusal.contains("model.gguf"), "{key}: {refusal:?}");
    }
}
