//! Adapters that PEFT itself wrote: brought in, and asked what Transformers was asked.
//!
//! tests/fixtures/peft/make.py makes the models, the adapters and the golden numbers.

use crate::likelihoods::{logprobs, worst};
use crate::workspace::{Workspace, root};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tripos::gguf::{Gguf, TensorData, TensorReader, Value as GgufValue, write};

const ARCHITECTURES: [&str; 2] = ["llama", "qwen2"];

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/peft").join(name)
}

/// The tokens, and Transformers' log-probabilities of all but the first.
fn golden(arch: &str, which: &str) -> (Vec<u32>, Vec<f64>) {
    let text = std::fs::read_to_string(fixture("goldens.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    (serde_json::from_value(all["tokens"].clone()).unwrap(), serde_json::from_value(all[arch][which].clone()).unwrap())
}

/// Imports an architecture's adapter.
fn import(workspace: &Workspace, arch: &str) -> PathBuf {
    let (folder, base) = (fixture(&format!("{arch}/adapter")), fixture(&format!("{arch}/base.gguf")));
    let out = format!("{arch}.gguf");
    workspace.ok(&["import", "peft", folder.to_str().unwrap(), "--model", base.to_str().unwrap(), "-o", &out]);
    workspace.path().join(out)
}

/// The base, and each of the two files that PEFT wrote, by whatever way the path leads there.
#[test]
fn nothing_that_is_read_is_written_over() {
    let workspace = Workspace::new();
    let from = fixture("llama");
    std::fs::create_dir(workspace.path().join("a")).unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        std::fs::copy(from.join("adapter").join(name), workspace.path().join("a").join(name)).unwrap();
    }
    std::fs::copy(from.join("base.gguf"), workspace.path().join("base.gguf")).unwrap();
    for out in ["base.gguf", "./a/../base.gguf", "a/adapter_config.json", "a/adapter_model.safetensors"] {
        let before = std::fs::read(workspace.path().join(out)).unwrap();
        let said = workspace.tripos(&["import", "peft", "a", "--model", "base.gguf", "-o", out]);
        assert_eq!(said.code, Some(2), "{out}");
        assert!(
            said.stderr.starts_with("error: the result would replace this file, which it is made of"),
            "{}",
            said.stderr
        );
        assert!(std::fs::read(workspace.path().join(out)).unwrap() == before, "{out}");
    }
}

fn difference(arch: &str, which: &str, adapter: Option<&Path>) -> f64 {
    let (tokens, golden) = golden(arch, which);
    worst(&golden, &logprobs(&fixture(&format!("{arch}/base.gguf")), adapter, &tokens))
}

#[test]
fn an_adapter_of_pefts_answers_as_it_does_in_transformers() {
    let workspace = Workspace::new();
    for arch in ARCHITECTURES {
        let plain = difference(arch, "plain", None);
        assert!(plain <= 1e-3, "{arch}, the base alone: {plain}");
        let adapter = import(&workspace, arch);
        let adapted = difference(arch, "adapted", Some(&adapter));
        assert!(adapted <= 1e-3, "{arch}: {adapted}");
        assert!(difference(arch, "plain", Some(&adapter)) > 1.0, "{arch}: the adapter changes much");
    }
}

/// Does something to the numbers of the tensor so named.
type Bend = fn(&str, &mut Vec<f32>);

/// The twin of the test above: rows of queries and keys as Hugging Face has them, and every alpha the same.
#[test]
fn without_interleaving_or_with_one_alpha_the_answers_are_others() {
    let workspace = Workspace::new();
    for (arch, bend) in [("llama", straight as Bend), ("qwen2", halved)] {
        let adapter = import(&workspace, arch);
        let gguf = Gguf::open(&adapter).unwrap();
        let mut data = TensorReader::open(&gguf).unwrap();
        let tensors: Vec<TensorData> = gguf
            .tensors()
            .iter()
            .map(|info| {
                let bytes = data.read(info).unwrap();
                let mut numbers: Vec<f32> =
                    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
                bend(&info.name, &mut numbers);
                TensorData::f32(info.name.as_str(), &info.dims, &numbers)
            })
            .collect();
        let bent = workspace.path().join("bent.gguf");
        write(&bent, gguf.metadata(), &tensors).unwrap();
        let off = difference(arch, "adapted", Some(&bent));
        assert!(off > 1e-2, "{arch}: {off}");
    }
}

/// Undoes the interleaving: 4 query heads and 2 key heads of 8 rows, rank 4.
fn straight(name: &str, numbers: &mut Vec<f32>) {
    if name.ends_with("attn_q.weight.lora_b") || name.ends_with("attn_k.weight.lora_b") {
        let rows: Vec<&[f32]> = numbers.chunks(4).collect();
        let order = (0..rows.len()).map(|row| row / 8 * 8 + row % 8 % 4 * 2 + row % 8 / 4);
        *numbers = order.flat_map(|row| rows[row]).copied().collect();
    }
}

/// Undoes the larger alpha of one module.
fn halved(name: &str, numbers: &mut Vec<f32>) {
    if name == "blk.1.attn_q.weight.lora_b" {
        *numbers = numbers.iter().map(|x| x / 2.0).collect();
    }
}

#[test]
fn merged_it_answers_the_same_again() {
    let workspace = Workspace::new();
    for arch in ARCHITECTURES {
        let adapter = import(&workspace, arch);
        let base = fixture(&format!("{arch}/base.gguf"));
        workspace.ok(&["merge", base.to_str().unwrap(), adapter.to_str().unwrap(), "-o", "merged.gguf"]);
        let (tokens, golden) = golden(arch, "adapted");
        let off = worst(&golden, &logprobs(&workspace.path().join("merged.gguf"), None, &tokens));
        assert!(off <= 1e-3, "{arch}: {off}");
    }
}

#[test]
fn the_new_file_knows_its_base() {
    let workspace = Workspace::new();
    let adapter = Gguf::open_checked(&import(&workspace, "qwen2")).unwrap();
    let base = fixture("qwen2/base.gguf");
    let hash = tripos::gguf::sha256_file(&base).unwrap();
    assert_eq!(adapter.metadata().text("tripos.base.sha256"), Some(hash.as_str()));
    // 8 / √4 · 4: what most modules have.
    assert_eq!(adapter.metadata().get("adapter.lora.alpha"), Some(&GgufValue::F32(16.0)));
    let llama = fixture("llama/base.gguf");
    let said = workspace.tripos(&[
        "import",
        "peft",
        fixture("qwen2/adapter").to_str().unwrap(),
        "--model",
        llama.to_str().unwrap(),
        "-o",
        "x.gguf",
    ]);
    // The two have the same shapes: nothing here can tell, but the hash will, once it is a GGUF.
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}

/// A folder with parts of a fixture, changed.
fn altered(workspace: &Workspace, name: &str, change: impl Fn(&mut Value)) {
    let text = std::fs::read_to_string(fixture("llama/adapter/adapter_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    change(&mut config);
    workspace.write(&format!("{name}/adapter_config.json"), serde_json::to_string_pretty(&config).unwrap());
    let weights = std::fs::read(fixture("llama/adapter/adapter_model.safetensors")).unwrap();
    workspace.write(&format!("{name}/adapter_model.safetensors"), weights);
}

fn refusal(workspace: &Workspace, folder: &str, base: &Path) -> String {
    let said = workspace.tripos(&["import", "peft", folder, "--model", base.to_str().unwrap(), "-o", "x.gguf"]);
    assert_eq!(said.code, Some(2), "{}{}", said.stdout, said.stderr);
    assert!(!workspace.path().join("x.gguf").exists());
    said.stderr
}

#[test]
fn everything_that_cannot_be_brought_in_is_named_at_once() {
    let workspace = Workspace::new();
    let base = fixture("llama/base.gguf");
    altered(&workspace, "dora", |config| {
        config["use_dora"] = true.into();
        config["r"] = 8.into();
        config["modules_to_save"] = serde_json::json!(["score"]);
        config["bias"] = "all".into();
    });
    let said = refusal(&workspace, "dora", &base);
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    insta::assert_snapshot!(errors[..4].join("\n"), @r"
    error: `bias` is `all`: biases of the base were trained too
    error: `use_dora` scales each matrix by learned lengths (DoRA)
    error: `modules_to_save` names modules that were trained whole
    error: `lm_head` has rank 4, and adapter_config.json says 8
    ");
    // 16 modules of rank 4, where the configuration now says 8.
    assert_eq!(errors.len(), 3 + 16, "{said}");
}

#[test]
fn a_folder_that_is_none_and_pickled_weights_have_their_own_words() {
    let workspace = Workspace::new();
    let base = fixture("llama/base.gguf");
    insta::assert_snapshot!(refusal(&workspace, "nowhere", &base), @r"
    error: there is no such file, so this is not the folder of a PEFT adapter
      --> nowhere/adapter_config.json
      help: name the folder that model.save_pretrained(DIR) wrote: adapter_config.json and adapter_model.safetensors
    error: there is no such file, so this is not the folder of a PEFT adapter
      --> nowhere/adapter_model.safetensors
      help: name the folder that model.save_pretrained(DIR) wrote: adapter_config.json and adapter_model.safetensors
    ");
    altered(&workspace, "pickled", |_| ());
    std::fs::rename(
        workspace.path().join("pickled/adapter_model.safetensors"),
        workspace.path().join("pickled/adapter_model.bin"),
    )
    .unwrap();
    insta::assert_snapshot!(refusal(&workspace, "pickled", &base), @r"
    error: there is no such file, so this is not the folder of a PEFT adapter
      --> pickled/adapter_model.safetensors
      help: pickled weights can run programs and are not read; save them as safetensors: model.save_pretrained(DIR, safe_serialization=True)
    ");
    altered(&workspace, "other", |_| ());
    let said = refusal(&workspace, "other", &crate::workspace::model());
    assert!(said.contains("error: "), "{said}");
}
