//! What a file is, for people: its numbers, its words, where it comes from, and what can be done with it.

use super::architectures;
use super::storage::{FormatShare, formats};
use crate::error::Problems;
use crate::gguf::{Array, Gguf, GgufError, Value};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A model or an adapter, described.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// `model`, `adapter`, or whatever else `general.type` says.
    pub kind: String,
    /// `general.name`.
    pub name: Option<String>,
    /// `general.architecture`.
    pub architecture: Option<String>,
    /// How many numbers its tensors hold, tied weights once.
    pub parameters: u64,
    /// In which formats, the commonest first.
    pub formats: Vec<FormatShare>,
    /// Sizes of the model, by what they are; numbers that differ between layers are a range.
    pub sizes: Vec<(&'static str, String)>,
    /// How it reads text; an adapter has none.
    pub tokenizer: Option<Tokenizer>,
    /// Its chat template (Jinja).
    pub chat_template: Option<String>,
    /// What its licence is, in the words of the file.
    pub licence: Option<String>,
    /// Where it comes from: what its `tripos.` entries say, heads left out.
    pub lineage: BTreeMap<String, String>,
    /// What is special about an adapter.
    pub adapter: Option<AdapterFacts>,
    /// The labels of its classifier.
    pub labels: Option<Vec<String>>,
    /// What Tripos can do with it.
    pub abilities: Vec<Ability>,
}

/// How a model reads text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tokenizer {
    /// `gpt2` (byte pairs), `llama` (SentencePiece), …
    pub model: String,
    /// How text is cut before: `qwen2`, `llama-bpe`, …
    pub pre: Option<String>,
    /// How many tokens there are.
    pub tokens: usize,
    /// Tokens with a part to play: the part, the token's id, its spelling.
    pub special: Vec<(&'static str, u64, String)>,
}

/// What is special about an adapter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdapterFacts {
    /// `lora`.
    pub method: String,
    /// Its ranks; one, nearly always.
    pub ranks: BTreeSet<u64>,
    /// What the product is scaled by, times the rank.
    pub alpha: Option<f32>,
    /// The kinds of matrices that it changes, such as `attn_q`, and in how many layers.
    pub on: BTreeMap<String, usize>,
}

/// One thing that may be done with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// What: `run`, `chat`, …
    pub what: &'static str,
    /// Whether it can be.
    pub can: bool,
    /// How, or why not.
    pub how: String,
}

/// Describes a file, and says what is wrong with it: a file with problems is described as far as its header goes.
pub fn describe(path: &Path) -> Result<(Description, Problems), GgufError> {
    let gguf = Gguf::open(path)?;
    let problems = gguf.check().err().unwrap_or_default();
    let is_adapter = gguf.is_adapter();
    let metadata = gguf.metadata();
    let adapter = is_adapter.then(|| adapter_facts(&gguf));
    let description = Description {
        path: path.to_path_buf(),
        bytes: gguf.file_len(),
        kind: metadata.text("general.type").unwrap_or("model").to_owned(),
        name: gguf.name().map(str::to_owned),
        architecture: gguf.architecture().map(str::to_owned),
        parameters: gguf.parameter_count(),
        formats: formats(gguf.tensors()),
        sizes: sizes(&gguf),
        tokenizer: tokenizer(&gguf),
        chat_template: gguf.chat_template().map(str::to_owned),
        licence: licence(&gguf),
        lineage: lineage(&gguf),
        labels: metadata.texts("tripos.classifier.labels").map(<[String]>::to_vec),
        abilities: abilities(&gguf, problems.any_error()),
        adapter,
    };
    Ok((description, problems))
}

/// The sizes that people ask for, where the file has them.
fn sizes(gguf: &Gguf) -> Vec<(&'static str, String)> {
    let names = [
        ("context", "context_length"),
        ("layers", "block_count"),
        ("width", "embedding_length"),
        ("heads", "attention.head_count"),
        ("key/value heads", "attention.head_count_kv"),
        ("feed-forward", "feed_forward_length"),
        ("experts", "expert_count"),
        ("experts used", "expert_used_count"),
    ];
    let arch = gguf.architecture().unwrap_or_default();
    let said = names.into_iter().filter_map(|(what, key)| Some((what, range(gguf, &format!("{arch}.{key}"))?)));
    said.filter(|(_, text)| text != "0").collect()
}

/// A whole number, or the range of several.
fn range(gguf: &Gguf, key: &str) -> Option<String> {
    let numbers: Vec<i64> = match gguf.metadata().get(key)? {
        Value::Array(Array::U32(numbers)) => numbers.iter().map(|n| i64::from(*n)).collect(),
        Value::Array(Array::I32(numbers)) => numbers.iter().map(|n| i64::from(*n)).collect(),
        _ => return gguf.metadata().u64(key).map(|n| n.to_string()),
    };
    let (least, most) = (numbers.iter().min()?, numbers.iter().max()?);
    Some(if least == most { least.to_string() } else { format!("{least} to {most}") })
}

fn tokenizer(gguf: &Gguf) -> Option<Tokenizer> {
    let metadata = gguf.metadata();
    let parts = ["bos", "eos", "eot", "eom", "unknown", "separator", "padding", "mask"];
    let special = parts.into_iter().filter_map(|part| {
        let id = metadata.u64(&format!("tokenizer.ggml.{part}_token_id"))?;
        let text = usize::try_from(id).ok().and_then(|id| gguf.tokens().get(id)).cloned().unwrap_or_default();
        Some((part, id, text))
    });
    Some(Tokenizer {
        model: metadata.text("tokenizer.ggml.model")?.to_owned(),
        pre: metadata.text("tokenizer.ggml.pre").map(str::to_owned),
        tokens: gguf.vocab_size(),
        special: special.collect(),
    })
}

fn licence(gguf: &Gguf) -> Option<String> {
    let of = |key: &str| gguf.metadata().text(&format!("general.license{key}"));
    let said: Vec<&str> = [of(""), of(".name"), of(".link")].into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// `tripos.base.sha256` as `base.sha256`. Heads are numbers, and no descent.
fn lineage(gguf: &Gguf) -> BTreeMap<String, String> {
    let said = gguf.metadata().iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("tripos.").filter(|name| !name.starts_with("classifier."))?;
        let text = match value {
            Value::Text(text) => text.clone(),
            Value::F32(number) => number.to_string(),
            Value::U32(number) => number.to_string(),
            Value::Array(Array::Text(texts)) => texts.join(", "),
            _ => return None,
        };
        Some((name.to_owned(), text))
    });
    said.collect()
}

fn adapter_facts(gguf: &Gguf) -> AdapterFacts {
    let mut on: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut ranks = BTreeSet::new();
    for tensor in gguf.tensors() {
        let Some(base) = tensor.name.strip_suffix(".lora_b") else { continue };
        ranks.extend(tensor.dims.first());
        let name = base.strip_suffix(".weight").unwrap_or(base);
        let (layer, part) = match name.strip_prefix("blk.").and_then(|name| name.split_once('.')) {
            Some((layer, part)) => (layer, part),
            None => ("", name),
        };
        on.entry(part.to_owned()).or_default().insert(layer);
    }
    let metadata = gguf.metadata();
    AdapterFacts {
        method: metadata.text("adapter.type").unwrap_or("unknown").to_owned(),
        ranks,
        alpha: metadata.f32("adapter.lora.alpha"),
        on: on.into_iter().map(|(part, layers)| (part, layers.len())).collect(),
    }
}

fn abilities(gguf: &Gguf, broken: bool) -> Vec<Ability> {
    let yes = |what, how: &str| Ability { what, can: true, how: how.to_owned() };
    let no = |what, how: String| Ability { what, can: false, how };
    if broken {
        return vec![no("run", "llama.cpp would refuse it or die of it; see the problems".into())];
    }
    let has = |key: &str| gguf.metadata().get(key).is_some();
    let mut all = Vec::new();
    let architecture = gguf.architecture().unwrap_or_default();
    let trainable = architectures().contains(&architecture);
    let why =
        || format!("the architecture `{architecture}` cannot be trained; these can: {}", architectures().join(", "));
    if gguf.is_adapter() {
        all.push(yes("run", "beside its model: tripos run SUITE --model BASE --adapter FILE"));
        all.push(yes("merge", "into its model: tripos merge BASE FILE -o OUT"));
    } else {
        all.push(yes("run", "suites of completions and of likelihoods: tripos run SUITE --model FILE"));
        all.push(match gguf.chat_template() {
            Some(_) => yes("chat", "chat prompts, by its own template"),
            None => no("chat", "it has no chat template; completion prompts only".into()),
        });
        all.push(yes("quantize", "tripos quantize FILE OUT --type T"));
        all.push(if trainable {
            yes("train", "adapters, or all of it: tripos train RECIPE")
        } else {
            no("train", why())
        });
    }
    if has("tripos.classifier.labels") {
        all.push(yes("classify", "scorer `label: {classifier: FILE}`"));
    }
    if has("tripos.reward.head") {
        all.push(yes("judge", "scorer `reward`"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Metadata, TensorData, write};

    #[test]
    fn the_bundled_model_is_described() {
        let (tiny, problems) = describe(Path::new("models/tripos-tiny.gguf")).unwrap();
        assert!(problems.is_empty());
        assert_eq!(
            (tiny.kind.as_str(), tiny.architecture.as_deref(), tiny.parameters),
            ("model", Some("llama"), 3_148_032)
        );
        let sizes: Vec<String> = tiny.sizes.iter().map(|(what, size)| format!("{what} {size}")).collect();
        assert_eq!(sizes.join("; "), "context 512; layers 4; width 256; heads 8; key/value heads 4; feed-forward 704");
        let tokenizer = tiny.tokenizer.unwrap();
        assert_eq!((tokenizer.model.as_str(), tokenizer.tokens), ("gpt2", 768));
        assert_eq!(tokenizer.special[0], ("bos", 0, "<|endoftext|>".to_owned()));
        assert_eq!(tiny.formats.iter().map(|share| share.parameters).sum::<u64>(), tiny.parameters);
        assert!(tiny.abilities.iter().all(|ability| ability.can));
        assert_eq!((tiny.adapter, tiny.labels), (None, None));
    }

    fn file(entries: &[(&str, Value)], tensors: &[TensorData<'_>]) -> (Description, Problems) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        let metadata: Metadata = entries.iter().map(|(key, value)| (*key, value.clone())).collect();
        write(&path, &metadata, tensors).unwrap();
        describe(&path).unwrap()
    }

    #[test]
    fn an_adapter_says_what_it_changes_and_where_it_comes_from() {
        let half = |layer: u32, part: &str, half: &str, dims: [u64; 2]| {
            TensorData::f32(format!("blk.{layer}.{part}.weight.lora_{half}"), &dims, &[0.5; 16])
        };
        let labels = ["no", "yes"].map(String::from).to_vec();
        let entries = [
            ("general.type", "adapter".into()),
            ("general.architecture", "gemma3".into()),
            ("adapter.type", "lora".into()),
            ("adapter.lora.alpha", Value::F32(16.0)),
            ("general.license", "apache-2.0".into()),
            ("tripos.base.file", "tiny.gguf".into()),
            ("tripos.classifier.labels", Value::Array(Array::Text(labels.clone()))),
        ];
        let mut tensors = Vec::new();
        for layer in 0..2 {
            tensors.push(half(layer, "attn_q", "a", [4, 4]));
            tensors.push(half(layer, "attn_q", "b", [4, 4]));
        }
        tensors.extend([half(1, "ffn_up", "a", [2, 8]), half(1, "ffn_up", "b", [8, 2])]);
        let (adapter, problems) = file(&entries, &tensors);
        assert!(problems.is_empty(), "{problems}");
        let facts = adapter.adapter.unwrap();
        assert_eq!((facts.ranks, facts.alpha), (BTreeSet::from([4, 8]), Some(16.0)));
        assert_eq!(facts.on, BTreeMap::from([("attn_q".to_owned(), 2), ("ffn_up".to_owned(), 1)]));
        assert_eq!((adapter.licence.as_deref(), adapter.labels), (Some("apache-2.0"), Some(labels)));
        assert_eq!(adapter.lineage, BTreeMap::from([("base.file".to_owned(), "tiny.gguf".to_owned())]));
        let can: Vec<&str> =
            adapter.abilities.iter().filter(|ability| ability.can).map(|ability| ability.what).collect();
        assert_eq!(can, ["run", "merge", "classify"], "an adapter is no base to train");
    }

    #[test]
    fn a_broken_file_is_described_with_its_problems() {
        let entries = [("general.architecture", "llama".into()), ("llama.block_count", Value::U32(1))];
        let (broken, problems) = file(&entries, &[TensorData::f32("a", &[1], &[0.0])]);
        assert!(problems.any_error());
        assert_eq!(broken.abilities.len(), 1);
        assert!(!broken.abilities[0].can);
    }
}
