//! The numbers of a decoder: the model's own, those that are trained beside them, and their gradients.

use super::config::Config;
use super::error::ModelError;
use super::saved::{Parameter, Saved};
use super::settings::{LoraOn, LoraSettings, Settings, Trained};
use crate::error::Place;
use crate::ggml::{Arena, Device, Tensor, quants};
use crate::gguf::{Gguf, TensorInfo, TensorReader, TensorType};
use crate::seed;
use rand::RngExt;
use std::collections::BTreeMap;

/// Rows and columns of adapters are padded to a multiple of this in memory: ggml's fast products work on so many numbers.
/// What is padded stays 0, since its gradient is 0.
const RANK_STEP: usize = 16;

/// Numbers that are trained, with what the optimiser needs.
#[derive(Debug, Clone)]
pub(super) struct Learned {
    pub(super) name: String,
    /// The numbers, as they are in memory (an adapter's rank is padded).
    pub(super) value: Tensor,
    pub(super) gradient: Tensor,
    pub(super) first: Tensor,
    pub(super) second: Tensor,
    /// Its sizes without what is padded, as files have them.
    dims: Vec<usize>,
}

/// One tensor of the model.
#[derive(Debug, Clone)]
pub(super) struct Weight {
    /// Its numbers: as in the file, or f32 where they are trained.
    pub(super) value: Tensor,
    /// Its gradient, where it is trained itself.
    pub(super) gradient: Option<Tensor>,
    /// Its adapter.
    pub(super) lora: Option<Lora>,
}

/// `W x + scale · B (A x)`.
#[derive(Debug, Clone)]
pub(super) struct Lora {
    /// [in, rank].
    pub(super) a: Learned,
    /// [rank, out].
    pub(super) b: Learned,
    pub(super) scale: f32,
    pub(super) dropout: f32,
    /// Tells its dropout from that of others.
    pub(super) site: u32,
}

/// All numbers of a decoder.
#[derive(Debug)]
pub(super) struct Weights {
    arena: Arena,
    tensors: BTreeMap<String, Weight>,
    pub(super) learned: Vec<Learned>,
    pub(super) head: Option<[Learned; 2]>,
    pub(super) parameters: u64,
}

impl Weights {
    /// Reads a model's tensors into the device's memory, and makes those that are trained.
    pub(super) fn read(gguf: &Gguf, config: &Config, settings: &Settings, device: &Device) -> Result<Self, ModelError> {
        let weights = Self::plan(gguf, config, settings)?;
        weights.arena.allocate(device)?;
        weights.fill(gguf, settings)?;
        Ok(weights)
    }

    /// The same without memory or numbers, to be measured.
    pub(super) fn plan(gguf: &Gguf, config: &Config, settings: &Settings) -> Result<Self, ModelError> {
        check_names(gguf, config)?;
        let arena = Arena::new(gguf.tensors().len() * 20 + 16)?;
        let mut weights = Self {
            arena: arena.clone(),
            tensors: BTreeMap::new(),
            learned: Vec::new(),
            head: None,
            parameters: gguf.parameter_count(),
        };
        for tensor in gguf.tensors() {
            let weight = weights.weight(&arena, tensor, settings)?;
            weights.tensors.insert(tensor.name.clone(), weight);
        }
        if settings.outputs > 0 {
            let (name, dims) = ("head.weight", [config.width, settings.outputs]);
            let weight = learned(&arena, name, &dims, &dims)?;
            let bias = learned(&arena, "head.bias", &[settings.outputs], &[settings.outputs])?;
            weights.learned.extend([weight.clone(), bias.clone()]);
            weights.head = Some([weight, bias]);
        }
        Ok(weights)
    }

    fn weight(&mut self, arena: &Arena, tensor: &TensorInfo, settings: &Settings) -> Result<Weight, ModelError> {
        let dims: Vec<usize> = tensor.dims.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        let full = settings.trained == Trained::Full && tensor.name != ROPE_FACTORS;
        // Norms and biases are few numbers, and the kernels want them in f32.
        let kind = if full || dims.len() == 1 { TensorType::F32 } else { tensor.kind };
        if full {
            let learned = learned(arena, &tensor.name, &dims, &dims)?;
            self.learned.push(learned.clone());
            return Ok(Weight { value: learned.value, gradient: Some(learned.gradient), lora: None });
        }
        let value = arena.tensor(&tensor.name, kind, &dims)?;
        let lora = match &settings.trained {
            Trained::Lora(lora) if adapts(lora.on, &tensor.name) => Some(self.lora(arena, tensor, &dims, lora)?),
            _ => None,
        };
        Ok(Weight { value, gradient: None, lora })
    }

    fn lora(
        &mut self,
        arena: &Arena,
        tensor: &TensorInfo,
        dims: &[usize],
        settings: &LoraSettings,
    ) -> Result<Lora, ModelError> {
        let (rank, padded) = (settings.rank, settings.rank.next_multiple_of(RANK_STEP));
        let (name, [from, to]) = (&tensor.name, [dims[0], dims.get(1).copied().unwrap_or(1)]);
        let a = learned(arena, &format!("{name}.lora_a"), &[from, padded], &[from, rank])?;
        let b = learned(arena, &format!("{name}.lora_b"), &[padded, to], &[rank, to])?;
        self.learned.extend([a.clone(), b.clone()]);
        let site = u32::try_from(self.learned.len()).unwrap_or(u32::MAX);
        Ok(Lora { a, b, scale: settings.alpha / rank as f32, dropout: settings.dropout, site })
    }

    fn fill(&self, gguf: &Gguf, settings: &Settings) -> Result<(), ModelError> {
        let unreadable = |error: &dyn std::fmt::Display| ModelError::unreadable(gguf.path(), error);
        let mut reader = TensorReader::open(gguf).map_err(|error| unreadable(&error))?;
        for tensor in gguf.tensors() {
            let Some(weight) = self.tensors.get(&tensor.name) else { continue };
            let bytes = reader.read(tensor).map_err(|error| unreadable(&error))?;
            if weight.value.kind() == Some(tensor.kind) {
                weight.value.set_bytes(&bytes)?;
                continue;
            }
            let row = weight.value.dims()[0];
            let numbers = quants::to_f32(tensor.kind, row, &bytes).map_err(|error| unreadable(&error))?;
            weight.value.set(&numbers)?;
        }
        for lora in self.tensors.values().filter_map(|weight| weight.lora.as_ref()) {
            lora.begin(settings.seed)?;
        }
        match &self.head {
            Some([weight, _]) => begin(weight, settings.seed, weight.value.dims()[0]),
            None => Ok(()),
        }
    }

    /// Where all of them live.
    pub(super) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// A tensor that the architecture has for certain.
    pub(super) fn get(&self, name: &str) -> Result<&Weight, ModelError> {
        let missing =
            || ModelError::Broken { what: format!("the tensor `{name}` is missing"), place: Place::default() };
        self.tensors.get(name).ok_or_else(missing)
    }

    /// A tensor that only some models have.
    pub(super) fn find(&self, name: &str) -> Option<&Weight> {
        self.tensors.get(name)
    }

    /// Bytes of all tensors, trained or not.
    pub(super) fn bytes(&self) -> usize {
        let own: usize = self.tensors.values().map(|weight| weight.value.bytes()).sum();
        let adapters = self.learned.iter().map(|learned| learned.value.bytes());
        let values: usize = adapters.clone().sum();
        // A fully trained tensor is its own value.
        let twice: usize =
            self.tensors.values().filter(|w| w.gradient.is_some()).map(|weight| weight.value.bytes()).sum();
        own + values * 4 - twice
    }

    pub(super) fn names(&self) -> Vec<Parameter> {
        self.learned.iter().map(|l| Parameter { name: l.name.clone(), dims: l.dims.clone() }).collect()
    }

    pub(super) fn save(&self) -> Result<Vec<Saved>, ModelError> {
        self.learned.iter().map(Learned::save).collect()
    }

    /// The gradients, as `values`.
    pub(super) fn gradients(&self) -> Result<Vec<Saved>, ModelError> {
        let gradient = |learned: &Learned| -> Result<Saved, ModelError> {
            let values = learned.real(&learned.gradient.values()?);
            Ok(Saved { name: learned.name.clone(), dims: learned.dims.clone(), values, ..Saved::default() })
        };
        self.learned.iter().map(gradient).collect()
    }

    /// Sets everything that is trained to saved numbers. Errors, changing nothing, unless they are of the very same
    /// tensors.
    pub(super) fn restore(&self, saved: &[Saved]) -> Result<(), ModelError> {
        if let Some(odd) = self.learned.iter().zip(saved).find(|(learned, saved)| !learned.is(saved)) {
            let what = format!("`{}` {:?} where `{}` {:?} is trained", odd.1.name, odd.1.dims, odd.0.name, odd.0.dims);
            return Err(ModelError::Foreign { what });
        }
        if saved.len() != self.learned.len() {
            let what = format!("{} tensors where {} are trained", saved.len(), self.learned.len());
            return Err(ModelError::Foreign { what });
        }
        for (learned, saved) in self.learned.iter().zip(saved) {
            learned.value.set(&learned.padded(&saved.values))?;
            learned.first.set(&learned.padded(&saved.first_moment))?;
            learned.second.set(&learned.padded(&saved.second_moment))?;
        }
        Ok(())
    }
}

/// Factors of Llama 3's rotation: no weights, though they lie among them.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Which layers' matrices get an adapter.
fn adapts(on: LoraOn, name: &str) -> bool {
    const ATTENTION: [&str; 4] = ["attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"];
    const MLP: [&str; 3] = ["ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"];
    let is = |names: &[&str]| names.iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')));
    match on {
        LoraOn::All => is(&ATTENTION) || is(&MLP),
        LoraOn::Attention => is(&ATTENTION),
        LoraOn::Mlp => is(&MLP),
    }
}

/// Refuses tensors that the graph would leave out.
fn check_names(gguf: &Gguf, config: &Config) -> Result<(), ModelError> {
    const OUTSIDE: [&str; 4] = ["token_embd.weight", "output_norm.weight", "output.weight", ROPE_FACTORS];
    const INSIDE: [&str; 18] = [
        "attn_norm.weight",
        "attn_q.weight",
        "attn_k.weight",
        "attn_v.weight",
        "attn_output.weight",
        "attn_q.bias",
        "attn_k.bias",
        "attn_v.bias",
        "attn_output.bias",
        "attn_q_norm.weight",
        "attn_k_norm.weight",
        "ffn_norm.weight",
        "ffn_gate.weight",
        "ffn_up.weight",
        "ffn_down.weight",
        "ffn_gate.bias",
        "ffn_up.bias",
        "ffn_down.bias",
    ];
    let known = |name: &str| {
        let inside = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        let layer = inside.and_then(|(layer, _)| layer.parse::<usize>().ok());
        OUTSIDE.contains(&name)
            || (layer.is_some_and(|layer| layer < config.layers)
                && inside.is_some_and(|(_, name)| INSIDE.contains(&name)))
    };
    match gguf.tensors().iter().find(|tensor| !known(&tensor.name)) {
        None => Ok(()),
        Some(tensor) => {
            let what = format!("it has a tensor `{}`", tensor.name);
            Err(ModelError::Unsupported { what, place: Place::file(gguf.path()) })
        }
    }
}

fn learned(arena: &Arena, name: &str, padded: &[usize], dims: &[usize]) -> Result<Learned, ModelError> {
    let make = |name: &str| arena.tensor(name, TensorType::F32, padded);
    Ok(Learned {
        name: name.to_owned(),
        value: make(name)?,
        gradient: make("gradient")?,
        first: make("first moment")?,
        second: make("second moment")?,
        dims: dims.to_vec(),
    })
}

/// Uniform within ±1/√fan, from the seed and the name.
fn begin(learned: &Learned, seed: u64, fan: usize) -> Result<(), ModelError> {
    let mut random = seed::rng(seed::key(seed, &["weights", &learned.name]));
    let most = 1.0 / (fan as f32).sqrt();
    let real: usize = learned.dims.iter().product();
    let numbers: Vec<f32> = (0..real).map(|_| random.random_range(-most..most)).collect();
    Ok(learned.value.set(&learned.padded(&numbers))?)
}

impl Lora {
    fn begin(&self, seed: u64) -> Result<(), ModelError> {
        begin(&self.a, seed, self.a.value.dims()[0])
    }
}

impl Learned {
    /// Whether weight decay applies: to matrices, not to norms and biases.
    pub(super) fn decays(&self) -> bool {
        self.value.dims()[1] > 1
    }

    /// Without what is padded: the ends of rows, and whole rows.
    fn real(&self, numbers: &[f32]) -> Vec<f32> {
        let (row, rows) = (self.dims[0], self.dims.iter().skip(1).product());
        numbers.chunks_exact(self.value.dims()[0]).take(rows).flat_map(|numbers| &numbers[..row]).copied().collect()
    }

    /// With zeros for what is padded.
    fn padded(&self, numbers: &[f32]) -> Vec<f32> {
        let (row, padded) = (self.dims[0], self.value.dims()[0]);
        let rows = numbers.chunks_exact(row);
        let zeros = || std::iter::repeat_n(0.0, padded - row);
        let mut padded: Vec<f32> = rows.flat_map(|row| row.iter().copied().chain(zeros())).collect();
        padded.resize(self.value.len(), 0.0);
        padded
    }

    fn is(&self, saved: &Saved) -> bool {
        let len: usize = self.dims.iter().product();
        self.name == saved.name
            && self.dims == saved.dims
            && [&saved.values, &saved.first_moment, &saved.second_moment].iter().all(|numbers| numbers.len() == len)
    }

    fn save(&self) -> Result<Saved, ModelError> {
        Ok(Saved {
            name: self.name.clone(),
            dims: self.dims.clone(),
            values: self.real(&self.value.values()?),
            first_moment: self.real(&self.first.values()?),
            second_moment: self.real(&self.second.values()?),
        })
    }
}
