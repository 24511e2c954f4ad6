//! Trained numbers as files: an adapter, or a whole model (contract.md, section 6).

use super::head::Head;
use super::lineage::{Lineage, without_lineage};
use super::rewrite::{FileError, Rewrite, Written};
use super::saved::Saved;
use super::settings::LoraSettings;
use super::storage::{file_type, stored_as};
use crate::error::{Place, Problems};
use crate::ggml::quants;
use crate::gguf::{Gguf, Metadata, TensorInfo, TensorType, Value, Writer};
use std::collections::HashMap;
use std::path::Path;

/// What is written, and where.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// The new file.
    pub path: &'a Path,
    /// What it calls itself.
    pub name: &'a str,
    /// The model that was trained.
    pub base: &'a Gguf,
    /// The trained numbers. Those of a head (`head.…`) are left out: they come in `head`.
    pub saved: &'a [Saved],
    /// Where they come from.
    pub lineage: &'a Lineage,
    /// A head.
    pub head: Option<&'a Head>,
}

impl<'a> Export<'a> {
    fn tensors(&self) -> impl Iterator<Item = &'a Saved> {
        self.saved.iter().filter(|saved| !saved.name.starts_with("head."))
    }

    fn foreign(&self, what: String) -> FileError {
        let help = "this is a mistake of Tripos, not yours: the numbers belong to another model or recipe";
        FileError::Foreign { what, place: Place::file(self.path), help }
    }

    /// Lineage, name, licence and head.
    fn describe(&self, metadata: &mut Metadata) -> Result<(), FileError> {
        metadata.set("general.name", self.name.into());
        self.lineage.put(metadata);
        if let Some(head) = self.head {
            if let Some(fault) = head.fault(self.base.embedding_length().unwrap_or(0)) {
                return Err(self.foreign(fault));
            }
            head.put(metadata);
        }
        Ok(())
    }
}

/// Writes an adapter: its two matrices for each tensor that it changes, in F32. It is checked against its base first, so
/// that what is written can be loaded.
pub fn adapter(export: &Export<'_>, lora: &LoraSettings) -> Result<(), Problems> {
    let mut metadata = Metadata::default();
    metadata.set("general.type", "adapter".into());
    metadata.set("general.architecture", export.base.architecture().unwrap_or_default().into());
    let licence = export.base.metadata().iter().filter(|(key, _)| key.starts_with("general.license"));
    licence.for_each(|(key, value)| _ = metadata.set(key, value.clone()));
    metadata.set("adapter.type", "lora".into());
    metadata.set("adapter.lora.alpha", Value::F32(lora.alpha));
    export.describe(&mut metadata)?;

    let infos: Vec<TensorInfo> = export.tensors().map(|saved| info(saved, TensorType::F32)).collect();
    let plan = Gguf::planned(export.path, &metadata, &infos)?;
    plan.check()?;
    plan.check_fits(export.base)?;
    let mut writer = Writer::create(export.path, &metadata, &infos)?;
    for saved in export.tensors() {
        let row = saved.dims.first().copied().unwrap_or(0);
        let bytes = quants::from_f32(TensorType::F32, row, &saved.values).map_err(|why| FileError::Numbers {
            name: saved.name.clone(),
            why,
            place: Place::file(export.path),
        })?;
        writer.tensor(&bytes)?;
    }
    Ok(writer.finish()?)
}

/// Writes a whole model: the base's metadata (tokenizer, template, licence) with the lineage of this one, the trained
/// tensors in `kind` (in the base's own formats where that is `None`), the others byte by byte.
pub fn full(export: &Export<'_>, kind: Option<TensorType>) -> Result<Written, Problems> {
    let mut metadata = without_lineage(export.base);
    if let Some(code) = kind.and_then(file_type) {
        metadata.set("general.file_type", Value::U32(code));
    }
    export.describe(&mut metadata)?;
    let trained: HashMap<&str, &Saved> = export.tensors().map(|saved| (saved.name.as_str(), saved)).collect();
    for saved in export.tensors() {
        let Some(tensor) = export.base.tensor(&saved.name) else {
            return Err(export.foreign(format!("`{}` is no tensor of the base model", saved.name)).into());
        };
        if tensor.elements() != Some(saved.values.len() as u64) || info(saved, tensor.kind).shape() != tensor.shape() {
            let (name, shape, count) = (&saved.name, &saved.dims, saved.values.len());
            let what = format!("`{name}` has {count} numbers in {shape:?}; the base has {}", tensor.shape());
            return Err(export.foreign(what).into());
        }
    }
    let kinds = export.base.tensors().iter().map(|tensor| match kind {
        Some(kind) if trained.contains_key(tensor.name.as_str()) => stored_as(tensor, kind, export.base).0,
        _ => tensor.kind,
    });
    let rewrite = Rewrite { base: export.base, path: export.path, metadata, kinds: kinds.collect() };
    rewrite
        .write(&mut |tensor, _| Ok(trained.get(tensor.name.as_str()).map(|saved| saved.values.clone())), &mut |_, _| {
            true
        })
}

fn info(saved: &Saved, kind: TensorType) -> TensorInfo {
    let dims: Vec<u64> = saved.dims.iter().map(|dim| *dim as u64).collect();
    TensorInfo::new(saved.name.as_str(), &dims, kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;
    use crate::gguf::{TensorReader, sha256_file};
    use crate::model::{Classifier, RewardHead};

    fn base() -> Gguf {
        Gguf::open(Path::new("models/tripos-tiny.gguf")).unwrap()
    }

    fn lineage() -> Lineage {
        let hash = |digit: &str| digit.repeat(64);
        let base_file = "tripos-tiny.gguf".into();
        Lineage {
            base: Some((hash("b"), base_file)),
            recipe_sha256: hash("c"),
            parent: Some(hash("d")),
            rewards: vec![],
        }
    }

    fn waves(name: &str, dims: [usize; 2]) -> Saved {
        let values = (0..dims[0] * dims[1]).map(|i| (i as f32 * 0.7).sin() * 0.1).collect();
        Saved { name: name.into(), dims: dims.to_vec(), values, ..Saved::default() }
    }

    fn head() -> Classifier {
        let labels = ["negative", "positive"].map(String::from).to_vec();
        Classifier { labels, weights: vec![0.5; 512], bias: vec![0.0, 1.0], render: "text".into() }
    }

    #[test]
    fn an_adapter_says_where_it_comes_from_and_fits_its_base() {
        let (base, folder) = (base(), tempfile::tempdir().unwrap());
        let (path, lineage, head) = (folder.path().join("a.gguf"), lineage(), head());
        let a = waves("blk.0.attn_k.weight.lora_a", [256, 4]);
        let b = waves("blk.0.attn_k.weight.lora_b", [4, 128]);
        let saved = [a.clone(), b, waves("head.weight", [256, 2])];
        let export = Export {
            path: &path,
            name: "mine",
            base: &base,
            saved: &saved,
            lineage: &lineage,
            head: Some(&Head::Classifier(head.clone())),
        };
        adapter(&export, &LoraSettings { rank: 4, alpha: 8.0, ..LoraSettings::default() }).unwrap();

        let read = Gguf::open_checked(&path).unwrap();
        read.check_fits(&base).unwrap();
        let text = |key: &str| read.metadata().text(key).map(str::to_owned);
        assert!(read.is_adapter());
        assert_eq!((read.architecture(), read.name()), (Some("llama"), Some("mine")));
        assert_eq!(read.metadata().f32("adapter.lora.alpha"), Some(8.0));
        assert_eq!(text("tripos.base.sha256"), Some("b".repeat(64)));
        assert_eq!(text("tripos.base.file").as_deref(), Some("tripos-tiny.gguf"));
        assert_eq!((text("tripos.recipe.sha256"), text("tripos.parent")), (Some("c".repeat(64)), Some("d".repeat(64))));
        assert_eq!(text("general.license"), base.metadata().text("general.license").map(str::to_owned));
        assert_eq!(read.metadata().texts("tripos.classifier.labels"), Some(head.labels.as_slice()));
        assert_eq!(read.metadata().f32s("tripos.classifier.head"), Some(head.weights.as_slice()));
        assert_eq!(read.metadata().f32s("tripos.classifier.bias"), Some(&[0.0, 1.0][..]));
        assert_eq!(text("tripos.classifier.render").as_deref(), Some("text"));
        assert_eq!(read.tensors().len(), 2);
        let bytes = TensorReader::open(&read).unwrap().read(&read.tensors()[0]).unwrap();
        assert_eq!(quants::to_f32(TensorType::F32, 256, &bytes).unwrap(), a.values);
    }

    #[test]
    fn a_whole_model_keeps_what_was_not_trained_byte_by_byte() {
        let (base, folder) = (base(), tempfile::tempdir().unwrap());
        let (path, lineage) = (folder.path().join("m.gguf"), lineage());
        let saved = [waves("blk.0.attn_k.weight", [256, 128])];
        let export = Export { path: &path, name: "mine", base: &base, saved: &saved, lineage: &lineage, head: None };
        for (kind, expected) in [(Some(TensorType::F32), TensorType::F32), (None, TensorType::Q8_0)] {
            full(&export, kind).unwrap();
            let read = Gguf::open_checked(&path).unwrap();
            assert_eq!(read.chat_template(), base.chat_template());
            assert_eq!(read.tokens(), base.tokens());
            assert_eq!(read.metadata().text("tripos.parent"), Some("d".repeat(64).as_str()));
            let (mut before, mut after) = (TensorReader::open(&base).unwrap(), TensorReader::open(&read).unwrap());
            for (old, new) in base.tensors().iter().zip(read.tensors()) {
                if new.name == "blk.0.attn_k.weight" {
                    assert_eq!(new.kind, expected);
                    let numbers = quants::to_f32(new.kind, 256, &after.read(new).unwrap()).unwrap();
                    assert!(numbers.iter().zip(&saved[0].values).all(|(a, b)| (a - b).abs() < 1e-3));
                } else {
                    assert!(before.read(old).unwrap() == after.read(new).unwrap(), "{}", new.name);
                }
            }
        }
    }

    /// Trained numbers that are those of the base give the base again.
    #[test]
    fn training_nothing_changes_no_tensor() {
        let (base, folder) = (base(), tempfile::tempdir().unwrap());
        let (path, lineage) = (folder.path().join("m.gguf"), lineage());
        let mut data = TensorReader::open(&base).unwrap();
        let saved: Vec<Saved> = base
            .tensors()
            .iter()
            .map(|tensor| {
                let dims: Vec<usize> = tensor.dims.iter().map(|dim| usize::try_from(*dim).unwrap()).collect();
                let values = quants::to_f32(tensor.kind, dims[0], &data.read(tensor).unwrap()).unwrap();
                Saved { name: tensor.name.clone(), dims, values, ..Saved::default() }
            })
            .collect();
        let export = Export { path: &path, name: "m", base: &base, saved: &saved, lineage: &lineage, head: None };
        full(&export, None).unwrap();
        let read = Gguf::open(&path).unwrap();
        let mut again = TensorReader::open(&read).unwrap();
        for (old, new) in base.tensors().iter().zip(read.tensors()) {
            assert!(data.read(old).unwrap() == again.read(new).unwrap(), "{}", new.name);
        }
        assert_ne!(sha256_file(&path).unwrap(), sha256_file(base.path()).unwrap(), "the lineage is new");
    }

    #[test]
    fn refuses_numbers_that_are_broken_or_not_of_this_base() {
        let (base, folder) = (base(), tempfile::tempdir().unwrap());
        let (path, lineage) = (folder.path().join("m.gguf"), lineage());
        let said = |saved: Saved, head: Option<&Head>| {
            let saved = [saved];
            let export = Export { path: &path, name: "m", base: &base, saved: &saved, lineage: &lineage, head };
            let problems = full(&export, Some(TensorType::F32)).unwrap_err();
            let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(problems.iter().all(|problem| render(problem, false).contains("help: ")));
            texts.join("\n")
        };
        insta::assert_snapshot!(said(waves("blk.9.attn_k.weight", [256, 128]), None), @"`blk.9.attn_k.weight` is no tensor of the base model");
        insta::assert_snapshot!(said(waves("blk.0.attn_k.weight", [128, 256]), None), @"`blk.0.attn_k.weight` has 32768 numbers in [128, 256]; the base has [256, 128]");
        let mut broken = waves("blk.0.attn_k.weight", [256, 128]);
        broken.values[7] = f32::NAN;
        insta::assert_snapshot!(said(broken, None), @"tensor `blk.0.attn_k.weight`: NaN (number 7) cannot be kept as F32");
        let short = Head::Classifier(Classifier { bias: vec![0.0], ..head() });
        insta::assert_snapshot!(said(waves("blk.0.attn_k.weight", [256, 128]), Some(&short)), @"a head of 512 weights and 1 biases does not fit 2 labels of width 256");
        let reward = |weights, std| Head::Reward(RewardHead { weights, std, ..RewardHead::default() });
        let same = || waves("blk.0.attn_k.weight", [256, 128]);
        insta::assert_snapshot!(said(same(), Some(&reward(vec![0.0; 7], 1.0))), @"a head of 7 weights does not fit a model of width 256");
        insta::assert_snapshot!(said(same(), Some(&reward(vec![0.0; 256], 0.0))), @"the reward model's head holds NaN or infinite numbers, or no spread");
        let saved = [waves("blk.0.attn_k.weight.lora_a", [256, 4])];
        let export = Export { path: &path, name: "m", base: &base, saved: &saved, lineage: &lineage, head: None };
        insta::assert_snapshot!(adapter(&export, &LoraSettings::default()).unwrap_err().iter().next().unwrap(), @"tensor `blk.0.attn_k.weight.lora_b` is missing");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
