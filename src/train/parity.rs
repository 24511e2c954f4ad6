//! The trainer held to the engine: the same tokens, the same log-probabilities.
//!
//! Training on another forward pass than the one that is run later teaches the wrong model in silence. So before the first
//! step some documents are read by both: by llama.cpp with keys and values in f32 and without flash attention, and by
//! the trainer in f32, both on the CPU. On F32 weights only the order of sums differs.
//!
//! - Quantised weights are multiplied by activations that llama.cpp rounds to 8 bits first; the trainer does not. On a small
//!   model that alone makes 4e-2, which says nothing of the trainer. So there the trainer is held to llama.cpp while it
//!   rounds as llama.cpp does, and to itself without rounding for bf16; what rounding makes is shown beside.
//! - Tokens that llama.cpp gives less than 1 in 10,000 do not count, as long as a tenth of all do: their logarithms move
//!   with every rounding, on text that is strange to the base by more than is allowed.

use super::failure::TrainingFailure;
use super::learner::{Learner, Pupil};
use crate::engine::llama::{KvStorage, Llama, LlamaSettings};
use crate::engine::{Answer, Ask, Engine, EngineError, KvMode, Request};
use crate::error::{Place, Problems};
use crate::gguf::{Gguf, TensorType};
use crate::model::{Decoder, Document, LoraSettings, Precision, Settings, Shape, Trained};
use crate::run::RunSettings;
use crate::store::training::ParityRecord;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The most that mean |Δ log p| may be where every weight is F32.
pub const EXACT: f64 = 1e-4;
/// The same for quantised weights, and for bf16.
pub const ROUNDED: f64 = 2e-2;
/// Tokens that are read by both, about.
const TOKENS: usize = 512;
/// ln 1/10,000: what a token must have to count.
const LEAST: f32 = -9.21;

/// Documents of which every token is read, about 512 tokens in all: the first ones, each cut to a quarter
/// of that.
pub fn sample<'a>(documents: impl Iterator<Item = &'a Document>) -> Vec<Document> {
    let mut left = TOKENS;
    let mut found = Vec::new();
    for document in documents.filter(|document| document.tokens.len() > 1) {
        let len = document.tokens.len().min(left).min(TOKENS / 4);
        if len < 2 {
            break;
        }
        found.push(Document::new(document.tokens[..len].to_vec(), vec![true; len]));
        left -= len;
    }
    found
}

/// Measures how far trainer and engine lie apart on a model.
///
/// # Errors
/// They lie too far apart, or one of them fails.
pub fn measure(
    base: &Path,
    settings: &Settings,
    documents: &[Document],
    machine: &RunSettings,
) -> Result<ParityRecord, Problems> {
    hold(base, settings, documents, &by_engine(&engine(base, documents, machine)?, documents)?)
}

/// Holds the trainer to what the engine `said` of the documents' tokens.
///
/// # Errors
/// They lie too far apart, or the trainer fails.
pub fn hold(base: &Path, settings: &Settings, documents: &[Document], said: &[f32]) -> Result<ParityRecord, Problems> {
    let gguf = Gguf::open(base)?;
    let plain = [TensorType::F32, TensorType::F16, TensorType::BF16];
    let quantised = gguf.tensors().iter().any(|tensor| !plain.contains(&tensor.kind));
    let exact = gguf.tensors().iter().all(|tensor| tensor.kind == TensorType::F32);
    let longest = documents.iter().map(|document| document.tokens.len()).max().unwrap_or(1);
    let shape = Shape { rows: 1, len: longest, targets: longest, ends: 1 };
    // An adapter that is nothing yet: the weights stay as the file has them.
    let trained = Trained::Lora(LoraSettings { rank: 1, dropout: 0.0, ..LoraSettings::default() });
    let read = |precision: Precision| -> Result<Vec<f32>, Problems> {
        let (trained, shape) = (trained.clone(), shape.clone());
        let settings = Settings { trained, precision, shape: shape.clone(), outputs: 0, ..settings.clone() };
        let mut pupil = Pupil { decoder: Decoder::open(base, &settings)?, shape };
        Ok(by_learner(&mut pupil, documents)?)
    };
    let counted = counted(said);
    let distance = |one: &[f32], other: &[f32]| distance(one, other, &counted);
    let plain = read(Precision::F32)?;
    let rounds = if quantised { Some(distance(said, &plain)) } else { None };
    let (like_engine, near) =
        if quantised { (read(Precision::Stored)?, plain.as_slice()) } else { (plain.clone(), said) };
    let bf16 = if settings.precision == Precision::Bf16 { Some(read(Precision::Bf16)?) } else { None };
    let record = ParityRecord {
        tokens: counted.len(),
        f32: distance(said, &like_engine),
        f32_limit: if exact { EXACT } else { ROUNDED },
        bf16: bf16.map(|bf16| distance(near, &bf16)),
        bf16_limit: ROUNDED,
        rounding: rounds,
    };
    check(&record, base)?;
    Ok(record)
}

/// Refuses a trainer that computes another model than the engine.
fn check(record: &ParityRecord, base: &Path) -> Result<(), Problems> {
    let mut problems = Problems::new();
    let alike = if record.rounding.is_some() { "rounding as llama.cpp does" } else { "in f32" };
    let measured = [(alike, Some(record.f32), record.f32_limit), ("in bf16", record.bf16, record.bf16_limit)];
    for (precision, measured, limit) in measured {
        if let Some(measured) = measured.filter(|measured| measured.is_nan() || *measured > limit) {
            let (tokens, place) = (record.tokens, Place::file(base));
            problems.push(TrainingFailure::Parity { precision, measured, limit, tokens, place });
        }
    }
    problems.or_ok(())
}

/// llama.cpp as it rounds least.
fn engine(base: &Path, documents: &[Document], machine: &RunSettings) -> Result<Llama, Problems> {
    let longest = documents.iter().map(|document| document.tokens.len()).max().unwrap_or(1);
    let settings = LlamaSettings {
        // Rounded up: llama.cpp pads it anyway.
        context: u32::try_from(longest.next_multiple_of(256)).ok(),
        threads: machine.threads,
        gpu_layers: Some(0),
        kv_type: KvStorage::F32,
        kv: KvMode::Exact,
        parallel: 1,
        adapter: None,
    };
    Llama::open(base, settings, (None, &machine.llama_cpp), machine.memory.as_deref())
}

/// The log-probability of each token behind the first of each document, as the engine has it.
pub fn by_engine(engine: &dyn Engine, documents: &[Document]) -> Result<Vec<f32>, EngineError> {
    let request = |(id, document): (usize, &Document)| {
        let (first, rest) = document.tokens.split_first()?;
        Some(Request { id, tokens: vec![*first], ask: Ask::Likelihood { continuations: vec![rest.to_vec()] } })
    };
    let requests: Vec<Request> = documents.iter().enumerate().filter_map(request).collect();
    let mut found: Vec<Vec<f32>> = vec![Vec::new(); documents.len()];
    let mut keep = |id: usize, answer: Answer| {
        if let (Answer::Likelihood(told), Some(place)) = (answer, found.get_mut(id)) {
            *place = told.logprobs.into_iter().flatten().collect();
        }
    };
    engine.answer(requests, &mut keep, &AtomicBool::new(false))?;
    engine.unload();
    Ok(found.concat())
}

/// The same as a learner has it, one document at a time.
pub fn by_learner(learner: &mut dyn Learner, documents: &[Document]) -> Result<Vec<f32>, crate::model::ModelError> {
    let mut found = Vec::new();
    for document in documents {
        found.extend(learner.read(&[vec![document]])?.logprobs);
    }
    Ok(found)
}

/// The places of the tokens that count: those likely enough, and at least the likeliest tenth.
fn counted(said: &[f32]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..said.len()).collect();
    places.sort_by(|a, b| said[*b].total_cmp(&said[*a]));
    let least = said.len().div_ceil(10);
    let enough = |(rank, place): (usize, usize)| (rank < least || said[place] >= LEAST).then_some(place);
    places.into_iter().enumerate().filter_map(enough).collect()
}

/// The mean of |Δ log p| over the places that count; infinite where the two did not say as much, NaN where one said NaN
/// anywhere.
fn distance(one: &[f32], other: &[f32], counted: &[usize]) -> f64 {
    if one.len() != other.len() || counted.is_empty() {
        return f64::INFINITY;
    }
    if one.iter().chain(other).any(|logprob| logprob.is_nan()) {
        return f64::NAN;
    }
    let apart = counted.iter().map(|place| f64::from(one[*place] - other[*place]).abs());
    apart.sum::<f64>() / counted.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    fn document(len: usize) -> Document {
        Document::new((0..len).map(|i| u32::try_from(i).unwrap()).collect(), vec![false; len])
    }

    #[test]
    fn about_five_hundred_tokens_of_the_first_documents_are_compared() {
        let all = [document(1), document(400), document(100), document(90), document(128), document(130)];
        let lengths: Vec<usize> = sample(all.iter()).iter().map(|one| one.tokens.len()).collect();
        assert_eq!(lengths, [128, 100, 90, 128, 66]);
        assert_eq!(sample(all.iter())[0].targets(), 127);
        assert!(sample([document(1)].iter()).is_empty());
    }

    #[test]
    fn what_cannot_be_compared_is_infinitely_far_apart() {
        assert!((distance(&[-1.0, -2.0], &[-1.5, -2.0], &[0, 1]) - 0.25).abs() < 1e-12);
        assert!(distance(&[-1.0], &[], &[0]).is_infinite() && distance(&[], &[], &[]).is_infinite());
        assert!(distance(&[-1.0, -9.0], &[-1.0, f32::NAN], &[0]).is_nan());
    }

    #[test]
    fn tokens_that_the_engine_never_says_count_only_where_there_are_no_others() {
        assert_eq!(counted(&[-1.0, -20.0, -0.5, -9.0, f32::NEG_INFINITY]), [2, 0, 3]);
        assert_eq!(counted(&[-30.0, -20.0, -25.0]), [1]);
        assert_eq!(counted(&[]), Vec::<usize>::new());
    }

    #[test]
    fn a_trainer_of_another_model_is_refused() {
        let record =
            |f32, bf16| ParityRecord { tokens: 312, f32, f32_limit: EXACT, bf16, bf16_limit: ROUNDED, rounding: None };
        let refusal = |record| check(&record, Path::new("models/x.gguf"));
        assert!(refusal(record(9e-5, Some(1e-2))).is_ok() && refusal(record(0.0, None)).is_ok());
        let problems = refusal(record(0.0123, Some(f64::NAN))).unwrap_err();
        assert_eq!(problems.len(), 2);
        insta::assert_snapshot!(render(problems.iter().next().unwrap(), false), @r"
        error: the trainer in f32 and llama.cpp disagree: mean |Δ log p| is 1.2e-2 over 312 tokens, at most 1e-4 is allowed
          --> models/x.gguf
          help: the file may be damaged, or have something that the trainer does not compute: examine it with `tripos run`, and report it
        ");
    }
}
