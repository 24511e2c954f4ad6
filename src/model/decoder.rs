//! The decoder as a learner: batches in, readings out, gradients and steps inside.

use super::batch::Batch;
use super::builder::{Builder, Inputs};
use super::config::Config;
use super::error::ModelError;
use super::layer::LayerState;
use super::readings::at_once;
use super::saved::{Parameter, Saved};
use super::settings::Settings;
use super::update::{Optimiser, Update};
use super::weights::Weights;
use crate::ggml::{Device, Graph, Judge, Plan, Tensor};
use crate::gguf::Gguf;
use std::path::Path;

/// What a decoder says of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings {
    /// The log-probability (natural logarithm) of each target, rows first, then positions.
    pub logprobs: Vec<f32>,
    /// The head's outputs at each place where it is read: at the last token of each branch of each document, or where each
    /// target of a valued one is predicted. All of one place after another.
    pub outputs: Vec<f32>,
}

/// How the loss moves with each reading, in the same order.
pub type Coefficients = Readings;

/// A model that learns.
///
/// ```no_run
/// use tripos::model::{Batch, Coefficients, Decoder, Document, LoraSettings, Precision, Settings, Shape, Trained, Update};
/// let shape = Shape { rows: 1, len: 64, targets: 64, ends: 8 };
/// let settings = Settings {
///     trained: Trained::Lora(LoraSettings::default()),
///     precision: Precision::Bf16,
///     shape: shape.clone(),
///     outputs: 0,
///     recompute: false,
///     threads: 2,
///     seed: 1,
/// };
/// let mut decoder = Decoder::open("models/tripos-tiny.gguf".as_ref(), &settings)?;
/// let document = Document::new(vec![0, 5, 9], vec![false, true, true]);
/// let batch = Batch::new(&[vec![&document]], &shape)?;
/// // The mean negative log-likelihood: every target pulls with −1/2.
/// let loss = |_: &_| Coefficients { logprobs: vec![-0.5; 2], outputs: Vec::new() };
/// let readings = decoder.learn(&batch, 1, Box::new(loss))?;
/// decoder.update(&Update { step: 1, lr: 1e-3, ..Update::default() })?;
/// # Ok::<(), tripos::model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    config: Config,
    settings: Settings,
    device: Device,
    weights: Weights,
    inputs: Inputs,
    judge: Judge,
    forward: Option<Plan>,
    learning: Option<Plan>,
    optimiser: Optimiser,
}

/// What training would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Numbers in the model.
    pub parameters: u64,
    /// Numbers that are trained.
    pub trained: u64,
    /// Bytes of memory for weights, gradients, moments, activations, and the copy of what was learned that a checkpoint
    /// is written from.
    pub bytes: u64,
}

/// Bytes of a trained number and its two moments.
const COPY: u64 = 12;

/// Measures what training a model would take. No memory is set aside, and no weight is read.
pub fn estimate(base: &Path, settings: &Settings) -> Result<Estimate, ModelError> {
    let gguf = open(base)?;
    let config = Config::read(&gguf)?;
    let weights = Weights::plan(&gguf, &config, settings)?;
    let (inputs, judge) = (Inputs::new(settings)?, Judge::default());
    let device = settings.precision.device(settings.threads)?;
    let part = Part { device: &device, config: &config, settings, weights: &weights, inputs: &inputs, judge: &judge };
    let learning = part.graph(true)?.measure(&device, &[weights.arena(), inputs.arena()])?;
    let reading = part.graph(false)?.measure(&device, &[])?;
    let trained = trained(&weights);
    let bytes = (weights.bytes() + learning + reading) as u64 + trained * COPY;
    Ok(Estimate { parameters: weights.parameters, trained, bytes })
}

fn open(base: &Path) -> Result<Gguf, ModelError> {
    let gguf = Gguf::open(base).map_err(|error| ModelError::unreadable(base, error))?;
    // Architectures that are not ours are refused by name before what else is wrong with them.
    Config::read(&gguf)?;
    match gguf.check() {
        Ok(()) => Ok(gguf),
        Err(problems) => Err(ModelError::unreadable(base, problems.to_string())),
    }
}

fn trained(weights: &Weights) -> u64 {
    weights.names().iter().map(|parameter| parameter.dims.iter().product::<usize>() as u64).sum()
}

/// What graphs are built from.
struct Part<'a> {
    device: &'a Device,
    config: &'a Config,
    settings: &'a Settings,
    weights: &'a Weights,
    inputs: &'a Inputs,
    judge: &'a Judge,
}

/// Operations for one layer, forward and back, and for the rest, at most.
const OF_LAYER: usize = 400;
const OF_REST: usize = 4_096;
/// And for each chunk of targets whose logits are computed at once.
const OF_CHUNK: usize = 40;

impl Part<'_> {
    /// The graph of a batch: its readings, and the way back if it `learns`.
    fn graph(&self, learns: bool) -> Result<Graph, ModelError> {
        let chunks = self.settings.shape.targets.div_ceil(at_once(self.config.vocabulary)) + 1;
        let graph = Graph::new(self.config.layers * OF_LAYER + OF_REST + chunks * OF_CHUNK)?;
        let builder = Builder {
            graph: &graph,
            weights: self.weights,
            config: self.config,
            settings: self.settings,
            inputs: self.inputs,
            judge: self.judge,
            by: self.settings.precision.products(self.device),
            learns,
        };
        builder.whole()?;
        Ok(graph)
    }
}

impl Builder<'_> {
    fn whole(&self) -> Result<(), ModelError> {
        let arena = self.arena();
        let embedding = self.weights.get("token_embd.weight")?;
        let mut x = arena.get_rows(&embedding.value, &self.inputs.tokens)?;
        let (mut states, mut inputs) = (Vec::new(), Vec::new());
        for layer in 0..self.config.layers {
            let (y, state) = self.layer(layer, &x)?;
            self.need(&y);
            inputs.push(x);
            if self.learns && !self.settings.recompute {
                states.push(state);
            }
            x = y;
        }
        let targets = match &self.inputs.targets {
            Some(targets) => Some((self.logprobs(&x, targets)?, targets)),
            None => None,
        };
        let ends = match &self.inputs.ends {
            Some(ends) => Some((self.outputs(&x, ends)?, ends)),
            None => None,
        };
        if !self.learns {
            return Ok(());
        }
        let logprobs = targets.as_ref().map(|(_, targets)| &targets.logprobs);
        let outputs = ends.as_ref().map(|(_, ends)| &ends.outputs);
        let coefficients = arena.judge(&self.inputs.coefficients, logprobs, outputs, self.judge)?;
        self.need(&coefficients);
        let mut dx = match &targets {
            Some((state, targets)) => self.logprobs_back(state, targets, &coefficients)?,
            None => None,
        };
        if let Some((state, ends)) = &ends {
            let first = targets.as_ref().map_or(0, |(_, targets)| targets.count);
            let part = arena.part(&coefficients, first, &[ends.width * ends.count])?;
            let part = self.outputs_back(state, ends, &part)?;
            dx = Some(match dx {
                Some(dx) => arena.add(&dx, &part)?,
                None => part,
            });
        }
        self.back(&inputs, states, dx)
    }

    /// Through the layers, last to first, and into the embedding.
    fn back(&self, inputs: &[Tensor], mut states: Vec<LayerState>, mut dx: Option<Tensor>) -> Result<(), ModelError> {
        let embedding = self.weights.get("token_embd.weight")?;
        for (layer, x) in inputs.iter().enumerate().rev() {
            let Some(dy) = dx else { return Ok(()) };
            let state = match states.pop() {
                Some(state) => state,
                None => self.layer(layer, x)?.1,
            };
            let wanted = layer > 0 || embedding.gradient.is_some();
            dx = self.layer_back(layer, &state, &dy, wanted)?;
            if let Some(dx) = &dx {
                self.need(dx);
            }
        }
        if let (Some(gradient), Some(dx)) = (&embedding.gradient, dx) {
            self.need(&self.arena().get_rows_back(gradient, &dx, &self.inputs.tokens)?);
        }
        Ok(())
    }
}

impl Decoder {
    /// Reads a model and makes what is to be trained. Errors name an architecture or feature that cannot be trained, and
    /// what is wrong with a file.
    pub fn open(base: &Path, settings: &Settings) -> Result<Self, ModelError> {
        let gguf = open(base)?;
        let config = Config::read(&gguf)?;
        let device = settings.precision.device(settings.threads)?;
        let weights = Weights::read(&gguf, &config, settings, &device)?;
        let inputs = Inputs::new(settings)?;
        inputs.allocate(&device)?;
        let optimiser = Optimiser::new(&weights, &device)?;
        let settings = settings.clone();
        let (judge, forward, learning) = (Judge::default(), None, None);
        Ok(Self { config, settings, device, weights, inputs, judge, forward, learning, optimiser })
    }

    fn plan(&self, learns: bool) -> Result<Plan, ModelError> {
        let part = Part {
            device: &self.device,
            config: &self.config,
            settings: &self.settings,
            weights: &self.weights,
            inputs: &self.inputs,
            judge: &self.judge,
        };
        Ok(part.graph(learns)?.plan(&self.device)?)
    }

    /// What it says of a batch; nothing is dropped, and nothing learned.
    pub fn read(&mut self, batch: &Batch) -> Result<Readings, ModelError> {
        self.set(batch, 0)?;
        let plan = match self.forward.take() {
            Some(plan) => plan,
            None => self.plan(false)?,
        };
        self.forward.insert(plan).compute()?;
        self.readings(batch)
    }

    /// What it says of a batch, and the gradients of the loss, added to those that are there. `loss` says how it moves with
    /// each reading; `key` (above 0) decides what is dropped.
    pub fn learn(
        &mut self,
        batch: &Batch,
        key: u64,
        loss: Box<dyn FnOnce(&Readings) -> Coefficients + Send>,
    ) -> Result<Readings, ModelError> {
        self.begin(batch, key, loss)?.compute()?;
        self.readings(batch)
    }

    fn begin(
        &mut self,
        batch: &Batch,
        key: u64,
        loss: Box<dyn FnOnce(&Readings) -> Coefficients + Send>,
    ) -> Result<&Plan, ModelError> {
        self.set(batch, key)?;
        let (targets, outputs) = (batch.targets(), batch.ends() * self.settings.outputs);
        self.judge.set(move |readings| {
            let of = |numbers: &[f32], n: usize| numbers.get(..n).unwrap_or_default().to_vec();
            let said = Readings { logprobs: of(readings.logprobs, targets), outputs: of(readings.outputs, outputs) };
            let coefficients = loss(&said);
            let into = readings.for_logprobs.iter_mut().take(targets);
            into.zip(coefficients.logprobs).for_each(|(to, from)| *to = from);
            let into = readings.for_outputs.iter_mut().take(outputs);
            into.zip(coefficients.outputs).for_each(|(to, from)| *to = from);
        });
        let plan = match self.learning.take() {
            Some(plan) => plan,
            None => self.plan(true)?,
        };
        Ok(self.learning.insert(plan))
    }

    /// Seconds by kind of operation of one forward and backward pass, each operation timed alone, the longest first. Adds
    /// to the gradients, as [`learn`](Self::learn) does.
    pub fn profile(&mut self, batch: &Batch) -> Result<Vec<(String, f64)>, ModelError> {
        let scale = -1.0 / batch.targets().max(1) as f32;
        let loss = move |readings: &Readings| Coefficients {
            logprobs: vec![scale; readings.logprobs.len()],
            outputs: vec![scale; readings.outputs.len()],
        };
        Ok(self.begin(batch, 1, Box::new(loss))?.profile()?)
    }

    fn set(&self, batch: &Batch, key: u64) -> Result<(), ModelError> {
        let most = i32::try_from(self.config.vocabulary).unwrap_or(i32::MAX);
        if let Some(token) = batch.tokens.iter().find(|token| !(0..most).contains(*token)) {
            let what = format!("token {token} is none of the model's {most}");
            return Err(ModelError::Foreign { what });
        }
        let inputs = &self.inputs;
        inputs.tokens.set_i32(&batch.tokens)?;
        inputs.positions.set_i32(&batch.positions)?;
        inputs.seen.set_i32(&batch.seen)?;
        #[allow(clippy::cast_possible_truncation)] // the two halves
        inputs.key.set_i32(&[((key >> 32) as u32).cast_signed(), (key as u32).cast_signed()])?;
        let padded = |numbers: &[i32], n: usize, with: i32| {
            let mut numbers = numbers.to_vec();
            numbers.resize(n, with);
            numbers
        };
        if let Some(targets) = &inputs.targets {
            targets.places.set_i32(&padded(&batch.places, targets.count, 0))?;
            targets.tokens.set_i32(&padded(&batch.targets, targets.count, -1))?;
        }
        if let Some(ends) = &inputs.ends {
            ends.places.set_i32(&padded(&batch.ends, ends.count, 0))?;
        }
        Ok(())
    }

    fn readings(&self, batch: &Batch) -> Result<Readings, ModelError> {
        let mut readings = Readings::default();
        if let Some(targets) = &self.inputs.targets {
            let logprobs = targets.logprobs.values()?;
            readings.logprobs = logprobs.iter().step_by(2).take(batch.targets()).copied().collect();
        }
        if let Some(ends) = &self.inputs.ends {
            readings.outputs = ends.outputs.values()?;
            readings.outputs.truncate(batch.ends() * ends.width);
        }
        Ok(readings)
    }

    /// Takes a step from the gradients, which are 0 afterwards, and gives their norm before it was clipped. Where the norm
    /// is not finite, nothing is changed but the gradients.
    pub fn update(&mut self, how: &Update) -> Result<f64, ModelError> {
        self.optimiser.update(&self.weights, how)
    }

    /// The names and shapes of what is trained.
    #[must_use]
    pub fn names(&self) -> Vec<Parameter> {
        self.weights.names()
    }

    /// Everything that is trained, with the optimiser's moments.
    pub fn save(&self) -> Result<Vec<Saved>, ModelError> {
        self.weights.save()
    }

    /// The gradients so far, as `values`, without moments.
    pub fn gradients(&self) -> Result<Vec<Saved>, ModelError> {
        self.weights.gradients()
    }

    /// Goes back to saved numbers. Errors, changing nothing, when they are of other tensors.
    pub fn restore(&mut self, saved: &[Saved]) -> Result<(), ModelError> {
        self.weights.restore(saved)
    }

    /// Numbers that are trained.
    #[must_use]
    pub fn trained_parameters(&self) -> u64 {
        trained(&self.weights)
    }

    /// Numbers in the model, without adapters and head.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.weights.parameters
    }

    /// Bytes held: weights, gradients, moments, and the activations of the graphs made so far.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let plans = [&self.forward, &self.learning].into_iter().flatten().map(Plan::memory);
        (self.weights.bytes() + plans.sum::<usize>()) as u64
    }

    /// Width of the states that a head reads.
    #[must_use]
    pub fn width(&self) -> usize {
        self.config.width
    }
}
