//! The decoder with the goldens' batches, weights and losses put into it.

use super::golden::{ALPHA, Case, Gradient, OUTPUTS, RANK, Text, numbers};
use std::collections::BTreeSet;
use std::path::Path;
use tripos::model::{
    Batch, Coefficients, Decoder, Document, LoraOn, LoraSettings, Precision, Readings, Saved, Settings, Shape, Trained,
};

/// The largest relative difference between two gradients.
const NEAR: f64 = 1e-3;

/// How a case is computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    pub(super) precision: Precision,
    pub(super) recompute: bool,
    /// A graph larger than the batch needs.
    pub(super) roomy: bool,
}

impl How {
    pub(super) const PLAIN: Self = Self { precision: Precision::F32, recompute: false, roomy: false };
}

/// A decoder and the batch of a case.
pub(super) struct Lesson {
    pub(super) decoder: Decoder,
    pub(super) batch: Batch,
    case_name: String,
}

impl Lesson {
    /// Opens a model as a case trains it, the adapters' and the head's weights those of the golden.
    pub(super) fn new(model: &Path, case: &Case, how: How) -> Self {
        let mut lesson = Self::fresh(model, case, how);
        if case.adapts() {
            let fixed: Vec<Saved> = lesson
                .decoder
                .names()
                .into_iter()
                .map(|p| saved(&p.name, &p.dims, weights(&p.name, &p.dims)))
                .collect();
            lesson.decoder.restore(&fixed).unwrap();
        }
        lesson
    }

    /// The same with the weights that training begins with.
    pub(super) fn fresh(model: &Path, case: &Case, how: How) -> Self {
        let shape = shape(case, how.roomy);
        let lora = LoraSettings { rank: RANK, alpha: ALPHA, dropout: 0.0, on: LoraOn::All };
        let settings = Settings {
            trained: if case.adapts() { Trained::Lora(lora) } else { Trained::Full },
            precision: how.precision,
            shape: shape.clone(),
            outputs: if case.name == "head" { OUTPUTS } else { 0 },
            recompute: how.recompute,
            threads: 2,
            seed: 1,
        };
        let decoder = Decoder::open(model, &settings).unwrap_or_else(|e| panic!("{}: {e}", model.display()));
        Self { decoder, batch: batch(case.rows.iter().map(Vec::as_slice), &shape), case_name: case.name.clone() }
    }

    pub(super) fn read(&mut self) -> Readings {
        self.decoder.read(&self.batch).unwrap_or_else(|e| panic!("{}: {e}", self.case_name))
    }

    /// Forward and back with the golden's loss.
    pub(super) fn learn(&mut self) -> Readings {
        let loss = loss(self.batch.targets());
        self.decoder.learn(&self.batch, 0, loss).unwrap_or_else(|e| panic!("{}: {e}", self.case_name))
    }

    /// The golden's loss, forward only.
    pub(super) fn loss(&mut self) -> f64 {
        let readings = self.read();
        let Coefficients { logprobs, outputs } = coefficients(&readings, self.batch.targets());
        let sum = |readings: &[f32], by: &[f32]| -> f64 {
            readings.iter().zip(by).map(|(reading, by)| f64::from(*reading) * f64::from(*by)).sum()
        };
        sum(&readings.logprobs, &logprobs) + sum(&readings.outputs, &outputs)
    }
}

/// Documents as the decoder takes them.
pub(super) fn batch<'a>(rows: impl Iterator<Item = &'a [Text]>, shape: &Shape) -> Batch {
    let rows: Vec<Vec<Document>> = rows.map(|row| row.iter().map(document).collect()).collect();
    let rows: Vec<Vec<&Document>> = rows.iter().map(|row| row.iter().collect()).collect();
    Batch::new(&rows, shape).unwrap()
}

fn document(text: &Text) -> Document {
    Document::new(text.tokens.clone(), text.learn.clone())
}

/// What rows need.
pub(super) fn shape_of(rows: &[Vec<Text>]) -> Shape {
    let longest = rows.iter().map(|row| row.iter().map(|text| text.tokens.len()).sum()).max().unwrap();
    let targets = rows.iter().flatten().flat_map(Text::targets).filter(|target| **target).count();
    Shape { rows: rows.len(), len: longest, targets, ends: rows.iter().flatten().count() }
}

/// What the batch of a case needs, or more.
pub(super) fn shape(case: &Case, roomy: bool) -> Shape {
    let tight = shape_of(&case.rows);
    assert_eq!(tight.targets, case.logprobs.len());
    if roomy {
        Shape { rows: tight.rows + 1, len: tight.len + 5, targets: tight.targets + 3, ends: tight.ends + 4 }
    } else {
        tight
    }
}

/// Minus the mean log-probability of `targets` targets, plus each output times its coefficient.
pub(super) fn loss(targets: usize) -> Box<dyn FnOnce(&Readings) -> Coefficients + Send> {
    Box::new(move |readings| coefficients(readings, targets))
}

#[allow(clippy::cast_possible_truncation, reason = "the weights and coefficients are f32")]
fn coefficients(readings: &Readings, targets: usize) -> Coefficients {
    let by = numbers("coefficients", readings.outputs.len());
    Coefficients {
        logprobs: vec![-1.0 / targets as f32; readings.logprobs.len()],
        outputs: by.into_iter().map(|x| (2.0 * x) as f32).collect(),
    }
}

/// The golden's weights of an adapter or a head.
#[allow(clippy::cast_possible_truncation, reason = "the weights and coefficients are f32")]
fn weights(name: &str, dims: &[usize]) -> Vec<f32> {
    let scale = match name.rsplit('.').next() {
        Some("lora_a") => 0.7,
        Some("lora_b") => 0.5,
        _ => 1.0,
    };
    numbers(name, dims.iter().product()).into_iter().map(|x| (x * scale) as f32).collect()
}

/// Numbers that the optimiser has not seen yet.
fn saved(name: &str, dims: &[usize], values: Vec<f32>) -> Saved {
    let zeros = vec![0.0; values.len()];
    Saved { name: name.to_owned(), dims: dims.to_vec(), values, first_moment: zeros.clone(), second_moment: zeros }
}

/// What differs between gradients and the goldens.
pub(super) fn complaints(golden: &[Gradient], found: &[Saved]) -> Vec<String> {
    let wanted: BTreeSet<&str> = golden.iter().map(|gradient| gradient.name.as_str()).collect();
    let given: BTreeSet<&str> = found.iter().map(|saved| saved.name.as_str()).collect();
    if wanted != given {
        return vec![format!("trained are {given:?}, not {wanted:?}")];
    }
    golden
        .iter()
        .flat_map(|gradient| {
            let saved = found.iter().find(|saved| saved.name == gradient.name);
            saved.map(|saved| differences(gradient, saved)).unwrap_or_default()
        })
        .collect()
}

fn differences(golden: &Gradient, found: &Saved) -> Vec<String> {
    let dims: Vec<u64> = found.dims.iter().map(|n| *n as u64).collect();
    if dims != golden.dims {
        return vec![format!("{} is {dims:?}, not {:?}", golden.name, golden.dims)];
    }
    let numbers_of = |i: usize| numbers(&format!("{}/{i}", golden.name), found.values.len());
    let product = |direction: &[f64]| dot(&found.values, direction);
    // A part of a gradient in a random direction, and one of its numbers, are about so large.
    let (part, one) = (golden.norm / 12_f64.sqrt(), golden.norm / (found.values.len() as f64).sqrt());
    let mut pairs = vec![
        ("norm".to_owned(), golden.norm, norm(&found.values), golden.norm),
        ("sum".to_owned(), golden.sum, found.values.iter().map(|x| f64::from(*x)).sum(), golden.norm),
    ];
    for (i, along) in golden.along.iter().enumerate() {
        pairs.push((format!("direction {i}"), *along, product(&numbers_of(i)), part));
    }
    for (i, (first, x)) in golden.first.iter().zip(&found.values).enumerate() {
        pairs.push((format!("[{i}]"), *first, f64::from(*x), one.max(first.abs())));
    }
    let wrong =
        pairs.into_iter().filter(|(_, wanted, given, scale)| (wanted - given).abs().total_cmp(&(NEAR * scale)).is_gt());
    wrong.map(|(what, wanted, given, _)| format!("{} {what}: {given:.6}, not {wanted:.6}", golden.name)).collect()
}

pub(super) fn norm(numbers: &[f32]) -> f64 {
    numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

pub(super) fn dot(numbers: &[f32], direction: &[f64]) -> f64 {
    numbers.iter().zip(direction).map(|(x, d)| f64::from(*x) * d).sum()
}
