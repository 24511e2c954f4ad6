//! An adapter worked into its base: `W + scale · alpha / rank · B A`, kept in the base's formats or brought to one.

use super::lineage::{add_rewards, without_lineage};
use super::rewrite::{FileError, Rewrite, Watch, Written, numbers, plan, refuse_replacing};
use super::storage::file_type;
use crate::error::{Place, Problems};
use crate::ggml::quants;
use crate::gguf::{Gguf, Metadata, TensorInfo, TensorReader, TensorType, Value, sha256_file};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// What is merged, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Merge<'a> {
    /// The model.
    pub base: &'a Path,
    /// The adapter, trained on it.
    pub adapter: &'a Path,
    /// The new file.
    pub out: &'a Path,
    /// The format of the new file; each tensor's own where there is none.
    pub kind: Option<TensorType>,
    /// How much of the adapter; 1 is what it was trained as.
    pub scale: f32,
}

/// Merges. Errors when the adapter belongs to another model, by hash or by shape.
pub fn merge(merge: &Merge<'_>, watch: Watch<'_>) -> Result<Written, Problems> {
    refuse_replacing(merge.out, &[merge.base, merge.adapter])?;
    let (base, adapter) = (Gguf::open_checked(merge.base)?, Gguf::open_checked(merge.adapter)?);
    both_kinds(&base, &adapter)?;
    let (base_sha256, adapter_sha256) = (hash(merge.base)?, hash(merge.adapter)?);
    adapter.check_trained_on(&base, &base_sha256)?;
    adapter.check_fits(&base)?;

    let pairs = pairs(&adapter);
    let (kinds, mut notes) = match merge.kind {
        Some(kind) => plan(&base, kind),
        None => (base.tensors().iter().map(|tensor| tensor.kind).collect(), Vec::new()),
    };
    refuse_unwritable(&base, &kinds, &pairs)?;
    let metadata = metadata(&base, &adapter, merge, [&base_sha256, &adapter_sha256]);
    let data = TensorReader::open(&adapter)?;
    let scale = factor(&adapter, merge.scale);
    let mut changes = Changes { base: &base, adapter: &adapter, scale, pairs, data };
    let rewrite = Rewrite { base: &base, path: merge.out, metadata, kinds };
    let mut written = rewrite.write(&mut |tensor, data| changes.of(tensor, data), watch)?;
    if adapter.metadata().text("tripos.base.sha256").is_none() {
        let what = "the adapter does not say which model it was trained on; its shapes fit this one";
        notes.insert(0, what.to_owned());
    }
    if adapter.tensors().iter().any(|tensor| tensor.name.ends_with("_norm.weight")) {
        notes.push("the adapter's norms are left out, as llama.cpp leaves them out".to_owned());
    }
    written.notes = notes;
    Ok(written)
}

/// A model and an adapter that always applies.
fn both_kinds(base: &Gguf, adapter: &Gguf) -> Result<(), FileError> {
    let foreign = |what: &str, file: &Gguf, help| {
        Err(FileError::Foreign { what: what.to_owned(), place: Place::file(file.path()), help })
    };
    let order = "name the model first, then the adapter: tripos merge BASE ADAPTER -o OUT";
    if base.is_adapter() {
        return foreign("this is an adapter, not a model", base, order);
    }
    if !adapter.is_adapter() {
        return foreign("this is a model, not an adapter", adapter, order);
    }
    if adapter.metadata().get("adapter.alora.invocation_tokens").is_some() {
        let help = "use it beside its model: tripos run --adapter";
        return foreign(
            "this adapter applies only behind its invocation tokens, so it cannot be merged",
            adapter,
            help,
        );
    }
    Ok(())
}

fn hash(path: &Path) -> Result<String, FileError> {
    sha256_file(path).map_err(|error| FileError::Foreign {
        what: format!("the file cannot be read: {error}"),
        place: Place::file(path),
        help: "check that you may read it, and that the disk is healthy",
    })
}

/// The two matrices for each tensor that is changed.
fn pairs(adapter: &Gguf) -> BTreeMap<&str, (&TensorInfo, &TensorInfo)> {
    let halves = adapter.tensors().iter().filter_map(|a| {
        let base = a.name.strip_suffix(".lora_a")?;
        Some((base, (a, adapter.tensor(&format!("{base}.lora_b"))?)))
    });
    halves.collect()
}

/// A changed tensor must be brought into its format anew, which not every format allows.
fn refuse_unwritable(
    base: &Gguf,
    kinds: &[TensorType],
    pairs: &BTreeMap<&str, (&TensorInfo, &TensorInfo)>,
) -> Result<(), FileError> {
    let changed = base.tensors().iter().zip(kinds).filter(|(tensor, _)| pairs.contains_key(tensor.name.as_str()));
    match changed.into_iter().find(|(_, kind)| !quants::can_write(**kind)) {
        Some((tensor, kind)) => Err(FileError::Foreign {
            what: format!("tensor `{}` is {kind}, into which changed numbers cannot be brought again", tensor.name),
            place: Place::file(base.path()),
            help: "name another format: --type q4_k",
        }),
        None => Ok(()),
    }
}

/// `scale · alpha`, to be divided by the rank; without alpha the rank does not count (llama.cpp, `get_scale`).
fn factor(adapter: &Gguf, scale: f32) -> impl Fn(usize) -> f32 + use<> {
    let alpha = adapter.metadata().f32("adapter.lora.alpha").filter(|alpha| *alpha != 0.0);
    move |rank| alpha.map_or(scale, |alpha| scale * alpha / rank as f32)
}

/// The base's, and of the adapter: its head, its recipe, and that it is in.
fn metadata(base: &Gguf, adapter: &Gguf, merge: &Merge<'_>, [base_sha256, adapter_sha256]: [&str; 2]) -> Metadata {
    let mut metadata = without_lineage(base);
    let rewards = metadata.rewards();
    for (key, value) in adapter.metadata().iter().filter(|(key, _)| key.starts_with("tripos.")) {
        metadata.set(key, value.clone());
    }
    add_rewards(&mut metadata, &rewards);
    if let (Some(one), Some(other)) = (base.name(), adapter.name()) {
        metadata.set("general.name", format!("{one} + {other}").as_str().into());
    }
    if let Some(code) = merge.kind.and_then(file_type) {
        metadata.set("general.file_type", Value::U32(code));
    }
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    metadata.set("tripos.base.sha256", base_sha256.into());
    metadata.set("tripos.base.file", name(merge.base).as_str().into());
    metadata.set("tripos.adapter.sha256", adapter_sha256.into());
    metadata.set("tripos.adapter.file", name(merge.adapter).as_str().into());
    metadata.set("tripos.adapter.scale", Value::F32(merge.scale));
    metadata
}

struct Changes<'a, F> {
    base: &'a Gguf,
    adapter: &'a Gguf,
    scale: F,
    pairs: BTreeMap<&'a str, (&'a TensorInfo, &'a TensorInfo)>,
    /// Of the adapter.
    data: TensorReader,
}

impl<F: Fn(usize) -> f32> Changes<'_, F> {
    /// A tensor's numbers with its change, where it has one.
    fn of(&mut self, tensor: &TensorInfo, base: &mut TensorReader) -> Result<Option<Vec<f32>>, FileError> {
        let Some((a, b)) = self.pairs.get(tensor.name.as_str()) else { return Ok(None) };
        let (a_numbers, b_numbers) =
            (numbers(self.adapter, a, &mut self.data)?, numbers(self.adapter, b, &mut self.data)?);
        let size = |tensor: &TensorInfo, i: usize| tensor.dims.get(i).map_or(1, |n| usize::try_from(*n).unwrap_or(0));
        let rank = size(b, 0);
        let (left, right) = if tensor.name.ends_with("token_embd.weight") {
            // Looked up rather than multiplied: A has a row a token, B a row a number of its vector.
            (a_numbers, transposed(&b_numbers, rank))
        } else {
            (b_numbers, a_numbers)
        };
        let product = Product { left, right, rank, rows: size(tensor, 1), scale: (self.scale)(rank) };
        let mut sum = numbers(self.base, tensor, base)?;
        product.add_to(&mut sum, size(tensor, 0));
        Ok(Some(sum))
    }
}

/// `scale · left · right`, for one matrix or several of `rows` rows (experts): left has a row of `rank` numbers for each
/// of their rows, right has `rank` rows for each matrix.
struct Product {
    left: Vec<f32>,
    right: Vec<f32>,
    rank: usize,
    rows: usize,
    scale: f32,
}

impl Product {
    fn add_to(&self, numbers: &mut [f32], row_len: usize) {
        numbers.par_chunks_mut(row_len).zip(self.left.par_chunks(self.rank)).enumerate().for_each(
            |(at, (row, left))| {
                let matrix = at / self.rows * self.rank * row_len;
                let right = self.right.get(matrix..).unwrap_or_default().chunks(row_len);
                let mut change = vec![0.0_f32; row_len];
                for (factor, right) in left.iter().zip(right) {
                    change.iter_mut().zip(right).for_each(|(sum, number)| *sum += factor * number);
                }
                row.iter_mut().zip(&change).for_each(|(number, change)| *number += self.scale * change);
            },
        );
    }
}

/// Rows of `len` numbers turned into columns.
fn transposed(numbers: &[f32], len: usize) -> Vec<f32> {
    (0..len).flat_map(|column| numbers.iter().skip(column).step_by(len).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition, number by number, for two matrices of three rows.
    #[test]
    fn the_product_is_that_of_the_definition() {
        let (rank, rows, row_len, matrices) = (2, 3, 4, 2);
        let wave = |n: usize, step: f32| (0..n).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
        let (left, right) = (wave(matrices * rows * rank, 0.9), wave(matrices * rank * row_len, 1.7));
        let start = wave(matrices * rows * row_len, 0.3);
        let mut sum = start.clone();
        Product { left: left.clone(), right: right.clone(), rank, rows, scale: 0.5 }.add_to(&mut sum, row_len);
        for matrix in 0..matrices {
            for row in 0..rows {
                for column in 0..row_len {
                    let at = (matrix * rows + row) * row_len + column;
                    let dot: f32 = (0..rank)
                        .map(|r| left[(matrix * rows + row) * rank + r] * right[(matrix * rank + r) * row_len + column])
                        .sum();
                    assert!((sum[at] - (start[at] + 0.5 * dot)).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
