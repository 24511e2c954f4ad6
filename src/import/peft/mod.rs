//! LoRA adapters of Hugging Face's PEFT: a folder with `adapter_config.json` and `adapter_model.safetensors` becomes one
//! adapter GGUF.
//!
//! Follows llama.cpp's `convert_lora_to_gguf.py`:
//!
//! - A is `[rank, in]` and B `[out, rank]` in PyTorch's order, which is `[in, rank]` and `[rank, out]` in ggml's: the same
//!   bytes;
//! - rows of B of queries and keys are interleaved where the model's file has them so (`names::interleaves`): Hugging
//!   Face rotates the halves of a head, those architectures of llama.cpp adjacent pairs;
//! - rank-stabilised scaling, `alpha / √rank`, becomes a plain `alpha / rank` of another alpha;
//! - where modules differ in alpha, the difference is multiplied into B.
//!
//! Whatever else PEFT can express is refused by name, everything at once: an adapter that loads and answers wrongly is
//! worse than none.

mod config;
mod error;
mod names;
mod weights;

pub use error::{PeftError, PeftProblem};

use crate::error::{Place, Problems};
use crate::gguf::{self, Gguf, Metadata, TensorData, TensorInfo, Value, sha256_file};
use config::Config;
use std::collections::BTreeMap;
use std::path::Path;
use weights::Half;

/// The two files of an adapter.
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// What was brought in.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// How many matrices are changed.
    pub matrices: usize,
    /// The largest rank.
    pub rank: usize,
    /// Alpha as the new file has it.
    pub alpha: f32,
    /// How many matrices had rows interleaved.
    pub interleaved: usize,
    /// What PEFT's configuration calls the base model.
    pub base: Option<String>,
    /// Settings that Tripos does not know and passed over.
    pub notes: Vec<String>,
}

/// Turns the adapter in a folder into a file, for a base model that is at hand: its architecture says how tensors are
/// named and laid out, and the adapter is checked against it. Reports every problem found.
pub fn import(folder: &Path, base: &Path, out: &Path) -> Result<Imported, Problems> {
    refuse_replacing(out, &[base, &folder.join(CONFIG), &folder.join(WEIGHTS)])?;
    let model = Gguf::open_checked(base)?;
    let mut problems = Problems::new();
    let config = Config::read(&folder.join(CONFIG), &mut problems);
    let file = folder.join(WEIGHTS);
    let weights = weights::read(&file, &mut problems);
    let (Some(config), Some(weights)) = (config, weights) else { return Err(problems) };
    copies_fit(&weights.copies, &model, &file, &mut problems);
    let pairs = pairs(&weights.halves, &model, &file, &mut problems);
    let pairs: Vec<Pair<'_>> = pairs.into_iter().filter(|pair| pair.agrees(&config, &file, &mut problems)).collect();
    problems.or_ok(())?;

    let alpha = config.alpha_of_most(&pairs.iter().map(|pair| (pair.module, pair.rank)).collect::<Vec<_>>());
    let metadata = metadata(folder, base, &model, alpha)?;
    let (mut tensors, mut interleaved) = (Vec::new(), 0);
    for pair in &pairs {
        interleaved += usize::from(pair.heads.is_some());
        tensors.extend(pair.tensors(config.alpha(pair.module, pair.rank) / f64::from(alpha)));
    }
    let infos: Vec<TensorInfo> =
        tensors.iter().map(|tensor| TensorInfo::new(tensor.name.as_str(), &tensor.dims, tensor.kind)).collect();
    let plan = Gguf::planned(out, &metadata, &infos)?;
    plan.check()?;
    plan.check_fits(&model)?;
    gguf::write(out, &metadata, &tensors)?;
    let rank = pairs.iter().map(|pair| pair.rank).max().unwrap_or(0);
    let (base, notes) = (config.base, config.notes);
    Ok(Imported { matrices: pairs.len(), rank, alpha, interleaved, base, notes })
}

/// Refuses to write over one of the files that are read, whatever way leads there.
fn refuse_replacing(out: &Path, sources: &[&Path]) -> Result<(), PeftError> {
    let Ok(target) = out.canonicalize() else { return Ok(()) };
    match sources.iter().find(|source| source.canonicalize().is_ok_and(|source| source == target)) {
        Some(source) => Err(PeftError::new(source, PeftProblem::Replaces)),
        None => Ok(()),
    }
}

/// What PEFT wrote of the base beside the adapter must be the base's own, or tokens were added to it.
fn copies_fit(copies: &[(String, Vec<usize>)], model: &Gguf, file: &Path, problems: &mut Problems) {
    for (module, shape) in copies {
        let Some(tensor) = names::tensor(module, model).ok().and_then(|name| model.tensor(&name)) else { continue };
        if !tensor.dims.iter().rev().copied().eq(shape.iter().map(|n| *n as u64)) {
            let why = format!("was {shape:?} in training, and is {} in the model (rows last)", tensor.shape());
            let help = "tokens were added to the model before training: convert that model, not the original";
            problems.push(PeftError::tensor(file, module, why, help));
        }
    }
}

fn metadata(folder: &Path, base: &Path, model: &Gguf, alpha: f32) -> Result<Metadata, PeftError> {
    let sha256 = sha256_file(base).map_err(|error| PeftError::unreadable(base, &error))?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let texts = [
        ("general.type", "adapter"),
        ("general.architecture", model.architecture().unwrap_or_default()),
        ("general.name", &name(&folder)),
        ("adapter.type", "lora"),
        ("tripos.base.sha256", &sha256),
        ("tripos.base.file", &name(base)),
    ];
    let mut metadata: Metadata = texts.into_iter().map(|(key, text)| (key, Value::from(text))).collect();
    metadata.set("adapter.lora.alpha", Value::F32(alpha));
    Ok(metadata)
}

/// The two halves for one matrix.
struct Pair<'a> {
    /// The base's tensor: `blk.0.attn_q.weight`.
    name: String,
    /// PEFT's module: `model.layers.0.self_attn.q_proj`.
    module: &'a str,
    a: &'a Half,
    b: &'a Half,
    rank: usize,
    /// Of how many heads the rows of B are, where they have to be interleaved.
    heads: Option<usize>,
}

/// Finds the matrices that are meant; a module that no matrix answers to is a problem, and so is half a pair.
fn pairs<'a>(halves: &'a [Half], model: &Gguf, file: &Path, problems: &mut Problems) -> Vec<Pair<'a>> {
    let mut by_module: BTreeMap<&str, [Option<&Half>; 2]> = BTreeMap::new();
    for half in halves {
        by_module.entry(half.module.as_str()).or_default()[usize::from(half.is_b)] = Some(half);
    }
    let mut fault = |module: &str, why: String, help: &'static str| {
        problems.push(PeftError::tensor(file, module, why, help));
    };
    let mut found = Vec::new();
    for (module, both) in by_module {
        let [Some(a), Some(b)] = both else {
            let missing = if both[0].is_none() { "lora_A" } else { "lora_B" };
            fault(module, format!("lacks its {missing}"), "save the adapter again: model.save_pretrained(DIR)");
            continue;
        };
        match names::tensor(module, model) {
            Ok(name) => {
                let rank = if a.is_embedding { a.shape[0] } else { b.shape[1] };
                let heads = names::interleaves(&name, model);
                found.push(Pair { name, module, a, b, rank, heads });
            }
            Err(why) => fault(
                module,
                why,
                "train one for linear layers only (target_modules: all-linear), or for another model",
            ),
        }
    }
    if halves.is_empty() {
        problems.push(PeftError::new(file, PeftProblem::Empty));
    }
    found
}

impl Pair<'_> {
    /// Whether the shapes agree with each other and with the configuration.
    fn agrees(&self, config: &Config, file: &Path, problems: &mut Problems) -> bool {
        let (a, b) = (self.a, self.b);
        let other = if a.is_embedding { b.shape[1] } else { a.shape[0] };
        let planned = config.rank(self.module);
        let why = if other != self.rank {
            format!("has A of {:?} and B of {:?}, which do not multiply", a.shape, b.shape)
        } else if planned != self.rank {
            format!("has rank {}, and {CONFIG} says {planned}", self.rank)
        } else if self.heads.is_some_and(|heads| heads == 0 || !b.shape[0].is_multiple_of(2 * heads)) {
            format!("has {} rows, which are not those of {} heads", b.shape[0], self.heads.unwrap_or(0))
        } else {
            return true;
        };
        let help = "the two files of the folder belong to different adapters, or this is not the base model";
        problems.push(PeftError::tensor(file, self.module, why, help));
        false
    }

    /// As the GGUF has them, B multiplied by a factor.
    fn tensors(&self, factor: f64) -> [TensorData<'static>; 2] {
        let (mut a, mut b) = (self.a.numbers.clone(), self.b.numbers.clone());
        let (mut a_rows, b_rows) = (self.a.shape[0], self.b.shape[0]);
        if self.a.is_embedding {
            // Looked up rather than multiplied: a row a token.
            a = weights::transposed(&a, self.a.shape[1]);
            a_rows = self.a.shape[1];
        }
        if let Some(heads) = self.heads {
            b = weights::interleaved(&b, self.rank, heads);
        }
        if (factor - 1.0).abs() > f64::EPSILON {
            #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
            let scaled = |x: &f32| (f64::from(*x) * factor) as f32;
            b = b.iter().map(scaled).collect();
        }
        let half = |ending: &str, numbers: &[f32], rows: usize| {
            let dims = [numbers.len() / rows.max(1), rows].map(|n| n as u64);
            TensorData::f32(format!("{}.{ending}", self.name), &dims, numbers)
        };
        [half("lora_a", &a, a_rows), half("lora_b", &b, b_rows)]
    }
}

/// The place of a file as a whole.
fn place(file: &Path) -> Place {
    Place::file(file)
}
