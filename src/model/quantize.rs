//! A model brought to another number format.

use super::rewrite::{FileError, Rewrite, Watch, Written, plan, refuse_replacing};
use super::storage::file_type;
use crate::error::{Place, Problems};
use crate::ggml::quants;
use crate::gguf::{Gguf, TensorType, Value};
use std::path::Path;

/// `GGML_QNT_VERSION`: how today's quantised formats are laid out.
const LAYOUT: u32 = 2;

/// Writes the model of one file to another, its matrices in a format. Metadata stays, lineage included: it is the same
/// model.
pub fn quantize(source: &Path, out: &Path, kind: TensorType, watch: Watch<'_>) -> Result<Written, Problems> {
    refuse_replacing(out, &[source])?;
    let model = Gguf::open_checked(source)?;
    let foreign = |what: String, help| FileError::Foreign { what, place: Place::file(source), help };
    if model.is_adapter() {
        let help = "merge it into its model, then quantize that: tripos merge BASE ADAPTER -o OUT --type T";
        return Err(foreign("this is an adapter, not a model".into(), help).into());
    }
    if !quants::can_write(kind) {
        let help = "name a format that does without an importance matrix, such as q4_k, iq4_xs, q3_k or q2_k";
        return Err(foreign(format!("numbers cannot be brought into {kind}"), help).into());
    }
    let (kinds, mut notes) = plan(&model, kind);
    let again = model.tensors().iter().zip(&kinds).find(|(old, new)| old.kind.block_len() > 1 && old.kind != **new);
    if let Some((tensor, _)) = again {
        notes.insert(0, format!(
            "the source is quantised already ({}): what it lost stays lost; start from its F16 or F32 file if there is one",
            tensor.kind
        ));
    }
    let mut metadata = model.metadata().clone();
    match file_type(kind) {
        Some(code) => _ = metadata.set("general.file_type", Value::U32(code)),
        None => _ = metadata.remove("general.file_type"),
    }
    metadata.set("general.quantization_version", Value::U32(LAYOUT));
    let rewrite = Rewrite { base: &model, path: out, metadata, kinds };
    let written = rewrite.write(&mut |_, _| Ok(None), watch)?;
    Ok(Written { notes, ..written })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::TensorReader;
    use crate::model::rewrite::numbers;

    const TINY: &str = "models/tripos-tiny.gguf";

    fn all(path: &Path) -> Vec<Vec<f32>> {
        let gguf = Gguf::open_checked(path).unwrap();
        let mut data = TensorReader::open(&gguf).unwrap();
        gguf.tensors().iter().map(|tensor| numbers(&gguf, tensor, &mut data).unwrap()).collect()
    }

    #[test]
    fn to_f32_and_back_is_the_same_file_in_every_tensor() {
        let folder = tempfile::tempdir().unwrap();
        let (wide, back) = (folder.path().join("f32.gguf"), folder.path().join("q8_0.gguf"));
        let written = quantize(Path::new(TINY), &wide, TensorType::F32, &mut |_, _| true).unwrap();
        assert!(written.after > written.before * 3);
        assert_eq!(all(&wide), all(Path::new(TINY)));
        quantize(&wide, &back, TensorType::Q8_0, &mut |_, _| true).unwrap();
        let (one, other) = (Gguf::open(Path::new(TINY)).unwrap(), Gguf::open(&back).unwrap());
        let (mut a, mut b) = (TensorReader::open(&one).unwrap(), TensorReader::open(&other).unwrap());
        for (old, new) in one.tensors().iter().zip(other.tensors()) {
            assert!(a.read(old).unwrap() == b.read(new).unwrap(), "{}", old.name);
        }
        assert_eq!(other.quantisation(), "Q8_0");
    }

    #[test]
    fn fewer_bits_are_further_from_the_original_and_the_output_keeps_six() {
        let folder = tempfile::tempdir().unwrap();
        let original = all(Path::new(TINY));
        let mut last = 0.0;
        for kind in [TensorType::Q6_K, TensorType::Q5_K, TensorType::Q4_K, TensorType::Q3_K, TensorType::Q2_K] {
            let path = folder.path().join("q.gguf");
            let written = quantize(Path::new(TINY), &path, kind, &mut |_, _| true).unwrap();
            let gguf = Gguf::open_checked(&path).unwrap();
            assert_eq!(gguf.tensor("blk.0.attn_q.weight").unwrap().kind, kind);
            assert_eq!(gguf.tensor("token_embd.weight").unwrap().kind, TensorType::Q6_K);
            // Rows of 704 are no multiple of 256.
            assert_ne!(gguf.tensor("blk.0.ffn_down.weight").unwrap().kind, kind);
            assert!(written.notes.iter().any(|note| note.contains("rows of 704 numbers")), "{:?}", written.notes);
            let mut error = 0.0;
            for (new, old) in all(&path).iter().zip(&original) {
                error += new.iter().zip(old).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            }
            assert!(error > last, "{kind}: {error} after {last}");
            last = error;
        }
    }

    #[test]
    fn a_stopped_one_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.gguf");
        let mut turns = 0;
        let stopped = quantize(Path::new(TINY), &path, TensorType::F16, &mut |_, _| {
            turns += 1;
            turns < 5
        });
        assert_eq!(stopped.unwrap_err().iter().next().unwrap().to_string(), "interrupted: nothing was written");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
