//! What every part of the graph is built with.

use super::config::Config;
use super::error::ModelError;
use super::settings::{Precision, Settings};
use super::weights::Weights;
use crate::ggml::{Arena, Device, GgmlError, Graph, Judge, Operand, Products, SEEN, Sum, Tensor};
use crate::gguf::TensorType;

/// Numbers that a computation is given, and where its results are put: they have memory of their own.
#[derive(Debug)]
pub(super) struct Inputs {
    pub(super) tokens: Tensor,
    pub(super) positions: Tensor,
    /// [3, tokens]: what each token sees of its row.
    pub(super) seen: Tensor,
    pub(super) key: Tensor,
    pub(super) targets: Option<Targets>,
    pub(super) ends: Option<Ends>,
    /// d loss / d reading: those of log-probabilities, then those of outputs.
    pub(super) coefficients: Tensor,
    arena: Arena,
}

/// Of the reading "log-probability of a target".
#[derive(Debug)]
pub(super) struct Targets {
    /// Where the target's token is predicted.
    pub(super) places: Tensor,
    pub(super) tokens: Tensor,
    /// [2, targets]: each log-probability, and the logarithm of Σ eˡ.
    pub(super) logprobs: Tensor,
    pub(super) count: usize,
}

/// Of the reading "outputs of the head".
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) places: Tensor,
    /// [outputs, ends].
    pub(super) outputs: Tensor,
    pub(super) count: usize,
    pub(super) width: usize,
}

/// Targets are padded to a multiple of this: ggml's fast products work on so many numbers.
const TARGET_STEP: usize = 32;

impl Inputs {
    /// Plans them; they have no memory until [`allocate`](Self::allocate).
    pub(super) fn new(settings: &Settings) -> Result<Self, ModelError> {
        let (arena, shape) = (Arena::new(16)?, &settings.shape);
        let whole = |name: &str, n: usize| arena.tensor(name, TensorType::I32, &[n]);
        let (targets, ends) = (shape.targets.next_multiple_of(TARGET_STEP), shape.ends);
        let real = |name: &str, dims: &[usize]| arena.tensor(name, TensorType::F32, dims);
        let with_targets = shape.targets > 0;
        let with_ends = settings.outputs > 0 && ends > 0;
        if !with_targets && !with_ends {
            let what = "nothing is read: there are neither targets nor a head".to_owned();
            return Err(ModelError::Setting { what });
        }
        let readings = if with_targets { targets } else { 0 } + if with_ends { settings.outputs * ends } else { 0 };
        let (of_targets, of_ends) = (
            Targets {
                places: whole("places", targets.max(1))?,
                tokens: whole("targets", targets.max(1))?,
                logprobs: real("logprobs", &[2, targets.max(1)])?,
                count: targets,
            },
            Ends {
                places: whole("ends", ends.max(1))?,
                outputs: real("outputs", &[settings.outputs.max(1), ends.max(1)])?,
                count: ends,
                width: settings.outputs,
            },
        );
        Ok(Self {
            tokens: whole("tokens", shape.tokens())?,
            positions: whole("positions", shape.tokens())?,
            seen: whole("seen", SEEN * shape.tokens())?,
            key: whole("key", 2)?,
            targets: with_targets.then_some(of_targets),
            ends: with_ends.then_some(of_ends),
            coefficients: real("coefficients", &[readings])?,
            arena,
        })
    }

    pub(super) fn arena(&self) -> &Arena {
        &self.arena
    }

    pub(super) fn allocate(&self, device: &Device) -> Result<(), ModelError> {
        Ok(self.arena.allocate(device)?)
    }
}

/// Builds one graph.
#[derive(Debug)]
pub(super) struct Builder<'a> {
    pub(super) graph: &'a Graph,
    pub(super) weights: &'a Weights,
    pub(super) config: &'a Config,
    pub(super) settings: &'a Settings,
    pub(super) inputs: &'a Inputs,
    pub(super) judge: &'a Judge,
    /// What computes products.
    pub(super) by: Products,
    /// Whether it goes back too.
    pub(super) learns: bool,
}

impl Builder<'_> {
    pub(super) fn arena(&self) -> &Arena {
        self.graph.arena()
    }

    /// Computes this next.
    pub(super) fn need(&self, tensor: &Tensor) {
        self.graph.need(tensor);
    }

    /// Adds to a gradient, next.
    pub(super) fn add_to(&self, gradient: &Tensor, part: &Tensor) -> Result<(), ModelError> {
        self.need(&self.arena().add_to(gradient, part)?);
        Ok(())
    }

    /// The product Aᵀ B, whose sums run as said.
    pub(super) fn product(&self, a: (&Operand, Sum), b: (&Operand, Sum)) -> Result<Tensor, ModelError> {
        Ok(self.arena().product(a, b, self.by)?)
    }

    pub(super) fn tokens(&self) -> usize {
        self.settings.shape.tokens()
    }
}

impl Precision {
    /// What computes in it, the CPU on so many threads.
    pub(super) fn device(self, threads: usize) -> Result<Device, GgmlError> {
        match self {
            Self::Bf16 => Device::with_gpus(threads),
            Self::F32 | Self::Stored => Device::cpu(threads),
        }
    }

    /// What computes products of it on a device.
    pub(super) fn products(self, device: &Device) -> Products {
        match self {
            Self::Bf16 => Products::on(device, TensorType::BF16),
            Self::F32 => Products::on(device, TensorType::F32),
            Self::Stored => Products::Stored,
        }
    }
}
