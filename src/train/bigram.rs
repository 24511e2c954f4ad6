//! The smallest thing that can be taught, for the tests of the loop: each token foretells the next by a row of numbers, and
//! the last token of a document, or of each branch of it, what a head says. Gradients are exact, and AdamW is written out.

use super::learner::{Learner, Slopes};
use crate::model::{Document, ModelError, Readings, Saved, Update};
use crate::seed;
use rand::RngExt;

/// A table of `tokens × tokens` for what comes next and one of `tokens × labels`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bigram {
    tokens: usize,
    labels: usize,
    saved: [Saved; 2],
    gradients: [Vec<f32>; 2],
    /// Of each gradient so much is dropped at random, by the key of the micro-batch.
    dropout: f32,
}

impl Bigram {
    pub(super) fn new(tokens: usize, labels: usize) -> Self {
        let table = |name: &str, width: usize| Saved {
            name: name.into(),
            dims: vec![width, tokens],
            values: vec![0.0; width * tokens],
            first_moment: vec![0.0; width * tokens],
            second_moment: vec![0.0; width * tokens],
        };
        let saved = [table("next.weight", tokens), table("head.weight", labels.max(1))];
        let gradients = [vec![0.0; tokens * tokens], vec![0.0; tokens * labels.max(1)]];
        Self { tokens, labels, saved, gradients, dropout: 0.0 }
    }

    pub(super) fn with_dropout(self, dropout: f32) -> Self {
        Self { dropout, ..self }
    }

    fn row(&self, table: usize, token: u32) -> &[f32] {
        let width = if table == 0 { self.tokens } else { self.labels };
        &self.saved[table].values[token as usize * width..][..width]
    }

    fn readings(&self, rows: &[Vec<&Document>]) -> Readings {
        let mut readings = Readings::default();
        for document in rows.iter().flatten() {
            for (before, target) in targets(document) {
                let row = self.row(0, before);
                readings.logprobs.push(row[target as usize] - log_sum(row));
            }
            if self.labels > 0 {
                ends(document).for_each(|end| readings.outputs.extend(self.row(1, end)));
            }
        }
        readings
    }
}

/// The tokens that are learned, each with the one before it.
fn targets(document: &Document) -> impl Iterator<Item = (u32, u32)> {
    document.learned().map(|(place, before)| (document.tokens[before], document.tokens[place]))
}

/// The tokens at which a head is read.
fn ends(document: &Document) -> impl Iterator<Item = u32> {
    document.heads().into_iter().map(|place| document.tokens[place])
}

fn log_sum(row: &[f32]) -> f32 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    largest + row.iter().map(|x| (x - largest).exp()).sum::<f32>().ln()
}

impl Learner for Bigram {
    fn read(&mut self, rows: &[Vec<&Document>]) -> Result<Readings, ModelError> {
        Ok(self.readings(rows))
    }

    fn learn(&mut self, rows: &[Vec<&Document>], key: u64, slopes: Slopes) -> Result<Readings, ModelError> {
        let readings = self.readings(rows);
        let slopes = slopes(&readings);
        let mut random = seed::rng(key);
        let (mut slope, mut at) = (slopes.logprobs.iter(), 0);
        for document in rows.iter().flatten() {
            for (before, target) in targets(document) {
                let slope = *slope.next().unwrap();
                if random.random::<f32>() < self.dropout {
                    continue;
                }
                let row = self.row(0, before).to_vec();
                let sum = log_sum(&row);
                for (next, x) in row.iter().enumerate() {
                    let hit = if next == target as usize { 1.0 } else { 0.0 };
                    self.gradients[0][before as usize * self.tokens + next] += slope * (hit - (x - sum).exp());
                }
            }
            for end in ends(document).filter(|_| self.labels > 0) {
                for label in 0..self.labels {
                    self.gradients[1][end as usize * self.labels + label] += slopes.outputs[at * self.labels + label];
                }
                at += 1;
            }
        }
        Ok(readings)
    }

    fn update(&mut self, how: &Update) -> Result<f64, ModelError> {
        let norm = self.gradients.iter().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return Ok(norm);
        }
        #[allow(clippy::cast_possible_truncation)]
        let scale = if how.clip > 0.0 { (f64::from(how.clip) / norm).min(1.0) as f32 } else { 1.0 };
        let (one, two) = how.betas;
        let step = i32::try_from(how.step).unwrap();
        for (saved, gradients) in self.saved.iter_mut().zip(&mut self.gradients) {
            for (i, gradient) in gradients.iter_mut().enumerate() {
                let g = *gradient * scale;
                let (m, v) = (&mut saved.first_moment[i], &mut saved.second_moment[i]);
                *m = one * *m + (1.0 - one) * g;
                *v = two * *v + (1.0 - two) * g * g;
                let (m, v) = (*m / (1.0 - one.powi(step)), *v / (1.0 - two.powi(step)));
                let x = &mut saved.values[i];
                *x -= how.lr * (m / (v.sqrt() + how.eps) + how.weight_decay * *x);
                *gradient = 0.0;
            }
        }
        Ok(norm)
    }

    fn save(&self) -> Result<Vec<Saved>, ModelError> {
        Ok(self.saved.to_vec())
    }

    fn restore(&mut self, saved: &[Saved]) -> Result<(), ModelError> {
        self.saved = saved.to_vec().try_into().unwrap();
        Ok(())
    }
}
